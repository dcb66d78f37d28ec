//! Admit, run, classify, settle, report: the only async path through a breaker.
//!
//! A pool's call takes two steps, and is admitted once. [`Gate::acquire`] asks the breaker, and
//! waits for a connection, as one of at most `max_queue` and under the acquire deadline;
//! [`Gate::run`] makes the call on it, under the call's deadline, and settles.
//!
//! ```text
//!         admit ───────── acquire ─────────────── run
//!           │                │                     │
//!   open:   └▶ Refused      ├▶ Saturated          ├▶ DeadlineExceeded   outcome unknown
//!   nothing sent, retry      ├▶ could not connect  ├▶ Failed(E)          by its class
//!                            └▶ none came free     └▶ value              an answer
//! ```
//!
//! Nobody waits on a breaker that is open: when it opens, those who wait for a connection are
//! refused at once. They have sent nothing; left alone, they would each try to connect in turn, as
//! the one before gives up.
//!
//! What is recorded: that no connection could be had is a failure; that one could is not yet an
//! answer, only a statement's or a ping's end is. While the breaker is closed, the time spent waiting
//! for a connection never makes a call slow, so a pool that is too small does not trip its breaker.
//! A call that is a probe has the deadline of any other.
//!
//! A database that hangs answers nobody, and ends nothing that could be recorded. So a call that runs,
//! or waits, looks now and then whether anybody is answered, and so does the caller who leaves before
//! that.
//!
//! Where the breaker only observes, or is disabled, nothing is refused for the queue's sake, and no
//! deadline but a call's own ends it.
//!
//! Nor does anybody wait for what was lost in an outage: connections may fall silent for ever in the
//! middle of calls, and their places in the pool would come free only at the calls' deadlines. When
//! the backend is well again, and yet nobody gets a connection, calls from before are
//! [given up](Gate::give_up_lost_calls).
//!
//! Cancellation: every future here may be dropped at any await. A call that is dropped while it
//! runs drops its [`Permit`], which counts it as abandoned and frees a probe's place.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use self::limits::Limits;
use self::lost::Progress;
use self::reporter::{OnOpen, observed};
use crate::breaker::builder::Builder;
use crate::breaker::clock::nanos;
use crate::breaker::config::ConfigError;
use crate::breaker::counters::Counters;
use crate::breaker::handle::Breaker;
use crate::breaker::state::Mode;
use crate::telemetry::event::{Event, Sink};
use crate::telemetry::trace::TracingSink;

mod acquire;
pub(crate) mod admission;
pub(crate) mod at_once;
pub(crate) mod builder;
pub(crate) mod limits;
mod lost;
mod reporter;
pub(crate) mod run;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;

/// A breaker in front of asynchronous calls, with a deadline for each and events about them.
///
/// ```
/// use fusepool::{Breaker, Class, Gate, GateError};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), fusepool::ConfigError> {
/// let gate = Gate::builder(Breaker::builder().name("geocoder")).build()?;
/// let classify = |_: &std::io::Error| Class::Failure;
/// match gate.call(&classify, async { Ok(42) }).await {
///     Ok(answer) => assert_eq!(answer, 42),
///     Err(GateError::Refused(rejected)) => println!("retry in {:?}", rejected.retry_after()),
///     Err(error) => println!("{error}"),
/// }
/// # Ok(())
/// # }
/// ```
pub struct Gate {
    breaker: Breaker,
    limits: Limits,
    sink: Arc<dyn Sink>,
    /// Wakes those who wait for a connection when the breaker opens.
    opened: Arc<Notify>,
    progress: Progress,
    /// Connections that are with their holders.
    leased: AtomicU32,
    counters: Counters<COUNTS>,
    next_summary: AtomicU64,
    summed_up: AtomicU64,
    /// A background task sees to the first probes, so that no user's call has to.
    probing: AtomicBool,
    on_open: Arc<OnceLock<OnOpen>>,
}

#[derive(Clone, Copy)]
enum Count {
    Saturated,
    Deadlines,
    LostAnswers,
    Probes,
    ClosedConnections,
}

const COUNTS: usize = Count::ClosedConnections as usize + 1;

impl Gate {
    /// A gate with limits that were checked.
    pub(crate) fn new(
        breaker: Builder,
        limits: Limits,
        sink: Arc<dyn Sink>,
    ) -> Result<Self, ConfigError> {
        breaker.check()?;
        Ok(Self::from_checked(breaker, limits, sink))
    }

    /// A gate with default settings, which need no check.
    pub(crate) fn with_defaults() -> Self {
        Self::from_checked(Builder::default(), Limits::default(), Arc::new(TracingSink))
    }

    fn from_checked(breaker: Builder, limits: Limits, sink: Arc<dyn Sink>) -> Self {
        let on_open = Arc::new(OnceLock::new());
        let opened = Arc::new(Notify::new());
        let breaker = observed(
            breaker,
            Arc::clone(&sink),
            Arc::clone(&opened),
            Arc::clone(&on_open),
        );
        Self {
            breaker: Breaker::from_checked(breaker),
            limits,
            sink,
            opened,
            progress: Progress::default(),
            leased: AtomicU32::new(0),
            counters: Counters::new(),
            next_summary: AtomicU64::new(0),
            summed_up: AtomicU64::new(0),
            probing: AtomicBool::new(false),
            on_open,
        }
    }

    /// The breaker, for its mode, state and snapshot.
    #[must_use]
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Whether the breaker does what its state says.
    fn enforces(&self) -> bool {
        self.breaker.mode() == Mode::Enforce
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Calls `on_open` whenever the breaker opens. Only the first call has an effect.
    pub(crate) fn on_open(&self, on_open: OnOpen) {
        let _ = self.on_open.set(on_open);
    }

    /// Reserves the first probes for one background task. `None` if there is one already.
    pub(crate) fn reserve_probing(&self) -> Option<Probing<'_>> {
        let taken = self.probing.swap(true, Ordering::AcqRel);
        (!taken).then(|| Probing(&self.probing))
    }

    pub(crate) fn probed(&self, error: Option<&(dyn std::error::Error + 'static)>) {
        self.counters.add(Count::Probes as usize, 1);
        self.tell(&Event::Probe { error });
    }

    pub(crate) fn closed_connection(&self, reason: &'static str) {
        self.counters.add(Count::ClosedConnections as usize, 1);
        self.tell(&Event::ClosedConnection { reason });
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.sink.event(self.breaker.name(), event);
    }

    /// The time on the breaker's clock, in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        nanos(self.breaker.clock().now())
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("breaker", &self.breaker)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// The first probes are seen to, as long as this lives.
#[derive(Debug)]
pub(crate) struct Probing<'gate>(&'gate AtomicBool);

impl Drop for Probing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
