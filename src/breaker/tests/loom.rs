//! Model checking of the lock-free parts:
//! `.ci/interleavings`

use std::time::Duration;

use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use crate::breaker::running::{Running, STEPS, Started};
use crate::breaker::settings::Window;
use crate::breaker::tally::{Counts, Outcome, Tally};
use crate::breaker::window::Recent;

const SUCCESS: Outcome = Outcome {
    failure: false,
    slow: false,
};
const FAILURE: Outcome = Outcome {
    failure: true,
    slow: false,
};
const SLOW: Outcome = Outcome {
    failure: false,
    slow: true,
};

/// Explores every interleaving with up to two preemptions per run, which finds nearly all races.
fn model(test: impl Fn() + Send + Sync + 'static) {
    let mut model = Builder::new();
    model.preemption_bound = Some(2);
    model.check(test);
}

/// Runs each of `calls` on `shared` in a thread of its own; returns their results in order.
fn race<S: Send + Sync + 'static, R: 'static, const N: usize>(
    shared: &Arc<S>,
    calls: [fn(&S) -> R; N],
) -> Vec<R> {
    let start = |call: fn(&S) -> R| {
        let shared = Arc::clone(shared);
        thread::spawn(move || call(&shared))
    };
    let threads: Vec<_> = calls.into_iter().map(start).collect();
    (threads.into_iter())
        .map(|thread| thread.join().unwrap())
        .collect()
}

fn counts(calls: u32, failures: u32, slow: u32) -> Counts {
    Counts {
        calls,
        failures,
        slow,
    }
}

/// There are never more failures or slow calls than calls: a rate above 1 would open a healthy
/// breaker.
#[track_caller]
fn assert_sane(seen: Counts) {
    assert!(seen.calls < 1_000, "{seen:?}");
    assert!(seen.failures <= seen.calls, "{seen:?}");
    assert!(seen.slow <= seen.calls, "{seen:?}");
}

#[test]
fn a_tally_loses_no_call() {
    model(|| {
        let tally = Arc::new(Tally::new());
        race(
            &tally,
            [
                |tally| {
                    tally.add(FAILURE);
                    tally.add(SLOW);
                },
                |tally| assert_sane(tally.add(SLOW)),
                |tally| assert_sane(tally.counts()),
            ],
        );
        assert_eq!(tally.take(), counts(3, 1, 2));
        assert_eq!(tally.counts(), counts(0, 0, 0));
    });
}

#[test]
fn a_call_window_is_exact_and_never_below_zero() {
    for size in [1, 2] {
        model(move || {
            let window = Arc::new(Recent::new(Window::calls(size), 0));
            window.record(0, FAILURE);
            race(
                &window,
                [
                    |window| assert_sane(window.record(0, SLOW)),
                    |window| assert_sane(window.record(0, SUCCESS)),
                    |window| assert_sane(window.counts(0)),
                ],
            );
            // The failure was the first to leave.
            let end = window.counts(0);
            assert_eq!((end.calls, end.failures), (size, 0));
            assert!(size == 1 || end.slow == 1);
        });
    }
}

#[test]
fn a_bucket_expires_while_calls_are_recorded() {
    const WIDTH: u64 = 10;
    let window = Window::last(Duration::from_nanos(2 * WIDTH)).buckets(2);
    model(move || {
        let window = Arc::new(Recent::new(window, 0));
        window.record(0, FAILURE);
        race(
            &window,
            [
                |window| assert_sane(window.record(0, FAILURE)),
                |window| assert_sane(window.record(2 * WIDTH, SUCCESS)),
                |window| assert_sane(window.counts(3 * WIDTH)),
            ],
        );
        let end = window.counts(3 * WIDTH);
        assert!(end.calls <= 2 && end.failures <= 1, "{end:?}");
        // A late call leaves with its bucket: no call remains in the total for ever.
        assert_eq!(window.counts(6 * WIDTH), counts(0, 0, 0));
    });
}

/// Running calls that started at 0, in slots of one nanosecond.
fn running<const N: usize>() -> Arc<(Running, [Started; N])> {
    let running = Running::new(Duration::from_nanos(STEPS), 0);
    let calls = [(); N].map(|()| running.start(0).unwrap());
    Arc::new((running, calls))
}

#[test]
fn either_a_sweep_or_the_end_counts_a_call() {
    model(|| {
        let shared = running::<2>();
        let counted = race(
            &shared,
            [
                |(running, [call, _])| u32::from(running.finish(*call)),
                |(running, _)| running.sweep(STEPS),
                |(running, _)| running.sweep(3 * STEPS),
            ],
        );
        let (running, [_, hung]) = &*shared;
        assert_eq!(counted.iter().sum::<u32>(), 2);
        assert!(!running.finish(*hung));
    });
}

#[test]
fn a_call_that_starts_during_a_sweep_is_neither_lost_nor_slow_too_early() {
    /// One lap after the calls of [`running`], in the same word.
    const LATER: u64 = 2 * STEPS;
    fn start(now: u64, running: &Running) -> u32 {
        let overdue = running.sweep(now);
        let call = running.start(now).unwrap();
        // At the same time on the clock, the call is not slow.
        assert_eq!(running.sweep(now), 0);
        assert!(running.finish(call));
        running.start(now).unwrap();
        overdue
    }
    model(|| {
        let shared = running::<1>();
        let overdue = race(
            &shared,
            [
                |(running, _)| start(LATER, running),
                |(running, _)| start(LATER, running),
            ],
        );
        let (running, _) = &*shared;
        assert_eq!(overdue.iter().sum::<u32>(), 1);
        assert_eq!(running.sweep(LATER + STEPS), 2);
    });
}

#[test]
fn a_call_with_an_old_clock_reading_is_tracked() {
    model(|| {
        let shared = running::<1>();
        let overdue = race(
            &shared,
            [
                |(running, _)| {
                    let overdue = running.sweep(0);
                    running.start(0).unwrap();
                    overdue
                },
                |(running, _)| running.sweep(9 * STEPS),
            ],
        );
        let (running, _) = &*shared;
        let rest = running.sweep(20 * STEPS);
        assert_eq!(overdue.iter().sum::<u32>() + rest, 2);
    });
}
