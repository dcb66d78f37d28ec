//! What a write makes outdated, and when that takes effect.

use std::mem::take;
use std::sync::Arc;

use crate::cache::answers::Answers;
use crate::cache::invalidation::Name;
use crate::gate::Gate;

/// The names that a write invalidates, while it is not known yet whether it succeeds.
///
/// Dropped before that is known, for instance because the caller went away, the write may have taken
/// effect: what depends on the names is then asked for again, and served only if the database cannot
/// answer.
pub(crate) struct Publication {
    answers: Arc<Answers>,
    gate: Arc<Gate>,
    names: Vec<Name>,
}

impl Publication {
    pub(crate) fn new(answers: Arc<Answers>, gate: Arc<Gate>, names: Vec<Name>) -> Self {
        Self {
            answers,
            gate,
            names,
        }
    }

    /// The write succeeded.
    pub(crate) fn publish(mut self) {
        for name in take(&mut self.names) {
            self.answers.invalidate(&self.gate, name);
        }
    }

    /// The write was never sent.
    pub(crate) fn withdraw(mut self) {
        self.names.clear();
    }
}

impl Drop for Publication {
    /// Even a write that was answered with an error may have had an effect: a procedure commits in the
    /// middle, the first of several statements stays.
    fn drop(&mut self) {
        for name in take(&mut self.names) {
            self.answers.doubt(name);
        }
    }
}
