//! The faults of one situation, and what they do to the times of work, packets and connections.

use std::time::Duration;

use crate::fault::{Episode, Fault, Kind};

/// TCP's first retransmission of data.
const FIRST_RETRANSMISSION: Duration = Duration::from_millis(200);
/// TCP's first retransmission of the packet that opens a connection.
const FIRST_SYN_RETRANSMISSION: Duration = Duration::from_secs(1);

/// Known from the start, so that the end of every piece of work can be computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Script(pub(crate) Vec<Episode>);

impl Script {
    fn active(&self, at: Duration) -> impl Iterator<Item = &Episode> {
        self.0.iter().filter(move |episode| episode.is_active(at))
    }

    /// When `work` that starts at `at` ends; `None` if it never does. `kind` is that of a statement.
    pub(crate) fn end(&self, kind: Option<Kind>, at: Duration, work: Duration) -> Option<Duration> {
        let (mut at, mut left) = (at, work.as_secs_f64());
        loop {
            let slowness: f64 = (self.active(at))
                .map(|episode| episode.fault.slowness(kind))
                .product();
            let edges = self.0.iter().flat_map(|episode| [episode.from, episode.to]);
            let next = edges.filter(|edge| *edge > at).min();
            let takes = left * slowness;
            match next {
                None if takes.is_infinite() => return None,
                Some(next) if takes > (next - at).as_secs_f64() => {
                    left -= (next - at).as_secs_f64() / slowness;
                    at = next;
                }
                _ => return Some(at + Duration::from_secs_f64(takes)),
            }
        }
    }

    /// When data that is sent at `at` arrives.
    pub(crate) fn arrival(&self, at: Duration) -> Duration {
        let drops = |fault| matches!(fault, Fault::Blackhole | Fault::Lost);
        self.retransmitted(at, FIRST_RETRANSMISSION, drops)
    }

    /// When the packet arrives that opens a connection.
    pub(crate) fn syn_arrival(&self, at: Duration) -> Duration {
        let drops = |fault| matches!(fault, Fault::Blackhole | Fault::Lost | Fault::NoConnect);
        self.retransmitted(at, FIRST_SYN_RETRANSMISSION, drops)
    }

    /// The delay between retransmissions doubles.
    fn retransmitted(
        &self,
        at: Duration,
        first: Duration,
        drops: impl Fn(Fault) -> bool,
    ) -> Duration {
        let (mut sent, mut delay) = (at, first);
        while (self.active(sent)).any(|episode| drops(episode.fault)) {
            sent += delay;
            delay *= 2;
        }
        sent
    }

    /// When a connection that was opened at `opened` is reset.
    pub(crate) fn reset_at(&self, opened: Duration) -> Option<Duration> {
        let resets = (self.0.iter())
            .filter(|episode| matches!(episode.fault, Fault::Down | Fault::Kill))
            .map(|episode| episode.from);
        resets.filter(|from| *from > opened).min()
    }

    /// From when a connection that was opened at `opened` is silent for ever.
    pub(crate) fn silent_from(&self, opened: Duration) -> Option<Duration> {
        let lost = (self.0.iter()).filter(|episode| episode.fault == Fault::Lost);
        (lost.filter(|episode| opened < episode.to))
            .map(|episode| episode.from)
            .min()
    }

    /// From when on new connections are refused, if that begins between `at` and `until`.
    pub(crate) fn refused_at(&self, at: Duration, until: Option<Duration>) -> Option<Duration> {
        let down = (self.0.iter()).filter(|episode| episode.fault == Fault::Down);
        (down.filter(|episode| at < episode.to))
            .map(|episode| episode.from.max(at))
            .filter(|from| until.is_none_or(|until| *from <= until))
            .min()
    }

    pub(crate) fn fails(&self, kind: Kind, at: Duration) -> bool {
        self.active(at).any(|episode| episode.fault.fails(kind))
    }

    /// Whether no fault is active at any time from `from` to `to`.
    pub(crate) fn is_well(&self, from: Duration, to: Duration) -> bool {
        (self.0.iter()).all(|episode| to < episode.from || episode.over() < from)
    }

    /// When the effects of all faults are over.
    pub(crate) fn over(&self) -> Duration {
        (self.0.iter()).map(Episode::over).max().unwrap_or_default()
    }
}
