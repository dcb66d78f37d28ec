//! Transactions while the breaker is open, and transactions that are abandoned.

use std::time::Duration;

use fusepool::sqlx::GuardedConnection;
use fusepool::{Delivery, Refused};
use futures_util::future::FutureExt;
use sqlx::{Error, Executor};
use tokio::time::timeout;

use crate::callers::assert_nobody_is_in_a_transaction;
use crate::dialect::Dialect;
use crate::sqlx::Sqlx;
use crate::support::proxy::Fault;
use crate::system::System;
use crate::world::World;

on_sqlx! {
    only_what_frees_something_passes
    begin_is_dropped_in_flight
    begin_meets_its_deadline
}

on_all! {
    begin_on_a_lease_is_dropped_in_flight
    begin_on_a_lease_meets_its_deadline
    commit_meets_a_reset
}

async fn run<DB: fusepool::sqlx::Driver>(
    connection: &mut GuardedConnection<DB>,
    sql: &'static str,
) -> Result<(), Error> {
    connection.execute(sql).await.map(drop)
}

fn assert_refused(result: Result<(), Error>) {
    let error = result.unwrap_err();
    let rejected = fusepool::refusal(&error).expect("a rejection");
    assert!(matches!(rejected, Refused::Circuit { .. }), "{rejected:?}");
}

async fn only_what_frees_something_passes<D: Dialect>() {
    let world = World::<Sqlx<D>>::start().await;
    world.run("CREATE TABLE t (id int)").await.unwrap();
    let insert = "INSERT INTO t VALUES (1)";
    let mut committed = world.pool.begin().await.unwrap();
    let mut rolled_back = world.pool.begin().await.unwrap();
    let mut by_hand = world.pool.acquire().await.unwrap();
    run(&mut by_hand, "BEGIN").await.unwrap();
    run(&mut by_hand, insert).await.unwrap();
    let mut plain = world.pool.acquire().await.unwrap();

    let forced = world.gate().breaker().force_open();
    assert_refused(run(&mut plain, insert).await);
    assert_refused(plain.ping().await);
    assert_refused(plain.begin().await.map(drop));
    assert_refused(world.run(insert).await);
    assert_refused(world.pool.begin().await.map(drop));
    assert_refused(world.pool.acquire().await.map(drop));
    assert_refused(D::through_acquire(&world.pool, insert).await);
    assert_refused(D::through_begin(&world.pool, insert).await);

    run(&mut committed, insert).await.unwrap();
    let mut savepoint = committed.begin().await.unwrap();
    run(&mut savepoint, insert).await.unwrap();
    savepoint.commit().await.unwrap();
    committed.commit().await.unwrap();
    run(&mut rolled_back, insert).await.unwrap();
    rolled_back.rollback().await.unwrap();
    // A transaction that a text began is one, too.
    run(&mut by_hand, insert).await.unwrap();
    run(&mut by_hand, "COMMIT").await.unwrap();
    drop((plain, by_hand));
    assert_eq!(world.outside("SELECT count(*) FROM t").await, 4);

    drop(forced);
    world.run(insert).await.unwrap();
    assert_eq!(world.gate().snapshot().breaker.totals.failures, 0);
    world.assert_unharmed().await;
}

/// A connection on which a transaction may be open is never leased to another caller.
async fn begin_is_dropped_in_flight<D: Dialect>() {
    let world = World::<Sqlx<D>>::start().await;
    for _ in 0..2 {
        world.fill().await;
        world.set(Fault::Stall);
        let patience = Duration::from_millis(20);
        assert!(timeout(patience, world.pool.begin()).await.is_err());
        assert!(
            D::through_begin(&world.pool, "SELECT 1")
                .now_or_never()
                .is_none()
        );
        assert!(
            timeout(patience, D::through_begin(&world.pool, "SELECT 1"))
                .await
                .is_err()
        );
        world.set(Fault::None);
        world.assert_unharmed().await;
    }
    assert_nobody_is_in_a_transaction(&world).await;
}

async fn begin_on_a_lease_is_dropped_in_flight<S: System>() {
    let world = World::<S>::start().await;
    for _ in 0..2 {
        world.fill().await;
        let mut lease = S::lease(&world.pool).await.unwrap();
        world.set(Fault::Stall);
        let patience = Duration::from_millis(20);
        assert!(timeout(patience, S::begin(&mut lease)).await.is_err());
        drop(lease);
        world.set(Fault::None);
        world.assert_unharmed().await;
    }
    assert_nobody_is_in_a_transaction(&world).await;
}

async fn begin_on_a_lease_meets_its_deadline<S: System>() {
    let limit = Duration::from_millis(200);
    let world = World::<S>::start_with(|options| options.query_timeout(limit)).await;
    world.fill().await;
    let mut lease = S::lease(&world.pool).await.unwrap();
    world.set(Fault::Stall);
    let error = S::begin(&mut lease).await.unwrap_err();
    assert!(fusepool::deadline_exceeded(&error).is_some(), "{error:?}");
    drop(lease);
    world.set(Fault::None);
    world.assert_unharmed().await;
    assert_nobody_is_in_a_transaction(&world).await;
}

async fn begin_meets_its_deadline<D: Dialect>() {
    let world =
        World::<Sqlx<D>>::start_with(|options| options.query_timeout(Duration::from_millis(200)))
            .await;
    world.fill().await;
    world.set(Fault::Stall);
    let error = world.pool.begin().await.unwrap_err();
    assert!(fusepool::deadline_exceeded(&error).is_some(), "{error:?}");
    let error = D::through_begin(&world.pool, "SELECT 1").await.unwrap_err();
    assert!(fusepool::deadline_exceeded(&error).is_some(), "{error:?}");
    world.set(Fault::None);
    world.assert_unharmed().await;
    assert_nobody_is_in_a_transaction(&world).await;
}

/// The error says that the outcome of the commit is unknown.
async fn commit_meets_a_reset<S: System>() {
    let world = World::<S>::start().await;
    world.run("CREATE TABLE t (id int)").await.unwrap();
    let reset = || world.set(Fault::Reset);
    let error = S::transaction(&world.pool, "INSERT INTO t VALUES (1)", &reset)
        .await
        .unwrap_err();
    assert_eq!(S::delivery(&error), Delivery::Unknown, "{error:?}");
    world.set(Fault::None);
    world.assert_unharmed().await;
    assert_eq!(world.outside("SELECT count(*) FROM t").await, 0);
}
