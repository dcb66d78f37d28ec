//! How a breaker is configured: every rule, its default, and what is refused.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::listener::Listener;
use super::mode::Mode;
use super::shell::Breaker;
use crate::time::{Clock, CoarseClock};

/// Default [`Builder::window`]: the last 10 seconds, in 10 buckets.
pub const DEFAULT_WINDOW: Window = Window::last(Duration::from_secs(10));
/// Default [`Builder::minimum_calls`]: 10.
pub const DEFAULT_MINIMUM_CALLS: u32 = 10;
/// Default [`Builder::failure_rate`]: one half.
pub const DEFAULT_FAILURE_RATE: f64 = 0.5;
/// Default [`Builder::slow_call`]: 1 second.
pub const DEFAULT_SLOW_CALL: Duration = Duration::from_secs(1);
/// Default [`Builder::slow_rate`]: four fifths.
pub const DEFAULT_SLOW_RATE: f64 = 0.8;
/// Default [`Builder::consecutive_failures`]: 5.
pub const DEFAULT_CONSECUTIVE_FAILURES: u32 = 5;
/// Default [`Builder::open_delay`]: 500 milliseconds.
pub const DEFAULT_OPEN_DELAY: Duration = Duration::from_millis(500);
/// Default [`Builder::open_delay_multiplier`]: 2.
pub const DEFAULT_OPEN_DELAY_MULTIPLIER: f64 = 2.0;
/// Default [`Builder::max_open_delay`]: 5 seconds.
pub const DEFAULT_MAX_OPEN_DELAY: Duration = Duration::from_secs(5);
/// Default [`Builder::jitter`]: a fifth, up or down.
pub const DEFAULT_JITTER: f64 = 0.2;
/// Default [`Builder::probes`]: 3.
pub const DEFAULT_PROBES: u32 = 3;
/// Default [`Builder::probe_timeout`]: 1 second.
pub const DEFAULT_PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Default [`Builder::ramp`] of a breaker that guards no pool: batches double up to 10 calls.
pub const DEFAULT_RAMP: Ramp = Ramp::UpTo(10);

/// The longest duration a breaker or gate is configured with: one day. What is longer is a slip.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
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

/// A configuration that cannot work: which field, its value, and the rule it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {value}, but it must be {rule}")]
pub struct ConfigError {
    field: &'static str,
    value: String,
    rule: String,
}

impl ConfigError {
    pub(crate) fn new(
        field: &'static str,
        value: impl fmt::Debug,
        rule: impl Into<String>,
    ) -> Self {
        Self {
            field,
            value: format!("{value:?}"),
            rule: rule.into(),
        }
    }

    /// The name of the setter that was given the value.
    #[must_use]
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The value that was refused, as `Debug` prints it.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What the value must be.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

/// The rules alone, checked: what the running breaker reads.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) window: Window,
    pub(super) minimum_calls: u32,
    pub(super) failure_rate: Option<f64>,
    pub(super) slow_call: Duration,
    pub(super) slow_rate: Option<f64>,
    pub(super) consecutive_failures: Option<u32>,
    pub(super) lump: Option<Duration>,
    pub(super) open_delay: Duration,
    pub(super) open_delay_multiplier: f64,
    pub(super) max_open_delay: Duration,
    pub(super) jitter: f64,
    pub(super) probes: u32,
    pub(super) probe_timeout: Duration,
    pub(super) ramp: Option<Ramp>,
}

/// Configures a [`Breaker`]. Nothing is checked before [`build`](Self::build).
///
/// ```
/// use fusepool::breaker::{Breaker, Window};
/// use std::time::Duration;
///
/// let breaker = Breaker::builder()
///     .name("payments")
///     .window(Window::calls(100))
///     .failure_rate(0.3)
///     .slow_rate(None) // slow calls do not trip it
///     .build()?;
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Builder {
    pub(super) settings: Settings,
    pub(super) name: Option<Arc<str>>,
    pub(super) mode: Mode,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) listener: Option<Arc<dyn Listener>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            settings: Settings {
                window: DEFAULT_WINDOW,
                minimum_calls: DEFAULT_MINIMUM_CALLS,
                failure_rate: Some(DEFAULT_FAILURE_RATE),
                slow_call: DEFAULT_SLOW_CALL,
                slow_rate: Some(DEFAULT_SLOW_RATE),
                consecutive_failures: Some(DEFAULT_CONSECUTIVE_FAILURES),
                lump: None,
                open_delay: DEFAULT_OPEN_DELAY,
                open_delay_multiplier: DEFAULT_OPEN_DELAY_MULTIPLIER,
                max_open_delay: DEFAULT_MAX_OPEN_DELAY,
                jitter: DEFAULT_JITTER,
                probes: DEFAULT_PROBES,
                probe_timeout: DEFAULT_PROBE_TIMEOUT,
                ramp: None,
            },
            name: None,
            mode: Mode::Enforce,
            clock: Arc::new(CoarseClock::new()),
            listener: None,
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.name)
            .field("mode", &self.mode)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// What the breaker guards, as errors and events call it. Default: `"unnamed"`; a pool names
    /// its breaker after its server and database.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The window of both rates. Default: [`DEFAULT_WINDOW`].
    #[must_use]
    pub fn window(mut self, window: Window) -> Self {
        self.settings.window = window;
        self
    }

    /// The rates trip nothing before this many calls are in the window. At least 1, at most the
    /// size of a [`Window::calls`]. Default: [`DEFAULT_MINIMUM_CALLS`].
    #[must_use]
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        self.settings.minimum_calls = calls;
        self
    }

    /// Trips when at least this part of the calls in the window were faults. In (0, 1], or `None`
    /// to do without. Default: [`DEFAULT_FAILURE_RATE`].
    #[must_use]
    pub fn failure_rate(mut self, rate: impl Into<Option<f64>>) -> Self {
        self.settings.failure_rate = rate.into();
        self
    }

    /// A call is slow when it has run for this long, ended or not; it is then counted at once, as
    /// slow, and not again when it ends. Default: [`DEFAULT_SLOW_CALL`].
    ///
    /// Running calls are looked at whenever any other call comes or goes, in steps of a
    /// 64th of this duration.
    #[must_use]
    pub fn slow_call(mut self, duration: Duration) -> Self {
        self.settings.slow_call = duration;
        self
    }

    /// Trips when at least this part of the calls in the window were slow. In (0, 1], or `None` to
    /// do without. Default: [`DEFAULT_SLOW_RATE`].
    #[must_use]
    pub fn slow_rate(mut self, rate: impl Into<Option<f64>>) -> Self {
        self.settings.slow_rate = rate.into();
        self
    }

    /// Trips at this many faults with no answer in between. At least 1, or `None` to do without.
    /// Default: [`DEFAULT_CONSECUTIVE_FAILURES`].
    #[must_use]
    pub fn consecutive_failures(mut self, faults: impl Into<Option<u32>>) -> Self {
        self.settings.consecutive_failures = faults.into();
        self
    }

    /// Faults within this time of the first of them count as one: a reset of ten pooled
    /// connections is one event. Default: `None`, every fault counts.
    #[must_use]
    pub fn lump(mut self, span: impl Into<Option<Duration>>) -> Self {
        self.settings.lump = span.into();
        self
    }

    /// How long the breaker stays open the first time. Default: [`DEFAULT_OPEN_DELAY`].
    #[must_use]
    pub fn open_delay(mut self, delay: Duration) -> Self {
        self.settings.open_delay = delay;
        self
    }

    /// Each further time without closing in between, the delay is this many times longer. At
    /// least 1. Default: [`DEFAULT_OPEN_DELAY_MULTIPLIER`].
    #[must_use]
    pub fn open_delay_multiplier(mut self, multiplier: f64) -> Self {
        self.settings.open_delay_multiplier = multiplier;
        self
    }

    /// The delay grows no longer than this; jitter comes on top. Not shorter than
    /// [`open_delay`](Self::open_delay). Default: [`DEFAULT_MAX_OPEN_DELAY`].
    #[must_use]
    pub fn max_open_delay(mut self, delay: Duration) -> Self {
        self.settings.max_open_delay = delay;
        self
    }

    /// Each delay is lengthened or shortened by up to this part of itself, at random, so that the
    /// instances of a service do not come back all at once. In [0, 1). Default: [`DEFAULT_JITTER`].
    #[must_use]
    pub fn jitter(mut self, part: f64) -> Self {
        self.settings.jitter = part;
        self
    }

    /// How many probes the first half-open batch has. At least 1. Default: [`DEFAULT_PROBES`].
    #[must_use]
    pub fn probes(mut self, probes: u32) -> Self {
        self.settings.probes = probes;
        self
    }

    /// A probe that is not settled by then counts as a fault, and its place goes to another. One
    /// that reaches a shorter [`slow_call`](Self::slow_call) counts as slow then. Default: [`DEFAULT_PROBE_TIMEOUT`].
    #[must_use]
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.settings.probe_timeout = timeout;
        self
    }

    /// How the load is let back in. Default: [`DEFAULT_RAMP`]; for a pool, up to its size.
    #[must_use]
    pub fn ramp(mut self, ramp: Ramp) -> Self {
        self.settings.ramp = Some(ramp);
        self
    }

    /// The mode to start in. Default: [`Mode::Enforce`].
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Where the breaker reads the time. Default: a [`CoarseClock`].
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Who is told what happens. Default: nobody; a gate reports to `tracing`.
    #[must_use]
    pub fn listener(mut self, listener: impl Listener) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Builds the breaker, closed.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first field whose value breaks a rule.
    pub fn build(self) -> Result<Breaker, ConfigError> {
        self.check()?;
        Ok(Breaker::from_checked(self))
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.settings.check()
    }

    /// Lets batches grow up to `size`, unless the user chose a ramp.
    pub(crate) fn ramp_if_unset(mut self, size: u32) -> Self {
        let size = size.clamp(
            self.settings.probes,
            LARGEST_BATCH.max(self.settings.probes),
        );
        self.settings.ramp.get_or_insert(Ramp::UpTo(size));
        self
    }

    pub(crate) fn name_if_unset(mut self, name: impl Into<Arc<str>>) -> Self {
        if self.name.is_none() {
            self.name = Some(name.into());
        }
        self
    }

    pub(crate) fn get_name(&self) -> Arc<str> {
        self.name.clone().unwrap_or_else(|| "unnamed".into())
    }

    pub(crate) fn get_listener(&self) -> Option<&Arc<dyn Listener>> {
        self.listener.as_ref()
    }

    pub(crate) fn get_slow_call(&self) -> Option<Duration> {
        self.settings.slow_rate.map(|_| self.settings.slow_call)
    }
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
                    let rule = "at least one nanosecond a bucket";
                    return Err(ConfigError::new("window", length, rule));
                }
            }
        }
        within("minimum_calls", self.minimum_calls, 1, u32::MAX)?;
        rate("failure_rate", self.failure_rate)?;
        rate("slow_rate", self.slow_rate)?;
        if let Some(faults) = self.consecutive_failures {
            within("consecutive_failures", faults, 1, u32::MAX)?;
        }
        if self.failure_rate.is_none()
            && self.slow_rate.is_none()
            && self.consecutive_failures.is_none()
        {
            return Err(ConfigError::new(
                "failure_rate",
                self.failure_rate,
                "set, or `slow_rate` or `consecutive_failures` must be: without any rule the \
                 breaker would never trip (to switch it off, use `Mode::Disabled`)",
            ));
        }
        check_duration("slow_call", self.slow_call, LONGEST)?;
        if let Some(span) = self.lump {
            check_duration("lump", span, LONGEST)?;
        }
        check_duration("open_delay", self.open_delay, LONGEST)?;
        check_duration("max_open_delay", self.max_open_delay, LONGEST)?;
        if self.max_open_delay < self.open_delay {
            return Err(ConfigError::new(
                "max_open_delay",
                self.max_open_delay,
                format!("at least the `open_delay`, {:?}", self.open_delay),
            ));
        }
        let multiplier = self.open_delay_multiplier;
        if !(multiplier.is_finite() && multiplier >= 1.0) {
            return Err(ConfigError::new(
                "open_delay_multiplier",
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
        within("probes", self.probes, 1, LARGEST_BATCH)?;
        check_duration("probe_timeout", self.probe_timeout, LONGEST)?;
        if let Some(Ramp::UpTo(size)) = self.ramp {
            within("ramp", size, self.probes, LARGEST_BATCH)?;
        }
        Ok(())
    }

    /// The size of the largest half-open batch.
    pub(super) fn last_batch(&self) -> u32 {
        match self.ramp.unwrap_or(DEFAULT_RAMP) {
            Ramp::Off => self.probes,
            Ramp::UpTo(size) => size.max(self.probes),
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
        // Written so that NaN fails.
        Some(rate) if !(rate > 0.0 && rate <= 1.0) => Err(ConfigError::new(
            field,
            rate,
            "greater than 0 and at most 1",
        )),
        _ => Ok(()),
    }
}

pub(crate) fn check_duration(
    field: &'static str,
    value: Duration,
    longest: Duration,
) -> Result<(), ConfigError> {
    if value.is_zero() || value > longest {
        let rule = format!("longer than zero and at most {longest:?}");
        return Err(ConfigError::new(field, value, rule));
    }
    Ok(())
}
