//! The metrics and the spans of pools, on real servers, as Prometheus and OpenTelemetry receive them.
//!
//! Each test has a recorder of its own, on its own thread: all tasks of a test run there.

#![allow(unreachable_pub, reason = "the modules of one test binary")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

#[path = "../../examples/bb8/src/adapter.rs"]
mod adapter;
#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod families;
mod monitoring;
mod outage;
mod page;
mod scrape;
mod spans;
