//! The configuration of a breaker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, CoarseClock, Time};
use super::config::ConfigError;
use super::event::{Event, Observer};
use super::settings::{
    DEFAULT_CONSECUTIVE_FAILURES, DEFAULT_FAILURE_RATE, DEFAULT_HALF_OPEN_PROBES, DEFAULT_JITTER,
    DEFAULT_MAX_OPEN_DURATION, DEFAULT_MINIMUM_CALLS, DEFAULT_OPEN_DURATION,
    DEFAULT_OPEN_DURATION_MULTIPLIER, DEFAULT_PROBE_INTERVAL, DEFAULT_PROBE_TIMEOUT,
    DEFAULT_SLOW_CALL_RATE, DEFAULT_WINDOW, LARGEST_BATCH, Ramp, Settings, SlowCall, StallAfter,
    Window,
};
use super::state::Mode;

/// Configures a [`Breaker`](super::Breaker). Values are checked by [`build`](Self::build), not by
/// the setters.
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
    pub(super) clock: Time,
    pub(super) observer: Option<Observer>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            settings: Settings {
                window: DEFAULT_WINDOW,
                minimum_calls: DEFAULT_MINIMUM_CALLS,
                failure_rate: Some(DEFAULT_FAILURE_RATE),
                slow_call: SlowCall::Learned(None),
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
                probe_interval: DEFAULT_PROBE_INTERVAL,
                ramp: None,
            },
            name: None,
            mode: Mode::Enforce,
            clock: Time::Coarse(CoarseClock::new()),
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
    /// The name of the breaker in errors and events.
    ///
    /// Default: `"unnamed"`. A pool of sqlx or deadpool-postgres names its breaker after its server
    /// and database, and other pools use `deadpool`, `diesel`, or the name of their adapter. Name
    /// each breaker where a service has several of these.
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let breaker = Breaker::builder().name("orders").build()?;
    /// assert_eq!(breaker.name().as_ref(), "orders");
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The calls over which both rates are computed. Default: [`DEFAULT_WINDOW`].
    ///
    /// ```
    /// use fusepool::Breaker;
    /// use fusepool::breaker::Window;
    /// use std::time::Duration;
    ///
    /// let by_time = Breaker::builder().window(Window::last(Duration::from_secs(30))).build()?;
    /// let by_calls = Breaker::builder().window(Window::calls(100)).build()?;
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn window(mut self, window: Window) -> Self {
        self.settings.window = window;
        self
    }

    /// The number of calls in the window from which the rates are evaluated. At least 1, and at most
    /// the size of a [`Window::calls`]. Default: [`DEFAULT_MINIMUM_CALLS`].
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let breaker = Breaker::builder().minimum_calls(2).consecutive_failures(None).build()?;
    /// for _ in 0..2 {
    ///     let _ = breaker.call(|| Err::<(), _>("no route to host"));
    /// }
    /// assert!(breaker.rejection().is_some(), "both calls failed");
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        self.settings.minimum_calls = calls;
        self
    }

    /// Opens the breaker when at least this fraction of the calls in the window failed. In (0, 1].
    /// Default: [`DEFAULT_FAILURE_RATE`].
    ///
    /// `None` disables the rule. A half-open breaker then opens again at the first failed probe.
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let stricter = Breaker::builder().failure_rate(0.2).build()?;
    /// let without = Breaker::builder().failure_rate(None).build()?;
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn failure_rate(mut self, rate: impl Into<Option<f64>>) -> Self {
        self.settings.failure_rate = rate.into();
        self
    }

    /// The duration from which a call is slow, even while it still runs. A slow call is counted at
    /// once, and not again when it ends. Default: learned.
    ///
    /// The learned threshold is [`DEFAULT_SLOW_CALL_THRESHOLD`](super::DEFAULT_SLOW_CALL_THRESHOLD), 1 second. It is longer for a service
    /// whose calls are normally long: three times the duration that the fraction
    /// [`slow_call_rate`](Self::slow_call_rate), by default 80 %, of the successful calls exceed. So a
    /// service whose reports always take 2 seconds is healthy. Until
    /// [`minimum_calls`](Self::minimum_calls) calls succeeded, no call is slow. The breaker forgets half
    /// of what it learned each minute.
    ///
    /// Running calls are checked whenever another call starts or ends, with a resolution of 1/64 of
    /// this duration. Without a [`slow_call_rate`](Self::slow_call_rate) no call is slow.
    ///
    /// ```
    /// use fusepool::Breaker;
    /// use std::time::Duration;
    ///
    /// // A call of a user-facing service is slow from 200 ms on, whatever is usual.
    /// let breaker = Breaker::builder().slow_call_threshold(Duration::from_millis(200)).build()?;
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn slow_call_threshold(mut self, duration: Duration) -> Self {
        self.settings.slow_call = SlowCall::Fixed(duration);
        self
    }

    /// Opens the breaker when at least this fraction of the calls in the window were slow. In (0,
    /// 1]; `None` disables the rule. Default: [`DEFAULT_SLOW_CALL_RATE`].
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let breaker = Breaker::builder().slow_call_rate(None).build()?; // no call is slow
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn slow_call_rate(mut self, rate: impl Into<Option<f64>>) -> Self {
        self.settings.slow_call_rate = rate.into();
        self
    }

    /// Opens the breaker at this many failures with no success in between. At least 1; `None`
    /// disables the rule. Default: [`DEFAULT_CONSECUTIVE_FAILURES`].
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let breaker = Breaker::builder().consecutive_failures(1).build()?;
    /// let _ = breaker.call(|| Err::<(), _>("no route to host"));
    /// assert!(breaker.rejection().is_some());
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn consecutive_failures(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.settings.consecutive_failures = failures.into();
        self
    }

    /// Opens the breaker when no call succeeded for this long, while at least
    /// [`consecutive_failures`](Self::consecutive_failures) calls were pending: they were running,
    /// waiting for a connection, or given up by their callers.
    ///
    /// Calls with a deadline of their own do not count. At least two calls are required, and 5
    /// without `consecutive_failures`. `None` disables the rule. Default: the
    /// [`slow_call_threshold`](Self::slow_call_threshold).
    ///
    /// ```
    /// use fusepool::Breaker;
    /// use std::time::Duration;
    ///
    /// let sooner = Breaker::builder().stall_after(Duration::from_millis(500)).build()?;
    /// let never = Breaker::builder().stall_after(None).build()?;
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn stall_after(mut self, duration: impl Into<Option<Duration>>) -> Self {
        self.settings.stall_after = match duration.into() {
            Some(duration) => StallAfter::Duration(duration),
            None => StallAfter::Off,
        };
        self
    }

    /// Counts failures within this duration of the first of them as one failure: a load balancer that
    /// resets ten connections counts once. Default: `None`, which counts every failure.
    ///
    /// ```
    /// use fusepool::Breaker;
    /// use std::time::Duration;
    ///
    /// let breaker = Breaker::builder()
    ///     .consecutive_failures(2)
    ///     .coalesce_failures(Duration::from_millis(10))
    ///     .build()?;
    /// for _ in 0..10 {
    ///     let _ = breaker.call(|| Err::<(), _>("connection reset"));
    /// }
    /// assert_eq!(breaker.snapshot().consecutive_failures, 1);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn coalesce_failures(mut self, span: impl Into<Option<Duration>>) -> Self {
        self.settings.coalesce_failures = span.into();
        self
    }

    /// How long the breaker stays open the first time, before jitter. Default:
    /// [`DEFAULT_OPEN_DURATION`].
    ///
    /// ```
    /// use fusepool::Breaker;
    /// use std::time::Duration;
    ///
    /// let breaker = Breaker::builder()
    ///     .open_duration(Duration::from_secs(1)) // then 3 s, 9 s, 10 s, 10 s…
    ///     .open_duration_multiplier(3.0)
    ///     .max_open_duration(Duration::from_secs(10))
    ///     .build()?;
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn open_duration(mut self, duration: Duration) -> Self {
        self.settings.open_duration = duration;
        self
    }

    /// The factor by which the open duration grows each time the breaker opens. The open duration starts
    /// over when the breaker has stayed closed for the length of the window. At least 1. Default: [`DEFAULT_OPEN_DURATION_MULTIPLIER`].
    #[must_use]
    pub fn open_duration_multiplier(mut self, multiplier: f64) -> Self {
        self.settings.open_duration_multiplier = multiplier;
        self
    }

    /// The longest open duration, before jitter. At least the
    /// [`open_duration`](Self::open_duration). Default: [`DEFAULT_MAX_OPEN_DURATION`].
    #[must_use]
    pub fn max_open_duration(mut self, duration: Duration) -> Self {
        self.settings.max_open_duration = duration;
        self
    }

    /// The fraction by which each open duration is randomly lengthened or shortened at most, so that
    /// the instances of a service do not retry all at once. In [0, 1). Default: [`DEFAULT_JITTER`].
    ///
    /// ```
    /// use fusepool::Breaker;
    ///
    /// let in_a_test = Breaker::builder().jitter(0.0).build()?; // exact open durations
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn jitter(mut self, fraction: f64) -> Self {
        self.settings.jitter = fraction;
        self
    }

    /// The number of probes in the first half-open batch. At least 1. Default:
    /// [`DEFAULT_HALF_OPEN_PROBES`].
    ///
    /// ```
    /// use fusepool::Breaker;
    /// use fusepool::breaker::Ramp;
    ///
    /// let breaker = Breaker::builder().half_open_probes(2).ramp(Ramp::UpTo(16)).build()?; // 2, 4, 8, 16
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn half_open_probes(mut self, probes: u32) -> Self {
        self.settings.half_open_probes = probes;
        self
    }

    /// How long the background probe of a pool waits for the answer to each ping, and how long a
    /// probe occupies its slot. Default: [`DEFAULT_PROBE_TIMEOUT`].
    ///
    /// This never ends a caller's call: a probe that exceeds it frees its slot and goes on.
    #[must_use]
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.settings.probe_timeout = timeout;
        self
    }

    /// How often the background probe of an open pool asks whether the backend is well, with the same
    /// [`jitter`](Self::jitter) as the open duration. Default: [`DEFAULT_PROBE_INTERVAL`].
    ///
    /// While the backend is silent, the interval doubles, up to the pool's `acquire_timeout`.
    #[must_use]
    pub fn probe_interval(mut self, interval: Duration) -> Self {
        self.settings.probe_interval = interval;
        self
    }

    /// How a half-open breaker increases the load. Default: [`DEFAULT_RAMP`](super::DEFAULT_RAMP);
    /// in a pool, batches double up to the size of the pool.
    ///
    /// ```
    /// use fusepool::Breaker;
    /// use fusepool::breaker::Ramp;
    ///
    /// let breaker = Breaker::builder().ramp(Ramp::Off).build()?; // closes after the first good batch
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn ramp(mut self, ramp: Ramp) -> Self {
        self.settings.ramp = Some(ramp);
        self
    }

    /// The initial mode. Default: [`Mode::Enforce`].
    ///
    /// ```
    /// use fusepool::Breaker;
    /// use fusepool::breaker::Mode;
    ///
    /// let breaker = Breaker::builder().mode(Mode::Observe).consecutive_failures(1).build()?;
    /// let _ = breaker.call(|| Err::<(), _>("no route to host"));
    /// assert!(breaker.try_acquire().is_ok(), "it only says what it would do");
    /// assert_eq!(breaker.snapshot().totals.would_be_rejected, 1);
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// The clock of the breaker. Default: a [`CoarseClock`].
    ///
    /// ```
    /// use fusepool::{Breaker, ManualClock};
    /// use fusepool::breaker::State;
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::new();
    /// let breaker = Breaker::builder().clock(clock.clone()).build()?;
    /// breaker.trip_for(Duration::from_secs(60));
    /// clock.advance(Duration::from_secs(61));
    /// let probe = breaker.try_acquire().expect("the minute is over");
    /// assert_eq!((probe.is_probe(), breaker.state()), (true, State::HalfOpen));
    /// # Ok::<(), fusepool::ConfigError>(())
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Time::Other(Arc::new(clock));
        self
    }

    /// Sets an observer of the breaker's [`Event`]s. Default: none; a gate reports to its own sink
    /// in any case.
    ///
    /// The observer runs on the thread that caused the event, after every lock is released. It may
    /// call the breaker. It must be quick and must not panic. A second observer replaces the first.
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

    /// Checks that a call can be slow before its deadline. `deadline` is its setter and its value.
    pub(crate) fn check_deadline(&self, deadline: (&str, Duration)) -> Result<(), ConfigError> {
        self.settings.check_deadline(deadline)
    }

    /// Sets a ramp up to `size`, unless the user chose a ramp.
    pub(crate) fn ramp_if_unset(mut self, size: u32) -> Self {
        let size = size.clamp(
            self.settings.half_open_probes,
            LARGEST_BATCH.max(self.settings.half_open_probes),
        );
        self.settings.ramp.get_or_insert(Ramp::UpTo(size));
        self
    }

    pub(crate) fn name_if_unset<N: Into<Arc<str>>>(mut self, name: impl FnOnce() -> N) -> Self {
        self.name = self.name.or_else(|| Some(name().into()));
        self
    }

    /// Takes the name and the observer of `other`, where this has none.
    pub(crate) fn complete_from(mut self, other: &Self) -> Self {
        self.name = self.name.or_else(|| other.name.clone());
        self.observer = self.observer.or_else(|| other.observer.clone());
        self
    }

    pub(crate) fn get_observer(&self) -> Option<&Observer> {
        self.observer.as_ref()
    }
}
