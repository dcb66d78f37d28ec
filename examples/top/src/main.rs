//! Shows pools at work in a terminal, from the JSON of a [`fusepool::live`] page.
//!
//! ```sh
//! cargo run -p storefront # in another terminal
//! cargo run -p top        # or with the address: -- http://127.0.0.1:3000/live/json
//! ```

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode};
use serde_json::Value;

mod view;

const URL: &str = "http://127.0.0.1:3000/live/json";
const REFRESH: Duration = Duration::from_millis(500);

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| URL.to_owned());
    get(&url)?; // fails before the terminal changes
    ratatui::run(|terminal| {
        loop {
            let report = get(&url).map_err(|error| error.to_string());
            terminal.draw(|frame| view::draw(frame, &report))?;
            if event::poll(REFRESH)? && is_quit(&event::read()?) {
                return Ok(());
            }
        }
    })
}

/// `q`, `Esc` or `Ctrl-C`.
fn is_quit(event: &Event) -> bool {
    event
        .as_key_press_event()
        .is_some_and(|key| matches!(key.code, KeyCode::Char('q' | 'c') | KeyCode::Esc))
}

/// Asks by HTTP/1.0, whose answers end with the connection.
fn get(url: &str) -> Result<Value, Box<dyn Error>> {
    let rest = url
        .strip_prefix("http://")
        .ok_or("the URL begins with http://")?;
    let (host, path) = rest.split_once('/').ok_or("the URL has a path")?;
    let mut stream = TcpStream::connect(host).map_err(|error| format!("{host}: {error}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP")?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(serde_json::from_str(body)?),
        _ => Err(head.lines().next().unwrap_or_default().into()),
    }
}
