//! A database with one dish in it, and a guarded pool.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fusepool::cache::CachePolicy;
use fusepool::sqlx::{Configured, Driver, Pool, PoolOptions, Read, ReadExt, WriteExt};
use fusepool::{Breaker, ManualClock, Served};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{
    AssertSqlSafe, ColumnIndex, ConnectOptions, Connection, Database, Decode, Encode, Error,
    Executor, IntoArguments, MySql, Postgres, Sqlite, Type,
};

use crate::support::eventually;
use crate::support::mariadb::MariaDb;
use crate::support::proxy::{Fault, Proxy};

pub const FRESH: Duration = Duration::from_secs(5);
pub const REVALIDATED: Duration = Duration::from_secs(30);
pub const STALE: Duration = Duration::from_secs(600);

pub const MENU: CachePolicy = CachePolicy::named("menu")
    .fresh_for(FRESH)
    .stale_while_revalidate(REVALIDATED)
    .stale_if_error(STALE)
    .jitter(0.0)
    .tag("dishes");

/// The differences between the databases.
pub trait Kind: Sized + Send + Sync + 'static {
    type Db: Driver;

    async fn start() -> Self;

    fn pool(&self, options: PoolOptions<Self::Db>) -> Pool<Self::Db>;

    /// Runs a statement without the pool.
    async fn run(&self, sql: &str);

    /// Takes a lock that readers wait for, and releases it.
    async fn lock(&mut self);
    async fn unlock(&mut self);

    /// Makes the database unusable, and usable again.
    async fn break_down(&mut self);
    fn mend(&mut self);

    /// Asks for the name of the dish of this number.
    fn query(id: i32) -> impl ReadExt<Database = Self::Db, Output = String>;

    /// The same, under this policy.
    fn name<'f, T>(id: i32, policy: &CachePolicy) -> Read<'f, Self::Db, String, T> {
        Self::query(id).cached(policy)
    }

    /// Renames the dish, and invalidates the cached answers.
    async fn rename(to: &str, executor: Configured<'_, Self::Db>) -> Result<(), Error>;
}

pub struct Kitchen<K: Kind> {
    pub kind: K,
    pub pool: Pool<K::Db>,
    pub clock: ManualClock,
}

impl<K: Kind> Kitchen<K> {
    pub async fn open() -> Self {
        Self::open_with(|options| options).await
    }

    /// A breaker that never opens by itself, and a short deadline for statements.
    pub async fn open_with(change: impl FnOnce(PoolOptions<K::Db>) -> PoolOptions<K::Db>) -> Self {
        let kind = K::start().await;
        kind.run("CREATE TABLE dish (id INTEGER PRIMARY KEY, name VARCHAR(100) NOT NULL)")
            .await;
        kind.run("INSERT INTO dish VALUES (1, 'old')").await;
        let clock = ManualClock::new();
        let breaker = Breaker::builder()
            .clock(clock.clone())
            .slow_call_threshold(Duration::from_millis(200))
            // Callers with a value at hand wait for the reason why there is no other.
            .stall_after(Duration::from_secs(5))
            .consecutive_failures(None)
            .minimum_calls(1_000);
        let options = PoolOptions::new()
            .max_connections(2)
            .query_timeout(Duration::from_millis(300))
            .breaker(breaker);
        let pool = kind.pool(change(options));
        Self { kind, pool, clock }
    }

    /// Renames the dish without the pool.
    pub async fn set(&self, name: &str) {
        let sql = format!("UPDATE dish SET name = '{name}' WHERE id = 1");
        self.kind.run(&sql).await;
    }

    /// Renames the dish through the pool.
    pub async fn rename(&self, name: &str) {
        K::rename(name, Configured::from(&self.pool)).await.unwrap();
    }

    pub async fn ask(&self) -> Result<Served<Arc<String>>, Error> {
        K::name(1, &MENU).fetch_one_served(&self.pool).await
    }

    /// Waits until no load is under way.
    pub async fn settled(&self) {
        eventually("all loads have ended", async || {
            self.pool.snapshot().cache.loading == 0
        })
        .await;
    }

    /// The number of loads so far.
    pub fn loads(&self) -> u64 {
        let cache = self.pool.snapshot().cache;
        cache.totals.loads + cache.totals.failed_loads
    }
}

fn query<DB>(sql: &'static str, id: i32) -> impl ReadExt<Database = DB, Output = String>
where
    DB: Driver,
    DB::Arguments: IntoArguments<DB>,
    for<'r> String: Decode<'r, DB> + Type<DB>,
    for<'q> i32: Encode<'q, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
{
    sqlx::query_scalar::<DB, String>(sql).bind(id)
}

async fn rename<DB>(sql: &'static str, to: &str, executor: Configured<'_, DB>) -> Result<(), Error>
where
    DB: Driver,
    DB::Arguments: IntoArguments<DB>,
    for<'q> String: Encode<'q, DB> + Type<DB>,
{
    let write = sqlx::query::<DB>(sql).bind(to.to_owned());
    write.invalidates(&["dishes"]).execute(executor).await?;
    Ok(())
}

/// A server of its own, behind a proxy.
pub struct Networked<DB: Database> {
    url: String,
    proxied: String,
    proxy: Proxy,
    lock: Option<DB::Connection>,
    _server: Box<dyn std::any::Any + Send + Sync>,
}

impl<DB: Database> Networked<DB>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    async fn connect(&self) -> DB::Connection {
        DB::Connection::connect(&self.url).await.unwrap()
    }

    async fn run_past(&self, sql: &str) {
        let mut connection = self.connect().await;
        execute::<DB>(&mut connection, sql).await;
        connection.close().await.unwrap();
    }

    async fn lock_with(&mut self, statements: &[&str]) {
        let mut connection = self.connect().await;
        for sql in statements {
            execute::<DB>(&mut connection, sql).await;
        }
        self.lock = Some(connection);
    }

    async fn release(&mut self) {
        let lock = self.lock.take().expect("it is locked");
        lock.close().await.unwrap();
    }

    /// Connections break, new ones too.
    async fn cut(&self) {
        self.proxy.set(Fault::Cut);
        eventually("connections are cut", async || self.proxy.live() == 0).await;
    }
}

async fn execute<DB: Database>(connection: &mut DB::Connection, sql: &str)
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let sql = AssertSqlSafe(sql.to_owned());
    connection.execute(sql).await.unwrap();
}

impl Kind for Networked<Postgres> {
    type Db = Postgres;

    async fn start() -> Self {
        let server = crate::support::postgres::Postgres::start().await;
        let proxy = Proxy::start(server.addr()).await.unwrap();
        Self {
            url: server.url(),
            proxied: server.url_via(proxy.addr().port()),
            proxy,
            lock: None,
            _server: Box::new(server),
        }
    }

    fn pool(&self, options: PoolOptions<Postgres>) -> Pool<Postgres> {
        options.connect_lazy(&self.proxied).unwrap()
    }

    async fn run(&self, sql: &str) {
        self.run_past(sql).await;
    }

    async fn lock(&mut self) {
        self.lock_with(&["BEGIN", "LOCK TABLE dish IN ACCESS EXCLUSIVE MODE"])
            .await;
    }

    async fn unlock(&mut self) {
        self.release().await;
    }

    async fn break_down(&mut self) {
        self.cut().await;
    }

    fn mend(&mut self) {
        self.proxy.set(Fault::None);
    }

    fn query(id: i32) -> impl ReadExt<Database = Postgres, Output = String> {
        query("SELECT name FROM dish WHERE id = $1", id)
    }

    async fn rename(to: &str, executor: Configured<'_, Postgres>) -> Result<(), Error> {
        rename("UPDATE dish SET name = $1 WHERE id = 1", to, executor).await
    }
}

impl Kind for Networked<MySql> {
    type Db = MySql;

    async fn start() -> Self {
        let server = MariaDb::start().await;
        let proxy = Proxy::start(server.addr()).await.unwrap();
        Self {
            url: server.url(),
            proxied: server.url_via(proxy.addr().port()),
            proxy,
            lock: None,
            _server: Box::new(server),
        }
    }

    fn pool(&self, options: PoolOptions<MySql>) -> Pool<MySql> {
        options.connect_lazy(&self.proxied).unwrap()
    }

    async fn run(&self, sql: &str) {
        self.run_past(sql).await;
    }

    async fn lock(&mut self) {
        self.lock_with(&["LOCK TABLES dish WRITE"]).await;
    }

    async fn unlock(&mut self) {
        self.release().await;
    }

    async fn break_down(&mut self) {
        self.cut().await;
    }

    fn mend(&mut self) {
        self.proxy.set(Fault::None);
    }

    fn query(id: i32) -> impl ReadExt<Database = MySql, Output = String> {
        query("SELECT name FROM dish WHERE id = ?", id)
    }

    async fn rename(to: &str, executor: Configured<'_, MySql>) -> Result<(), Error> {
        rename("UPDATE dish SET name = ? WHERE id = 1", to, executor).await
    }
}

/// A database in a file, which is broken by writing other things into it.
pub struct SqliteFile {
    directory: tempfile::TempDir,
    lock: Option<SqliteConnection>,
    sound: Vec<u8>,
}

impl SqliteFile {
    fn path(&self) -> PathBuf {
        self.directory.path().join("dishes.db")
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(self.path())
            .create_if_missing(true)
            // How long SQLite waits for a lock: its own deadline, shorter than the pool's.
            .busy_timeout(Duration::from_millis(100))
    }
}

impl Kind for SqliteFile {
    type Db = Sqlite;

    async fn start() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            lock: None,
            sound: Vec::new(),
        }
    }

    fn pool(&self, options: PoolOptions<Sqlite>) -> Pool<Sqlite> {
        options.connect_lazy_with(self.options())
    }

    async fn run(&self, sql: &str) {
        let patient = self.options().busy_timeout(Duration::from_secs(10));
        let mut connection = patient.connect().await.unwrap();
        execute::<Sqlite>(&mut connection, sql).await;
        connection.close().await.unwrap();
    }

    async fn lock(&mut self) {
        let patient = self.options().busy_timeout(Duration::from_secs(10));
        let mut connection = patient.connect().await.unwrap();
        execute::<Sqlite>(&mut connection, "BEGIN EXCLUSIVE").await;
        self.lock = Some(connection);
    }

    async fn unlock(&mut self) {
        let lock = self.lock.take().expect("it is locked");
        lock.close().await.unwrap();
    }

    async fn break_down(&mut self) {
        self.sound = std::fs::read(self.path()).unwrap();
        std::fs::write(self.path(), vec![0xff; self.sound.len()]).unwrap();
    }

    fn mend(&mut self) {
        std::fs::write(self.path(), &self.sound).unwrap();
    }

    fn query(id: i32) -> impl ReadExt<Database = Sqlite, Output = String> {
        query("SELECT name FROM dish WHERE id = ?", id)
    }

    async fn rename(to: &str, executor: Configured<'_, Sqlite>) -> Result<(), Error> {
        rename("UPDATE dish SET name = ? WHERE id = 1", to, executor).await
    }
}
