//! What the terminal shows.

use ratatui::Frame;
use ratatui::layout::Constraint::{Fill, Length};
use ratatui::layout::{Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Sparkline};
use serde_json::Value;

/// The lines of a pool: its figures, four of bars, the states, and the last changes.
const HEIGHT: u16 = 12;

const SECONDS: u16 = 120;

pub(crate) fn draw(frame: &mut Frame<'_>, report: &Result<Value, String>) {
    let [top, rest] = frame.area().layout(&Layout::vertical([Length(1), Fill(1)]));
    let help = match report {
        Ok(_) => "fusepool    q: quit".bold(),
        Err(error) => format!("fusepool    {error}").red(),
    };
    frame.render_widget(Line::from(help), top);
    let Ok(report) = report else { return };
    let pools = list(&report["pools"]);
    let areas = Layout::vertical(vec![Length(HEIGHT); pools.len()]).split(rest);
    for (pool, area) in pools.iter().zip(areas.iter()) {
        card(frame, *area, pool, number(&report["now"]));
    }
}

fn card(frame: &mut Frame<'_>, area: Rect, pool: &Value, now: f64) {
    let state = text(&pool["state"]);
    let since = pool["since"]
        .as_f64()
        .map(|since| format!(" for {}", time(now - since)));
    let title = Line::from(vec![
        format!(" {} ", text(&pool["name"])).bold(),
        format!("{state}{} ", since.unwrap_or_default()).fg(color(state)),
    ]);
    let block = Block::bordered().title(title).border_style(color(state));
    let mut inner = block.inner(area);
    inner.width = inner.width.min(SECONDS); // a column for each second
    frame.render_widget(block, area);
    let [figures, answered, refused, states, changes] = inner.layout(&Layout::vertical([
        Length(2),
        Length(2),
        Length(2),
        Length(1),
        Fill(1),
    ]));
    frame.render_widget(Paragraph::new(self::figures(pool)), figures);
    bars(frame, answered, &pool["history"]["answered"], Color::Blue);
    bars(frame, refused, &pool["history"]["refused"], Color::Yellow);
    frame.render_widget(timeline(pool, now, states.width), states);
    let last = list(&pool["changes"]).iter().rev().map(|change| {
        let ago = format!("{:>8} ago  ", time(now - number(&change["at"])));
        let to = text(&change["to"]);
        let from = format!("{} -> ", text(&change["from"])).into();
        let reason = format!("  {}", text(&change["reason"])).dim();
        Line::from(vec![ago.into(), from, to.fg(color(to)), reason])
    });
    frame.render_widget(Paragraph::new(last.collect::<Vec<_>>()), changes);
}

fn figures(pool: &Value) -> Vec<Line<'static>> {
    let rate = |key: &str| {
        // The last three seconds that are complete.
        let values = list(&pool["history"][key]).iter().rev();
        values.skip(1).take(3).map(number).sum::<f64>() / 3.0
    };
    let connections = match &pool["connections"] {
        Value::Null => String::new(),
        open => format!(
            "   {} of {} connections, {} waiting",
            open["used"], open["max"], pool["waiting"]
        ),
    };
    let latency = |key: &str| pool["latency"][key].as_f64().map_or("-".to_owned(), time);
    vec![
        Line::from(vec![
            format!("{:.1}/s answered", rate("answered")).blue(),
            format!("   {:.1}/s refused", rate("refused")).yellow(),
            format!("   {:.1}/s failed", rate("failed")).red(),
            format!("   {:.1}/s fallbacks", rate("fallbacks")).green(),
        ]),
        Line::from(format!(
            "median {}   99th percentile {}{connections}",
            latency("p50"),
            latency("p99")
        )),
    ]
}

/// As many of the last seconds as there is room for.
fn bars(frame: &mut Frame<'_>, area: Rect, values: &Value, color: Color) {
    let values = list(values);
    let from = values.len().saturating_sub(area.width.into());
    let values = values[from..].iter().map(Value::as_u64);
    frame.render_widget(Sparkline::default().style(color).data(values), area);
}

/// The state at the end of each of the last seconds.
fn timeline(pool: &Value, now: f64, width: u16) -> Line<'_> {
    let changes = list(&pool["changes"]);
    let first = changes.first().map(|change| &change["from"]);
    let first = first.unwrap_or(&pool["state"]);
    let at = |second: u16| {
        let at = now - f64::from(width - 1 - second);
        let last = changes.iter().rfind(|change| number(&change["at"]) <= at);
        text(last.map_or(first, |change| &change["to"]))
    };
    (0..width)
        .map(|second| Span::styled("▀", Style::from(color(at(second)))))
        .collect()
}

fn color(state: &str) -> Color {
    match state {
        "closed" => Color::Green,
        "half_open" => Color::Yellow,
        "open" => Color::Red,
        _ => Color::Magenta,
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        0.0..1.0 => format!("{:.1} ms", seconds * 1000.0),
        0.0..120.0 => format!("{seconds:.1} s"),
        _ => format!("{:.0} min", seconds / 60.0),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_default()
}
