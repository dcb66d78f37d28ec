//! A dish with a price, read and written through each family of pools, and past them.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fusepool::cache::CachePolicy;
use fusepool::deadpool::postgres;
use fusepool::sqlx::{Driver, Pool, PoolOptions, ReadExt, WriteExt};
use fusepool::{Breaker, Gate, Source};
use sqlx::{AssertSqlSafe, Database, Executor, MySql, MySqlConnection, PgConnection, Postgres};
use tokio_postgres::NoTls;

use crate::support;
use crate::support::proxy::Proxy;

/// Fresh for longer than any test, so that only a write makes an answer outdated.
pub const PRICE: CachePolicy = CachePolicy::named("price")
    .fresh_for(Duration::from_secs(3_600))
    .stale_if_error(Duration::from_secs(3_600))
    .jitter(0.0)
    .tag("dishes");

/// Asks the database first.
pub const LAST: CachePolicy = CachePolicy::named("last")
    .database_first()
    .stale_if_error(Duration::from_secs(3_600));

pub const READ: &str = "SELECT price FROM dish WHERE id = 1";
const SCHEMA: &str = "CREATE TABLE dish (id int PRIMARY KEY, price int NOT NULL)";

pub fn set(price: i32) -> String {
    format!("UPDATE dish SET price = {price} WHERE id = 1")
}

pub const RAISE: &str = "UPDATE dish SET price = price + 1 WHERE id = 1";

/// The end of a transaction, or of a savepoint in one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Commit,
    RollBack,
}

/// What a read falls back to.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// The last answer.
    Cached,
    /// [`DEFAULT`].
    Default,
    /// [`SIMPLER`].
    OtherQuery,
    /// The price in another shop.
    OtherPool,
}

pub const DEFAULT: i32 = -1;
pub const SIMPLER: i32 = -2;

/// The settings of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub query_timeout: Duration,
    pub side_connections: bool,
    pub max_queue: u32,
}

/// The deadline of a statement.
pub const LIMIT: Duration = Duration::from_millis(300);

impl Default for Settings {
    fn default() -> Self {
        Self {
            query_timeout: LIMIT,
            side_connections: true,
            max_queue: 100,
        }
    }
}

pub(super) fn breaker() -> fusepool::breaker::Builder {
    // It does not open: that would hide what the cache believes.
    (Breaker::builder()
        .consecutive_failures(None)
        .minimum_calls(100_000))
    .slow_call_threshold(Duration::from_millis(100))
}

/// A server.
pub trait Server: Sized + Send + Sync + 'static {
    async fn start() -> Self;

    fn addr(&self) -> SocketAddr;

    fn url_via(&self, port: u16) -> String;

    /// The URL of the user `app`.
    fn url_of_app(&self, port: u16) -> String;

    async fn admin(&self) -> Admin;
}

/// A connection past all pools.
pub enum Admin {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
}

impl Admin {
    pub async fn run(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres(connection) => drop(connection.execute(sql).await.unwrap()),
            Self::MariaDb(connection) => drop(connection.execute(sql).await.unwrap()),
        }
    }

    pub async fn create(&mut self) {
        self.run("DROP TABLE IF EXISTS dish").await;
        self.run(SCHEMA).await;
        self.run("INSERT INTO dish VALUES (1, 0)").await;
    }

    /// Locks the dish against writes.
    pub async fn lock(&mut self) {
        self.run("BEGIN").await;
        self.run("SELECT price FROM dish WHERE id = 1 FOR UPDATE")
            .await;
    }

    pub async fn unlock(&mut self) {
        self.run("COMMIT").await;
    }

    /// Locks the dish against reads.
    pub async fn lock_table(&mut self) {
        match self {
            Self::Postgres(_) => {
                self.run("BEGIN").await;
                self.run("LOCK TABLE dish IN ACCESS EXCLUSIVE MODE").await;
            }
            Self::MariaDb(_) => self.run("LOCK TABLES dish WRITE").await,
        }
    }

    pub async fn unlock_table(&mut self) {
        match self {
            Self::Postgres(_) => self.run("COMMIT").await,
            Self::MariaDb(_) => self.run("UNLOCK TABLES").await,
        }
    }

    /// Lets the user `app` read the dish, or shuts it out.
    pub async fn admit_app(&mut self, admits: bool) {
        let password = if admits { "secret" } else { "other" };
        match self {
            Self::Postgres(_) => {
                self.run("GRANT ALL ON dish TO app").await;
                self.run(&format!("ALTER ROLE app PASSWORD '{password}'"))
                    .await;
                let kill = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                            WHERE usename = 'app'";
                self.run(kill).await;
            }
            Self::MariaDb(_) => {
                self.run(&format!("ALTER USER app IDENTIFIED BY '{password}'"))
                    .await;
                self.run("KILL USER app").await;
            }
        }
    }

    pub async fn price(&mut self) -> i32 {
        match self {
            Self::Postgres(connection) => sqlx::query_scalar(READ)
                .fetch_one(connection)
                .await
                .unwrap(),
            Self::MariaDb(connection) => sqlx::query_scalar(READ)
                .fetch_one(connection)
                .await
                .unwrap(),
        }
    }

    /// The number of sessions that work on a write of the dish, or wait for its lock.
    pub async fn writes(&mut self) -> i64 {
        const POSTGRES: &str = "SELECT count(*) FROM pg_stat_activity \
            WHERE state = 'active' AND query ILIKE 'UPDATE%' AND pid <> pg_backend_pid()";
        const MARIADB: &str = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
            WHERE COMMAND <> 'Sleep' AND INFO LIKE 'UPDATE%' AND ID <> CONNECTION_ID()";
        match self {
            Self::Postgres(connection) => {
                // In a transaction, the activity is looked up only once.
                let again = "SELECT pg_stat_clear_snapshot()";
                connection.execute(again).await.unwrap();
                let writes = sqlx::query_scalar(POSTGRES).fetch_one(connection);
                writes.await.unwrap()
            }
            Self::MariaDb(connection) => {
                let writes = sqlx::query_scalar(MARIADB).fetch_one(connection);
                writes.await.unwrap()
            }
        }
    }
}

macro_rules! server {
    ($server:ty, $admin:ident, $database:literal) => {
        impl Server for $server {
            async fn start() -> Self {
                Self::start().await
            }

            fn addr(&self) -> SocketAddr {
                (**self).addr()
            }

            fn url_via(&self, port: u16) -> String {
                (**self).url_via(port)
            }

            fn url_of_app(&self, port: u16) -> String {
                self.url_as("app", "secret", $database, port)
            }

            async fn admin(&self) -> Admin {
                Admin::$admin(self.connect().await.unwrap())
            }
        }
    };
}

server!(support::postgres::Postgres, Postgres, "postgres");
server!(support::mariadb::MariaDb, MariaDb, "test");

/// A pool with a cache. Errors are texts: the tests only tell them from success.
pub trait Shop: Sized + Send + Sync + 'static {
    type Server: Server;

    fn open(url: &str, settings: Settings) -> Self;

    fn gate(&self) -> &Gate;

    /// The price, by the cache.
    async fn read(&self) -> Result<(i32, Source), String>;

    /// Runs a statement that changes the price, and invalidates.
    async fn write(&self, sql: &str) -> Result<(), String>;

    /// Runs it in a transaction, or in a savepoint, which ends as `inner`. The transaction ends as
    /// `outer`.
    async fn write_in_transaction(
        &self,
        sql: &str,
        inner: Option<End>,
        outer: End,
    ) -> Result<(), String>;

    /// Runs it in a transaction that is begun and ended by texts.
    async fn write_by_texts(&self, sql: &str, end: End) -> Result<(), String>;

    /// Writes, as a stream of rows, while the breaker refuses everything.
    async fn write_refused(&self);

    /// Reads, and falls back to this.
    async fn fall_back(&self, to: Fallback, other: &Self) -> Result<(i32, Source), String>;

    /// Leases a connection, and keeps it until the result is dropped.
    async fn hold(&self) -> Box<dyn Any + Send>;

    /// Whether a read is served without asking the database, and then the price.
    async fn fresh(&self) -> Option<i32> {
        let (price, source) = self.read().await.unwrap();
        matches!(source, Source::Fresh { .. }).then_some(price)
    }
}

pub(super) fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

pub struct Sqlx<DB: Database>(pub Pool<DB>);

impl<DB> Sqlx<DB>
where
    DB: Driver,
{
    fn with(url: &str, settings: Settings) -> Self {
        let options = PoolOptions::<DB>::new()
            .max_connections(4)
            .query_timeout(settings.query_timeout)
            .side_connections(settings.side_connections)
            .max_queue(settings.max_queue)
            .breaker(breaker());
        Self(options.connect_lazy(url).unwrap())
    }
}

macro_rules! shop_on_sqlx {
    ($db:ty, $server:ty) => {
        impl Shop for Sqlx<$db> {
            type Server = $server;

            fn open(url: &str, settings: Settings) -> Self {
                Self::with(url, settings)
            }

            fn gate(&self) -> &Gate {
                self.0.gate()
            }

            async fn read(&self) -> Result<(i32, Source), String> {
                let read = sqlx::query_scalar::<$db, i32>(READ).cached(&PRICE);
                let served = read.fetch_one_served(&self.0).await.map_err(text)?;
                Ok((*served.value, served.source))
            }

            async fn fall_back(&self, to: Fallback, other: &Self) -> Result<(i32, Source), String> {
                let read = sqlx::query_scalar::<$db, i32>(READ);
                let read = match to {
                    Fallback::Cached => read.cached(&LAST),
                    Fallback::Default => read.or_value(DEFAULT),
                    Fallback::OtherQuery => read.or_else(async { Ok(SIMPLER) }),
                    Fallback::OtherPool => read.or_from(&other.0),
                };
                let served = read.fetch_one_served(&self.0).await.map_err(text)?;
                Ok((*served.value, served.source))
            }

            async fn hold(&self) -> Box<dyn Any + Send> {
                Box::new(self.0.acquire().await)
            }

            async fn write(&self, sql: &str) -> Result<(), String> {
                let write = sqlx::query::<$db>(AssertSqlSafe(sql.to_owned()));
                let written = write.invalidates(&["dishes"]).execute(&self.0).await;
                written.map(drop).map_err(text)
            }

            async fn write_in_transaction(
                &self,
                sql: &str,
                inner: Option<End>,
                outer: End,
            ) -> Result<(), String> {
                let write = || {
                    let write = sqlx::query::<$db>(AssertSqlSafe(sql.to_owned()));
                    write.invalidates(&["dishes"])
                };
                let mut outermost = self.0.begin().await.map_err(text)?;
                match inner {
                    None => {
                        write().execute(&mut *outermost).await.map_err(text)?;
                    }
                    Some(end) => {
                        let mut savepoint = outermost.begin().await.map_err(text)?;
                        write().execute(&mut *savepoint).await.map_err(text)?;
                        match end {
                            End::Commit => savepoint.commit().await.map_err(text)?,
                            End::RollBack => savepoint.rollback().await.map_err(text)?,
                        }
                    }
                }
                match outer {
                    End::Commit => outermost.commit().await.map_err(text),
                    End::RollBack => outermost.rollback().await.map_err(text),
                }
            }

            async fn write_refused(&self) {
                let mut lease = self.0.acquire().await.unwrap();
                let open = self.gate().breaker().force_open();
                let write = || sqlx::query_scalar::<$db, i32>(AssertSqlSafe(set(1)));
                let on_pool = write().fetch_all(self.0.invalidates(&["dishes"])).await;
                assert!(fusepool::refusal(&on_pool.unwrap_err()).is_some());
                let on_lease = write().fetch_all(lease.invalidates(&["dishes"])).await;
                assert!(fusepool::refusal(&on_lease.unwrap_err()).is_some());
                drop(open);
            }

            async fn write_by_texts(&self, sql: &str, end: End) -> Result<(), String> {
                let mut lease = self.0.acquire().await.map_err(text)?;
                sqlx::raw_sql("BEGIN")
                    .execute(&mut *lease)
                    .await
                    .map_err(text)?;
                let write = sqlx::query::<$db>(AssertSqlSafe(sql.to_owned()));
                let write = write.invalidates(&["dishes"]).execute(&mut *lease);
                write.await.map_err(text)?;
                let end = sqlx::raw_sql(end.text()).execute(&mut *lease).await;
                end.map(drop).map_err(text)
            }
        }
    };
}

shop_on_sqlx!(Postgres, support::postgres::Postgres);
shop_on_sqlx!(MySql, support::mariadb::MariaDb);

impl End {
    pub fn text(self) -> &'static str {
        match self {
            Self::Commit => "COMMIT",
            Self::RollBack => "ROLLBACK",
        }
    }
}

pub struct Deadpool(pub postgres::Pool);

impl Shop for Deadpool {
    type Server = support::postgres::Postgres;

    fn open(url: &str, settings: Settings) -> Self {
        let manager = postgres::Manager::new(url.parse().unwrap(), NoTls);
        let pool = postgres::Pool::builder(manager)
            .max_size(4)
            .query_timeout(settings.query_timeout)
            .side_connections(settings.side_connections)
            .max_queue(settings.max_queue)
            .breaker(breaker());
        Self(pool.build().unwrap())
    }

    fn gate(&self) -> &Gate {
        self.0.gate()
    }

    async fn read(&self) -> Result<(i32, Source), String> {
        let served = self.0.cached(&PRICE).query_one_served(READ, &[]).await;
        let served = served.map_err(text)?;
        Ok((served.value.get(0), served.source))
    }

    /// Rows cannot be made: none stand for the default.
    async fn fall_back(&self, to: Fallback, other: &Self) -> Result<(i32, Source), String> {
        let read = self.0.read::<Arc<Vec<_>>>();
        let simpler = async {
            let client = other.0.get().await.map_err(text)?;
            client.query("SELECT -2", &[]).await.map_err(text)
        };
        let read = match to {
            Fallback::Cached => read.cached(&LAST),
            Fallback::Default => read.or_value(Vec::new()),
            Fallback::OtherQuery => read.or_else(simpler),
            Fallback::OtherPool => read.or_from(&other.0),
        };
        let served = read.query_served(READ, &[]).await.map_err(text)?;
        let first = served.value.first();
        Ok((first.map_or(DEFAULT, |row| row.get(0)), served.source))
    }

    async fn hold(&self) -> Box<dyn Any + Send> {
        Box::new(self.0.get().await)
    }

    async fn write(&self, sql: &str) -> Result<(), String> {
        let client = self.0.get().await.map_err(text)?;
        let write = client.invalidates(&["dishes"]);
        write.execute(sql, &[]).await.map(drop).map_err(text)
    }

    async fn write_in_transaction(
        &self,
        sql: &str,
        inner: Option<End>,
        outer: End,
    ) -> Result<(), String> {
        let mut client = self.0.get().await.map_err(text)?;
        let mut outermost = client.transaction().await.map_err(text)?;
        match inner {
            None => {
                let write = outermost.invalidates(&["dishes"]);
                write.execute(sql, &[]).await.map_err(text)?;
            }
            Some(end) => {
                let savepoint = outermost.transaction().await.map_err(text)?;
                let write = savepoint.invalidates(&["dishes"]);
                write.execute(sql, &[]).await.map_err(text)?;
                match end {
                    End::Commit => savepoint.commit().await.map_err(text)?,
                    End::RollBack => savepoint.rollback().await.map_err(text)?,
                }
            }
        }
        match outer {
            End::Commit => outermost.commit().await.map_err(text),
            End::RollBack => outermost.rollback().await.map_err(text),
        }
    }

    async fn write_refused(&self) {
        let client = self.0.get().await.unwrap();
        let open = self.gate().breaker().force_open();
        let tagged = client.invalidates(&["dishes"]);
        let refused = tagged.query_raw(&set(1), [0_i32; 0]).await.err();
        assert!(fusepool::refusal(&refused.unwrap()).is_some());
        let refused = tagged.simple_query_raw(&set(1)).await.err();
        assert!(fusepool::refusal(&refused.unwrap()).is_some());
        drop(open);
    }

    async fn write_by_texts(&self, sql: &str, end: End) -> Result<(), String> {
        let client = self.0.get().await.map_err(text)?;
        client.batch_execute("BEGIN").await.map_err(text)?;
        let write = client.invalidates(&["dishes"]);
        write.execute(sql, &[]).await.map_err(text)?;
        client.batch_execute(end.text()).await.map_err(text)
    }
}

/// A server with one dish, a proxy before it, and a pool behind that.
pub struct World<S: Shop> {
    pub server: S::Server,
    pub proxy: Proxy,
    pub shop: S,
    pub admin: Admin,
}

impl<S: Shop> World<S> {
    pub async fn open(settings: Settings) -> Self {
        let server = S::Server::start().await;
        let proxy = Proxy::start(server.addr()).await.unwrap();
        let mut admin = server.admin().await;
        admin.create().await;
        let shop = S::open(&server.url_via(proxy.addr().port()), settings);
        Self {
            server,
            proxy,
            shop,
            admin,
        }
    }
}
