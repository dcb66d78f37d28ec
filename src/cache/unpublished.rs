//! The invalidations of an open transaction, which take effect when it is committed.

use std::mem::take;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::cache::invalidation::Name;

/// The most names that a transaction holds one by one. Beyond that, it invalidates all answers.
const MOST: usize = 1_024;

/// The names that the transaction on a connection invalidates when it is committed. The names of a
/// savepoint belong to its transaction, unless the savepoint is rolled back. Boxed, because every lease
/// has one, and few use it.
#[derive(Debug, Default)]
pub(crate) struct Unpublished(OnceLock<Box<Mutex<Transaction>>>);

#[derive(Debug, Default)]
struct Transaction {
    names: Vec<Name>,
    /// The number of open transactions and savepoints.
    depth: usize,
    /// A statement may have ended the transaction on the server, unnoticed.
    is_distrusted: bool,
}

impl Transaction {
    /// A name that is held already belongs to this transaction, or to a savepoint around the statement.
    fn hold(&mut self, mut names: Vec<Name>) {
        names.retain(|name| !self.names.contains(name));
        match self.names.len() + names.len() {
            ..=MOST => self.names.append(&mut names),
            _ if self.names.contains(&Name::ALL) => {}
            _ => self.names.push(Name::ALL),
        }
    }
}

impl Unpublished {
    fn lock(&self) -> MutexGuard<'_, Transaction> {
        let transaction = self.0.get_or_init(Box::default);
        transaction.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the names that a statement invalidates until the end of its transaction. Outside a
    /// transaction, returns them.
    pub(crate) fn hold(&self, mut names: Vec<Name>, in_transaction: bool) -> Vec<Name> {
        let mut transaction = self.lock();
        if in_transaction || transaction.depth > 0 {
            transaction.hold(take(&mut names));
        }
        names
    }

    /// Marks the transaction as one that a statement may have ended. Returns its names, which may have
    /// taken effect.
    pub(crate) fn distrust(&self) -> Vec<Name> {
        let mut transaction = self.lock();
        transaction.is_distrusted = true;
        transaction.names.clone()
    }

    /// Whether a statement may have ended the transaction.
    pub(crate) fn is_distrusted(&self) -> bool {
        self.0.get().is_some() && self.lock().is_distrusted
    }

    /// Whether there may be an open transaction.
    pub(crate) fn is_open(&self) -> bool {
        let is_open =
            |transaction: &Transaction| transaction.depth > 0 || !transaction.names.is_empty();
        self.0.get().is_some() && is_open(&self.lock())
    }

    /// A transaction or a savepoint began. Returns the number of names before it, for
    /// [`forget_since`](Self::forget_since).
    #[cfg(any(feature = "sqlx", feature = "deadpool-postgres"))]
    pub(crate) fn enter(&self) -> usize {
        let mut transaction = self.lock();
        transaction.is_distrusted &= transaction.depth > 0;
        transaction.depth += 1;
        transaction.names.len()
    }

    /// The innermost transaction or savepoint ended.
    #[cfg(any(feature = "sqlx", feature = "deadpool-postgres"))]
    pub(crate) fn leave(&self) {
        self.lock().depth -= 1;
    }

    /// The number of open transactions and savepoints.
    #[cfg(feature = "sea-orm")]
    pub(crate) fn depth(&self) -> usize {
        self.lock().depth
    }

    /// Whether a transaction is open without a savepoint.
    #[cfg(any(feature = "sqlx", feature = "deadpool-postgres"))]
    pub(crate) fn is_outermost(&self) -> bool {
        self.lock().depth == 1
    }

    /// Removes the names since a savepoint that was rolled back.
    #[cfg(any(feature = "sqlx", feature = "deadpool-postgres"))]
    pub(crate) fn forget_since(&self, savepoint: usize) {
        self.lock().names.truncate(savepoint);
    }

    /// Whether no names wait for the end of a transaction.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.get().is_none() || self.lock().names.is_empty()
    }

    /// Takes all names, at the end of the transaction.
    pub(crate) fn take(&self) -> Vec<Name> {
        let mut transaction = self.lock();
        transaction.is_distrusted = false;
        take(&mut transaction.names)
    }
}

/// An open transaction or savepoint. It is rolled back if it is dropped without
/// [`commit`](Self::commit).
#[cfg(feature = "deadpool-postgres")]
#[derive(Debug)]
pub(crate) struct Open<'c> {
    unpublished: &'c Unpublished,
    savepoint: usize,
    is_committed: bool,
}

#[cfg(feature = "deadpool-postgres")]
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

#[cfg(feature = "deadpool-postgres")]
impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.is_committed {
            self.unpublished.forget_since(self.savepoint);
        }
        self.unpublished.leave();
    }
}
