//! Statements on a leased connection. Every guarded statement is admitted and run here.

use std::future::Future;
use std::time::Duration;

use crate::breaker::permit::Permit;
use crate::gate::admission::turned_away;
use crate::outcome::error::{GateError, Refused};
use crate::pool::adapter::Adapter;
use crate::pool::connection_state::{ConnectionState, Diagnosis};
#[cfg(feature = "sql")]
use crate::pool::invalidation::Consequences;
use crate::pool::shared::Shared;
#[cfg(feature = "sql")]
use crate::pool::transaction::Effect;

/// Watches the statements on a leased connection. It borrows everything but the connection itself.
pub(crate) struct Watch<'l, A: Adapter> {
    pub(crate) state: &'l ConnectionState,
    pub(crate) shared: &'l Shared<A>,
}

/// The way in which a statement is admitted.
pub(crate) enum Admission {
    /// The breaker decides.
    Breaker,
    /// The statement is part of a transaction or ends one. The transaction already holds its
    /// connection and its locks, so the statement is never rejected.
    #[cfg(feature = "sql")]
    Transaction,
}

#[cfg(feature = "sql")]
impl Admission {
    /// The admission of a text: one that ends a transaction releases its locks, so it is never refused.
    pub(crate) fn of(self, effect: Effect) -> Self {
        match effect.releases {
            true => Self::Transaction,
            false => self,
        }
    }
}

impl<'l, A: Adapter> Watch<'l, A> {
    /// Admits a statement. `limit` is its own deadline; without one, the pool's applies. A refusal
    /// consumes cooperative budget, so that a retry loop cannot starve the prober.
    pub(crate) async fn admit(
        self,
        admission: Admission,
        limit: Option<Duration>,
    ) -> Result<Statement<'l, A>, Refused> {
        self.shared.gate.ask_if_overdue().await;
        match self.try_admit(admission, limit) {
            Ok(statement) => Ok(statement),
            Err(refused) => Err(turned_away(refused).await),
        }
    }

    /// Admits a statement, as [`admit`](Self::admit) does, but a refusal consumes no cooperative
    /// budget. The caller must see to that.
    ///
    /// After a statement was given up, every later one on its connection is refused, in every mode
    /// of the breaker. The answer to the first may still arrive, and would be mistaken for that of
    /// the next.
    pub(crate) fn try_admit(
        self,
        admission: Admission,
        limit: Option<Duration>,
    ) -> Result<Statement<'l, A>, Refused> {
        let Self { state, shared } = self;
        if state.is_abandoned() {
            return Err(shared.gate.abandoned());
        }
        let permit = match admission {
            Admission::Breaker => shared.gate.admit_on_lease()?,
            #[cfg(feature = "sql")]
            Admission::Transaction => shared.gate.breaker().observe(),
        };
        Ok(Statement {
            permit,
            limit,
            unread: state.unread(),
            state,
            shared,
            is_trivial: false,
            #[cfg(any(feature = "sqlx", feature = "diesel"))]
            is_last: false,
            #[cfg(feature = "sql")]
            consequences: Consequences::default(),
        })
    }
}

impl<A: Adapter> Clone for Watch<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Adapter> Copy for Watch<'_, A> {}

/// A statement that was admitted.
pub(crate) struct Statement<'l, A: Adapter> {
    permit: Permit<'l>,
    /// `None`: the pool's.
    pub(super) limit: Option<Duration>,
    /// The number of earlier statements whose rows were not read to the end.
    unread: u32,
    pub(super) state: &'l ConnectionState,
    pub(super) shared: &'l Shared<A>,
    /// A server that can do nothing else would answer it, too.
    is_trivial: bool,
    /// The lease ends with it.
    #[cfg(any(feature = "sqlx", feature = "diesel"))]
    pub(super) is_last: bool,
    #[cfg(feature = "sql")]
    pub(super) consequences: Consequences<'l>,
}

impl<'l, A: Adapter> Statement<'l, A> {
    #[cfg(feature = "sql")]
    pub(super) fn watch(&self) -> Watch<'l, A> {
        Watch {
            state: self.state,
            shared: self.shared,
        }
    }

    /// Runs the statement, and records its effect on the connection.
    ///
    /// Cancellation: if this is dropped while the statement runs, the statement is given up. Later
    /// statements on the connection are refused, and it is closed instead of returned to the pool.
    /// After a dropped `BEGIN`, for instance, the server may have an open transaction of which the
    /// driver does not know. And a dropped query of sqlx leaves the rest of its answer on a MySQL
    /// connection: <https://github.com/transact-rs/sqlx/issues/563>.
    pub(crate) async fn run<T, E>(
        self,
        diagnose: impl FnOnce(&A, &E) -> Diagnosis,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, GateError<E>> {
        let Self {
            mut permit,
            limit,
            unread,
            state,
            shared,
            is_trivial,
            #[cfg(feature = "sql")]
            consequences,
            ..
        } = self;
        if is_trivial {
            permit.set_trivial();
        } else if let Some(slot) = state.take_probe()
            && let Some(probe) = shared.gate.breaker().resume(slot)
        {
            permit.withdraw();
            permit = probe;
        }
        let mut answered = false;
        let classify = |error: &E| {
            let diagnosis = diagnose(&shared.adapter, error);
            answered = diagnosis.answered;
            state.note(diagnosis)
        };
        let in_flight = state.start();
        let lost = shared.lost(state);
        let result = shared.gate.run(permit, limit, classify, call, lost).await;
        if !matches!(result, Err(GateError::Deadline(_))) {
            in_flight.end();
        }
        if result.is_ok() {
            state.read_all(unread);
        }
        #[cfg(feature = "sql")]
        consequences.settle(result.as_ref().map(drop), answered);
        result
    }

    /// Marks a statement with which the lease ends, if it `is_last`.
    #[cfg(feature = "sqlx")]
    pub(crate) fn last(self, is_last: bool) -> Self {
        Self { is_last, ..self }
    }

    /// Marks a statement that begins a transaction or rolls it back. Its success is no evidence of
    /// health, and it is no probe: the statements of the transaction are.
    #[cfg(feature = "sql")]
    pub(crate) fn trivial(mut self) -> Self {
        self.is_trivial = true;
        self
    }

    /// Discards the admission of a statement that ended without waiting for the backend, so that it is
    /// not recorded.
    #[cfg(feature = "deadpool-postgres")]
    pub(crate) fn withdraw(self) {
        self.permit.withdraw();
    }
}
