//! Callers that leave at any moment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::FutureExt;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::dialect::Dialect;
use crate::load::arrivals;
use crate::situations::by_default;
use crate::sqlx::Sqlx;
use crate::support::eventually;
use crate::support::proxy::Fault;
use crate::system::System;
use crate::world::{CONNECTIONS, World, quick};

on_all! {
    early_drops
    early_drops_of_a_stalled_pool
    impatient_callers_of_a_pool_that_connects_to_nobody
    impatient_callers_of_a_pool_that_connects_slowly
}

on_sqlx! {
    generic_acquire_on_a_stalled_pool
    generic_acquire_of_forgotten_connections
}

/// Drops thousands of calls early.
async fn drop_early<S: System>(world: &World<S>, callers: usize, calls: usize) -> usize {
    let (ended, dropped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let callers = (0..callers).map(|caller| {
        let (ended, dropped) = (&ended, &dropped);
        async move {
            for n in 0..calls {
                let call = S::call(&world.pool, (caller + n) % S::CALLS);
                let ends = match n % 4 {
                    0 => call.now_or_never().is_some(),
                    // Without some patient callers, no connection would be established.
                    1 => timeout(Duration::from_secs(1), call).await.is_ok(),
                    _ => {
                        // A random timeout, of any order of magnitude.
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
    let snapshot = world.gate().snapshot();
    assert_eq!(snapshot.waiting, 0);
    assert!(snapshot.breaker.totals.abandoned > 0, "{snapshot:?}");
    world.assert_unharmed().await;
    assert_nobody_is_in_a_transaction(&world).await;
}

async fn early_drops_of_a_stalled_pool<S: System>() {
    let world = World::<S>::start_with(|options| {
        options.breaker(quick().slow_call_threshold(Duration::from_millis(50)))
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

/// Regression test: each caller that left dropped the connection that the pool was opening for it, and
/// the next one had another opened: more than a hundred before the breaker opened.
async fn impatient_callers_of_a_pool_that_connects_to_nobody<S: System>() {
    let world = World::<S>::start_with(by_default).await;
    world.set(Fault::Stall);
    let broken = Instant::now();
    let (interval, patience) = (Duration::from_millis(5), Duration::from_millis(50));
    let callers = arrivals::<S>(world.pool.clone(), interval, Some(patience));
    let (opened, _) = world.events.opened(broken).await;
    let connections = world.proxy.accepted();
    println!(
        "{}: {connections} connections, opened after {opened:?}",
        S::NAME
    );
    // One each for the question whether the database still answers, and for the check of the settings.
    assert!(connections <= u64::from(CONNECTIONS) + 2, "{connections}");
    world.set(Fault::None);
    drop(callers);
    world.assert_unharmed().await;
}

/// Regression test: to open a connection took longer than any caller waited, so none was ever answered.
async fn impatient_callers_of_a_pool_that_connects_slowly<S: System>() {
    let world = World::<S>::start_with(by_default).await;
    world.set(Fault::SlowConnect(Duration::from_millis(600)));
    // Fewer and more patient: each must be answered in time on a busy machine.
    let (interval, patience) = (Duration::from_millis(25), Duration::from_millis(250));
    let callers = arrivals::<S>(world.pool.clone(), interval, Some(patience));
    eventually("callers are answered", async || {
        world.gate().snapshot().breaker.totals.successes >= 50
    })
    .await;
    assert_eq!(world.gate().snapshot().breaker.totals.trips, 0);
    drop(callers);
    world.assert_unharmed().await;
}

/// Another client sees at once every row that a connection of the pool inserts.
pub async fn assert_nobody_is_in_a_transaction<S: System>(world: &World<S>) {
    world.run("CREATE TABLE seen (id int)").await.unwrap();
    let size = world.options.max_connections;
    for n in 1..=2 {
        let leases = join_all((0..size).map(|_| S::lease(&world.pool))).await;
        let insert = leases.into_iter().map(|lease| async move {
            let mut lease = lease.unwrap();
            S::run_on(&mut lease, "INSERT INTO seen VALUES (1)")
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

/// Code that is generic over `sqlx::Acquire` drops a call, or a deadline ends it.
async fn generic_acquire_on_a_stalled_pool<D: Dialect>() {
    generic_acquire::<D>(Fault::Stall).await;
}

async fn generic_acquire_of_forgotten_connections<D: Dialect>() {
    generic_acquire::<D>(Fault::Zombie).await;
}

async fn generic_acquire<D: Dialect>(fault: Fault) {
    let world = World::<Sqlx<D>>::start().await;
    world.run("CREATE TABLE t (id int)").await.unwrap();
    for _ in 0..2 {
        world.fill().await;
        world.set(fault);
        let patience = Duration::from_millis(100);
        let (acquired, begun) = tokio::join!(
            timeout(patience, D::through_acquire(&world.pool, "SELECT 1")),
            timeout(
                patience,
                D::through_begin(&world.pool, "INSERT INTO t VALUES (1)")
            ),
        );
        assert!(acquired.is_err() && begun.is_err());
        // This one runs to its end.
        let begun = D::through_begin(&world.pool, "INSERT INTO t VALUES (1)").await;
        assert!(begun.is_err(), "nobody answered");
        world.set(Fault::None);
        world.assert_unharmed().await;
    }
    assert_nobody_is_in_a_transaction(&world).await;
}
