//! Compares a call through a breaker, closed and open, with `recloser` and `failsafe`.
//!
//! ```sh
//! cargo bench --bench breaker
//! ```

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use failsafe::CircuitBreaker as SyncCircuitBreaker;
use fusepool::breaker::Window;
use fusepool::{Breaker, Class, Gate};
use recloser::{AsyncRecloser, Recloser};

const LONG: Duration = Duration::from_secs(3_600);

fn guarded(call: impl Fn() -> Result<u64, ()>, calls: u32) {
    for _ in 0..calls {
        let _ = call();
    }
}

fn builder() -> fusepool::breaker::Builder {
    // Once open, it stays open for the whole run.
    Breaker::builder()
        .open_duration(LONG)
        .max_open_duration(LONG)
        .jitter(0.0)
}

fn by_calls() -> fusepool::breaker::Builder {
    builder().window(Window::calls(100)).slow_call_rate(None)
}

fn recloser() -> Recloser {
    Recloser::custom().open_wait(LONG).build()
}

fn failsafe() -> impl failsafe::futures::CircuitBreaker + SyncCircuitBreaker {
    let backoff = failsafe::backoff::constant(LONG);
    let policy = failsafe::failure_policy::consecutive_failures(5, backoff);
    failsafe::Config::new().failure_policy(policy).build()
}

/// Measures the breaker when it is closed, and then when it is open.
fn sync(c: &mut Criterion) {
    let ours = builder().build().unwrap();
    let ours_by_calls = by_calls().build().unwrap();
    let recloser = recloser();
    let failsafe = failsafe();
    for (state, result) in [("closed", Ok(1)), ("open", Err(()))] {
        // More failures than any of them tolerates.
        guarded(|| ours.call(|| result).map_err(drop), 200);
        guarded(|| ours_by_calls.call(|| result).map_err(drop), 200);
        guarded(|| recloser.call(|| result).map_err(drop), 200);
        guarded(
            || SyncCircuitBreaker::call(&failsafe, || result).map_err(drop),
            200,
        );
        let mut group = c.benchmark_group(format!("sync/{state}"));
        group.bench_function("fusepool", |b| {
            b.iter(|| ours.call(|| black_box(result)).is_ok())
        });
        group.bench_function("fusepool, 100 calls, no slow rate", |b| {
            b.iter(|| ours_by_calls.call(|| black_box(result)).is_ok());
        });
        group.bench_function("recloser", |b| {
            b.iter(|| recloser.call(|| black_box(result)).is_ok())
        });
        group.bench_function("failsafe", |b| {
            b.iter(|| SyncCircuitBreaker::call(&failsafe, || black_box(result)).is_ok())
        });
        group.finish();
    }
}

fn asynchronous(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let ours = Gate::builder(builder()).build().unwrap();
    let classify = |(): &()| Class::Failure;
    let recloser = AsyncRecloser::from(recloser());
    let failsafe = failsafe();
    for (state, result) in [("closed", Ok(1_u64)), ("open", Err(()))] {
        runtime.block_on(async {
            for _ in 0..200 {
                let _ = ours.call(&classify, async { result }).await;
                let _ = recloser.call(async { result }).await;
                let _ = failsafe::futures::CircuitBreaker::call(&failsafe, async { result }).await;
            }
        });
        let mut group = c.benchmark_group(format!("async/{state}"));
        group.bench_function("fusepool", |b| {
            b.iter(|| {
                runtime
                    .block_on(ours.call(&classify, async { black_box(result) }))
                    .is_ok()
            });
        });
        group.bench_function("recloser", |b| {
            b.iter(|| {
                runtime
                    .block_on(recloser.call(async { black_box(result) }))
                    .is_ok()
            });
        });
        group.bench_function("failsafe", |b| {
            b.iter(|| {
                let call = async { black_box(result) };
                runtime
                    .block_on(failsafe::futures::CircuitBreaker::call(&failsafe, call))
                    .is_ok()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, sync, asynchronous);
criterion_main!(benches);
