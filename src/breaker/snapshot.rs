//! The state and the counts of a breaker at one moment.

use std::sync::Arc;
use std::time::Duration;

use super::state::{Mode, State};
use super::tally::Counts;

/// The totals, counted since the breaker was built.
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

/// The rates over the calls in the window of a breaker.
///
/// Until the breaker is closed again, these are the rates that opened it last, as in its
/// [`Transition`](super::Transition). In [`Mode::Observe`], calls go on being counted instead, and
/// these are the rates of the last calls in every state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Rates {
    /// The number of calls in the window.
    pub calls: u32,
    /// The fraction of `calls` that failed; 0 without calls.
    pub failure_rate: f64,
    /// The fraction of `calls` that were slow; 0 without calls.
    pub slow_call_rate: f64,
}

impl Rates {
    pub(super) fn of(counts: Counts) -> Self {
        Self {
            calls: counts.calls,
            failure_rate: counts.failure_rate(),
            slow_call_rate: counts.slow_call_rate(),
        }
    }
}

/// The state and the counts of a breaker at one moment, from
/// [`Breaker::snapshot`](super::Breaker::snapshot).
///
/// Only `window` and `consecutive_failures` are recent: `trips`, `time_not_closed`, and `successes`
/// to `rejected` are totals since the breaker was built. Calls that were admitted while it was
/// disabled are in none of them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The name of the breaker.
    pub name: Arc<str>,
    /// The state; [`State::ForcedOpen`] while an operator holds the breaker open.
    pub state: State,
    /// The mode.
    pub mode: Mode,
    /// The rates over the calls in the window.
    pub window: Rates,
    /// The duration from which a call is slow. `None` if no call is: the rule is disabled, or too few
    /// calls have succeeded to [learn](super::Builder::slow_call_threshold) it.
    pub slow_call_threshold: Option<Duration>,
    /// The consecutive failures of the closed breaker; coalesced failures count as one.
    pub consecutive_failures: u32,
    /// How often the breaker has opened without staying closed for a window in between.
    pub attempt: u32,
    /// The time until a probe may start. `None` unless the breaker is open.
    pub retry_after: Option<Duration>,
    /// How often the breaker opened.
    pub trips: u64,
    /// The time that the breaker was open or half-open.
    pub time_not_closed: Duration,
    /// Calls that ended with [`Verdict::Success`](crate::Verdict::Success).
    pub successes: u64,
    /// Calls that ended with [`Verdict::Failure`](crate::Verdict::Failure).
    pub failures: u64,
    /// Calls that ended with [`Verdict::Ignored`](crate::Verdict::Ignored).
    pub ignored: u64,
    /// Permits that were dropped unsettled.
    pub abandoned: u64,
    /// Calls that counted as slow.
    pub slow: u64,
    /// Results that came too late to count. They are also in the count of their verdict.
    pub discarded: u64,
    /// Calls that were rejected, or would have been in [`Mode::Enforce`] while the mode was
    /// [`Mode::Observe`].
    pub rejected: u64,
}
