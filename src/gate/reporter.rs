//! Reports the events of a breaker to the sink of its gate.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::breaker::builder::Builder;
use crate::breaker::event as breaker;
use crate::breaker::state::State;
use crate::telemetry::event::Event;
use crate::telemetry::sinks::Sinks;

/// A callback of a pool, for one kind of event.
pub(crate) type Hook = Box<dyn Fn() + Send + Sync>;

/// A callback of a pool that asks its backend. Its future returns whether the backend answers.
pub(crate) type Ask = Box<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// The callbacks of a pool, for the events of its gate.
#[derive(Default)]
pub(crate) struct Hooks {
    /// The breaker opened.
    pub(crate) opened: Option<Hook>,
    /// The breaker will open soon, unless the backend answers.
    pub(crate) stalling: Option<Hook>,
    /// A caller has waited long at a full pool after an outage.
    pub(crate) starved: Option<Hook>,
    /// The background probe is overdue.
    pub(crate) overdue: Option<Ask>,
}

/// Sets the observer of the gate, which calls the user's observer, too.
pub(super) fn observed(
    breaker: Builder,
    sinks: Arc<Sinks>,
    opened: Arc<Notify>,
    hooks: Arc<OnceLock<Hooks>>,
) -> Builder {
    let users = breaker.get_observer().cloned();
    breaker.on_event(move |event| {
        sinks.tell(&Event::Breaker(event));
        if let Some(users) = &users {
            users(event);
        }
        match event {
            breaker::Event::Transition(transition) if transition.to == State::Open => {
                opened.notify_waiters();
                run(&hooks, |hooks| &hooks.opened);
            }
            breaker::Event::Stalling => run(&hooks, |hooks| &hooks.stalling),
            // The callers in the queue read the new mode themselves.
            breaker::Event::Mode { .. } => opened.notify_waiters(),
            _ => {}
        }
    })
}

/// Runs a hook, if it is set.
pub(super) fn run(hooks: &OnceLock<Hooks>, which: fn(&Hooks) -> &Option<Hook>) {
    if let Some(hook) = hooks.get().and_then(|hooks| which(hooks).as_ref()) {
        hook();
    }
}
