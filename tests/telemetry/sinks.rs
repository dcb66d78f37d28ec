//! Sinks of the user, beside `tracing`.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusepool::telemetry::{Event, Sink, TracingSink};
use fusepool::{Breaker, Class, Gate, GateBuilder, GateError};

use crate::gate::listen;

/// Records the `Debug` format of the events.
#[derive(Clone, Default)]
struct Notes {
    seen: Arc<Mutex<Vec<String>>>,
    wants_calls: bool,
}

impl Sink for Notes {
    fn event(&self, pool: &str, event: &Event<'_>) {
        assert_eq!(pool, "orders");
        self.seen.lock().unwrap().push(format!("{event:?}"));
    }

    fn wants_calls(&self) -> bool {
        self.wants_calls
    }
}

impl Notes {
    fn of_calls() -> Self {
        Self {
            wants_calls: true,
            ..Self::default()
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

fn builder() -> GateBuilder {
    Gate::builder(Breaker::builder().name("orders"))
}

async fn call(gate: &Gate, result: io::Result<()>) -> Result<(), GateError<io::Error>> {
    gate.call(&|_: &io::Error| Class::Ignored, async { result })
        .await
}

#[test]
fn several_sinks_receive_an_event_and_so_does_tracing() {
    let (_, _, recorder, _guard) = listen();
    let (one, other) = (Notes::default(), Notes::default());
    let gate = builder()
        .sink(one.clone())
        .sink(other.clone())
        .build()
        .unwrap();
    drop(gate.breaker().force_open());
    assert_eq!((one.take().len(), other.take().len()), (2, 2));
    assert_eq!(recorder.take().len(), 2);

    let gate = builder().tracing(false).sink(one.clone()).build().unwrap();
    drop(gate.breaker().force_open());
    assert_eq!((one.take().len(), recorder.take().len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_call_is_told_to_those_who_want_it() {
    let (_, _, recorder, _guard) = listen();
    let (asks, does_not) = (Notes::of_calls(), Notes::default());
    let gate = builder()
        .sink(asks.clone())
        .sink(does_not.clone())
        .build()
        .unwrap();
    call(&gate, Ok(())).await.unwrap();
    call(&gate, Err(io::ErrorKind::Other.into()))
        .await
        .unwrap_err();
    let wait = tokio::time::sleep(Duration::from_secs(2));
    let slow = gate.call(&|_: &io::Error| Class::Failure, async {
        wait.await;
        Ok(())
    });
    slow.await.unwrap();
    let never = gate.call(
        &|_: &io::Error| Class::Failure,
        std::future::pending::<io::Result<()>>(),
    );
    let _ = tokio::time::timeout(Duration::from_secs(3), never).await;
    let expected = [
        "Ended { took: 0ns, verdict: Some(Success), code: None, error: None }",
        "Ended { took: 0ns, verdict: Some(Ignored), code: None, error: Some(\"_OTHER\") }",
        "Ended { took: 2s, verdict: Some(Success), code: None, error: None }",
        "Ended { took: 3s, verdict: None, code: None, error: Some(\"abandoned\") }",
    ];
    let ended = asks
        .take()
        .into_iter()
        .filter(|event| event.starts_with("Ended"));
    assert_eq!(ended.collect::<Vec<_>>(), expected);
    let others = does_not.take();
    assert!(
        others.iter().all(|event| event.starts_with("Breaker")),
        "{others:?}"
    );
    assert!(recorder.take().iter().all(|event| event.name != "ended"));
}

/// The permit counts it as a failure, too.
#[tokio::test]
async fn a_call_that_panics_is_a_failure() {
    let notes = Notes::of_calls();
    let gate = Arc::new(
        builder()
            .tracing(false)
            .sink(notes.clone())
            .build()
            .unwrap(),
    );
    let task = tokio::spawn(async move {
        let call = async { panic!("as bad as it gets") };
        let called: Result<(), GateError<io::Error>> =
            gate.call(&|_: &io::Error| Class::Failure, call).await;
        called
    });
    task.await.unwrap_err();
    let ended = notes.take().pop().unwrap();
    assert!(ended.contains("verdict: Some(Failure)"), "{ended}");
}

#[tokio::test]
async fn tracing_tells_the_end_of_a_call_if_it_is_asked_to() {
    let (_, _, recorder, _guard) = listen();
    let sink = TracingSink::default().with_calls();
    let gate = builder().tracing(false).sink(sink).build().unwrap();
    call(&gate, Ok(())).await.unwrap();
    let event = recorder.only("ended");
    assert_eq!(event.level, tracing::Level::TRACE);
    assert_eq!(event.target, "fusepool::gate");
    assert_eq!(event.names(), ["pool", "took", "verdict"]);
    call(&gate, Err(io::ErrorKind::Other.into()))
        .await
        .unwrap_err();
    let event = recorder.only("ended");
    assert_eq!(event.names(), ["error", "pool", "took", "verdict"]);
}
