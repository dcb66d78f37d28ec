//! How a guarded pool is configured: sqlx's options, and ours.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use log::LevelFilter;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::{Connection, Database, Error};
use tokio::time::timeout;

use super::driver::{Driver, Traits};
use crate::breaker::config::ConfigError;
use crate::breaker::verdict::Classify;
use crate::pool::settings::{Settings, setters};

/// Default [`PoolOptions::alive_bypass`]: 500 milliseconds.
pub const DEFAULT_ALIVE_BYPASS: Duration = Duration::from_millis(500);

/// How much later than ours the inner pool's deadline is.
const MARGIN: Duration = Duration::from_secs(1);

type BeforeAcquire<DB> = dyn Fn(
        &mut <DB as Database>::Connection,
        PoolConnectionMetadata,
    ) -> BoxFuture<'_, Result<bool, Error>>
    + Send
    + Sync;

/// Configures a guarded [`Pool`](super::Pool). Setters that sqlx has too mean what they mean there, except
/// where noted; nothing of ours is checked before the pool is built.
#[must_use = "options do nothing until a pool is built of them"]
pub struct PoolOptions<DB: Database> {
    traits: Traits<DB>,
    /// Everything that sqlx itself looks after.
    pub(super) raw: sqlx::pool::PoolOptions<DB>,
    before_acquire: Option<Arc<BeforeAcquire<DB>>>,
    pub(super) settings: Settings,
    /// `None`: connections are never tested.
    alive_bypass: Option<Duration>,
    classify: Option<Arc<dyn Classify<Error>>>,
}

impl<DB: Driver> PoolOptions<DB> {
    /// sqlx's defaults, and ours.
    #[must_use]
    pub fn new() -> Self {
        Self {
            traits: Traits::of(),
            raw: sqlx::pool::PoolOptions::new(),
            before_acquire: None,
            settings: Settings {
                give_up_lost: DB::IS_REMOTE,
                ..Settings::default()
            },
            alive_bypass: Some(DEFAULT_ALIVE_BYPASS),
            classify: None,
        }
    }
}

impl<DB: Database> PoolOptions<DB> {
    setters!();

    /// A connection that was in use less than this long ago is not tested before it is used.
    /// Default: [`DEFAULT_ALIVE_BYPASS`].
    #[must_use]
    pub fn alive_bypass(mut self, idle: Duration) -> Self {
        self.alive_bypass = Some(idle);
        self
    }

    /// What errors mean. Default: the table of the driver's module.
    ///
    /// ```
    /// use fusepool::Class;
    /// use fusepool::sqlx::{Driver, PgPoolOptions};
    ///
    /// // Here, a lock that is not to be had in time means that the database is overloaded.
    /// let options = PgPoolOptions::new().classify(|error: &sqlx::Error| {
    ///     match error.as_database_error().and_then(|error| error.code()).as_deref() {
    ///         Some("55P03") => Class::Failure,
    ///         _ => <sqlx::Postgres as Driver>::classify(error),
    ///     }
    /// });
    /// ```
    #[must_use]
    pub fn classify(mut self, classify: impl Classify<Error>) -> Self {
        self.classify = Some(Arc::new(classify));
        self
    }

    /// See sqlx.
    #[must_use]
    pub fn max_connections(mut self, max: u32) -> Self {
        self.raw = self.raw.max_connections(max);
        self
    }

    /// See sqlx.
    #[must_use]
    pub fn get_max_connections(&self) -> u32 {
        self.raw.get_max_connections()
    }

    /// See sqlx.
    #[must_use]
    pub fn min_connections(mut self, min: u32) -> Self {
        self.raw = self.raw.min_connections(min);
        self
    }

    /// See sqlx.
    #[must_use]
    pub fn get_min_connections(&self) -> u32 {
        self.raw.get_min_connections()
    }

    /// See sqlx.
    #[must_use]
    pub fn acquire_time_level(mut self, level: LevelFilter) -> Self {
        self.raw = self.raw.acquire_time_level(level);
        self
    }

    /// See sqlx.
    #[must_use]
    pub fn acquire_slow_level(mut self, level: LevelFilter) -> Self {
        self.raw = self.raw.acquire_slow_level(level);
        self
    }

    /// See sqlx.
    #[must_use]
    pub fn acquire_slow_threshold(mut self, threshold: Duration) -> Self {
        self.raw = self.raw.acquire_slow_threshold(threshold);
        self
    }

    /// See sqlx.
    #[must_use]
    pub fn get_acquire_slow_threshold(&self) -> Duration {
        self.raw.get_acquire_slow_threshold()
    }

    /// See [`acquire_timeout`](Self::acquire_timeout).
    #[must_use]
    pub fn get_acquire_timeout(&self) -> Duration {
        self.settings.acquire_timeout()
    }

    /// See sqlx.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.raw = self.raw.max_lifetime(lifetime);
        self
    }

    /// See sqlx.
    #[must_use]
    pub fn get_max_lifetime(&self) -> Option<Duration> {
        self.raw.get_max_lifetime()
    }

    /// See sqlx.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.raw = self.raw.idle_timeout(timeout);
        self
    }

    /// See sqlx.
    #[must_use]
    pub fn get_idle_timeout(&self) -> Option<Duration> {
        self.raw.get_idle_timeout()
    }

    /// Tests a connection before each use (`true`), or never (`false`). Default: after
    /// [`alive_bypass`](Self::alive_bypass) only, where sqlx tests before each use.
    #[must_use]
    pub fn test_before_acquire(mut self, test: bool) -> Self {
        self.alive_bypass = test.then_some(Duration::ZERO);
        self
    }

    /// Whether connections are tested at all.
    #[must_use]
    pub fn get_test_before_acquire(&self) -> bool {
        self.alive_bypass.is_some()
    }

    /// See sqlx.
    #[must_use]
    pub fn after_connect<F>(mut self, callback: F) -> Self
    where
        for<'c> F: Fn(&'c mut DB::Connection, PoolConnectionMetadata) -> BoxFuture<'c, Result<(), Error>>
            + 'static
            + Send
            + Sync,
    {
        self.raw = self.raw.after_connect(callback);
        self
    }

    /// See sqlx.
    #[must_use]
    pub fn before_acquire<F>(mut self, callback: F) -> Self
    where
        for<'c> F: Fn(&'c mut DB::Connection, PoolConnectionMetadata) -> BoxFuture<'c, Result<bool, Error>>
            + 'static
            + Send
            + Sync,
    {
        self.before_acquire = Some(Arc::new(callback));
        self
    }

    /// See sqlx.
    #[must_use]
    pub fn after_release<F>(mut self, callback: F) -> Self
    where
        for<'c> F: Fn(&'c mut DB::Connection, PoolConnectionMetadata) -> BoxFuture<'c, Result<bool, Error>>
            + 'static
            + Send
            + Sync,
    {
        self.raw = self.raw.after_release(callback);
        self
    }

    /// What sqlx would panic at, or not look at.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let size = self.get_max_connections();
        if size == 0 {
            return Err(ConfigError::new("max_connections", size, "at least 1"));
        }
        Ok(())
    }

    /// The inner pool's options: its test before each use is replaced by one that spares connections
    /// that were just in use. Its deadline is behind ours, and sqlx's own where the user set none: that
    /// is what ends a wait where the breaker does not enforce.
    pub(super) fn raw_options(&self) -> sqlx::pool::PoolOptions<DB> {
        let mut raw = self.raw.clone().test_before_acquire(false);
        if let Some(timeout) = self.settings.acquire_timeout {
            raw = raw.acquire_timeout(timeout.saturating_add(MARGIN));
        }
        let (bypass, hook) = (self.alive_bypass, self.before_acquire.clone());
        if bypass.is_none() && hook.is_none() {
            return raw;
        }
        // Half of the caller's time, or of a probe's, so that there is some left to connect anew.
        let limit = self
            .settings
            .acquire_timeout()
            .min(self.settings.breaker.get_probe_timeout())
            / 2;
        raw.before_acquire(move |connection, metadata| {
            let hook = hook.clone();
            Box::pin(async move {
                if bypass.is_some_and(|bypass| metadata.idle_for >= bypass) {
                    match timeout(limit, connection.ping()).await {
                        Ok(pong) => pong?,
                        Err(_) => return Err(Error::PoolTimedOut),
                    }
                }
                match hook {
                    Some(hook) => hook(connection, metadata).await,
                    None => Ok(true),
                }
            })
        })
    }

    pub(super) fn classifier(&self) -> Arc<dyn Classify<Error>> {
        match &self.classify {
            Some(classify) => Arc::clone(classify),
            None => Arc::new(self.traits.classify),
        }
    }

    pub(super) fn traits(&self) -> Traits<DB> {
        self.traits
    }
}

impl<DB: Driver> Default for PoolOptions<DB> {
    fn default() -> Self {
        Self::new()
    }
}

// By hand, because a derive would ask for `DB: Clone`.
impl<DB: Database> Clone for PoolOptions<DB> {
    fn clone(&self) -> Self {
        Self {
            traits: self.traits,
            raw: self.raw.clone(),
            before_acquire: self.before_acquire.clone(),
            settings: self.settings.clone(),
            alive_bypass: self.alive_bypass,
            classify: self.classify.clone(),
        }
    }
}

impl<DB: Database> fmt::Debug for PoolOptions<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolOptions")
            .field("raw", &self.raw)
            .field("settings", &self.settings)
            .field("alive_bypass", &self.alive_bypass)
            .finish_non_exhaustive()
    }
}
