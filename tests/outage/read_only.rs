//! Servers that do not accept writes: on purpose, or since a failover.

use std::time::{Duration, Instant};

use fusepool::Delivery;
use fusepool::breaker::{Reason, State};

use crate::dialect::Dialect;
use crate::support::eventually;
use crate::system::System;
use crate::world::World;

on_all! {
    replica_as_an_ordinary_mode
    transactions_that_are_read_only_by_their_own_wish
    read_only
    every_transaction_fails_after_a_failover
}

const INSERT: &str = "INSERT INTO t VALUES (1)";

/// One connection of a user who may not write to a read-only server.
async fn world<S: System>() -> World<S> {
    let server = S::Server::start(&[]).await;
    let url = |server: &S::Server, port| server.url_as("app", "secret", S::Server::DATABASE, port);
    World::<S>::on(server, url, |options| {
        options
            .acquire_timeout(Duration::from_secs(2))
            .max_connections(1)
    })
    .await
}

/// Regression test: an application that tries a write, and reads instead if the server is a replica.
/// Each try closed its connection, and counted as a failure: the pages were refused.
async fn replica_as_an_ordinary_mode<S: System>() {
    let world = world::<S>().await;
    world.admin(&S::Server::READ_ONLY).await;
    let start = Instant::now();
    let first = world.number(S::Server::SESSION).await.unwrap();
    for _ in 0..50 {
        let error = world.run("CREATE TABLE t (id int)").await.unwrap_err();
        assert_eq!(S::delivery(&error), Delivery::Answered, "{error:?}");
        assert_eq!(world.number(S::Server::SESSION).await.unwrap(), first);
    }
    println!(
        "{}: 50 pages of a replica in {:?}",
        S::NAME,
        start.elapsed()
    );
    let gate = world.gate().snapshot();
    assert_eq!(
        (gate.breaker.totals.trips, gate.breaker.totals.failures),
        (0, 0)
    );
    assert_eq!(
        gate.totals.closed_connections,
        0,
        "{:?}",
        world.events.all()
    );
}

async fn transactions_that_are_read_only_by_their_own_wish<S: System>() {
    let world = world::<S>().await;
    world.run("CREATE TABLE t (id int)").await.unwrap();
    let first = world.number(S::Server::SESSION).await.unwrap();
    for _ in 0..10 {
        let mut lease = S::lease(&world.pool).await.unwrap();
        S::run_on(&mut lease, "START TRANSACTION READ ONLY")
            .await
            .unwrap();
        S::run_on(&mut lease, INSERT).await.unwrap_err();
        S::run_on(&mut lease, "ROLLBACK").await.unwrap();
        drop(lease);
        assert_eq!(world.number(S::Server::SESSION).await.unwrap(), first);
    }
    let gate = world.gate().snapshot();
    assert_eq!(
        (gate.breaker.totals.trips, gate.breaker.totals.failures),
        (0, 0)
    );
    assert_eq!(
        gate.totals.closed_connections,
        0,
        "{:?}",
        world.events.all()
    );
}

/// The situation after a failover that left the pool connected to the standby.
async fn read_only<S: System>() {
    let world = world::<S>().await;
    world.run("CREATE TABLE t (id int)").await.unwrap();
    let before = world.number(S::Server::SESSION).await.unwrap();

    let broken = Instant::now();
    world.admin(&S::Server::READ_ONLY).await;
    eventually("writes are refused", async || {
        world.run(INSERT).await.is_err()
    })
    .await;
    let after = world.number(S::Server::SESSION).await.unwrap();
    assert_ne!(
        before, after,
        "the connection leads to a server that is read-only"
    );
    let refused = |error: &S::Error| fusepool::refusal(error).is_some();
    // Five in a row.
    loop {
        match world.run(INSERT).await {
            Ok(()) => panic!("it is read-only"),
            Err(error) if refused(&error) => break,
            Err(error) => {
                assert_eq!(S::delivery(&error), Delivery::Answered, "{error:?}");
                assert!(S::said(&error).is_some(), "{error:?}");
            }
        }
    }
    let (_, transition) = world.events.opened(broken).await;
    assert_eq!(transition.reason, Reason::ConsecutiveFailures);
    let closed = world.events.closed_connections(broken);
    assert!(closed.len() >= 5, "{closed:?}");
    assert!(
        closed.iter().all(|&reason| reason == "read_only"),
        "{closed:?}"
    );
    recovers_with_a_writable_server(&world, broken).await;
}

/// Regression test: `BEGIN` and `ROLLBACK` succeeded, so that two of three calls were answered, and the
/// breaker never opened.
async fn every_transaction_fails_after_a_failover<S: System>() {
    let world = world::<S>().await;
    world.run("CREATE TABLE t (id int)").await.unwrap();
    let broken = Instant::now();
    world.admin(&S::Server::READ_ONLY).await;
    eventually("the breaker opens", async || {
        let result = S::transaction(&world.pool, INSERT, &|| {}).await;
        result.is_err_and(|error| fusepool::refusal(&error).is_some())
    })
    .await;
    let (_, transition) = world.events.opened(broken).await;
    assert_eq!(transition.reason, Reason::ConsecutiveFailures);
    recovers_with_a_writable_server(&world, broken).await;
}

/// While the server is read-only, no probe closes the breaker. A bare ping would.
async fn recovers_with_a_writable_server<S: System>(world: &World<S>, broken: Instant) {
    let probes = || world.gate().snapshot().totals.probes;
    let before = probes();
    eventually("the server is asked", async || probes() >= before + 3).await;
    assert_ne!(world.state(), State::Closed);
    let healed = Instant::now();
    world.admin(&S::Server::READ_WRITE).await;
    world.events.closed(healed).await;
    let attempts = world.events.failed_batches(broken) as u64;
    let trips = world.gate().snapshot().breaker.totals.trips;
    assert_eq!(trips, 1 + attempts, "it closed in between");
    world.run(INSERT).await.unwrap();
    world.assert_unharmed().await;
}
