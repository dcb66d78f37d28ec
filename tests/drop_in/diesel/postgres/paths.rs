// The paths of the crate, and connections outside of a pool. With fusepool, `library` is its module.

use super::imports::library;
use super::model::generic_count;
use crate::Checked;
use diesel::prelude::*;
use futures_util::FutureExt;
use library::pooled_connection::deadpool::{Hook, HookError, Object, Pool, PoolError};
use library::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use library::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use tokio_postgres::NoTls;

pub async fn all(url: &str) -> Checked {
    connections_are_opened_alone(url).await?;
    connections_are_made_of_the_drivers(url).await?;
    functions_take_a_shared_connection(url).await?;
    pools_have_hooks(url).await?;
    Ok(())
}

async fn rename_and_back(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    conn.begin_test_transaction().await?;
    diesel::sql_query("UPDATE users SET age = 1").execute(conn).await?;
    generic_count(conn).await
}

async fn connections_are_opened_alone(url: &str) -> Checked {
    let mut conn = AsyncPgConnection::establish(url).await?;
    assert_eq!(rename_and_back(&mut conn).await?, 4);
    drop(conn);
    assert!(AsyncPgConnection::establish("postgres://localhost:1").await.is_err());
    Ok(())
}

async fn connections_are_made_of_the_drivers(url: &str) -> Checked {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let conn = AsyncPgConnection::try_from_client_and_connection(client, connection).await;
    assert_eq!(rename_and_back(&mut conn?).await?, 4);

    // A function that must return the application's connection, and has the driver's.
    let conn = diesel_async::AsyncPgConnection::establish(url).await?;
    #[allow(clippy::useless_conversion, reason = "diesel-async has one type for both")]
    let mut conn: AsyncPgConnection = conn.into();
    conn.batch_execute("SELECT 1").await?;
    let failed = conn
        .build_transaction()
        .run(async |conn| {
            diesel::sql_query("UPDATE users SET age = 1").execute(conn).await?;
            Err::<(), _>(diesel::result::Error::RollbackTransaction)
        })
        .await;
    assert_eq!(failed, Err(diesel::result::Error::RollbackTransaction));
    assert_eq!(generic_count(&mut conn).await?, 4);
    Ok(())
}

/// Runs two statements at the same time on one connection.
async fn two_at_once(mut conn: &AsyncPgConnection) -> QueryResult<(usize, usize)> {
    let mut other = conn;
    let one = diesel::sql_query("SELECT 1").execute(&mut conn);
    let two = diesel::sql_query("SELECT 2").execute(&mut other);
    tokio::try_join!(one, two)
}

async fn functions_take_a_shared_connection(url: &str) -> Checked {
    let config = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
    let pool: Pool<AsyncPgConnection> = Pool::builder(config).max_size(1).build()?;
    let conn: Object<AsyncPgConnection> = pool.get().await?;
    assert_eq!(two_at_once(&conn).await?, (1, 1));
    let conn = AsyncPgConnection::establish(url).await?;
    assert_eq!(two_at_once(&conn).await?, (1, 1));
    Ok(())
}

async fn pools_have_hooks(url: &str) -> Checked {
    let mut config = ManagerConfig::<AsyncPgConnection>::default();
    config.recycling_method = RecyclingMethod::Fast;
    let config = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
    let setup = Hook::async_fn(|conn: &mut diesel_async::AsyncPgConnection, _| {
        async {
            let set = conn.batch_execute("SET application_name = 'bakery'").await;
            set.map_err(|error| HookError::message(error.to_string()))
        }
        .boxed()
    });
    let pool: Pool<AsyncPgConnection> = Pool::builder(config).post_create(setup).build()?;
    let conn: Result<_, PoolError> = pool.get().await;
    assert_eq!(generic_count(&mut conn?).await?, 4);
    Ok(())
}
