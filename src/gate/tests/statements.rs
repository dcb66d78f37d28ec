//! Calls that hang, are slow, or run while the process stands still.

use super::*;

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
