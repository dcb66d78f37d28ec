//! The examples in an outage. Their files are included by path, because a program is not a library.

#![allow(unreachable_pub, reason = "the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
// The storefront includes the proxy of the tests, too.
#![allow(
    clippy::duplicate_mod,
    reason = "files of examples are included by path"
)]

#[path = "../../examples/bb8/src/adapter.rs"]
mod adapter;
mod bb8;
mod browser;
mod lint;
mod live;
mod shop;
#[path = "../../examples/storefront/src/main.rs"]
#[expect(dead_code, reason = "its `main`, and what only that needs")]
mod storefront;
#[path = "../support/mod.rs"]
mod support;
mod top;
#[path = "../../examples/top/src/view.rs"]
mod view;
mod visitor;
