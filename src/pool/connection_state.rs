//! Whether a connection may be used again, and the statements that decide it.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::breaker::permit::Permit;
use crate::breaker::verdict::Class;
use crate::gate::Gate;
use crate::outcome::error::{GateError, Rejected};

/// What has become of a connection since it was leased.
///
/// Shared, because some drivers run several statements on one connection side by side.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Statements that were started and have not ended.
    in_flight: AtomicU32,
    /// A statement was given up: its answer may still come, and be taken for another's.
    abandoned: AtomicBool,
    /// It must not be used again, for this reason.
    close: OnceLock<&'static str>,
}

/// What a statement's error says.
pub(crate) struct Diagnosis {
    pub(crate) class: Class,
    /// The server itself said what is wrong, so the connection to it works.
    pub(crate) answered: bool,
}

impl Health {
    /// Makes a statement's call on the connection, and notes what that did to it. Without a limit
    /// of its own the call has the gate's.
    ///
    /// Cancellation: dropped while the call runs, the connection is one to be closed.
    pub(crate) async fn run<T, E>(
        &self,
        gate: &Gate,
        permit: Permit<'_>,
        limit: Option<Duration>,
        diagnose: impl FnOnce(&E) -> Diagnosis,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, GateError<E>> {
        let in_flight = self.start();
        let result = gate
            .run(permit, limit, |error| self.note(diagnose(error)), call)
            .await;
        if !matches!(result, Err(GateError::Deadline(_))) {
            in_flight.end();
        }
        result
    }

    /// Whether the connection survives what a statement met. Returns the class.
    pub(crate) fn note(&self, diagnosis: Diagnosis) -> Class {
        match diagnosis.class {
            Class::FaultAndClose => self.close("unusable"),
            Class::Fault if !diagnosis.answered => self.close("broken"),
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

    /// Refuses every statement after one that was given up, in every mode of the breaker: the answer
    /// to the one may still come, and would be taken for the answer to the next.
    pub(crate) fn admit(&self, gate: &Gate) -> Result<(), Rejected> {
        match self.is_abandoned() {
            false => Ok(()),
            true => Err(gate.abandoned()),
        }
    }

    /// A statement was given up.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// A statement was started and not ended.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
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
pub(crate) struct InFlight<'h>(Option<&'h Health>);

impl InFlight<'_> {
    /// The statement has ended.
    pub(crate) fn end(mut self) {
        if let Some(health) = self.0.take() {
            health.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if let Some(health) = self.0.take() {
            health.abandoned.store(true, Ordering::Release);
        }
    }
}
