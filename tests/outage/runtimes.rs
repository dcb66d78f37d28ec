//! A pool that is used from several runtimes, or from one that nobody drives between two calls.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use fusepool::breaker::State;
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinSet, spawn_blocking};

use crate::dialect::Dialect;
use crate::options::Options;
use crate::situations::by_default;
use crate::sqlx::Sqlx;
use crate::support::eventually;
use crate::support::proxy::Fault;
use crate::system::{Answer, System};
use crate::world::{QUERY_TIMEOUT, World};

on_all! {
    in_a_static_of_tests_that_have_a_runtime_each
    on_a_runtime_that_is_driven_a_call_at_a_time
    on_a_runtime_for_each_call
}

on_sqlx! {
    closing_the_pool_lets_a_transaction_by_acquire_begin
    a_runtime_ends_under_the_statements_of_another
}

/// Regression test: these statements fail, and opened the breaker of a healthy database.
async fn a_runtime_ends_under_the_statements_of_another<D: Dialect>() {
    const CALLS: u32 = 8;
    let options = |options: Options| by_default(options).max_connections(CALLS);
    let world = World::<Sqlx<D>>::start_with(options).await;
    let pool = world.pool.clone();
    let connect = move || {
        let mut first = Builder::new_multi_thread();
        let first = first.worker_threads(1).enable_all().build().unwrap();
        first.block_on(join_all((0..CALLS).map(|_| Sqlx::<D>::lease(&pool))));
        first
    };
    let first = spawn_blocking(connect).await.unwrap();
    world.rest().await;
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let pool = world.pool.clone();
        calls.spawn(async move { Sqlx::<D>::run(&pool, Duration::from_secs(60), D::NAP).await });
    }
    eventually("all connections are in use", async || {
        Sqlx::<D>::connections(&world.pool) == (CALLS as usize, 0)
    })
    .await;
    spawn_blocking(move || drop(first)).await.unwrap();
    while let Some(call) = calls.join_next().await {
        call.unwrap().expect_err("its connection is gone");
    }
    let totals = world.gate().snapshot().breaker.totals;
    assert_eq!((totals.trips, totals.failures), (0, 0));
    world.run("SELECT 1").await.unwrap();
}

/// A runtime as `#[tokio::test]` has one. It stands still outside `block_on`.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Regression test: a connection whose runtime was gone was trusted because it was young.
async fn in_a_static_of_tests_that_have_a_runtime_each<S: System>() {
    let options = |options: Options| by_default(options).max_connections(2);
    let world = World::<S>::start_with(options).await;
    let pool = world.pool.clone();
    // Three queries. Their connection is back in the pool when the runtime is left.
    let test = move |runtime: &Runtime| {
        runtime.block_on(async {
            for _ in 0..3 {
                S::run(&pool, QUERY_TIMEOUT, "SELECT 1").await.unwrap();
            }
            let is_back = || S::connections(&pool).0 == S::connections(&pool).1;
            eventually("it is back", async || is_back()).await;
        });
    };
    let elsewhere = test.clone();
    let tests = move || {
        // One runtime stands still with a connection of the pool; the others end with theirs.
        let first = runtime();
        test(&first);
        for _ in 0..20 {
            test(&runtime());
        }
        drop(first);
    };
    spawn_blocking(tests).await.unwrap();
    // A runtime that somebody drives keeps its connections.
    world.assert_unharmed().await;
    let size = world.size();
    let opened = world.proxy.accepted();
    spawn_blocking(move || elsewhere(&runtime())).await.unwrap();
    assert_eq!((world.size(), world.proxy.accepted()), (size, opened));
}

/// Regression test: the background probe made no progress between the calls, and callers waited for it
/// for seconds after the database was well.
async fn on_a_runtime_that_is_driven_a_call_at_a_time<S: System>() {
    let drive = || -> Box<Drive<S>> {
        let script = runtime();
        Box::new(move |call| script.block_on(call))
    };
    recovers::<S>(drive).await;
}

/// The background probe ends with the call that started it.
async fn on_a_runtime_for_each_call<S: System>() {
    recovers::<S>(|| Box::new(|call| runtime().block_on(call))).await;
}

type Drive<S> = dyn Fn(Answer<'_, S>) -> Result<(), <S as System>::Error>;

/// The breaker closes soon after the end of an outage, if `drive` drives all calls.
async fn recovers<S: System>(drive: fn() -> Box<Drive<S>>) {
    for fault in [Fault::Cut, Fault::Stall] {
        let options = |options: Options| Options {
            acquire_timeout: Duration::from_millis(500),
            ..by_default(options)
        };
        let world = Arc::new(World::<S>::start_with(options).await);
        let calls = Arc::clone(&world);
        let script = move || {
            let drive = drive();
            let call = || drive(S::run(&calls.pool, QUERY_TIMEOUT, "SELECT 1"));
            call().unwrap();
            calls.set(fault);
            let broken = Instant::now();
            while calls.state() != State::Open || broken.elapsed() < Duration::from_secs(2) {
                call().unwrap_err();
                sleep(Duration::from_millis(10));
            }
            calls.set(Fault::None);
            let healed = Instant::now();
            while call().is_err() {
                sleep(Duration::from_millis(10));
            }
            healed.elapsed()
        };
        let recovered = spawn_blocking(script).await.unwrap();
        println!("{}: recovered {recovered:?} after {fault:?}", S::NAME);
        assert!(
            recovered < Duration::from_secs(2),
            "{fault:?}: {recovered:?}"
        );
    }
}

/// Regression test: it was broken off. Plain transactions, and those of sqlx's pool, begin.
async fn closing_the_pool_lets_a_transaction_by_acquire_begin<D: Dialect>() {
    let world = World::<Sqlx<D>>::start_with(by_default).await;
    world.run("SELECT 1").await.unwrap();
    world.rest().await;
    world.set(Fault::Delay(Duration::from_millis(200)));
    let close = async {
        eventually("it has its connection", async || world.pool.num_idle() == 0).await;
        world.pool.close().await;
    };
    let (answer, ()) = tokio::join!(D::through_begin(&world.pool, "SELECT 1"), close);
    answer.unwrap();
    D::through_begin(&world.pool, "SELECT 1").await.unwrap_err();
}
