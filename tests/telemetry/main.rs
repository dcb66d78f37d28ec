//! Names, targets, levels and fields of events are API: this is what the table in
//! `fusepool::telemetry` promises.
//!
//! A binary of its own, in which each test listens on its own thread: a call site that is first met
//! on a thread without a listener may be switched off for all threads.

#![allow(unreachable_pub, reason = "the modules of one test binary")]

mod gate;
mod recorder;
#[cfg(feature = "sqlx-sqlite")]
mod sqlite;
