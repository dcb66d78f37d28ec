// An application's everyday use of sqlx with SQLite; see main.rs.

use crate::Checked;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use imports::{
    Pool, PoolConnection, SqlitePool, SqlitePoolOptions, SqliteTransaction, Transaction,
};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteQueryResult, SqliteRow};
use sqlx::{
    Column, Either, Executor, QueryBuilder, Row, SqlSafeStr, Sqlite, SqliteConnection,
    SqliteExecutor, Statement,
};

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
struct Dish {
    id: i64,
    name: String,
    price: i64,
    note: Option<String>,
}

/// Runs every use against an empty database.
pub async fn all(url: &str) -> Checked {
    let options = url
        .parse::<SqliteConnectOptions>()?
        .journal_mode(SqliteJournalMode::Wal);
    let pool = SqlitePoolOptions::new()
        .max_connections(5)
        .connect_with(options)
        .await?;
    migrations_run_on_the_pool(&pool).await?;

    fill_menu(&pool).await?;
    queries_run_on_the_pool(&pool).await?;
    queries_run_on_a_connection(&pool).await?;
    queries_run_in_a_transaction(&pool).await?;
    executor_methods_take_plain_sql(&pool).await?;
    raw_sql_runs_several_statements(&pool).await?;
    streams_are_read_to_the_end(&pool).await?;
    streams_are_dropped_early(url).await?;
    statements_are_prepared_once_and_run_often(&pool).await?;
    macros_check_queries_at_compile_time(&pool).await?;
    query_builder_inserts_many_rows(&pool).await?;

    fill_menu(&pool).await?;
    transactions_commit_and_roll_back(&pool).await?;
    savepoints_by_acquire(&pool).await?;
    savepoints_by_connection(&pool).await?;
    transactions_begin_with_a_statement(&pool).await?;
    transactions_are_passed_around(&pool).await?;
    nothing_is_tried_when_exhausted(url).await?;

    fill_menu(&pool).await?;
    functions_take_any_executor(&pool).await?;
    functions_take_anything_to_acquire_from(&pool).await?;
    functions_take_the_driver_connection(&pool).await?;
    applications_hold_a_pool(&pool).await?;
    tasks_share_a_pool(&pool).await?;

    fill_menu(&pool).await?;
    errors_are_matched(&pool).await?;
    pools_are_made_in_many_ways(url).await?;
    options_change_at_run_time(url).await?;
    databases_live_in_memory().await?;

    pool.close().await;
    Ok(())
}

async fn migrations_run_on_the_pool(pool: &SqlitePool) -> Checked {
    let migrator = sqlx::migrate!("migrations/sqlite");
    migrator.run(pool).await?;
    migrator.run(&mut *pool.acquire().await?).await?;

    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations")
        .fetch_one(pool)
        .await?;
    assert_eq!(applied, 2);
    Ok(())
}

async fn fill_menu(pool: &SqlitePool) -> sqlx::Result<()> {
    sqlx::raw_sql(
        "DELETE FROM orders;
         DELETE FROM dishes;
         DELETE FROM sqlite_sequence;
         INSERT INTO dishes (name, price, note)
         VALUES ('soup', 450, 'hot'), ('bread', 200, NULL), ('cake', 350, 'sweet')",
    )
    .execute(pool)
    .await?;
    Ok(())
}

async fn queries_run_on_the_pool(pool: &SqlitePool) -> Checked {
    let done: SqliteQueryResult = sqlx::query("INSERT INTO dishes (name, price) VALUES (?1, ?2)")
        .bind("tea")
        .bind(150)
        .execute(pool)
        .await?;
    assert_eq!(done.rows_affected(), 1);

    let row = sqlx::query("SELECT name, price FROM dishes WHERE name = ?1")
        .bind("tea")
        .fetch_one(pool)
        .await?;
    assert_eq!(row.get::<&str, _>("name"), "tea");
    assert_eq!(row.try_get::<i64, _>(1)?, 150);

    let dear: Vec<Dish> = sqlx::query_as("SELECT * FROM dishes WHERE price > ?1 ORDER BY id")
        .bind(300)
        .fetch_all(pool)
        .await?;
    assert_eq!(dear.len(), 2);
    assert_eq!(dear[0].note.as_deref(), Some("hot"));

    let none = sqlx::query_as::<_, Dish>("SELECT * FROM dishes WHERE name = ?1")
        .bind("caviar")
        .fetch_optional(pool)
        .await?;
    assert_eq!(none, None);

    let deleted: Option<i64> =
        sqlx::query_scalar("DELETE FROM dishes WHERE name = ?1 RETURNING id")
            .bind("tea")
            .fetch_optional(pool)
            .await?;
    assert_eq!(deleted, Some(4));

    let lengths: Vec<usize> = sqlx::query("SELECT name FROM dishes ORDER BY id")
        .map(|row: SqliteRow| row.get::<String, _>("name").len())
        .fetch_all(pool)
        .await?;
    assert_eq!(lengths, [4, 5, 4]);
    Ok(())
}

async fn queries_run_on_a_connection(pool: &SqlitePool) -> Checked {
    let mut conn: PoolConnection<Sqlite> = pool.acquire().await?;

    let done = sqlx::query("UPDATE dishes SET price = price + ?1 WHERE name = ?2")
        .bind(50)
        .bind("soup")
        .execute(&mut *conn)
        .await?;
    assert_eq!(done.rows_affected(), 1);

    let soup: Dish = sqlx::query_as("SELECT * FROM dishes WHERE name = ?1")
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

async fn queries_run_in_a_transaction(pool: &SqlitePool) -> Checked {
    let mut tx = pool.begin().await?;

    let id: i64 =
        sqlx::query_scalar("INSERT INTO dishes (name, price) VALUES (?1, ?2) RETURNING id")
            .bind("pie")
            .bind(300)
            .fetch_one(&mut *tx)
            .await?;
    sqlx::query("INSERT INTO orders (dish, quantity) VALUES (?1, ?2)")
        .bind(id)
        .bind(2)
        .execute(&mut *tx)
        .await?;
    let pie: Option<Dish> = sqlx::query_as("SELECT * FROM dishes WHERE id = ?1")
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
    assert_eq!(pie.map(|dish| dish.name).as_deref(), Some("pie"));

    tx.rollback().await?;
    assert_eq!(count(pool).await?, 3);
    Ok(())
}

async fn executor_methods_take_plain_sql(pool: &SqlitePool) -> Checked {
    let mut conn = pool.acquire().await?;
    let mut tx = pool.begin().await?;

    pool.execute("UPDATE dishes SET note = NULL WHERE name = 'nothing'")
        .await?;
    conn.execute("PRAGMA cache_size = 1000").await?;
    tx.execute(sqlx::query("UPDATE dishes SET price = ?1").bind(1))
        .await?;

    let rows = pool
        .fetch_all("SELECT name FROM dishes WHERE price > 1")
        .await?;
    assert_eq!(rows.len(), 3);
    let cache_size: i64 = conn.fetch_one("PRAGMA cache_size").await?.get(0);
    assert_eq!(cache_size, 1000);
    let row = tx
        .fetch_optional("SELECT 1 FROM dishes WHERE price > 1")
        .await?;
    assert!(row.is_none());

    tx.rollback().await?;
    Ok(())
}

async fn raw_sql_runs_several_statements(pool: &SqlitePool) -> Checked {
    const BATCH: &str = "INSERT INTO dishes (name, price) VALUES ('jam', 100);
                         SELECT name, price FROM dishes WHERE price < 250 ORDER BY price;
                         DELETE FROM dishes WHERE name = 'jam'";

    let affected: Vec<u64> = sqlx::raw_sql(BATCH)
        .execute_many(pool)
        .map_ok(|done| done.rows_affected())
        .try_collect()
        .await?;
    assert_eq!(affected, [1, 1, 1]); // SQLite repeats the last change for a SELECT

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

fn all_dishes(pool: &SqlitePool) -> BoxStream<'static, sqlx::Result<SqliteRow>> {
    sqlx::query("SELECT name FROM dishes ORDER BY id").fetch(pool)
}

async fn streams_are_read_to_the_end(pool: &SqlitePool) -> Checked {
    let mut total = 0;
    let mut dishes = sqlx::query_as::<_, Dish>("SELECT * FROM dishes").fetch(pool);
    while let Some(dish) = dishes.try_next().await? {
        total += dish.price;
    }
    assert_eq!(total, 500 + 200 + 350);

    let mut conn = pool.acquire().await?;
    let prices: Vec<i64> = sqlx::query_scalar::<_, i64>("SELECT price FROM dishes ORDER BY price")
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
    const MANY: &str = "WITH RECURSIVE numbers (n) AS
                            (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
                        SELECT n FROM numbers";
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect(url)
        .await?;

    let mut rows = sqlx::query_scalar::<_, i64>(MANY).fetch(&pool);
    assert_eq!(rows.try_next().await?, Some(1));
    drop(rows);
    assert_eq!(count(&pool).await?, 3);

    let mut conn = pool.acquire().await?;
    let mut rows = sqlx::query_scalar::<_, i64>(MANY).fetch(&mut *conn);
    assert_eq!(rows.try_next().await?, Some(1));
    drop(rows);
    assert_eq!(count(&mut *conn).await?, 3);
    drop(conn);

    let mut tx = pool.begin().await?;
    let mut rows = sqlx::query_scalar::<_, i64>(MANY).fetch(&mut *tx);
    assert_eq!(rows.try_next().await?, Some(1));
    drop(rows);
    assert_eq!(count(&mut *tx).await?, 3);
    tx.commit().await?;

    assert_eq!(count(&pool).await?, 3);
    Ok(())
}

async fn statements_are_prepared_once_and_run_often(pool: &SqlitePool) -> Checked {
    let below = pool
        .prepare("SELECT * FROM dishes WHERE price < ?1 ORDER BY price".into_sql_str())
        .await?;
    assert_eq!(below.columns()[1].name(), "name");
    for (price, found) in [(100, 0), (300, 1), (400, 2)] {
        let rows = below.query().bind(price).fetch_all(pool).await?;
        assert_eq!(rows.len(), found);
    }

    let mut conn = pool.acquire().await?;
    let by_name = conn
        .prepare_with("SELECT * FROM dishes WHERE name = ?1".into_sql_str(), &[])
        .await?;
    let cake: Dish = by_name
        .query_as()
        .bind("cake")
        .fetch_one(&mut *conn)
        .await?;
    assert_eq!(cake.price, 350);

    let mut tx = pool.begin().await?;
    let price = tx
        .prepare("SELECT price FROM dishes WHERE id = ?1".into_sql_str())
        .await?;
    let price: i64 = price
        .query_scalar()
        .bind(cake.id)
        .fetch_one(&mut *tx)
        .await?;
    assert_eq!(price, 350);
    tx.commit().await?;
    Ok(())
}

async fn macros_check_queries_at_compile_time(pool: &SqlitePool) -> Checked {
    let soup = sqlx::query!("SELECT id, price, note FROM dishes WHERE name = ?1", "soup")
        .fetch_one(pool)
        .await?;
    assert_eq!(
        (soup.id, soup.price, soup.note.as_deref()),
        (1, 500, Some("hot"))
    );

    let mut conn = pool.acquire().await?;
    let dishes = sqlx::query_as!(
        Dish,
        "SELECT id, name, price, note FROM dishes WHERE price > ?1 ORDER BY id",
        300
    )
    .fetch_all(&mut *conn)
    .await?;
    assert_eq!(dishes.len(), 2);

    let mut tx = pool.begin().await?;
    let done = sqlx::query!("UPDATE dishes SET price = ?1 WHERE name = ?2", 450, "soup")
        .execute(&mut *tx)
        .await?;
    assert_eq!(done.rows_affected(), 1);
    let dear = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM dishes WHERE price > ?1"#,
        300
    )
    .fetch_one(&mut *tx)
    .await?;
    assert_eq!(dear, 2);
    tx.commit().await?;
    Ok(())
}

async fn query_builder_inserts_many_rows(pool: &SqlitePool) -> Checked {
    let drinks = [("tea", 150), ("milk", 120), ("juice", 180)];
    let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO dishes (name, price) ");
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

async fn transactions_commit_and_roll_back(pool: &SqlitePool) -> Checked {
    let mut tx = pool.begin().await?;
    add(&mut tx, "tea").await?;
    tx.commit().await?;
    assert_eq!(count(pool).await?, 4);

    let mut tx = pool.begin().await?;
    remove(&mut tx, "tea").await?;
    tx.rollback().await?;
    assert_eq!(count(pool).await?, 4);

    let mut tx = pool.begin().await?;
    remove(&mut tx, "tea").await?;
    drop(tx);
    assert_eq!(count(pool).await?, 4);

    crate::one_is_idle(|| pool.num_idle()).await;
    let mut tx = pool.try_begin().await?.expect("a connection is idle");
    remove(&mut tx, "tea").await?;
    tx.commit().await?;
    assert_eq!(count(pool).await?, 3);
    Ok(())
}

async fn savepoints_by_acquire(pool: &SqlitePool) -> Checked {
    #[allow(unused_imports)] // a pool with a `begin` of its own needs no trait for it
    use sqlx::Acquire;

    let mut tx = pool.begin().await?;
    let mut savepoint = tx.begin().await?;
    add(&mut savepoint, "tea").await?;
    let mut inner = savepoint.begin().await?;
    remove(&mut inner, "tea").await?;
    inner.rollback().await?;
    savepoint.commit().await?;
    let mut savepoint = tx.begin().await?;
    add(&mut savepoint, "milk").await?;
    drop(savepoint);
    assert_eq!(count(&mut *tx).await?, 4);
    tx.rollback().await?;

    let mut conn = pool.acquire().await?;
    let mut tx = conn.begin().await?;
    sqlx::query("DELETE FROM dishes").execute(&mut *tx).await?;
    tx.rollback().await?;
    assert_eq!(count(&mut *conn).await?, 3);
    Ok(())
}

async fn savepoints_by_connection(pool: &SqlitePool) -> Checked {
    use sqlx::Connection;

    let mut conn = pool.acquire().await?;
    assert!(!conn.is_in_transaction());
    let mut tx = conn.begin().await?;
    assert!(tx.is_in_transaction());
    let mut savepoint = tx.begin().await?;
    sqlx::query("DELETE FROM dishes")
        .execute(&mut *savepoint)
        .await?;
    savepoint.rollback().await?;
    assert_eq!(count(&mut *tx).await?, 3);
    tx.commit().await?;

    let left = conn
        .transaction(|tx| {
            Box::pin(async move {
                sqlx::query("DELETE FROM dishes WHERE name = 'cake'")
                    .execute(&mut **tx)
                    .await?;
                count(&mut **tx).await
            })
        })
        .await?;
    assert_eq!(left, 2);

    let failed: sqlx::Result<()> = conn
        .transaction(|tx| {
            Box::pin(async move {
                tx.execute("DELETE FROM dishes").await?;
                Err(sqlx::Error::RowNotFound)
            })
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(count(&mut *conn).await?, 2);

    drop(conn);
    fill_menu(pool).await?;
    Ok(())
}

async fn transactions_begin_with_a_statement(pool: &SqlitePool) -> Checked {
    async fn delete_orders(tx: &mut SqliteTransaction<'_>) -> sqlx::Result<u64> {
        let done = sqlx::query("DELETE FROM orders").execute(&mut **tx).await?;
        Ok(done.rows_affected())
    }

    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    assert_eq!(delete_orders(&mut tx).await?, 0);
    tx.commit().await?;

    crate::one_is_idle(|| pool.num_idle()).await;
    let tx = pool.try_begin_with("BEGIN EXCLUSIVE").await?;
    let mut tx = tx.expect("a connection is idle");
    assert_eq!(delete_orders(&mut tx).await?, 0);
    tx.rollback().await?;

    let not_begun = pool.begin_with("SELECT 1").await;
    assert!(matches!(not_begun, Err(sqlx::Error::BeginFailed)));
    Ok(())
}

async fn add(tx: &mut Transaction<'_, Sqlite>, name: &str) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO dishes (name, price) VALUES (?1, 100)")
        .bind(name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn remove(conn: &mut SqliteConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM dishes WHERE name = ?1")
        .bind(name)
        .execute(conn)
        .await?;
    Ok(())
}

struct UnitOfWork<'t> {
    tx: Transaction<'t, Sqlite>,
}

impl UnitOfWork<'static> {
    async fn start(pool: &SqlitePool) -> sqlx::Result<Self> {
        Ok(Self {
            tx: pool.begin().await?,
        })
    }

    async fn count(&mut self) -> sqlx::Result<i64> {
        count(&mut *self.tx).await
    }

    async fn finish(self) -> sqlx::Result<()> {
        self.tx.commit().await
    }
}

async fn transactions_are_passed_around(pool: &SqlitePool) -> Checked {
    let mut work = UnitOfWork::start(pool).await?;
    add(&mut work.tx, "tea").await?;
    remove(&mut work.tx, "tea").await?;
    let mut work = tokio::spawn(async move {
        work.count().await?;
        Ok::<_, sqlx::Error>(work)
    })
    .await
    .unwrap()?;
    assert_eq!(work.count().await?, 3);
    work.finish().await?;
    Ok(())
}

async fn nothing_is_tried_when_exhausted(url: &str) -> Checked {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect(url)
        .await?;
    let conn = pool.acquire().await?;
    assert!(pool.try_acquire().is_none());
    assert!(pool.try_begin().await?.is_none());
    assert!(pool.try_begin_with("BEGIN IMMEDIATE").await?.is_none());
    drop(conn);
    assert_eq!(count(&pool).await?, 3);
    Ok(())
}

async fn count<'e, E>(executor: E) -> sqlx::Result<i64>
where
    E: Executor<'e, Database = Sqlite>,
{
    sqlx::query_scalar("SELECT count(*) FROM dishes")
        .fetch_one(executor)
        .await
}

async fn dearest(executor: impl SqliteExecutor<'_>) -> sqlx::Result<String> {
    sqlx::query_scalar("SELECT name FROM dishes ORDER BY price DESC")
        .fetch_one(executor)
        .await
}

async fn functions_take_any_executor(pool: &SqlitePool) -> Checked {
    let mut conn = pool.acquire().await?;
    let mut tx = pool.begin().await?;
    assert_eq!(count(pool).await?, 3);
    assert_eq!(count(&mut *conn).await?, 3);
    assert_eq!(count(&mut *tx).await?, 3);
    assert_eq!(dearest(pool).await?, "soup");
    assert_eq!(dearest(&mut *conn).await?, "soup");
    assert_eq!(dearest(&mut *tx).await?, "soup");
    Ok(())
}

async fn order<'a, A>(db: A, name: &str) -> sqlx::Result<i64>
where
    A: sqlx::Acquire<'a, Database = Sqlite>,
{
    let mut conn = db.acquire().await?;
    let dish: i64 = sqlx::query_scalar("SELECT id FROM dishes WHERE name = ?1")
        .bind(name)
        .fetch_one(&mut *conn)
        .await?;
    sqlx::query_scalar("INSERT INTO orders (dish, quantity) VALUES (?1, 1) RETURNING id")
        .bind(dish)
        .fetch_one(&mut *conn)
        .await
}

async fn rename<'a, A>(db: A, from: &str, to: &str) -> sqlx::Result<u64>
where
    A: sqlx::Acquire<'a, Database = Sqlite>,
{
    let mut tx = db.begin().await?;
    let done = sqlx::query("UPDATE dishes SET name = ?1 WHERE name = ?2")
        .bind(to)
        .bind(from)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

async fn functions_take_anything_to_acquire_from(pool: &SqlitePool) -> Checked {
    let mut conn = pool.acquire().await?;
    assert_eq!(order(pool, "soup").await?, 1);
    assert_eq!(order(&mut conn, "soup").await?, 2);
    assert_eq!(order(&mut *conn, "soup").await?, 3);

    assert_eq!(rename(pool, "soup", "broth").await?, 1);
    assert_eq!(rename(&mut conn, "broth", "stew").await?, 1);
    assert_eq!(rename(&mut *conn, "stew", "soup").await?, 1);

    let mut tx = pool.begin().await?;
    assert_eq!(order(&mut tx, "soup").await?, 4);
    assert_eq!(order(&mut *tx, "soup").await?, 5);
    assert_eq!(rename(&mut tx, "soup", "broth").await?, 1);
    assert_eq!(rename(&mut *tx, "broth", "stew").await?, 1);
    tx.rollback().await?;
    assert_eq!(dearest(pool).await?, "soup");
    Ok(())
}

async fn set_price(conn: &mut SqliteConnection, name: &str, price: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE dishes SET price = ?1 WHERE name = ?2")
        .bind(price)
        .bind(name)
        .execute(&mut *conn)
        .await?;
    Ok(())
}

#[allow(clippy::explicit_auto_deref)]
async fn functions_take_the_driver_connection(pool: &SqlitePool) -> Checked {
    let mut conn = pool.acquire().await?;
    set_price(&mut conn, "cake", 360).await?;
    set_price(&mut *conn, "cake", 370).await?;
    drop(conn.lock_handle().await?);
    let raw: &mut SqliteConnection = &mut conn;
    set_price(raw, "cake", 380).await?;

    let mut tx = pool.begin().await?;
    set_price(&mut tx, "cake", 390).await?;
    set_price(&mut *tx, "cake", 400).await?;
    tx.commit().await?;

    let price: i64 = sqlx::query_scalar("SELECT price FROM dishes WHERE name = 'cake'")
        .fetch_one(pool)
        .await?;
    assert_eq!(price, 400);
    Ok(())
}

#[derive(Clone, Debug)]
struct Bakery {
    pool: SqlitePool,
}

impl Bakery {
    async fn dishes(&self) -> sqlx::Result<Vec<Dish>> {
        sqlx::query_as("SELECT * FROM dishes ORDER BY id")
            .fetch_all(&self.pool)
            .await
    }

    async fn transaction(&self) -> sqlx::Result<SqliteTransaction<'static>> {
        self.pool.begin().await
    }

    fn pool(&self) -> &Pool<Sqlite> {
        &self.pool
    }
}

async fn applications_hold_a_pool(pool: &SqlitePool) -> Checked {
    let bakery = Bakery { pool: pool.clone() };
    assert!(format!("{:?}", bakery.clone()).contains("Pool"));
    assert_eq!(bakery.dishes().await?.len(), 3);
    assert_eq!(count(bakery.pool()).await?, 3);

    let mut tx = bakery.transaction().await?;
    add(&mut tx, "tea").await?;
    tx.rollback().await?;
    Ok(())
}

async fn tasks_share_a_pool(pool: &SqlitePool) -> Checked {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let pool = pool.clone();
        tasks.spawn(async move {
            let mut tx = pool.begin().await?;
            let inside = count(&mut *tx).await?;
            tx.commit().await?;
            let mut conn = pool.acquire().await?;
            set_price(&mut conn, "bread", 200).await?;
            let read = sqlx::query("SELECT * FROM dishes")
                .fetch(&mut *conn)
                .count()
                .await;
            assert_eq!(read, 3);
            drop(conn);
            order(&pool, "bread").await?;
            rename(&pool, "bread", "bread").await?;
            Ok::<i64, sqlx::Error>(inside + count(&pool).await?)
        });
    }
    while let Some(counted) = tasks.join_next().await {
        assert_eq!(counted.unwrap()?, 6);
    }
    Ok(())
}

async fn errors_are_matched(pool: &SqlitePool) -> Checked {
    let twice = sqlx::query("INSERT INTO dishes (name, price) VALUES ('soup', 1)")
        .execute(pool)
        .await
        .unwrap_err();
    let answer = twice.as_database_error().expect("the database answered");
    assert!(answer.is_unique_violation());
    assert_eq!(answer.message(), "UNIQUE constraint failed: dishes.name");

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

async fn pools_are_made_in_many_ways(url: &str) -> Checked {
    let options: SqliteConnectOptions = url.parse()?;
    let pools: [SqlitePool; 8] = [
        SqlitePool::connect(url).await?,
        SqlitePool::connect_with(options.clone()).await?,
        SqlitePool::connect_lazy(url)?,
        SqlitePool::connect_lazy_with(options.clone()),
        SqlitePoolOptions::new().connect(url).await?,
        SqlitePoolOptions::new()
            .connect_with(options.clone())
            .await?,
        SqlitePoolOptions::new().connect_lazy(url)?,
        SqlitePoolOptions::new().connect_lazy_with(options),
    ];
    for pool in pools {
        assert_eq!(count(&pool).await?, 3);
        pool.close().await;
    }
    assert!(SqlitePool::connect_lazy("sqlite://menu.db?mode=upside_down").is_err());
    Ok(())
}

async fn options_change_at_run_time(url: &str) -> Checked {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect(url)
        .await?;
    let options = SqliteConnectOptions::clone(&pool.connect_options());
    pool.set_connect_options(options.read_only(true));
    assert!(format!("{:?}", pool.connect_options()).contains("read_only: true"));

    pool.acquire().await?.close().await?;
    assert!(pool.execute("DELETE FROM orders").await.is_err());
    assert_eq!(count(&pool).await?, 3);
    Ok(())
}

#[allow(clippy::useless_conversion)]
#[sqlx::test(migrations = "migrations/sqlite")]
async fn test_pools_convert(given: sqlx::SqlitePool) -> Checked {
    let pool: SqlitePool = given.into();
    fill_menu(&pool).await?;
    assert_eq!(count(&pool).await?, 3);
    Ok(())
}

async fn databases_live_in_memory() -> Checked {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await?;
    pool.execute("CREATE TABLE dishes (name TEXT)").await?;
    assert_eq!(count(&pool).await?, 0);
    Ok(())
}
