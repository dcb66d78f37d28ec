//! What becomes of a statement that is given up, where connections are over TLS by a `custom_setup`:
//! its cancel is not.

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::{AsyncPgConnection as Raw, SimpleAsyncConnection};
use fusepool::deadpool::diesel::{
    AsyncDieselConnectionManager, AsyncPgConnection, ManagerConfig, Pool,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::tls::{Opening, Tap, trusting};

async fn establish(url: String, tls: MakeRustlsConnect) -> ConnectionResult<Raw> {
    let (client, connection) = tokio_postgres::connect(&url, tls)
        .await
        .map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
    Raw::try_from_client_and_connection(client, connection).await
}

/// How many backends sleep, as another client sees it.
async fn sleepers(server: &Postgres) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE state = 'active' AND query = 'SELECT pg_sleep(60)'";
    let mut watch = server.connect().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut watch).await.unwrap()
}

/// Gives up a sleep, waits until its connection is closed, and tells how the connections began that
/// this took.
async fn give_up(ssl_mode: &str) -> (Postgres, Vec<Opening>) {
    let server = Postgres::start_with(&[("ssl", "on")]).await;
    let tap = Tap::start(server.addr()).await.unwrap();
    let tls = trusting(&server).await;
    let url = server.url_as("secure", "secret", "postgres", tap.port()) + "?sslmode=" + ssl_mode;
    let mut config = ManagerConfig::<AsyncPgConnection>::default();
    config.custom_setup = Box::new(move |url| Box::pin(establish(url.to_owned(), tls.clone())));
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
    let pool = Pool::<AsyncPgConnection>::builder(manager).build().unwrap();

    let mut conn = pool.get().await.unwrap();
    let asleep = eventually("it sleeps", async || sleepers(&server).await == 1);
    tokio::select! {
        ended = conn.batch_execute("SELECT pg_sleep(60)") => panic!("{ended:?}"),
        () = asleep => {}
    }
    drop(conn);
    // A connection keeps its place until its cancel is over.
    eventually("it is closed", async || pool.status().size == 0).await;
    (server, tap.openings())
}

#[tokio::test]
async fn a_cancel_is_in_clear_text() {
    let (server, openings) = give_up("prefer").await;
    assert_eq!(openings, [Opening::Tls, Opening::PlainCancel]);
    eventually("nobody sleeps", async || sleepers(&server).await == 0).await;
}

#[tokio::test]
async fn where_tls_is_required_a_statement_runs_on() {
    let (server, openings) = give_up("require").await;
    assert_eq!(openings, [Opening::Tls]);
    assert_eq!(sleepers(&server).await, 1);
}
