//! Creates guarded pools.

use std::time::Duration;

use sqlx::{Connection, Database, Error};
use tokio::time::timeout;

use super::adapter::Sqlx;
use super::driver::Driver;
use super::error;
use super::options::PoolOptions;
use super::pool::Pool;
use crate::breaker::config::ConfigError;
use crate::gate::Gate;
use crate::outcome::error::GateError;
use crate::pool::adapter::Adapter;
use crate::pool::guarded::Guarded;
use crate::pool::release::RELEASE_TIMEOUT;
use crate::pool::settings::Settings;

/// sqlx's default `acquire_timeout`. A pool with this value counts as one without a value of its
/// own.
const SQLX_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

type Options<DB> = <<DB as Database>::Connection as Connection>::Options;

impl<DB: Driver> Pool<DB> {
    /// Creates a pool with default options and opens one connection, for which it waits 30 s as sqlx
    /// does.
    ///
    /// ```no_run
    /// # #[cfg(feature = "sqlx-postgres")]
    /// # async fn run() -> sqlx::Result<()> {
    /// let pool = fusepool::sqlx::PgPool::connect("postgres://localhost/shop").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`PoolOptions::connect`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        PoolOptions::new().connect(url).await
    }

    /// Creates a pool with default pool options and opens one connection, for which it waits 30 s as
    /// sqlx does.
    ///
    /// # Errors
    ///
    /// As [`PoolOptions::connect_with`].
    pub async fn connect_with(options: Options<DB>) -> Result<Self, Error> {
        PoolOptions::new().connect_with(options).await
    }

    /// Creates a pool with default options that opens no connection until it is first used.
    ///
    /// ```
    /// use fusepool::sqlx::PgPool;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> sqlx::Result<()> {
    /// let pool = PgPool::connect_lazy("postgres://localhost/shop")?;
    /// assert_eq!(pool.size(), 0); // the first statement connects
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`], if the URL cannot be parsed.
    pub fn connect_lazy(url: &str) -> Result<Self, Error> {
        PoolOptions::new().connect_lazy(url)
    }

    /// Creates a pool with default pool options that opens no connection until it is first used.
    #[must_use]
    pub fn connect_lazy_with(options: Options<DB>) -> Self {
        PoolOptions::new().connect_lazy_with(options)
    }
}

impl<DB: Database> PoolOptions<DB> {
    /// Builds the pool and opens `min_connections` connections, at least one, as
    /// [`connect_with`](Self::connect_with) does.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`], if the URL cannot be parsed; otherwise as
    /// [`connect_with`](Self::connect_with).
    pub async fn connect(self, url: &str) -> Result<Pool<DB>, Error> {
        self.connect_with(url.parse()?).await
    }

    /// Builds the pool and opens `min_connections` connections, at least one.
    ///
    /// A service may start before its database. So this waits for each connection as long as sqlx does:
    /// 30 s by default, in which refused connections are tried again. An
    /// [`acquire_timeout`](Self::acquire_timeout) that was set applies here, too; fusepool's default of
    /// 2 s does not. The breaker records none of this.
    ///
    /// # Errors
    ///
    /// - [`Error::Configuration`] with a [`ConfigError`]: a setting breaks a rule.
    /// - [`Error::PoolTimedOut`]: there was no connection in time.
    /// - [`Error::Io`] with [`CouldNotConnect`](super::CouldNotConnect): opening a connection failed
    ///   other than by a refusal.
    /// - Other errors of the driver, for example a failed login.
    pub async fn connect_with(self, options: Options<DB>) -> Result<Pool<DB>, Error> {
        let patience = (self.settings.acquire_timeout).unwrap_or(SQLX_ACQUIRE_TIMEOUT);
        let pool = self.build(options).map_err(error::misconfigured)?;
        pool.shared().remember_runtime();
        let most = pool.options().get_max_connections();
        let connections = pool.options().get_min_connections().clamp(1, most);
        let mut opened = Vec::new();
        for _ in 0..connections {
            let connected = timeout(patience, pool.shared().adapter.lease()).await;
            let connected = connected.unwrap_or(Err(Error::PoolTimedOut));
            opened.push(connected.map_err(|error| {
                let error = GateError::Failed(error);
                error::of_acquire(pool.gate(), error)
            })?);
        }
        for connection in opened {
            let release = pool.shared().adapter.release(connection);
            let _ = timeout(RELEASE_TIMEOUT, release).await;
        }
        Ok(pool)
    }

    /// Builds a pool that opens no connection until it is first used.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`], if the URL cannot be parsed; [`Error::Configuration`] with a
    /// [`ConfigError`], if a setting breaks a rule.
    pub fn connect_lazy(self, url: &str) -> Result<Pool<DB>, Error> {
        self.build(url.parse()?).map_err(error::misconfigured)
    }

    /// Builds a pool that opens no connection until it is first used.
    ///
    /// sqlx's signature leaves no way to return a [`ConfigError`]. If a setting breaks a rule,
    /// every call on the pool fails with the [`ConfigError`], as [`Error::Configuration`]. Use
    /// [`build`](Self::build) to get it at once.
    #[must_use]
    pub fn connect_lazy_with(self, options: Options<DB>) -> Pool<DB> {
        match self.clone().build(options.clone()) {
            Ok(pool) => pool,
            Err(config) => Self::misconfigured(
                self,
                sqlx::pool::PoolOptions::new().connect_lazy_with(options),
                config,
            ),
        }
    }

    /// Builds a pool that opens no connection until it is first used. Unlike
    /// [`connect_lazy_with`](Self::connect_lazy_with), it returns an invalid configuration as an
    /// error.
    ///
    /// ```
    /// # #[cfg(feature = "sqlx-postgres")]
    /// # fn run(options: sqlx::postgres::PgConnectOptions) -> Result<(), fusepool::ConfigError> {
    /// use fusepool::sqlx::{PgPool, PgPoolOptions};
    ///
    /// let pool: PgPool = PgPoolOptions::new().max_connections(20).build(options)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first setting that breaks a rule.
    pub fn build(mut self, options: Options<DB>) -> Result<Pool<DB>, ConfigError> {
        self.check()?;
        self.watch_sessions();
        let raw = self.raw_options().connect_lazy_with(options);
        self.start(raw)
    }

    /// Guards an existing pool with these settings.
    ///
    /// Only the settings that fusepool adds are taken from `self`, except
    /// [`alive_bypass`](Self::alive_bypass), which has no effect here. sqlx's own options are those
    /// of `pool`. Its connections were or will be opened without fusepool, which cannot ask for their
    /// [server sessions](crate#abandoned-statements). Of the two values of `acquire_timeout`, the shorter one applies. Other handles of
    /// `pool` stay unguarded.
    ///
    /// ```
    /// # #[cfg(feature = "sqlx-postgres")]
    /// # fn run(pool: sqlx::PgPool) -> Result<(), fusepool::ConfigError> {
    /// use fusepool::sqlx::{PgPool, PgPoolOptions};
    /// use std::time::Duration;
    ///
    /// let pool: PgPool = PgPoolOptions::new()
    ///     .query_timeout(Duration::from_secs(5))
    ///     .guard(pool)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first setting that breaks a rule.
    pub fn guard(mut self, pool: sqlx::Pool<DB>) -> Result<Pool<DB>, ConfigError> {
        self.raw = pool.options().clone();
        self.sessions = None;
        let theirs = pool.options().get_acquire_timeout();
        self.settings.acquire_timeout = Some(self.settings.acquire_timeout().min(theirs));
        self.check()?;
        self.start(pool)
    }

    fn start(self, raw: sqlx::Pool<DB>) -> Result<Pool<DB>, ConfigError> {
        let settings = self.settings.clone();
        let adapter = Sqlx::new(raw, self);
        let gate = settings.gate(&adapter)?;
        Ok(Pool::new(Guarded::new(adapter, gate, &settings)))
    }

    /// A pool on which every call fails with `config`.
    fn misconfigured(options: Self, raw: sqlx::Pool<DB>, config: ConfigError) -> Pool<DB> {
        let adapter = Sqlx::new(raw, options).misconfigured(config);
        let settings = Settings {
            active_probing: false,
            ..Settings::default()
        };
        Pool::new(Guarded::new(adapter, Gate::with_defaults(), &settings))
    }
}

impl<DB: Driver> PoolOptions<DB> {
    /// Guards an existing pool with default settings, and with its own `acquire_timeout` if that
    /// differs from sqlx's default.
    fn guard_with_defaults(pool: sqlx::Pool<DB>) -> Pool<DB> {
        let mut options = Self::new();
        let acquire_timeout = pool.options().get_acquire_timeout();
        if acquire_timeout != SQLX_ACQUIRE_TIMEOUT {
            options.settings.acquire_timeout = Some(acquire_timeout);
        }
        match options.clone().guard(pool.clone()) {
            Ok(guarded) => guarded,
            Err(config) => Self::misconfigured(options, pool, config),
        }
    }
}

impl<DB: Driver> From<sqlx::Pool<DB>> for Pool<DB> {
    /// Guards an existing pool with default settings. Its `acquire_timeout` is kept, unless it is
    /// sqlx's default of 30 s: fusepool's default of 2 s applies then.
    ///
    /// Connections are tested before use as the options of the existing pool say. By default, sqlx
    /// tests a connection on every acquire, which costs a round trip per call. Other handles of the
    /// existing pool stay unguarded.
    fn from(raw: sqlx::Pool<DB>) -> Self {
        PoolOptions::guard_with_defaults(raw)
    }
}
