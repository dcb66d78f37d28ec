//! Every kind of query can be cached, and no two kinds share an answer.

use std::time::Duration;

use fusepool::Source;
use fusepool::cache::CachePolicy;
use fusepool::sqlx::{PgPool, PgPoolOptions, ReadExt, SqlitePool, SqlitePoolOptions};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Error, Row};

use crate::support::postgres::Postgres;

const MENU: CachePolicy = CachePolicy::named("menu").fresh_for(Duration::from_secs(60));

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
struct Dish {
    id: i64,
    name: String,
    price: i32,
    note: Option<String>,
}

/// Fetches live, then from the cache; both values must be equal.
macro_rules! twice {
    ($pool:expr, $fetch:ident, $query:expr) => {{
        // Written once, because each closure expression has its own type.
        let query = || $query;
        let live = query().cached(&MENU).$fetch($pool).await.unwrap();
        assert_eq!(live.source, Source::Live, stringify!($query));
        let kept = query().cached(&MENU).$fetch($pool).await.unwrap();
        assert!(
            matches!(kept.source, Source::Fresh { .. }),
            stringify!($query)
        );
        assert_eq!(
            format!("{live:?}", live = live.value),
            format!("{:?}", kept.value)
        );
        kept.value
    }};
}

async fn sqlite() -> SqlitePool {
    let pool: SqlitePool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    sqlx::migrate!("migrations/sqlite")
        .run(&pool)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO dishes (name, price, note) VALUES ('soup', 400, NULL), ('pie', 700, 'hot')",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool
}

async fn postgres() -> (Postgres, PgPool) {
    let server = Postgres::start().await;
    let pool: PgPool = PgPoolOptions::new().connect(&server.url()).await.unwrap();
    sqlx::migrate!("migrations/postgres")
        .run(&pool)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO dishes (name, price, note) VALUES ('soup', 400, NULL), ('pie', 700, 'hot')",
    )
    .execute(&pool)
    .await
    .unwrap();
    (server, pool)
}

#[tokio::test]
async fn on_sqlite() {
    let pool = &sqlite().await;
    let name = "soup".to_owned();

    let all = twice!(
        pool,
        fetch_all_served,
        sqlx::query_as::<_, Dish>("SELECT * FROM dishes ORDER BY id")
    );
    assert_eq!((all.len(), all[1].note.as_deref()), (2, Some("hot")));
    let one = twice!(
        pool,
        fetch_one_served,
        sqlx::query_as::<_, Dish>("SELECT * FROM dishes WHERE name = ?").bind(&name)
    );
    assert_eq!(one.price, 400);
    let prices = twice!(
        pool,
        fetch_all_served,
        sqlx::query_scalar::<_, i64>("SELECT price FROM dishes ORDER BY id")
    );
    assert_eq!(*prices, [400, 700]);
    let mapped = twice!(
        pool,
        fetch_all_served,
        sqlx::query("SELECT * FROM dishes ORDER BY id")
            .map(|row: SqliteRow| row.get::<String, _>("name"))
            .map(|name| name.to_uppercase())
    );
    assert_eq!(*mapped, ["SOUP", "PIE"]);

    let price = 100_i64;
    let dishes = twice!(
        pool,
        fetch_all_served,
        sqlx::query_as!(
            MacroDish,
            "SELECT id, name, price, note FROM dishes WHERE price > ?1 ORDER BY id",
            price
        )
    );
    assert_eq!((dishes.len(), dishes[0].name.as_str()), (2, "soup"));
    let soup = twice!(
        pool,
        fetch_one_served,
        sqlx::query!("SELECT id, price, note FROM dishes WHERE name = ?1", "soup")
    );
    assert_eq!((soup.price, &soup.note), (400, &None));
    let count = twice!(
        pool,
        fetch_one_served,
        sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM dishes WHERE price > ?1"#,
            price
        )
    );
    assert_eq!(*count, 2);
}

#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct MacroDish {
    id: i64,
    name: String,
    price: i64,
    note: Option<String>,
}

#[derive(Debug)]
#[expect(dead_code, reason = "printed")]
struct PgDish {
    id: i64,
    name: String,
    price: i32,
    note: Option<String>,
}

#[tokio::test]
async fn on_postgres() {
    let (_server, pool) = postgres().await;
    let pool = &pool;
    let dishes = twice!(
        pool,
        fetch_all_served,
        sqlx::query_as!(
            PgDish,
            "SELECT id, name, price, note FROM dishes WHERE price > $1 ORDER BY id",
            100
        )
    );
    assert_eq!(dishes.len(), 2);
    let soup = twice!(
        pool,
        fetch_one_served,
        sqlx::query!("SELECT id, price, note FROM dishes WHERE name = $1", "soup")
    );
    assert_eq!(soup.price, 400);
    let count = twice!(
        pool,
        fetch_one_served,
        sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM dishes WHERE price > $1"#,
            100
        )
    );
    assert_eq!(*count, 2);
    let mapped = twice!(
        pool,
        fetch_all_served,
        sqlx::query("SELECT name FROM dishes WHERE price = ANY($1) ORDER BY id")
            .bind(&[400, 700][..])
            .try_map(|row: PgRow| row.try_get::<String, _>(0))
    );
    assert_eq!(*mapped, ["soup", "pie"]);
    let all = twice!(
        pool,
        fetch_all_served,
        sqlx::query_as::<_, (i64, String)>("SELECT id, name FROM dishes ORDER BY id")
    );
    assert_eq!(all[1].1, "pie");
}

/// An empty result is an answer, too.
#[tokio::test]
async fn empty_answers_are_answers() {
    let pool = &sqlite().await;
    let none = || sqlx::query_as::<_, Dish>("SELECT * FROM dishes WHERE name = ?").bind("tea");
    let all = twice!(pool, fetch_all_served, none());
    assert!(all.is_empty());
    assert_eq!(twice!(pool, fetch_optional_served, none()), None);
    let one = none().cached(&MENU).fetch_one(pool).await;
    assert!(matches!(one, Err(Error::RowNotFound)), "{one:?}");
    assert_eq!(
        pool.cache().snapshot().totals.loads,
        2,
        "one answer serves both"
    );
}

/// The same text and argument, but five different reads.
#[tokio::test]
async fn what_is_made_of_the_rows_is_part_of_the_question() {
    let pool = &sqlite().await;
    const SQL: &str = "SELECT price, name FROM dishes WHERE id = 1";
    twice!(pool, fetch_one_served, sqlx::query_scalar::<_, i32>(SQL));
    twice!(pool, fetch_one_served, sqlx::query_scalar::<_, i64>(SQL));
    twice!(pool, fetch_all_served, sqlx::query_scalar::<_, i64>(SQL));
    let price = || sqlx::query(SQL).map(|row: SqliteRow| row.get::<String, _>("name"));
    let name = || sqlx::query(SQL).map(|row: SqliteRow| row.get::<i64, _>("price").to_string());
    assert_eq!(*twice!(pool, fetch_one_served, price()), "soup");
    assert_eq!(*twice!(pool, fetch_one_served, name()), "400");
    assert_eq!(pool.cache().snapshot().totals.loads, 5);
}

/// If a mapping closure fails, the query fails, and so does the next one.
#[tokio::test]
async fn a_closure_that_fails_is_an_error() {
    let pool = &sqlite().await;
    let failing = || {
        sqlx::query("SELECT note FROM dishes").try_map(|row: SqliteRow| row.try_get::<i64, _>(0))
    };
    for _ in 0..2 {
        let error = failing().cached(&MENU).fetch_all(pool).await.unwrap_err();
        assert!(matches!(error, Error::ColumnDecode { .. }), "{error:?}");
    }
    let panicking =
        || sqlx::query("SELECT note FROM dishes").map(|row: SqliteRow| row.get::<i64, _>(0));
    for _ in 0..2 {
        let error = panicking().cached(&MENU).fetch_all(pool).await.unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
    }
    assert_eq!(pool.cache().snapshot().loading, 0);
}
