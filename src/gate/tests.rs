//! Those who wait for a connection, when the breaker opens.

use std::future::{pending, ready};
use std::pin::pin;

use tokio::sync::Semaphore;

use super::*;
use crate::breaker::{DEFAULT_OPEN_DELAY, Mode};
use crate::limits::DEFAULT_ACQUIRE_TIMEOUT;
use crate::time::ManualClock;

type Acquired = Result<((), bool), GateError<&'static str>>;

fn gate(breaker: Builder) -> Gate {
    Gate::builder(breaker.consecutive_failures(1))
        .build()
        .unwrap()
}

async fn acquire(gate: &Gate, connect: impl Future<Output = Result<(), &'static str>>) -> Acquired {
    let (connection, probe) = gate
        .acquire(DEFAULT_ACQUIRE_TIMEOUT, |_| Class::Fault, pin!(connect))
        .await?;
    Ok((connection, probe.is_some()))
}

/// A statement elsewhere, that opens the breaker.
async fn fault(gate: &Gate) {
    gate.breaker().observe().settle(Verdict::Fault);
}

fn is_rejected(acquired: &Acquired) -> bool {
    matches!(acquired, Err(GateError::Rejected(Rejected::Circuit { .. })))
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_are_refused_as_soon_as_the_breaker_opens() {
    let gate = gate(Breaker::builder());
    let started = tokio::time::Instant::now();
    let (first, second, ()) = tokio::join!(
        acquire(&gate, pending()),
        acquire(&gate, pending()),
        fault(&gate)
    );
    assert!(is_rejected(&first), "{first:?}");
    assert!(is_rejected(&second), "{second:?}");
    assert_eq!(started.elapsed(), Duration::ZERO);
    let snapshot = gate.snapshot();
    assert_eq!((snapshot.waiting, snapshot.deadlines), (0, 0));
    assert_eq!((snapshot.breaker.rejected, snapshot.breaker.faults), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn nobody_takes_over_the_place_of_one_who_was_refused() {
    let gate = gate(Breaker::builder());
    let (places, attempts) = (Semaphore::new(1), AtomicU32::new(0));
    let connect = || async {
        let _place = places.acquire().await;
        attempts.fetch_add(1, Ordering::Relaxed);
        pending().await
    };
    let (first, second, ()) = tokio::join!(
        acquire(&gate, connect()),
        acquire(&gate, connect()),
        fault(&gate)
    );
    assert!(is_rejected(&first) && is_rejected(&second));
    assert_eq!(attempts.into_inner(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_began_to_connect_before_the_breaker_opened_does_not_begin_to_wait() {
    let gate = gate(Breaker::builder());
    let acquired = acquire(&gate, async {
        fault(&gate).await;
        pending().await
    })
    .await;
    assert!(is_rejected(&acquired), "{acquired:?}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_if_the_open_breaker_rejects_nothing() {
    let gate = gate(Breaker::builder().mode(Mode::Observe));
    let connect = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(())
    };
    let (acquired, ()) = tokio::join!(acquire(&gate, connect), fault(&gate));
    assert_eq!(acquired, Ok(((), false)));
    assert_eq!(gate.snapshot().breaker.trips, 1);
}

#[tokio::test(start_paused = true)]
async fn a_probe_waits_for_its_connection() {
    let clock = ManualClock::new();
    let gate = gate(Breaker::builder().clock(clock.clone()).jitter(0.0));
    fault(&gate).await;
    clock.advance(DEFAULT_OPEN_DELAY);
    let acquired = gate
        .acquire(
            DEFAULT_ACQUIRE_TIMEOUT,
            |_: &&str| Class::Fault,
            pin!(ready(Ok(()))),
        )
        .await;
    let probe = acquired.unwrap().1;
    assert!(probe.is_some_and(|probe| probe.is_probe()));
}

/// A prober on a current-thread runtime only gets on while somebody blocks on that, and a refused
/// call takes no time at all.
#[test]
fn a_prober_that_never_runs_does_not_keep_the_breaker_open_for_ever() {
    let clock = crate::time::ManualClock::new();
    let breaker = Breaker::builder()
        .clock(clock.clone())
        .open_delay(Duration::from_millis(100))
        .probe_timeout(Duration::from_millis(100))
        .jitter(0.0);
    let gate = gate(breaker);
    let _stuck = gate.reserve_probing().unwrap();
    gate.breaker().observe().settle(Verdict::Fault);
    clock.advance(Duration::from_millis(399));
    assert!(gate.admit().is_err());
    clock.advance(Duration::from_millis(1));
    let probe = gate.admit().unwrap().unwrap();
    assert!(probe.is_probe());
}

/// How long a call is waited for whose answer never comes, when the backend is found to be well
/// again after a second.
async fn patience(own: Option<Duration>, someone_waits: bool, someone_is_served: bool) -> Duration {
    let gate = gate(Breaker::builder().clock(ManualClock::new()));
    let permit = gate.breaker().observe();
    let call = gate.run(permit, own, |_| Class::Fault, pending::<Result<(), &str>>());
    let rest = async {
        let waiting = async {
            if someone_waits {
                let _ = acquire(&gate, pending()).await;
            }
        };
        let recovery = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if someone_is_served {
                gate.acquired();
            }
            gate.give_up_lost_calls(Duration::from_millis(200));
        };
        tokio::join!(waiting, recovery)
    };
    match tokio::join!(call, rest).0 {
        Err(GateError::Deadline(missed)) => missed.limit(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_call_is_given_up_only_if_its_place_is_needed() {
    let default = crate::limits::DEFAULT_QUERY_TIMEOUT;
    assert_eq!(patience(None, true, false).await, Duration::from_secs(1));
    assert_eq!(patience(None, false, false).await, default);
    assert_eq!(patience(None, true, true).await, default);
    let own = Duration::from_secs(600);
    assert_eq!(patience(Some(own), true, false).await, own);
}
