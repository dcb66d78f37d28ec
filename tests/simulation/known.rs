//! The laws that are still broken, so that a test tells when one more is, and when one is kept at last.

use crate::laws::Broken;
use crate::situation::Situation;

/// Parts of the names of situations, and the laws that these break. Delete a line when its law is kept.
const BROKEN: &[(&str, &str)] = &[
    ("aborted requests", "opens while the database is well"),
    (
        "more is asked than it can do",
        "opens while the database is well",
    ),
    ("more is asked than it can do", "backends at work"),
    (
        "connecting takes 1.9s, then an outage of 3 s",
        "first answer late",
    ),
    ("pings succeed, statements hang", "backends at work"),
    ("one table is locked", "backends at work"),
];

/// Of a thousand random situations, the most that may break each law. No other law may be broken.
pub(crate) const BROKEN_OF_THOUSAND: &[(&str, usize)] = &[
    ("answers less", 17),
    ("backends at work", 5),
    ("closes late", 1),
    ("first answer late", 7),
    ("opens connections", 25),
    ("opens late", 2),
    ("opens while the database is well", 7),
    ("refuses while the database is well", 12),
];

/// The laws that this situation breaks although [`BROKEN`] does not list them, and those that it keeps
/// although it does: one line for each.
pub(crate) fn surprises(situation: &Situation, broken: &[Broken]) -> String {
    let name = &situation.name;
    let known = BROKEN.iter().filter(|(part, _)| name.contains(part));
    let known: Vec<_> = known.map(|(_, law)| *law).collect();
    let worse = broken.iter().filter(|broken| !known.contains(&broken.law));
    let worse = worse.map(|broken| format!("{name}: {broken}\n"));
    let is_kept = |law: &&&str| !broken.iter().any(|broken| broken.law == **law);
    let better = known.iter().filter(is_kept);
    let better = better.map(|law| format!("{name}: keeps `{law}` now, delete it from known.rs\n"));
    worse.chain(better).collect()
}
