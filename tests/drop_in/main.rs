//! Ordinary sqlx code, compiled and run twice: against sqlx, and against `fusepool::sqlx`.
//!
//! `drop_in/postgres.rs`, `mysql.rs` and `sqlite.rs` each read like an application that uses sqlx
//! with that driver; `pool.rs` is what is the same with all three. They name the pool's types only
//! through `imports`, which is the one thing that differs between the two halves. Whatever is no
//! pool type (queries, rows, traits, macros) comes from sqlx in both.
//!
//! The `query!` macros read what they know of the tables from `.sqlx/` in the crate's root, so
//! building needs no database and no environment. Leave `DATABASE_URL` unset, or set
//! `SQLX_OFFLINE=true`. After changing a macro's query or a migration, write `.sqlx/` anew. Each
//! driver is compiled alone, with a database of its own that has the migrations:
//!
//! ```sh
//! export SQLX_OFFLINE_DIR="$PWD/.sqlx"; rm -rf "$SQLX_OFFLINE_DIR"; mkdir "$SQLX_OFFLINE_DIR"
//! prepare() {  # a driver, and the URL of its database
//!     touch tests/drop_in/main.rs
//!     DATABASE_URL="$2" SQLX_OFFLINE=false \
//!         cargo check --test drop_in --no-default-features --features "$1"
//! }
//!
//! createdb drop_in
//! cat migrations/postgres/*.sql | psql drop_in
//! prepare sqlx-postgres postgres://localhost/drop_in
//!
//! mariadb -e 'CREATE DATABASE drop_in'
//! cat migrations/mysql/*.sql | mariadb drop_in
//! prepare sqlx-mysql mysql://localhost/drop_in
//!
//! cat migrations/sqlite/*.sql | sqlite3 /tmp/drop_in.db
//! prepare sqlx-sqlite sqlite:///tmp/drop_in.db
//! ```
//!
//! (`cargo sqlx prepare` knows one database at a time, and removes the others' files.) The files
//! are named after the text of the query alone, so no two drivers may share one.

#![allow(unreachable_pub, reason = "modules stand in for crates here")]

#[cfg(all(feature = "deadpool-postgres", feature = "sqlx-postgres"))]
mod deadpool;
#[cfg(all(
    feature = "diesel-postgres",
    feature = "diesel-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-mysql"
))]
mod diesel;
#[path = "../support/mod.rs"]
mod support;

use std::panic::Location;
use std::time::Duration;

/// What a use of a pool comes to: nothing, or an error and where it was met.
type Checked = Result<(), Failure>;

#[derive(Debug)]
#[expect(dead_code, reason = "read by Debug, when a test fails")]
struct Failure {
    error: String,
    at: &'static Location<'static>,
}

impl<E: std::error::Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self {
            error: format!("{error:?}"),
            at: Location::caller(),
        }
    }
}

/// A connection goes back to its pool in the background, with sqlx as with fusepool: before asking for
/// one without waiting, wait.
async fn one_is_idle(num_idle: impl Fn() -> usize) {
    let idle = async {
        while num_idle() == 0 {
            tokio::task::yield_now().await;
        }
    };
    let bound = Duration::from_secs(10);
    tokio::time::timeout(bound, idle)
        .await
        .expect("a connection goes back");
}

#[cfg(feature = "sqlx-postgres")]
mod postgres_on_sqlx {
    mod imports {
        pub use sqlx::pool::{Pool, PoolConnection, PoolOptions};
        pub use sqlx::postgres::PgPoolOptions;
        pub use sqlx::{PgPool, PgTransaction, Transaction};
        pub type Db = sqlx::Postgres;
    }
    include!("postgres.rs");
    pub mod pool {
        use super::imports;
        include!("pool.rs");
    }
}

#[cfg(feature = "sqlx-postgres")]
mod postgres_on_fusepool {
    mod imports {
        pub use fusepool::sqlx::{
            PgPool, PgPoolOptions, PgTransaction, Pool, PoolConnection, PoolOptions, Transaction,
        };
        pub type Db = sqlx::Postgres;
    }
    include!("postgres.rs");
    pub mod pool {
        use super::imports;
        include!("pool.rs");
    }
}

#[cfg(feature = "sqlx-mysql")]
mod mysql_on_sqlx {
    mod imports {
        pub use sqlx::mysql::MySqlPoolOptions;
        pub use sqlx::pool::{Pool, PoolConnection, PoolOptions};
        pub use sqlx::{MySqlPool, MySqlTransaction, Transaction};
        pub type Db = sqlx::MySql;
    }
    include!("mysql.rs");
    pub mod pool {
        use super::imports;
        include!("pool.rs");
    }
}

#[cfg(feature = "sqlx-mysql")]
mod mysql_on_fusepool {
    mod imports {
        pub use fusepool::sqlx::{
            MySqlPool, MySqlPoolOptions, MySqlTransaction, Pool, PoolConnection, PoolOptions,
            Transaction,
        };
        pub type Db = sqlx::MySql;
    }
    include!("mysql.rs");
    pub mod pool {
        use super::imports;
        include!("pool.rs");
    }
}

#[cfg(feature = "sqlx-sqlite")]
mod sqlite_on_sqlx {
    mod imports {
        pub use sqlx::pool::{Pool, PoolConnection, PoolOptions};
        pub use sqlx::sqlite::SqlitePoolOptions;
        pub use sqlx::{SqlitePool, SqliteTransaction, Transaction};
        pub type Db = sqlx::Sqlite;
    }
    include!("sqlite.rs");
    pub mod pool {
        use super::imports;
        include!("pool.rs");
    }
}

#[cfg(feature = "sqlx-sqlite")]
mod sqlite_on_fusepool {
    mod imports {
        pub use fusepool::sqlx::{
            Pool, PoolConnection, PoolOptions, SqlitePool, SqlitePoolOptions, SqliteTransaction,
            Transaction,
        };
        pub type Db = sqlx::Sqlite;
    }
    include!("sqlite.rs");
    pub mod pool {
        use super::imports;
        include!("pool.rs");
    }
}

#[cfg(feature = "sqlx-postgres")]
mod on_postgres {
    use sqlx::postgres::PgConnectOptions;
    use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

    use super::support::postgres::Postgres;
    use super::{Checked, postgres_on_fusepool, postgres_on_sqlx};

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
        postgres_on_sqlx::all(&url).await?;
        postgres_on_sqlx::pool::all(&url).await
    }

    #[tokio::test]
    async fn fusepool_does_all() -> Checked {
        let server = Postgres::start().await;
        let url = database(&server, "drop_in_fusepool").await?;
        postgres_on_fusepool::all(&url).await?;
        postgres_on_fusepool::pool::all(&url).await
    }
}

#[cfg(feature = "sqlx-mysql")]
mod on_mysql {
    use sqlx::mysql::MySqlConnectOptions;
    use sqlx::{AssertSqlSafe, ConnectOptions, Executor};

    use super::support::mariadb::MariaDb;
    use super::{Checked, mysql_on_fusepool, mysql_on_sqlx};

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
        mysql_on_sqlx::all(&url).await?;
        mysql_on_sqlx::pool::all(&url).await
    }

    #[tokio::test]
    async fn fusepool_does_all() -> Checked {
        let server = MariaDb::start().await;
        let url = database(&server, "drop_in_fusepool").await?;
        mysql_on_fusepool::all(&url).await?;
        mysql_on_fusepool::pool::all(&url).await
    }
}

#[cfg(feature = "sqlx-sqlite")]
mod on_sqlite {
    use std::path::PathBuf;

    use super::{Checked, sqlite_on_fusepool, sqlite_on_sqlx};

    /// A directory for one database file, removed when dropped.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("{name}_{}", std::process::id()));
            std::fs::create_dir_all(&path).expect("the temporary directory is writable");
            Self(path)
        }

        fn url(&self) -> String {
            format!("sqlite://{}/drop_in.db?mode=rwc", self.0.display())
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn sqlx_does_all() -> Checked {
        let directory = Directory::new("drop_in_sqlx");
        sqlite_on_sqlx::all(&directory.url()).await?;
        sqlite_on_sqlx::pool::all(&directory.url()).await
    }

    #[tokio::test]
    async fn fusepool_does_all() -> Checked {
        let directory = Directory::new("drop_in_fusepool");
        sqlite_on_fusepool::all(&directory.url()).await?;
        sqlite_on_fusepool::pool::all(&directory.url()).await
    }
}
