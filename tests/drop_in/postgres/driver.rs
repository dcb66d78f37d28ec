//! What the application needs to know of PostgreSQL and its driver, besides the types of pools.

pub use sqlx::postgres::{
    PgConnectOptions as DbConnectOptions, PgQueryResult as DbQueryResult, PgRow as DbRow,
};
pub use sqlx::{PgConnection as DbConnection, PgExecutor as DbExecutor, Postgres as Db};

use sqlx::error::DatabaseError;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgTypeInfo;

pub type Id = i64;
pub type Price = i32;

/// The three dishes, and no order: everything is numbered from 1 again.
pub const FILL_MENU: &str = "TRUNCATE dishes, orders RESTART IDENTITY;
     INSERT INTO dishes (name, price, note)
     VALUES ('soup', 450, 'hot'), ('bread', 200, NULL), ('cake', 350, 'sweet')";

pub const INSERT_DISH: &str = "INSERT INTO dishes (name, price) VALUES ($1, $2)";
pub const INSERT_AT_100: &str = "INSERT INTO dishes (name, price) VALUES ($1, 100)";
pub const INSERT_ORDER: &str = "INSERT INTO orders (dish, quantity) VALUES ($1, $2)";
pub const BY_ID: &str = "SELECT * FROM dishes WHERE id = $1";
pub const BY_NAME: &str = "SELECT * FROM dishes WHERE name = $1";
pub const ID_BY_NAME: &str = "SELECT id FROM dishes WHERE name = $1";
pub const NAME_AND_PRICE: &str = "SELECT name, price FROM dishes WHERE name = $1";
pub const PRICE_BY_ID: &str = "SELECT price FROM dishes WHERE id = $1";
pub const DEARER_THAN: &str = "SELECT * FROM dishes WHERE price > $1 ORDER BY id";
pub const CHEAPER_THAN: &str = "SELECT * FROM dishes WHERE price < $1 ORDER BY price";
pub const RAISE_PRICE: &str = "UPDATE dishes SET price = price + $1 WHERE name = $2";
pub const RENAME: &str = "UPDATE dishes SET name = $1 WHERE name = $2";
pub const SET_PRICE: &str = "UPDATE dishes SET price = $1 WHERE name = $2";
pub const SET_PRICES: &str = "UPDATE dishes SET price = $1";
pub const DELETE_BY_NAME: &str = "DELETE FROM dishes WHERE name = $1";

/// Far more rows than are read.
pub const MANY: &str = "SELECT n FROM generate_series(1, 10000) n";
pub type Number = i32;

/// How many rows an INSERT of one, a SELECT of two and a DELETE of one are said to affect.
pub const AFFECTED: [u64; 3] = [1, 2, 1];

/// A statement that begins a transaction.
pub const BEGIN: &str = "BEGIN READ ONLY";

// A setting of the connection: how it is changed, read and put back.
pub type Setting = String;
pub const SETTING: &str = "bakery";
pub const SET: &str = "SET application_name = 'bakery'";
pub const SHOW: &str = "SHOW application_name";
pub const RESET: &str = "RESET application_name";

pub const NOT_A_URL: &str = "not a url";

pub fn migrator() -> Migrator {
    sqlx::migrate!("migrations/postgres")
}

/// The types of the arguments of a statement that takes a text.
pub fn of_text() -> [PgTypeInfo; 1] {
    [PgTypeInfo::with_name("text")]
}

pub async fn insert_dish(conn: &mut DbConnection, name: &str, price: i32) -> sqlx::Result<Id> {
    sqlx::query_scalar("INSERT INTO dishes (name, price) VALUES ($1, $2) RETURNING id")
        .bind(name)
        .bind(price)
        .fetch_one(conn)
        .await
}

pub async fn insert_order(conn: &mut DbConnection, dish: i64) -> sqlx::Result<Id> {
    sqlx::query_scalar("INSERT INTO orders (dish, quantity) VALUES ($1, 1) RETURNING id")
        .bind(dish)
        .fetch_one(conn)
        .await
}

/// The error of a second dish of the same name.
pub fn assert_names_the_rule(error: &dyn DatabaseError) {
    assert_eq!(error.constraint(), Some("dishes_name_key"));
}
