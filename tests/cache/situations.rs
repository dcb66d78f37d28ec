//! The table of what is served when, in the documentation of `fusepool::cache`: one test for each row.

use std::time::Duration;

use fusepool::breaker::ForcedOpen;
use fusepool::cache::CachePolicy;
use fusepool::sqlx::PoolConnection;
use fusepool::{Source, StaleReason, Unanswered};
use sqlx::Error;
use tokio::task::JoinHandle;

use crate::kitchen::{FRESH, Kind, Kitchen, MENU, REVALIDATED, STALE};
use crate::support::eventually;

on_all! {
    it_answers
    the_breaker_is_open
    too_many_wait
    it_faults
    it_misses_the_deadline
    it_answers_with_an_error
    it_is_asked_on_a_lease
    it_is_asked_in_a_transaction
    under_a_policy_for_fallback_alone
}

/// The columns of the table: the age of the cached answer.
const JUST_FRESH: Duration = FRESH.saturating_sub(Duration::from_nanos(1));
const NOT_FRESH: Duration = FRESH;
const NOT_REVALIDATED: Duration = FRESH.saturating_add(REVALIDATED);
const JUST_STALE: Duration = FRESH
    .saturating_add(STALE)
    .saturating_sub(Duration::from_nanos(1));
const TOO_OLD: Duration = FRESH.saturating_add(STALE);

/// Why the database cannot answer.
#[derive(Clone, Copy)]
enum Trouble {
    None,
    Open,
    Saturated,
    Fault,
    Deadline,
    /// It can, and answers with an error.
    Answer,
}

/// A fault that is active until this is dropped.
struct Struck<K: Kind> {
    trouble: Trouble,
    open: Option<ForcedOpen>,
    leases: Vec<PoolConnection<K::Db>>,
    waiter: Option<JoinHandle<()>>,
}

impl<K: Kind> Kitchen<K> {
    /// `old` is cached and of this age, `new` in the database.
    async fn with_cached(&self, age: Duration) {
        self.pool.cache().invalidate_all();
        self.set("old").await;
        assert_eq!(served(self).await.unwrap(), live("old"));
        self.set("new").await;
        self.clock.advance(age);
    }

    async fn with_nothing_cached(&self) {
        self.pool.cache().invalidate_all();
        self.set("new").await;
    }

    async fn strike(&mut self, trouble: Trouble) -> Struck<K> {
        let mut struck = Struck {
            trouble,
            open: None,
            leases: Vec::new(),
            waiter: None,
        };
        match trouble {
            Trouble::None => {}
            Trouble::Open => struck.open = Some(self.pool.gate().breaker().force_open()),
            Trouble::Saturated => {
                for _ in 0..self.pool.options().get_max_connections() {
                    struck.leases.push(self.pool.acquire().await.unwrap());
                }
                let waiting = self.pool.acquire();
                struck.waiter = Some(tokio::spawn(async move { drop(waiting.await) }));
                eventually("one waits, which is all that may", async || {
                    self.pool.snapshot().gate.waiting == 1
                })
                .await;
            }
            Trouble::Fault => self.kind.break_down().await,
            Trouble::Deadline => self.kind.lock().await,
            Trouble::Answer => self.kind.run("ALTER TABLE dish RENAME TO gone").await,
        }
        struck
    }

    async fn heal(&mut self, struck: Struck<K>) {
        self.settled().await;
        match struck.trouble {
            Trouble::Fault => self.kind.mend(),
            Trouble::Deadline => self.kind.unlock().await,
            Trouble::Answer => self.kind.run("ALTER TABLE gone RENAME TO dish").await,
            Trouble::None | Trouble::Open | Trouble::Saturated => {}
        }
        drop((struck.open, struck.leases));
        if let Some(waiter) = struck.waiter {
            waiter.await.unwrap();
        }
        // Connections may have been lost. This test does not cover the callers that find them.
        eventually("the database answers", async || {
            self.pool.acquire().await.is_ok()
        })
        .await;
    }
}

type Got = (String, Source);

async fn served<K: Kind>(kitchen: &Kitchen<K>) -> Result<Got, Error> {
    let served = kitchen.ask().await?;
    Ok((String::clone(&served.value), served.source))
}

fn live(name: &str) -> Got {
    (name.to_owned(), Source::Live)
}

fn stale(age: Duration, reason: StaleReason) -> Got {
    ("old".to_owned(), Source::Stale { age, reason })
}

/// All columns of a row. Fresh and revalidated are always the same. `why` is the reason that is given
/// with a stale answer, and with a fallback if there is no stale answer.
async fn row<K: Kind>(trouble: Trouble, why: Unanswered) {
    let mut kitchen = Kitchen::<K>::open_with(|options| options.max_queue(1)).await;
    first_columns(&mut kitchen, trouble).await;

    for age in [NOT_REVALIDATED, JUST_STALE] {
        kitchen.with_cached(age).await;
        let struck = kitchen.strike(trouble).await;
        let got = served(&kitchen).await.unwrap();
        assert_eq!(got, stale(age, StaleReason::Unanswered(why)));
        kitchen.heal(struck).await;
    }

    for age in [Some(TOO_OLD), None] {
        match age {
            Some(age) => kitchen.with_cached(age).await,
            None => kitchen.with_nothing_cached().await,
        }
        let struck = kitchen.strike(trouble).await;
        let error = served(&kitchen).await.unwrap_err();
        let is_refusal = matches!(why, Unanswered::Open | Unanswered::Saturated);
        assert_eq!(fusepool::refusal(&error).is_some(), is_refusal, "{error:?}");
        let fallback = K::name(1, &MENU).or_value("none".to_owned());
        let served = fallback.fetch_one_served(&kitchen.pool).await.unwrap();
        assert_eq!(*served.value, "none");
        assert_eq!(served.source, Source::Default { reason: why });
        kitchen.heal(struck).await;
    }
}

/// Fresh, and within `stale_while_revalidate`: the same in every row.
async fn first_columns<K: Kind>(kitchen: &mut Kitchen<K>, trouble: Trouble) {
    for age in [Duration::ZERO, JUST_FRESH] {
        kitchen.with_cached(age).await;
        let struck = kitchen.strike(trouble).await;
        let loads = kitchen.loads();
        let got = served(kitchen).await.unwrap();
        assert_eq!(got, ("old".to_owned(), Source::Fresh { age }));
        assert_eq!(kitchen.loads(), loads, "nobody was asked");
        kitchen.heal(struck).await;
    }
    for age in [NOT_FRESH, NOT_REVALIDATED - Duration::from_nanos(1)] {
        kitchen.with_cached(age).await;
        let struck = kitchen.strike(trouble).await;
        let got = served(kitchen).await.unwrap();
        assert_eq!(got, stale(age, StaleReason::Revalidating));
        kitchen.settled().await;
        if let Trouble::None = trouble {
            let age = Duration::ZERO;
            let got = served(kitchen).await.unwrap();
            assert_eq!(got, ("new".to_owned(), Source::Fresh { age }));
        }
        kitchen.heal(struck).await;
    }
}

async fn it_answers<K: Kind>() {
    let mut kitchen = Kitchen::<K>::open().await;
    first_columns(&mut kitchen, Trouble::None).await;
    for age in [NOT_REVALIDATED, JUST_STALE, TOO_OLD] {
        kitchen.with_cached(age).await;
        assert_eq!(served(&kitchen).await.unwrap(), live("new"), "{age:?}");
    }
    kitchen.with_nothing_cached().await;
    assert_eq!(served(&kitchen).await.unwrap(), live("new"));
}

async fn the_breaker_is_open<K: Kind>() {
    row::<K>(Trouble::Open, Unanswered::Open).await;
}

async fn too_many_wait<K: Kind>() {
    row::<K>(Trouble::Saturated, Unanswered::Saturated).await;
}

async fn it_faults<K: Kind>() {
    row::<K>(Trouble::Fault, Unanswered::Failure).await;
}

async fn it_misses_the_deadline<K: Kind>() {
    row::<K>(Trouble::Deadline, Unanswered::Deadline).await;
}

/// An error that the database answered with is hidden neither by a stale value nor by a fallback.
async fn it_answers_with_an_error<K: Kind>() {
    let mut kitchen = Kitchen::<K>::open().await;
    let trouble = Trouble::Answer;
    first_columns(&mut kitchen, trouble).await;
    for age in [NOT_REVALIDATED, JUST_STALE, TOO_OLD] {
        kitchen.with_cached(age).await;
        let struck = kitchen.strike(trouble).await;
        let error = served(&kitchen).await.unwrap_err();
        assert!(matches!(error, Error::Database(_)), "{error:?}");
        let fallback = K::name(1, &MENU).or_value("none".to_owned());
        let error = fallback.fetch_one(&kitchen.pool).await.unwrap_err();
        assert!(matches!(error, Error::Database(_)), "{error:?}");
        kitchen.heal(struck).await;
    }
}

/// Neither read from the cache, nor kept in it.
async fn it_is_asked_on_a_lease<K: Kind>() {
    let kitchen = Kitchen::<K>::open().await;
    for age in [Duration::ZERO, NOT_FRESH, NOT_REVALIDATED, TOO_OLD] {
        kitchen.with_cached(age).await;
        let mut lease = kitchen.pool.acquire().await.unwrap();
        let menu = K::name(1, &MENU);
        let served = menu.fetch_one_served(&mut *lease).await.unwrap();
        assert_eq!(
            (served.value.as_str(), served.source),
            ("new", Source::Live)
        );
    }
    kitchen.with_cached(Duration::ZERO).await;
    let mut lease = kitchen.pool.acquire().await.unwrap();
    K::name(1, &MENU)
        .or_value("none".to_owned())
        .fetch_one(&mut *lease)
        .await
        .unwrap();
    drop(lease);
    assert_eq!(served(&kitchen).await.unwrap().0, "old", "it was not kept");
}

/// No fallback is served either: such a session may see what no other session sees.
async fn it_is_asked_in_a_transaction<K: Kind>() {
    let mut kitchen = Kitchen::<K>::open().await;
    for age in [Duration::ZERO, NOT_FRESH, NOT_REVALIDATED, TOO_OLD] {
        kitchen.with_cached(age).await;
        let mut transaction = kitchen.pool.begin().await.unwrap();
        let menu = K::name(1, &MENU);
        let served = menu.fetch_one_served(&mut *transaction).await.unwrap();
        assert_eq!(
            (served.value.as_str(), served.source),
            ("new", Source::Live)
        );
        K::rename("mine", (&mut *transaction).into()).await.unwrap();
        let mine = K::name(1, &MENU)
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        assert_eq!(*mine, "mine");
        transaction.rollback().await.unwrap();
    }
    kitchen.with_cached(Duration::ZERO).await;
    let mut transaction = kitchen.pool.begin().await.unwrap();
    kitchen.kind.break_down().await;
    let menu = K::name(1, &MENU).or_value("none".to_owned());
    let got = menu.fetch_one(&mut *transaction).await;
    assert!(got.is_err(), "{got:?}");
    drop(transaction);
    kitchen.kind.mend();
    assert_eq!(served(&kitchen).await.unwrap().0, "old");
}

/// The database is always asked, and the cache is used if it cannot answer.
async fn under_a_policy_for_fallback_alone<K: Kind>() {
    const POLICY: CachePolicy = CachePolicy::named("fallback")
        .database_first()
        .stale_if_error(STALE);
    let mut kitchen = Kitchen::<K>::open().await;
    let ask = async |kitchen: &Kitchen<K>| {
        let served = K::name(1, &POLICY).fetch_one_served(&kitchen.pool).await?;
        Ok::<_, Error>((String::clone(&served.value), served.source))
    };
    assert_eq!(ask(&kitchen).await.unwrap(), live("old"));
    kitchen.set("new").await;
    assert_eq!(ask(&kitchen).await.unwrap(), live("new"));
    let age = STALE - Duration::from_nanos(1);
    kitchen.clock.advance(age);
    let struck = kitchen.strike(Trouble::Fault).await;
    let reason = StaleReason::Unanswered(Unanswered::Failure);
    let expected = ("new".to_owned(), Source::Stale { age, reason });
    assert_eq!(ask(&kitchen).await.unwrap(), expected);
    kitchen.clock.advance(Duration::from_nanos(1));
    ask(&kitchen).await.unwrap_err();
    kitchen.heal(struck).await;
}
