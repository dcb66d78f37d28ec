//! A served value and its source.

use std::time::Duration;

/// A value with its source: the database, the cache or a fallback.
///
/// ```
/// use fusepool::{Served, Source};
///
/// fn page(served: &Served<Vec<String>>) -> String {
///     let note = match served.source {
///         Source::Stale { age, .. } => format!("as of {} s ago", age.as_secs()),
///         Source::Default { .. } => "not available now".to_owned(),
///         _ => String::new(),
///     };
///     format!("{} dishes {note}", served.value.len())
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served<T> {
    /// The value.
    pub value: T,
    /// The source of the value.
    pub source: Source,
}

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The database, which answered this call.
    Live,
    /// The cache, within `fresh_for`.
    Fresh {
        /// The time since the database was queried.
        age: Duration,
    },
    /// The cache, past `fresh_for`.
    Stale {
        /// The time since the database was queried.
        age: Duration,
        /// The reason why no newer value was served.
        reason: StaleReason,
    },
    /// The value given to `or_value`.
    Default {
        /// The reason why the database gave no value.
        reason: Unanswered,
    },
    /// The future given to `or_else`.
    Alternative {
        /// The reason why the database gave no value.
        reason: Unanswered,
    },
    /// The pool given to `or_from`.
    OtherPool {
        /// The reason why the first pool gave no value.
        reason: Unanswered,
    },
}

/// The reason why a stale value was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StaleReason {
    /// `stale_while_revalidate` allows it, and a newer value is loaded in the background.
    Revalidating,
    /// The database gave no answer.
    Unanswered(Unanswered),
}

/// The reason why the database gave no answer.
///
/// ```
/// use fusepool::Unanswered;
///
/// fn status(reason: Unanswered) -> u16 {
///     match reason {
///         Unanswered::Deadline => 504,
///         _ => 503,
///     }
/// }
/// assert_eq!(status(Unanswered::Open), 503);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unanswered {
    /// The breaker rejects calls: it is open, half-open without a free probe slot, or held open.
    Open,
    /// The queue for a connection is full, or no connection became free in time.
    Saturated,
    /// The database is unhealthy: it could not be reached, broke the connection, or reported so
    /// itself. Or it refused the login, so that no statement got through.
    Failure,
    /// The database did not answer in time, by a deadline of fusepool or by its own timeout. A caller
    /// with a value at hand waits for the load of a cached read only as long as it takes to see a
    /// [stall](crate::breaker::Builder::stall_after).
    Deadline,
    /// The pool is closed.
    Closed,
    /// The load of a cached read panicked, for instance in the code that maps its rows. Or it was
    /// stopped with its pool.
    Lost,
}

impl<T> Served<T> {
    pub(crate) fn new(value: T, source: Source) -> Self {
        Self { value, source }
    }

    /// Applies `f` to the value and keeps the source.
    ///
    /// ```
    /// use fusepool::Served;
    ///
    /// fn count(dishes: Served<Vec<String>>) -> Served<usize> {
    ///     dishes.map(|dishes| dishes.len()) // of the same source
    /// }
    /// ```
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Served<U> {
        Served::new(f(self.value), self.source)
    }
}

impl Source {
    /// The age of a value from the cache; `None` for other sources.
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

    /// Whether the value is a fallback: stale, or from elsewhere than the database and its cache.
    ///
    /// ```
    /// use fusepool::{Source, Unanswered};
    ///
    /// assert!(!Source::Live.is_fallback());
    /// let source = Source::Default { reason: Unanswered::Open };
    /// assert!(source.is_fallback());
    /// assert_eq!((source.as_str(), source.reason()), ("default", Some("open")));
    /// ```
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        !matches!(self, Self::Live | Self::Fresh { .. })
    }

    /// The source in `snake_case`, as in events.
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

    /// The reason for the fallback in `snake_case`, as in events; `None` if the value is not a
    /// fallback.
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
    /// The reason in `snake_case`, as in events.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Revalidating => "revalidating",
            Self::Unanswered(reason) => reason.as_str(),
        }
    }
}

impl Unanswered {
    /// The reason in `snake_case`, as in events.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Saturated => "saturated",
            Self::Failure => "failure",
            Self::Deadline => "deadline",
            Self::Closed => "closed",
            Self::Lost => "lost",
        }
    }
}
