//! Names, targets, levels and fields of events are API: this is what the table in
//! `fusepool::telemetry` promises.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusepool::breaker::{Mode, Ramp, Window};
use fusepool::{Breaker, Class, Gate, GateError, ManualClock, Verdict};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// An event as it was emitted.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    target: String,
    level: Level,
    name: String,
    fields: BTreeMap<String, String>,
}

impl Seen {
    fn names(&self) -> Vec<&str> {
        self.fields.keys().map(String::as_str).collect()
    }
}

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Seen>>>);

impl Recorder {
    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// The only event of this name since the last look.
    fn only(&self, name: &str) -> Seen {
        let mut seen = self.take();
        seen.retain(|event| event.name == name);
        assert_eq!(seen.len(), 1, "{name}: {seen:?}");
        seen.remove(0)
    }
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let target = event.metadata().target();
        if !target.starts_with("fusepool") {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let name = fields.0.remove("message").unwrap_or_default();
        self.0.lock().unwrap().push(Seen {
            target: target.to_owned(),
            level: *event.metadata().level(),
            name,
            fields: fields.0,
        });
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

/// A gate on a manual clock, with everything it says recorded on this thread.
fn listen() -> (
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
    assert_eq!(half_open.fields["reason"], "delay_elapsed");
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
async fn a_missed_deadline_is_debug() {
    let (gate, _, recorder, _guard) = listen();
    let never = std::future::pending::<io::Result<()>>();
    gate.call(&|_: &io::Error| Class::Failure, never)
        .await
        .unwrap_err();
    let event = recorder.only("deadline");
    assert_eq!(
        (event.target.as_str(), event.level),
        ("fusepool::gate", Level::DEBUG)
    );
    assert_eq!(
        (event.names(), event.fields["limit"].as_str()),
        (vec!["awaited", "limit", "pool"], "5.0")
    );
    assert_eq!(event.fields["awaited"], "answer");
}

/// On a real database, so that there is something to be indiscreet about.
#[cfg(feature = "sqlx-sqlite")]
mod on_sqlite {
    use super::*;
    use fusepool::cache::CachePolicy;
    use fusepool::sqlx::{ReadExt, SqlitePool, SqlitePoolOptions};
    use sqlx::sqlite::SqliteConnectOptions;

    async fn pool(directory: &tempfile::TempDir) -> SqlitePool {
        let file = SqliteConnectOptions::new()
            .filename(directory.path().join("secret.db"))
            .create_if_missing(true);
        SqlitePoolOptions::new()
            .breaker(
                Breaker::builder()
                    .name("orders")
                    .open_duration(Duration::from_millis(1)),
            )
            .connect_with(file)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_probe_and_a_closed_connection_are_reported() {
        let (_, _, recorder, _guard) = listen();
        let directory = tempfile::tempdir().unwrap();
        let pool = pool(&directory).await;
        let mut lease = pool.acquire().await.unwrap();
        lease.close_on_drop();
        drop(lease);
        let closed = recorder.only("closed_connection");
        assert_eq!(
            (closed.target.as_str(), closed.level),
            ("fusepool::gate", Level::DEBUG)
        );
        assert_eq!(closed.names(), ["pool", "reason"]);

        for _ in 0..5 {
            pool.gate().breaker().observe().settle(Verdict::Failure);
        }
        let closes = async {
            while pool.snapshot().gate.probes == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), closes)
            .await
            .unwrap();
        let probe = recorder
            .take()
            .into_iter()
            .find(|event| event.name == "probe")
            .unwrap();
        assert_eq!(
            (probe.target.as_str(), probe.level),
            ("fusepool::gate", Level::DEBUG)
        );
        assert_eq!(probe.names(), ["pool"]);
    }

    #[tokio::test]
    async fn what_the_cache_does_is_reported() {
        const MENU: CachePolicy = CachePolicy::named("menu")
            .fresh_for(Duration::from_secs(60))
            .stale_if_error(Duration::from_secs(60))
            .tag("dishes");
        const SMALL: CachePolicy = MENU.max_entry_bytes(1);
        let (_, _, recorder, _guard) = listen();
        let directory = tempfile::tempdir().unwrap();
        let pool = pool(&directory).await;
        let one = || sqlx::query_scalar::<_, i64>("SELECT 1");
        recorder.take();

        one().cached(&MENU).fetch_one(&pool).await.unwrap();
        let load = recorder.only("load");
        assert_eq!(
            (load.target.as_str(), load.level),
            ("fusepool::cache", Level::DEBUG)
        );
        assert_eq!(load.names(), ["bytes", "policy", "pool", "took"]);
        assert_eq!(load.fields["policy"], "menu");

        // Served fresh: nothing happened.
        one().cached(&MENU).fetch_one(&pool).await.unwrap();
        assert_eq!(recorder.take(), []);

        pool.cache().invalidate_tag("dishes");
        let invalidated = recorder.only("invalidated");
        assert_eq!(invalidated.target, "fusepool::cache");
        assert_eq!(invalidated.names(), ["pool"]);

        let open = pool.gate().breaker().force_open();
        one()
            .cached(&MENU)
            .or_value(2_i64)
            .fetch_one(&pool)
            .await
            .unwrap();
        let fallback = recorder.only("fallback");
        assert_eq!(
            (fallback.target.as_str(), fallback.level),
            ("fusepool::cache", Level::DEBUG)
        );
        assert_eq!(fallback.names(), ["policy", "pool", "reason", "source"]);
        assert_eq!(
            (
                fallback.fields["source"].as_str(),
                fallback.fields["reason"].as_str()
            ),
            ("default", "open")
        );
        drop(open);

        one().cached(&SMALL).fetch_one(&pool).await.unwrap();
        let not_kept = recorder.only("not_kept");
        assert_eq!(not_kept.target, "fusepool::cache");
        assert_eq!(not_kept.names(), ["policy", "pool", "reason"]);
        assert_eq!(not_kept.fields["reason"], "too_large");
    }

    #[tokio::test]
    async fn a_stale_answer_is_reported_with_its_age() {
        const MENU: CachePolicy = CachePolicy::named("menu")
            .database_first()
            .stale_if_error(Duration::from_secs(60));
        let (_, _, recorder, _guard) = listen();
        let clock = ManualClock::new();
        let pool: SqlitePool = SqlitePoolOptions::new()
            .breaker(Breaker::builder().clock(clock.clone()))
            .connect_lazy("sqlite::memory:")
            .unwrap();
        let one = || sqlx::query_scalar::<_, i64>("SELECT 1").cached(&MENU);
        one().fetch_one(&pool).await.unwrap();
        clock.advance(Duration::from_secs(3));
        let _open = pool.gate().breaker().force_open();
        one().fetch_one(&pool).await.unwrap();
        let fallback = recorder.only("fallback");
        assert_eq!(
            fallback.names(),
            ["age", "policy", "pool", "reason", "source"]
        );
        assert_eq!(fallback.fields["age"], "3.0");
        assert_eq!(fallback.fields["source"], "stale");
    }

    #[tokio::test]
    async fn no_event_carries_a_statement_or_its_arguments() {
        const POLICY: CachePolicy = CachePolicy::named("x").fresh_for(Duration::from_secs(1));
        let (_, _, recorder, _guard) = listen();
        let directory = tempfile::tempdir().unwrap();
        let pool = pool(&directory).await;
        for sql in [
            "SELECT 'hunter2' = ?",
            "SELECT hunter2 FROM nowhere WHERE x = ?",
        ] {
            let _ = sqlx::query(sql).bind("hunter2").execute(&pool).await;
            let read = sqlx::query_scalar::<_, bool>(sql).bind("hunter2");
            let read = read.cached(&POLICY).vary_by("hunter2").tag("hunter2");
            let _ = read.fetch_all(&pool).await;
        }
        let open = pool.gate().breaker().force_open();
        sqlx::query("SELECT 'hunter2'")
            .execute(&pool)
            .await
            .unwrap_err();
        drop(open);
        let events = format!("{:?}", recorder.take());
        assert!(events.contains("rejected"), "{events}");
        assert!(!events.contains("hunter2"), "{events}");
    }
}
