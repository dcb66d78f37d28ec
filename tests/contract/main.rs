//! Behaviour of pools that needs no network fault: invalid configurations, transactions, and managers
//! that fusepool does not know.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

#[cfg(feature = "sqlx-sqlite")]
mod configuration;
#[cfg(all(feature = "serde", feature = "sqlx-sqlite"))]
mod files;
#[cfg(all(
    feature = "deadpool-postgres",
    feature = "diesel-mysql",
    feature = "sqlx-mysql",
    feature = "sqlx-postgres",
    feature = "sqlx-sqlite"
))]
mod lint;
#[cfg(feature = "deadpool")]
mod manager;
#[cfg(all(feature = "serde", feature = "sqlx-sqlite"))]
mod snapshots;
#[cfg(feature = "sqlx-sqlite")]
mod sqlite;
#[path = "../support/mod.rs"]
mod support;
#[cfg(all(feature = "deadpool-postgres", feature = "sqlx-postgres"))]
mod transactions;
