//! Guarded pools for PostgreSQL: [deadpool-postgres](https://docs.rs/deadpool-postgres)' types under
//! the same names.

mod client;
mod config;
mod dialect;
mod error;
mod generic_client;
mod manager;
mod pool;
mod query;
mod statements;
mod transaction;
mod transaction_builder;

pub use client::Client;
pub use config::Config;
pub use deadpool_postgres::{
    ChannelBinding, ClientWrapper, ConfigConnectImpl, ConfigError, Connect, LoadBalanceHosts,
    ManagerConfig, RecyclingMethod, SslMode, StatementCache, StatementCaches, TargetSessionAttrs,
    tokio_postgres,
};
pub use dialect::DEFAULT_ALIVE_BYPASS;
pub use error::delivery;
pub use generic_client::GenericClient;
pub use manager::Manager;
pub use pool::{Pool, PoolBuilder, WeakPool};
pub use query::Query;
pub use statements::Within;
pub use transaction::Transaction;
pub use transaction_builder::TransactionBuilder;

pub use super::error::BuildError;
pub use deadpool::Runtime;
pub use deadpool::managed::{
    Metrics, ObjectId, PoolConfig, QueueMode, Status, TimeoutType, Timeouts,
};

/// A client, by the name that deadpool has for what comes out of a pool.
pub type Object = Client;
/// Why there is no client.
pub type PoolError = super::error::PoolError<tokio_postgres::Error>;
/// Why a pool could not be made from a [`Config`].
pub type CreatePoolError = super::error::CreatePoolError<ConfigError>;
/// A hook of a pool.
pub type Hook = deadpool::managed::Hook<Manager>;
/// An error of a hook.
pub type HookError = deadpool::managed::HookError<tokio_postgres::Error>;
