//! Checks which types are `Send`, `Sync` and `Unpin`, and which futures can be spawned. Users rely on
//! that, but no signature says it, and a private field can change it: then this does not compile.

macro_rules! assert_send_sync {
    ($($type:ty),+ $(,)?) => { $(crate::is_send_sync::<$type>();)+ };
}
macro_rules! assert_send {
    ($($type:ty),+ $(,)?) => { $(crate::is_send::<$type>();)+ };
}
macro_rules! assert_spawnable {
    ($($future:expr),+ $(,)?) => { $(crate::is_spawnable($future);)+ };
}

#[cfg(feature = "deadpool")]
mod deadpool;
#[cfg(all(feature = "diesel-postgres", feature = "diesel-mysql"))]
mod diesel;
#[cfg(feature = "deadpool-postgres")]
mod postgres;
#[cfg(feature = "sqlx")]
mod sqlx;

use std::future::Future;
use std::io;

use fusepool::breaker::{
    Builder, CallError, ForcedOpen, Mode, OwnedPermit, Permit, Ramp, Rates, Reason, Rejection,
    Snapshot, State, Transition, Window,
};
use fusepool::telemetry::{Backend, CacheSample, Change, Events, NotKept, Sample, TracingSink};
use fusepool::{
    Adapter, Awaited, Breaker, Class, CoarseClock, ConfigError, DeadlineExceeded, ErrorCode, Gate,
    GateBuilder, GateError, GateSnapshot, GuardConfig, Guarded, GuardedBuilder, Lease, ManualClock,
    PreciseClock, Refused, Served, Source, StaleReason, Unanswered, Verdict, WithTimeoutError,
};

/// Can be sent to other threads, shared between them, and kept.
fn is_send_sync<T: Send + Sync + Unpin + 'static>() {}

/// Can be sent to another thread.
fn is_send<T: Send>() {}

/// Can be shared between threads.
fn is_sync<T: Sync>() {}

/// Can be part of a task that the runtime moves between threads.
fn is_spawnable<T>(future: impl Future<Output = T> + Send) {
    drop(future);
}

#[test]
fn types_of_the_breaker_are_send_and_sync() {
    assert_send_sync!(
        Breaker,
        Builder,
        CallError<io::Error>,
        Class,
        CoarseClock,
        ConfigError,
        ForcedOpen,
        ManualClock,
        Mode,
        OwnedPermit,
        Permit<'static>,
        PreciseClock,
        Ramp,
        Rates,
        Reason,
        Rejection,
        Snapshot,
        State,
        Transition,
        Verdict,
        Window,
    );
}

#[test]
fn types_of_the_gate_are_send_and_sync() {
    assert_send_sync!(
        Awaited,
        Backend,
        CacheSample,
        Change,
        DeadlineExceeded,
        ErrorCode,
        Events,
        Gate,
        GateBuilder,
        GateError<io::Error>,
        GateSnapshot,
        GuardConfig,
        NotKept,
        Refused,
        Sample,
        Served<String>,
        Source,
        StaleReason,
        TracingSink,
        Unanswered,
        WithTimeoutError<io::Error>,
    );
}

#[cfg(feature = "live")]
#[test]
fn types_of_the_live_page_are_send_and_sync() {
    assert_send_sync!(fusepool::live::Events, fusepool::live::Live);
}

#[test]
fn calls_through_a_gate_can_be_spawned() {
    let gate = Gate::builder(Breaker::builder()).build().unwrap();
    let classify = |_: &io::Error| Class::Failure;
    assert_spawnable!(gate.call(&classify, async { Ok(1) }), gate.events().next());
}

/// Holds for every adapter whose own types are `Send` and `Sync`.
#[expect(dead_code, reason = "that it compiles is the test")]
fn pools_of_any_kind_are_send_and_sync<A>(pool: &Guarded<A>)
where
    A: Adapter<Lease: Sync + Unpin> + Unpin,
{
    assert_send_sync!(Guarded<A>, GuardedBuilder<A>, Lease<A>);
    assert_spawnable!(pool.lease());
}

/// Requires no bounds besides those of the adapter.
#[expect(dead_code, reason = "that it compiles is the test")]
fn leases_of_any_kind_are_send<A: Adapter>() {
    assert_send!(Lease<A>);
    is_sync::<Guarded<A>>();
}
