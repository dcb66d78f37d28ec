//! Probes the backend in the background while the breaker is not closed.
//!
//! A service that its readiness check took out of rotation receives no calls that could be probes,
//! and a busy service should not use its callers' calls to try a backend that is down. So when the
//! open duration is over, one task opens a new connection and pings. It repeats this at
//! `probe_interval`, until the backend answers. Then the breaker is half-open, and the first calls
//! decide. A failed ping does not extend the open duration: how often the backend is asked has nothing
//! to do with how long callers are refused after a failed attempt.
//!
//! A backend that is silent, instead of refusing, may answer the earlier pings when it recovers. So
//! these are kept, and the interval doubles, up to `acquire_timeout`. If the network drops the packets to
//! the server instead, earlier pings are lost. So it is tried at `probe_interval`, by TCP alone, whether
//! the server can be reached again: then another ping is due at once.
//!
//! If no call is in progress while the breaker is half-open, the task fills the probe slots with pings.
//! No error ends the task before the breaker is closed.
//!
//! A new connection may be impossible although the backend is well: the account has no slot left, a
//! pooler or a proxy rejects new connections, or the pool's own connection has locked the database
//! file. So if no connection can be opened, or a ping on the new one brings neither an answer nor a
//! clear failure, the task borrows an idle connection of the pool.

use std::collections::VecDeque;
use std::error::Error;
use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::breaker::handle::Breaker;
use crate::breaker::permit::Permit;
use crate::breaker::state::State;
use crate::breaker::verdict::{Class, Verdict};
use crate::gate::Gate;
use crate::gate::unless::unless;
use crate::outcome::error::{Awaited, GateError};
use crate::pool::adapter::Adapter;
use crate::pool::target::{Probed, Target};

#[cfg(test)]
mod tests;

/// The number of unanswered pings that are kept.
const KEPT_PINGS: usize = 2;

/// Runs until the breaker is closed.
///
/// Cancellation: may be dropped at any await. Probes in progress then free their slots.
pub(crate) async fn recover<A: Adapter>(gate: Arc<Gate>, target: Target<A>) {
    let target = Arc::new(target);
    while let Some(probing) = gate.reserve_probing() {
        probe_until_closed(&gate, &target).await;
        drop(probing);
        // The breaker may have opened again just before the reservation ended.
        if !matches!(gate.breaker().state(), State::Open | State::ForcedOpen) {
            return;
        }
    }
}

async fn probe_until_closed<A: Adapter>(gate: &Arc<Gate>, target: &Arc<Target<A>>) {
    let breaker = gate.breaker();
    loop {
        match breaker.state() {
            State::Closed => return,
            State::Open | State::ForcedOpen => {
                // Created first, so that it misses no change of what `until_probe` tells.
                let opened = gate.opened.notified();
                if let Some(delay) = breaker.until_probe() {
                    // An operator may end this open duration, or start another one.
                    let _ = timeout(delay, opened).await;
                } else {
                    ask_until_answered(gate, target).await;
                }
            }
            State::HalfOpen => {
                sleep(breaker.probe_interval()).await;
                if breaker.is_idle() {
                    fill_batch(gate, target).await;
                }
            }
        }
    }
}

/// Asks the backend until it answers, and makes the breaker half-open. Returns early if the breaker
/// is not open any more, or not by its own rules.
async fn ask_until_answered<A: Adapter>(gate: &Arc<Gate>, target: &Arc<Target<A>>) {
    let (breaker, limits) = (gate.breaker(), gate.limits());
    let mut asks = JoinSet::new();
    let mut kept = VecDeque::<AbortHandle>::new();
    let reached = || reached_again(breaker, &*target.adapter);
    let mut reached_again = pin!(reached());
    let mut interval = breaker.probe_interval();
    while breaker.is_recovering() {
        if kept.len() > KEPT_PINGS
            && let Some(oldest) = kept.pop_front()
        {
            oldest.abort();
        }
        kept.push_back(asks.spawn(ask(Arc::clone(gate), Arc::clone(target))));
        let next = Instant::now() + breaker.postpone_probes(interval);
        let answer = timeout_at(next, first_answer(&mut asks));
        match unless(reached_again.as_mut(), answer).await {
            Some(Ok(())) => {
                gate.well_again();
                return breaker.half_open();
            }
            Some(Err(_)) if asks.is_empty() => interval = breaker.probe_interval(),
            Some(Err(_)) => interval = interval.saturating_mul(2).min(limits.acquire_timeout),
            None => {
                reached_again.set(reached());
                interval = breaker.probe_interval();
            }
        }
    }
}

/// Waits until one of these pings is answered.
async fn first_answer(asks: &mut JoinSet<bool>) {
    while let Some(answer) = asks.join_next().await {
        if answer.unwrap_or(false) {
            return;
        }
    }
    pending().await
}

/// Waits until the network reaches the server again, if it does not now. What was sent before is lost,
/// and the kernel repeats it only after some seconds.
async fn reached_again<A: Adapter>(breaker: &Breaker, adapter: &A) {
    let mut was_lost = false;
    loop {
        match timeout(breaker.probe_interval(), adapter.knock()).await {
            Err(_) => was_lost = true,
            Ok(()) if was_lost => return,
            Ok(()) => pending().await,
        }
    }
}

/// Asks the backend. Returns whether it answers in time.
pub(crate) async fn ask<A: Adapter>(gate: Arc<Gate>, target: Arc<Target<A>>) -> bool {
    let connection = reach(&gate, &target).await;
    let is_well = connection.is_some();
    if let Some(connection) = connection {
        close(&gate, connection).await;
    }
    is_well
}

/// A connection to a backend that answers, and accepts writes if that is what the breaker opened for.
async fn reach<A: Adapter>(gate: &Gate, target: &Target<A>) -> Option<Probed<A>> {
    let mut connection = answering(gate, target).await?;
    let is_read_only = target.is_still_read_only(gate, &mut connection).await;
    (!is_read_only).then_some(connection)
}

/// Pings the backend on a new connection, or else on an idle one of the pool. Returns the connection
/// if the answer came in time.
///
/// A silent ping is awaited until the caller drops this. If it is answered at last, the backend may
/// have recovered just now, so another ping decides.
async fn answering<A: Adapter>(gate: &Gate, target: &Target<A>) -> Option<Probed<A>> {
    let mut connection = connect(gate, target).await?;
    let answered_late = {
        let mut pong = pin!(target.ping(&mut connection));
        match in_time(gate, target, pong.as_mut()).await {
            Ok(()) => false,
            Err(error) if is_clear(&*target.adapter, &error) => return None,
            Err(error) => {
                if let Some(mut borrowed) = borrow(gate, target).await {
                    // The new connection is dropped: an orderly close would wait for its answer.
                    in_time(gate, target, target.ping(&mut borrowed))
                        .await
                        .ok()?;
                    return Some(borrowed);
                }
                if !matches!(error, GateError::Deadline(_)) {
                    return None;
                }
                pong.await.ok()?;
                true
            }
        }
    };
    if answered_late {
        in_time(gate, target, target.ping(&mut connection))
            .await
            .ok()?;
    }
    Some(connection)
}

/// Pings once for each free probe slot of the batch, and settles these probes.
async fn fill_batch<A: Adapter>(gate: &Gate, target: &Target<A>) {
    let (breaker, adapter) = (gate.breaker(), &*target.adapter);
    let Some(mut connection) = reach(gate, target).await else {
        if let Some(slot) = take_slot(breaker) {
            slot.settle(Verdict::Failure);
        }
        return;
    };
    while let Some(slot) = take_slot(breaker) {
        let asked = Instant::now();
        match in_time(gate, target, target.ping(&mut connection)).await {
            Ok(()) => slot.settle_ping(asked.elapsed()),
            Err(error) => return slot.settle_class(class(adapter, &error)),
        }
    }
    close(gate, connection).await;
}

/// Takes a free probe slot of the batch.
fn take_slot(breaker: &Breaker) -> Option<Permit<'_>> {
    // Checked first, because a request in vain would count as a rejected call.
    if breaker.state() != State::HalfOpen || breaker.until_probe().is_some() {
        return None;
    }
    let permit = breaker.try_acquire().ok()?;
    if permit.is_probe() {
        return Some(permit);
    }
    permit.withdraw();
    None
}

/// Opens a connection outside the pool, or else borrows an idle one of the pool.
async fn connect<A: Adapter>(gate: &Gate, target: &Target<A>) -> Option<Probed<A>> {
    let limit = gate.limits().acquire_timeout;
    let began = Instant::now();
    match timed(gate, limit, Awaited::Connection, target.connect()).await {
        Ok(connection) => {
            gate.breaker().connecting_took(began.elapsed());
            Some(connection)
        }
        Err(error) => {
            gate.probed(Some(source(&*target.adapter, &error)));
            borrow(gate, target).await
        }
    }
}

/// Borrows an idle connection of the pool, if there is one.
async fn borrow<A: Adapter>(gate: &Gate, target: &Target<A>) -> Option<Probed<A>> {
    let limit = gate.breaker().probe_timeout();
    timeout(limit, target.borrow()).await.ok()?
}

/// Waits for the answer to a ping until `probe_timeout`, and reports it.
async fn in_time<A: Adapter>(
    gate: &Gate,
    target: &Target<A>,
    ping: impl Future<Output = Result<(), A::Error>>,
) -> Result<(), GateError<A::Error>> {
    let limit = gate.breaker().probe_timeout();
    let pong = timed(gate, limit, Awaited::Answer, ping).await;
    let adapter = &*target.adapter;
    let pong = match pong {
        Err(error) if class(adapter, &error) == Class::Success => Ok(()),
        pong => pong,
    };
    gate.probed(pong.as_ref().err().map(|error| source(adapter, error)));
    pong
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

/// Closes a connection in an orderly way, or drops it at `probe_timeout`.
async fn close<A: Adapter>(gate: &Gate, connection: Probed<A>) {
    let limit = gate.breaker().probe_timeout();
    let _ = timeout(limit, connection.close()).await;
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
