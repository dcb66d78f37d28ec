//! Guarded pools for [deadpool](https://docs.rs/deadpool): its types under the same names.
//!
//! [`Pool`] takes any [`Manager`]. Leasing an object is always guarded. Statements on an object are
//! guarded by themselves where fusepool supports the manager, with the features
//! `deadpool-postgres`, `diesel-postgres` and `diesel-mysql`. With any other manager, run them
//! through [`Object::guard`]:
//!
//! ```
//! use fusepool::deadpool::{Manager, Metrics, Pool, RecycleResult};
//! use std::io;
//!
//! struct Stores;
//!
//! struct Store;
//!
//! impl Store {
//!     async fn get(&mut self, _key: &str) -> io::Result<u32> {
//!         Ok(42)
//!     }
//! }
//!
//! impl Manager for Stores {
//!     type Type = Store;
//!     type Error = io::Error;
//!
//!     async fn create(&self) -> io::Result<Store> {
//!         Ok(Store)
//!     }
//!
//!     async fn recycle(&self, _: &mut Store, _: &Metrics) -> RecycleResult<io::Error> {
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = Pool::<Stores>::builder(Stores).max_size(16).build()?; // or existing_pool.into()
//! let mut object = pool.get().await?;
//! let answer = object.guard(async |store| store.get("answer").await).await?;
//! assert_eq!(answer, 42);
//! # Ok(())
//! # }
//! ```
//!
//! # Settings
//!
//! deadpool's own settings, and these:
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | [`breaker`](PoolBuilder::breaker) | [see there](crate::breaker#defaults) | when the breaker opens, and how it closes again; give it a name |
//! | [`acquire_timeout`](PoolBuilder::acquire_timeout) | 2 s (deadpool: none) | how long a caller waits for an object; if [`wait_timeout`](PoolBuilder::wait_timeout) is set, how long creating one may take after that wait |
//! | [`recycle_timeout`](PoolBuilder::recycle_timeout) | half of `acquire_timeout` or `probe_timeout`, whichever is shorter (deadpool: none) | how long recycling an object may take |
//! | [`query_timeout`](PoolBuilder::query_timeout) | 30 s | how long a guarded statement may take; for one statement, use [`guard_with_timeout`](Object::guard_with_timeout) |
//! | [`max_queue`](PoolBuilder::max_queue) | 10,000 | how many callers may wait for an object |
//! | [`active_probing`](PoolBuilder::active_probing) | on | probe the backend in the background while the breaker is open |
//! | [`side_connections`](PoolBuilder::side_connections) | on | stop [abandoned statements](crate#abandoned-statements) on the server, and ask it about those [from before an outage](crate#what-an-outage-leaves-behind) |
//! | [`classify`](PoolBuilder::classify) | every error is a failure | what the manager's errors mean |
//! | [`load`](PoolBuilder::load) | unknown | what the pool is used for, for [warnings](crate::lint) |
//! | [`sink`](PoolBuilder::sink) | none | who else receives the [events](crate::telemetry) |
//! | [`tracing`](PoolBuilder::tracing) | on | emit the events with `tracing` |
//! | [`spans`](PoolBuilder::spans) | off | make a [span](crate::telemetry#spans) of each statement |
#![cfg_attr(
    feature = "metrics",
    doc = "| [`metrics`](PoolBuilder::metrics) | off | record [metrics](crate::telemetry#metrics) |"
)]
#![cfg_attr(
    feature = "cache",
    doc = "| [`cache_bytes`](PoolBuilder::cache_bytes) | 64 MiB | memory limit for cached reads |"
)]
//!
//! [`configure`](PoolBuilder::configure) takes settings from a [`GuardConfig`](crate::GuardConfig), which can be read
//! from a file.
//!
//! The default of the recovery ramp depends on `max_size` at the time the pool is built.
//! [`resize`](Pool::resize) does not change it.
//!
#![cfg_attr(
    feature = "cache",
    doc = "# Cached reads and other fallbacks

[`Pool::cached`] reads by a key of the caller's, and runs what it is given with an object of the pool
only if the cache has no fresh answer; [`Pool::read`] only adds fallbacks. [`Pool::cache`] invalidates
cached answers, and reports the state of the cache. The pools of deadpool-postgres and of diesel-async
have reads of their own, whose key is the statement with its parameters.
"
)]
//! # What errors mean
//!
//! | error of `get` | [`Class`](crate::Class) |
//! |---|---|
//! | `Backend`, `PostCreateHook(Backend)` | decided by [`classify`](PoolBuilder::classify); by default `Failure` |
//! | `Timeout(Create)`, `Timeout(Recycle)`, `PostCreateHook(Message)` | `Failure` |
//! | `Timeout(Wait)` | `Starved`: a failure only if no other caller got an object recently either |
//! | `Timeout(Wait)` with a `wait` timeout of zero | `Ignored` |
//! | `Closed`, `NoRuntimeSpecified` | `Ignored` |
//!
//! While the breaker is open, a probe has the manager create an object and then recycle it, because
//! deadpool offers no other way to test an object. The created object never enters the pool.
//!
//! # What differs from deadpool
//!
//! - [`PoolError`], [`BuildError`] and [`CreatePoolError`] are fusepool's own types with deadpool's
//!   variants. `PoolError` adds `Refused`, `BuildError` adds `Config`. All three are
//!   non-exhaustive: a `match` needs a wildcard arm.
//! - An [`Object`] keeps its pool alive.
//! - The wrapper type of a pool must be created from fusepool's [`Object`] and implement
//!   [`Wrapper`].
//! - If an existing deadpool pool is wrapped, only its own recycle timeout applies, and deadpool
//!   sets none by default: an object that hangs while it is recycled costs its caller the whole
//!   `acquire_timeout`.
//! - A deadpool pool with a [wrapper type](https://github.com/deadpool-rs/deadpool/issues/35), such
//!   as that of deadpool-redis, cannot be wrapped. Build a [`Pool`] from its manager instead; its
//!   objects come without the wrapper.
//! - `use deadpool::managed` becomes `use fusepool::deadpool as managed`.

mod adapter;
mod builder;
mod dialect;
#[cfg(any(feature = "diesel-postgres", feature = "diesel-mysql"))]
pub mod diesel;
mod error;
mod object;
mod pool;
#[cfg(feature = "deadpool-postgres")]
pub mod postgres;
#[cfg(feature = "cache")]
mod read;
mod recycle;

pub use crate::pool::snapshot::PoolSnapshot;
pub use builder::PoolBuilder;
pub use deadpool::managed::{
    Hook, HookError, HookFuture, HookResult, Manager, Metrics, ObjectId, PoolConfig, QueueMode,
    RecycleError, RecycleResult, RetainResult, TimeoutType, Timeouts,
};
pub use deadpool::{Runtime, Status};
pub use error::{BuildError, CreatePoolError, PoolError};
pub use object::{Object, Wrapper};
pub use pool::{Pool, WeakPool};
#[cfg(feature = "cache")]
pub use read::{Read, ReadError};
