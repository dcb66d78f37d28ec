//! The cache under load, with faults, on real servers: a served value was committed, is not older than
//! allowed, and was loaded once.
//!
//! Each test runs against PostgreSQL and MariaDB; `system.rs` has the differences. The tests print
//! their measurements: see them with `--nocapture`.

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

/// Runs each of these functions, which are generic over the server, on both servers.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test::<crate::support::postgres::Postgres>().await;
            })*
        }
        mod mariadb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test::<crate::support::mariadb::MariaDb>().await;
            })*
        }
    };
}

mod flights;
mod history;
mod loads;
mod storm;
mod system;
