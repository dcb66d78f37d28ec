// Opening pools.

use super::driver::{Db, DbConnectOptions, NOT_A_URL};
use super::imports::{DbPool, DbPoolOptions};
use super::menu::{count, fill_menu};
use crate::Checked;

pub async fn all(pool: &DbPool, url: &str) -> Checked {
    fill_menu(pool).await?;
    pools_are_made_in_many_ways(url).await?;
    ordinary_pools_convert(url).await?;
    Ok(())
}

async fn pools_are_made_in_many_ways(url: &str) -> Checked {
    let options: DbConnectOptions = url.parse()?;
    let pools: [DbPool; 8] = [
        DbPool::connect(url).await?,
        DbPool::connect_with(options.clone()).await?,
        DbPool::connect_lazy(url)?,
        DbPool::connect_lazy_with(options.clone()),
        DbPoolOptions::new().connect(url).await?,
        DbPoolOptions::new().connect_with(options.clone()).await?,
        DbPoolOptions::new().connect_lazy(url)?,
        DbPoolOptions::new().connect_lazy_with(options),
    ];
    for pool in pools {
        assert_eq!(count(&pool).await?, 3);
        pool.close().await;
    }
    assert!(DbPool::connect_lazy(NOT_A_URL).is_err());
    Ok(())
}

/// A `#[sqlx::test]` function is given sqlx's own pool, and converts it like this. (Such a test
/// reads `DATABASE_URL` from the environment, so this one makes its pool itself.)
#[allow(clippy::useless_conversion, reason = "sqlx has one type for both")]
async fn ordinary_pools_convert(url: &str) -> Checked {
    let given: sqlx::Pool<Db> = sqlx::Pool::connect(url).await?;
    let pool: DbPool = given.into();
    assert_eq!(count(&pool).await?, 3);
    Ok(())
}
