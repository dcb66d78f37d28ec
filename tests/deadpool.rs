//! What is special about guarded deadpool pools, against real PostgreSQL servers. What they have in
//! common with all guarded pools is in `faults.rs`.

#![allow(unreachable_pub, reason = "the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod support;

#[path = "deadpool/cached.rs"]
mod cached;
#[path = "deadpool/cancel.rs"]
mod cancel;
#[path = "deadpool/manager.rs"]
mod manager;
#[path = "deadpool/outage.rs"]
mod outage;
#[path = "deadpool/pool.rs"]
mod pool;
#[path = "deadpool/tls.rs"]
mod tls;
#[path = "deadpool/transactions.rs"]
mod transactions;
