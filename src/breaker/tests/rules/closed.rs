use super::rig::{Failure, Ignored, Rig, Seen, Success, ms, rules, slow_rules};
use crate::breaker::state::{Reason, State};
use crate::breaker::verdict::Class;

const OPENED: (State, State) = (State::Closed, State::Open);

#[test]
fn trips_at_exactly_the_failure_rate() {
    let rig = Rig::new(rules().minimum_calls(10));
    rig.calls([Success; 5]);
    rig.calls([Failure; 4]);
    rig.calls([Success]);
    assert_eq!(rig.state(), State::Closed);
    rig.calls([Failure]); // the first success leaves the window: 5 of 10
    assert_eq!(
        rig.transitions(),
        [(OPENED.0, OPENED.1, Reason::FailureRate)]
    );
}

#[test]
fn three_failures_of_ten_reach_a_rate_of_three_tenths() {
    let rig = Rig::new(rules().minimum_calls(10).failure_rate(0.3));
    rig.calls([Success; 7]);
    rig.calls([Failure; 2]);
    assert!(!rig.is_open());
    rig.calls([Failure]);
    assert!(rig.is_open());
}

#[test]
fn no_rate_trips_below_minimum_calls() {
    let rig = Rig::new(rules());
    rig.calls([Failure; 3]);
    assert!(!rig.is_open());
    rig.calls([Failure]);
    assert!(rig.is_open());
}

#[test]
fn the_call_that_reaches_minimum_calls_trips_even_if_it_succeeded() {
    let rig = Rig::new(rules());
    rig.calls([Failure, Failure, Failure, Success]);
    assert!(rig.is_open());
}

#[test]
fn ignored_calls_are_not_in_the_window() {
    let rig = Rig::new(rules());
    rig.calls([Failure, Failure, Failure, Ignored, Ignored]);
    assert_eq!(rig.snapshot().window.calls, 3);
    assert!(!rig.is_open());
}

#[test]
fn trips_at_exactly_the_slow_call_rate() {
    let rig = Rig::new(slow_rules());
    rig.calls([Success; 2]);
    for tripped in [false, true] {
        let call = rig.breaker.try_acquire().unwrap();
        call.settle_after(Success, ms(64));
        assert_eq!(rig.is_open(), tripped);
    }
    let events = rig.transitions();
    assert_eq!(events, [(OPENED.0, OPENED.1, Reason::SlowRate)]);
}

#[test]
fn a_call_just_below_the_threshold_is_not_slow() {
    let rig = Rig::new(slow_rules());
    let call = rig.breaker.try_acquire().unwrap();
    rig.pass(63);
    call.settle(Success);
    assert_eq!(
        (rig.snapshot().window.calls, rig.snapshot().totals.slow),
        (1, 0)
    );
}

#[test]
fn a_hung_call_counts_as_slow_while_it_runs() {
    let rig = Rig::new(slow_rules().minimum_calls(10));
    let _hung = [(); 3].map(|()| rig.breaker.try_acquire().unwrap());
    rig.pass(63);
    rig.calls([Success]);
    assert_eq!(rig.snapshot().window.calls, 1);
    rig.pass(1);
    rig.calls([Success]);
    assert_eq!(
        (rig.snapshot().window.calls, rig.snapshot().totals.slow),
        (5, 3)
    );
    assert_eq!(rig.log.take(), [Seen::Slow(3)]);
}

#[test]
fn hung_calls_alone_trip_when_the_next_call_arrives() {
    let rig = Rig::new(slow_rules());
    let _hung = [(); 4].map(|()| rig.breaker.try_acquire().unwrap());
    rig.pass(64);
    assert_eq!(rig.retry_after(), Some(ms(100)));
    assert!(rig.is_open());
}

#[test]
fn a_slow_call_is_not_counted_again_when_it_ends() {
    for verdict in [Success, Failure, Ignored] {
        let rig = Rig::new(slow_rules());
        let hung = rig.breaker.try_acquire().unwrap();
        rig.pass(64);
        rig.calls([Success]);
        assert_eq!(rig.snapshot().window.calls, 2);
        hung.settle(verdict);
        assert_eq!(
            (rig.snapshot().window.calls, rig.snapshot().totals.slow),
            (2, 1)
        );
    }
}

#[test]
fn a_failure_after_the_threshold_counts_only_as_consecutive() {
    let rig = Rig::new(slow_rules().consecutive_failures(2));
    for (streak, open) in [(1, false), (0, true)] {
        let call = rig.breaker.try_acquire().unwrap();
        rig.pass(64);
        call.settle(Failure);
        let now = rig.snapshot();
        assert_eq!(now.window.failure_rate.to_bits(), 0.0_f64.to_bits());
        assert_eq!((now.consecutive_failures, rig.is_open()), (streak, open));
    }
    let events = rig.transitions();
    assert_eq!(events, [(OPENED.0, OPENED.1, Reason::ConsecutiveFailures)]);
}

#[test]
fn a_dropped_call_counts_only_from_the_threshold_on() {
    for (ran, slow) in [(63, 0), (64, 1)] {
        let rig = Rig::new(slow_rules());
        let call = rig.breaker.try_acquire().unwrap();
        rig.pass(ran);
        drop(call);
        let now = rig.snapshot();
        assert_eq!((u64::from(now.window.calls), now.totals.slow), (slow, slow));
    }
}

#[test]
fn without_a_slow_call_rate_no_call_is_slow() {
    let rig = Rig::new(rules());
    let _hung = rig.breaker.try_acquire().unwrap();
    rig.pass(1_000);
    let call = rig.breaker.try_acquire().unwrap();
    call.settle_class(Class::Slow);
    assert_eq!(
        (rig.snapshot().window.calls, rig.snapshot().totals.slow),
        (1, 0)
    );
}

/// Regression test: every transaction failed, and the breaker did not open, because each `BEGIN` and
/// each `ROLLBACK` counted as a success.
#[test]
fn a_trivial_success_does_not_hide_failures() {
    let rig = Rig::new(rules().failure_rate(0.5).consecutive_failures(3));
    for _ in 0..3 {
        rig.breaker.try_acquire().unwrap().settle_trivial();
        rig.calls([Failure]);
        rig.breaker.observe().settle_trivial();
    }
    assert!(rig.is_open());
    assert_eq!(
        (
            rig.snapshot().totals.successes,
            rig.snapshot().totals.failures
        ),
        (6, 3)
    );
}

#[test]
fn a_trivial_success_ends_a_stall_and_counts_if_it_is_slow() {
    let rig = Rig::new(slow_rules());
    rig.pass(10);
    let start = rig.breaker.try_acquire().unwrap().started();
    assert!(!rig.breaker.answered_since(start));
    rig.breaker.try_acquire().unwrap().settle_trivial();
    assert!(rig.breaker.answered_since(start));
    assert_eq!(rig.snapshot().window.calls, 0);
    let slow = rig.breaker.try_acquire().unwrap();
    rig.pass(64);
    slow.settle_trivial();
    assert_eq!(
        (rig.snapshot().window.calls, rig.snapshot().totals.slow),
        (1, 1)
    );
}

#[test]
fn an_error_of_class_slow_is_slow_whatever_its_duration() {
    let rig = Rig::new(slow_rules());
    let call = rig.breaker.try_acquire().unwrap();
    call.settle_class(Class::Slow);
    assert_eq!(
        (rig.snapshot().totals.slow, rig.snapshot().totals.successes),
        (1, 1)
    );
}

#[test]
fn a_success_resets_consecutive_failures_and_an_ignored_call_does_not() {
    let rig = Rig::new(rules().failure_rate(None).consecutive_failures(3));
    rig.calls([Failure, Failure, Success, Failure, Failure, Ignored]);
    assert_eq!(rig.snapshot().consecutive_failures, 2);
    assert!(!rig.is_open());
    rig.calls([Failure]);
    let events = rig.transitions();
    assert_eq!(events, [(OPENED.0, OPENED.1, Reason::ConsecutiveFailures)]);
}

#[test]
fn coalesced_failures_count_as_one() {
    let rig = Rig::new(rules().coalesce_failures(ms(10)));
    rig.calls([Failure; 3]);
    rig.pass(9);
    rig.calls([Failure]);
    assert_eq!(rig.snapshot().window.calls, 1);
    assert_eq!(rig.snapshot().consecutive_failures, 1);
    rig.pass(1); // the span starts with its first failure
    rig.calls([Failure]);
    assert_eq!(rig.snapshot().window.calls, 2);
    assert_eq!(rig.snapshot().totals.failures, 5);
}

#[test]
fn a_slow_call_counts_even_if_its_failure_is_coalesced() {
    let rig = Rig::new(slow_rules().minimum_calls(10).coalesce_failures(ms(10)));
    rig.calls([Failure]);
    let call = rig.breaker.try_acquire().unwrap();
    call.settle_after(Failure, ms(64));
    assert_eq!(
        (rig.snapshot().window.calls, rig.snapshot().totals.slow),
        (2, 1)
    );
    assert_eq!(rig.snapshot().consecutive_failures, 1);
}

/// A call that waited long for a connection was itself counted as slow, if it found other calls
/// hung.
#[test]
fn a_call_with_a_ticket_does_not_count_before_it_starts() {
    let rig = Rig::new(slow_rules());
    let _hung = rig.breaker.observe();
    rig.pass(64);
    assert!(rig.breaker.ticket(true).unwrap().is_none());
    assert_eq!(rig.log.take(), [Seen::Slow(1)]);
    rig.pass(64);
    rig.breaker.try_acquire().unwrap().settle(Success);
    assert_eq!(rig.snapshot().totals.slow, 1);
}
