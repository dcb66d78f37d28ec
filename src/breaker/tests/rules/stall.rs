//! Pending calls without a success open the breaker.

use std::sync::atomic::Ordering;

use super::rig::{Failure, Ignored, Rig, Success, ms, rules};
use crate::breaker::builder::Builder;
use crate::breaker::permit::Permit;
use crate::breaker::state::{Mode, Reason, State};

const STALLED: [(State, State, Reason); 1] = [(State::Closed, State::Open, Reason::Stalled)];

/// Three pending calls and 64 ms make a stall.
fn stalling() -> Builder {
    rules().consecutive_failures(3)
}

/// Makes consecutive calls that are given up after so many milliseconds.
fn give_up<const N: usize>(rig: &Rig, after: [u64; N]) {
    for millis in after {
        let permit = rig.breaker.try_acquire().unwrap();
        rig.pass(millis);
        drop(permit);
    }
}

#[test]
fn callers_that_leave_early_do_not_hide_a_stall() {
    let rig = Rig::new(stalling());
    give_up(&rig, [20, 20, 20]);
    assert_eq!(rig.state(), State::Closed, "60 ms are not 64");
    give_up(&rig, [4]);
    assert_eq!(rig.transitions(), STALLED);
}

#[test]
fn too_few_pending_calls_are_no_stall() {
    let rig = Rig::new(stalling());
    give_up(&rig, [40, 400]);
    assert_eq!(rig.state(), State::Closed);
    give_up(&rig, [1]);
    assert!(rig.is_open());
}

#[test]
fn a_success_ends_a_stall() {
    let rig = Rig::new(stalling());
    give_up(&rig, [20, 20, 20]);
    rig.calls([Success]);
    give_up(&rig, [30, 30]);
    assert_eq!(rig.state(), State::Closed);
    give_up(&rig, [4]);
    assert!(rig.is_open());
}

#[test]
fn failures_and_ignored_calls_end_no_stall() {
    let rig = Rig::new(stalling());
    give_up(&rig, [20, 20]);
    rig.calls([Ignored, Failure]);
    give_up(&rig, [24]);
    assert_eq!(rig.transitions(), STALLED);
}

#[test]
fn idle_time_is_no_stall() {
    let rig = Rig::new(stalling());
    rig.calls([Success]);
    rig.pass(3_600_000);
    give_up(&rig, [20, 20, 20]);
    assert_eq!(rig.state(), State::Closed);
}

#[test]
fn a_single_long_statement_is_no_stall() {
    let rig = Rig::new(rules().consecutive_failures(1));
    give_up(&rig, [10_000]);
    assert_eq!(rig.state(), State::Closed);
}

#[test]
fn running_calls_count_while_they_run() {
    let rig = Rig::new(stalling());
    let calls = [(); 3].map(|()| rig.breaker.try_acquire().unwrap());
    let running = calls.each_ref().map(|call| call.running().unwrap());
    rig.pass(63);
    calls[0].is_unanswered();
    assert_eq!(rig.state(), State::Closed);
    rig.pass(1);
    drop(running);
    calls[0].is_unanswered();
    assert_eq!(rig.state(), State::Closed, "the calls have ended");
    let _running = calls.each_ref().map(|call| call.running().unwrap());
    calls[0].is_unanswered();
    assert_eq!(rig.transitions(), STALLED);
}

#[test]
fn calls_with_deadlines_of_their_own_do_not_count() {
    let rig = Rig::new(stalling());
    let mut calls = [(); 6].map(|()| rig.breaker.try_acquire().unwrap());
    calls.iter_mut().for_each(Permit::set_own_deadline);
    assert!(calls.iter().all(|call| call.running().is_none()));
    rig.pass(10_000);
    calls.iter().for_each(Permit::is_unanswered);
    drop(calls);
    assert_eq!(rig.state(), State::Closed);
}

#[test]
fn calls_in_the_queue_count() {
    let rig = Rig::new(stalling());
    rig.breaker.waiting().fetch_add(3, Ordering::AcqRel);
    rig.pass(64);
    rig.breaker.still_waits(0, false, false);
    assert_eq!(rig.transitions(), STALLED);
}

/// The connections are held by idle transactions, or by statements with a deadline of their own:
/// the pool is too small.
#[test]
fn calls_in_the_queue_do_not_count_while_callers_hold_all_connections() {
    let rig = Rig::new(stalling());
    rig.breaker.waiting().fetch_add(3, Ordering::AcqRel);
    rig.pass(64);
    rig.breaker.still_waits(0, true, true);
    assert_eq!(rig.state(), State::Closed);
    let hangs = rig.breaker.observe();
    let running = hangs.running().unwrap();
    rig.breaker.still_waits(0, false, true);
    assert_eq!(rig.state(), State::Open, "a statement hangs");
    drop(running);
}

#[test]
fn calls_of_an_older_generation_do_not_count() {
    let rig = Rig::new(stalling());
    let calls = [(); 3].map(|()| rig.breaker.try_acquire().unwrap());
    rig.breaker.reset();
    rig.pass(64);
    assert!(calls[0].running().is_none());
    drop(calls);
    assert_eq!(rig.state(), State::Closed);
}

#[test]
fn a_stall_opens_a_half_open_breaker_again() {
    let rig = Rig::due(rules().consecutive_failures(4));
    rig.log.take();
    give_up(&rig, [32, 30, 1, 1]);
    assert_eq!(
        rig.transitions(),
        [
            (State::Open, State::HalfOpen, Reason::OpenDurationElapsed),
            (State::HalfOpen, State::Open, Reason::Stalled)
        ]
    );
    assert_eq!(rig.snapshot().attempt, 2);
}

#[test]
fn stall_after_can_be_longer_or_disabled() {
    let rig = Rig::new(stalling().stall_after(ms(1_000)));
    give_up(&rig, [300, 300, 300]);
    assert_eq!(rig.state(), State::Closed);
    give_up(&rig, [100]);
    assert!(rig.is_open());
    let rig = Rig::new(stalling().stall_after(None));
    give_up(&rig, [10_000; 9]);
    assert_eq!(rig.state(), State::Closed);
}

#[test]
fn stalls_open_an_observing_breaker_and_not_a_disabled_one() {
    let rig = Rig::new(stalling().mode(Mode::Observe));
    give_up(&rig, [30; 3]);
    assert_eq!(rig.transitions(), STALLED);
    assert!(rig.breaker.try_acquire().is_ok());
    let rig = Rig::new(stalling().mode(Mode::Disabled));
    give_up(&rig, [30; 9]);
    assert_eq!(rig.state(), State::Closed);
}
