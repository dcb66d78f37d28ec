//! The one event type, and who takes it.

use std::time::Duration;

use crate::breaker::event as breaker;
use crate::outcome::error::{Awaited, Refused};
use crate::outcome::served::Source;

/// Something an operator may want to know.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The breaker did something.
    Breaker(&'a breaker::Event<'a>),
    /// A call was refused.
    Rejected(&'a Refused),
    /// So many calls were refused since the last such event.
    Rejections {
        /// How many.
        calls: u64,
    },
    /// A connection or an answer did not come in time.
    Deadline {
        /// How long it was waited for.
        limit: Duration,
        /// What it was.
        awaited: Awaited,
    },
    /// The background probe looked at the backend.
    Probe {
        /// What it met; `None` if the backend answered.
        error: Option<&'a (dyn std::error::Error + 'static)>,
    },
    /// A connection was closed instead of going back to the pool.
    ClosedConnection {
        /// Why.
        reason: &'static str,
    },
    /// Something was served that the database did not answer now: stale, or another fallback.
    Fallback {
        /// The cache policy, if there is one.
        policy: Option<&'static str>,
        /// What was served, how old, and why.
        source: Source,
    },
    /// A load for the cache ended.
    Load {
        /// The cache policy.
        policy: &'static str,
        /// How long it took.
        took: Duration,
        /// The memory that the answer takes; `None` if there was an error.
        bytes: Option<u64>,
    },
    /// An answer was served, but not kept.
    NotKept {
        /// The cache policy.
        policy: &'static str,
        /// Why.
        reason: NotKept,
    },
    /// Answers were invalidated: of a tag, a policy, a key, or all.
    Invalidated,
}

/// Why an answer was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotKept {
    /// It is larger than its policy allows, or than the cache can hold.
    TooLarge,
    /// What it depends on was invalidated while it was under way.
    Outdated,
}

/// Takes events. Called on the task that made them happen: be quick, and do not panic.
pub trait Sink: Send + Sync + 'static {
    /// An event of the pool of this name.
    fn event(&self, pool: &str, event: &Event<'_>);
}
