//! What becomes of statements that are given up, and of their connections: by sqlx, by deadpool and
//! by diesel. One of these tests keeps a server busy with thousands of cancels, which is why they
//! are apart from the faults of `../outage`, where time is measured.

#![allow(unreachable_pub, reason = "the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod abandoned;
mod deadpool;
mod deadpool_tls;
mod diesel_tls;
#[path = "../support/mod.rs"]
mod support;
