//! What an operator does: a manual trip, the settings of a running breaker, the plain breaker.

use super::rig::{Failure, Rig, Success, ms, rules};
use crate::breaker::error::Rejection;
use crate::breaker::handle::Breaker;
use crate::breaker::settings::{DEFAULT_WINDOW, Ramp, Window};
use crate::breaker::state::{Mode, Reason, State};

#[test]
fn a_manual_trip_ends_by_itself_and_probes_decide() {
    let rig = Rig::new(rules());
    rig.calls([Success, Failure]);
    rig.breaker.trip_for(ms(1_000));
    let tripped = [(State::Closed, State::Open, Reason::Manual)];
    assert_eq!(rig.transitions(), tripped);
    let now = rig.snapshot();
    assert_eq!((now.window.calls, now.window.failure_rate), (2, 0.5));
    assert_eq!((now.totals.trips, now.attempt), (1, 1));
    rig.pass(999);
    assert_eq!(rig.retry_after(), Some(ms(1)));
    rig.pass(1);
    rig.calls([Success; 2]);
    assert_eq!(rig.state(), State::Closed);
}

#[test]
fn a_manual_trip_whose_probes_fail_backs_off_like_any_other() {
    let rig = Rig::new(rules());
    rig.breaker.trip_for(ms(1_000));
    rig.pass(1_000);
    rig.calls([Failure]);
    assert_eq!(
        (rig.retry_after(), rig.snapshot().attempt),
        (Some(ms(200)), 2)
    );
}

#[test]
fn a_manual_trip_replaces_the_open_duration() {
    let rig = Rig::open(rules());
    rig.breaker.trip_for(ms(1_000));
    assert_eq!(rig.retry_after(), Some(ms(1_000)));
    rig.breaker.trip_for(ms(10));
    assert_eq!(rig.retry_after(), Some(ms(10)));
    let now = rig.snapshot();
    assert_eq!((now.totals.trips, now.attempt, now.window.calls), (1, 1, 4));
    rig.pass(10);
    let probe = rig.breaker.try_acquire().unwrap();
    rig.breaker.trip_for(ms(1_000));
    probe.settle(Success);
    assert_eq!(
        (rig.retry_after(), rig.snapshot().attempt),
        (Some(ms(1_000)), 1)
    );
}

#[test]
fn a_manual_trip_of_a_breaker_that_observes_rejects_nothing() {
    let rig = Rig::new(rules().mode(Mode::Observe));
    rig.breaker.trip_for(ms(1_000));
    assert!(rig.is_open());
    assert!(rig.breaker.try_acquire().is_ok());
}

/// `reconfigure` with one setter reset all the others to their defaults.
#[test]
fn one_rule_is_changed_and_the_others_stay() {
    let rig = Rig::new(rules().name("orders").mode(Mode::Observe));
    let before = format!("{:?}", rig.breaker.to_builder());
    let changed = rig.breaker.to_builder().minimum_calls(2);
    rig.breaker.reconfigure(changed).unwrap();
    let after = format!("{:?}", rig.breaker.to_builder());
    let expected = before.replace("minimum_calls: 4", "minimum_calls: 2");
    assert_ne!(before, after);
    assert_eq!(after, expected);
    assert!(
        after.contains("orders") && after.contains("Observe"),
        "{after}"
    );
    rig.calls([Failure; 2]);
    assert!(rig.is_open());
    assert_eq!(rig.breaker.try_acquire().map(drop), Ok(()));
    rig.breaker.set_mode(Mode::Enforce);
    assert_eq!(rig.retry_after(), Some(ms(100)), "the open duration stayed");
}

#[test]
fn a_running_breaker_is_asked_for_its_settings() {
    let now = Breaker::classic(3, ms(100))
        .name("orders")
        .build()
        .unwrap()
        .to_builder();
    assert_eq!(
        (&*now.get_name(), now.get_mode()),
        ("orders", Mode::Enforce)
    );
    assert_eq!(
        (now.get_window(), now.get_minimum_calls()),
        (DEFAULT_WINDOW, 10)
    );
    assert_eq!(
        (now.get_failure_rate(), now.get_slow_call_rate()),
        (None, None)
    );
    assert_eq!(now.get_consecutive_failures(), Some(3));
    assert_eq!(
        (now.get_slow_call_threshold(), now.get_stall_after()),
        (None, None)
    );
    assert_eq!(
        (now.get_open_duration(), now.get_max_open_duration()),
        (ms(100), ms(100))
    );
    assert_eq!(
        (now.get_open_duration_multiplier(), now.get_jitter()),
        (1.0, 0.0)
    );
    assert_eq!((now.get_half_open_probes(), now.get_ramp()), (1, Ramp::Off));
    assert_eq!(
        (now.get_probe_timeout(), now.get_coalesce_failures()),
        (ms(1_000), None)
    );
    let changed = now
        .window(Window::calls(30))
        .minimum_calls(7)
        .failure_rate(0.3)
        .slow_call_threshold(ms(20))
        .slow_call_rate(0.9)
        .coalesce_failures(ms(5))
        .stall_after(ms(70))
        .probe_interval(ms(9));
    assert_eq!(
        (changed.get_window(), changed.get_minimum_calls()),
        (Window::calls(30), 7)
    );
    assert_eq!(
        (changed.get_failure_rate(), changed.get_slow_call_rate()),
        (Some(0.3), Some(0.9))
    );
    assert_eq!(changed.get_slow_call_threshold(), Some(ms(20)));
    assert_eq!(changed.get_coalesce_failures(), Some(ms(5)));
    assert_eq!(
        (changed.get_stall_after(), changed.get_probe_interval()),
        (Some(ms(70)), ms(9))
    );
}

#[test]
fn another_breaker_with_the_same_rules_does_not_report_to_the_observer_of_the_first() {
    let rig = Rig::new(rules());
    let other = rig.breaker.to_builder().build().unwrap();
    for _ in 0..4 {
        other.try_acquire().unwrap().settle(Failure);
    }
    assert_eq!((other.state(), rig.state()), (State::Open, State::Closed));
    assert_eq!(rig.log.take(), []);
}

#[test]
fn the_classic_breaker_opens_at_consecutive_failures_and_tries_one_call_after_the_timeout() {
    let rig = Rig::new(Breaker::classic(3, ms(100)));
    let hung = [(); 50].map(|()| rig.breaker.try_acquire().unwrap());
    rig.pass(3_600_000);
    hung.into_iter().for_each(drop); // neither slow calls nor a stall open it
    for _ in 0..100 {
        rig.calls([Failure, Failure, Success]); // nor does a rate
    }
    assert_eq!(rig.state(), State::Closed);
    rig.calls([Failure; 3]);
    for _ in 0..9 {
        assert_eq!(rig.retry_after(), Some(ms(100)), "it does not grow");
        rig.pass(100);
        let trial = rig.breaker.try_acquire().unwrap();
        let second = rig.breaker.try_acquire().unwrap_err();
        assert!(matches!(second, Rejection::HalfOpen { .. }), "{second:?}");
        trial.settle(Failure);
    }
    rig.pass(100);
    rig.calls([Success]);
    assert_eq!(rig.state(), State::Closed, "there is no ramp");
}

#[test]
fn the_settings_of_the_classic_breaker_are_checked() {
    assert!(Breaker::classic(0, ms(100)).build().is_err());
    assert!(Breaker::classic(1, ms(0)).build().is_err());
}
