//! Real servers and real faults for the integration tests.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary includes this module and uses its own part of it"
)]

#[cfg(all(feature = "deadpool-postgres", feature = "sqlx-postgres"))]
pub mod deadpool;
pub mod docker;
pub mod local;
#[cfg(feature = "sqlx-mysql")]
pub mod mariadb;
#[cfg(feature = "sqlx-postgres")]
pub mod pgbouncer;
#[cfg(feature = "sqlx-postgres")]
pub mod postgres;
pub mod proxy;
pub mod server;
#[cfg(feature = "sqlx-postgres")]
pub mod tls;

use std::time::Duration;

/// How long any awaited event may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds; fails the test, naming `what` was awaited, after [`PATIENCE`].
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let poll = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, poll).await.is_err() {
        panic!("gave up waiting: {what}");
    }
}
