//! The application with SeaORM, on its own connection and on fusepool's, with each database.

use std::time::Duration;

use fusepool::refusal;
use fusepool::sqlx::sea_orm::postgres;
use sea_orm::{ConnectionTrait, DbErr, Statement};

use crate::Checked;
use crate::sqlite::Directory;
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

mod on_sea_orm {
    mod imports {
        pub use sea_orm::{ConnectOptions, Database, DatabaseConnection, DatabaseTransaction};
    }
    include!("sea_orm/application.rs");
}

mod on_postgres {
    mod imports {
        pub use fusepool::sqlx::sea_orm::postgres::{
            ConnectOptions, Database, DatabaseConnection, DatabaseTransaction,
        };
    }
    include!("sea_orm/application.rs");
}

mod on_mysql {
    mod imports {
        pub use fusepool::sqlx::sea_orm::mysql::{
            ConnectOptions, Database, DatabaseConnection, DatabaseTransaction,
        };
    }
    include!("sea_orm/application.rs");
}

mod on_sqlite {
    mod imports {
        pub use fusepool::sqlx::sea_orm::sqlite::{
            ConnectOptions, Database, DatabaseConnection, DatabaseTransaction,
        };
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

/// Sets the options that only PostgreSQL has, with the one or the other `ConnectOptions`.
macro_rules! options_of_postgres {
    ($options:ty, $url:expr) => {{
        let mut options = <$options>::new($url);
        options
            .set_application_name("menu")
            .set_schema_search_path("kitchen,public")
            .statement_timeout(Duration::from_secs(7));
        options
    }};
}

async fn settings(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let mut settings = Vec::new();
    for name in [
        "application_name",
        "search_path",
        "statement_timeout",
        "lock_timeout",
    ] {
        let query = Statement::from_string(db.get_database_backend(), format!("SHOW {name}"));
        let row = db.query_one_raw(query).await?.expect("a setting");
        settings.push(row.try_get_by_index(0)?);
    }
    Ok(settings)
}

#[tokio::test]
async fn options_of_postgres_mean_the_same() -> Checked {
    let server = Postgres::start().await;
    let mut options = options_of_postgres!(sea_orm::ConnectOptions, server.url());
    options.map_sqlx_postgres_opts(|options| options.options([("lock_timeout", "3s")]));
    let expected = settings(&sea_orm::Database::connect(options).await?).await?;
    assert_eq!(expected, ["menu", "kitchen, public", "7s", "3s"]);
    let mut options = options_of_postgres!(postgres::ConnectOptions, server.url());
    options
        .map_driver_options(|options| options.options([("lock_timeout", "3s")]))
        .map_pool_options(|options| options.max_connections(3));
    let db = postgres::Database::connect(options).await?;
    assert_eq!(settings(&db).await?, expected);
    assert_eq!(db.options().get_max_connections(), 3);
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_of_sea_orm() -> Checked {
    let url = "postgres://127.0.0.1:1/menu?connect_timeout=1";
    let mut options = postgres::ConnectOptions::new(url);
    options.acquire_timeout(Duration::from_millis(300));
    let error = postgres::Database::connect(options.clone())
        .await
        .expect_err("no server");
    assert!(
        matches!(error, DbErr::ConnectionAcquire(_) | DbErr::Conn(_)),
        "{error:?}"
    );

    // Without a connection at first, its calls fail, and are refused when the breaker has opened.
    let db = postgres::Database::connect(options.connect_lazy(true).clone()).await?;
    let mut last = db.ping().await.expect_err("no server");
    for _ in 0..20 {
        last = db.ping().await.expect_err("no server");
    }
    assert!(refusal(&last).is_some(), "{last:?}");
    Ok(())
}

#[tokio::test]
async fn a_url_of_another_driver_is_an_error_without_the_password() {
    for url in ["mysql://root:secret@localhost/menu", "secret", ""] {
        let error = postgres::Database::connect(url)
            .await
            .expect_err("not PostgreSQL's");
        assert!(matches!(error, DbErr::Conn(_)), "{url}: {error:?}");
        assert!(
            !format!("{error} {error:?}").contains("secret"),
            "{error:?}"
        );
    }
}
