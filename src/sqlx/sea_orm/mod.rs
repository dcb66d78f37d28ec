//! [SeaORM](https://docs.rs/sea-orm) 2 on the guarded pools: its connection and its transaction under its
//! names.
//!
//! [`DatabaseConnection`] and [`DatabaseTransaction`] replace SeaORM's types of the same names. Entities,
//! queries, models and migrations are used from SeaORM as before. The modules `postgres`, `mysql` and
//! `sqlite` name the types of each driver, so that only imports change:
//!
#![cfg_attr(feature = "sqlx-postgres", doc = "```no_run")]
#![cfg_attr(not(feature = "sqlx-postgres"), doc = "```ignore")]
//! use fusepool::sqlx::sea_orm::postgres::{Database, DatabaseConnection}; // was: use sea_orm::{..}
//! use sea_orm::{ConnectionTrait, DbErr, EntityTrait, TransactionTrait};
//!
//! async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
//!     Database::connect(url).await // or with `ConnectOptions`
//! }
//!
//! async fn count<E: EntityTrait>(db: &DatabaseConnection) -> Result<usize, DbErr> {
//!     Ok(E::find().all(db).await?.len())
//! }
//!
//! async fn raise(db: &DatabaseConnection) -> Result<(), DbErr> {
//!     let tx = db.begin().await?;
//!     tx.execute_unprepared("UPDATE dish SET price = price + 1").await?;
//!     tx.commit().await
//! }
//! ```
//!
//! A [`Pool`](crate::sqlx::Pool) of [`PoolOptions`](crate::sqlx::PoolOptions) converts into a
//! [`DatabaseConnection`], too. [`ReadExt`] adds `cached` and fallbacks to queries.
//! [`DatabaseConnection::invalidates`] is for writes.
//!
//! # Errors
//!
//! Every error is a `DbErr`. [`refusal`](crate::refusal) and [`deadline_exceeded`](crate::deadline_exceeded)
//! find what they look for in it, and in a `TransactionError<DbErr>`. [`delivery`] says whether the statement
//! may have reached the database, and [`sqlx_error`] is the error of sqlx in it.
//!
//! | what happened | `DbErr` | [`delivery`] |
//! |---|---|---|
//! | refused: the breaker is open, or too many callers wait | `Conn` with [`Refused`](crate::Refused) | not sent |
//! | no connection within `acquire_timeout` | `ConnectionAcquire(Timeout)` | not sent |
//! | opening a connection failed | `Conn` with [`CouldNotConnect`](crate::sqlx::CouldNotConnect) | not sent |
//! | the statement exceeded its deadline | `Exec` or `Query` with [`DeadlineExceeded`](crate::DeadlineExceeded) | unknown |
//! | the connection broke | `Exec` or `Query` | unknown |
//! | the database answered with an error | `Exec` or `Query` | answered |
//!
//! # What differs from SeaORM
//!
//! - **A [`Pool`](crate::sqlx::Pool) is no connection of SeaORM**, because its own `begin` returns sqlx's
//!   transaction. It converts into a [`DatabaseConnection`], which dereferences to it.
//! - **[`ConnectOptions`]** has SeaORM's setters, except for `sqlcipher_key`, `record_stmt_in_spans` and the
//!   `map_sqlx_` ones, which are [`map_pool_options`](ConnectOptions::map_pool_options) and
//!   [`map_driver_options`](ConnectOptions::map_driver_options). SeaORM's own options are not accepted, because
//!   some of them cannot be read.
//! - **Migrations**: `Migrator::up` takes no other type than SeaORM's own connection. One on the same
//!   connections, unguarded, is `sea_orm::DatabaseConnection::from(db.inner().clone())`.
//! - **Functions that name `sea_orm::DatabaseConnection`** name the type of this module, or `impl
//!   ConnectionTrait`. The driver is part of the type, so one binary that chooses the database by its URL
//!   needs functions that are generic over [`Backend`].
//! - **`stream`** sends its statement when the first row is asked for. A refusal is the error of that row.
//! - **`commit` with an open savepoint** is an error: see [`DatabaseTransaction::commit`].
//! - **A transaction that is dropped while one of its statements runs elsewhere** is rolled back before the
//!   next statement. SeaORM panics.
//! - **Missing**: `set_metric_callback`, for which there are [events and metrics](crate::telemetry);
//!   `restricted_for`; `transaction_async`, for which `begin` and `commit` can be written out.

mod backend;
mod configured;
mod connect;
mod connection;
mod error;
mod read;
mod traits;
mod transaction;

pub use crate::cache::handle::Cache;
pub use crate::outcome::delivery::Delivery;
pub use backend::Backend;
pub use configured::{Configured, Connection};
pub use connect::{ConnectOptions, Database};
pub use connection::DatabaseConnection;
pub use error::{delivery, sqlx_error};
pub use read::{Read, ReadExt, Readable};
pub use transaction::DatabaseTransaction;

/// The types for MySQL and MariaDB.
#[cfg(feature = "sqlx-mysql")]
pub mod mysql {
    use sqlx::MySql;

    /// The options of a guarded pool for MySQL or MariaDB.
    pub type ConnectOptions = super::ConnectOptions<MySql>;
    /// Opens a guarded pool for MySQL or MariaDB.
    pub type Database = super::Database<MySql>;
    /// A guarded pool for MySQL or MariaDB.
    pub type DatabaseConnection = super::DatabaseConnection<MySql>;
    /// SeaORM's short name of [`DatabaseConnection`].
    pub type DbConn = DatabaseConnection;
    /// A guarded transaction on MySQL or MariaDB.
    pub type DatabaseTransaction = super::DatabaseTransaction<MySql>;
}

/// The types for PostgreSQL.
#[cfg(feature = "sqlx-postgres")]
pub mod postgres {
    use sqlx::Postgres;

    /// The options of a guarded pool for PostgreSQL.
    pub type ConnectOptions = super::ConnectOptions<Postgres>;
    /// Opens a guarded pool for PostgreSQL.
    pub type Database = super::Database<Postgres>;
    /// A guarded pool for PostgreSQL.
    pub type DatabaseConnection = super::DatabaseConnection<Postgres>;
    /// SeaORM's short name of [`DatabaseConnection`].
    pub type DbConn = DatabaseConnection;
    /// A guarded transaction on PostgreSQL.
    pub type DatabaseTransaction = super::DatabaseTransaction<Postgres>;
}

/// The types for SQLite.
#[cfg(feature = "sqlx-sqlite")]
pub mod sqlite {
    use sqlx::Sqlite;

    /// The options of a guarded pool for SQLite.
    pub type ConnectOptions = super::ConnectOptions<Sqlite>;
    /// Opens a guarded pool for SQLite.
    pub type Database = super::Database<Sqlite>;
    /// A guarded pool for SQLite.
    pub type DatabaseConnection = super::DatabaseConnection<Sqlite>;
    /// SeaORM's short name of [`DatabaseConnection`].
    pub type DbConn = DatabaseConnection;
    /// A guarded transaction on SQLite.
    pub type DatabaseTransaction = super::DatabaseTransaction<Sqlite>;
}
