//! The interface of a pool to its cache.

use std::any::Any;
use std::sync::Arc;

use crate::breaker::verdict::Class;
use crate::cache::answers::Answers;
use crate::cache::task::Task;
use crate::gate::Gate;
use crate::outcome::error::{DeadlineExceeded, Refused};
use crate::outcome::served::Unanswered;

/// A pool, as the source of the answers that its cache stores.
pub(crate) trait Origin: Send + Sync + 'static {
    type Error: From<Refused> + From<DeadlineExceeded> + Send + Sync + 'static;

    fn gate(&self) -> &Gate;

    fn cache(&self) -> &Arc<Answers>;

    /// The reason why the database gave no answer. `None` if `error` is its answer, or must not be
    /// hidden by a fallback for another reason.
    fn unanswered(&self, error: &Self::Error) -> Option<Unanswered>;

    /// The error of a load that was stopped or panicked.
    fn lost() -> Self::Error;

    /// Keeps the pool's loads from being stopped while the result is held, as a handle of the pool does.
    fn attend(&self) -> Arc<dyn Any + Send + Sync>;

    /// Spawns a load. It is stopped when the last handle of the pool is dropped, and not when the pool
    /// is closed: closing lets the calls in progress end.
    fn spawn(&self, task: Task);
}

/// The reason for an error of this class. `None` if the error is an answer of the database.
pub(crate) fn unanswered_by_class(gate: &Gate, class: Class) -> Option<Unanswered> {
    match class {
        Class::Failure | Class::FailureAndClose | Class::Denied => Some(Unanswered::Failure),
        Class::Starved if gate.acquired_within(gate.acquire_timeout()) => {
            Some(Unanswered::Saturated)
        }
        Class::Starved => Some(Unanswered::Failure),
        // The backend's own statement timeout, or a lock that was not released in time.
        Class::Slow => Some(Unanswered::Deadline),
        Class::Success | Class::Ignored | Class::ReadOnly => None,
    }
}
