//! The state and the counts of a breaker at one moment.

use std::sync::Arc;
use std::time::Duration;

use super::handle::Breaker;
use super::machine::{Opening, Phase};
use super::state::{Mode, Reason, State};
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
    WouldBeRejected,
}

pub(super) const COUNTS: usize = Count::WouldBeRejected as usize + 1;

/// The number of some calls, and the fractions of them that failed or were slow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Rates {
    /// The number of calls.
    pub calls: u32,
    /// The number of `calls` that failed.
    pub failures: u32,
    /// The number of `calls` that were slow.
    pub slow_calls: u32,
    /// The fraction of `calls` that failed; 0 without calls.
    pub failure_rate: f64,
    /// The fraction of `calls` that were slow; 0 without calls.
    pub slow_call_rate: f64,
}

impl Rates {
    pub(super) fn of(counts: Counts) -> Self {
        Self {
            calls: counts.calls,
            failures: counts.failures,
            slow_calls: counts.slow,
            failure_rate: counts.failure_rate(),
            slow_call_rate: counts.slow_call_rate(),
        }
    }
}

/// The reason why a breaker opened, and the calls on which that was decided.
///
/// ```
/// use fusepool::Breaker;
/// use fusepool::breaker::Reason;
///
/// let breaker = Breaker::builder().consecutive_failures(3).build()?;
/// for _ in 0..3 {
///     let _ = breaker.call(|| Err::<(), _>("no route to host"));
/// }
/// let trip = breaker.snapshot().tripped_by.expect("it is open");
/// assert_eq!(trip.reason, Reason::ConsecutiveFailures);
/// assert_eq!(trip.rates.failures, 3);
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Trip {
    /// The reason.
    pub reason: Reason,
    /// The calls of the window, or of the batch of probes.
    pub rates: Rates,
    /// The time since then.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serialize::seconds"))]
    pub ago: Duration,
}

/// The state and the counts of a breaker at one moment, from
/// [`Breaker::snapshot`](super::Breaker::snapshot).
///
/// `window` and `consecutive_failures` are about recent calls, `tripped_by` and `reopened_by` about
/// those that opened the breaker last, and `totals` about all calls since the breaker was built.
///
/// With the feature `serde`, it can be serialized, as those of gates, pools and caches. Durations are
/// in seconds, as floating-point numbers; states, modes and reasons have the names of their `as_str`.
///
/// ```
/// use fusepool::Breaker;
///
/// let breaker = Breaker::builder().name("orders").build()?;
/// let _ = breaker.call(|| Err::<(), _>("no route to host"));
/// let now = breaker.snapshot();
/// assert_eq!((now.window.calls, now.window.failures), (1, 1));
/// assert_eq!(now.retry_after, None, "it is closed");
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot {
    /// The name of the breaker.
    pub name: Arc<str>,
    /// The state; [`State::ForcedOpen`] while an operator holds the breaker open.
    pub state: State,
    /// The mode.
    pub mode: Mode,
    /// The calls in the window. While the breaker is not closed, they are those from before it opened,
    /// until they leave the window; in [`Mode::Observe`], calls go on being counted.
    pub window: Rates,
    /// How the breaker opened when it was closed last. It is kept after the breaker has closed.
    /// `None` if it has never opened.
    pub tripped_by: Option<Trip>,
    /// How the breaker opened last without having been closed since `tripped_by`, by failed probes for
    /// instance. `None` if it has not.
    pub reopened_by: Option<Trip>,
    /// The duration from which a call is slow. `None` if no call is: the rule is disabled, or too few
    /// calls have succeeded to [learn](super::Builder::slow_call_threshold) it.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "super::serialize::seconds_if_any")
    )]
    pub slow_call_threshold: Option<Duration>,
    /// The consecutive failures of the closed breaker; coalesced failures count as one.
    pub consecutive_failures: u32,
    /// How often the breaker has opened without staying closed for a window in between.
    pub attempt: u32,
    /// The time until a probe may start. `None` unless the breaker is open.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "super::serialize::seconds_if_any")
    )]
    pub retry_after: Option<Duration>,
    /// The totals since the breaker was built.
    pub totals: Totals,
}

/// The counts of a breaker since it was built. They never decrease. Calls that were admitted
/// while it was disabled are not counted.
///
/// ```
/// use fusepool::Breaker;
///
/// let breaker = Breaker::builder().build()?;
/// drop(breaker.try_acquire()); // the caller gave its call up
/// assert_eq!(breaker.snapshot().totals.abandoned, 1);
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Totals {
    /// How often the breaker opened.
    pub trips: u64,
    /// The time that the breaker was open or half-open.
    #[cfg_attr(feature = "serde", serde(serialize_with = "super::serialize::seconds"))]
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
    /// Calls that were rejected.
    pub rejected: u64,
    /// Calls that were admitted only because the mode was [`Mode::Observe`].
    pub would_be_rejected: u64,
}

impl Breaker {
    /// The state, the rates and the counts of the breaker at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let inner = &*self.inner;
        // No epoch is stored while the lock is held, so state and counts are of one generation.
        let core = inner.core();
        let now = inner.now();
        let epoch = inner.epoch.load();
        let not_closed = core.not_closed
            + core
                .not_closed_since
                .map_or(0, |since| now.saturating_sub(since));
        let trip = |opening: Opening| Trip {
            reason: opening.reason,
            rates: Rates::of(opening.counts),
            ago: Duration::from_nanos(now.saturating_sub(opening.at)),
        };
        let count = |what| inner.counters.get(what as usize);
        Snapshot {
            name: Arc::clone(&inner.name),
            state: match core.forced_open {
                0 => core.machine.state(),
                _ => State::ForcedOpen,
            },
            mode: core.mode,
            window: Rates::of(epoch.ledger.recent.counts(now)),
            tripped_by: core.machine.tripped_by.map(trip),
            reopened_by: core.machine.reopened_by.map(trip),
            slow_call_threshold: core.settings.slow_threshold().map(Duration::from_nanos),
            consecutive_failures: epoch.ledger.streak(),
            attempt: core.machine.attempt,
            retry_after: match core.machine.phase {
                Phase::Open { until } => Some(Duration::from_nanos(until.saturating_sub(now))),
                _ => None,
            },
            totals: Totals {
                trips: core.trips,
                time_not_closed: Duration::from_nanos(not_closed),
                successes: count(Count::Successes),
                failures: count(Count::Failures),
                ignored: count(Count::Ignored),
                abandoned: count(Count::Abandoned),
                slow: count(Count::Slow),
                discarded: count(Count::Discarded),
                rejected: count(Count::Rejected),
                would_be_rejected: count(Count::WouldBeRejected),
            },
        }
    }
}
