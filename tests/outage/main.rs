//! What a guarded pool does when something goes wrong with a real server.
//!
//! Each fault is described once and runs against PostgreSQL and MariaDB, through sqlx and through
//! diesel, and against PostgreSQL through deadpool; `system.rs` is all that differs between the
//! pools, and `dialect.rs` between the servers. What one kind of pool alone can do is in
//! `deadpool_only.rs`, `diesel_only.rs` and `exclusive.rs`. What was measured is printed: see it
//! with `--nocapture`.

#![allow(unreachable_pub, reason = "the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
#![allow(async_fn_in_trait, reason = "no caller is generic over `Send`")]

#[path = "../support/mod.rs"]
mod support;

/// Runs each of these functions, which are generic, on each of these.
macro_rules! on {
    ($($system:ident = $type:ty),* => $tests:tt) => {
        $(mod $system {
            on!(@ $type, $tests);
        })*
    };
    (@ $type:ty, { $($test:ident)* }) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $test() {
            super::$test::<$type>().await;
        })*
    };
}

/// Runs each of these functions, which are generic over the kind of pool, on all kinds.
macro_rules! on_all {
    ($($test:ident)*) => {
        on_all_but_diesel!($($test)*);
        on!(
            diesel_postgres = crate::diesel::Diesel<diesel_async::AsyncPgConnection>,
            diesel_mariadb = crate::diesel::Diesel<diesel_async::AsyncMysqlConnection>
            => { $($test)* }
        );
    };
}

/// Runs each of these functions, which demand what diesel cannot do, on the other kinds.
macro_rules! on_all_but_diesel {
    ($($test:ident)*) => {
        on!(
            postgres = crate::sqlx::Sqlx<crate::support::postgres::Postgres>,
            mariadb = crate::sqlx::Sqlx<crate::support::mariadb::MariaDb>,
            deadpool = crate::deadpool::Deadpool => { $($test)* }
        );
    };
}

/// Runs each of these functions, which are generic over the server, on sqlx's pools.
macro_rules! on_sqlx {
    ($($test:ident)*) => {
        on!(
            sqlx_postgres = crate::support::postgres::Postgres,
            sqlx_mariadb = crate::support::mariadb::MariaDb => { $($test)* }
        );
    };
}

mod callers;
mod configuration;
mod deadlines;
mod deadpool;
mod deadpool_only;
mod dialect;
mod diesel;
mod diesel_only;
mod events;
mod exclusive;
mod limits;
mod load;
mod network;
mod options;
mod server;
mod situations;
mod sqlx;
mod system;
mod transactions;
mod world;
