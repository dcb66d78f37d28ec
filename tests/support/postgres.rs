//! PostgreSQL servers for the tests.

use std::ops::{Deref, DerefMut};

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};

use super::server::{Kind, Server};

/// A separate PostgreSQL server, removed when dropped.
///
/// The superuser `postgres` needs no password; the user `app` has the password `secret`, and so has
/// `secure`, which is accepted only over TLS. The setting `("ssl", "on")` enables TLS.
#[derive(Debug)]
pub struct Postgres(Server);

static KIND: Kind = Kind {
    name: "postgres",
    install: "apt-get install postgresql",
    image: "postgres:17",
    image_variable: "FUSEPOOL_POSTGRES_IMAGE",
    user: "postgres",
    program: "postgres",
    installer: "initdb",
    places: "/usr/lib/postgresql/*/bin",
    initialise: r#"
initdb --pgdata="$data" --username=postgres --encoding=UTF8 --locale=C --wal-segsize=1 --no-sync
cat >"$data/pg_hba.conf" <<END
host all app all scram-sha-256
hostssl all secure all scram-sha-256
host all secure all reject
host all all all trust
host replication all all trust
END
# One statement per line.
postgres --single -D "$data" postgres <<END
CREATE ROLE app LOGIN PASSWORD 'secret'
GRANT ALL ON SCHEMA public TO app
CREATE ROLE secure LOGIN PASSWORD 'secret'
END
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 \
    -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 \
    -addext basicConstraints=critical,CA:FALSE -keyout "$data/server.key" -out "$data/server.crt"
"#,
    arguments: |data, port| {
        vec![
            format!("-D{data}"),
            format!("--port={port}"),
            "--listen_addresses=127.0.0.1".to_owned(),
            "--unix_socket_directories=".to_owned(),
            // The data need not survive a crash of the machine.
            "--fsync=off".to_owned(),
            "--full_page_writes=off".to_owned(),
            "--shared_buffers=16MB".to_owned(),
        ]
    },
    scheme: "postgres",
    admin: "postgres",
    database: "postgres",
};

impl Postgres {
    /// Starts a server and waits until it is ready.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`Postgres::start`], with settings such as `("max_connections", "10")`.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let postgres = Self(Server::start(&KIND, settings).await);
        postgres.wait_ready().await;
        postgres
    }

    /// Starts the killed server again, on the same port and data, and waits until it is ready.
    pub async fn restart(&mut self) {
        self.launch();
        self.wait_ready().await;
    }

    /// Waits until the server answers a query.
    pub async fn wait_ready(&self) {
        self.wait_until(async || {
            let mut connection = self.connect().await?;
            connection.execute("SELECT 1").await?;
            connection.close().await
        })
        .await;
    }

    /// The number of connected clients, without this query's. A client that has just left may still be
    /// counted.
    pub async fn connection_count(&self) -> i64 {
        let mut connection = self
            .connect()
            .await
            .expect("the server accepts its superuser");
        sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )
        .fetch_one(&mut connection)
        .await
        .expect("the server counts its connections")
    }

    /// The certificate that the server shows to clients, in PEM.
    pub async fn certificate(&self) -> String {
        let mut connection = self
            .connect()
            .await
            .expect("the server accepts its superuser");
        sqlx::query_scalar("SELECT pg_read_file('server.crt')")
            .fetch_one(&mut connection)
            .await
            .expect("the server reads its certificate")
    }

    /// A connection of the superuser, without a proxy.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.url()).await
    }
}

impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for Postgres {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}
