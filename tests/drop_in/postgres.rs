//! The application with PostgreSQL, on sqlx's pools and on fusepool's.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

use crate::Checked;
use crate::support::postgres::Postgres;

mod driver;

mod on_sqlx {
    mod imports {
        pub use sqlx::Acquire;
        pub use sqlx::pool::{Pool, PoolConnection, PoolOptions};
        pub use sqlx::postgres::PgPoolOptions as DbPoolOptions;
        pub use sqlx::{PgPool as DbPool, PgTransaction as DbTransaction, Transaction};
    }
    mod particular {
        include!("postgres/particular.rs");
    }
    include!("application.rs");
}

mod on_fusepool {
    mod imports {
        pub use fusepool::sqlx::{
            Acquire, PgPool as DbPool, PgPoolOptions as DbPoolOptions,
            PgTransaction as DbTransaction, Pool, PoolConnection, PoolOptions, Transaction,
        };
    }
    mod particular {
        include!("postgres/particular.rs");
    }
    include!("application.rs");
}

/// What an open breaker refuses, although the driver's trait is used.
#[tokio::test]
async fn copies_and_acquired_connections_are_guarded() -> Checked {
    use fusepool::sqlx::{Acquire, PgPool};
    use sqlx::postgres::PgPoolCopyExt;

    let server = Postgres::start().await;
    let pool = PgPool::connect(&server.url()).await?;
    let mut conn = Acquire::acquire(&pool).await?;
    let _open = pool.gate().breaker().force_open();
    let refused = sqlx::query("SELECT 1").execute(&mut *conn).await;
    assert!(refused.is_err_and(|error| fusepool::refusal(&error).is_some()));
    let refused = pool.copy_out_raw("COPY (SELECT 1) TO STDOUT").await;
    assert!(refused.is_err_and(|error| fusepool::refusal(&error).is_some()));
    let refused = Acquire::begin(&pool).await;
    assert!(refused.is_err_and(|error| fusepool::refusal(&error).is_some()));
    Ok(())
}

/// An empty database on the server: its URL.
async fn database(server: &Postgres, name: &str) -> sqlx::Result<String> {
    let options: PgConnectOptions = server.url().parse()?;
    let mut conn = options.connect().await?;
    for sql in [
        format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        format!("CREATE DATABASE {name}"),
    ] {
        conn.execute(AssertSqlSafe(sql)).await?;
    }
    Ok(options.database(name).to_url_lossy().into())
}

#[tokio::test]
async fn sqlx_does_all() -> Checked {
    let server = Postgres::start().await;
    let url = database(&server, "drop_in_sqlx").await?;
    on_sqlx::all(&url).await
}

#[tokio::test]
async fn fusepool_does_all() -> Checked {
    let server = Postgres::start().await;
    let url = database(&server, "drop_in_fusepool").await?;
    on_fusepool::all(&url).await
}
