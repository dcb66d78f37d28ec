//! A connection leased from a guarded pool, and its return to the pool.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::breaker::config::{LONGEST, check_duration};
use crate::outcome::error::{GateError, WithTimeoutError};
use crate::pool::adapter::{Adapter, diagnose};
use crate::pool::connection_state::{ConnectionState, Diagnosis};
use crate::pool::session::Session;
use crate::pool::shared::Shared;
use crate::pool::statement::{Admission, Watch};
use crate::telemetry::event::Event;

/// The time to cancel a statement on the backend that was given up here.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// The time to return a connection to the pool, or to close it.
///
/// sqlx tests a returned connection without a deadline, and its slot in the pool is lost if the
/// server has gone silently: <https://github.com/transact-rs/sqlx/issues/4349>.
pub(crate) const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

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
        let errors = self.state.read_only_errors();
        let asks = reason.is_none() && self.shared.role.is_doubtful(errors);
        if reason.is_none() && !A::RELEASE_WAITS && !asks {
            return; // The connection is dropped in place. Some are large.
        }
        if let Some(raw) = self.raw.take() {
            match reason {
                Some(reason) => self.close(raw, reason),
                None if asks => self.release_after_asking(raw, errors),
                None => self.release(raw),
            }
        }
    }
}

// A task that is spawned here occupies the slot of its connection in the pool until it ends, so there
// are never more of these tasks than connections.
impl<A: Adapter> Lease<A> {
    fn release(&self, raw: A::Lease) {
        let Shared {
            adapter,
            background,
            ..
        } = &*self.shared;
        let Some(runtime) = background.runtime() else {
            // Without a runtime there is no task in which the return could be awaited:
            // https://github.com/transact-rs/sqlx/issues/1396
            return adapter.discard(raw);
        };
        let _inside = runtime.enter();
        let release = adapter.release(raw);
        runtime.spawn(async move {
            let _ = timeout(RELEASE_TIMEOUT, release).await;
        });
    }

    /// Asks whether the server is read-only, and then returns the connection to the pool. It is closed
    /// instead if the server was demoted, or does not answer in time.
    fn release_after_asking(&self, raw: A::Lease, errors: u32) {
        let Some(runtime) = self.shared.background.runtime() else {
            return match A::RELEASE_WAITS {
                true => self.release(raw),
                false => drop(raw),
            };
        };
        let mut lease = DiscardOnDrop {
            raw: Some(raw),
            session: None,
            shared: Arc::clone(&self.shared),
        };
        runtime.spawn(async move {
            let (gate, role) = (Arc::clone(&lease.shared.gate), &lease.shared.role);
            let role = Arc::clone(role);
            let closed = match timeout(RELEASE_TIMEOUT, lease.is_read_only()).await {
                Ok(Some(is_read_only)) => {
                    (role.answered(is_read_only, errors, &gate)).then_some("read_only")
                }
                Ok(None) => None,
                Err(_) => Some("abandoned"),
            };
            let end = async {
                match closed {
                    Some(reason) => {
                        gate.closed_connection(reason);
                        lease.close().await;
                    }
                    None => lease.release().await,
                }
            };
            let _ = timeout(RELEASE_TIMEOUT, end).await;
        });
    }

    fn close(&self, raw: A::Lease, reason: &'static str) {
        self.shared.gate.closed_connection(reason);
        let may_run = self.state.may_run();
        let mut lease = DiscardOnDrop {
            raw: Some(raw),
            session: self.shared.session(&self.state),
            shared: Arc::clone(&self.shared),
        };
        if (may_run || A::RELEASE_WAITS)
            && let Some(runtime) = self.shared.background.runtime()
        {
            runtime.spawn(async move {
                if !may_run {
                    let _ = timeout(RELEASE_TIMEOUT, lease.close()).await;
                    return;
                }
                // The server is told in any case. The wait for it ends with the pool.
                let is_told = lease.tell().await;
                let shared = Arc::clone(&lease.shared);
                shared.background.spawn_if_used(async move {
                    let limit = lease.shared.gate.limits().query_timeout;
                    let _ = timeout(limit, lease.stop(is_told)).await;
                    let _ = timeout(RELEASE_TIMEOUT, lease.close()).await;
                });
            });
        }
    }
}

/// A lease that is discarded when it is dropped, unless it was closed before.
struct DiscardOnDrop<A: Adapter> {
    raw: Option<A::Lease>,
    /// The session of a connection whose statement was given up.
    session: Option<Session>,
    shared: Arc<Shared<A>>,
}

impl<A: Adapter> DiscardOnDrop<A> {
    /// Stops the statement that was given up, and waits until the server has stopped: until then, the
    /// connection keeps its place in the pool, so that the server never works on more statements than
    /// the pool has connections. The caller bounds the wait.
    async fn stop(&mut self, mut is_told: bool) {
        let shared = Arc::clone(&self.shared);
        while !is_told {
            let interval = shared.gate.breaker().probe_interval();
            if timeout(interval, self.answer()).await.is_ok() {
                return;
            }
            is_told = self.tell().await;
        }
        let session = self.session.clone();
        let mut answered = pin!(self.answer());
        let mut patience = CANCEL_TIMEOUT;
        loop {
            let is_starved =
                match timeout(patience, shared.gate.unless_starved(answered.as_mut())).await {
                    Ok(Some(())) => return,
                    Ok(None) => true,
                    Err(_) => false,
                };
            // The connection may be silent for ever. Where the server cannot be asked, it loses its
            // place when a caller needs it.
            let is_idle = match &session {
                Some(session) => shared.is_idle(session).await,
                None => None,
            };
            if is_idle.unwrap_or(is_starved) {
                return;
            }
            patience = patience.saturating_mul(2);
        }
    }

    /// Tells the server to stop the statement. Returns `false` if there was no time, because others told
    /// it the same, or while the breaker is open: nothing is sent to a server that may be down.
    async fn tell(&mut self) -> bool {
        if !self.shared.side_connections {
            return true;
        }
        let is_open = self.shared.gate.breaker().rejects();
        !is_open && timeout(CANCEL_TIMEOUT, self.cancel()).await.is_ok()
    }

    /// Waits for an answer after that of the statement, or for an error.
    async fn answer(&mut self) {
        if let Some(raw) = &mut self.raw {
            let _ = self.shared.adapter.ping(raw).await;
        }
    }

    async fn cancel(&mut self) {
        #[cfg(feature = "sqlx")]
        if A::STOPS_BY_SESSION {
            if let Some(session) = &self.session
                && let Some(mut side) = self.shared.side().await
            {
                side.stop(session).await;
                side.close().await;
            }
            return;
        }
        if let Some(raw) = &mut self.raw {
            self.shared.adapter.cancel(raw).await;
        }
    }

    async fn is_read_only(&mut self) -> Option<bool> {
        let adapter = Arc::clone(&self.shared.adapter);
        adapter.is_read_only(self.raw.as_mut()?).await
    }

    async fn release(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.shared.adapter.release(raw).await;
        }
    }

    async fn close(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.shared.adapter.close(raw).await;
        }
    }
}

impl<A: Adapter> Drop for DiscardOnDrop<A> {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.shared.adapter.discard(raw);
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
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.parts().0
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
