//! Every kind of pool records the calls on it.

use std::net::SocketAddr;
use std::time::Duration;

use bb8_postgres::PostgresConnectionManager;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::{AsyncMysqlConnection, AsyncPgConnection, RunQueryDsl};
use fusepool::deadpool::{self, Manager, Metrics, RecycleResult};
use fusepool::live::Live;
use fusepool::sqlx::{Driver, Pool, PoolOptions};
use fusepool::{Breaker, Class, Gate, Guarded};
use tokio_postgres::{Client, Error, NoTls};

use crate::adapter::{Bb8, Discarding};
use crate::scrape::Prometheus;
use crate::support::deadpool::builder;
use crate::support::eventually;
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

const POOL: &str = "db_client_connection_pool_name";
const SYSTEM: &str = "db_system_name";

/// An error on PostgreSQL.
const DUPLICATE: &str = "DO $$ BEGIN RAISE unique_violation; END $$";

/// Checks the metrics of a pool on which one connection was opened, and leased twice: for one statement
/// that succeeded, and for one with this error, which is an answer.
async fn check(metrics: &Prometheus, live: &Live, pool: &str, system: &str, code: Option<&str>) {
    let own = [(POOL, pool), (SYSTEM, system)];
    let count = |name: &str, labels: &[(&str, &str)]| {
        let labels = [&own, labels].concat();
        metrics.sum(&format!("{name}_count"), &labels)
    };
    assert_eq!(
        count("db_client_operation_duration", &[]),
        Some(2.0),
        "{pool}"
    );
    let error = code.unwrap_or("_OTHER");
    let failed = [("error_type", error)];
    assert_eq!(
        count("db_client_operation_duration", &failed),
        Some(1.0),
        "{pool}"
    );
    if let Some(code) = code {
        let failed = [("db_response_status_code", code)];
        assert_eq!(
            count("db_client_operation_duration", &failed),
            Some(1.0),
            "{pool}"
        );
    }
    assert_eq!(
        count("db_client_connection_wait_time", &[]),
        Some(2.0),
        "{pool}"
    );
    assert_eq!(
        count("db_client_connection_use_time", &[]),
        Some(2.0),
        "{pool}"
    );
    assert_eq!(
        count("db_client_connection_create_time", &[]),
        Some(1.0),
        "{pool}"
    );
    let succeeded = [&own[..], &[("verdict", "success")]].concat();
    assert_eq!(
        metrics.sum("fusepool_calls", &succeeded),
        Some(2.0),
        "{pool}"
    );

    let connections = |state| [&own[..], &[("db_client_connection_state", state)]].concat();
    metrics
        .becomes("db_client_connection_count", &connections("idle"), 1.0)
        .await;
    metrics
        .becomes("db_client_connection_count", &connections("used"), 0.0)
        .await;
    metrics.becomes("db_client_connection_max", &own, 3.0).await;
    metrics
        .becomes("db_client_connection_pending_requests", &own, 0.0)
        .await;
    is_live(live, pool);
}

/// The page shows both calls, and the connections.
fn is_live(live: &Live, pool: &str) {
    let report: serde_json::Value = serde_json::from_str(&live.json()).unwrap();
    let shown = &report["pools"][0];
    assert_eq!(shown["name"], pool);
    let answered = shown["history"]["answered"].as_array().unwrap();
    let answered = answered.iter().map(|calls| calls.as_u64().unwrap());
    assert_eq!(answered.sum::<u64>(), 2, "{shown}");
    assert!(shown["latency"]["p99"].as_f64().is_some(), "{shown}");
    assert_eq!(shown["connections"]["max"], 3);
}

async fn sqlx<DB: Driver>(url: &str, name: &str, system: &str, code: &str) {
    let metrics = Prometheus::listen();
    let pool: Pool<DB> = PoolOptions::new()
        .max_connections(3)
        .metrics()
        .connect_lazy(url)
        .unwrap();
    let live = Live::new().watch(&pool);
    let mut connection = pool.acquire().await.unwrap();
    sqlx::raw_sql("SELECT 1")
        .execute(&mut *connection)
        .await
        .unwrap();
    drop(connection); // returned by a task
    eventually("an idle connection", async || pool.num_idle() == 1).await;
    let mut connection = pool.acquire().await.unwrap();
    let missing = sqlx::raw_sql("SELECT * FROM missing");
    assert!(missing.execute(&mut *connection).await.is_err());
    drop(connection);
    check(&metrics, &live, name, system, Some(code)).await;
    drop(pool);
    let own = [("db_client_connection_pool_name", name)];
    metrics.becomes("db_client_connection_max", &own, 0.0).await;
    metrics.becomes("fusepool_breaker_state", &own, 0.0).await;
}

fn name(addr: SocketAddr, database: &str) -> String {
    format!("{}:{}/{database}", addr.ip(), addr.port())
}

#[tokio::test]
async fn sqlx_on_postgres() {
    let server = Postgres::start().await;
    let name = name(server.addr(), "postgres");
    sqlx::<sqlx::Postgres>(&server.url(), &name, "postgresql", "42P01").await;
}

#[tokio::test]
async fn sqlx_on_mariadb() {
    let server = MariaDb::start().await;
    let name = name(server.addr(), "test");
    sqlx::<sqlx::MySql>(&server.url(), &name, "mariadb", "1146").await;
}

/// The driver cannot tell which of the two it reaches. The server is asked, over the first connection.
#[tokio::test]
async fn mariadb_is_called_mysql_until_it_has_told() {
    let server = MariaDb::start().await;
    let name = name(server.addr(), "test");
    let metrics = Prometheus::listen();
    let options = PoolOptions::<sqlx::MySql>::new().side_connections(false);
    let pool = options.metrics().connect_lazy(&server.url()).unwrap();
    let state = |system| {
        let labels = [(POOL, &*name), (SYSTEM, system)];
        metrics.sum("fusepool_breaker_state", &labels)
    };
    assert_eq!((state("mysql"), state("mariadb")), (Some(1.0), None));
    sqlx::raw_sql("SELECT 1").execute(&pool).await.unwrap();
    assert_eq!((state("mysql"), state("mariadb")), (Some(0.0), Some(1.0)));
    let own = [(POOL, &*name), (SYSTEM, "mysql")];
    assert_eq!(metrics.sum("fusepool_calls", &own), Some(0.0));
}

#[tokio::test]
async fn sqlx_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.db");
    let file = file.display().to_string();
    sqlx::<sqlx::Sqlite>(&format!("sqlite://{file}?mode=rwc"), &file, "sqlite", "1").await;
}

#[tokio::test]
async fn deadpool_postgres() {
    let server = Postgres::start().await;
    let metrics = Prometheus::listen();
    let pool = builder(&server, server.addr().port());
    let pool = pool.max_size(3).metrics().build().unwrap();
    let live = Live::new().watch(&pool);
    pool.get()
        .await
        .unwrap()
        .batch_execute("SELECT 1")
        .await
        .unwrap();
    let client = pool.get().await.unwrap();
    client.batch_execute(DUPLICATE).await.unwrap_err();
    drop(client);
    let name = name(server.addr(), "postgres");
    check(&metrics, &live, &name, "postgresql", Some("23505")).await;
}

/// diesel-async drops the codes of errors; some are recognized.
#[tokio::test]
async fn diesel_on_postgres() {
    let server = Postgres::start().await;
    let metrics = Prometheus::listen();
    let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(server.url());
    let pool = deadpool::diesel::Pool::builder(manager);
    let pool: deadpool::diesel::Pool<deadpool::diesel::AsyncPgConnection> = pool
        .max_size(3)
        .metrics()
        .breaker(fusepool::Breaker::builder().name("diesel"))
        .build()
        .unwrap();
    let live = Live::new().watch(&pool);
    let mut connection = pool.get().await.unwrap();
    diesel::sql_query("SELECT 1")
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);
    let mut connection = pool.get().await.unwrap();
    diesel::sql_query(DUPLICATE)
        .execute(&mut connection)
        .await
        .unwrap_err();
    drop(connection);
    check(&metrics, &live, "diesel", "postgresql", Some("23505")).await;
}

#[tokio::test]
async fn diesel_on_mariadb() {
    let server = MariaDb::start().await;
    let metrics = Prometheus::listen();
    let url = format!("{}?prefer_socket=false", server.url());
    let manager = AsyncDieselConnectionManager::<AsyncMysqlConnection>::new(url);
    let pool = deadpool::diesel::Pool::builder(manager);
    let pool: deadpool::diesel::Pool<deadpool::diesel::AsyncMysqlConnection> = pool
        .max_size(3)
        .metrics()
        .breaker(fusepool::Breaker::builder().name("diesel"))
        .build()
        .unwrap();
    let live = Live::new().watch(&pool);
    let mut connection = pool.get().await.unwrap();
    diesel::sql_query("SELECT 1")
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);
    let mut connection = pool.get().await.unwrap();
    let missing = diesel::sql_query("SELECT * FROM missing");
    missing.execute(&mut connection).await.unwrap_err();
    drop(connection);
    check(&metrics, &live, "diesel", "mariadb", None).await;
}

/// A manager that fusepool does not know.
struct Clients(String);

impl Manager for Clients {
    type Type = Client;
    type Error = Error;

    async fn create(&self) -> Result<Client, Error> {
        let (client, connection) = tokio_postgres::connect(&self.0, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn recycle(&self, _: &mut Client, _: &Metrics) -> RecycleResult<Error> {
        Ok(())
    }
}

#[tokio::test]
async fn any_other_manager() {
    let server = Postgres::start().await;
    let metrics = Prometheus::listen();
    let pool = deadpool::Pool::<Clients>::builder(Clients(server.url()));
    let pool = pool.classify(|_: &Error| Class::Success);
    let pool = pool.max_size(3).metrics().build().unwrap();
    let live = Live::new().watch(&pool);
    let mut client = pool.get().await.unwrap();
    client
        .guard(async |client| client.batch_execute("SELECT 1").await)
        .await
        .unwrap();
    drop(client);
    let mut client = pool.get().await.unwrap();
    client
        .guard(async |client| client.batch_execute(DUPLICATE).await)
        .await
        .unwrap_err();
    drop(client);
    let own = [("db_client_connection_pool_name", "deadpool")];
    let count = |name: &str| metrics.sum(name, &own);
    assert_eq!(count("db_client_operation_duration_count"), Some(2.0));
    assert_eq!(count("db_client_connection_wait_time_count"), Some(2.0));
    assert_eq!(count("db_client_connection_use_time_count"), Some(2.0));
    assert_eq!(count("db_client_connection_create_time_count"), Some(1.0));
    metrics
        .becomes("db_client_connection_count", &own, 1.0)
        .await;
    is_live(&live, "deadpool");
}

#[tokio::test]
async fn a_pool_with_an_adapter() {
    let server = Postgres::start().await;
    let metrics = Prometheus::listen();
    let manager = PostgresConnectionManager::new(server.url().parse().unwrap(), NoTls);
    let pool = bb8::Pool::builder()
        .max_size(3)
        .build_unchecked(Discarding(manager.clone()));
    let pool = Guarded::builder(Bb8 {
        pool,
        manager,
        size: 3,
        classify: |_| Class::Success,
    });
    let pool = pool.metrics().build().unwrap();
    let live = Live::new().watch(&pool);
    let mut lease = pool.lease().await.unwrap();
    lease
        .guard(async |client| client.batch_execute("SELECT 1").await)
        .await
        .unwrap();
    drop(lease);
    let mut lease = pool.lease().await.unwrap();
    lease
        .guard(async |client| client.batch_execute(DUPLICATE).await)
        .await
        .unwrap_err();
    drop(lease);
    let own = [("db_client_connection_pool_name", "bb8")];
    let count = |name: &str| metrics.sum(name, &own);
    assert_eq!(count("db_client_operation_duration_count"), Some(2.0));
    assert_eq!(count("db_client_connection_wait_time_count"), Some(2.0));
    assert_eq!(count("db_client_connection_use_time_count"), Some(2.0));
    metrics.becomes("db_client_connection_max", &own, 3.0).await;
    is_live(&live, "bb8");
}

#[tokio::test(start_paused = true)]
async fn a_gate_without_a_pool() {
    let metrics = Prometheus::listen();
    let breaker = Breaker::builder().name("geocoder");
    let gate = Gate::builder(breaker).metrics().build().unwrap();
    let classify = |_: &std::io::Error| Class::Failure;
    gate.call(&classify, async { Ok(()) }).await.unwrap();
    let never = tokio::time::timeout(
        Duration::from_secs(1),
        gate.call(&classify, std::future::pending::<Result<(), _>>()),
    );
    never.await.unwrap_err();
    gate.call(&classify, std::future::pending::<Result<(), _>>())
        .await
        .unwrap_err();
    let calls = |verdict| {
        let labels = [
            ("db_client_connection_pool_name", "geocoder"),
            ("verdict", verdict),
        ];
        metrics.sum("fusepool_calls", &labels)
    };
    assert_eq!(calls("success"), Some(1.0));
    assert_eq!(calls("abandoned"), Some(1.0));
    assert_eq!(calls("failure"), Some(1.0));
    let took = |error| metrics.sum("db_client_operation_duration_sum", &[("error_type", error)]);
    assert_eq!(took("abandoned"), Some(1.0));
    assert_eq!(took("timeout"), Some(30.0));
    let closed = [("state", "closed")];
    assert_eq!(metrics.sum("fusepool_breaker_state", &closed), Some(1.0));
}
