// What an application does with SQLite alone. Included by ../sqlite.rs into both of its halves.

use super::driver::{DbConnectOptions, DbQueryResult};
use super::imports::{DbPool, DbPoolOptions, DbTransaction};
use super::menu::{Dish, count, fill_menu};
use crate::{Checked, Failure};
use sqlx::Executor;
use sqlx::sqlite::SqliteJournalMode;

pub async fn all(pool: &DbPool, url: &str) -> Checked {
    fill_menu(pool).await?;
    connections_lend_their_handle(pool).await?;
    options_change_at_run_time(url).await?;
    databases_live_in_memory().await?;
    Ok(())
}

/// The pool of the application.
pub async fn open(url: &str) -> Result<DbPool, Failure> {
    let options = url
        .parse::<DbConnectOptions>()?
        .journal_mode(SqliteJournalMode::Wal);
    Ok(DbPoolOptions::new()
        .max_connections(5)
        .connect_with(options)
        .await?)
}

pub async fn the_tea_is_deleted(pool: &DbPool, _: DbQueryResult) -> Checked {
    let deleted: Option<i64> =
        sqlx::query_scalar("DELETE FROM dishes WHERE name = ?1 RETURNING id")
            .bind("tea")
            .fetch_optional(pool)
            .await?;
    assert_eq!(deleted, Some(4));
    Ok(())
}

pub async fn macros_check_queries_at_compile_time(pool: &DbPool) -> Checked {
    let soup = sqlx::query!("SELECT id, price, note FROM dishes WHERE name = ?1", "soup")
        .fetch_one(pool)
        .await?;
    assert_eq!(
        (soup.id, soup.price, soup.note.as_deref()),
        (1, 500, Some("hot"))
    );

    let mut conn = pool.acquire().await?;
    let dishes = sqlx::query_as!(
        Dish,
        "SELECT id, name, price, note FROM dishes WHERE price > ?1 ORDER BY id",
        300
    )
    .fetch_all(&mut *conn)
    .await?;
    assert_eq!(dishes.len(), 2);

    let mut tx = pool.begin().await?;
    let done = sqlx::query!("UPDATE dishes SET price = ?1 WHERE name = ?2", 450, "soup")
        .execute(&mut *tx)
        .await?;
    assert_eq!(done.rows_affected(), 1);
    let dear = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM dishes WHERE price > ?1"#,
        300
    )
    .fetch_one(&mut *tx)
    .await?;
    assert_eq!(dear, 2);
    tx.commit().await?;
    Ok(())
}

pub async fn transactions_begin_with_a_statement(pool: &DbPool) -> Checked {
    async fn delete_orders(tx: &mut DbTransaction<'_>) -> sqlx::Result<u64> {
        let done = sqlx::query("DELETE FROM orders").execute(&mut **tx).await?;
        Ok(done.rows_affected())
    }

    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    assert_eq!(delete_orders(&mut tx).await?, 0);
    tx.commit().await?;

    crate::one_is_idle(|| pool.num_idle()).await;
    let tx = pool.try_begin_with("BEGIN EXCLUSIVE").await?;
    let mut tx = tx.expect("a connection is idle");
    assert_eq!(delete_orders(&mut tx).await?, 0);
    tx.rollback().await?;

    let not_begun = pool.begin_with("SELECT 1").await;
    assert!(matches!(not_begun, Err(sqlx::Error::BeginFailed)));
    Ok(())
}

async fn connections_lend_their_handle(pool: &DbPool) -> Checked {
    let mut conn = pool.acquire().await?;
    drop(conn.lock_handle().await?);
    assert_eq!(count(&mut *conn).await?, 3);
    Ok(())
}

async fn options_change_at_run_time(url: &str) -> Checked {
    let pool = DbPoolOptions::new().max_connections(1).connect(url).await?;
    let options = DbConnectOptions::clone(&pool.connect_options());
    pool.set_connect_options(options.read_only(true));
    assert!(format!("{:?}", pool.connect_options()).contains("read_only: true"));

    pool.acquire().await?.close().await?;
    assert!(pool.execute("DELETE FROM orders").await.is_err());
    assert_eq!(count(&pool).await?, 3);
    Ok(())
}

#[allow(clippy::useless_conversion, reason = "sqlx has one type for both")]
#[sqlx::test(migrations = "migrations/sqlite")]
async fn test_pools_convert(given: sqlx::SqlitePool) -> Checked {
    let pool: DbPool = given.into();
    fill_menu(&pool).await?;
    assert_eq!(count(&pool).await?, 3);
    Ok(())
}

async fn databases_live_in_memory() -> Checked {
    let pool = DbPoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await?;
    pool.execute("CREATE TABLE dishes (name TEXT)").await?;
    assert_eq!(count(&pool).await?, 0);
    Ok(())
}
