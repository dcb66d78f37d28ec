// The methods of pools and connections, which do not depend on the driver or the tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::driver::{Db, DbConnection};
use super::imports::{Pool, PoolConnection, PoolOptions};
use crate::Checked;
use sqlx::{Connection, Database, Executor};

/// Runs every use against a reachable database.
pub async fn all(url: &str) -> Checked {
    options_are_set_and_read(url).await?;
    new_connections_are_prepared(url).await?;
    idle_connections_are_looked_over(url).await?;
    released_connections_are_looked_over(url).await?;
    sizes_are_reported(url).await?;
    connections_leave_the_pool(url).await?;
    connections_are_pinged(url).await?;
    acquiring_outlives_the_borrow(url).await?;
    everything_prints(url).await?;
    generic_code_takes_any_pool(url).await?;
    exhaustion_times_out(url).await?;
    waiting_tasks_take_turns(url).await?;
    closed_pools_refuse(url).await?;
    closing_is_announced(url).await?;
    Ok(())
}

async fn one<'e>(executor: impl Executor<'e, Database = Db>) -> sqlx::Result<i32> {
    sqlx::query_scalar("SELECT 1").fetch_one(executor).await
}

/// Waits for the pool's background work.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn options_are_set_and_read(url: &str) -> Checked {
    let level = "debug".parse().expect("a log level");
    let options = PoolOptions::<Db>::new()
        .max_connections(3)
        .min_connections(1)
        .acquire_time_level(level)
        .acquire_slow_level(level)
        .acquire_slow_threshold(Duration::from_secs(1))
        .acquire_timeout(Duration::from_secs(5))
        .max_lifetime(Duration::from_secs(60))
        .idle_timeout(Some(Duration::from_secs(30)))
        .test_before_acquire(false);
    let pool = options.clone().connect(url).await?;

    for options in [&options, pool.options()] {
        assert_eq!(options.get_max_connections(), 3);
        assert_eq!(options.get_min_connections(), 1);
        assert_eq!(options.get_acquire_slow_threshold(), Duration::from_secs(1));
        assert_eq!(options.get_acquire_timeout(), Duration::from_secs(5));
        assert_eq!(options.get_max_lifetime(), Some(Duration::from_secs(60)));
        assert_eq!(options.get_idle_timeout(), Some(Duration::from_secs(30)));
        assert!(!options.get_test_before_acquire());
    }

    let endless = PoolOptions::<Db>::default()
        .max_lifetime(None)
        .idle_timeout(None);
    assert_eq!(endless.get_max_lifetime(), None);
    assert_eq!(endless.get_idle_timeout(), None);
    assert!(endless.get_test_before_acquire());
    assert_eq!(one(&pool).await?, 1);
    Ok(())
}

async fn new_connections_are_prepared(url: &str) -> Checked {
    let prepared = Arc::new(AtomicU32::new(0));
    let counter = prepared.clone();
    let pool = PoolOptions::<Db>::new()
        .max_connections(2)
        .after_connect(move |conn, meta| {
            let counter = counter.clone();
            Box::pin(async move {
                assert_eq!(meta.age, Duration::ZERO);
                conn.execute("SELECT 1").await?;
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
        })
        .connect(url)
        .await?;

    let (first, second) = (pool.acquire().await?, pool.acquire().await?);
    drop((first, second));
    assert_eq!(one(&pool).await?, 1);
    assert_eq!(prepared.load(Ordering::SeqCst), 2);
    Ok(())
}

async fn idle_connections_are_looked_over(url: &str) -> Checked {
    let connected = Arc::new(AtomicU32::new(0));
    let wanted = Arc::new(AtomicBool::new(true));
    let (counter, answer) = (connected.clone(), wanted.clone());
    let pool = PoolOptions::<Db>::new()
        .max_connections(1)
        .test_before_acquire(false)
        .after_connect(move |_conn, _meta| {
            counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move { Ok(()) })
        })
        .before_acquire(move |conn, meta| {
            let wanted = answer.load(Ordering::SeqCst);
            Box::pin(async move {
                if meta.idle_for.as_secs() > 60 {
                    conn.ping().await?;
                }
                Ok(wanted)
            })
        })
        .connect(url)
        .await?;

    drop(pool.acquire().await?);
    drop(pool.acquire().await?);
    assert_eq!(connected.load(Ordering::SeqCst), 1);
    wanted.store(false, Ordering::SeqCst);
    drop(pool.acquire().await?);
    assert_eq!(connected.load(Ordering::SeqCst), 2);
    Ok(())
}

async fn released_connections_are_looked_over(url: &str) -> Checked {
    let pool = PoolOptions::<Db>::new()
        .after_release(|conn, meta| {
            Box::pin(async move {
                assert_eq!(meta.idle_for, Duration::ZERO);
                let one: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&mut *conn).await?;
                Ok(one == 2)
            })
        })
        .connect_lazy(url)?;

    let conn = pool.acquire().await?;
    assert_eq!(pool.size(), 1);
    drop(conn);
    eventually("the connection is not kept", || pool.size() == 0).await;
    Ok(())
}

async fn sizes_are_reported(url: &str) -> Checked {
    let pool = PoolOptions::<Db>::new()
        .max_connections(2)
        .connect_lazy(url)?;
    assert_eq!((pool.size(), pool.num_idle()), (0, 0));

    let (first, second) = (pool.acquire().await?, pool.acquire().await?);
    assert_eq!((pool.size(), pool.num_idle()), (2, 0));

    drop(first);
    eventually("one is idle", || pool.num_idle() == 1).await;
    drop(second);
    eventually("both are idle", || pool.num_idle() == 2).await;
    assert_eq!(pool.size(), 2);
    assert!(pool.try_acquire().is_some());
    Ok(())
}

async fn connections_leave_the_pool(url: &str) -> Checked {
    let pool = PoolOptions::<Db>::new()
        .max_connections(2)
        .connect_lazy(url)?;

    let conn: PoolConnection<Db> = pool.acquire().await?;
    conn.close().await?;
    assert_eq!(pool.size(), 0);

    let mut conn = pool.acquire().await?;
    conn.close_on_drop();
    drop(conn);
    eventually("the connection is closed", || pool.size() == 0).await;

    let mut detached: DbConnection = pool.acquire().await?.detach();
    assert_eq!(pool.size(), 0);
    assert_eq!(one(&mut detached).await?, 1);
    detached.close().await?;

    let mut leaked: DbConnection = pool.acquire().await?.leak();
    assert_eq!(pool.size(), 1);
    assert_eq!(one(&mut leaked).await?, 1);

    assert_eq!(one(&pool).await?, 1);
    Ok(())
}

async fn connections_are_pinged(url: &str) -> Checked {
    let pool = PoolOptions::<Db>::new()
        .max_connections(1)
        .connect(url)
        .await?;
    let mut conn = pool.acquire().await?;
    conn.ping().await?;
    conn.clear_cached_statements().await?;
    conn.shrink_buffers();
    drop(conn);

    let mut tx = pool.begin().await?;
    tx.ping().await?;
    tx.commit().await?;
    Ok(())
}

async fn acquiring_outlives_the_borrow(url: &str) -> Checked {
    let acquiring = {
        let pool = PoolOptions::<Db>::new().connect(url).await?;
        tokio::spawn(pool.acquire())
    };
    let mut conn = acquiring.await.unwrap()?;
    assert_eq!(one(&mut *conn).await?, 1);
    Ok(())
}

async fn everything_prints(url: &str) -> Checked {
    let options = PoolOptions::<Db>::new().max_connections(7);
    assert!(format!("{options:?}").contains("max_connections: 7"));

    let pool = options.connect(url).await?;
    let printed = format!("{pool:?}");
    for part in [
        "Pool",
        "size",
        "num_idle",
        "is_closed: false",
        "max_connections: 7",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }

    let conn = pool.acquire().await?;
    assert!(format!("{conn:?}").contains("PoolConnection"));
    let tx = pool.begin().await?;
    assert!(format!("{tx:?}").contains("Transaction"));
    Ok(())
}

async fn generic_code_takes_any_pool(url: &str) -> Checked {
    async fn healthy<DB: Database>(pool: &Pool<DB>) -> bool {
        match pool.acquire().await {
            Ok(mut conn) => conn.ping().await.is_ok(),
            Err(_) => false,
        }
    }

    async fn run<DB>(pool: &Pool<DB>, sql: &'static str) -> sqlx::Result<usize>
    where
        DB: Database,
        for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    {
        Ok(pool.fetch_all(sql).await?.len())
    }

    let pool: Pool<Db> = Pool::connect(url).await?;
    assert!(healthy(&pool).await);
    assert_eq!(run(&pool, "SELECT 1").await?, 1);
    Ok(())
}

async fn exhaustion_times_out(url: &str) -> Checked {
    let pool = PoolOptions::<Db>::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_millis(100))
        .connect(url)
        .await?;
    let mut held = pool.acquire().await?;

    match pool.acquire().await {
        Err(sqlx::Error::PoolTimedOut) => {}
        other => panic!("expected PoolTimedOut, got {other:?}"),
    }
    match one(&pool).await {
        Err(sqlx::Error::PoolTimedOut) => {}
        other => panic!("expected PoolTimedOut, got {other:?}"),
    }
    assert!(matches!(pool.begin().await, Err(sqlx::Error::PoolTimedOut)));

    assert_eq!(one(&mut *held).await?, 1);
    drop(held);
    assert_eq!(one(&pool).await?, 1);
    Ok(())
}

async fn waiting_tasks_take_turns(url: &str) -> Checked {
    let pool = PoolOptions::<Db>::new()
        .max_connections(1)
        .connect(url)
        .await?;
    let held = pool.acquire().await?;
    let waiting: Vec<_> = (0..5)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { one(&pool).await })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(held);
    for task in waiting {
        assert_eq!(task.await.unwrap()?, 1);
    }
    Ok(())
}

async fn closed_pools_refuse(url: &str) -> Checked {
    let pool = PoolOptions::<Db>::new()
        .max_connections(2)
        .connect(url)
        .await?;
    let other = pool.clone();
    assert!(!pool.is_closed());
    pool.close().await;
    assert!(other.is_closed());
    assert_eq!(other.size(), 0);

    assert!(matches!(
        other.acquire().await,
        Err(sqlx::Error::PoolClosed)
    ));
    assert!(matches!(other.begin().await, Err(sqlx::Error::PoolClosed)));
    assert!(other.try_acquire().is_none());
    match one(&other).await {
        Err(sqlx::Error::PoolClosed) => {}
        other => panic!("expected PoolClosed, got {other:?}"),
    }
    Ok(())
}

async fn closing_is_announced(url: &str) -> Checked {
    let pool = PoolOptions::<Db>::new().connect(url).await?;

    let answer = pool.close_event().do_until(one(&pool)).await??;
    assert_eq!(answer, 1);

    let listening = pool.clone();
    let patient = tokio::spawn(async move {
        let forever = tokio::time::sleep(Duration::from_secs(3600));
        listening.close_event().do_until(forever).await
    });
    let mut event = pool.close_event();
    tokio::join!(pool.close(), &mut event);
    assert!(matches!(
        patient.await.unwrap(),
        Err(sqlx::Error::PoolClosed)
    ));
    Ok(())
}
