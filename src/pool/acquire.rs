//! How a connection is leased.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use super::adapter::{Adapter, diagnose_ping};
use super::lease::Lease;
use super::shared::Shared;
use super::statement::Admission;
use crate::breaker::permit::Permit;
use crate::breaker::verdict::Class;
use crate::outcome::error::GateError;

impl<A: Adapter> Shared<A> {
    /// A connection for one statement, which is then the probe if there is a permit, put into an
    /// empty lease: some are large, and to hand them up from call to call would cost more than to
    /// lease them.
    pub(crate) async fn fill(
        &self,
        lease: &mut Lease<A>,
        limit: Duration,
        classify: impl FnOnce(&A::Error) -> Class,
        acquire: Pin<&mut impl Future<Output = Result<A::Lease, A::Error>>>,
    ) -> Result<Option<Permit<'_>>, GateError<A::Error>> {
        let fill = pin!(async { acquire.await.map(|raw| lease.put(raw)) });
        if self.adapter.is_closed() {
            fill.await.map_err(GateError::Failed)?;
            return Ok(None);
        }
        self.background.remember_runtime();
        let is_full = || self.adapter.status().is_full();
        let ((), permit) = self.gate.acquire(limit, is_full, classify, fill).await?;
        Ok(permit)
    }

    /// [`fill`](Self::fill) for whatever the caller will do with the connection. That may take its
    /// time, so a probe is settled by a ping first.
    pub(crate) async fn fill_ready(
        &self,
        lease: &mut Lease<A>,
        limit: Duration,
        classify: impl FnOnce(&A::Error) -> Class,
        acquire: Pin<&mut impl Future<Output = Result<A::Lease, A::Error>>>,
    ) -> Result<(), GateError<A::Error>> {
        match self.fill(lease, limit, classify, acquire).await? {
            Some(probe) if self.gate.is_proving(&probe) => {
                let (raw, watch) = lease.parts();
                let admission = Admission::Permit(probe);
                let ping = watch.admit(admission, Some(limit)).await?;
                ping.run(diagnose_ping, self.adapter.ping(raw)).await
            }
            Some(permit) => {
                permit.withdraw();
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Leases a connection that `acquire` has at hand, if the breaker is closed.
    pub(crate) fn lease_at_hand(
        self: &Arc<Self>,
        acquire: impl FnOnce(&A) -> Option<A::Lease>,
    ) -> Option<Lease<A>> {
        self.background.remember_runtime();
        if let Some(permit) = self.gate.admit().ok()? {
            let is_probe = permit.is_probe();
            permit.withdraw();
            if is_probe {
                return None; // its place goes to a caller who waits for an answer
            }
        }
        let raw = acquire(&self.adapter)?;
        self.gate.acquired();
        let mut lease = Lease::empty(Arc::clone(self));
        lease.put(raw);
        Some(lease)
    }
}
