//! A sink that records events, and lets a test wait for them.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fusepool::breaker::{self, State, Transition};
use fusepool::telemetry::{Event, Sink};

use crate::support::eventually;

/// The events of a pool, and their times.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<(Instant, Happened)>>>);

#[derive(Clone, Copy, Debug)]
pub enum Happened {
    Transition(Transition),
    Closed(&'static str),
    FailedPing,
}

impl Events {
    fn find<T>(
        &self,
        since: Instant,
        wanted: impl Fn(&Happened) -> Option<T>,
    ) -> Vec<(Instant, T)> {
        let happened = self.0.lock().unwrap();
        let recent = happened.iter().filter(|(at, _)| *at >= since);
        recent
            .filter_map(|(at, event)| Some((*at, wanted(event)?)))
            .collect()
    }

    fn transitions(&self, since: Instant, from: State, to: State) -> Vec<(Instant, Transition)> {
        self.find(since, |event| match event {
            Happened::Transition(found) if found.from == from && found.to == to => Some(*found),
            _ => None,
        })
    }

    /// Waits until the breaker reaches a state. Returns when it did.
    pub async fn reached(&self, since: Instant, state: State) -> Instant {
        let found = || {
            self.find(since, |event| match event {
                Happened::Transition(found) if found.to == state => Some(()),
                _ => None,
            })
        };
        eventually(state.as_str(), async || !found().is_empty()).await;
        found()[0].0
    }

    /// Waits until the breaker opens. Returns the time from `since`, and the reason.
    pub async fn opened(&self, since: Instant) -> (Duration, Transition) {
        self.first(since, State::Closed, State::Open).await
    }

    /// Waits until the breaker closes.
    pub async fn closed(&self, since: Instant) -> (Duration, Transition) {
        self.first(since, State::HalfOpen, State::Closed).await
    }

    async fn first(&self, since: Instant, from: State, to: State) -> (Duration, Transition) {
        eventually(
            &format!("{} after {}", to.as_str(), from.as_str()),
            async || !self.transitions(since, from, to).is_empty(),
        )
        .await;
        let (at, transition) = self.transitions(since, from, to)[0];
        (at - since, transition)
    }

    /// The number of failed background probes.
    pub fn failed_pings(&self, since: Instant) -> usize {
        let failed = |event: &Happened| matches!(event, Happened::FailedPing).then_some(());
        self.find(since, failed).len()
    }

    /// The number of batches of callers' statements that failed.
    pub fn failed_batches(&self, since: Instant) -> usize {
        self.transitions(since, State::HalfOpen, State::Open).len()
    }

    /// The reasons why connections were closed instead of returned to the pool.
    pub fn closed_connections(&self, since: Instant) -> Vec<&'static str> {
        let closed = self.find(since, |event| match event {
            Happened::Closed(reason) => Some(*reason),
            _ => None,
        });
        closed.into_iter().map(|(_, reason)| reason).collect()
    }

    pub fn all(&self) -> Vec<(Instant, Happened)> {
        self.0.lock().unwrap().clone()
    }
}

impl Sink for Events {
    fn event(&self, _pool: &str, event: &Event<'_>) {
        let happened = match event {
            Event::Breaker(breaker::Event::Transition(transition)) => {
                Happened::Transition(**transition)
            }
            Event::ClosedConnection { reason } => Happened::Closed(reason),
            Event::Probe { error: Some(_) } => Happened::FailedPing,
            _ => return,
        };
        self.0.lock().unwrap().push((Instant::now(), happened));
    }
}
