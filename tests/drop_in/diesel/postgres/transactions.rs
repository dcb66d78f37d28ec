// Transactions of all kinds.

use super::imports::{AsyncPgConnection, Pool, Transactions};
use super::model::*;
use crate::Checked;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::Text;
use diesel_async::{AnsiTransactionManager, AsyncConnection, RunQueryDsl, TransactionManager};

pub async fn all(pool: &Pool<AsyncPgConnection>) -> Checked {
    transactions_commit_and_roll_back(pool).await?;
    transactions_are_nested(pool).await?;
    transactions_have_levels(pool).await?;
    transactions_are_managed_by_hand(pool).await?;
    transactions_are_for_tests(pool).await?;
    Ok(())
}

async fn transactions_commit_and_roll_back(pool: &Pool<AsyncPgConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let renamed = conn
        .transaction(async |conn| rename(conn, "Ada", "Lovelace").await)
        .await?;
    assert_eq!(renamed, 1);
    assert!(find(&mut conn, "Lovelace").await?.is_some());

    let undone = conn
        .transaction::<(), Error, _>(async |conn| {
            rename(conn, "Lovelace", "Byron").await?;
            assert!(find(conn, "Byron").await?.is_some());
            Err(Error::RollbackTransaction)
        })
        .await;
    assert_eq!(undone, Err(Error::RollbackTransaction));
    assert_eq!(find(&mut conn, "Byron").await?, None);

    // The application's own error.
    #[derive(Debug, PartialEq)]
    enum Refused {
        Because(&'static str),
        Diesel(String),
    }
    impl From<Error> for Refused {
        fn from(error: Error) -> Self {
            Self::Diesel(error.to_string())
        }
    }
    let refused = conn
        .transaction(async |conn| {
            rename(conn, "Lovelace", "Ada").await?;
            Err::<(), _>(Refused::Because("it is late"))
        })
        .await;
    assert_eq!(refused, Err(Refused::Because("it is late")));
    assert_eq!(rename(&mut conn, "Lovelace", "Ada").await?, 1);
    Ok(())
}

async fn transactions_are_nested(pool: &Pool<AsyncPgConnection>) -> Checked {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        rename(conn, "Bob", "Rob").await?;
        let inner = conn
            .transaction(async |conn| {
                rename(conn, "Rob", "Bert").await?;
                // Breaks the savepoint, but not the transaction.
                rename(conn, "Cid", "Bert").await
            })
            .await;
        assert!(matches!(
            inner,
            Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
        ));
        assert!(find(conn, "Rob").await?.is_some());
        let committed = conn
            .transaction(async |conn| rename(conn, "Rob", "Bob").await)
            .await?;
        assert_eq!(committed, 1);
        QueryResult::Ok(())
    })
    .await?;
    assert!(find(&mut conn, "Bob").await?.is_some());
    Ok(())
}

async fn transactions_have_levels(pool: &Pool<AsyncPgConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let level = conn
        .build_transaction()
        .serializable()
        .read_only()
        .deferrable()
        .run(async |conn| {
            diesel::dsl::sql::<Text>("SELECT current_setting('transaction_isolation')")
                .get_result::<String>(conn)
                .await
        })
        .await?;
    assert_eq!(level, "serializable");

    let transactions: Transactions<'_> = conn.build_transaction().repeatable_read();
    let undone = transactions
        .read_write()
        .not_deferrable()
        .run(async |conn| {
            rename(conn, "Bob", "Rob").await?;
            Err::<(), _>(Error::RollbackTransaction)
        })
        .await;
    assert_eq!(undone, Err(Error::RollbackTransaction));
    assert!(find(&mut conn, "Bob").await?.is_some());

    let written = conn
        .build_transaction()
        .read_only()
        .run(async |conn| rename(conn, "Bob", "Rob").await)
        .await;
    assert!(matches!(
        written,
        Err(Error::DatabaseError(
            DatabaseErrorKind::ReadOnlyTransaction,
            _
        ))
    ));
    Ok(())
}

async fn transactions_are_managed_by_hand(pool: &Pool<AsyncPgConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let conn: &mut AsyncPgConnection = &mut conn;
    AnsiTransactionManager::begin_transaction(conn).await?;
    rename(conn, "Bob", "Rob").await?;
    AnsiTransactionManager::begin_transaction(conn).await?;
    rename(conn, "Rob", "Bert").await?;
    AnsiTransactionManager::commit_transaction(conn).await?;
    AnsiTransactionManager::rollback_transaction(conn).await?;
    assert!(find(conn, "Bob").await?.is_some());
    let none = AnsiTransactionManager::commit_transaction(conn).await;
    assert!(matches!(none, Err(Error::NotInTransaction)));
    Ok(())
}

async fn transactions_are_for_tests(pool: &Pool<AsyncPgConnection>) -> Checked {
    let mut conn = pool.get().await?;
    conn.begin_test_transaction().await?;
    rename(&mut conn, "Bob", "Rob").await?;
    let inner = conn
        .transaction::<(), Error, _>(async |conn| {
            rename(conn, "Rob", "Bert").await?;
            Err(Error::RollbackTransaction)
        })
        .await;
    assert_eq!(inner, Err(Error::RollbackTransaction));
    assert!(find(&mut conn, "Rob").await?.is_some());
    AnsiTransactionManager::rollback_transaction(&mut *conn).await?;

    let renamed = conn
        .test_transaction::<_, Error, _>(async |conn| rename(conn, "Bob", "Rob").await)
        .await;
    assert_eq!(renamed, 1);
    assert!(find(&mut conn, "Bob").await?.is_some());
    Ok(())
}
