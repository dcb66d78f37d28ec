//! The event type and the trait of its receivers.

use std::time::Duration;

use crate::breaker::event as breaker;
use crate::outcome::error::{Awaited, Refused};
use crate::outcome::served::Source;

/// An event of a pool or a gate, as a [`Sink`] receives it.
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

/// Receives the events of pools and gates.
///
/// It is called on the task that caused the event. It must be quick and must not panic.
///
/// ```
/// use fusepool::telemetry::{Event, Sink, TracingSink};
/// use fusepool::{Breaker, Gate};
///
/// struct Rejections(std::sync::atomic::AtomicU64);
///
/// impl Sink for Rejections {
///     fn event(&self, pool: &str, event: &Event<'_>) {
///         if let Event::Rejected(_) = event {
///             self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         }
///         TracingSink::default().event(pool, event);
///     }
/// }
///
/// let gate = Gate::builder(Breaker::builder()).sink(Rejections(0.into())).build()?;
/// # Ok::<(), fusepool::ConfigError>(())
/// ```
pub trait Sink: Send + Sync + 'static {
    /// Receives an event of the pool or gate with this name.
    fn event(&self, pool: &str, event: &Event<'_>);
}
