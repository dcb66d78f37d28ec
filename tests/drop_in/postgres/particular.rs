// What an application does with PostgreSQL alone. Included by ../postgres.rs into both of its halves.

use super::driver::{DbConnectOptions, DbQueryResult};
use super::imports::{DbPool, DbPoolOptions, DbTransaction};
use super::menu::{Dish, count, fill_menu};
use crate::{Checked, Failure};
use futures_util::TryStreamExt;
use sqlx::postgres::{PgAdvisoryLock, PgListener, PgPoolCopyExt};
use sqlx::{Either, Executor};
use std::time::Duration;

pub async fn all(pool: &DbPool, url: &str) -> Checked {
    fill_menu(pool).await?;
    arrays_are_bound(pool).await?;
    connections_know_the_server(pool).await?;
    options_change_at_run_time(url).await?;
    notifications_arrive(pool, url).await?;
    copy_goes_in_and_out(pool).await?;
    advisory_locks_are_held(pool).await?;
    Ok(())
}

/// The pool of the application.
pub async fn open(url: &str) -> Result<DbPool, Failure> {
    Ok(DbPoolOptions::new().max_connections(5).connect(url).await?)
}

pub async fn the_tea_is_deleted(pool: &DbPool, _: DbQueryResult) -> Checked {
    let deleted: Option<i64> =
        sqlx::query_scalar("DELETE FROM dishes WHERE name = $1 RETURNING id")
            .bind("tea")
            .fetch_optional(pool)
            .await?;
    assert_eq!(deleted, Some(4));
    Ok(())
}

pub async fn macros_check_queries_at_compile_time(pool: &DbPool) -> Checked {
    let soup = sqlx::query!("SELECT id, price, note FROM dishes WHERE name = $1", "soup")
        .fetch_one(pool)
        .await?;
    assert_eq!(
        (soup.id, soup.price, soup.note.as_deref()),
        (1, 500, Some("hot"))
    );

    let mut conn = pool.acquire().await?;
    let dishes = sqlx::query_as!(
        Dish,
        "SELECT id, name, price, note FROM dishes WHERE price > $1 ORDER BY id",
        300
    )
    .fetch_all(&mut *conn)
    .await?;
    assert_eq!(dishes.len(), 2);

    let mut tx = pool.begin().await?;
    let done = sqlx::query!("UPDATE dishes SET price = $1 WHERE name = $2", 450, "soup")
        .execute(&mut *tx)
        .await?;
    assert_eq!(done.rows_affected(), 1);
    let dear = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM dishes WHERE price > $1"#,
        300
    )
    .fetch_one(&mut *tx)
    .await?;
    assert_eq!(dear, 2);
    tx.commit().await?;
    Ok(())
}

pub async fn transactions_begin_with_a_statement(pool: &DbPool) -> Checked {
    async fn isolation(tx: &mut DbTransaction<'_>) -> sqlx::Result<String> {
        sqlx::query_scalar("SHOW transaction_isolation")
            .fetch_one(&mut **tx)
            .await
    }

    let mut tx = pool
        .begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE")
        .await?;
    assert_eq!(isolation(&mut tx).await?, "serializable");
    tx.commit().await?;

    crate::one_is_idle(|| pool.num_idle()).await;
    let tx = pool
        .try_begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ")
        .await?;
    let mut tx = tx.expect("a connection is idle");
    assert_eq!(isolation(&mut tx).await?, "repeatable read");
    tx.rollback().await?;

    let not_begun = pool.begin_with("SELECT 1").await;
    assert!(matches!(not_begun, Err(sqlx::Error::BeginFailed)));
    Ok(())
}

async fn arrays_are_bound(pool: &DbPool) -> Checked {
    let wanted = ["soup".to_owned(), "cake".to_owned()];
    let prices: Vec<i32> =
        sqlx::query_scalar("SELECT price FROM dishes WHERE name = ANY($1) ORDER BY price")
            .bind(&wanted)
            .fetch_all(pool)
            .await?;
    assert_eq!(prices, [350, 450]);

    let names: Vec<String> = sqlx::query_scalar("SELECT array_agg(name ORDER BY name) FROM dishes")
        .fetch_one(pool)
        .await?;
    assert_eq!(names, ["bread", "cake", "soup"]);
    Ok(())
}

async fn connections_know_the_server(pool: &DbPool) -> Checked {
    let conn = pool.acquire().await?;
    let (major, _) = conn
        .server_version_num()
        .map_or((0, 0), |n| (n / 10000, n % 10000));
    assert!(major >= 9);
    Ok(())
}

async fn options_change_at_run_time(url: &str) -> Checked {
    let pool = DbPoolOptions::new().max_connections(1).connect(url).await?;
    let options = DbConnectOptions::clone(&pool.connect_options());
    pool.set_connect_options(options.application_name("bakery"));
    assert_eq!(
        pool.connect_options().get_application_name(),
        Some("bakery")
    );

    pool.acquire().await?.close().await?;
    let name: String = sqlx::query_scalar("SHOW application_name")
        .fetch_one(&pool)
        .await?;
    assert_eq!(name, "bakery");
    Ok(())
}

async fn notifications_arrive(pool: &DbPool, url: &str) -> Checked {
    let mut listener = PgListener::connect(url).await?;
    listener.listen("orders").await?;
    sqlx::query("SELECT pg_notify('orders', $1)")
        .bind("two soups")
        .execute(pool)
        .await?;
    pool.execute("NOTIFY orders, 'one cake'").await?;

    for expected in ["two soups", "one cake"] {
        let notification = tokio::time::timeout(Duration::from_secs(10), listener.recv())
            .await
            .expect("the notification arrives")?;
        assert_eq!(notification.channel(), "orders");
        assert_eq!(notification.payload(), expected);
    }
    Ok(())
}

async fn copy_goes_in_and_out(pool: &DbPool) -> Checked {
    let mut conn = pool.acquire().await?;
    let mut copy = conn
        .copy_in_raw("COPY dishes (name, price) FROM STDIN WITH (FORMAT csv)")
        .await?;
    copy.send(b"tea,150\n".as_slice()).await?;
    copy.send(b"milk,120\n".as_slice()).await?;
    assert_eq!(copy.finish().await?, 2);

    let mut copy = pool
        .copy_in_raw("COPY dishes (name, price) FROM STDIN WITH (FORMAT csv)")
        .await?;
    copy.send(b"cocoa,900\n".as_slice()).await?;
    assert_eq!(copy.finish().await?, 1);
    let lines: Vec<_> = pool
        .copy_out_raw("COPY (DELETE FROM dishes WHERE price = 900 RETURNING name) TO STDOUT")
        .await?
        .try_collect()
        .await?;
    assert_eq!(lines.concat(), b"cocoa\n");

    let mut tx = pool.begin().await?;
    let lines: Vec<_> = tx
        .copy_out_raw("COPY (SELECT name FROM dishes WHERE price < 200 ORDER BY name) TO STDOUT")
        .await?
        .try_collect()
        .await?;
    assert_eq!(lines.concat(), b"milk\ntea\n");

    let aborted = tx
        .copy_in_raw("COPY dishes (name, price) FROM STDIN")
        .await?;
    aborted.abort("changed our mind").await?;
    tx.rollback().await?;
    Ok(())
}

async fn advisory_locks_are_held(pool: &DbPool) -> Checked {
    let oven = PgAdvisoryLock::new("oven");
    let held = oven.acquire(pool.acquire().await?).await?;
    let Either::Right(_refused) = oven.try_acquire(pool.acquire().await?).await? else {
        panic!("the oven is in use");
    };
    let mut conn = held.release_now().await?;
    assert_eq!(count(&mut *conn).await?, 5);

    oven.acquire(&mut *conn).await?.release_now().await?;

    let mut tx = pool.begin().await?;
    let mut held = oven.acquire(&mut tx).await?;
    assert_eq!(count(held.as_mut()).await?, 5);
    held.release_now().await?;
    tx.commit().await?;
    Ok(())
}
