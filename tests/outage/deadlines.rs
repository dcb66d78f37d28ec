//! Deadlines of single statements, and of streams.

use std::time::{Duration, Instant};

use fusepool::{Delivery, deadline_exceeded};
use futures_util::TryStreamExt;
use sqlx::{Either, Executor};

use crate::dialect::Dialect;
use crate::sqlx::Sqlx;
use crate::support::proxy::Fault;
use crate::system::{Answer, System};
use crate::world::{QUERY_TIMEOUT, World, quick};

// The calls of the tests with diesel have only the pool's deadline.
on_all_but_diesel! {
    deadline_of_a_statement
}

on_sqlx! {
    deadline_of_a_stream
}

const LIMIT: Duration = Duration::from_millis(200);

/// A pool of one connection, so that its server-side id shows whether it was reused.
async fn single<S: System>() -> World<S> {
    World::start_with(|options| {
        options
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(2))
            .breaker(quick().consecutive_failures(None))
    })
    .await
}

fn assert_deadline<S: System>(error: &S::Error, limit: Duration, start: Instant) {
    let took = start.elapsed();
    assert_eq!(deadline_exceeded(error).expect("a deadline").limit(), limit);
    assert_eq!(S::delivery(error), Delivery::Unknown);
    assert!(
        took >= limit && took < limit + Duration::from_millis(300),
        "{took:?}"
    );
}

/// A call that misses its deadline returns an error that says so, and its connection is not reused.
pub async fn missed<S: System>(limit: Duration, call: fn(&S::Pool) -> Answer<'_, S>) {
    let world = single::<S>().await;
    for _ in 0..3 {
        let before = world.number(S::Server::SESSION).await.unwrap();
        let start = Instant::now();
        let error = call(&world.pool).await.unwrap_err();
        assert_deadline::<S>(&error, limit, start);
        assert_ne!(before, world.number(S::Server::SESSION).await.unwrap());
    }
    assert_eq!(world.gate().snapshot().deadlines, 3);
    assert_eq!(world.gate().snapshot().closed_connections, 3);
    // The server ends the connection when it notices that the client is gone.
    world.rest().await;
    world.run("SELECT 1").await.unwrap();
}

async fn deadline_of_a_statement<S: System>() {
    missed::<S>(LIMIT, |pool| S::run(pool, LIMIT, S::Server::SLEEP)).await;
}

async fn deadline_of_a_stream<D: Dialect>() {
    let world = single::<Sqlx<D>>().await;
    let before = world.number(D::SESSION).await.unwrap();

    // Before the first row.
    let start = Instant::now();
    let error = (world.pool.with_timeout(LIMIT).fetch_many(D::SLEEP))
        .try_next()
        .await
        .err()
        .unwrap();
    assert_deadline::<Sqlx<D>>(&error, LIMIT, start);
    let between = world.number(D::SESSION).await.unwrap();
    assert_ne!(before, between);

    // Between two rows.
    let mut rows = world.pool.with_timeout(LIMIT).fetch_many(D::BULK);
    assert!(matches!(
        rows.try_next().await.unwrap(),
        Some(Either::Right(_))
    ));
    world.set(Fault::Stall);
    let error = loop {
        let start = Instant::now();
        match rows.try_next().await {
            Ok(row) => assert!(row.is_some(), "everything was in a buffer"),
            Err(error) => {
                assert_deadline::<Sqlx<D>>(&error, LIMIT, start);
                break error;
            }
        }
    };
    drop(rows);
    world.set(Fault::None);
    assert_ne!(
        between,
        world.number(D::SESSION).await.unwrap(),
        "after {error}"
    );

    // A stream that is dropped in the middle is no failure, and its connection stays usable.
    let faults = world.gate().snapshot().breaker.failures;
    for _ in 0..3 {
        let mut rows = world.pool.with_timeout(QUERY_TIMEOUT).fetch_many(D::BULK);
        rows.try_next().await.unwrap();
    }
    world.assert_unharmed().await;
    assert_eq!(world.gate().snapshot().breaker.failures, faults);
}
