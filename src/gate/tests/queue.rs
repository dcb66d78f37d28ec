//! Callers that wait for a connection, and those that probe.

use super::*;

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
