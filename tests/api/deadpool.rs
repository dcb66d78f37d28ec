//! Pools of any manager of deadpool's.

use std::io;
use std::time::Duration;

use fusepool::Class;
use fusepool::deadpool::{
    BuildError, CreatePoolError, Manager, Metrics, Object, Pool, PoolBuilder, PoolError,
    PoolSnapshot, RecycleResult, Timeouts, WeakPool,
};

struct Numbers;

impl Manager for Numbers {
    type Type = u32;
    type Error = io::Error;

    async fn create(&self) -> io::Result<u32> {
        Ok(1)
    }

    async fn recycle(&self, _: &mut u32, _: &Metrics) -> RecycleResult<io::Error> {
        Ok(())
    }
}

#[test]
fn types_are_send_and_sync() {
    assert_send_sync!(
        BuildError,
        CreatePoolError<io::Error>,
        Object<Numbers>,
        Pool<Numbers>,
        PoolBuilder<Numbers>,
        PoolError<io::Error>,
        PoolSnapshot,
        WeakPool<Numbers>,
    );
}

#[expect(dead_code, reason = "that it compiles is the test")]
fn futures_can_be_spawned(pool: &Pool<Numbers>, mut object: Object<Numbers>) {
    let classify = |_: &io::Error| Class::Failure;
    assert_spawnable!(
        pool.get(),
        pool.timeout_get(&Timeouts::default()),
        object.guard(async |number| Ok(*number)),
        object.guard_with_timeout(Duration::from_secs(1), async |number| Ok(*number)),
        object.guard_with(&classify, async |number| Ok::<_, io::Error>(*number)),
    );
}
