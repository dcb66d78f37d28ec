//! Ordinary diesel-async code, compiled and run twice: against diesel-async's pools, and against
//! fusepool's.
//!
//! `diesel/postgres.rs` and `diesel/mysql.rs` are applications that use diesel-async with that driver.
//! The module `imports` is the only difference.

use crate::Checked;
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

mod postgres_on_diesel {
    mod imports {
        pub use diesel_async::pg::TransactionBuilder;
        pub use diesel_async::pooled_connection::deadpool::{Object, Pool, PoolError};
        pub use diesel_async::pooled_connection::{
            AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
        };
        pub use diesel_async::{self as library, AsyncPgConnection};
        pub type Transactions<'c> = TransactionBuilder<'c, AsyncPgConnection>;
    }
    include!("diesel/postgres.rs");
}

mod postgres_on_fusepool {
    mod imports {
        pub use fusepool::deadpool::diesel::{
            self as library, AsyncDieselConnectionManager, AsyncPgConnection, ManagerConfig,
            Object, Pool, PoolError, RecyclingMethod, TransactionBuilder as Transactions,
        };
    }
    include!("diesel/postgres.rs");
}

mod mysql_on_diesel {
    mod imports {
        pub use diesel_async::AsyncMysqlConnection;
        pub use diesel_async::pooled_connection::AsyncDieselConnectionManager;
        pub use diesel_async::pooled_connection::deadpool::Pool;
    }
    include!("diesel/mysql.rs");
}

mod mysql_on_fusepool {
    mod imports {
        pub use fusepool::deadpool::diesel::{
            AsyncDieselConnectionManager, AsyncMysqlConnection, Pool,
        };
    }
    include!("diesel/mysql.rs");
}

/// Spawns the application, like a request handler: all of it must be `Send`.
async fn spawned(application: impl Future<Output = Checked> + Send + 'static) -> Checked {
    tokio::spawn(application).await?
}

#[tokio::test]
async fn diesel_does_all_on_postgres() -> Checked {
    let server = Postgres::start().await;
    spawned(postgres_on_diesel::all(server.url())).await
}

#[tokio::test]
async fn fusepool_does_all_on_postgres() -> Checked {
    let server = Postgres::start().await;
    spawned(postgres_on_fusepool::all(server.url())).await
}

/// Two pools can be told apart, and connections outside of a pool take no number.
#[tokio::test]
async fn pools_have_different_names() -> Checked {
    use fusepool::deadpool::diesel::pooled_connection::AsyncDieselConnectionManager;
    use fusepool::deadpool::diesel::{AsyncConnection, AsyncPgConnection, Pool};

    let server = Postgres::start().await;
    let pool = || {
        let manager = AsyncDieselConnectionManager::<AsyncPgConnection>::new(server.url());
        Pool::builder(manager).build()
    };
    let (one, _alone) = (pool()?, AsyncPgConnection::establish(&server.url()).await?);
    let other = pool()?;
    let name = |pool: &Pool<AsyncPgConnection>| pool.gate().breaker().name().to_string();
    assert!(name(&one).starts_with("diesel"), "{}", name(&one));
    assert_ne!(name(&one), name(&other));
    Ok(())
}

#[tokio::test]
async fn diesel_does_all_on_mysql() -> Checked {
    let server = MariaDb::start().await;
    spawned(mysql_on_diesel::all(server.url())).await
}

#[tokio::test]
async fn fusepool_does_all_on_mysql() -> Checked {
    let server = MariaDb::start().await;
    spawned(mysql_on_fusepool::all(server.url())).await
}
