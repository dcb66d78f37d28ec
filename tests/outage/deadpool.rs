//! Guarded deadpool-postgres pools.

use std::time::Duration;

use deadpool::managed;
use fusepool::deadpool::postgres::{Client, Manager, Pool, PoolError, delivery};
use fusepool::deadpool::{Pool as AnyPool, PoolBuilder, Wrapper};
use fusepool::{Delivery, Gate};
use futures_util::{TryStreamExt, pin_mut};
use tokio_postgres::NoTls;

use crate::options::Options;
use crate::support::postgres::Postgres;
use crate::system::{Answer, System};

pub struct Deadpool;

/// The errors of the two steps of a call: leasing a client, and the statement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no client")]
    Pool(#[from] PoolError),
    #[error("no answer")]
    Statement(#[from] tokio_postgres::Error),
}

/// Converts the options to a builder of a deadpool pool.
pub fn configure<M, W>(pool: PoolBuilder<M, W>, options: &Options) -> PoolBuilder<M, W>
where
    M: managed::Manager + 'static,
    W: Wrapper<M>,
{
    let pool = pool
        .max_size(options.max_connections as usize)
        .acquire_timeout(options.acquire_timeout)
        .query_timeout(options.query_timeout)
        .breaker(options.breaker.clone())
        .sink(options.events.clone());
    match options.max_queue {
        Some(callers) => pool.max_queue(callers),
        None => pool,
    }
}

/// A deadpool pool, built by deadpool and guarded with defaults.
pub fn wrap<M, W>(manager: M, size: u32, acquire_timeout: Duration) -> AnyPool<M, W>
where
    M: managed::Manager + 'static,
    W: Wrapper<M>,
{
    managed::Pool::builder(manager)
        .max_size(size as usize)
        .runtime(deadpool::Runtime::Tokio1)
        .wait_timeout(Some(acquire_timeout))
        .build()
        .unwrap()
        .into()
}

impl System for Deadpool {
    type Server = Postgres;
    type Pool = Pool;
    type Lease = Client;
    type Error = Error;

    const NAME: &'static str = "PostgreSQL through deadpool";
    const TASKS: usize = 0;
    const TESTS_ALL: bool = false;
    const CALLS: usize = 7;

    fn build(options: &Options, url: &str) -> Pool {
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        let mut pool = configure(Pool::builder(manager), options);
        if let Some(idle) = options.alive_bypass {
            pool = pool.alive_bypass(idle);
        }
        if let Some(sql) = options.probe_query {
            pool = pool.probe_query(sql);
        }
        pool.build().unwrap()
    }

    fn wrap(size: u32, acquire_timeout: Duration, url: &str) -> Pool {
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        wrap(manager, size, acquire_timeout)
    }

    fn gate(pool: &Pool) -> &Gate {
        pool.gate()
    }

    fn connections(pool: &Pool) -> (usize, usize) {
        let status = pool.status();
        (status.size, status.available)
    }

    fn lease(pool: &Pool) -> Answer<'_, Self, Client> {
        Box::pin(async { Ok(pool.get().await?) })
    }

    fn ping(client: &mut Client) -> Answer<'_, Self> {
        Box::pin(async { Ok(client.check_connection().await?) })
    }

    fn run_on<'a>(client: &'a mut Client, sql: &'static str) -> Answer<'a, Self> {
        Box::pin(async move { Ok(client.batch_execute(sql).await?) })
    }

    fn begin(client: &mut Client) -> Answer<'_, Self> {
        Box::pin(async { Ok(client.transaction().await?.rollback().await?) })
    }

    fn ask(pool: &Pool) -> Answer<'_, Self> {
        Box::pin(async {
            let client = pool.get().await?;
            let statement = client.prepare_cached("SELECT 1").await?;
            client.query_one(&statement, &[]).await?;
            Ok(())
        })
    }

    fn run<'a>(pool: &'a Pool, limit: Duration, sql: &str) -> Answer<'a, Self> {
        let sql = sql.to_owned();
        Box::pin(async move {
            let client = pool.get().await?;
            Ok(client.with_timeout(limit).batch_execute(&sql).await?)
        })
    }

    fn number<'a>(pool: &'a Pool, limit: Duration, sql: &str) -> Answer<'a, Self, i64> {
        let sql = sql.to_owned();
        Box::pin(async move {
            let client = pool.get().await?;
            Ok(client
                .with_timeout(limit)
                .query_one_scalar(&sql, &[])
                .await?)
        })
    }

    fn transaction<'a>(
        pool: &'a Pool,
        sql: &'static str,
        before_commit: &'a (dyn Fn() + Sync),
    ) -> Answer<'a, Self> {
        Box::pin(async move {
            let mut client = pool.get().await?;
            let transaction = client.transaction().await?;
            transaction.batch_execute(sql).await?;
            before_commit();
            Ok(transaction.commit().await?)
        })
    }

    fn call(pool: &Pool, kind: usize) -> Answer<'_, Self> {
        let insert = "INSERT INTO t VALUES (1)";
        Box::pin(async move {
            let mut client = pool.get().await?;
            match kind {
                0 => drop(client.query_typed("SELECT 1", &[]).await?),
                1 => client.batch_execute(insert).await?,
                2 => client.check_connection().await?,
                3 => {
                    let mut transaction = client.transaction().await?;
                    let savepoint = transaction.transaction().await?;
                    savepoint.execute(insert, &[]).await?;
                    savepoint.commit().await?;
                    transaction.commit().await?;
                }
                4 => client.build_transaction().start().await?.rollback().await?,
                5 => {
                    let transaction = client.transaction().await?;
                    transaction.execute(insert, &[]).await?;
                    // Dropping it rolls it back.
                }
                _ => {
                    let rows = client.query_raw("SELECT 1", [0_i32; 0]).await?;
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

    fn said(error: &Error) -> Option<String> {
        let error = match error {
            Error::Pool(PoolError::Backend(error)) | Error::Statement(error) => error,
            Error::Pool(_) => return None,
        };
        Some(error.code()?.code().to_owned())
    }
}
