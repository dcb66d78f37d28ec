//! The memory that the cache takes, measured by the allocations of the process.
//!
//! The load is a stream of queries of which none repeats, such as an attacker or a crawler sends. The
//! measurement counts the requested bytes, without the overhead of the allocator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use fusepool::cache::{CachePolicy, CacheSnapshot};
use fusepool::sqlx::{ReadExt, SqlitePool, SqlitePoolOptions};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::sync::{Mutex, MutexGuard};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations are counted for the whole process: one test runs at a time.
static TURN: Mutex<()> = Mutex::const_new(());

const BOUND: u64 = 2 << 20;
const KEPT: CachePolicy = CachePolicy::named("kept").fresh_for(Duration::from_secs(3600));

fn allocated() -> i64 {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated as i64 - stats.bytes_deallocated as i64
}

struct World {
    pool: SqlitePool,
    before: i64,
    _turn: MutexGuard<'static, ()>,
}

#[derive(sqlx::FromRow)]
#[expect(dead_code, reason = "only the memory that it takes matters")]
struct Wide {
    a: String,
    b: Option<String>,
    c: i64,
    d: Vec<u8>,
    e: String,
    f: f64,
    g: String,
    h: Option<String>,
}

impl World {
    async fn start() -> Self {
        let turn = TURN.lock().await;
        let options = SqlitePoolOptions::new().max_connections(1);
        let pool = options
            .cache_bytes(BOUND)
            .connect("sqlite::memory:")
            .await
            .unwrap();
        let mut world = Self {
            pool,
            before: 0,
            _turn: turn,
        };
        // The prepared statements of a connection are not part of the cache.
        for id in 0..3 {
            world.tiny(id).await;
            world.large(id, 10).await;
            world.wide(id).await;
        }
        world.pool.cache().invalidate_all();
        world.before = allocated();
        world
    }

    async fn tiny(&self, id: i64) {
        let read = sqlx::query_scalar::<_, i64>("SELECT ?").bind(id);
        let answer: Arc<i64> = read.cached(&KEPT).fetch_one(&self.pool).await.unwrap();
        assert_eq!(*answer, id);
    }

    async fn large(&self, id: i64, length: i64) {
        let read = sqlx::query_scalar::<_, String>("SELECT printf('%.*c', ?2, ?1 % 10)");
        let read = read.bind(id).bind(length).cached(&KEPT);
        assert_eq!(
            read.fetch_one(&self.pool).await.unwrap().len(),
            length as usize
        );
    }

    async fn wide(&self, id: i64) {
        let read = sqlx::query_as::<_, Wide>(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) \
             SELECT 'a' || ? AS a, NULL AS b, i AS c, x'00ff' AS d, 'a longer text, of a note' AS e, \
             0.5 AS f, '' AS g, 'h' AS h FROM n",
        );
        let read = read.bind(id).cached(&KEPT);
        assert_eq!(read.fetch_all(&self.pool).await.unwrap().len(), 20);
    }

    fn snapshot(&self) -> CacheSnapshot {
        self.pool.cache().snapshot()
    }

    /// The stream has filled the cache, and memory has stayed within the bound.
    fn assert_bounded(&self, what: &str) {
        let taken = allocated() - self.before;
        let snapshot = self.snapshot();
        let (part, reckoned) = (
            taken as f64 / BOUND as f64,
            snapshot.bytes as f64 / taken as f64,
        );
        println!(
            "{what}: {} entries, {taken} bytes taken, {part:.3} of the bound; {} reckoned, {reckoned:.2} of \
             those taken",
            snapshot.entries, snapshot.bytes
        );
        assert!(snapshot.totals.evictions > 0, "the cache was not full");
        assert!(snapshot.bytes <= BOUND);
        assert!(part <= 1.10, "{what} take {part:.3} of the bound");
        assert!(
            (0.9..2.0).contains(&reckoned),
            "{what}: {reckoned:.2} of what is taken is reckoned"
        );
    }
}

#[tokio::test]
async fn tiny_answers_stay_within_the_bound() {
    let world = World::start().await;
    for id in 10..16_000 {
        world.tiny(id).await;
    }
    world.assert_bounded("tiny answers");
}

#[tokio::test]
async fn large_answers_stay_within_the_bound() {
    let world = World::start().await;
    for id in 10..800 {
        world.large(id, 20_000).await;
    }
    world.assert_bounded("large answers");
}

#[tokio::test]
async fn answers_of_many_columns_stay_within_the_bound() {
    let world = World::start().await;
    for id in 10..1_500 {
        world.wide(id).await;
    }
    world.assert_bounded("answers of many columns");
}

/// The sizes change while the cache is full.
#[tokio::test]
async fn answers_of_all_sizes_stay_within_the_bound() {
    let world = World::start().await;
    for id in 10..6_000 {
        match id % 4 {
            0 => world.large(id, 1 + id * 7 % 30_000).await,
            1 if id % 8 == 1 => world.wide(id).await,
            _ => world.tiny(id).await,
        }
    }
    world.assert_bounded("answers of all sizes");
}

/// Answers that are read all the time stay, whatever else is read once.
#[tokio::test]
async fn a_stream_does_not_push_out_what_is_in_use() {
    let world = World::start().await;
    // Half of what the cache can hold.
    let in_use = 0..100_i64;
    for id in in_use.clone() {
        world.wide(id).await;
    }
    for id in 10_000..30_000 {
        world.tiny(id).await;
        world.wide(id % in_use.end).await;
    }
    assert!(
        world.snapshot().totals.evictions > 10_000,
        "the stream passed through"
    );
    let before = world.snapshot();
    for id in in_use.clone() {
        world.wide(id).await;
    }
    let hits = world.snapshot().totals.hits - before.totals.hits;
    assert_eq!(hits, in_use.end as u64, "some were pushed out");
}

/// An answer that is larger than its policy allows, or than the cache can hold, is served but not
/// kept.
#[tokio::test]
async fn an_answer_that_is_too_large_is_not_kept() {
    const SMALL: CachePolicy = KEPT.max_entry_bytes(1_000);
    let world = World::start().await;
    let zeros = |length: i64, policy: &CachePolicy| {
        let sql = "SELECT printf('%.*c', ?, 'x')";
        sqlx::query_scalar::<_, String>(sql)
            .bind(length)
            .cached(policy)
    };
    let read: Arc<String> = zeros(1_000, &SMALL).fetch_one(&world.pool).await.unwrap();
    assert_eq!(read.len(), 1_000);
    let huge = KEPT.max_entry_bytes(2 * BOUND);
    let length = BOUND as i64 + 1;
    let read: Arc<String> = zeros(length, &huge).fetch_one(&world.pool).await.unwrap();
    assert_eq!(read.len() as i64, length);
    let snapshot = world.snapshot();
    assert_eq!((snapshot.entries, snapshot.totals.too_large), (0, 2));
    let read: Arc<String> = zeros(100, &SMALL).fetch_one(&world.pool).await.unwrap();
    assert_eq!((read.len(), world.snapshot().entries), (100, 1));
}

/// A newer answer to the same question replaces the older one, and evicts no other.
#[tokio::test]
async fn a_newer_answer_is_no_eviction() {
    let world = World::start().await;
    world.tiny(1).await;
    world.pool.cache().invalidate_policy(&KEPT);
    world.tiny(1).await;
    let snapshot = world.snapshot();
    assert_eq!((snapshot.entries, snapshot.totals.evictions), (1, 0));
}
