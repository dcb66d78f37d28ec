//! Whether a connection may be used again, and the statements that decide it.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::breaker::Permit;
use crate::error::GateError;
use crate::gate::Gate;
use crate::verdict::Class;

/// What has become of a connection since it was leased.
///
/// Shared, because some drivers run several statements on one connection side by side.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Statements that were started and have not ended. One that is given up never does, so what is
    /// given up stays given up, even if its holder goes on with the connection.
    in_flight: AtomicU32,
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
        self.start();
        let result = gate
            .run(permit, limit, |error| self.note(diagnose(error)), call)
            .await;
        if !matches!(result, Err(GateError::Deadline(_))) {
            self.end();
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
    pub(crate) fn start(&self) {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    /// A statement that was started has ended.
    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
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
