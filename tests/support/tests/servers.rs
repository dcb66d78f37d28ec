//! The tests' own servers, and the proxy in front of a real one.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Database, Error, Executor};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;
use crate::support::proxy::{Fault, Proxy};
use crate::support::{PATIENCE, eventually};

/// How long the tests wait for something that must not happen.
const QUIET: Duration = Duration::from_millis(200);

/// Sends a query and waits for its result, with a timeout.
async fn ask<'c, DB: Database>(connection: impl Executor<'c, Database = DB>) -> Result<(), Error> {
    timeout(PATIENCE, connection.execute("SELECT 1"))
        .await
        .expect("an answer within the time allowed")
        .map(drop)
}

async fn assert_silent<'c, DB: Database>(connection: impl Executor<'c, Database = DB>) {
    let answer = timeout(QUIET, connection.execute("SELECT 1")).await;
    assert!(answer.is_err(), "the server answered");
}

fn is_database_error(error: &Error, code: &str) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.code().is_some_and(|found| found == code))
}

#[tokio::test]
async fn postgres_starts_with_its_settings() {
    let server = Postgres::start_with(&[("max_connections", "17")]).await;
    let mut connection = server.connect().await.unwrap();
    let setting: String = sqlx::query_scalar("SHOW max_connections")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(setting, "17");
}

#[tokio::test]
async fn mariadb_starts_with_its_settings() {
    let server = MariaDb::start_with(&[("max_connections", "17")]).await;
    let mut connection = server.connect().await.unwrap();
    let setting: i64 = sqlx::query_scalar("SELECT CAST(@@max_connections AS SIGNED)")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(setting, 17);
}

#[tokio::test]
async fn postgres_checks_the_password_of_app_only() {
    let server = Postgres::start().await;
    let port = server.addr().port();
    let right = server.url_as("app", "secret", "postgres", port);
    let mut connection = PgConnection::connect(&right).await.unwrap();
    connection.execute("CREATE TABLE t ()").await.unwrap();
    let wrong = server.url_as("app", "wrong", "postgres", port);
    let error = PgConnection::connect(&wrong).await.unwrap_err();
    assert!(is_database_error(&error, "28P01"), "{error:?}");
}

#[tokio::test]
async fn mariadb_checks_the_password_of_app_only() {
    let server = MariaDb::start().await;
    let port = server.addr().port();
    let right = server.url_as("app", "secret", "test", port);
    let mut connection = MySqlConnection::connect(&right).await.unwrap();
    connection.execute("CREATE TABLE t (i INT)").await.unwrap();
    let wrong = server.url_as("app", "wrong", "test", port);
    let error = MySqlConnection::connect(&wrong).await.unwrap_err();
    assert!(is_database_error(&error, "28000"), "{error:?}");
}

#[tokio::test]
async fn postgres_counts_connections() {
    let server = Postgres::start().await;
    eventually("the connections of the start to end", async || {
        server.connection_count().await == 0
    })
    .await;
    let open = server.connect().await.unwrap();
    eventually("only the open connection to be left", async || {
        server.connection_count().await == 1
    })
    .await;
    drop(open);
    eventually("the connection to end", async || {
        server.connection_count().await == 0
    })
    .await;
}

#[tokio::test]
async fn mariadb_counts_connections() {
    let server = MariaDb::start().await;
    eventually("the connections of the start to end", async || {
        server.connection_count().await == 0
    })
    .await;
    let open = server.connect().await.unwrap();
    eventually("only the open connection to be left", async || {
        server.connection_count().await == 1
    })
    .await;
    drop(open);
    eventually("the connection to end", async || {
        server.connection_count().await == 0
    })
    .await;
}

#[tokio::test]
async fn a_paused_postgres_accepts_but_does_not_answer() {
    let server = Postgres::start().await;
    let mut open = server.connect().await.unwrap();
    server.pause();
    timeout(PATIENCE, TcpStream::connect(server.addr()))
        .await
        .unwrap()
        .unwrap();
    assert!(timeout(QUIET, server.connect()).await.is_err());
    assert_silent(&mut open).await;
    server.resume();
    ask(&mut open).await.unwrap();
    server.wait_ready().await;
}

#[tokio::test]
async fn a_paused_mariadb_accepts_but_does_not_answer() {
    let server = MariaDb::start().await;
    let mut open = server.connect().await.unwrap();
    server.pause();
    timeout(PATIENCE, TcpStream::connect(server.addr()))
        .await
        .unwrap()
        .unwrap();
    assert!(timeout(QUIET, server.connect()).await.is_err());
    assert_silent(&mut open).await;
    server.resume();
    ask(&mut open).await.unwrap();
    server.wait_ready().await;
}

#[tokio::test]
async fn a_killed_postgres_restarts_with_its_data() {
    let mut server = Postgres::start().await;
    let addr = server.addr();
    let mut open = server.connect().await.unwrap();
    open.execute("CREATE TABLE kept AS SELECT 1").await.unwrap();
    server.kill();
    ask(&mut open).await.unwrap_err();
    assert!(TcpStream::connect(addr).await.is_err());
    server.restart().await;
    assert_eq!(server.addr(), addr);
    let mut open = server.connect().await.unwrap();
    open.execute("TABLE kept").await.unwrap();
    // A pause does not protect it either.
    server.pause();
    server.kill();
    ask(&mut open).await.unwrap_err();
    server.restart().await;
}

#[tokio::test]
async fn a_killed_mariadb_restarts_with_its_data() {
    let mut server = MariaDb::start().await;
    let addr = server.addr();
    let mut open = server.connect().await.unwrap();
    open.execute("CREATE TABLE kept AS SELECT 1").await.unwrap();
    server.kill();
    ask(&mut open).await.unwrap_err();
    assert!(TcpStream::connect(addr).await.is_err());
    server.restart().await;
    assert_eq!(server.addr(), addr);
    let mut open = server.connect().await.unwrap();
    open.execute("SELECT * FROM kept").await.unwrap();
    server.pause();
    server.kill();
    ask(&mut open).await.unwrap_err();
    server.restart().await;
}

/// Not a test: the process that [`servers_die_with_their_process`] kills.
#[tokio::test]
#[ignore = "runs until killed"]
async fn hold_servers() {
    let postgres = Postgres::start().await;
    let mariadb = MariaDb::start().await;
    // A frozen server must be removed, too.
    postgres.pause();
    println!("\nheld {}", postgres.addr());
    println!("\nheld {}", mariadb.addr());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn servers_die_with_their_process() {
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "tests::servers::hold_servers",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let held: Vec<SocketAddr> = BufReader::new(holder.stdout.take().unwrap())
        .lines()
        .filter_map(|line| line.unwrap().strip_prefix("held ")?.parse().ok())
        .take(2)
        .collect();
    assert_eq!(held.len(), 2);
    holder.kill().unwrap();
    holder.wait().unwrap();
    for addr in held {
        eventually("the server to be gone", async || {
            TcpStream::connect(addr).await.is_err()
        })
        .await;
    }
}

/// A server, a proxy in front of it, and a connection through both.
async fn proxied() -> (Postgres, Proxy, PgConnection) {
    let server = Postgres::start().await;
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let mut connection = connect_via(&server, &proxy).await.unwrap();
    ask(&mut connection).await.unwrap();
    (server, proxy, connection)
}

async fn connect_via(server: &Postgres, proxy: &Proxy) -> Result<PgConnection, Error> {
    let url = server.url_via(proxy.addr().port());
    timeout(PATIENCE, PgConnection::connect(&url))
        .await
        .expect("a result within the time allowed")
}

/// Heals the proxy and checks that new connections work.
async fn heal(server: &Postgres, proxy: &Proxy) {
    proxy.set(Fault::None);
    let mut connection = connect_via(server, proxy).await.unwrap();
    ask(&mut connection).await.unwrap();
}

#[tokio::test]
async fn delayed_queries_take_longer() {
    let (_server, proxy, mut connection) = proxied().await;
    proxy.set(Fault::Delay(QUIET));
    let start = Instant::now();
    ask(&mut connection).await.unwrap();
    assert!(start.elapsed() >= 2 * QUIET);
}

#[tokio::test]
async fn a_stalled_query_goes_on_when_healed() {
    let (server, proxy, mut connection) = proxied().await;
    proxy.set(Fault::Stall);
    let mut query = Box::pin(ask(&mut connection));
    assert!(timeout(QUIET, &mut query).await.is_err());
    proxy.set(Fault::None);
    query.await.unwrap();
    heal(&server, &proxy).await;
}

#[tokio::test]
async fn a_zombie_connection_never_answers() {
    let (mut server, proxy, mut connection) = proxied().await;
    proxy.set(Fault::Zombie);
    assert_silent(&mut connection).await;
    heal(&server, &proxy).await;
    server.kill();
    let mut query = Box::pin(ask(&mut connection));
    assert!(timeout(QUIET, &mut query).await.is_err());
}

#[tokio::test]
async fn cut_and_reset_end_queries() {
    for fault in [Fault::Cut, Fault::Reset] {
        let (server, proxy, mut connection) = proxied().await;
        let mut query = Box::pin(async { connection.execute("SELECT pg_sleep(3600)").await });
        assert!(timeout(QUIET, &mut query).await.is_err());
        proxy.set(fault);
        let error = timeout(PATIENCE, query).await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error:?}");
        let error = connect_via(&server, &proxy).await.unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error:?}");
        heal(&server, &proxy).await;
    }
}

#[tokio::test]
async fn refused_connections_spare_open_ones() {
    let (server, proxy, mut connection) = proxied().await;
    proxy.set(Fault::Refuse);
    eventually("the proxy to refuse", async || {
        TcpStream::connect(proxy.addr()).await.is_err()
    })
    .await;
    connect_via(&server, &proxy).await.unwrap_err();
    ask(&mut connection).await.unwrap();
    proxy.set(Fault::None);
    eventually("the proxy to accept", async || {
        connect_via(&server, &proxy).await.is_ok()
    })
    .await;
}
