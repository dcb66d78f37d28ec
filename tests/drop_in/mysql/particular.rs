// What an application does with MySQL or MariaDB alone. Included by ../mysql.rs into both of its
// halves.

use super::driver::{DbConnectOptions, DbQueryResult};
use super::imports::{DbPool, DbPoolOptions, DbTransaction};
use super::menu::Dish;
use crate::{Checked, Failure};

pub async fn all(_: &DbPool, url: &str) -> Checked {
    options_change_at_run_time(url).await
}

/// The pool of the application.
pub async fn open(url: &str) -> Result<DbPool, Failure> {
    Ok(DbPoolOptions::new().max_connections(5).connect(url).await?)
}

pub async fn the_tea_is_deleted(pool: &DbPool, inserted: DbQueryResult) -> Checked {
    let deleted = sqlx::query("DELETE FROM dishes WHERE id = ?")
        .bind(inserted.last_insert_id())
        .execute(pool)
        .await?;
    assert_eq!(deleted.rows_affected(), 1);
    Ok(())
}

pub async fn macros_check_queries_at_compile_time(pool: &DbPool) -> Checked {
    let soup = sqlx::query!("SELECT id, price, note FROM dishes WHERE name = ?", "soup")
        .fetch_one(pool)
        .await?;
    assert_eq!(
        (soup.id, soup.price, soup.note.as_deref()),
        (1, 500, Some("hot"))
    );

    let mut conn = pool.acquire().await?;
    let dishes = sqlx::query_as!(
        Dish,
        "SELECT id, name, price, note FROM dishes WHERE price > ? ORDER BY id",
        300
    )
    .fetch_all(&mut *conn)
    .await?;
    assert_eq!(dishes.len(), 2);

    let mut tx = pool.begin().await?;
    let done = sqlx::query!("UPDATE dishes SET price = ? WHERE name = ?", 450, "soup")
        .execute(&mut *tx)
        .await?;
    assert_eq!(done.rows_affected(), 1);
    let dear = sqlx::query_scalar!(
        "SELECT count(*) AS `count!` FROM dishes WHERE price > ?",
        300
    )
    .fetch_one(&mut *tx)
    .await?;
    assert_eq!(dear, 2);
    tx.commit().await?;
    Ok(())
}

pub async fn transactions_begin_with_a_statement(pool: &DbPool) -> Checked {
    async fn is_read_only(tx: &mut DbTransaction<'_>) -> bool {
        sqlx::query("DELETE FROM orders")
            .execute(&mut **tx)
            .await
            .is_err()
    }

    let mut tx = pool.begin_with("START TRANSACTION READ ONLY").await?;
    assert!(is_read_only(&mut tx).await);
    tx.commit().await?;

    crate::one_is_idle(|| pool.num_idle()).await;
    let tx = pool.try_begin_with("START TRANSACTION READ WRITE").await?;
    let mut tx = tx.expect("a connection is idle");
    assert!(!is_read_only(&mut tx).await);
    tx.rollback().await?;

    let not_begun = pool.begin_with("SELECT 1").await;
    assert!(matches!(not_begun, Err(sqlx::Error::BeginFailed)));
    Ok(())
}

async fn options_change_at_run_time(url: &str) -> Checked {
    let pool = DbPoolOptions::new().max_connections(1).connect(url).await?;
    let options = DbConnectOptions::clone(&pool.connect_options());
    pool.set_connect_options(options.collation("utf8mb4_bin"));
    assert_eq!(pool.connect_options().get_collation(), Some("utf8mb4_bin"));

    pool.acquire().await?.close().await?;
    let collation: String = sqlx::query_scalar("SELECT @@collation_connection")
        .fetch_one(&pool)
        .await?;
    assert_eq!(collation, "utf8mb4_bin");
    Ok(())
}
