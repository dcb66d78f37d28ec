//! Where answers come from: a pool, as the cache in front of it sees it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::breaker::verdict::Class;
use crate::cache::answers::Answers;
use crate::gate::Gate;
use crate::outcome::error::{DeadlineExceeded, Refused};
use crate::outcome::served::Unanswered;

/// A task, of whatever kind.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is read through: a pool, as the cache in front of it sees it.
pub(crate) trait Origin: Send + Sync + 'static {
    type Error: From<Refused> + From<DeadlineExceeded> + Send + Sync + 'static;

    fn gate(&self) -> &Gate;

    fn cache(&self) -> &Arc<Answers>;

    /// Why `error` is no answer; `None` if the database answered, if only with an error.
    fn unanswered(&self, error: &Self::Error) -> Option<Unanswered>;

    /// The error of those who waited for a load that was stopped or panicked.
    fn lost() -> Self::Error;

    /// Runs a task that ends with the pool.
    fn spawn(&self, task: Task);
}

/// Why an error of this class is no answer.
pub(crate) fn unanswered_by_class(gate: &Gate, class: Class) -> Option<Unanswered> {
    match class {
        Class::Failure | Class::FailureAndClose => Some(Unanswered::Failure),
        Class::Starved if gate.acquired_within(gate.limits().acquire_timeout) => {
            Some(Unanswered::Saturated)
        }
        Class::Starved => Some(Unanswered::Failure),
        // The backend's own deadline, or a lock that did not come free.
        Class::Slow => Some(Unanswered::Deadline),
        Class::Success | Class::Ignored => None,
    }
}
