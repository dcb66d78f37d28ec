//! The adapter for sqlx's pool.

use std::error::Error as StdError;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Database, Error, SqlSafeStr, SqlStr};

use super::created::{Found, watched};
use super::driver::Traits;
use super::error::{self, delivery};
use super::options::PoolOptions;
use crate::breaker::config::ConfigError;
use crate::breaker::verdict::{Class, Classify};
use crate::outcome::code::ErrorCode;
use crate::outcome::delivery::Delivery;
use crate::outcome::error::refusal;
use crate::pool::adapter::Adapter;
use crate::pool::created::Created;
use crate::pool::session::{Sessions, System};
use crate::pool::snapshot::PoolStatus;
use crate::telemetry::backend::Backend;

/// The state that the handles of one pool share.
pub(super) type Shared<DB> = crate::pool::shared::Shared<Sqlx<DB>>;

/// The adapter behind [`Pool`](super::Pool).
pub(super) struct Sqlx<DB: Database> {
    pub(super) raw: sqlx::Pool<DB>,
    pub(super) options: PoolOptions<DB>,
    traits: Traits<DB>,
    classify: Arc<dyn Classify<Error>>,
    /// The error of every lease, if the constructor had no way to return it.
    pub(super) misconfigured: Option<ConfigError>,
}

impl<DB: Database> Sqlx<DB> {
    pub(super) fn new(raw: sqlx::Pool<DB>, options: PoolOptions<DB>) -> Self {
        Self {
            raw,
            traits: options.traits(),
            classify: options.classifier(),
            options,
            misconfigured: None,
        }
    }

    pub(super) fn misconfigured(self, config: ConfigError) -> Self {
        Self {
            misconfigured: Some(config),
            ..self
        }
    }
}

/// A connection leased from sqlx's pool.
pub(super) struct Leased<DB: Database> {
    pub(super) raw: PoolConnection<DB>,
    created: Option<Created>,
}

impl<DB: Database> Leased<DB> {
    /// A connection that no hook has seen.
    pub(super) fn unknown(raw: PoolConnection<DB>) -> Self {
        Self { raw, created: None }
    }
}

impl<DB: Database> Deref for Leased<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.raw
    }
}

impl<DB: Database> DerefMut for Leased<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.raw
    }
}

impl<DB: Database> Adapter for Sqlx<DB> {
    type Connection = DB::Connection;
    type Lease = Leased<DB>;
    type Error = Error;
    type StatementError = Error;

    /// sqlx tests a connection when it is returned, and maintains `min_connections`.
    const RELEASE_WAITS: bool = true;

    const STOPS_BY_SESSION: bool = true;

    fn name(&self) -> String {
        self.backend().pool_name()
    }

    fn backend(&self) -> Backend {
        (self.traits.backend)(&self.raw.connect_options())
    }

    fn code(&self, error: &Error) -> Option<ErrorCode> {
        (self.traits.code)(error)
    }

    fn status(&self) -> PoolStatus {
        PoolStatus {
            size: self.raw.size(),
            idle: u32::try_from(self.raw.num_idle()).unwrap_or(u32::MAX),
            max_connections: self.options.get_max_connections(),
        }
    }

    fn is_closed(&self) -> bool {
        self.raw.is_closed()
    }

    async fn lease(&self) -> Result<Leased<DB>, Error> {
        if let Some(config) = &self.misconfigured {
            return Err(error::misconfigured(config.clone()));
        }
        let (acquired, found) = watched(self.raw.acquire()).await;
        let created = match found {
            Some(Found::Known(created)) => Some(created),
            Some(Found::New(from, answer)) => {
                let created = Created::between(from, Instant::now());
                if let Some(sessions) = &self.options.sessions {
                    sessions.add(created, answer.as_deref());
                }
                Some(created)
            }
            None => None,
        };
        Ok(Leased {
            raw: acquired?,
            created,
        })
    }

    async fn lease_idle(&self) -> Option<Leased<DB>> {
        self.raw.try_acquire().map(Leased::unknown)
    }

    /// sqlx tests the connection without a deadline, and its slot in the pool is lost if the server
    /// silently went away: <https://github.com/transact-rs/sqlx/issues/4349>. The caller bounds this
    /// future.
    fn release(&self, mut lease: Leased<DB>) -> impl Future<Output = ()> + Send + 'static {
        // If this future is dropped early, it closes the connection and frees its slot.
        lease.raw.return_to_pool()
    }

    fn discard(&self, lease: Leased<DB>) {
        drop(lease.raw.detach());
    }

    fn close(&self, lease: Leased<DB>) -> impl Future<Output = ()> + Send + 'static {
        lease.raw.close().map(drop)
    }

    fn sessions(&self) -> Option<&Sessions> {
        self.options.sessions.as_deref()
    }

    fn system(&self) -> Option<System> {
        self.traits.system
    }

    fn created(&self, lease: &Leased<DB>) -> Option<Created> {
        lease.created
    }

    async fn question(&self, connection: &mut DB::Connection, sql: String) -> Option<String> {
        (self.traits.question)(connection, sql).await
    }

    /// The driver of MySQL loses what it has read of a row:
    /// <https://github.com/transact-rs/sqlx/issues/563>.
    fn keeps_step(&self) -> bool {
        !matches!(self.traits.system, Some(System::MySql))
    }

    /// Connects outside of the pool, because sqlx's pool retries a refused connection until
    /// `acquire_timeout` and then returns `PoolTimedOut`:
    /// <https://github.com/transact-rs/sqlx/issues/4396>.
    async fn connect(&self) -> Result<DB::Connection, Error> {
        self.raw.connect_options().connect().await
    }

    async fn ping(&self, connection: &mut DB::Connection) -> Result<(), Error> {
        (self.traits.run)(connection, SqlStr::from_static(self.traits.ping)).await
    }

    async fn probe(&self, connection: &mut DB::Connection, sql: &str) -> Result<(), Error> {
        let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
        (self.traits.run)(connection, sql).await
    }

    async fn is_read_only(&self, connection: &mut DB::Connection) -> Option<bool> {
        (self.traits.is_read_only)(connection).await.ok().flatten()
    }

    fn tells_read_only(&self) -> bool {
        true
    }

    fn disconnect(&self, connection: DB::Connection) -> impl Future<Output = ()> + Send + 'static {
        // The probe has its answer already, so a failure to close is ignored.
        connection.close().map(drop)
    }

    /// A refusal is no evidence, whatever a custom classification says.
    fn classify(&self, error: &Error) -> Class {
        match refusal(error) {
            Some(_) => Class::Ignored,
            None => self.classify.classify(error),
        }
    }

    fn classify_statement(&self, error: &Error) -> Class {
        self.classify(error)
    }

    fn answered(&self, error: &Error) -> bool {
        matches!(error, Error::Database(_))
    }

    fn has_ended(&self, error: &Error) -> bool {
        self.answered(error) && delivery(error) != Delivery::Unknown
    }

    fn tells_closed(&self, error: &Error) -> bool {
        matches!(error, Error::PoolClosed)
    }

    fn explain<'e>(&self, error: &'e Error) -> &'e (dyn StdError + 'static) {
        error
    }
}
