//! Probes the backend in the background while the breaker is open.
//!
//! A service that its readiness check took out of rotation receives no calls that could be probes,
//! and a busy service should not use its callers' calls to try the backend. So while the breaker is
//! open, one task waits for the open duration, opens a new connection, takes all probe slots of the
//! first batch at once, and pings once for each slot. The later batches are left to ordinary calls.
//! If there are none, the task fills the free probe slots after another open duration. No error
//! ends the task before the breaker is closed.
//!
//! A new connection may be impossible although the backend is well: the account has no slot left, a
//! pooler or a proxy rejects new connections, or the pool's own connection has locked the database
//! file. So if no connection can be opened, or a ping on the new one brings neither an answer nor a
//! clear failure, the task borrows an idle connection of the pool.

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
/// Cancellation: may be dropped at any await. Probes in progress then free their slots.
pub(crate) async fn recover<A: Adapter>(gate: Arc<Gate>, target: Target<A>) {
    while let Some(probing) = gate.reserve_probing() {
        probe_until_closed(&gate, &target).await;
        drop(probing);
        // The breaker may have opened again just before the reservation ended.
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

/// Takes all free probe slots of the batch.
fn take_probe_slots(breaker: &Breaker) -> Vec<Permit<'_>> {
    let mut slots = Vec::new();
    // Checked first, because a request in vain would count as a rejected call.
    while breaker.until_probe().is_none()
        && let Ok(permit) = breaker.try_acquire()
    {
        if !permit.is_probe() {
            permit.withdraw();
            break;
        }
        slots.push(permit);
    }
    slots
}

/// Restarts the probes, which run one after the other. The last one in the list is next and starts
/// now. The others start after the longest time that it may take, and are restarted again then.
fn restart_in_turn(slots: &mut [Permit<'_>]) {
    if let Some((next, others)) = slots.split_last_mut() {
        next.restart();
        others.iter_mut().for_each(Permit::restart_after_another);
    }
}

/// Pings once for each free probe slot, and settles the probes.
async fn probe<A: Adapter>(gate: &Gate, target: &Target<A>) {
    let (breaker, adapter) = (gate.breaker(), &*target.adapter);
    let was_open = breaker.state() == State::Open;
    let to_connect = gate.limits().acquire_timeout;
    let connected = timed(gate, to_connect, Awaited::Connection, target.connect()).await;
    // The slots are taken after connecting, and each probe starts with its own ping. Otherwise the
    // time to connect, or the earlier pings, could make every probe slow, and the breaker would
    // never close.
    let mut slots = take_probe_slots(breaker);
    if slots.is_empty() {
        if let Ok(connection) = connected {
            close(gate, connection).await;
        }
        // Other calls have all slots, or the mode has changed.
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
                None => return settle_rest(class, slots),
            }
        }
    };
    restart_in_turn(&mut slots);
    while let Some(mut slot) = slots.pop() {
        let mut pong = ping(gate, adapter, &mut connection).await;
        let unclear = (pong.as_ref()).is_err_and(|error| !is_clear(adapter, error));
        if let Some(borrowed) = borrow(gate, target, unclear && !is_borrowed).await {
            is_borrowed = true;
            // The connection with the unanswered ping is dropped: an orderly close would wait for
            // the answer.
            connection = borrowed;
            slot.restart();
            restart_in_turn(&mut slots);
            pong = ping(gate, adapter, &mut connection).await;
        }
        let class = match pong {
            Ok(()) if target.is_still_read_only(gate, &mut connection).await => Class::Failure,
            Ok(()) => Class::Success,
            Err(error) => class(adapter, &error),
        };
        // Recorded before the breaker admits the first call.
        if was_open && slots.is_empty() && matches!(class, Class::Success | Class::Slow) {
            gate.well_again();
        }
        // The duration of this ping must not count for the remaining probes.
        restart_in_turn(&mut slots);
        slot.settle_class(class);
        // A late answer is an answer, too: the whole batch decides whether it is acceptable.
        if !matches!(class, Class::Success | Class::Slow) {
            return settle_rest(class, slots);
        }
    }
    close(gate, connection).await;
}

/// Whether this error of a ping on a new connection is a clear failure of the backend. A connection
/// of the pool would then give no further information.
fn is_clear<A: Adapter>(adapter: &A, error: &GateError<A::Error>) -> bool {
    matches!(error, GateError::Failed(_))
        && matches!(
            class(adapter, error),
            Class::Failure | Class::FailureAndClose
        )
}

/// Borrows an idle connection of the pool, if it is `wanted` and there is one.
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

/// Closes a connection in an orderly way, or drops it at `probe_timeout`.
async fn close<A: Adapter>(gate: &Gate, connection: Probed<A>) {
    let limit = gate.breaker().probe_timeout();
    let _ = timeout(limit, connection.close()).await;
}

/// Settles the remaining probes of a batch after one failed with this class. A class that says
/// nothing about the health of the backend frees their slots for ordinary calls and for the next
/// attempt.
fn settle_rest(class: Class, slots: Vec<Permit<'_>>) {
    let rest = match class {
        Class::Failure | Class::FailureAndClose | Class::Starved => Class::Failure,
        Class::Slow => Class::Slow,
        Class::Success | Class::Ignored | Class::Denied | Class::ReadOnly => Class::Ignored,
    };
    for slot in slots {
        slot.settle_class(rest);
    }
}

/// Runs a step of the probe until its deadline.
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
        GateError::Refused(refused) => refused,
        GateError::Deadline(deadline) => deadline,
    }
}
