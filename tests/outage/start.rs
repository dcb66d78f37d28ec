//! A service that starts before its database, as with `docker compose up`.

use std::time::{Duration, Instant};

use fusepool::sqlx::PoolOptions;
use sqlx::Error;
use tokio::time::sleep;

use crate::dialect::Dialect;

on_sqlx! {
    the_first_connect_waits_for_the_database
    the_first_connect_has_the_acquire_timeout_that_the_user_chose
}

/// As with sqlx's own pool. Regression test: `connect` failed after fusepool's `acquire_timeout` of 2 s,
/// and the service did not start.
async fn the_first_connect_waits_for_the_database<D: Dialect>() {
    let mut server = D::start(&[]).await;
    server.kill();
    let url = server.url();
    let options = PoolOptions::<D::Db>::new().min_connections(2);
    let connecting = tokio::spawn(async move { options.connect(&url).await });
    sleep(Duration::from_secs(4)).await;
    assert!(!connecting.is_finished(), "{:?}", connecting.await);
    server.launch();
    let pool = connecting.await.unwrap().unwrap();
    assert_eq!((pool.size(), pool.num_idle()), (2, 2));
    D::ask(&pool).await.unwrap();
    let breaker = pool.snapshot().gate.breaker;
    assert_eq!((breaker.totals.failures, breaker.totals.trips), (0, 0));
}

async fn the_first_connect_has_the_acquire_timeout_that_the_user_chose<D: Dialect>() {
    let mut server = D::start(&[]).await;
    server.kill();
    let options = PoolOptions::<D::Db>::new().acquire_timeout(Duration::from_millis(300));
    let began = Instant::now();
    let error = options.connect(&server.url()).await.unwrap_err();
    assert!(matches!(error, Error::PoolTimedOut), "{error:?}");
    let took = began.elapsed();
    assert!((300..2_000).contains(&took.as_millis()), "{took:?}");
}
