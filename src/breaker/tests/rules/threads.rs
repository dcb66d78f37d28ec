//! Many threads at once: no call is lost or counted twice, and no batch has too many probes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use super::rig::{Failure, Ignored, Rig, Success, ms, rules, slow_rules};
use crate::breaker::builder::Builder;
use crate::breaker::handle::Breaker;
use crate::breaker::permit::Permit;
use crate::breaker::settings::{Ramp, Window};
use crate::breaker::state::State;

const THREADS: u64 = 8;
const CALLS: u64 = 20_000;

/// Runs `work` on every thread, each with its own random generator.
fn on_all_threads(work: impl Fn(&mut fastrand::Rng) + Sync) {
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(&mut fastrand::Rng::with_seed(seed)));
        }
    });
}

#[test]
fn every_permit_ends_in_one_count() {
    let windows = [Window::calls(3), Window::last(ms(50)), Window::calls(100)];
    for window in windows {
        let rules = slow_rules().window(window).minimum_calls(3);
        every_permit_ends_in_one_count_under(rules.failure_rate(0.7).ramp(Ramp::UpTo(5)));
    }
}

fn every_permit_ends_in_one_count_under(rules: Builder) {
    let rig = Rig::new(rules);
    let (issued, rejected) = (AtomicU64::new(0), AtomicU64::new(0));
    on_all_threads(|random| {
        for _ in 0..CALLS {
            rig.clock.advance(ms(random.u64(0..2)));
            let Ok(permit) = rig.breaker.try_acquire() else {
                rejected.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            issued.fetch_add(1, Ordering::Relaxed);
            match random.u32(0..100) {
                0..45 => permit.settle(Success),
                45..90 => permit.settle(Failure),
                90..95 => permit.settle(Ignored),
                _ => drop(permit),
            }
        }
    });
    let now = rig.snapshot();
    let ended =
        now.totals.successes + now.totals.failures + now.totals.ignored + now.totals.abandoned;
    assert_eq!(ended, issued.into_inner());
    assert_eq!(now.totals.rejected, rejected.into_inner());
    assert_eq!(ended + now.totals.rejected, THREADS * CALLS);
}

#[test]
fn a_window_is_exact_once_its_calls_have_ended() {
    let calls = 4 * THREADS * CALLS;
    let never = rules().minimum_calls(10).failure_rate(1.0);
    let rig = Rig::new(never.clone());
    on_all_threads(|random| {
        for _ in 0..CALLS {
            let verdict = if random.u32(0..20) == 0 {
                Failure
            } else {
                Success
            };
            rig.calls([verdict]);
        }
    });
    rig.calls([Success; 10]);
    assert_eq!(
        (
            rig.snapshot().window.calls,
            rig.snapshot().window.failure_rate
        ),
        (10, 0.0)
    );

    let rig = Rig::new(never.window(Window::last(ms(calls))));
    on_all_threads(|_| (0..CALLS).for_each(|_| rig.calls([Success])));
    assert_eq!(u64::from(rig.snapshot().window.calls), THREADS * CALLS);
    rig.pass(calls);
    assert_eq!(rig.snapshot().window.calls, 0);
}

#[test]
fn never_more_probes_run_than_the_batch_has_slots() {
    const SLOTS: u32 = 3;
    let rig = Rig::due(rules().half_open_probes(SLOTS));
    let (running, most) = (AtomicU32::new(0), AtomicU32::new(0));
    on_all_threads(|random| {
        for _ in 0..CALLS {
            let Ok(probe) = rig.breaker.try_acquire() else {
                continue;
            };
            let now = running.fetch_add(1, Ordering::AcqRel) + 1;
            most.fetch_max(now, Ordering::AcqRel);
            if random.bool() {
                thread::yield_now();
            }
            running.fetch_sub(1, Ordering::AcqRel);
            // Ignored, so that the breaker stays half-open.
            probe.settle(Ignored);
        }
    });
    assert_eq!(most.into_inner(), SLOTS);
    assert_eq!(rig.state(), State::HalfOpen);
    // No slot was lost.
    rig.calls([Success; SLOTS as usize]);
    assert_eq!(rig.state(), State::Closed);
}

/// A thread remembers the epochs of some breakers. These are more, and all of them change.
#[test]
fn a_thread_that_uses_many_breakers_finds_each_in_its_own_state() {
    let breakers: Vec<_> = (0..100)
        .map(|_| Breaker::builder().build().unwrap())
        .collect();
    for round in 0..4 {
        let is_open = |number: usize| (number + round).is_multiple_of(3);
        for (number, breaker) in breakers.iter().enumerate() {
            match is_open(number) {
                true => breaker.trip_for(ms(60_000)),
                false => breaker.reset(),
            }
        }
        let check = || {
            for (number, breaker) in breakers.iter().enumerate() {
                let permit = breaker.try_acquire();
                assert_eq!(
                    permit.is_err(),
                    is_open(number),
                    "{number} in round {round}"
                );
                permit.into_iter().for_each(Permit::withdraw);
                assert_eq!(breaker.state() == State::Open, is_open(number), "{number}");
            }
        };
        check();
        // On a thread that has seen none of them, and on it again after it has seen all.
        thread::scope(|scope| {
            scope.spawn(|| (0..2).for_each(|_| check()));
        });
    }
}
