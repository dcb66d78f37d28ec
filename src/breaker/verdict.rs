//! Verdicts on calls, and the classification of errors.

/// The evidence that the end of a call gives about the health of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The backend is unhealthy: it could not be reached, broke the connection, or reported so
    /// itself.
    Failure,
    /// The backend answered. An error such as a unique violation is an answer, too.
    Success,
    /// The result says nothing about the health of the backend, for instance a serialization
    /// failure.
    Ignored,
}

impl Verdict {
    /// The verdict in `snake_case`, as in events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Success => "success",
            Self::Ignored => "ignored",
        }
    }
}

/// The class of an error: its [`Verdict`], and its effect on the connection and the slow-call count.
///
/// ```
/// use fusepool::Class;
/// use std::io::{Error, ErrorKind};
///
/// fn classify(error: &Error) -> Class {
///     match error.kind() {
///         ErrorKind::NotFound | ErrorKind::InvalidInput => Class::Success, // an answer
///         ErrorKind::Interrupted => Class::Ignored,
///         _ => Class::Failure,
///     }
/// }
/// assert_eq!(classify(&ErrorKind::ConnectionReset.into()), Class::Failure);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// [`Verdict::Failure`].
    Failure,
    /// [`Verdict::Failure`], and the connection must be closed: its server can no longer do its
    /// job, for instance a primary that became a read-only standby.
    FailureAndClose,
    /// [`Verdict::Success`], and counted as slow whatever the duration of the call: the server
    /// ended it by its own statement timeout.
    Slow,
    /// [`Verdict::Success`].
    Success,
    /// [`Verdict::Ignored`].
    Ignored,
    /// [`Verdict::Ignored`], and no statement got through: the server refused the login, or ended the
    /// session for another reason than its health. A read then serves its fallbacks, as after a
    /// failure.
    Denied,
    /// No connection became free in time: in the pool, in a pooler, or on the server. This is
    /// saturation, and [`Verdict::Ignored`], if other calls got what this one waited for: while a
    /// pool acquired a connection, any call obtained one during the same timeout; while a statement
    /// ran, any was answered. Otherwise it is a [`Verdict::Failure`].
    Starved,
    /// The server does not accept writes. By itself this is an answer: it may be a replica, or the
    /// transaction may be read-only on purpose. It is a [`Verdict::Failure`], and the connection is
    /// closed, if the server says that it is read-only, and the pool has had a connection on which
    /// writes were accepted: a failover. The pool [asks](crate::Adapter::is_read_only) when the lease
    /// ends.
    ReadOnly,
}

impl Class {
    /// The verdict on a call that ended with an error of this class.
    pub(crate) fn verdict(self) -> Verdict {
        match self {
            Self::Failure | Self::FailureAndClose | Self::Starved => Verdict::Failure,
            Self::Slow | Self::Success => Verdict::Success,
            Self::Ignored | Self::Denied | Self::ReadOnly => Verdict::Ignored,
        }
    }
}

/// Decides the [`Class`] of an error of type `E`.
///
/// Every pool has a documented default, which can be replaced. Closures implement this trait:
///
/// ```
/// use fusepool::{Class, Classify};
///
/// let classify = |error: &std::io::Error| match error.kind() {
///     std::io::ErrorKind::NotFound => Class::Success,
///     _ => Class::Failure,
/// };
/// assert_eq!(classify.classify(&std::io::ErrorKind::NotFound.into()), Class::Success);
/// ```
pub trait Classify<E: ?Sized>: Send + Sync + 'static {
    /// The class of `error`. This runs on the task of every failed call, and must be quick.
    fn classify(&self, error: &E) -> Class;
}

impl<E: ?Sized, F> Classify<E> for F
where
    F: Fn(&E) -> Class + Send + Sync + 'static,
{
    fn classify(&self, error: &E) -> Class {
        self(error)
    }
}
