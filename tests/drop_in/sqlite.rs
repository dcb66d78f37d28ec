//! The application with SQLite, on sqlx's pools and on fusepool's.

use std::path::PathBuf;

use crate::Checked;

mod driver;

mod on_sqlx {
    mod imports {
        pub use sqlx::Acquire;
        pub use sqlx::pool::{Pool, PoolConnection, PoolOptions};
        pub use sqlx::sqlite::SqlitePoolOptions as DbPoolOptions;
        pub use sqlx::{SqlitePool as DbPool, SqliteTransaction as DbTransaction, Transaction};
    }
    mod particular {
        include!("sqlite/particular.rs");
    }
    include!("application.rs");
}

mod on_fusepool {
    mod imports {
        pub use fusepool::sqlx::{
            Acquire, Pool, PoolConnection, PoolOptions, SqlitePool as DbPool,
            SqlitePoolOptions as DbPoolOptions, SqliteTransaction as DbTransaction, Transaction,
        };
    }
    mod particular {
        include!("sqlite/particular.rs");
    }
    include!("application.rs");
}

/// A directory for one database file, removed when dropped.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{name}_{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path)
    }

    pub fn url(&self) -> String {
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
    on_sqlx::all(&directory.url()).await
}

#[tokio::test]
async fn fusepool_does_all() -> Checked {
    let directory = Directory::new("drop_in_fusepool");
    on_fusepool::all(&directory.url()).await
}
