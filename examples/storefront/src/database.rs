//! Opens the pools, and creates the tables of the shop.

use std::path::Path;
use std::time::Duration;

use fusepool::Breaker;
use fusepool::sqlx::{Driver, PgPool, Pool, PoolOptions, SqlitePool};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

/// How long a visitor waits for a connection, and for an answer, until the breaker has opened.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) async fn sqlite(file: &Path) -> sqlx::Result<SqlitePool> {
    // No write-ahead log: with one, readers would ignore the writer's lock, which is the outage
    // in this example.
    let file = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        // Longer than the pool's timeout, so that the pool gives up first and tells its caller.
        .busy_timeout(2 * PATIENCE);
    set_up(options().connect_with(file).await?).await
}

pub(crate) async fn postgres(server: PgConnectOptions) -> sqlx::Result<PgPool> {
    set_up(options().connect_with(server).await?).await
}

fn options<DB: Driver>() -> PoolOptions<DB> {
    PoolOptions::new()
        .max_connections(8)
        .acquire_timeout(PATIENCE)
        .query_timeout(PATIENCE)
        .metrics()
        // A query of this shop takes a millisecond.
        .breaker(
            Breaker::builder()
                .name("shop")
                .slow_call_threshold(PATIENCE / 4),
        )
}

async fn set_up<DB: Driver>(pool: Pool<DB>) -> sqlx::Result<Pool<DB>> {
    let mut tx = pool.begin().await?;
    sqlx::raw_sql(include_str!("schema.sql"))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(pool)
}
