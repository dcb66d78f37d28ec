//! diesel-async on guarded pools: ordinary code, and what becomes of it when something goes wrong
//! with a real server. What that has in common with all guarded pools is in `faults.rs`.
//!
//! `diesel/postgres.rs` and `diesel/mysql.rs` each read like an application that uses diesel-async
//! with that driver. They are compiled and run twice: against diesel-async's pool, and against
//! fusepool's. They name what differs between the two through `imports` alone.
//!
//! Needs the features `diesel-postgres` and `diesel-mysql`, and the sqlx drivers of the same
//! databases, by which the tests look after their servers.

#![allow(unreachable_pub, reason = "modules stand in for crates here")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod support;

#[path = "diesel/drop_in.rs"]
mod drop_in;
#[path = "diesel/faults.rs"]
mod faults;
#[path = "diesel/tls.rs"]
mod tls;
