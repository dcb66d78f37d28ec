//! Reports the events of a breaker to the sink of its gate.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::breaker::builder::Builder;
use crate::breaker::event as breaker;
use crate::breaker::state::State;
use crate::telemetry::event::{Event, Sink};

/// What a pool does at events of its breaker.
pub(crate) struct Hooks {
    /// The breaker opened.
    pub(crate) opened: Box<dyn Fn() + Send + Sync>,
    /// The breaker will open soon, unless the backend answers.
    pub(crate) stalling: Box<dyn Fn() + Send + Sync>,
}

/// Sets the observer of the gate, which calls the user's observer, too.
pub(super) fn observed(
    breaker: Builder,
    sink: Arc<dyn Sink>,
    opened: Arc<Notify>,
    hooks: Arc<OnceLock<Hooks>>,
) -> Builder {
    let (pool, users) = (breaker.get_name(), breaker.get_observer().cloned());
    breaker.on_event(move |event| {
        sink.event(&pool, &Event::Breaker(event));
        if let Some(users) = &users {
            users(event);
        }
        match event {
            breaker::Event::Transition(transition) if transition.to == State::Open => {
                opened.notify_waiters();
                if let Some(hooks) = hooks.get() {
                    (hooks.opened)();
                }
            }
            breaker::Event::Stalling => {
                if let Some(hooks) = hooks.get() {
                    (hooks.stalling)();
                }
            }
            // The callers in the queue read the new mode themselves.
            breaker::Event::Mode { .. } => opened.notify_waiters(),
            _ => {}
        }
    })
}
