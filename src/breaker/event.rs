//! What a breaker tells its observer.

use std::sync::Arc;
use std::time::Duration;

use super::state::{Mode, Transition};
use super::verdict::Verdict;

/// Something that a breaker did.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The state changed.
    Transition(&'a Transition),
    /// The operator changed the mode, or began or ceased to hold the breaker open. Of two operators at
    /// once either may be told of last: what holds is what [`Breaker::mode`](super::Breaker::mode) says.
    Mode {
        /// The mode now.
        mode: Mode,
        /// Whether the breaker is held open now, in whatever mode.
        forced_open: bool,
    },
    /// The operator changed the rules.
    Reconfigured,
    /// A batch of probes went well, and a larger one follows.
    Ramp {
        /// How many calls it admits.
        places: u32,
    },
    /// Calls reached the slow-call threshold, most while still running.
    Slow {
        /// How many.
        calls: u32,
    },
    /// A permit was dropped unsettled.
    Abandoned {
        /// How long the call had been under way.
        held: Duration,
    },
    /// A result was not counted: it came from before the last change of state, or from a probe that had
    /// been given up.
    Discarded {
        /// What it was.
        verdict: Verdict,
    },
}

/// Is told what a breaker does.
pub(crate) type Observer = Arc<dyn Fn(&Event<'_>) + Send + Sync>;
