//! Writes the guide's page: the tables and the picture.

use std::fmt::Write;
use std::fs;

use benches::Row;

use crate::scale::Growth;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../src/guide/how_fast.md");

/// A row of the table.
pub(crate) struct Measured<'r> {
    pub(crate) row: &'r Row,
    pub(crate) threads: usize,
    /// The time of the path in units of the time of what is beside it.
    pub(crate) ratio: f64,
    /// The largest ratio that is wanted.
    pub(crate) goal: Option<f64>,
}

impl Measured<'_> {
    fn is_met(&self) -> Option<bool> {
        self.goal.map(|goal| self.ratio <= goal)
    }

    fn color(&self) -> &'static str {
        match self.is_met() {
            Some(true) => "#3a9d5d",
            Some(false) => "#d9822b",
            None => "#7a8599",
        }
    }

    pub(crate) fn call(&self) -> String {
        match self.threads {
            1 => self.row.path.to_owned(),
            threads => format!("{}, {threads} threads", self.row.path),
        }
    }
}

pub(crate) fn write(measured: &[Measured<'_>], growth: &[Growth], memory: &[(&str, u64)]) {
    let mut page = INTRODUCTION.to_owned();
    page += "\n| call | beside it | time, ratio | goal | met |\n|---|---|---|---|---|\n";
    for one in measured {
        let goal = one.goal.map_or(String::new(), |goal| format!("{goal}"));
        let met = match one.is_met() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        let (call, beside) = (one.call(), one.row.beside.join(", and "));
        let _ = writeln!(
            page,
            "| {call} | {beside} | {:.2} | {goal} | {met} |",
            one.ratio
        );
    }
    page += "\n";
    page += &picture(measured);
    page += SCALE;
    for growth in growth {
        let steps = |of: fn(&(u64, f64, f64)) -> f64| {
            let cells = growth
                .steps
                .iter()
                .map(|step| format!("{}: {:.2}", step.0, of(step)));
            cells.collect::<Vec<_>>().join(" | ")
        };
        let _ = writeln!(page, "| {} | {} |", growth.of, steps(|step| step.1));
        let _ = writeln!(page, "| - {} | {} |", growth.beside, steps(|step| step.2));
    }
    page += MEMORY;
    for (what, bytes) in memory {
        let _ = writeln!(page, "| {what} | {bytes} |");
    }
    fs::write(PAGE, page).unwrap();
    println!("The page is in {PAGE}.");
}

const INTRODUCTION: &str = "\
# Times

This part is written by one command, which needs the binaries of a PostgreSQL server and takes some minutes:

```sh
cargo run --release --locked -p benches --bin how-fast
```

What is compared runs in one process, in short turns, and a ratio is the median of 90 to 360 rounds: below 1, fusepool
is faster. There are no absolute times, because machines differ, and this one, with two cores, was shared with other
work: a difference of a tenth says nothing.
";

const SCALE: &str = "
## Many pools, tasks and keys

The time of a call, in units of its time at the first number. The line after it has the same without fusepool, where
only the memory that is touched grows.

| call | | | | |
|---|---|---|---|---|
";

const MEMORY: &str = "
## Memory

As the operating system counts it, with what the allocator adds.

| | bytes |
|---|---|
";

/// The height of a line.
const LINE: usize = 22;
/// The place of the ratio 1, and the width of a factor of 2.
const ONE: f64 = 720.0;
const DOUBLE: f64 = 48.0;

/// A bar for each ratio, on a logarithmic scale, from 1 on, and a mark for each goal. The colour of the
/// text is that of the page, so that it can be read on light and dark ones.
fn picture(measured: &[Measured<'_>]) -> String {
    let height = (measured.len() + 1) * LINE;
    let text = |x: f64, y: usize, anchor, text: &str| {
        format!(
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" fill=\"currentColor\">{text}</text>\n"
        )
    };
    let bar = |x: f64, y: usize, width: f64, height: usize, color| {
        format!(
            "<rect x=\"{x:.0}\" y=\"{y}\" width=\"{width:.0}\" height=\"{height}\" fill=\"{color}\"></rect>\n"
        )
    };
    let at = |ratio: f64| ONE + DOUBLE * ratio.log2();
    let mut svg = format!("<svg viewBox=\"0 0 1000 {height}\" font-size=\"12\" role=\"img\">\n");
    svg += "<title>The ratios of the table: a bar to the left is faster, and a line is a goal.</title>\n";
    for (line, one) in measured.iter().enumerate() {
        let (top, middle) = (line * LINE, line * LINE + 15);
        let call = format!("{} / {}", one.call(), one.row.beside.join(" + "));
        svg += &text(620.0, middle, "end", &call.replace('`', ""));
        let (left, right) = (at(one.ratio).min(ONE), at(one.ratio).max(ONE));
        svg += &bar(left, top + 5, (right - left).max(1.0), 12, one.color());
        if let Some(goal) = one.goal {
            svg += &bar(at(goal), top + 2, 2.0, 18, "currentColor");
        }
        svg += &text(995.0, middle, "end", &format!("{:.2}", one.ratio));
    }
    let bottom = measured.len() * LINE;
    svg += &bar(ONE, 0, 1.0, bottom, "currentColor");
    svg += &text(ONE, bottom + 15, "middle", "as fast");
    svg += "</svg>\n";
    svg
}
