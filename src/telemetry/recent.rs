//! The recent events of a pool, for people who look at it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::event::Event;
use crate::breaker::event as breaker;
use crate::breaker::state::{State, Transition};
use crate::breaker::verdict::Verdict;
use crate::outcome::served::{Source, StaleReason};

/// The number of seconds that are remembered.
pub(crate) const SECONDS: usize = 120;

/// The number of changes that are remembered.
const CHANGES: usize = 64;

/// The number of policies of which the last stale answer is remembered.
const POLICIES: usize = 16;

/// The bounds of latencies: the first is 100 µs, and each is 2^(1/4) times the one before. The last is
/// 22 s.
const BOUNDS: usize = 72;

/// The recent events of one pool or gate, in about 40 kB.
pub(crate) struct Recent {
    origin: Instant,
    /// How often the state, the mode or the holding changed.
    version: AtomicU64,
    history: Mutex<History>,
}

/// The memory of [`Recent`].
#[derive(Clone)]
pub(crate) struct History {
    ring: Box<[Second]>,
    /// The newest is last.
    pub(crate) changes: Vec<Change>,
    /// The state, without an operator who holds the breaker open.
    state: State,
    is_forced_open: bool,
    /// The reasons of refusals, and their numbers.
    pub(crate) refusals: Vec<(&'static str, u64)>,
    pub(crate) fallbacks: Vec<Fallback>,
    /// The second of the last event or question.
    now: u64,
}

/// A change of the state that callers see.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    pub(crate) at: SystemTime,
    pub(crate) from: State,
    pub(crate) to: State,
    /// `None` if an operator held the breaker open, or ended that.
    pub(crate) transition: Option<Transition>,
}

/// The last fallback that was served for a policy.
#[derive(Clone, Copy)]
pub(crate) struct Fallback {
    pub(crate) policy: Option<&'static str>,
    pub(crate) source: Source,
    pub(crate) at: SystemTime,
}

/// The calls of one second.
#[derive(Clone, Copy)]
pub(crate) struct Second {
    at: u64,
    /// Calls that the database answered.
    pub(crate) answered: u32,
    pub(crate) failed: u32,
    /// Calls that say nothing about the database: ignored errors, and those that their callers dropped.
    pub(crate) ignored: u32,
    pub(crate) refused: u32,
    /// Reads that a fallback answered, because the database did not.
    pub(crate) fallbacks: u32,
    latencies: [u32; BOUNDS],
}

impl Recent {
    pub(crate) fn new(state: State) -> Self {
        Self {
            origin: Instant::now(),
            version: AtomicU64::new(0),
            history: Mutex::new(History {
                ring: vec![Second::at(0); SECONDS].into(),
                changes: Vec::new(),
                // What is underneath a breaker that is held open is not known yet.
                state: match state {
                    State::ForcedOpen => State::Closed,
                    state => state,
                },
                is_forced_open: state == State::ForcedOpen,
                refusals: Vec::new(),
                fallbacks: Vec::new(),
                now: 0,
            }),
        }
    }

    /// A number that grows with each change of the state.
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn history(&self) -> History {
        self.with(|history| history.clone())
    }

    /// The lock is held for some nanoseconds, and at no await.
    fn with<T>(&self, f: impl FnOnce(&mut History) -> T) -> T {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        // Within the lock, so that it never decreases.
        history.now = self.origin.elapsed().as_secs();
        f(&mut history)
    }

    pub(super) fn event(&self, event: &Event<'_>) {
        match *event {
            Event::Breaker(breaker::Event::Transition(transition)) => {
                self.with(|history| history.transition(**transition));
                self.version.fetch_add(1, Ordering::Release);
            }
            Event::Breaker(breaker::Event::Mode { forced_open, .. }) => {
                self.with(|history| history.forced_open(*forced_open));
                self.version.fetch_add(1, Ordering::Release);
            }
            Event::Rejected(refused) => self.with(|history| {
                history.second().refused += 1;
                history.refused(refused.reason());
            }),
            // A stale answer that is being renewed is no sign of trouble.
            Event::Fallback { policy, source } if !is_renewed(source) => self.with(|history| {
                history.second().fallbacks += 1;
                history.fallback(policy, source);
            }),
            Event::Ended { took, verdict, .. } => {
                self.with(|history| history.second().ended(took, verdict));
            }
            Event::AcquireFailed { verdict, .. } => {
                self.with(|history| *history.second().count(Some(verdict)) += 1);
            }
            _ => {}
        }
    }
}

impl History {
    /// The current second.
    fn second(&mut self) -> &mut Second {
        let now = self.now;
        let second = &mut self.ring[now as usize % SECONDS];
        if second.at != now {
            *second = Second::at(now);
        }
        second
    }

    /// The last seconds, the current one last. Those before the first event are empty.
    pub(crate) fn seconds(&self) -> impl DoubleEndedIterator<Item = Second> {
        let steps = SECONDS as u64;
        (0..steps).map(move |step| {
            let Some(at) = (self.now + step + 1).checked_sub(steps) else {
                return Second::at(0);
            };
            let second = &self.ring[at as usize % SECONDS];
            match second.at == at {
                true => *second,
                false => Second::at(at),
            }
        })
    }

    fn transition(&mut self, transition: Transition) {
        self.state = transition.to;
        if !self.is_forced_open {
            self.change(transition.from, transition.to, Some(transition));
        }
    }

    fn forced_open(&mut self, is_forced_open: bool) {
        let was_forced_open = std::mem::replace(&mut self.is_forced_open, is_forced_open);
        match (was_forced_open, is_forced_open) {
            (false, true) => self.change(self.state, State::ForcedOpen, None),
            (true, false) => self.change(State::ForcedOpen, self.state, None),
            _ => {}
        }
    }

    fn change(&mut self, from: State, to: State, transition: Option<Transition>) {
        if self.changes.len() == CHANGES {
            self.changes.remove(0);
        }
        self.changes.push(Change {
            at: SystemTime::now(),
            from,
            to,
            transition,
        });
    }

    fn refused(&mut self, reason: &'static str) {
        match self.refusals.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, calls)) => *calls += 1,
            None => self.refusals.push((reason, 1)),
        }
    }

    fn fallback(&mut self, policy: Option<&'static str>, source: Source) {
        self.fallbacks.retain(|known| known.policy != policy);
        if self.fallbacks.len() == POLICIES {
            self.fallbacks.remove(0);
        }
        self.fallbacks.push(Fallback {
            policy,
            source,
            at: SystemTime::now(),
        });
    }
}

impl Second {
    fn at(at: u64) -> Self {
        Self {
            at,
            answered: 0,
            failed: 0,
            ignored: 0,
            refused: 0,
            fallbacks: 0,
            latencies: [0; BOUNDS],
        }
    }

    fn count(&mut self, verdict: Option<Verdict>) -> &mut u32 {
        match verdict {
            Some(Verdict::Success) => &mut self.answered,
            Some(Verdict::Failure) => &mut self.failed,
            Some(Verdict::Ignored) | None => &mut self.ignored,
        }
    }

    fn ended(&mut self, took: Duration, verdict: Option<Verdict>) {
        *self.count(verdict) += 1;
        self.latencies[bound(took)] += 1;
    }

    /// Adds the latencies of another second.
    pub(crate) fn add_latencies(&mut self, other: &Self) {
        for (mine, others) in self.latencies.iter_mut().zip(other.latencies) {
            *mine += others;
        }
    }

    /// The latency that this fraction of the calls did not exceed, at most 19 % too large. `None`
    /// without calls.
    pub(crate) fn latency(&self, fraction: f64) -> Option<f64> {
        let calls: u32 = self.latencies.iter().sum();
        let wanted = (f64::from(calls) * fraction).ceil();
        let mut seen = 0;
        let which = self.latencies.iter().position(|calls| {
            seen += calls;
            seen > 0 && f64::from(seen) >= wanted
        });
        which.map(|which| 1e-4 * (which as f64 / 4.0).exp2())
    }
}

fn is_renewed(source: Source) -> bool {
    matches!(
        source,
        Source::Stale {
            reason: StaleReason::Revalidating,
            ..
        }
    )
}

/// The first bound that is no less than this duration, or the last one.
fn bound(took: Duration) -> usize {
    let steps = (took.as_secs_f64() / 1e-4).log2() * 4.0;
    // A conversion to an integer saturates: a shorter duration is at the first bound.
    (steps.ceil() as usize).min(BOUNDS - 1)
}
