//! Connections that were used past the guard, and may answer out of step. No cached answer may come from
//! one, and none may return to the pool.

use std::sync::Arc;
use std::time::Duration;

use fusepool::Source;
use fusepool::cache::CachePolicy;
use fusepool::sqlx::{MySqlPoolOptions, PgPool, PgPoolOptions, ReadExt};
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use tokio::time::timeout;

use crate::support::deadpool::builder;
use crate::support::eventually;
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

const WHO: CachePolicy = CachePolicy::named("who").fresh_for(Duration::from_secs(60));
const NAMES: [&str; 4] = ["ann", "bob", "cy", "ann"];
/// Much shorter than the statements that are broken off.
const PATIENCE: Duration = Duration::from_millis(50);

async fn one_connection(server: &Postgres) -> PgPool {
    let options = PgPoolOptions::new().max_connections(1);
    options.connect(&server.url()).await.unwrap()
}

async fn assert_in_step(pool: &PgPool) {
    for name in NAMES {
        let who = sqlx::query_scalar::<_, String>("SELECT $1::text").bind(name);
        let served = who.cached(&WHO).fetch_one_served(pool).await.unwrap();
        assert_eq!(*served.value, name, "{:?}", served.source);
    }
}

/// The driver then answers one statement late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_broken_off_on_sqlx() {
    let server = Postgres::start().await;
    let pool = one_connection(&server).await;
    let create = "CREATE TABLE upload (id int)";
    sqlx::raw_sql(create).execute(&pool).await.unwrap();
    let mut lease = pool.acquire().await.unwrap();
    let mut upload = lease.copy_in_raw("COPY upload FROM STDIN").await.unwrap();
    upload.send(&b"1\n2\n"[..]).await.unwrap();
    drop(upload);
    for number in 0..3 {
        let late = sqlx::query_scalar::<_, String>("SELECT $1::text").bind(number.to_string());
        let _ = late.fetch_all(&mut *lease).await;
    }
    drop(lease);
    assert_in_step(&pool).await;
}

/// The connection of an upload that ends well is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_ends_well_on_sqlx() {
    let server = Postgres::start().await;
    let pool = one_connection(&server).await;
    let create = "CREATE TABLE upload (id int)";
    sqlx::raw_sql(create).execute(&pool).await.unwrap();
    let session = async || {
        let pid = sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()");
        pid.fetch_one(&pool).await.unwrap()
    };
    let before = session().await;
    let mut lease = pool.acquire().await.unwrap();
    let mut upload = lease.copy_in_raw("COPY upload FROM STDIN").await.unwrap();
    upload.send(&b"1\n2\n"[..]).await.unwrap();
    assert_eq!(upload.finish().await.unwrap(), 2);
    drop(lease);
    assert_eq!(session().await, before);
    assert_eq!(pool.snapshot().gate.totals.closed_connections, 0);
}

/// A function that takes the driver's connection, and is broken off.
async fn nap(connection: &mut PgConnection) -> i32 {
    let nap = sqlx::query_scalar("SELECT 7 FROM pg_sleep(0.3)");
    nap.fetch_one(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_use_past_the_guard_is_broken_off_on_sqlx_postgres() {
    let server = Postgres::start().await;
    let pool = one_connection(&server).await;
    let mut lease = pool.acquire().await.unwrap();
    assert!(timeout(PATIENCE, nap(&mut lease)).await.is_err());
    drop(lease);
    assert_in_step(&pool).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_use_past_the_guard_is_broken_off_on_sqlx_mariadb() {
    let server = MariaDb::start().await;
    let options = MySqlPoolOptions::new().max_connections(1);
    let pool = options.connect(&server.url()).await.unwrap();
    let mut lease = pool.acquire().await.unwrap();
    let connection: &mut sqlx::MySqlConnection = &mut lease;
    let nap = sqlx::query_scalar::<_, i64>("SELECT SLEEP(0.3)").fetch_one(connection);
    assert!(timeout(PATIENCE, nap).await.is_err());
    drop(lease);
    for name in NAMES {
        let who = sqlx::query_scalar::<_, String>("SELECT ?").bind(name);
        let served = who.cached(&WHO).fetch_one_served(&pool).await.unwrap();
        assert_eq!(*served.value, name, "{:?}", served.source);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_is_broken_off_on_deadpool_postgres() {
    use futures_util::SinkExt;
    let server = Postgres::start().await;
    let pool = builder(&server, server.addr().port()).max_size(1);
    let pool = pool.build().unwrap();
    let client = pool.get().await.unwrap();
    client
        .batch_execute("CREATE TABLE upload (id int)")
        .await
        .unwrap();
    let upload = client
        .copy_in::<_, &[u8]>("COPY upload FROM STDIN")
        .await
        .unwrap();
    {
        let mut upload = std::pin::pin!(upload);
        upload.send(b"1\n").await.unwrap();
    }
    drop(client);
    for name in NAMES {
        let read = pool.cached::<Arc<_>>(&WHO);
        let served = read
            .query_one_served("SELECT $1::text", &[&name])
            .await
            .unwrap();
        let said: String = served.value.get(0);
        assert_eq!(said, name, "{:?}", served.source);
    }
}

macro_rules! on_diesel {
    ($test:ident, $server:ty, $connection:ty, $settings:literal, $nap:literal) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            use diesel::{dsl::sql, sql_query, sql_types::Text};
            use diesel_async::RunQueryDsl;
            use fusepool::deadpool::diesel::{AsyncDieselConnectionManager, Pool, ReadExt};
            let server = <$server>::start().await;
            let url = server.url() + $settings;
            let manager = AsyncDieselConnectionManager::<$connection>::new(url);
            let pool: Pool<$connection> = Pool::builder(manager).max_size(1).build().unwrap();
            let mut conn = pool.get().await.unwrap();
            let nap = sql_query($nap).execute(conn.unguarded());
            assert!(timeout(PATIENCE, nap).await.is_err());
            drop(conn);
            for name in NAMES {
                let who = diesel::select(sql::<Text>(&format!("'{name}'")));
                let served = who.cached(&WHO).load_served(&pool).await.unwrap();
                let said: Arc<Vec<String>> = served.value;
                assert_eq!(*said, [name], "{:?}", served.source);
            }
        }
    };
}

on_diesel!(
    a_use_past_the_guard_is_broken_off_on_diesel_postgres,
    Postgres,
    fusepool::deadpool::diesel::AsyncPgConnection,
    "",
    "SELECT pg_sleep(0.3)"
);
on_diesel!(
    a_use_past_the_guard_is_broken_off_on_diesel_mariadb,
    MariaDb,
    fusepool::deadpool::diesel::AsyncMysqlConnection,
    "?prefer_socket=false",
    "SELECT SLEEP(0.3)"
);

/// Regression: the next user of the connection found a transaction open, and a cached read kept what an
/// old snapshot shows as fresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_by_text_is_not_ended() {
    let server = Postgres::start().await;
    let pool = one_connection(&server).await;
    sqlx::raw_sql("CREATE TABLE dish (price int); INSERT INTO dish VALUES (1)")
        .execute(&pool)
        .await
        .unwrap();
    let mut lease = pool.acquire().await.unwrap();
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT price FROM dish")
        .execute(&mut *lease)
        .await
        .unwrap();
    drop(lease);
    let mut other = server.connect().await.unwrap();
    sqlx::raw_sql("UPDATE dish SET price = 2")
        .execute(&mut other)
        .await
        .unwrap();
    let price = sqlx::query_scalar::<_, i32>("SELECT price FROM dish").cached(&WHO);
    let served = price.fetch_one_served(&pool).await.unwrap();
    assert_eq!((*served.value, served.source), (2, Source::Live));
}

/// Regression test: a stream that was dropped early forgot that its text began a transaction, and the
/// connection returned to the pool with that open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_began_a_transaction_is_dropped() {
    let server = Postgres::start().await;
    let pool = one_connection(&server).await;
    let mut lease = pool.acquire().await.unwrap();
    let mut rows = sqlx::raw_sql("BEGIN; SELECT generate_series(1, 1000)").fetch_many(&mut *lease);
    rows.try_next().await.unwrap();
    drop(rows);
    lease.ping().await.unwrap();
    drop(lease);
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    eventually("no transaction is open", async || {
        let open = sqlx::query_scalar::<_, i64>(open).fetch_one(&pool);
        open.await.unwrap() == 0
    })
    .await;
    assert_eq!(pool.snapshot().gate.totals.closed_connections, 1);
}
