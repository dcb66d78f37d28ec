//! How a breaker is configured.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, CoarseClock};
use super::config::ConfigError;
use super::event::{Event, Observer};
use super::settings::{
    DEFAULT_CONSECUTIVE_FAILURES, DEFAULT_FAILURE_RATE, DEFAULT_HALF_OPEN_PROBES, DEFAULT_JITTER,
    DEFAULT_MAX_OPEN_DURATION, DEFAULT_MINIMUM_CALLS, DEFAULT_OPEN_DURATION,
    DEFAULT_OPEN_DURATION_MULTIPLIER, DEFAULT_PROBE_TIMEOUT, DEFAULT_SLOW_CALL_RATE,
    DEFAULT_SLOW_CALL_THRESHOLD, DEFAULT_WINDOW, LARGEST_BATCH, Ramp, Settings, StallAfter, Window,
};
use super::state::Mode;

/// Configures a [`Breaker`](super::Breaker). Nothing is checked before [`build`](Self::build).
///
/// ```
/// use fusepool::breaker::{Breaker, Window};
/// use std::time::Duration;
///
/// let breaker = Breaker::builder()
///     .name("payments")
///     .window(Window::calls(100))
///     .failure_rate(0.3)
///     .slow_call_rate(None) // slow calls do not trip it
///     .build()?;
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Builder {
    pub(super) settings: Settings,
    pub(super) name: Option<Arc<str>>,
    pub(super) mode: Mode,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Option<Observer>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            settings: Settings {
                window: DEFAULT_WINDOW,
                minimum_calls: DEFAULT_MINIMUM_CALLS,
                failure_rate: Some(DEFAULT_FAILURE_RATE),
                slow_call_threshold: DEFAULT_SLOW_CALL_THRESHOLD,
                slow_call_rate: Some(DEFAULT_SLOW_CALL_RATE),
                consecutive_failures: Some(DEFAULT_CONSECUTIVE_FAILURES),
                stall_after: StallAfter::SlowCall,
                coalesce_failures: None,
                open_duration: DEFAULT_OPEN_DURATION,
                open_duration_multiplier: DEFAULT_OPEN_DURATION_MULTIPLIER,
                max_open_duration: DEFAULT_MAX_OPEN_DURATION,
                jitter: DEFAULT_JITTER,
                half_open_probes: DEFAULT_HALF_OPEN_PROBES,
                probe_timeout: DEFAULT_PROBE_TIMEOUT,
                ramp: None,
            },
            name: None,
            mode: Mode::Enforce,
            clock: Arc::new(CoarseClock::new()),
            observer: None,
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
    /// What the breaker guards, as errors and events call it. Default: `"unnamed"`; a pool of sqlx's or
    /// deadpool-postgres' names its breaker after its server and database, another one `deadpool`,
    /// `diesel`, or what its adapter says. Where there are two such, give each a name.
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

    /// Trips when at least this part of the calls in the window were failures. In (0, 1], or `None`
    /// to do without. Default: [`DEFAULT_FAILURE_RATE`].
    #[must_use]
    pub fn failure_rate(mut self, rate: impl Into<Option<f64>>) -> Self {
        self.settings.failure_rate = rate.into();
        self
    }

    /// A call is slow when it has run for this long, ended or not; it is then counted at once, as
    /// slow, and not again when it ends. Default: [`DEFAULT_SLOW_CALL_THRESHOLD`].
    ///
    /// Running calls are looked at whenever any other call comes or goes, in steps of a
    /// 64th of this duration.
    #[must_use]
    pub fn slow_call_threshold(mut self, duration: Duration) -> Self {
        self.settings.slow_call_threshold = duration;
        self
    }

    /// Trips when at least this part of the calls in the window were slow. In (0, 1], or `None` to
    /// do without. Default: [`DEFAULT_SLOW_CALL_RATE`].
    #[must_use]
    pub fn slow_call_rate(mut self, rate: impl Into<Option<f64>>) -> Self {
        self.settings.slow_call_rate = rate.into();
        self
    }

    /// Trips at this many failures with no answer in between. At least 1, or `None` to do without.
    /// Default: [`DEFAULT_CONSECUTIVE_FAILURES`].
    #[must_use]
    pub fn consecutive_failures(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.settings.consecutive_failures = failures.into();
        self
    }

    /// Trips when nobody was answered for this long, while at least
    /// [`consecutive_failures`](Self::consecutive_failures) calls were wanted: were running, waiting for
    /// a connection, or given up by their callers. Calls with deadlines of their own do not count. At
    /// least two calls are needed, and 5 without `consecutive_failures`. `None` to do without.
    /// Default: as long as [`slow_call_threshold`](Self::slow_call_threshold).
    #[must_use]
    pub fn stall_after(mut self, duration: impl Into<Option<Duration>>) -> Self {
        self.settings.stall_after = match duration.into() {
            Some(duration) => StallAfter::Duration(duration),
            None => StallAfter::Off,
        };
        self
    }

    /// Failures within this time of the first of them count as one: a reset of ten pooled
    /// connections is one event. Default: `None`, every failure counts.
    #[must_use]
    pub fn coalesce_failures(mut self, span: impl Into<Option<Duration>>) -> Self {
        self.settings.coalesce_failures = span.into();
        self
    }

    /// How long the breaker stays open the first time. Default: [`DEFAULT_OPEN_DURATION`].
    #[must_use]
    pub fn open_duration(mut self, delay: Duration) -> Self {
        self.settings.open_duration = delay;
        self
    }

    /// Each further time without closing in between, the delay is this many times longer. At
    /// least 1. Default: [`DEFAULT_OPEN_DURATION_MULTIPLIER`].
    #[must_use]
    pub fn open_duration_multiplier(mut self, multiplier: f64) -> Self {
        self.settings.open_duration_multiplier = multiplier;
        self
    }

    /// The delay grows no longer than this; jitter comes on top. Not shorter than
    /// [`open_duration`](Self::open_duration). Default: [`DEFAULT_MAX_OPEN_DURATION`].
    #[must_use]
    pub fn max_open_duration(mut self, delay: Duration) -> Self {
        self.settings.max_open_duration = delay;
        self
    }

    /// Each delay is lengthened or shortened by up to this part of itself, at random, so that the
    /// instances of a service do not come back all at once. In [0, 1). Default: [`DEFAULT_JITTER`].
    #[must_use]
    pub fn jitter(mut self, part: f64) -> Self {
        self.settings.jitter = part;
        self
    }

    /// How many probes the first half-open batch has. At least 1. Default: [`DEFAULT_HALF_OPEN_PROBES`].
    #[must_use]
    pub fn half_open_probes(mut self, probes: u32) -> Self {
        self.settings.half_open_probes = probes;
        self
    }

    /// How long a pool's background probe waits for the answer to each ping. A call of a user's is not
    /// cut short for being a probe: after this time its place in the batch goes to another, and it goes
    /// on. Default: [`DEFAULT_PROBE_TIMEOUT`].
    #[must_use]
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.settings.probe_timeout = timeout;
        self
    }

    /// How the load is let back in. Default: [`DEFAULT_RAMP`](super::DEFAULT_RAMP); for a pool, up to its size.
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

    /// Is told what the breaker does. Called after every lock is released, on the task whose call made
    /// it happen: be quick, and do not panic. Default: nothing; a gate reports to `tracing` in any case.
    ///
    /// ```
    /// use fusepool::breaker::{Breaker, Event};
    ///
    /// # fn main() -> Result<(), fusepool::ConfigError> {
    /// let breaker = Breaker::builder()
    ///     .on_event(|event: &Event<'_>| {
    ///         if let Event::Transition(transition) = event {
    ///             println!("{} -> {}", transition.from.as_str(), transition.to.as_str());
    ///         }
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn on_event(mut self, observer: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.settings.check()
    }

    /// Lets batches grow up to `size`, unless the user chose a ramp.
    pub(crate) fn ramp_if_unset(mut self, size: u32) -> Self {
        let size = size.clamp(
            self.settings.half_open_probes,
            LARGEST_BATCH.max(self.settings.half_open_probes),
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

    pub(crate) fn get_observer(&self) -> Option<&Observer> {
        self.observer.as_ref()
    }

    pub(crate) fn get_probe_timeout(&self) -> Duration {
        self.settings.probe_timeout
    }

    pub(crate) fn get_slow_call_threshold(&self) -> Option<Duration> {
        self.settings
            .slow_call_rate
            .map(|_| self.settings.slow_call_threshold)
    }
}
