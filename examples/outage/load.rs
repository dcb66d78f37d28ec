//! The load, in an open loop: calls start on schedule, whether or not earlier calls have ended.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::interval_at;

/// When calls start.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) start: Instant,
    pub(crate) length: Duration,
    /// Calls per second.
    pub(crate) rate: u32,
}

/// A call. Times are from the start of the load.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    /// When its task began to run, so that the wait for a processor is not measured.
    pub(crate) started: Duration,
    pub(crate) ended: Duration,
    pub(crate) end: End,
}

/// How a call ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Answered,
    /// Refused, and never sent.
    Refused,
    Failed,
}

impl Call {
    pub(crate) fn latency(&self) -> Duration {
        self.ended.saturating_sub(self.started)
    }
}

impl Schedule {
    /// Starts the calls, each in a task of its own, and waits until all of them have ended.
    pub(crate) async fn run<F>(self, call: impl Fn() -> F) -> Vec<Call>
    where
        F: Future<Output = sqlx::Result<()>> + Send + 'static,
    {
        let Self {
            start,
            length,
            rate,
        } = self;
        // A missed tick is made up for at once.
        let mut ticks = interval_at(start.into(), Duration::from_secs(1) / rate);
        let mut tasks = JoinSet::new();
        while ticks.tick().await.into_std() < start + length {
            let call = call();
            tasks.spawn(async move {
                let started = start.elapsed();
                let result = call.await;
                Call {
                    started,
                    ended: start.elapsed(),
                    end: end(&result),
                }
            });
        }
        tasks.join_all().await
    }
}

fn end(result: &sqlx::Result<()>) -> End {
    match result {
        Ok(()) => End::Answered,
        Err(error) if fusepool::refusal(error).is_some() => End::Refused,
        Err(_) => End::Failed,
    }
}
