//! The first answer after an outage, beside pools without a guard.
//!
//! `OUTAGE_SECONDS=1,3,10,45,60` sets the lengths of the outages.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use deadpool::managed;
use fusepool::deadpool::postgres as guarded;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::NoTls;

use crate::support::eventually;
use crate::support::postgres::Postgres;
use crate::support::proxy::{Fault, Proxy};

const CONNECTIONS: u32 = 10;
const PATIENCE: Duration = Duration::from_millis(2_500);
const INTERVAL: Duration = Duration::from_millis(25);
/// A guarded pool is back at most this much later, and a busy machine adds the same again.
const LATER: Duration = Duration::from_millis(300);

type Ask = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// Callers of one pool, and when they were answered.
struct Service {
    answers: Arc<Mutex<Vec<Instant>>>,
    _callers: JoinSet<()>,
}

impl Service {
    fn start(ask: Ask) -> Self {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let answered = Arc::clone(&answers);
        let mut callers = JoinSet::new();
        callers.spawn(async move {
            let mut calls = JoinSet::new();
            loop {
                let (call, answered) = (ask(), Arc::clone(&answered));
                calls.spawn(async move {
                    if timeout(PATIENCE, call).await == Ok(true) {
                        answered.lock().unwrap().push(Instant::now());
                    }
                });
                while calls.try_join_next().is_some() {}
                sleep(INTERVAL).await;
            }
        });
        Self {
            answers,
            _callers: callers,
        }
    }

    fn count(&self) -> usize {
        self.answers.lock().unwrap().len()
    }

    async fn first_after(&self, healed: Instant) -> Duration {
        let first = || {
            let answers = self.answers.lock().unwrap();
            answers.iter().find(|at| **at >= healed).copied()
        };
        eventually("an answer", async || first().is_some()).await;
        first().unwrap() - healed
    }
}

fn sqlx(url: &str) -> Ask {
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(CONNECTIONS);
    let pool = options.connect_lazy(url).unwrap();
    Box::new(move || {
        let pool = pool.clone();
        Box::pin(async move { sqlx::query("SELECT 1").execute(&pool).await.is_ok() })
    })
}

fn guarded_sqlx(url: &str) -> Ask {
    let options = fusepool::sqlx::PgPoolOptions::new().max_connections(CONNECTIONS);
    let pool = options.connect_lazy(url).unwrap();
    Box::new(move || {
        let pool = pool.clone();
        Box::pin(async move { sqlx::query("SELECT 1").execute(&pool).await.is_ok() })
    })
}

fn deadpool(url: &str) -> Ask {
    let manager = guarded::Manager::new(url.parse().unwrap(), NoTls);
    let pool = managed::Pool::<guarded::Manager>::builder(manager).max_size(CONNECTIONS as usize);
    let pool = pool.build().unwrap();
    Box::new(move || {
        let pool = pool.clone();
        Box::pin(async move {
            match pool.get().await {
                Ok(client) => client.query("SELECT 1", &[]).await.is_ok(),
                Err(_) => false,
            }
        })
    })
}

fn guarded_deadpool(url: &str) -> Ask {
    let manager = guarded::Manager::new(url.parse().unwrap(), NoTls);
    let pool = guarded::Pool::builder(manager).max_size(CONNECTIONS as usize);
    let pool = pool.build().unwrap();
    Box::new(move || {
        let pool = pool.clone();
        Box::pin(async move {
            match pool.get().await {
                Ok(client) => client.query("SELECT 1", &[]).await.is_ok(),
                Err(_) => false,
            }
        })
    })
}

/// A fault, and its end.
#[derive(Clone, Copy)]
struct Outage {
    name: &'static str,
    strike: fn(&mut Postgres, &Proxy),
    heal: fn(&mut Postgres, &Proxy),
}

impl Outage {
    /// The time from its end to the first answer. Each service has a server of its own, because those
    /// without a guard come back with all that they have waiting.
    async fn first_answer(self, length: Duration, pool: fn(&str) -> Ask) -> Duration {
        let mut server = Postgres::start().await;
        let proxy = Proxy::start(server.addr()).await.unwrap();
        let service = Service::start(pool(&server.url_via(proxy.addr().port())));
        eventually("it is warm", async || service.count() >= 50).await;
        (self.strike)(&mut server, &proxy);
        sleep(length).await;
        let healed = Instant::now();
        (self.heal)(&mut server, &proxy);
        service.first_after(healed).await
    }

    async fn is_over_as_soon(self) {
        let lengths = std::env::var("OUTAGE_SECONDS");
        for seconds in lengths.as_deref().unwrap_or("3").split(',') {
            let length = Duration::from_secs(seconds.parse().unwrap());
            for (name, naked, guarded) in [
                (
                    "sqlx",
                    sqlx as fn(&str) -> Ask,
                    guarded_sqlx as fn(&str) -> Ask,
                ),
                ("deadpool", deadpool, guarded_deadpool),
            ] {
                let naked = self.first_answer(length, naked).await;
                let guarded = self.first_answer(length, guarded).await;
                let what = format!("{} for {seconds} s, {name}", self.name);
                println!("| {what} | {naked:.2?} | {guarded:.2?} |");
                assert!(
                    guarded <= naked + 2 * LATER,
                    "{what}: {naked:?}, {guarded:?}"
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused() {
    let outage = Outage {
        name: "refused",
        strike: |_, proxy| {
            proxy.set(Fault::Cut);
            proxy.set(Fault::Refuse);
        },
        heal: |_, proxy| proxy.set(Fault::None),
    };
    outage.is_over_as_soon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stalled() {
    let outage = Outage {
        name: "stalled",
        strike: |_, proxy| proxy.set(Fault::Stall),
        heal: |_, proxy| proxy.set(Fault::None),
    };
    outage.is_over_as_soon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_are_dropped() {
    let outage = Outage {
        name: "packets dropped",
        strike: |_, proxy| proxy.set(Fault::Blackhole),
        heal: |_, proxy| proxy.set(Fault::None),
    };
    outage.is_over_as_soon().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed() {
    let outage = Outage {
        name: "killed",
        strike: |server, _| server.kill(),
        heal: |server, _| server.launch(),
    };
    outage.is_over_as_soon().await;
}
