//! The interleavings of what is lock-free:
//! `RUSTFLAGS="--cfg fusepool_loom" cargo test --lib --release loom`

use std::time::Duration;

use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use crate::breaker::running::{Running, STEPS, Started};
use crate::breaker::settings::Window;
use crate::breaker::tally::{Counts, Outcome, Tally};
use crate::breaker::window::Recent;

const ANSWER: Outcome = Outcome {
    failure: false,
    slow: false,
};
const FAULT: Outcome = Outcome {
    failure: true,
    slow: false,
};
const SLOW: Outcome = Outcome {
    failure: false,
    slow: true,
};

/// Every interleaving with up to two preemptions a run, where nearly all races show.
fn model(test: impl Fn() + Send + Sync + 'static) {
    let mut model = Builder::new();
    model.preemption_bound = Some(2);
    model.check(test);
}

/// Runs `calls` on `shared`, each on a thread of its own; returns what they return, in order.
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

/// No more failures or slow calls than calls: a rate above 1 would trip a healthy breaker.
#[track_caller]
fn assert_sane(seen: Counts) {
    assert!(seen.calls < 1_000, "{seen:?}");
    assert!(seen.failures <= seen.calls, "{seen:?}");
    assert!(seen.slow <= seen.calls, "{seen:?}");
}

#[test]
fn a_tally_loses_nothing() {
    model(|| {
        let tally = Arc::new(Tally::new());
        race(
            &tally,
            [
                |tally| {
                    tally.add(FAULT);
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
fn a_window_of_calls_is_exact_and_never_below_zero() {
    for size in [1, 2] {
        model(move || {
            let window = Arc::new(Recent::new(Window::calls(size), 0));
            window.record(0, FAULT);
            race(
                &window,
                [
                    |window| assert_sane(window.record(0, SLOW)),
                    |window| assert_sane(window.record(0, ANSWER)),
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
fn a_bucket_leaves_a_window_of_time_while_calls_are_recorded() {
    const WIDTH: u64 = 10;
    let window = Window::last(Duration::from_nanos(2 * WIDTH)).buckets(2);
    model(move || {
        let window = Arc::new(Recent::new(window, 0));
        window.record(0, FAULT);
        race(
            &window,
            [
                |window| assert_sane(window.record(0, FAULT)),
                |window| assert_sane(window.record(2 * WIDTH, ANSWER)),
                |window| assert_sane(window.counts(3 * WIDTH)),
            ],
        );
        let end = window.counts(3 * WIDTH);
        assert!(end.calls <= 2 && end.failures <= 1, "{end:?}");
        // Whatever was left behind leaves with its bucket: nothing is stuck in the total.
        assert_eq!(window.counts(6 * WIDTH), counts(0, 0, 0));
    });
}

/// Calls that started at 0, watched with slots of one nanosecond.
fn running<const N: usize>() -> Arc<(Running, [Started; N])> {
    let running = Running::new(Duration::from_nanos(STEPS), 0);
    let calls = [(); N].map(|()| running.start(0).unwrap());
    Arc::new((running, calls))
}

#[test]
fn a_call_is_counted_once_by_a_sweep_or_by_itself() {
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
fn a_call_that_starts_during_a_sweep_is_neither_lost_nor_taken_early() {
    /// One lap after the calls of [`running`], in the same word.
    const LATER: u64 = 2 * STEPS;
    fn start(now: u64, running: &Running) -> u32 {
        let overdue = running.sweep(now);
        let call = running.start(now).unwrap();
        // Its bound has not come for anyone who reads the same clock.
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
fn a_call_that_read_the_clock_long_ago_is_still_watched() {
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
