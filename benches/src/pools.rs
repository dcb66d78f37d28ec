//! Leases of a pool whose connections do nothing, and cached reads.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{self, Manager, Metrics, RecycleResult};
use fusepool::cache::CachePolicy;
use fusepool::sqlx::{ReadExt, SqlitePool, SqlitePoolOptions};
use quick_cache::sync::Cache;

use crate::{Group, Path, Row, block_on, row};

const DAY: &str = "2026-11-24";
const SQL: &str = "SELECT 'dish ' || ?1 || ?2";
const KEYS: u64 = 100;
const LONG: Duration = Duration::from_secs(3_600);
pub const FRESH: CachePolicy = CachePolicy::named("fresh").fresh_for(LONG);
const STALE: CachePolicy = CachePolicy::named("stale")
    .database_first()
    .stale_if_error(LONG);

const LEASES: &[Row] = &[
    row(
        "deadpool, `get` and drop, a manager that does nothing",
        &["deadpool itself"],
        [Some(1.15); 2],
    ),
    row(
        "deadpool, the same with a statement that does nothing",
        &["deadpool itself"],
        [None; 2],
    ),
];
const READS: &[Row] = &[
    row(
        "cached read, fresh, SQLite, two arguments",
        READ,
        [Some(3.5); 2],
    ),
    row("cached read, open and stale", READ, [Some(3.5); 2]),
];
/// The least work of a cached read.
const READ: &[&str] = &["`get` of quick_cache", "building sqlx's query"];

pub(crate) fn groups() -> Vec<Group> {
    vec![(leases(), LEASES), (reads(), READS)]
}

/// A manager whose connections do nothing.
pub struct Nothing;

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

pub fn naked() -> managed::Pool<Nothing> {
    managed::Pool::builder(Nothing).build().unwrap()
}

pub fn guarded() -> fusepool::deadpool::Pool<Nothing> {
    let pool = fusepool::deadpool::Pool::builder(Nothing);
    pool.cache_bytes(1 << 30).build().unwrap()
}

fn leases() -> Vec<Path> {
    let (naked, guarded) = (naked(), guarded());
    let used = guarded.clone();
    vec![
        Path::of_async(
            "deadpool, `get` and drop, a manager that does nothing",
            async move |_| drop(guarded.get().await),
        ),
        Path::of_async("deadpool itself", async move |_| drop(naked.get().await)),
        Path::of_async(
            "deadpool, the same with a statement that does nothing",
            async move |_| {
                let mut object = used.get().await.unwrap();
                object.guard(async |()| Ok(())).await.unwrap();
            },
        ),
    ]
}

async fn read(pool: &SqlitePool, id: u64, policy: &CachePolicy) -> Arc<String> {
    let query = sqlx::query_scalar(SQL).bind(id as i64).bind(DAY);
    query.cached(policy).fetch_one(pool).await.unwrap()
}

fn reads() -> Vec<Path> {
    let options = || SqlitePoolOptions::new().max_connections(1);
    let connect = || block_on(options().connect("sqlite::memory:")).unwrap();
    let (fresh, stale) = (connect(), connect());
    let quick = Cache::<u128, Arc<String>>::new(1_000);
    for id in 0..KEYS {
        quick.insert(u128::from(id), block_on(read(&fresh, id, &FRESH)));
        block_on(read(&stale, id, &STALE));
    }
    let open = stale.gate().breaker().force_open();
    vec![
        Path::of_async(
            "cached read, fresh, SQLite, two arguments",
            async move |number| read(&fresh, number % KEYS, &FRESH).await,
        ),
        Path::of_async("cached read, open and stale", async move |number| {
            let _open = &open;
            read(&stale, number % KEYS, &STALE).await
        }),
        Path::new("`get` of quick_cache", move |number| {
            quick.get(&u128::from(number % KEYS))
        }),
        Path::new("building sqlx's query", |number| {
            let query = sqlx::query_scalar::<sqlx::Sqlite, String>(SQL);
            query.bind((number % KEYS) as i64).bind(DAY)
        }),
    ]
}
