//! A connection on which a statement was given up, when its holder goes on using it.

use std::time::Duration;

use fusepool::Refused;
use fusepool::sqlx::{Delivery, SqlitePool, SqlitePoolOptions, delivery};
use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Error, Executor};
use tempfile::TempDir;
use tokio::time::timeout;

/// A statement that takes far longer than its deadline to prepare and run.
const LONG: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)
                    SELECT count(*) FROM n";

async fn pool(dir: &TempDir) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(dir.path().join("db"))
        .create_if_missing(true)
        .busy_timeout(Duration::from_secs(10));
    let pool = SqlitePoolOptions::new()
        .connect_with(options)
        .await
        .unwrap();
    pool.execute("CREATE TABLE t (id int)").await.unwrap();
    pool
}

/// Nothing else is run on the connection.
fn assert_refused(error: &Error) {
    let refused = fusepool::refusal(error);
    assert!(
        matches!(refused, Some(Refused::Abandoned { .. })),
        "{error:?}"
    );
    assert_eq!(delivery(error), Delivery::NotSent);
}

/// The transaction may be open without sqlx knowing it: later writes would be lost with it.
#[tokio::test]
async fn nothing_more_is_run_once_a_begin_was_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(&dir).await;
    let blocker = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let mut lease = pool.acquire().await.unwrap();
    let begin = lease.begin_with("BEGIN IMMEDIATE");
    assert!(timeout(Duration::from_millis(50), begin).await.is_err());
    blocker.commit().await.unwrap();

    let insert = (&mut *lease).execute("INSERT INTO t VALUES (1)").await;
    assert_refused(&insert.unwrap_err());
    assert_refused(&lease.begin().await.unwrap_err());
    drop(lease);
    (&pool).execute("INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(pool.snapshot().gate.totals.closed_connections, 1);
}

/// The answer may still arrive, and would be taken for another statement's. Even the end of a
/// transaction is refused: closing the connection rolls it back.
#[tokio::test]
async fn nothing_more_is_run_once_a_statement_was_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(&dir).await;
    let mut lease = pool.acquire().await.unwrap();
    let long = (&mut *lease).execute(LONG);
    assert!(timeout(Duration::from_millis(1), long).await.is_err());
    for sql in ["SELECT 1", "COMMIT", "ROLLBACK"] {
        assert_refused(&(&mut *lease).execute(sql).await.unwrap_err());
        let streamed = (&mut *lease).fetch_many(sql).try_next().await;
        assert_refused(&streamed.err().unwrap());
    }
    assert_refused(&lease.ping().await.unwrap_err());
    drop(lease);
    assert_eq!(pool.snapshot().gate.totals.closed_connections, 1);

    let mut transaction = pool.begin().await.unwrap();
    (&mut *transaction)
        .execute("INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    let long = (&mut *transaction).execute(LONG);
    assert!(timeout(Duration::from_millis(1), long).await.is_err());
    assert_refused(&transaction.begin().await.err().unwrap());
    assert_refused(&transaction.commit().await.unwrap_err());
    let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM t");
    assert_eq!(count.fetch_one(&pool).await.unwrap(), 0);
    assert_eq!(pool.snapshot().gate.totals.closed_connections, 2);
}
