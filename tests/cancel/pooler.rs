//! Behind a pooler that shares its server connections between clients.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fusepool::Source;
use fusepool::breaker::{Breaker, Mode};
use fusepool::cache::CachePolicy;
use fusepool::sqlx::{PgPoolOptions, ReadExt, WriteExt};
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::server::Port;

const PRICE: CachePolicy = CachePolicy::named("price")
    .fresh_for(Duration::from_secs(3_600))
    .tag("dishes");

/// A PgBouncer in front of a server, which hands out its four server connections by the transaction.
struct PgBouncer {
    process: Child,
    port: Port,
    _dir: TempDir,
}

impl PgBouncer {
    async fn start(server: &Postgres) -> Self {
        Self::with(server, "").await
    }

    async fn with(server: &Postgres, settings: &str) -> Self {
        let (port, dir) = (Port::reserve(), tempfile::tempdir().unwrap());
        let config = dir.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr=127.0.0.1\n\
             listen_port={}\nunix_socket_dir=\nauth_type=any\npool_mode=transaction\n\
             default_pool_size=4\nignore_startup_parameters=extra_float_digits\n{settings}",
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

/// Regression test: the pooler's own error counted as the end of the write. A read in the meantime was kept
/// as fresh, and the write took effect afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_only_the_pooler_has_given_up_is_in_doubt() {
    let server = Postgres::start().await;
    let bouncer = PgBouncer::with(&server, "query_timeout=1\n").await;
    let options = PgPoolOptions::new().max_connections(2);
    let pool = options.connect(&bouncer.url(&server)).await.unwrap();
    let mut admin = PgConnection::connect(&server.url()).await.unwrap();
    for sql in [
        "CREATE TABLE dish (id int PRIMARY KEY, price int)",
        "INSERT INTO dish VALUES (1, 0)",
        "BEGIN",
        "SELECT 1 FROM dish WHERE id = 1 FOR UPDATE",
    ] {
        admin.execute(sql).await.unwrap();
    }
    let read = async || {
        let price = sqlx::query_scalar::<_, i32>("SELECT price FROM dish WHERE id = 1");
        let read = price.persistent(false).cached(&PRICE);
        let served = read.fetch_one_served(&pool).await.unwrap();
        (*served.value, served.source)
    };
    read().await;
    let write = sqlx::query("UPDATE dish SET price = 1 WHERE id = 1").persistent(false);
    let error = write
        .invalidates(&["dishes"])
        .execute(&pool)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("query timeout"), "{error}");
    assert_eq!(read().await, (0, Source::Live));
    admin.execute("COMMIT").await.unwrap();
    eventually("the write has taken effect", async || {
        let price = sqlx::query_scalar::<_, i32>("SELECT price FROM dish WHERE id = 1");
        price.fetch_one(&mut admin).await.unwrap() == 1
    })
    .await;
    assert_eq!(read().await, (1, Source::Live));
}
