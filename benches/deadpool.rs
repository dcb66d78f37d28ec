//! Compares guarded deadpool pools with unguarded ones: leasing and returning an object, for a
//! manager that does nothing and for PostgreSQL, and a prepared statement.
//!
//! The two run in turns, so that a drift of the machine's speed affects both. The output is the
//! median of each, and the median of the ratios of the turns.
//!
//! ```sh
//! cargo bench --bench deadpool --features deadpool-postgres,sqlx-postgres
//! ```

#[path = "../tests/support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Instant;

use deadpool::managed::{self, Manager, Metrics, RecycleResult};
use fusepool::DEFAULT_QUERY_TIMEOUT;
use tokio::time::timeout;
use tokio_postgres::{NoTls, Statement};

const TURNS: usize = 201;
/// The number of turns at the start whose results are not used.
const WARM_UP: usize = 20;
const CONNECTIONS: usize = 10;
const STATEMENT: &str = "SELECT $1::int";

struct Nothing;

impl Manager for Nothing {
    type Type = ();
    type Error = Infallible;

    async fn create(&self) -> Result<(), Infallible> {
        Ok(())
    }

    async fn recycle(&self, (): &mut (), _: &Metrics) -> RecycleResult<Infallible> {
        Ok(())
    }
}

/// The nanoseconds for one run, as an average of `runs`.
async fn time(runs: u32, once: &mut impl AsyncFnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..runs {
        once().await;
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(runs)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs the two in turns of `runs` each.
async fn compare(
    what: &str,
    runs: u32,
    mut naked: impl AsyncFnMut(),
    mut guarded: impl AsyncFnMut(),
) {
    let mut turns = Vec::new();
    for turn in 0..TURNS {
        let pair = if turn % 2 == 0 {
            let first = time(runs, &mut naked).await;
            (first, time(runs, &mut guarded).await)
        } else {
            let first = time(runs, &mut guarded).await;
            (time(runs, &mut naked).await, first)
        };
        turns.push(pair);
    }
    let turns = &turns[WARM_UP..];
    println!(
        "{what:<24} deadpool {:>9.1} ns   fusepool {:>9.1} ns   ratio {:.3}",
        median(turns.iter().map(|turn| turn.0)),
        median(turns.iter().map(|turn| turn.1)),
        median(turns.iter().map(|turn| turn.1 / turn.0)),
    );
}

#[tokio::main]
async fn main() {
    let naked = managed::Pool::<Nothing>::builder(Nothing).build().unwrap();
    let guarded = fusepool::deadpool::Pool::<Nothing>::builder(Nothing)
        .build()
        .unwrap();
    compare(
        "get, nothing",
        50_000,
        async || drop(naked.get().await),
        async || drop(guarded.get().await),
    )
    .await;

    let server = support::postgres::Postgres::start().await;
    let url = server.url();
    let manager = deadpool_postgres::Manager::new(url.parse().unwrap(), NoTls);
    let naked = deadpool_postgres::Pool::builder(manager)
        .max_size(CONNECTIONS)
        .build()
        .unwrap();
    let manager = fusepool::deadpool::postgres::Manager::new(url.parse().unwrap(), NoTls);
    let guarded = fusepool::deadpool::postgres::Pool::builder(manager)
        .max_size(CONNECTIONS)
        .build()
        .unwrap();
    compare(
        "get, PostgreSQL",
        50_000,
        async || drop(naked.get().await),
        async || drop(guarded.get().await),
    )
    .await;

    // Uses all connections, since their speeds differ.
    let mut naked_turns = Vec::new();
    let mut guarded_turns = Vec::new();
    for _ in 0..CONNECTIONS {
        let (plain, watched) = (naked.get().await.unwrap(), guarded.get().await.unwrap());
        let prepared = plain.prepare(STATEMENT).await.unwrap();
        naked_turns.push((plain, prepared));
        let prepared = watched.prepare(STATEMENT).await.unwrap();
        guarded_turns.push((watched, prepared));
    }
    let (mut plain, mut watched) = (naked_turns.iter().cycle(), guarded_turns.iter().cycle());
    let mut ask_guarded = async || {
        let (client, statement) = watched.next().unwrap();
        drop(black_box(client.query_one(statement, &[&1]).await.unwrap()));
    };
    let ask = async |(client, statement): &(deadpool_postgres::Client, Statement)| {
        drop(black_box(client.query_one(statement, &[&1]).await.unwrap()));
    };
    compare(
        "query_one",
        500,
        async || ask(plain.next().unwrap()).await,
        &mut ask_guarded,
    )
    .await;
    // Most of the difference is the cost of the deadline.
    compare(
        "query_one, both timed",
        500,
        async || {
            timeout(DEFAULT_QUERY_TIMEOUT, ask(plain.next().unwrap()))
                .await
                .unwrap();
        },
        &mut ask_guarded,
    )
    .await;
}
