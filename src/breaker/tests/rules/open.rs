use std::time::Duration;

use super::rig::{Failure, Rig, Success, ms, rules};
use crate::breaker::error::Rejection;
use crate::breaker::handle::Breaker;
use crate::breaker::state::{Reason, State};

/// Fails the next batch of probes.
fn fail_the_probes(rig: &Rig) {
    rig.calls([Failure]);
    assert!(rig.is_open());
}

#[test]
fn rejections_say_when_to_retry() {
    let rig = Rig::open(rules());
    rig.pass(30);
    let rejection = Rejection::Open {
        retry_after: ms(70),
    };
    assert_eq!(rig.breaker.try_acquire().unwrap_err(), rejection);
    assert_eq!(rig.breaker.rejection(), Some(rejection));
    assert_eq!(rig.snapshot().retry_after, Some(ms(70)));
    assert_eq!(rig.snapshot().totals.rejected, 1);
}

#[test]
fn calls_are_rejected_until_just_before_the_end_of_the_open_duration() {
    let rig = Rig::open(rules());
    rig.clock.advance(ms(100) - Duration::from_nanos(1));
    assert_eq!(rig.retry_after(), Some(Duration::from_nanos(1)));
}

#[test]
fn at_exactly_the_open_duration_the_next_call_is_the_first_probe() {
    let rig = Rig::due(rules());
    assert!(rig.is_open(), "time alone changes nothing");
    assert_eq!(rig.breaker.rejection(), None);
    let probe = rig.breaker.try_acquire().unwrap();
    assert!(probe.is_probe());
    let events = rig.transitions();
    assert_eq!(
        events,
        [(State::Open, State::HalfOpen, Reason::OpenDurationElapsed)]
    );
}

#[test]
fn rejections_never_count_as_failures() {
    let rig = Rig::open(rules());
    for _ in 0..100 {
        assert!(rig.breaker.try_acquire().is_err());
    }
    let now = rig.snapshot();
    assert_eq!(
        (now.window.calls, now.totals.failures, now.totals.rejected),
        (4, 4, 100)
    );
}

#[test]
fn the_open_duration_grows_up_to_its_maximum_and_restarts_after_a_window_closed() {
    let rig = Rig::open(rules());
    for (attempt, delay) in [(1, 100), (2, 200), (3, 400), (4, 400)] {
        assert_eq!(rig.snapshot().attempt, attempt);
        assert_eq!(rig.retry_after(), Some(ms(delay)));
        rig.pass(delay);
        fail_the_probes(&rig);
    }
    rig.pass(400);
    rig.calls([Success; 2]);
    assert_eq!(rig.state(), State::Closed);
    // Regression: a breaker that closed for a moment started from the shortest duration again, and
    // flapped for as long as pings succeeded and statements failed.
    rig.pass(399);
    rig.calls([Failure; 4]);
    assert_eq!(rig.retry_after(), Some(ms(400)));
    rig.pass(400);
    rig.calls([Success; 2]);
    rig.pass(400); // a window of calls has no duration: its own is the longest open duration
    rig.calls([Failure; 4]);
    assert_eq!(rig.retry_after(), Some(ms(100)));
}

#[test]
fn a_thousand_attempts_do_not_overflow_the_open_duration() {
    let rig = Rig::open(rules().open_duration_multiplier(1e300));
    for _ in 0..1_100 {
        rig.pass(400);
        fail_the_probes(&rig);
    }
    assert_eq!(rig.retry_after(), Some(ms(400)));
}

#[test]
fn jitter_stays_within_its_bounds() {
    let delays: Vec<_> = (0..200)
        .map(|_| Rig::open(rules().jitter(0.2)).retry_after().unwrap())
        .collect();
    assert!(delays.iter().all(|delay| (ms(80)..ms(120)).contains(delay)));
    // The probability that one of these fails by chance is less than 2 in 10^20.
    assert!(delays.iter().any(|&delay| delay < ms(92)));
    assert!(delays.iter().any(|&delay| delay > ms(108)));
}

#[test]
fn a_transition_contains_its_counts() {
    let rig = Rig::new(rules().minimum_calls(5));
    rig.calls([Success, Success, Failure, Failure, Failure]);
    let super::rig::Seen::Transition(seen) = rig.log.take()[0] else {
        panic!("no transition");
    };
    assert_eq!((seen.from, seen.to), (State::Closed, State::Open));
    assert_eq!((seen.calls, seen.attempt), (5, 1));
    assert_eq!((seen.failure_rate, seen.slow_call_rate), (0.6, 0.0));
    assert_eq!(seen.retry_after, Some(ms(100)));
}

#[test]
fn a_result_after_the_breaker_opened_changes_nothing() {
    let rig = Rig::new(rules());
    let late = rig.breaker.try_acquire().unwrap();
    rig.calls([Failure; 4]);
    late.settle(Success);
    assert!(rig.is_open());
    assert_eq!(rig.snapshot().totals.discarded, 1);
}

#[test]
fn clones_share_one_state() {
    let rig = Rig::open(rules());
    let clone: Breaker = rig.breaker.clone();
    assert_eq!(clone.state(), State::Open);
}
