//! Tests of the read path, on a manual clock and with loads that the test completes.

use std::any::Any;
use std::future::ready;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::*;
use crate::breaker::clock::ManualClock;
use crate::breaker::handle::Breaker;
use crate::breaker::verdict::Verdict;
use crate::cache::invalidation::Name;
use crate::cache::key::KeyHasher;
use crate::cache::policy::CachePolicy;
use crate::cache::task::Task;
use crate::gate::Gate;
use crate::outcome::error::{DeadlineExceeded, Refused};

const MENU: CachePolicy = CachePolicy::named("menu")
    .fresh_for(Duration::from_secs(5))
    .stale_while_revalidate(Duration::from_secs(30))
    .stale_if_error(Duration::from_secs(600))
    .tag("dishes")
    .jitter(0.0);
const LONG: Duration = Duration::from_secs(3_600);
const PAST_REVALIDATION: Duration = Duration::from_secs(60);

#[derive(Debug, PartialEq)]
enum Failure {
    Refused(Refused),
    Missed,
    /// The backend answered with this error.
    Answered(&'static str),
    /// The connection to the backend broke.
    Broken(&'static str),
    Lost,
}

struct Backend {
    gate: Gate,
    cache: Arc<Answers>,
    tasks: Mutex<JoinSet<()>>,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<DeadlineExceeded> for Failure {
    fn from(_: DeadlineExceeded) -> Self {
        Self::Missed
    }
}

impl Origin for Backend {
    type Error = Failure;

    fn cache(&self) -> &Arc<Answers> {
        &self.cache
    }

    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn unanswered(&self, error: &Failure) -> Option<Unanswered> {
        match error {
            Failure::Refused(Refused::Saturated { .. }) => Some(Unanswered::Saturated),
            Failure::Refused(_) => Some(Unanswered::Open),
            Failure::Missed => Some(Unanswered::Deadline),
            Failure::Broken(_) => Some(Unanswered::Failure),
            Failure::Answered(_) | Failure::Lost => None,
        }
    }

    fn lost() -> Failure {
        Failure::Lost
    }

    fn attend(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::new(())
    }

    fn spawn(&self, task: Task) {
        self.tasks.lock().unwrap().spawn(task);
    }
}

type LoadResult = Result<&'static str, Failure>;
type Answer = Result<(&'static str, Source), Failed<&'static str, Failure>>;

/// A cache, its backend, and the loads that the test has not completed yet.
struct Rig {
    cache: Arc<Answers>,
    backend: Arc<Backend>,
    clock: ManualClock,
    started: Arc<AtomicUsize>,
    loads: Arc<Mutex<Vec<oneshot::Sender<LoadResult>>>>,
}

impl Rig {
    fn new() -> Self {
        let clock = ManualClock::new();
        let breaker = Breaker::builder().clock(clock.clone());
        let cache = Arc::new(Answers::new(1 << 20));
        Self {
            cache: Arc::clone(&cache),
            backend: Arc::new(Backend {
                cache,
                gate: Gate::builder(breaker).build().unwrap(),
                tasks: Mutex::default(),
            }),
            clock,
            started: Arc::default(),
            loads: Arc::default(),
        }
    }

    fn question(limit: Option<Duration>) -> Question {
        let key = KeyHasher::new().finish();
        Question {
            policy: MENU,
            key,
            base: key,
            tags: Vec::new(),
            limit,
        }
    }

    /// Spawns a task that reads.
    fn read(&self, may_leave: bool) -> tokio::task::JoinHandle<Answer> {
        self.read_with(may_leave, Some(LONG))
    }

    fn read_with(
        &self,
        may_leave: bool,
        limit: Option<Duration>,
    ) -> tokio::task::JoinHandle<Answer> {
        let others = match may_leave {
            true => Others::Uncertain,
            false => Others::None,
        };
        self.spawn(Self::question(limit), others)
    }

    fn read_under(&self, policy: CachePolicy) -> tokio::task::JoinHandle<Answer> {
        let question = Self::question(Some(LONG));
        self.spawn(Question { policy, ..question }, Others::None)
    }

    fn spawn(&self, question: Question, others: Others) -> tokio::task::JoinHandle<Answer> {
        let (cache, backend) = (Arc::clone(&self.cache), Arc::clone(&self.backend));
        let (started, loads) = (Arc::clone(&self.started), Arc::clone(&self.loads));
        tokio::spawn(async move {
            let load = || {
                Ok(async move {
                    started.fetch_add(1, Ordering::SeqCst);
                    let (send, receive) = oneshot::channel();
                    loads.lock().unwrap().push(send);
                    let value = receive.await.unwrap()?;
                    Ok(Loaded { value, bytes: 0 })
                })
            };
            let served = match cache.fresh(&backend.gate, &question) {
                Ok(fresh) => fresh,
                Err(kept) => cache.read(&backend, &question, kept, others, load).await?,
            };
            Ok((served.value, served.source))
        })
    }

    /// Runs all tasks until none can make progress.
    async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// Completes the oldest load in progress.
    async fn complete(&self, result: LoadResult) {
        self.settle().await;
        let load = self.loads.lock().unwrap().remove(0);
        load.send(result).unwrap();
        self.settle().await;
    }

    fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    /// Reads once, so that the cache stores `value`.
    async fn cached(&self, value: &'static str) {
        let read = self.read(false);
        self.complete(Ok(value)).await;
        assert_eq!(read.await.unwrap().unwrap(), (value, Source::Live));
    }

    /// Opens the breaker by five consecutive failures.
    fn open(&self) {
        let breaker = self.backend.gate.breaker();
        (0..5).for_each(|_| breaker.observe().settle(Verdict::Failure));
    }
}

#[tokio::test]
async fn a_thousand_concurrent_reads_make_one_load() {
    let rig = Rig::new();
    let reads: Vec<_> = (0..1_000).map(|_| rig.read(false)).collect();
    rig.complete(Ok("pho")).await;
    for answer in reads {
        assert_eq!(answer.await.unwrap().unwrap(), ("pho", Source::Live));
    }
    assert_eq!(rig.started(), 1);
    assert_eq!(rig.cache.snapshot().totals.loads, 1);
}

/// A caller may search the store just before a load ends, and join just after.
#[tokio::test]
async fn an_answer_stored_before_the_join_is_not_loaded_again() {
    let rig = Rig::new();
    rig.cached("pho").await;
    let question = Rig::question(Some(LONG));
    let load = ready(Ok(Loaded {
        value: "bun",
        bytes: 0,
    }));
    let joined = rig.cache.join(&rig.backend, &question, &mut Some(load));
    let entry = joined.outcome().await.unwrap().unwrap();
    assert_eq!(entry.value(), Some("pho"));
    assert_eq!(rig.cache.snapshot().totals.loads, 1);
}

#[tokio::test]
async fn the_error_of_a_load_is_returned_to_its_waiters_only() {
    let rig = Rig::new();
    let reads: Vec<_> = (0..10).map(|_| rig.read(false)).collect();
    rig.complete(Err(Failure::Answered("no such table"))).await;
    let mut errors = Vec::new();
    for answer in reads {
        errors.push(answer.await.unwrap().unwrap_err().error);
    }
    assert!(errors.iter().all(|error| Arc::ptr_eq(error, &errors[0])));
    assert_eq!(*errors[0], Failure::Answered("no such table"));
    rig.cached("pho").await;
    assert_eq!(rig.started(), 2);
}

#[tokio::test]
async fn a_load_outlives_the_caller_that_started_it() {
    let rig = Rig::new();
    let first = rig.read(false);
    rig.settle().await;
    first.abort();
    let second = rig.read(false);
    rig.complete(Ok("pho")).await;
    assert_eq!(second.await.unwrap().unwrap().0, "pho");
    assert_eq!(rig.started(), 1);

    // Even if no waiter is left.
    rig.cache.invalidate(&rig.backend.gate, Name::tag("dishes"));
    let alone = rig.read(false);
    rig.settle().await;
    alone.abort();
    rig.complete(Ok("dal")).await;
    let (value, source) = rig.read(false).await.unwrap().unwrap();
    assert_eq!(value, "dal");
    assert!(matches!(source, Source::Fresh { .. }));
}

#[tokio::test]
async fn the_waiters_of_a_stopped_load_receive_an_error() {
    let rig = Rig::new();
    let read = rig.read(false);
    rig.settle().await;
    rig.backend.tasks.lock().unwrap().abort_all();
    let failed = read.await.unwrap().unwrap_err();
    assert_eq!(*failed.error, Failure::Lost);
    assert_eq!(rig.cache.snapshot().loading, 0);
}

/// The runtime of the caller that started it may have ended.
#[tokio::test]
async fn a_caller_that_joined_a_stopped_load_begins_it_anew() {
    let rig = Rig::new();
    let (first, second, third) = (rig.read(false), rig.read(false), rig.read(false));
    rig.settle().await;
    rig.backend.tasks.lock().unwrap().abort_all();
    rig.settle().await;
    assert_eq!(*first.await.unwrap().unwrap_err().error, Failure::Lost);
    assert_eq!(rig.started(), 2, "one of the others begins it");
    rig.loads.lock().unwrap().remove(0); // of the load that was stopped
    rig.complete(Ok("pho")).await;
    for answer in [second, third] {
        assert_eq!(answer.await.unwrap().unwrap(), ("pho", Source::Live));
    }
}

/// A panic is served like a backend that does not answer.
#[tokio::test]
async fn a_load_that_panics_is_not_begun_anew() {
    let rig = Rig::new();
    let reads: Vec<_> = (0..10).map(|_| rig.read(false)).collect();
    rig.settle().await;
    rig.loads.lock().unwrap().clear(); // the load fails to receive its answer
    for answer in reads {
        assert_eq!(*answer.await.unwrap().unwrap_err().error, Failure::Lost);
    }
    assert_eq!(
        (rig.started(), rig.cache.snapshot().totals.failed_loads),
        (1, 1)
    );
}

#[tokio::test]
async fn one_load_revalidates_for_all_callers() {
    let rig = Rig::new();
    rig.cached("pho").await;
    let age = Duration::from_secs(10);
    rig.clock.advance(age);
    for _ in 0..10 {
        let served = rig.read(false).await.unwrap().unwrap();
        let reason = StaleReason::Revalidating;
        assert_eq!(served, ("pho", Source::Stale { age, reason }));
    }
    rig.settle().await;
    assert_eq!(rig.started(), 2);
    rig.complete(Ok("dal")).await;
    assert_eq!(rig.read(false).await.unwrap().unwrap().0, "dal");
    assert_eq!(rig.cache.snapshot().totals.revalidating, 10);
}

/// Rows from before a write must not be served after it, neither to callers that arrive after the
/// write nor from the cache. There is still only one load at a time.
#[tokio::test]
async fn a_load_in_progress_when_its_tag_is_invalidated_is_not_stored() {
    let rig = Rig::new();
    let before = rig.read(false);
    rig.settle().await;
    rig.cache.invalidate(&rig.backend.gate, Name::tag("dishes"));
    let after: Vec<_> = (0..10).map(|_| rig.read(false)).collect();
    rig.settle().await;
    assert_eq!(rig.started(), 1, "the next load waits for this one");

    rig.complete(Ok("old")).await;
    assert_eq!(before.await.unwrap().unwrap().0, "old");
    assert_eq!(rig.cache.snapshot().totals.outdated, 1);
    assert_eq!(rig.started(), 2);
    rig.complete(Ok("new")).await;
    for answer in after {
        assert_eq!(answer.await.unwrap().unwrap(), ("new", Source::Live));
    }
    let (value, source) = rig.read(false).await.unwrap().unwrap();
    assert_eq!((value, source.as_str()), ("new", "fresh"));
}

#[tokio::test]
async fn a_caller_with_a_stale_answer_stops_waiting_when_the_breaker_opens() {
    let rig = Rig::new();
    rig.cached("pho").await;
    rig.clock.advance(PAST_REVALIDATION);
    let has_stale = rig.read(false);
    rig.settle().await;
    assert!(!has_stale.is_finished());
    rig.open();
    let failed = has_stale.await.unwrap().unwrap_err();
    assert_eq!(failed.unanswered, Some(Unanswered::Open));
    assert_eq!(failed.stale.unwrap().value, "pho");
    assert_eq!(rig.cache.snapshot().loading, 1, "the load continues");
    rig.complete(Ok("dal")).await;
    let (value, source) = rig.read(false).await.unwrap().unwrap();
    assert_eq!((value, source.as_str()), ("dal", "fresh"));
}

#[tokio::test]
async fn a_caller_without_a_fallback_waits_for_the_load_when_the_breaker_opens() {
    let rig = Rig::new();
    let (patient, with_fallback) = (rig.read(false), rig.read(true));
    rig.settle().await;
    rig.open();
    rig.settle().await;
    let failed = with_fallback.await.unwrap().unwrap_err();
    assert_eq!(failed.unanswered, Some(Unanswered::Open));
    assert!(!patient.is_finished());
    rig.complete(Ok("pho")).await;
    assert_eq!(patient.await.unwrap().unwrap().0, "pho");
}

/// A load that waits for the load in progress does not wait for its end if the breaker opens.
#[tokio::test]
async fn a_load_that_has_not_started_is_refused_when_the_breaker_opens() {
    let rig = Rig::new();
    let _before = rig.read(false);
    rig.settle().await;
    rig.cache.invalidate(&rig.backend.gate, Name::ALL);
    let after = rig.read(false);
    rig.settle().await;
    rig.open();
    let failed = after.await.unwrap().unwrap_err();
    assert!(matches!(&*failed.error, Failure::Refused(_)), "{failed:?}");
    assert_eq!(rig.started(), 1);
}

#[tokio::test]
async fn an_open_breaker_starts_no_load() {
    let rig = Rig::new();
    rig.open();
    let failed = rig.read(false).await.unwrap().unwrap_err();
    assert_eq!(failed.unanswered, Some(Unanswered::Open));
    assert_eq!((rig.started(), rig.cache.snapshot().loading), (0, 0));
    assert_eq!(rig.backend.gate.snapshot().breaker.totals.rejected, 1);
}

/// Other waiters may wait longer for the same load.
#[tokio::test(start_paused = true)]
async fn a_waiter_leaves_when_its_own_time_is_over() {
    let rig = Rig::new();
    let patient = rig.read(false);
    let impatient = rig.read_with(false, Some(Duration::from_millis(100)));
    let failed = impatient.await.unwrap().unwrap_err();
    assert_eq!(*failed.error, Failure::Missed);
    rig.complete(Ok("pho")).await;
    assert_eq!(patient.await.unwrap().unwrap().0, "pho");
}

/// With `database_first`, the query of a read is sent after the read started.
#[tokio::test]
async fn a_database_first_read_joins_no_load_in_progress() {
    const DATABASE_FIRST: CachePolicy = CachePolicy::named("database_first")
        .database_first()
        .stale_if_error(Duration::from_secs(600));
    let rig = Rig::new();
    let before = rig.read_under(DATABASE_FIRST);
    rig.settle().await;
    let after = rig.read_under(DATABASE_FIRST);
    rig.complete(Ok("old")).await;
    assert_eq!(before.await.unwrap().unwrap().0, "old");
    rig.complete(Ok("new")).await;
    assert_eq!(after.await.unwrap().unwrap().0, "new");
    assert_eq!(rig.started(), 2);
}

#[tokio::test]
async fn a_stale_answer_is_served_unless_the_backend_answered_with_an_error() {
    let rig = Rig::new();
    rig.cached("pho").await;
    rig.clock.advance(PAST_REVALIDATION);
    for (error, expected) in [
        (Failure::Answered("no"), None),
        (Failure::Broken("reset"), Some("pho")),
    ] {
        let read = rig.read(false);
        rig.complete(Err(error)).await;
        let failed = read.await.unwrap().unwrap_err();
        assert_eq!(failed.stale.map(|served| served.value), expected);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_served_but_not_stored() {
    const SMALL: CachePolicy = MENU.max_entry_bytes(1_000);
    let rig = Rig::new();
    for bytes in [1_000, 10] {
        let question = Question {
            policy: SMALL,
            ..Rig::question(Some(LONG))
        };
        let load = || Ok(async move { Ok(Loaded { value: 7, bytes }) });
        let read = rig
            .cache
            .read(&rig.backend, &question, None, Others::None, load)
            .await;
        assert_eq!(read.unwrap().source, Source::Live);
    }
    let snapshot = rig.cache.snapshot();
    assert_eq!((snapshot.totals.too_large, snapshot.entries), (1, 1));
}

/// The type is part of the key, so this does not happen; if it did, the answer would not be served.
#[tokio::test]
async fn an_answer_of_another_type_is_not_served() {
    let rig = Rig::new();
    rig.cached("pho").await;
    let load = || {
        Ok(async {
            Ok(Loaded {
                value: 7_u64,
                bytes: 0,
            })
        })
    };
    let question = Rig::question(Some(LONG));
    let read = rig
        .cache
        .read(&rig.backend, &question, None, Others::None, load);
    assert_eq!(read.await.unwrap().value, 7);
}
