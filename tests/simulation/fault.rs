//! The faults of a database.

use std::time::Duration;

/// The kind of a statement, for faults that concern only some statements.
pub(crate) type Kind = u8;

/// A fault of the database, of the network before it, or of the process itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The server stands still, and then continues where it was, as under `SIGSTOP`.
    Stall,
    /// The network drops every packet. Afterwards, the next retransmissions arrive.
    Blackhole,
    /// As `Blackhole`, but the existing connections stay silent for ever, as after the failover of an
    /// address or the restart of a NAT gateway.
    Lost,
    /// The server is down: existing connections are reset, and new ones are refused.
    Down,
    /// All connections are reset in one moment. `to` is `from`.
    Kill,
    /// The network drops the packets of new connections. Existing ones work.
    NoConnect,
    /// Every statement and ping takes this many times as long.
    Slow(f64),
    /// Statements of this kind, or all, fail at once. Pings succeed.
    Fails(Option<Kind>),
    /// Statements of this kind, or all, wait for a lock until the end. Pings succeed.
    Locked(Option<Kind>),
    /// The process itself stands still, and with it every task.
    Standstill,
}

/// A fault from one time to another, both since the start of the situation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Episode {
    pub(crate) fault: Fault,
    pub(crate) from: Duration,
    pub(crate) to: Duration,
}

impl Fault {
    pub(crate) fn during(self, from: Duration, to: Duration) -> Episode {
        Episode {
            fault: self,
            from,
            to,
        }
    }

    /// Whether no statement is answered well while it lasts.
    pub(crate) fn is_total(self) -> bool {
        matches!(
            self,
            Self::Stall | Self::Blackhole | Self::Lost | Self::Down | Self::Fails(None)
        )
    }

    /// How much slower the work on statements of `kind`, or on a ping or handshake, is.
    pub(crate) fn slowness(self, kind: Option<Kind>) -> f64 {
        match (self, kind) {
            (Self::Stall, _) | (Self::Locked(None), Some(_)) => f64::INFINITY,
            (Self::Locked(Some(locked)), Some(kind)) if locked == kind => f64::INFINITY,
            (Self::Slow(factor), _) => factor,
            _ => 1.0,
        }
    }

    pub(crate) fn fails(self, kind: Kind) -> bool {
        match self {
            Self::Fails(failing) => failing.is_none_or(|failing| failing == kind),
            _ => false,
        }
    }
}

impl Episode {
    pub(crate) fn is_active(&self, at: Duration) -> bool {
        self.from <= at && at < self.to
    }

    /// When its effects on the connections from before are over.
    pub(crate) fn over(&self) -> Duration {
        match self.fault {
            // The delay between retransmissions doubles.
            Fault::Blackhole => self.to + (self.to - self.from) * 2,
            // The pool finds the silent connections one after the other.
            Fault::Lost => self.to + Duration::from_secs(6),
            _ => self.to,
        }
    }
}
