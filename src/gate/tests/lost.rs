//! Calls whose answers are lost.

use super::*;

/// A caller that waits for a connection after an outage.
#[derive(Clone, Copy)]
struct Outage {
    has_ended: bool,
    pool_is_full: bool,
    mode: Mode,
}

const ENDED: Outage = Outage {
    has_ended: true,
    pool_is_full: true,
    mode: Mode::Enforce,
};

/// The times at which the pool is to look for lost calls.
async fn searches(outage: Outage) -> Vec<Duration> {
    let start = Instant::now();
    let breaker = Breaker::builder()
        .clock(RuntimeClock(start))
        .stall_after(None);
    let gate = gate(breaker.mode(outage.mode));
    let (send, receive) = std::sync::mpsc::channel();
    gate.set_hooks(Hooks {
        starved: Some(Box::new(move || send.send(start.elapsed()).unwrap())),
        ..Hooks::default()
    });
    if outage.has_ended {
        tokio::time::sleep(Duration::from_secs(1)).await;
        gate.well_again();
    }
    let connect = pin!(pending::<Result<(), ()>>());
    let acquire = gate.acquire(
        DEFAULT_ACQUIRE_TIMEOUT,
        || outage.pool_is_full,
        |_: &()| Class::Failure,
        connect,
    );
    let _ = tokio::time::timeout(DEFAULT_ACQUIRE_TIMEOUT * 2, acquire).await;
    receive.try_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn lost_calls_are_looked_for_when_a_caller_has_waited_at_a_full_pool() {
    let waited = Duration::from_secs(1) + DEFAULT_ACQUIRE_TIMEOUT / 3;
    let [search] = searches(ENDED).await[..] else {
        panic!("once");
    };
    // The timers of the runtime have a resolution of one millisecond.
    let off = search.abs_diff(waited);
    assert!(off < Duration::from_millis(1), "{off:?}");
}

#[tokio::test(start_paused = true)]
async fn lost_calls_are_not_looked_for_where_they_block_no_caller() {
    let without_outage = Outage {
        has_ended: false,
        ..ENDED
    };
    let with_room = Outage {
        pool_is_full: false,
        ..ENDED
    };
    let observed = Outage {
        mode: Mode::Observe,
        ..ENDED
    };
    for (n, outage) in [without_outage, with_room, observed]
        .into_iter()
        .enumerate()
    {
        assert_eq!(searches(outage).await, [], "case {n}");
    }
}

/// A call with a deadline of its own, too.
#[tokio::test(start_paused = true)]
async fn a_call_whose_answer_is_lost_is_given_up() {
    for own in [None, Some(Duration::from_secs(600))] {
        let start = Instant::now();
        let gate = gate(Breaker::builder().clock(RuntimeClock(start)));
        let permit = gate.breaker().observe();
        let never = pending::<Result<(), &str>>();
        let lost = tokio::time::sleep(Duration::from_secs(1));
        let run = gate.run(permit, own, as_failure, never, lost);
        let Err(GateError::Deadline(missed)) = run.await else {
            panic!("it is given up");
        };
        assert_eq!(missed.awaited(), Awaited::LostAnswer);
        assert_eq!(start.elapsed().as_millis(), 1000);
        let snapshot = gate.snapshot();
        assert_eq!(
            (
                snapshot.totals.lost_answers,
                snapshot.breaker.totals.ignored
            ),
            (1, 1)
        );
    }
}
