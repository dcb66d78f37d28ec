//! What the application needs to know of SQLite and its driver, besides the types of pools.

pub use sqlx::sqlite::{
    SqliteConnectOptions as DbConnectOptions, SqliteQueryResult as DbQueryResult,
    SqliteRow as DbRow,
};
pub use sqlx::{Sqlite as Db, SqliteConnection as DbConnection, SqliteExecutor as DbExecutor};

use sqlx::error::DatabaseError;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteTypeInfo;

pub type Id = i64;
pub type Price = i64;

/// The three dishes, and no order: everything is numbered from 1 again.
pub const FILL_MENU: &str = "DELETE FROM orders;
     DELETE FROM dishes;
     DELETE FROM sqlite_sequence;
     INSERT INTO dishes (name, price, note)
     VALUES ('soup', 450, 'hot'), ('bread', 200, NULL), ('cake', 350, 'sweet')";

pub const INSERT_DISH: &str = "INSERT INTO dishes (name, price) VALUES (?1, ?2)";
pub const INSERT_AT_100: &str = "INSERT INTO dishes (name, price) VALUES (?1, 100)";
pub const INSERT_ORDER: &str = "INSERT INTO orders (dish, quantity) VALUES (?1, ?2)";
pub const BY_ID: &str = "SELECT * FROM dishes WHERE id = ?1";
pub const BY_NAME: &str = "SELECT * FROM dishes WHERE name = ?1";
pub const ID_BY_NAME: &str = "SELECT id FROM dishes WHERE name = ?1";
pub const NAME_AND_PRICE: &str = "SELECT name, price FROM dishes WHERE name = ?1";
pub const PRICE_BY_ID: &str = "SELECT price FROM dishes WHERE id = ?1";
pub const DEARER_THAN: &str = "SELECT * FROM dishes WHERE price > ?1 ORDER BY id";
pub const CHEAPER_THAN: &str = "SELECT * FROM dishes WHERE price < ?1 ORDER BY price";
pub const RAISE_PRICE: &str = "UPDATE dishes SET price = price + ?1 WHERE name = ?2";
pub const RENAME: &str = "UPDATE dishes SET name = ?1 WHERE name = ?2";
pub const SET_PRICE: &str = "UPDATE dishes SET price = ?1 WHERE name = ?2";
pub const SET_PRICES: &str = "UPDATE dishes SET price = ?1";
pub const DELETE_BY_NAME: &str = "DELETE FROM dishes WHERE name = ?1";

/// Far more rows than are read.
pub const MANY: &str = "WITH RECURSIVE numbers (n) AS
                            (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
                        SELECT n FROM numbers";
pub type Number = i64;

/// How many rows an INSERT of one, a SELECT of two and a DELETE of one are said to affect: SQLite
/// repeats the last change for a SELECT.
pub const AFFECTED: [u64; 3] = [1, 1, 1];

/// A statement that begins a transaction.
pub const BEGIN: &str = "BEGIN IMMEDIATE";

// A setting of the connection: how it is changed, read and put back.
pub type Setting = i64;
pub const SETTING: i64 = 1000;
pub const SET: &str = "PRAGMA cache_size = 1000";
pub const SHOW: &str = "PRAGMA cache_size";
pub const RESET: &str = "PRAGMA cache_size = -2000";

pub const NOT_A_URL: &str = "sqlite://menu.db?mode=upside_down";

pub fn migrator() -> Migrator {
    sqlx::migrate!("migrations/sqlite")
}

/// The types of the arguments of a statement that takes a text, which SQLite does not ask for.
pub fn of_text() -> [SqliteTypeInfo; 0] {
    []
}

pub async fn insert_dish(conn: &mut DbConnection, name: &str, price: i32) -> sqlx::Result<Id> {
    sqlx::query_scalar("INSERT INTO dishes (name, price) VALUES (?1, ?2) RETURNING id")
        .bind(name)
        .bind(price)
        .fetch_one(conn)
        .await
}

pub async fn insert_order(conn: &mut DbConnection, dish: i64) -> sqlx::Result<Id> {
    sqlx::query_scalar("INSERT INTO orders (dish, quantity) VALUES (?1, 1) RETURNING id")
        .bind(dish)
        .fetch_one(conn)
        .await
}

/// The error of a second dish of the same name.
pub fn assert_names_the_rule(error: &dyn DatabaseError) {
    assert_eq!(error.message(), "UNIQUE constraint failed: dishes.name");
}
