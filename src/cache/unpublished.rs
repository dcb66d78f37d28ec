//! What an open transaction makes outdated, when it is committed.

use std::mem::take;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::invalidation::Name;

/// The names that the transaction on a connection invalidates. A savepoint's names are the transaction's,
/// unless it is rolled back.
#[derive(Debug, Default)]
pub(crate) struct Unpublished(Mutex<Transaction>);

#[derive(Debug, Default)]
struct Transaction {
    names: Vec<Name>,
    /// Transactions and savepoints that are open.
    depth: usize,
}

impl Unpublished {
    fn lock(&self) -> MutexGuard<'_, Transaction> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement invalidates `names`. Inside of a transaction they wait for its end; otherwise they are
    /// given back.
    pub(crate) fn hold(&self, mut names: Vec<Name>, in_transaction: bool) -> Vec<Name> {
        let mut transaction = self.lock();
        if in_transaction || transaction.depth > 0 {
            transaction.names.append(&mut names);
        }
        names
    }

    /// A transaction or a savepoint has begun. Returns how many names there are by then.
    pub(crate) fn enter(&self) -> usize {
        let mut transaction = self.lock();
        transaction.depth += 1;
        transaction.names.len()
    }

    /// It has ended.
    pub(crate) fn leave(&self) {
        self.lock().depth -= 1;
    }

    pub(crate) fn is_outermost(&self) -> bool {
        self.lock().depth == 1
    }

    /// What was written since the savepoint never happened.
    pub(crate) fn forget_since(&self, savepoint: usize) {
        self.lock().names.truncate(savepoint);
    }

    /// Nothing waits for the end of a transaction.
    pub(crate) fn is_empty(&mut self) -> bool {
        let transaction = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        transaction.names.is_empty()
    }

    /// All names, when the transaction ends.
    pub(crate) fn take(&self) -> Vec<Name> {
        take(&mut self.lock().names)
    }
}

/// A transaction or a savepoint that is open. Dropped without [`commit`](Self::commit), it is rolled back.
#[derive(Debug)]
pub(crate) struct Open<'c> {
    unpublished: &'c Unpublished,
    savepoint: usize,
    is_committed: bool,
}

impl<'c> Open<'c> {
    pub(crate) fn new(unpublished: &'c Unpublished) -> Self {
        Self {
            savepoint: unpublished.enter(),
            unpublished,
            is_committed: false,
        }
    }

    pub(crate) fn commit(mut self) {
        self.is_committed = true;
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.is_committed {
            self.unpublished.forget_since(self.savepoint);
        }
        self.unpublished.leave();
    }
}
