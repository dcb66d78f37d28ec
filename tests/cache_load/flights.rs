//! One load at a time for each key: how many callers share it, how long it lives, and which callers
//! get its error.

use std::time::Duration;

use fusepool::cache::CachePolicy;
use fusepool::sqlx::{Pool, PoolOptions};
use fusepool::{Breaker, ManualClock, Source, StaleReason};
use futures_util::FutureExt;
use futures_util::future::join_all;
use sqlx::Error;
use tokio::runtime::Handle;

use crate::support::eventually;
use crate::support::proxy::{Fault, Proxy};
use crate::system::System;

on_both! {
    a_thousand_misses_make_one_query
    a_load_that_fails_fails_for_those_who_waited
    a_load_outlives_its_caller
    revalidation_is_one_a_key
    revalidation_ends_with_the_pool
}

const HOUR: Duration = Duration::from_secs(3600);
const KEPT: CachePolicy = CachePolicy::named("kept").fresh_for(HOUR);
/// Fresh for a minute, then served for another minute while a newer one is loaded.
const REVALIDATED: CachePolicy = CachePolicy::named("revalidated")
    .fresh_for(Duration::from_secs(60))
    .stale_while_revalidate(Duration::from_secs(60))
    .jitter(0.0);

struct World<S: System> {
    server: S,
    proxy: Proxy,
    pool: Pool<S::Db>,
    clock: ManualClock,
}

impl<S: System> World<S> {
    async fn start() -> Self {
        let server = S::start().await;
        server.admin(S::SCHEMA).await;
        let proxy = Proxy::start(server.addr()).await.unwrap();
        let clock = ManualClock::new();
        let options = PoolOptions::new()
            .breaker(Breaker::builder().clock(clock.clone()))
            // The tasks of a proxy that stalls such a connection would be taken for the pool's.
            .side_connections(false);
        let pool = S::lazy(options, &server.url_via(proxy.addr().port()));
        Self {
            server,
            proxy,
            pool,
            clock,
        }
    }

    /// The number of times the server was asked.
    async fn asked(&self) -> i64 {
        self.server.admin(&["SELECT ask()"]).await.unwrap() - 1
    }

    fn ask(
        &self,
        policy: &CachePolicy,
    ) -> impl Future<Output = Result<(i64, Source), Error>> + use<S> {
        let (pool, read) = (self.pool.clone(), S::number(S::ASK_SLOWLY, policy));
        async move {
            let served = read.fetch_one_served(&pool).await?;
            Ok((*served.value, served.source))
        }
    }
}

async fn a_thousand_misses_make_one_query<S: System>() {
    let world = World::<S>::start().await;
    let callers: Vec<_> = (0..1_000).map(|_| tokio::spawn(world.ask(&KEPT))).collect();
    for caller in callers {
        let (answer, _) = caller.await.unwrap().unwrap();
        assert_eq!(answer, 1);
    }
    assert_eq!(world.asked().await, 1);
    assert_eq!(world.pool.cache().snapshot().totals.loads, 1);
}

async fn a_load_that_fails_fails_for_those_who_waited<S: System>() {
    let world = World::<S>::start().await;
    let fail = || S::number("SELECT fail()", &KEPT).fetch_one(&world.pool);
    for error in join_all((0..50).map(|_| fail())).await {
        let error = error.unwrap_err();
        assert!(S::is_own(&error), "{error:?}");
        let error = error.into_database_error().unwrap();
        assert_eq!(error.code().as_deref(), Some(S::FAILURE));
        assert_eq!(error.message(), "sold out");
    }
    assert_eq!(world.asked().await, 1, "they all waited for one load");
    let snapshot = world.pool.cache().snapshot();
    assert_eq!((snapshot.totals.failed_loads, snapshot.loading), (1, 0));
    assert!(fail().await.is_err(), "whoever comes later asks again");
    assert_eq!(world.pool.cache().snapshot().totals.failed_loads, 2);
}

async fn a_load_outlives_its_caller<S: System>() {
    let world = World::<S>::start().await;
    let given_up = world.ask(&KEPT).now_or_never();
    assert!(given_up.is_none(), "it is under way");
    assert_eq!(world.pool.cache().snapshot().loading, 1);
    eventually("the load ends", async || {
        world.pool.cache().snapshot().loading == 0
    })
    .await;
    let _open = world.pool.gate().breaker().force_open();
    let (answer, source) = world.ask(&KEPT).await.unwrap();
    assert_eq!((answer, source.as_str()), (1, "fresh"));
}

async fn revalidation_is_one_a_key<S: System>() {
    let world = World::<S>::start().await;
    world.ask(&REVALIDATED).await.unwrap();
    world.clock.advance(Duration::from_secs(90));
    for answer in join_all((0..100).map(|_| world.ask(&REVALIDATED))).await {
        let (answer, source) = answer.unwrap();
        let age = Duration::from_secs(90);
        let reason = StaleReason::Revalidating;
        assert_eq!((answer, source), (1, Source::Stale { age, reason }));
    }
    eventually("the load behind ends", async || {
        world.pool.cache().snapshot().loading == 0
    })
    .await;
    let (answer, source) = world.ask(&REVALIDATED).await.unwrap();
    assert_eq!((answer, source.as_str()), (2, "fresh"));
    assert_eq!(world.asked().await, 2);
}

async fn revalidation_ends_with_the_pool<S: System>() {
    let world = World::<S>::start().await;
    world.ask(&REVALIDATED).await.unwrap();
    // Otherwise it stalls while it is returned, and the pool has no connection.
    eventually("its connection is back", async || {
        world.pool.num_idle() == 1
    })
    .await;
    world.clock.advance(Duration::from_secs(90));
    world.proxy.set(Fault::Stall);
    let tasks = || Handle::current().metrics().num_alive_tasks();
    // The task of the first load, and the one that returned its connection, may still be ending.
    let mut idle = 0;
    eventually("no task ends any more", async || {
        world.pool.num_idle() == world.pool.size() as usize
            && std::mem::replace(&mut idle, tasks()) == tasks()
    })
    .await;
    world.ask(&REVALIDATED).await.unwrap();
    assert_eq!(world.pool.cache().snapshot().loading, 1);
    assert!(tasks() > idle, "there is a task that loads");
    let World {
        pool,
        proxy: _proxy,
        server: _server,
        ..
    } = world;
    drop(pool);
    // Neither its task nor the tasks of sqlx's pool are left.
    eventually("the task ends", async || tasks() < idle).await;
}
