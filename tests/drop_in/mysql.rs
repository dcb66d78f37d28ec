//! The application with MySQL or MariaDB, on sqlx's pools and on fusepool's.

use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use crate::Checked;
use crate::support::mariadb::MariaDb;

mod driver;

mod on_sqlx {
    mod imports {
        pub use sqlx::Acquire;
        pub use sqlx::mysql::MySqlPoolOptions as DbPoolOptions;
        pub use sqlx::pool::{Pool, PoolConnection, PoolOptions};
        pub use sqlx::{MySqlPool as DbPool, MySqlTransaction as DbTransaction, Transaction};
    }
    mod particular {
        include!("mysql/particular.rs");
    }
    include!("application.rs");
}

mod on_fusepool {
    mod imports {
        pub use fusepool::sqlx::{
            Acquire, MySqlPool as DbPool, MySqlPoolOptions as DbPoolOptions,
            MySqlTransaction as DbTransaction, Pool, PoolConnection, PoolOptions, Transaction,
        };
    }
    mod particular {
        include!("mysql/particular.rs");
    }
    include!("application.rs");
}

/// An empty database on the server: its URL.
async fn database(server: &MariaDb, name: &str) -> sqlx::Result<String> {
    let options: MySqlConnectOptions = server.url().parse()?;
    let mut conn = options.connect().await?;
    for sql in [
        format!("DROP DATABASE IF EXISTS {name}"),
        format!("CREATE DATABASE {name}"),
    ] {
        conn.execute(AssertSqlSafe(sql)).await?;
    }
    Ok(options.database(name).to_url_lossy().into())
}

#[tokio::test]
async fn sqlx_does_all() -> Checked {
    let server = MariaDb::start().await;
    let url = database(&server, "drop_in_sqlx").await?;
    on_sqlx::all(&url).await
}

#[tokio::test]
async fn fusepool_does_all() -> Checked {
    let server = MariaDb::start().await;
    let url = database(&server, "drop_in_fusepool").await?;
    on_fusepool::all(&url).await
}
