//! The differences between the two database systems.

use std::ops::DerefMut;
use std::sync::Arc;

use fusepool::cache::CachePolicy;
use fusepool::sqlx::{Configured, Driver, Pool, Read, ReadExt, WriteExt, database_error};
use futures_util::future::BoxFuture;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::{Error, MySql};

use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;
use crate::support::server::Server;

/// A query for one number.
pub type Number<S> = Read<'static, <S as System>::Db, i64, Arc<i64>>;

/// A server of one system, its dialect, and what generic code cannot get from a driver.
pub trait System: DerefMut<Target = Server> + Send + Sync + 'static {
    type Db: Driver;

    const NAME: &'static str;
    /// A function `ask` that counts its calls, whatever their outcome, and returns their number; and a
    /// function `fail`, which counts, too, and then fails with `FAILURE`.
    const SCHEMA: &'static [&'static str];
    /// `ask`, in a slow query.
    const ASK_SLOWLY: &'static str;
    const FAILURE: &'static str;

    async fn start() -> Self;

    /// Runs statements as superuser, without the proxy. Returns the number that the last one selects.
    async fn admin(&self, statements: &[&'static str]) -> Option<i64>;

    /// A query without arguments.
    fn number(sql: &'static str, policy: &CachePolicy) -> Number<Self>;
    /// The version of an item.
    fn version(item: i64, policy: &CachePolicy) -> Number<Self>;
    /// Raises the version of an item, unless it is higher already.
    fn raise<'c>(
        on: impl Into<Configured<'c, Self::Db>>,
        item: i64,
        version: i64,
        tags: &[&str],
    ) -> BoxFuture<'c, Result<(), Error>>;
    /// The same without the guarded pool and its cache.
    fn raise_outside(pool: &sqlx::Pool<Self::Db>, item: i64, version: i64) -> BoxFuture<'_, ()>;
    /// Whether this error contains the driver's own error.
    fn is_own(error: &Error) -> bool;

    fn lazy(pool: fusepool::sqlx::PoolOptions<Self::Db>, url: &str) -> Pool<Self::Db>;
}

macro_rules! system {
    ($server:ty, $db:ty, $error:ty, $read:literal, $raise:literal, { $($constants:tt)* }) => {
        impl System for $server {
            type Db = $db;

            $($constants)*

            async fn start() -> Self {
                Self::start().await
            }

            async fn admin(&self, statements: &[&'static str]) -> Option<i64> {
                let mut connection = self.connect().await.unwrap();
                let mut answer = None;
                for sql in statements {
                    let row = sqlx::raw_sql(*sql).fetch_optional(&mut connection).await.unwrap();
                    answer = row.and_then(|row| sqlx::Row::try_get(&row, 0).ok());
                }
                answer
            }

            fn number(sql: &'static str, policy: &CachePolicy) -> Number<Self> {
                sqlx::query_scalar(sql).cached(policy)
            }

            fn version(item: i64, policy: &CachePolicy) -> Number<Self> {
                sqlx::query_scalar($read).bind(item).cached(policy)
            }

            fn raise<'c>(
                on: impl Into<Configured<'c, $db>>,
                item: i64,
                version: i64,
                tags: &[&str],
            ) -> BoxFuture<'c, Result<(), Error>> {
                let query = sqlx::query($raise).bind(version).bind(item).bind(version);
                let (write, on) = (query.invalidates(tags), on.into());
                Box::pin(async move { write.execute(on).await.map(drop) })
            }

            fn raise_outside(pool: &sqlx::Pool<$db>, item: i64, version: i64) -> BoxFuture<'_, ()> {
                let query = sqlx::query($raise).bind(version).bind(item).bind(version);
                Box::pin(async move { query.execute(pool).await.map(drop).unwrap() })
            }

            fn is_own(error: &Error) -> bool {
                database_error::<$error>(error).is_some()
            }

            fn lazy(options: fusepool::sqlx::PoolOptions<$db>, url: &str) -> Pool<$db> {
                options.connect_lazy(url).unwrap()
            }
        }
    };
}

system!(
    Postgres,
    sqlx::Postgres,
    PgDatabaseError,
    "SELECT version FROM item WHERE id = $1",
    "UPDATE item SET version = $1 WHERE id = $2 AND version < $3",
    {
        const NAME: &'static str = "PostgreSQL";
        const SCHEMA: &'static [&'static str] = &[
            "CREATE SEQUENCE asked",
            "CREATE FUNCTION ask() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('asked') $$",
            "CREATE FUNCTION fail() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN
                 PERFORM ask();
                 PERFORM pg_sleep(0.3);
                 RAISE EXCEPTION 'sold out' USING ERRCODE = '45000';
             END $$",
            "CREATE FUNCTION nap() RETURNS bigint LANGUAGE plpgsql AS
                 $$ BEGIN PERFORM pg_sleep(0.3); RETURN ask(); END $$",
            "CREATE TABLE item (id bigint PRIMARY KEY, version bigint NOT NULL)",
            "INSERT INTO item SELECT id, 0 FROM generate_series(0, 99) AS id",
        ];
        const ASK_SLOWLY: &'static str = "SELECT nap()";
        const FAILURE: &'static str = "45000";
    }
);

system!(
    MariaDb,
    MySql,
    MySqlDatabaseError,
    "SELECT version FROM item WHERE id = ?",
    "UPDATE item SET version = ? WHERE id = ? AND version < ?",
    {
        const NAME: &'static str = "MariaDB";
        const SCHEMA: &'static [&'static str] = &[
            "CREATE SEQUENCE asked",
            "CREATE FUNCTION ask() RETURNS BIGINT RETURN NEXTVAL(asked)",
            "CREATE FUNCTION fail() RETURNS BIGINT BEGIN
                 DO ask();
                 DO SLEEP(0.3);
                 SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'sold out';
                 RETURN 0;
             END",
            "CREATE FUNCTION nap() RETURNS BIGINT BEGIN DO SLEEP(0.3); RETURN ask(); END",
            "CREATE TABLE item (id BIGINT PRIMARY KEY, version BIGINT NOT NULL)",
            "INSERT INTO item SELECT seq, 0 FROM seq_0_to_99",
        ];
        const ASK_SLOWLY: &'static str = "SELECT nap()";
        const FAILURE: &'static str = "45000";
    }
);
