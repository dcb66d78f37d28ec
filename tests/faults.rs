//! What a guarded pool does when something goes wrong with a real server.
//!
//! Each fault is described once and runs against PostgreSQL and MariaDB, through sqlx and through
//! diesel, and against PostgreSQL through deadpool; `faults/system.rs` is all that differs between the pools, and
//! `faults/dialect.rs` between the servers. What was measured is printed: see it with `--nocapture`.

#![allow(unreachable_pub, reason = "the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
#![allow(async_fn_in_trait, reason = "no caller is generic over `Send`")]

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

#[path = "faults/callers.rs"]
mod callers;
#[path = "faults/configuration.rs"]
mod configuration;
#[path = "faults/deadlines.rs"]
mod deadlines;
#[path = "faults/deadpool.rs"]
mod deadpool;
#[path = "faults/dialect.rs"]
mod dialect;
#[path = "faults/diesel.rs"]
mod diesel;
#[path = "faults/events.rs"]
mod events;
#[path = "faults/limits.rs"]
mod limits;
#[path = "faults/load.rs"]
mod load;
#[path = "faults/network.rs"]
mod network;
#[path = "faults/options.rs"]
mod options;
#[path = "faults/server.rs"]
mod server;
#[path = "faults/situations.rs"]
mod situations;
#[path = "faults/sqlx.rs"]
mod sqlx;
#[path = "faults/system.rs"]
mod system;
#[path = "faults/transactions.rs"]
mod transactions;
#[path = "faults/world.rs"]
mod world;
