//! Admit, run, classify, settle, report: the only async path through a breaker.
//!
//! A pool's call takes two steps, and is admitted once. [`Gate::acquire`] asks the breaker, and
//! waits for a connection, as one of at most `max_waiting` and under the acquire deadline;
//! [`Gate::run`] makes the call on it, under the call's deadline, and settles.
//!
//! ```text
//!         admit ───────── acquire ─────────────── run
//!           │                │                     │
//!   open:   └▶ Rejected      ├▶ Saturated          ├▶ DeadlineExceeded   outcome unknown
//!   nothing sent, retry      ├▶ could not connect  ├▶ Failed(E)          by its class
//!                            └▶ none came free     └▶ value              an answer
//! ```
//!
//! Nobody waits on a breaker that is open: when it opens, those who wait for a connection are
//! refused at once. They have sent nothing; left alone, they would each try to connect in turn, as
//! the one before gives up.
//!
//! What is recorded: that no connection could be had is a fault; that one could is not yet an
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
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, timeout_at};

use crate::at_once::at_once;
use crate::breaker::{self, Breaker, Builder, Mode, Permit, Rejection};
use crate::config::ConfigError;
use crate::counters::Counters;
use crate::error::{Awaited, DeadlineExceeded, GateError, Rejected};
use crate::limits::Limits;
use crate::progress::Progress;
use crate::reporter::{OnOpen, Reporter};
use crate::telemetry::{Event, Sink, TracingSink};
use crate::time::nanos;
use crate::verdict::{Class, Classify, Verdict};

#[cfg(test)]
mod tests;

/// A storm of rejections is summed up in one event in this time.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);

/// A call that has run for so long counts as one that waits for its answer, and listens for being taken
/// for lost: a quick one, which most are, pays nothing for that.
const LONG_AFTER: Duration = Duration::from_millis(100);

/// A breaker in front of asynchronous calls, with a deadline for each and events about them.
///
/// ```
/// use fusepool::{Breaker, Class, Gate, GateError};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), fusepool::ConfigError> {
/// let gate = Gate::builder(Breaker::builder().name("geocoder")).build()?;
/// let classify = |_: &std::io::Error| Class::Fault;
/// match gate.call(&classify, async { Ok(42) }).await {
///     Ok(answer) => assert_eq!(answer, 42),
///     Err(GateError::Rejected(rejected)) => println!("retry in {:?}", rejected.retry_after()),
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
        let reporter = Reporter::new(
            &breaker,
            Arc::clone(&sink),
            Arc::clone(&opened),
            Arc::clone(&on_open),
        );
        Self {
            breaker: Breaker::from_checked(breaker.listener(reporter)),
            limits,
            sink,
            opened,
            progress: Progress::default(),
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

    /// Makes a call: admitted by the breaker, under the call's deadline. `classify` says what its
    /// errors mean.
    ///
    /// # Errors
    ///
    /// [`GateError::Rejected`]: the call was not made. [`GateError::Deadline`]: it was dropped.
    /// [`GateError::Failed`]: its own error.
    pub async fn call<T, E>(
        &self,
        classify: &(impl Classify<E> + ?Sized),
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, GateError<E>> {
        let permit = match self.breaker.try_acquire() {
            Ok(permit) => permit,
            Err(rejection) => return Err(turned_away(self.refused(rejection)).await.into()),
        };
        self.run(permit, None, |error| classify.classify(error), call)
            .await
    }

    /// Asks the breaker whether a call may be made. Gives a permit only if that matters before the
    /// call itself starts: the call is then a probe.
    pub(crate) fn admit(&self) -> Result<Option<Permit<'_>>, Rejected> {
        let may_probe = !self.probing.load(Ordering::Acquire);
        let ticket = self.breaker.ticket(may_probe);
        ticket.map_err(|rejection| self.refused(rejection))
    }

    /// Admission of a statement on a connection that was leased outside a transaction.
    pub(crate) fn admit_on_lease(&self) -> Result<Permit<'_>, Rejected> {
        if self.breaker.rejects()
            && let Some(permit) = self.admit()?
        {
            return Ok(permit);
        }
        let permit = self.breaker.observe();
        // Which counts those that hang by now, and they may be one too many.
        match self.refusal() {
            None => Ok(permit),
            Some(rejected) => {
                permit.withdraw();
                Err(rejected)
            }
        }
    }

    /// Asks for a connection, and gives a permit only if that matters before the call itself starts:
    /// the call is then a probe.
    pub(crate) async fn acquire<T, E>(
        &self,
        limit: Duration,
        is_full: impl Fn() -> bool + Sync,
        classify: impl FnOnce(&E) -> Class,
        mut connect: Pin<&mut impl Future<Output = Result<T, E>>>,
    ) -> Result<(T, Option<Permit<'_>>), GateError<E>> {
        // Most connections can be had without waiting, and then no place in the queue, no timer and
        // no ear for the breaker are needed. Where nobody else may wait, nothing is even begun.
        let waiting = self.breaker.waiting().load(Ordering::Acquire);
        let may_wait = waiting < self.limits.max_waiting;
        let connected = match may_wait && self.breaker.passes() {
            true => at_once(connect.as_mut()).await,
            false => None,
        };
        match connected {
            Some(Ok(connection)) => {
                self.acquired();
                Ok((connection, None))
            }
            Some(Err(error)) => {
                self.could_not_connect(None, limit, classify(&error));
                Err(GateError::Failed(error))
            }
            None => (self.acquire_in_turn(limit, is_full, classify, connect)).await,
        }
    }

    /// Asks for admission, and waits for a connection until the breaker opens.
    async fn acquire_in_turn<T, E>(
        &self,
        limit: Duration,
        is_full: impl Fn() -> bool + Sync,
        classify: impl FnOnce(&E) -> Class,
        mut connect: Pin<&mut impl Future<Output = Result<T, E>>>,
    ) -> Result<(T, Option<Permit<'_>>), GateError<E>> {
        let mut probe = match self.admit() {
            Ok(probe) => probe,
            Err(rejected) => return Err(turned_away(rejected).await.into()),
        };
        let start = Instant::now();
        let waited = match self.wait(probe.is_some(), &is_full) {
            Ok(mut place) => {
                let look = || self.breaker.still_waits(place.began, false, is_full());
                // Those who come first after an outage are the first who may meet what it left behind.
                let patience = match &probe {
                    Some(_) => limit.min(self.breaker.probe_timeout()),
                    None => limit,
                };
                let wait = async {
                    let early = Deadline::of_call(start + patience / 3);
                    if let Some(connected) = self.until(early, start, look, connect.as_mut()).await
                    {
                        return Some(connected);
                    }
                    if is_full() {
                        self.give_up_lost_calls();
                    }
                    let deadline = Deadline::of_gate(start + limit);
                    self.until(deadline, start, look, connect).await
                };
                let waited = self.unless_opened(wait).await;
                place.is_settled = true;
                waited
            }
            Err(rejected) => Err(rejected),
        };
        match waited {
            Ok(Some(Ok(connection))) => {
                self.acquired();
                // The time to connect is not the statement's.
                if let Some(probe) = &mut probe {
                    probe.restart();
                }
                Ok((connection, probe))
            }
            Ok(Some(Err(error))) => {
                let class = classify(&error);
                // The pool has less patience than the gate.
                if class == Class::Starved && is_full() {
                    self.give_up_lost_calls();
                }
                self.could_not_connect(probe, limit, class);
                Err(GateError::Failed(error))
            }
            Ok(None) => {
                self.could_not_connect(probe, limit, Class::Starved);
                Err(self.missed(limit, Awaited::Connection).into())
            }
            Err(rejected) => {
                // No connection was obtained: the place in the batch is free.
                if let Some(probe) = probe {
                    probe.withdraw();
                }
                Err(turned_away(rejected).await.into())
            }
        }
    }

    fn could_not_connect(&self, probe: Option<Permit<'_>>, limit: Duration, class: Class) {
        let permit = probe.unwrap_or_else(|| self.breaker.observe());
        match class {
            Class::Starved if self.acquired_within(limit) => permit.settle(Verdict::Neutral),
            // Nothing but a statement's end is an answer.
            Class::Answered | Class::Slow => permit.settle(Verdict::Neutral),
            class => permit.settle_class(class),
        }
    }

    /// Turns a call away, if the breaker is open and rejects. Asks for no permit otherwise.
    pub(crate) fn refusal(&self) -> Option<Rejected> {
        if !self.breaker.rejects() {
            return None;
        }
        let rejection = self.breaker.turn_away()?;
        Some(self.refused(rejection))
    }

    /// Waits, unless the breaker opens and rejects. A probe does not meet an open breaker, except
    /// when it is too late for it.
    pub(crate) async fn unless_opened<T>(
        &self,
        wait: impl Future<Output = T>,
    ) -> Result<T, Rejected> {
        let mut wait = pin!(wait);
        loop {
            // Before the state is read, so that no opening falls in between.
            let mut opened = pin!(self.opened.notified());
            if let Some(rejected) = self.refusal() {
                return Err(rejected);
            }
            let ended = poll_fn(|context| {
                // Listens first: those who were connecting pass their places on as they leave, and
                // the next in line would connect before it leaves, too.
                if opened.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                wait.as_mut().poll(context).map(Some)
            });
            if let Some(value) = ended.await {
                return Ok(value);
            }
        }
    }

    /// Somebody got a connection within `limit`: who got none meanwhile met a pool that is too
    /// small, not a backend that is unwell.
    pub(crate) fn acquired_within(&self, limit: Duration) -> bool {
        self.progress.acquired_within(limit, self.now())
    }

    /// Somebody got a connection.
    pub(crate) fn acquired(&self) {
        self.progress.acquired(self.now());
    }

    /// Makes a call on a connection, under a deadline: its own, or the gate's.
    pub(crate) async fn run<T, E>(
        &self,
        mut permit: Permit<'_>,
        limit: Option<Duration>,
        classify: impl FnOnce(&E) -> Class,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, GateError<E>> {
        if limit.is_some() {
            permit.set_patient();
        }
        match self.bounded(Some(&permit), limit, pin!(call)).await {
            Ok(Ok(value)) => {
                permit.settle(Verdict::Answered);
                Ok(value)
            }
            Ok(Err(error)) => {
                permit.settle_class(classify(&error));
                Err(GateError::Failed(error))
            }
            Err(given_up) => {
                permit.settle(given_up.verdict);
                Err(given_up.error.into())
            }
        }
    }

    /// What `call` comes to before its own deadline; or before the gate's, unless it is taken for
    /// lost earlier.
    pub(crate) async fn bounded<T>(
        &self,
        permit: Option<&Permit<'_>>,
        own: Option<Duration>,
        mut call: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, GivenUp> {
        let limit = own.unwrap_or(self.limits.query_timeout);
        let start = Instant::now();
        let deadline = match own {
            Some(_) => Deadline::of_call(start + limit),
            None => Deadline::of_gate(start + limit),
        };
        let quick_until = deadline.at.min(start + LONG_AFTER);
        if let Ok(ended) = timeout_at(quick_until, call.as_mut()).await {
            return Ok(ended);
        }
        let _running = permit.and_then(Permit::running);
        let began = permit.map_or_else(
            || self.now().saturating_sub(nanos(LONG_AFTER)),
            Permit::started,
        );
        // No probe is from before an outage.
        let may_be_lost = own.is_none() && !permit.is_some_and(Permit::is_probe);
        let mut lost = pin!(self.progress.lost(began, start));
        let ended = pin!(poll_fn(|context| match call.as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if may_be_lost => lost.as_mut().poll(context).map(|()| None),
            Poll::Pending => Poll::Pending,
        }));
        let look = || permit.into_iter().for_each(Permit::is_unanswered);
        match self.until(deadline, start, look, ended).await {
            Some(Some(ended)) => {
                self.progress.ended(start.elapsed());
                Ok(ended)
            }
            Some(None) => Err(GivenUp {
                error: self.missed(start.elapsed(), Awaited::LostAnswer),
                verdict: Verdict::Neutral,
            }),
            None => Err(GivenUp {
                error: self.missed(limit, Awaited::Answer),
                verdict: Verdict::Fault,
            }),
        }
    }

    /// What `wait` comes to before its deadline. It began at `start`, and looks at intervals whether
    /// anybody is answered meanwhile. A breaker that does not enforce lets the gate's deadlines pass.
    async fn until<T>(
        &self,
        deadline: Deadline,
        start: Instant,
        look: impl Fn(),
        mut wait: Pin<&mut impl Future<Output = T>>,
    ) -> Option<T> {
        let mut next_look = start + self.breaker.look_interval();
        loop {
            let now = Instant::now();
            let is_missed = deadline.at <= now;
            if is_missed && (deadline.is_own || self.enforces()) {
                return None;
            }
            let wake = match is_missed {
                true => next_look,
                false => next_look.min(deadline.at),
            };
            if let Ok(ended) = timeout_at(wake, wait.as_mut()).await {
                return Some(ended);
            }
            if wake == next_look {
                look();
                next_look = Instant::now() + self.breaker.look_interval();
            }
        }
    }

    /// A lease with this permit is handed out after a ping: what its holder does may take its time.
    /// Where nothing is enforced, nobody waits for that.
    pub(crate) fn is_proving(&self, permit: &Permit<'_>) -> bool {
        permit.is_probe() && self.enforces()
    }

    /// Whether the breaker does what its state says.
    fn enforces(&self) -> bool {
        self.breaker.mode() == Mode::Enforce
    }

    /// The backend answers again, but a caller has waited for long at a full pool and got no
    /// connection, and nor has anybody else: they are held by calls from before the outage, whose
    /// answers were lost with it. Those are given up, except for what has a deadline of its own, and
    /// for what may yet end, as calls before it that took as long.
    fn give_up_lost_calls(&self) {
        let is_closing = self.enforces() && !self.breaker.rejects();
        if self.limits.give_up_lost && is_closing && self.progress.is_stuck() {
            self.progress.give_up_lost();
        }
    }

    /// The backend has answered for the first time since the breaker opened.
    pub(crate) fn well_again(&self) {
        self.progress.well_again(self.now());
    }

    /// The gate's deadline as one of a call's own, which is then not taken for lost before it.
    pub(crate) fn unshortened(&self) -> Option<Duration> {
        Some(self.limits.query_timeout)
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

    /// All there is to know about the gate and its breaker at this moment.
    #[must_use]
    pub fn snapshot(&self) -> GateSnapshot {
        let count = |what: Count| self.counters.get(what as usize);
        GateSnapshot {
            breaker: self.breaker.snapshot(),
            waiting: self.breaker.waiting().load(Ordering::Acquire),
            saturated: count(Count::Saturated),
            deadlines: count(Count::Deadlines),
            lost_answers: count(Count::LostAnswers),
            probes: count(Count::Probes),
            closed_connections: count(Count::ClosedConnections),
        }
    }

    /// A place among those who wait. `has_permit`: the caller's permit counts if it leaves.
    fn wait<'g, F: Fn() -> bool>(
        &'g self,
        has_permit: bool,
        is_full: &'g F,
    ) -> Result<Place<'g, F>, Rejected> {
        let before = self.breaker.waiting().fetch_add(1, Ordering::AcqRel);
        let mut place = Place {
            breaker: &self.breaker,
            began: self.now(),
            is_full,
            is_settled: has_permit,
        };
        if before < self.limits.max_waiting || !self.enforces() {
            return Ok(place);
        }
        place.is_settled = true;
        drop(place);
        self.counters.add(Count::Saturated as usize, 1);
        Err(self.rejected(Rejected::Saturated {
            pool: Arc::clone(self.breaker.name()),
            waiting: self.limits.max_waiting,
        }))
    }

    pub(crate) fn missed(&self, limit: Duration, awaited: Awaited) -> DeadlineExceeded {
        self.counters.add(Count::Deadlines as usize, 1);
        if awaited == Awaited::LostAnswer {
            self.counters.add(Count::LostAnswers as usize, 1);
        }
        self.tell(&Event::Deadline { limit, awaited });
        DeadlineExceeded::new(Arc::clone(self.breaker.name()), limit, awaited)
    }

    /// The refusal of a statement on a connection on which one was given up.
    pub(crate) fn abandoned(&self) -> Rejected {
        let rejected = Rejected::Abandoned {
            pool: Arc::clone(self.breaker.name()),
        };
        self.tell(&Event::Rejected(&rejected));
        rejected
    }

    fn refused(&self, rejection: Rejection) -> Rejected {
        self.rejected(Rejected::Circuit {
            pool: Arc::clone(self.breaker.name()),
            rejection,
        })
    }

    fn rejected(&self, rejected: Rejected) -> Rejected {
        self.tell(&Event::Rejected(&rejected));
        let (now, due) = (self.now(), self.next_summary.load(Ordering::Acquire));
        if now >= due {
            self.sum_up(due, now);
        }
        rejected
    }

    fn sum_up(&self, due: u64, now: u64) {
        let next = now.saturating_add(nanos(SUMMARY_INTERVAL));
        let turn =
            self.next_summary
                .compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire);
        if turn.is_err() {
            return; // another task sums up
        }
        let total = self.breaker.rejections() + self.counters.get(Count::Saturated as usize);
        let before = self.summed_up.swap(total, Ordering::AcqRel);
        self.tell(&Event::Rejections {
            calls: total.saturating_sub(before),
        });
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

/// A gate at one moment. The counts are since it was built.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct GateSnapshot {
    /// Its breaker.
    pub breaker: breaker::Snapshot,
    /// Callers that wait for a connection now.
    pub waiting: u32,
    /// Calls refused because too many were waiting.
    pub saturated: u64,
    /// Connections and answers that did not come in time.
    pub deadlines: u64,
    /// Those of them that an outage had taken with it: their calls were given up for the sake of others.
    pub lost_answers: u64,
    /// Probes made in the background.
    pub probes: u64,
    /// Connections that were closed instead of going back to the pool.
    pub closed_connections: u64,
}

/// To refuse takes no time, so who tries again at once, and again, would never let another task run on
/// its thread, and the one that probes is one of those.
pub(crate) async fn turned_away<R>(refusal: R) -> R {
    consume_budget().await;
    refusal
}

/// A call that was given up, and what that says of the backend.
pub(crate) struct GivenUp {
    pub(crate) error: DeadlineExceeded,
    pub(crate) verdict: Verdict,
}

/// When a wait ends.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    /// It holds whatever the breaker's mode.
    is_own: bool,
}

impl Deadline {
    fn of_call(at: Instant) -> Self {
        Self { at, is_own: true }
    }

    fn of_gate(at: Instant) -> Self {
        Self { at, is_own: false }
    }
}

/// A place among those who wait. Dropped before anything came of the wait, its caller gave up.
struct Place<'gate, F: Fn() -> bool> {
    breaker: &'gate Breaker,
    began: u64,
    is_full: &'gate F,
    is_settled: bool,
}

impl<F: Fn() -> bool> Drop for Place<'_, F> {
    fn drop(&mut self) {
        self.breaker.waiting().fetch_sub(1, Ordering::AcqRel);
        if !self.is_settled {
            (self.breaker).still_waits(self.began, true, (self.is_full)());
        }
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
