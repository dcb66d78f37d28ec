use super::rig::{Failure, Ignored, Rig, Success, Told, ms, rules, slow_rules};
use crate::breaker::builder::Builder;
use crate::breaker::error::Rejection;
use crate::breaker::permit::Permit;
use crate::breaker::settings::Ramp;
use crate::breaker::state::{Reason, State};
use crate::breaker::verdict::Verdict;

const REOPENED: (State, State, Reason) = (State::HalfOpen, State::Open, Reason::ProbesFailed);
const CLOSED: (State, State, Reason) = (State::HalfOpen, State::Closed, Reason::ProbesSucceeded);

/// A half-open breaker, and the first `N` probes of it.
fn probing<const N: usize>(rig: &Rig) -> [Permit<'_>; N] {
    let probes = [(); N].map(|()| rig.breaker.try_acquire().unwrap());
    assert!(probes.iter().all(Permit::is_probe));
    rig.memory.take();
    probes
}

fn batch_of(probes: u32) -> Builder {
    rules().half_open_probes(probes)
}

#[test]
fn no_more_probes_run_than_the_batch_has_places() {
    let rig = Rig::due(rules());
    let _probes: [_; 2] = probing(&rig);
    rig.pass(300);
    let full = Rejection::HalfOpen {
        retry_after: ms(700),
    };
    assert_eq!(rig.breaker.try_acquire().unwrap_err(), full);
    assert_eq!(rig.breaker.rejection(), Some(full));
}

#[test]
fn a_result_keeps_its_place_in_the_batch() {
    let rig = Rig::due(rules());
    let [one, _two] = probing(&rig);
    one.settle(Success);
    assert!(rig.breaker.try_acquire().is_err());
}

#[test]
fn a_good_batch_closes_it_with_an_empty_window() {
    let rig = Rig::due(batch_of(3));
    let [one, two, three] = probing(&rig);
    one.settle(Success);
    two.settle(Failure); // 1 of 3 stays below one half
    assert_eq!(rig.state(), State::HalfOpen);
    three.settle(Success);
    assert_eq!(rig.transitions(), [CLOSED]);
    let now = rig.snapshot();
    assert_eq!(
        (now.calls, now.consecutive_failures, now.attempt),
        (0, 0, 0)
    );
}

#[test]
fn it_opens_again_as_soon_as_the_batch_cannot_succeed() {
    let rig = Rig::due(batch_of(4));
    let [one, two, late, _four] = probing(&rig);
    one.settle(Failure);
    assert_eq!(rig.state(), State::HalfOpen);
    two.settle(Failure); // 2 of 4, whatever becomes of the others
    assert_eq!(rig.transitions(), [REOPENED]);
    late.settle(Success);
    assert_eq!(rig.memory.take(), [Told::Discarded(Success)]);
}

#[test]
fn slow_probes_fail_a_batch_too() {
    let rig = Rig::new(slow_rules());
    let _hung = [(); 4].map(|()| rig.breaker.try_acquire().unwrap());
    rig.pass(64);
    assert!(rig.breaker.try_acquire().is_err());
    rig.pass(100);
    let [probe] = probing(&rig);
    probe.settle_after(Success, ms(64));
    assert_eq!(rig.memory.take()[0], Told::Slow(1));
    assert!(rig.is_open());
}

#[test]
fn a_probe_that_reaches_the_slow_bound_is_taken_back_as_slow() {
    let rig = Rig::due(rules().slow_call_rate(0.5));
    let [hung] = probing(&rig);
    rig.pass(64);
    assert_eq!(rig.retry_after(), Some(ms(200)));
    assert_eq!(rig.memory.take()[0], Told::Slow(1));
    assert_eq!(rig.snapshot().slow, 1);
    hung.settle(Success);
    assert_eq!(rig.memory.take(), [Told::Discarded(Success)]);
}

#[test]
fn without_a_failure_rate_no_probe_may_failure() {
    let rules = rules().failure_rate(None).consecutive_failures(4);
    let rig = Rig::due(rules.half_open_probes(100));
    rig.calls([Failure]);
    assert!(rig.is_open());
}

#[test]
fn batches_double_up_to_the_ramps_end() {
    let rig = Rig::due(rules().ramp(Ramp::UpTo(7)));
    for (size, told) in [(2, Some(4)), (4, Some(7)), (7, None)] {
        let batch: Vec<_> = (0..size)
            .map(|_| rig.breaker.try_acquire().unwrap())
            .collect();
        assert!(rig.breaker.try_acquire().is_err());
        rig.memory.take();
        for probe in batch {
            probe.settle(Success);
        }
        match told {
            Some(places) => assert_eq!(rig.memory.take(), [Told::Ramp(places)]),
            None => assert_eq!(rig.transitions(), [CLOSED]),
        }
    }
}

#[test]
fn a_ramp_that_fails_begins_with_the_first_batch_again() {
    let rig = Rig::due(rules().ramp(Ramp::UpTo(8)));
    rig.calls([Success, Success, Failure, Failure]);
    assert!(rig.is_open());
    rig.pass(200);
    let _probes: [_; 2] = probing(&rig);
    assert!(rig.breaker.try_acquire().is_err());
}

#[test]
fn a_ignored_probe_gives_its_place_back() {
    gives_its_place_back(|probe| probe.settle(Ignored));
}

#[test]
fn an_abandoned_probe_gives_its_place_back() {
    gives_its_place_back(|probe| drop(probe));
}

fn gives_its_place_back(end: impl FnOnce(Permit<'_>)) {
    let rig = Rig::due(rules());
    let [one, two] = probing(&rig);
    end(one);
    assert_eq!(rig.breaker.rejection(), None);
    let three = rig.breaker.try_acquire().unwrap();
    assert!(rig.breaker.try_acquire().is_err());
    two.settle(Success);
    assert_eq!(rig.state(), State::HalfOpen);
    three.settle(Success);
    assert_eq!(rig.state(), State::Closed);
}

/// It counted as a failure: a healthy backend whose calls took longer than `probe_timeout` was never let
/// back in.
#[test]
fn a_probe_over_its_timeout_loses_its_place_and_counts_when_it_ends() {
    let rig = Rig::due(batch_of(3));
    let [one, two, three] = probing(&rig);
    rig.pass(999);
    assert_eq!(rig.retry_after(), Some(ms(1)));
    rig.pass(1);
    let [_others, _took, _their_places]: [_; 3] = probing(&rig);
    assert!(rig.breaker.try_acquire().is_err());
    one.settle(Success);
    two.settle(Failure);
    assert_eq!(rig.state(), State::HalfOpen);
    three.settle(Success);
    assert_eq!(rig.transitions(), [CLOSED]);
}

#[test]
fn one_hung_probe_does_not_hold_up_the_batch() {
    let rig = Rig::due(batch_of(3));
    let [hung] = probing(&rig);
    rig.pass(1_000);
    rig.calls([Success; 3]);
    assert_eq!(rig.transitions(), [CLOSED]);
    late(&rig, hung, Failure);
    assert_eq!(rig.state(), State::Closed);
}

/// A user's call waits for its connection first: that is not the time of a statement.
#[test]
fn a_probe_that_waits_for_its_connection_is_not_slow() {
    let rig = Rig::due(rules().slow_call_rate(0.5).half_open_probes(1));
    let mut probe = rig.breaker.ticket(true).unwrap().unwrap();
    rig.pass(900);
    assert_eq!(
        rig.breaker.rejection().unwrap().retry_after(),
        Some(ms(100))
    );
    probe.restart();
    rig.pass(63);
    probe.settle(Success);
    assert_eq!(rig.state(), State::Closed);
    assert_eq!(rig.snapshot().slow, 0);
}

fn late(rig: &Rig, probe: Permit<'_>, verdict: Verdict) {
    rig.memory.take();
    let before = rig.snapshot().discarded;
    probe.settle(verdict);
    assert_eq!(rig.memory.take(), [Told::Discarded(verdict)]);
    assert_eq!(rig.snapshot().discarded, before + 1);
}
