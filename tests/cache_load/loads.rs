//! When loads were running, by the pool's events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusepool::Clock;
use fusepool::telemetry::{Event, Sink};

/// A sink that records the loads of each policy; give each key its own policy. A load is reported
/// before the next load of its key may start.
#[derive(Clone)]
pub struct Loads<C> {
    clock: C,
    seen: Arc<Mutex<HashMap<&'static str, Vec<Load>>>>,
}

type Load = (Duration, Duration);

impl<C: Clock> Loads<C> {
    pub fn new(clock: C) -> Self {
        let seen = Arc::default();
        Self { clock, seen }
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().values().map(Vec::len).sum()
    }

    /// No two loads of one key ran at the same time.
    pub fn assert_one_at_a_time(&self) {
        for (policy, loads) in self.seen.lock().unwrap().iter_mut() {
            loads.sort();
            for pair in loads.windows(2) {
                let (one, two) = (pair[0], pair[1]);
                assert!(one.1 <= two.0, "two loads of {policy}: {one:?} and {two:?}");
            }
        }
    }
}

impl<C: Clock> Sink for Loads<C> {
    fn event(&self, _pool: &str, event: &Event<'_>) {
        if let Event::Load { policy, took, .. } = *event {
            let end = self.clock.now();
            let mut seen = self.seen.lock().unwrap();
            seen.entry(policy).or_default().push((end - took, end));
        }
    }
}
