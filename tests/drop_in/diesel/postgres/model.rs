// The application's tables and the types of their rows.

use super::imports::{AsyncPgConnection, Pool};
use crate::Checked;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};

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
pub enum Mood {
    Glad,
    Sad,
}

// diesel's derives that are not in its prelude.
mod diesel_kind {
    pub use diesel::deserialize::FromSqlRow;
    pub use diesel::expression::AsExpression;
}

/// A custom type of the application, whose OID diesel looks up on the server.
pub mod sql {
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
pub struct User {
    pub id: i32,
    pub name: String,
    pub age: Option<i32>,
}

#[derive(Clone, Copy, Debug, Identifiable, AsChangeset)]
#[diesel(table_name = users)]
pub struct Birthday {
    pub id: i32,
    pub age: Option<i32>,
}

#[derive(Debug, PartialEq, Queryable, Selectable, Identifiable, Associations)]
#[diesel(belongs_to(User))]
pub struct Post {
    pub id: i32,
    pub user_id: i32,
    pub title: String,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = users)]
pub struct NewUser<'n> {
    pub name: &'n str,
    pub age: Option<i32>,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = posts)]
pub struct NewPost<'n> {
    pub user_id: i32,
    pub title: &'n str,
}

#[derive(Debug, PartialEq, QueryableByName)]
pub struct Count {
    #[diesel(sql_type = Text)]
    pub name: String,
    #[diesel(sql_type = BigInt)]
    pub posts: i64,
}

pub async fn schema(pool: &Pool<AsyncPgConnection>) -> Checked {
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

/// A typical function of an application.
pub async fn find(conn: &mut AsyncPgConnection, name: &str) -> QueryResult<Option<User>> {
    users::table
        .filter(users::name.eq(name))
        .first(conn)
        .await
        .optional()
}

pub async fn generic_count(conn: &mut impl AsyncConnection<Backend = Pg>) -> QueryResult<i64> {
    users::table.count().get_result(conn).await
}

pub async fn rename(conn: &mut AsyncPgConnection, from: &str, to: &str) -> QueryResult<usize> {
    diesel::update(users::table.filter(users::name.eq(from)))
        .set(users::name.eq(to))
        .execute(conn)
        .await
}
