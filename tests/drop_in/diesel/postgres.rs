// An application's everyday use of diesel-async with PostgreSQL; see ../diesel.rs.

use crate::Checked;
use diesel::connection::InstrumentationEvent;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Integer, Text};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, RunQueryDsl, SaveChangesDsl, SimpleAsyncConnection,
    TransactionManager,
};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use imports::{
    AsyncDieselConnectionManager, AsyncPgConnection, ManagerConfig, Object, Pool, PoolError,
    RecyclingMethod, Transactions,
};
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, diesel_kind::AsExpression, diesel_kind::FromSqlRow)]
#[diesel(sql_type = sql::Mood)]
enum Mood {
    Glad,
    Sad,
}

// Derives of diesel's that its prelude leaves out.
mod diesel_kind {
    pub use diesel::deserialize::FromSqlRow;
    pub use diesel::expression::AsExpression;
}

/// A type of the application's own, whose number diesel asks the server for.
mod sql {
    use super::Mood as Value;
    use diesel::deserialize::{FromSql, Result as Read};
    use diesel::pg::{Pg, PgValue};
    use diesel::serialize::{IsNull, Output, Result as Written, ToSql};
    use std::io::Write;

    #[derive(Debug, diesel::sql_types::SqlType, diesel::query_builder::QueryId)]
    #[diesel(postgres_type(name = "mood"))]
    pub struct Mood;

    impl ToSql<Mood, Pg> for Value {
        fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> Written {
            out.write_all(match self {
                Value::Glad => b"glad",
                Value::Sad => b"sad",
            })?;
            Ok(IsNull::No)
        }
    }

    impl FromSql<Mood, Pg> for Value {
        fn from_sql(bytes: PgValue<'_>) -> Read<Self> {
            match bytes.as_bytes() {
                b"glad" => Ok(Value::Glad),
                _ => Ok(Value::Sad),
            }
        }
    }
}

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
    let config = AsyncDieselConnectionManager::<AsyncPgConnection>::new(&url);
    let pool: Pool<AsyncPgConnection> = Pool::builder(config).max_size(4).build()?;
    schema(&pool).await?;
    rows_are_inserted(&pool).await?;
    rows_are_read(&pool).await?;
    rows_are_changed(&pool).await?;
    tables_are_joined(&pool).await?;
    rows_are_streamed(&pool).await?;
    sql_is_written_by_hand(&pool).await?;
    types_are_made_up(&pool).await?;
    statements_are_pipelined(&pool).await?;

    transactions_commit_and_roll_back(&pool).await?;
    transactions_are_nested(&pool).await?;
    transactions_have_levels(&pool).await?;
    transactions_are_managed_by_hand(&pool).await?;
    transactions_are_for_tests(&pool).await?;

    errors_are_matched(&pool).await?;
    connections_serialize(&pool).await?;
    statements_are_watched(&pool).await?;
    notifications_arrive(&pool).await?;
    applications_hold_a_pool(pool.clone()).await?;
    pools_are_made_in_many_ways(&url).await?;
    pools_close(pool).await
}

async fn schema(pool: &Pool<AsyncPgConnection>) -> Checked {
    let mut conn = pool.get().await?;
    conn.batch_execute(
        "CREATE TABLE users (
             id serial PRIMARY KEY,
             name text NOT NULL UNIQUE,
             age integer CHECK (age >= 0)
         );
         CREATE TABLE posts (
             id serial PRIMARY KEY,
             user_id integer NOT NULL REFERENCES users,
             title text NOT NULL
         );
         CREATE TYPE mood AS ENUM ('glad', 'sad')",
    )
    .await?;
    Ok(())
}

async fn rows_are_inserted(pool: &Pool<AsyncPgConnection>) -> Checked {
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

    let bob: User = diesel::insert_into(users::table)
        .values((users::name.eq("Bob"), users::age.eq(None::<i32>)))
        .returning(User::as_returning())
        .get_result(&mut conn)
        .await?;
    assert_eq!((bob.name.as_str(), bob.age), ("Bob", None));

    let names = ["Cid", "Dee", "Eve"];
    let many: Vec<_> = names
        .map(|name| NewUser {
            name,
            age: Some(20),
        })
        .into();
    let ids: Vec<i32> = diesel::insert_into(users::table)
        .values(&many)
        .returning(users::id)
        .get_results(&mut conn)
        .await?;
    assert_eq!(ids.len(), 3);

    let upserted: Option<i32> = diesel::insert_into(users::table)
        .values(NewUser {
            name: "Eve",
            age: Some(21),
        })
        .on_conflict(users::name)
        .do_update()
        .set(users::age.eq(22))
        .returning(users::age)
        .get_result(&mut conn)
        .await?;
    assert_eq!(upserted, Some(22));

    let post = NewPost {
        user_id: bob.id,
        title: "Hello",
    };
    diesel::insert_into(posts::table)
        .values(&post)
        .on_conflict_do_nothing()
        .execute(&mut *conn)
        .await?;
    Ok(())
}

async fn rows_are_read(pool: &Pool<AsyncPgConnection>) -> Checked {
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
    let nobody = find(&mut conn, "Nobody").await?;
    assert_eq!(nobody, None);
    let eve = find(&mut conn, "Eve").await?.expect("she was inserted");
    assert_eq!(eve.age, Some(22));

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
    let there = diesel::select(diesel::dsl::exists(
        users::table.filter(users::name.eq("Bob")),
    ));
    assert!(there.get_result::<bool>(&mut conn).await?);
    assert_eq!(generic_count(&mut conn).await?, 5);
    assert_eq!(generic_count(&mut *conn).await?, 5);
    Ok(())
}

/// As most functions of an application are.
async fn find(conn: &mut AsyncPgConnection, name: &str) -> QueryResult<Option<User>> {
    users::table
        .filter(users::name.eq(name))
        .first(conn)
        .await
        .optional()
}

async fn generic_count(conn: &mut impl AsyncConnection<Backend = Pg>) -> QueryResult<i64> {
    users::table.count().get_result(conn).await
}

async fn rows_are_changed(pool: &Pool<AsyncPgConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let older = diesel::update(users::table.filter(users::age.is_not_null()))
        .set(users::age.eq(users::age + 1))
        .execute(&mut conn)
        .await?;
    assert_eq!(older, 4);

    let ada = find(&mut conn, "Ada").await?.expect("she was inserted");
    let birthday = Birthday {
        id: ada.id,
        age: Some(38),
    };
    let saved: User = birthday.save_changes(&mut conn).await?;
    assert_eq!(saved.age, Some(38));

    let gone: Vec<String> = diesel::delete(users::table.filter(users::name.eq("Dee")))
        .returning(users::name)
        .get_results(&mut conn)
        .await?;
    assert_eq!(gone, ["Dee"]);
    Ok(())
}

async fn tables_are_joined(pool: &Pool<AsyncPgConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let written: Vec<(User, Post)> = users::table
        .inner_join(posts::table)
        .select((User::as_select(), Post::as_select()))
        .load(&mut conn)
        .await?;
    assert_eq!(written.len(), 1);
    let (bob, post) = &written[0];
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

async fn rows_are_streamed(pool: &Pool<AsyncPgConnection>) -> Checked {
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

    // Dropped early, the connection goes on.
    let mut some = users::table.load_stream::<User>(&mut conn).await?;
    assert!(some.next().await.is_some());
    drop(some);
    let any: User = users::table.get_result(&mut conn).await?;
    assert!(find(&mut conn, &any.name).await?.is_some());
    Ok(())
}

async fn sql_is_written_by_hand(pool: &Pool<AsyncPgConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let counts: Vec<Count> = diesel::sql_query(
        "SELECT name, count(posts.id) AS posts FROM users LEFT JOIN posts ON user_id = users.id
         WHERE name < $1 GROUP BY name ORDER BY name",
    )
    .bind::<Text, _>("C")
    .load(&mut conn)
    .await?;
    assert_eq!(counts.len(), 2);
    assert_eq!((counts[1].name.as_str(), counts[1].posts), ("Bob", 1));

    let changed = diesel::sql_query("UPDATE users SET age = age WHERE age > $1")
        .bind::<Integer, _>(0)
        .execute(&mut conn)
        .await?;
    assert_eq!(changed, 3);
    let sum = diesel::dsl::sql::<BigInt>("SELECT 40::bigint + 2");
    assert_eq!(sum.get_result::<i64>(&mut conn).await?, 42);
    Ok(())
}

async fn types_are_made_up(pool: &Pool<AsyncPgConnection>) -> Checked {
    let mut conn = pool.get().await?;
    let sad = diesel::select(Mood::Sad.into_sql::<sql::Mood>());
    assert_eq!(sad.get_result::<Mood>(&mut conn).await?, Mood::Sad);
    let glad = diesel::select(Mood::Glad.into_sql::<sql::Mood>());
    assert_eq!(glad.get_result::<Mood>(&mut conn).await?, Mood::Glad);
    Ok(())
}

async fn statements_are_pipelined(pool: &Pool<AsyncPgConnection>) -> Checked {
    async fn pair(mut conn: &AsyncPgConnection) -> QueryResult<(i32, Vec<i32>)> {
        let one = diesel::select(1.into_sql::<Integer>()).get_result::<i32>(&mut conn);
        let two = diesel::select(2.into_sql::<Integer>()).load::<i32>(&mut conn);
        futures_util::future::try_join(one, two).await
    }
    let mut conn = pool.get().await?;
    assert_eq!(pair(&conn).await?, (1, vec![2]));
    conn.transaction(async |conn| {
        let both = futures_util::future::try_join(pair(conn), pair(conn)).await?;
        assert_eq!(both.1, (1, vec![2]));
        QueryResult::Ok(())
    })
    .await?;
    Ok(())
}

async fn rename(conn: &mut AsyncPgConnection, from: &str, to: &str) -> QueryResult<usize> {
    diesel::update(users::table.filter(users::name.eq(from)))
        .set(users::name.eq(to))
        .execute(conn)
        .await
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

    // An error of the application's own.
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

/// Of two that read what the other writes, one is told to try again.
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

/// What an application's handlers get at a connection by.
#[derive(Clone)]
struct Application {
    pool: Pool<AsyncPgConnection>,
}

impl Application {
    async fn conn(&self) -> Result<Object<AsyncPgConnection>, PoolError> {
        self.pool.get().await
    }
}

async fn applications_hold_a_pool(pool: Pool<AsyncPgConnection>) -> Checked {
    let application = Application { pool };
    let requests = (0..8).map(|_| {
        let application = application.clone();
        tokio::spawn(async move {
            let mut conn = application.conn().await.expect("a connection");
            conn.transaction(async |conn| find(conn, "Bob").await).await
        })
    });
    for request in requests.collect::<Vec<_>>() {
        assert!(request.await??.is_some());
    }
    let status = application.pool.status();
    assert_eq!((status.max_size, status.waiting), (4, 0));

    let conn = application.conn().await?;
    assert!(Object::metrics(&conn).recycled.is_some());
    let size = application.pool.status().size;
    drop(Object::take(conn));
    assert_eq!(application.pool.status().size, size - 1);
    Ok(())
}

async fn pools_are_made_in_many_ways(url: &str) -> Checked {
    // What the pool is of follows from its manager.
    let config = AsyncDieselConnectionManager::<AsyncPgConnection>::new(url);
    let pool = Pool::builder(config).build()?;
    assert_eq!(generic_count(&mut pool.get().await?).await?, 4);

    // What its manager is of follows from the pool,
    let config = AsyncDieselConnectionManager::new(url);
    let pool: Pool<AsyncPgConnection> = Pool::builder(config).build()?;
    assert_eq!(generic_count(&mut pool.get().await?).await?, 4);

    // and what a configuration is of from the manager.
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(|url| diesel_async::AsyncPgConnection::establish(url).boxed());
    let config = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
    let pool = Pool::builder(config).build()?;
    assert_eq!(generic_count(&mut pool.get().await?).await?, 4);

    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::CustomQuery("SELECT 2".into());
    let config = AsyncDieselConnectionManager::new_with_config(url, config);
    let pool = Pool::<AsyncPgConnection>::builder(config).build()?;
    assert_eq!(generic_count(&mut pool.get().await?).await?, 4);

    let mut config = ManagerConfig::<AsyncPgConnection>::default();
    config.recycling_method = RecyclingMethod::<AsyncPgConnection>::Verified;
    let config = AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(url, config);
    let pool: Pool<AsyncPgConnection> = Pool::builder(config)
        .max_size(1)
        .wait_timeout(Some(std::time::Duration::ZERO))
        .runtime(deadpool::Runtime::Tokio1)
        .build()?;
    let conn = pool.get().await?;
    assert!(matches!(pool.get().await, Err(PoolError::Timeout(_))));
    drop(conn);
    assert_eq!(generic_count(&mut pool.get().await?).await?, 4);

    let nowhere = AsyncDieselConnectionManager::<AsyncPgConnection>::new("postgres://localhost:1");
    let pool = Pool::<AsyncPgConnection>::builder(nowhere).build()?;
    assert!(matches!(pool.get().await, Err(PoolError::Backend(_))));
    Ok(())
}

async fn pools_close(pool: Pool<AsyncPgConnection>) -> Checked {
    pool.resize(2);
    assert_eq!(pool.status().max_size, 2);
    pool.close();
    assert!(pool.is_closed());
    assert!(matches!(pool.get().await, Err(PoolError::Closed)));
    Ok(())
}
