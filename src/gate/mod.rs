//! The path of a call through the breaker: admit, acquire, run, classify, settle, report.
//!
//! Start reading the source here. A gate combines a breaker, deadlines and events. A call of any
//! pool takes three steps:
//!
//! 1. **Admit** ([`Gate::admit`]): the breaker admits or rejects the call.
//! 2. **Acquire** ([`Gate::acquire`]): the call waits for a connection in the queue, up to
//!    `acquire_timeout`. It is refused if the queue moves too slowly for that.
//! 3. **Run** ([`Gate::run`]): the statement runs, up to `query_timeout` or its own deadline. Its
//!    [`Class`] becomes a [`Verdict`], which settles the [`Permit`] and may change the state.
//!
//! Steps 1 and 3 are enough for a statement on a connection that the caller already holds, and for
//! [`Gate::call`], which has no pool. A statement inside a transaction is never rejected.
//!
//! | step | ends with | sent | recorded as |
//! |---|---|---|---|
//! | admit | `Refused::Circuit`: the breaker rejects calls | no | rejected |
//! | acquire | `Refused::Saturated`: the queue is too long | no | saturated |
//! | | `Refused::Circuit`: the breaker opened meanwhile | no | rejected |
//! | | `DeadlineExceeded`: no connection in time | no | ignored if any call got a connection or an answer in that time, else a failure |
//! | | `Failed`: the connection failed | no | by its class, but never a success |
//! | run | a value | yes | success |
//! | | `Failed`: an error | maybe | by its class; `Starved` is ignored if any call was answered meanwhile, or within `acquire_timeout` |
//! | | `DeadlineExceeded`: no answer in time | maybe | failure |
//! | | `DeadlineExceeded`: the answer was lost in an outage | maybe | ignored |
//! | | the future was dropped | maybe | abandoned |
//!
//! **Evidence.** An acquired connection is no success: only the end of a statement or a ping shows
//! that the backend answers. While the breaker is closed, the wait for a connection is not part of
//! the call, so a pool that is too small causes no slow calls.
//!
//! **The queue empties when the breaker opens.** Callers in the queue are refused at once, since
//! they have sent nothing. Otherwise each of them would try in turn to connect to a backend that is
//! down.
//!
//! **Stalls.** A database that hangs ends no call. So a call that runs or waits checks at intervals
//! whether any call succeeds, and so does a caller that leaves before. Shortly before the breaker
//! would open, the pool asks the database itself: if it answers, the calls are only long.
//!
//! **Probes.** A call that is a probe has the same deadline as any other call.
//!
//! While the breaker is open, a background task of the pool asks the database. If that task makes no
//! progress, because nobody drives its runtime between two calls, a call that would be refused
//! [asks in its place](Gate::ask_if_overdue).
//!
//! **Lost answers.** After an outage, connections may stay silent in the middle of their calls, and
//! would occupy the pool until the deadlines. If a caller waits long at a full pool after the backend
//! has recovered, the pool [asks the server](Gate::look_for_lost_calls) about the calls from before
//! the outage, and those that run no more are given up.
//!
//! **Modes.** While the breaker observes or is disabled, `max_queue` and the deadlines of the gate
//! have no effect. A deadline of a call's own always applies.
//!
//! **Cancellation.** Every future here may be dropped at any await. A call that is dropped while it
//! runs drops its permit: it counts as abandoned, and a probe frees its slot.
//!
//! [`Class`]: crate::Class
//! [`Permit`]: crate::breaker::Permit
//! [`Verdict`]: crate::Verdict

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use self::limits::{Limits, LiveLimits};
use self::lost::Progress;
use self::queue::Service;
use self::reporter::{Hooks, observed, run};
use self::reserved::Reserved;
use crate::breaker::builder::Builder;
use crate::breaker::config::ConfigError;
use crate::breaker::counters::Counters;
use crate::breaker::handle::Breaker;
use crate::breaker::state::Mode;
use crate::lint::{Plan, Warning};
use crate::telemetry::backend::Backend;
use crate::telemetry::changes::Events;
use crate::telemetry::event::{Event, Sample};
#[cfg(feature = "live")]
use crate::telemetry::recent::Recent;
use crate::telemetry::sinks::{SinkList, Sinks};

mod acquire;
pub(crate) mod admission;
pub(crate) mod at_once;
pub(crate) mod builder;
pub(crate) mod config;
#[cfg(any(feature = "cache", feature = "deadpool"))]
pub(crate) mod home;
#[cfg(feature = "cache")]
pub(crate) mod joined;
pub(crate) mod limits;
mod lost;
mod queue;
pub(crate) mod reporter;
pub(crate) mod reserved;
pub(crate) mod run;
pub(crate) mod snapshot;
#[cfg(test)]
mod tests;
pub(crate) mod unless;

/// Guards asynchronous calls with a breaker, a deadline for each call, and events.
///
/// For connection pools there is [`Guarded`](crate::Guarded), and for blocking calls
/// [`Breaker::call`](crate::Breaker::call).
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
    limits: LiveLimits,
    sinks: Arc<Sinks>,
    /// A sink wants the events of calls, so these are timed.
    times_calls: AtomicBool,
    /// The calls themselves are timed, or have spans.
    observes_calls: AtomicBool,
    /// Wakes the callers in the queue, and the background probe, when the breaker opens.
    pub(crate) opened: Arc<Notify>,
    progress: Progress,
    service: Service,
    /// The number of connections that callers hold.
    leased: AtomicU32,
    counters: Counters<COUNTS>,
    /// The earliest time of the next summary of rejections.
    next_summary: AtomicU64,
    /// The rejections up to the last summary.
    summarized: AtomicU64,
    /// A background task makes the first probes, so that no caller's call is one.
    probing: AtomicBool,
    /// A background task asks the backend whether it answers.
    asking: AtomicBool,
    /// A caller asks the backend in place of the background task.
    recovering: AtomicBool,
    /// The earliest time at which the background task that probes may be started anew.
    next_revival: AtomicU64,
    hooks: Arc<OnceLock<Hooks>>,
    starved: Notify,
    warnings: Mutex<Vec<Warning>>,
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
    /// A gate with these limits. `call_timeout` is the name of the setter for their `query_timeout`.
    pub(crate) fn new(
        breaker: Builder,
        limits: Limits,
        call_timeout: &'static str,
        sinks: SinkList,
        backend: Backend,
    ) -> Result<Self, ConfigError> {
        limits.check(call_timeout, &breaker)?;
        breaker.check()?;
        let deadline = (call_timeout, limits.query_timeout);
        let gate = Self::from_checked(breaker, limits, sinks, backend);
        gate.breaker.set_deadline(deadline);
        Ok(gate)
    }

    /// A gate with default settings, which need no check.
    #[cfg(any(feature = "sqlx", feature = "deadpool"))]
    pub(crate) fn with_defaults() -> Self {
        let (breaker, limits) = (Builder::default(), Limits::default());
        Self::from_checked(breaker, limits, SinkList::default(), Backend::default())
    }

    fn from_checked(breaker: Builder, limits: Limits, sinks: SinkList, backend: Backend) -> Self {
        let sinks = Arc::new(sinks.build(breaker.get_name(), backend));
        let hooks = Arc::new(OnceLock::new());
        let opened = Arc::new(Notify::new());
        let breaker = observed(
            breaker,
            Arc::clone(&sinks),
            Arc::clone(&opened),
            Arc::clone(&hooks),
        );
        let breaker = Breaker::from_checked(breaker);
        breaker.watch_lateness();
        Self {
            breaker,
            limits: LiveLimits::new(&limits),
            times_calls: sinks.wants_calls().into(),
            observes_calls: (sinks.wants_calls() || sinks.spans().is_some()).into(),
            sinks,
            opened,
            progress: Progress::default(),
            service: Service::default(),
            leased: AtomicU32::new(0),
            counters: Counters::new(),
            next_summary: AtomicU64::new(0),
            summarized: AtomicU64::new(0),
            probing: AtomicBool::new(false),
            asking: AtomicBool::new(false),
            recovering: AtomicBool::new(false),
            next_revival: AtomicU64::new(0),
            hooks,
            starved: Notify::new(),
            warnings: Mutex::default(),
        }
    }

    /// The breaker of this gate, for its mode, state and snapshot.
    #[must_use]
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The changes of the state and the mode of the breaker from now on, for a program that reacts to
    /// them. The pools have the same method.
    ///
    /// ```
    /// use fusepool::breaker::State;
    /// use fusepool::telemetry::Change;
    /// use fusepool::{Breaker, Gate};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), fusepool::ConfigError> {
    /// let gate = Gate::builder(Breaker::builder()).build()?;
    /// let mut events = gate.events();
    /// gate.breaker().trip_for(std::time::Duration::from_secs(1));
    /// if let Some(Change::Transition(transition)) = events.next().await {
    ///     assert_eq!(transition.to, State::Open); // tell the load balancer
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self) -> Events {
        self.sinks.changes()
    }

    /// The warnings about the settings with which the pool was built, in the order in which they were
    /// [reported](crate::lint). A gate without a pool has none.
    ///
    /// ```
    /// use fusepool::Gate;
    ///
    /// # fn report(gate: &Gate) {
    /// for warning in gate.warnings() {
    ///     println!("{}: {warning}", warning.code.as_str()); // of a pool: `pool.gate()`
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let warnings = self.warnings.lock();
        warnings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reports warnings.
    pub(crate) fn warn(&self, new: Vec<Warning>) {
        for warning in &new {
            self.tell(&Event::Lint(warning));
        }
        let warnings = self.warnings.lock();
        warnings.unwrap_or_else(PoisonError::into_inner).extend(new);
    }

    /// The settings at this moment.
    pub(crate) fn plan(&self) -> Plan {
        let (limits, hooks) = (self.limits(), self.hooks.get());
        Plan {
            breaker: self.breaker.to_builder(),
            acquire_timeout: limits.acquire_timeout,
            query_timeout: limits.query_timeout,
            connections: limits.connections,
            probes: hooks.is_some_and(|hooks| hooks.opened.is_some()),
            asks: hooks.is_some_and(|hooks| hooks.starved.is_some()),
        }
    }

    /// Whether the breaker acts on its state.
    pub(crate) fn enforces(&self) -> bool {
        self.breaker.mode() == Mode::Enforce
    }

    /// The limits at this moment.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.get()
    }

    #[inline]
    pub(crate) fn acquire_timeout(&self) -> Duration {
        self.limits.acquire_timeout()
    }

    /// Sets what the pool does at events of the breaker. Only the first hooks are used.
    pub(crate) fn set_hooks(&self, hooks: Hooks) {
        self.breaker.set_asked(hooks.stalling.is_some());
        let _ = self.hooks.set(hooks);
    }

    /// Reserves the first probes for a background task. `None` if another task has them.
    pub(crate) fn reserve_probing(&self) -> Option<Reserved<'_>> {
        Reserved::of(&self.probing)
    }

    /// Reserves the question to the backend. `None` if another task asks already.
    pub(crate) fn reserve_asking(&self) -> Option<Reserved<'_>> {
        Reserved::of(&self.asking)
    }

    /// Lets the pool ask the backend whether it answers.
    fn ask_backend(&self) {
        run(&self.hooks, |hooks| &hooks.stalling);
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
        self.sinks.tell(event);
    }

    /// The time, if a sink wants the events of calls. It is read from a precise clock, because the
    /// breaker's is coarse by default.
    #[inline]
    pub(crate) fn timer(&self) -> Option<Instant> {
        match self.times_calls.load(Ordering::Relaxed) {
            true => Some(now()),
            false => None,
        }
    }

    /// Whether calls are timed, or have spans.
    fn observes_calls(&self) -> bool {
        self.observes_calls.load(Ordering::Relaxed)
    }

    /// The recent events, recorded from the first call of this method on.
    #[cfg(feature = "live")]
    pub(crate) fn recent(&self) -> Arc<Recent> {
        let recent = self.sinks.recent(self.breaker.state());
        self.times_calls.store(true, Ordering::Relaxed);
        self.observes_calls.store(true, Ordering::Relaxed);
        recent
    }

    /// Reports an event of a call.
    pub(crate) fn tell_of_call(&self, event: &Event<'_>) {
        self.sinks.tell_of_call(event);
    }

    /// Whether anybody records what the system of the server is called.
    pub(crate) fn names_system(&self) -> bool {
        self.observes_calls()
    }

    /// Tells what the server says that it is.
    pub(crate) fn tell_system(&self, name: &'static str) {
        self.sinks.tell_system(name);
    }

    /// Whether a sink wants samples of the pool.
    pub(crate) fn wants_samples(&self) -> bool {
        self.sinks.wants_samples()
    }

    /// Reports a sample of the pool.
    pub(crate) fn tell_of_sample(&self, sample: &Sample) {
        self.sinks.tell_of_sample(&Event::Sampled(sample));
    }

    /// The time on the breaker's clock, in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        self.breaker.now()
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

/// Out of line, so that a call that is not timed only jumps over it.
#[cold]
fn now() -> Instant {
    Instant::now()
}
