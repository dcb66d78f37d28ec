// Queries on pools, connections and transactions.

use super::driver::{
    self, AFFECTED, BY_ID, BY_NAME, CHEAPER_THAN, DEARER_THAN, Db, DbQueryResult, DbRow,
    INSERT_DISH, INSERT_ORDER, MANY, NAME_AND_PRICE, Number, PRICE_BY_ID, Price, RAISE_PRICE,
    RESET, SET, SET_PRICES, SETTING, SHOW, Setting,
};
use super::imports::{DbPool, DbPoolOptions, PoolConnection};
use super::menu::{Dish, count, fill_menu};
use super::particular;
use crate::Checked;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::{Column, Either, Executor, QueryBuilder, Row, SqlSafeStr, Statement};

pub async fn all(pool: &DbPool, url: &str) -> Checked {
    fill_menu(pool).await?;
    queries_run_on_the_pool(pool).await?;
    queries_run_on_a_connection(pool).await?;
    queries_run_in_a_transaction(pool).await?;
    executor_methods_take_plain_sql(pool).await?;
    raw_sql_runs_several_statements(pool).await?;
    streams_are_read_to_the_end(pool).await?;
    streams_are_dropped_early(url).await?;
    statements_are_prepared_once_and_run_often(pool).await?;
    particular::macros_check_queries_at_compile_time(pool).await?;
    query_builder_inserts_many_rows(pool).await?;
    errors_are_matched(pool).await?;
    Ok(())
}

async fn queries_run_on_the_pool(pool: &DbPool) -> Checked {
    let done: DbQueryResult = sqlx::query(INSERT_DISH)
        .bind("tea")
        .bind(150)
        .execute(pool)
        .await?;
    assert_eq!(done.rows_affected(), 1);

    let row = sqlx::query(NAME_AND_PRICE)
        .bind("tea")
        .fetch_one(pool)
        .await?;
    assert_eq!(row.get::<&str, _>("name"), "tea");
    assert_eq!(row.try_get::<Price, _>(1)?, 150);

    let dear: Vec<Dish> = sqlx::query_as(DEARER_THAN)
        .bind(300)
        .fetch_all(pool)
        .await?;
    assert_eq!(dear.len(), 2);
    assert_eq!(dear[0].note.as_deref(), Some("hot"));

    let none = sqlx::query_as::<_, Dish>(BY_NAME)
        .bind("caviar")
        .fetch_optional(pool)
        .await?;
    assert_eq!(none, None);

    particular::the_tea_is_deleted(pool, done).await?;

    let lengths: Vec<usize> = sqlx::query("SELECT name FROM dishes ORDER BY id")
        .map(|row: DbRow| row.get::<String, _>("name").len())
        .fetch_all(pool)
        .await?;
    assert_eq!(lengths, [4, 5, 4]);
    Ok(())
}

async fn queries_run_on_a_connection(pool: &DbPool) -> Checked {
    let mut conn: PoolConnection<Db> = pool.acquire().await?;

    let done = sqlx::query(RAISE_PRICE)
        .bind(50)
        .bind("soup")
        .execute(&mut *conn)
        .await?;
    assert_eq!(done.rows_affected(), 1);

    let soup: Dish = sqlx::query_as(BY_NAME)
        .bind("soup")
        .fetch_one(&mut *conn)
        .await?;
    assert_eq!(soup.price, 500);

    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM dishes ORDER BY name")
        .fetch_all(conn.as_mut())
        .await?;
    assert_eq!(names, ["bread", "cake", "soup"]);

    let rows = sqlx::query("SELECT id FROM dishes")
        .fetch_all(&mut *conn)
        .await?;
    assert_eq!(rows.len(), 3);
    Ok(())
}

async fn queries_run_in_a_transaction(pool: &DbPool) -> Checked {
    let mut tx = pool.begin().await?;

    let id = driver::insert_dish(&mut tx, "pie", 300).await?;
    sqlx::query(INSERT_ORDER)
        .bind(id)
        .bind(2)
        .execute(&mut *tx)
        .await?;
    let pie: Option<Dish> = sqlx::query_as(BY_ID)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
    assert_eq!(pie.map(|dish| dish.name).as_deref(), Some("pie"));

    tx.rollback().await?;
    assert_eq!(count(pool).await?, 3);
    Ok(())
}

async fn executor_methods_take_plain_sql(pool: &DbPool) -> Checked {
    let mut conn = pool.acquire().await?;
    let mut tx = pool.begin().await?;

    pool.execute("UPDATE dishes SET note = NULL WHERE name = 'nothing'")
        .await?;
    conn.execute(SET).await?;
    tx.execute(sqlx::query(SET_PRICES).bind(1)).await?;

    let rows = pool
        .fetch_all("SELECT name FROM dishes WHERE price > 1")
        .await?;
    assert_eq!(rows.len(), 3);
    let setting: Setting = conn.fetch_one(SHOW).await?.get(0);
    assert_eq!(setting, SETTING);
    let row = tx
        .fetch_optional("SELECT 1 FROM dishes WHERE price > 1")
        .await?;
    assert!(row.is_none());

    conn.execute(RESET).await?;
    tx.rollback().await?;
    Ok(())
}

async fn raw_sql_runs_several_statements(pool: &DbPool) -> Checked {
    const BATCH: &str = "INSERT INTO dishes (name, price) VALUES ('jam', 100);
                         SELECT name, price FROM dishes WHERE price < 250 ORDER BY price;
                         DELETE FROM dishes WHERE name = 'jam'";

    let affected: Vec<u64> = sqlx::raw_sql(BATCH)
        .execute_many(pool)
        .map_ok(|done| done.rows_affected())
        .try_collect()
        .await?;
    assert_eq!(affected, AFFECTED);

    let mut conn = pool.acquire().await?;
    let rows = sqlx::raw_sql(BATCH).fetch_all(&mut *conn).await?;
    assert_eq!(rows.len(), 2);

    let mut tx = pool.begin().await?;
    let (mut results, mut names) = (0, Vec::new());
    let mut steps = sqlx::raw_sql(BATCH).fetch_many(&mut *tx);
    while let Some(step) = steps.try_next().await? {
        match step {
            Either::Left(_done) => results += 1,
            Either::Right(row) => names.push(row.get::<String, _>("name")),
        }
    }
    drop(steps);
    tx.commit().await?;
    assert_eq!(
        (results, names),
        (3, vec!["jam".to_owned(), "bread".to_owned()])
    );

    let affected: u64 = pool
        .execute_many("DELETE FROM orders; UPDATE dishes SET note = note WHERE price > 250")
        .try_fold(0, |sum, done| async move { Ok(sum + done.rows_affected()) })
        .await?;
    assert_eq!(affected, 2);
    Ok(())
}

fn all_dishes(pool: &DbPool) -> BoxStream<'static, sqlx::Result<DbRow>> {
    sqlx::query("SELECT name FROM dishes ORDER BY id").fetch(pool)
}

async fn streams_are_read_to_the_end(pool: &DbPool) -> Checked {
    let mut total = 0;
    let mut dishes = sqlx::query_as::<_, Dish>("SELECT * FROM dishes").fetch(pool);
    while let Some(dish) = dishes.try_next().await? {
        total += dish.price;
    }
    assert_eq!(total, 500 + 200 + 350);

    let mut conn = pool.acquire().await?;
    let prices: Vec<Price> =
        sqlx::query_scalar::<_, Price>("SELECT price FROM dishes ORDER BY price")
            .fetch(&mut *conn)
            .try_collect()
            .await?;
    assert_eq!(prices, [200, 350, 500]);

    let mut tx = pool.begin().await?;
    let rows = sqlx::query("SELECT 1 FROM dishes")
        .fetch(&mut *tx)
        .count()
        .await;
    assert_eq!(rows, 3);
    tx.commit().await?;

    let rows = all_dishes(pool);
    assert_eq!(tokio::spawn(rows.count()).await.unwrap(), 3);
    Ok(())
}

async fn streams_are_dropped_early(url: &str) -> Checked {
    let pool = DbPoolOptions::new().max_connections(1).connect(url).await?;

    let mut rows = sqlx::query_scalar::<_, Number>(MANY).fetch(&pool);
    assert_eq!(rows.try_next().await?, Some(1));
    drop(rows);
    assert_eq!(count(&pool).await?, 3);

    let mut conn = pool.acquire().await?;
    let mut rows = sqlx::query_scalar::<_, Number>(MANY).fetch(&mut *conn);
    assert_eq!(rows.try_next().await?, Some(1));
    drop(rows);
    assert_eq!(count(&mut *conn).await?, 3);
    drop(conn);

    let mut tx = pool.begin().await?;
    let mut rows = sqlx::query_scalar::<_, Number>(MANY).fetch(&mut *tx);
    assert_eq!(rows.try_next().await?, Some(1));
    drop(rows);
    assert_eq!(count(&mut *tx).await?, 3);
    tx.commit().await?;

    assert_eq!(count(&pool).await?, 3);
    Ok(())
}

async fn statements_are_prepared_once_and_run_often(pool: &DbPool) -> Checked {
    let below = pool.prepare(CHEAPER_THAN.into_sql_str()).await?;
    assert_eq!(below.columns()[1].name(), "name");
    for (price, found) in [(100, 0), (300, 1), (400, 2)] {
        let rows = below.query().bind(price).fetch_all(pool).await?;
        assert_eq!(rows.len(), found);
    }

    let mut conn = pool.acquire().await?;
    let by_name = conn
        .prepare_with(BY_NAME.into_sql_str(), &driver::of_text())
        .await?;
    let cake: Dish = by_name
        .query_as()
        .bind("cake")
        .fetch_one(&mut *conn)
        .await?;
    assert_eq!(cake.price, 350);

    let mut tx = pool.begin().await?;
    let price = tx.prepare(PRICE_BY_ID.into_sql_str()).await?;
    let price: Price = price
        .query_scalar()
        .bind(cake.id)
        .fetch_one(&mut *tx)
        .await?;
    assert_eq!(price, 350);
    tx.commit().await?;
    Ok(())
}

async fn query_builder_inserts_many_rows(pool: &DbPool) -> Checked {
    let drinks = [("tea", 150), ("milk", 120), ("juice", 180)];
    let mut insert = QueryBuilder::<Db>::new("INSERT INTO dishes (name, price) ");
    insert.push_values(drinks, |mut row, (name, price)| {
        row.push_bind(name).push_bind(price);
    });
    assert_eq!(insert.build().execute(pool).await?.rows_affected(), 3);

    let mut select = QueryBuilder::new("SELECT * FROM dishes WHERE price < ");
    select.push_bind(200).push(" ORDER BY price");
    let mut conn = pool.acquire().await?;
    let cheap: Vec<Dish> = select.build_query_as().fetch_all(&mut *conn).await?;
    assert_eq!(cheap[0].name, "milk");

    let mut delete = QueryBuilder::new("DELETE FROM dishes WHERE name IN (");
    let mut names = delete.separated(", ");
    for (name, _) in drinks {
        names.push_bind(name);
    }
    delete.push(")");
    let mut tx = pool.begin().await?;
    assert_eq!(delete.build().execute(&mut *tx).await?.rows_affected(), 3);
    tx.commit().await?;
    Ok(())
}

async fn errors_are_matched(pool: &DbPool) -> Checked {
    let twice = sqlx::query("INSERT INTO dishes (name, price) VALUES ('soup', 1)")
        .execute(pool)
        .await
        .unwrap_err();
    let answer = twice.as_database_error().expect("the database answered");
    assert!(answer.is_unique_violation());
    driver::assert_names_the_rule(answer);

    let mut tx = pool.begin().await?;
    match sqlx::query("INSERT INTO orders (dish, quantity) VALUES (-1, 1)")
        .execute(&mut *tx)
        .await
    {
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {}
        other => panic!("expected a foreign key violation, got {other:?}"),
    }
    tx.rollback().await?;

    match sqlx::query("SELECT * FROM dishes WHERE id = -1")
        .fetch_one(pool)
        .await
    {
        Err(sqlx::Error::RowNotFound) => {}
        Ok(_) => panic!("there is no such dish"),
        Err(other) => panic!("expected RowNotFound, got {other}"),
    }
    Ok(())
}
