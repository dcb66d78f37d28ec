//! Guarded diesel-async pools.

use std::marker::PhantomData;
use std::time::Duration;

use diesel::prelude::*;
use diesel::query_builder::QueryFragment;
use diesel::result::{self, ConnectionError, DatabaseErrorKind};
use diesel::sql_types::{BigInt, Integer};
use diesel::{dsl, sql_query};
use diesel_async::methods::LoadQuery;
use diesel_async::pooled_connection::{self, AsyncDieselConnectionManager};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncMysqlConnection, AsyncPgConnection, RunQueryDsl,
    SimpleAsyncConnection, TransactionManager,
};
use fusepool::deadpool::Pool;
use fusepool::deadpool::diesel::{Connection, Driver, Object, PoolError, delivery};
use fusepool::{Delivery, Gate};
use futures_util::{TryStreamExt, pin_mut};

use crate::deadpool::{configure, wrap};
use crate::dialect::Dialect;
use crate::options::Options;
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;
use crate::system::{Answer, System};

pub struct Diesel<R>(PhantomData<fn() -> R>);

/// The differences between the drivers.
pub trait Raw: Driver {
    type Server: Dialect;

    const NAME: &'static str;

    fn manager(url: &str) -> Self::Manager;
}

impl Raw for AsyncPgConnection {
    type Server = Postgres;

    const NAME: &'static str = "PostgreSQL through diesel";

    fn manager(url: &str) -> Self::Manager {
        AsyncDieselConnectionManager::new(url)
    }
}

impl Raw for AsyncMysqlConnection {
    type Server = MariaDb;

    const NAME: &'static str = "MariaDB through diesel";

    /// Without this, mysql_async switches to the Unix socket of a local server, past the proxy.
    fn manager(url: &str) -> Self::Manager {
        AsyncDieselConnectionManager::new(format!("{url}?prefer_socket=false"))
    }
}

/// The errors of the two steps of a call: leasing a connection, and the statement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no connection")]
    Pool(#[from] PoolError),
    #[error("no answer")]
    Statement(#[from] result::Error),
}

impl<R: Raw> System for Diesel<R>
where
    dsl::select<dsl::AsExprOf<i32, Integer>>: for<'q> LoadQuery<'q, Connection<R>, i32>,
    diesel::expression::SqlLiteral<BigInt>: for<'q> LoadQuery<'q, Connection<R>, i64>,
    diesel::query_builder::SqlQuery: QueryFragment<R::Backend>,
{
    type Server = R::Server;
    type Pool = Pool<R::Manager, Object<Connection<R>>>;
    type Lease = Object<Connection<R>>;
    type Error = Error;

    const NAME: &'static str = R::NAME;
    const TASKS: usize = 0;
    const TESTS_ALL: bool = true;
    const CALLS: usize = 7;

    /// Without `alive_bypass`: diesel-async's manager tests every idle connection.
    fn build(options: &Options, url: &str) -> Self::Pool {
        let mut pool = configure(Self::Pool::builder(R::manager(url)), options);
        if let Some(sql) = options.probe_query {
            pool = pool.probe_query(sql);
        }
        pool.build().unwrap()
    }

    fn wrap(size: u32, acquire_timeout: Duration, url: &str) -> Self::Pool {
        wrap(R::manager(url), size, acquire_timeout)
    }

    fn gate(pool: &Self::Pool) -> &Gate {
        pool.gate()
    }

    fn connections(pool: &Self::Pool) -> (usize, usize) {
        let status = pool.status();
        (status.size, status.available)
    }

    fn lease(pool: &Self::Pool) -> Answer<'_, Self, Self::Lease> {
        Box::pin(async { Ok(pool.get().await?) })
    }

    fn ping(lease: &mut Self::Lease) -> Answer<'_, Self> {
        Self::run_on(lease, "SELECT 1")
    }

    fn run_on<'a>(lease: &'a mut Self::Lease, sql: &'static str) -> Answer<'a, Self> {
        Box::pin(async move { Ok(lease.batch_execute(sql).await?) })
    }

    fn begin(lease: &mut Self::Lease) -> Answer<'_, Self> {
        Box::pin(async {
            let conn: &mut Connection<R> = lease;
            AnsiTransactionManager::begin_transaction(conn).await?;
            Ok(AnsiTransactionManager::rollback_transaction(conn).await?)
        })
    }

    fn ask(pool: &Self::Pool) -> Answer<'_, Self> {
        Box::pin(async {
            let mut conn = pool.get().await?;
            let one = diesel::select(1.into_sql::<Integer>());
            one.get_result::<i32>(&mut *conn).await?;
            Ok(())
        })
    }

    /// Without a deadline of its own, which diesel has no way to give.
    fn run<'a>(pool: &'a Self::Pool, _: Duration, sql: &str) -> Answer<'a, Self> {
        let sql = sql.to_owned();
        Box::pin(async move { Ok(pool.get().await?.batch_execute(&sql).await?) })
    }

    fn number<'a>(pool: &'a Self::Pool, _: Duration, sql: &str) -> Answer<'a, Self, i64> {
        let number = dsl::sql::<BigInt>(sql);
        Box::pin(async move {
            let mut conn = pool.get().await?;
            Ok(number.get_result::<i64>(&mut *conn).await?)
        })
    }

    fn transaction<'a>(
        pool: &'a Self::Pool,
        sql: &'static str,
        before_commit: &'a (dyn Fn() + Sync),
    ) -> Answer<'a, Self> {
        Box::pin(async move {
            let conn: &mut Connection<R> = &mut *pool.get().await?;
            conn.transaction(async |conn| {
                conn.batch_execute(sql).await?;
                before_commit();
                Ok(())
            })
            .await
        })
    }

    fn call(pool: &Self::Pool, kind: usize) -> Answer<'_, Self> {
        let insert = "INSERT INTO t VALUES (1)";
        Box::pin(async move {
            let session = dsl::sql::<BigInt>(R::Server::SESSION);
            let conn: &mut Connection<R> = &mut *pool.get().await?;
            match kind {
                0 => drop(session.load::<i64>(conn).await?),
                1 => drop(sql_query(insert).execute(conn).await?),
                2 => conn.batch_execute(insert).await?,
                3 => {
                    conn.transaction(async |conn| {
                        conn.transaction(async |conn| conn.batch_execute(insert).await)
                            .await
                    })
                    .await?;
                }
                4 => {
                    let rolled_back = conn.transaction(async |conn| {
                        conn.batch_execute(insert).await?;
                        Err::<(), _>(result::Error::RollbackTransaction)
                    });
                    match rolled_back.await {
                        Err(result::Error::RollbackTransaction) => {}
                        other => other?,
                    }
                }
                5 => {
                    AnsiTransactionManager::begin_transaction(conn).await?;
                    conn.batch_execute(insert).await?;
                    // The connection is not reused, because its transaction was left open.
                }
                _ => {
                    let rows = session.load_stream::<i64>(conn).await?;
                    pin_mut!(rows);
                    while rows.try_next().await?.is_some() {}
                }
            }
            Ok(())
        })
    }

    fn delivery(error: &Error) -> Delivery {
        match error {
            Error::Pool(_) => Delivery::NotSent,
            Error::Statement(error) => delivery(error),
        }
    }

    /// diesel-async drops codes.
    fn said(error: &Error) -> Option<String> {
        use pooled_connection::PoolError as Backend;
        let error = match error {
            Error::Statement(error)
            | Error::Pool(PoolError::Backend(
                Backend::QueryError(error)
                | Backend::ConnectionError(ConnectionError::CouldntSetupConfiguration(error)),
            )) => error,
            Error::Pool(_) => return None,
        };
        match error {
            result::Error::DatabaseError(DatabaseErrorKind::UnableToSendCommand, _) => None,
            result::Error::DatabaseError(_, said) => Some(said.message().to_owned()),
            _ => None,
        }
    }
}
