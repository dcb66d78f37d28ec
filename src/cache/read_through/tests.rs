//! Loads that end when the test says so, on a manual clock.

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
use crate::cache::origin::Task;
use crate::cache::policy::CachePolicy;
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
    /// What the backend said.
    Answered(&'static str),
    /// The backend could not be asked.
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

    fn spawn(&self, task: Task) {
        self.tasks.lock().unwrap().spawn(task);
    }
}

type Brought = Result<&'static str, Failure>;
type Answer = Result<(&'static str, Source), Failed<&'static str, Failure>>;

/// A cache, its backend, and the loads that wait to be told what they bring.
struct Rig {
    cache: Arc<Answers>,
    backend: Arc<Backend>,
    clock: ManualClock,
    started: Arc<AtomicUsize>,
    loads: Arc<Mutex<Vec<oneshot::Sender<Brought>>>>,
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

    fn question(patience: Duration) -> Question {
        let key = KeyHasher::new().finish();
        Question {
            policy: MENU,
            key,
            base: key,
            tags: Vec::new(),
            patience,
        }
    }

    /// Asks, in a task of its own.
    fn ask(&self, may_leave: bool) -> tokio::task::JoinHandle<Answer> {
        self.ask_with(may_leave, LONG)
    }

    fn ask_with(&self, may_leave: bool, patience: Duration) -> tokio::task::JoinHandle<Answer> {
        self.put(Self::question(patience), may_leave)
    }

    fn ask_under(&self, policy: CachePolicy) -> tokio::task::JoinHandle<Answer> {
        let question = Self::question(LONG);
        self.put(Question { policy, ..question }, false)
    }

    fn put(&self, question: Question, may_leave: bool) -> tokio::task::JoinHandle<Answer> {
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
            let served = cache.read(&backend, &question, may_leave, load).await?;
            Ok((served.value, served.source))
        })
    }

    /// Lets everything run that can.
    async fn settle(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    /// The oldest load that waits brings this.
    async fn bring(&self, brought: Brought) {
        self.settle().await;
        let load = self.loads.lock().unwrap().remove(0);
        load.send(brought).unwrap();
        self.settle().await;
    }

    fn started(&self) -> usize {
        self.started.load(Ordering::SeqCst)
    }

    async fn cached(&self, value: &'static str) {
        let asked = self.ask(false);
        self.bring(Ok(value)).await;
        assert_eq!(asked.await.unwrap().unwrap(), (value, Source::Live));
    }

    /// Opens the breaker, as five failures in a row do.
    fn open(&self) {
        for _ in 0..5 {
            self.backend
                .gate
                .breaker()
                .observe()
                .settle(Verdict::Failure);
        }
    }
}

#[tokio::test]
async fn a_thousand_who_ask_at_once_make_one_load() {
    let rig = Rig::new();
    let asked: Vec<_> = (0..1_000).map(|_| rig.ask(false)).collect();
    rig.bring(Ok("pho")).await;
    for answer in asked {
        assert_eq!(answer.await.unwrap().unwrap(), ("pho", Source::Live));
    }
    assert_eq!(rig.started(), 1);
    assert_eq!(rig.cache.snapshot().loads, 1);
}

/// As happens to one who looks just before a load lands, and boards just after.
#[tokio::test]
async fn an_answer_that_came_before_one_boards_is_not_asked_for_again() {
    let rig = Rig::new();
    rig.cached("pho").await;
    let question = Rig::question(LONG);
    let load = ready(Ok(Loaded {
        value: "bun",
        bytes: 0,
    }));
    let boarded = rig.cache.join(&rig.backend, &question, load);
    let entry = boarded.outcome().await.unwrap().unwrap();
    assert_eq!(entry.value(), Some("pho"));
    assert_eq!(rig.cache.snapshot().loads, 1);
}

#[tokio::test]
async fn a_load_that_fails_fails_those_who_waited_and_nobody_else() {
    let rig = Rig::new();
    let asked: Vec<_> = (0..10).map(|_| rig.ask(false)).collect();
    rig.bring(Err(Failure::Answered("no such table"))).await;
    let mut errors = Vec::new();
    for answer in asked {
        errors.push(answer.await.unwrap().unwrap_err().error);
    }
    assert!(errors.iter().all(|error| Arc::ptr_eq(error, &errors[0])));
    assert_eq!(*errors[0], Failure::Answered("no such table"));
    rig.cached("pho").await;
    assert_eq!(rig.started(), 2);
}

#[tokio::test]
async fn a_load_outlives_who_started_it() {
    let rig = Rig::new();
    let first = rig.ask(false);
    rig.settle().await;
    first.abort();
    let second = rig.ask(false);
    rig.bring(Ok("pho")).await;
    assert_eq!(second.await.unwrap().unwrap().0, "pho");
    assert_eq!(rig.started(), 1);

    // Even with nobody left to wait for it.
    rig.cache.invalidate(&rig.backend.gate, Name::tag("dishes"));
    let alone = rig.ask(false);
    rig.settle().await;
    alone.abort();
    rig.bring(Ok("dal")).await;
    let (value, source) = rig.ask(false).await.unwrap().unwrap();
    assert_eq!(value, "dal");
    assert!(matches!(source, Source::Fresh { .. }));
}

#[tokio::test]
async fn a_load_that_is_stopped_tells_who_waits() {
    let rig = Rig::new();
    let asked = rig.ask(false);
    rig.settle().await;
    rig.backend.tasks.lock().unwrap().abort_all();
    let failed = asked.await.unwrap().unwrap_err();
    assert_eq!(*failed.error, Failure::Lost);
    assert_eq!(rig.cache.snapshot().loading, 0);
}

#[tokio::test]
async fn one_load_revalidates_for_all() {
    let rig = Rig::new();
    rig.cached("pho").await;
    let age = Duration::from_secs(10);
    rig.clock.advance(age);
    for _ in 0..10 {
        let served = rig.ask(false).await.unwrap().unwrap();
        let reason = StaleReason::Revalidating;
        assert_eq!(served, ("pho", Source::Stale { age, reason }));
    }
    rig.settle().await;
    assert_eq!(rig.started(), 2);
    rig.bring(Ok("dal")).await;
    assert_eq!(rig.ask(false).await.unwrap().unwrap().0, "dal");
    assert_eq!(rig.cache.snapshot().revalidating, 10);
}

/// What was asked before the write must not be seen after it: not by those who come after, and not
/// in the cache. And still there is one load at a time.
#[tokio::test]
async fn a_load_under_way_when_its_tag_is_invalidated_is_not_kept() {
    let rig = Rig::new();
    let before = rig.ask(false);
    rig.settle().await;
    rig.cache.invalidate(&rig.backend.gate, Name::tag("dishes"));
    let after: Vec<_> = (0..10).map(|_| rig.ask(false)).collect();
    rig.settle().await;
    assert_eq!(rig.started(), 1, "the next load waits for this one");

    rig.bring(Ok("old")).await;
    assert_eq!(before.await.unwrap().unwrap().0, "old");
    assert_eq!(rig.cache.snapshot().outdated, 1);
    assert_eq!(rig.started(), 2);
    rig.bring(Ok("new")).await;
    for answer in after {
        assert_eq!(answer.await.unwrap().unwrap(), ("new", Source::Live));
    }
    let (value, source) = rig.ask(false).await.unwrap().unwrap();
    assert_eq!((value, source.as_str()), ("new", "fresh"));
}

#[tokio::test]
async fn whoever_has_something_else_leaves_when_the_breaker_opens() {
    let rig = Rig::new();
    rig.cached("pho").await;
    rig.clock.advance(PAST_REVALIDATION);
    let has_stale = rig.ask(false);
    rig.settle().await;
    assert!(!has_stale.is_finished());
    rig.open();
    let failed = has_stale.await.unwrap().unwrap_err();
    assert_eq!(failed.unanswered, Some(Unanswered::Open));
    assert_eq!(failed.stale.unwrap().value, "pho");
    assert_eq!(rig.cache.snapshot().loading, 1, "the load goes on");
    rig.bring(Ok("dal")).await;
    let (value, source) = rig.ask(false).await.unwrap().unwrap();
    assert_eq!((value, source.as_str()), ("dal", "fresh"));
}

#[tokio::test]
async fn whoever_has_nothing_else_waits_for_the_load_that_was_sent() {
    let rig = Rig::new();
    let (patient, with_fallback) = (rig.ask(false), rig.ask(true));
    rig.settle().await;
    rig.open();
    rig.settle().await;
    let failed = with_fallback.await.unwrap().unwrap_err();
    assert_eq!(failed.unanswered, Some(Unanswered::Open));
    assert!(!patient.is_finished());
    rig.bring(Ok("pho")).await;
    assert_eq!(patient.await.unwrap().unwrap().0, "pho");
}

/// One who waits for the load after the one under way is refused with it, not after it.
#[tokio::test]
async fn a_load_that_has_not_started_is_refused_when_the_breaker_opens() {
    let rig = Rig::new();
    let _before = rig.ask(false);
    rig.settle().await;
    rig.cache.invalidate(&rig.backend.gate, Name::ALL);
    let after = rig.ask(false);
    rig.settle().await;
    rig.open();
    let failed = after.await.unwrap().unwrap_err();
    assert!(matches!(&*failed.error, Failure::Refused(_)), "{failed:?}");
    assert_eq!(rig.started(), 1);
}

#[tokio::test]
async fn an_open_breaker_spares_the_load() {
    let rig = Rig::new();
    rig.open();
    let failed = rig.ask(false).await.unwrap().unwrap_err();
    assert_eq!(failed.unanswered, Some(Unanswered::Open));
    assert_eq!((rig.started(), rig.cache.snapshot().loading), (0, 0));
    assert_eq!(rig.backend.gate.snapshot().breaker.rejected, 1);
}

/// Others may have given the load more time.
#[tokio::test(start_paused = true)]
async fn whoever_has_less_time_than_the_load_leaves_earlier() {
    let rig = Rig::new();
    let patient = rig.ask(false);
    let hasty = rig.ask_with(false, Duration::from_millis(100));
    let failed = hasty.await.unwrap().unwrap_err();
    assert_eq!(*failed.error, Failure::Missed);
    rig.bring(Ok("pho")).await;
    assert_eq!(patient.await.unwrap().unwrap().0, "pho");
}

/// What was asked for before one asked is no answer to one who always asks.
#[tokio::test]
async fn whoever_always_asks_joins_no_load_under_way() {
    const ALWAYS: CachePolicy = CachePolicy::named("always")
        .database_first()
        .stale_if_error(Duration::from_secs(600));
    let rig = Rig::new();
    let before = rig.ask_under(ALWAYS);
    rig.settle().await;
    let after = rig.ask_under(ALWAYS);
    rig.bring(Ok("old")).await;
    assert_eq!(before.await.unwrap().unwrap().0, "old");
    rig.bring(Ok("new")).await;
    assert_eq!(after.await.unwrap().unwrap().0, "new");
    assert_eq!(rig.started(), 2);
}

/// Nothing of an answer's own kind is served instead of one that the backend gave.
#[tokio::test]
async fn what_was_answered_hides_what_is_stale_and_what_was_not_does_not() {
    let rig = Rig::new();
    rig.cached("pho").await;
    rig.clock.advance(PAST_REVALIDATION);
    for (brought, expected) in [
        (Failure::Answered("no"), None),
        (Failure::Broken("reset"), Some("pho")),
    ] {
        let asked = rig.ask(false);
        rig.bring(Err(brought)).await;
        let failed = asked.await.unwrap().unwrap_err();
        assert_eq!(failed.stale.map(|served| served.value), expected);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_served_and_not_kept() {
    const SMALL: CachePolicy = MENU.max_entry_bytes(1_000);
    let rig = Rig::new();
    for bytes in [1_000, 10] {
        let question = Question {
            policy: SMALL,
            ..Rig::question(LONG)
        };
        let load = || Ok(async move { Ok(Loaded { value: 7, bytes }) });
        let read = rig.cache.read(&rig.backend, &question, false, load).await;
        assert_eq!(read.unwrap().source, Source::Live);
    }
    let snapshot = rig.cache.snapshot();
    assert_eq!((snapshot.too_large, snapshot.entries), (1, 1));
}

/// The key of one type is never asked for with another, but if it were, nothing is served.
#[tokio::test]
async fn an_answer_of_another_type_is_none() {
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
    let question = Rig::question(LONG);
    let read = rig.cache.read(&rig.backend, &question, false, load);
    assert_eq!(read.await.unwrap().value, 7);
}
