//! The differences between the kinds of guarded pools.

use std::error::Error;
use std::time::Duration;

use fusepool::{Delivery, Gate};
use futures_util::future::BoxFuture;

use crate::dialect::Dialect;
use crate::options::Options;

pub type Answer<'a, S, T = ()> = BoxFuture<'a, Result<T, <S as System>::Error>>;

/// A server, and a kind of guarded pool of connections to it.
pub trait System: Sized + Send + Sync + 'static {
    type Server: Dialect;
    type Pool: Clone + Send + Sync + 'static;
    type Lease: Send;
    type Error: Error + Send + Sync + 'static;

    const NAME: &'static str;
    /// The number of tasks that a healthy pool runs.
    const TASKS: usize;
    /// Whether a connection is tested before each use, even if it was idle for a moment only.
    const TESTS_ALL: bool;
    /// The number of ways in which an application makes a call.
    const CALLS: usize;

    /// A pool that connects when it is used.
    fn build(options: &Options, url: &str) -> Self::Pool;
    /// A pool that the library builds, guarded with defaults.
    fn wrap(size: u32, acquire_timeout: Duration, url: &str) -> Self::Pool;
    fn gate(pool: &Self::Pool) -> &Gate;
    /// The number of connections, and how many of them are idle.
    fn connections(pool: &Self::Pool) -> (usize, usize);

    fn lease(pool: &Self::Pool) -> Answer<'_, Self, Self::Lease>;
    fn ping(lease: &mut Self::Lease) -> Answer<'_, Self>;
    /// A statement on a lease, with the pool's deadline.
    fn run_on<'a>(lease: &'a mut Self::Lease, sql: &'static str) -> Answer<'a, Self>;
    /// A transaction on a lease, begun and rolled back.
    fn begin(lease: &mut Self::Lease) -> Answer<'_, Self>;

    /// A prepared statement on the pool.
    fn ask(pool: &Self::Pool) -> Answer<'_, Self>;
    /// A statement on the pool with a deadline, or with the pool's if the kind has no other.
    fn run<'a>(pool: &'a Self::Pool, limit: Duration, sql: &str) -> Answer<'a, Self>;
    /// A query for a number, with a deadline as in [`run`](Self::run).
    fn number<'a>(pool: &'a Self::Pool, limit: Duration, sql: &str) -> Answer<'a, Self, i64>;
    /// A statement in a transaction, and a hook that is called before it is committed.
    fn transaction<'a>(
        pool: &'a Self::Pool,
        sql: &'static str,
        before_commit: &'a (dyn Fn() + Sync),
    ) -> Answer<'a, Self>;
    /// Makes the call of this index; some calls add a row to `t`.
    fn call(pool: &Self::Pool, kind: usize) -> Answer<'_, Self>;

    fn delivery(error: &Self::Error) -> Delivery;
    /// The server's error: its code, or its message if the code is lost.
    fn said(error: &Self::Error) -> Option<String>;
}
