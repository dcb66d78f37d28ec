//! The hot paths, and beside them the same work with other crates, or without the guard. Two programs
//! measure them:
//!
//! ```sh
//! cargo run --release --locked -p benches --bin how-fast     # times, and writes them into the guide
//! cargo run --release --locked -p benches --bin instructions # instructions, and fails if one grew
//! ```
#![expect(
    clippy::missing_panics_doc,
    missing_debug_implementations,
    missing_docs,
    reason = "only these two programs use it"
)]

use std::hint::black_box;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
#[cfg(feature = "drivers")]
use tokio::task::JoinSet;

mod breakers;
#[cfg(feature = "drivers")]
pub mod pools;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
}

/// A kind of call that is measured.
pub struct Path {
    pub name: String,
    /// Makes this number of calls.
    pub calls: Box<dyn Fn(u64) + Send + Sync>,
}

impl Path {
    /// `call` gets the number of the call.
    pub fn new<T>(
        name: impl Into<String>,
        call: impl Fn(u64) -> T + Send + Sync + 'static,
    ) -> Self {
        let calls = move |calls| {
            for number in 0..calls {
                black_box(call(number));
            }
        };
        Self {
            name: name.into(),
            calls: Box::new(calls),
        }
    }

    /// A path of asynchronous calls. They run on a runtime of the thread's own.
    pub fn of_async<T>(
        name: impl Into<String>,
        call: impl AsyncFn(u64) -> T + Send + Sync + 'static,
    ) -> Self {
        let calls = move |calls| block_on(repeat(&call, calls));
        Self {
            name: name.into(),
            calls: Box::new(calls),
        }
    }

    /// A path of asynchronous calls on this runtime.
    pub fn on<T>(
        runtime: &Arc<Runtime>,
        name: impl Into<String>,
        call: impl AsyncFn(u64) -> T + Send + Sync + 'static,
    ) -> Self {
        let runtime = Arc::clone(runtime);
        let calls = move |calls| runtime.block_on(repeat(&call, calls));
        Self {
            name: name.into(),
            calls: Box::new(calls),
        }
    }

    /// A path of asynchronous calls on this runtime, which are spread over this many tasks.
    #[cfg(feature = "drivers")]
    pub fn of_tasks<F: Future<Output: Send> + Send>(
        runtime: &Arc<Runtime>,
        name: impl Into<String>,
        tasks: u64,
        call: impl Fn() -> F + Clone + Send + Sync + 'static,
    ) -> Self {
        let runtime = Arc::clone(runtime);
        let calls = move |calls| {
            let mut running = JoinSet::new();
            for task in 0..tasks {
                let share = calls / tasks + u64::from(task < calls % tasks);
                let call = call.clone();
                let calls = async move {
                    for _ in 0..share {
                        call().await;
                    }
                };
                running.spawn_on(calls, runtime.handle());
            }
            runtime.block_on(running.join_all());
        };
        Self {
            name: name.into(),
            calls: Box::new(calls),
        }
    }
}

async fn repeat<T>(call: &impl AsyncFn(u64) -> T, calls: u64) {
    for number in 0..calls {
        black_box(call(number).await);
    }
}

/// Runs a future on the thread's own runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// A path, and the paths beside it, whose costs are added up.
pub struct Row {
    pub path: &'static str,
    pub beside: &'static [&'static str],
    /// The largest ratio of their times that is wanted, on one thread and on two.
    pub goals: [Option<f64>; 2],
}

pub const fn row(
    path: &'static str,
    beside: &'static [&'static str],
    goals: [Option<f64>; 2],
) -> Row {
    Row {
        path,
        beside,
        goals,
    }
}

/// Paths that are measured in turns, and the rows of the guide's table.
pub type Group = (Vec<Path>, &'static [Row]);

/// All paths that need no server.
pub fn groups() -> Vec<Group> {
    let groups = breakers::groups();
    #[cfg(feature = "drivers")]
    let groups = groups.into_iter().chain(pools::groups()).collect();
    groups
}
