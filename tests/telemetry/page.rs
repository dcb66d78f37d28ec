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
