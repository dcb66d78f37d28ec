//! A connection out of a guarded pool, and how it goes back.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::breaker::config::{LONGEST, check_duration};
use crate::outcome::error::{GateError, WithTimeoutError};
use crate::pool::adapter::{Adapter, diagnose};
use crate::pool::connection_state::{ConnectionState, Diagnosis};
use crate::pool::shared::Shared;
use crate::pool::statement::{Admission, Watch};

/// The time there is to stop what the backend still does for a statement that was given up.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// The time a connection has to prove itself when it is given back, or else to close.
pub(crate) const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection leased from a [`Guarded`](crate::Guarded) pool. Dropping it gives it back, unless a
/// statement was given up on it: then it is closed.
pub struct Lease<A: Adapter> {
    /// `None` only before the lease is handed out, and after a method that takes it apart.
    raw: Option<A::Lease>,
    pub(crate) state: ConnectionState,
    pub(crate) shared: Arc<Shared<A>>,
}

impl<A: Adapter> Lease<A> {
    /// A lease that is still to be given its connection.
    pub(crate) fn empty(shared: Arc<Shared<A>>) -> Self {
        Self {
            raw: None,
            state: ConnectionState::default(),
            shared,
        }
    }

    pub(crate) fn put(&mut self, raw: A::Lease) {
        self.raw = Some(raw);
        self.shared.gate.handed_out();
    }

    /// Runs a statement: admitted by the breaker, under the pool's `query_timeout`, and its end
    /// recorded.
    ///
    /// # Errors
    ///
    /// [`GateError::Refused`]: the statement was not sent. [`GateError::Deadline`]: it was given
    /// up, and so is the connection: every later statement on it is refused as
    /// [`Refused::Abandoned`](crate::Refused::Abandoned). [`GateError::Failed`]: its own error.
    pub async fn guard<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut A::Connection) -> Result<T, A::StatementError>,
    ) -> Result<T, GateError<A::StatementError>> {
        self.guard_by(None, diagnose, statement).await
    }

    /// [`guard`](Self::guard) with another deadline than the pool's: longer than zero, and at most
    /// [`LONGEST`](crate::breaker::LONGEST). With a deadline of its own a statement is never taken for
    /// [lost in an outage](crate#what-an-outage-leaves-behind).
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
    /// [`WithTimeoutError::Config`]: `limit` is no deadline; the statement was not sent.
    /// [`WithTimeoutError::Gate`]: as [`guard`](Self::guard).
    pub async fn guard_with_timeout<T>(
        &mut self,
        limit: Duration,
        statement: impl AsyncFnOnce(&mut A::Connection) -> Result<T, A::StatementError>,
    ) -> Result<T, WithTimeoutError<A::StatementError>> {
        check_duration("with_timeout", limit, LONGEST)?;
        Ok(self.guard_by(Some(limit), diagnose, statement).await?)
    }

    /// [`guard`](Self::guard) for statements with errors of their own. Without a limit they have the
    /// pool's.
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

    /// Watches statements that do not need the connection for themselves alone.
    pub(crate) fn watch(&self) -> Watch<'_, A> {
        Watch {
            state: &self.state,
            shared: &self.shared,
        }
    }

    /// The connection, and what watches its statements, borrowed side by side.
    pub(crate) fn parts(&mut self) -> (&mut A::Connection, Watch<'_, A>) {
        let Self { raw, state, shared } = self;
        let raw: &mut A::Lease = lent(raw.as_mut());
        (raw, Watch { state, shared })
    }

    /// The pool's own lease; what is done with it is neither guarded nor seen. If a statement was given
    /// up on it, it must not go back to the pool, and it is up to you now to see to that.
    #[must_use]
    pub fn into_inner(mut self) -> A::Lease {
        self.shared.gate.handed_back();
        lent(self.raw.take())
    }

    pub(crate) fn raw(&self) -> &A::Lease {
        lent(self.raw.as_ref())
    }
}

#[expect(
    clippy::expect_used,
    reason = "a lease is handed out with one, and only methods that consume it leave none"
)]
pub(crate) fn lent<T>(raw: Option<T>) -> T {
    raw.expect("a lease holds its connection")
}

impl<A: Adapter> Drop for Lease<A> {
    fn drop(&mut self) {
        let Some(raw) = self.raw.take() else {
            return;
        };
        self.shared.gate.handed_back();
        // The end of the transaction was not seen.
        #[cfg(feature = "cache")]
        if !self.state.unpublished.is_empty() {
            drop(self.watch().commits());
        }
        match self.state.must_close() {
            Some(reason) => self.close(raw, reason),
            None if A::RELEASE_WAITS => self.release(raw),
            None => drop(raw),
        }
    }
}

// The tasks that are spawned here hold their connections' places in the pool until they end, so there
// are no more of them than connections.
impl<A: Adapter> Lease<A> {
    fn release(&self, raw: A::Lease) {
        let Shared {
            adapter,
            background,
            ..
        } = &*self.shared;
        let Some(runtime) = background.runtime() else {
            // Nothing can be awaited any more.
            return adapter.discard(raw);
        };
        let _inside = runtime.enter();
        let release = adapter.release(raw);
        runtime.spawn(async move {
            let _ = timeout(RELEASE_TIMEOUT, release).await;
        });
    }

    fn close(&self, raw: A::Lease, reason: &'static str) {
        self.shared.gate.closed_connection(reason);
        let mut doomed = Doomed {
            raw: Some(raw),
            adapter: Arc::clone(&self.shared.adapter),
        };
        let is_in_flight = self.state.is_in_flight();
        if (is_in_flight || A::RELEASE_WAITS)
            && let Some(runtime) = self.shared.background.runtime()
        {
            runtime.spawn(async move {
                if is_in_flight {
                    let _ = timeout(CANCEL_TIMEOUT, doomed.cancel()).await;
                }
                let _ = timeout(RELEASE_TIMEOUT, doomed.close()).await;
            });
        }
    }
}

/// A lease that is discarded, whenever and wherever it is dropped.
struct Doomed<A: Adapter> {
    raw: Option<A::Lease>,
    adapter: Arc<A>,
}

impl<A: Adapter> Doomed<A> {
    async fn cancel(&mut self) {
        if let Some(raw) = &mut self.raw {
            self.adapter.cancel(raw).await;
        }
    }

    async fn close(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.adapter.close(raw).await;
        }
    }
}

impl<A: Adapter> Drop for Doomed<A> {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take() {
            self.adapter.discard(raw);
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
