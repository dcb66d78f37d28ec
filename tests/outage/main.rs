//! Guarded pools under faults of a real server, and of the network to it.
//!
//! Each fault is described once and runs against PostgreSQL and MariaDB, through sqlx and through
//! diesel-async, and against PostgreSQL through deadpool-postgres. `system.rs` has the differences
//! between the pools, and `dialect.rs` those between the servers. Tests for one kind of pool are in
//! `deadpool_only.rs`, `diesel_only.rs` and `exclusive.rs`. The tests print their measurements: see
//! them with `--nocapture`.

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

/// Runs each of these functions, which need features that diesel does not have, on the other kinds.
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

mod answers;
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
mod judgement;
mod limits;
mod load;
mod network;
mod options;
mod pgbouncer;
mod read_only;
mod recovery;
mod runtimes;
mod server;
mod situations;
mod sqlx;
mod start;
mod system;
mod transactions;
mod world;
