//! Abandoned statements on connections that use TLS by a `custom_setup`.

use std::time::{Duration, Instant};

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncConnection, AsyncPgConnection as Raw, SimpleAsyncConnection};
use fusepool::deadpool::diesel::{
    AsyncDieselConnectionManager, AsyncPgConnection, ManagerConfig, Pool, PoolBuilder,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::tls::{Opening, Tap, trusting};

type Builder = PoolBuilder<AsyncPgConnection>;

async fn establish(url: String, tls: MakeRustlsConnect) -> ConnectionResult<Raw> {
    let (client, connection) = tokio_postgres::connect(&url, tls)
        .await
        .map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
    Raw::try_from_client_and_connection(client, connection).await
}

/// A pool whose connections are over TLS by a `custom_setup`.
fn custom(url: String, tls: MakeRustlsConnect) -> Builder {
    let mut config = ManagerConfig::<AsyncPgConnection>::default();
    config.custom_setup = Box::new(move |url| Box::pin(establish(url.to_owned(), tls.clone())));
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
    Pool::builder(manager)
}

/// The number of backends that sleep, as another client sees it.
async fn sleepers(server: &Postgres) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'";
    let mut watch = server.connect().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut watch).await.unwrap()
}

/// Gives up a sleep, and waits until its connection is closed. Returns how the connections began that
/// were opened for this.
async fn give_up(
    ssl_mode: &str,
    build: impl Fn(String, MakeRustlsConnect) -> Builder,
) -> (Postgres, Vec<Opening>) {
    let server = Postgres::start_with(&[("ssl", "on")]).await;
    let tap = Tap::start(server.addr()).await.unwrap();
    let tls = trusting(&server).await;
    let url = server.url_as("secure", "secret", "postgres", tap.port()) + "?sslmode=" + ssl_mode;
    // A connection keeps its place for as long if its statement cannot be cancelled.
    let builder = build(url, tls).query_timeout(Duration::from_secs(2));
    let pool = builder.build().unwrap();

    let mut conn = pool.get().await.unwrap();
    let asleep = eventually("it sleeps", async || sleepers(&server).await == 1);
    tokio::select! {
        ended = conn.batch_execute("SELECT pg_sleep(60)") => panic!("{ended:?}"),
        () = asleep => {}
    }
    drop(conn);
    // A connection keeps its slot until its cancel request is done.
    eventually("it is closed", async || pool.status().size == 0).await;
    (server, tap.openings())
}

/// The sleep ends long before it would by itself.
async fn is_stopped(server: &Postgres) {
    let closed = Instant::now();
    eventually("nobody sleeps", async || sleepers(server).await == 0).await;
    let took = closed.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_cancel_goes_over_the_tls_that_it_is_given() {
    for ssl_mode in ["prefer", "require"] {
        let set = |url, tls: MakeRustlsConnect| custom(url, tls.clone()).cancel_tls(tls);
        let (server, openings) = give_up(ssl_mode, set).await;
        assert_eq!(openings, [Opening::Tls; 2], "{ssl_mode}");
        is_stopped(&server).await;
    }
}

#[tokio::test]
async fn tls_is_set_up_once() {
    let build = Pool::<AsyncPgConnection>::builder_with_tls::<MakeRustlsConnect>;
    let (server, openings) = give_up("require", build).await;
    assert_eq!(openings, [Opening::Tls; 2]);
    is_stopped(&server).await;
}

#[tokio::test]
async fn a_cancel_is_in_clear_text_by_default() {
    let (server, openings) = give_up("prefer", custom).await;
    assert_eq!(openings, [Opening::Tls, Opening::PlainCancel]);
    is_stopped(&server).await;
}

#[tokio::test]
async fn a_statement_that_requires_tls_runs_on_by_default() {
    let (server, openings) = give_up("require", custom).await;
    // The second one asks the server whether the statement still runs.
    assert_eq!(openings, [Opening::Tls; 2]);
    assert_eq!(sleepers(&server).await, 1);
}

/// Without a pool, a statement that is given up is stopped as well, and nothing more runs after it.
#[tokio::test]
async fn a_connection_outside_of_a_pool_is_guarded() {
    let server = Postgres::start().await;
    let mut conn = AsyncPgConnection::establish(&server.url()).await.unwrap();
    let limit = Duration::from_millis(50);
    let asleep = conn
        .with_timeout(limit)
        .batch_execute("SELECT pg_sleep(60)")
        .await;
    let error = asleep.unwrap_err();
    assert!(fusepool::deadline_exceeded(&error).is_some(), "{error:?}");
    conn.batch_execute("SELECT 1").await.unwrap_err();
    drop(conn);
    is_stopped(&server).await;
}
