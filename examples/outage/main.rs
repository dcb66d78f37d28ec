//! An outage, with and without a breaker: the same load on `sqlx::PgPool`, on
//! `fusepool::sqlx::PgPool` with its default settings, and on the latter with cached reads, side by
//! side in one run.
//!
//! All pools connect to one PostgreSQL server, through a TCP proxy that stalls: connections stay
//! open and new ones are accepted, but no data comes through, as when a disk hangs or a network
//! drops packets. The load is an open loop: calls start on schedule, whether or not earlier calls
//! have ended, like the requests of users. Each pool and its load have a runtime with one thread, as
//! if they were separate services, so that the tasks of one do not delay another. The example prints
//! a table, draws a picture, and exits with an error unless the claims in `claims.rs` hold.
//!
//! ```sh
//! cargo run --example outage --features sqlx-postgres
//! cargo run --example outage --features sqlx-postgres -- --healthy 1 --stalled 3 --healed 3 --rate 200
//! cargo run --example outage --features sqlx-postgres -- postgres://user@host/database
//! ```
//!
//! Without a URL, the example starts a server, as the tests do. It writes nothing to the database.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fusepool::Breaker;
use fusepool::cache::CacheSnapshot;
use sqlx::PgExecutor;
use sqlx::postgres::types::Oid;
use tokio::runtime::{self, Handle, Runtime};
use tokio::time::sleep;

use arguments::Arguments;
use claims::Claims;
use database::Database;
use figures::Figures;
use journal::Journal;
use menu::Menu;
use network::Network;
use phases::Phases;

mod arguments;
mod claims;
mod database;
mod figures;
mod journal;
mod load;
mod menu;
mod network;
mod phases;
mod picture;
#[path = "../../tests/support/mod.rs"]
mod support;
mod table;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The maximum number of connections of each pool.
const CONNECTIONS: u32 = 10;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the outage, and prints the results. True if all claims hold.
fn run() -> Outcome<bool> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let service = || {
        runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
    };
    let services = [service()?, service()?, service()?];
    let outside = service()?;
    println!(
        "{} calls per second on each pool: {:?} healthy, {:?} stalled, {:?} healed.\n",
        arguments.rate, arguments.healthy, arguments.stalled, arguments.healed
    );
    let suffer = suffer(&arguments, services.each_ref().map(Runtime::handle));
    let (phases, pools) = outside.block_on(suffer)?;
    table::print(&pools);
    picture::draw(&arguments, phases, &pools.naked, &pools.guarded)?;
    println!("\nThe picture: {}\n", arguments.picture.display());
    Ok(Claims::of(&arguments, &pools).print())
}

/// The measurements of each pool.
struct Pools {
    naked: Figures,
    guarded: Figures,
    cached: Figures,
    cache: CacheSnapshot,
}

/// Puts all services through the outage.
async fn suffer(
    arguments: &Arguments,
    [naked, guarded, cached]: [&Handle; 3],
) -> Outcome<(Phases, Pools)> {
    let database = Database::open(arguments.url.as_deref()).await?;
    let network = Network::before(database.addr).await?;
    let journal = Journal::new();

    let naked_pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect_with(database.through(&network.naked));
    let guarded_pool = fusepool::sqlx::PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .breaker(Breaker::builder().on_event({
            let journal = journal.clone();
            move |event| journal.observe(event)
        }))
        .connect_with(database.through(&network.guarded));
    let cached_pool = fusepool::sqlx::PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect_with(database.through(&network.cached));
    // Their sockets belong to the runtime that opens them.
    let naked_pool = naked.spawn(naked_pool).await??;
    let guarded_pool = guarded.spawn(guarded_pool).await??;
    let cached_pool = cached.spawn(cached_pool).await??;
    let warm_pool = cached_pool.clone();
    cached
        .spawn(async move { menu::warm(&warm_pool).await })
        .await??;

    let start = Instant::now();
    journal.start(start);
    let schedule = load::Schedule {
        start,
        length: arguments.healthy + arguments.stalled + arguments.healed,
        rate: arguments.rate,
    };
    let naked_load = naked.spawn(schedule.run(move || {
        let pool = naked_pool.clone();
        async move { look_up(&pool).await }
    }));
    let guarded_load = guarded.spawn(schedule.run(move || {
        let pool = guarded_pool.clone();
        async move { look_up(&pool).await }
    }));

    let (menu, pool) = (Menu::default(), cached_pool.clone());
    let cached_load = cached.spawn(schedule.run(move || {
        let (pool, number) = (pool.clone(), menu.next());
        async move { menu::look_up(&pool, number).await }
    }));

    sleep(arguments.healthy).await;
    let stalled = start.elapsed();
    let before = network.stall();
    sleep(arguments.stalled).await;
    let after = network.heal();
    let phases = Phases {
        stalled,
        healed: start.elapsed(),
        end: schedule.length,
    };
    let (naked, guarded, cached) = (naked_load.await?, guarded_load.await?, cached_load.await?);
    let naked = Figures::of(naked, phases, &[], after.naked - before.naked);
    let transitions = journal.take();
    let guarded = Figures::of(
        guarded,
        phases,
        &transitions,
        after.guarded - before.guarded,
    );
    let cached = Figures::of(cached, phases, &[], after.cached - before.cached);
    let pools = Pools {
        naked,
        guarded,
        cached,
        cache: cached_pool.snapshot().cache,
    };
    Ok((phases, pools))
}

/// The work of the service: one query, by primary key. Both pools run the same source.
async fn look_up(pool: impl PgExecutor<'_>) -> sqlx::Result<()> {
    const TEXT: Oid = Oid(25);
    let name: String = sqlx::query_scalar("SELECT typname FROM pg_type WHERE oid = $1")
        .bind(TEXT)
        .fetch_one(pool)
        .await?;
    debug_assert_eq!(name, "text");
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
