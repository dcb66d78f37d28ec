//! Guarded pools for [`sqlx`].

mod acquire;
mod connection;
mod driver;
mod error;
mod executor;
#[cfg(feature = "sqlx-mysql")]
pub mod mysql;
mod operation;
mod options;
mod pool;
#[cfg(feature = "sqlx-postgres")]
pub mod postgres;
mod shared;
mod snapshot;
#[cfg(feature = "sqlx-sqlite")]
pub mod sqlite;
mod transaction;

pub use connection::{AcquiredConnection, GuardedConnection, PoolConnection};
pub use driver::Driver;
pub use error::{CouldNotConnect, Delivery, delivery};
pub use executor::Within;
#[cfg(feature = "sqlx-mysql")]
pub use mysql::{MySqlPool, MySqlPoolOptions, MySqlTransaction};
pub use options::{DEFAULT_ALIVE_BYPASS, PoolOptions};
pub use pool::Pool;
#[cfg(feature = "sqlx-postgres")]
pub use postgres::{PgPool, PgPoolOptions, PgTransaction};
pub use snapshot::PoolSnapshot;
#[cfg(feature = "sqlx-sqlite")]
pub use sqlite::{SqlitePool, SqlitePoolOptions, SqliteTransaction};
pub use transaction::Transaction;
