//! A server, a proxy in front of it, and a guarded pool that goes through the proxy.

use std::time::{Duration, Instant};

use fusepool::breaker::{Breaker, Builder, Reason, State, Window};
use fusepool::{Delivery, Gate};
use futures_util::future::join_all;

use crate::dialect::{self, Connection, Dialect};
use crate::events::Events;
use crate::load::Load;
use crate::options::Options;
use crate::support::eventually;
use crate::support::proxy::{Fault, Proxy};
use crate::system::System;

pub const CONNECTIONS: u32 = 4;
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(300);
pub const QUERY_TIMEOUT: Duration = Duration::from_secs(1);
pub const OPEN_DELAY: Duration = Duration::from_millis(100);
pub const MAX_OPEN_DELAY: Duration = Duration::from_millis(300);
/// The time that a refused call may take on a busy machine.
pub const AT_ONCE: Duration = Duration::from_millis(100);

pub struct World<S: System> {
    pub server: S::Server,
    pub proxy: Proxy,
    pub options: Options,
    pub pool: S::Pool,
    pub events: Events,
}

/// A breaker that opens and closes quickly.
pub fn quick() -> Builder {
    Breaker::builder()
        .window(Window::calls(20))
        .slow_call_threshold(Duration::from_millis(150))
        // Tests one rule at a time: a slow call on a busy machine must not count as a stall.
        .stall_after(Duration::from_secs(1))
        .open_duration(OPEN_DELAY)
        .max_open_duration(MAX_OPEN_DELAY)
        .probe_timeout(Duration::from_millis(200))
}

/// A pool with short deadlines.
pub fn options(events: &Events) -> Options {
    Options {
        max_connections: CONNECTIONS,
        max_queue: None,
        acquire_timeout: ACQUIRE_TIMEOUT,
        query_timeout: QUERY_TIMEOUT,
        alive_bypass: None,
        probe_query: None,
        breaker: quick(),
        events: events.clone(),
    }
}

impl<S: System> World<S> {
    pub async fn start() -> Self {
        Self::start_with(|options| options).await
    }

    /// With other options than [`options`].
    pub async fn start_with(change: impl FnOnce(Options) -> Options) -> Self {
        let server = S::Server::start(&[]).await;
        Self::on(server, |server, port| server.url_via(port), change).await
    }

    pub async fn on(
        server: S::Server,
        url: impl FnOnce(&S::Server, u16) -> String,
        change: impl FnOnce(Options) -> Options,
    ) -> Self {
        let proxy = Proxy::start(server.addr()).await.unwrap();
        let events = Events::default();
        let url = url(&server, proxy.addr().port());
        let options = change(options(&events));
        let pool = S::build(&options, &url);
        Self {
            server,
            proxy,
            options,
            pool,
            events,
        }
    }

    /// Runs a statement through the pool.
    pub async fn run(&self, sql: &str) -> Result<(), S::Error> {
        S::run(&self.pool, QUERY_TIMEOUT, sql).await
    }

    /// Queries a number through the pool.
    pub async fn number(&self, sql: &str) -> Result<i64, S::Error> {
        S::number(&self.pool, QUERY_TIMEOUT, sql).await
    }

    /// A connection of the superuser, without the proxy, on which these statements were run.
    pub async fn session(&self, statements: &[&str]) -> Connection<S::Server> {
        let mut connection = dialect::connect::<S::Server>(&self.server.url()).await;
        for sql in statements {
            S::Server::run(&mut connection, sql).await.unwrap();
        }
        connection
    }

    /// Runs statements as superuser, without the proxy.
    pub async fn admin(&self, statements: &[&str]) {
        dialect::close::<S::Server>(self.session(statements).await).await;
    }

    /// A number as another client sees it.
    pub async fn outside(&self, sql: &str) -> i64 {
        let mut connection = self.session(&[]).await;
        let number = S::Server::ask_number(&mut connection, sql).await.unwrap();
        dialect::close::<S::Server>(connection).await;
        number
    }

    pub fn gate(&self) -> &Gate {
        S::gate(&self.pool)
    }

    pub fn state(&self) -> State {
        self.gate().breaker().state()
    }

    /// Connections of the pool, leased ones included.
    pub fn size(&self) -> usize {
        S::connections(&self.pool).0
    }

    /// Opens all connections that the pool may have, and leaves them idle.
    pub async fn fill(&self) {
        let size = self.options.max_connections;
        eventually("as many leases as there may be connections", async || {
            let leases = join_all((0..size).map(|_| S::lease(&self.pool))).await;
            let mut leases: Vec<_> = leases.into_iter().flatten().collect();
            for lease in &mut leases {
                if S::ping(lease).await.is_err() {
                    return false;
                }
            }
            leases.len() == size as usize
        })
        .await;
        self.rest().await;
    }

    /// Waits until no caller holds or waits for a connection.
    pub async fn rest(&self) {
        eventually("all connections are idle or closed", async || {
            let (size, idle) = S::connections(&self.pool);
            idle == size && self.gate().snapshot().waiting == 0
        })
        .await;
    }

    /// The breaker is closed or closes, and nothing is leaked: no queue slot, no permit, no slot in the
    /// pool, no connection of the server.
    pub async fn assert_unharmed(&self) {
        eventually("the breaker is closed", async || {
            self.state() == State::Closed
        })
        .await;
        self.rest().await;
        self.fill().await;
        let size = self.options.max_connections;
        assert_eq!(self.size(), size as usize);
        eventually("nobody else is connected to the server", async || {
            self.proxy.live() == size as usize
                && self.server.connection_count().await == i64::from(size)
        })
        .await;
        assert_eq!(self.state(), State::Closed);
    }

    /// Calls are refused at once, and told when to retry.
    pub async fn assert_rejects(&self) {
        for _ in 0..20 {
            let start = Instant::now();
            let error = self.run("SELECT 1").await.unwrap_err();
            assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
            let rejected =
                fusepool::refusal(&error).unwrap_or_else(|| panic!("the call was made: {error:?}"));
            let retry_after = rejected.retry_after().expect("it is known when to retry");
            assert!(
                retry_after <= MAX_OPEN_DELAY.mul_f64(1.2),
                "{retry_after:?}"
            );
            assert_eq!(S::delivery(&error), Delivery::NotSent);
        }
    }

    /// Sets a fault of the network.
    pub fn set(&self, fault: Fault) {
        self.proxy.set(fault);
    }

    /// The fault occurs twice under load, and is noticed. It heals, the first time while callers go on,
    /// the second time without callers, and the pool recovers.
    pub async fn suffer(&mut self, outage: Outage<S>) {
        for callers in ["under load", "by itself"] {
            let name = format!("{} of {}, recovery {callers}", outage.name, S::NAME);
            let load = Load::start::<S>(&self.pool, 2 * CONNECTIONS as usize);
            load.answers(50).await;

            let broken = Instant::now();
            (outage.strike)(self);
            let (opened, transition) = self.events.opened(broken).await;
            assert_eq!(transition.reason, outage.reason, "{name}: {transition:?}");
            assert!(
                opened < outage.opens_within,
                "{name}: opened after {opened:?}"
            );
            load.rejections(20).await;
            self.assert_rejects().await;
            eventually("probes fail", async || {
                self.events.failed_pings(broken) + self.events.failed_batches(broken) >= 2
            })
            .await;

            let (load, mut tally) = match callers {
                "by itself" => (None, load.stop().await),
                _ => (Some(load), Default::default()),
            };
            let healed = Instant::now();
            (outage.heal)(self);
            let (closed, transition) = self.events.closed(healed).await;
            assert_eq!(transition.reason, Reason::ProbesSucceeded, "{name}");
            assert!(
                closed < outage.closes_within,
                "{name}: closed after {closed:?}"
            );
            if let Some(load) = load {
                load.answers(50).await;
                tally = load.stop().await;
            }
            self.assert_unharmed().await;

            let rejection = tally.median_rejection();
            assert!(
                rejection < Duration::from_millis(5),
                "{name}: {rejection:?}"
            );
            let longest = ACQUIRE_TIMEOUT + QUERY_TIMEOUT + Duration::from_millis(500);
            assert!(tally.slowest < longest, "{name}: {tally}");
            // Only calls that were running when the fault occurred.
            assert!(tally.unknown <= 2 * CONNECTIONS as usize, "{name}: {tally}");
            println!(
                "{name}: {} after {opened:?}; {tally}; closed after {closed:?}",
                outage.reason.as_str(),
            );
        }
    }
}

/// A fault that comes and goes.
pub struct Outage<S: System> {
    pub name: &'static str,
    pub strike: fn(&mut World<S>),
    pub heal: fn(&mut World<S>),
    pub reason: Reason,
    pub opens_within: Duration,
    pub closes_within: Duration,
}
