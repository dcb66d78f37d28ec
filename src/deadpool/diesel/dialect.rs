//! What fusepool knows about diesel-async's connections.

use std::error::Error as StdError;
use std::sync::atomic::{AtomicUsize, Ordering};

use deadpool::managed::PoolError;
use diesel_async::pooled_connection;
use futures_util::FutureExt;

use super::driver::Driver;
use super::error;
use crate::breaker::verdict::Class;
use crate::deadpool::dialect::{BoxFuture, Dialect};
use crate::outcome::code::ErrorCode;
use crate::outcome::error::refusal;
use crate::pool::session::System;

type Error = pooled_connection::PoolError;

/// Cancels the statement that runs on a connection.
type Cancel<R> = Box<dyn Fn(&R) -> BoxFuture<'static, ()> + Send + Sync>;

pub(super) struct Diesel<R>(pub(super) Cancel<R>);

impl<R: Driver> Default for Diesel<R> {
    fn default() -> Self {
        Self(Box::new(R::cancel))
    }
}

impl<R: Driver> Dialect<R::Manager> for Diesel<R> {
    /// diesel-async's manager does not expose the address that it connects to, so the pools are numbered:
    /// `diesel`, `diesel-2`, ...
    fn name(&self, _: &R::Manager) -> String {
        static POOLS: AtomicUsize = AtomicUsize::new(0);
        match POOLS.fetch_add(1, Ordering::Relaxed) {
            0 => "diesel".to_owned(),
            others => format!("diesel-{}", others + 1),
        }
    }

    fn classify(&self, error: &Error) -> Class {
        error::classify::<R>(error)
    }

    fn code(&self, error: &Error) -> Option<ErrorCode> {
        match error {
            Error::QueryError(error) => R::code(error),
            Error::ConnectionError(_) => None,
        }
    }

    fn answered(&self, error: &Error) -> bool {
        error::answered(error)
    }

    fn has_ended(&self, error: &Error) -> bool {
        match error {
            Error::QueryError(error) => error::has_ended(error),
            Error::ConnectionError(_) => false,
        }
    }

    /// Sends a statement itself, because the manager's `RecyclingMethod` may send none.
    fn ping<'a>(
        &'a self,
        manager: &'a R::Manager,
        connection: &'a mut R,
    ) -> BoxFuture<'a, Result<(), PoolError<Error>>> {
        self.probe(manager, connection, "SELECT 1")
    }

    fn probe<'a>(
        &'a self,
        _: &'a R::Manager,
        connection: &'a mut R,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<(), PoolError<Error>>> {
        Box::pin(async {
            let pong = connection.batch_execute(sql).await;
            Ok(pong.map_err(Error::QueryError)?)
        })
    }

    fn system(&self) -> Option<System> {
        Some(R::SYSTEM)
    }

    fn question<'a>(&'a self, connection: &'a mut R, sql: String) -> BoxFuture<'a, Option<String>> {
        connection.question(sql)
    }

    fn is_refusal(&self, error: &Error) -> bool {
        refusal(error).is_some()
    }

    fn is_read_only<'a>(&'a self, connection: &'a mut R) -> BoxFuture<'a, Option<bool>> {
        Box::pin(connection.is_read_only().map(Result::ok))
    }

    fn tells_read_only(&self) -> bool {
        true
    }

    fn cancel<'a>(&'a self, _: &'a R::Manager, connection: &'a mut R) -> BoxFuture<'a, ()> {
        (self.0)(connection)
    }

    fn explain<'e>(&self, error: &'e PoolError<Error>) -> &'e (dyn StdError + 'static) {
        error
    }
}
