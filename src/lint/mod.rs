//! Warnings about settings that are valid, and do not do what they should.
//!
//! A pool checks its settings when it is built: each warning is an event `lint` at the level WARN, once,
//! and [`Gate::warnings`](crate::Gate::warnings) lists them. Some depend on what only you know. Pass that
//! [`Load`] to the builder of the pool. If it says how many instances there are, the pool also asks its
//! server once, in the background, how many connections that has.
//!
//! `lint` of each pool checks a running pool, and asks its server.
//! [`GuardConfig::lint`](crate::GuardConfig::lint) checks settings alone, before they are deployed.
//!
//! ```no_run
//! # #[cfg(feature = "sqlx-postgres")]
//! # async fn run(url: &str) -> sqlx::Result<()> {
//! use fusepool::lint::Load;
//! use fusepool::sqlx::PgPoolOptions;
//! use std::time::Duration;
//!
//! let load = Load::default()
//!     .calls_per_second(20.0)
//!     .request_deadline(Duration::from_secs(60))
//!     .replicas(4);
//! let pool = PgPoolOptions::new().load(load).connect(url).await?;
//! for warning in pool.lint(&load).await? {
//!     println!("{warning}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The example `lint` is a command that does this: `cargo run --example lint --all-features -- --help`.
//!
//! # Warnings
//!
#![doc = include_str!("warnings.md")]

mod code;
mod load;
mod plan;
mod rules;
mod server;
mod warning;

pub use code::Code;
pub use load::Load;
pub(crate) use plan::Plan;
pub(crate) use rules::check;
pub(crate) use server::{Room, check_probe, check_room};
pub use warning::Warning;
