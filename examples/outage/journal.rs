//! A record of the transitions of a breaker.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use fusepool::breaker::{Event, Transition};

/// An observer of a breaker.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Pages>);

struct Pages {
    start: OnceLock<Instant>,
    entries: Mutex<Vec<Entry>>,
}

/// A transition, and its time from the start.
pub(crate) type Entry = (Duration, Transition);

impl Journal {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Pages {
            start: OnceLock::new(),
            entries: Mutex::default(),
        }))
    }

    pub(crate) fn start(&self, start: Instant) {
        let _ = self.0.start.set(start);
    }

    pub(crate) fn take(&self) -> Vec<Entry> {
        let mut entries = self
            .0
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut entries)
    }

    /// Records changes of state.
    pub(crate) fn observe(&self, event: &Event<'_>) {
        let Event::Transition(transition) = event else {
            return;
        };
        let time = self.0.start.get().map_or(Duration::ZERO, Instant::elapsed);
        let mut entries = self
            .0
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        entries.push((time, **transition));
    }
}
