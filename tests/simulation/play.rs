//! Plays a situation on the naked pool, or on the guarded one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use fusepool::breaker::{self, Breaker};
use fusepool::{Awaited, Clock, GateError, Guarded, Refused};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep, timeout};

use crate::adapter::Simulated;
use crate::callers::{Arrivals, Callers};
use crate::fault::Fault;
use crate::pool::Pool;
use crate::record::{Ending, Play, Record};
use crate::server::{DbError, Opener, Server, Statement};
use crate::situation::Situation;

/// The longest time that a naked caller waits for a connection, as by default in sqlx.
const NAKED_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// The time for calls to end after the last one was made.
const AFTERWARDS: Duration = Duration::from_secs(35);
/// The shortest time between the calls of one worker, so that one that is refused does not spin.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// The breaker's clock is the runtime's.
#[derive(Debug)]
struct RuntimeClock(Instant);

impl Clock for RuntimeClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[derive(Clone)]
enum Service {
    Naked(Pool),
    Guarded(Guarded<Simulated>),
}

pub(crate) fn naked(situation: &Situation) -> Play {
    play(situation, false)
}

pub(crate) fn guarded(situation: &Situation) -> Play {
    play(situation, true)
}

fn play(situation: &Situation, is_guarded: bool) -> Play {
    // The jitter of the breaker is the same in every run, too.
    fastrand::seed(situation.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(run(situation, is_guarded))
}

async fn run(situation: &Situation, is_guarded: bool) -> Play {
    let server = Server::new(situation.machine, situation.script.clone());
    let pool = Pool::new(Arc::clone(&server), situation.pool);
    let transitions = Arc::new(Mutex::new(Vec::new()));
    let service = match is_guarded {
        false => Service::Naked(pool.clone()),
        true => {
            let (seen, server) = (Arc::clone(&transitions), Arc::clone(&server));
            let breaker = Breaker::builder()
                .clock(RuntimeClock(Instant::now()))
                .on_event(move |event| {
                    if let breaker::Event::Transition(transition) = event {
                        seen.lock().unwrap().push((server.now(), **transition));
                    }
                });
            let adapter = Simulated {
                pool: pool.clone(),
                cancels: situation.cancels,
            };
            let builder = Guarded::builder(adapter).breaker(breaker);
            Service::Guarded((situation.configure)(builder).build().unwrap())
        }
    };
    if situation.warm {
        pool.warm_up();
    }
    let records = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for (group, callers) in situation.callers.iter().enumerate() {
        let caller = Caller {
            service: service.clone(),
            server: Arc::clone(&server),
            callers: callers.clone(),
            group,
            seed: situation.seed,
            records: Arc::clone(&records),
        };
        caller.start(situation.length, &mut tasks);
    }
    for episode in &situation.script.0 {
        if episode.fault == Fault::Standstill {
            let (server, episode) = (Arc::clone(&server), *episode);
            tasks.spawn(async move {
                server.until(Some(episode.from)).await;
                advance(episode.to - episode.from).await;
            });
        }
    }
    let all = async { while tasks.join_next().await.is_some() {} };
    let _ = timeout(situation.length + AFTERWARDS, all).await;
    tasks.shutdown().await;
    let trips = match &service {
        Service::Naked(_) => 0,
        Service::Guarded(guarded) => guarded.snapshot().gate.breaker.totals.trips,
    };
    let mut tally = server.tally.lock().unwrap();
    let connects = |by| {
        let by = tally
            .connects
            .iter()
            .filter(move |(_, opener)| *opener == by);
        by.map(|(at, _)| *at).collect()
    };
    Play {
        records: std::mem::take(&mut records.lock().unwrap()),
        transitions: std::mem::take(&mut transitions.lock().unwrap()),
        pool_connects: connects(Opener::Pool),
        prober_connects: connects(Opener::Prober),
        most_at_work: tally.at_work.most,
        most_probes: tally.probes.most,
        trips,
        statements: std::mem::take(&mut tally.arrivals),
    }
}

/// A caller of a group.
#[derive(Clone)]
struct Caller {
    service: Service,
    server: Arc<Server>,
    callers: Callers,
    group: usize,
    seed: u64,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Caller {
    fn start(self, length: Duration, tasks: &mut JoinSet<()>) {
        let mut random = Rng::with_seed(self.seed ^ (self.group as u64) << 32);
        match self.callers.arrivals {
            Arrivals::Workers(count, pause) => {
                for worker in 0..u64::from(count) {
                    tasks.spawn(self.clone().work(worker << 32, pause, length));
                }
            }
            _ => {
                let arrivals = self.callers.arrivals(length, &mut random);
                for (number, at) in (0..).zip(arrivals) {
                    let caller = self.clone();
                    tasks.spawn(async move {
                        caller.server.until(Some(at)).await;
                        caller.call(number).await;
                    });
                }
            }
        }
    }

    async fn work(self, first: u64, pause: Duration, length: Duration) {
        self.server.until(Some(self.callers.from)).await;
        let mut number = first;
        while self.server.now() < length.min(self.callers.to) {
            self.call(number).await;
            number += 1;
            sleep(pause.max(SHORTEST_PAUSE)).await;
        }
    }

    /// Makes a call, and records each attempt.
    async fn call(&self, number: u64) {
        for _ in 0..=self.callers.retries {
            let start = self.server.now();
            let attempt = self.attempt(number);
            let ending = match self.callers.patience {
                None => attempt.await,
                Some(patience) => timeout(patience, attempt).await.unwrap_or(Ending::GaveUp),
            };
            self.records.lock().unwrap().push(Record {
                group: self.group,
                number,
                start,
                end: self.server.now(),
                ending,
            });
            if ending == Ending::Answered {
                return;
            }
        }
    }

    async fn attempt(&self, number: u64) -> Ending {
        // A call takes equally long in every run.
        let mut random = Rng::with_seed(self.seed ^ number << 8 ^ self.group as u64);
        let statements = std::iter::repeat_with(|| Statement {
            kind: self.callers.kind,
            work: self.callers.latency.sample(&mut random),
        });
        let statements: Vec<_> = statements.take(self.callers.statements as usize).collect();
        let result = match &self.service {
            Service::Naked(pool) => self.naked(pool, &statements).await,
            Service::Guarded(pool) => self.guarded(pool, &statements).await,
        };
        result.err().unwrap_or(Ending::Answered)
    }

    async fn naked(&self, pool: &Pool, statements: &[Statement]) -> Result<(), Ending> {
        let leased = timeout(NAKED_ACQUIRE_TIMEOUT, pool.lease()).await;
        let leased = leased.map_err(|_| Ending::NoConnection)?;
        let mut lease = leased.map_err(Ending::Failed)?;
        for statement in statements {
            (lease.execute(*statement).await).map_err(Ending::Failed)?;
            self.hold().await;
        }
        Ok(())
    }

    async fn guarded(
        &self,
        pool: &Guarded<Simulated>,
        statements: &[Statement],
    ) -> Result<(), Ending> {
        let mut lease = pool.lease().await.map_err(|error| ending(error, None))?;
        for statement in statements {
            let (since, mut is_lost) = (self.server.now(), false);
            let run = lease.guard(async |connection| {
                is_lost = connection.is_silent();
                connection.execute(*statement).await
            });
            let result = run.await;
            result.map_err(|error| ending(error, Some(Ending::Cut { since, is_lost })))?;
            self.hold().await;
        }
        Ok(())
    }

    async fn hold(&self) {
        if !self.callers.hold.is_zero() {
            sleep(self.callers.hold).await;
        }
    }
}

/// `cut` is the ending at a deadline for an answer.
fn ending(error: GateError<DbError>, cut: Option<Ending>) -> Ending {
    match error {
        GateError::Refused(Refused::Saturated { .. }) => Ending::Saturated,
        GateError::Deadline(deadline) => match cut {
            Some(cut) if deadline.awaited() != Awaited::Connection => cut,
            _ => Ending::NoConnection,
        },
        GateError::Failed(error) => Ending::Failed(error),
        _ => Ending::Refused,
    }
}
