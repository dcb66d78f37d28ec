//! The drivers of sqlx that SeaORM supports, and how its statements become theirs.

use sea_orm::{AccessMode, DbBackend, ExecResult, IsolationLevel, QueryResult, TransactionOptions};
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

/// Begins a transaction or a savepoint as SeaORM does: PostgreSQL takes the settings after `BEGIN`, MySQL
/// before it, and SQLite has only its mode.
pub(super) async fn begin<DB: Backend>(
    connection: &mut GuardedConnection<DB>,
    options: TransactionOptions,
) -> Result<Level, Error> {
    let settings = settings(options.isolation_level, options.access_mode);
    let mode = (options.sqlite_transaction_mode)
        .filter(|_| DB::BACKEND == DbBackend::Sqlite && !in_transaction::<DB>(connection))
        .map(|mode| AssertSqlSafe(format!("BEGIN {}", mode.sqlite_keyword())).into_sql_str());
    let Some(settings) = settings else {
        return Level::begin(connection, None, mode).await;
    };
    match DB::BACKEND {
        DbBackend::Postgres => {
            let level = Level::begin(connection, None, None).await?;
            match set(connection, settings).await {
                Ok(()) => Ok(level),
                Err(error) => {
                    level.end(connection);
                    Err(error)
                }
            }
        }
        DbBackend::MySql => {
            set(connection, settings).await?;
            // Not refused any more: the next transaction on the connection would have the settings.
            Level::begin(connection, Some(Admission::Transaction), None).await
        }
        _ => {
            tracing::warn!("SQLite has neither isolation levels nor access modes");
            Level::begin(connection, None, mode).await
        }
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

fn settings(level: Option<IsolationLevel>, mode: Option<AccessMode>) -> Option<String> {
    let level = level.map(|level| format!("ISOLATION LEVEL {level}"));
    let mode = mode.as_ref().map(AccessMode::to_string);
    let settings: Vec<String> = level.into_iter().chain(mode).collect();
    (!settings.is_empty()).then(|| settings.join(", "))
}
