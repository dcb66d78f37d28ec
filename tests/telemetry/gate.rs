//! The events of a breaker and a gate.

use std::io;
use std::time::Duration;

use fusepool::breaker::{Mode, Ramp, Window};
use fusepool::{Breaker, Class, Gate, GateError, GuardConfig, ManualClock, Verdict};
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;

use crate::recorder::Recorder;

/// A gate on a manual clock, whose events are recorded on this thread.
pub fn listen() -> (
    Gate,
    ManualClock,
    Recorder,
    tracing::subscriber::DefaultGuard,
) {
    let recorder = Recorder::default();
    let subscriber = tracing_subscriber::registry().with(recorder.clone());
    let guard = tracing::subscriber::set_default(subscriber);
    let clock = ManualClock::new();
    let breaker = Breaker::builder()
        .name("orders")
        .clock(clock.clone())
        .window(Window::calls(10))
        .consecutive_failures(2)
        .slow_call_threshold(Duration::from_millis(64))
        .slow_call_rate(1.0)
        .open_duration(Duration::from_millis(500))
        .jitter(0.0)
        .half_open_probes(1)
        .ramp(Ramp::UpTo(2));
    let gate = Gate::builder(breaker)
        .call_timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    (gate, clock, recorder, guard)
}

async fn call(gate: &Gate, result: io::Result<()>) -> Result<(), GateError<io::Error>> {
    gate.call(&|_: &io::Error| Class::Failure, async { result })
        .await
}

async fn trip(gate: &Gate) {
    for _ in 0..2 {
        call(gate, Err(io::ErrorKind::BrokenPipe.into()))
            .await
            .unwrap_err();
    }
}

const TRANSITION: [&str; 9] = [
    "attempt",
    "calls",
    "failure_rate",
    "from",
    "pool",
    "reason",
    "retry_after",
    "slow_call_rate",
    "to",
];

#[tokio::test]
async fn a_transition_to_open_is_a_warning_with_all_that_led_to_it() {
    let (gate, _, recorder, _guard) = listen();
    trip(&gate).await;
    let event = recorder.only("transition");
    assert_eq!(
        (event.target.as_str(), event.level),
        ("fusepool::breaker", Level::WARN)
    );
    assert_eq!(event.names(), TRANSITION);
    let field = |name: &str| event.fields[name].as_str();
    assert_eq!(field("pool"), "orders");
    assert_eq!((field("from"), field("to")), ("closed", "open"));
    assert_eq!(field("reason"), "consecutive_failures");
    assert_eq!((field("calls"), field("failure_rate")), ("2", "1.0"));
    assert_eq!((field("slow_call_rate"), field("attempt")), ("0.0", "1"));
    assert_eq!(field("retry_after"), "0.5");
}

#[tokio::test]
async fn other_transitions_are_information_and_know_of_no_delay() {
    let (gate, clock, recorder, _guard) = listen();
    trip(&gate).await;
    recorder.take();
    clock.advance(Duration::from_millis(500));
    call(&gate, Ok(())).await.unwrap();
    let events = recorder.take();
    let half_open = events
        .iter()
        .find(|event| event.name == "transition")
        .unwrap();
    assert_eq!(half_open.level, Level::INFO);
    assert_eq!(half_open.fields["reason"], "open_duration_elapsed");
    assert!(
        !half_open.fields.contains_key("retry_after"),
        "{half_open:?}"
    );
    let ramp = events.iter().find(|event| event.name == "ramp").unwrap();
    assert_eq!(
        (ramp.target.as_str(), ramp.level),
        ("fusepool::breaker", Level::DEBUG)
    );
    assert_eq!(
        (ramp.names(), ramp.fields["places"].as_str()),
        (vec!["places", "pool"], "2")
    );
    for _ in 0..2 {
        call(&gate, Ok(())).await.unwrap();
    }
    let closed = recorder.only("transition");
    assert_eq!(
        (closed.level, closed.fields["to"].as_str()),
        (Level::INFO, "closed")
    );
    assert_eq!(closed.fields["reason"], "probes_succeeded");
}

#[tokio::test]
async fn rejections_are_debug_and_a_storm_of_them_is_one_summary_an_interval() {
    let (gate, clock, recorder, _guard) = listen();
    let _open = gate.breaker().force_open();
    recorder.take();
    for _ in 0..1_000 {
        call(&gate, Ok(())).await.unwrap_err();
    }
    let events = recorder.take();
    let rejected: Vec<_> = events
        .iter()
        .filter(|event| event.name == "rejected")
        .collect();
    assert_eq!(rejected.len(), 1_000);
    assert_eq!(
        (rejected[0].target.as_str(), rejected[0].level),
        ("fusepool::gate", Level::DEBUG)
    );
    assert_eq!(rejected[0].fields["reason"], "forced_open");
    let loud: Vec<_> = events
        .iter()
        .filter(|event| event.level <= Level::INFO)
        .collect();
    assert_eq!(loud.len(), 1, "{loud:?}");

    clock.advance(Duration::from_secs(10));
    call(&gate, Ok(())).await.unwrap_err();
    let summary = recorder.only("rejections");
    assert_eq!(
        (summary.target.as_str(), summary.level),
        ("fusepool::gate", Level::INFO)
    );
    assert_eq!(summary.names(), ["calls", "pool"]);
    assert_eq!(
        summary.fields["calls"], "1000",
        "those since the last summary"
    );
}

#[test]
fn what_an_operator_orders_is_information_and_a_warning_if_all_calls_are_refused() {
    let (gate, _, recorder, _guard) = listen();
    gate.breaker().set_mode(Mode::Observe);
    let observes = recorder.only("mode");
    let open = gate.breaker().force_open();
    let held_open = recorder.only("mode");
    drop(open);
    let let_go = recorder.only("mode");
    for (event, level, forced_open) in [
        (observes, Level::INFO, "false"),
        (held_open, Level::WARN, "true"),
        (let_go, Level::INFO, "false"),
    ] {
        assert_eq!(
            (event.target.as_str(), event.level),
            ("fusepool::breaker", level)
        );
        assert_eq!(event.names(), ["forced_open", "mode", "pool"]);
        assert_eq!(event.fields["mode"], "observe");
        assert_eq!(event.fields["forced_open"], forced_open);
    }
    gate.breaker().reconfigure(Breaker::builder()).unwrap();
    let event = recorder.only("reconfigured");
    assert_eq!(
        (event.target.as_str(), event.level, event.names()),
        ("fusepool::breaker", Level::INFO, vec!["pool"])
    );
}

#[tokio::test]
async fn an_open_breaker_says_in_each_rejection_when_to_retry() {
    let (gate, _, recorder, _guard) = listen();
    trip(&gate).await;
    recorder.take();
    call(&gate, Ok(())).await.unwrap_err();
    let event = recorder.only("rejected");
    assert_eq!(event.names(), ["pool", "reason", "retry_after"]);
    assert_eq!(
        (
            event.fields["reason"].as_str(),
            event.fields["retry_after"].as_str()
        ),
        ("open", "0.5")
    );
}

#[tokio::test]
async fn slow_and_abandoned_and_discarded_calls_are_debug() {
    let (gate, clock, recorder, _guard) = listen();
    let hung = gate.breaker().try_acquire().unwrap();
    clock.advance(Duration::from_millis(64));
    call(&gate, Ok(())).await.unwrap();
    let slow = recorder.only("slow");
    assert_eq!(
        (slow.target.as_str(), slow.level),
        ("fusepool::breaker", Level::DEBUG)
    );
    assert_eq!(
        (slow.names(), slow.fields["calls"].as_str()),
        (vec!["calls", "pool"], "1")
    );

    drop(gate.breaker().try_acquire().unwrap());
    let abandoned = recorder.only("abandoned");
    assert_eq!(
        (abandoned.level, abandoned.names()),
        (Level::DEBUG, vec!["held", "pool"])
    );

    trip(&gate).await;
    recorder.take();
    hung.settle(Verdict::Success);
    let discarded = recorder.only("discarded");
    assert_eq!(
        (discarded.level, discarded.names()),
        (Level::DEBUG, vec!["pool", "verdict"])
    );
    assert_eq!(discarded.fields["verdict"], "success");
}

#[tokio::test(start_paused = true)]
async fn a_statement_that_is_ended_early_is_information() {
    let (gate, _, recorder, _guard) = listen();
    let never = std::future::pending::<io::Result<()>>();
    gate.call(&|_: &io::Error| Class::Failure, never)
        .await
        .unwrap_err();
    let event = recorder.only("deadline");
    assert_eq!(
        (event.target.as_str(), event.level),
        ("fusepool::gate", Level::INFO)
    );
    assert_eq!(
        (event.names(), event.fields["limit"].as_str()),
        (vec!["awaited", "limit", "pool"], "5.0")
    );
    assert_eq!(event.fields["awaited"], "answer");
}

#[test]
fn new_limits_are_information() {
    let (gate, _, recorder, _guard) = listen();
    let mut config = GuardConfig::default();
    config.query_timeout = Some(Duration::from_secs(9));
    gate.reconfigure(&config).unwrap();
    let event = recorder.only("limits");
    assert_eq!(
        (event.target.as_str(), event.level),
        ("fusepool::gate", Level::INFO)
    );
    let names = ["acquire_timeout", "max_queue", "pool", "query_timeout"];
    assert_eq!(event.names(), names);
    assert_eq!(event.fields["query_timeout"], "9.0");
}
