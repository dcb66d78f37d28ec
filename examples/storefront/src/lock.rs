//! An outage of an SQLite database: a connection locks its file, as a long write would.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Executor};

/// No other connection can read or write the file while this connection exists.
pub(crate) async fn lock(file: &Path) -> sqlx::Result<SqliteConnection> {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await?;
    connection.execute("BEGIN EXCLUSIVE").await?;
    Ok(connection)
}
