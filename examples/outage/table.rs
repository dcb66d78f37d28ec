//! The measurements in words.

use crate::figures::{Figures, Latency};
use crate::load::End;
use crate::phases::Phases;
use crate::seconds;

pub(crate) fn print(naked: &Figures, guarded: &Figures) {
    line("", "sqlx::PgPool", "fusepool::sqlx::PgPool");
    row(naked, guarded, "tasks in flight, at most", |pool| {
        pool.most_in_flight.to_string()
    });
    for (phase, name) in Phases::NAMES.iter().enumerate() {
        let title = format!("latency {name}: p50 / p99 / max");
        row(naked, guarded, &title, |pool| latency(pool.latency[phase]));
    }
    row(naked, guarded, "answered", |pool| {
        pool.ended(End::Answered).to_string()
    });
    row(naked, guarded, "rejected, never sent", |pool| {
        pool.ended(End::Rejected).to_string()
    });
    row(naked, guarded, "failed", |pool| {
        pool.ended(End::Failed).to_string()
    });
    row(naked, guarded, "connections opened while stalled", |pool| {
        pool.new_connections.to_string()
    });
    row(naked, guarded, "recovered after the heal in", |pool| {
        pool.recovered.map_or("never".to_owned(), seconds)
    });
    row(naked, guarded, "breaker opened after", |pool| {
        pool.breaker.as_ref().map_or("-".to_owned(), |breaker| {
            let reason = breaker.why.reason.as_str();
            format!("{} ({reason})", seconds(breaker.after))
        })
    });
    row(
        naked,
        guarded,
        "latency of calls started while open",
        |pool| {
            let breaker = pool.breaker.as_ref();
            breaker.map_or("-".to_owned(), |breaker| latency(breaker.while_open))
        },
    );
    println!("(A call belongs to the phase that it started in.)");
}

fn row(naked: &Figures, guarded: &Figures, title: &str, cell: impl Fn(&Figures) -> String) {
    line(title, &cell(naked), &cell(guarded));
}

fn line(title: &str, naked: &str, guarded: &str) {
    println!("{title:<37}{naked:>30}{guarded:>34}");
}

fn latency(of: Latency) -> String {
    format!("{:.1?} / {:.1?} / {:.1?}", of.p50, of.p99, of.max)
}
