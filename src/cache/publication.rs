//! The invalidations of a write, which take effect when the write succeeds.

use std::mem::take;
use std::sync::Arc;

use crate::cache::answers::Answers;
use crate::cache::invalidation::Name;
use crate::gate::Gate;

/// The names that a write invalidates, until its result is known.
///
/// If it is dropped before, for instance because the caller dropped the write, the write may have
/// taken effect. The answers that depend on the names are then in doubt: they are loaded again, and
/// served only if the database cannot answer.
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

    /// The write succeeded: invalidates the names.
    pub(crate) fn publish(mut self) {
        for name in take(&mut self.names) {
            self.answers.invalidate(&self.gate, name);
        }
    }

    /// The write was never sent: nothing is invalidated.
    pub(crate) fn withdraw(mut self) {
        self.names.clear();
    }
}

impl Drop for Publication {
    /// A write that returned an error may have had an effect, too: a procedure may commit before it
    /// fails, and so may the first of several statements.
    fn drop(&mut self) {
        for name in take(&mut self.names) {
            self.answers.doubt(name);
        }
    }
}
