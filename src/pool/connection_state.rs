//! The state of a leased connection, which decides whether it may be used again.

#[cfg(feature = "sql")]
use std::sync::atomic::AtomicI32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::breaker::permit::ProbeSlot;
use crate::breaker::verdict::Class;
#[cfg(feature = "sql")]
use crate::cache::doubt::Doubts;
#[cfg(feature = "sql")]
use crate::cache::unpublished::Unpublished;
use crate::outcome::code::ErrorCode;
use crate::pool::created::Created;
#[cfg(feature = "sql")]
use crate::pool::transaction::Effect;

/// The state of a connection since it was leased.
///
/// It is changed through a shared reference, because some drivers run several statements on one
/// connection concurrently.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    /// The number of statements that have started and not ended.
    in_flight: AtomicU32,
    /// A statement was given up. Its answer may still arrive, and would be mistaken for that of the
    /// next statement.
    abandoned: AtomicBool,
    /// The server runs that statement no more, but its answer was lost.
    lost: AtomicBool,
    /// The number of statements whose rows were not read to the end. Zero again after a later statement
    /// was answered: its answer came after theirs.
    unread: AtomicU32,
    /// The connection must be closed if such a statement is the last one.
    has_rows: AtomicBool,
    /// The driver's connection was used past the guard, so an answer may be outstanding.
    is_touched: AtomicBool,
    /// A transaction was begun by the text of a statement, so the driver may not know of it.
    #[cfg(feature = "sql")]
    in_transaction: AtomicBool,
    /// Each statement begins a transaction if none is open.
    #[cfg(feature = "sql")]
    autocommit_is_off: AtomicBool,
    /// The open savepoints of SQLite, of which the first one began the transaction.
    #[cfg(feature = "sql")]
    savepoints: AtomicI32,
    /// The next statement is a probe.
    has_probe: AtomicBool,
    probe: Mutex<Option<ProbeSlot>>,
    /// The statements that failed because the server or their transaction is read-only.
    read_only_errors: AtomicU32,
    /// The reason why the connection must be closed.
    close: OnceLock<&'static str>,
    #[cfg(feature = "sql")]
    pub(crate) unpublished: Unpublished,
    /// About the writes that may take effect as long as the connection is not known to be done with them.
    #[cfg(feature = "sql")]
    pub(crate) doubts: Doubts,
    /// The time at which the connection was created, if that is known.
    pub(super) created: Option<Created>,
}

/// The meaning of a statement's error.
pub(crate) struct Diagnosis {
    pub(crate) class: Class,
    /// The server itself reported the error, so the connection works.
    pub(crate) answered: bool,
    /// The server is known to have ended the statement.
    pub(crate) has_ended: bool,
    /// The server's code for the error.
    pub(crate) code: Option<ErrorCode>,
}

impl ConnectionState {
    /// Marks the connection as one to close, if the error of a statement requires it. Returns the
    /// class and the code of the error.
    pub(crate) fn note(&self, diagnosis: Diagnosis) -> (Class, Option<ErrorCode>) {
        match diagnosis.class {
            Class::FailureAndClose => self.close("unusable"),
            Class::Failure if !diagnosis.answered => self.close("broken"),
            Class::ReadOnly => drop(self.read_only_errors.fetch_add(1, Ordering::AcqRel)),
            _ => {}
        }
        (diagnosis.class, diagnosis.code)
    }

    /// Reserves a probe slot for the next statement.
    pub(crate) fn reserve(&self, slot: ProbeSlot) {
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(slot);
        self.has_probe.store(true, Ordering::Release);
    }

    /// Takes the reserved probe slot.
    #[inline]
    pub(crate) fn take_probe(&self) -> Option<ProbeSlot> {
        if !self.has_probe.load(Ordering::Acquire) {
            return None;
        }
        self.has_probe.store(false, Ordering::Release);
        let mut probe = self.probe.lock().unwrap_or_else(PoisonError::into_inner);
        probe.take()
    }

    /// Marks the connection as one to close. Only the first reason is reported.
    pub(crate) fn close(&self, reason: &'static str) {
        let _ = self.close.set(reason);
    }

    /// The number of statements that failed with a read-only error.
    pub(crate) fn read_only_errors(&self) -> u32 {
        self.read_only_errors.load(Ordering::Acquire)
    }

    /// Counts a statement that starts.
    #[inline]
    pub(crate) fn start(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(Some(self))
    }

    /// Marks the statement that runs as one whose answer was lost.
    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether the server may still run a statement that was given up.
    pub(super) fn may_run(&self) -> bool {
        self.is_in_flight() && !self.lost.load(Ordering::Acquire)
    }

    /// Whether a statement was given up.
    #[inline]
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Whether a statement has started and not ended.
    #[inline]
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    /// A statement goes on whose end is not seen.
    #[cfg(feature = "sql")]
    pub(crate) fn leave_unread(&self) {
        self.unread.fetch_add(1, Ordering::AcqRel);
    }

    /// The rows of a statement were dropped before the last one arrived.
    #[cfg(any(feature = "sqlx", feature = "diesel"))]
    pub(crate) fn leave_rows(&self) {
        self.has_rows.store(true, Ordering::Release);
        self.leave_unread();
    }

    /// Whether rows may be on their way, for which it would take too long to wait.
    #[inline]
    pub(crate) fn has_rows(&self) -> bool {
        self.unread() > 0 && self.has_rows.load(Ordering::Acquire)
    }

    /// The number to pass to [`read_all`](Self::read_all), before a statement starts.
    #[inline]
    pub(crate) fn unread(&self) -> u32 {
        self.unread.load(Ordering::Acquire)
    }

    /// A statement was answered, before which this number of statements was unread.
    #[inline]
    pub(crate) fn read_all(&self, unread: u32) {
        if unread > 0 {
            let (acquire, relaxed) = (Ordering::AcqRel, Ordering::Relaxed);
            let _ = self.unread.compare_exchange(unread, 0, acquire, relaxed);
        }
    }

    /// The driver's connection is used past the guard.
    pub(crate) fn touch(&self) {
        self.is_touched.store(true, Ordering::Release);
    }

    pub(crate) fn is_touched(&self) -> bool {
        self.is_touched.load(Ordering::Acquire)
    }

    /// Records a statement with this effect that ran. A `BEGIN` that failed began no transaction. A
    /// `COMMIT` or `ROLLBACK` that failed ended it nevertheless, or broke the connection.
    #[cfg(feature = "sql")]
    pub(crate) fn follow(&self, effect: Effect, succeeded: bool) {
        if let Some(leaves_open) = effect.leaves_open
            && (succeeded || !leaves_open || !effect.is_trivial)
        {
            self.in_transaction.store(leaves_open, Ordering::Release);
            if !leaves_open {
                self.savepoints.store(0, Ordering::Release);
            }
        }
        if let Some(autocommit) = effect.autocommit.filter(|_| succeeded) {
            self.autocommit_is_off.store(!autocommit, Ordering::Release);
        }
        if succeeded && self.in_savepoints(effect) {
            self.savepoints
                .fetch_add(effect.savepoints, Ordering::AcqRel);
        }
    }

    /// Whether a text with this effect begins or releases savepoints of a transaction that a savepoint
    /// began.
    #[cfg(feature = "sql")]
    fn in_savepoints(&self, effect: Effect) -> bool {
        effect.savepoints != 0
            && (self.savepoints.load(Ordering::Acquire) > 0 || effect.leaves_open == Some(true))
    }

    /// The effect of a text on this connection. An outermost savepoint of SQLite begins a transaction, and
    /// its release commits that.
    #[cfg(feature = "sql")]
    pub(crate) fn resolve(&self, effect: Effect) -> Effect {
        if effect.savepoints == 0 || effect.leaves_open.is_some() {
            return effect;
        }
        let open = self.savepoints.load(Ordering::Acquire);
        let after = open + effect.savepoints;
        if open > 0 && after <= 0 {
            return Effect {
                commits: true,
                ends: true,
                leaves_open: Some(false),
                ..effect
            };
        }
        let is_outside = open == 0 && !self.is_in_transaction() && !self.unpublished.is_open();
        let leaves_open = (is_outside && after > 0).then_some(true);
        Effect {
            leaves_open,
            ..effect
        }
    }

    /// Whether a transaction was begun by the text of a statement, and not ended by one. If it ended in
    /// another way, the statements on this lease still count as part of a transaction: they are never
    /// refused, and their invalidations wait for its end.
    #[cfg(feature = "sql")]
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.in_transaction.load(Ordering::Acquire)
            || self.autocommit_is_off.load(Ordering::Acquire)
    }

    /// The reason why the connection must be closed instead of returned to the pool, at the end of
    /// its lease.
    #[inline]
    pub(crate) fn must_close(&self) -> Option<&'static str> {
        if self.is_in_flight() {
            return Some("abandoned");
        }
        if self.has_rows() {
            return Some("unread");
        }
        // The next user would find it open.
        #[cfg(feature = "sql")]
        if self.is_in_transaction() {
            return Some("in_transaction");
        }
        self.close.get().copied()
    }
}

/// A statement in progress. If it is dropped before its [`end`](Self::end), the statement was given
/// up, and the connection will be closed.
#[derive(Debug)]
#[must_use]
pub(crate) struct InFlight<'c>(Option<&'c ConnectionState>);

impl InFlight<'_> {
    /// The statement has ended.
    #[inline]
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

#[cfg(all(test, feature = "sql"))]
mod tests {
    use super::*;

    fn follow(state: &ConnectionState, sql: &str, succeeded: bool) {
        let effect = Effect::of(sql, Some(crate::pool::session::System::Postgres));
        state.follow(effect, succeeded);
    }

    #[test]
    fn a_transaction_begun_by_text_lasts_until_its_end() {
        let state = ConnectionState::default();
        follow(&state, "BEGIN ISOLATION LEVEL", false);
        assert!(
            !state.is_in_transaction(),
            "a `BEGIN` that failed began no transaction"
        );
        follow(&state, "BEGIN", true);
        for sql in [
            "SELEKT",
            "ROLLBACK TO a",
            "COMMIT AND CHAIN",
            "INSERT INTO dish VALUES ('; end')",
        ] {
            follow(&state, sql, false);
            assert!(state.is_in_transaction(), "{sql}");
        }
        assert_eq!(state.must_close(), Some("in_transaction"));
        follow(&state, "Commit;", false);
        assert!(
            !state.is_in_transaction(),
            "a `COMMIT` that failed ended the transaction"
        );
        assert_eq!(state.must_close(), None);
        follow(&state, "BEGIN; SELEKT", false);
        assert!(state.is_in_transaction(), "the first statement succeeded");
    }

    #[test]
    fn a_later_answer_shows_that_earlier_rows_have_arrived() {
        let state = ConnectionState::default();
        state.leave_unread();
        let before = state.unread();
        state.leave_unread();
        state.read_all(before);
        assert_eq!(state.unread(), 2, "the second began later");
        state.read_all(state.unread());
        assert_eq!(state.unread(), 0);
    }
}
