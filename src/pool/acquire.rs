//! Leases connections.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use super::adapter::{Adapter, diagnose_ping};
use super::lease::Lease;
use super::shared::Shared;
use super::statement::Admission;
use crate::breaker::permit::Permit;
use crate::breaker::verdict::Class;
use crate::outcome::error::GateError;

impl<A: Adapter> Shared<A> {
    /// Acquires a connection for one statement and puts it into an empty lease. If this returns a
    /// permit, the statement must run with it.
    ///
    /// The connection is stored in place, because some are large: moving them from call to call
    /// would cost more than leasing them.
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

    /// Acquires a connection, as [`fill`](Self::fill) does, for a caller that may hold it for any
    /// time. A probe is therefore settled by a ping first.
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
}
