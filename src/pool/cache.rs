//! The interface between a pool and its cache.

use std::sync::Arc;

use super::adapter::Adapter;
use super::guarded::Guarded;
use super::read_error::ReadError;
use super::shared::Shared;
use super::statement::Watch;
use crate::cache::answers::Answers;
use crate::cache::handle::Cache;
use crate::cache::invalidation::Name;
use crate::cache::origin::{Origin, Task, unanswered_by_class};
use crate::cache::publication::Publication;
use crate::gate::Gate;
use crate::outcome::error::Refused;
use crate::outcome::served::Unanswered;

impl<A: Adapter> Guarded<A> {
    /// The cache of this pool, for snapshots and invalidation.
    #[must_use]
    pub fn cache(&self) -> Cache<'_> {
        let shared = self.shared();
        Cache::new(&shared.gate, shared.answers())
    }
}

impl<A: Adapter> Shared<A> {
    /// The invalidations of a write, to be published when it succeeds; `None` if there are none.
    pub(crate) fn publication(&self, names: Vec<Name>) -> Option<Publication> {
        if names.is_empty() {
            return None;
        }
        let (answers, gate) = (Arc::clone(self.answers()), Arc::clone(&self.gate));
        Some(Publication::new(answers, gate, names))
    }
}

impl<A: Adapter> Watch<'_, A> {
    /// The invalidations of a statement, to be published when it succeeds. `None` if there are none,
    /// or if the statement is part of a transaction, which holds them until its end.
    pub(crate) fn invalidates(self, names: Vec<Name>) -> Option<Publication> {
        if names.is_empty() {
            return None;
        }
        let in_transaction = self.state.is_in_transaction();
        self.shared
            .publication(self.state.unpublished.hold(names, in_transaction))
    }

    /// The invalidations of the transaction, to be published when it is committed.
    pub(crate) fn commits(self) -> Option<Publication> {
        self.shared.publication(self.state.unpublished.take())
    }
}

/// Publishes the invalidations of a write that succeeded, and withdraws those of a write that was
/// never sent. `was_sent`: whether the write that failed with this error may have reached the
/// backend.
pub(crate) fn settle<T, E>(
    publication: Option<Publication>,
    result: &Result<T, E>,
    was_sent: impl FnOnce(&E) -> bool,
) {
    let Some(publication) = publication else {
        return;
    };
    match result {
        Ok(_) => publication.publish(),
        Err(error) if !was_sent(error) => publication.withdraw(),
        // The outcome is unknown: marks the answers as in doubt.
        Err(_) => drop(publication),
    }
}

impl<A> Origin for Shared<A>
where
    A: Adapter<Error: Sync, StatementError: Sync>,
{
    type Error = ReadError<A::Error, A::StatementError>;

    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn cache(&self) -> &Arc<Answers> {
        self.answers()
    }

    fn unanswered(&self, error: &Self::Error) -> Option<Unanswered> {
        let class = match error {
            ReadError::Refused(Refused::Saturated { .. }) => return Some(Unanswered::Saturated),
            ReadError::Refused(Refused::Circuit { .. }) => return Some(Unanswered::Open),
            ReadError::Deadline(_) => return Some(Unanswered::Deadline),
            ReadError::Lease(error) => self.adapter.classify(error),
            ReadError::Statement(error) => self.adapter.classify_statement(error),
            _ => return None,
        };
        unanswered_by_class(&self.gate, class)
    }

    fn lost() -> Self::Error {
        ReadError::Lost
    }

    fn spawn(&self, task: Task) {
        self.background.spawn(task);
    }
}
