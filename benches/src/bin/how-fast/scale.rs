//! How the cost of a guarded call grows with the numbers of pools, tasks and keys.

use std::sync::Arc;

use benches::pools::{FRESH, Nothing, guarded, naked};
use benches::{Path, block_on};
use fusepool::deadpool::Pool;
use fusepool::{Breaker, Class, Gate};
use quick_cache::sync::Cache;
use tokio::runtime::Runtime;
use tokio::task::yield_now;

use crate::rounds::{Plan, Rounds};

/// The cost of a call among many, in units of the cost of the same call among few.
pub(crate) struct Growth {
    pub(crate) of: &'static str,
    /// Beside it: the same without fusepool.
    pub(crate) beside: &'static str,
    /// The number of pools, tasks or keys, the cost of a call, and the cost of what is beside it.
    pub(crate) steps: Vec<(u64, f64, f64)>,
}

pub(crate) fn all(runtime: &Arc<Runtime>) -> [Growth; 3] {
    let of_pools = [1, 10, 100, 1_000].map(|n| (n, pools(n)));
    let of_tasks = [10, 100, 1_000, 10_000].map(|n| (n, tasks(runtime, n)));
    let of_keys = [1_000, 10_000, 100_000, 1_000_000].map(|n| (n, keys(n)));
    [
        growth(
            "`get` and drop, of that many pools in turns",
            "deadpool itself",
            of_pools,
            Plan::ONE_THREAD,
        ),
        growth(
            "call of one gate, by that many tasks at once",
            "the tasks alone",
            of_tasks,
            Plan::RUNTIME,
        ),
        growth(
            "cached read, fresh, of that many keys",
            "`get` of quick_cache",
            of_keys,
            Plan::ONE_THREAD,
        ),
    ]
}

fn growth(
    of: &'static str,
    beside: &'static str,
    steps: [(u64, [Path; 2]); 4],
    plan: Plan,
) -> Growth {
    let (numbers, paths): (Vec<u64>, Vec<[Path; 2]>) = steps.into_iter().unzip();
    let mut paths: Vec<Path> = paths.into_iter().flatten().collect();
    for (at, path) in paths.iter_mut().enumerate() {
        path.name = at.to_string();
    }
    let rounds = Rounds::measure(&paths, plan);
    let ratio = |at: usize| rounds.ratio(&at.to_string(), &[&(at % 2).to_string()]);
    let steps = numbers.into_iter().enumerate();
    Growth {
        of,
        beside,
        steps: steps
            .map(|(at, n)| (n, ratio(2 * at), ratio(2 * at + 1)))
            .collect(),
    }
}

fn pools(n: u64) -> [Path; 2] {
    let guarded: Vec<_> = (0..n).map(|_| guarded()).collect();
    let naked: Vec<_> = (0..n).map(|_| naked()).collect();
    [
        Path::of_async("", async move |number| {
            drop(guarded[(number % n) as usize].get().await);
        }),
        Path::of_async("", async move |number| {
            drop(naked[(number % n) as usize].get().await);
        }),
    ]
}

/// Each call is suspended twice.
fn tasks(runtime: &Arc<Runtime>, n: u64) -> [Path; 2] {
    /// Some for each of the most tasks.
    const CALLS: u64 = 50_000;
    async fn call() -> Result<(), ()> {
        yield_now().await;
        yield_now().await;
        Ok(())
    }
    let gate = Gate::builder(Breaker::builder());
    let gate = Arc::new(block_on(async { gate.build().unwrap() }));
    let guarded = move || {
        let gate = Arc::clone(&gate);
        async move { gate.call(&|(): &()| Class::Failure, call()).await.is_ok() }
    };
    [
        Path::of_tasks(runtime, "", n, guarded),
        Path::of_tasks(runtime, "", n, call),
    ]
    .map(|path| Path {
        name: path.name,
        calls: Box::new(move |times| (path.calls)(times * CALLS)),
    })
}

fn keys(n: u64) -> [Path; 2] {
    // Neighbours in time are no neighbours in memory.
    let key = move |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % n;
    let (pool, quick) = (guarded(), Cache::<u128, Arc<u64>>::new(2 * n as usize));
    block_on(async {
        for key in 0..n {
            quick.insert(u128::from(key), read(&pool, key).await);
        }
    });
    [
        Path::of_async("", async move |number| read(&pool, key(number)).await),
        Path::new("", move |number| quick.get(&u128::from(key(number)))),
    ]
}

pub(crate) async fn read(pool: &Pool<Nothing>, key: u64) -> Arc<u64> {
    let read = pool.cached(&FRESH, key.to_le_bytes());
    let load = move |_| async move { Ok(Arc::new(key)) };
    read.load(load).await.unwrap()
}
