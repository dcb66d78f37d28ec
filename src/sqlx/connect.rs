//! How a guarded pool comes to be.

use std::time::Duration;

use sqlx::{Connection, Database, Error};

use super::adapter::Sqlx;
use super::driver::Driver;
use super::error;
use super::options::PoolOptions;
use super::pool::Pool;
use crate::breaker::config::ConfigError;
use crate::gate::Gate;
use crate::pool::guarded::Guarded;
use crate::pool::settings::Settings;

/// sqlx's own default, by which one tells that a user has not set it.
const SQLX_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
type Options<DB> = <<DB as Database>::Connection as Connection>::Options;

impl<DB: Driver> Pool<DB> {
    /// Connects with default options, and opens one connection.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a URL that cannot be parsed; the driver's, if the database
    /// refuses; [`Error::PoolTimedOut`], if there was no connection in time.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        PoolOptions::new().connect(url).await
    }

    /// Connects with default pool options, and opens one connection.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_with(options: Options<DB>) -> Result<Self, Error> {
        PoolOptions::new().connect_with(options).await
    }

    /// A pool with default options that connects when it is first used.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a URL that cannot be parsed.
    pub fn connect_lazy(url: &str) -> Result<Self, Error> {
        PoolOptions::new().connect_lazy(url)
    }

    /// A pool with default pool options that connects when it is first used.
    #[must_use]
    pub fn connect_lazy_with(options: Options<DB>) -> Self {
        PoolOptions::new().connect_lazy_with(options)
    }
}

impl<DB: Database> PoolOptions<DB> {
    /// Builds the pool, and opens `min_connections`, at least one.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a URL that cannot be parsed, or with a [`ConfigError`]; else as
    /// [`Pool::acquire`].
    pub async fn connect(self, url: &str) -> Result<Pool<DB>, Error> {
        self.connect_with(url.parse()?).await
    }

    /// Builds the pool, and opens `min_connections`, at least one.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] with a [`ConfigError`]; else as [`Pool::acquire`].
    pub async fn connect_with(self, options: Options<DB>) -> Result<Pool<DB>, Error> {
        let pool = self.build(options).map_err(error::misconfigured)?;
        let most = pool.options().get_max_connections();
        let connections = pool.options().get_min_connections().clamp(1, most);
        let mut leases = Vec::new();
        for _ in 0..connections {
            leases.push(pool.acquire().await?);
        }
        drop(leases);
        Ok(pool)
    }

    /// Builds the pool; it connects when it is first used.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] for a URL that cannot be parsed, or with a [`ConfigError`].
    pub fn connect_lazy(self, url: &str) -> Result<Pool<DB>, Error> {
        self.build(url.parse()?).map_err(error::misconfigured)
    }

    /// Builds the pool; it connects when it is first used.
    ///
    /// sqlx's signature leaves no way to return a [`ConfigError`]: on a pool that was misconfigured
    /// every call fails with it, as [`Error::Configuration`]. [`build`](Self::build) returns it.
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

    /// [`connect_lazy_with`](Self::connect_lazy_with) that returns what is misconfigured.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first field whose value breaks a rule.
    pub fn build(self, options: Options<DB>) -> Result<Pool<DB>, ConfigError> {
        self.check()?;
        let raw = self.raw_options().connect_lazy_with(options);
        self.start(raw)
    }

    /// Guards an existing pool with these settings. Of sqlx's own options, those of `pool` count,
    /// not these; its `acquire_timeout` too, if it is the shorter one.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`] for the first field whose value breaks a rule.
    pub fn guard(mut self, pool: sqlx::Pool<DB>) -> Result<Pool<DB>, ConfigError> {
        self.raw = pool.options().clone();
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

    /// A pool that answers every call with `config`.
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
    /// Guards an existing pool with default settings, and its own `acquire_timeout` if it has one.
    pub(super) fn guard_as_it_is(pool: sqlx::Pool<DB>) -> Pool<DB> {
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
    /// Guards an existing pool, with default settings and its own `acquire_timeout`, unless that
    /// is sqlx's default of 30 s, for which ours stands in.
    ///
    /// Its connections are tested as *its* options say; that sqlx tests each one on every acquire
    /// by default costs a round trip a call. Its other handles stay unguarded.
    fn from(raw: sqlx::Pool<DB>) -> Self {
        PoolOptions::guard_as_it_is(raw)
    }
}
