//! Waits for a call that another caller makes, such as the load of a cached read.
//!
//! For the breaker, such a caller is demand like any other: a few calls that hang may hold up many
//! callers, and those few alone would not open it.

use std::future::Future;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Gate;
use super::run::Deadline;
use crate::breaker::demand::LongRunning;
use crate::outcome::error::{Awaited, DeadlineExceeded};

/// A caller that waits for a call.
pub(crate) struct Joined<'gate> {
    gate: &'gate Gate,
    /// The start of the wait, in nanoseconds on the breaker's clock.
    began: u64,
    /// The call is that of another caller, and counts once more.
    counts: AtomicBool,
    running: OnceLock<LongRunning>,
}

impl<'gate> Joined<'gate> {
    pub(crate) fn new(gate: &'gate Gate) -> Self {
        Self {
            gate,
            began: gate.now(),
            counts: AtomicBool::new(false),
            running: OnceLock::new(),
        }
    }

    /// Sets whether this caller counts as demand: not if it makes the call itself, which counts
    /// already, and not if it has a deadline of its own.
    pub(crate) fn set_counts(&self, counts: bool) {
        self.counts.store(counts, Ordering::Release);
    }

    fn still_waits(&self, given_up: bool) {
        if self.counts.load(Ordering::Acquire) {
            let breaker = &self.gate.breaker;
            if !given_up {
                self.running.get_or_init(|| breaker.pending());
            }
            breaker.still_waits(self.began, given_up, false);
        }
    }

    /// Waits until the deadline: `own`, or else `limit`, which has no effect while the breaker does not
    /// enforce.
    pub(crate) async fn wait<T>(
        &self,
        own: Option<Duration>,
        limit: Duration,
        wait: impl Future<Output = T>,
    ) -> Result<T, DeadlineExceeded> {
        let waits = Waits(Some(self));
        let start = Instant::now();
        let limit = own.unwrap_or(limit);
        let deadline = match own {
            Some(_) => Deadline::of_call(start + limit),
            None => Deadline::of_gate(start + limit),
        };
        let check_stall = || self.still_waits(false);
        let ended = (self.gate)
            .until(deadline, start, check_stall, pin!(wait))
            .await;
        match ended {
            Some(ended) => {
                waits.end();
                Ok(ended)
            }
            None => Err(self.gate.missed(limit, Awaited::Answer)),
        }
    }
}

/// If it is dropped before its [`end`](Self::end), the caller gave up.
struct Waits<'j, 'gate>(Option<&'j Joined<'gate>>);

impl Waits<'_, '_> {
    fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Waits<'_, '_> {
    fn drop(&mut self) {
        if let Some(joined) = self.0 {
            joined.still_waits(true);
        }
    }
}
