//! Names, targets, levels and fields of events are API: these tests check the table in
//! `fusepool::telemetry`.
//!
//! They are a separate binary, in which each test listens on its own thread. A call site that is first
//! reached on a thread without a subscriber may be disabled for all threads.

#![allow(unreachable_pub, reason = "the modules of one test binary")]

mod gate;
#[cfg(feature = "live")]
mod live;
mod page;
mod recorder;
mod sinks;
#[cfg(feature = "sqlx-sqlite")]
mod sqlite;
mod stream;
