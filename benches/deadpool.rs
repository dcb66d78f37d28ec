//! Guarded deadpool pools beside naked ones, in one process: leasing and giving back, for a manager
//! that does nothing and for PostgreSQL, and a prepared statement.
//!
//! ```sh
//! cargo bench --bench deadpool --features deadpool-postgres,sqlx-postgres
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use deadpool::managed::{self, Manager, Metrics, RecycleResult};
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

const CONNECTIONS: usize = 10;

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

/// How long so many runs take, one after the other.
async fn run(runs: u64, mut once: impl AsyncFnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..runs {
        once().await;
    }
    start.elapsed()
}

fn benches(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(support::postgres::Postgres::start());
    let url = server.url();

    let naked = managed::Pool::<Nothing>::builder(Nothing).build().unwrap();
    let guarded = fusepool::deadpool::Pool::<Nothing>::builder(Nothing)
        .build()
        .unwrap();
    let mut group = c.benchmark_group("get");
    group.bench_function("deadpool", |b| {
        b.iter_custom(|runs| {
            runtime.block_on(run(runs, async || drop(black_box(naked.get().await))))
        });
    });
    group.bench_function("fusepool", |b| {
        b.iter_custom(|runs| {
            runtime.block_on(run(runs, async || drop(black_box(guarded.get().await))))
        });
    });
    group.finish();

    let manager = deadpool_postgres::Manager::new(url.parse().unwrap(), NoTls);
    let naked = deadpool_postgres::Pool::builder(manager)
        .max_size(CONNECTIONS)
        .build()
        .unwrap();
    let manager = fusepool::deadpool::postgres::Manager::new(url.parse().unwrap(), NoTls);
    let guarded = fusepool::deadpool::postgres::Pool::builder(manager)
        .max_size(CONNECTIONS)
        .build()
        .unwrap();
    let mut group = c.benchmark_group("get_postgres");
    group.bench_function("deadpool", |b| {
        b.iter_custom(|runs| {
            runtime.block_on(run(runs, async || drop(black_box(naked.get().await))))
        });
    });
    group.bench_function("fusepool", |b| {
        b.iter_custom(|runs| {
            runtime.block_on(run(runs, async || drop(black_box(guarded.get().await))))
        });
    });
    group.finish();

    let sql = "SELECT $1::int";
    let mut group = c.benchmark_group("query_one");
    group.bench_function("deadpool", |b| {
        b.iter_custom(|runs| {
            runtime.block_on(async {
                let client = naked.get().await.unwrap();
                let statement = client.prepare(sql).await.unwrap();
                run(runs, async || {
                    black_box(client.query_one(&statement, &[&1]).await.unwrap());
                })
                .await
            })
        });
    });
    group.bench_function("fusepool", |b| {
        b.iter_custom(|runs| {
            runtime.block_on(async {
                let client = guarded.get().await.unwrap();
                let statement = client.prepare(sql).await.unwrap();
                run(runs, async || {
                    black_box(client.query_one(&statement, &[&1]).await.unwrap());
                })
                .await
            })
        });
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
