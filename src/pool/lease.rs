//! A connection leased from a guarded pool, and its return to the pool.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::breaker::config::{LONGEST, check_duration};
use crate::outcome::error::{GateError, WithTimeoutError};
use crate::pool::adapter::{Adapter, diagnose};
use crate::pool::connection_state::{ConnectionState, Diagnosis};
use crate::pool::shared::Shared;
use crate::pool::statement::{Admission, Watch};
use crate::telemetry::event::Event;

/// A connection leased from a [`Guarded`](crate::Guarded) pool.
///
/// Dropping it returns the connection to the pool. The connection is closed instead if a statement
/// on it was given up, or if an error showed that it is unusable. Only statements that run in
/// [`guard`](Self::guard) are guarded; those that run through `DerefMut` are not.
pub struct Lease<A: Adapter> {
    /// `None` only before the lease is returned to the caller, and after a method that consumes it.
    raw: Option<A::Lease>,
    /// The time at which the caller obtained it, if that is measured.
    since: Option<Instant>,
    pub(crate) state: ConnectionState,
    pub(crate) shared: Arc<Shared<A>>,
}

impl<A: Adapter> Lease<A> {
    /// A lease without a connection, which [`put`](Self::put) adds.
    pub(crate) fn empty(shared: Arc<Shared<A>>) -> Self {
        Self {
            raw: None,
            since: None,
            state: ConnectionState::default(),
            shared,
        }
    }

    pub(crate) fn put(&mut self, raw: A::Lease) {
        self.state.created = self.shared.adapter.created(&raw);
        self.raw = Some(raw);
        self.shared.gate.handed_out();
        #[cfg(feature = "sql")]
        self.shared.settle_doubts();
    }

    /// Reports that the caller, who has waited since `began`, obtained this connection, and whether it
    /// was opened meanwhile. A pool opens one only if it has room, so the caller has waited for nothing
    /// else.
    #[cold]
    pub(super) fn obtained(&mut self, began: Instant) {
        let gate = &self.shared.gate;
        let opened = self.state.created;
        if let Some(took) = opened.and_then(|created| created.after(began.into_std())) {
            gate.tell_of_call(&Event::Connected { took });
        }
        let now = Instant::now();
        let waited = now - began;
        gate.tell_of_call(&Event::Acquired { waited });
        self.since = Some(now);
    }

    /// Runs a statement if the breaker admits it, under the `query_timeout` of the pool, and records
    /// its result.
    ///
    /// ```
    /// # use fusepool::{Adapter, GateError, Lease};
    /// # trait Db { type Error; async fn ping(&mut self) -> Result<(), Self::Error>; }
    /// # async fn run<A>(lease: &mut Lease<A>) -> Result<(), GateError<A::StatementError>>
    /// # where A: Adapter<Connection: Db<Error = A::StatementError>>
    /// # {
    /// lease.guard(async |db| db.ping().await).await
    /// # }
    /// ```
    ///
    /// Cancellation: if the future is dropped while the statement runs, the statement is given up,
    /// as at its deadline.
    ///
    /// # Errors
    ///
    /// - [`GateError::Refused`]: the statement was not sent.
    /// - [`GateError::Deadline`]: the statement was given up. Every later statement on this
    ///   connection is refused as [`Refused::Abandoned`](crate::Refused::Abandoned), and the
    ///   connection will be closed.
    /// - [`GateError::Failed`]: the statement's own error.
    pub async fn guard<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut A::Connection) -> Result<T, A::StatementError>,
    ) -> Result<T, GateError<A::StatementError>> {
        self.guard_by(None, diagnose, statement).await
    }

    /// Runs a statement, as [`guard`](Self::guard) does, with a deadline of its own instead of the
    /// pool's `query_timeout`.
    ///
    /// `limit` must be longer than zero, and at most [`LONGEST`]. It applies in every mode of the
    /// breaker.
    ///
    /// ```
    /// # use fusepool::{Adapter, Lease, WithTimeoutError};
    /// # trait Db { type Error; async fn vacuum(&mut self) -> Result<(), Self::Error>; }
    /// # async fn run<A>(lease: &mut Lease<A>) -> Result<(), WithTimeoutError<A::StatementError>>
    /// # where A: Adapter<Connection: Db<Error = A::StatementError>>
    /// # {
    /// use std::time::Duration;
    ///
    /// let limit = Duration::from_secs(300);
    /// lease.guard_with_timeout(limit, async |db| db.vacuum().await).await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`WithTimeoutError::Config`]: `limit` is invalid. The statement was not sent.
    /// - [`WithTimeoutError::Gate`]: the error that [`guard`](Self::guard) returns.
    pub async fn guard_with_timeout<T>(
        &mut self,
        limit: Duration,
        statement: impl AsyncFnOnce(&mut A::Connection) -> Result<T, A::StatementError>,
    ) -> Result<T, WithTimeoutError<A::StatementError>> {
        check_duration("with_timeout", limit, LONGEST)?;
        Ok(self.guard_by(Some(limit), diagnose, statement).await?)
    }

    /// Runs a statement with an error type of its own. Without a `limit`, the pool's applies.
    pub(crate) async fn guard_by<T, E>(
        &mut self,
        limit: Option<Duration>,
        diagnose: impl FnOnce(&A, &E) -> Diagnosis,
        statement: impl AsyncFnOnce(&mut A::Connection) -> Result<T, E>,
    ) -> Result<T, GateError<E>> {
        let (raw, watch) = self.parts();
        let admitted = watch.admit(Admission::Breaker, limit).await?;
        admitted.run(diagnose, statement(raw)).await
    }

    /// Watches statements that need no exclusive access to the connection.
    #[cfg(feature = "sql")]
    pub(crate) fn watch(&self) -> Watch<'_, A> {
        Watch {
            state: &self.state,
            shared: &self.shared,
        }
    }

    /// Borrows the connection and the watch of its statements at the same time.
    pub(crate) fn parts(&mut self) -> (&mut A::Connection, Watch<'_, A>) {
        let Self {
            raw, state, shared, ..
        } = self;
        let raw: &mut A::Lease = present(raw.as_mut());
        (raw, Watch { state, shared })
    }

    /// Returns the pool's own lease. From then on, fusepool neither guards nor observes the
    /// connection.
    ///
    /// If a statement on this connection was given up, the connection must not return to the pool,
    /// and the caller must discard it.
    #[must_use]
    pub fn into_inner(mut self) -> A::Lease {
        self.shared.gate.handed_back(None);
        #[cfg(feature = "sql")]
        {
            // The end of a transaction will not be observed.
            if !self.state.unpublished.is_empty() {
                drop(self.watch().commits());
            }
            // The session must not be ended: its connection is still in use.
            (self.shared).keep_in_doubt(None, self.state.doubts.take());
        }
        present(self.raw.take())
    }

    pub(crate) fn raw(&self) -> &A::Lease {
        present(self.raw.as_ref())
    }
}

#[expect(
    clippy::expect_used,
    reason = "a lease is returned to the caller with a connection, and only methods that consume \
              the lease take it"
)]
pub(crate) fn present<T>(raw: Option<T>) -> T {
    raw.expect("a lease holds its connection")
}

impl<A: Adapter> Drop for Lease<A> {
    fn drop(&mut self) {
        if let Some(slot) = self.state.take_probe() {
            self.shared.gate.breaker().free(slot);
        }
        if self.raw.is_none() {
            return;
        }
        self.shared.gate.handed_back(self.since);
        // The end of the transaction was not observed, so its outcome is unknown.
        #[cfg(feature = "sql")]
        if !self.state.unpublished.is_empty() {
            drop(self.watch().commits());
        }
        let reason = self.state.must_close();
        let checks = reason.is_none() && self.must_check();
        if reason.is_none() && !A::RELEASE_WAITS && !checks {
            return; // The connection is dropped in place. Some are large.
        }
        if let Some(raw) = self.raw.take() {
            match reason {
                Some(reason) => self.close(raw, reason),
                None if checks => self.release_after_checks(raw),
                None => self.release(raw),
            }
        }
    }
}

impl<A: Adapter> Deref for Lease<A> {
    type Target = A::Connection;

    fn deref(&self) -> &Self::Target {
        self.raw()
    }
}

impl<A: Adapter> DerefMut for Lease<A> {
    /// The connection may be used past the guard from here on.
    fn deref_mut(&mut self) -> &mut Self::Target {
        let (raw, watch) = self.parts();
        watch.state.touch();
        raw
    }
}

impl<A: Adapter> fmt::Debug for Lease<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("pool", self.shared.gate.breaker().name())
            .finish_non_exhaustive()
    }
}

/// Proves that a statement cannot outlive its lease: the first example compiles, and the second one
/// must not.
///
/// ```
/// use fusepool::{Adapter, Lease};
///
/// async fn run<A: Adapter>(mut lease: Lease<A>) {
///     let _ = lease.guard(async |_| Ok(())).await;
///     drop(lease);
/// }
/// ```
///
/// ```compile_fail,E0505
/// use fusepool::{Adapter, Lease};
///
/// async fn run<A: Adapter>(mut lease: Lease<A>) {
///     let statement = lease.guard(async |_| Ok(()));
///     drop(lease);
///     let _ = statement.await;
/// }
/// ```
#[cfg(doctest)]
struct DoesNotCompile;
