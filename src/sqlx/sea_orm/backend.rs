//! The drivers of sqlx that SeaORM supports, and how its statements become theirs.

use sea_orm::{DbBackend, ExecResult, QueryResult, TransactionOptions};
use sea_query_sqlx::SqlxValues;
use sqlx::{AssertSqlSafe, Database, Error, Executor, IntoArguments, SqlSafeStr};

use crate::pool::statement::Admission;
use crate::sqlx::connection::GuardedConnection;
use crate::sqlx::driver::{Driver, in_transaction};
use crate::sqlx::executor::Configured;
use crate::sqlx::statement::Statement;
use crate::sqlx::transaction::Level;

/// A database driver of sqlx that SeaORM supports: `Postgres`, `MySql` or `Sqlite`, each with its feature.
///
/// This trait is sealed. Use it as a bound in code that is generic over the driver.
pub trait Backend:
    Driver + Database<Row: Into<QueryResult>, QueryResult: Into<ExecResult>>
{
    /// The name of the driver in SeaORM.
    #[doc(hidden)]
    const BACKEND: DbBackend;

    /// The values of a statement of SeaORM, as the driver sends them.
    #[doc(hidden)]
    fn arguments(values: SqlxValues) -> Self::Arguments;
}

#[cfg(feature = "sqlx-postgres")]
impl Backend for sqlx::Postgres {
    const BACKEND: DbBackend = DbBackend::Postgres;

    fn arguments(values: SqlxValues) -> Self::Arguments {
        IntoArguments::<Self>::into_arguments(values)
    }
}

#[cfg(feature = "sqlx-mysql")]
impl Backend for sqlx::MySql {
    const BACKEND: DbBackend = DbBackend::MySql;

    fn arguments(values: SqlxValues) -> Self::Arguments {
        IntoArguments::<Self>::into_arguments(values)
    }
}

#[cfg(feature = "sqlx-sqlite")]
impl Backend for sqlx::Sqlite {
    const BACKEND: DbBackend = DbBackend::Sqlite;

    fn arguments(values: SqlxValues) -> Self::Arguments {
        IntoArguments::<Self>::into_arguments(values)
    }
}

/// A statement of SeaORM as one of sqlx. As in SeaORM, it is prepared even if it has no values.
pub(super) fn statement<DB: Backend>(statement: sea_orm::Statement) -> Statement<DB> {
    let values = statement.values.unwrap_or(sea_orm::Values(Vec::new()));
    Statement::new(statement.sql, Some(DB::arguments(SqlxValues(values))))
}

/// Begins a transaction or a savepoint as SeaORM does: MySQL takes the settings before `BEGIN`, PostgreSQL
/// [after it](after_begin), and SQLite has only its mode.
pub(super) async fn begin<DB: Backend>(
    connection: &mut GuardedConnection<DB>,
    options: TransactionOptions,
) -> Result<Level, Error> {
    match DB::BACKEND {
        DbBackend::MySql => {
            let Some(settings) = settings(options) else {
                return Level::begin(connection, None, None).await;
            };
            set(connection, settings).await?;
            // Not refused any more: the next transaction on the connection would have the settings.
            Level::begin(connection, Some(Admission::Transaction), None).await
        }
        DbBackend::Sqlite if !in_transaction::<DB>(connection) => {
            let mode = options.sqlite_transaction_mode.map(|mode| {
                AssertSqlSafe(format!("BEGIN {}", mode.sqlite_keyword())).into_sql_str()
            });
            Level::begin(connection, None, mode).await
        }
        _ => Level::begin(connection, None, None).await,
    }
}

/// Sends what a transaction needs after its begin. If this fails or is dropped, its owner rolls it back.
pub(super) async fn after_begin<DB: Backend>(
    connection: &mut GuardedConnection<DB>,
    options: TransactionOptions,
) -> Result<(), Error> {
    match (DB::BACKEND, settings(options)) {
        (DbBackend::Postgres, Some(settings)) => set(connection, settings).await,
        (DbBackend::Sqlite, Some(_)) => {
            tracing::warn!("SQLite has neither isolation levels nor access modes");
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn set<DB: Backend>(
    connection: &mut GuardedConnection<DB>,
    settings: String,
) -> Result<(), Error> {
    let set = Statement::new(format!("SET TRANSACTION {settings}"), None);
    Configured::on(connection, None)
        .execute(set)
        .await
        .map(drop)
}

fn settings(options: TransactionOptions) -> Option<String> {
    let level = (options.isolation_level).map(|level| format!("ISOLATION LEVEL {level}"));
    let mode = options.access_mode.map(|mode| mode.to_string());
    let settings: Vec<String> = level.into_iter().chain(mode).collect();
    (!settings.is_empty()).then(|| settings.join(", "))
}
