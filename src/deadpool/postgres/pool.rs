//! The pool and its builder.

use std::sync::Arc;
use std::time::Duration;

use super::client::Client;
use super::dialect::Postgres;
use super::manager::Manager;
use crate::deadpool::{builder, pool};

/// A guarded pool of connections to PostgreSQL.
pub type Pool = pool::Pool<Manager, Client>;
/// A weak reference to a [`Pool`], which does not keep it alive.
pub type WeakPool = pool::WeakPool<Manager, Client>;
/// Configures a guarded pool of connections to PostgreSQL.
pub type PoolBuilder = builder::PoolBuilder<Manager, Client>;

impl builder::PoolBuilder<Manager, Client> {
    /// A connection that was last leased less than this time ago is not tested before it is leased
    /// again. Default: [`DEFAULT_ALIVE_BYPASS`](super::DEFAULT_ALIVE_BYPASS).
    pub fn alive_bypass(mut self, idle: Duration) -> Self {
        self.dialect = Arc::new(Postgres { alive_bypass: idle });
        self
    }
}

impl<S> builder::PoolBuilder<Manager, Client, S> {
    #[doc = include_str!("../../pool/probe_query.md")]
    pub fn probe_query(mut self, sql: impl Into<String>) -> Self {
        self.settings.probe_query = Some(sql.into());
        self
    }
}
