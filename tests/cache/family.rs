//! The kinds of pools on servers, with one query that takes as long as a test wants.

use std::any::Any;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use diesel::dsl::sql;
use diesel::sql_types::BigInt;
use fusepool::cache::CachePolicy;
use fusepool::deadpool::diesel::{
    AsyncDieselConnectionManager, AsyncMysqlConnection, AsyncPgConnection, ReadExt as _,
};
use fusepool::deadpool::postgres::Manager;
use fusepool::sqlx::{Configured, ReadExt as _};
use fusepool::{Breaker, PoolSnapshot, Served, breaker};
use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};
use tokio_postgres::NoTls;

use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;
use crate::support::proxy::Proxy;

/// A cached read of the number `key`.
#[derive(Clone, Copy)]
pub struct Ask {
    pub policy: CachePolicy,
    pub key: i64,
    /// The time that the query takes.
    pub takes: Duration,
    pub or: Option<i64>,
    pub limit: Option<Duration>,
}

impl Ask {
    pub fn new(policy: CachePolicy) -> Self {
        Self {
            policy,
            key: 1,
            takes: Duration::ZERO,
            or: None,
            limit: None,
        }
    }

    pub fn takes(self, seconds: f64) -> Self {
        let takes = Duration::from_secs_f64(seconds);
        Self { takes, ..self }
    }
}

pub type Answer = Result<Served<i64>, Box<dyn Error + Send + Sync>>;

/// A kind of pool. The same pool is used from several runtimes.
pub trait Family: Sized + 'static {
    type Pool: Clone + Send + Sync + 'static;

    const NAME: &'static str;

    /// A server, and its address without a proxy.
    async fn server() -> (Box<dyn Any + Send + Sync>, std::net::SocketAddr);
    fn pool(port: u16, breaker: breaker::Builder) -> Self::Pool;
    fn ask(pool: &Self::Pool, ask: Ask) -> BoxFuture<'static, Answer>;
    fn snapshot(pool: &Self::Pool) -> PoolSnapshot;
    fn close(pool: &Self::Pool) -> BoxFuture<'static, ()>;
}

pub struct World<F: Family> {
    pub pool: F::Pool,
    pub proxy: Proxy,
    _server: Box<dyn Any + Send + Sync>,
}

impl<F: Family> World<F> {
    pub async fn start() -> Self {
        Self::start_with(Breaker::builder()).await
    }

    pub async fn start_with(breaker: breaker::Builder) -> Self {
        let (server, addr) = F::server().await;
        let proxy = Proxy::start(addr).await.unwrap();
        let pool = F::pool(proxy.addr().port(), breaker);
        Self {
            pool,
            proxy,
            _server: server,
        }
    }

    pub async fn ask(&self, ask: Ask) -> Answer {
        F::ask(&self.pool, ask).await
    }

    pub fn loading(&self) -> usize {
        F::snapshot(&self.pool).cache.loading
    }
}

fn postgres_sql(ask: &Ask) -> String {
    let takes = ask.takes.as_secs_f64();
    format!("CAST({} AS bigint) FROM pg_sleep({takes})", ask.key)
}

fn mariadb_sql(ask: &Ask) -> String {
    let takes = ask.takes.as_secs_f64();
    format!("slow({}, {takes})", ask.key)
}

async fn postgres() -> (Box<dyn Any + Send + Sync>, std::net::SocketAddr) {
    let server = Postgres::start().await;
    let addr = server.addr();
    (Box::new(server), addr)
}

/// A cached read may not call `SLEEP` itself.
const SLOW: &str = "CREATE FUNCTION slow(value BIGINT, seconds DOUBLE) RETURNS BIGINT \
                    BEGIN DO SLEEP(seconds); RETURN value; END";

async fn mariadb() -> (Box<dyn Any + Send + Sync>, std::net::SocketAddr) {
    let server = MariaDb::start().await;
    let mut connection = MySqlConnection::connect(&server.url()).await.unwrap();
    connection.execute(SLOW).await.unwrap();
    connection.close().await.unwrap();
    let addr = server.addr();
    (Box::new(server), addr)
}

fn postgres_url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

fn mariadb_url(port: u16) -> String {
    format!("mysql://root@127.0.0.1:{port}/test")
}

macro_rules! on_sqlx {
    ($name:ident, $server:ident, $db:ty, $sql:ident, $url:ident, $text:literal) => {
        pub struct $name;

        impl Family for $name {
            type Pool = fusepool::sqlx::Pool<$db>;

            const NAME: &'static str = $text;

            async fn server() -> (Box<dyn Any + Send + Sync>, std::net::SocketAddr) {
                $server().await
            }

            fn pool(port: u16, breaker: breaker::Builder) -> Self::Pool {
                fusepool::sqlx::PoolOptions::new()
                    .max_connections(4)
                    .breaker(breaker)
                    .connect_lazy(&$url(port))
                    .unwrap()
            }

            fn ask(pool: &Self::Pool, ask: Ask) -> BoxFuture<'static, Answer> {
                let pool = pool.clone();
                Box::pin(async move {
                    let query = AssertSqlSafe(format!("SELECT {}", $sql(&ask)));
                    let mut read = sqlx::query_scalar::<$db, i64>(query).cached(&ask.policy);
                    if let Some(value) = ask.or {
                        read = read.or_value(value);
                    }
                    let executor = match ask.limit {
                        Some(limit) => pool.with_timeout(limit),
                        None => Configured::from(&pool),
                    };
                    let served = read.fetch_one_served(executor).await?;
                    Ok(served.map(|value: Arc<i64>| *value))
                })
            }

            fn snapshot(pool: &Self::Pool) -> PoolSnapshot {
                pool.snapshot()
            }

            fn close(pool: &Self::Pool) -> BoxFuture<'static, ()> {
                let pool = pool.clone();
                Box::pin(async move { pool.close().await })
            }
        }
    };
}

on_sqlx!(
    SqlxPostgres,
    postgres,
    sqlx::Postgres,
    postgres_sql,
    postgres_url,
    "sqlx, PostgreSQL"
);
on_sqlx!(
    SqlxMariaDb,
    mariadb,
    sqlx::MySql,
    mariadb_sql,
    mariadb_url,
    "sqlx, MariaDB"
);

pub struct Deadpool;

impl Family for Deadpool {
    type Pool = fusepool::deadpool::postgres::Pool;

    const NAME: &'static str = "deadpool-postgres";

    async fn server() -> (Box<dyn Any + Send + Sync>, std::net::SocketAddr) {
        postgres().await
    }

    fn pool(port: u16, breaker: breaker::Builder) -> Self::Pool {
        let manager = Manager::new(postgres_url(port).parse().unwrap(), NoTls);
        let pool = Self::Pool::builder(manager).max_size(4).breaker(breaker);
        pool.build().unwrap()
    }

    fn ask(pool: &Self::Pool, ask: Ask) -> BoxFuture<'static, Answer> {
        let pool = pool.clone();
        Box::pin(async move {
            let mut read = pool.cached(&ask.policy);
            if let Some(limit) = ask.limit {
                read = read.with_timeout(limit);
            }
            let query = format!("SELECT {}", postgres_sql(&ask));
            // A row cannot be made by hand: no row stands for the default.
            if ask.or.is_some() {
                read = read.or_value(Vec::new());
            }
            let served = read.query_served(&query, &[]).await?;
            let number = |rows: Arc<Vec<tokio_postgres::Row>>| rows.first().map(|row| row.get(0));
            Ok(served.map(|rows| number(rows).or(ask.or).unwrap()))
        })
    }

    fn snapshot(pool: &Self::Pool) -> PoolSnapshot {
        pool.snapshot()
    }

    fn close(pool: &Self::Pool) -> BoxFuture<'static, ()> {
        pool.close();
        Box::pin(async {})
    }
}

macro_rules! on_diesel {
    ($name:ident, $server:ident, $connection:ty, $sql:ident, $url:expr, $text:literal) => {
        pub struct $name;

        impl Family for $name {
            type Pool = fusepool::deadpool::diesel::Pool<$connection>;

            const NAME: &'static str = $text;

            async fn server() -> (Box<dyn Any + Send + Sync>, std::net::SocketAddr) {
                $server().await
            }

            fn pool(port: u16, breaker: breaker::Builder) -> Self::Pool {
                let manager = AsyncDieselConnectionManager::<$connection>::new($url(port));
                let pool = Self::Pool::builder(manager).max_size(4).breaker(breaker);
                pool.build().unwrap()
            }

            fn ask(pool: &Self::Pool, ask: Ask) -> BoxFuture<'static, Answer> {
                let pool = pool.clone();
                Box::pin(async move {
                    let query = diesel::select(sql::<BigInt>(&$sql(&ask)));
                    let mut read = query.cached(&ask.policy);
                    if let Some(limit) = ask.limit {
                        read = read.with_timeout(limit);
                    }
                    if let Some(value) = ask.or {
                        read = read.or_value(Arc::new(value));
                    }
                    let served = read.first_served(&pool).await?;
                    Ok(served.map(|value: Option<Arc<i64>>| *value.unwrap()))
                })
            }

            fn snapshot(pool: &Self::Pool) -> PoolSnapshot {
                pool.snapshot()
            }

            fn close(pool: &Self::Pool) -> BoxFuture<'static, ()> {
                pool.close();
                Box::pin(async {})
            }
        }
    };
}

on_diesel!(
    DieselPostgres,
    postgres,
    AsyncPgConnection,
    postgres_sql,
    postgres_url,
    "diesel, PostgreSQL"
);
on_diesel!(
    DieselMariaDb,
    mariadb,
    AsyncMysqlConnection,
    mariadb_sql,
    // Or it would not come by the proxy.
    |port| mariadb_url(port) + "?prefer_socket=false",
    "diesel, MariaDB"
);
