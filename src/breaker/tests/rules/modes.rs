use super::rig::{Failure, Ignored, Rig, Seen, Success, ms, rules, slow_rules};
use crate::breaker::error::Rejection;
use crate::breaker::snapshot::Rates;
use crate::breaker::state::{Mode, Reason, State};

#[test]
fn observe_changes_state_and_reports_but_rejects_no_call() {
    let rig = Rig::new(rules().mode(Mode::Observe));
    rig.calls([Failure; 4]);
    let events = rig.transitions();
    assert_eq!(events, [(State::Closed, State::Open, Reason::FailureRate)]);
    rig.calls([Success; 3]);
    assert_eq!(rig.breaker.rejection(), None);
    assert_eq!(rig.snapshot().totals.would_be_rejected, 3);
    rig.pass(100);
    rig.calls([Success; 2]);
    assert_eq!(rig.state(), State::Closed);
}

/// The rates were 0 from the moment at which the breaker would have opened.
#[test]
fn observe_goes_on_counting_in_the_window_whatever_the_state() {
    let rig = Rig::new(rules().slow_call_rate(0.9).mode(Mode::Observe));
    let rates = || {
        let Rates {
            calls,
            failure_rate,
            slow_call_rate,
            ..
        } = rig.snapshot().window;
        (calls, failure_rate, slow_call_rate)
    };
    rig.calls([Failure; 4]);
    assert!(rig.is_open());
    assert_eq!(rates(), (4, 1.0, 0.0));
    rig.calls([Success; 3]);
    let slow = rig.breaker.try_acquire().unwrap();
    slow.settle_after(Success, ms(64));
    assert_eq!(rates(), (8, 0.5, 0.125));
    assert_eq!(rig.snapshot().totals.slow, 1);
    rig.pass(100);
    rig.calls([Failure, Success]); // probes
    assert!(rig.is_open(), "one of two probes failed");
    rig.calls([Success; 2]);
    assert_eq!(rates(), (10, 0.3, 0.1), "the last ten calls");
    rig.pass(200);
    rig.calls([Success; 2]);
    assert_eq!(rig.state(), State::Closed);
    assert_eq!(rates(), (0, 0.0, 0.0));
}

#[test]
fn disabled_admits_and_records_nothing() {
    let rig = Rig::new(slow_rules().mode(Mode::Disabled).consecutive_failures(1));
    let _hung = [(); 9].map(|()| rig.breaker.try_acquire().unwrap());
    rig.pass(64);
    rig.calls([Failure; 9]);
    drop(rig.breaker.try_acquire().unwrap());
    let now = rig.snapshot();
    assert_eq!(
        (
            now.window.calls,
            now.totals.failures,
            now.totals.abandoned,
            now.totals.slow
        ),
        (0, 0, 0, 0)
    );
    assert_eq!(rig.log.take(), []);
}

#[test]
fn disabled_admits_while_open_and_keeps_the_state() {
    let rig = Rig::open(rules());
    rig.breaker.set_mode(Mode::Disabled);
    rig.calls([Success; 9]);
    rig.pass(100);
    rig.calls([Success; 9]);
    assert_eq!(rig.state(), State::Open);
    rig.breaker.set_mode(Mode::Enforce);
    assert_eq!(rig.breaker.mode(), Mode::Enforce);
    assert!(rig.breaker.try_acquire().unwrap().is_probe());
}

#[test]
fn a_probe_that_ends_while_disabled_only_frees_its_slot() {
    for verdict in [Success, Failure, Ignored] {
        let rig = Rig::due(rules().half_open_probes(1));
        let probe = rig.breaker.try_acquire().unwrap();
        rig.breaker.set_mode(Mode::Disabled);
        rig.pass(1_000);
        probe.settle(verdict);
        assert_eq!(rig.state(), State::HalfOpen);
        rig.breaker.set_mode(Mode::Enforce);
        rig.calls([Success]);
        assert_eq!(rig.state(), State::Closed);
    }
}

#[test]
fn a_call_that_ends_while_disabled_is_not_recorded() {
    let rig = Rig::new(rules());
    let call = rig.breaker.try_acquire().unwrap();
    rig.breaker.set_mode(Mode::Disabled);
    call.settle(Failure);
    assert_eq!(rig.snapshot().window.calls, 0);
}

/// The state was `Closed` while every call was rejected.
#[test]
fn the_state_is_forced_open_while_an_operator_holds_the_breaker_open() {
    for rig in [Rig::new(rules()), Rig::open(rules())] {
        let before = rig.state();
        let held = rig.breaker.force_open();
        assert_eq!(rig.state(), State::ForcedOpen);
        assert_eq!(rig.snapshot().state, State::ForcedOpen);
        let debug = format!("{:?}", rig.breaker);
        assert!(debug.contains("state: ForcedOpen"), "{debug}");
        drop(held);
        assert_eq!((rig.state(), rig.snapshot().state), (before, before));
    }
}

#[test]
fn forced_open_lasts_until_every_handle_is_dropped() {
    let rig = Rig::new(rules());
    let (one, two) = (rig.breaker.force_open(), rig.breaker.force_open());
    assert_eq!(rig.breaker.rejection(), Some(Rejection::ForcedOpen));
    drop(one);
    let rejection = rig.breaker.try_acquire().unwrap_err();
    assert_eq!(rejection, Rejection::ForcedOpen);
    assert_eq!(rejection.retry_after(), None);
    drop(two);
    rig.calls([Success]);
    assert_eq!(rig.snapshot().totals.rejected, 1);
    let events = [true, false].map(|forced_open| Seen::Mode(Mode::Enforce, forced_open));
    assert_eq!(
        rig.log.take(),
        events,
        "one event at the start, one at the end"
    );
}

#[test]
fn only_an_actual_change_of_mode_is_reported() {
    let rig = Rig::new(rules());
    rig.breaker.set_mode(Mode::Enforce);
    rig.breaker.set_mode(Mode::Observe);
    rig.breaker.set_mode(Mode::Observe);
    assert_eq!(rig.log.take(), [Seen::Mode(Mode::Observe, false)]);
}

#[test]
fn forced_open_overrides_every_mode() {
    for mode in [Mode::Enforce, Mode::Observe, Mode::Disabled] {
        let rig = Rig::new(rules().mode(mode));
        let _held = rig.breaker.force_open();
        let rejection = rig.breaker.try_acquire().unwrap_err();
        assert_eq!(rejection, Rejection::ForcedOpen);
        assert_eq!(rig.breaker.rejection(), Some(rejection));
    }
}

#[test]
fn a_change_of_mode_keeps_the_counts_and_the_calls_in_progress() {
    let rig = Rig::new(rules());
    let call = rig.breaker.try_acquire().unwrap();
    rig.calls([Failure]);
    rig.breaker.set_mode(Mode::Observe);
    drop(rig.breaker.force_open());
    call.settle(Failure);
    assert_eq!(rig.snapshot().window.calls, 2);
}

#[test]
fn an_observed_call_is_never_rejected_and_counts_while_closed() {
    let rig = Rig::new(rules());
    rig.breaker.observe().settle(Failure);
    assert_eq!(rig.snapshot().window.calls, 1);
    rig.calls([Failure; 3]);
    rig.log.take();
    let held = rig.breaker.force_open();
    rig.breaker.observe().settle(Success);
    drop(held);
    rig.log.take();
    rig.pass(100);
    drop(rig.breaker.observe());
    assert!(rig.is_open(), "it is no probe");
    assert_eq!(rig.snapshot().totals.successes, 1);
    assert_eq!(rig.log.take(), [Seen::Abandoned(std::time::Duration::ZERO)]);
}
