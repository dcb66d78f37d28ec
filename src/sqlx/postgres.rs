//! PostgreSQL.
//!
#![doc = include_str!("../outcome/sqlstate.md")]
//!
//! The driver itself reports an `Error::Protocol` for more arguments than a statement can have.
//! This is `Ignored`: a mistake of the application is no failure of the database.

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgConnectOptions, PgConnection, PgCopyIn, PgDatabaseError, PgPoolCopyExt, PgRow, PgSeverity,
    PgValueRef, Postgres,
};
use sqlx::{AssertSqlSafe, Error, Executor, Row, raw_sql};

use super::driver::{ALLOCATION, Driver, Sealed};
use super::error;
use super::shared::own;
use crate::breaker::verdict::Class;
use crate::cache::not_a_read::NotARead;
use crate::cache::read_only;
use crate::cache::tokens::Dialect;
use crate::outcome::sqlstate::{IS_READ_ONLY, Report};
use crate::pool::session::System;
use crate::telemetry::backend::Backend;

/// A guarded PostgreSQL pool.
pub type PgPool = super::Pool<Postgres>;
/// Configures a guarded PostgreSQL pool.
pub type PgPoolOptions = super::PoolOptions<Postgres>;
/// A guarded PostgreSQL transaction.
pub type PgTransaction<'c> = super::Transaction<'c, Postgres>;

/// `COPY` on a connection of the pool. Admission, and the time until the server is ready for the data, are
/// guarded; the data are not.
impl PgPoolCopyExt for PgPool {
    async fn copy_in_raw(
        &self,
        statement: &str,
    ) -> Result<PgCopyIn<PoolConnection<Postgres>>, Error> {
        self.guard_inner(self.inner().copy_in_raw(statement)).await
    }

    async fn copy_out_raw(
        &self,
        statement: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        self.guard_inner(self.inner().copy_out_raw(statement)).await
    }
}

/// The report of the server in an error of the driver.
pub(super) fn report(error: &dyn DatabaseError) -> Option<Report<'_>> {
    let error = own::<PgDatabaseError>(error)?;
    Some(Report {
        code: error.code(),
        message: error.message(),
        is_fatal: matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic),
    })
}

impl Sealed for Postgres {}

impl Driver for Postgres {
    const SYSTEM: Option<System> = Some(System::Postgres);

    fn classify(error: &Error) -> Class {
        // More than 65,535 arguments. The driver checks this before it sends anything.
        if matches!(error, Error::Protocol(text) if text.contains("too many arguments for query")) {
            return Class::Ignored;
        }
        error::classify(error, |error| {
            report(error).map_or(Class::Success, Report::class)
        })
    }

    async fn is_read_only(connection: &mut PgConnection) -> Result<Option<bool>, Error> {
        let row = connection.fetch_optional(raw_sql(IS_READ_ONLY)).await?;
        Ok(Some(row.is_some()))
    }

    fn question(connection: &mut PgConnection, sql: String) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            let row = connection.fetch_optional(AssertSqlSafe(sql)).await.ok()??;
            row.try_get_unchecked(0).ok()
        })
    }

    fn backend(options: &PgConnectOptions) -> Backend {
        let database = options.get_database().unwrap_or(options.get_username());
        (System::Postgres.backend())
            .server(options.get_host(), options.get_port())
            .namespace(database)
    }

    fn check_read(sql: &str) -> Result<(), NotARead> {
        read_only::check(sql, Dialect::Postgres)
    }

    fn row_bytes(row: &PgRow) -> usize {
        let values = (0..row.len()).filter_map(|column| row.try_get_raw(column).ok());
        // This counts the bytes of numbers, too. An estimate that is too high does no harm.
        let bytes = |value: PgValueRef<'_>| value.as_bytes().map_or(0, <[u8]>::len);
        values.map(|value| ALLOCATION + bytes(value)).sum()
    }
}
