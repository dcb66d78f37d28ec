//! Loads that several callers share, when one of them, its runtime, or the pool ends.

use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use fusepool::cache::CachePolicy;
use fusepool::sqlx::{Configured, ReadExt, SqlitePoolOptions};
use fusepool::{Breaker, ManualClock, Source, Unanswered};
use futures_util::future::join_all;
use sqlx::Database;
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::family::{Answer, Ask, Family, World};
use crate::kitchen::{Kind, Kitchen, Networked};
use crate::support::eventually;
use crate::support::proxy::Fault;

on_families! {
    a_load_whose_runtime_ends_is_begun_anew
    a_load_whose_runtime_stands_still_is_begun_anew
    a_refresh_whose_runtime_stands_still_is_begun_anew
    closing_the_pool_lets_a_load_end
    a_short_deadline_of_one_caller_is_not_that_of_another
    few_keys_that_hang_are_served_stale_and_open_the_breaker
}

const HOUR: Duration = Duration::from_secs(3_600);
const KEPT: CachePolicy = CachePolicy::named("kept").fresh_for(HOUR);
const REFRESHED: CachePolicy = CachePolicy::named("refreshed")
    .fresh_for(Duration::from_secs(60))
    .stale_while_revalidate(HOUR)
    .jitter(0.0);
const MOSTLY_STALE: CachePolicy = CachePolicy::named("mostly stale")
    .fresh_for(Duration::from_millis(1))
    .stale_if_error(HOUR);

/// A runtime that stands still outside `block_on`.
fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn assert_live(answer: &Answer, key: i64) {
    let served = answer.as_ref().unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!((served.value, served.source), (key, Source::Live));
}

/// Regression test: callers in healthy runtimes received an error of the library, and no fallback.
async fn a_load_whose_runtime_ends_is_begun_anew<F: Family>() {
    let world = World::<F>::start().await;
    let ask = Ask::new(KEPT).takes(0.5);
    let pool = world.pool.clone();
    let job = thread::spawn(move || {
        let job = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        job.spawn(F::ask(&pool, ask));
        while F::snapshot(&pool).cache.loading == 0 {
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis(200));
        job.shutdown_background();
    });
    eventually("the job loads", async || world.loading() == 1).await;
    let answers = join_all([
        world.ask(ask),
        world.ask(Ask { or: Some(7), ..ask }),
        world.ask(ask),
    ]);
    for answer in answers.await {
        assert_live(&answer, 1);
    }
    spawn_blocking(move || job.join().unwrap()).await.unwrap();
    assert_eq!(
        F::snapshot(&world.pool).cache.totals.loads,
        1,
        "one of them made the load"
    );
    assert_eq!(F::snapshot(&world.pool).gate.breaker.totals.trips, 0);
}

/// Regression test: callers waited for such a load until their deadlines, again and again.
async fn a_load_whose_runtime_stands_still_is_begun_anew<F: Family>() {
    let world = World::<F>::start().await;
    let pool = world.pool.clone();
    let ask = Ask::new(KEPT).takes(0.3);
    let still = spawn_blocking(move || {
        let still = runtime();
        let given_up =
            still.block_on(async { timeout(Duration::from_millis(100), F::ask(&pool, ask)).await });
        assert!(given_up.is_err());
        still
    });
    let still = still.await.unwrap();
    assert_eq!(world.loading(), 1);
    let start = Instant::now();
    for answer in join_all((0..10).map(|_| world.ask(ask))).await {
        assert_live(&answer, 1);
    }
    let took = start.elapsed();
    println!("{}: {took:?}", F::NAME);
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(world.loading(), 0);
    assert_eq!(F::snapshot(&world.pool).cache.totals.loads, 1);
    still.shutdown_background();
}

async fn a_refresh_whose_runtime_stands_still_is_begun_anew<F: Family>() {
    let clock = ManualClock::new();
    let world = World::<F>::start_with(Breaker::builder().clock(clock.clone())).await;
    let ask = Ask::new(REFRESHED).takes(0.2);
    assert_live(&world.ask(ask).await, 1);
    clock.advance(Duration::from_secs(90));
    let pool = world.pool.clone();
    let still = spawn_blocking(move || {
        let still = runtime();
        let stale = still.block_on(F::ask(&pool, ask)).unwrap();
        assert!(matches!(stale.source, Source::Stale { .. }), "{stale:?}");
        still
    });
    let still = still.await.unwrap();
    assert_eq!(world.loading(), 1);
    eventually("the answer is fresh", async || {
        let served = world.ask(ask).await.unwrap();
        matches!(served.source, Source::Fresh { .. })
    })
    .await;
    still.shutdown_background();
}

/// Regression test: reads that are cached were broken off, and no fallback was served.
async fn closing_the_pool_lets_a_load_end<F: Family>() {
    let world = World::<F>::start().await;
    let slow = Ask::new(KEPT).takes(1.0);
    let asked = async || {
        eventually("it is under way", async || {
            let pool = F::snapshot(&world.pool);
            pool.cache.loading == 1 && pool.size > pool.idle
        })
        .await;
        F::close(&world.pool).await;
    };
    let (answer, ()) = tokio::join!(world.ask(slow), asked());
    assert_live(&answer, 1);

    let fresh = world.ask(slow).await.unwrap();
    assert!(matches!(fresh.source, Source::Fresh { .. }), "{fresh:?}");
    let other = Ask { key: 2, ..slow };
    let default = world
        .ask(Ask {
            or: Some(7),
            ..other
        })
        .await
        .unwrap();
    let reason = Unanswered::Closed;
    assert_eq!(
        (default.value, default.source),
        (7, Source::Default { reason })
    );
    world.ask(other).await.unwrap_err();
    assert_eq!(world.loading(), 0);
}

/// Regression test: the caller that came first decided for all.
async fn a_short_deadline_of_one_caller_is_not_that_of_another<F: Family>() {
    let world = World::<F>::start().await;
    assert_live(&world.ask(Ask::new(KEPT)).await, 1); // opens a connection
    let ask = Ask::new(KEPT).takes(0.5);
    let limit = Some(Duration::from_millis(100));
    let hasty = tokio::spawn(F::ask(&world.pool, Ask { limit, ..ask }));
    eventually("it loads", async || world.loading() == 1).await;
    let patient = world.ask(ask).await;
    assert_live(&patient, 1);
    let error = hasty.await.unwrap().unwrap_err();
    assert!(fusepool::deadline_exceeded(&*error).is_some(), "{error:?}");
}

/// Regression test: two loads that hang are no stall for the breaker, but twenty callers that wait for
/// them are. Each of them has a stale answer, and waited for 30 seconds.
async fn few_keys_that_hang_are_served_stale_and_open_the_breaker<F: Family>() {
    let world = World::<F>::start().await;
    let keys = [1, 2].map(|key| Ask {
        key,
        ..Ask::new(MOSTLY_STALE)
    });
    for ask in keys {
        assert_live(&world.ask(ask).await, ask.key);
    }
    sleep(Duration::from_millis(10)); // they are stale
    world.proxy.set(Fault::Stall);
    let callers = (0..20).map(|n| {
        let (pool, ask) = (world.pool.clone(), keys[n % 2]);
        tokio::spawn(async move {
            let mut longest = Duration::ZERO;
            while F::snapshot(&pool).gate.breaker.totals.trips == 0 {
                let start = Instant::now();
                let served = F::ask(&pool, ask).await.unwrap();
                longest = longest.max(start.elapsed());
                assert!(matches!(served.source, Source::Stale { .. }), "{served:?}");
            }
            longest
        })
    });
    let calls = timeout(
        Duration::from_secs(20),
        join_all(callers.collect::<Vec<_>>()),
    );
    let longest = calls.await.expect("the breaker opens").into_iter();
    let longest = longest.map(|longest| longest.unwrap()).max().unwrap();
    println!("{}: {longest:?}", F::NAME);
    assert!(longest < Duration::from_secs(5), "{longest:?}");
}

/// The same with a locked table, while the server answers everything else.
async fn few_keys_of_a_locked_table_are_served_stale_and_open_the_breaker<DB: Database>()
where
    Networked<DB>: Kind,
{
    let mut kitchen = Kitchen::<Networked<DB>>::open_with(|options| {
        options
            .max_connections(4)
            .query_timeout(Duration::from_secs(30))
            .breaker(Breaker::builder())
    })
    .await;
    kitchen.kind.run("INSERT INTO dish VALUES (2, 'old')").await;
    let ask = |id| Networked::<DB>::name(id, &MOSTLY_STALE);
    for id in [1, 2] {
        ask(id).fetch_one(&kitchen.pool).await.unwrap();
    }
    sleep(Duration::from_millis(10)); // they are stale
    kitchen.kind.lock().await;
    let callers = (0..20).map(|n| {
        let pool = kitchen.pool.clone();
        async move {
            let mut longest = Duration::ZERO;
            while pool.snapshot().gate.breaker.totals.trips == 0 {
                let start = Instant::now();
                let served = ask(1 + n % 2).fetch_one_served(&pool).await.unwrap();
                longest = longest.max(start.elapsed());
                assert!(matches!(served.source, Source::Stale { .. }), "{served:?}");
            }
            longest
        }
    });
    let calls = timeout(Duration::from_secs(40), join_all(callers));
    let longest = calls.await.expect("the breaker opens").into_iter().max();
    println!("a locked table: {longest:?}");
    assert!(longest < Some(Duration::from_secs(5)), "{longest:?}");
    kitchen.kind.unlock().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_keys_of_a_locked_table_on_postgres() {
    few_keys_of_a_locked_table_are_served_stale_and_open_the_breaker::<sqlx::Postgres>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_keys_of_a_locked_table_on_mariadb() {
    few_keys_of_a_locked_table_are_served_stale_and_open_the_breaker::<sqlx::MySql>().await;
}

/// SQLite's connections need no runtime, but the task of a load does.
#[test]
fn a_load_of_sqlite_whose_runtime_stands_still_or_ends_is_begun_anew() {
    const SLOW: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000000) \
                        SELECT max(x) FROM c";
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/dishes.db?mode=rwc", directory.path().display());
    let (here, there) = (runtime(), runtime());
    let pool = here
        .block_on(SqlitePoolOptions::new().max_connections(4).connect(&url))
        .unwrap();
    let ask = || {
        let read = sqlx::query_scalar::<_, i64>(SLOW).cached::<Arc<i64>>(&KEPT);
        read.fetch_one_served(&pool)
    };
    let leave = || async { timeout(Duration::from_millis(20), ask()).await.map(drop) };
    there.block_on(leave()).unwrap_err();
    let answer = here.block_on(ask()).unwrap();
    assert_eq!((*answer.value, answer.source), (1_000_000, Source::Live));

    pool.cache().invalidate_all();
    there.block_on(leave()).unwrap_err();
    drop(there);
    let answer = here.block_on(ask()).unwrap();
    assert_eq!((*answer.value, answer.source), (1_000_000, Source::Live));
    assert_eq!(pool.snapshot().cache.loading, 0);
}

/// The load goes on for a caller that waits, though no handle of the pool is left.
#[tokio::test]
async fn a_caller_without_a_handle_of_the_pool_is_answered() {
    let pool = SqlitePoolOptions::new()
        .connect("sqlite::memory:")
        .await
        .unwrap();
    let executor = Configured::from(&pool);
    let read = sqlx::query_scalar::<_, i64>("SELECT 1").cached::<Arc<i64>>(&KEPT);
    let answer = read.fetch_one(executor);
    drop(pool);
    assert_eq!(*answer.await.unwrap(), 1);
}
