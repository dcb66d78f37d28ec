//! Fallbacks where the database is well, but lets no statement through.

use std::time::Duration;

use fusepool::cache::CachePolicy;
use fusepool::sqlx::{Driver, MySqlPoolOptions, PgPoolOptions, Pool, PoolOptions, ReadExt};
use fusepool::{ManualClock, Source, StaleReason};
use sqlx::{
    AssertSqlSafe, ColumnIndex, Connection, Decode, Executor, IntoArguments, MySql, Postgres, Type,
};

use crate::support::mariadb::MariaDb;
use crate::support::postgres;
use crate::support::server::Server;

const MENU: CachePolicy = CachePolicy::named("menu")
    .fresh_for(Duration::from_secs(5))
    .stale_if_error(Duration::from_secs(600))
    .jitter(0.0);

/// Reads through the pool of a user, runs a statement of the superuser that shuts the user out, and
/// reads again.
async fn shut_out<DB>(server: &Server, database: &str, options: PoolOptions<DB>, shut_out: &[&str])
where
    DB: Driver,
    DB::Arguments: IntoArguments<DB>,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    for<'r> i32: Decode<'r, DB> + Type<DB>,
    usize: ColumnIndex<DB::Row>,
{
    let clock = ManualClock::new();
    let breaker = fusepool::Breaker::builder().clock(clock.clone());
    let options = options.max_connections(2).breaker(breaker);
    let url = server.url_as("app", "secret", database, server.addr().port());
    let pool: Pool<DB> = options.connect_lazy(&url).unwrap();
    let read = || sqlx::query_scalar::<DB, i32>("SELECT 1").cached(&MENU);
    let served = read().fetch_one_served(&pool).await.unwrap();
    assert_eq!(served.source, Source::Live);
    clock.advance(Duration::from_secs(10));

    let mut admin = DB::Connection::connect(&server.url()).await.unwrap();
    for sql in shut_out {
        admin.execute(AssertSqlSafe(*sql)).await.unwrap();
    }
    for _ in 0..8 {
        let served = read().fetch_one_served(&pool).await;
        let served = served.unwrap_or_else(|error| panic!("{shut_out:?}: {error:?}"));
        assert_eq!(*served.value, 1);
        let Source::Stale { reason, .. } = served.source else {
            panic!("{shut_out:?}: {:?}", served.source);
        };
        assert!(
            matches!(reason, StaleReason::Unanswered(_)),
            "{shut_out:?}: {reason:?}"
        );
    }
    let other = sqlx::query_scalar::<DB, i32>("SELECT 2").or_value(7);
    let served = other.fetch_one_served(&pool).await.unwrap();
    assert_eq!((*served.value, served.source.as_str()), (7, "default"));
}

const KILL: &str =
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'app'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_postgres_who_may_not_log_in() {
    for sql in [
        "ALTER ROLE app PASSWORD 'other'",
        "ALTER ROLE app NOLOGIN",
        "ALTER ROLE app CONNECTION LIMIT 0",
        "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC",
    ] {
        let server = postgres::Postgres::start().await;
        shut_out::<Postgres>(&server, "postgres", PgPoolOptions::new(), &[sql, KILL]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_mariadb_who_may_not_log_in() {
    for sql in [
        "ALTER USER app IDENTIFIED BY 'other'",
        "ALTER USER app ACCOUNT LOCK",
        "DROP DATABASE test",
    ] {
        let server = MariaDb::start().await;
        shut_out::<MySql>(
            &server,
            "test",
            MySqlPoolOptions::new(),
            &[sql, "KILL USER app"],
        )
        .await;
    }
}
