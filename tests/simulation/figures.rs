//! The figures of a situation, naked beside guarded.

use std::fmt;
use std::time::Duration;

use fusepool::breaker::State;

use crate::known::surprises;
use crate::laws::{Broken, Case, connects_in, judge};
use crate::play;
use crate::record::{Ending, Play, Record};
use crate::situation::Situation;

/// Plays situations in both ways, prints their figures, and panics if the guarded pool breaks a law that
/// it is not known to break.
pub(crate) fn check(situations: &[Situation]) {
    println!("{HEAD}");
    let mut surprising = String::new();
    for situation in situations {
        let (figures, broken) = judged(situation);
        println!("{figures}");
        surprising += &surprises(situation, &broken);
        surprising += &figures.is_outdated().unwrap_or_default();
    }
    assert!(surprising.is_empty(), "\n{surprising}");
}

/// One line for each.
pub(crate) fn listed(broken: &[Broken]) -> String {
    broken
        .iter()
        .map(|broken| format!("\n    {broken}"))
        .collect()
}

/// The figures, and the laws that are broken.
pub(crate) fn judged(situation: &Situation) -> (Figures, Vec<Broken>) {
    let (naked, guarded) = (play::naked(situation), play::guarded(situation));
    let broken = judge(situation, &naked, &guarded);
    let figures = Figures::of(
        &Case {
            situation,
            naked: &naked,
            guarded: &guarded,
        },
        &broken,
    );
    (figures, broken)
}

pub(crate) const HEAD: &str = "\
| situation | answered in time | failed or gave up | refused | opened after | closed after \
| first answer | at work | connections | trips | calls | cut (healthy) | laws broken |
|---|---|---|---|---|---|---|---|---|---|---|---|---|";

/// The page of the guide with the rows of most situations.
const GUIDE: &str = include_str!("../../src/guide/situations.md");

/// One row: `naked / guarded`, or the guarded pool only.
#[derive(Debug)]
pub(crate) struct Figures {
    name: String,
    calls: Pair,
    in_time: Pair,
    failed: Pair,
    gave_up: Pair,
    refused: usize,
    cut: usize,
    cut_healthy: usize,
    opened_after: Option<Duration>,
    closed_after: Option<Duration>,
    first_answer: (Option<Duration>, Option<Duration>),
    at_work: Pair,
    connections: Pair,
    probes: usize,
    trips: u64,
    broken: Vec<&'static str>,
}

#[derive(Debug)]
struct Pair(usize, usize);

impl Figures {
    fn of(case: &Case<'_>, broken: &[Broken]) -> Self {
        let Case {
            situation,
            naked,
            guarded,
        } = case;
        let count = |is: &dyn Fn(&Record) -> bool| Pair(naked.count(is), guarded.count(is));
        let episode = situation.script.0.first();
        let since = |at: Duration, from: Option<Duration>| from.map(|from| at.saturating_sub(from));
        let began =
            episode.map(|first| case.must_open(first).map_or(first.from, |(first, _)| first));
        let heal = situation.script.0.iter().map(|episode| episode.to).max();
        let opened = guarded.openings().map(|(at, _)| at);
        let opened = opened
            .filter(|at| began.is_none_or(|began| *at >= began))
            .min();
        let closed = guarded
            .transitions
            .iter()
            .rev()
            .find(|(_, change)| change.to == State::Closed);
        let first =
            |play: &Play| heal.and_then(|heal| since(play.first_answer_after(heal)?, Some(heal)));
        let outage = episode.filter(|episode| episode.from < episode.to);
        let connections = |play: &Play| {
            outage.map_or(play.pool_connects.len(), |outage| {
                connects_in(&play.pool_connects, outage)
            })
        };
        let is_cut = |record: &Record| matches!(record.ending, Ending::Cut { .. });
        Self {
            name: situation.name.clone(),
            calls: count(&|_| true),
            in_time: count(&|record| case.in_time(record)),
            failed: count(&|record| matches!(record.ending, Ending::Failed(_))),
            gave_up: count(&|record| record.ending == Ending::GaveUp),
            refused: guarded.count(Record::is_refused),
            cut: guarded.count(is_cut),
            cut_healthy: guarded.count(|record| case.is_cut_healthy(record)),
            opened_after: opened.and_then(|at| since(at, began.or(Some(Duration::ZERO)))),
            closed_after: closed.and_then(|(at, _)| since(*at, heal)),
            first_answer: (first(naked), first(guarded)),
            at_work: Pair(naked.most_at_work as usize, guarded.most_at_work as usize),
            connections: Pair(connections(naked), connections(guarded)),
            probes: outage.map_or(guarded.prober_connects.len(), |outage| {
                connects_in(&guarded.prober_connects, outage)
            }),
            trips: guarded.trips,
            broken: broken.iter().map(|broken| broken.law).collect(),
        }
    }
}

impl Figures {
    /// Its row in the guide.
    fn row(&self) -> String {
        let time = |time: Option<Duration>| {
            time.map_or("–".to_owned(), |time| {
                format!("{:.2} s", time.as_secs_f64())
            })
        };
        format!(
            "| {} | {} | {} | {} | {} | {} | {} / {} | {} | {} + {} | {} |",
            self.name,
            self.in_time,
            Pair(
                self.failed.0 + self.gave_up.0,
                self.failed.1 + self.gave_up.1
            ),
            self.refused,
            time(self.opened_after),
            time(self.closed_after),
            time(self.first_answer.0),
            time(self.first_answer.1),
            self.at_work,
            self.connections,
            self.probes,
            self.trips,
        )
    }

    /// Why the guide's row of this situation is not the present one.
    fn is_outdated(&self) -> Option<String> {
        let name = format!("| {} |", self.name);
        let told = GUIDE.lines().find(|line| line.starts_with(&name))?;
        let row = self.row();
        (told != row).then(|| format!("situations.md has another row than\n{row}\n"))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (row, broken) = (self.row(), self.broken.join(", "));
        write!(
            f,
            "{row} {} | {} ({}) | {broken} |",
            self.calls, self.cut, self.cut_healthy
        )
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.0, self.1)
    }
}
