//! Random writes that race reads, on real servers with real lock waits: some succeed, some are rolled back,
//! some are given up and land later, or never. No answer may be older than the last write that took effect
//! before its caller asked, but those whose calls are still in progress.
//!
//! `SEED=n` repeats the choices of one run, though not its timing.

use std::time::Duration;

use fusepool::Source;
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::shop::{
    Admin, Deadpool, DieselMysql, DieselPostgres, End, RAISE, Settings, Shop, Sqlx, World,
};
use crate::support::eventually;

const ROUNDS: usize = 15;

/// A write is given up by its caller, or at its deadline.
const PATIENCE: Duration = Duration::from_millis(100);

/// The server is told to stop what was given up.
const STOPPED: Settings = Settings {
    query_timeout: Duration::from_millis(200),
    side_connections: true,
    max_queue: 100,
};

/// It is not, and the connection is kept until it has answered.
const LEFT_ALONE: Settings = Settings {
    query_timeout: Duration::from_secs(20),
    side_connections: false,
    max_queue: 100,
};

fn random_end(random: &mut fastrand::Rng) -> End {
    match random.bool() {
        true => End::Commit,
        false => End::RollBack,
    }
}

/// Writes in a random way, and gives up after a random time. Each write raises the price by one, so that it
/// is the number of writes that took effect.
async fn write<S: Shop>(shop: &S, mut random: fastrand::Rng) {
    let patience = random.u32(1..=4) * PATIENCE / 2;
    let (inner, outer) = (random_end(&mut random), random_end(&mut random));
    let kind = random.u32(..4);
    let write = async {
        match kind {
            0 => shop.write(RAISE).await,
            1 => shop.write_in_transaction(RAISE, None, outer).await,
            2 => shop.write_in_transaction(RAISE, Some(inner), outer).await,
            _ => shop.write_by_texts(RAISE, outer).await,
        }
    };
    let _ = timeout(patience, write).await;
}

async fn no_answer_is_older_than_a_write<S: Shop>(settings: Settings) {
    let seed = match std::env::var("SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => fastrand::u64(..),
    };
    println!("SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let World {
        shop,
        mut admin,
        server,
        proxy: _proxy,
    } = World::<S>::open(settings).await;
    let mut watch = crate::shop::Server::admin(&server).await;
    let mut fresh = 0;
    for _ in 0..ROUNDS {
        let is_locked = random.bool();
        if is_locked {
            admin.lock().await;
        }
        let writes: Vec<_> = (0..random.usize(1..=2)).map(|_| random.fork()).collect();
        let writes = writes.into_iter().map(|random| write(&shop, random));
        let reads = (0..random.usize(..=2)).map(|_| async { drop(shop.read().await) });
        tokio::join!(join_all(writes), join_all(reads));
        // No call that writes is in progress.
        for _ in 0..2 {
            fresh += check(&shop, &mut watch, seed).await;
        }
        if is_locked {
            admin.unlock().await;
        }
        for _ in 0..3 {
            fresh += check(&shop, &mut watch, seed).await;
            sleep(Duration::from_millis(random.u64(..30))).await;
        }
    }
    eventually("nothing is in doubt", async || shop.fresh().await.is_some()).await;
    assert_eq!(shop.fresh().await, Some(watch.price().await), "SEED={seed}");
    println!("{fresh} reads were fresh");
}

/// Reads, and compares the price with that of before. Returns the number of fresh answers.
async fn check<S: Shop>(shop: &S, watch: &mut Admin, seed: u64) -> u32 {
    let known = watch.price().await;
    let Ok((price, source)) = shop.read().await else {
        return 0;
    };
    // An answer from before a failure may be old.
    if !matches!(source, Source::Fresh { .. } | Source::Live) {
        return 0;
    }
    assert!(
        price >= known,
        "SEED={seed}: {price} is older than {known}: {source:?}"
    );
    u32::from(matches!(source, Source::Fresh { .. }))
}

macro_rules! on_all_shops {
    ($($name:ident $shop:ty;)*) => {
        $(mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn no_answer_is_older_than_a_write_that_is_stopped() {
                no_answer_is_older_than_a_write::<$shop>(STOPPED).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn no_answer_is_older_than_a_write_that_lands_later() {
                no_answer_is_older_than_a_write::<$shop>(LEFT_ALONE).await;
            }
        })*
    };
}

on_all_shops! {
    sqlx_postgres Sqlx<sqlx::Postgres>;
    sqlx_mariadb Sqlx<sqlx::MySql>;
    deadpool_postgres Deadpool;
    diesel_postgres DieselPostgres;
    diesel_mariadb DieselMysql;
}
