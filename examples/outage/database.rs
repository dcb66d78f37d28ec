//! The database server.

use std::net::SocketAddr;

use sqlx::postgres::PgConnectOptions;
use tokio::net::lookup_host;

use crate::Outcome;
use crate::support::postgres::Postgres;
use crate::support::proxy::Proxy;

/// A PostgreSQL server.
pub(crate) struct Database {
    pub(crate) addr: SocketAddr,
    options: PgConnectOptions,
    /// The server, if this process started it: it ends when this is dropped.
    _own: Option<Postgres>,
}

impl Database {
    /// The server at `url`, or a server that this starts.
    pub(crate) async fn open(url: Option<&str>) -> Outcome<Self> {
        let (url, own) = match url {
            Some(url) => (url.to_owned(), None),
            None => {
                let own = Postgres::start().await;
                (own.url(), Some(own))
            }
        };
        let options: PgConnectOptions = url.parse()?;
        let host = (options.get_host(), options.get_port());
        let addr = lookup_host(host).await?.next();
        Ok(Self {
            addr: addr.ok_or("the URL's host has no address")?,
            options,
            _own: own,
        })
    }

    /// The options to connect to it through a proxy.
    pub(crate) fn through(&self, proxy: &Proxy) -> PgConnectOptions {
        let proxy = proxy.addr();
        let options = self.options.clone();
        options.host(&proxy.ip().to_string()).port(proxy.port())
    }
}
