//! An outage of an SQLite database: this process locks its file, as a long write would.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Executor};

/// Locks the file until `stop` ends.
pub(crate) async fn until(file: &Path, stop: impl Future<Output = ()>) -> sqlx::Result<()> {
    let lock = lock(file).await?;
    println!("Locked. Press Ctrl-C to unlock.");
    stop.await;
    lock.close().await
}

/// No other process can read or write the file while this connection exists.
pub(crate) async fn lock(file: &Path) -> sqlx::Result<SqliteConnection> {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await?;
    connection.execute("BEGIN EXCLUSIVE").await?;
    Ok(connection)
}
