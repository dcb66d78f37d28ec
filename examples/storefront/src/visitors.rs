//! Visitors, so that there is something to see.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::catalogue::Catalogue;

/// People in the shop at a time.
const VISITORS: usize = 12;

/// Sends visitors, until the set is dropped. Each looks at one page after the other, as fast as it gets
/// them and has read them.
pub(crate) fn send(catalogue: &impl Catalogue) -> JoinSet<()> {
    let mut visitors = JoinSet::new();
    for _ in 0..VISITORS {
        let catalogue = catalogue.clone();
        visitors.spawn(async move {
            loop {
                // An apology is a page, too: the pool has told the operator why.
                let _ = match fastrand::i64(0..=4) {
                    0 => catalogue.list().await.map(drop),
                    id => catalogue.product(id).await.map(drop),
                };
                let _ = catalogue.popular().await;
                sleep(Duration::from_millis(fastrand::u64(100..300))).await;
            }
        });
    }
    visitors
}
