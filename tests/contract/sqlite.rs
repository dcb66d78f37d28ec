//! What is particular to SQLite.

use fusepool::refusal;
use fusepool::sqlx::SqlitePoolOptions;
use sqlx::Executor;

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
        let error = writer.execute("SELECT 1").await.unwrap_err();
        assert!(refusal(&error).is_some(), "{error:?}");
        writer.execute(release).await.unwrap();
        drop(forced);
        drop(writer);
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM t")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(rows, 3);
}
