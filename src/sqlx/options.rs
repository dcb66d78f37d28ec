//! Configures a guarded pool: sqlx's options and fusepool's.

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};

use futures_core::future::BoxFuture;
use log::LevelFilter;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::{Connection, Database, Error};
use tokio::time::timeout;

use super::created::{Found, since, tell};
use super::driver::{Driver, Traits};
use crate::breaker::config::ConfigError;
use crate::breaker::verdict::Classify;
use crate::pool::created::Created;
use crate::pool::homes::Homes;
use crate::pool::session::Sessions;
use crate::pool::settings::{Settings, setters};

/// Default [`PoolOptions::alive_bypass`]: 500 milliseconds.
pub const DEFAULT_ALIVE_BYPASS: Duration = Duration::from_millis(500);

/// The time in which sqlx notes that it created a connection, after its last hook has ended.
const NOTED_WITHIN: Duration = Duration::from_millis(10);

/// The reason why a connection is closed before it is leased.
const STANDS_STILL: &str =
    "the runtime on which this connection was opened has ended, or stands still";

/// How much longer than fusepool's `acquire_timeout` the inner pool's is.
const MARGIN: Duration = Duration::from_secs(1);

type AfterConnect<DB> = dyn Fn(
        &mut <DB as Database>::Connection,
        PoolConnectionMetadata,
    ) -> BoxFuture<'_, Result<(), Error>>
    + Send
    + Sync;

type BeforeAcquire<DB> = dyn Fn(
        &mut <DB as Database>::Connection,
        PoolConnectionMetadata,
    ) -> BoxFuture<'_, Result<bool, Error>>
    + Send
    + Sync;

/// Configures a guarded [`Pool`](super::Pool).
///
/// Setters that sqlx has, too, mean the same as in sqlx, except where noted, and except that the default
/// of `acquire_timeout` is 2 s. The settings are checked when the pool is built.
///
/// ```
/// use fusepool::sqlx::PgPoolOptions;
/// use fusepool::Breaker;
/// use std::time::Duration;
///
/// let options = PgPoolOptions::new()
///     .max_connections(20)
///     .acquire_timeout(Duration::from_secs(1))
///     .query_timeout(Duration::from_secs(5))
///     .breaker(Breaker::builder().name("orders").failure_rate(0.3));
/// ```
#[must_use = "options do nothing until a pool is built from them"]
pub struct PoolOptions<DB: Database> {
    traits: Traits<DB>,
    /// The options that sqlx itself applies.
    pub(super) raw: sqlx::pool::PoolOptions<DB>,
    after_connect: Option<Arc<AfterConnect<DB>>>,
    before_acquire: Option<Arc<BeforeAcquire<DB>>>,
    /// The server sessions of the pool's connections. `None` before the pool is built, and if they
    /// cannot be asked for.
    pub(super) sessions: Option<Arc<Sessions>>,
    pub(super) settings: Settings,
    /// `None`: connections are never tested before use.
    alive_bypass: Option<Duration>,
    classify: Option<Arc<dyn Classify<Error>>>,
}

impl<DB: Driver> PoolOptions<DB> {
    /// Options with the defaults of sqlx and fusepool.
    pub fn new() -> Self {
        Self {
            traits: Traits::of(),
            raw: sqlx::pool::PoolOptions::new(),
            after_connect: None,
            before_acquire: None,
            sessions: None,
            settings: Settings::default(),
            alive_bypass: Some(DEFAULT_ALIVE_BYPASS),
            classify: None,
        }
    }
}

impl<DB: Database> PoolOptions<DB> {
    setters!();

    /// A connection that has been idle for less than this time is not tested before use. One that was
    /// idle for longer is tested with a ping, for at most half of `acquire_timeout` or of the breaker's
    /// `probe_timeout`, whichever is shorter. Default: [`DEFAULT_ALIVE_BYPASS`], 500 ms.
    ///
    /// A connection that was opened on another runtime is leased only if that runtime is driven,
    /// whatever its age.
    ///
    /// ```
    /// use fusepool::sqlx::PgPoolOptions;
    /// use std::time::Duration;
    ///
    /// // Behind a pooler on the same machine: a connection is hardly ever found dead.
    /// let options = PgPoolOptions::new().alive_bypass(Duration::from_secs(30));
    /// ```
    pub fn alive_bypass(mut self, idle: Duration) -> Self {
        self.alive_bypass = Some(idle);
        self
    }

    #[doc = include_str!("../pool/probe_query.md")]
    pub fn probe_query(mut self, sql: impl Into<String>) -> Self {
        self.settings.probe_query = Some(sql.into());
        self
    }

    /// Sets the class of each error. Default: the table in the driver's module.
    ///
    /// ```
    /// use fusepool::Class;
    /// use fusepool::sqlx::{Driver, PgPoolOptions};
    ///
    /// // In this service, a lock timeout (55P03) means that the database is overloaded.
    /// let options = PgPoolOptions::new().classify(|error: &sqlx::Error| {
    ///     match error.as_database_error().and_then(|error| error.code()).as_deref() {
    ///         Some("55P03") => Class::Failure,
    ///         _ => <sqlx::Postgres as Driver>::classify(error),
    ///     }
    /// });
    /// ```
    pub fn classify(mut self, classify: impl Classify<Error>) -> Self {
        self.classify = Some(Arc::new(classify));
        self
    }

    /// The maximum number of connections, at least 1. Default: 10, as in sqlx.
    pub fn max_connections(mut self, max: u32) -> Self {
        self.raw = self.raw.max_connections(max);
        self
    }

    /// The value of [`max_connections`](Self::max_connections).
    #[must_use]
    pub fn get_max_connections(&self) -> u32 {
        self.raw.get_max_connections()
    }

    /// The number of connections that the pool keeps open; see
    /// [sqlx](sqlx::pool::PoolOptions::min_connections). Default: 0.
    pub fn min_connections(mut self, min: u32) -> Self {
        self.raw = self.raw.min_connections(min);
        self
    }

    /// The value of [`min_connections`](Self::min_connections).
    #[must_use]
    pub fn get_min_connections(&self) -> u32 {
        self.raw.get_min_connections()
    }

    /// The log level at which sqlx reports how long each acquire took. Default: off.
    pub fn acquire_time_level(mut self, level: LevelFilter) -> Self {
        self.raw = self.raw.acquire_time_level(level);
        self
    }

    /// The log level at which sqlx reports an acquire that took longer than
    /// [`acquire_slow_threshold`](Self::acquire_slow_threshold). Default: `Warn`.
    pub fn acquire_slow_level(mut self, level: LevelFilter) -> Self {
        self.raw = self.raw.acquire_slow_level(level);
        self
    }

    /// The duration from which sqlx reports an acquire as slow. Default: 2 seconds. This does not
    /// affect the breaker.
    pub fn acquire_slow_threshold(mut self, threshold: Duration) -> Self {
        self.raw = self.raw.acquire_slow_threshold(threshold);
        self
    }

    /// The value of [`acquire_slow_threshold`](Self::acquire_slow_threshold).
    #[must_use]
    pub fn get_acquire_slow_threshold(&self) -> Duration {
        self.raw.get_acquire_slow_threshold()
    }

    /// The value of [`acquire_timeout`](Self::acquire_timeout).
    #[must_use]
    pub fn get_acquire_timeout(&self) -> Duration {
        self.settings.acquire_timeout()
    }

    /// The age at which a connection is closed; `None` for no limit. Default: 30 minutes.
    pub fn max_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.raw = self.raw.max_lifetime(lifetime);
        self
    }

    /// The value of [`max_lifetime`](Self::max_lifetime).
    #[must_use]
    pub fn get_max_lifetime(&self) -> Option<Duration> {
        self.raw.get_max_lifetime()
    }

    /// The idle time after which a connection is closed; `None` for no limit. Default: 10 minutes.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.raw = self.raw.idle_timeout(timeout);
        self
    }

    /// The value of [`idle_timeout`](Self::idle_timeout).
    #[must_use]
    pub fn get_idle_timeout(&self) -> Option<Duration> {
        self.raw.get_idle_timeout()
    }

    /// Tests a connection before each use (`true`) or never (`false`). This replaces
    /// [`alive_bypass`](Self::alive_bypass). Default: test connections that have been idle for
    /// `alive_bypass` or longer. sqlx's default is `true`.
    pub fn test_before_acquire(mut self, test: bool) -> Self {
        self.alive_bypass = test.then_some(Duration::ZERO);
        self
    }

    /// Whether connections are tested before use, always or after they were idle for
    /// [`alive_bypass`](Self::alive_bypass).
    #[must_use]
    pub fn get_test_before_acquire(&self) -> bool {
        self.alive_bypass.is_some()
    }

    /// A callback for each connection that was just opened; see
    /// [sqlx](sqlx::pool::PoolOptions::after_connect).
    ///
    /// ```
    /// use fusepool::sqlx::PgPoolOptions;
    /// use sqlx::Executor;
    ///
    /// let options = PgPoolOptions::new().after_connect(|conn, _| {
    ///     Box::pin(async move {
    ///         conn.execute("SET application_name = 'shop'").await?;
    ///         Ok(())
    ///     })
    /// });
    /// ```
    pub fn after_connect<F>(mut self, callback: F) -> Self
    where
        for<'c> F: Fn(&'c mut DB::Connection, PoolConnectionMetadata) -> BoxFuture<'c, Result<(), Error>>
            + 'static
            + Send
            + Sync,
    {
        self.after_connect = Some(Arc::new(callback));
        self
    }

    /// A callback that decides whether an idle connection is handed out; see
    /// [sqlx](sqlx::pool::PoolOptions::before_acquire). It runs after the test of the connection.
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

    /// A callback that decides whether a returned connection stays in the pool; see
    /// [sqlx](sqlx::pool::PoolOptions::after_release).
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

    /// Checks the settings that sqlx would panic on, and those that it does not have.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let size = self.get_max_connections();
        if size == 0 {
            return Err(ConfigError::new("max_connections", size, "at least 1"));
        }
        Ok(())
    }

    /// Prepares to ask for the sessions of a new pool's connections.
    pub(super) fn watch_sessions(&mut self) {
        let system = self
            .traits
            .system
            .filter(|_| self.settings.side_connections);
        self.sessions = system.map(|system| Arc::new(Sessions::new(system)));
    }

    /// The inner pool's options.
    ///
    /// sqlx tests a connection on every acquire or never:
    /// <https://github.com/transact-rs/sqlx/issues/1743>. This replaces its test by one that skips
    /// recently used connections. They are recognized by the time since their return, because sqlx
    /// records no time of last use: <https://github.com/transact-rs/sqlx/issues/3934>.
    ///
    /// The inner `acquire_timeout` is longer than fusepool's, or sqlx's default where the user set
    /// none, so that fusepool's ends a wait first. It still ends a wait while the breaker does not
    /// enforce.
    pub(super) fn raw_options(&self) -> sqlx::pool::PoolOptions<DB> {
        let mut raw = self.raw.clone().test_before_acquire(false);
        if let Some(timeout) = self.settings.acquire_timeout {
            raw = raw.acquire_timeout(timeout.saturating_add(MARGIN));
        }
        let (question, hook) = (self.traits.question, self.after_connect.clone());
        let sessions = self.sessions.clone();
        // SQLite's connections need no runtime.
        let homes = self.traits.system.map(|_| Arc::<Homes>::default());
        let new_homes = homes.clone();
        raw = raw.after_connect(move |connection, metadata| {
            let (hook, sessions, homes) = (hook.clone(), sessions.clone(), new_homes.clone());
            Box::pin(async move {
                let session = match &sessions {
                    // First, because the hook may change what the session may see.
                    Some(sessions) => question(connection, sessions.question()).await,
                    None => None,
                };
                if let Some(hook) = hook {
                    hook(connection, metadata).await?;
                }
                if let Some(sessions) = sessions {
                    sessions.take_turn().await;
                }
                let now = Instant::now();
                if let Some(homes) = homes {
                    homes.add(Created::between(now, now + NOTED_WITHIN));
                }
                tell(Found::New(now, session));
                Ok(())
            })
        });
        let (bypass, hook) = (self.alive_bypass, self.before_acquire.clone());
        let is_watched = self.sessions.is_some();
        if bypass.is_none() && hook.is_none() && homes.is_none() {
            return raw;
        }
        // At most half of the time that a caller or a probe has: the rest is for a new connection.
        let limit = self
            .settings
            .acquire_timeout()
            .min(self.settings.breaker.get_probe_timeout())
            / 2;
        raw.before_acquire(move |connection, metadata| {
            let hook = hook.clone();
            let created = since(metadata.age);
            let homes = homes.as_ref().filter(|homes| !homes.are_here()).cloned();
            Box::pin(async move {
                let is_known = match (homes, created) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some(homes), Some(created)) => match homes.is_driven(created, limit).await {
                        Some(false) => return Err(Error::Io(io::Error::other(STANDS_STILL))),
                        is_driven => is_driven.is_some(),
                    },
                };
                if bypass.is_some_and(|bypass| !is_known || metadata.idle_for >= bypass) {
                    match timeout(limit, connection.ping()).await {
                        Ok(pong) => pong?,
                        Err(_) => return Err(Error::PoolTimedOut),
                    }
                }
                let is_usable = match hook {
                    Some(hook) => hook(connection, metadata).await,
                    None => Ok(true),
                };
                if is_watched && let Some(created) = created {
                    tell(Found::Known(created));
                }
                is_usable
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

// Not derived, because a derive would require `DB: Clone`.
impl<DB: Database> Clone for PoolOptions<DB> {
    fn clone(&self) -> Self {
        Self {
            traits: self.traits,
            raw: self.raw.clone(),
            after_connect: self.after_connect.clone(),
            before_acquire: self.before_acquire.clone(),
            sessions: self.sessions.clone(),
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
