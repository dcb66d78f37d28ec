use super::rig::{Failure, Ignored, Rig, Seen, Success, rules, slow_rules};
use crate::breaker::error::Rejection;
use crate::breaker::state::{Mode, Reason, State};

#[test]
fn observe_changes_state_and_reports_but_rejects_no_call() {
    let rig = Rig::new(rules().mode(Mode::Observe));
    rig.calls([Failure; 4]);
    let events = rig.transitions();
    assert_eq!(events, [(State::Closed, State::Open, Reason::FailureRate)]);
    rig.calls([Success; 3]);
    assert_eq!(rig.breaker.rejection(), None);
    assert_eq!(rig.snapshot().rejected, 3);
    rig.pass(100);
    rig.calls([Success; 2]);
    assert_eq!(rig.state(), State::Closed);
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
        (now.calls, now.failures, now.abandoned, now.slow),
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
    assert_eq!(rig.snapshot().calls, 0);
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
    assert!(rig.snapshot().forced_open);
    drop(two);
    rig.calls([Success]);
    assert_eq!(rig.snapshot().rejected, 1);
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
    assert_eq!(rig.snapshot().calls, 2);
}

#[test]
fn an_observed_call_is_never_rejected_and_counts_while_closed() {
    let rig = Rig::new(rules());
    rig.breaker.observe().settle(Failure);
    assert_eq!(rig.snapshot().calls, 1);
    rig.calls([Failure; 3]);
    rig.log.take();
    let held = rig.breaker.force_open();
    rig.breaker.observe().settle(Success);
    drop(held);
    rig.log.take();
    rig.pass(100);
    drop(rig.breaker.observe());
    assert!(rig.is_open(), "it is no probe");
    assert_eq!(rig.snapshot().successes, 1);
    assert_eq!(rig.log.take(), [Seen::Abandoned(std::time::Duration::ZERO)]);
}
