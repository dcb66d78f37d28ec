// An application's everyday use of diesel-async with MySQL or MariaDB; see ../diesel.rs.

use crate::Checked;
use diesel::connection::InstrumentationEvent;
use diesel::mysql::Mysql;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Integer, Text};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, RunQueryDsl, SaveChangesDsl, SimpleAsyncConnection,
    TransactionManager,
};
use futures_util::{StreamExt, TryStreamExt};
use imports::{AsyncDieselConnectionManager, AsyncMysqlConnection, Pool};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

diesel::table! {
    users (id) {
        id -> Integer,
        name -> Text,
        age -> Nullable<Integer>,
    }
}

diesel::table! {
    posts (id) {
        id -> Integer,
        user_id -> Integer,
        title -> Text,
    }
}

diesel::joinable!(posts -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(posts, users);

#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Identifiable)]
struct User {
    id: i32,
    name: String,
    age: Option<i32>,
}

#[derive(Clone, Copy, Identifiable, AsChangeset)]
#[diesel(table_name = users)]
struct Birthday {
    id: i32,
    age: Option<i32>,
}

#[derive(Debug, PartialEq, Queryable, Selectable, Identifiable, Associations)]
#[diesel(belongs_to(User))]
struct Post {
    id: i32,
    user_id: i32,
    title: String,
}

#[derive(Insertable)]
#[diesel(table_name = users)]
struct NewUser<'n> {
    name: &'n str,
    age: Option<i32>,
}

#[derive(Insertable)]
#[diesel(table_name = posts)]
struct NewPost<'n> {
    user_id: i32,
    title: &'n str,
}

#[derive(Debug, PartialEq, QueryableByName)]
struct Count {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    posts: i64,
}

/// Runs every use against an empty database.
pub async fn all(url: String) -> Checked {
    let config = AsyncDieselConnectionManager::<AsyncMysqlConnection>::new(&url);
    let pool: Pool<AsyncMysqlConnection> = Pool::builder(config).max_size(4).build()?;
    schema(&pool).await?;
    rows_are_inserted(&pool).await?;
    rows_are_read(&pool).await?;
    rows_are_changed(&pool).await?;
    tables_are_joined(&pool).await?;
    rows_are_streamed(&pool).await?;
    sql_is_written_by_hand(&pool).await?;
    transactions_commit_and_roll_back(&pool).await?;
    transactions_are_nested(&pool).await?;
    transactions_are_managed_by_hand(&pool).await?;
    transactions_are_for_tests(&pool).await?;
    errors_are_matched(&pool).await?;
    statements_are_watched(&pool).await?;
    tasks_share_a_pool(&pool).await
}

async fn schema(pool: &Pool<AsyncMysqlConnection>) -> Checked {
    let mut conn = pool.get().await?;
    for sql in [
        "CREATE TABLE users (
             id integer AUTO_INCREMENT PRIMARY KEY,
             name varchar(100) NOT NULL UNIQUE,
             age integer
         )",
        "CREATE TABLE posts (
             id integer AUTO_INCREMENT PRIMARY KEY,
             user_id integer NOT NULL,
             title text NOT NULL,
             FOREIGN KEY (user_id) REFERENCES users (id)
         )",
    ] {
        conn.batch_execute(sql).await?;
    }
    Ok(())
}

async fn rows_are_inserted(pool: &Pool<AsyncMysqlConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let ada = NewUser {
        name: "Ada",
        age: Some(36),
    };
    let inserted = diesel::insert_into(users::table)
        .values(&ada)
        .execute(&mut conn)
        .await?;
    assert_eq!(inserted, 1);
    let names = ["Bob", "Cid", "Dee", "Eve"];
    let many: Vec<_> = names
        .map(|name| NewUser {
            name,
            age: Some(20),
        })
        .into();
    let inserted = diesel::insert_into(users::table)
        .values(&many)
        .execute(&mut conn)
        .await?;
    assert_eq!(inserted, 4);

    let eve = NewUser {
        name: "Eve",
        age: Some(21),
    };
    diesel::insert_into(users::table)
        .values(&eve)
        .on_conflict(diesel::dsl::DuplicatedKeys)
        .do_update()
        .set(users::age.eq(22))
        .execute(&mut conn)
        .await?;
    let ignored = diesel::insert_or_ignore_into(users::table)
        .values(&eve)
        .execute(&mut *conn)
        .await?;
    assert_eq!(ignored, 0);

    let bob = find(&mut conn, "Bob").await?.expect("he was inserted");
    let post = NewPost {
        user_id: bob.id,
        title: "Hello",
    };
    diesel::insert_into(posts::table)
        .values(&post)
        .execute(&mut conn)
        .await?;
    Ok(())
}

async fn rows_are_read(pool: &Pool<AsyncMysqlConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let all = users::table
        .select(User::as_select())
        .order(users::id)
        .load(&mut conn)
        .await?;
    assert_eq!(all.len(), 5);
    let first: User = users::table.order(users::id).first(&mut conn).await?;
    assert_eq!(first, all[0]);
    let found: User = users::table.find(first.id).get_result(&mut conn).await?;
    assert_eq!(found, first);
    assert_eq!(find(&mut conn, "Nobody").await?, None);

    let grown_up: i64 = users::table
        .filter(users::age.gt(20))
        .count()
        .get_result(&mut *conn)
        .await?;
    assert_eq!(grown_up, 2);
    let by_names: Vec<String> = users::table
        .filter(users::name.eq_any(["Ada", "Cid"]))
        .order(users::name.desc())
        .select(users::name)
        .load(&mut conn)
        .await?;
    assert_eq!(by_names, ["Cid", "Ada"]);
    assert_eq!(generic_count(&mut conn).await?, 5);
    assert_eq!(generic_count(&mut *conn).await?, 5);
    Ok(())
}

/// A typical function of an application.
async fn find(conn: &mut AsyncMysqlConnection, name: &str) -> QueryResult<Option<User>> {
    users::table
        .filter(users::name.eq(name))
        .first(conn)
        .await
        .optional()
}

async fn generic_count(conn: &mut impl AsyncConnection<Backend = Mysql>) -> QueryResult<i64> {
    users::table.count().get_result(conn).await
}

async fn rows_are_changed(pool: &Pool<AsyncMysqlConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let older = diesel::update(users::table)
        .set(users::age.eq(users::age + 1))
        .execute(&mut conn)
        .await?;
    assert_eq!(older, 5);
    let ada = find(&mut conn, "Ada").await?.expect("she was inserted");
    let birthday = Birthday {
        id: ada.id,
        age: Some(38),
    };
    let saved: User = birthday.save_changes(&mut conn).await?;
    assert_eq!(saved.age, Some(38));
    let gone = diesel::delete(users::table.filter(users::name.eq("Dee")))
        .execute(&mut conn)
        .await?;
    assert_eq!(gone, 1);
    Ok(())
}

async fn tables_are_joined(pool: &Pool<AsyncMysqlConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let written: Vec<(User, Post)> = users::table
        .inner_join(posts::table)
        .select((User::as_select(), Post::as_select()))
        .load(&mut conn)
        .await?;
    let [(bob, post)] = &written[..] else {
        panic!("{written:?}");
    };
    assert_eq!((bob.name.as_str(), post.title.as_str()), ("Bob", "Hello"));
    let of_bob: Vec<Post> = Post::belonging_to(bob).load(&mut conn).await?;
    assert_eq!(of_bob.len(), 1);
    let titles: Vec<(String, Option<String>)> = users::table
        .left_join(posts::table)
        .select((users::name, posts::title.nullable()))
        .order(users::name)
        .load(&mut conn)
        .await?;
    assert_eq!(titles.len(), 4);
    assert_eq!(titles[0], ("Ada".to_owned(), None));
    Ok(())
}

async fn rows_are_streamed(pool: &Pool<AsyncMysqlConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let named = users::table
        .select(users::name)
        .load_stream::<String>(&mut conn)
        .await?
        .try_fold(0, async |named, name| {
            Ok(named + usize::from(!name.is_empty()))
        })
        .await?;
    assert_eq!(named, 4);

    // The stream is dropped early, and the connection stays usable.
    let mut some = users::table.load_stream::<User>(&mut conn).await?;
    assert!(some.next().await.is_some());
    drop(some);
    let any: User = users::table.get_result(&mut conn).await?;
    assert!(find(&mut conn, &any.name).await?.is_some());
    Ok(())
}

async fn sql_is_written_by_hand(pool: &Pool<AsyncMysqlConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let counts: Vec<Count> = diesel::sql_query(
        "SELECT name, count(posts.id) AS posts FROM users LEFT JOIN posts ON user_id = users.id
         WHERE name < ? GROUP BY name ORDER BY name",
    )
    .bind::<Text, _>("C")
    .load(&mut conn)
    .await?;
    assert_eq!(counts.len(), 2);
    assert_eq!((counts[1].name.as_str(), counts[1].posts), ("Bob", 1));
    let matched = diesel::sql_query("UPDATE users SET age = age WHERE age > ?")
        .bind::<Integer, _>(0)
        .execute(&mut conn)
        .await?;
    assert_eq!(matched, 4);
    let sum = diesel::dsl::sql::<BigInt>("SELECT 40 + 2");
    assert_eq!(sum.get_result::<i64>(&mut conn).await?, 42);
    Ok(())
}

async fn rename(conn: &mut AsyncMysqlConnection, from: &str, to: &str) -> QueryResult<usize> {
    diesel::update(users::table.filter(users::name.eq(from)))
        .set(users::name.eq(to))
        .execute(conn)
        .await
}

async fn transactions_commit_and_roll_back(pool: &Pool<AsyncMysqlConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let renamed = conn
        .transaction(async |conn| rename(conn, "Ada", "Lovelace").await)
        .await?;
    assert_eq!(renamed, 1);
    let undone = conn
        .transaction::<(), Error, _>(async |conn| {
            rename(conn, "Lovelace", "Byron").await?;
            assert!(find(conn, "Byron").await?.is_some());
            Err(Error::RollbackTransaction)
        })
        .await;
    assert_eq!(undone, Err(Error::RollbackTransaction));
    assert_eq!(find(&mut conn, "Byron").await?, None);
    assert_eq!(rename(&mut conn, "Lovelace", "Ada").await?, 1);
    Ok(())
}

async fn transactions_are_nested(pool: &Pool<AsyncMysqlConnection>) -> Checked {
    let mut conn = pool.get().await?;
    conn.transaction(async |conn| {
        rename(conn, "Bob", "Rob").await?;
        let inner = conn
            .transaction(async |conn| {
                rename(conn, "Rob", "Bert").await?;
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

async fn transactions_are_managed_by_hand(pool: &Pool<AsyncMysqlConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let conn: &mut AsyncMysqlConnection = &mut conn;
    AnsiTransactionManager::begin_transaction(conn).await?;
    rename(conn, "Bob", "Rob").await?;
    AnsiTransactionManager::begin_transaction(conn).await?;
    rename(conn, "Rob", "Bert").await?;
    AnsiTransactionManager::commit_transaction(conn).await?;
    AnsiTransactionManager::rollback_transaction(conn).await?;
    assert!(find(conn, "Bob").await?.is_some());
    Ok(())
}

async fn transactions_are_for_tests(pool: &Pool<AsyncMysqlConnection>) -> Checked {
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

async fn errors_are_matched(pool: &Pool<AsyncMysqlConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let twice = rename(&mut conn, "Cid", "Bob").await;
    assert_eq!(kind(twice), DatabaseErrorKind::UniqueViolation);
    let orphan = NewPost {
        user_id: -1,
        title: "Whose?",
    };
    let orphan = diesel::insert_into(posts::table)
        .values(orphan)
        .execute(&mut conn)
        .await;
    assert_eq!(kind(orphan), DatabaseErrorKind::ForeignKeyViolation);
    let nameless = diesel::sql_query("INSERT INTO users (name) VALUES (NULL)")
        .execute(&mut conn)
        .await;
    assert_eq!(kind(nameless), DatabaseErrorKind::NotNullViolation);
    let typo = diesel::sql_query("SELEC 1").execute(&mut conn).await;
    assert_eq!(kind(typo), DatabaseErrorKind::Unknown);
    let nobody = users::table.find(-1).first::<User>(&mut conn).await;
    assert_eq!(nobody, Err(Error::NotFound));
    Ok(())
}

fn kind<T: std::fmt::Debug>(result: QueryResult<T>) -> DatabaseErrorKind {
    match result {
        Err(Error::DatabaseError(kind, _)) => kind,
        other => panic!("{other:?}"),
    }
}

async fn statements_are_watched(pool: &Pool<AsyncMysqlConnection>) -> Checked {
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

async fn tasks_share_a_pool(pool: &Pool<AsyncMysqlConnection>) -> Checked {
    let tasks = (0..8).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut conn = pool.get().await.expect("a connection");
            conn.transaction(async |conn| find(conn, "Bob").await).await
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert!(task.await??.is_some());
    }
    Ok(())
}
