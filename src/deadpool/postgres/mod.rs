//! Guarded pools for PostgreSQL: [deadpool-postgres](https://docs.rs/deadpool-postgres)' types under
//! the same names.
//!
//! ```no_run
//! use fusepool::deadpool::postgres::{Config, Pool, Runtime}; // was: deadpool_postgres::{..}
//! use tokio_postgres::NoTls;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::new();
//! config.host = Some("localhost".to_owned());
//! config.dbname = Some("shop".to_owned());
//! let pool: Pool = config.create_pool(Some(Runtime::Tokio1), NoTls)?;
//!
//! let mut client = pool.get().await?;
//! let rows = client.query("SELECT name FROM dish WHERE price < $1", &[&10]).await?;
//! let transaction = client.transaction().await?;
//! transaction.execute("DELETE FROM dish", &[]).await?;
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Settings
//!
//! Those of [`fusepool::deadpool`](super#settings), which [`Config::builder`] and [`Pool::builder`]
//! lead to, and [`alive_bypass`](PoolBuilder::alive_bypass): connections that were leased in the last
//! 500 ms are not tested, older ones are, within the time that recycling has. The memory for cached reads
//! is a setting of the manager, [`Manager::cache_bytes`].
//!
//! # Statements
//!
//! Those on a [`Client`] are refused while the breaker is open; those in a [`Transaction`] pass, and so do
//! those in a transaction by hand, if its `BEGIN` and its `COMMIT` or `ROLLBACK` go by `batch_execute` or
//! `simple_query`. Each has the pool's `query_timeout`, or what [`with_timeout`](Client::with_timeout) says.
//!
//! One that is given up, at its deadline or by dropping its future, spoils its connection: when the
//! client is dropped, the server is told to cancel what it still does, over the same TLS and for at
//! most a second, and the connection is closed. It is nobody else's by then, and never will be, so a
//! cancel that comes late hits nothing. A client that is kept is not cut off: its next statement waits
//! behind the one that was given up.
//!
//! # Errors
//!
//! Those of statements are `tokio_postgres::Error`, that of [`get`](Pool::get) is [`PoolError`].
//! [`refusal`](crate::refusal) finds refusals in both, and [`delivery`] tells whether a statement
//! that failed may have reached the database.
//!
//! | what happened | error | [`delivery`] |
//! |---|---|---|
//! | no client: refused | [`PoolError::Refused`] with [`Refused`](crate::Refused) | nothing was sent |
//! | no client in time | [`PoolError::Timeout`] | nothing was sent |
//! | could not connect | [`PoolError::Backend`] | nothing was sent |
//! | statement refused | "error communicating with the server", because of [`Refused`](crate::Refused) | not sent |
//! | deadline of the statement | the same, because of [`DeadlineExceeded`](crate::DeadlineExceeded) | unknown |
//! | the connection broke | the driver's | unknown |
//! | the database said no | the driver's, with a `DbError` | answered |
//!
//! "error communicating with the server" is all that prints of a statement's refusal or deadline, since
//! the driver's errors print without their sources: ask [`refusal`](crate::refusal) and
//! [`deadline_exceeded`](crate::deadline_exceeded) first, or log the sources, too.
//!
//! # What errors mean
//!
#![doc = include_str!("../../outcome/sqlstate.md")]
//!
//! The driver's other errors: what went wrong with the connection, or with what came over it, is a
//! `Failure`; what never left the client, such as a parameter of the wrong type, is `Ignored`; an answer
//! other than expected, such as two rows for `query_one`, is `Answered`. They are told apart by their
//! texts, since the driver offers nothing else. [`classify`] is all of this as a function, for a
//! classification of your own that differs in a few.
//!
//! # What differs from deadpool-postgres
//!
//! - What differs with [any manager](super#what-differs-from-deadpool).
//! - [`Manager`] is our own, because it has to know the way to cancel; it dereferences to
//!   deadpool-postgres' own. So a `deadpool_postgres::Pool` that exists cannot become a [`Pool`]: it can
//!   become a [`fusepool::deadpool::Pool`](super::Pool), whose statements are guarded by hand.
//! - [`Config`] is our own with the same fields, is made from theirs, and hides its secrets from `Debug`.
//!   `target_session_attrs`, `channel_binding` and `load_balance_hosts` take effect, which they do not
//!   in deadpool-postgres 0.14.
//! - Who reads it with deadpool-postgres' feature `serde` has to enable fusepool's, too.
//! - Streams of rows (`query_raw` and `query_typed_raw`) and `COPY` are guarded until the server has
//!   taken the statement. What comes after that has no deadline, and is not seen. `simple_query_raw`
//!   and `query_portal_raw` do not wait for the server at all: the most they can be is refused.
//! - [`GenericClient`] is open to all.
//! - What is called on [`ClientWrapper`] or [`tokio_postgres::Client`], to which a [`Client`]
//!   dereferences, or on [`tokio_postgres::Transaction`], to which a [`Transaction`] does, is not
//!   guarded: a function that takes one of those, for example.

mod client;
mod config;
mod dialect;
mod error;
mod generic_client;
mod manager;
mod parameters;
mod pool;
mod read;
mod read_error;
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
pub use error::{classify, delivery};
pub use generic_client::GenericClient;
pub use manager::Manager;
pub use pool::{Pool, PoolBuilder, WeakPool};
pub use read::Read;
pub use read_error::ReadError;
pub use statements::Configured;
pub use transaction::Transaction;
pub use transaction_builder::TransactionBuilder;

pub use super::error::BuildError;
pub use crate::cache::handle::Cache;
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
