// Notifications and other properties of connections.

use super::imports::{AsyncPgConnection, Pool};
use super::model::*;
use crate::Checked;
use diesel::connection::InstrumentationEvent;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub async fn all(pool: &Pool<AsyncPgConnection>) -> Checked {
    errors_are_matched(pool).await?;
    connections_serialize(pool).await?;
    statements_are_watched(pool).await?;
    notifications_arrive(pool).await?;
    Ok(())
}

async fn errors_are_matched(pool: &Pool<AsyncPgConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let twice = rename(&mut conn, "Cid", "Bob").await;
    let Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, said)) = twice else {
        panic!("{twice:?}");
    };
    assert_eq!(said.constraint_name(), Some("users_name_key"));
    assert_eq!(said.table_name(), Some("users"));
    assert!(said.details().is_some());

    let orphan = NewPost {
        user_id: -1,
        title: "Whose?",
    };
    let orphan = diesel::insert_into(posts::table)
        .values(orphan)
        .execute(&mut conn)
        .await;
    assert_eq!(kind(orphan), DatabaseErrorKind::ForeignKeyViolation);
    let unborn = diesel::update(users::table)
        .set(users::age.eq(-1))
        .execute(&mut conn)
        .await;
    assert_eq!(kind(unborn), DatabaseErrorKind::CheckViolation);
    let nameless = diesel::sql_query("INSERT INTO users (name) VALUES (NULL)")
        .execute(&mut conn)
        .await;
    assert_eq!(kind(nameless), DatabaseErrorKind::NotNullViolation);
    let typo = diesel::sql_query("SELEC 1").execute(&mut conn).await;
    assert_eq!(kind(typo), DatabaseErrorKind::Unknown);
    assert_eq!(
        kind(conn.batch_execute("SELEC 1").await),
        DatabaseErrorKind::Unknown
    );

    let nobody = users::table.find(-1).first::<User>(&mut conn).await;
    assert_eq!(nobody, Err(Error::NotFound));
    let empty = diesel::sql_query("SELECT NULL::text AS name, 0::bigint AS posts");
    let undecodable = empty.load::<Count>(&mut conn).await;
    assert!(matches!(undecodable, Err(Error::DeserializationError(_))));
    Ok(())
}

fn kind<T: std::fmt::Debug>(result: QueryResult<T>) -> DatabaseErrorKind {
    match result {
        Err(Error::DatabaseError(kind, _)) => kind,
        other => panic!("{other:?}"),
    }
}

/// If two transactions read what the other writes, one gets a serialization failure.
async fn connections_serialize(pool: &Pool<AsyncPgConnection>) -> Checked {
    let (mut one, mut other) = (pool.get().await?, pool.get().await?);
    let loser = one
        .build_transaction()
        .serializable()
        .run(async |one| {
            generic_count(one).await?;
            other
                .build_transaction()
                .serializable()
                .run(async |other| {
                    generic_count(other).await?;
                    rename(other, "Cid", "Sid").await
                })
                .await?;
            rename(one, "Bob", "Rob").await
        })
        .await;
    assert_eq!(kind(loser), DatabaseErrorKind::SerializationFailure);
    assert!(find(&mut one, "Sid").await?.is_some());
    Ok(())
}

async fn statements_are_watched(pool: &Pool<AsyncPgConnection>) -> Checked {
    let finished = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&finished);
    let mut conn = pool.get().await?;
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::FinishQuery { .. } = event {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    });
    conn.transaction(async |conn| find(conn, "Bob").await)
        .await?;
    assert_eq!(AtomicUsize::load(&finished, Ordering::Relaxed), 3);
    Ok(())
}

async fn notifications_arrive(pool: &Pool<AsyncPgConnection>) -> Checked {
    let mut conn = pool.get().await?;
    conn.batch_execute("LISTEN news").await?;
    let mut other = pool.get().await?;
    other.batch_execute("NOTIFY news, 'extra'").await?;
    let mut news = std::pin::pin!(conn.notifications_stream());
    let notification = news.next().await.expect("a notification")?;
    assert_eq!(notification.payload, "extra");
    Ok(())
}
