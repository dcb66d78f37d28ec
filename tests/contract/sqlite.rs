//! What is particular to SQLite.

use std::time::{Duration, Instant};

use fusepool::breaker::State;
use fusepool::refusal;
use fusepool::sqlx::SqlitePoolOptions;
use sqlx::Executor;

use crate::support::eventually;

/// The savepoint that is released last commits, as `COMMIT` does. Regression test: it was refused
/// while the breaker was open, so the writes were lost and the file stayed locked.
#[tokio::test]
async fn the_release_of_an_outermost_savepoint_is_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", dir.path().join("db").display());
    let pool = SqlitePoolOptions::new().connect(&url).await.unwrap();
    pool.execute("CREATE TABLE t (id int)").await.unwrap();
    for release in [
        "RELEASE a",
        "release savepoint a",
        "/* done */ RELEASE SAVEPOINT a;",
    ] {
        let mut writer = pool.acquire().await.unwrap();
        writer.execute("SAVEPOINT a").await.unwrap();
        writer.execute("INSERT INTO t VALUES (1)").await.unwrap();
        let forced = pool.gate().breaker().force_open();
        let error = pool.execute("SELECT 1").await.unwrap_err();
        assert!(refusal(&error).is_some(), "{error:?}");
        // The transaction holds its locks already.
        writer.execute("SELECT 1").await.unwrap();
        writer.execute(release).await.unwrap();
        let error = writer.execute("SELECT 1").await.unwrap_err();
        assert!(refusal(&error).is_some(), "{error:?}");
        drop(forced);
        drop(writer);
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM t")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(rows, 3);
}

/// A manual trip ends by itself, without any traffic: the background probe finds that the database is
/// well.
#[tokio::test]
async fn a_manual_trip_of_a_pool_recovers_by_itself() {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    let breaker = pool.gate().breaker();
    let duration = Duration::from_millis(300);
    let tripped = Instant::now();
    breaker.trip_for(duration);
    let error = pool.execute("SELECT 1").await.unwrap_err();
    let retry_after = refusal(&error).and_then(|refused| refused.retry_after());
    assert!(
        retry_after.is_some_and(|after| after <= duration),
        "{error:?}"
    );
    eventually("the breaker closes", async || {
        breaker.state() == State::Closed
    })
    .await;
    assert!(tripped.elapsed() >= duration - Duration::from_millis(10));
    pool.execute("SELECT 1").await.unwrap();
    assert_eq!(breaker.snapshot().totals.trips, 1);
}
