//! The measurements as a picture: tasks in flight and latency over time.

use std::ops::Range;
use std::time::Duration;

use plotters::coord::Shift;
use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Outcome;
use crate::arguments::Arguments;
use crate::figures::{Figures, Latency};
use crate::phases::Phases;

const SIZE: (u32, u32) = (960, 640);
/// The time that one point of a line covers.
const STEP: Duration = Duration::from_millis(100);

const NAKED: RGBColor = RGBColor(200, 60, 50);
const GUARDED: RGBColor = RGBColor(0, 110, 150);
const STALLED: RGBColor = RGBColor(252, 240, 228);
const TEXT: RGBColor = RGBColor(70, 70, 70);
const FONT: &str = "sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Line = Vec<(f64, f64)>;

/// One of the two charts.
struct Chart<'a> {
    title: &'a str,
    range: Range<f64>,
    label: fn(&f64) -> String,
    naked: Line,
    guarded: Line,
    /// The times at which the breaker was open, drawn as bars.
    open: &'a [(Duration, Duration)],
}

pub(crate) fn draw(
    arguments: &Arguments,
    phases: Phases,
    naked: &Figures,
    guarded: &Figures,
) -> Outcome<()> {
    let area = SVGBackend::new(&arguments.picture, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (head, charts) = area.split_vertically(56);
    draw_head(&head, arguments)?;
    let (upper, lower) = charts.split_vertically(282);
    let in_flight = Chart {
        title: "Tasks in flight",
        range: 1.0..20_000.0,
        label: count,
        naked: in_flight(naked, phases),
        guarded: in_flight(guarded, phases),
        open: &[],
    };
    in_flight.draw(&upper, phases)?;
    let latency = Chart {
        title: "Latency: the 99th percentile of the calls started at that time",
        range: 3e-7..100.0,
        label: |seconds| format!("{:?}", Duration::from_secs_f64(*seconds)),
        naked: latency(naked, phases),
        guarded: latency(guarded, phases),
        open: &guarded.open,
    };
    latency.draw(&lower, phases)?;
    area.present()?;
    Ok(())
}

fn draw_head(area: &Area<'_>, arguments: &Arguments) -> Outcome<()> {
    let title = format!(
        "{} calls a second on each pool of {}, started on schedule",
        arguments.rate,
        crate::CONNECTIONS
    );
    area.draw(&Text::new(title, (68, 10), text(17, &TEXT)))?;
    for (x, name, color) in [
        (68, "sqlx::PgPool", NAKED),
        (230, "fusepool::sqlx::PgPool", GUARDED),
    ] {
        let sample = [(x, 43), (x + 26, 43)];
        area.draw(&PathElement::new(sample, color.stroke_width(3)))?;
        area.draw(&Text::new(name, (x + 34, 36), text(15, &color)))?;
    }
    Ok(())
}

impl Chart<'_> {
    fn draw(&self, area: &Area<'_>, phases: Phases) -> Outcome<()> {
        let end = phases.end.as_secs_f64();
        let stalled = (phases.stalled.as_secs_f64(), phases.healed.as_secs_f64());
        let (bottom, top) = (self.range.start, self.range.end);
        area.draw(&Text::new(self.title, (68, 10), text(16, &TEXT)))?;
        let mut chart = ChartBuilder::on(area)
            .margin_top(34)
            .margin_right(24)
            .x_label_area_size(28)
            .y_label_area_size(68)
            .build_cartesian_2d(0.0..end, self.range.clone().log_scale())?;
        chart.draw_series([Rectangle::new(
            [(stalled.0, bottom), (stalled.1, top)],
            STALLED.filled(),
        )])?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.08))
            .axis_style(BLACK.mix(0.4))
            .label_style((FONT, 14).into_font().color(&TEXT))
            .x_label_formatter(&|time| format!("{time}s"))
            .y_label_formatter(&self.label)
            .draw()?;
        for (time, name) in [0.0, stalled.0, stalled.1].into_iter().zip(Phases::NAMES) {
            let at = (time + end / 150.0, top * 0.8);
            chart.draw_series([Text::new(name, at, text(14, &TEXT))])?;
        }
        for (line, color) in [(&self.naked, NAKED), (&self.guarded, GUARDED)] {
            let line = line.iter().copied();
            chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?;
        }
        let bars = self.open.iter().map(|(from, to)| {
            let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
            Rectangle::new([(from, bottom * 1.3), (to, bottom * 2.6)], GUARDED.filled())
        });
        chart.draw_series(bars)?;
        if let Some((from, _)) = self.open.first() {
            let at = (from.as_secs_f64(), bottom * 9.0);
            let name = "breaker open (gaps: probes)";
            chart.draw_series([Text::new(name, at, text(13, &GUARDED))])?;
        }
        Ok(())
    }
}

fn text(size: u32, color: &RGBColor) -> TextStyle<'static> {
    let left = Pos::new(HPos::Left, VPos::Top);
    (FONT, size).into_font().color(color).pos(left)
}

/// Formats a number with commas between the thousands.
fn count(n: &f64) -> String {
    match *n {
        n if n < 1_000.0 => format!("{n}"),
        n => format!("{},{:03}", (n / 1_000.0).floor(), n % 1_000.0),
    }
}

/// The maximum in each step.
fn in_flight(pool: &Figures, phases: Phases) -> Line {
    let mut before = 0;
    steps(phases)
        .map(|step| {
            let index = |at| pool.in_flight.partition_point(|(time, _)| *time < at);
            let within = &pool.in_flight[index(step.start)..index(step.end)];
            let most = within.iter().map(|(_, n)| *n).fold(before, usize::max);
            before = within.last().map_or(before, |(_, n)| *n);
            // A logarithmic scale cannot show 0.
            (step.start.as_secs_f64(), most.max(1) as f64)
        })
        .collect()
}

fn latency(pool: &Figures, phases: Phases) -> Line {
    steps(phases)
        .filter_map(|step| {
            let calls = pool.calls.iter();
            let of = Latency::of(calls.filter(|call| step.contains(&call.started)));
            (of.calls > 0).then_some((step.start.as_secs_f64(), of.p99.as_secs_f64()))
        })
        .collect()
}

fn steps(phases: Phases) -> impl Iterator<Item = Range<Duration>> {
    (0_u32..)
        .map(|step| STEP * step..STEP * (step + 1))
        .take_while(move |step| step.start < phases.end)
}
