//! The event type.

use std::time::Duration;

use crate::breaker::event as breaker;
use crate::breaker::state::State;
use crate::breaker::verdict::Verdict;
use crate::lint::Warning;
use crate::outcome::error::{Awaited, Refused};
use crate::outcome::served::Source;

/// An event of a pool or a gate, as a [`Sink`](super::Sink) receives it.
///
/// ```
/// use fusepool::telemetry::{Event, Sink};
///
/// struct Log;
///
/// impl Sink for Log {
///     fn event(&self, pool: &str, event: &Event<'_>) {
///         match event {
///             Event::Rejected(refused) => println!("{pool}: {refused}"),
///             Event::Deadline { limit, .. } => println!("{pool}: no answer within {limit:?}"),
///             Event::ClosedConnection { reason } => println!("{pool}: closed as {reason}"),
///             _ => {}
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An event of the breaker.
    Breaker(&'a breaker::Event<'a>),
    /// A call was refused.
    Rejected(&'a Refused),
    /// A summary of the calls that were refused since the last summary.
    Rejections {
        /// The number of these calls.
        calls: u64,
    },
    /// A connection or an answer did not arrive in time.
    Deadline {
        /// The time waited.
        limit: Duration,
        /// The thing that the call waited for.
        awaited: Awaited,
    },
    /// The background task probed the backend.
    Probe {
        /// The error; `None` if the backend answered.
        error: Option<&'a (dyn std::error::Error + 'static)>,
    },
    /// A connection was closed instead of returned to the pool.
    ClosedConnection {
        /// The reason, one of those in the [module documentation](super).
        reason: &'static str,
    },
    /// A stale value or another fallback was served.
    Fallback {
        /// The name of the cache policy; `None` if the query has none.
        policy: Option<&'static str>,
        /// The source of the value, its age and the reason.
        source: Source,
    },
    /// A load for the cache ended.
    Load {
        /// The name of the cache policy.
        policy: &'static str,
        /// The duration of the load.
        took: Duration,
        /// The size of the answer in memory, in bytes; `None` if the load failed.
        bytes: Option<u64>,
    },
    /// An answer was served but not stored in the cache.
    NotKept {
        /// The name of the cache policy.
        policy: &'static str,
        /// The reason.
        reason: NotKept,
    },
    /// Cached answers were invalidated: those of a tag, a policy or a key, or all.
    Invalidated,
    /// [`Gate::reconfigure`](crate::Gate::reconfigure) changed the limits. These are the current ones.
    Limits {
        /// The longest time that a caller waits for a connection.
        acquire_timeout: Duration,
        /// The longest time that a statement may run.
        query_timeout: Duration,
        /// The largest number of callers in the queue for a connection.
        max_queue: u32,
    },
    /// A setting does not do what it should, found when the pool was built.
    Lint(&'a Warning),
    /// The server of the first connection said that it is another system than metrics and spans have
    /// called it: MariaDB is reached by the drivers of MySQL. A pool asks only if it records metrics or
    /// spans, or a sink [wants calls](super::Sink::wants_calls).
    System {
        /// The name of the system: `mariadb`.
        name: &'static str,
    },
    /// A caller obtained a connection. Only for sinks that [want calls](super::Sink::wants_calls).
    Acquired {
        /// The time that the caller waited.
        waited: Duration,
    },
    /// A caller obtained no connection, because none came in time or opening one failed. Only for
    /// sinks that [want calls](super::Sink::wants_calls).
    AcquireFailed {
        /// The time that the caller waited.
        waited: Duration,
        /// How the breaker recorded it.
        verdict: Verdict,
    },
    /// A statement or another call ended that was made. Only for sinks that
    /// [want calls](super::Sink::wants_calls).
    ///
    /// A query whose rows arrive one by one ends with its first row, and a second time if a later one
    /// fails.
    Ended {
        /// The time from its start.
        took: Duration,
        /// How the breaker recorded it. `None` if the caller dropped it.
        verdict: Option<Verdict>,
        /// The database's code for the error: an SQLSTATE, or the number of an error of MySQL or
        /// SQLite. `None` if there is no error or its code is unknown.
        code: Option<&'a str>,
        /// The kind of error: the `code`, or one of those in the [module documentation](super).
        /// `None` if the call succeeded.
        error: Option<&'a str>,
    },
    /// A caller returned a connection. Only for sinks that [want calls](super::Sink::wants_calls).
    Released {
        /// The time that the caller held the connection.
        used: Duration,
    },
    /// A new connection was opened for a caller. Only for sinks that
    /// [want calls](super::Sink::wants_calls).
    Connected {
        /// The time from the caller's request until the connection was open.
        took: Duration,
    },
    /// The state of the pool, once a second. Only for sinks that
    /// [want samples](super::Sink::wants_samples). A gate without a pool has none.
    Sampled(&'a Sample),
}

/// The state of a pool at one moment, and the totals of its cache since it was first used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// The state of the breaker.
    pub state: State,
    /// The largest number of connections.
    pub max_connections: u32,
    /// Idle connections.
    pub idle: u32,
    /// All other connections: those that callers hold, that are being opened, or that the server
    /// still works on after their statement was given up.
    pub used: u32,
    /// Callers in the queue for a connection.
    pub pending: u32,
    /// The cache. `None` without the feature `cache`.
    pub cache: Option<CacheSample>,
}

/// The state of a cache at one moment, and its totals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheSample {
    /// Reads served a fresh answer, without a query.
    pub hits: u64,
    /// Reads for which the cache had nothing to serve without a query.
    pub misses: u64,
    /// Reads served a stale answer.
    pub stale: u64,
    /// Answers evicted to make room for others.
    pub evictions: u64,
    /// The memory that the stored answers occupy, in bytes.
    pub bytes: u64,
}

/// The reason why an answer was not stored in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotKept {
    /// The answer is larger than its policy or the cache allows.
    TooLarge,
    /// The answer was invalidated while it was loaded.
    Outdated,
}
