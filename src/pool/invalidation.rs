//! Writes that invalidate cached answers, and when that takes effect.

use std::sync::Arc;

use super::adapter::Adapter;
use super::shared::Shared;
use super::statement::Watch;
#[cfg(any(feature = "deadpool-postgres", feature = "diesel"))]
use super::transaction::{begins_transaction, commits, is_plain_end};
use crate::cache::invalidation::Name;
use crate::cache::publication::Publication;
#[cfg(any(feature = "deadpool-postgres", feature = "diesel"))]
use crate::outcome::error::GateError;

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

    /// The invalidations of a text, which may begin a transaction before it writes.
    #[cfg(any(feature = "deadpool-postgres", feature = "diesel"))]
    pub(crate) fn invalidates_by(self, sql: &str, names: Vec<Name>) -> Option<Publication> {
        match names.is_empty() || !begins_transaction(sql) {
            true => self.invalidates(names),
            false => {
                self.state.unpublished.hold(names, true);
                None
            }
        }
    }

    /// The invalidations of the transaction, to be published when it is committed.
    pub(crate) fn commits(self) -> Option<Publication> {
        self.shared.publication(self.state.unpublished.take())
    }

    /// Follows the transactions that a text begins and ends, after it ran with this result. The
    /// invalidations of such a transaction are published when the text commits it.
    #[cfg(any(feature = "deadpool-postgres", feature = "diesel"))]
    pub(crate) fn follow<T, E>(self, sql: &str, result: &Result<T, GateError<E>>) {
        self.state.follow(sql, result.is_ok());
        if commits(sql) {
            settle(self.commits(), result, GateError::was_sent);
        } else if is_plain_end(sql) {
            drop(self.state.unpublished.take());
        }
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
