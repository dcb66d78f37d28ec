//! Reads of any pool with a cache or with fallbacks.

use std::any::TypeId;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::adapter::Adapter;
use super::guarded::{Guarded, lease};
use super::lease::Lease;
use super::read_error::ReadError;
use crate::cache::entry::Loaded;
use crate::cache::fallback::Reading;
use crate::cache::key::KeyHasher;
use crate::cache::policy::CachePolicy;
use crate::cache::weigh::Weigh;
use crate::gate::joined::Joined;
use crate::outcome::error::GateError;
use crate::outcome::served::Served;

type Load<T, E> = Pin<Box<dyn Future<Output = Result<Loaded<T>, E>> + Send>>;

/// The setters of a read, for a type with a field `reading` of type [`Reading`]. With an error type,
/// `or_else` takes only futures that fail with it, so that the type need not be named.
macro_rules! reading {
    (@any $pool:ty) => {
        /// Adds a value to the key of the answer: anything that determines the answer besides the key
        /// or the statement, such as the tenant of a session. Can be called several times. For a
        /// number, pass its `to_be_bytes()`. Do not pass what a `Debug` prints: it may be shortened or
        /// masked.
        pub fn vary_by(mut self, scope: impl AsRef<[u8]>) -> Self {
            self.reading.vary_by(scope.as_ref());
            self
        }

        /// Adds a tag besides those of the policy, such as `product:42`. A write that invalidates the
        /// tag invalidates the answer.
        pub fn tag(mut self, tag: impl AsRef<str>) -> Self {
            self.reading.tag(tag.as_ref());
            self
        }

        /// Serves `value` if the backend cannot answer. It never replaces an error that the backend
        /// answered with.
        pub fn or_value(mut self, value: impl Into<T>) -> Self {
            self.reading.or_value(value.into());
            self
        }

        /// Serves the answer of `pool` if the backend cannot answer. `pool` is, for instance, that of
        /// a replica, and has a breaker of its own. Its cache is not used, because writes through
        /// this pool do not invalidate it.
        pub fn or_from(mut self, pool: &$pool) -> Self {
            self.reading.or_from(pool.clone());
            self
        }
    };
    ($pool:ty) => {
        $crate::pool::read::reading!(@any $pool);

        /// Serves the value of `alternative` if the backend cannot answer. The future is not polled
        /// before it is needed. If it fails, the next fallback is tried.
        pub fn or_else<V: Into<T>, E>(
            mut self,
            alternative: impl ::std::future::Future<Output = Result<V, E>> + Send + 'f,
        ) -> Self {
            self.reading.or_else(alternative);
            self
        }
    };
    ($pool:ty, $error:ty) => {
        $crate::pool::read::reading!(@any $pool);

        /// Serves the value of `alternative` if the backend cannot answer. The future is not polled
        /// before it is needed. If it fails, the next fallback is tried.
        pub fn or_else<V: Into<T>>(
            mut self,
            alternative: impl ::std::future::Future<Output = Result<V, $error>> + Send + 'f,
        ) -> Self {
            self.reading.or_else(alternative);
            self
        }
    };
}

pub(crate) use reading;

/// A read with a cache or with fallbacks; see [`Guarded::cached`] and [`Guarded::read`].
///
/// The fallbacks, the cache among them, are tried in the order in which they are written. `T` is the
/// type of the value.
#[must_use = "a read does nothing until it is loaded"]
pub struct Read<'f, A: Adapter, T> {
    pool: Guarded<A>,
    reading: Reading<'f, T, Guarded<A>>,
}

impl<A: Adapter> Guarded<A> {
    /// Starts a read through the cache of the pool. A hit needs no connection.
    ///
    /// `key` identifies the answer among all answers under this policy.
    /// [`vary_by`](Read::vary_by) adds to it. The type of the value is part of the key.
    ///
    /// [What is served when](crate::cache#what-is-served-when) shows which answers come from the
    /// cache, and when. An invalid policy is a [`ReadError::Config`] of
    /// [`load`](Read::load).
    ///
    /// ```
    /// use fusepool::cache::CachePolicy;
    /// use fusepool::{Adapter, Guarded, Lease, ReadError};
    /// use std::time::Duration;
    ///
    /// const MENU: CachePolicy = CachePolicy::named("menu")
    ///     .fresh_for(Duration::from_secs(5))
    ///     .stale_if_error(Duration::from_secs(600));
    ///
    /// # trait Store { type Error; async fn menu(&mut self, day: u32) -> Result<String, Self::Error>; }
    /// # async fn run<A>(pool: &Guarded<A>, fetch: impl AsyncFn(Lease<A>) -> u8)
    /// # where A: Adapter<Connection = Client, Error: Sync, StatementError = std::io::Error> {}
    /// # struct Client;
    /// # impl Client { async fn menu(&mut self, _: u32) -> std::io::Result<String> { todo!() } }
    /// async fn menu<A>(pool: &Guarded<A>, day: u32) -> Result<String, ReadError<A::Error, A::StatementError>>
    /// where
    ///     A: Adapter<Connection = Client, Error: Sync, StatementError = std::io::Error>,
    /// {
    ///     pool.cached(&MENU, day.to_be_bytes())
    ///         .or_value("the usual")
    ///         .load(move |mut lease| async move {
    ///             lease.guard(async |client| client.menu(day).await).await
    ///         })
    ///         .await
    /// }
    /// ```
    pub fn cached<'f, T>(&self, policy: &CachePolicy, key: impl AsRef<[u8]>) -> Read<'f, A, T> {
        let mut read = self.read().vary_by(key);
        read.reading.cached(policy);
        read
    }

    /// Starts a read without a cache, but with fallbacks.
    ///
    /// ```
    /// use fusepool::{Adapter, Guarded};
    ///
    /// # trait Client { type Error; async fn count(&mut self) -> Result<u64, Self::Error>; }
    /// # struct Db;
    /// # impl Client for Db { type Error = std::io::Error; async fn count(&mut self) -> Result<u64, Self::Error> { Ok(0) } }
    /// async fn count<A>(pool: &Guarded<A>, replica: &Guarded<A>) -> Option<u64>
    /// where
    ///     A: Adapter<Connection = Db, Error: Sync, StatementError = std::io::Error>,
    /// {
    ///     pool.read()
    ///         .or_from(replica)
    ///         .or_value(0_u64)
    ///         .load(|mut lease| async move { lease.guard(async |db| db.count().await).await })
    ///         .await
    ///         .ok()
    /// }
    /// ```
    pub fn read<'f, T>(&self) -> Read<'f, A, T> {
        Read {
            pool: self.clone(),
            reading: Reading::new(),
        }
    }
}

impl<'f, A: Adapter, T> Read<'f, A, T> {
    reading!(Guarded<A>);
}

impl<A, T> Read<'_, A, T>
where
    A: Adapter<Error: Sync, StatementError: Sync>,
    T: Weigh + Clone + Send + Sync + 'static,
{
    /// Returns the value: from the cache, from `load` on a connection of the pool, or from a
    /// fallback. `load` must run its statements in [`Lease::guard`].
    ///
    /// Cancellation: a load for the cache continues if it has started, and serves the other callers
    /// that wait for the same answer. A read without a cache is dropped.
    ///
    /// A load that takes longer than the pool's `acquire_timeout` and `query_timeout` together is dropped.
    ///
    /// # Errors
    ///
    /// A [`ReadError`] if the backend answered with an error, or if it gave no answer and no fallback
    /// provided a value.
    pub async fn load<F, L>(self, load: F) -> Result<T, ReadError<A::Error, A::StatementError>>
    where
        F: Fn(Lease<A>) -> L + Send + Sync + 'static,
        L: Future<Output = Result<T, GateError<A::StatementError>>> + Send + 'static,
    {
        Ok(self.load_served(load).await?.value)
    }

    /// Returns the value with its [source](crate::Source). Apart from that, it is
    /// [`load`](Self::load).
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load).
    pub async fn load_served<F, L>(
        self,
        load: F,
    ) -> Result<Served<T>, ReadError<A::Error, A::StatementError>>
    where
        F: Fn(Lease<A>) -> L + Send + Sync + 'static,
        L: Future<Output = Result<T, GateError<A::StatementError>>> + Send + 'static,
    {
        let Self { pool, reading } = self;
        reading.wording.check_if_cached()?;
        let load = Arc::new(load);
        let shared = &pool.shared;
        let limits = shared.gate.limits();
        let patience = limits.query_timeout + limits.acquire_timeout;
        let made = |key: &mut KeyHasher| key.type_id(TypeId::of::<T>());
        let question = reading.wording.question(reading.wording.key(), made, None);
        let from = |pool: Guarded<A>| -> Load<T, ReadError<A::Error, A::StatementError>> {
            let load = Arc::clone(&load);
            // A handle would keep the pool open for as long as the load runs.
            let shared = Arc::clone(&pool.shared);
            Box::pin(async move {
                let load = async {
                    let value = load(lease(&shared).await.map_err(ReadError::of_lease)?).await?;
                    let bytes = value.heap_bytes() as u64;
                    Ok(Loaded { value, bytes })
                };
                // It may wait for something else than a guarded statement.
                Joined::new(&shared.gate).wait(None, patience, load).await?
            })
        };
        let ask_other = |pool: Guarded<A>| {
            let loaded = from(pool);
            async { Ok::<_, ReadError<A::Error, A::StatementError>>(loaded.await?.value) }
        };
        let first = || Ok(from(pool.clone()));
        let served = reading.serve(shared, question.as_ref(), first, ask_other);
        served.await.map_err(|error| ReadError::clone(&error))
    }
}

impl<A: Adapter, T> fmt::Debug for Read<'_, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read")
            .field("pool", &self.pool)
            .field("reading", &self.reading)
            .finish()
    }
}
