//! Abandoned statements and their connections, with sqlx, deadpool-postgres and diesel-async. One of
//! these tests keeps a server busy with thousands of cancel requests, so they are separate from the
//! tests in `../outage`, which measure time.

#![allow(unreachable_pub, reason = "the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

mod abandoned;
mod any_await;
mod deadpool;
mod deadpool_tls;
mod diesel_tls;
mod drains;
mod places;
mod pooler;
#[path = "../support/mod.rs"]
mod support;
