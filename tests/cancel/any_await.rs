//! The drop of any future at any await, on any of three runtimes, leaves the pool, its cache and its
//! breaker as if the call had not been made, or had ended.

use std::any::Any;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use fusepool::Breaker;
use fusepool::breaker::State;
use fusepool::cache::CachePolicy;
use fusepool::sqlx::{Driver, Pool, PoolOptions, ReadExt, WriteExt};
use futures_util::TryStreamExt;
use futures_util::future::{BoxFuture, join_all};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sqlx::{Acquire, ColumnIndex, Database, Decode, Executor, IntoArguments, Row, Type};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

use crate::support::postgres::Postgres;
use crate::support::{PATIENCE, eventually};

/// Enough for all calls of a sequence. The connections of calls that were dropped on a runtime that stands
/// still are returned when it is driven, as with sqlx.
const CONNECTIONS: u32 = 24;
const KEPT: CachePolicy = CachePolicy::named("kept")
    .fresh_for(Duration::from_millis(2))
    .stale_while_revalidate(Duration::from_millis(5))
    .stale_if_error(Duration::from_secs(60))
    .tag("t");

#[derive(Clone, Copy, Debug)]
enum Call {
    Statement,
    Stream,
    Cached(i64),
    CachedOrDefault(i64),
    Write,
    Lease,
    Transaction,
    TransactionByAcquire,
}

#[derive(Clone, Copy, Debug)]
enum Where {
    /// A runtime that is always driven.
    Here,
    /// One that stands still between two steps.
    Still,
    /// One that ends with the step.
    Ending,
}

/// Concurrent calls on one runtime, each of which is dropped after so many polls.
#[derive(Clone, Debug)]
struct Step {
    place: Where,
    calls: Vec<(Call, usize)>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let call = prop_oneof![
        Just(Call::Statement),
        Just(Call::Stream),
        (0..2_i64).prop_map(Call::Cached),
        (0..2_i64).prop_map(Call::CachedOrDefault),
        Just(Call::Write),
        Just(Call::Lease),
        Just(Call::Transaction),
        Just(Call::TransactionByAcquire),
    ];
    let place = prop_oneof![Just(Where::Here), Just(Where::Still), Just(Where::Ending)];
    let polls = prop_oneof![4 => 0..12_usize, 1 => Just(usize::MAX)];
    let step = (place, vec((call, polls), 1..5)).prop_map(|(place, calls)| Step { place, calls });
    vec(step, 1..7)
}

fn call<DB>(pool: Pool<DB>, call: Call) -> BoxFuture<'static, Result<(), sqlx::Error>>
where
    DB: Driver + Database<Row: Row<Database = DB>>,
    DB::Arguments: IntoArguments<DB>,
    for<'r> i64: Decode<'r, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'p> &'p Pool<DB>: Executor<'p, Database = DB>,
{
    const NUMBERS: [&str; 2] = [
        "SELECT n FROM t WHERE id = 0",
        "SELECT n FROM t WHERE id = 1",
    ];
    const ADD: &str = "INSERT INTO log VALUES (1)";
    Box::pin(async move {
        match call {
            Call::Statement => drop(sqlx::query::<DB>(ADD).execute(&pool).await?),
            Call::Stream => {
                let mut rows = sqlx::query::<DB>("SELECT n FROM t").fetch(&pool);
                while rows.try_next().await?.is_some() {}
            }
            Call::Cached(id) => {
                let read = sqlx::query_scalar::<DB, i64>(NUMBERS[id as usize]);
                let read = read.cached::<Arc<i64>>(&KEPT);
                read.fetch_one(&pool).await?;
            }
            Call::CachedOrDefault(id) => {
                let read = sqlx::query_scalar::<DB, i64>(NUMBERS[id as usize]);
                read.cached(&KEPT).or_value(-1).fetch_one(&pool).await?;
            }
            Call::Write => {
                let write = sqlx::query::<DB>(ADD).invalidates(&["t"]);
                write.execute(&pool).await?;
            }
            Call::Lease => {
                let mut lease = pool.acquire().await?;
                lease.ping().await?;
                sqlx::query::<DB>("SELECT 1").execute(&mut *lease).await?;
            }
            Call::Transaction => {
                let mut transaction = pool.begin().await?;
                sqlx::query::<DB>(NUMBERS[0])
                    .execute(&mut *transaction)
                    .await?;
                let savepoint = transaction.begin().await?;
                savepoint.rollback().await?;
                transaction.commit().await?;
            }
            Call::TransactionByAcquire => {
                let mut transaction = Acquire::begin(&pool).await?;
                (&mut *transaction).execute(NUMBERS[0]).await?;
                transaction.rollback().await?;
            }
        }
        Ok(())
    })
}

/// Polls a future at most so many times, and drops it. A future that ends must have succeeded.
async fn polled(mut future: BoxFuture<'static, Result<(), sqlx::Error>>, mut polls: usize) {
    poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(());
        }
        polls -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(ended) => {
                ended.unwrap();
                Poll::Ready(())
            }
            Poll::Pending if polls == 0 => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn play<DB>(
    here: &Runtime,
    pool: &Pool<DB>,
    open_transactions: Option<&'static str>,
    steps: Vec<Step>,
) where
    DB: Driver + Database<Row: Row<Database = DB>>,
    DB::Arguments: IntoArguments<DB>,
    for<'r> i64: Decode<'r, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'p> &'p Pool<DB>: Executor<'p, Database = DB>,
{
    let still = runtime();
    let settled = || {
        let snapshot = pool.snapshot();
        (snapshot.cache.loading, snapshot.gate.waiting) == (0, 0) && snapshot.size == snapshot.idle
    };
    // What was left on a runtime that stands still goes on when it is driven again.
    let settle = || {
        let start = Instant::now();
        while !settled() {
            assert!(start.elapsed() < PATIENCE, "{:?}", pool.snapshot());
            still.block_on(async { sleep(Duration::from_millis(1)).await });
        }
    };
    for step in steps {
        let calls = step.calls.into_iter();
        let calls = join_all(calls.map(|(one, polls)| polled(call(pool.clone(), one), polls)));
        match step.place {
            Where::Here => drop(here.block_on(calls)),
            Where::Still => drop(still.block_on(calls)),
            Where::Ending => {
                // A statement of others breaks, too, if its connection was opened on a runtime that ends.
                settle();
                drop(runtime().block_on(calls));
            }
        }
    }
    settle();
    drop(still);
    here.block_on(async {
        let leases = join_all((0..CONNECTIONS).map(|_| pool.acquire())).await;
        let mut leases: Vec<_> = leases.into_iter().map(Result::unwrap).collect();
        for lease in &mut leases {
            // No transaction was left open. SQLite refuses another one.
            sqlx::query::<DB>("BEGIN")
                .execute(&mut **lease)
                .await
                .unwrap();
            sqlx::query::<DB>("ROLLBACK")
                .execute(&mut **lease)
                .await
                .unwrap();
        }
        if let Some(count) = open_transactions {
            let count = sqlx::query_scalar::<DB, i64>(count).fetch_one(&mut *leases[0]);
            assert_eq!(count.await.unwrap(), 0, "open transactions");
        }
        drop(leases);
        let breaker = pool.snapshot().gate.breaker;
        let harm = (
            breaker.totals.trips,
            breaker.totals.failures,
            breaker.totals.rejected,
        );
        assert_eq!((breaker.state, harm), (State::Closed, (0, 0, 0)));
        eventually("the leases are back", async || settled()).await;
    });
}

/// Random sequences of calls. A failure prints its smallest sequence. `open_transactions` is a query for
/// their number.
fn holds<DB>(
    open_transactions: Option<&'static str>,
    start: impl AsyncFnOnce(PoolOptions<DB>) -> (Pool<DB>, Box<dyn Any>),
) where
    DB: Driver + Database<Row: Row<Database = DB>>,
    DB::Arguments: IntoArguments<DB>,
    for<'r> i64: Decode<'r, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'p> &'p Pool<DB>: Executor<'p, Database = DB>,
{
    let here = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    // A call that is given up is demand: many of them would be a stall.
    let breaker = Breaker::builder()
        .stall_after(None)
        .slow_call_rate(None)
        .probe_timeout(Duration::from_millis(200));
    let options = PoolOptions::new()
        .max_connections(CONNECTIONS)
        .breaker(breaker);
    let (pool, _server) = here.block_on(start(options));
    let schema = [
        "CREATE TABLE t (id INTEGER, n BIGINT)",
        "INSERT INTO t VALUES (0, 0), (1, 0)",
        "CREATE TABLE log (n INTEGER)",
    ];
    for sql in schema {
        here.block_on(sqlx::query::<DB>(sql).execute(&pool))
            .unwrap();
    }
    let config = Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&steps(), |steps| {
        play(&here, &pool, open_transactions, steps);
        Ok(())
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
}

#[test]
fn on_postgres() {
    const OPEN: &str =
        "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    holds(Some(OPEN), async |options: PoolOptions<sqlx::Postgres>| {
        let server = Postgres::start().await;
        let pool = options.connect_lazy(&server.url()).unwrap();
        (pool, Box::new(server) as Box<dyn Any>)
    });
}

#[test]
fn on_sqlite() {
    holds(None, async |options: PoolOptions<sqlx::Sqlite>| {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/t.db?mode=rwc", directory.path().display());
        let pool = options.connect_lazy(&url).unwrap();
        (pool, Box::new(directory) as Box<dyn Any>)
    });
}
