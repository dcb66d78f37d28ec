//! What a caller gets, and where it came from.

use std::time::Duration;

/// A value, and where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub source: Source,
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The database answered now.
    Live,
    /// The cache, within `fresh_for`.
    Fresh {
        /// The time since the database was asked.
        age: Duration,
    },
    /// The cache, past `fresh_for`.
    Stale {
        /// The time since the database was asked.
        age: Duration,
        /// Why no newer value was served.
        reason: StaleReason,
    },
    /// The value given to `or_value`.
    Default {
        /// Why the database's was not served.
        reason: Unanswered,
    },
    /// The future given to `or_else`.
    Alternative {
        /// Why the database's was not served.
        reason: Unanswered,
    },
    /// The pool given to `or_from`.
    OtherPool {
        /// Why the first pool's was not served.
        reason: Unanswered,
    },
}

/// Why a stale value was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StaleReason {
    /// The policy allows it for a while; a newer one is being asked for behind.
    Revalidating,
    /// There was no answer to be had.
    Unanswered(Unanswered),
}

/// Why the database gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unanswered {
    /// The breaker refuses calls: it is open, half-open with all probes under way, or held open.
    Open,
    /// Too many callers wait for a connection, or none came free in time.
    Saturated,
    /// The database is unwell: it could not be reached, broke off, or said so itself.
    Failure,
    /// It did not answer in time: by our deadline, or by the database's own.
    Deadline,
}

impl<T> Served<T> {
    pub(crate) fn new(value: T, source: Source) -> Self {
        Self { value, source }
    }

    /// The same, with what `f` makes of the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Served<U> {
        Served::new(f(self.value), self.source)
    }
}

impl Source {
    /// How old a value from the cache is; `None` for any other.
    ///
    /// ```
    /// # use fusepool::Source;
    /// # use std::time::Duration;
    /// let age = Duration::from_secs(3);
    /// assert_eq!(Source::Fresh { age }.age(), Some(age));
    /// assert_eq!(Source::Live.age(), None);
    /// ```
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        match *self {
            Self::Fresh { age } | Self::Stale { age, .. } => Some(age),
            _ => None,
        }
    }

    /// The value stands in for one that the database did not give.
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        !matches!(self, Self::Live | Self::Fresh { .. })
    }

    /// The source in `snake_case`, as events spell it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Fresh { .. } => "fresh",
            Self::Stale { .. } => "stale",
            Self::Default { .. } => "default",
            Self::Alternative { .. } => "alternative",
            Self::OtherPool { .. } => "other_pool",
        }
    }

    /// Why the value is a fallback, in `snake_case`, as events spell it; `None` if it is none.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Live | Self::Fresh { .. } => None,
            Self::Stale { reason, .. } => Some(reason.as_str()),
            Self::Default { reason }
            | Self::Alternative { reason }
            | Self::OtherPool { reason } => Some(reason.as_str()),
        }
    }
}

impl StaleReason {
    /// The reason in `snake_case`, as events spell it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Revalidating => "revalidating",
            Self::Unanswered(reason) => reason.as_str(),
        }
    }
}

impl Unanswered {
    /// The reason in `snake_case`, as events spell it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Saturated => "saturated",
            Self::Failure => "failure",
            Self::Deadline => "deadline",
        }
    }
}
