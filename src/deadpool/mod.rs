//! Guarded pools for [deadpool](https://docs.rs/deadpool): its types under the same names.
//!
//! [`Pool`] takes any [`Manager`]. Leasing an object is guarded; statements on it are where fusepool
//! knows the manager, and for any other manager through [`Object::guard`]:
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
//! deadpool's own, and:
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | [`breaker`](PoolBuilder::breaker) | [see there](crate::breaker#defaults) | when to trip, and how to come back; give it a name |
//! | [`acquire_timeout`](PoolBuilder::acquire_timeout) | 2 s (deadpool: none) | how long to wait for an object; with a [`wait_timeout`](PoolBuilder::wait_timeout), after that |
//! | [`recycle_timeout`](PoolBuilder::recycle_timeout) | half of the least of `acquire_timeout` and `probe_timeout` (deadpool: none) | how long recycling one may take |
//! | [`query_timeout`](PoolBuilder::query_timeout) | 30 s | how long a guarded statement may take, unless [`guard_with_timeout`](Object::guard_with_timeout) says otherwise |
//! | [`max_queue`](PoolBuilder::max_queue) | 8 × `max_size` | how many callers may wait |
//! | [`active_probing`](PoolBuilder::active_probing) | on | probe in the background while open |
//! | [`give_up_lost`](PoolBuilder::give_up_lost) | on | give up [what an outage leaves behind](crate#what-an-outage-leaves-behind) |
//! | [`classify`](PoolBuilder::classify) | every error is a failure | what the manager's errors mean |
//! | [`sink`](PoolBuilder::sink) | `tracing` | who takes the events |
//!
//! `max_queue` and the recovery ramp are set by the size that the pool has when it is built:
//! [`resize`](Pool::resize) does not change them.
//!
//! # What it means
//!
//! | what `get` met | [`Class`](crate::Class) |
//! |---|---|
//! | `Backend`, `PostCreateHook(Backend)` | as [`classify`](PoolBuilder::classify) says; by default `Failure` |
//! | `Timeout(Create)`, `Timeout(Recycle)`, `PostCreateHook(Message)` | `Failure` |
//! | `Timeout(Wait)` | `Starved`: a failure only if nobody else got an object lately either |
//! | `Timeout(Wait)` where the caller would not wait at all | `Ignored` |
//! | `Closed`, `NoRuntimeSpecified` | `Ignored` |
//!
//! While the breaker is open, a probe is an object that the manager creates, and then recycles, since
//! that is all deadpool knows of it. It never gets into the pool.
//!
//! # What differs from deadpool
//!
//! - [`PoolError`], [`BuildError`] and [`CreatePoolError`] are our own, with deadpool's variants and one
//!   more: a `match` on them needs an arm for the rest.
//! - An [`Object`] keeps its pool alive.
//! - The wrapper type of a pool has to be made from fusepool's [`Object`], and be a [`Wrapper`].
//! - A pool that was built by deadpool and is wrapped has deadpool's timeouts alone for recycling,
//!   which means none: an object that hangs when it is recycled costs its caller the whole
//!   `acquire_timeout`.
//! - A pool of deadpool's with a wrapper type, such as deadpool-redis', cannot be wrapped: build one from
//!   its manager, whose objects come without the wrapper.
//! - With `use deadpool::managed`, change over by `use fusepool::deadpool as managed`.

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
mod wrapper;

pub use crate::pool::snapshot::PoolSnapshot;
pub use builder::PoolBuilder;
pub use deadpool::managed::{
    Hook, HookError, HookFuture, HookResult, Manager, Metrics, ObjectId, PoolConfig, QueueMode,
    RecycleError, RecycleResult, RetainResult, TimeoutType, Timeouts,
};
pub use deadpool::{Runtime, Status};
pub use error::{BuildError, CreatePoolError, PoolError};
pub use object::Object;
pub use pool::{Pool, WeakPool};
#[cfg(feature = "cache")]
pub use read::{Read, ReadError};
pub use wrapper::Wrapper;
