//! Opens and recycles connections, and cancels their statements.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;

use deadpool::managed::{self, Metrics, RecycleResult};
use deadpool_postgres::{ClientWrapper, Connect, ManagerConfig};
use tokio_postgres::config::Host;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{CancelToken, Config, Error, Socket};

use crate::pool::session::System;
use crate::telemetry::backend::Backend;

/// Opens and recycles connections, and cancels abandoned statements over the same TLS.
///
/// This wraps deadpool-postgres' `Manager` and dereferences to it.
///
/// ```
/// use fusepool::deadpool::postgres::{Manager, Pool};
/// use tokio_postgres::NoTls;
///
/// # fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let config = "postgres://app@localhost/shop".parse()?;
/// let pool = Pool::builder(Manager::new(config, NoTls)).max_size(16).build()?;
/// # Ok(())
/// # }
/// ```
pub struct Manager {
    raw: deadpool_postgres::Manager,
    backend: Backend,
    waits_to_recycle: bool,
    canceller: Option<Box<dyn Cancel>>,
}

impl Manager {
    /// A manager with the default [`ManagerConfig`]. `pg_config` decides whether connections use TLS;
    /// `tls` provides it.
    pub fn new<T>(pg_config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self::from_config(pg_config, tls, ManagerConfig::default())
    }

    /// [`new`](Self::new) with a [`ManagerConfig`], which sets how connections are recycled.
    pub fn from_config<T>(pg_config: Config, tls: T, config: ManagerConfig) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self {
            backend: backend(&pg_config),
            waits_to_recycle: config.recycling_method.query().is_some(),
            canceller: Some(Box::new(Tls(tls.clone()))),
            raw: deadpool_postgres::Manager::from_config(pg_config, tls, config),
        }
    }

    /// A manager whose connections are opened by `connect`. Abandoned statements are not cancelled on
    /// the server, because only `connect` knows how to reach it: their connections are closed.
    pub fn from_connect(
        pg_config: Config,
        connect: impl Connect + 'static,
        config: ManagerConfig,
    ) -> Self {
        Self {
            backend: backend(&pg_config),
            waits_to_recycle: config.recycling_method.query().is_some(),
            canceller: None,
            raw: deadpool_postgres::Manager::from_connect(pg_config, connect, config),
        }
    }

    /// The server and the database, without user and password.
    pub(super) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Whether recycling a connection runs a statement on it.
    pub(super) fn waits_to_recycle(&self) -> bool {
        self.waits_to_recycle
    }

    /// Asks the server to cancel the statement that runs on this connection, if there is one. The
    /// caller must not let the connection be used again, because a late cancel request would hit the
    /// next statement.
    ///
    /// A `CancelToken` does not know the TLS of its connection, so this uses the manager's.
    pub(super) async fn cancel(&self, client: &ClientWrapper) {
        if let Some(canceller) = &self.canceller {
            // The result is ignored: the connection is closed next in any case.
            let _ = canceller.cancel(client.cancel_token()).await;
        }
    }
}

fn backend(config: &Config) -> Backend {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => (config.get_hostaddrs().first()).map_or_else(String::new, ToString::to_string),
    };
    let port = config.get_ports().first().unwrap_or(&5432);
    let database = config.get_dbname().or(config.get_user());
    (System::Postgres.backend())
        .server(host, *port)
        .namespace(database.unwrap_or_default())
}

impl managed::Manager for Manager {
    type Type = ClientWrapper;
    type Error = Error;

    async fn create(&self) -> Result<ClientWrapper, Error> {
        self.raw.create().await
    }

    async fn recycle(&self, client: &mut ClientWrapper, metrics: &Metrics) -> RecycleResult<Error> {
        self.raw.recycle(client, metrics).await
    }

    fn detach(&self, client: &mut ClientWrapper) {
        self.raw.detach(client);
    }
}

impl Deref for Manager {
    type Target = deadpool_postgres::Manager;

    fn deref(&self) -> &Self::Target {
        &self.raw
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends a cancel request to the server. Erases the type of the TLS connector.
trait Cancel: Send + Sync {
    fn cancel(&self, token: CancelToken) -> BoxFuture<'_, Result<(), Error>>;
}

struct Tls<T>(T);

impl<T> Cancel for Tls<T>
where
    T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
    T::Stream: Sync + Send,
    T::TlsConnect: Sync + Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn cancel(&self, token: CancelToken) -> BoxFuture<'_, Result<(), Error>> {
        let tls = self.0.clone();
        Box::pin(async move { token.cancel_query(tls).await })
    }
}
