//! A stream of many rows that is dropped after two, or of which only the first row is asked for. The only connection of the pool must soon be free
//! again, and nothing of it is a failure of the database.

use std::time::{Duration, Instant};

use diesel_async::RunQueryDsl;
use fusepool::Gate;
use fusepool::deadpool::diesel::{
    AsyncDieselConnectionManager, AsyncMysqlConnection, AsyncPgConnection, Pool as DieselPool,
};
use fusepool::sqlx::{Driver, MySqlPoolOptions, PgPoolOptions, Pool, SqlitePoolOptions};
use futures_util::{StreamExt, TryStreamExt, pin_mut};
use sqlx::{ColumnIndex, Decode, Executor, IntoArguments, Type};

use crate::support::deadpool::builder;
use crate::support::mariadb::MariaDb;
use crate::support::postgres::Postgres;

const POSTGRES: &str = "SELECT generate_series(1, 30000000) AS n";
const MARIADB: &str = "SELECT 1 AS n FROM seq_1_to_30000000";
const SQLITE: &str = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 30000000) \
                      SELECT n FROM c";

/// The rounds of each test.
const ROUNDS: usize = 3;

/// Much shorter than reading the rows. The `acquire_timeout` is 2 s.
const SOON: Duration = Duration::from_secs(5);

async fn assert_soon_free(
    gate: &Gate,
    take_two: impl AsyncFn(),
    ask: impl AsyncFn() -> Result<(), String>,
) {
    for _ in 0..ROUNDS {
        take_two().await;
        let start = Instant::now();
        let asked = ask().await;
        let took = start.elapsed();
        assert!(asked.is_ok() && took < SOON, "{asked:?} after {took:?}");
    }
    assert_eq!(gate.snapshot().breaker.totals.failures, 0);
}

async fn on_sqlx<DB>(pool: Pool<DB>, rows: &'static str)
where
    DB: Driver,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'r> i32: Decode<'r, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
{
    pool.acquire().await.unwrap();
    let take_two = async || {
        let rows = sqlx::query_scalar::<DB, i32>(rows).fetch(&pool);
        let two: Vec<i32> = rows.take(2).try_collect().await.unwrap();
        assert_eq!(two.len(), 2);
    };
    let ask = async || {
        let one = sqlx::query_scalar::<DB, i32>("SELECT 1").fetch_one(&pool);
        one.await.map(drop).map_err(|error| format!("{error:?}"))
    };
    assert_soon_free(pool.gate(), take_two, ask).await;
    // sqlx reads all rows from PostgreSQL.
    if DB::NAME != "PostgreSQL" {
        let take_first = async || {
            let first = sqlx::query_scalar::<DB, i32>(rows).fetch_one(&pool).await;
            assert_eq!(first.unwrap(), 1);
        };
        assert_soon_free(pool.gate(), take_first, ask).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlx_postgres_frees_the_connection_of_a_dropped_stream() {
    let server = Postgres::start().await;
    let options = PgPoolOptions::new().max_connections(1);
    on_sqlx(options.connect_lazy(&server.url()).unwrap(), POSTGRES).await;
}

/// Without the session of its connections, a pool cannot stop a statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrapped_pool_frees_the_connection_of_a_dropped_stream() {
    let server = Postgres::start().await;
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = options.connect_lazy(&server.url()).unwrap();
    on_sqlx(Pool::from(pool), POSTGRES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlx_mariadb_frees_the_connection_of_a_dropped_stream() {
    let server = MariaDb::start().await;
    let options = MySqlPoolOptions::new().max_connections(1);
    on_sqlx(options.connect_lazy(&server.url()).unwrap(), MARIADB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlx_sqlite_frees_the_connection_of_a_dropped_stream() {
    let options = SqlitePoolOptions::new().max_connections(1);
    on_sqlx(options.connect_lazy("sqlite::memory:").unwrap(), SQLITE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadpool_postgres_frees_the_connection_of_a_dropped_stream() {
    let server = Postgres::start().await;
    let pool = builder(&server, server.addr().port()).max_size(1);
    let pool = pool.build().unwrap();
    drop(pool.get().await.unwrap());
    let take_two = async || {
        let client = pool.get().await.unwrap();
        let rows = client.query_raw(POSTGRES, [0_i32; 0]).await.unwrap();
        let two: Vec<_> = rows.take(2).try_collect().await.unwrap();
        assert_eq!(two.len(), 2);
    };
    let ask = async || {
        let client = pool.get().await.map_err(|error| format!("{error:?}"))?;
        let one = client.query_one("SELECT 1", &[]).await;
        one.map(drop).map_err(|error| format!("{error:?}"))
    };
    assert_soon_free(pool.gate(), take_two, ask).await;
}

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    n: i32,
}

macro_rules! on_diesel {
    ($test:ident, $server:ty, $connection:ty, $settings:literal, $rows:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            let server = <$server>::start().await;
            let url = server.url() + $settings;
            let manager = AsyncDieselConnectionManager::<$connection>::new(url);
            let pool: DieselPool<$connection> =
                DieselPool::builder(manager).max_size(1).build().unwrap();
            drop(pool.get().await.unwrap());
            let take_two = async || {
                let mut conn = pool.get().await.unwrap();
                let rows = diesel::sql_query($rows).load_stream::<Row>(&mut conn);
                let rows = rows.await.unwrap();
                pin_mut!(rows);
                for _ in 0..2 {
                    rows.try_next().await.unwrap().unwrap();
                }
            };
            let ask = async || {
                let mut conn = pool.get().await.map_err(|error| format!("{error:?}"))?;
                let one = diesel::sql_query("SELECT 1 AS n").get_result::<Row>(&mut conn);
                one.await.map(drop).map_err(|error| format!("{error:?}"))
            };
            assert_soon_free(pool.gate(), take_two, ask).await;
            let take_first = async || {
                let mut conn = pool.get().await.unwrap();
                let first: Row = diesel::sql_query($rows)
                    .get_result(&mut conn)
                    .await
                    .unwrap();
                assert_eq!(first.n, 1);
            };
            assert_soon_free(pool.gate(), take_first, ask).await;
        }
    };
}

on_diesel!(
    diesel_postgres_frees_the_connection_of_a_dropped_stream,
    Postgres,
    AsyncPgConnection,
    "",
    POSTGRES
);
on_diesel!(
    diesel_mariadb_frees_the_connection_of_a_dropped_stream,
    MariaDb,
    AsyncMysqlConnection,
    "?prefer_socket=false",
    MARIADB
);
