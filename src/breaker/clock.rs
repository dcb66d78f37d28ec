//! Clocks.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A monotonic clock, which measures the time since an origin of its own.
///
/// Readings of one clock can be compared; readings of different clocks cannot.
///
/// ```
/// use fusepool::{Breaker, Clock};
/// use std::time::{Duration, Instant};
///
/// #[derive(Debug)]
/// struct SinceStart(Instant);
///
/// impl Clock for SinceStart {
///     fn now(&self) -> Duration {
///         self.0.elapsed()
///     }
/// }
///
/// let breaker = Breaker::builder().clock(SinceStart(Instant::now())).build()?;
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time since the origin of this clock. It must never go backwards.
    fn now(&self) -> Duration;

    /// Whether the clock moves by itself, as time does. If it does, a jump while calls are in
    /// progress means that the process stood still. Default: `true`.
    fn is_real(&self) -> bool {
        true
    }
}

/// The default clock: the operating system's coarse monotonic clock.
///
/// A reading costs a fraction of [`Instant::now`]. Its resolution is the kernel's tick, 1 to 10 ms
/// on Linux. On systems without a coarse clock it is an ordinary monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct CoarseClock {
    origin: coarsetime::Instant,
}

impl CoarseClock {
    /// A clock whose origin is now.
    pub fn new() -> Self {
        Self {
            origin: coarsetime::Instant::now_without_cache_update(),
        }
    }
}

impl Default for CoarseClock {
    fn default() -> Self {
        Self::new()
    }
}

impl CoarseClock {
    fn nanos(&self) -> u64 {
        coarsetime::Instant::now_without_cache_update()
            .duration_since(self.origin)
            .as_nanos()
    }
}

impl Clock for CoarseClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }
}

/// The clock of a breaker. The default one is known here, because a virtual call and a [`Duration`]
/// would double the cost of a reading.
#[derive(Clone, Debug)]
pub(super) enum Time {
    Coarse(CoarseClock),
    Other(Arc<dyn Clock>),
}

impl Time {
    /// The time in nanoseconds.
    pub(super) fn now(&self) -> u64 {
        match self {
            Self::Coarse(clock) => clock.nanos(),
            Self::Other(clock) => nanos(clock.now()),
        }
    }

    pub(super) fn is_real(&self) -> bool {
        match self {
            Self::Coarse(clock) => clock.is_real(),
            Self::Other(clock) => clock.is_real(),
        }
    }
}

/// [`Instant`] as a clock, for durations that the resolution of [`CoarseClock`] is too coarse for.
///
/// ```
/// use fusepool::{Breaker, PreciseClock};
///
/// // Calls of a few milliseconds are to be told apart.
/// let breaker = Breaker::builder().clock(PreciseClock::new()).build()?;
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PreciseClock {
    origin: Instant,
}

impl PreciseClock {
    /// A clock whose origin is now.
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for PreciseClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for PreciseClock {
    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that moves only by [`advance`](Self::advance), for tests that do not sleep. Clones share
/// one time.
///
/// ```
/// use fusepool::{Clock, ManualClock};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// clock.advance(Duration::from_secs(3));
/// assert_eq!(clock.now(), Duration::from_secs(3));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock forward. It saturates at about 584 years.
    pub fn advance(&self, by: Duration) {
        let by = nanos(by);
        let _ = self
            .nanos
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                Some(now.saturating_add(by))
            });
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Acquire))
    }

    fn is_real(&self) -> bool {
        false
    }
}

/// A duration in whole nanoseconds, the breaker's unit of time. Saturates at about 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(duration.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_never_go_backwards() {
        let clocks: [&dyn Clock; 3] = [
            &CoarseClock::new(),
            &PreciseClock::new(),
            &ManualClock::new(),
        ];
        for clock in clocks {
            let mut last = clock.now();
            for _ in 0..10_000 {
                let now = clock.now();
                assert!(now >= last, "{clock:?}");
                last = now;
            }
        }
    }

    #[test]
    fn the_manual_clock_saturates() {
        let clock = ManualClock::new();
        clock.advance(Duration::MAX);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), Duration::from_nanos(u64::MAX));
    }
}
