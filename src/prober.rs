//! Finds out in the background whether an unwell backend is well again.
//!
//! A quiet service, taken out of rotation by its readiness check, gets no calls that could probe;
//! and a busy one should not try out the backend on its users. So while the breaker is open, one
//! task waits out the delay, opens a fresh connection, takes all places of the first batch at once,
//! and pings for each. The batches that follow are left to users' calls; where none come, the task fills
//! the free places after another delay.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;

use tokio::time::{sleep, timeout};

use crate::breaker::{Breaker, Permit, State};
use crate::error::{Awaited, GateError};
use crate::gate::Gate;
use crate::verdict::Class;

#[cfg(test)]
mod tests;

/// What a prober talks to.
pub(crate) trait Backend: Send + Sync + 'static {
    type Connection: Send;
    type Error: Send + 'static;

    /// Opens a connection of its own, outside any pool; or, where there is no room for one more,
    /// takes an idle one.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

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

/// Runs until the breaker is closed, or until only users' calls can tell how the backend is.
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
                } else if !probe(gate, backend).await {
                    return;
                }
            }
            State::HalfOpen => {
                sleep(breaker.open_delay()).await;
                if breaker.state() == State::HalfOpen
                    && breaker.until_probe().is_none()
                    && !probe(gate, backend).await
                {
                    return;
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

/// Answers for each free place with a ping. False if the backend could be reached but would not let
/// us in, so that a ping tells nothing.
async fn probe(gate: &Gate, backend: &impl Backend) -> bool {
    let limit = gate.probe_limit();
    let was_open = gate.breaker().state() == State::Open;
    let connected = timed(gate, Awaited::Connection, backend.connect()).await;
    // Only now, and each starts with its ping: neither the time to connect nor the pings before
    // make a probe slow, or a backend that is slow to connect to could never be let back in.
    let mut places = take_places(gate.breaker());
    if places.is_empty() {
        if let Ok(connection) = connected {
            let _ = timeout(limit, backend.close(connection)).await;
        }
        // Others have them all, or the mode has changed.
        sleep(gate.breaker().open_delay()).await;
        return true;
    }
    let mut connection = match connected {
        Ok(connection) => connection,
        Err(error) => {
            gate.probed(Some(source(backend, &error)));
            return conclude(class(backend, &error), places);
        }
    };
    take_turns(&mut places);
    while let Some(place) = places.pop() {
        let pong = timed(gate, Awaited::Answer, backend.ping(&mut connection)).await;
        gate.probed(pong.as_ref().err().map(|error| source(backend, error)));
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
    // Nobody waits for this: a connection that cannot be closed politely is dropped.
    let _ = timeout(limit, backend.close(connection)).await;
    true
}

/// Settles the places for which there is no asking any more. False if only users' calls can tell.
fn conclude(class: Class, places: Vec<Permit<'_>>) -> bool {
    let (rest, told) = match class {
        Class::Fault | Class::FaultAndClose | Class::Starved => (Class::Fault, true),
        Class::Slow => (Class::Slow, true),
        Class::Answered | Class::Neutral => (Class::Neutral, false),
    };
    for place in places {
        place.settle_class(rest);
    }
    told
}

async fn timed<T, E>(
    gate: &Gate,
    awaited: Awaited,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, GateError<E>> {
    let limit = gate.probe_limit();
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
