//! Guarded pools for diesel-async.
mod connection;
mod dialect;
mod driver;
mod error;
#[cfg(feature = "diesel-mysql")]
mod mysql;
mod object;
mod pool;
#[cfg(feature = "diesel-postgres")]
mod postgres;
mod rows;
mod statement;
#[cfg(feature = "diesel-postgres")]
mod transaction_builder;

pub use super::error::BuildError;
pub use connection::Connection;
pub use driver::Driver;
pub use error::delivery;
#[cfg(feature = "diesel-mysql")]
pub use mysql::AsyncMysqlConnection;
pub use object::Object;
pub use pool::{
    AsyncDieselConnectionManager, Hook, HookError, Leased, ManagerConfig, Pool, PoolBuilder,
    PoolError, RecyclingMethod, WeakPool,
};
#[cfg(feature = "diesel-postgres")]
pub use postgres::AsyncPgConnection;
pub use rows::Rows;
#[cfg(feature = "diesel-postgres")]
pub use transaction_builder::TransactionBuilder;
