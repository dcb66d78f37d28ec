//! What a guarded pool does when something goes wrong with a real server.
//!
//! Each fault is described once and runs against PostgreSQL and MariaDB; `faults/system.rs` is all
//! that differs between the two. What was measured is printed: see it with `--nocapture`.

#![allow(unreachable_pub, reason = "the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
#![allow(async_fn_in_trait, reason = "no caller is generic over `Send`")]

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

#[path = "faults/callers.rs"]
mod callers;
#[path = "faults/configuration.rs"]
mod configuration;
#[path = "faults/events.rs"]
mod events;
#[path = "faults/limits.rs"]
mod limits;
#[path = "faults/load.rs"]
mod load;
#[path = "faults/network.rs"]
mod network;
#[path = "faults/server.rs"]
mod server;
#[path = "faults/system.rs"]
mod system;
#[path = "faults/transactions.rs"]
mod transactions;
#[path = "faults/world.rs"]
mod world;
