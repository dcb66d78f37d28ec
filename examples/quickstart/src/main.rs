//! A database that really degrades, and a pool whose breaker opens and closes.
//!
//! The database is an embedded SQLite file. A second connection takes an exclusive lock on it, as a
//! long write or a backup would. Nothing is simulated: the slow calls are SQLite waiting for the
//! lock. The example exits with an error unless every step happened.
//!
//! ```sh
//! cargo run -p quickstart
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use fusepool::Breaker;
use fusepool::breaker::{State, Window};
use fusepool::sqlx::{SqlitePool, SqlitePoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode};
use sqlx::{ConnectOptions, Executor};
use tokio::time::sleep;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let directory = Directory::new()?;
    let file = SqliteConnectOptions::new()
        .filename(directory.0.join("dishes.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Delete)
        // How long SQLite waits for a lock before it gives up.
        .busy_timeout(Duration::from_millis(300));

    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .breaker(
            Breaker::builder()
                .name("dishes")
                .window(Window::calls(10))
                .minimum_calls(5)
                .slow_call_threshold(Duration::from_millis(100))
                .open_duration(Duration::from_millis(500)),
        )
        .connect_with(file.clone())
        .await?;
    pool.execute("CREATE TABLE dish (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        .await?;
    pool.execute("INSERT INTO dish (name) VALUES ('Pho'), ('Dal'), ('Mole')")
        .await?;

    println!("1. The database is healthy.");
    for _ in 0..3 {
        let (dish, took) = timed(order(&pool)).await;
        println!("   {:<34} {took:>10.1?}", dish?);
    }

    println!("2. Another connection locks the file. Calls get slow...");
    let mut blocker = file.connect().await?;
    lock(&mut blocker).await?;
    let locked = Instant::now();
    let mut slow_calls = 0;
    while pool.gate().breaker().state() == State::Closed {
        let (result, took) = timed(order(&pool)).await;
        let refused = matches!(&result, Err(error) if fusepool::refusal(&**error).is_some());
        if !refused {
            slow_calls += 1;
            println!("   {:<34} {took:>10.1?}", brief(&result));
        }
        ensure(
            locked.elapsed() < Duration::from_secs(30),
            "the breaker never opened",
        )?;
    }
    println!(
        "   ... and the breaker opens, {:.1?} after the lock.",
        locked.elapsed()
    );
    ensure(slow_calls >= 5, "the breaker opened without slow calls")?;

    println!("3. It is open: calls are refused at once, and told when to retry.");
    let mut refused = Vec::new();
    for _ in 0..1_000 {
        let (result, took) = timed(order(&pool)).await;
        let error = result.err().ok_or("a call got through an open breaker")?;
        let refusal = fusepool::refusal(&*error).ok_or("not a refusal")?;
        refused.push((took, refusal.retry_after()));
    }
    refused.sort();
    let (median, retry_after) = refused[refused.len() / 2];
    println!("   1000 calls refused, median {median:.1?}, retry after {retry_after:.0?}");
    ensure(median < Duration::from_millis(1), "refusing was not fast")?;
    ensure(retry_after.is_some(), "the refusal has no retry_after")?;

    println!("4. Still locked after the open duration: a background task asks in vain.");
    let probes = pool.snapshot().gate.totals.probes;
    wait_until("the background task asks", || {
        pool.snapshot().gate.totals.probes >= probes + 2
    })
    .await?;
    println!("   still {:?}", pool.gate().breaker().state());

    println!("5. The lock is released.");
    blocker.execute("ROLLBACK").await?;
    let released = Instant::now();
    wait_until("a background probe succeeds", || {
        pool.gate().breaker().state() != State::Open
    })
    .await?;
    println!(
        "   probes answered, {:.1?} later: {:?}",
        released.elapsed(),
        pool.gate().breaker().state()
    );
    let mut orders = 0;
    while pool.gate().breaker().state() != State::Closed {
        if order(&pool).await.is_ok() {
            orders += 1;
        }
        ensure(
            released.elapsed() < Duration::from_secs(30),
            "the breaker never closed",
        )?;
    }
    println!("   {orders} more calls succeeded, and it is closed.");
    println!("   {}", order(&pool).await?);

    let snapshot = pool.snapshot();
    let breaker = &snapshot.gate.breaker;
    println!(
        "\nIn all: {:?} now, opened {} times, {:.1?} not closed;",
        breaker.state, breaker.totals.trips, breaker.totals.time_not_closed
    );
    println!(
        "        {} successes, {} slow, {} failures, {} rejected, {} probes; {} of {} connections.",
        breaker.totals.successes,
        breaker.totals.slow,
        breaker.totals.failures,
        breaker.totals.rejected,
        snapshot.gate.totals.probes,
        snapshot.size,
        snapshot.max_connections,
    );
    ensure(
        breaker.state == State::Closed && breaker.totals.trips >= 1,
        "it did not open and close",
    )?;
    ensure(
        breaker.totals.slow >= 5 && breaker.totals.rejected >= 1_000,
        "the counts are wrong",
    )?;
    pool.close().await;
    Ok(())
}

/// The work of the service: one query.
async fn order(pool: &SqlitePool) -> Outcome<String> {
    let name = sqlx::query_scalar("SELECT name FROM dish WHERE id = ?")
        .bind(2)
        .fetch_one(pool)
        .await?;
    Ok(name)
}

/// Takes the lock, between two calls on the pool's connections.
async fn lock(connection: &mut SqliteConnection) -> Outcome<()> {
    connection.execute("PRAGMA busy_timeout = 10000").await?;
    connection.execute("BEGIN EXCLUSIVE").await?;
    Ok(())
}

async fn timed<T>(call: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (call.await, start.elapsed())
}

async fn wait_until(what: &str, happened: impl Fn() -> bool) -> Outcome<()> {
    let start = Instant::now();
    while !happened() {
        ensure(
            start.elapsed() < Duration::from_secs(30),
            &format!("waited in vain: {what}"),
        )?;
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn brief(result: &Outcome<String>) -> String {
    match result {
        Ok(dish) => dish.clone(),
        Err(error) => error.to_string(),
    }
}

fn ensure(happened: bool, otherwise: &str) -> Outcome<()> {
    if happened {
        Ok(())
    } else {
        Err(otherwise.into())
    }
}

/// A directory that is removed when the example ends.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("fusepool-quickstart-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
