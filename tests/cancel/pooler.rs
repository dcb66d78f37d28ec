//! Behind a pooler that shares its server connections between clients.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fusepool::breaker::{Breaker, Mode};
use fusepool::sqlx::PgPoolOptions;
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::server::Port;

/// A PgBouncer in front of a server, which hands out its four server connections by the transaction.
struct PgBouncer {
    process: Child,
    port: Port,
    _dir: TempDir,
}

impl PgBouncer {
    async fn start(server: &Postgres) -> Self {
        let (port, dir) = (Port::reserve(), tempfile::tempdir().unwrap());
        let config = dir.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr=127.0.0.1\n\
             listen_port={}\nunix_socket_dir=\nauth_type=any\npool_mode=transaction\n\
             default_pool_size=4\nignore_startup_parameters=extra_float_digits\n",
            server.addr().port(),
            port.number,
        );
        // Any user, under the name of the superuser.
        let text = text.replace("* = host", "postgres = user=postgres host");
        fs::write(&config, text).unwrap();
        let mut command = Command::new("pgbouncer");
        if nix::unistd::Uid::current().is_root() {
            command.args(["-u", "postgres"]);
        }
        let process = command
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer is installed: apt-get install pgbouncer");
        let bouncer = Self {
            process,
            port,
            _dir: dir,
        };
        let url = bouncer.url(server);
        eventually("PgBouncer answers", async || {
            PgConnection::connect(&url).await.is_ok()
        })
        .await;
        bouncer
    }

    fn url(&self, server: &Postgres) -> String {
        server.url_via(self.port.number)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `pg_cancel_backend` would stop whatever runs on the server connection that a client had last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_of_another_client_is_not_stopped() {
    let server = Postgres::start().await;
    let bouncer = PgBouncer::start(&server).await;
    let pool = PgPoolOptions::new()
        .max_connections(4)
        .breaker(Breaker::builder().mode(Mode::Observe))
        .connect(&bouncer.url(&server))
        .await
        .unwrap();
    let mut bystanders = JoinSet::new();
    for _ in 0..3 {
        let url = bouncer.url(&server);
        bystanders.spawn(async move {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            loop {
                let slept = connection.execute("SELECT pg_sleep(0.05)").await;
                assert!(slept.is_ok(), "{slept:?}");
            }
        });
    }
    for _ in 0..60 {
        let sleep = pool.execute("SELECT pg_sleep(0.2)");
        let _ = timeout(Duration::from_millis(100), sleep).await;
        if let Some(hit) = bystanders.try_join_next() {
            hit.unwrap();
        }
    }
    let abandoned = pool.snapshot().gate.totals.closed_connections;
    assert!(abandoned > 10, "{abandoned}");
    bystanders.abort_all();
}
