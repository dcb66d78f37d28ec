//! What the application needs to know of MySQL or MariaDB and its driver, besides the types of pools.

pub use sqlx::mysql::{
    MySqlConnectOptions as DbConnectOptions, MySqlQueryResult as DbQueryResult, MySqlRow as DbRow,
};
pub use sqlx::{MySql as Db, MySqlConnection as DbConnection, MySqlExecutor as DbExecutor};

use sqlx::error::DatabaseError;
use sqlx::migrate::Migrator;
use sqlx::mysql::{MySqlDatabaseError, MySqlTypeInfo};

pub type Id = u64;
pub type Price = i32;

/// The three dishes, and no order: everything is numbered from 1 again.
pub const FILL_MENU: &str = "DELETE FROM orders;
     DELETE FROM dishes;
     ALTER TABLE orders AUTO_INCREMENT = 1;
     ALTER TABLE dishes AUTO_INCREMENT = 1;
     INSERT INTO dishes (name, price, note)
     VALUES ('soup', 450, 'hot'), ('bread', 200, NULL), ('cake', 350, 'sweet')";

pub const INSERT_DISH: &str = "INSERT INTO dishes (name, price) VALUES (?, ?)";
pub const INSERT_AT_100: &str = "INSERT INTO dishes (name, price) VALUES (?, 100)";
pub const INSERT_ORDER: &str = "INSERT INTO orders (dish, quantity) VALUES (?, ?)";
pub const BY_ID: &str = "SELECT * FROM dishes WHERE id = ?";
pub const BY_NAME: &str = "SELECT * FROM dishes WHERE name = ?";
pub const ID_BY_NAME: &str = "SELECT id FROM dishes WHERE name = ?";
pub const NAME_AND_PRICE: &str = "SELECT name, price FROM dishes WHERE name = ?";
pub const PRICE_BY_ID: &str = "SELECT price FROM dishes WHERE id = ?";
pub const DEARER_THAN: &str = "SELECT * FROM dishes WHERE price > ? ORDER BY id";
pub const CHEAPER_THAN: &str = "SELECT * FROM dishes WHERE price < ? ORDER BY price";
pub const RAISE_PRICE: &str = "UPDATE dishes SET price = price + ? WHERE name = ?";
pub const RENAME: &str = "UPDATE dishes SET name = ? WHERE name = ?";
pub const SET_PRICE: &str = "UPDATE dishes SET price = ? WHERE name = ?";
pub const SET_PRICES: &str = "UPDATE dishes SET price = ?";
pub const DELETE_BY_NAME: &str = "DELETE FROM dishes WHERE name = ?";

/// Far more rows than are read, and wide ones: the server is not done when the first are here.
pub const MANY: &str = "WITH RECURSIVE numbers (n) AS
                            (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
                        SELECT n, repeat('x', 1000) FROM numbers";
pub type Number = i32;

/// How many rows an INSERT of one, a SELECT of two and a DELETE of one are said to affect.
pub const AFFECTED: [u64; 3] = [1, 0, 1];

/// A statement that begins a transaction.
pub const BEGIN: &str = "START TRANSACTION READ ONLY";

// A setting of the connection: how it is changed, read and put back.
pub type Setting = String;
pub const SETTING: &str = "bakery";
pub const SET: &str = "SET @kitchen = 'bakery'";
pub const SHOW: &str = "SELECT @kitchen";
pub const RESET: &str = "SET @kitchen = NULL";

pub const NOT_A_URL: &str = "not a url";

pub fn migrator() -> Migrator {
    sqlx::migrate!("migrations/mysql")
}

/// The types of the arguments of a statement that takes a text, which MySQL finds out by itself.
pub fn of_text() -> [MySqlTypeInfo; 0] {
    []
}

pub async fn insert_dish(conn: &mut DbConnection, name: &str, price: i32) -> sqlx::Result<Id> {
    let done = sqlx::query(INSERT_DISH)
        .bind(name)
        .bind(price)
        .execute(conn)
        .await?;
    Ok(done.last_insert_id())
}

pub async fn insert_order(conn: &mut DbConnection, dish: i64) -> sqlx::Result<Id> {
    let done = sqlx::query("INSERT INTO orders (dish, quantity) VALUES (?, 1)")
        .bind(dish)
        .execute(conn)
        .await?;
    Ok(done.last_insert_id())
}

/// The error of a second dish of the same name.
pub fn assert_names_the_rule(error: &dyn DatabaseError) {
    assert_eq!(error.downcast_ref::<MySqlDatabaseError>().number(), 1062);
}
