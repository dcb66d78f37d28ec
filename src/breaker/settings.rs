//! The settings of a breaker: their defaults, their limits and their validation.

use std::time::Duration;

use super::config::{ConfigError, LONGEST, check_duration};

/// Default [`Builder::window`](super::Builder::window): the last 10 seconds, in 10 buckets.
pub const DEFAULT_WINDOW: Window = Window::last(Duration::from_secs(10));
/// Default [`Builder::minimum_calls`](super::Builder::minimum_calls): 10.
pub const DEFAULT_MINIMUM_CALLS: u32 = 10;
/// Default [`Builder::failure_rate`](super::Builder::failure_rate): 0.5.
pub const DEFAULT_FAILURE_RATE: f64 = 0.5;
/// Default [`Builder::slow_call_threshold`](super::Builder::slow_call_threshold): 1 second.
pub const DEFAULT_SLOW_CALL_THRESHOLD: Duration = Duration::from_secs(1);
/// Default [`Builder::slow_call_rate`](super::Builder::slow_call_rate): 0.8.
pub const DEFAULT_SLOW_CALL_RATE: f64 = 0.8;
/// Default [`Builder::consecutive_failures`](super::Builder::consecutive_failures): 5.
pub const DEFAULT_CONSECUTIVE_FAILURES: u32 = 5;
/// Default [`Builder::open_duration`](super::Builder::open_duration): 250 milliseconds.
pub const DEFAULT_OPEN_DURATION: Duration = Duration::from_millis(250);
/// Default [`Builder::open_duration_multiplier`](super::Builder::open_duration_multiplier): 2.
pub const DEFAULT_OPEN_DURATION_MULTIPLIER: f64 = 2.0;
/// Default [`Builder::max_open_duration`](super::Builder::max_open_duration): 5 seconds.
pub const DEFAULT_MAX_OPEN_DURATION: Duration = Duration::from_secs(5);
/// Default [`Builder::jitter`](super::Builder::jitter): 0.2, which is ±20 %.
pub const DEFAULT_JITTER: f64 = 0.2;
/// Default [`Builder::half_open_probes`](super::Builder::half_open_probes): 3.
pub const DEFAULT_HALF_OPEN_PROBES: u32 = 3;
/// Default [`Builder::probe_timeout`](super::Builder::probe_timeout): 1 second.
pub const DEFAULT_PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Default [`Builder::probe_interval`](super::Builder::probe_interval): 200 milliseconds.
pub const DEFAULT_PROBE_INTERVAL: Duration = Duration::from_millis(200);
/// Default [`Builder::ramp`](super::Builder::ramp) of a breaker without a pool: batches double up
/// to 10 probes.
pub const DEFAULT_RAMP: Ramp = Ramp::UpTo(10);

/// The longest [`Window::last`]: one hour.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(60 * 60);
/// The largest [`Window::calls`]: 65,536 calls.
pub const LARGEST_WINDOW: u32 = 65_536;
/// The largest number of buckets of a [`Window::last`]: 1,024.
pub const MOST_BUCKETS: u32 = 1_024;
/// The largest number of probes in a half-open batch: 65,536.
pub const LARGEST_BATCH: u32 = 65_536;

/// The calls over which the failure rate and the slow-call rate are computed.
///
/// ```
/// use fusepool::breaker::Window;
/// use std::time::Duration;
///
/// let last_calls = Window::calls(100);
/// let last_minute = Window::last(Duration::from_secs(60)).buckets(30);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(pub(super) Shape);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Calls(u32),
    Span { length: Duration, buckets: u32 },
}

impl Window {
    /// Exactly the last `n` calls. From 1 to [`LARGEST_WINDOW`].
    #[must_use]
    pub const fn calls(n: u32) -> Self {
        Self(Shape::Calls(n))
    }

    /// The calls of the last `length` of time, in 10 buckets. At most [`LONGEST_WINDOW`].
    ///
    /// A call leaves the window together with its bucket, after between 9 and 10 tenths of `length`,
    /// even if the breaker was idle in the meantime.
    #[must_use]
    pub const fn last(length: Duration) -> Self {
        Self(Shape::Span {
            length,
            buckets: 10,
        })
    }

    /// Divides a [`Window::last`] into this many buckets, from 1 to [`MOST_BUCKETS`]. No effect on
    /// [`Window::calls`].
    ///
    /// ```
    /// use fusepool::breaker::Window;
    /// use std::time::Duration;
    ///
    /// let window = Window::last(Duration::from_secs(60)).buckets(60); // moves on each second
    /// ```
    #[must_use]
    pub const fn buckets(self, buckets: u32) -> Self {
        match self.0 {
            Shape::Calls(_) => self,
            Shape::Span { length, .. } => Self(Shape::Span { length, buckets }),
        }
    }
}

impl Window {
    /// The time that it spans; `None` if it is a number of calls.
    pub(crate) fn span(self) -> Option<Duration> {
        match self.0 {
            Shape::Calls(_) => None,
            Shape::Span { length, .. } => Some(length),
        }
    }
}

/// How a half-open breaker increases the load until it closes.
///
/// ```
/// use fusepool::Breaker;
/// use fusepool::breaker::Ramp;
///
/// // Batches of 3, 6, 12 and 24 probes, and then all calls.
/// let breaker = Breaker::builder().half_open_probes(3).ramp(Ramp::UpTo(24)).build()?;
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ramp {
    /// Closes after the first successful batch of probes.
    Off,
    /// Admits a batch of twice the size after each successful one, and closes after a successful
    /// batch of this size. At least
    /// [`Builder::half_open_probes`](super::Builder::half_open_probes), and at most
    /// [`LARGEST_BATCH`].
    UpTo(u32),
}

/// The rules that the running breaker reads. They were checked when the breaker was built.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) window: Window,
    pub(super) minimum_calls: u32,
    pub(super) failure_rate: Option<f64>,
    pub(super) slow_call: SlowCall,
    pub(super) slow_call_rate: Option<f64>,
    pub(super) consecutive_failures: Option<u32>,
    pub(super) stall_after: StallAfter,
    pub(super) coalesce_failures: Option<Duration>,
    pub(super) open_duration: Duration,
    pub(super) open_duration_multiplier: f64,
    pub(super) max_open_duration: Duration,
    pub(super) jitter: f64,
    pub(super) half_open_probes: u32,
    pub(super) probe_timeout: Duration,
    pub(super) probe_interval: Duration,
    pub(super) ramp: Option<Ramp>,
}

/// The duration from which a call is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlowCall {
    /// The user's.
    Fixed(Duration),
    /// Learned from the durations of the calls. `None`: too few have ended.
    Learned(Option<Duration>),
}

impl SlowCall {
    pub(super) fn threshold(self) -> Option<Duration> {
        match self {
            Self::Fixed(threshold) => Some(threshold),
            Self::Learned(threshold) => threshold,
        }
    }
}

/// The duration without a success that makes a stall.
#[derive(Clone, Copy, Debug)]
pub(super) enum StallAfter {
    /// The slow-call threshold.
    SlowCall,
    Duration(Duration),
    Off,
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.window.0 {
            Shape::Calls(n) => {
                within("window", n, 1, LARGEST_WINDOW)?;
                if self.minimum_calls > n {
                    return Err(ConfigError::new(
                        "minimum_calls",
                        self.minimum_calls,
                        format!("at most the {n} calls of the window"),
                    ));
                }
            }
            Shape::Span { length, buckets } => {
                check_duration("window", length, LONGEST_WINDOW)?;
                within("window.buckets", buckets, 1, MOST_BUCKETS)?;
                if length.as_nanos() < u128::from(buckets) {
                    let rule = "at least one nanosecond per bucket";
                    return Err(ConfigError::new("window", length, rule));
                }
            }
        }
        within("minimum_calls", self.minimum_calls, 1, u32::MAX)?;
        rate("failure_rate", self.failure_rate)?;
        rate("slow_call_rate", self.slow_call_rate)?;
        if let Some(failures) = self.consecutive_failures {
            within("consecutive_failures", failures, 1, u32::MAX)?;
        }
        if self.failure_rate.is_none()
            && self.slow_call_rate.is_none()
            && self.consecutive_failures.is_none()
        {
            return Err(ConfigError::new(
                "failure_rate",
                self.failure_rate,
                "set if neither `slow_call_rate` nor `consecutive_failures` is: without any of these \
                 rules no failure would trip the breaker (to switch it off, use `Mode::Disabled`)",
            ));
        }
        if let SlowCall::Fixed(threshold) = self.slow_call {
            check_duration("slow_call_threshold", threshold, LONGEST)?;
        }
        if let StallAfter::Duration(duration) = self.stall_after {
            check_duration("stall_after", duration, LONGEST)?;
        }
        if let Some(span) = self.coalesce_failures {
            check_duration("coalesce_failures", span, LONGEST)?;
        }
        check_duration("open_duration", self.open_duration, LONGEST)?;
        check_duration("max_open_duration", self.max_open_duration, LONGEST)?;
        if self.max_open_duration < self.open_duration {
            return Err(ConfigError::new(
                "max_open_duration",
                self.max_open_duration,
                format!("at least the `open_duration`, {:?}", self.open_duration),
            ));
        }
        let multiplier = self.open_duration_multiplier;
        if !(multiplier.is_finite() && multiplier >= 1.0) {
            return Err(ConfigError::new(
                "open_duration_multiplier",
                multiplier,
                "finite and at least 1",
            ));
        }
        if !(0.0..1.0).contains(&self.jitter) {
            return Err(ConfigError::new(
                "jitter",
                self.jitter,
                "at least 0 and less than 1",
            ));
        }
        within("half_open_probes", self.half_open_probes, 1, LARGEST_BATCH)?;
        check_duration("probe_timeout", self.probe_timeout, LONGEST)?;
        check_duration("probe_interval", self.probe_interval, LONGEST)?;
        if let Some(Ramp::UpTo(size)) = self.ramp {
            within("ramp", size, self.half_open_probes, LARGEST_BATCH)?;
        }
        Ok(())
    }

    /// Checks that a call can be slow before its deadline. `deadline` is its setter and its value.
    pub(super) fn check_deadline(&self, deadline: (&str, Duration)) -> Result<(), ConfigError> {
        let (setter, limit) = deadline;
        let is_learned = matches!(self.slow_call, SlowCall::Learned(Some(_)));
        if self.slow_call_rate.is_none() || is_learned || self.usual_limit() < limit {
            return Ok(());
        }
        let rule = format!(
            "shorter than the `{setter}` of {limit:?}, so that a call can be slow before its deadline \
             (`slow_call_rate(None)` switches slow calls off)"
        );
        Err(ConfigError::new(
            "slow_call_threshold",
            self.usual_limit(),
            rule,
        ))
    }

    /// The slow-call threshold, or the default until that is known.
    pub(super) fn usual_limit(&self) -> Duration {
        (self.slow_call.threshold()).unwrap_or(DEFAULT_SLOW_CALL_THRESHOLD)
    }

    /// Whether calls that are not long can change the slow-call threshold.
    pub(super) fn is_learning(&self) -> bool {
        match self.slow_call {
            SlowCall::Fixed(_) => false,
            SlowCall::Learned(_) if self.slow_call_rate.is_none() => false,
            SlowCall::Learned(threshold) => threshold != Some(DEFAULT_SLOW_CALL_THRESHOLD),
        }
    }

    /// The duration without a success that makes a stall; `None` if the rule is disabled.
    pub(super) fn stall_after(&self) -> Option<Duration> {
        match self.stall_after {
            StallAfter::SlowCall => Some(self.usual_limit()),
            StallAfter::Duration(duration) => Some(duration),
            StallAfter::Off => None,
        }
    }

    /// How long the breaker must stay closed until its next open duration is the shortest again: for
    /// a window, or, if that is a number of calls, for `max_open_duration`.
    pub(super) fn attempt_memory(&self) -> Duration {
        match self.window.0 {
            Shape::Span { length, .. } => length,
            Shape::Calls(_) => self.max_open_duration,
        }
    }

    /// The size of the largest half-open batch.
    pub(super) fn last_batch(&self) -> u32 {
        match self.ramp.unwrap_or(DEFAULT_RAMP) {
            Ramp::Off => self.half_open_probes,
            Ramp::UpTo(size) => size.max(self.half_open_probes),
        }
    }
}

fn within(field: &'static str, value: u32, least: u32, most: u32) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    let rule = match most {
        u32::MAX => format!("at least {least}"),
        _ => format!("between {least} and {most}"),
    };
    Err(ConfigError::new(field, value, rule))
}

fn rate(field: &'static str, rate: Option<f64>) -> Result<(), ConfigError> {
    match rate {
        // Negated, so that NaN is an error.
        Some(rate) if !(rate > 0.0 && rate <= 1.0) => Err(ConfigError::new(
            field,
            rate,
            "greater than 0 and at most 1",
        )),
        _ => Ok(()),
    }
}
