//! Reads of any manager's pool that are answered from the cache, or by a fallback.

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

/// Why a read of a pool has no answer.
pub type ReadError<E> = read_error::ReadError<managed::PoolError<E>, E>;

/// A read, and what is served when the backend cannot answer it; see [`Pool::cached`].
///
/// Fallbacks are tried in the order they were written, the cache among them. `T` is what is read.
#[must_use = "a read does nothing until it is loaded"]
pub struct Read<'f, M: Manager + 'static, T>(read::Read<'f, Managed<M>, T>);

impl<M: Manager + 'static> Pool<M> {
    /// Reads through the pool's cache. A hit needs no object. `key` is what tells the answer from all
    /// others under this policy; [`vary_by`](Read::vary_by) adds to it.
    ///
    /// What is served when is told by [a table](crate::cache#what-is-served-when).
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

    /// Reads without a cache, for the sake of the fallbacks.
    pub fn read<'f, T>(&self) -> Read<'f, M, T> {
        Read(self.guarded().read())
    }
}

impl<'f, M: Manager + 'static, T> Read<'f, M, T> {
    /// What decides the answer besides the key. Can be given several times. Of a number, give
    /// `to_be_bytes()`.
    pub fn vary_by(self, scope: impl AsRef<[u8]>) -> Self {
        Self(self.0.vary_by(scope))
    }

    /// A tag besides those of the policy, such as `product:42`, by which the answer can be invalidated.
    pub fn tag(self, tag: impl AsRef<str>) -> Self {
        Self(self.0.tag(tag))
    }

    /// Serves `value` where the backend cannot answer. Never in place of an error that it answered with.
    pub fn or_value(self, value: impl Into<T>) -> Self {
        Self(self.0.or_value(value))
    }

    /// Serves what `alternative` gives where the backend cannot answer. It is not begun before it is
    /// needed; where it fails, the next fallback is tried.
    pub fn or_else<V: Into<T>, E>(
        self,
        alternative: impl Future<Output = Result<V, E>> + Send + 'f,
    ) -> Self {
        Self(self.0.or_else(alternative))
    }

    /// Asks `pool` where the backend cannot answer: a replica, guarded by a breaker of its own. It is
    /// asked live: its own cache would not know of writes through this pool.
    pub fn or_from(self, pool: &Pool<M>) -> Self {
        Self(self.0.or_from(pool.guarded()))
    }
}

impl<M, T> Read<'_, M, T>
where
    M: Manager<Type: Send, Error: Send + Sync> + 'static,
    T: Weigh + Clone + Send + Sync + 'static,
{
    /// Answers the read: from the cache, by what `load` gives with an object of the pool, or by a
    /// fallback. What `load` does with the object is [guarded](Object::guard) by itself.
    ///
    /// A load that was begun for the cache outlives its caller, and serves all who asked for the same
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// A [`ReadError`], if nothing else is to be served.
    pub async fn load<F, L>(self, load: F) -> Result<T, ReadError<M::Error>>
    where
        F: Fn(Object<M>) -> L + Send + Sync + 'static,
        L: Future<Output = Result<T, GateError<M::Error>>> + Send + 'static,
    {
        Ok(self.load_served(load).await?.value)
    }

    /// [`load`](Self::load) that tells where the answer came from.
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
