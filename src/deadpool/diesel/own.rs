//! Guarded connections outside of a pool.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool::managed::{self, Timeouts};
use diesel::ConnectionError;
use diesel_async::pooled_connection::ManagerConfig;
use futures_util::FutureExt;

use super::connection::Connection;
use super::driver::Driver;
use super::object::Object;
use crate::breaker::handle::Breaker;
use crate::deadpool::object::Object as Leased;
use crate::deadpool::pool::Pool;
use crate::pool::lease::present;

impl<R: Driver> From<R> for Connection<R> {
    /// Guards a connection that was opened outside of a pool, for example with TLS or for migrations. It
    /// has a breaker of its own, with default settings, and is closed when it is dropped.
    ///
    /// A statement has a deadline of 30 s. For one that takes longer, such as a migration, use
    /// [`with_timeout`](Connection::with_timeout).
    fn from(raw: R) -> Self {
        // A guarded connection is one of a pool, so this is the only one of its pool.
        let only = Mutex::new(Some(raw));
        let mut config = ManagerConfig::default();
        config.custom_setup = Box::new(move |_| {
            let taken = only.lock().unwrap_or_else(PoisonError::into_inner).take();
            let gone = || ConnectionError::BadConnection("it cannot be opened again".to_owned());
            std::future::ready(taken.ok_or_else(gone)).boxed()
        });
        let pool = managed::Pool::builder(R::manager_of(config)).max_size(1);
        let at_once = Timeouts {
            wait: Some(Duration::ZERO),
            ..Timeouts::new()
        };
        let lease = pool.build().ok().and_then(|pool| {
            let guard = Pool::<R::Manager, Object<Self>>::guard(pool)
                .breaker(Breaker::builder().name("diesel connection"))
                .active_probing(false);
            let pool = guard.build_with_defaults();
            // Nothing waits here: there are no hooks, and the connection is at hand.
            (pool.guarded())
                .lease_at_hand(|managed| managed.raw.timeout_get(&at_once).now_or_never()?.ok())
        });
        Object::from(Leased {
            lease: present(lease),
        })
        .into_inner()
    }
}
