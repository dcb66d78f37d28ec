//! What the end of a call says about the backend.

/// What a finished call says about the health of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The backend is unwell: it could not be reached, broke off, or said so itself.
    Failure,
    /// The backend answered, even if with a unique violation.
    Success,
    /// The outcome says nothing about the backend, for instance a serialization failure.
    Ignored,
}

/// The class of an error: its [`Verdict`], and what else follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// [`Verdict::Failure`].
    Failure,
    /// [`Verdict::Failure`], and this connection must not be used again: it leads to a server that
    /// can no longer do its job, for instance a primary that became a read-only standby.
    FailureAndClose,
    /// [`Verdict::Success`], and counted as slow however long the call took: the server gave up
    /// because of its own statement timeout.
    Slow,
    /// [`Verdict::Success`].
    Success,
    /// [`Verdict::Ignored`].
    Ignored,
    /// No connection came free in time, or the server has no slot for one. That is a
    /// [`Verdict::Failure`] if nobody else got one lately either, and otherwise saturation, which is
    /// [`Verdict::Ignored`].
    Starved,
}

/// Decides the [`Class`] of an error of type `E`.
///
/// Every pool has a documented default; give your own to a pool to change it. Closures work:
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
    /// The class of `error`. Runs on the path of every failed call: keep it quick.
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
