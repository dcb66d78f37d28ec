//! What becomes of a connection whose statement was given up, when its holder goes on with it.

use std::io::ErrorKind;
use std::time::Duration;

use fusepool::sqlx::{SqlitePool, SqlitePoolOptions};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Error, Executor};
use tempfile::TempDir;
use tokio::time::timeout;

/// Far too long to prepare and run, for the time that it is given.
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

/// The transaction may be open, and sqlx would not know: what comes later would be lost with it.
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
    assert!(matches!(&insert, Err(Error::Io(io)) if io.kind() == ErrorKind::BrokenPipe));
    assert!(lease.begin().await.is_err());
    drop(lease);
    (&pool).execute("INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(pool.snapshot().gate.closed_connections, 1);
}

#[tokio::test]
async fn an_answer_to_a_later_statement_does_not_make_a_connection_good_again() {
    let dir = tempfile::tempdir().unwrap();
    let pool = pool(&dir).await;
    let mut lease = pool.acquire().await.unwrap();
    let long = (&mut *lease).execute(LONG);
    assert!(timeout(Duration::from_millis(1), long).await.is_err());
    (&mut *lease).execute("SELECT 1").await.unwrap();
    drop(lease);
    assert_eq!(pool.snapshot().gate.closed_connections, 1);
}
