//! deadpool pools for the tests.

use fusepool::deadpool::postgres::{Manager, Pool, PoolBuilder};
use tokio_postgres::NoTls;

use super::postgres::Postgres;

pub const CONNECTIONS: usize = 4;

/// A pool with this size and default settings, through this port.
pub fn builder(server: &Postgres, port: u16) -> PoolBuilder {
    let config = server.url_via(port).parse().unwrap();
    Pool::builder(Manager::new(config, NoTls)).max_size(CONNECTIONS)
}

/// A pool with default settings, without a proxy.
pub fn direct(server: &Postgres) -> Pool {
    builder(server, server.addr().port()).build().unwrap()
}
