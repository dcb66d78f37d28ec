//! A manager that fusepool does not know. Its objects are plain TCP connections.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fusepool::breaker::{LONGEST, State};
use fusepool::deadpool::{
    Hook, Manager, Metrics, Object, Pool, PoolBuilder, PoolError, RecycleError, RecycleResult,
    TimeoutType, Timeouts,
};
use fusepool::{Breaker, Class, GateError, Refused, WithTimeoutError, deadline_exceeded, refusal};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::eventually;
use crate::support::proxy::{Fault, Proxy};

mod cached;
mod refusals;

/// A manager of connections to an echo server.
struct Echoes(SocketAddr);

type Echo = TcpStream;

impl Manager for Echoes {
    type Type = Echo;
    type Error = io::Error;

    async fn create(&self) -> io::Result<Echo> {
        let mut echo = TcpStream::connect(self.0).await?;
        say(&mut echo, b'c').await?;
        Ok(echo)
    }

    async fn recycle(&self, echo: &mut Echo, _: &Metrics) -> RecycleResult<io::Error> {
        say(echo, b'r').await.map_err(RecycleError::Backend)
    }
}

async fn say(echo: &mut Echo, byte: u8) -> io::Result<()> {
    echo.write_all(&[byte]).await?;
    match echo.read_u8().await? {
        answer if answer == byte => Ok(()),
        other => Err(io::Error::other(format!("{other} for {byte}"))),
    }
}

async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    addr
}

fn builder(addr: SocketAddr) -> PoolBuilder<Echoes> {
    Pool::<Echoes>::builder(Echoes(addr))
        .max_size(2)
        .acquire_timeout(Duration::from_millis(300))
        .query_timeout(Duration::from_millis(300))
        .breaker(
            Breaker::builder()
                .slow_call_rate(None)
                .open_duration(Duration::from_millis(100))
                .max_open_duration(Duration::from_millis(100))
                .probe_timeout(Duration::from_millis(200)),
        )
}

async fn guarded(object: &mut Object<Echoes>) -> Result<(), GateError<io::Error>> {
    object.guard(async |echo| say(echo, b'g').await).await
}

#[tokio::test]
async fn the_whole_way_out_and_back() {
    let proxy = Proxy::start(server().await).await.unwrap();
    let pool = builder(proxy.addr()).build().unwrap();
    // In a task, as in an application.
    let task = tokio::spawn({
        let pool = pool.clone();
        async move { guarded(&mut pool.get().await.unwrap()).await }
    });
    task.await.unwrap().unwrap();
    assert_eq!(pool.status().available, 1);

    proxy.set(Fault::Stall);
    eventually("the breaker opens", async || {
        if let Ok(mut object) = pool.get().await {
            let _ = guarded(&mut object).await;
        }
        pool.gate().breaker().state() == State::Open
    })
    .await;
    let error = pool.get().await.unwrap_err();
    assert!(matches!(
        &error,
        PoolError::Refused(Refused::Circuit { .. })
    ));
    assert!(refusal(&error).unwrap().retry_after().is_some());

    proxy.set(Fault::None);
    eventually("the breaker closes by itself", async || {
        pool.gate().breaker().state() == State::Closed
    })
    .await;
    guarded(&mut pool.get().await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn an_object_whose_statement_is_given_up_is_taken_out_of_the_pool() {
    let pool = builder(server().await).build().unwrap();
    let silent = async |echo: &mut Echo| echo.read_u8().await;
    for _ in 0..3 {
        let mut object = pool.get().await.unwrap();
        let error = object.guard(silent).await.unwrap_err();
        assert!(matches!(error, GateError::Deadline(_)), "{error:?}");
        drop(object);
        let mut object = pool.get().await.unwrap();
        let given_up = tokio::time::timeout(Duration::ZERO, object.guard(silent));
        assert!(given_up.await.is_err());
        drop(object);
        eventually("it is gone", async || pool.status().size == 0).await;
    }
    assert_eq!(pool.snapshot().gate.totals.closed_connections, 6);
}

/// The pool's deadline is 300 ms.
#[tokio::test]
async fn a_statement_may_have_a_deadline_of_its_own() {
    let pool = builder(server().await).build().unwrap();
    let mut object = pool.get().await.unwrap();
    let long = async |_: &mut Echo| {
        tokio::time::sleep(Duration::from_millis(600)).await;
        Ok(42)
    };
    let answer = object
        .guard_with_timeout(Duration::from_secs(10), long)
        .await;
    assert_eq!(answer.unwrap(), 42);

    for wrong in [Duration::ZERO, LONGEST + Duration::from_nanos(1)] {
        let error = object.guard_with_timeout(wrong, long).await.unwrap_err();
        match error {
            WithTimeoutError::Config(config) => assert_eq!(config.field(), "with_timeout"),
            other => panic!("{other:?}"),
        }
    }

    let limit = Duration::from_millis(50);
    let silent = async |echo: &mut Echo| echo.read_u8().await;
    let error = object.guard_with_timeout(limit, silent).await.unwrap_err();
    assert_eq!(deadline_exceeded(&error).unwrap().limit(), limit);
    drop(object);
    assert_eq!(pool.snapshot().gate.totals.closed_connections, 1);
}

#[tokio::test]
async fn what_errors_mean_is_up_to_the_user() {
    let pool = builder(server().await)
        .classify(|error: &io::Error| match error.kind() {
            io::ErrorKind::NotFound => Class::Success,
            _ => Class::Failure,
        })
        .build()
        .unwrap();
    let mut object = pool.get().await.unwrap();
    let missing = async |_: &mut Echo| Err::<(), _>(io::ErrorKind::NotFound.into());
    for _ in 0..20 {
        assert!(object.guard(missing).await.is_err());
    }
    let found = |error: &&str| match *error {
        "answer" => Class::Success,
        _ => Class::Failure,
    };
    for _ in 0..20 {
        let answer = object.guard_with(&found, async |_| Err::<(), _>("answer"));
        assert_eq!(answer.await.unwrap_err(), GateError::Failed("answer"));
    }
    drop(object);
    assert_eq!(pool.status().size, 1);
    assert_eq!(pool.snapshot().gate.breaker.totals.failures, 0);

    let mut object = pool.get().await.unwrap();
    let broken = object.guard_with(&found, async |_| Err::<(), _>("fault"));
    assert!(broken.await.is_err());
    drop(object);
    assert_eq!(pool.status().size, 0);
}

/// A manager's error needs to implement neither `Error` nor `Debug`.
#[tokio::test]
async fn an_error_may_be_anything() {
    struct Failing;
    struct Nothing;

    impl Manager for Failing {
        type Type = ();
        type Error = Nothing;

        async fn create(&self) -> Result<(), Nothing> {
            Err(Nothing)
        }

        async fn recycle(&self, (): &mut (), _: &Metrics) -> RecycleResult<Nothing> {
            Ok(())
        }
    }

    let pool = Pool::<Failing>::builder(Failing).build().unwrap();
    for _ in 0..5 {
        let error = pool.get().await.unwrap_err();
        assert!(matches!(error, PoolError::Backend(Nothing)));
    }
    let error = pool.get().await.unwrap_err();
    assert!(matches!(error, PoolError::Refused(_)));
}

#[tokio::test]
async fn pools_that_exist_can_be_guarded() {
    let addr = server().await;
    let naked = || {
        deadpool::managed::Pool::builder(Echoes(addr))
            .max_size(1)
            .build()
            .unwrap()
    };
    let raw = naked();
    let pool: Pool<Echoes> = raw.clone().into();
    let object = pool.get().await.unwrap();
    assert_eq!(raw.status().available, 0);
    assert_eq!(pool.inner().status().size, 1);
    drop(object);

    let settings = Pool::<Echoes>::guard(naked()).max_queue(0).build();
    assert_eq!(settings.unwrap_err().field(), "max_queue");
    let pool = Pool::<Echoes>::guard(naked())
        .acquire_timeout(Duration::from_millis(50))
        .build()
        .unwrap();
    let _object = pool.get().await.unwrap();
    let error = pool.get().await.unwrap_err();
    assert!(matches!(error, PoolError::Timeout(TimeoutType::Wait)));
}

#[tokio::test]
async fn hooks_metrics_and_objects_are_as_with_deadpool() {
    let pool = builder(server().await)
        .post_create(Hook::sync_fn(|_, metrics| {
            assert_eq!(metrics.recycle_count, 0);
            Ok(())
        }))
        .build()
        .unwrap();
    let object = pool.get().await.unwrap();
    let id = Object::id(&object);
    drop(object);
    let object = pool.get().await.unwrap();
    assert_eq!(
        (Object::id(&object), Object::metrics(&object).recycle_count),
        (id, 1)
    );
    assert_eq!(Object::pool(&object).unwrap().status().size, 1);
    let _echo: Echo = Object::take(object);
    assert_eq!(pool.status().size, 0);
    assert_eq!(pool.manager().0, pool.inner().manager().0);

    let weak = pool.weak();
    assert_eq!(weak.upgrade().unwrap().status().max_size, 2);
    let retained = pool.retain(|_, _| true);
    assert_eq!((retained.retained, retained.removed.len()), (0, 0));
    pool.close();
    assert!(pool.is_closed());
    assert!(matches!(pool.get().await.unwrap_err(), PoolError::Closed));
    drop(pool);
    assert!(weak.upgrade().is_none());
}

/// Regression test: the manager's `detach` is called for every object, also for those of the prober. It
/// was not called for connections that were opened but could not be used.
#[tokio::test]
async fn the_manager_takes_leave_of_all_that_it_creates() {
    struct Ill {
        created: AtomicU32,
        detached: AtomicU32,
    }

    impl Manager for Ill {
        type Type = ();
        type Error = io::Error;

        async fn create(&self) -> io::Result<()> {
            self.created.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        async fn recycle(&self, (): &mut (), _: &Metrics) -> RecycleResult<io::Error> {
            Err(RecycleError::Backend(io::ErrorKind::NotConnected.into()))
        }

        fn detach(&self, (): &mut ()) {
            self.detached.fetch_add(1, Ordering::Relaxed);
        }
    }

    let ill = Ill {
        created: AtomicU32::new(0),
        detached: AtomicU32::new(0),
    };
    let breaker = Breaker::builder()
        .consecutive_failures(1)
        .open_duration(Duration::from_millis(10))
        .max_open_duration(Duration::from_millis(10));
    let pool = Pool::<Ill>::builder(ill).breaker(breaker).build().unwrap();
    let mut object = pool.get().await.unwrap();
    let broken = async |(): &mut ()| Err::<(), _>(io::ErrorKind::NotConnected.into());
    object.guard(broken).await.unwrap_err();
    drop(object);
    eventually("probes fail", async || {
        pool.gate().snapshot().totals.probes > 2
    })
    .await;
    pool.close();
    eventually("all are gone", async || {
        let Ill { created, detached } = pool.manager();
        created.load(Ordering::Relaxed) == detached.load(Ordering::Relaxed)
    })
    .await;
}

/// Regression test: a caller with a long timeout for a slot also waited that long for a silent backend
/// to accept a connection.
#[tokio::test(start_paused = true)]
async fn to_wait_for_a_place_is_not_to_wait_for_a_connection() {
    struct Silent;

    impl Manager for Silent {
        type Type = ();
        type Error = io::Error;

        async fn create(&self) -> io::Result<()> {
            std::future::pending().await
        }

        async fn recycle(&self, (): &mut (), _: &Metrics) -> RecycleResult<io::Error> {
            Ok(())
        }
    }

    let acquire_timeout = Duration::from_secs(2);
    let pool = Pool::<Silent>::builder(Silent)
        .acquire_timeout(acquire_timeout)
        .wait_timeout(Some(Duration::from_secs(30)))
        .build()
        .unwrap();
    let start = tokio::time::Instant::now();
    let error = pool.get().await.unwrap_err();
    assert!(matches!(error, PoolError::Timeout(TimeoutType::Create)));
    assert_eq!(start.elapsed(), acquire_timeout);
    assert_eq!(pool.snapshot().gate.breaker.totals.failures, 1);
}

/// A caller that does not wait, and gets no object, says nothing about the backend.
#[tokio::test]
async fn who_would_not_wait_does_not_trip_the_breaker() {
    let pool = builder(server().await).build().unwrap();
    let _objects = (pool.get().await.unwrap(), pool.get().await.unwrap());
    // Longer than the time after which a lack of objects is a failure.
    tokio::time::sleep(Duration::from_millis(350)).await;
    let at_once = Timeouts {
        wait: Some(Duration::ZERO),
        ..Timeouts::new()
    };
    for _ in 0..50 {
        let error = pool.timeout_get(&at_once).await.unwrap_err();
        assert!(matches!(error, PoolError::Timeout(TimeoutType::Wait)));
    }
    assert_eq!(pool.gate().breaker().state(), State::Closed);
}

/// Regression test with a protocol without request numbers, whose manager accepts a connection that
/// still owes an answer. The holder of an object continued after a deadline, and every caller got the
/// answer to the previous request: bob that of alice, carol that of bob.
#[tokio::test]
async fn nobody_gets_the_answer_to_a_statement_that_was_given_up() {
    struct Secrets(SocketAddr);
    type Secret = BufReader<TcpStream>;

    async fn ask(secret: &mut Secret, of: &str) -> io::Result<String> {
        secret.write_all(format!("{of}\n").as_bytes()).await?;
        let mut line = String::new();
        secret.read_line(&mut line).await?;
        Ok(line.trim().to_owned())
    }

    impl Manager for Secrets {
        type Type = Secret;
        type Error = io::Error;

        async fn create(&self) -> io::Result<Secret> {
            Ok(BufReader::new(TcpStream::connect(self.0).await?))
        }

        async fn recycle(&self, _: &mut Secret, _: &Metrics) -> RecycleResult<io::Error> {
            Ok(())
        }
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secrets = Secrets(listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let mut stream = BufReader::new(listener.accept().await.unwrap().0);
            tokio::spawn(async move {
                let mut of = String::new();
                while stream.read_line(&mut of).await.unwrap_or(0) > 0 {
                    if of.starts_with("alice") {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                    }
                    let secret = format!("secret of {of}");
                    let _ = stream.write_all(secret.as_bytes()).await;
                    of.clear();
                }
            });
        }
    });
    let pool = Pool::<Secrets>::builder(secrets)
        .max_size(1)
        .query_timeout(Duration::from_millis(100))
        .breaker(Breaker::builder().slow_call_threshold(Duration::from_millis(50)))
        .build()
        .unwrap();

    for leaves_early in [false, true] {
        let mut secret = pool.get().await.unwrap();
        let alice = secret.guard(async |secret| ask(secret, "alice").await);
        match leaves_early {
            false => assert!(matches!(alice.await, Err(GateError::Deadline(_)))),
            true => drop(timeout(Duration::from_millis(20), alice).await),
        }
        for _ in 0..2 {
            let bob = secret.guard(async |secret| ask(secret, "bob").await).await;
            let refused = matches!(bob, Err(GateError::Refused(Refused::Abandoned { .. })));
            assert!(refused, "{bob:?}");
        }
        let limit = Duration::from_secs(9);
        let bob = secret.guard_with_timeout(limit, async |secret| ask(secret, "bob").await);
        assert!(matches!(
            bob.await,
            Err(WithTimeoutError::Gate(GateError::Refused(_)))
        ));
        drop(secret);
        let mut secret = pool.get().await.unwrap();
        assert_eq!(Object::metrics(&secret).recycle_count, 0, "a new one");
        let carol = secret.guard(async |secret| ask(secret, "carol").await);
        assert_eq!(carol.await.unwrap(), "secret of carol");
    }
}
