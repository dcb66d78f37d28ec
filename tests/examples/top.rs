//! What `examples/top` draws in a terminal.

use std::sync::Arc;
use std::time::Duration;

use fusepool::live::Live;
use fusepool::{Breaker, Gate};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::view;

#[test]
fn the_terminal_shows_the_pools_of_a_live_page() {
    let gate = Arc::new(
        Gate::builder(Breaker::builder().name("geocoder"))
            .build()
            .unwrap(),
    );
    let live = Live::new().watch(&gate);
    gate.breaker().trip_for(Duration::from_secs(60));
    let mut terminal = Terminal::new(TestBackend::new(80, 14)).unwrap();
    let report = Ok(serde_json::from_str(&live.json()).unwrap());
    terminal.draw(|frame| view::draw(frame, &report)).unwrap();
    let shown = terminal.backend().to_string();
    for expected in [
        "geocoder open for",
        "0.0/s refused",
        "closed -> open  manual",
        "▀▀▀",
    ] {
        assert!(shown.contains(expected), "no {expected}:\n{shown}");
    }

    // The service has ended.
    terminal
        .draw(|frame| view::draw(frame, &Err("refused".into())))
        .unwrap();
    assert!(
        terminal
            .backend()
            .to_string()
            .contains("fusepool    refused")
    );
}
