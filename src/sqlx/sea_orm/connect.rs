//! SeaORM's `Database::connect` and its options, for a guarded pool.

use std::fmt;
use std::marker::PhantomData;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use log::LevelFilter;
use sea_orm::{DbErr, RuntimeErr};
use sqlx::{ConnectOptions as _, Connection};

use super::backend::Backend;
use super::connection::DatabaseConnection;
use super::error;
use crate::sqlx::error::misconfigured;
use crate::sqlx::options::PoolOptions;

type DriverOptions<DB> = <<DB as sqlx::Database>::Connection as Connection>::Options;

type MapDriverOptions<DB> = dyn Fn(DriverOptions<DB>) -> DriverOptions<DB> + Send + Sync;

type AfterConnect<DB> =
    dyn Fn(DatabaseConnection<DB>) -> BoxFuture<'static, Result<(), DbErr>> + Send + Sync;

/// Opens a [`DatabaseConnection`], like SeaORM's type of the same name.
#[derive(Debug)]
pub struct Database<DB: Backend> {
    driver: PhantomData<DB>,
}

impl<DB: Backend> Database<DB> {
    /// Creates a guarded pool, and opens one connection unless
    /// [`connect_lazy`](ConnectOptions::connect_lazy) is set.
    ///
    #[cfg_attr(feature = "sqlx-postgres", doc = "```no_run")]
    #[cfg_attr(not(feature = "sqlx-postgres"), doc = "```ignore")]
    /// use fusepool::sqlx::sea_orm::postgres::{ConnectOptions, Database};
    /// use std::time::Duration;
    ///
    /// # async fn run(url: &str) -> Result<(), sea_orm::DbErr> {
    /// let mut options = ConnectOptions::new(url);
    /// options
    ///     .max_connections(20)
    ///     .map_pool_options(|options| options.query_timeout(Duration::from_secs(5)));
    /// let db = Database::connect(options).await?; // or `connect(url)`
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - `DbErr::Conn`: the URL is not one of this driver, a setting breaks a rule, or opening the
    ///   connection failed.
    /// - `DbErr::ConnectionAcquire`: there was no connection in time, 30 s by default; see
    ///   [`PoolOptions::connect_with`].
    /// - The error of [`after_connect`](ConnectOptions::after_connect).
    pub async fn connect<C>(options: C) -> Result<DatabaseConnection<DB>, DbErr>
    where
        C: Into<ConnectOptions<DB>>,
    {
        let ConnectOptions {
            url,
            pool,
            driver,
            is_lazy,
            after_connect,
            ..
        } = options.into();
        let driver = driver_options::<DB>(&url, &driver)?;
        let pool = if is_lazy {
            pool.build(driver).map_err(misconfigured)
        } else {
            pool.connect_with(driver).await
        };
        let db = DatabaseConnection::from(pool.map_err(|e| error::of(DbErr::Conn, e))?);
        if let Some(after_connect) = after_connect {
            after_connect(db.clone()).await?;
        }
        Ok(db)
    }
}

/// The options of the driver. sqlx would take the URL of another driver for one of its own.
fn driver_options<DB: Backend>(
    url: &str,
    maps: &[Arc<MapDriverOptions<DB>>],
) -> Result<DriverOptions<DB>, DbErr> {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    if !scheme.is_some_and(|scheme| DB::URL_SCHEMES.contains(&scheme)) {
        let text = format!(
            "the URL of the database must begin with `{}:`, because the connection's type is of {}",
            DB::URL_SCHEMES.join(":` or `"),
            DB::NAME,
        );
        return Err(DbErr::Conn(RuntimeErr::Internal(text)));
    }
    let options = url.parse().map_err(|e| error::of(DbErr::Conn, e))?;
    Ok(maps.iter().fold(options, |options, map| map(options)))
}

/// The options of a [`DatabaseConnection`], with the setters of SeaORM's type of the same name.
///
/// The settings of fusepool are set through [`map_pool_options`](Self::map_pool_options). Defaults are those
/// of [`PoolOptions`], except that SQLite has one connection, and that sqlx logs statements at the level
/// `Info`, both as in SeaORM.
pub struct ConnectOptions<DB: Backend> {
    url: String,
    max_connections: Option<u32>,
    pool: PoolOptions<DB>,
    driver: Vec<Arc<MapDriverOptions<DB>>>,
    is_lazy: bool,
    after_connect: Option<Arc<AfterConnect<DB>>>,
}

impl<DB: Backend> ConnectOptions<DB> {
    /// Options with defaults, for the database at `url`.
    pub fn new<T>(url: T) -> Self
    where
        T: Into<String>,
    {
        let mut options = Self {
            url: url.into(),
            max_connections: None,
            pool: PoolOptions::new(),
            driver: Vec::new(),
            is_lazy: false,
            after_connect: None,
        };
        if DB::BACKEND == sea_orm::DbBackend::Sqlite {
            options.map_pool_options(|pool| pool.max_connections(1));
        }
        options.sqlx_logging_level(LevelFilter::Info);
        options
    }

    /// The URL of the database.
    #[must_use]
    pub fn get_url(&self) -> &str {
        &self.url
    }

    /// The value of [`max_connections`](Self::max_connections), if it was set.
    #[must_use]
    pub fn get_max_connections(&self) -> Option<u32> {
        self.max_connections
    }

    /// Changes the options of the pool: those of fusepool, such as `query_timeout` and `breaker`, and those
    /// of sqlx. It takes the place of SeaORM's `map_sqlx_postgres_pool_opts` and its siblings.
    pub fn map_pool_options<F>(&mut self, map: F) -> &mut Self
    where
        F: FnOnce(PoolOptions<DB>) -> PoolOptions<DB>,
    {
        self.pool = map(take(&mut self.pool));
        self
    }

    /// Changes the options of the driver, after the URL is parsed. It takes the place of SeaORM's
    /// `map_sqlx_postgres_opts` and its siblings.
    pub fn map_driver_options<F>(&mut self, map: F) -> &mut Self
    where
        F: Fn(DriverOptions<DB>) -> DriverOptions<DB> + Send + Sync + 'static,
    {
        self.driver.push(Arc::new(map));
        self
    }

    /// See [`PoolOptions::max_connections`].
    pub fn max_connections(&mut self, value: u32) -> &mut Self {
        self.max_connections = Some(value);
        self.map_pool_options(|pool| pool.max_connections(value))
    }

    /// See [`PoolOptions::min_connections`].
    pub fn min_connections(&mut self, value: u32) -> &mut Self {
        self.map_pool_options(|pool| pool.min_connections(value))
    }

    /// The same as [`acquire_timeout`](Self::acquire_timeout).
    pub fn connect_timeout(&mut self, value: Duration) -> &mut Self {
        self.acquire_timeout(value)
    }

    /// See [`PoolOptions::acquire_timeout`].
    pub fn acquire_timeout(&mut self, value: Duration) -> &mut Self {
        self.map_pool_options(|pool| pool.acquire_timeout(value))
    }

    /// See [`PoolOptions::idle_timeout`].
    pub fn idle_timeout<T>(&mut self, value: T) -> &mut Self
    where
        T: Into<Option<Duration>>,
    {
        self.map_pool_options(|pool| pool.idle_timeout(value))
    }

    /// See [`PoolOptions::max_lifetime`].
    pub fn max_lifetime<T>(&mut self, lifetime: T) -> &mut Self
    where
        T: Into<Option<Duration>>,
    {
        self.map_pool_options(|pool| pool.max_lifetime(lifetime))
    }

    /// See [`PoolOptions::test_before_acquire`].
    pub fn test_before_acquire(&mut self, value: bool) -> &mut Self {
        self.map_pool_options(|pool| pool.test_before_acquire(value))
    }

    /// See [`PoolOptions::alive_bypass`].
    pub fn test_before_acquire_if_idle_for(&mut self, idle: Duration) -> &mut Self {
        self.map_pool_options(|pool| pool.alive_bypass(idle))
    }

    /// With `true`, no connection is opened until the first is used. Default: `false`.
    pub fn connect_lazy(&mut self, value: bool) -> &mut Self {
        self.is_lazy = value;
        self
    }

    /// A callback for the new [`DatabaseConnection`].
    pub fn after_connect<F>(&mut self, callback: F) -> &mut Self
    where
        F: Fn(DatabaseConnection<DB>) -> BoxFuture<'static, Result<(), DbErr>>
            + Send
            + Sync
            + 'static,
    {
        self.after_connect = Some(Arc::new(callback));
        self
    }

    /// With `false`, sqlx logs no statements. With `true`, it logs them at the level `Info`.
    pub fn sqlx_logging(&mut self, value: bool) -> &mut Self {
        if value {
            return self.sqlx_logging_level(LevelFilter::Info);
        }
        self.map_driver_options(|driver| driver.disable_statement_logging())
    }

    /// The level at which sqlx logs statements. Default: `Info`.
    pub fn sqlx_logging_level(&mut self, level: LevelFilter) -> &mut Self {
        self.map_driver_options(move |driver| driver.log_statements(level))
    }

    /// The level at which sqlx logs statements that take `duration` or longer. Default: `Warn`, 1 s.
    pub fn sqlx_slow_statements_logging_settings(
        &mut self,
        level: LevelFilter,
        duration: Duration,
    ) -> &mut Self {
        self.map_driver_options(move |driver| driver.log_slow_statements(level, duration))
    }
}

/// Options that only PostgreSQL has.
#[cfg(feature = "sqlx-postgres")]
impl ConnectOptions<sqlx::Postgres> {
    /// The name that the server shows for the connections.
    pub fn set_application_name<T>(&mut self, name: T) -> &mut Self
    where
        T: Into<String>,
    {
        let name = name.into();
        self.map_driver_options(move |driver| driver.application_name(&name))
    }

    /// The schemas in which the server searches for tables, separated by commas. This replaces the pool's
    /// [`after_connect`](PoolOptions::after_connect).
    pub fn set_schema_search_path<T>(&mut self, schemas: T) -> &mut Self
    where
        T: Into<String>,
    {
        let schemas: String = schemas.into();
        let quoted = |schema: &str| match schema.starts_with('"') {
            true => schema.to_owned(),
            false => format!("\"{schema}\""),
        };
        let schemas: Vec<String> = match schemas.starts_with('"') {
            true => vec![schemas],
            false => schemas.split(',').map(quoted).collect(),
        };
        let sql = format!("SET search_path = {}", schemas.join(","));
        self.map_pool_options(|pool| {
            pool.after_connect(move |connection, _| {
                let sql = sqlx::AssertSqlSafe(sql.clone());
                Box::pin(async move { sqlx::Executor::execute(connection, sql).await.map(drop) })
            })
        })
    }

    /// The server's `statement_timeout`.
    pub fn statement_timeout(&mut self, value: Duration) -> &mut Self {
        let milliseconds = value.as_millis().to_string();
        self.map_driver_options(move |driver| {
            driver.options([("statement_timeout", &milliseconds)])
        })
    }
}

impl<DB: Backend, T: Into<String>> From<T> for ConnectOptions<DB> {
    fn from(url: T) -> Self {
        Self::new(url)
    }
}

impl<DB: Backend> Clone for ConnectOptions<DB> {
    fn clone(&self) -> Self {
        Self {
            url: self.url.clone(),
            max_connections: self.max_connections,
            pool: self.pool.clone(),
            driver: self.driver.clone(),
            is_lazy: self.is_lazy,
            after_connect: self.after_connect.clone(),
        }
    }
}

/// Without the URL, which may have a password.
impl<DB: Backend> fmt::Debug for ConnectOptions<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("pool", &self.pool)
            .field("is_lazy", &self.is_lazy)
            .finish_non_exhaustive()
    }
}
