// Transactions and savepoints.

use super::driver::{BEGIN, DELETE_BY_NAME, Db, DbConnection, INSERT_AT_100};
use super::imports::{DbPool, DbPoolOptions, Transaction};
use super::menu::{count, fill_menu};
use super::particular;
use crate::Checked;
use sqlx::Executor;

pub async fn all(pool: &DbPool, url: &str) -> Checked {
    fill_menu(pool).await?;
    transactions_commit_and_roll_back(pool).await?;
    savepoints_by_acquire(pool).await?;
    savepoints_by_connection(pool).await?;
    particular::transactions_begin_with_a_statement(pool).await?;
    transactions_are_passed_around(pool).await?;
    nothing_is_tried_when_exhausted(url).await?;
    Ok(())
}

async fn transactions_commit_and_roll_back(pool: &DbPool) -> Checked {
    let mut tx = pool.begin().await?;
    add(&mut tx, "tea").await?;
    tx.commit().await?;
    assert_eq!(count(pool).await?, 4);

    let mut tx = pool.begin().await?;
    remove(&mut tx, "tea").await?;
    tx.rollback().await?;
    assert_eq!(count(pool).await?, 4);

    let mut tx = pool.begin().await?;
    remove(&mut tx, "tea").await?;
    drop(tx);
    assert_eq!(count(pool).await?, 4);

    crate::one_is_idle(|| pool.num_idle()).await;
    let mut tx = pool.try_begin().await?.expect("a connection is idle");
    remove(&mut tx, "tea").await?;
    tx.commit().await?;
    assert_eq!(count(pool).await?, 3);
    Ok(())
}

async fn savepoints_by_acquire(pool: &DbPool) -> Checked {
    #[allow(
        unused_imports,
        reason = "a pool with a `begin` of its own needs no trait for it"
    )]
    use sqlx::Acquire;

    let mut tx = pool.begin().await?;
    let mut savepoint = tx.begin().await?;
    add(&mut savepoint, "tea").await?;
    let mut inner = savepoint.begin().await?;
    remove(&mut inner, "tea").await?;
    inner.rollback().await?;
    savepoint.commit().await?;
    let mut savepoint = tx.begin().await?;
    add(&mut savepoint, "milk").await?;
    drop(savepoint);
    assert_eq!(count(&mut *tx).await?, 4);
    tx.rollback().await?;

    let mut conn = pool.acquire().await?;
    let mut tx = conn.begin().await?;
    sqlx::query("DELETE FROM dishes").execute(&mut *tx).await?;
    tx.rollback().await?;
    assert_eq!(count(&mut *conn).await?, 3);
    Ok(())
}

async fn savepoints_by_connection(pool: &DbPool) -> Checked {
    use sqlx::Connection;

    let mut conn = pool.acquire().await?;
    assert!(!conn.is_in_transaction());
    let mut tx = conn.begin().await?;
    assert!(tx.is_in_transaction());
    let mut savepoint = tx.begin().await?;
    sqlx::query("DELETE FROM dishes")
        .execute(&mut *savepoint)
        .await?;
    savepoint.rollback().await?;
    assert_eq!(count(&mut *tx).await?, 3);
    tx.commit().await?;

    let left = conn
        .transaction(|tx| {
            Box::pin(async move {
                sqlx::query("DELETE FROM dishes WHERE name = 'cake'")
                    .execute(&mut **tx)
                    .await?;
                count(&mut **tx).await
            })
        })
        .await?;
    assert_eq!(left, 2);

    let failed: sqlx::Result<()> = conn
        .transaction(|tx| {
            Box::pin(async move {
                tx.execute("DELETE FROM dishes").await?;
                Err(sqlx::Error::RowNotFound)
            })
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(count(&mut *conn).await?, 2);

    drop(conn);
    fill_menu(pool).await?;
    Ok(())
}

pub async fn add(tx: &mut Transaction<'_, Db>, name: &str) -> sqlx::Result<()> {
    sqlx::query(INSERT_AT_100)
        .bind(name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn remove(conn: &mut DbConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query(DELETE_BY_NAME).bind(name).execute(conn).await?;
    Ok(())
}

struct UnitOfWork<'t> {
    tx: Transaction<'t, Db>,
}

impl UnitOfWork<'static> {
    async fn start(pool: &DbPool) -> sqlx::Result<Self> {
        Ok(Self {
            tx: pool.begin().await?,
        })
    }

    async fn count(&mut self) -> sqlx::Result<i64> {
        count(&mut *self.tx).await
    }

    async fn finish(self) -> sqlx::Result<()> {
        self.tx.commit().await
    }
}

async fn transactions_are_passed_around(pool: &DbPool) -> Checked {
    let mut work = UnitOfWork::start(pool).await?;
    add(&mut work.tx, "tea").await?;
    remove(&mut work.tx, "tea").await?;
    let mut work = tokio::spawn(async move {
        work.count().await?;
        Ok::<_, sqlx::Error>(work)
    })
    .await
    .unwrap()?;
    assert_eq!(work.count().await?, 3);
    work.finish().await?;
    Ok(())
}

async fn nothing_is_tried_when_exhausted(url: &str) -> Checked {
    let pool = DbPoolOptions::new().max_connections(1).connect(url).await?;
    let conn = pool.acquire().await?;
    assert!(pool.try_acquire().is_none());
    assert!(pool.try_begin().await?.is_none());
    assert!(pool.try_begin_with(BEGIN).await?.is_none());
    drop(conn);
    assert_eq!(count(&pool).await?, 3);
    Ok(())
}
