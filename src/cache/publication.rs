//! The invalidations of a write, which take effect when the write succeeds.

use std::mem::take;
use std::sync::Arc;

use crate::cache::answers::Answers;
use crate::cache::doubt::{Doubt, Doubts};
use crate::cache::invalidation::Name;
use crate::gate::Gate;

/// The names that a write invalidates, until its result is known.
///
/// If it is dropped before, for instance because the caller dropped the write, the write may take
/// effect, now or later. The answers that depend on the names are then in doubt, until the connection
/// is known to have ended the write.
pub(crate) struct Publication<'l> {
    answers: &'l Arc<Answers>,
    gate: &'l Gate,
    /// The doubts of the connection.
    doubts: &'l Doubts,
    names: Vec<Name>,
}

impl<'l> Publication<'l> {
    pub(crate) fn new(
        answers: &'l Arc<Answers>,
        gate: &'l Gate,
        doubts: &'l Doubts,
        names: Vec<Name>,
    ) -> Self {
        Self {
            answers,
            gate,
            doubts,
            names,
        }
    }

    /// The write succeeded: invalidates the names.
    pub(crate) fn publish(mut self) {
        for name in take(&mut self.names) {
            self.answers.invalidate(self.gate, name);
        }
    }

    /// The write failed, and has ended. It may have had an effect: a procedure may commit before it
    /// fails, and so may the first of several statements.
    pub(crate) fn failed(mut self) {
        Doubt::begin(self.answers, take(&mut self.names)).end();
    }
}

impl Drop for Publication<'_> {
    fn drop(&mut self) {
        let names = take(&mut self.names);
        if !names.is_empty() {
            self.doubts.add(Doubt::begin(self.answers, names));
        }
    }
}
