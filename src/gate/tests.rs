//! Callers in the queue when the breaker opens, and calls that are never answered.

use std::future::{pending, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::at_once::at_once;
use super::*;
use crate::breaker::clock::{Clock, ManualClock};
use crate::breaker::settings::DEFAULT_OPEN_DURATION;
use crate::breaker::state::State;
use crate::breaker::verdict::{Class, Verdict};
use crate::gate::limits::{DEFAULT_ACQUIRE_TIMEOUT, DEFAULT_QUERY_TIMEOUT};
use crate::outcome::code::ErrorCode;
use crate::outcome::error::{Awaited, GateError, Refused};

type Acquired = Result<((), bool), GateError<&'static str>>;

fn gate(breaker: Builder) -> Gate {
    let gate = Gate::builder(breaker.consecutive_failures(1));
    gate.build().unwrap()
}

fn as_failure<E>(_: &E) -> (Class, Option<ErrorCode>) {
    (Class::Failure, None)
}

async fn acquire(gate: &Gate, connect: impl Future<Output = Result<(), &'static str>>) -> Acquired {
    let (connection, probe) = gate
        .acquire(
            DEFAULT_ACQUIRE_TIMEOUT,
            || true,
            |_| Class::Failure,
            pin!(connect),
        )
        .await?;
    Ok((connection, probe.is_some()))
}

/// A failed statement of another call. It opens the breaker.
async fn failure(gate: &Gate) {
    gate.breaker().observe().settle(Verdict::Failure);
}

fn is_rejected(acquired: &Acquired) -> bool {
    matches!(acquired, Err(GateError::Refused(Refused::Circuit { .. })))
}

#[tokio::test(start_paused = true)]
async fn the_whole_queue_is_refused_as_soon_as_the_breaker_opens() {
    let gate = gate(Breaker::builder());
    let started = tokio::time::Instant::now();
    let (first, second, ()) = tokio::join!(
        acquire(&gate, pending()),
        acquire(&gate, pending()),
        failure(&gate)
    );
    assert!(is_rejected(&first), "{first:?}");
    assert!(is_rejected(&second), "{second:?}");
    assert_eq!(started.elapsed(), Duration::ZERO);
    let snapshot = gate.snapshot();
    assert_eq!((snapshot.waiting, snapshot.totals.deadlines), (0, 0));
    assert_eq!(
        (
            snapshot.breaker.totals.rejected,
            snapshot.breaker.totals.failures
        ),
        (2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn no_caller_connects_in_place_of_a_refused_one() {
    let gate = gate(Breaker::builder());
    let (slots, attempts) = (Semaphore::new(1), AtomicU32::new(0));
    let connect = || async {
        let _slot = slots.acquire().await;
        attempts.fetch_add(1, Ordering::Relaxed);
        pending().await
    };
    let (first, second, ()) = tokio::join!(
        acquire(&gate, connect()),
        acquire(&gate, connect()),
        failure(&gate)
    );
    assert!(is_rejected(&first) && is_rejected(&second));
    assert_eq!(attempts.into_inner(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_connecting_when_the_breaker_opens_is_refused() {
    let gate = gate(Breaker::builder());
    let acquired = acquire(&gate, async {
        failure(&gate).await;
        pending().await
    })
    .await;
    assert!(is_rejected(&acquired), "{acquired:?}");
}

#[tokio::test(start_paused = true)]
async fn the_queue_waits_on_while_an_open_breaker_only_observes() {
    let gate = gate(Breaker::builder().mode(Mode::Observe));
    let connect = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(())
    };
    let (acquired, ()) = tokio::join!(acquire(&gate, connect), failure(&gate));
    assert_eq!(acquired, Ok(((), false)));
    assert_eq!(gate.snapshot().breaker.totals.trips, 1);
}

#[tokio::test(start_paused = true)]
async fn a_probe_waits_for_its_connection() {
    let clock = ManualClock::new();
    let gate = gate(Breaker::builder().clock(clock.clone()).jitter(0.0));
    failure(&gate).await;
    clock.advance(DEFAULT_OPEN_DURATION);
    let acquired = gate
        .acquire(
            DEFAULT_ACQUIRE_TIMEOUT,
            || true,
            |_: &&str| Class::Failure,
            pin!(ready(Ok(()))),
        )
        .await;
    let probe = acquired.unwrap().1;
    assert!(probe.is_some());
}

/// When an operator held the breaker open, or made it enforce again, the queue was not refused and
/// connected to a database that the operator wanted to spare.
#[tokio::test(start_paused = true)]
async fn the_queue_is_refused_as_soon_as_an_operator_opens_or_enforces() {
    let gate = gate(Breaker::builder());
    let waits = acquire(&gate, pending());
    let operator = async { gate.breaker().force_open() };
    let (acquired, held) = tokio::join!(waits, operator);
    assert!(is_rejected(&acquired), "{acquired:?}");
    drop(held);

    gate.breaker().set_mode(Mode::Observe);
    failure(&gate).await;
    let operator = async { gate.breaker().set_mode(Mode::Enforce) };
    let (acquired, ()) = tokio::join!(acquire(&gate, pending()), operator);
    assert!(is_rejected(&acquired), "{acquired:?}");
}

/// A prober on a current-thread runtime runs only while a thread blocks on that runtime, and a
/// refused call returns at once.
#[test]
fn a_prober_that_never_runs_does_not_keep_the_breaker_open_for_ever() {
    let clock = crate::breaker::clock::ManualClock::new();
    let breaker = Breaker::builder()
        .clock(clock.clone())
        .open_duration(Duration::from_millis(100))
        .probe_timeout(Duration::from_millis(100))
        .jitter(0.0);
    let gate = gate(breaker);
    let _stuck = gate.reserve_probing().unwrap();
    gate.breaker().observe().settle(Verdict::Failure);
    clock.advance(Duration::from_millis(399));
    assert!(gate.admit().is_err());
    clock.advance(Duration::from_millis(1));
    let probe = gate.admit().unwrap().unwrap();
    assert!(probe.is_probe());
}

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

#[derive(Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

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

/// The gate ended statements while it should only have observed them.
#[tokio::test(start_paused = true)]
async fn a_breaker_that_does_not_enforce_ends_and_refuses_nothing() {
    for mode in [Mode::Observe, Mode::Disabled] {
        let limits = Limits {
            max_queue: 1,
            ..Limits::default()
        };
        let builder = Breaker::builder()
            .clock(RuntimeClock(Instant::now()))
            .mode(mode);
        let gate = Gate::new(
            builder,
            limits,
            "query_timeout",
            SinkList::default(),
            Backend::default(),
        );
        let gate = gate.unwrap();
        for state in ["closed", "half-open"] {
            let late = || async {
                tokio::time::sleep(DEFAULT_QUERY_TIMEOUT * 10).await;
                Ok(())
            };
            let callers = (0..3).map(|_| acquire(&gate, late()));
            for acquired in futures_util::future::join_all(callers).await {
                assert!(acquired.is_ok(), "{mode:?}, {state}: {acquired:?}");
            }
            assert_eq!(gate.call(&|_: &&str| Class::Failure, late()).await, Ok(()));
            for _ in 0..5 {
                failure(&gate).await;
            }
            tokio::time::sleep(DEFAULT_OPEN_DURATION * 2).await;
        }
        let snapshot = gate.snapshot();
        assert_eq!(
            (snapshot.totals.deadlines, snapshot.totals.saturated),
            (0, 0),
            "{mode:?}"
        );
        let own = Duration::from_secs(1);
        let permit = gate.breaker().observe();
        let never = pending::<Result<(), &str>>();
        let missed = (gate.run(permit, Some(own), as_failure, never, pending())).await;
        assert!(matches!(missed, Err(GateError::Deadline(_))), "{missed:?}");
    }
}

/// Each call was a probe, was cut off as one and failed, so the breaker stayed open for a healthy
/// backend.
#[tokio::test(start_paused = true)]
async fn the_breaker_closes_for_a_healthy_backend_however_long_its_calls_take() {
    for (slow_call_threshold, takes) in [(1_000, 950), (10_000, 1_200), (10_000, 9_000)] {
        let [slow_call_threshold, takes] = [slow_call_threshold, takes].map(Duration::from_millis);
        let breaker = Breaker::builder().clock(RuntimeClock(Instant::now()));
        let gate = gate(breaker.slow_call_threshold(slow_call_threshold));
        failure(&gate).await;
        let opened = Instant::now();
        let callers = (0..4).map(|_| async {
            while gate.breaker().state() != State::Closed {
                let call = async {
                    tokio::time::sleep(takes).await;
                    Ok::<_, &str>(())
                };
                match gate.call(&|_: &&str| Class::Failure, call).await {
                    Err(GateError::Refused(_)) => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                    called => called.unwrap(),
                }
            }
        });
        futures_util::future::join_all(callers).await;
        // Batches of three, six and ten probes, by four callers.
        let bound = Duration::from_secs(1) + takes * 8;
        assert!(
            opened.elapsed() < bound,
            "{takes:?}: {:?}",
            opened.elapsed()
        );
        assert_eq!(gate.snapshot().breaker.totals.trips, 1);
    }
}

/// No other call arrives, so the hung calls themselves must detect the stall.
#[tokio::test(start_paused = true)]
async fn calls_that_hang_open_the_breaker_by_themselves() {
    let clock = RuntimeClock(Instant::now());
    let gate = Gate::builder(Breaker::builder().clock(clock).minimum_calls(100));
    let gate = gate.build().unwrap();
    let hung = (0..5).map(|n| {
        let gate = &gate;
        async move {
            tokio::time::sleep(Duration::from_millis(50 * n)).await;
            let never = pending::<Result<(), &str>>();
            gate.call(&|_: &&str| Class::Failure, never).await
        }
    });
    let opened = async {
        while gate.breaker().state() == State::Closed {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        gate.now()
    };
    let opened = Box::pin(opened);
    let hung = Box::pin(futures_util::future::join_all(hung));
    let futures_util::future::Either::Left((opened, _)) =
        futures_util::future::select(opened, hung).await
    else {
        panic!("the calls hang");
    };
    // From the start of the first call to the first check for a stall.
    assert!(
        (1_000_000_000..1_250_000_000).contains(&opened),
        "{opened} ns"
    );
}

/// A task that drives many calls may not poll one of them for long.
#[tokio::test(start_paused = true)]
async fn a_deadline_does_not_depend_on_when_the_call_is_polled() {
    let gate = gate(Breaker::builder());
    let never = pin!(pending::<()>());
    let mut call = pin!(gate.bounded(None, None, Duration::ZERO, never, pending()));
    assert!(at_once(call.as_mut()).await.is_none());
    tokio::time::sleep(DEFAULT_QUERY_TIMEOUT * 2 / 3).await;
    let polled_at = Instant::now();
    assert!(call.await.is_err());
    assert_eq!(polled_at.elapsed(), DEFAULT_QUERY_TIMEOUT / 3);
}

/// The call whose admission reveals that all others hang is refused.
#[tokio::test]
async fn a_statement_whose_admission_opens_the_breaker_is_refused() {
    let clock = ManualClock::new();
    let breaker = Breaker::builder().clock(clock.clone()).minimum_calls(9);
    let gate = gate(breaker.slow_call_threshold(Duration::from_secs(1)));
    let hung: Vec<_> = (0..9).map(|_| gate.breaker().observe()).collect();
    clock.advance(Duration::from_secs(2));
    let connected = acquire(&gate, ready(Ok(()))).await;
    assert_eq!(connected, Ok(((), false)));
    assert!(gate.admit_on_lease().is_err());
    assert_eq!(
        gate.snapshot().breaker.totals.ignored,
        0,
        "the call was not made"
    );
    drop(hung);
}

/// The background probe needs the thread, too.
#[tokio::test]
async fn a_retry_loop_lets_other_tasks_run() {
    let gate = gate(Breaker::builder());
    let _open = gate.breaker().force_open();
    let other = tokio::spawn(async {});
    for _ in 0..1000 {
        assert!(is_rejected(&acquire(&gate, pending()).await));
    }
    assert!(other.is_finished());
}

/// Regression: a process that stood still for a moment, since its container was throttled or a
/// handler computed, took the lateness of ten answers for slowness of the database, and opened.
#[tokio::test(start_paused = true)]
async fn the_time_in_which_the_process_stands_still_is_nobodys() {
    let start = Instant::now();
    let breaker = Breaker::builder().clock(RuntimeClock(start));
    let gate = gate(breaker.slow_call_threshold(Duration::from_secs(1)));
    let statement = || async {
        let permit = gate.breaker().observe();
        let answer = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok::<(), &str>(())
        };
        gate.run(permit, None, as_failure, answer, pending()).await
    };
    let stands_still = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        tokio::time::advance(Duration::from_millis(1_200)).await;
        // The handler goes on to its own statement.
        gate.admit_on_lease()
            .map(|permit| permit.settle(Verdict::Success))
    };
    let statements = std::array::from_fn::<_, 10, _>(|_| statement());
    let [a, b, c, d, e, f, g, h, i, j] = statements;
    let ended = tokio::join!(stands_still, a, b, c, d, e, f, g, h, i, j);
    assert!(ended.0.is_ok() && ended.10.is_ok());
    let seen = gate.snapshot().breaker;
    assert_eq!(
        (seen.totals.trips, seen.totals.slow, seen.totals.successes),
        (0, 0, 11)
    );
}

/// Regression test: a full server refuses connections sooner than it opens the first one, which opened
/// the breaker of a pool that had just started.
#[tokio::test]
async fn a_call_is_starved_only_if_none_obtained_a_connection_for_long() {
    let clock = ManualClock::new();
    let gate = gate(Breaker::builder().clock(clock.clone()));
    let starve = async || {
        let full = pin!(ready(Err::<(), _>("full")));
        let limit = DEFAULT_ACQUIRE_TIMEOUT;
        let acquired = gate.acquire(limit, || true, |_| Class::Starved, full).await;
        assert!(acquired.is_err());
    };
    for _ in 0..10 {
        starve().await;
    }
    assert_eq!(gate.breaker().state(), State::Closed);
    clock.advance(DEFAULT_ACQUIRE_TIMEOUT);
    starve().await;
    assert_eq!(gate.breaker().state(), State::Open);
}

#[tokio::test]
async fn a_full_pooler_is_no_failure_while_other_statements_are_answered() {
    let clock = ManualClock::new();
    let gate = gate(Breaker::builder().clock(clock.clone()));
    let starve = async || {
        let (permit, full) = (gate.breaker().observe(), ready(Err::<(), _>("full")));
        let result = gate
            .run(permit, None, |_| (Class::Starved, None), full, pending())
            .await;
        assert!(result.is_err());
    };
    clock.advance(Duration::from_secs(60));
    gate.breaker().observe().settle(Verdict::Success);
    clock.advance(DEFAULT_ACQUIRE_TIMEOUT);
    starve().await;
    assert_eq!(gate.breaker().state(), State::Closed);
    clock.advance(DEFAULT_ACQUIRE_TIMEOUT);
    starve().await;
    assert_eq!(gate.breaker().state(), State::Open);
}

/// Regression: a second reservation that was refused ended the first one, and dozens of tasks asked the
/// database at the same time.
#[test]
fn a_reservation_that_is_refused_leaves_the_other_one_alone() {
    let gate = gate(Breaker::builder());
    let asking = gate.reserve_asking();
    assert!(asking.is_some());
    assert!(gate.reserve_asking().is_none() && gate.reserve_asking().is_none());
    drop(asking);
    assert!(gate.reserve_asking().is_some());
}
