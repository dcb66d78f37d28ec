//! Measures the times of the hot paths beside the same work with other crates or without the guard, how
//! they grow, and the memory, and writes the guide's page with its picture:
//!
//! ```sh
//! cargo run --release --locked -p benches --bin how-fast
//! ```
//!
//! It needs the binaries of a PostgreSQL server. It takes some minutes, and the machine should have
//! nothing else to do: all paths of a group run in turns, and the page has medians of ratios.

mod memory;
mod page;
mod postgres;
mod rounds;
mod scale;
mod support;

use std::sync::Arc;

use benches::Group;
use tokio::runtime::Runtime;

use self::page::Measured;
use self::rounds::{Plan, Rounds};
use self::support::postgres::Postgres;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [option, index] = &arguments[..]
        && option == "--memory"
    {
        return memory::print(index);
    }
    let memory = memory::all();
    let mut measured = Vec::new();
    for group in benches::groups() {
        for plan in [Plan::ONE_THREAD, Plan::TWO_THREADS] {
            measure(&group, plan, &mut measured);
        }
    }
    let runtime = Arc::new(Runtime::new().unwrap());
    let server = runtime.block_on(Postgres::start());
    for group in postgres::groups(&runtime, &server.url()) {
        measure(&group, Plan::RUNTIME, &mut measured);
    }
    let growth = scale::all(&runtime);
    page::write(&measured, &growth, &memory);
}

/// Measures a group, and appends its rows.
fn measure((paths, rows): &Group, plan: Plan, measured: &mut Vec<Measured<'static>>) {
    let rounds = Rounds::measure(paths, plan);
    for row in *rows {
        let one = Measured {
            row,
            threads: plan.threads,
            ratio: rounds.ratio(row.path, row.beside),
            goal: row.goals[plan.threads - 1],
        };
        println!(
            "{:.2}  {} / {}",
            one.ratio,
            one.call(),
            row.beside.join(" + ")
        );
        measured.push(one);
    }
}
