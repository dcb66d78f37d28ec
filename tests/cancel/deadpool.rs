//! Abandoned statements are cancelled on the server, and no other statement is.

use std::time::{Duration, Instant};

use fusepool::deadpool::postgres::{Client, Pool, delivery};
use fusepool::{Delivery, deadline_exceeded};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use crate::support::deadpool::{builder, direct};
use crate::support::eventually;
use crate::support::postgres::Postgres;

/// The number of backends that sleep.
pub async fn sleepers(pool: &Pool) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(60)%'";
    let client = pool.get().await.unwrap();
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Gives up a sleep in this way, and checks that the server stops it.
pub async fn is_cancelled(pool: &Pool, watch: &Pool, give_up: impl AsyncFnOnce(Client)) {
    give_up(pool.get().await.unwrap()).await;
    let given_up = Instant::now();
    eventually("nobody sleeps", async || sleepers(watch).await == 0).await;
    assert!(
        given_up.elapsed() < Duration::from_secs(1),
        "{:?}",
        given_up.elapsed()
    );
    // A connection keeps its slot until its cancel request is done, which is after the sleep ends.
    eventually("the connection is closed", async || pool.status().size == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_is_given_up_is_stopped_on_the_server() {
    let server = Postgres::start().await;
    let watch = direct(&server);
    let pool = builder(&server, server.addr().port())
        .query_timeout(Duration::from_millis(1500))
        .build()
        .unwrap();
    let patience = Duration::from_millis(100);

    is_cancelled(&pool, &watch, async |client| {
        let error = client
            .batch_execute("SELECT pg_sleep(60)")
            .await
            .unwrap_err();
        assert!(deadline_exceeded(&error).is_some(), "{error:?}");
        assert_eq!(delivery(&error), Delivery::Unknown);
    })
    .await;
    is_cancelled(&pool, &watch, async |client| {
        let error = client
            .with_timeout(patience)
            .query("SELECT pg_sleep(60)", &[])
            .await
            .unwrap_err();
        assert_eq!(deadline_exceeded(&error).unwrap().limit(), patience);
    })
    .await;
    is_cancelled(&pool, &watch, async |client| {
        let sleep = client.simple_query("SELECT pg_sleep(60)");
        assert!(timeout(patience, sleep).await.is_err());
    })
    .await;
    is_cancelled(&pool, &watch, async |mut client| {
        let transaction = client.transaction().await.unwrap();
        let sleep = transaction.execute("SELECT pg_sleep(60)", &[]);
        assert!(timeout(patience, sleep).await.is_err());
    })
    .await;
    assert_eq!(pool.gate().snapshot().totals.closed_connections, 4);
}

/// All statements of the bystanders must succeed, on connections that are leased, used and returned
/// as fast as possible, while ten thousand others are given up at random moments.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_never_hits_the_statement_of_another_client() {
    const CANCELS: usize = 10_000;
    let server = Postgres::start().await;
    let pool = builder(&server, server.addr().port())
        .max_size(8)
        .breaker(fusepool::Breaker::builder().slow_call_rate(None))
        .build()
        .unwrap();
    let mut bystanders = JoinSet::new();
    for _ in 0..4 {
        let pool = pool.clone();
        bystanders.spawn(async move {
            let mut statements = 0_usize;
            loop {
                let client = pool.get().await.expect("the pool is well");
                if let Err(error) = client.batch_execute("SELECT pg_sleep(0.0001)").await {
                    let cancelled = error.code() == Some(&SqlState::QUERY_CANCELED);
                    panic!("after {statements}, cancelled: {cancelled}: {error:?}");
                }
                statements += 1;
            }
        });
    }
    let mut quitters = JoinSet::new();
    for _ in 0..4 {
        let pool = pool.clone();
        quitters.spawn(async move {
            let mut given_up = 0;
            while given_up < CANCELS / 4 {
                let client = pool.get().await.expect("the pool is well");
                // Just before, at, and just after the time when it ends by itself.
                let patience = Duration::from_micros(fastrand::u64(0..1500));
                let sleep = client.batch_execute("SELECT pg_sleep(0.0005)");
                let given = timeout(patience, sleep).await;
                given_up += usize::from(given.is_err());
            }
        });
    }
    while let Some(quitter) = quitters.join_next().await {
        quitter.unwrap();
        if let Some(hit) = bystanders.try_join_next() {
            hit.unwrap();
        }
    }
    let hit = bystanders.try_join_next();
    assert!(hit.is_none(), "{hit:?}");
    let snapshot = pool.gate().snapshot();
    assert!(
        snapshot.totals.closed_connections >= CANCELS as u64,
        "{snapshot:?}"
    );
}
