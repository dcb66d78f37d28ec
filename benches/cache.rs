//! Compares a cached read in an outage with a raw `get` of the stores that could implement it, and
//! the computation of its key with a hash of the same bytes.
//!
//! No server is needed: everything is served from the cache, fresh, or stale while the breaker is
//! held open.
//!
//! ```sh
//! cargo bench --bench cache --features sqlx-sqlite
//! ```

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use fusepool::cache::CachePolicy;
use fusepool::sqlx::{ReadExt, SqlitePool, SqlitePoolOptions};
use siphasher::sip128::{Hasher128, SipHasher13};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Encode, Sqlite, Type};
use tokio::runtime::{self, Runtime};

const KEYS: i64 = 1_000;
const SQL: &str = "SELECT 'dish ' || ?1 || ?2";
const DAY: &str = "2026-11-24";
const DAY_LONG: Duration = Duration::from_secs(86_400);
const FRESH: CachePolicy = CachePolicy::named("fresh").fresh_for(DAY_LONG);
const STALE: CachePolicy = CachePolicy::named("stale")
    .database_first()
    .stale_if_error(DAY_LONG);

async fn read(pool: &SqlitePool, id: i64, policy: &CachePolicy) -> Arc<String> {
    let query = sqlx::query_scalar(SQL).bind(id).bind(DAY);
    query.cached(policy).fetch_one(pool).await.unwrap()
}

fn reads(c: &mut Criterion) {
    let runtime: Runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let options = SqlitePoolOptions::new().max_connections(1);
    let pool = runtime
        .block_on(options.connect("sqlite::memory:"))
        .unwrap();
    let quick = quick_cache::sync::Cache::<u128, Arc<String>>::new(10_000);
    let moka = moka::sync::Cache::<u128, Arc<String>>::new(10_000);
    for id in 0..KEYS {
        let value = runtime.block_on(read(&pool, id, &FRESH));
        runtime.block_on(read(&pool, id, &STALE));
        quick.insert(id as u128, Arc::clone(&value));
        moka.insert(id as u128, value);
    }
    let mut ids = (0..KEYS).cycle();
    let mut next = move || ids.next().unwrap_or_default();

    let mut group = c.benchmark_group("cached read");
    group.bench_function("quick_cache, raw get", |b| {
        b.iter(|| quick.get(&(next() as u128)));
    });
    group.bench_function("moka, raw get", |b| b.iter(|| moka.get(&(next() as u128))));
    group.bench_function("fusepool, fresh", |b| {
        b.iter(|| runtime.block_on(read(&pool, next(), &FRESH)));
    });
    let open = pool.gate().breaker().force_open();
    group.bench_function("fusepool, open and stale", |b| {
        b.iter(|| runtime.block_on(read(&pool, next(), &STALE)));
    });
    drop(open);
    group.bench_function("the runtime alone", |b| {
        b.iter(|| runtime.block_on(async {}))
    });
    // The time that sqlx itself needs to prepare the query and its arguments.
    group.bench_function("sqlx, the query alone", |b| {
        b.iter(|| {
            sqlx::query_scalar::<Sqlite, String>(SQL)
                .bind(next())
                .bind(DAY)
        });
    });
    group.finish();
}

/// The statement and one argument, hashed as raw bytes and as a key.
fn keys(c: &mut Criterion) {
    let integer = arguments(42_i64);
    key(c, "an integer", &42_i64.to_be_bytes(), &integer);
    for (size, length) in [("100 bytes", 100), ("10 kB", 10_000)] {
        let text = "d".repeat(length);
        key(c, size, text.as_bytes(), &arguments(text.clone()));
    }
}

fn arguments<'q, T>(value: T) -> SqliteArguments
where
    T: Encode<'q, Sqlite> + Type<Sqlite> + 'q,
{
    let mut arguments = SqliteArguments::default();
    arguments.add(value).unwrap();
    arguments
}

fn key(c: &mut Criterion, size: &str, value: &[u8], arguments: &SqliteArguments) {
    let bytes = [SQL.as_bytes(), value].concat();
    let cheapest = foldhash::quality::RandomState::default();
    let mut group = c.benchmark_group(format!("key, {size}"));
    group.bench_function("foldhash of the raw bytes", |b| {
        b.iter(|| {
            let mut hasher = cheapest.build_hasher();
            hasher.write(black_box(&bytes));
            hasher.finish()
        });
    });
    group.bench_function("SipHash-1-3 of the raw bytes", |b| {
        b.iter(|| {
            let mut hasher = SipHasher13::new_with_keys(1, 2);
            hasher.write(black_box(&bytes));
            hasher.finish128().as_u128()
        });
    });
    // The crate's own hasher is private; this does the same work.
    group.bench_function("SipHash-1-3 of the arguments as printed", |b| {
        b.iter(|| {
            let mut hasher = Printed(SipHasher13::new_with_keys(1, 2));
            hasher.0.write(SQL.as_bytes());
            let _ = std::fmt::write(&mut hasher, format_args!("{:?}", black_box(arguments)));
            hasher.0.finish128().as_u128()
        });
    });
    group.finish();
}

struct Printed(SipHasher13);

impl std::fmt::Write for Printed {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

criterion_group!(benches, reads, keys);
criterion_main!(benches);
