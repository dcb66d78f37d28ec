//! The slow-call threshold that is learned from the calls.

use super::rig::{Rig, Success, ms};
use crate::breaker::handle::Breaker;
use crate::breaker::state::{Reason, State};

/// Workers that make one call after the other, each of which takes `millis`.
fn work(rig: &Rig, workers: usize, millis: u64, rounds: usize) {
    for _ in 0..rounds {
        let calls: Vec<_> = (0..workers).map(|_| rig.breaker.try_acquire()).collect();
        rig.pass(millis / 2);
        rig.breaker.observe().withdraw(); // counts calls that became slow
        rig.pass(millis - millis / 2);
        for call in calls.into_iter().flatten() {
            call.settle(Success);
        }
    }
}

/// Regression: four workers whose reports take 2 seconds each, as ever, opened the breaker, which
/// then never closed.
#[test]
fn a_service_whose_calls_are_always_slow_is_healthy() {
    for (workers, millis) in [(4, 2_000), (1, 5_000), (16, 2_500), (4, 30_000)] {
        let rig = Rig::new(Breaker::builder());
        work(&rig, workers, millis, 40);
        assert_eq!(
            rig.snapshot().totals.trips,
            0,
            "{workers} workers, {millis} ms"
        );
        let threshold = rig.snapshot().slow_call_threshold.unwrap();
        assert!(threshold > 2 * ms(millis) && threshold <= 3 * ms(millis));
    }
}

#[test]
fn a_service_that_becomes_slow_opens_the_breaker() {
    let rig = Rig::new(Breaker::builder());
    work(&rig, 10, 5, 2_000);
    assert_eq!(rig.snapshot().slow_call_threshold, Some(ms(1_000)));
    work(&rig, 10, 3_000, 4);
    assert_eq!(rig.transitions()[0].2, Reason::SlowRate);
}

/// Regression: a threshold that was raised by a batch of reports at night delayed the detection of a
/// hang by day.
#[test]
fn a_raised_threshold_falls_with_the_durations() {
    let rig = Rig::new(Breaker::builder());
    work(&rig, 4, 2_000, 40);
    work(&rig, 4, 10, 12_000);
    assert_eq!(rig.snapshot().slow_call_threshold, Some(ms(1_000)));
}

#[test]
fn calls_in_progress_count_when_the_threshold_changes() {
    let rig = Rig::new(Breaker::builder().minimum_calls(2));
    work(&rig, 1, 2_000, 1);
    let before = rig.breaker.try_acquire().unwrap();
    work(&rig, 1, 2_000, 1);
    assert!(rig.snapshot().slow_call_threshold.is_some());
    before.settle(Success);
    let seen = rig.snapshot();
    assert_eq!((seen.window.calls, seen.totals.discarded), (3, 0));
    assert_eq!(rig.state(), State::Closed);
}
