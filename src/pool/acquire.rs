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
        let fill = pin!(async {
            lease.put(acquire.await?);
            if self.role.is_unknown(&self.gate) {
                // Boxed, because it is rare, and most calls should not carry it.
                Box::pin(self.learn_role(lease)).await;
            }
            Ok(())
        });
        if self.adapter.is_closed() {
            fill.await.map_err(GateError::Failed)?;
            return Ok(None);
        }
        self.background.remember_runtime();
        let is_full = || self.adapter.status().is_full();
        let ((), permit) = self.gate.acquire(limit, is_full, classify, fill).await?;
        Ok(permit)
    }

    /// Asks the server of a new lease whether it accepts writes.
    ///
    /// Cancellation: the connection is closed when its lease is dropped.
    async fn learn_role(&self, lease: &mut Lease<A>) {
        let (raw, watch) = lease.parts();
        let in_flight = watch.state.start();
        if let Some(is_read_only) = self.adapter.is_read_only(raw).await {
            self.role.answered(is_read_only, 0, &self.gate);
        }
        in_flight.end();
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
