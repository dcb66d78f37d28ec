//! The error of a load, which all callers share that waited for it.

use fusepool::sqlx::{ReadExt, database_error};
use futures_util::future::join_all;
use sqlx::Error;
use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

use crate::kitchen::{Kind, Kitchen, MENU, Networked, SqliteFile};

/// Regression test: `try_downcast` panicked, because the two methods that it calls disagreed.
///
/// On one thread, all ten callers have joined before the load runs.
async fn is_that_of_the_driver<K: Kind, E: DatabaseError>() {
    let kitchen = Kitchen::<K>::open().await;
    kitchen.kind.run("ALTER TABLE dish RENAME TO gone").await;
    let read = || K::query(1).cached(&MENU).fetch_one(&kitchen.pool);
    let alone = read().await.map(|name| String::clone(&name)).unwrap_err();
    let (code, message) = said(&alone);
    for error in join_all((0..10).map(|_| read())).await {
        let error = error.unwrap_err();
        assert_eq!(said(&error), (code.clone(), message.clone()));
        let own = database_error::<E>(&error).expect("the driver's own error");
        assert_eq!(own.message(), message);
        assert_eq!(kitchen.pool.unanswered(&error), None);
        let Error::Database(error) = error else {
            panic!("{error:?}");
        };
        match error.try_downcast::<E>() {
            Ok(own) => assert_eq!(own.message(), message),
            Err(shared) => assert_eq!(shared.message(), message),
        }
    }
    assert_eq!(kitchen.loads(), 2, "ten callers shared one load");
}

fn said(error: &Error) -> (Option<String>, String) {
    let error = error.as_database_error().expect("an answer");
    (error.code().map(Into::into), error.message().to_owned())
}

#[tokio::test]
async fn is_that_of_the_driver_on_sqlite() {
    is_that_of_the_driver::<SqliteFile, SqliteError>().await;
}

#[tokio::test]
async fn is_that_of_the_driver_on_postgres() {
    is_that_of_the_driver::<Networked<sqlx::Postgres>, PgDatabaseError>().await;
}

#[tokio::test]
async fn is_that_of_the_driver_on_mariadb() {
    is_that_of_the_driver::<Networked<sqlx::MySql>, MySqlDatabaseError>().await;
}
