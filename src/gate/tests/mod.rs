//! The gate on the paused clock.

mod lost;
mod queue;
mod statements;

use std::future::{pending, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::at_once::at_once;
use super::*;
use crate::breaker::clock::{Clock, ManualClock};
use crate::breaker::settings::DEFAULT_OPEN_DURATION;
use crate::breaker::state::State;
use crate::breaker::verdict::{Class, Verdict};
use crate::gate::limits::{DEFAULT_ACQUIRE_TIMEOUT, DEFAULT_QUERY_TIMEOUT};
use crate::outcome::code::ErrorCode;
use crate::outcome::error::{Awaited, GateError, Refused};

type Acquired = Result<((), bool), GateError<&'static str>>;

fn gate(breaker: Builder) -> Gate {
    let gate = Gate::builder(breaker.consecutive_failures(1));
    gate.build().unwrap()
}

fn as_failure<E>(_: &E) -> (Class, Option<ErrorCode>) {
    (Class::Failure, None)
}

async fn acquire(gate: &Gate, connect: impl Future<Output = Result<(), &'static str>>) -> Acquired {
    let (connection, probe) = gate
        .acquire(
            DEFAULT_ACQUIRE_TIMEOUT,
            || true,
            |_| Class::Failure,
            pin!(connect),
        )
        .await?;
    Ok((connection, probe.is_some()))
}

/// A failed statement of another call. It opens the breaker.
async fn failure(gate: &Gate) {
    gate.breaker().observe().settle(Verdict::Failure);
}

fn is_rejected(acquired: &Acquired) -> bool {
    matches!(acquired, Err(GateError::Refused(Refused::Circuit { .. })))
}

#[derive(Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
