//! The creation of connections, by which the pool knows them again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The largest number of connections that are remembered. The oldest one is forgotten first.
const MOST: usize = 1024;

/// The time at which a pool created a connection: not before `from`, and not after `to`.
#[derive(Clone, Copy, Debug)]
pub struct Created {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

impl Created {
    /// Created between these times.
    #[cfg(feature = "sqlx")]
    pub(crate) fn between(from: Instant, to: Instant) -> Self {
        Self { from, to }
    }

    /// Created at exactly this time.
    #[cfg(feature = "deadpool")]
    pub(crate) fn at(time: Instant) -> Self {
        Self {
            from: time,
            to: time,
        }
    }

    /// The time from `begin` to the creation, if it was not before.
    pub(super) fn after(self, begin: Instant) -> Option<Duration> {
        self.from.checked_duration_since(begin)
    }

    fn may_be(&self, other: &Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// Facts about connections, by their creation.
#[derive(Debug)]
pub(super) struct ByCreation<T>(pub(super) VecDeque<(Created, T)>);

impl<T> ByCreation<T> {
    pub(super) fn add(&mut self, created: Created, known: T) {
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back((created, known));
    }

    /// The facts about all connections that may be this one.
    pub(super) fn of(&self, created: Created) -> impl Iterator<Item = &T> {
        let may_be = move |(other, _): &&(Created, T)| other.may_be(&created);
        self.0.iter().filter(may_be).map(|(_, known)| known)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, known)| known)
    }
}

impl<T> Default for ByCreation<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}
