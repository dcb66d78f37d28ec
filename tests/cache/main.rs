//! What is served when the database cannot answer, and when it need not be asked.
//!
//! Most tests run on SQLite, PostgreSQL and MariaDB; `kitchen.rs` has the differences. The faults are
//! real, the time is not: a manual clock measures ages. The tests under load are a separate binary,
//! `../cache_load`, so that their load does not delay the tests here.

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

/// Runs each of these functions, which are generic over the database, on all three.
macro_rules! on_all {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test::<crate::kitchen::SqliteFile>().await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test::<crate::kitchen::Networked<sqlx::Postgres>>().await;
            })*
        }
        mod mariadb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test::<crate::kitchen::Networked<sqlx::MySql>>().await;
            })*
        }
    };
}

/// Runs each of these functions, which are generic, on all kinds of pools on servers.
macro_rules! on_families {
    (@ $tests:tt $($name:ident = $family:ident)*) => {
        $(on_families!(@@ $name $family $tests);)*
    };
    (@@ $name:ident $family:ident { $($test:ident)* }) => {
        mod $name {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test::<crate::family::$family>().await;
            })*
        }
    };
    ($($test:ident)*) => {
        on_families!(@ { $($test)* }
            sqlx_postgres = SqlxPostgres
            sqlx_mariadb = SqlxMariaDb
            deadpool_postgres = Deadpool
            diesel_postgres = DieselPostgres
            diesel_mariadb = DieselMariaDb);
    };
}

mod deadpool;
mod denied;
mod diesel;
mod doubt;
mod fallbacks;
mod family;
mod invalidation;
mod keys;
mod kitchen;
mod lifetimes;
mod panics;
mod queries;
mod races;
mod reads;
mod reasons;
mod refusals;
mod shared_errors;
mod shop;
mod situations;
mod steps;
