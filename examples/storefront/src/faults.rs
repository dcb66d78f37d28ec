//! What the buttons of the live page do to the example's own database.

use std::io;
use std::path::PathBuf;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions, Executor};
use tokio::net::lookup_host;
use tokio::sync::Mutex;

use super::lock;
use super::proxy::{Fault, Proxy};

/// A way to hurt the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hurt {
    /// Another connection holds a lock that the queries of the shop wait for.
    Lock,
    /// The network delivers nothing.
    Stall,
    /// The network resets all connections.
    Reset,
}

/// Hurts the database of the shop, in one way at a time.
pub(crate) struct Faults {
    target: Target,
    current: Mutex<Option<(Hurt, Lock)>>,
}

enum Target {
    File(PathBuf),
    Postgres {
        server: Box<PgConnectOptions>,
        /// Between the shop and its server. `None` if the server is not at a port, or TLS looks at
        /// its name.
        proxy: Option<Proxy>,
    },
}

/// The connection that holds a lock. It is unlocked when this is dropped.
enum Lock {
    None,
    Sqlite { _held: SqliteConnection },
    Postgres { _held: PgConnection },
}

impl Faults {
    pub(crate) fn of_file(file: PathBuf) -> Self {
        Self::new(Target::File(file))
    }

    /// Also returns the options with which the shop is to connect.
    pub(crate) async fn of_postgres(
        server: PgConnectOptions,
    ) -> io::Result<(Self, PgConnectOptions)> {
        let is_direct =
            server.get_socket().is_some() || matches!(server.get_ssl_mode(), PgSslMode::VerifyFull);
        if is_direct {
            let target = Target::Postgres {
                server: Box::new(server.clone()),
                proxy: None,
            };
            return Ok((Self::new(target), server));
        }
        let upstream = lookup_host((server.get_host(), server.get_port())).await?;
        let upstream = upstream.into_iter().next();
        let proxy = Proxy::start(upstream.ok_or(io::ErrorKind::HostUnreachable)?).await?;
        let addr = proxy.addr();
        let options = (server.clone())
            .host(&addr.ip().to_string())
            .port(addr.port());
        let target = Target::Postgres {
            server: Box::new(server),
            proxy: Some(proxy),
        };
        Ok((Self::new(target), options))
    }

    fn new(target: Target) -> Self {
        Self {
            target,
            current: Mutex::default(),
        }
    }

    /// The ways in which this database can be hurt.
    pub(crate) fn ways(&self) -> &'static [Hurt] {
        match &self.target {
            Target::Postgres { proxy: Some(_), .. } => &[Hurt::Lock, Hurt::Stall, Hurt::Reset],
            _ => &[Hurt::Lock],
        }
    }

    pub(crate) async fn current(&self) -> Option<Hurt> {
        self.current.lock().await.as_ref().map(|(hurt, _)| *hurt)
    }

    /// Heals the database, and then hurts it in this way, if any.
    pub(crate) async fn set(&self, hurt: Option<Hurt>) -> sqlx::Result<()> {
        let mut current = self.current.lock().await;
        *current = None;
        self.network(Fault::None);
        match hurt {
            Some(Hurt::Lock) => *current = Some((Hurt::Lock, self.lock().await?)),
            Some(hurt @ Hurt::Stall) => *current = Some((hurt, self.network(Fault::Stall))),
            Some(hurt @ Hurt::Reset) => *current = Some((hurt, self.network(Fault::Reset))),
            None => {}
        }
        Ok(())
    }

    fn network(&self, fault: Fault) -> Lock {
        if let Target::Postgres {
            proxy: Some(proxy), ..
        } = &self.target
        {
            proxy.set(fault);
        }
        Lock::None
    }

    async fn lock(&self) -> sqlx::Result<Lock> {
        match &self.target {
            Target::File(file) => Ok(Lock::Sqlite {
                _held: lock::lock(file).await?,
            }),
            Target::Postgres { server, .. } => {
                let mut held = server.connect().await?;
                held.execute("BEGIN; LOCK TABLE storefront_product, storefront_order")
                    .await?;
                Ok(Lock::Postgres { _held: held })
            }
        }
    }
}
