// Holding, building and closing pools.

use super::imports::{
    AsyncDieselConnectionManager, AsyncPgConnection, ManagerConfig, Object, Pool, PoolError,
    RecyclingMethod,
};
use super::model::*;
use crate::Checked;
use diesel_async::AsyncConnection;
use futures_util::FutureExt;

pub async fn all(pool: Pool<AsyncPgConnection>, url: &str) -> Checked {
    applications_hold_a_pool(pool.clone()).await?;
    pools_are_made_in_many_ways(url).await?;
    pools_close(pool).await
}

/// The state through which an application's handlers get a connection.
#[derive(Clone)]
struct Application {
    pool: Pool<AsyncPgConnection>,
}

impl Application {
    async fn conn(&self) -> Result<Object<AsyncPgConnection>, PoolError> {
        self.pool.get().await
    }
}

async fn applications_hold_a_pool(pool: Pool<AsyncPgConnection>) -> Checked {
    let application = Application { pool };
    let requests = (0..8).map(|_| {
        let application = application.clone();
        tokio::spawn(async move {
            let mut conn = application.conn().await.expect("a connection");
            conn.transaction(async |conn| find(conn, "Bob").await).await
        })
    });
    for request in requests.collect::<Vec<_>>() {
        assert!(request.await??.is_some());
    }
    let status = application.pool.status();
    assert_eq!((status.max_size, status.waiting), (4, 0));

    let conn = application.conn().await?;
    assert!(Object::metrics(&conn).recycled.is_some());
    let size = application.pool.status().size;
    drop(Object::take(conn));
    assert_eq!(application.pool.status().size, size - 1);
    Ok(())
}

async fn pools_are_made_in_many_ways(url: &str) -> Checked {
    // The type of the pool is inferred from its manager.
    let config = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
    let pool = Pool::builder(config).build()?;
    assert_eq!(generic_count(&mut pool.get().await?).await?, 4);

    // The type of the manager is inferred from the pool,
    let config = AsyncDieselConnectionManager::new(url);
    let pool: Pool<AsyncPgConnection> = Pool::builder(config).build()?;
    assert_eq!(generic_count(&mut pool.get().await?).await?, 4);

    // and the type of a configuration from the manager.
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(|url| diesel_async::AsyncPgConnection::establish(url).boxed());
    let config = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
    let pool = Pool::builder(config).build()?;
    assert_eq!(generic_count(&mut pool.get().await?).await?, 4);

    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::CustomQuery("SELECT 2".into());
    let config = AsyncDieselConnectionManager::new_with_config(url, config);
    let pool = Pool::<AsyncPgConnection>::builder(config).build()?;
    assert_eq!(generic_count(&mut pool.get().await?).await?, 4);

    let mut config = ManagerConfig::<AsyncPgConnection>::default();
    config.recycling_method = RecyclingMethod::<AsyncPgConnection>::Verified;
    let config = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
    let pool: Pool<AsyncPgConnection> = Pool::builder(config)
        .max_size(1)
        .wait_timeout(Some(std::time::Duration::ZERO))
        .runtime(deadpool::Runtime::Tokio1)
        .build()?;
    let conn = pool.get().await?;
    assert!(matches!(pool.get().await, Err(PoolError::Timeout(_))));
    drop(conn);
    assert_eq!(generic_count(&mut pool.get().await?).await?, 4);

    let nowhere = AsyncDieselConnectionManager::<AsyncPgConnection>::new("postgres://localhost:1");
    let pool = Pool::<AsyncPgConnection>::builder(nowhere).build()?;
    assert!(matches!(pool.get().await, Err(PoolError::Backend(_))));
    Ok(())
}

async fn pools_close(pool: Pool<AsyncPgConnection>) -> Checked {
    pool.resize(2);
    assert_eq!(pool.status().max_size, 2);
    pool.close();
    assert!(pool.is_closed());
    assert!(matches!(pool.get().await, Err(PoolError::Closed)));
    Ok(())
}
