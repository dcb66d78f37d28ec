//! Cached reads, and reads with fallbacks, for the pool of any manager.

use std::fmt;
use std::future::Future;

use deadpool::managed::{self, Manager};

use super::adapter::Managed;
use super::object::Object;
use super::pool::Pool;
use crate::cache::policy::CachePolicy;
use crate::cache::weigh::Weigh;
use crate::outcome::error::GateError;
use crate::outcome::served::Served;
use crate::pool::read;
use crate::pool::read_error;

/// The error of a read that returned no value.
pub type ReadError<E> = read_error::ReadError<managed::PoolError<E>, E>;

/// A read with its cache policy and fallbacks; see [`Pool::cached`].
///
/// Fallbacks, including stale cached answers, are tried in the order of the calls. `T` is the type of
/// the value.
#[must_use = "a read does nothing until it is loaded"]
pub struct Read<'f, M: Manager + 'static, T>(read::Read<'f, Managed<M>, T>);

impl<M: Manager + 'static> Pool<M> {
    /// Reads through the pool's cache. A cache hit needs no object.
    ///
    /// `key` identifies the answer among all answers under this policy.
    /// [`vary_by`](Read::vary_by) adds to it. **If the answer depends on the caller, for example on
    /// its tenant, the key must contain that.**
    ///
    /// See [this table](crate::cache#what-is-served-when) for what is served when.
    ///
    /// ```
    /// # use fusepool::deadpool::{Manager, Pool, ReadError};
    /// # use std::io;
    /// # struct Store;
    /// # impl Store { async fn get(&mut self, _: &str) -> io::Result<String> { Ok(String::new()) } }
    /// use fusepool::cache::CachePolicy;
    /// use std::time::Duration;
    ///
    /// const MENU: CachePolicy = CachePolicy::named("menu")
    ///     .fresh_for(Duration::from_secs(5))
    ///     .stale_if_error(Duration::from_secs(600));
    ///
    /// async fn menu<M>(pool: &Pool<M>) -> Result<String, ReadError<io::Error>>
    /// where
    ///     M: Manager<Type = Store, Error = io::Error> + 'static,
    /// {
    ///     pool.cached(&MENU, "today")
    ///         .load(|mut object| async move {
    ///             object.guard(async |store| store.get("menu:today").await).await
    ///         })
    ///         .await
    /// }
    /// ```
    pub fn cached<'f, T>(&self, policy: &CachePolicy, key: impl AsRef<[u8]>) -> Read<'f, M, T> {
        Read(self.guarded().cached(policy, key))
    }

    /// Reads without the cache, but with fallbacks.
    pub fn read<'f, T>(&self) -> Read<'f, M, T> {
        Read(self.guarded().read())
    }
}

impl<'f, M: Manager + 'static, T> Read<'f, M, T> {
    /// Adds to the key something on which the answer depends, such as a tenant. Can be called several
    /// times. For a number, use `to_be_bytes()`.
    pub fn vary_by(self, scope: impl AsRef<[u8]>) -> Self {
        Self(self.0.vary_by(scope))
    }

    /// Adds a tag to those of the policy, such as `product:42`, by which the answer can be
    /// invalidated.
    pub fn tag(self, tag: impl AsRef<str>) -> Self {
        Self(self.0.tag(tag))
    }

    /// Serves `value` when the backend cannot answer. An error that the backend answered with is
    /// returned as it is.
    pub fn or_value(self, value: impl Into<T>) -> Self {
        Self(self.0.or_value(value))
    }

    /// Serves the value of `alternative` when the backend cannot answer. It is polled only then. If it
    /// fails, the next fallback is tried.
    pub fn or_else<V: Into<T>, E>(
        self,
        alternative: impl Future<Output = Result<V, E>> + Send + 'f,
    ) -> Self {
        Self(self.0.or_else(alternative))
    }

    /// Loads from `pool` when the backend cannot answer: for example from a replica, which has its own
    /// breaker. If that fails, the next fallback is tried. The cache of `pool` is not used, because
    /// writes through this pool do not invalidate it.
    pub fn or_from(self, pool: &Pool<M>) -> Self {
        Self(self.0.or_from(pool.guarded()))
    }
}

impl<M, T> Read<'_, M, T>
where
    M: Manager<Type: Send, Error: Send + Sync> + 'static,
    T: Weigh + Clone + Send + Sync + 'static,
{
    /// Executes the read: from the cache, by `load` with an object of the pool, or by a fallback.
    ///
    /// Leasing the object is guarded. `load` must run its statements through [`Object::guard`] for
    /// them to be guarded, too. With a cache policy, a load continues if its caller is dropped, and
    /// its answer is shared with all callers that read the same meanwhile.
    ///
    /// A load that takes longer than the pool's `acquire_timeout` and `query_timeout` together is dropped.
    ///
    /// # Errors
    ///
    /// A [`ReadError`], if the backend answered with an error, or if there is no answer and no
    /// fallback has a value.
    pub async fn load<F, L>(self, load: F) -> Result<T, ReadError<M::Error>>
    where
        F: Fn(Object<M>) -> L + Send + Sync + 'static,
        L: Future<Output = Result<T, GateError<M::Error>>> + Send + 'static,
    {
        Ok(self.load_served(load).await?.value)
    }

    /// [`load`](Self::load) that also returns where the answer came from.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub async fn load_served<F, L>(self, load: F) -> Result<Served<T>, ReadError<M::Error>>
    where
        F: Fn(Object<M>) -> L + Send + Sync + 'static,
        L: Future<Output = Result<T, GateError<M::Error>>> + Send + 'static,
    {
        let load = move |lease| load(Object { lease });
        self.0.load_served(load).await
    }
}

impl<M: Manager + 'static, T> fmt::Debug for Read<'_, M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
