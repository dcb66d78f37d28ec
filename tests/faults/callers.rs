//! Callers who go away at any moment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::FutureExt;
use futures_util::future::join_all;
use sqlx::Executor;
use tokio::time::timeout;

use crate::support::proxy::Fault;
use crate::system::System;
use crate::world::{World, quick};

on_both! {
    early_drops
    early_drops_of_a_stalled_pool
    generic_acquire_on_a_stalled_pool
    generic_acquire_of_forgotten_connections
}

/// One call of some kind, as an application makes them.
async fn call<S: System>(world: &World<S>, kind: usize) -> Result<(), sqlx::Error> {
    let insert = "INSERT INTO t VALUES (1)";
    match kind % 8 {
        0 => S::ask(&world.pool).await,
        1 => world.run(insert).await,
        2 => world.pool.acquire().await?.ping().await,
        3 => {
            let mut transaction = world.pool.begin().await?;
            (&mut *transaction as &mut fusepool::sqlx::GuardedConnection<S::Db>)
                .execute(insert)
                .await?;
            transaction.commit().await
        }
        4 => {
            let transaction = world.pool.begin().await?;
            transaction.rollback().await
        }
        5 => {
            let mut rows = world
                .pool
                .within(Duration::from_secs(1))
                .fetch_many(S::SESSION);
            while rows.try_next().await?.is_some() {}
            Ok(())
        }
        6 => S::through_acquire(&world.pool, insert).await,
        _ => S::through_begin(&world.pool, insert).await,
    }
}

/// Drops calls early, by the thousand.
async fn drop_early<S: System>(world: &World<S>, callers: usize, calls: usize) -> usize {
    let (ended, dropped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let callers = (0..callers).map(|caller| {
        let (ended, dropped) = (&ended, &dropped);
        async move {
            for n in 0..calls {
                let call = call(world, caller + n);
                let ends = match n % 4 {
                    0 => call.now_or_never().is_some(),
                    // Without any patient ones no connection would live to be used.
                    1 => timeout(Duration::from_secs(1), call).await.is_ok(),
                    _ => {
                        // Of any order of magnitude.
                        let most = 1 << fastrand::u32(6..17);
                        let patience = Duration::from_micros(fastrand::u64(0..most));
                        timeout(patience, call).await.is_ok()
                    }
                };
                if ends { ended } else { dropped }.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    });
    join_all(callers).await;
    println!(
        "{}: {ended:?} calls ended, {dropped:?} were dropped",
        S::NAME
    );
    ended.into_inner()
}

async fn early_drops<S: System>() {
    let world = World::<S>::start().await;
    world.run("CREATE TABLE t (id int)").await.unwrap();
    let ended = drop_early(&world, 8, 300).await;
    assert!(ended > 0, "nobody got an answer");
    let snapshot = world.pool.gate().snapshot();
    assert_eq!(snapshot.waiting, 0);
    assert!(snapshot.breaker.abandoned > 0, "{snapshot:?}");
    world.assert_unharmed().await;
    assert_nobody_is_in_a_transaction(&world).await;
}

async fn early_drops_of_a_stalled_pool<S: System>() {
    let world = World::<S>::start_with(|options| {
        options.breaker(quick().slow_call(Duration::from_millis(50)))
    })
    .await;
    world.run("CREATE TABLE t (id int)").await.unwrap();
    for _ in 0..3 {
        world.set(Fault::Stall);
        drop_early(&world, 8, 40).await;
        world.set(Fault::None);
        drop_early(&world, 8, 20).await;
    }
    world.assert_unharmed().await;
    assert_nobody_is_in_a_transaction(&world).await;
}

/// Every row that any connection of the pool inserts is seen at once by another client.
pub async fn assert_nobody_is_in_a_transaction<S: System>(world: &World<S>) {
    world.run("CREATE TABLE seen (id int)").await.unwrap();
    let size = world.pool.options().get_max_connections();
    for n in 1..=2 {
        let leases = join_all((0..size).map(|_| world.pool.acquire())).await;
        let insert = leases.into_iter().map(|lease| async move {
            let mut lease = lease.unwrap();
            (&mut *lease as &mut fusepool::sqlx::GuardedConnection<S::Db>)
                .execute("INSERT INTO seen VALUES (1)")
                .await
                .unwrap();
            lease
        });
        let leases = join_all(insert).await;
        assert_eq!(
            world.outside("SELECT count(*) FROM seen").await,
            i64::from(n * size)
        );
        drop(leases);
        world.rest().await;
    }
}

/// Code that is generic over `sqlx::Acquire` gives up on a call, or has it cut short.
async fn generic_acquire_on_a_stalled_pool<S: System>() {
    generic_acquire::<S>(Fault::Stall).await;
}

async fn generic_acquire_of_forgotten_connections<S: System>() {
    generic_acquire::<S>(Fault::Zombie).await;
}

async fn generic_acquire<S: System>(fault: Fault) {
    let world = World::<S>::start().await;
    world.run("CREATE TABLE t (id int)").await.unwrap();
    for _ in 0..2 {
        world.fill().await;
        world.set(fault);
        let patience = Duration::from_millis(100);
        let (acquired, begun) = tokio::join!(
            timeout(patience, S::through_acquire(&world.pool, "SELECT 1")),
            timeout(
                patience,
                S::through_begin(&world.pool, "INSERT INTO t VALUES (1)")
            ),
        );
        assert!(acquired.is_err() && begun.is_err());
        // This one gets to its end by itself.
        let begun = S::through_begin(&world.pool, "INSERT INTO t VALUES (1)").await;
        assert!(begun.is_err(), "nobody answered");
        world.set(Fault::None);
        world.assert_unharmed().await;
    }
    assert_nobody_is_in_a_transaction(&world).await;
}
