//! The hot paths, and beside them the same with other crates. A path prepares what it needs, and
//! measures a number of calls.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{self, Manager, Metrics, RecycleResult};
use failsafe::CircuitBreaker;
use failsafe::futures::CircuitBreaker as AsyncCircuitBreaker;
use fusepool::breaker::{Builder, Window};
use fusepool::cache::CachePolicy;
use fusepool::sqlx::{ReadExt, SqlitePool, SqlitePoolOptions};
use fusepool::{Breaker, Class, Gate};
use recloser::{AsyncRecloser, Recloser};
use tokio::runtime::{self, Runtime};

use crate::measure::Measure;

const LONG: Duration = Duration::from_secs(3_600);
const SQL: &str = "SELECT 'dish ' || ?1 || ?2";
const DAY: &str = "2026-11-24";
const FRESH: CachePolicy = CachePolicy::named("fresh").fresh_for(LONG);
const STALE: CachePolicy = CachePolicy::named("stale")
    .database_first()
    .stale_if_error(LONG);

/// A result of a guarded call.
type Answer = Result<u64, ()>;

const WELL: Answer = Ok(1);
const FAILED: Answer = Err(());

pub(crate) fn all(measure: &mut Measure) {
    breakers(measure);
    gates(measure);
    leases(measure);
    reads(measure);
}

fn builder() -> Builder {
    // Once open, it stays open for the whole run.
    Breaker::builder()
        .open_duration(LONG)
        .max_open_duration(LONG)
        .jitter(0.0)
}

fn recloser() -> Recloser {
    Recloser::custom().open_wait(LONG).build()
}

fn failsafe() -> impl CircuitBreaker + AsyncCircuitBreaker {
    let backoff = failsafe::backoff::constant(LONG);
    let policy = failsafe::failure_policy::consecutive_failures(5, backoff);
    failsafe::Config::new().failure_policy(policy).build()
}

/// Measures calls of a closed breaker, and of the same one after it opened.
fn closed_and_open(measure: &mut Measure, who: &str, call: impl Fn(Answer) -> bool) {
    for (state, answer) in [("closed", WELL), ("open", FAILED)] {
        // More failures than any breaker tolerates.
        for _ in 0..200 {
            call(answer);
        }
        measure.calls(&format!("{who}, {state}"), || {
            black_box(call(black_box(answer)));
        });
    }
}

fn breakers(measure: &mut Measure) {
    let breaker = builder().build().unwrap();
    closed_and_open(measure, "breaker", |answer| breaker.call(|| answer).is_ok());
    let by_calls = builder().window(Window::calls(100)).slow_call_rate(None);
    let breaker = by_calls.build().unwrap();
    closed_and_open(measure, "breaker, 100 calls, no slow rate", |answer| {
        breaker.call(|| answer).is_ok()
    });
    let recloser = recloser();
    closed_and_open(measure, "recloser", |answer| {
        recloser.call(|| answer).is_ok()
    });
    let failsafe = failsafe();
    closed_and_open(measure, "failsafe", |answer| {
        CircuitBreaker::call(&failsafe, || answer).is_ok()
    });
}

fn gates(measure: &mut Measure) {
    let runtime = runtime();
    let gate = Gate::builder(builder()).build().unwrap();
    let recloser = AsyncRecloser::from(recloser());
    let failsafe = failsafe();
    let classify = |(): &()| Class::Failure;
    runtime.block_on(async {
        for (state, answer) in [("closed", WELL), ("open", FAILED)] {
            for _ in 0..200 {
                let _ = gate.call(&classify, async { answer }).await;
                let _ = recloser.call(async { answer }).await;
                let _ = AsyncCircuitBreaker::call(&failsafe, async { answer }).await;
            }
            let path = |who| format!("{who}, async, {state}");
            measure
                .async_calls(&path("gate"), async || {
                    let _ = black_box(gate.call(&classify, async { black_box(answer) }).await);
                })
                .await;
            measure
                .async_calls(&path("recloser"), async || {
                    let _ = black_box(recloser.call(async { black_box(answer) }).await);
                })
                .await;
            measure
                .async_calls(&path("failsafe"), async || {
                    let call = AsyncCircuitBreaker::call(&failsafe, async { black_box(answer) });
                    let _ = black_box(call.await);
                })
                .await;
        }
    });
}

struct Nothing;

impl Manager for Nothing {
    type Type = ();
    type Error = Infallible;

    async fn create(&self) -> Result<(), Infallible> {
        Ok(())
    }

    async fn recycle(&self, (): &mut (), _: &Metrics) -> RecycleResult<Infallible> {
        Ok(())
    }
}

fn leases(measure: &mut Measure) {
    runtime().block_on(async {
        let naked = managed::Pool::<Nothing>::builder(Nothing).build().unwrap();
        measure
            .async_calls("deadpool, get and drop", async || drop(naked.get().await))
            .await;
        let pool = fusepool::deadpool::Pool::<Nothing>::builder(Nothing);
        let pool = pool.build().unwrap();
        measure
            .async_calls("deadpool, guarded, get and drop", async || {
                drop(pool.get().await);
            })
            .await;
        let mut object = pool.get().await.unwrap();
        measure
            .async_calls("deadpool, guarded, statement on a lease", async || {
                let _ = black_box(object.guard(async |()| Ok(())).await);
            })
            .await;
    });
}

async fn read(pool: &SqlitePool, id: i64, policy: &CachePolicy) -> Arc<String> {
    let query = sqlx::query_scalar(SQL).bind(id).bind(DAY);
    query.cached(policy).fetch_one(pool).await.unwrap()
}

fn reads(measure: &mut Measure) {
    const KEYS: i64 = 100;
    runtime().block_on(async {
        let options = SqlitePoolOptions::new().max_connections(1);
        let pool = options.connect("sqlite::memory:").await.unwrap();
        let quick = quick_cache::sync::Cache::<u128, Arc<String>>::new(1_000);
        for id in 0..KEYS {
            quick.insert(id as u128, read(&pool, id, &FRESH).await);
            read(&pool, id, &STALE).await;
        }
        let mut ids = (0..KEYS).cycle();
        let mut next = || ids.next().unwrap_or_default();
        measure.calls("quick_cache get", || {
            black_box(quick.get(&(next() as u128)));
        });
        measure.calls("sqlx, building the query", || {
            let query = sqlx::query_scalar::<sqlx::Sqlite, String>(SQL);
            let _ = black_box(query.bind(next()).bind(DAY));
        });
        measure
            .async_calls("cached read, fresh", async || {
                black_box(read(&pool, next(), &FRESH).await);
            })
            .await;
        let _open = pool.gate().breaker().force_open();
        measure
            .async_calls("cached read, open and stale", async || {
                black_box(read(&pool, next(), &STALE).await);
            })
            .await;
    });
}

fn runtime() -> Runtime {
    let mut runtime = runtime::Builder::new_current_thread();
    runtime.enable_time().build().unwrap()
}
