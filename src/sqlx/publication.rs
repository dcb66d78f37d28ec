//! What a write makes outdated, and when that takes effect.

use std::sync::Arc;

use sqlx::{Database, Error};

use super::adapter::Shared;
use super::error::delivery;
use crate::cache::invalidation::Name;
use crate::cache::read_through::Origin;
use crate::outcome::delivery::Delivery;

/// The names that a write invalidates, while nobody knows yet whether it succeeds.
///
/// Dropped before that is known, for instance because the caller went away, the write may have taken
/// effect: what depends on the names is then asked for again, and served only if the database cannot
/// answer.
pub(super) struct Publication<DB: Database> {
    shared: Arc<Shared<DB>>,
    names: Vec<Name>,
}

impl<DB: Database> Publication<DB> {
    /// `None` if there is nothing to invalidate.
    pub(super) fn of(shared: &Arc<Shared<DB>>, names: Vec<Name>) -> Option<Self> {
        (!names.is_empty()).then(|| Self {
            shared: Arc::clone(shared),
            names,
        })
    }

    pub(super) fn settle<T>(mut self, result: &Result<T, Error>) {
        match result {
            Ok(_) => {
                for name in self.names.drain(..) {
                    self.shared.cache().invalidate(&self.shared.gate, name);
                }
            }
            Err(error) if delivery(error) == Delivery::NotSent => self.names.clear(),
            // Even one that was answered may have had an effect: a procedure commits in the middle,
            // the first of several statements stays. It is in doubt.
            Err(_) => {}
        }
    }
}

impl<DB: Database> Drop for Publication<DB> {
    fn drop(&mut self) {
        for name in self.names.drain(..) {
            self.shared.cache().doubt(name);
        }
    }
}
