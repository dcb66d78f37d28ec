//! The events that a breaker reports to its observer.

use std::sync::Arc;
use std::time::Duration;

use super::state::{Mode, Transition};
use super::verdict::Verdict;

/// An event of a breaker, as [`Builder::on_event`](super::Builder::on_event) receives it.
///
/// ```
/// use fusepool::Breaker;
/// use fusepool::breaker::Event;
///
/// let breaker = Breaker::builder()
///     .on_event(|event| match event {
///         Event::Transition(change) => println!("{} -> {}", change.from.as_str(), change.to.as_str()),
///         Event::Slow { calls } => println!("{calls} slow calls"),
///         _ => {}
///     })
///     .build()?;
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The state changed.
    Transition(&'a Transition),
    /// An operator changed the mode, or started or stopped holding the breaker open. Concurrent
    /// changes may be reported in any order; [`Breaker::mode`](super::Breaker::mode) has the
    /// current mode.
    Mode {
        /// The new mode.
        mode: Mode,
        /// Whether the breaker is now held open. That applies in every mode.
        forced_open: bool,
    },
    /// [`Breaker::reconfigure`](super::Breaker::reconfigure) changed the rules.
    Reconfigured,
    /// A batch of probes succeeded, and a larger one follows.
    Ramp {
        /// The number of probes in the larger batch.
        places: u32,
    },
    /// No call has succeeded for half of [`stall_after`](super::Builder::stall_after), while
    /// enough calls were pending. A pool asks the backend now, and an answer prevents the stall.
    Stalling,
    /// The [slow-call threshold](super::Builder::slow_call_threshold) that is learned changed.
    Adapted {
        /// The new threshold. `None`: too few calls have succeeded.
        slow_call_threshold: Option<Duration>,
    },
    /// Calls were counted as slow, most of them while still running.
    Slow {
        /// The number of these calls.
        calls: u32,
    },
    /// A permit was dropped unsettled.
    Abandoned {
        /// The time from the start of the call.
        held: Duration,
    },
    /// A result came too late to count: its call started in an older generation, or was a probe
    /// that had counted as slow or whose batch is over.
    Discarded {
        /// The verdict that was not counted.
        verdict: Verdict,
    },
}

/// Receives the events of a breaker.
pub(crate) type Observer = Arc<dyn Fn(&Event<'_>) + Send + Sync>;
