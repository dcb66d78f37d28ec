//! Cached reads and fallbacks, as on sqlx, with rows instead of values.

mod writes;

use std::sync::Arc;
use std::time::Duration;

use fusepool::cache::{CachePolicy, SMALLEST_CACHE_BYTES};
use fusepool::deadpool::postgres::{BuildError, Manager, Pool, ReadError};
use fusepool::{Breaker, ManualClock, NotARead, Source, StaleReason, Unanswered};
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use crate::support::deadpool::{builder, direct};
use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::proxy::{Fault, Proxy};

const MENU: CachePolicy = CachePolicy::named("menu")
    .fresh_for(Duration::from_secs(5))
    .stale_if_error(Duration::from_secs(600))
    .jitter(0.0)
    .tag("dishes");
const NAME: &str = "SELECT name FROM dish WHERE id = $1";

struct Kitchen {
    server: Postgres,
    proxy: Proxy,
    pool: Pool,
    clock: ManualClock,
}

impl Kitchen {
    async fn open() -> Self {
        let server = Postgres::start().await;
        let proxy = Proxy::start(server.addr()).await.unwrap();
        let clock = ManualClock::new();
        let breaker = Breaker::builder()
            .clock(clock.clone())
            .consecutive_failures(None)
            .minimum_calls(1_000);
        let pool = builder(&server, proxy.addr().port())
            .breaker(breaker)
            .build()
            .unwrap();
        let client = pool.get().await.unwrap();
        let schema = "CREATE TABLE dish (id int PRIMARY KEY, name text); \
                      INSERT INTO dish VALUES (1, 'old'), (2, NULL)";
        client.batch_execute(schema).await.unwrap();
        Self {
            server,
            proxy,
            pool,
            clock,
        }
    }

    async fn ask(&self, id: i32) -> Result<(Option<String>, Source), ReadError> {
        let read = self.pool.cached(&MENU);
        let served = read.query_one_served(NAME, &[&id]).await?;
        Ok((served.value.get(0), served.source))
    }

    async fn set(&self, name: &str) {
        let client = direct(&self.server).get().await.unwrap();
        let sql = "UPDATE dish SET name = $1 WHERE id = 1";
        client.execute(sql, &[&name]).await.unwrap();
    }

    fn loads(&self) -> u64 {
        self.pool.cache().snapshot().totals.loads
    }
}

fn got(name: &str, source: Source) -> (Option<String>, Source) {
    (Some(name.to_owned()), source)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fresh_then_asked_for_then_stale() {
    let kitchen = Kitchen::open().await;
    assert_eq!(kitchen.ask(1).await.unwrap(), got("old", Source::Live));
    kitchen.set("new").await;

    // A hit needs no connection: all are taken.
    let taken = join_all((0..4).map(|_| kitchen.pool.get())).await;
    let age = Duration::ZERO;
    let fresh = kitchen.ask(1).await.unwrap();
    assert_eq!(fresh, got("old", Source::Fresh { age }));
    drop(taken);

    let age = Duration::from_secs(10);
    kitchen.clock.advance(age);
    kitchen.proxy.set(Fault::Cut);
    eventually("connections are cut", async || kitchen.proxy.live() == 0).await;
    let reason = StaleReason::Unanswered(Unanswered::Failure);
    let stale = kitchen.ask(1).await.unwrap();
    assert_eq!(stale, got("old", Source::Stale { age, reason }));
    let open = kitchen.pool.gate().breaker().force_open();
    let reason = StaleReason::Unanswered(Unanswered::Open);
    let stale = kitchen.ask(1).await.unwrap();
    assert_eq!(stale, got("old", Source::Stale { age, reason }));
    drop(open);

    kitchen.proxy.set(Fault::None);
    eventually("the database answers", async || {
        kitchen.ask(1).await.unwrap() == got("new", Source::Live)
    })
    .await;
    kitchen.set("newer").await;
    kitchen.pool.cache().invalidate_tag("dishes");
    assert_eq!(kitchen.ask(1).await.unwrap(), got("newer", Source::Live));
}

/// Regression test: a refused login was returned instead of the fallback that was chosen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_is_no_answer() {
    let server = Postgres::start().await;
    let port = server.addr().port();
    for (password, database) in [("wrong", "postgres"), ("secret", "nowhere")] {
        let url = server.url_as("app", password, database, port);
        let manager = Manager::new(url.parse().unwrap(), NoTls);
        let pool = Pool::builder(manager).build().unwrap();
        for _ in 0..8 {
            let read = pool.read().or_value(Arc::new(Vec::new()));
            let served = read.query_served(NAME, &[&1]).await.unwrap();
            assert_eq!((served.value.len(), served.source.as_str()), (0, "default"));
        }
        assert_eq!(pool.snapshot().gate.breaker.totals.trips, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_answers_is_never_hidden() {
    let kitchen = Kitchen::open().await;
    kitchen.ask(1).await.unwrap();
    kitchen.clock.advance(Duration::from_secs(10));
    let client = kitchen.pool.get().await.unwrap();
    client.batch_execute("DROP TABLE dish").await.unwrap();
    drop(client);
    let reads = (0..10).map(|_| kitchen.ask(1));
    for read in join_all(reads).await {
        let error = read.unwrap_err();
        let answer = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
        assert_eq!(*answer.code(), SqlState::UNDEFINED_TABLE);
    }
}

/// A statement that was prepared before its table changed is prepared again, and so are the types of
/// its parameters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_survive_a_change_of_the_table() {
    let kitchen = Kitchen::open().await;
    const ALL: &str = "SELECT * FROM dish WHERE id = $1";
    let ask = async || {
        kitchen.pool.cache().invalidate_tag("dishes");
        kitchen.pool.cached(&MENU).query_one(ALL, &[&1]).await
    };
    assert_eq!(ask().await.unwrap().len(), 2);
    let client = direct(&kitchen.server).get().await.unwrap();
    client
        .batch_execute("ALTER TABLE dish ADD COLUMN price int")
        .await
        .unwrap();
    assert_eq!(ask().await.unwrap().len(), 3);
    client
        .batch_execute("ALTER TABLE dish ALTER id TYPE text")
        .await
        .unwrap();
    // An integer can no longer be compared with text, and cannot be encoded as text: the caller must
    // change the code.
    ask().await.unwrap_err();
    let read = kitchen.pool.cached(&MENU);
    let row = read.query_one(ALL, &[&"1"]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "1");
}

/// Regression test: a server that aborted a load invalidated the types of the statement's parameters.
/// Without them, no answer to that statement was found, so none was served during the outage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_is_broken_off_costs_no_stale_answer() {
    let kitchen = Kitchen::open().await;
    kitchen.ask(1).await.unwrap();
    let age = Duration::from_secs(10);
    kitchen.clock.advance(age);

    let mut cook = direct(&kitchen.server).get().await.unwrap();
    let locked = cook.transaction().await.unwrap();
    locked.batch_execute("LOCK TABLE dish").await.unwrap();
    let kill =
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let (stale, ()) = tokio::join!(
        kitchen.ask(1),
        eventually("the load is killed", async || {
            !locked.query(kill, &[]).await.unwrap().is_empty()
        })
    );
    let reason = StaleReason::Unanswered(Unanswered::Failure);
    assert_eq!(stale.unwrap(), got("old", Source::Stale { age, reason }));

    let _open = kitchen.pool.gate().breaker().force_open();
    let reason = StaleReason::Unanswered(Unanswered::Open);
    let stale = kitchen.ask(1).await.unwrap();
    assert_eq!(stale, got("old", Source::Stale { age, reason }));
}

/// Regression test: an error about one caller's arguments invalidated the types for all callers,
/// just before the database could no longer be asked for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_argument_costs_no_stale_answer() {
    let kitchen = Kitchen::open().await;
    const SHARE: &str = "SELECT 6 / $1::int";
    let ask = async |guests: i32| {
        let read = kitchen.pool.cached(&MENU);
        let served = read.query_one_served(SHARE, &[&guests]).await?;
        Ok::<_, ReadError>((served.value.get::<_, i32>(0), served.source))
    };
    assert_eq!(ask(2).await.unwrap(), (3, Source::Live));
    let error = ask(0).await.unwrap_err();
    let answer = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!(*answer.code(), SqlState::DIVISION_BY_ZERO);

    let age = Duration::from_secs(10);
    kitchen.clock.advance(age);
    let _open = kitchen.pool.gate().breaker().force_open();
    let reason = StaleReason::Unanswered(Unanswered::Open);
    assert_eq!(ask(2).await.unwrap(), (3, Source::Stale { age, reason }));
}

/// Parameters are encoded by the statement's types: they are equal for the cache exactly if they are
/// equal for the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_tell_answers_apart() {
    let kitchen = Kitchen::open().await;
    assert_eq!(kitchen.ask(1).await.unwrap().0.as_deref(), Some("old"));
    assert_eq!(kitchen.ask(2).await.unwrap().0, None);
    let pool = &kitchen.pool;
    const ECHO: &str = "SELECT $1::text IS NULL, $2::text IS NULL, $1::text, $2::text";
    let lists = [
        [Some("a"), None],
        [None, Some("a")],
        [Some("a"), Some("")],
        [Some(""), Some("a")],
        [None, None],
    ];
    let loads = kitchen.loads();
    for _ in 0..2 {
        for [first, second] in lists {
            let read = pool.cached(&MENU);
            let row = read.query_one(ECHO, &[&first, &second]).await.unwrap();
            assert_eq!((row.get(2), row.get(3)), (first, second));
        }
    }
    // The types of the statement's parameters, and an answer for each list.
    assert_eq!(kitchen.loads() - loads, 1 + lists.len() as u64);

    let scoped = |scope: &'static str| pool.cached(&MENU).vary_by(scope);
    for scope in ["a", "b"] {
        let served = scoped(scope).query_served(NAME, &[&1]).await.unwrap();
        assert_eq!(served.source, Source::Live, "{scope}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_ask_at_once_make_one_load() {
    let kitchen = Kitchen::open().await;
    let asked = (0..1_000).map(|_| {
        let pool = kitchen.pool.clone();
        tokio::spawn(async move { pool.cached(&MENU).query(NAME, &[&1]).await })
    });
    for answer in join_all(asked).await {
        assert_eq!(answer.unwrap().unwrap().len(), 1);
    }
    assert_eq!(
        kitchen.loads(),
        2,
        "one for the types, and one for the rows"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fallbacks_stand_in_with_the_cache_and_without() {
    let kitchen = Kitchen::open().await;
    let replica = Kitchen::open().await;
    replica.set("replicated").await;
    let (pool, other) = (&kitchen.pool, &replica.pool);
    let _open = pool.gate().breaker().force_open();
    let reason = Unanswered::Open;

    for read in [pool.read(), pool.cached(&MENU)] {
        let served = read
            .or_from(other)
            .query_one_served(NAME, &[&1])
            .await
            .unwrap();
        assert_eq!(served.value.get::<_, &str>(0), "replicated");
        assert_eq!(served.source, Source::OtherPool { reason });
    }
    let read = pool.read().or_value(Vec::new()).query_served(NAME, &[&1]);
    let served = read.await.unwrap();
    assert_eq!(
        (served.value.len(), served.source),
        (0, Source::Default { reason })
    );
    let simpler = other.read().query("SELECT 'simpler'", &[]);
    let served = pool
        .read()
        .or_else(simpler)
        .query_served(NAME, &[&1])
        .await
        .unwrap();
    assert_eq!(served.source, Source::Alternative { reason });
    let refused = pool.cached(&MENU).query(NAME, &[&1]).await.unwrap_err();
    assert!(fusepool::refusal(&refused).is_some(), "{refused:?}");
    assert_eq!(pool.cache().snapshot().totals.other_pools, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused() {
    let kitchen = Kitchen::open().await;
    let pool = &kitchen.pool;
    let read = pool
        .cached(&MENU)
        .query("DELETE FROM dish RETURNING id", &[]);
    let refused = read.await.unwrap_err();
    assert!(matches!(refused, ReadError::NotARead(NotARead::NoQuery)));
    let read = pool
        .read()
        .or_value(Vec::new())
        .query("SELECT 1; SELECT 2", &[]);
    let refused = read.await.unwrap_err();
    assert!(matches!(refused, ReadError::NotARead(NotARead::Several)));

    let nothing = CachePolicy::named("nothing");
    let refused = pool.cached(&nothing).query(NAME, &[&1]).await.unwrap_err();
    assert!(matches!(refused, ReadError::Config(_)), "{refused:?}");
    let read = pool
        .cached(&MENU)
        .with_timeout(Duration::ZERO)
        .query(NAME, &[&1]);
    assert!(matches!(read.await, Err(ReadError::Config(_))));
    let refused = pool.cached(&MENU).query(NAME, &[]).await.unwrap_err();
    assert!(matches!(
        refused,
        ReadError::ParameterCount {
            expected: 1,
            given: 0
        }
    ));
    let refused = pool.cached(&MENU).query(NAME, &[&"1"]).await.unwrap_err();
    assert!(matches!(refused, ReadError::Encode(_)), "{refused:?}");
    let all = pool
        .cached(&MENU)
        .query_opt("SELECT id FROM dish", &[])
        .await;
    assert!(matches!(all, Err(ReadError::RowCount(2))));
    let none = pool.cached(&MENU).query_one(NAME, &[&3]).await;
    assert!(matches!(none, Err(ReadError::RowCount(0))));

    let config = kitchen.server.url().parse().unwrap();
    let small = Pool::builder(Manager::new(config, NoTls)).cache_bytes(SMALLEST_CACHE_BYTES - 1);
    let refused = small.build().unwrap_err();
    assert!(matches!(refused, BuildError::Config(_)), "{refused:?}");
}

/// A load that hangs does not outlive its pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_end_with_the_pool() {
    let kitchen = Kitchen::open().await;
    kitchen.ask(1).await.unwrap();
    kitchen.clock.advance(Duration::from_secs(10));
    let Kitchen {
        server: _server,
        proxy,
        pool,
        ..
    } = kitchen;
    proxy.set(Fault::Stall);
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let read = pool.cached::<std::sync::Arc<_>>(&MENU);
    let asked = tokio::time::timeout(Duration::from_millis(100), read.query(NAME, &[&1])).await;
    assert!(asked.is_err());
    assert_eq!(pool.cache().snapshot().loading, 1, "it goes on alone");
    let with_load = tasks();
    drop(pool);
    // Its connection ends with it. The proxy may have accepted one more, for the cancel request.
    eventually("the load has ended", async || tasks() < with_load).await;
}
