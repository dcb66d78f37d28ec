//! Admits, runs and records the statements of a connection.

use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Duration;

use tokio_postgres::Error;

use super::forge;
use super::manager::Manager;
use crate::breaker::config::{LONGEST, check_duration};
use crate::cache::invalidation::Name;
use crate::cache::unpublished::Open;
use crate::deadpool::adapter::Managed;
use crate::gate::at_once::at_once;
use crate::outcome::error::{GateError, Refused};
use crate::pool::adapter::diagnose;
use crate::pool::statement::{self, Admission, Statement};
use crate::pool::transaction::Effect;

/// The watch on the statements of a connection, inside or outside a transaction.
#[derive(Clone, Copy)]
pub(super) struct Watch<'c> {
    pub(super) on: statement::Watch<'c, Managed<Manager>>,
    /// Statements in a transaction always pass, because it holds its locks on the server already.
    pub(super) in_transaction: bool,
}

impl<'c> Watch<'c> {
    /// Runs a statement that begins a transaction or rolls it back, or to a savepoint.
    pub(super) async fn run_trivial<T>(
        self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let run = async {
            let statement = self.admit(Effect::default(), None).await?;
            statement.trivial().run(diagnose, call).await
        };
        finish(run.await).await
    }

    /// Runs a statement that invalidates these names, under the deadline `limit`, or the pool's. Returns a
    /// refusal and a deadline as such. `effect`: that of its text, if it is known.
    pub(super) async fn attempt<T>(
        self,
        effect: Effect,
        limit: Option<Duration>,
        names: Vec<Name>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, GateError<Error>> {
        let statement = self.admit(effect, limit).await?;
        statement.by_text(effect, names).run(diagnose, call).await
    }

    /// [`attempt`](Self::attempt) for a statement that goes on after `call`, as a stream of rows or `COPY`
    /// does.
    pub(super) async fn attempt_open<T>(
        self,
        limit: Option<Duration>,
        names: Vec<Name>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, GateError<Error>> {
        let statement = self.admit(Effect::default(), limit).await?;
        statement.open_ended(names).run(diagnose, call).await
    }

    /// [`attempt`](Self::attempt) for a call that may end without an answer of the server, because of
    /// a cache or because it does not wait. Such a call is not recorded: as a success, it would hide
    /// that the server is slow. `open`: the statement goes on after it, and invalidates these names.
    pub(super) async fn attempt_cached<T>(
        self,
        limit: Option<Duration>,
        open: Option<Vec<Name>>,
        mut call: Pin<&mut impl Future<Output = Result<T, Error>>>,
    ) -> Result<T, GateError<Error>> {
        let statement = self.admit(Effect::default(), limit).await?;
        let statement = match open {
            Some(names) => statement.open_ended(names),
            None => statement,
        };
        match at_once(call.as_mut()).await {
            Some(Ok(value)) => {
                statement.withdraw();
                Ok(value)
            }
            Some(failed) => statement.run(diagnose, ready(failed)).await,
            None => statement.run(diagnose, call).await,
        }
    }

    /// Commits a transaction or a savepoint.
    pub(super) async fn commit<T>(
        self,
        open: Open<'_>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let commit = async {
            let statement = self.admit(Effect::default(), None).await?;
            statement.committing().run(diagnose, call).await
        };
        let result = commit.await;
        if result.is_ok() {
            open.commit();
        }
        finish(result).await
    }

    /// Admits a statement whose text has this effect.
    async fn admit(
        &self,
        effect: Effect,
        limit: Option<Duration>,
    ) -> Result<Statement<'c, Managed<Manager>>, Refused> {
        let admission = match self.in_transaction || self.on.state.is_in_transaction() {
            true => Admission::Transaction,
            false => Admission::Breaker,
        };
        self.on.admit(admission.of(effect), limit).await
    }

    pub(super) fn inside_transaction(self) -> Self {
        Self {
            in_transaction: true,
            ..self
        }
    }
}

/// Checks a statement's own deadline.
pub(super) async fn check(limit: Option<Duration>) -> Result<(), Error> {
    let checked = limit.map_or(Ok(()), |limit| {
        check_duration("with_timeout", limit, LONGEST)
    });
    match checked {
        Ok(()) => Ok(()),
        Err(config) => Err(forge::misconfigured(config).await),
    }
}

/// Converts the error of a failed statement to the driver's error.
pub(super) async fn finish<T>(result: Result<T, GateError<Error>>) -> Result<T, Error> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => Err(forge::of_statement(error).await),
    }
}
