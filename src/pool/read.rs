//! Reads of any pool that are answered from the cache, or by a fallback, when the backend cannot.

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
use crate::outcome::error::GateError;
use crate::outcome::served::Served;

type Load<T, E> = Pin<Box<dyn Future<Output = Result<Loaded<T>, E>> + Send>>;

/// The setters of a read, for a type with its [`Reading`] in a field of that name.
macro_rules! reading {
    ($pool:ty) => {
        /// What decides the answer besides the key or the statement, such as the tenant of a session. Can
        /// be given several times. Of a number, give `to_be_bytes()`.
        pub fn vary_by(mut self, scope: impl AsRef<[u8]>) -> Self {
            self.reading.vary_by(scope.as_ref());
            self
        }

        /// A tag besides those of the policy, such as `product:42`, by which the answer can be
        /// invalidated.
        pub fn tag(mut self, tag: impl AsRef<str>) -> Self {
            self.reading.tag(tag.as_ref());
            self
        }

        /// Serves `value` where the backend cannot answer. Never in place of an error that it answered
        /// with.
        pub fn or_value(mut self, value: impl Into<T>) -> Self {
            self.reading.or_value(value.into());
            self
        }

        /// Serves what `alternative` gives where the backend cannot answer. It is not begun before it
        /// is needed; where it fails, the next fallback is tried.
        pub fn or_else<V: Into<T>, E>(
            mut self,
            alternative: impl ::std::future::Future<Output = Result<V, E>> + Send + 'f,
        ) -> Self {
            self.reading.or_else(alternative);
            self
        }

        /// Asks `pool` where the backend cannot answer: a replica, guarded by a breaker of its own.
        /// It is asked live: its own cache would not know of writes through this pool.
        pub fn or_from(mut self, pool: &$pool) -> Self {
            self.reading.or_from(pool.clone());
            self
        }
    };
}

pub(crate) use reading;

/// A read, and what is served when the backend cannot answer it; see [`Guarded::cached`].
///
/// Fallbacks are tried in the order they were written, the cache among them. `T` is what is read.
#[must_use = "a read does nothing until it is loaded"]
pub struct Read<'f, A: Adapter, T> {
    pool: Guarded<A>,
    reading: Reading<'f, T, Guarded<A>>,
}

impl<A: Adapter> Guarded<A> {
    /// Reads through the pool's cache. A hit needs no connection. `key` is what tells the answer from all
    /// others under this policy; [`vary_by`](Read::vary_by) adds to it.
    ///
    /// What is served when is told by [a table](crate::cache#what-is-served-when).
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

    /// Reads without a cache, for the sake of the fallbacks.
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
    /// Answers the read: from the cache, by what `load` gives on a connection of the pool, or by a
    /// fallback. What `load` does on the connection is [guarded](Lease::guard) by itself.
    ///
    /// A load that was begun for the cache outlives its caller, and serves all who asked for the same
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// A [`ReadError`], if nothing else is to be served.
    pub async fn load<F, L>(self, load: F) -> Result<T, ReadError<A::Error, A::StatementError>>
    where
        F: Fn(Lease<A>) -> L + Send + Sync + 'static,
        L: Future<Output = Result<T, GateError<A::StatementError>>> + Send + 'static,
    {
        Ok(self.load_served(load).await?.value)
    }

    /// [`load`](Self::load) that tells where the answer came from.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
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
        let shared = pool.shared();
        let limits = shared.gate.limits();
        let patience = limits.query_timeout + limits.acquire_timeout;
        let made = |key: &mut KeyHasher| key.type_id(TypeId::of::<T>());
        let question = reading
            .wording
            .question(reading.wording.key(), made, patience);
        let from = |pool: Guarded<A>| -> Load<T, ReadError<A::Error, A::StatementError>> {
            let load = Arc::clone(&load);
            // Not by a handle, or the load would keep the pool alive.
            let shared = Arc::clone(pool.shared());
            Box::pin(async move {
                let value = load(lease(&shared).await.map_err(ReadError::of_lease)?).await?;
                let bytes = value.heap_bytes() as u64;
                Ok(Loaded { value, bytes })
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
