//! Compares `SELECT 1` through a guarded pool with unguarded sqlx, on one PostgreSQL server, with 1,
//! 8 and 64 tasks.
//!
//! Three pools: sqlx with its defaults, which tests a connection before each use; sqlx without that
//! test; and fusepool with its defaults, which tests only connections that were idle for long.
//!
//! ```sh
//! cargo bench --bench pool --features sqlx-postgres
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sqlx::{Executor, PgPool, Postgres, postgres::PgPoolOptions};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const CONNECTIONS: u32 = 10;

fn select_one(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(support::postgres::Postgres::start());
    let url = server.url();
    let options = || PgPoolOptions::new().max_connections(CONNECTIONS);
    let tested: PgPool = runtime.block_on(options().connect(&url)).unwrap();
    let untested: PgPool = runtime
        .block_on(options().test_before_acquire(false).connect(&url))
        .unwrap();
    let guarded = fusepool::sqlx::PgPoolOptions::new().max_connections(CONNECTIONS);
    let guarded = runtime.block_on(guarded.connect(&url)).unwrap();

    let mut group = c.benchmark_group("select_1");
    group.throughput(Throughput::Elements(1));
    for tasks in [1, 8, 64] {
        group.bench_function(BenchmarkId::new("sqlx", tasks), |b| {
            b.iter_custom(|calls| runtime.block_on(load(&tested, tasks, calls)));
        });
        group.bench_function(BenchmarkId::new("sqlx, untested", tasks), |b| {
            b.iter_custom(|calls| runtime.block_on(load(&untested, tasks, calls)));
        });
        group.bench_function(BenchmarkId::new("fusepool", tasks), |b| {
            b.iter_custom(|calls| runtime.block_on(load(&guarded, tasks, calls)));
        });
    }
    group.finish();
}

/// The time that `calls` queries take, spread over the tasks.
async fn load<P>(pool: &P, tasks: u64, calls: u64) -> Duration
where
    P: Clone + Send + Sync + 'static,
    for<'p> &'p P: Executor<'p, Database = Postgres>,
{
    let start = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let pool = pool.clone();
        let share = calls / tasks + u64::from(task < calls % tasks);
        running.spawn(async move {
            for _ in 0..share {
                sqlx::query("SELECT 1").execute(&pool).await.unwrap();
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    start.elapsed()
}

criterion_group!(benches, select_one);
criterion_main!(benches);
