//! MySQL and MariaDB.
//!
#![doc = include_str!("../outcome/errno.md")]
//!
//! The driver itself reports an `Error::Protocol` for a wrong number of arguments. This is
//! `Ignored`: a mistake of the application is no failure of the database.

use sqlx::mysql::{MySql, MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::{AssertSqlSafe, Decode, Error, Executor, Row, raw_sql};

use futures_core::future::BoxFuture;

use super::driver::{ALLOCATION, Driver, Sealed};
use super::error;
use super::shared::own;
use crate::breaker::verdict::Class;
use crate::cache::not_a_read::NotARead;
use crate::cache::read_only;
use crate::cache::tokens::Dialect;
use crate::outcome::code::ErrorCode;
use crate::outcome::errno::{self, IS_READ_ONLY};
use crate::pool::session::System;
use crate::telemetry::backend::Backend;

/// A guarded MySQL or MariaDB pool.
pub type MySqlPool = super::Pool<MySql>;
/// Configures a guarded MySQL or MariaDB pool.
pub type MySqlPoolOptions = super::PoolOptions<MySql>;
/// A guarded MySQL or MariaDB transaction.
pub type MySqlTransaction<'c> = super::Transaction<'c, MySql>;

impl Sealed for MySql {}

impl Driver for MySql {
    const SYSTEM: Option<System> = Some(System::MySql);

    fn classify(error: &Error) -> Class {
        // A wrong number of arguments: the statement was prepared, but not executed. See
        // https://github.com/transact-rs/sqlx/issues/3774.
        if matches!(error, Error::Protocol(text) if text.contains("parameters were provided")) {
            return Class::Ignored;
        }
        error::classify(error, |error| match own::<MySqlDatabaseError>(error) {
            Some(error) => errno::classify(error.number(), error.message()),
            None => Class::Success,
        })
    }

    async fn is_read_only(connection: &mut MySqlConnection) -> Result<Option<bool>, Error> {
        let row = connection.fetch_optional(raw_sql(IS_READ_ONLY)).await?;
        Ok(Some(row.is_some()))
    }

    fn question(connection: &mut MySqlConnection, sql: String) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            let row = connection.fetch_optional(AssertSqlSafe(sql)).await.ok()??;
            row.try_get_unchecked(0).ok()
        })
    }

    fn backend(options: &MySqlConnectOptions) -> Backend {
        let backend = System::MySql.backend();
        let backend = backend.server(options.get_host(), options.get_port());
        match options.get_database() {
            Some(database) => backend.namespace(database),
            None => backend,
        }
    }

    /// The number, because sqlx's own code is the SQLSTATE, which tells less.
    fn code(error: &Error) -> Option<ErrorCode> {
        let error = error.as_database_error()?;
        let number = error.try_downcast_ref::<MySqlDatabaseError>()?.number();
        ErrorCode::new(&number.to_string())
    }

    fn check_read(sql: &str) -> Result<(), NotARead> {
        read_only::check(sql, Dialect::MySql)
    }

    fn row_bytes(row: &MySqlRow) -> usize {
        let values = (0..row.len()).filter_map(|column| row.try_get_raw(column).ok());
        // This counts the bytes of numbers, too. An estimate that is too high does no harm.
        let bytes = |value| <&[u8] as Decode<MySql>>::decode(value).map_or(0, <[u8]>::len);
        values.map(|value| ALLOCATION + bytes(value)).sum()
    }
}
