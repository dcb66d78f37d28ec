// Functions and types of the application that take or hold pools, connections and transactions.

use super::driver::{
    self, Db, DbConnection, ID_BY_NAME, Id, Price, RENAME, SET_PRICE, SET_PRICES,
};
use super::imports::{Acquire, DbPool, DbTransaction, Pool};
use super::menu::{Dish, count, dearest, fill_menu};
use super::transactions::add;
use crate::Checked;
use futures_util::StreamExt;

pub async fn all(pool: &DbPool) -> Checked {
    fill_menu(pool).await?;
    functions_take_any_executor(pool).await?;
    functions_take_anything_to_acquire_from(pool).await?;
    functions_import_the_trait_to_acquire(pool).await?;
    functions_take_the_driver_connection(pool).await?;
    applications_hold_a_pool(pool).await?;
    tasks_share_a_pool(pool).await?;
    Ok(())
}

async fn functions_take_any_executor(pool: &DbPool) -> Checked {
    let mut conn = pool.acquire().await?;
    let mut tx = pool.begin().await?;
    assert_eq!(count(pool).await?, 3);
    assert_eq!(count(&mut *conn).await?, 3);
    assert_eq!(count(&mut *tx).await?, 3);
    assert_eq!(dearest(pool).await?, "soup");
    assert_eq!(dearest(&mut *conn).await?, "soup");
    assert_eq!(dearest(&mut *tx).await?, "soup");
    Ok(())
}

async fn order<'a, A>(db: A, name: &str) -> sqlx::Result<Id>
where
    A: sqlx::Acquire<'a, Database = Db>,
{
    let mut conn = db.acquire().await?;
    let dish: i64 = sqlx::query_scalar(ID_BY_NAME)
        .bind(name)
        .fetch_one(&mut *conn)
        .await?;
    driver::insert_order(&mut conn, dish).await
}

async fn rename<'a, A>(db: A, from: &str, to: &str) -> sqlx::Result<u64>
where
    A: sqlx::Acquire<'a, Database = Db>,
{
    let mut tx = db.begin().await?;
    let done = sqlx::query(RENAME)
        .bind(to)
        .bind(from)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

async fn functions_take_anything_to_acquire_from(pool: &DbPool) -> Checked {
    let mut conn = pool.acquire().await?;
    assert_eq!(order(pool, "soup").await?, 1);
    assert_eq!(order(&mut conn, "soup").await?, 2);
    assert_eq!(order(&mut *conn, "soup").await?, 3);

    assert_eq!(rename(pool, "soup", "broth").await?, 1);
    assert_eq!(rename(&mut conn, "broth", "stew").await?, 1);
    assert_eq!(rename(&mut *conn, "stew", "soup").await?, 1);

    let mut tx = pool.begin().await?;
    assert_eq!(order(&mut tx, "soup").await?, 4);
    assert_eq!(order(&mut *tx, "soup").await?, 5);
    assert_eq!(rename(&mut tx, "soup", "broth").await?, 1);
    assert_eq!(rename(&mut *tx, "broth", "stew").await?, 1);
    tx.rollback().await?;
    assert_eq!(dearest(pool).await?, "soup");
    Ok(())
}

/// A function that imports the trait as it imports the pool.
async fn reprice<'a, A>(db: A, name: &str, price: Price) -> sqlx::Result<String>
where
    A: Acquire<'a, Database = Db> + Send,
{
    let mut conn = db.acquire().await?;
    sqlx::query(SET_PRICE)
        .bind(price)
        .bind(name)
        .execute(&mut *conn)
        .await?;
    dearest(&mut *conn).await
}

async fn reprice_all<'a>(db: impl Acquire<'a, Database = Db>, price: Price) -> sqlx::Result<()> {
    let mut tx = db.begin().await?;
    sqlx::query(SET_PRICES).bind(price).execute(&mut *tx).await?;
    tx.rollback().await
}

async fn functions_import_the_trait_to_acquire(pool: &DbPool) -> Checked {
    let mut conn = pool.acquire().await?;
    assert_eq!(reprice(pool, "cake", 350).await?, "soup");
    assert_eq!(reprice(&mut conn, "cake", 350).await?, "soup");
    assert_eq!(reprice(&mut *conn, "cake", 350).await?, "soup");
    reprice_all(pool, 1).await?;
    reprice_all(&mut conn, 1).await?;
    reprice_all(&mut *conn, 1).await?;
    let mut tx = pool.begin().await?;
    reprice_all(&mut tx, 1).await?;
    assert_eq!(reprice(&mut tx, "cake", 900).await?, "cake");
    tx.rollback().await?;
    assert_eq!(dearest(pool).await?, "soup");
    Ok(())
}

async fn set_price(conn: &mut DbConnection, name: &str, price: Price) -> sqlx::Result<()> {
    sqlx::query(SET_PRICE)
        .bind(price)
        .bind(name)
        .execute(&mut *conn)
        .await?;
    Ok(())
}

#[allow(clippy::explicit_auto_deref, reason = "applications write both")]
async fn functions_take_the_driver_connection(pool: &DbPool) -> Checked {
    let mut conn = pool.acquire().await?;
    set_price(&mut conn, "cake", 360).await?;
    set_price(&mut *conn, "cake", 370).await?;
    let raw: &mut DbConnection = &mut conn;
    set_price(raw, "cake", 380).await?;

    let mut tx = pool.begin().await?;
    set_price(&mut tx, "cake", 390).await?;
    set_price(&mut *tx, "cake", 400).await?;
    tx.commit().await?;

    let price: Price = sqlx::query_scalar("SELECT price FROM dishes WHERE name = 'cake'")
        .fetch_one(pool)
        .await?;
    assert_eq!(price, 400);
    Ok(())
}

#[derive(Clone, Debug)]
struct Bakery {
    pool: DbPool,
}

impl Bakery {
    async fn dishes(&self) -> sqlx::Result<Vec<Dish>> {
        sqlx::query_as("SELECT * FROM dishes ORDER BY id")
            .fetch_all(&self.pool)
            .await
    }

    async fn transaction(&self) -> sqlx::Result<DbTransaction<'static>> {
        self.pool.begin().await
    }

    fn pool(&self) -> &Pool<Db> {
        &self.pool
    }
}

async fn applications_hold_a_pool(pool: &DbPool) -> Checked {
    let bakery = Bakery { pool: pool.clone() };
    assert!(format!("{:?}", bakery.clone()).contains("Pool"));
    assert_eq!(bakery.dishes().await?.len(), 3);
    assert_eq!(count(bakery.pool()).await?, 3);

    let mut tx = bakery.transaction().await?;
    add(&mut tx, "tea").await?;
    tx.rollback().await?;
    Ok(())
}

async fn tasks_share_a_pool(pool: &DbPool) -> Checked {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let pool = pool.clone();
        tasks.spawn(async move {
            let mut tx = pool.begin().await?;
            let inside = count(&mut *tx).await?;
            tx.commit().await?;
            let mut conn = pool.acquire().await?;
            set_price(&mut conn, "bread", 200).await?;
            let read = sqlx::query("SELECT * FROM dishes")
                .fetch(&mut *conn)
                .count()
                .await;
            assert_eq!(read, 3);
            drop(conn);
            order(&pool, "bread").await?;
            rename(&pool, "bread", "bread").await?;
            Ok::<i64, sqlx::Error>(inside + count(&pool).await?)
        });
    }
    while let Some(counted) = tasks.join_next().await {
        assert_eq!(counted.unwrap()?, 6);
    }
    Ok(())
}
