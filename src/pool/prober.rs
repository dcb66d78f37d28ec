//! Finds out in the background whether an unwell backend is well again.
//!
//! A quiet service, taken out of rotation by its readiness check, gets no calls that could probe;
//! and a busy one should not try out the backend on its users. So while the breaker is open, one
//! task waits out the delay, opens a fresh connection, takes all places of the first batch at once,
//! and pings for each. The batches that follow are left to users' calls; where none come, the task fills
//! the free places after another delay. No error ends it before the breaker is closed.
//!
//! A connection beside the pool's may not be had: an account has no slot left, or a database file is
//! locked by the pool's own connection. So if a fresh one brings no answer, and no clear fault, an idle
//! connection of the pool's is borrowed.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::breaker::handle::Breaker;
use crate::breaker::permit::Permit;
use crate::breaker::state::State;
use crate::breaker::verdict::Class;
use crate::gate::Gate;
use crate::outcome::error::{Awaited, GateError};

#[cfg(test)]
mod tests;

/// What a prober talks to.
pub(crate) trait Backend: Send + Sync + 'static {
    type Connection: Send;
    type Error: Send + 'static;

    /// Opens a connection of its own, outside any pool.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Takes an idle connection out of the pool, if there is one.
    fn borrow(&self) -> impl Future<Output = Option<Self::Connection>> + Send;

    /// Asks for an answer.
    fn ping(
        &self,
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Closes the connection; bounded by the caller.
    fn close(&self, connection: Self::Connection) -> impl Future<Output = ()> + Send;

    fn classify(&self, error: &Self::Error) -> Class;

    /// The error as events tell it.
    fn explain<'e>(&self, error: &'e Self::Error) -> &'e (dyn Error + 'static);
}

/// Runs until the breaker is closed.
///
/// Cancellation: may be dropped at any await; probes under way then give their places back.
pub(crate) async fn recover(gate: Arc<Gate>, backend: impl Backend) {
    while let Some(probing) = gate.reserve_probing() {
        probe_until_closed(&gate, &backend).await;
        drop(probing);
        // It may have opened again just before the reservation was given back.
        if gate.breaker().state() != State::Open {
            return;
        }
    }
}

async fn probe_until_closed(gate: &Gate, backend: &impl Backend) {
    let breaker = gate.breaker();
    loop {
        match breaker.state() {
            State::Closed => return,
            State::Open => {
                if let Some(delay) = breaker.until_probe() {
                    sleep(delay).await;
                } else {
                    probe(gate, backend).await;
                }
            }
            State::HalfOpen => {
                sleep(breaker.open_delay()).await;
                if breaker.state() == State::HalfOpen && breaker.until_probe().is_none() {
                    probe(gate, backend).await;
                }
            }
        }
    }
}

/// Takes every free place of the batch, at once.
fn take_places(breaker: &Breaker) -> Vec<Permit<'_>> {
    let mut places = Vec::new();
    // Asking in vain would be counted as a rejected call.
    while breaker.until_probe().is_none()
        && let Ok(permit) = breaker.try_acquire()
    {
        if !permit.is_probe() {
            permit.withdraw();
            break;
        }
        places.push(permit);
    }
    places
}

/// The last is next. The others, who take turns anew after it, begin after the most that it can take.
fn take_turns(places: &mut [Permit<'_>]) {
    if let Some((next, others)) = places.split_last_mut() {
        next.restart();
        others.iter_mut().for_each(Permit::restart_after_another);
    }
}

/// Answers for each free place with a ping.
async fn probe(gate: &Gate, backend: &impl Backend) {
    let breaker = gate.breaker();
    let was_open = breaker.state() == State::Open;
    let to_connect = gate.limits().acquire_timeout;
    let connected = timed(gate, to_connect, Awaited::Connection, backend.connect()).await;
    // Only now, and each starts with its ping: neither the time to connect nor the pings before
    // make a probe slow, or a backend that is slow to connect to could never be let back in.
    let mut places = take_places(breaker);
    if places.is_empty() {
        if let Ok(connection) = connected {
            close(gate, backend, connection).await;
        }
        // Others have them all, or the mode has changed.
        sleep(breaker.open_delay()).await;
        return;
    }
    let mut is_borrowed = connected.is_err();
    let mut connection = match connected {
        Ok(connection) => connection,
        Err(error) => {
            gate.probed(Some(source(backend, &error)));
            let (class, clear) = (class(backend, &error), is_clear(backend, &error));
            match borrow(gate, backend, !clear).await {
                Some(connection) => connection,
                None => return conclude(class, places),
            }
        }
    };
    take_turns(&mut places);
    while let Some(mut place) = places.pop() {
        let mut pong = ping(gate, backend, &mut connection).await;
        let unclear = (pong.as_ref()).is_err_and(|error| !is_clear(backend, error));
        if let Some(borrowed) = borrow(gate, backend, unclear && !is_borrowed).await {
            is_borrowed = true;
            // The one that owes an answer is dropped: closing it politely would wait for that.
            connection = borrowed;
            place.restart();
            take_turns(&mut places);
            pong = ping(gate, backend, &mut connection).await;
        }
        let class = pong.map_or_else(|error| class(backend, &error), |()| Class::Answered);
        // Before the first call is let through.
        if was_open && places.is_empty() && matches!(class, Class::Answered | Class::Slow) {
            gate.well_again();
        }
        // What this one took is not for the others to answer for.
        take_turns(&mut places);
        place.settle_class(class);
        // Late is an answer, too: whether it is good enough is for all places to say.
        if !matches!(class, Class::Answered | Class::Slow) {
            return conclude(class, places);
        }
    }
    close(gate, backend, connection).await;
}

/// The backend itself is to blame that a fresh connection brought no answer: one of the pool's would
/// tell no more.
fn is_clear<B: Backend>(backend: &B, error: &GateError<B::Error>) -> bool {
    matches!(error, GateError::Failed(_))
        && matches!(class(backend, error), Class::Fault | Class::FaultAndClose)
}

/// An idle connection of the pool's, if it is wanted.
async fn borrow<B: Backend>(gate: &Gate, backend: &B, wanted: bool) -> Option<B::Connection> {
    if !wanted {
        return None;
    }
    let limit = gate.breaker().probe_timeout();
    timeout(limit, backend.borrow()).await.ok()?
}

async fn ping<B: Backend>(
    gate: &Gate,
    backend: &B,
    connection: &mut B::Connection,
) -> Result<(), GateError<B::Error>> {
    let limit = gate.breaker().probe_timeout();
    let pong = timed(gate, limit, Awaited::Answer, backend.ping(connection)).await;
    gate.probed(pong.as_ref().err().map(|error| source(backend, error)));
    pong
}

/// Nobody waits for this: a connection that cannot be closed politely is dropped.
async fn close<B: Backend>(gate: &Gate, backend: &B, connection: B::Connection) {
    let limit = gate.breaker().probe_timeout();
    let _ = timeout(limit, backend.close(connection)).await;
}

/// Settles the places for which there is no asking any more. What tells nothing of the backend gives
/// them back, to users' calls and to the next attempt.
fn conclude(class: Class, places: Vec<Permit<'_>>) {
    let rest = match class {
        Class::Fault | Class::FaultAndClose | Class::Starved => Class::Fault,
        Class::Slow => Class::Slow,
        Class::Answered | Class::Neutral => Class::Neutral,
    };
    for place in places {
        place.settle_class(rest);
    }
}

async fn timed<T, E>(
    gate: &Gate,
    limit: Duration,
    awaited: Awaited,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, GateError<E>> {
    match timeout(limit, step).await {
        Ok(result) => result.map_err(GateError::Failed),
        Err(_) => Err(gate.missed(limit, awaited).into()),
    }
}

fn class<B: Backend>(backend: &B, error: &GateError<B::Error>) -> Class {
    match error {
        GateError::Failed(error) => backend.classify(error),
        _ => Class::Fault,
    }
}

fn source<'e, B: Backend>(
    backend: &B,
    error: &'e GateError<B::Error>,
) -> &'e (dyn Error + 'static) {
    match error {
        GateError::Failed(error) => backend.explain(error),
        GateError::Rejected(rejected) => rejected,
        GateError::Deadline(deadline) => deadline,
    }
}
