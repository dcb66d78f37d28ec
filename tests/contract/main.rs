//! What pools promise whether or not their server is well: which configurations they refuse, what
//! becomes of transactions, and what they ask of a manager that fusepool does not know.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

#[cfg(feature = "sqlx-sqlite")]
mod configuration;
#[cfg(feature = "deadpool")]
mod manager;
#[path = "../support/mod.rs"]
mod support;
#[cfg(all(feature = "deadpool-postgres", feature = "sqlx-postgres"))]
mod transactions;
