//! The page of events lists all events of the code, and no others.

use std::collections::BTreeSet;

/// The names and levels in the tables of the page.
fn page() -> BTreeSet<String> {
    let page = include_str!("../../src/telemetry/mod.rs");
    let rows = page.lines().filter_map(|line| line.strip_prefix("//! | `"));
    let events = rows.filter(|row| row.contains("| `fusepool::"));
    events
        .map(|row| row.split('`').next().unwrap().to_owned())
        .collect()
}

/// The messages of the macros of `tracing`: the last text of each.
fn code() -> BTreeSet<String> {
    let code = include_str!("../../src/telemetry/trace.rs").replace(char::is_whitespace, "");
    let macros = ["trace!(", "debug!(", "info!(", "warn!("];
    let starts = macros.iter().flat_map(|name| code.match_indices(name));
    let messages = starts.map(|(start, _)| {
        let (call, _) = code[start..].split_once("\")").unwrap();
        call.rsplit('"').next().unwrap().to_owned()
    });
    messages.collect()
}

#[test]
fn every_event_is_on_the_page() {
    assert_eq!(code(), page());
}

/// The codes of warnings, and the page that explains them.
#[test]
fn every_warning_is_on_the_page() {
    let page = include_str!("../../src/lint/warnings.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.map(|row| row.split('`').next().unwrap());
    let code = include_str!("../../src/lint/code.rs");
    let codes = code.lines().filter_map(|line| line.split_once("=> \""));
    let codes = codes.map(|(_, code)| code.split('"').next().unwrap());
    let codes = codes.collect::<BTreeSet<_>>();
    assert!(!codes.is_empty());
    assert_eq!(codes, rows.collect());
}
