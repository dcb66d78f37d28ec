use super::rig::{Failure, Ignored, Rig, Seen, Success, ms, rules, slow_rules};
use crate::breaker::builder::Builder;
use crate::breaker::error::Rejection;
use crate::breaker::permit::Permit;
use crate::breaker::settings::Ramp;
use crate::breaker::state::{Reason, State};
use crate::breaker::verdict::Verdict;

const REOPENED: (State, State, Reason) = (State::HalfOpen, State::Open, Reason::ProbesFailed);
const CLOSED: (State, State, Reason) = (State::HalfOpen, State::Closed, Reason::ProbesSucceeded);

/// Starts the first `N` probes of a half-open breaker.
fn probing<const N: usize>(rig: &Rig) -> [Permit<'_>; N] {
    let probes = [(); N].map(|()| rig.breaker.try_acquire().unwrap());
    assert!(probes.iter().all(Permit::is_probe));
    rig.log.take();
    probes
}

fn batch_of(probes: u32) -> Builder {
    rules().half_open_probes(probes)
}

#[test]
fn no_more_probes_run_than_the_batch_has_slots() {
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
fn a_result_occupies_its_slot_in_the_batch() {
    let rig = Rig::due(rules());
    let [one, _two] = probing(&rig);
    one.settle(Success);
    assert!(rig.breaker.try_acquire().is_err());
}

#[test]
fn a_successful_batch_closes_the_breaker_with_an_empty_window() {
    let rig = Rig::due(batch_of(3));
    let [one, two, three] = probing(&rig);
    one.settle(Success);
    two.settle(Failure); // 1 of 3 stays below one half
    assert_eq!(rig.state(), State::HalfOpen);
    three.settle(Success);
    assert_eq!(rig.transitions(), [CLOSED]);
    let now = rig.snapshot();
    assert_eq!((now.window.calls, now.consecutive_failures), (0, 0));
}

#[test]
fn the_breaker_opens_as_soon_as_the_batch_cannot_succeed() {
    let rig = Rig::due(batch_of(4));
    let [one, two, late, _four] = probing(&rig);
    one.settle(Failure);
    assert_eq!(rig.state(), State::HalfOpen);
    two.settle(Failure); // 2 of 4, whatever the other results are
    assert_eq!(rig.transitions(), [REOPENED]);
    late.settle(Success);
    assert_eq!(rig.log.take(), [Seen::Discarded(Success)]);
}

#[test]
fn slow_probes_fail_a_batch() {
    let rig = Rig::new(slow_rules());
    let _hung = [(); 4].map(|()| rig.breaker.try_acquire().unwrap());
    rig.pass(64);
    assert!(rig.breaker.try_acquire().is_err());
    rig.pass(100);
    let [probe] = probing(&rig);
    probe.settle_after(Success, ms(64));
    assert_eq!(rig.log.take()[0], Seen::Slow(1));
    assert!(rig.is_open());
}

#[test]
fn a_running_probe_that_reaches_the_threshold_is_slow() {
    let rig = Rig::due(rules().slow_call_rate(0.5));
    let [hung] = probing(&rig);
    rig.pass(64);
    assert_eq!(rig.retry_after(), Some(ms(200)));
    assert_eq!(rig.log.take()[0], Seen::Slow(1));
    assert_eq!(rig.snapshot().totals.slow, 1);
    hung.settle(Success);
    assert_eq!(rig.log.take(), [Seen::Discarded(Success)]);
}

#[test]
fn without_a_failure_rate_one_failed_probe_fails_the_batch() {
    let rules = rules().failure_rate(None).consecutive_failures(4);
    let rig = Rig::due(rules.half_open_probes(100));
    rig.calls([Failure]);
    assert!(rig.is_open());
}

/// More than half of a batch decides, here where failures may reach one half. A batch once waited for its
/// slowest probe, so that with some long statements among the calls a healthy backend stayed half-open
/// for many seconds.
#[test]
fn batches_double_up_to_the_end_of_the_ramp() {
    let rig = Rig::due(rules().ramp(Ramp::UpTo(7)));
    let mut running = Vec::new();
    for (size, enough, next) in [(2, 2, Some(4)), (4, 3, Some(7)), (7, 4, None)] {
        while running.len() < size {
            running.push(rig.breaker.try_acquire().unwrap());
        }
        assert!(rig.breaker.try_acquire().is_err());
        for probe in running.drain(..enough) {
            assert_eq!(rig.state(), State::HalfOpen);
            rig.log.take();
            probe.settle(Success);
        }
        match next {
            Some(size) => assert_eq!(rig.log.take(), [Seen::Ramp(size)]),
            None => assert_eq!(rig.transitions(), [CLOSED]),
        }
    }
}

#[test]
fn a_probe_that_outlasts_its_batch_counts_in_the_next_one() {
    let rig = Rig::due(batch_of(4).ramp(Ramp::UpTo(8)));
    let [one, two, three, late] = probing(&rig);
    for probe in [one, two, three] {
        probe.settle(Success);
    }
    assert_eq!(rig.log.take(), [Seen::Ramp(8)]);
    let _others: [_; 7] = probing(&rig);
    assert!(rig.breaker.try_acquire().is_err());
    late.settle(Failure);
    assert_eq!(rig.log.take(), []);
    assert_eq!(rig.snapshot().totals.discarded, 0);
    assert!(
        rig.breaker.try_acquire().is_err(),
        "its result occupies its slot"
    );
}

#[test]
fn a_ramp_that_fails_starts_again_with_the_first_batch() {
    let rig = Rig::due(rules().ramp(Ramp::UpTo(8)));
    rig.calls([Success, Success, Failure, Failure]);
    assert!(rig.is_open());
    rig.pass(200);
    let _probes: [_; 2] = probing(&rig);
    assert!(rig.breaker.try_acquire().is_err());
}

#[test]
fn an_ignored_probe_frees_its_slot() {
    frees_its_slot(|probe| probe.settle(Ignored));
}

#[test]
fn an_abandoned_probe_frees_its_slot() {
    frees_its_slot(|probe| drop(probe));
}

fn frees_its_slot(end: impl FnOnce(Permit<'_>)) {
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

/// Such a probe counted as a failure, so the breaker never closed for a healthy backend whose calls
/// took longer than `probe_timeout`.
#[test]
fn a_probe_past_its_timeout_frees_its_slot_and_counts_when_it_ends() {
    let rig = Rig::due(batch_of(3));
    let [one, two, three] = probing(&rig);
    rig.pass(999);
    assert_eq!(rig.retry_after(), Some(ms(1)));
    rig.pass(1);
    let _others: [_; 3] = probing(&rig);
    assert!(rig.breaker.try_acquire().is_err());
    one.settle(Success);
    two.settle(Failure);
    assert_eq!(rig.state(), State::HalfOpen);
    three.settle(Success);
    assert_eq!(rig.transitions(), [CLOSED]);
}

#[test]
fn one_hung_probe_does_not_block_the_batch() {
    let rig = Rig::due(batch_of(3));
    let [hung] = probing(&rig);
    rig.pass(1_000);
    rig.calls([Success; 3]);
    assert_eq!(rig.transitions(), [CLOSED]);
    late(&rig, hung, Failure);
    assert_eq!(rig.state(), State::Closed);
}

/// The wait of a caller for its connection is not part of the statement.
#[test]
fn a_probe_that_waits_for_its_connection_is_not_slow() {
    let rig = Rig::due(rules().slow_call_rate(0.5).half_open_probes(1));
    let probe = rig
        .breaker
        .ticket(true)
        .unwrap()
        .unwrap()
        .reserve()
        .unwrap();
    rig.pass(900);
    assert_eq!(
        rig.breaker.rejection().unwrap().retry_after(),
        Some(ms(100))
    );
    let probe = rig.breaker.resume(probe).unwrap();
    rig.pass(63);
    probe.settle(Success);
    assert_eq!(rig.state(), State::Closed);
    assert_eq!(rig.snapshot().totals.slow, 0);
}

fn late(rig: &Rig, probe: Permit<'_>, verdict: Verdict) {
    rig.log.take();
    let before = rig.snapshot().totals.discarded;
    probe.settle(verdict);
    assert_eq!(rig.log.take(), [Seen::Discarded(verdict)]);
    assert_eq!(rig.snapshot().totals.discarded, before + 1);
}

/// The open duration started when a caller noticed that the probes hang, so after a quiet hour the
/// first caller was refused for the whole of it.
#[test]
fn the_open_duration_starts_when_the_probes_are_too_slow_and_not_when_that_is_noticed() {
    for (noticed_after, retry_after) in [(64, 200), (164, 100), (263, 1)] {
        let rig = Rig::due(rules().slow_call_rate(0.5));
        let [_hung] = probing(&rig);
        rig.pass(noticed_after);
        assert_eq!(rig.retry_after(), Some(ms(retry_after)));
        let opened = rig.log.take().into_iter().find_map(|event| match event {
            Seen::Transition(it) => it.retry_after,
            _ => None,
        });
        assert_eq!(opened, Some(ms(retry_after)));
    }
    let rig = Rig::due(rules().slow_call_rate(0.5));
    let [_hung] = probing(&rig);
    rig.pass(3_600_000);
    assert!(rig.breaker.try_acquire().unwrap().is_probe());
}

/// Two probes decide: the later of them is the one that opens the breaker.
#[test]
fn slow_probes_count_in_the_order_of_time() {
    let rig = Rig::due(rules().slow_call_rate(0.6));
    let first = rig.breaker.try_acquire().unwrap();
    rig.pass(10);
    let second = rig.breaker.try_acquire().unwrap();
    rig.pass(30);
    first.withdraw(); // the order in memory is no longer that of time
    let _third = rig.breaker.try_acquire().unwrap();
    rig.pass(164);
    assert_eq!(rig.retry_after(), Some(ms(100)));
    drop(second);
}
