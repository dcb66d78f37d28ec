//! Whether a connection may be used again, and what decides it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::breaker::verdict::Class;
#[cfg(feature = "cache")]
use crate::cache::unpublished::Unpublished;
use crate::pool::transaction::{begins_transaction, is_plain_end};

/// What has become of a connection since it was leased.
///
/// Shared, because some drivers run several statements on one connection side by side.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    /// Statements that were started and have not ended.
    in_flight: AtomicU32,
    /// A statement was given up: its answer may still come, and be taken for another's.
    abandoned: AtomicBool,
    /// A transaction was begun by a statement's text, of which the driver may know nothing.
    in_transaction: AtomicBool,
    /// It must not be used again, for this reason.
    close: OnceLock<&'static str>,
    #[cfg(feature = "cache")]
    pub(crate) unpublished: Unpublished,
}

/// What a statement's error says.
pub(crate) struct Diagnosis {
    pub(crate) class: Class,
    /// The server itself said what is wrong, so the connection to it works.
    pub(crate) answered: bool,
}

impl ConnectionState {
    /// Whether the connection survives what a statement met. Returns the class.
    pub(crate) fn note(&self, diagnosis: Diagnosis) -> Class {
        match diagnosis.class {
            Class::FailureAndClose => self.close("unusable"),
            Class::Failure if !diagnosis.answered => self.close("broken"),
            _ => {}
        }
        diagnosis.class
    }

    /// It must not be used again. The first reason counts.
    pub(crate) fn close(&self, reason: &'static str) {
        let _ = self.close.set(reason);
    }

    /// A statement starts.
    pub(crate) fn start(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(Some(self))
    }

    /// A statement was given up.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// A statement was started and not ended.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    /// A statement with this text was run, well or not. One that failed to begin a transaction began
    /// none; one that failed to end it ended it all the same, or broke the connection.
    pub(crate) fn follow(&self, sql: &str, well: bool) {
        if well && begins_transaction(sql) {
            self.in_transaction.store(true, Ordering::Release);
        } else if is_plain_end(sql) {
            self.in_transaction.store(false, Ordering::Release);
        }
    }

    /// A transaction was begun by a statement's text, and not ended by a plain `COMMIT` or `ROLLBACK`.
    /// Where it ended otherwise, no more is lost than that this holder of the connection is not
    /// refused.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.in_transaction.load(Ordering::Acquire)
    }

    /// Why the connection has to be closed instead of given back, when nobody uses it any more.
    pub(crate) fn must_close(&self) -> Option<&'static str> {
        match self.is_in_flight() {
            true => Some("abandoned"),
            false => self.close.get().copied(),
        }
    }
}

/// A statement under way. Dropped before its [`end`](Self::end), it was given up, and so is the
/// connection.
#[derive(Debug)]
#[must_use]
pub(crate) struct InFlight<'c>(Option<&'c ConnectionState>);

impl InFlight<'_> {
    /// The statement has ended.
    pub(crate) fn end(mut self) {
        if let Some(state) = self.0.take() {
            state.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.0.take() {
            state.abandoned.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_by_hand_lasts_from_its_beginning_to_its_end() {
        let state = ConnectionState::default();
        state.follow("BEGIN ISOLATION LEVEL", false);
        assert!(
            !state.is_in_transaction(),
            "what fails to begin begins nothing"
        );
        state.follow("BEGIN", true);
        for sql in [
            "SELEKT",
            "ROLLBACK TO a",
            "COMMIT AND CHAIN",
            "INSERT INTO dish VALUES ('; end')",
        ] {
            state.follow(sql, false);
            assert!(state.is_in_transaction(), "{sql}");
        }
        state.follow("Commit;", false);
        assert!(
            !state.is_in_transaction(),
            "what fails to end it ends it all the same"
        );
    }
}
