//! The pool, and how it is configured.

use std::sync::Arc;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed;

use super::client::Client;
use super::dialect::Postgres;
use super::manager::Manager;
use crate::deadpool::{builder, pool};

/// A guarded pool of connections to PostgreSQL.
pub type Pool = pool::Pool<Manager, Client>;
/// A reference to a [`Pool`] that does not keep it alive.
pub type WeakPool = pool::WeakPool<Manager, Client>;
/// Configures a guarded pool of connections to PostgreSQL.
pub type PoolBuilder = builder::PoolBuilder<Manager, Client>;

/// Default of [`PoolBuilder::alive_bypass`]: 500 milliseconds.
pub const DEFAULT_ALIVE_BYPASS: Duration = Duration::from_millis(500);

const DEFAULT: Postgres = Postgres {
    alive_bypass: Some(DEFAULT_ALIVE_BYPASS),
};

impl pool::Pool<Manager, Client> {
    /// Starts to configure a pool.
    pub fn builder(manager: Manager) -> PoolBuilder {
        let raw = managed::Pool::builder(manager).runtime(Runtime::Tokio1);
        PoolBuilder::new(raw, Arc::new(DEFAULT))
    }

    /// Starts to configure a guard for an existing pool, whose own settings stay what they are.
    pub fn guard(
        raw: managed::Pool<Manager>,
    ) -> builder::PoolBuilder<Manager, Client, managed::Pool<Manager>> {
        builder::PoolBuilder::new(raw, Arc::new(DEFAULT))
    }
}

impl From<managed::Pool<Manager>> for pool::Pool<Manager, Client> {
    /// Guards an existing pool with default settings; its own timeouts count on.
    fn from(raw: managed::Pool<Manager>) -> Self {
        Self::guard(raw).build_with_defaults()
    }
}

impl builder::PoolBuilder<Manager, Client> {
    /// A connection that was last leased less than this long ago is not tested before it is leased
    /// again. Default: [`DEFAULT_ALIVE_BYPASS`].
    pub fn alive_bypass(mut self, idle: Duration) -> Self {
        self.dialect = Arc::new(Postgres {
            alive_bypass: Some(idle),
        });
        self
    }
}
