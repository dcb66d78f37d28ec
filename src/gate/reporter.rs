//! Turns what a breaker does into events.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;

use crate::breaker::builder::Builder;
use crate::breaker::listener::Listener;
use crate::breaker::state::{Mode, State, Transition};
use crate::breaker::verdict::Verdict;
use crate::telemetry::event::{Event, Sink};

/// Called when the breaker opens.
pub(crate) type OnOpen = Box<dyn Fn() + Send + Sync>;

/// The listener that a gate gives its breaker. Passes on to the user's own, if there is one.
pub(crate) struct Reporter {
    pool: Arc<str>,
    sink: Arc<dyn Sink>,
    next: Option<Arc<dyn Listener>>,
    opened: Arc<Notify>,
    on_open: Arc<OnceLock<OnOpen>>,
}

impl Reporter {
    pub(crate) fn new(
        breaker: &Builder,
        sink: Arc<dyn Sink>,
        opened: Arc<Notify>,
        on_open: Arc<OnceLock<OnOpen>>,
    ) -> Self {
        Self {
            pool: breaker.get_name(),
            sink,
            next: breaker.get_listener().cloned(),
            opened,
            on_open,
        }
    }

    fn tell(&self, event: &Event<'_>) {
        self.sink.event(&self.pool, event);
    }
}

impl Listener for Reporter {
    fn transition(&self, transition: &Transition) {
        self.tell(&Event::Transition(transition));
        if let Some(next) = &self.next {
            next.transition(transition);
        }
        if transition.to == State::Open {
            self.opened.notify_waiters();
            if let Some(on_open) = self.on_open.get() {
                on_open();
            }
        }
    }

    fn mode(&self, mode: Mode, forced_open: bool) {
        self.tell(&Event::Mode { mode, forced_open });
        if let Some(next) = &self.next {
            next.mode(mode, forced_open);
        }
        // Those who wait see for themselves what that means for them.
        self.opened.notify_waiters();
    }

    fn reconfigured(&self) {
        self.tell(&Event::Reconfigured);
        if let Some(next) = &self.next {
            next.reconfigured();
        }
    }

    fn ramp(&self, places: u32) {
        self.tell(&Event::Ramp { places });
        if let Some(next) = &self.next {
            next.ramp(places);
        }
    }

    fn slow(&self, calls: u32) {
        self.tell(&Event::Slow { calls });
        if let Some(next) = &self.next {
            next.slow(calls);
        }
    }

    fn abandoned(&self, held: Duration) {
        self.tell(&Event::Abandoned { held });
        if let Some(next) = &self.next {
            next.abandoned(held);
        }
    }

    fn discarded(&self, verdict: Verdict) {
        self.tell(&Event::Discarded { verdict });
        if let Some(next) = &self.next {
            next.discarded(verdict);
        }
    }
}
