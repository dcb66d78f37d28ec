//! Guarded sqlx pools.

use std::marker::PhantomData;
use std::time::Duration;

use fusepool::sqlx::{GuardedConnection, Pool, PoolConnection, PoolOptions};
use fusepool::{Delivery, Gate};
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Error, Executor};

use crate::dialect::Dialect;
use crate::options::Options;
use crate::system::{Answer, System};

pub struct Sqlx<D>(PhantomData<D>);

/// Converts the options to those of a sqlx pool.
pub fn pool_options<D: Dialect>(options: &Options) -> PoolOptions<D::Db> {
    let mut pool = PoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .query_timeout(options.query_timeout)
        .breaker(options.breaker.clone())
        .sink(options.events.clone());
    if let Some(callers) = options.max_queue {
        pool = pool.max_queue(callers);
    }
    if let Some(idle) = options.alive_bypass {
        pool = pool.alive_bypass(idle);
    }
    if let Some(sql) = options.probe_query {
        pool = pool.probe_query(sql);
    }
    pool
}

impl<D: Dialect> System for Sqlx<D> {
    type Server = D;
    type Pool = Pool<D::Db>;
    type Lease = PoolConnection<D::Db>;
    type Error = Error;

    const NAME: &'static str = D::NAME;
    const TASKS: usize = 1;
    const TESTS_ALL: bool = false;
    const CALLS: usize = 8;

    fn build(options: &Options, url: &str) -> Self::Pool {
        pool_options::<D>(options).connect_lazy(url).unwrap()
    }

    fn wrap(size: u32, acquire_timeout: Duration, url: &str) -> Self::Pool {
        sqlx::pool::PoolOptions::<D::Db>::new()
            .max_connections(size)
            .acquire_timeout(acquire_timeout)
            .connect_lazy(url)
            .unwrap()
            .into()
    }

    fn gate(pool: &Self::Pool) -> &Gate {
        pool.gate()
    }

    fn connections(pool: &Self::Pool) -> (usize, usize) {
        (pool.size() as usize, pool.num_idle())
    }

    fn lease(pool: &Self::Pool) -> Answer<'_, Self, Self::Lease> {
        Box::pin(pool.acquire())
    }

    fn ping(lease: &mut Self::Lease) -> Answer<'_, Self> {
        Box::pin(lease.ping())
    }

    fn run_on<'a>(lease: &'a mut Self::Lease, sql: &'static str) -> Answer<'a, Self> {
        let connection: &mut GuardedConnection<D::Db> = lease;
        Box::pin(async move { connection.execute(sql).await.map(drop) })
    }

    fn begin(lease: &mut Self::Lease) -> Answer<'_, Self> {
        Box::pin(async { lease.begin().await?.rollback().await })
    }

    fn ask(pool: &Self::Pool) -> Answer<'_, Self> {
        D::ask(pool)
    }

    fn run<'a>(pool: &'a Self::Pool, limit: Duration, sql: &str) -> Answer<'a, Self> {
        let sql = AssertSqlSafe(sql.to_owned());
        Box::pin(async move { pool.with_timeout(limit).execute(sql).await.map(drop) })
    }

    fn number<'a>(pool: &'a Self::Pool, limit: Duration, sql: &str) -> Answer<'a, Self, i64> {
        let sql = AssertSqlSafe(sql.to_owned());
        Box::pin(async move { Ok(D::number(&pool.with_timeout(limit).fetch_one(sql).await?)) })
    }

    fn transaction<'a>(
        pool: &'a Self::Pool,
        sql: &'static str,
        before_commit: &'a (dyn Fn() + Sync),
    ) -> Answer<'a, Self> {
        Box::pin(async move {
            let mut transaction = pool.begin().await?;
            (&mut *transaction as &mut GuardedConnection<D::Db>)
                .execute(sql)
                .await?;
            before_commit();
            transaction.commit().await
        })
    }

    fn call(pool: &Self::Pool, kind: usize) -> Answer<'_, Self> {
        let insert = "INSERT INTO t VALUES (1)";
        Box::pin(async move {
            match kind {
                0 => D::ask(pool).await,
                1 => Self::run(pool, Duration::from_secs(1), insert).await,
                2 => pool.acquire().await?.ping().await,
                3 => Self::transaction(pool, insert, &|| {}).await,
                4 => pool.begin().await?.rollback().await,
                5 => {
                    let mut rows = pool
                        .with_timeout(Duration::from_secs(1))
                        .fetch_many(D::SESSION);
                    while rows.try_next().await?.is_some() {}
                    Ok(())
                }
                6 => D::through_acquire(pool, insert).await,
                _ => D::through_begin(pool, insert).await,
            }
        })
    }

    fn delivery(error: &Error) -> Delivery {
        fusepool::sqlx::delivery(error)
    }

    fn said(error: &Error) -> Option<String> {
        Some(error.as_database_error()?.code()?.into_owned())
    }
}
