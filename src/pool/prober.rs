//! Finds out in the background whether an unwell backend is well again.
//!
//! A quiet service, taken out of rotation by its readiness check, gets no calls that could probe;
//! and a busy one should not try out the backend on its users. So while the breaker is open, one
//! task waits out the delay, opens a fresh connection, takes all places of the first batch at once,
//! and pings for each. The batches that follow are left to users' calls; where none come, the task fills
//! the free places after another delay. No error ends it before the breaker is closed.
//!
//! A connection beside the pool's may not be had: an account has no slot left, a pooler or a proxy in
//! between turns newcomers away, or a database file is locked by the pool's own connection. So if none
//! can be opened, or a fresh one brings neither an answer nor a clear failure, an idle connection of
//! the pool's is borrowed.

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
use crate::pool::adapter::Adapter;
use crate::pool::target::{Probed, Target};

#[cfg(test)]
mod tests;

/// Runs until the breaker is closed.
///
/// Cancellation: may be dropped at any await; probes under way then give their places back.
pub(crate) async fn recover<A: Adapter>(gate: Arc<Gate>, target: Target<A>) {
    while let Some(probing) = gate.reserve_probing() {
        probe_until_closed(&gate, &target).await;
        drop(probing);
        // It may have opened again just before the reservation was given back.
        if gate.breaker().state() != State::Open {
            return;
        }
    }
}

async fn probe_until_closed<A: Adapter>(gate: &Gate, target: &Target<A>) {
    let breaker = gate.breaker();
    loop {
        match breaker.state() {
            State::Closed => return,
            State::Open => {
                if let Some(delay) = breaker.until_probe() {
                    sleep(delay).await;
                } else {
                    probe(gate, target).await;
                }
            }
            State::HalfOpen => {
                sleep(breaker.open_duration()).await;
                if breaker.state() == State::HalfOpen && breaker.until_probe().is_none() {
                    probe(gate, target).await;
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
async fn probe<A: Adapter>(gate: &Gate, target: &Target<A>) {
    let (breaker, adapter) = (gate.breaker(), &*target.adapter);
    let was_open = breaker.state() == State::Open;
    let to_connect = gate.limits().acquire_timeout;
    let connected = timed(gate, to_connect, Awaited::Connection, target.connect()).await;
    // Only now, and each starts with its ping: neither the time to connect nor the pings before
    // make a probe slow, or a backend that is slow to connect to could never be let back in.
    let mut places = take_places(breaker);
    if places.is_empty() {
        if let Ok(connection) = connected {
            close(gate, connection).await;
        }
        // Others have them all, or the mode has changed.
        sleep(breaker.open_duration()).await;
        return;
    }
    let mut is_borrowed = connected.is_err();
    let mut connection = match connected {
        Ok(connection) => connection,
        Err(error) => {
            gate.probed(Some(source(adapter, &error)));
            let class = class(adapter, &error);
            match borrow(gate, target, true).await {
                Some(connection) => connection,
                None => return conclude(class, places),
            }
        }
    };
    take_turns(&mut places);
    while let Some(mut place) = places.pop() {
        let mut pong = ping(gate, adapter, &mut connection).await;
        let unclear = (pong.as_ref()).is_err_and(|error| !is_clear(adapter, error));
        if let Some(borrowed) = borrow(gate, target, unclear && !is_borrowed).await {
            is_borrowed = true;
            // The one that owes an answer is dropped: closing it politely would wait for that.
            connection = borrowed;
            place.restart();
            take_turns(&mut places);
            pong = ping(gate, adapter, &mut connection).await;
        }
        let class = pong.map_or_else(|error| class(adapter, &error), |()| Class::Success);
        // Before the first call is let through.
        if was_open && places.is_empty() && matches!(class, Class::Success | Class::Slow) {
            gate.well_again();
        }
        // What this one took is not for the others to answer for.
        take_turns(&mut places);
        place.settle_class(class);
        // Late is an answer, too: whether it is good enough is for all places to say.
        if !matches!(class, Class::Success | Class::Slow) {
            return conclude(class, places);
        }
    }
    close(gate, connection).await;
}

/// The backend itself is to blame that a fresh connection brought no answer: one of the pool's would
/// tell no more.
fn is_clear<A: Adapter>(adapter: &A, error: &GateError<A::Error>) -> bool {
    matches!(error, GateError::Failed(_))
        && matches!(
            class(adapter, error),
            Class::Failure | Class::FailureAndClose
        )
}

/// An idle connection of the pool's, if it is wanted.
async fn borrow<A: Adapter>(gate: &Gate, target: &Target<A>, wanted: bool) -> Option<Probed<A>> {
    if !wanted {
        return None;
    }
    let limit = gate.breaker().probe_timeout();
    timeout(limit, target.borrow()).await.ok()?
}

async fn ping<A: Adapter>(
    gate: &Gate,
    adapter: &A,
    connection: &mut Probed<A>,
) -> Result<(), GateError<A::Error>> {
    let limit = gate.breaker().probe_timeout();
    let pong = timed(gate, limit, Awaited::Answer, connection.ping()).await;
    gate.probed(pong.as_ref().err().map(|error| source(adapter, error)));
    pong
}

/// Nobody waits for this: a connection that cannot be closed politely is dropped.
async fn close<A: Adapter>(gate: &Gate, connection: Probed<A>) {
    let limit = gate.breaker().probe_timeout();
    let _ = timeout(limit, connection.close()).await;
}

/// Settles the places for which there is no asking any more. What tells nothing of the backend gives
/// them back, to users' calls and to the next attempt.
fn conclude(class: Class, places: Vec<Permit<'_>>) {
    let rest = match class {
        Class::Failure | Class::FailureAndClose | Class::Starved => Class::Failure,
        Class::Slow => Class::Slow,
        Class::Success | Class::Ignored => Class::Ignored,
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

fn class<A: Adapter>(adapter: &A, error: &GateError<A::Error>) -> Class {
    match error {
        GateError::Failed(error) => adapter.classify(error),
        _ => Class::Failure,
    }
}

fn source<'e, A: Adapter>(
    adapter: &A,
    error: &'e GateError<A::Error>,
) -> &'e (dyn Error + 'static) {
    match error {
        GateError::Failed(error) => adapter.explain(error),
        GateError::Refused(rejected) => rejected,
        GateError::Deadline(deadline) => deadline,
    }
}
