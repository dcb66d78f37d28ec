//! What the live page tells of a gate. Browsers look at it in `tests/examples`.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fusepool::breaker::{Builder, Mode};
use fusepool::live::{Events, Live};
use fusepool::{Breaker, Class, Gate, GateError};
use futures_util::Stream;
use serde_json::Value;
use tokio::time::{Instant, advance, timeout};

fn gate(breaker: Builder) -> Arc<Gate> {
    let gate = Gate::builder(breaker.name("geocoder"));
    Arc::new(gate.tracing(false).build().unwrap())
}

fn classify(_: &io::Error) -> Class {
    Class::Failure
}

/// Makes a call that takes so long.
async fn call(
    gate: &Gate,
    took: Duration,
    end: io::Result<()>,
) -> Result<(), GateError<io::Error>> {
    let call = async {
        advance(took).await;
        end
    };
    gate.call(&classify, call).await
}

fn failure() -> io::Result<()> {
    Err(io::ErrorKind::ConnectionReset.into())
}

fn only(live: &Live) -> Value {
    let report: Value = serde_json::from_str(&live.json()).unwrap();
    assert_eq!(report["pools"].as_array().unwrap().len(), 1);
    report["pools"][0].clone()
}

/// The newest values of a history, the newest last.
fn newest(pool: &Value, what: &str, count: usize) -> Vec<f64> {
    let values = pool["history"][what].as_array().unwrap();
    assert_eq!(values.len(), 120);
    let newest = values[120 - count..].iter();
    newest
        .map(|value| value.as_f64().unwrap_or(f64::NAN))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn each_second_has_its_calls_and_their_latencies() {
    let gate = gate(Breaker::builder());
    let live = Live::new().watch(&gate);
    for _ in 0..99 {
        call(&gate, Duration::from_millis(2), Ok(())).await.unwrap();
    }
    call(&gate, Duration::from_millis(500), failure())
        .await
        .unwrap_err();
    let pool = only(&live);
    assert_eq!(newest(&pool, "answered", 2), [0.0, 99.0]);
    assert_eq!(newest(&pool, "failed", 2), [0.0, 1.0]);
    let latency = |which: &str| pool["latency"][which].as_f64().unwrap();
    assert!((0.002..0.0024).contains(&latency("p50")), "{pool}");
    assert!((0.002..0.0024).contains(&latency("p99")), "{pool}");

    advance(Duration::from_secs(3)).await;
    let dropped = gate.call(&classify, pending::<io::Result<()>>());
    timeout(Duration::from_secs(1), dropped).await.unwrap_err();
    let pool = only(&live);
    assert_eq!(newest(&pool, "answered", 5), [99.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(newest(&pool, "ignored", 2), [0.0, 1.0]);
    assert!((1.0..1.2).contains(&newest(&pool, "p99", 1)[0]), "{pool}");
    assert!(newest(&pool, "p50", 2)[0].is_nan(), "{pool}");
    advance(Duration::from_secs(120)).await;
    let pool = only(&live);
    assert_eq!(newest(&pool, "answered", 120), [0.0; 120]);
    assert_eq!(pool["latency"]["p50"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_tells_why() {
    let gate = gate(Breaker::builder().consecutive_failures(3).jitter(0.0));
    let live = Live::new().watch(&gate);
    assert_eq!(only(&live)["since"], Value::Null);
    for _ in 0..3 {
        call(&gate, Duration::from_millis(2), failure())
            .await
            .unwrap_err();
    }
    for _ in 0..7 {
        call(&gate, Duration::ZERO, Ok(())).await.unwrap_err();
    }
    let pool = only(&live);
    assert_eq!(
        (&pool["name"], &pool["state"]),
        (&"geocoder".into(), &"open".into())
    );
    let change = &pool["changes"][0];
    assert_eq!(
        (&change["from"], &change["to"]),
        (&"closed".into(), &"open".into())
    );
    assert_eq!(change["reason"], "consecutive_failures");
    assert_eq!(pool["since"], change["at"]);
    assert_eq!(newest(&pool, "refused", 1), [7.0]);
    let refusals = serde_json::json!([{ "reason": "open", "calls": 7 }]);
    assert_eq!(pool["refusals"], refusals);
    assert_eq!(pool["totals"]["rejected"], 7);
    assert_eq!(pool["window"]["failure_rate_threshold"], 0.5);
    assert_eq!(pool["connections"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_holds_the_breaker_open_is_seen() {
    let gate = gate(Breaker::builder());
    let before = gate.breaker().force_open();
    let live = Live::new().watch(&gate);
    assert_eq!(only(&live)["state"], "forced_open");
    drop(before);
    let held = gate.breaker().force_open();
    gate.breaker().trip_for(Duration::from_secs(60)); // underneath
    assert_eq!(only(&live)["state"], "forced_open");
    drop(held);
    gate.breaker().set_mode(Mode::Observe);
    let pool = only(&live);
    assert_eq!(
        (&pool["state"], &pool["mode"]),
        (&"open".into(), &"observe".into())
    );
    let changes = pool["changes"].as_array().unwrap();
    let steps = changes.iter().map(|change| {
        assert_eq!(change["reason"], "operator");
        change["to"].as_str().unwrap()
    });
    assert_eq!(steps.collect::<Vec<_>>(), ["closed", "forced_open", "open"]);
}

#[test]
fn a_gate_is_shown_until_it_is_dropped() {
    let (one, other) = (gate(Breaker::builder()), gate(Breaker::builder()));
    let live = Live::new().watch(&one).watch(&other);
    drop(one);
    only(&live);
}

#[test]
fn a_name_shows_no_password() {
    let url = "postgres://shop:hunter2@db:5432/shop?password=hunter2#hunter2";
    let gate = Gate::builder(Breaker::builder().name(url)).build().unwrap();
    let live = Live::new().watch(&Arc::new(gate));
    assert!(live.json().contains("\"pools\":[]"), "the gate is dropped");
    let gate = Arc::new(Gate::builder(Breaker::builder().name(url)).build().unwrap());
    let json = Live::new().watch(&gate).json();
    assert!(json.contains("\"postgres://db:5432/shop\""), "{json}");
    assert!(!json.contains("hunter2"), "{json}");
}

async fn next(events: &mut Events) -> Option<String> {
    let event = poll_fn(|cx| Pin::new(&mut *events).poll_next(cx)).await;
    event.map(|Ok(event)| event)
}

#[tokio::test(start_paused = true)]
async fn events_come_with_each_change_and_each_second() {
    let gate = gate(Breaker::builder());
    let live = Live::new().watch(&gate);
    let mut events = live.events();
    let began = Instant::now();
    let first = next(&mut events).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
    let (head, data) = first.split_once("data: ").unwrap();
    assert_eq!(head, "retry: 250\n");
    let data = data.strip_suffix("\n\n").unwrap();
    assert!(!data.contains('\n'));
    assert!(serde_json::from_str::<Value>(data).is_ok());

    next(&mut events).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(1));
    gate.breaker().trip_for(Duration::from_secs(60));
    let opened = next(&mut events).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_millis(1100));
    assert!(opened.contains("\"state\":\"open\""));

    // A reader that was away for ten seconds has missed nothing that is still true.
    advance(Duration::from_secs(10)).await;
    gate.breaker().reset();
    let newest = next(&mut events).await.unwrap();
    assert!(newest.contains("\"state\":\"closed\""), "nothing is queued");

    let mut rest = 0;
    while next(&mut events).await.is_some() {
        rest += 1;
    }
    assert!((40..60).contains(&rest), "{rest}");
    assert_eq!(began.elapsed().as_secs(), 60);
}
