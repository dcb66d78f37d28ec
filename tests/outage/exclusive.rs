//! A database file that a connection of the pool has locked exclusively.

use fusepool::Verdict;
use fusepool::breaker::State;
use fusepool::sqlx::SqlitePoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteLockingMode};

use crate::support::eventually;

/// Regression test: the background probe opened a connection of its own, which waited for the lock, so
/// the breaker never closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_breaker_closes_though_no_second_connection_can_be_had() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(dir.path().join("db"))
        .create_if_missing(true)
        .locking_mode(SqliteLockingMode::Exclusive);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .unwrap();
    // Takes the lock, and keeps it.
    sqlx::query("CREATE TABLE t (id int)")
        .execute(&pool)
        .await
        .unwrap();
    let breaker = pool.gate().breaker();
    for _ in 0..5 {
        breaker.observe().settle(Verdict::Failure);
    }
    assert_eq!(breaker.state(), State::Open);
    eventually("the breaker closes", async || {
        breaker.state() == State::Closed
    })
    .await;
    assert_eq!(
        pool.snapshot().gate.breaker.totals.trips,
        1,
        "no probe failed"
    );
    sqlx::query("INSERT INTO t VALUES (1)")
        .execute(&pool)
        .await
        .unwrap();
}
