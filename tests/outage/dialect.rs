//! The differences between the two database systems, and between their drivers for sqlx.

use std::ops::DerefMut;

use fusepool::sqlx::{Driver, Pool};
use futures_util::future::BoxFuture;
use sqlx::{Acquire, AssertSqlSafe, Database, Error, Executor, IntoArguments, MySql, Row};

use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;
use crate::support::server::Server;

pub type Answer<'a, T = ()> = BoxFuture<'a, Result<T, Error>>;
pub type Connection<S> = <<S as Dialect>::Db as Database>::Connection;

/// An error of the server: its code, and the start of its message.
pub struct Refusal {
    code: &'static str,
    words: &'static str,
}

impl Refusal {
    /// Whether it matches what [`said`](crate::system::System::said) returns.
    pub fn is(&self, said: &str) -> bool {
        said == self.code || said.starts_with(self.words)
    }
}

/// A server of one system, its dialect, and what generic code cannot get from a driver.
pub trait Dialect: DerefMut<Target = Server> + Send + Sync + 'static {
    type Db: Driver;

    const NAME: &'static str;
    const DATABASE: &'static str;
    /// A statement that takes ten seconds.
    const SLEEP: &'static str;
    /// A statement that takes 1.3 seconds.
    const NAP: &'static str;
    /// A statement that takes 3 seconds.
    const LONG_NAP: &'static str;
    /// Creates the function `failure`, which fails as if the server were not ready; to be run as superuser.
    const FAILURE: &'static [&'static str];
    /// Replaces it by a function that succeeds.
    const NO_FAILURE: &'static [&'static str];
    /// Limits the user `app` to one connection; to be run as superuser.
    const ONE_CONNECTION: &'static str;
    /// The server's id of the connection.
    const SESSION: &'static str;
    /// A query with far more rows than the buffers on the way can hold.
    const BULK: &'static str;
    /// Locks the table `t`, on a separate connection.
    const LOCK: [&'static str; 2];
    /// Makes the server read-only, and writable again; to be run as superuser.
    const READ_ONLY: [&'static str; 2];
    const READ_WRITE: [&'static str; 2];
    /// The error of a connection that the server refuses.
    const WRONG_PASSWORD: Refusal;
    const UNKNOWN_DATABASE: Refusal;
    /// Connections that the server allows users of `max_connections = 10`.
    const SLOTS_OF_TEN: usize;

    async fn start(settings: &[(&str, &str)]) -> Self;
    async fn restart(&mut self);
    async fn connection_count(&self) -> i64;

    /// Runs a statement, or a query, on an unguarded connection.
    fn run<'a>(connection: &'a mut Connection<Self>, sql: &str) -> Answer<'a>;
    fn ask_number<'a>(connection: &'a mut Connection<Self>, sql: &str) -> Answer<'a, i64>;

    /// A prepared statement on the pool itself.
    fn ask(pool: &Pool<Self::Db>) -> Answer<'_>;
    fn number(row: &<Self::Db as Database>::Row) -> i64;
    /// Runs `sql` on the connection that code generic over `sqlx::Acquire` gets from the pool.
    fn through_acquire<'a>(pool: &'a Pool<Self::Db>, sql: &str) -> Answer<'a>;
    /// The same in a transaction.
    fn through_begin<'a>(pool: &'a Pool<Self::Db>, sql: &str) -> Answer<'a>;
}

impl Dialect for Postgres {
    type Db = sqlx::Postgres;

    const NAME: &'static str = "PostgreSQL";
    const DATABASE: &'static str = "postgres";
    const SLEEP: &'static str = "SELECT pg_sleep(10)";
    const NAP: &'static str = "SELECT pg_sleep(1.3)";
    const LONG_NAP: &'static str = "SELECT pg_sleep(3)";
    const FAILURE: &'static [&'static str] = &[
        "CREATE FUNCTION failure() RETURNS int LANGUAGE plpgsql AS \
         $$ BEGIN RAISE 'the database system is not yet accepting connections' USING ERRCODE = '57P03'; END $$",
    ];
    const NO_FAILURE: &'static [&'static str] =
        &["CREATE OR REPLACE FUNCTION failure() RETURNS int LANGUAGE sql AS 'SELECT 1'"];
    const ONE_CONNECTION: &'static str = "ALTER ROLE app CONNECTION LIMIT 1";
    const SESSION: &'static str = "SELECT CAST(pg_backend_pid() AS bigint)";
    const BULK: &'static str = "SELECT repeat('x', 10000) FROM generate_series(1, 3000)";
    const LOCK: [&'static str; 2] = ["BEGIN", "LOCK TABLE t IN ACCESS EXCLUSIVE MODE"];
    const READ_ONLY: [&'static str; 2] = [
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "SELECT pg_reload_conf()",
    ];
    const READ_WRITE: [&'static str; 2] = [
        "ALTER SYSTEM RESET default_transaction_read_only",
        "SELECT pg_reload_conf()",
    ];
    const WRONG_PASSWORD: Refusal = Refusal {
        code: "28P01",
        words: "password authentication failed",
    };
    const UNKNOWN_DATABASE: Refusal = Refusal {
        code: "3D000",
        words: "database \"nowhere\" does not exist",
    };
    const SLOTS_OF_TEN: usize = 7;

    async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_with(settings).await
    }

    async fn restart(&mut self) {
        self.restart().await;
    }

    async fn connection_count(&self) -> i64 {
        self.connection_count().await
    }

    fn run<'a>(connection: &'a mut Connection<Self>, sql: &str) -> Answer<'a> {
        run(connection, sql)
    }

    fn ask_number<'a>(connection: &'a mut Connection<Self>, sql: &str) -> Answer<'a, i64> {
        Box::pin(sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(connection))
    }

    fn ask(pool: &Pool<Self::Db>) -> Answer<'_> {
        ask(pool)
    }

    fn number(row: &sqlx::postgres::PgRow) -> i64 {
        row.get(0)
    }

    fn through_acquire<'a>(pool: &'a Pool<Self::Db>, sql: &str) -> Answer<'a> {
        through_acquire(pool, sql)
    }

    fn through_begin<'a>(pool: &'a Pool<Self::Db>, sql: &str) -> Answer<'a> {
        through_begin(pool, sql)
    }
}

impl Dialect for MariaDb {
    type Db = MySql;

    const NAME: &'static str = "MariaDB";
    const DATABASE: &'static str = "test";
    const SLEEP: &'static str = "SELECT SLEEP(10)";
    const NAP: &'static str = "SELECT SLEEP(1.3)";
    const LONG_NAP: &'static str = "SELECT SLEEP(3)";
    const FAILURE: &'static [&'static str] = &["CREATE FUNCTION failure() RETURNS int BEGIN \
         SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1053, \
         MESSAGE_TEXT = 'Server shutdown in progress'; RETURN 1; END"];
    const NO_FAILURE: &'static [&'static str] =
        &["CREATE OR REPLACE FUNCTION failure() RETURNS int RETURN 1"];
    const ONE_CONNECTION: &'static str = "ALTER USER app WITH MAX_USER_CONNECTIONS 1";
    const SESSION: &'static str = "SELECT CAST(CONNECTION_ID() AS SIGNED)";
    const BULK: &'static str = "SELECT REPEAT('x', 10000) FROM seq_1_to_3000";
    const LOCK: [&'static str; 2] = ["SET lock_wait_timeout = 60", "LOCK TABLES t WRITE"];
    const READ_ONLY: [&'static str; 2] = ["FLUSH TABLES", "SET GLOBAL read_only = 1"];
    const READ_WRITE: [&'static str; 2] = ["SET GLOBAL read_only = 0", "FLUSH TABLES"];
    const WRONG_PASSWORD: Refusal = Refusal {
        code: "28000",
        words: "Access denied",
    };
    const UNKNOWN_DATABASE: Refusal = Refusal {
        code: "42000",
        words: "Unknown database 'nowhere'",
    };
    const SLOTS_OF_TEN: usize = 10;

    async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_with(settings).await
    }

    async fn restart(&mut self) {
        self.restart().await;
    }

    async fn connection_count(&self) -> i64 {
        self.connection_count().await
    }

    fn run<'a>(connection: &'a mut Connection<Self>, sql: &str) -> Answer<'a> {
        run(connection, sql)
    }

    fn ask_number<'a>(connection: &'a mut Connection<Self>, sql: &str) -> Answer<'a, i64> {
        Box::pin(sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(connection))
    }

    fn ask(pool: &Pool<Self::Db>) -> Answer<'_> {
        ask(pool)
    }

    fn number(row: &sqlx::mysql::MySqlRow) -> i64 {
        row.get(0)
    }

    fn through_acquire<'a>(pool: &'a Pool<Self::Db>, sql: &str) -> Answer<'a> {
        through_acquire(pool, sql)
    }

    fn through_begin<'a>(pool: &'a Pool<Self::Db>, sql: &str) -> Answer<'a> {
        through_begin(pool, sql)
    }
}

/// An unguarded connection.
pub async fn connect<S: Dialect>(url: &str) -> Connection<S> {
    <Connection<S> as sqlx::Connection>::connect(url)
        .await
        .unwrap()
}

pub async fn close<S: Dialect>(connection: Connection<S>) {
    <Connection<S> as sqlx::Connection>::close(connection)
        .await
        .unwrap();
}

fn run<'e, DB: Database>(executor: impl Executor<'e, Database = DB> + 'e, sql: &str) -> Answer<'e> {
    let sql = AssertSqlSafe(sql.to_owned());
    Box::pin(async move { executor.execute(sql).await.map(drop) })
}

fn ask<DB: Driver>(pool: &Pool<DB>) -> Answer<'_>
where
    for<'p> &'p Pool<DB>: Executor<'p, Database = DB>,
    DB::Arguments: IntoArguments<DB>,
{
    Box::pin(async move { sqlx::query("SELECT 1").execute(pool).await.map(drop) })
}

fn through_acquire<'a, DB: Driver>(
    acquire: impl Acquire<'a, Database = DB> + Send + 'a,
    sql: &str,
) -> Answer<'a>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let sql = AssertSqlSafe(sql.to_owned());
    Box::pin(async move {
        let mut connection = acquire.acquire().await?;
        connection.execute(sql).await.map(drop)
    })
}

fn through_begin<'a, DB: Driver>(
    acquire: impl Acquire<'a, Database = DB> + Send + 'a,
    sql: &str,
) -> Answer<'a>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let sql = AssertSqlSafe(sql.to_owned());
    Box::pin(async move {
        let mut transaction = acquire.begin().await?;
        (&mut *transaction).execute(sql).await?;
        transaction.commit().await
    })
}
