//! The application with SeaORM, on its own connection and on fusepool's, with each database.

use crate::Checked;
use crate::sqlite::Directory;
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

mod on_sea_orm {
    mod imports {
        pub use sea_orm::{DatabaseConnection, DatabaseTransaction};

        pub async fn open(url: &str) -> Result<DatabaseConnection, sea_orm::DbErr> {
            sea_orm::Database::connect(url).await
        }
    }
    include!("sea_orm/application.rs");
}

mod on_postgres {
    mod imports {
        pub use fusepool::sqlx::sea_orm::postgres::{DatabaseConnection, DatabaseTransaction};

        pub async fn open(url: &str) -> Result<DatabaseConnection, sqlx::Error> {
            Ok(fusepool::sqlx::PgPool::connect(url).await?.into())
        }
    }
    include!("sea_orm/application.rs");
}

mod on_mysql {
    mod imports {
        pub use fusepool::sqlx::sea_orm::mysql::{DatabaseConnection, DatabaseTransaction};

        pub async fn open(url: &str) -> Result<DatabaseConnection, sqlx::Error> {
            Ok(fusepool::sqlx::MySqlPool::connect(url).await?.into())
        }
    }
    include!("sea_orm/application.rs");
}

mod on_sqlite {
    mod imports {
        pub use fusepool::sqlx::sea_orm::sqlite::{DatabaseConnection, DatabaseTransaction};

        pub async fn open(url: &str) -> Result<DatabaseConnection, sqlx::Error> {
            Ok(fusepool::sqlx::SqlitePool::connect(url).await?.into())
        }
    }
    include!("sea_orm/application.rs");
}

#[tokio::test]
async fn with_postgres() -> Checked {
    let server = Postgres::start().await;
    on_sea_orm::all(&server.url()).await?;
    on_postgres::all(&server.url()).await
}

#[tokio::test]
async fn with_mariadb() -> Checked {
    let server = MariaDb::start().await;
    on_sea_orm::all(&server.url()).await?;
    on_mysql::all(&server.url()).await
}

#[tokio::test]
async fn with_sqlite() -> Checked {
    let directory = Directory::new("drop_in_sea_orm");
    on_sea_orm::all(&directory.url()).await?;
    on_sqlite::all(&directory.url()).await
}
