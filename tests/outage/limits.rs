//! Limits: too many callers, missed deadlines, and errors that the breaker ignores.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use fusepool::{Delivery, GuardConfig, Refused};
use futures_util::future::join_all;

use crate::deadlines;
use crate::dialect::Dialect;
use crate::support::eventually;
use crate::support::proxy::Fault;
use crate::system::System;
use crate::world::{AT_ONCE, CONNECTIONS, QUERY_TIMEOUT, World, quick};

on_all! {
    one_caller_too_many
    refused_again_and_again_on_a_lease
    deadline
    limits_of_a_running_pool
    wrong_password_and_unknown_database
    answered_errors
}

async fn one_caller_too_many<S: System>() {
    let world = World::<S>::start_with(|options| {
        options
            .max_connections(2)
            .max_queue(3)
            .acquire_timeout(Duration::from_secs(30))
            .query_timeout(Duration::from_secs(30))
            .breaker(quick().slow_call_rate(None))
    })
    .await;
    world.fill().await;
    world.set(Fault::Stall);
    // Testing a connection is part of acquiring it, and in a stall no test ends.
    let callers = if S::TESTS_ALL { 3 } else { 5 };
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let pool = world.pool.clone();
            tokio::spawn(async move { S::ask(&pool).await })
        })
        .collect();
    eventually("three callers wait", async || {
        world.gate().snapshot().waiting == 3
    })
    .await;
    for _ in 0..100 {
        let start = Instant::now();
        let error = world.run("SELECT 1").await.unwrap_err();
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        let rejected = fusepool::refusal(&error).expect("a rejection");
        assert!(
            matches!(rejected, Refused::Saturated { waiting: 3, .. }),
            "{rejected:?}"
        );
        assert_eq!(S::delivery(&error), Delivery::NotSent);
    }
    world.set(Fault::None);
    for caller in join_all(callers).await {
        caller.unwrap().unwrap();
    }
    let snapshot = world.gate().snapshot();
    assert_eq!(
        (snapshot.totals.saturated, snapshot.breaker.totals.trips),
        (100, 0)
    );
    world.assert_unharmed().await;
}

/// The pool's own deadline.
async fn deadline<S: System>() {
    deadlines::missed::<S>(QUERY_TIMEOUT, |pool| {
        Box::pin(async {
            let mut lease = S::lease(pool).await?;
            S::run_on(&mut lease, S::Server::SLEEP).await
        })
    })
    .await;
}

/// An operator lowers the limits, because the callers of the service became impatient.
async fn limits_of_a_running_pool<S: System>() {
    let long = Duration::from_secs(30);
    let world = World::<S>::start_with(|options| {
        options
            .max_connections(1)
            .acquire_timeout(long)
            .query_timeout(long)
            .breaker(quick().slow_call_rate(None))
    })
    .await;
    let mut lease = S::lease(&world.pool).await.unwrap();
    let mut config = GuardConfig::default();
    config.acquire_timeout = Some(Duration::ZERO);
    let error = world.gate().reconfigure(&config).unwrap_err();
    assert_eq!(error.field(), "acquire_timeout");
    config.acquire_timeout = Some(Duration::from_millis(200));
    config.query_timeout = Some(Duration::from_millis(300));
    world.gate().reconfigure(&config).unwrap();

    let start = Instant::now();
    let waits = S::lease(&world.pool).await.err().unwrap();
    assert_eq!(S::delivery(&waits), Delivery::NotSent);
    let sleeps = S::run_on(&mut lease, S::Server::SLEEP).await.unwrap_err();
    let deadline = fusepool::deadline_exceeded(&sleeps).expect("a deadline");
    assert_eq!(deadline.limit(), Duration::from_millis(300));
    assert!(start.elapsed() < long / 3, "{:?}", start.elapsed());
}

/// The database answers, so it is healthy, and no caller waits for the answer.
async fn wrong_password_and_unknown_database<S: System>() {
    let world = World::<S>::start().await;
    let port = world.proxy.addr().port();
    let cases = [
        (
            world
                .server
                .url_as("app", "wrong", S::Server::DATABASE, port),
            S::Server::WRONG_PASSWORD,
        ),
        (
            world
                .server
                .url_via(port)
                .replace(S::Server::DATABASE, "nowhere"),
            S::Server::UNKNOWN_DATABASE,
        ),
    ];
    for (url, refusal) in cases {
        let url = url
            .replace("nowhere://", "postgres://")
            .replace("nowhere@", "postgres@");
        let timeout = Duration::from_secs(10);
        let options = crate::world::options(&world.events).acquire_timeout(timeout);
        let pool = S::build(&options, &url);
        for _ in 0..20 {
            let start = Instant::now();
            let error = S::ask(&pool).await.unwrap_err();
            assert!(start.elapsed() < timeout / 5, "{:?}", start.elapsed());
            let said = S::said(&error).expect("the server's own error");
            assert!(refusal.is(&said), "{error:?}");
        }
        let snapshot = S::gate(&pool).snapshot();
        assert_eq!(
            (
                snapshot.breaker.totals.trips,
                snapshot.breaker.totals.failures
            ),
            (0, 0)
        );
        assert_eq!((snapshot.waiting, S::connections(&pool).0), (0, 0));
    }
}

/// A refusal waits for nothing, so a caller that retries on the same lease in a loop would occupy its
/// thread, and starve the task that probes. So refusals yield now and then.
async fn refused_again_and_again_on_a_lease<S: System>() {
    let world = World::<S>::start().await;
    let mut lease = S::lease(&world.pool).await.unwrap();
    let open = world.gate().breaker().force_open();
    for pings in [false, true] {
        let mut refused = Box::pin(async {
            for _ in 0..500 {
                let refused = match pings {
                    true => S::ping(&mut lease).await,
                    false => S::run_on(&mut lease, "SELECT 1").await,
                };
                let error = refused.unwrap_err();
                assert!(fusepool::refusal(&error).is_some(), "{error:?}");
            }
        });
        let mut made_way = 0;
        poll_fn(|context| {
            let refused = refused.as_mut().poll(context);
            made_way += u32::from(refused.is_pending());
            refused
        })
        .await;
        assert!(made_way > 0, "pings: {pings}");
    }
    drop(open);
    let breaker = world.gate().snapshot().breaker;
    assert_eq!((breaker.totals.rejected, breaker.totals.ignored), (1000, 0));
    S::run_on(&mut lease, "SELECT 1").await.unwrap();
}

async fn answered_errors<S: System>() {
    let world = World::<S>::start().await;
    world
        .run("CREATE TABLE t (id int PRIMARY KEY)")
        .await
        .unwrap();
    world.run("INSERT INTO t VALUES (1)").await.unwrap();
    let callers = (0..8).map(|_| async {
        for _ in 0..150 {
            for sql in [
                "INSERT INTO t VALUES (1)",
                "SELEKT",
                "SELECT * FROM missing",
            ] {
                let error = world.run(sql).await.unwrap_err();
                assert!(S::said(&error).is_some(), "{error:?}");
                assert_eq!(S::delivery(&error), Delivery::Answered);
            }
        }
    });
    join_all(callers).await;
    let snapshot = world.gate().snapshot();
    assert_eq!(
        (
            snapshot.breaker.totals.trips,
            snapshot.breaker.totals.failures
        ),
        (0, 0)
    );
    assert!(snapshot.breaker.totals.successes >= 3600, "{snapshot:?}");
    assert_eq!(snapshot.totals.closed_connections, 0);
    assert!(world.size() <= CONNECTIONS as usize);
    world.assert_unharmed().await;
}
