//! Learns how long calls take, so that a slow call is one that is slower than normal for this
//! service.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::clock::nanos;
use super::settings::DEFAULT_SLOW_CALL_THRESHOLD;

/// A call is slow if it takes this many times the normal duration.
const FACTOR: u32 = 3;
/// Shorter calls have no influence on the threshold, which is at least the default.
pub(super) const LONG: u64 = DEFAULT_SLOW_CALL_THRESHOLD.as_nanos() as u64 / FACTOR as u64;
/// Half of what was learned is forgotten after this time.
const HALF_LIFE: Duration = Duration::from_secs(60);
/// The durations are counted in steps of √2, up to 85 seconds.
const STEPS: usize = 17;

/// The durations of successful calls. Calls that are not [`LONG`] are counted elsewhere, so that they
/// cost nothing here.
#[derive(Debug, Default)]
pub(super) struct Normal(Mutex<Durations>);

#[derive(Debug, Default)]
struct Durations {
    long: [u32; STEPS],
    /// The number of successes that are forgotten or were left out.
    forgotten: u64,
    halved_at: u64,
    checked_at: u64,
}

impl Normal {
    /// Records a success that took `elapsed`, the last one of `successes`. Returns the duration from
    /// which calls are slow: three times the duration that `share` of the calls exceed, but no less
    /// than the default. `None` while fewer than `least` calls succeeded.
    pub(super) fn learn(
        &self,
        now: u64,
        elapsed: u64,
        successes: u64,
        least: u32,
        share: f64,
    ) -> Option<Duration> {
        let mut durations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(durations.halved_at) >= nanos(HALF_LIFE) {
            durations.halved_at = now;
            durations.forgotten += successes.saturating_sub(durations.forgotten) / 2;
            durations.long.iter_mut().for_each(|calls| *calls /= 2);
        }
        if let Some(step) = (0..STEPS).rev().find(|&step| elapsed >= lower(step)) {
            durations.long[step] = durations.long[step].saturating_add(1);
        }
        durations.checked_at = now;
        if successes < u64::from(least) {
            return None;
        }
        let enough = share * successes.saturating_sub(durations.forgotten) as f64;
        let mut longer = 0;
        let normal = (0..STEPS).rev().find(|&step| {
            longer += durations.long[step];
            f64::from(longer) >= enough
        });
        let threshold = normal.map_or(0, |step| lower(step).saturating_mul(u64::from(FACTOR)));
        Some(Duration::from_nanos(threshold).max(DEFAULT_SLOW_CALL_THRESHOLD))
    }

    /// Leaves a success out that is no call of the service, such as a ping.
    pub(super) fn leave_out(&self) {
        let mut durations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        durations.forgotten += 1;
    }

    /// Whether a second has passed since the last call of [`learn`](Self::learn).
    pub(super) fn is_due(&self, now: u64) -> bool {
        let durations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.saturating_sub(durations.checked_at) >= nanos(Duration::from_secs(1))
    }
}

/// The shortest duration that is counted in a step.
fn lower(step: usize) -> u64 {
    let even = LONG << (step / 2);
    match step % 2 {
        0 => even,
        _ => even + even / 5 * 2, // √2 is about 1.4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// The threshold in seconds after `calls` of this duration, one each second.
    fn after(normal: &Normal, start: &mut u64, calls: u64, seconds: f64) -> Option<f64> {
        let mut threshold = None;
        for _ in 0..calls {
            *start += 1;
            let elapsed = (seconds * 1e9) as u64;
            threshold = normal.learn(*start * SECOND, elapsed, *start, 10, 0.8);
        }
        threshold.map(|threshold| threshold.as_secs_f64())
    }

    #[test]
    fn nothing_is_slow_until_enough_is_known() {
        let (normal, mut at) = (Normal::default(), 0);
        assert_eq!(after(&normal, &mut at, 9, 2.0), None);
        let threshold = after(&normal, &mut at, 1, 2.0).unwrap();
        assert!((4.0..6.1).contains(&threshold), "{threshold}");
    }

    #[test]
    fn short_calls_leave_the_default() {
        for seconds in [0.001, 0.1, 0.32, 0.4] {
            let threshold = after(&Normal::default(), &mut 0, 100, seconds);
            assert_eq!(threshold, Some(1.0), "{seconds}");
        }
    }

    /// A brownout is noticed, although its calls succeed; what stays so for minutes is normal.
    #[test]
    fn slowness_becomes_normal_only_after_minutes() {
        let (normal, mut at) = (Normal::default(), 0);
        after(&normal, &mut at, 120, 0.005);
        assert_eq!(after(&normal, &mut at, 60, 3.0), Some(1.0));
        assert!(after(&normal, &mut at, 240, 3.0) > Some(6.0));
        assert_eq!(after(&normal, &mut at, 300, 0.005), Some(1.0));
    }
}
