//! The examples in an outage. Their files are included by path, because a program is not a library.

#![allow(unreachable_pub, reason = "the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

#[path = "../../examples/bb8/src/adapter.rs"]
mod adapter;
mod bb8;
mod lint;
mod shop;
#[path = "../../examples/storefront/src/main.rs"]
#[expect(dead_code, reason = "its `main`, and what only that needs")]
mod storefront;
#[path = "../support/mod.rs"]
mod support;
mod visitor;
