//! Clients that go away in the middle of slow statements, one after another. The server must never work
//! on more statements of a pool than the pool has connections: it once worked on one for each client.

use std::pin::pin;
use std::time::Duration;

use fusepool::sqlx::{MySqlPool, MySqlPoolOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, MySqlConnection, PgConnection};
use tokio::time::timeout;

use crate::support::deadpool::builder;
use crate::support::eventually;
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

const CONNECTIONS: u32 = 5;
const CLIENTS: usize = 35;
/// The time after which a client goes away.
const PATIENCE: Duration = Duration::from_millis(100);

/// Aborts statements of `CLIENTS` clients. Returns the most that the server worked on at a time. It
/// looks all the while: a cancel may end a statement before a look that begins after it.
async fn most_at_work(abort: impl AsyncFn(), at_work: impl AsyncFn() -> i64) -> i64 {
    let mut clients = pin!(async {
        for _ in 0..CLIENTS {
            let _ = timeout(PATIENCE, abort()).await;
        }
    });
    let mut most = 0;
    loop {
        tokio::select! {
            () = &mut clients => return most.max(at_work().await),
            now = at_work() => most = most.max(now),
        }
    }
}

async fn postgres_at_work(server: &Postgres) -> i64 {
    let mut watch = PgConnection::connect(&server.url()).await.unwrap();
    let busy = "SELECT count(*) FROM pg_stat_activity \
                WHERE state = 'active' AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()";
    sqlx::query_scalar(busy)
        .fetch_one(&mut watch)
        .await
        .unwrap()
}

async fn mariadb_at_work(server: &MariaDb) -> i64 {
    let mut watch = MySqlConnection::connect(&server.url()).await.unwrap();
    let busy = "SELECT COUNT(*) FROM information_schema.PROCESSLIST \
                WHERE COMMAND <> 'Sleep' AND INFO LIKE '%SLEEP(60)' AND ID <> CONNECTION_ID()";
    sqlx::query_scalar(busy)
        .fetch_one(&mut watch)
        .await
        .unwrap()
}

async fn abort_postgres(server: &Postgres, pool: &PgPool) -> i64 {
    let sleep = async || {
        let _ = sqlx::query("SELECT 1 FROM pg_sleep(60)")
            .execute(pool)
            .await;
    };
    most_at_work(sleep, async || postgres_at_work(server).await).await
}

/// The cancel requests end the statements long before they would end by themselves. None is sent while
/// the breaker is open, which it is at times: no statement succeeds.
async fn assert_cancelled(most: i64, at_work: impl AsyncFn() -> i64) {
    assert!((1..=i64::from(CONNECTIONS)).contains(&most), "{most}");
    let stopped = async { eventually("none is at work", async || at_work().await == 0).await };
    timeout(Duration::from_secs(15), stopped).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlx_postgres_works_on_no_more_statements_than_connections() {
    let server = Postgres::start().await;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect(&server.url())
        .await
        .unwrap();
    let most = abort_postgres(&server, &pool).await;
    assert_cancelled(most, async || postgres_at_work(&server).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlx_mariadb_works_on_no_more_statements_than_connections() {
    let server = MariaDb::start().await;
    let pool: MySqlPool = MySqlPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect(&server.url())
        .await
        .unwrap();
    let sleep = async || {
        let _ = sqlx::query("SELECT SLEEP(60)").execute(&pool).await;
    };
    let most = most_at_work(sleep, async || mariadb_at_work(&server).await).await;
    assert_cancelled(most, async || mariadb_at_work(&server).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadpool_postgres_works_on_no_more_statements_than_connections() {
    let server = Postgres::start().await;
    let pool = builder(&server, server.addr().port())
        .max_size(CONNECTIONS as usize)
        .build()
        .unwrap();
    let sleep = async || {
        if let Ok(client) = pool.get().await {
            let _ = client.execute("SELECT 1 FROM pg_sleep(60)", &[]).await;
        }
    };
    let most = most_at_work(sleep, async || postgres_at_work(&server).await).await;
    assert_cancelled(most, async || postgres_at_work(&server).await).await;
}

/// Without connections beside the pool, nothing is cancelled: each connection keeps its place until its
/// statement ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_without_side_connections_works_on_no_more_statements_than_connections() {
    let server = Postgres::start().await;
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .side_connections(false)
        .connect(&server.url())
        .await
        .unwrap();
    let most = abort_postgres(&server, &pool).await;
    assert_eq!(most, i64::from(CONNECTIONS));
}

/// Of the connections of an existing pool it is not known who serves them, so nothing is cancelled:
/// each keeps its place until its statement ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapped_pool_works_on_no_more_statements_than_connections() {
    let server = Postgres::start().await;
    let pool: PgPool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect(&server.url())
        .await
        .unwrap()
        .into();
    let most = abort_postgres(&server, &pool).await;
    assert_eq!(most, i64::from(CONNECTIONS));
}
