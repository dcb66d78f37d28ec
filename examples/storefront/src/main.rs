//! A shop that stays open while its database does not answer.
//!
//! An ordinary axum service on a pool of fusepool. It reads its pages through the cache, so in an
//! outage it serves the last pages, with their age. Orders are refused with `503 Service
//! Unavailable` and `Retry-After` until the database accepts them again.
//!
//! ```sh
//! cargo run -p storefront
//! cargo run -p storefront -- postgres://user@host/database
//! ```
//!
//! Then open `/live`: it shows the pool at work, with visitors in the shop, and has buttons that hurt the
//! database. Without a URL, the database is a temporary SQLite file. In the database of a URL, the example creates the tables
//! `storefront_product` and `storefront_order`, and leaves them there.
//!
//! | request | healthy | in an outage |
//! |---|---|---|
//! | `GET /`, `GET /products/1` | 200, at most seconds old | 200, stale, with `Age`; 503 if never asked for before |
//! | `POST /products/1/orders` | 303 to the product | 503 with `Retry-After` |
//! | `GET /live`, `GET /metrics` | the pool, live and for Prometheus | the same |
//! | `GET /healthz` | 200 | 200 |
//! | `GET /readyz` | 200 | 200 while `GET /` is served, else 503; all with the state as JSON |
//!
//! Read `catalogue.rs` first: it has the queries, and what is served when they get no answer.

use std::error::Error;
use std::io;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use axum::Router;
use axum::routing::get;
use fusepool::live::Live;
use fusepool::sqlx::{Driver, Pool};
use fusepool::telemetry::DURATION_BUCKETS;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::TcpListener;

use arguments::{Arguments, Database};
use catalogue::Catalogue;
use faults::Faults;

mod arguments;
pub(crate) mod catalogue;
pub(crate) mod database;
mod error;
pub(crate) mod faults;
mod health;
mod html;
pub(crate) mod live;
pub(crate) mod lock;
mod page;
#[path = "../../../tests/support/proxy.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "it is written for tests, which use more of it"
)]
mod proxy;
pub(crate) mod routes;
pub(crate) mod signals;
pub(crate) mod visitors;

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    // RUST_LOG=debug shows every fallback that is served.
    tracing_subscriber::fmt::init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    match arguments.database {
        Database::Own => {
            let directory = tempfile::tempdir()?;
            let file = directory.path().join("shop.db");
            let pool = database::sqlite(&file).await?;
            shop(arguments.port, pool, Faults::of_file(file)).await
        }
        Database::Postgres(url) => {
            let (faults, options) = Faults::of_postgres(url.parse()?).await?;
            shop(arguments.port, database::postgres(options).await?, faults).await
        }
    }
}

/// Runs the shop until it receives a signal to stop.
async fn shop<DB: Driver>(port: u16, pool: Pool<DB>, faults: Faults) -> Outcome<()>
where
    Pool<DB>: Catalogue,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
    let listener = listener.map_err(|error| {
        format!("cannot listen on port {port}: {error}; choose another with --port")
    })?;
    let address = listener.local_addr()?;
    println!("The shop is at http://{address}/");
    println!("See its pool, and hurt its database, at http://{address}/live");
    let stop = signals::shared(signals::stop());
    let live = live::router(Live::new().watch(&pool), faults, stop.clone());
    let metrics = PrometheusBuilder::new()
        .set_buckets(&DURATION_BUCKETS)?
        .install_recorder()?;
    let routes = routes::router(pool.clone()).merge(live);
    let routes = routes.route("/metrics", get(async move || metrics.render()));
    let visitors = visitors::send(&pool);
    serve(listener, routes, stop).await?;
    drop(visitors);
    pool.close().await;
    Ok(())
}

/// Serves the shop until `stop` ends, then finishes the running requests.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, routes)
        .with_graceful_shutdown(stop)
        .await
}
