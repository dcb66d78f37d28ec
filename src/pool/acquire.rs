//! Leases connections.

use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::time::timeout;

use super::adapter::Adapter;
use super::lease::Lease;
use super::opening::Opening;
use super::session::System;
use super::shared::Shared;
use crate::breaker::verdict::Class;
use crate::outcome::error::GateError;

impl<A: Adapter> Shared<A> {
    /// Acquires a connection and puts it into an empty lease. If the breaker is half-open, the first
    /// statement on it is a probe.
    ///
    /// The connection is stored in place, because some are large: moving them from call to call
    /// would cost more than leasing them. `acquire` takes it from the pool. `open` does the same in a task,
    /// if the pool has to open it.
    pub(crate) async fn fill<O>(
        &self,
        lease: &mut Lease<A>,
        limit: Duration,
        classify: impl FnOnce(&A::Error) -> Class,
        acquire: Pin<&mut impl Future<Output = Result<A::Lease, A::Error>>>,
        open: impl FnOnce() -> O,
    ) -> Result<(), GateError<A::Error>>
    where
        O: Future<Output = Result<A::Lease, A::Error>> + Send + 'static,
    {
        lease.shared.remember_runtime();
        let began = self.gate.timer();
        let probe = {
            let fill = pin!(async {
                let opened = match Opening::begin(&lease.shared) {
                    Some(opening) => Box::pin(opening.open(limit, open())).await,
                    None => None,
                };
                lease.put(match opened {
                    Some(opened) => opened?,
                    None => acquire.await?,
                });
                if self.role.is_unknown(&self.gate) {
                    // Boxed, because it is rare, and most calls should not carry it.
                    Box::pin(self.learn_role(lease)).await;
                }
                Ok(())
            });
            if self.adapter.is_closed() {
                return fill.await.map_err(GateError::Failed);
            }
            let is_full = || self.adapter.status().is_full();
            self.gate.acquire(limit, is_full, classify, fill).await?.1
        };
        if let Some(began) = began {
            lease.obtained(began);
        }
        if let Some(slot) = probe {
            lease.state.reserve(slot);
        }
        Ok(())
    }

    /// Asks the server of a new lease whether it accepts writes, and what it is.
    ///
    /// Cancellation: the connection is closed when its lease is dropped.
    async fn learn_role(&self, lease: &mut Lease<A>) {
        let (raw, watch) = lease.parts();
        let in_flight = watch.state.start();
        // The wait for a connection has no deadline in a mode that does not enforce.
        let limit = self.gate.acquire_timeout();
        let Ok(is_read_only) = timeout(limit, self.adapter.is_read_only(raw)).await else {
            return; // The connection is useless.
        };
        if let Some(is_read_only) = is_read_only {
            self.role.answered(is_read_only, 0, &self.gate);
        }
        self.learn_system(raw).await;
        in_flight.end();
    }

    /// Asks the server once what it is, if its driver does not tell, and if that is recorded.
    async fn learn_system(&self, connection: &mut A::Connection) {
        let question = self.adapter.system().and_then(System::version);
        let question = question.filter(|_| self.gate.names_system());
        if let Some(question) = question
            && self.is_system_known.get().is_none()
            && let Some(version) = self.adapter.question(connection, question.to_owned()).await
            && self.is_system_known.set(()).is_ok()
            && version.contains("MariaDB")
        {
            self.gate.tell_system("mariadb");
        }
    }
}
