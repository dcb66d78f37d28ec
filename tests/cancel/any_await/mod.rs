//! The drop of any future at any await, on any of three runtimes, leaves the pool, its cache and its
//! breaker as if the call had not been made, or had ended.

mod deadpool;
mod diesel;
mod sqlx;

use std::any::Any;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use fusepool::breaker::{self, State};
use fusepool::cache::CachePolicy;
use fusepool::deadpool::diesel::{AsyncMysqlConnection, AsyncPgConnection, Pool};
use fusepool::sqlx::{MySqlPool, PgPool, SqlitePool};
use fusepool::{Breaker, PoolSnapshot};
use futures_util::future::{BoxFuture, join_all};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

use crate::support::{PATIENCE, eventually};

/// Enough for all calls of a sequence. The connections of calls that were dropped on a runtime that stands
/// still are returned when it is driven, as with sqlx.
const CONNECTIONS: usize = 24;
const KEPT: CachePolicy = CachePolicy::named("kept")
    .fresh_for(Duration::from_millis(2))
    .stale_while_revalidate(Duration::from_millis(5))
    .stale_if_error(Duration::from_secs(60))
    .tag("t");

const SCHEMA: [&str; 3] = [
    "CREATE TABLE t (id INTEGER, n BIGINT)",
    "INSERT INTO t VALUES (0, 0), (1, 0)",
    "CREATE TABLE log (n INTEGER)",
];
const ALL: &str = "SELECT n FROM t";
const NUMBERS: [&str; 2] = [
    "SELECT n FROM t WHERE id = 0",
    "SELECT n FROM t WHERE id = 1",
];
const ADD: &str = "INSERT INTO log VALUES (1)";
const OPEN_ON_POSTGRES: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
const OPEN_ON_MARIADB: &str = "SELECT count(*) FROM information_schema.innodb_trx";

#[derive(Clone, Copy, Debug)]
enum Call {
    Statement,
    Stream,
    Cached(usize),
    CachedOrDefault(usize),
    Write,
    Lease,
    Transaction,
    /// One that is begun in another way.
    OtherTransaction,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A kind of pool.
trait Subject: Clone + Send + Sync + 'static {
    /// Starts a server, and returns a pool that connects to it when needed.
    async fn start(breaker: breaker::Builder) -> (Self, Box<dyn Any>);

    fn call(self, call: Call) -> BoxFuture<'static, Outcome<()>>;

    /// Runs a statement on each of this many connections at once, in a transaction of its own.
    async fn run(&self, connections: usize, sql: &'static str);

    /// The number of transactions that are open on the server, if it tells.
    async fn open_transactions(&self) -> Option<i64>;

    fn snapshot(&self) -> PoolSnapshot;
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
        (0..2_usize).prop_map(Call::Cached),
        (0..2_usize).prop_map(Call::CachedOrDefault),
        Just(Call::Write),
        Just(Call::Lease),
        Just(Call::Transaction),
        Just(Call::OtherTransaction),
    ];
    let place = prop_oneof![Just(Where::Here), Just(Where::Still), Just(Where::Ending)];
    let polls = prop_oneof![4 => 0..12_usize, 1 => Just(usize::MAX)];
    let step = (place, vec((call, polls), 1..5)).prop_map(|(place, calls)| Step { place, calls });
    vec(step, 1..7)
}

/// Polls a future at most so many times, and drops it. A future that ends must have succeeded.
async fn polled(mut future: BoxFuture<'static, Outcome<()>>, mut polls: usize) {
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

fn play<S: Subject>(here: &Runtime, pool: &S, steps: Vec<Step>) {
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
        let calls = join_all(calls.map(|(call, polls)| polled(pool.clone().call(call), polls)));
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
        // No transaction was left open: SQLite would refuse another one.
        pool.run(CONNECTIONS, ALL).await;
        let open = pool.open_transactions().await;
        assert_eq!(open.unwrap_or_default(), 0, "open transactions");
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

/// Plays random sequences of calls. A failure prints its smallest sequence.
fn holds<S: Subject>() {
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
    let (pool, _server) = here.block_on(S::start(breaker));
    for sql in SCHEMA {
        here.block_on(pool.run(1, sql));
    }
    let config = Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&steps(), |steps| {
        play(&here, &pool, steps);
        Ok(())
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
}

#[test]
fn on_sqlx_sqlite() {
    holds::<SqlitePool>();
}

#[test]
fn on_sqlx_postgres() {
    holds::<PgPool>();
}

#[test]
fn on_sqlx_mariadb() {
    holds::<MySqlPool>();
}

#[test]
fn on_deadpool_postgres() {
    holds::<fusepool::deadpool::postgres::Pool>();
}

#[test]
fn on_diesel_postgres() {
    holds::<Pool<AsyncPgConnection>>();
}

#[test]
fn on_diesel_mariadb() {
    holds::<Pool<AsyncMysqlConnection>>();
}
