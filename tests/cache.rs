//! What is served when the database cannot answer, and when it need not be asked.
//!
//! Each test runs on SQLite, PostgreSQL and MariaDB; `cache/kitchen.rs` is all that differs between
//! them. The faults are real, the time is not: ages are told by a manual clock.

#![allow(unreachable_pub, reason = "the modules of one test binary")]
#![allow(async_fn_in_trait, reason = "no caller is generic over `Send`")]

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

#[path = "cache/fallbacks.rs"]
mod fallbacks;
#[path = "cache/invalidation.rs"]
mod invalidation;
#[path = "cache/kitchen.rs"]
mod kitchen;
#[path = "cache/queries.rs"]
mod queries;
#[path = "cache/refusals.rs"]
mod refusals;
#[path = "cache/situations.rs"]
mod situations;
