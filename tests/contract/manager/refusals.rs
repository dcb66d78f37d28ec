//! A manager whose objects use another guarded pool: that pool's refusals are no evidence about this
//! one's backend, whatever error holds them.

use std::error::Error as StdError;
use std::io;
use std::marker::PhantomData;

use fusepool::Class;
use fusepool::deadpool::{Manager, Metrics, Pool, RecycleResult};

type Boxed = Box<dyn StdError + Send + Sync>;

struct Through<E>(PhantomData<fn() -> E>);

impl<E: Send + 'static> Manager for Through<E> {
    type Type = ();
    type Error = E;

    async fn create(&self) -> Result<(), E> {
        Ok(())
    }

    async fn recycle(&self, (): &mut (), _: &Metrics) -> RecycleResult<E> {
        Ok(())
    }
}

/// A refusal of another pool.
fn refused() -> fusepool::Refused {
    let gate = fusepool::Gate::builder(fusepool::Breaker::builder()).build();
    let gate = gate.unwrap();
    let _open = gate.breaker().force_open();
    let call = gate.call(&|_: &()| Class::Failure, async { Ok(()) });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    match runtime.block_on(call) {
        Err(fusepool::GateError::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

async fn judge<E: Send + 'static>(error: impl Fn() -> E) -> (u64, u64) {
    let pools: [Pool<Through<E>>; 2] = [
        Pool::builder(Through(PhantomData)).build().unwrap(),
        // A custom classification does not see refusals.
        Pool::builder(Through(PhantomData))
            .classify(|_: &E| Class::Failure)
            .build()
            .unwrap(),
    ];
    let mut failures = 0;
    for pool in &pools {
        for _ in 0..10 {
            let mut object = pool.get().await.unwrap_or_else(|_| panic!("it is refused"));
            let result = object.guard(async |()| Err::<(), _>(error())).await;
            assert!(result.is_err());
        }
        failures += pool.snapshot().gate.breaker.totals.failures;
    }
    let trips = pools
        .iter()
        .map(|pool| pool.snapshot().gate.breaker.totals.trips);
    (failures, trips.sum())
}

#[test]
fn a_refusal_of_another_pool_is_ignored() {
    let rejected = refused();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let of = |rejected: &fusepool::Refused| rejected.clone();
    runtime.block_on(async {
        let it = of(&rejected);
        assert_eq!(judge(move || it.clone()).await, (0, 0));
        let it = of(&rejected);
        assert_eq!(judge(move || io::Error::other(it.clone())).await, (0, 0));
        let it = of(&rejected);
        let boxed = move || -> Boxed { Box::new(io::Error::other(it.clone())) };
        assert_eq!(judge(boxed).await, (0, 0));
        #[cfg(feature = "sqlx-sqlite")]
        {
            let it = of(&rejected);
            let in_sqlx = move || sqlx::Error::Io(io::Error::other(it.clone()));
            assert_eq!(judge(in_sqlx).await, (0, 0));
        }
    });
}
