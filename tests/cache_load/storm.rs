//! Ten thousand tasks, a hundred items, and random faults.

use std::array::from_fn;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use fusepool::breaker::{Breaker, State, Window};
use fusepool::cache::CachePolicy;
use fusepool::sqlx::{Delivery, Pool, PoolOptions, delivery};
use fusepool::{Clock, PreciseClock, Source, StaleReason};
use futures_util::future::join_all;
use sqlx::Error;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::history::History;
use crate::loads::Loads;
use crate::support::eventually;
use crate::support::proxy::{Fault, Proxy};
use crate::system::System;

on_both! { every_value_is_true_and_new_enough }

const TASKS: usize = 10_000;
const ITEMS: usize = 100;
/// The time over which the tasks start: all of them at once would only measure this machine.
const SPREAD: Duration = Duration::from_secs(12);
const STEPS: usize = 4;
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(200);
const QUERY_TIMEOUT: Duration = Duration::from_millis(600);
const MAX_AGE: Duration = Duration::from_millis(700);
/// Longer than any load takes, including the pauses of this machine: a caller that joins a running load
/// gets the value from its start.
const LONGEST_LOAD: Duration = Duration::from_secs(5);

/// The policy of one item, so that its loads can be distinguished.
fn policy(item: usize) -> CachePolicy {
    let name = format!("item {item}");
    CachePolicy::named(name.leak())
        .fresh_for(Duration::from_millis(100))
        .stale_while_revalidate(Duration::from_millis(100))
        .stale_if_error(Duration::from_millis(600))
        .tag("items")
}

struct World<S: System> {
    pool: Pool<S::Db>,
    outside: sqlx::Pool<S::Db>,
    clock: PreciseClock,
    policies: [CachePolicy; ITEMS],
    tags: [String; ITEMS],
    histories: [History; ITEMS],
    tally: Tally,
}

async fn every_value_is_true_and_new_enough<S: System>() {
    let seed = match std::env::var("FUSEPOOL_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("{}: FUSEPOOL_SEED={seed}", S::NAME);
    let server = S::start().await;
    server.admin(S::SCHEMA).await;
    let proxy = Proxy::start(server.addr()).await.unwrap();
    let clock = PreciseClock::new();
    let loads = Loads::new(clock);
    let options = PoolOptions::<S::Db>::new()
        .max_connections(8)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .query_timeout(QUERY_TIMEOUT)
        .breaker(breaker().clock(clock))
        .sink(loads.clone());
    let world = Arc::new(World::<S> {
        pool: S::lazy(options, &server.url_via(proxy.addr().port())),
        outside: sqlx::pool::PoolOptions::new()
            .connect_lazy(&server.url())
            .unwrap(),
        clock,
        policies: from_fn(policy),
        tags: from_fn(|item| format!("item:{item}")),
        histories: from_fn(|_| History::default()),
        tally: Tally::default(),
    });

    let mut tasks = JoinSet::new();
    let mut random = Rng::with_seed(seed);
    for _ in 0..TASKS {
        let (world, random) = (Arc::clone(&world), random.fork());
        tasks.spawn(async move { world.visit(random).await });
    }
    let faults = tokio::spawn(suffer(Arc::new(proxy), random));
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no task panics");
    }
    let proxy = faults.await.unwrap();

    world
        .histories
        .iter()
        .for_each(History::assert_only_committed);
    loads.assert_one_at_a_time();
    println!("{}: {} loads; {}", S::NAME, loads.count(), world.tally);
    println!("{}: {:?}", S::NAME, world.pool.cache().snapshot());
    world.tally.assert_all_happened();
    world.assert_well().await;
    drop(proxy);
}

/// A breaker that opens and closes quickly.
fn breaker() -> fusepool::breaker::Builder {
    Breaker::builder()
        .window(Window::calls(20))
        .slow_call_threshold(Duration::from_millis(100))
        .open_duration(Duration::from_millis(100))
        .max_open_duration(Duration::from_millis(300))
        .probe_timeout(Duration::from_millis(200))
}

/// Sets one fault after the other until all tasks have started, then heals.
async fn suffer(proxy: Arc<Proxy>, mut random: Rng) -> Arc<Proxy> {
    let faults = async {
        loop {
            sleep(Duration::from_millis(random.u64(200..800))).await;
            proxy.set(match random.u8(0..8) {
                0 => Fault::Cut,
                1 => Fault::Reset,
                2 => Fault::Refuse,
                3..5 => Fault::Zombie,
                5..7 => Fault::Delay(Duration::from_millis(random.u64(5..80))),
                _ => Fault::Stall,
            });
            sleep(Duration::from_millis(random.u64(50..1_200))).await;
            proxy.set(Fault::None);
        }
    };
    let _ = timeout(SPREAD, faults).await;
    proxy.set(Fault::None);
    proxy
}

impl<S: System> World<S> {
    /// The work of one task.
    async fn visit(self: Arc<Self>, mut random: Rng) {
        sleep(SPREAD.mul_f64(random.f64())).await;
        for _ in 0..STEPS {
            // Most reads are of a few items.
            let item = (random.f64().powi(2) * ITEMS as f64) as usize;
            match random.u8(0..100) {
                0..3 => self.write(item).await,
                3..5 => self.write_in_transaction(item, random.bool()).await,
                5..8 => self.write_outside(item, random.bool()).await,
                8 => self.give_up(&mut random, self.write(item)).await,
                9..25 => self.give_up(&mut random, self.read(item)).await,
                _ => {}
            }
            // Among others, the item that it has just written.
            self.read(item).await;
            sleep(Duration::from_millis(random.u64(0..30))).await;
        }
    }

    /// Drops the call after a random time.
    async fn give_up(&self, random: &mut Rng, call: impl Future<Output = ()>) {
        let patience = Duration::from_micros(random.u64(0..20_000));
        if timeout(patience, call).await.is_err() {
            self.tally.given_up.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn read(&self, item: usize) {
        let history = &self.histories[item];
        let floor = history.floor();
        let start = self.clock.now();
        let read = S::version(item as i64, &self.policies[item]).tag(&self.tags[item]);
        let served = match read.fetch_one_served(&self.pool).await {
            Ok(served) => served,
            Err(error) => return self.tally.failed(&error),
        };
        let version = *served.value;
        history.seen(version);
        assert!(
            version >= floor,
            "item {item}: {version} was served to one who came after the write of {floor}: {:?}",
            served.source
        );
        let age = match served.source {
            Source::Live => LONGEST_LOAD,
            _ => MAX_AGE,
        };
        let known = history.known_at(start.saturating_sub(age));
        assert!(
            version >= known,
            "item {item}: {version} was served {age:?} after {known} was written: {:?}",
            served.source
        );
        assert!(served.source.age().unwrap_or_default() < MAX_AGE);
        self.tally.served(served.source);
    }

    async fn write(&self, item: usize) {
        let version = self.histories[item].next();
        let tags = [self.tags[item].as_str()];
        let result = S::raise(&self.pool, item as i64, version, &tags).await;
        self.written(item, version, &result);
    }

    async fn write_in_transaction(&self, item: usize, commits: bool) {
        let version = self.histories[item].next();
        if !commits {
            self.histories[item].void(version);
        }
        let result = async {
            let mut transaction = self.pool.begin().await?;
            let tags = [self.tags[item].as_str()];
            S::raise(&mut *transaction, item as i64, version, &tags).await?;
            match commits {
                true => transaction.commit().await,
                false => transaction.rollback().await,
            }
        };
        let result = result.await;
        if commits {
            self.written(item, version, &result);
        }
    }

    fn written(&self, item: usize, version: i64, result: &Result<(), Error>) {
        let history = &self.histories[item];
        match result {
            Ok(()) => {
                history.committed(version, self.clock.now());
                history.published(version);
                self.tally.written.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) if delivery(error) == Delivery::Unknown => {}
            Err(_) => history.void(version),
        }
    }

    /// A write past the pool, after which the cache may be invalidated by hand.
    async fn write_outside(&self, item: usize, tells: bool) {
        let history = &self.histories[item];
        let version = history.next();
        S::raise_outside(&self.outside, item as i64, version).await;
        history.committed(version, self.clock.now());
        if tells {
            self.pool.cache().invalidate_tag(&self.tags[item]);
            history.published(version);
        }
        self.tally.written.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing is left behind, and every caller is served the current value.
    async fn assert_well(&self) {
        // The next caller finds a connection that was cut while it was idle.
        eventually(
            "the breaker is closed, and all connections answer",
            async || {
                let size = self.pool.options().get_max_connections();
                let leases = join_all((0..size).map(|_| self.pool.acquire())).await;
                let mut answered = 0;
                for mut lease in leases.into_iter().flatten() {
                    answered += u32::from(lease.ping().await.is_ok());
                }
                answered == size && self.pool.gate().breaker().state() == State::Closed
            },
        )
        .await;
        eventually("all loads end", async || {
            self.pool.cache().snapshot().loading == 0
        })
        .await;
        self.pool.cache().invalidate_tag("items");
        for item in 0..ITEMS {
            let (id, policy) = (item as i64, &self.policies[item]);
            let cached = S::version(id, policy).fetch_one(&self.pool).await.unwrap();
            let mut transaction = self.pool.begin().await.unwrap();
            let truth = S::version(id, policy).fetch_one(&mut *transaction).await;
            assert_eq!(cached, truth.unwrap());
        }
    }
}

/// Prints what happened, to show that all kinds of events did.
#[derive(Default)]
struct Tally {
    live: AtomicUsize,
    fresh: AtomicUsize,
    revalidating: AtomicUsize,
    stale: AtomicUsize,
    refused: AtomicUsize,
    failed: AtomicUsize,
    given_up: AtomicUsize,
    written: AtomicUsize,
}

impl Tally {
    fn served(&self, source: Source) {
        let counter = match source {
            Source::Live => &self.live,
            Source::Fresh { .. } => &self.fresh,
            Source::Stale {
                reason: StaleReason::Revalidating,
                ..
            } => &self.revalidating,
            _ => &self.stale,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, error: &Error) {
        let counter = match fusepool::refusal(error) {
            Some(_) => &self.refused,
            None => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn all(&self) -> [(&'static str, usize); 8] {
        [
            ("live", &self.live),
            ("fresh", &self.fresh),
            ("revalidating", &self.revalidating),
            ("stale", &self.stale),
            ("refused", &self.refused),
            ("failed", &self.failed),
            ("given up", &self.given_up),
            ("written", &self.written),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }

    fn assert_all_happened(&self) {
        for (name, count) in self.all() {
            assert!(count > 0, "nothing was {name}: {self}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all().map(|(name, count)| format!("{count} {name}"));
        f.write_str(&all.join(", "))
    }
}
