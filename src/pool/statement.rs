//! A statement on a leased connection: admitted, run, and its later rows followed. There is no other
//! way for one.

use std::future::Future;
use std::time::Duration;

use crate::breaker::permit::Permit;
use crate::gate::admission::turned_away;
use crate::outcome::error::{GateError, Refused};
use crate::pool::adapter::Adapter;
#[cfg(feature = "cache")]
use crate::pool::cache::settle;
use crate::pool::connection_state::{ConnectionState, Diagnosis};
use crate::pool::shared::Shared;
#[cfg(feature = "cache")]
use crate::pool::transaction::{commits, is_plain_end};

/// Watches the statements on a leased connection.
pub(crate) struct Watch<'l, A: Adapter> {
    pub(crate) state: &'l ConnectionState,
    pub(crate) shared: &'l Shared<A>,
}

/// By what right a statement is sent.
pub(crate) enum Admission<'l> {
    /// The breaker decides.
    Breaker,
    /// The connection was acquired for it with this permit.
    Permit(Permit<'l>),
    /// It is part of a transaction, or ends one: that holds its connection and its locks already, so
    /// it is never refused.
    Transaction,
}

impl<'l> Admission<'l> {
    /// Of the statement that a connection was acquired for with `permit`, if there is one.
    pub(crate) fn or(self, permit: Option<Permit<'l>>) -> Self {
        permit.map_or(self, Self::Permit)
    }
}

impl<'l, A: Adapter> Watch<'l, A> {
    /// Admits a statement, under a deadline of its own or else the pool's. A refusal consumes
    /// cooperative budget, so that a retry loop cannot starve the prober.
    pub(crate) async fn admit(
        self,
        admission: Admission<'l>,
        limit: Option<Duration>,
    ) -> Result<Statement<'l, A>, Refused> {
        match self.try_admit(admission, limit) {
            Ok(statement) => Ok(statement),
            Err(rejected) => Err(turned_away(rejected).await),
        }
    }

    /// [`admit`](Self::admit) that does not yield where it refuses: that is left to the caller.
    ///
    /// Every statement after one that was given up is refused, in every mode of the breaker: the
    /// answer to the one may still come, and would be taken for the answer to the next.
    pub(crate) fn try_admit(
        self,
        admission: Admission<'l>,
        limit: Option<Duration>,
    ) -> Result<Statement<'l, A>, Refused> {
        let Self { state, shared } = self;
        if state.is_abandoned() {
            return Err(shared.gate.abandoned());
        }
        let permit = match admission {
            Admission::Breaker => shared.gate.admit_on_lease()?,
            Admission::Permit(permit) => permit,
            Admission::Transaction => shared.gate.breaker().observe(),
        };
        Ok(Statement {
            permit,
            limit,
            state,
            shared,
        })
    }
}

impl<A: Adapter> Watch<'_, A> {
    /// Statements with this text were run: a transaction that they begin by hand lasts until they end
    /// it. What it made outdated in the cache is published then.
    #[cfg(any(feature = "deadpool-postgres", feature = "diesel"))]
    pub(crate) fn follow<T, E>(self, sql: &str, result: &Result<T, GateError<E>>) {
        self.state.follow(sql, result.is_ok());
        #[cfg(feature = "cache")]
        if commits(sql) {
            settle(self.commits(), result, GateError::was_sent);
        } else if is_plain_end(sql) {
            drop(self.state.unpublished.take());
        }
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
    pub(super) state: &'l ConnectionState,
    pub(super) shared: &'l Shared<A>,
}

impl<'l, A: Adapter> Statement<'l, A> {
    pub(crate) fn watch(&self) -> Watch<'l, A> {
        Watch {
            state: self.state,
            shared: self.shared,
        }
    }

    /// Makes the statement's call, and notes what that did to the connection.
    ///
    /// Cancellation: dropped while the call runs, nothing more is run on the connection, and it is
    /// closed instead of given back. After a `BEGIN`, for one, the transaction may be open on the
    /// server, and the driver would not know.
    pub(crate) async fn run<T, E>(
        self,
        diagnose: impl FnOnce(&A, &E) -> Diagnosis,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, GateError<E>> {
        let Self {
            permit,
            limit,
            state,
            shared,
        } = self;
        let classify = |error: &E| state.note(diagnose(&shared.adapter, error));
        let in_flight = state.start();
        let result = shared.gate.run(permit, limit, classify, call).await;
        if !matches!(result, Err(GateError::Deadline(_))) {
            in_flight.end();
        }
        result
    }

    /// Has the pool's deadline where it has none of its own, and is not taken for
    /// [lost in an outage](crate#what-an-outage-leaves-behind): whether a `COMMIT` took effect is worth
    /// the wait.
    pub(crate) fn unshortened(mut self) -> Self {
        self.limit = (self.limit).or_else(|| Some(self.shared.gate.limits().query_timeout));
        self
    }

    /// The call was no statement that waits for the backend.
    pub(crate) fn withdraw(self) {
        self.permit.withdraw();
    }
}
