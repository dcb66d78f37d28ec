//! MariaDB servers for the tests.

use std::ops::{Deref, DerefMut};

use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Executor};

use super::server::{Kind, Server};

/// A separate MariaDB server, removed when dropped.
///
/// The superuser `root` needs no password; the user `app` has the password `secret`.
#[derive(Debug)]
pub struct MariaDb(Server);

static KIND: Kind = Kind {
    name: "mariadb",
    install: "apt-get install mariadb-server-core mariadb-client-core",
    image: "mariadb:11.4",
    image_variable: "FUSEPOOL_MARIADB_IMAGE",
    user: "mysql",
    program: "mariadbd",
    installer: "mariadb-install-db",
    places: "/usr/sbin /usr/bin",
    // The setting makes the redo log start, and stay, small.
    initialise: r#"
mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal \
    --skip-test-db --innodb-log-file-size=4M
mariadbd --no-defaults --datadir="$data" --innodb-log-file-size=4M --bootstrap <<END
FLUSH PRIVILEGES;
CREATE DATABASE test;
CREATE USER app IDENTIFIED BY 'secret';
GRANT ALL ON test.* TO app;
END
"#,
    arguments: |data, port| {
        vec![
            "--no-defaults".to_owned(),
            format!("--datadir={data}"),
            format!("--port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            format!("--socket={data}/socket"),
            // A server that starts deletes the temporary tables that it finds, those of others, too.
            format!("--tmpdir={data}"),
            "--skip-name-resolve".to_owned(),
            "--innodb-log-file-size=4M".to_owned(),
            "--innodb-buffer-pool-size=16M".to_owned(),
            // The data need not survive a crash of the machine.
            "--debug-no-sync".to_owned(),
            "--innodb-flush-log-at-trx-commit=2".to_owned(),
        ]
    },
    scheme: "mysql",
    admin: "root",
    database: "test",
};

impl MariaDb {
    /// Starts a server and waits until it is ready.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`MariaDb::start`], with settings such as `("max_connections", "10")`.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let mariadb = Self(Server::start(&KIND, settings).await);
        mariadb.wait_ready().await;
        mariadb
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
            "SELECT count(*) FROM information_schema.processlist \
             WHERE command <> 'Daemon' AND id <> connection_id()",
        )
        .fetch_one(&mut connection)
        .await
        .expect("the server counts its connections")
    }

    /// A connection of the superuser, without a proxy.
    pub async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        MySqlConnection::connect(&self.url()).await
    }
}

impl Deref for MariaDb {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.0
    }
}

impl DerefMut for MariaDb {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.0
    }
}
