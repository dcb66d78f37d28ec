//! Calls through a breaker and a gate.

use std::time::Duration;

use failsafe::CircuitBreaker;
use failsafe::futures::CircuitBreaker as AsyncCircuitBreaker;
use fusepool::breaker::{Builder, Window};
use fusepool::{Breaker, Class, Gate};
use recloser::{AsyncRecloser, Recloser};

use crate::{Group, Path, Row, block_on, row};

const LONG: Duration = Duration::from_secs(3_600);

const CLOSED: &[Row] = &[
    row(
        "breaker, closed",
        &["recloser, closed"],
        [Some(2.0), Some(0.5)],
    ),
    row(
        "breaker, closed, no slow-call rate, window of 100 calls",
        &["recloser, closed"],
        [Some(1.2), Some(0.5)],
    ),
];
const OPEN: &[Row] = &[row("breaker, open", &["recloser, open"], [Some(0.5); 2])];
const GATE_CLOSED: &[Row] = &[row(
    "gate, closed",
    &["recloser, async, closed"],
    [Some(2.0), Some(0.5)],
)];
const GATE_OPEN: &[Row] = &[row(
    "gate, open",
    &["recloser, async, open"],
    [Some(0.5); 2],
)];

/// A result of a guarded call.
type Answer = Result<u64, ()>;

const WELL: Answer = Ok(1);
const FAILED: Answer = Err(());

/// More failures than any breaker tolerates.
const MANY: u64 = 200;

pub(crate) fn groups() -> Vec<Group> {
    vec![
        (breakers("closed", WELL), CLOSED),
        (breakers("open", FAILED), OPEN),
        (gates("closed", WELL), GATE_CLOSED),
        (gates("open", FAILED), GATE_OPEN),
    ]
}

fn builder() -> Builder {
    // Once open, it stays open for the whole run.
    Breaker::builder()
        .open_duration(LONG)
        .max_open_duration(LONG)
        .jitter(0.0)
}

fn recloser() -> Recloser {
    Recloser::custom().open_wait(LONG).build()
}

fn failsafe() -> impl CircuitBreaker + AsyncCircuitBreaker + Send + Sync + 'static {
    let backoff = failsafe::backoff::constant(LONG);
    let policy = failsafe::failure_policy::consecutive_failures(5, backoff);
    failsafe::Config::new().failure_policy(policy).build()
}

fn breakers(state: &str, answer: Answer) -> Vec<Path> {
    let by_calls = builder().window(Window::calls(100)).slow_call_rate(None);
    let (ours, by_calls) = (builder().build().unwrap(), by_calls.build().unwrap());
    let (recloser, failsafe) = (recloser(), failsafe());
    let paths = vec![
        Path::new(format!("breaker, {state}"), move |_| {
            ours.call(|| answer).is_ok()
        }),
        Path::new(
            format!("breaker, {state}, no slow-call rate, window of 100 calls"),
            move |_| by_calls.call(|| answer).is_ok(),
        ),
        Path::new(format!("recloser, {state}"), move |_| {
            recloser.call(|| answer).is_ok()
        }),
        Path::new(format!("failsafe, {state}"), move |_| {
            CircuitBreaker::call(&failsafe, || answer).is_ok()
        }),
    ];
    paths.iter().for_each(|path| (path.calls)(MANY));
    paths
}

fn gates(state: &str, answer: Answer) -> Vec<Path> {
    let gate = block_on(async { Gate::builder(builder()).build().unwrap() });
    let (recloser, failsafe) = (AsyncRecloser::from(recloser()), failsafe());
    let paths = vec![
        Path::of_async(format!("gate, {state}"), async move |_| {
            let classify = |(): &()| Class::Failure;
            gate.call(&classify, async { answer }).await.is_ok()
        }),
        Path::of_async(format!("recloser, async, {state}"), async move |_| {
            recloser.call(async { answer }).await.is_ok()
        }),
        Path::of_async(format!("failsafe, async, {state}"), async move |_| {
            let call = AsyncCircuitBreaker::call(&failsafe, async { answer });
            call.await.is_ok()
        }),
    ];
    paths.iter().for_each(|path| (path.calls)(MANY));
    paths
}
