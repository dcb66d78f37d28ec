//! Statements with a deadline of their own.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::connection::Connection;
use super::driver::Driver;

/// A connection whose statements have a deadline of their own as long as this lives; see
/// [`Connection::within`]. Diesel's statements run on `&mut within` as on the connection itself.
#[must_use = "only statements that run on it have the deadline"]
pub struct Within<'c, R: Driver> {
    connection: &'c mut Connection<R>,
    /// The deadline around this one.
    outer: Option<Duration>,
}

impl<'c, R: Driver> Within<'c, R> {
    pub(super) fn new(connection: &'c mut Connection<R>, limit: Duration) -> Self {
        let outer = connection.limit.replace(limit);
        Self { connection, outer }
    }
}

impl<R: Driver> Drop for Within<'_, R> {
    fn drop(&mut self) {
        self.connection.limit = self.outer;
    }
}

impl<R: Driver> Deref for Within<'_, R> {
    type Target = Connection<R>;

    fn deref(&self) -> &Connection<R> {
        self.connection
    }
}

impl<R: Driver> DerefMut for Within<'_, R> {
    fn deref_mut(&mut self) -> &mut Connection<R> {
        self.connection
    }
}

impl<R: Driver> fmt::Debug for Within<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Within")
            .field("connection", &self.connection)
            .field("limit", &self.connection.limit)
            .finish_non_exhaustive()
    }
}
