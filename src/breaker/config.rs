//! The words a configuration is made of, and every default and bound.

use std::time::Duration;

/// Default [`Builder::window`](super::Builder::window): the last 10 seconds, in 10 buckets.
pub const DEFAULT_WINDOW: Window = Window::last(Duration::from_secs(10));
/// Default [`Builder::minimum_calls`](super::Builder::minimum_calls): 10.
pub const DEFAULT_MINIMUM_CALLS: u32 = 10;
/// Default [`Builder::failure_rate`](super::Builder::failure_rate): one half.
pub const DEFAULT_FAILURE_RATE: f64 = 0.5;
/// Default [`Builder::slow_call`](super::Builder::slow_call): 1 second.
pub const DEFAULT_SLOW_CALL: Duration = Duration::from_secs(1);
/// Default [`Builder::slow_rate`](super::Builder::slow_rate): four fifths.
pub const DEFAULT_SLOW_RATE: f64 = 0.8;
/// Default [`Builder::consecutive_failures`](super::Builder::consecutive_failures): 5.
pub const DEFAULT_CONSECUTIVE_FAILURES: u32 = 5;
/// Default [`Builder::open_delay`](super::Builder::open_delay): 500 milliseconds.
pub const DEFAULT_OPEN_DELAY: Duration = Duration::from_millis(500);
/// Default [`Builder::open_delay_multiplier`](super::Builder::open_delay_multiplier): 2.
pub const DEFAULT_OPEN_DELAY_MULTIPLIER: f64 = 2.0;
/// Default [`Builder::max_open_delay`](super::Builder::max_open_delay): 5 seconds.
pub const DEFAULT_MAX_OPEN_DELAY: Duration = Duration::from_secs(5);
/// Default [`Builder::jitter`](super::Builder::jitter): a fifth, up or down.
pub const DEFAULT_JITTER: f64 = 0.2;
/// Default [`Builder::probes`](super::Builder::probes): 3.
pub const DEFAULT_PROBES: u32 = 3;
/// Default [`Builder::probe_timeout`](super::Builder::probe_timeout): 1 second.
pub const DEFAULT_PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Default [`Builder::ramp`](super::Builder::ramp) of a breaker that guards no pool: batches double up to 10 calls.
pub const DEFAULT_RAMP: Ramp = Ramp::UpTo(10);

/// The longest [`Window::last`]: one hour.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(60 * 60);
/// The largest [`Window::calls`]: 65,536 calls.
pub const LARGEST_WINDOW: u32 = 65_536;
/// The most buckets a [`Window::last`] is kept in: 1,024.
pub const MOST_BUCKETS: u32 = 1_024;
/// The most calls a half-open batch can have: 65,536.
pub const LARGEST_BATCH: u32 = 65_536;

/// Which calls the failure rate and the slow-call rate are computed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(pub(super) Shape);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Calls(u32),
    Span { length: Duration, buckets: u32 },
}

impl Window {
    /// The last `n` calls, exactly.
    #[must_use]
    pub const fn calls(n: u32) -> Self {
        Self(Shape::Calls(n))
    }

    /// The calls of the last `length` of time, in 10 buckets: a call leaves the window with its
    /// whole bucket, after between 9 and 10 tenths of `length`, however idle the breaker was.
    #[must_use]
    pub const fn last(length: Duration) -> Self {
        Self(Shape::Span {
            length,
            buckets: 10,
        })
    }

    /// Keeps a [`Window::last`] in `buckets` instead of 10. No effect on [`Window::calls`].
    #[must_use]
    pub const fn buckets(self, buckets: u32) -> Self {
        match self.0 {
            Shape::Calls(_) => self,
            Shape::Span { length, .. } => Self(Shape::Span { length, buckets }),
        }
    }
}

/// How a half-open breaker lets the load back in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ramp {
    /// Close after the first good batch of probes.
    Off,
    /// After each good batch admit one twice as large; close after a good batch of this size.
    UpTo(u32),
}
