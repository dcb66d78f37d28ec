//! Whether the server of a pool accepts writes: asked, not guessed.
//!
//! A read-only error has two meanings. The server, the role or the transaction is read-only on
//! purpose: then the error is an answer, and the connection is as good as any. Or the server accepted
//! writes before: then it was demoted, and only a new connection reaches the new primary.
//!
//! The server of the first connection that a pool leases is asked, and another one every ten seconds
//! until one accepts writes. So the pool knows whether any ever did. From then on, the server of a
//! connection is asked when a statement on it has failed with a read-only error, at the end of the
//! lease.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::breaker::clock::nanos;
use crate::breaker::state::State;
use crate::breaker::verdict::Verdict;
use crate::gate::Gate;

/// The time between two questions, as long as no server of the pool accepts writes.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);

const NEVER: u64 = u64::MAX;

/// The role of the servers of a pool. Times are in nanoseconds on the breaker's clock.
#[derive(Debug)]
pub(crate) struct Role {
    /// A server of this pool has accepted writes.
    was_writable: AtomicBool,
    /// The time of the next question.
    ask_at: AtomicU64,
    /// The breaker opened because the server is read-only.
    awaits_writable: AtomicBool,
}

impl Role {
    /// `is_told`: the servers tell it.
    pub(crate) fn new(is_told: bool) -> Self {
        Self {
            was_writable: AtomicBool::new(false),
            ask_at: AtomicU64::new(if is_told { 0 } else { NEVER }),
            awaits_writable: AtomicBool::new(false),
        }
    }

    /// Whether to ask the server of a connection before it is leased, to learn whether the servers of
    /// this pool accept writes.
    #[inline]
    pub(crate) fn is_unknown(&self, gate: &Gate) -> bool {
        let ask_at = self.ask_at.load(Ordering::Acquire);
        if ask_at == NEVER {
            return false;
        }
        let now = gate.now();
        let next = now.saturating_add(nanos(ASK_AGAIN_AFTER));
        // Of several connections that are leased at the same time, one is asked.
        ask_at <= now
            && (self.ask_at)
                .compare_exchange(ask_at, next, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    /// Whether to ask the server of a connection before it returns to the pool, because this many
    /// statements on it have failed with a read-only error.
    #[inline]
    pub(crate) fn is_doubtful(&self, errors: u32) -> bool {
        errors > 0 && self.was_writable.load(Ordering::Acquire)
    }

    /// Records the answer, and the failures that it proves. Returns whether the server was demoted:
    /// the connection must then be closed.
    pub(crate) fn answered(&self, is_read_only: bool, errors: u32, gate: &Gate) -> bool {
        if !is_read_only {
            self.was_writable.store(true, Ordering::Release);
            self.ask_at.store(NEVER, Ordering::Release);
            self.awaits_writable.store(false, Ordering::Release);
            return false;
        }
        if !self.was_writable.load(Ordering::Acquire) {
            return false;
        }
        for _ in 0..errors {
            gate.breaker().observe().settle(Verdict::Failure);
        }
        if errors > 0 && gate.breaker().state() == State::Open {
            self.awaits_writable.store(true, Ordering::Release);
        }
        true
    }

    /// Whether only a server that accepts writes ends the outage.
    pub(crate) fn awaits_writable(&self) -> bool {
        self.awaits_writable.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::clock::ManualClock;
    use crate::breaker::handle::Breaker;

    fn gate(clock: &ManualClock) -> Gate {
        let breaker = Breaker::builder().clock(clock.clone());
        Gate::builder(breaker).build().unwrap()
    }

    #[test]
    fn a_server_is_asked_until_it_accepts_writes() {
        let clock = ManualClock::new();
        let (gate, role) = (gate(&clock), Role::new(true));
        assert!(role.is_unknown(&gate));
        assert!(!role.is_unknown(&gate), "it is being asked");
        assert!(!role.answered(true, 0, &gate));
        assert!(!role.is_doubtful(3), "it is read-only on purpose");
        clock.advance(ASK_AGAIN_AFTER);
        assert!(role.is_unknown(&gate));
        assert!(!role.answered(false, 0, &gate));
        clock.advance(10 * ASK_AGAIN_AFTER);
        assert!(!role.is_unknown(&gate) && !role.is_doubtful(0));
        assert!(role.is_doubtful(1));
        assert!(!Role::new(false).is_unknown(&gate));
    }

    #[test]
    fn a_server_that_does_not_accept_writes_any_more_opens_the_breaker() {
        let (gate, role) = (gate(&ManualClock::new()), Role::new(true));
        assert!(!role.answered(true, 5, &gate), "on purpose");
        assert!(
            !role.answered(false, 5, &gate),
            "only the transactions were"
        );
        assert_eq!(gate.breaker().snapshot().totals.failures, 0);
        assert!(role.answered(true, 4, &gate));
        assert!(!role.awaits_writable());
        assert!(role.answered(true, 1, &gate));
        assert_eq!(gate.breaker().state(), State::Open);
        assert!(role.awaits_writable());
        assert!(!role.answered(false, 0, &gate));
        assert!(!role.awaits_writable());
    }
}
