//! What fusepool knows about tokio-postgres' connections.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use deadpool::managed::{Hook, HookError, PoolBuilder, PoolError};
use deadpool_postgres::ClientWrapper;
use tokio::time::timeout;
use tokio_postgres::{Error, SimpleQueryMessage};

use super::error::{self, delivery};
use super::manager::Manager;
use crate::breaker::verdict::Class;
use crate::deadpool::dialect::{BoxFuture, Dialect};
use crate::outcome::code::ErrorCode;
use crate::outcome::delivery::Delivery;
use crate::outcome::error::refusal;
use crate::outcome::sqlstate::IS_READ_ONLY;
use crate::pool::session::System;
use crate::telemetry::backend::Backend;

/// Default of [`PoolBuilder::alive_bypass`](super::PoolBuilder::alive_bypass): 500 milliseconds.
pub const DEFAULT_ALIVE_BYPASS: Duration = Duration::from_millis(500);

pub(super) struct Postgres {
    pub(super) alive_bypass: Duration,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            alive_bypass: DEFAULT_ALIVE_BYPASS,
        }
    }
}

impl Dialect<Manager> for Postgres {
    fn name(&self, manager: &Manager) -> String {
        manager.backend().pool_name()
    }

    fn backend(&self, manager: &Manager) -> Backend {
        manager.backend().clone()
    }

    /// Adds a test of connections that were not leased within `alive_bypass`. deadpool records when
    /// a connection was last leased, not when it was returned.
    ///
    /// deadpool-postgres' default recycling method does not notice a connection that broke silently:
    /// <https://github.com/deadpool-rs/deadpool/issues/395>.
    fn prepare(&self, builder: PoolBuilder<Manager>, limit: Duration) -> PoolBuilder<Manager> {
        let bypass = self.alive_bypass;
        builder.pre_recycle(Hook::async_fn(
            move |client: &mut ClientWrapper, metrics| {
                if metrics.last_used() < bypass {
                    // This future captures nothing, so the box does not allocate.
                    return Box::pin(poll_fn(|_| Poll::Ready(Ok(()))));
                }
                Box::pin(async move {
                    match timeout(limit, client.check_connection()).await {
                        Ok(pong) => pong.map_err(HookError::Backend),
                        Err(_) => Err(HookError::message("the connection did not answer in time")),
                    }
                })
            },
        ))
    }

    fn waits_to_recycle(&self, manager: &Manager) -> bool {
        manager.waits_to_recycle()
    }

    fn classify(&self, error: &Error) -> Class {
        error::classify(error)
    }

    fn code(&self, error: &Error) -> Option<ErrorCode> {
        ErrorCode::new(error.code()?.code())
    }

    fn answered(&self, error: &Error) -> bool {
        error.as_db_error().is_some()
    }

    fn has_ended(&self, error: &Error) -> bool {
        self.answered(error) && delivery(error) != Delivery::Unknown
    }

    fn ping<'a>(
        &'a self,
        manager: &'a Manager,
        client: &'a mut ClientWrapper,
    ) -> BoxFuture<'a, Result<(), PoolError<Error>>> {
        self.probe(manager, client, "SELECT 1")
    }

    fn probe<'a>(
        &'a self,
        _: &'a Manager,
        client: &'a mut ClientWrapper,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<(), PoolError<Error>>> {
        Box::pin(async { Ok(client.batch_execute(sql).await?) })
    }

    fn is_refusal(&self, error: &Error) -> bool {
        refusal(error).is_some()
    }

    fn is_read_only<'a>(&'a self, client: &'a mut ClientWrapper) -> BoxFuture<'a, Option<bool>> {
        Box::pin(async {
            // The simple protocol, because a pooler may not know prepared statements.
            let answer = client.simple_query(IS_READ_ONLY).await.ok()?;
            let is_row = |message: &_| matches!(message, SimpleQueryMessage::Row(_));
            Some(answer.iter().any(is_row))
        })
    }

    fn tells_read_only(&self) -> bool {
        true
    }

    fn system(&self) -> Option<System> {
        Some(System::Postgres)
    }

    fn question<'a>(
        &'a self,
        client: &'a mut ClientWrapper,
        sql: String,
    ) -> BoxFuture<'a, Option<String>> {
        Box::pin(async move {
            let answer = client.simple_query(&sql).await.ok()?;
            answer.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            })
        })
    }

    fn cancel<'a>(
        &'a self,
        manager: &'a Manager,
        client: &'a mut ClientWrapper,
    ) -> BoxFuture<'a, ()> {
        Box::pin(manager.cancel(client))
    }

    fn explain<'e>(&self, error: &'e PoolError<Error>) -> &'e (dyn StdError + 'static) {
        error
    }
}
