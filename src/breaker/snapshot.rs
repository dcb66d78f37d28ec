//! A breaker at one moment.

use std::sync::Arc;
use std::time::Duration;

use super::state::{Mode, State};

/// What a breaker counts from the beginning.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Successes,
    Failures,
    Ignored,
    Abandoned,
    Slow,
    Discarded,
    Rejected,
}

pub(super) const COUNTS: usize = Count::Rejected as usize + 1;

/// A breaker at one moment. The counts without a window are since the breaker was built.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// What the breaker guards.
    pub name: Arc<str>,
    /// The state.
    pub state: State,
    /// The mode.
    pub mode: Mode,
    /// Whether an operator holds it open.
    pub forced_open: bool,
    /// Calls in the window.
    pub calls: u32,
    /// The part of them that were failures; 0 without calls.
    pub failure_rate: f64,
    /// The part of them that were slow; 0 without calls.
    pub slow_call_rate: f64,
    /// Failures with no answer in between.
    pub consecutive_failures: u32,
    /// How often it has opened since it was last closed.
    pub attempt: u32,
    /// When open: how long until the first probe.
    pub retry_after: Option<Duration>,
    /// How often it opened.
    pub trips: u64,
    /// The time spent open or half-open.
    pub time_not_closed: Duration,
    /// Calls that ended with [`Verdict::Success`](crate::Verdict::Success).
    pub successes: u64,
    /// Calls that ended with [`Verdict::Failure`](crate::Verdict::Failure).
    pub failures: u64,
    /// Calls that ended with [`Verdict::Ignored`](crate::Verdict::Ignored).
    pub ignored: u64,
    /// Permits that were dropped unsettled.
    pub abandoned: u64,
    /// Calls that reached the slow-call bound.
    pub slow: u64,
    /// Results that came too late to count.
    pub discarded: u64,
    /// Calls that were rejected, or in [`Mode::Observe`] would have been.
    pub rejected: u64,
}
