//! PgBouncer in front of a PostgreSQL server.

use std::fmt::Write;
use std::fs;
use std::process::Stdio;

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tempfile::TempDir;

use super::eventually;
use super::local::Owner;
use super::postgres::Postgres;
use super::server::{Port, Supervisor};

/// A PgBouncer of its own, stopped when dropped. Every user becomes the superuser, without a password.
#[derive(Debug)]
pub struct PgBouncer {
    _supervisor: Supervisor,
    port: Port,
    _dir: TempDir,
}

/// Runs PgBouncer as its child, so that it ends with the tests, however they end.
const SUPERVISE: &str = r#"
trap '' HUP
"$@" </dev/null >/dev/null 2>&1 &
pid=$!
read -r order || true
kill -KILL "$pid"
wait "$pid"
"#;

impl PgBouncer {
    /// Starts it in transaction mode, with settings such as `("default_pool_size", "2")`, and waits
    /// until it is ready.
    pub async fn start(server: &Postgres, settings: &[(&str, &str)]) -> Self {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"]
            .into_iter()
            .find(|path| fs::exists(path).unwrap_or_default())
            .expect("PgBouncer is not installed: apt-get install pgbouncer");
        let (owner, port) = (Owner::choose("postgres"), Port::reserve());
        let dir = owner.temp_dir();
        let mut config = format!(
            "[databases]\n\
             postgres = host=127.0.0.1 port={} dbname=postgres user=postgres\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = transaction\n\
             ignore_startup_parameters = extra_float_digits\n",
            server.addr().port(),
            port.number,
        );
        for (name, value) in settings {
            writeln!(config, "{name} = {value}").expect("memory");
        }
        let path = dir.path().join("pgbouncer.ini");
        fs::write(&path, config).expect("the configuration can be written");
        owner.give(&path);
        let mut command = owner.command("sh");
        command
            .current_dir(dir.path())
            .args(["-c", SUPERVISE, "supervise", program])
            .arg(&path)
            .stdout(Stdio::null());
        let bouncer = Self {
            _supervisor: Supervisor::spawn(command),
            port,
            _dir: dir,
        };
        eventually(
            "PgBouncer is ready",
            async || match PgConnection::connect(&bouncer.url()).await {
                Ok(connection) => connection.close().await.is_ok(),
                Err(_) => false,
            },
        )
        .await;
        bouncer
    }

    pub fn url(&self) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/postgres",
            self.port.number
        )
    }
}
