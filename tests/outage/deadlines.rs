//! Deadlines of single statements, and of streams.

use std::time::{Duration, Instant};

use fusepool::{Delivery, deadline_exceeded};
use futures_util::TryStreamExt;
use sqlx::{Either, Executor};

use crate::dialect::Dialect;
use crate::sqlx::Sqlx;
use crate::support::proxy::Fault;
use crate::system::{Answer, System};
use crate::world::{QUERY_TIMEOUT, World, quick};

// The calls of the tests with diesel have only the pool's deadline.
on_all_but_diesel! {
    deadline_of_a_statement
}

on_sqlx! {
    deadline_of_a_stream
}

const LIMIT: Duration = Duration::from_millis(200);

/// A pool of one connection, so that its server-side id shows whether it was reused.
async fn single<S: System>() -> World<S> {
    World::start_with(|options| {
        options
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(2))
            .breaker(quick().consecutive_failures(None))
    })
    .await
}

fn assert_deadline<S: System>(error: &S::Error, limit: Duration, start: Instant) {
    let took = start.elapsed();
    assert_eq!(deadline_exceeded(error).expect("a deadline").limit(), limit);
    assert_eq!(S::delivery(error), Delivery::Unknown);
    assert!(
        took >= limit && took < limit + Duration::from_millis(300),
        "{took:?}"
    );
}

/// A call that misses its deadline returns an error that says so, and its connection is not reused.
pub async fn missed<S: System>(limit: Duration, call: fn(&S::Pool) -> Answer<'_, S>) {
    let world = single::<S>().await;
    for _ in 0..3 {
        let before = world.number(S::Server::SESSION).await.unwrap();
        let start = Instant::now();
        let error = call(&world.pool).await.unwrap_err();
        assert_deadline::<S>(&error, limit, start);
        assert_ne!(before, world.number(S::Server::SESSION).await.unwrap());
    }
    assert_eq!(world.gate().snapshot().totals.deadlines, 3);
    assert_eq!(world.gate().snapshot().totals.closed_connections, 3);
    // The server ends the connection when it notices that the client is gone.
    world.rest().await;
    world.run("SELECT 1").await.unwrap();
}

async fn deadline_of_a_statement<S: System>() {
    missed::<S>(LIMIT, |pool| S::run(pool, LIMIT, S::Server::SLEEP)).await;
}

async fn deadline_of_a_stream<D: Dialect>() {
    let world = single::<Sqlx<D>>().await;
    let before = world.number(D::SESSION).await.unwrap();

    // Before the first row.
    let start = Instant::now();
    let error = (world.pool.with_timeout(LIMIT).fetch_many(D::SLEEP))
        .try_next()
        .await
        .err()
        .unwrap();
    assert_deadline::<Sqlx<D>>(&error, LIMIT, start);
    let between = world.number(D::SESSION).await.unwrap();
    assert_ne!(before, between);

    // Between two rows.
    let mut rows = world.pool.with_timeout(LIMIT).fetch_many(D::BULK);
    assert!(matches!(
        rows.try_next().await.unwrap(),
        Some(Either::Right(_))
    ));
    world.set(Fault::Stall);
    // The caller does something else, so the next wait has the whole deadline.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let error = loop {
        let start = Instant::now();
        match rows.try_next().await {
            Ok(row) => assert!(row.is_some(), "everything was in a buffer"),
            Err(error) => {
                assert_deadline::<Sqlx<D>>(&error, LIMIT, start);
                break error;
            }
        }
    };
    drop(rows);
    world.set(Fault::None);
    assert_ne!(
        between,
        world.number(D::SESSION).await.unwrap(),
        "after {error}"
    );

    // A stream that is dropped in the middle is no failure, and its connection stays usable.
    let faults = world.gate().snapshot().breaker.totals.failures;
    for _ in 0..3 {
        let mut rows = world.pool.with_timeout(QUERY_TIMEOUT).fetch_many(D::BULK);
        rows.try_next().await.unwrap();
    }
    world.assert_unharmed().await;
    assert_eq!(world.gate().snapshot().breaker.totals.failures, faults);
}

/// Rows that come one by one, each long before the deadline of the statement, and all of them long after.
const ROWS: usize = 40;
const SLOW_ROWS_OF_POSTGRES: &str =
    "SELECT repeat('x', 9000) || pg_sleep(0.1)::text AS x FROM generate_series(1, 40)";
const SLOW_ROWS_OF_MARIADB: &str =
    "SELECT CONCAT(REPEAT('x', 20000), SLEEP(0.1)) AS x FROM seq_1_to_40";
const ALL_ROWS: Duration = Duration::from_millis(1_000);

fn assert_given_up<T, E: std::error::Error + 'static>(rows: Result<Vec<T>, E>) {
    let error = rows
        .err()
        .expect("it takes four times as long as its deadline");
    assert_eq!(
        deadline_exceeded(&error).expect("a deadline").limit(),
        ALL_ROWS
    );
}

/// sqlx collects the rows of `query_as` and `query_scalar` from a stream, which had the deadline for each
/// row: `fetch_all` took as long as it liked.
async fn all_rows_on_sqlx<DB>(pool: fusepool::sqlx::Pool<DB>, slow: &'static str)
where
    DB: fusepool::sqlx::Driver,
    DB::Arguments: sqlx::IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'r> String: sqlx::Decode<'r, DB> + sqlx::Type<DB>,
    usize: sqlx::ColumnIndex<DB::Row>,
{
    let scalar = || sqlx::query_scalar::<DB, String>(slow);
    assert_given_up(scalar().fetch_all(pool.with_timeout(ALL_ROWS)).await);
    let tuple = sqlx::query_as::<DB, (String,)>(slow);
    assert_given_up(tuple.fetch_all(pool.with_timeout(ALL_ROWS)).await);
    assert_given_up(
        sqlx::query::<DB>(slow)
            .fetch_all(pool.with_timeout(ALL_ROWS))
            .await,
    );

    // A stream that the user drives has it for each row.
    let mut rows = scalar().fetch(pool.with_timeout(ALL_ROWS));
    let mut count = 0;
    while let Some(row) = rows.try_next().await.unwrap() {
        assert!(row.starts_with('x'));
        count += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(count, ROWS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_rows_of_sqlx_postgres_have_one_deadline() {
    let server = crate::support::postgres::Postgres::start().await;
    let pool = fusepool::sqlx::PgPool::connect(&server.url())
        .await
        .unwrap();
    all_rows_on_sqlx(pool, SLOW_ROWS_OF_POSTGRES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_rows_of_sqlx_mariadb_have_one_deadline() {
    let server = crate::support::mariadb::MariaDb::start().await;
    let pool = fusepool::sqlx::MySqlPool::connect(&server.url())
        .await
        .unwrap();
    all_rows_on_sqlx(pool, SLOW_ROWS_OF_MARIADB).await;
}

#[derive(diesel::QueryableByName)]
struct Slow {
    #[diesel(sql_type = diesel::sql_types::Text)]
    #[expect(dead_code, reason = "only counted")]
    x: String,
}

macro_rules! all_rows_on_diesel {
    ($test:ident, $server:ty, $connection:ty, $settings:literal, $slow:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            use diesel_async::RunQueryDsl;
            use fusepool::deadpool::diesel::{AsyncDieselConnectionManager, Pool};
            let server = <$server>::start().await;
            let url = server.url() + $settings;
            let manager = AsyncDieselConnectionManager::<$connection>::new(url);
            let pool: Pool<$connection> = Pool::builder(manager).build().unwrap();
            let mut conn = pool.get().await.unwrap();
            let slow = diesel::sql_query($slow);
            assert_given_up(slow.load::<Slow>(&mut conn.with_timeout(ALL_ROWS)).await);
        }
    };
}

all_rows_on_diesel!(
    all_rows_of_diesel_postgres_have_one_deadline,
    crate::support::postgres::Postgres,
    fusepool::deadpool::diesel::AsyncPgConnection,
    "",
    SLOW_ROWS_OF_POSTGRES
);
all_rows_on_diesel!(
    all_rows_of_diesel_mariadb_have_one_deadline,
    crate::support::mariadb::MariaDb,
    fusepool::deadpool::diesel::AsyncMysqlConnection,
    "?prefer_socket=false",
    SLOW_ROWS_OF_MARIADB
);
