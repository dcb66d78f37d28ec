//! The adapter of `examples/bb8` in an outage.

use std::time::Duration;

use bb8_postgres::PostgresConnectionManager;
use bb8_postgres::tokio_postgres::NoTls;
use fusepool::breaker::State;
use fusepool::{Breaker, Class, GateError, Guarded, refusal};

use crate::adapter::{Bb8, Discarding};
use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::proxy::{Fault, Proxy};

type Postgreses = Bb8<PostgresConnectionManager<NoTls>>;

async fn ask(pool: &Guarded<Postgreses>) -> Result<i32, Box<dyn std::error::Error>> {
    let mut connection = pool.lease().await?;
    let row = connection
        .guard(async |client| client.query_one("SELECT 1", &[]).await)
        .await?;
    Ok(row.get(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bb8_pool_trips_and_recovers() {
    let server = Postgres::start().await;
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let url = server.url_via(proxy.addr().port());
    let manager = PostgresConnectionManager::new(url.parse().unwrap(), NoTls);
    let pool = bb8::Pool::builder()
        .max_size(2)
        .build_unchecked(Discarding(manager.clone()));
    let pool = Guarded::builder(Bb8 {
        pool,
        manager,
        size: 2,
        classify: |error| match error.as_db_error() {
            Some(_) => Class::Success,
            None => Class::Failure,
        },
    })
    .acquire_timeout(Duration::from_millis(300))
    .query_timeout(Duration::from_millis(300))
    .breaker(
        Breaker::builder()
            .slow_call_rate(None)
            .open_duration(Duration::from_millis(100))
            .probe_timeout(Duration::from_millis(200)),
    )
    .build()
    .unwrap();

    assert_eq!(ask(&pool).await.unwrap(), 1);
    let mut connection = pool.lease().await.unwrap();
    let slow = connection.guard(async |client| client.batch_execute("SELECT pg_sleep(9)").await);
    assert!(matches!(slow.await.unwrap_err(), GateError::Deadline(_)));
    let next = connection.guard(async |client| client.batch_execute("SELECT 1").await);
    assert!(matches!(next.await.unwrap_err(), GateError::Refused(_)));
    drop(connection);
    eventually("its connection is closed", async || {
        pool.adapter().pool.state().connections == 0
    })
    .await;

    proxy.set(Fault::Stall);
    eventually("the breaker opens", async || {
        let asked = ask(&pool).await;
        asked.is_err_and(|error| refusal(&*error).is_some())
    })
    .await;
    proxy.set(Fault::None);
    eventually("the breaker closes by itself", async || {
        pool.gate().breaker().state() == State::Closed
    })
    .await;
    eventually("callers are answered", async || ask(&pool).await.is_ok()).await;
}
