//! Callers that never stop.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fusepool::{Delivery, Refused};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::eventually;
use crate::system::{Answer, System};

pub struct Load {
    tally: Arc<Mutex<Tally>>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

/// The results of the calls.
#[derive(Default)]
pub struct Tally {
    pub answered: usize,
    /// The duration of each rejection by the breaker.
    pub rejected: Vec<Duration>,
    pub saturated: usize,
    pub not_sent: usize,
    pub unknown: usize,
    /// Errors that the database answered with.
    pub refused: usize,
    /// The duration of the slowest call that was not rejected.
    pub slowest: Duration,
}

impl Load {
    /// Starts this number of callers of `SELECT 1`.
    pub fn start<S: System>(pool: &S::Pool, callers: usize) -> Self {
        Self::of::<S>(pool, callers, S::ask)
    }

    pub fn of<S: System>(
        pool: &S::Pool,
        callers: usize,
        call: fn(&S::Pool) -> Answer<'_, S>,
    ) -> Self {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for _ in 0..callers {
            let (pool, tally, stop) = (pool.clone(), Arc::clone(&tally), Arc::clone(&stop));
            tasks.spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let start = Instant::now();
                    let result = call(&pool).await;
                    let rejected = tally.lock().unwrap().add::<S>(result, start.elapsed());
                    tokio::time::sleep(Duration::from_millis(if rejected { 5 } else { 1 })).await;
                }
            });
        }
        Self { tally, stop, tasks }
    }

    /// Waits until `n` more calls were answered.
    pub async fn answers(&self, n: usize) {
        let before = self.tally.lock().unwrap().answered;
        eventually("the load is answered", async || {
            self.tally.lock().unwrap().answered >= before + n
        })
        .await;
    }

    /// Waits until the breaker has rejected `n` more calls.
    pub async fn rejections(&self, n: usize) {
        let before = self.tally.lock().unwrap().rejected.len();
        eventually("the load is rejected", async || {
            self.tally.lock().unwrap().rejected.len() >= before + n
        })
        .await;
    }

    /// Stops the callers, and waits for the running calls.
    pub async fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(result) = self.tasks.join_next().await {
            result.expect("no caller panics");
        }
        std::mem::take(&mut *self.tally.lock().unwrap())
    }
}

/// Callers that arrive at this interval, whether the earlier ones were answered or not, and leave at
/// their own timeout. Dropping the set stops them.
pub fn arrivals<S: System>(
    pool: S::Pool,
    interval: Duration,
    patience: Option<Duration>,
) -> JoinSet<()> {
    let mut arrivals = JoinSet::new();
    arrivals.spawn(async move {
        let mut calls = JoinSet::new();
        loop {
            let pool = pool.clone();
            calls.spawn(async move {
                let call = S::ask(&pool);
                match patience {
                    Some(patience) => drop(timeout(patience, call).await),
                    None => drop(call.await),
                }
            });
            while calls.try_join_next().is_some() {}
            tokio::time::sleep(interval).await;
        }
    });
    arrivals
}

impl Tally {
    /// True if the breaker rejected it.
    fn add<S: System>(&mut self, result: Result<(), S::Error>, took: Duration) -> bool {
        let Err(error) = result else {
            self.answered += 1;
            self.slowest = self.slowest.max(took);
            return false;
        };
        match fusepool::refusal(&error) {
            Some(Refused::Saturated { .. }) => self.saturated += 1,
            Some(rejected) => {
                assert!(rejected.retry_after().is_some(), "{rejected:?}");
                self.rejected.push(took);
            }
            None => {
                self.slowest = self.slowest.max(took);
                match S::delivery(&error) {
                    Delivery::NotSent => self.not_sent += 1,
                    Delivery::Unknown => self.unknown += 1,
                    _ => self.refused += 1,
                }
                return false;
            }
        }
        true
    }

    /// The median duration of the rejections.
    pub fn median_rejection(&self) -> Duration {
        let mut rejected = self.rejected.clone();
        rejected.sort();
        rejected
            .get(rejected.len() / 2)
            .copied()
            .unwrap_or_default()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answered, {} rejected in {:?} (median), {} saturated, {} not sent, {} unknown, \
             {} refused, slowest {:?}",
            self.answered,
            self.rejected.len(),
            self.median_rejection(),
            self.saturated,
            self.not_sent,
            self.unknown,
            self.refused,
            self.slowest,
        )
    }
}
