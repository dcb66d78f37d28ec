//! A dish with a price, read and written through each family of pools, and past them.

mod deadpool;
mod diesel;
mod server;
mod sqlx;

use std::any::Any;
use std::time::Duration;

use fusepool::cache::CachePolicy;
use fusepool::{Breaker, Gate, Source};

use crate::support::proxy::Proxy;

pub use deadpool::Deadpool;
pub use diesel::{DieselMysql, DieselPostgres};
pub use server::{Admin, Server};
pub use sqlx::Sqlx;

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

impl End {
    pub fn text(self) -> &'static str {
        match self {
            Self::Commit => "COMMIT",
            Self::RollBack => "ROLLBACK",
        }
    }
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

fn breaker() -> fusepool::breaker::Builder {
    // It does not open: that would hide what the cache believes.
    (Breaker::builder()
        .consecutive_failures(None)
        .minimum_calls(100_000))
    .slow_call_threshold(Duration::from_millis(100))
    // Callers with a value at hand wait for the reason why there is no other.
    .stall_after(Duration::from_secs(5))
}

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

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
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
