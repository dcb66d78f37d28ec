//! The calls with sqlx.

use std::any::Any;
use std::sync::Arc;

use fusepool::sqlx::{Driver, Pool, PoolOptions, ReadExt, WriteExt};
use fusepool::{PoolSnapshot, breaker};
use futures_util::TryStreamExt;
use futures_util::future::{BoxFuture, join_all};
use sqlx::{Acquire, ColumnIndex, Database, Decode, Executor, IntoArguments, Row, Type};

use super::{ADD, ALL, CONNECTIONS, Call, KEPT, NUMBERS, Outcome, Subject};
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

/// A database for sqlx.
trait Server: Driver {
    /// A query for the number of open transactions.
    const OPEN: Option<&'static str>;

    async fn start() -> (String, Box<dyn Any>);
}

impl Server for sqlx::Postgres {
    const OPEN: Option<&'static str> = Some(super::OPEN_ON_POSTGRES);

    async fn start() -> (String, Box<dyn Any>) {
        let server = Postgres::start().await;
        (server.url(), Box::new(server))
    }
}

impl Server for sqlx::MySql {
    const OPEN: Option<&'static str> = Some(super::OPEN_ON_MARIADB);

    async fn start() -> (String, Box<dyn Any>) {
        let server = MariaDb::start().await;
        (server.url(), Box::new(server))
    }
}

impl Server for sqlx::Sqlite {
    const OPEN: Option<&'static str> = None;

    async fn start() -> (String, Box<dyn Any>) {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/t.db?mode=rwc", directory.path().display());
        (url, Box::new(directory))
    }
}

impl<DB> Subject for Pool<DB>
where
    DB: Server + Database<Row: Row<Database = DB>>,
    DB::Arguments: IntoArguments<DB>,
    for<'r> i64: Decode<'r, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'p> &'p Pool<DB>: Executor<'p, Database = DB>,
{
    async fn start(breaker: breaker::Builder) -> (Self, Box<dyn Any>) {
        let (url, server) = DB::start().await;
        let options = PoolOptions::new().max_connections(CONNECTIONS as u32);
        (options.breaker(breaker).connect_lazy(&url).unwrap(), server)
    }

    fn call(self, call: Call) -> BoxFuture<'static, Outcome<()>> {
        let pool = self;
        Box::pin(async move {
            match call {
                Call::Statement => drop(sqlx::query::<DB>(ADD).execute(&pool).await?),
                Call::Stream => {
                    let mut rows = sqlx::query::<DB>(ALL).fetch(&pool);
                    while rows.try_next().await?.is_some() {}
                }
                Call::Cached(id) => {
                    let read = sqlx::query_scalar::<DB, i64>(NUMBERS[id]);
                    read.cached::<Arc<i64>>(&KEPT).fetch_one(&pool).await?;
                }
                Call::CachedOrDefault(id) => {
                    let read = sqlx::query_scalar::<DB, i64>(NUMBERS[id]).cached(&KEPT);
                    read.or_value(-1).fetch_one(&pool).await?;
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
                    let read = sqlx::query::<DB>(NUMBERS[0]);
                    read.execute(&mut *transaction).await?;
                    transaction.begin().await?.rollback().await?;
                    transaction.commit().await?;
                }
                Call::OtherTransaction => {
                    let mut transaction = Acquire::begin(&pool).await?;
                    let connection = &mut *transaction;
                    Executor::execute(connection, NUMBERS[0]).await?;
                    transaction.rollback().await?;
                }
            }
            Ok(())
        })
    }

    async fn run(&self, connections: usize, sql: &'static str) {
        let leases = join_all((0..connections).map(|_| self.acquire())).await;
        for lease in leases {
            let mut lease = lease.unwrap();
            for sql in ["BEGIN", sql, "COMMIT"] {
                sqlx::query::<DB>(sql).execute(&mut *lease).await.unwrap();
            }
        }
    }

    async fn open_transactions(&self) -> Option<i64> {
        let open = sqlx::query_scalar::<DB, i64>(DB::OPEN?).fetch_one(self);
        Some(open.await.unwrap())
    }

    fn snapshot(&self) -> PoolSnapshot {
        self.snapshot()
    }
}
