//! The work of the third service: the same reads, of a fixed working set, through the cache.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fusepool::cache::CachePolicy;
use fusepool::sqlx::{PgPool, ReadExt};
use sqlx::postgres::types::Oid;

/// Answers are served for a second without asking the database, and then for as long as the outage
/// lasts, while they are refreshed in the background.
const POLICY: CachePolicy = CachePolicy::named("outage")
    .fresh_for(Duration::from_secs(1))
    .stale_while_revalidate(Duration::from_secs(600))
    .stale_if_error(Duration::from_secs(600));

/// The number of different reads.
pub(crate) const WORKING_SET: u32 = 1_000;

/// The reads in a fixed order, repeated for ever.
#[derive(Default)]
pub(crate) struct Menu(AtomicU32);

impl Menu {
    pub(crate) fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed) % WORKING_SET
    }
}

/// Reads everything once, so that the cache is filled, as in a service that has run for a while.
pub(crate) async fn warm(pool: &PgPool) -> sqlx::Result<()> {
    for number in 0..WORKING_SET {
        look_up(pool, number).await?;
    }
    Ok(())
}

pub(crate) async fn look_up(pool: &PgPool, number: u32) -> sqlx::Result<()> {
    const TEXT: Oid = Oid(25);
    sqlx::query_scalar::<_, String>("SELECT typname || $2 FROM pg_type WHERE oid = $1")
        .bind(TEXT)
        .bind(number.to_string())
        .cached(&POLICY)
        .fetch_one(pool)
        .await?;
    Ok(())
}
