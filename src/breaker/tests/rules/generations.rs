use super::rig::{Failure, Rig, Seen, Success, ms, rules};
use crate::breaker::settings::{Ramp, Window};
use crate::breaker::state::{Reason, State};

#[test]
fn a_result_of_an_older_generation_is_counted_and_changes_no_state() {
    let rig = Rig::new(rules());
    let old = [(); 4].map(|()| rig.breaker.try_acquire().unwrap());
    rig.breaker.reset();
    for call in old {
        call.settle(Failure);
    }
    assert_eq!(rig.log.take(), [Seen::Discarded(Failure); 4]);
    let now = rig.snapshot();
    assert_eq!((now.state, now.window.calls), (State::Closed, 0));
    assert_eq!((now.totals.failures, now.totals.discarded), (4, 4));
}

#[test]
fn a_probe_of_an_earlier_half_open_phase_does_not_count_in_a_later_one() {
    let rig = Rig::due(rules());
    let old = rig.breaker.try_acquire().unwrap();
    rig.calls([Failure]);
    rig.pass(200);
    let _new = rig.breaker.try_acquire().unwrap();
    old.settle(Failure);
    assert_eq!(rig.state(), State::HalfOpen);
}

#[test]
fn reset_closes_and_empties_the_window() {
    let rig = Rig::open(rules());
    rig.breaker.reset();
    let events = rig.transitions();
    assert_eq!(events, [(State::Open, State::Closed, Reason::Reset)]);
    assert_eq!(rig.snapshot().attempt, 0);
    rig.calls([Failure; 3]);
    rig.breaker.reset(); // already closed: only the window changes
    assert_eq!(rig.transitions(), []);
    assert_eq!(rig.snapshot().window.calls, 0);
}

#[test]
fn reconfigure_keeps_an_open_breaker_open_and_its_attempt() {
    let rig = Rig::open(rules());
    rig.breaker
        .reconfigure(rules().open_duration(ms(7)))
        .unwrap();
    assert_eq!(rig.retry_after(), Some(ms(100)));
    assert_eq!(rig.snapshot().attempt, 1);
    rig.pass(100);
    rig.calls([Failure]);
    assert_eq!(rig.retry_after(), Some(ms(14)));
}

#[test]
fn reconfigure_restarts_a_batch_of_probes() {
    let rig = Rig::due(rules());
    let old = [(); 2].map(|()| rig.breaker.try_acquire().unwrap());
    rig.breaker
        .reconfigure(rules().half_open_probes(3))
        .unwrap();
    for probe in old {
        probe.settle(Failure);
    }
    assert_eq!(rig.state(), State::HalfOpen);
    rig.calls([Success; 3]);
    assert_eq!(rig.state(), State::Closed);
}

#[test]
fn reconfigure_keeps_a_window_of_the_same_shape() {
    let rig = Rig::new(rules());
    rig.calls([Failure; 3]);
    rig.breaker.reconfigure(rules().failure_rate(0.6)).unwrap();
    assert_eq!(rig.snapshot().window.calls, 3);
    assert_eq!(rig.snapshot().consecutive_failures, 3);
    rig.breaker
        .reconfigure(rules().window(Window::calls(11)))
        .unwrap();
    assert_eq!(rig.snapshot().window.calls, 0);
}

#[test]
fn reconfigure_discards_calls_in_progress() {
    let rig = Rig::new(rules());
    let call = rig.breaker.try_acquire().unwrap();
    rig.breaker.reconfigure(rules()).unwrap();
    call.settle(Failure);
    assert_eq!(rig.snapshot().window.calls, 0);
    let events = [Seen::Reconfigured, Seen::Discarded(Failure)];
    assert_eq!(rig.log.take(), events);
}

#[test]
fn a_bad_configuration_changes_nothing() {
    let rig = Rig::new(rules());
    let call = rig.breaker.try_acquire().unwrap();
    let refused = rig.breaker.reconfigure(rules().failure_rate(2.0));
    assert_eq!(refused.unwrap_err().field(), "failure_rate");
    call.settle(Failure);
    assert_eq!(rig.snapshot().window.calls, 1);
    assert_eq!(rig.log.take(), []);
}

#[test]
fn reconfigure_keeps_a_ramp_that_is_not_set() {
    let unset = || {
        crate::Breaker::builder()
            .window(Window::calls(10))
            .open_duration(ms(100))
            .jitter(0.0)
            .half_open_probes(3)
    };
    let rig = Rig::due(rules().ramp(Ramp::Off));
    rig.breaker.reconfigure(unset()).unwrap();
    rig.calls([Success; 3]);
    assert_eq!(rig.state(), State::Closed);
}
