//! Prints the measurements.

use crate::figures::{Figures, Latency};
use crate::load::End;
use crate::phases::Phases;
use crate::{Pools, seconds};

pub(crate) fn print(pools: &Pools) {
    line(
        "",
        &[
            "sqlx::PgPool",
            "fusepool::sqlx::PgPool",
            "with cached reads",
        ],
    );
    row(pools, "tasks in flight, at most", |pool| {
        pool.most_in_flight.to_string()
    });
    for (phase, name) in Phases::NAMES.iter().enumerate() {
        let title = format!("latency {name}: p50 / p99 / max");
        row(pools, &title, |pool| latency(pool.latency[phase]));
    }
    row(pools, "answered", |pool| {
        pool.ended(End::Answered).to_string()
    });
    row(pools, "answered of those started in the stall", |pool| {
        format!("{:.2} %", 100.0 * pool.served_in_stall())
    });
    row(pools, "refused, never sent", |pool| {
        pool.ended(End::Refused).to_string()
    });
    row(pools, "failed", |pool| pool.ended(End::Failed).to_string());
    row(pools, "connections opened in the stall", |pool| {
        pool.new_connections.to_string()
    });
    row(pools, "recovered after the heal in", |pool| {
        pool.recovered.map_or("never".to_owned(), seconds)
    });
    row(pools, "breaker opened after", |pool| {
        pool.breaker.as_ref().map_or("-".to_owned(), |breaker| {
            let reason = breaker.why.reason.as_str();
            format!("{} ({reason})", seconds(breaker.after))
        })
    });
    row(pools, "latency of calls started while open", |pool| {
        let breaker = pool.breaker.as_ref();
        breaker.map_or("-".to_owned(), |breaker| latency(breaker.while_open))
    });
    let cache = &pools.cache;
    println!(
        "The cache: {} answers in {} KiB of {}; {} fresh, {} revalidating, {} stale, {} loads.",
        cache.entries,
        cache.bytes >> 10,
        cache.max_bytes >> 10,
        cache.totals.hits,
        cache.totals.revalidating,
        cache.totals.stale,
        cache.totals.loads,
    );
    println!("(A call belongs to the phase that it started in.)");
}

fn row(pools: &Pools, title: &str, cell: impl Fn(&Figures) -> String) {
    let cells = [&pools.naked, &pools.guarded, &pools.cached].map(cell);
    line(title, &cells.each_ref().map(String::as_str));
}

fn line(title: &str, [naked, guarded, cached]: &[&str; 3]) {
    println!("{title:<39}{naked:>30}{guarded:>34}{cached:>30}");
}

fn latency(of: Latency) -> String {
    format!("{:.1?} / {:.1?} / {:.1?}", of.p50, of.p99, of.max)
}
