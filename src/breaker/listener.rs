//! Who is told what a breaker does.

use std::time::Duration;

use super::state::{Mode, Transition};
use super::verdict::Verdict;

/// Is told what a breaker does. Called after every lock is released, on the task whose call made
/// it happen: be quick, and do not panic.
pub trait Listener: Send + Sync + 'static {
    /// The state changed.
    fn transition(&self, transition: &Transition) {
        let _ = transition;
    }

    /// The operator changed the mode, or began or ceased to hold the breaker open. Of two operators at
    /// once either may be told of last: what holds is what [`Breaker::mode`](super::Breaker::mode) says.
    fn mode(&self, mode: Mode, forced_open: bool) {
        let _ = (mode, forced_open);
    }

    /// The operator changed the rules.
    fn reconfigured(&self) {}

    /// A batch of probes went well, and one of `places` calls follows.
    fn ramp(&self, places: u32) {
        let _ = places;
    }

    /// This many calls reached the slow-call bound, most while still running.
    fn slow(&self, calls: u32) {
        let _ = calls;
    }

    /// A permit was dropped unsettled after `held`.
    fn abandoned(&self, held: Duration) {
        let _ = held;
    }

    /// A result came from before the last change of state, or from a probe that had been given
    /// up, and was not counted.
    fn discarded(&self, verdict: Verdict) {
        let _ = verdict;
    }
}

/// Listens to nothing.
pub(super) struct Deaf;

impl Listener for Deaf {}
