// Creates, fills and counts the application's tables.

use super::driver::{self, Db, DbExecutor, FILL_MENU, Price};
use super::imports::DbPool;
use crate::Checked;
use sqlx::Executor;

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Dish {
    pub id: i64,
    pub name: String,
    pub price: Price,
    pub note: Option<String>,
}

pub async fn migrations_run_on_the_pool(pool: &DbPool) -> Checked {
    let migrator = driver::migrator();
    migrator.run(pool).await?;
    migrator.run(&mut *pool.acquire().await?).await?;

    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations")
        .fetch_one(pool)
        .await?;
    assert_eq!(applied, 2);
    Ok(())
}

pub async fn fill_menu(pool: &DbPool) -> sqlx::Result<()> {
    sqlx::raw_sql(FILL_MENU).execute(pool).await?;
    Ok(())
}

pub async fn count<'e, E>(executor: E) -> sqlx::Result<i64>
where
    E: Executor<'e, Database = Db>,
{
    sqlx::query_scalar("SELECT count(*) FROM dishes")
        .fetch_one(executor)
        .await
}

pub async fn dearest(executor: impl DbExecutor<'_>) -> sqlx::Result<String> {
    sqlx::query_scalar("SELECT name FROM dishes ORDER BY price DESC")
        .fetch_one(executor)
        .await
}
