// Writing and reading rows.

use super::imports::{AsyncPgConnection, Pool};
use super::model::*;
use crate::Checked;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};
use diesel_async::{AsyncConnection, RunQueryDsl, SaveChangesDsl};
use futures_util::{StreamExt, TryStreamExt};

pub async fn all(pool: &Pool<AsyncPgConnection>) -> Checked {
    rows_are_inserted(pool).await?;
    rows_are_read(pool).await?;
    rows_are_changed(pool).await?;
    tables_are_joined(pool).await?;
    rows_are_streamed(pool).await?;
    sql_is_written_by_hand(pool).await?;
    types_are_made_up(pool).await?;
    statements_are_pipelined(pool).await?;
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

    // The stream is dropped early, and the connection stays usable.
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
