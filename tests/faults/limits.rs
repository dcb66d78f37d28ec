//! Too many callers, too little time, and errors that are none of the breaker's business.

use std::time::{Duration, Instant};

use fusepool::{Delivery, Rejected, deadline_exceeded};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use sqlx::{Either, Executor};

use crate::dialect::Dialect;
use crate::sqlx::Sqlx;
use crate::support::eventually;
use crate::support::proxy::Fault;
use crate::system::System;
use crate::world::{AT_ONCE, CONNECTIONS, QUERY_TIMEOUT, World, quick};

on_all! {
    one_caller_too_many
    deadline
    wrong_password_and_unknown_database
    answered_errors
}

on_sqlx! {
    deadline_of_a_stream
}

async fn one_caller_too_many<S: System>() {
    let world = World::<S>::start_with(|options| {
        options
            .max_connections(2)
            .max_waiting(3)
            .acquire_timeout(Duration::from_secs(30))
            .query_timeout(Duration::from_secs(30))
            .breaker(quick().slow_rate(None))
    })
    .await;
    world.fill().await;
    world.set(Fault::Stall);
    let callers: Vec<_> = (0..5)
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
        let rejected = fusepool::rejection(&error).expect("a rejection");
        assert!(
            matches!(rejected, Rejected::Saturated { waiting: 3, .. }),
            "{rejected:?}"
        );
        assert_eq!(S::delivery(&error), Delivery::NotSent);
    }
    world.set(Fault::None);
    for caller in join_all(callers).await {
        caller.unwrap().unwrap();
    }
    let snapshot = world.gate().snapshot();
    assert_eq!((snapshot.saturated, snapshot.breaker.trips), (100, 0));
    world.assert_unharmed().await;
}

/// A pool of one connection, so that its number tells whether it was used again.
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

async fn deadline<S: System>() {
    let world = single::<S>().await;
    let limit = Duration::from_millis(200);
    for _ in 0..3 {
        let before = world.number(S::Server::SESSION).await.unwrap();
        let start = Instant::now();
        let error = S::run(&world.pool, limit, S::Server::SLEEP)
            .await
            .unwrap_err();
        assert_deadline::<S>(&error, limit, start);
        assert_ne!(before, world.number(S::Server::SESSION).await.unwrap());
    }
    assert_eq!(world.gate().snapshot().deadlines, 3);
    assert_eq!(world.gate().snapshot().closed_connections, 3);

    // The pool's own deadline.
    let start = Instant::now();
    let mut lease = S::lease(&world.pool).await.unwrap();
    let error = S::run_on(&mut lease, S::Server::SLEEP).await.unwrap_err();
    assert_deadline::<S>(&error, QUERY_TIMEOUT, start);
    drop(lease);
    // The server's side of it ends when it sees that the client is gone.
    world.rest().await;
    world.run("SELECT 1").await.unwrap();
}

async fn deadline_of_a_stream<D: Dialect>() {
    let world = single::<Sqlx<D>>().await;
    let limit = Duration::from_millis(200);
    let before = world.number(D::SESSION).await.unwrap();

    // Before the first row.
    let start = Instant::now();
    let error = (world.pool.within(limit).fetch_many(D::SLEEP))
        .try_next()
        .await
        .err()
        .unwrap();
    assert_deadline::<Sqlx<D>>(&error, limit, start);
    let between = world.number(D::SESSION).await.unwrap();
    assert_ne!(before, between);

    // Between two rows.
    let mut rows = world.pool.within(limit).fetch_many(D::BULK);
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
                assert_deadline::<Sqlx<D>>(&error, limit, start);
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

    // A stream that is dropped in the middle is no fault, and its connection no loss.
    let faults = world.gate().snapshot().breaker.faults;
    for _ in 0..3 {
        let mut rows = world.pool.within(QUERY_TIMEOUT).fetch_many(D::BULK);
        rows.try_next().await.unwrap();
    }
    world.assert_unharmed().await;
    assert_eq!(world.gate().snapshot().breaker.faults, faults);
}

/// The database answers, so it is well; and nobody has to wait for that answer.
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
    for (url, code) in cases {
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
            assert_eq!(S::code(&error).as_deref(), Some(code), "{error:?}");
        }
        let snapshot = S::gate(&pool).snapshot();
        assert_eq!((snapshot.breaker.trips, snapshot.breaker.faults), (0, 0));
        assert_eq!((snapshot.waiting, S::connections(&pool).0), (0, 0));
    }
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
                assert!(S::code(&error).is_some(), "{error:?}");
                assert_eq!(S::delivery(&error), Delivery::Answered);
            }
        }
    });
    join_all(callers).await;
    let snapshot = world.gate().snapshot();
    assert_eq!((snapshot.breaker.trips, snapshot.breaker.faults), (0, 0));
    assert!(snapshot.breaker.answered >= 3600, "{snapshot:?}");
    assert_eq!(snapshot.closed_connections, 0);
    assert!(world.size() <= CONNECTIONS as usize);
    world.assert_unharmed().await;
}
