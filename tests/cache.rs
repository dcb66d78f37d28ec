//! Cached reads, on real databases.

use fusepool::Source;
use fusepool::cache::CachePolicy;
use fusepool::sqlx::{ReadExt, SqlitePool, SqlitePoolOptions, WriteExt};
use std::sync::Arc;
use std::time::Duration;

const MENU: CachePolicy = CachePolicy::named("menu")
    .fresh_for(Duration::from_secs(5))
    .stale_for(Duration::from_secs(600))
    .tag("dishes");

#[derive(sqlx::FromRow, Debug)]
struct Dish {
    name: String,
}

#[tokio::test]
async fn smoke() {
    let pool: SqlitePool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    sqlx::query("CREATE TABLE dish (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("INSERT INTO dish (name) VALUES ('Pho'), ('Dal')")
        .execute(&pool)
        .await
        .unwrap();
    let name = String::from("Pho");
    let all: Arc<Vec<Dish>> = sqlx::query_as("SELECT name FROM dish WHERE name = ?")
        .bind(&name)
        .cached(&MENU)
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(all[0].name, "Pho");
    let one: Arc<String> = sqlx::query_scalar("SELECT name FROM dish WHERE name = ?")
        .bind(&name)
        .cached(&MENU)
        .or_value("x".to_string())
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(*one, "Pho");
    for source in ["live", "fresh"] {
        let mapped = sqlx::query("SELECT name FROM dish")
            .map(|row: sqlx::sqlite::SqliteRow| sqlx::Row::get::<String, _>(&row, 0))
            .cached(&MENU)
            .fetch_all_served(&pool)
            .await
            .unwrap();
        assert_eq!(mapped.value.len(), 2);
        assert_eq!(mapped.source.as_str(), source);
    }
    let _ = sqlx::query("INSERT INTO dish (name) VALUES ('X')")
        .invalidates(&["dishes"])
        .execute(&pool)
        .await
        .unwrap();
    let held = pool.gate().breaker().force_open();
    let v: Arc<Vec<String>> = sqlx::query_scalar("SELECT name FROM dish")
        .cached(&MENU)
        .or_else(async { Ok(vec!["y".to_string()]) })
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(*v, ["y"]);
    drop(held);
    let mut tx = pool.begin().await.unwrap();
    let v = sqlx::query_scalar::<_, String>("SELECT name FROM dish")
        .cached(&MENU)
        .fetch_all_served(&mut *tx)
        .await
        .unwrap();
    assert_eq!(v.source, Source::Live);
    println!("{:?}", pool.cache().snapshot());
}
