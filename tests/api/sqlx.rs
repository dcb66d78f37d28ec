//! Pools of sqlx's drivers.

use std::sync::Arc;
use std::time::Duration;

use fusepool::cache::{CachePolicy, CacheSnapshot};
use fusepool::sqlx::{
    AcquiredConnection, Cache, Configured, CouldNotConnect, Delivery, GuardedConnection, Pool,
    PoolConnection, PoolOptions, PoolSnapshot, Read, ReadExt, Transaction, Write, WriteExt,
};
use sqlx::{Acquire, Executor};

#[test]
fn types_of_all_drivers_are_send_and_sync() {
    assert_send_sync!(
        Cache<'static>,
        CachePolicy,
        CacheSnapshot,
        CouldNotConnect,
        Delivery,
        fusepool::NotARead,
        PoolSnapshot,
    );
}

macro_rules! driver {
    ($name:ident, $driver:ty) => {
        mod $name {
            use super::*;

            type Db = $driver;

            #[test]
            fn types_are_send_and_sync() {
                assert_send_sync!(
                    AcquiredConnection<Db>,
                    GuardedConnection<Db>,
                    Pool<Db>,
                    PoolConnection<Db>,
                    PoolOptions<Db>,
                    Transaction<'static, Db>,
                    Configured<'static, Db>,
                );
            }

            #[test]
            fn queries_are_send() {
                // Not `Sync`: a query holds the future that was given to `or_else`.
                assert_send!(
                    Read<'static, Db, i64, Arc<Vec<i64>>>,
                    Write<sqlx::query::Query<'static, Db, <Db as sqlx::Database>::Arguments>>,
                );
            }

            #[expect(dead_code, reason = "that it compiles is the test")]
            fn futures_of_a_pool_can_be_spawned(pool: &Pool<Db>, other: &Pool<Db>) {
                let policy = CachePolicy::named("policy");
                assert_spawnable!(
                    Pool::<Db>::connect(""),
                    PoolOptions::<Db>::new().connect(""),
                    pool.acquire(),
                    pool.begin(),
                    pool.begin_with("BEGIN"),
                    pool.try_begin(),
                    pool.try_begin_with("BEGIN"),
                    pool.close(),
                    Acquire::acquire(pool),
                    Acquire::begin(pool),
                    pool.execute("SELECT 1"),
                    pool.fetch_all("SELECT 1"),
                    sqlx::query::<Db>("SELECT 1").execute(pool),
                    sqlx::query::<Db>("SELECT 1")
                        .execute(pool.with_timeout(Duration::from_secs(1))),
                    sqlx::query_scalar::<Db, i64>("SELECT 1").fetch_one(pool),
                    sqlx::query_scalar::<Db, i64>("SELECT 1")
                        .cached(&policy)
                        .fetch_all(pool),
                    sqlx::query_scalar::<Db, i64>("SELECT 1")
                        .cached(&policy)
                        .fetch_all_served(pool),
                    sqlx::query_scalar::<Db, i64>("SELECT 1")
                        .cached(&policy)
                        .fetch_optional(pool),
                    sqlx::query_scalar::<Db, i64>("SELECT 1")
                        .cached(&policy)
                        .fetch_one_served(pool),
                    sqlx::query_scalar::<Db, i64>("SELECT 1")
                        .or_value(1)
                        .fetch_one(pool),
                    sqlx::query_scalar::<Db, i64>("SELECT 1")
                        .or_from(other)
                        .fetch_one(pool),
                    sqlx::query_scalar::<Db, i64>("SELECT 1")
                        .or_else(async { Ok(1) })
                        .fetch_one(pool),
                    sqlx::query::<Db>("SELECT 1")
                        .invalidates(&["tag"])
                        .execute(pool),
                );
            }

            #[expect(dead_code, reason = "that it compiles is the test")]
            fn futures_of_a_lease_can_be_spawned(mut connection: PoolConnection<Db>) {
                assert_spawnable!(
                    connection.ping(),
                    connection.begin(),
                    connection.begin_with("BEGIN"),
                    (&mut *connection).execute("SELECT 1"),
                    sqlx::query::<Db>("SELECT 1").execute(&mut *connection),
                    sqlx::query::<Db>("SELECT 1")
                        .invalidates(&["tag"])
                        .execute(&mut *connection),
                    sqlx::query_scalar::<Db, i64>("SELECT 1")
                        .or_value(1)
                        .fetch_one(&mut *connection),
                    connection.close(),
                );
            }

            #[expect(dead_code, reason = "that it compiles is the test")]
            fn futures_of_a_transaction_can_be_spawned(
                mut one: Transaction<'static, Db>,
                other: Transaction<'static, Db>,
            ) {
                assert_spawnable!(
                    one.begin(),
                    one.begin_with("SAVEPOINT one"),
                    (&mut *one).execute("SELECT 1"),
                    sqlx::query::<Db>("SELECT 1").execute(&mut *one),
                    one.commit(),
                    other.rollback(),
                );
            }
        }
    };
}

#[cfg(feature = "sqlx-postgres")]
driver!(postgres, sqlx::Postgres);
#[cfg(feature = "sqlx-mysql")]
driver!(mysql, sqlx::MySql);
#[cfg(feature = "sqlx-sqlite")]
driver!(sqlite, sqlx::Sqlite);
