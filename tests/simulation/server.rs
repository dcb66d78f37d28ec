//! The scripted database server, and a connection to it.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::fault::Kind;
use crate::script::Script;

/// The time of an answer that needs no work: a refusal, an error, a ping.
const ROUND_TRIP: Duration = Duration::from_millis(1);

/// A server without faults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Machine {
    /// The statements that it executes at once; more wait.
    pub(crate) capacity: u32,
    /// The time to open a connection.
    pub(crate) connect: Duration,
    /// The connections that it accepts. A pooler in between refuses further ones.
    pub(crate) clients: Option<u32>,
    /// The longest wait of a statement for its turn. A pooler then ends the connection.
    pub(crate) query_wait: Option<Duration>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            capacity: 1_000,
            connect: Duration::from_millis(10),
            clients: None,
            query_wait: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DbError {
    #[error("connection refused")]
    Refused,
    #[error("connection reset")]
    Reset,
    #[error("no more connections allowed")]
    Full,
    #[error("query_wait_timeout")]
    QueryWait,
    #[error("the server cannot do its work")]
    Failed,
    #[error("canceled on request")]
    Canceled,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Statement {
    pub(crate) kind: Kind,
    pub(crate) work: Duration,
}

/// Who opens a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opener {
    Pool,
    Prober,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    clients: u32,
    /// What the server executes, or what waits there for its turn, on connections of the pool and on
    /// those of the prober.
    pub(crate) at_work: AtOnce,
    pub(crate) probes: AtOnce,
    /// The attempts to open a connection.
    pub(crate) connects: Vec<(Duration, Opener)>,
    /// The times at which a statement arrived.
    pub(crate) arrivals: Vec<Duration>,
}

/// How many there are, and the most that there were.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AtOnce {
    now: u32,
    pub(crate) most: u32,
}

#[derive(Debug)]
pub(crate) struct Server {
    start: Instant,
    script: Script,
    machine: Machine,
    slots: Semaphore,
    pub(crate) tally: Mutex<Tally>,
}

impl Server {
    pub(crate) fn new(machine: Machine, script: Script) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            script,
            machine,
            slots: Semaphore::new(machine.capacity as usize),
            tally: Mutex::default(),
        })
    }

    /// The time since the start of the situation.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) async fn until(&self, at: Option<Duration>) {
        match at {
            Some(at) => sleep_until(self.start + at).await,
            None => pending().await,
        }
    }

    pub(crate) async fn connect(self: &Arc<Self>, by: Opener) -> Result<Connection, DbError> {
        let at = self.now();
        self.tally.lock().unwrap().connects.push((at, by));
        let arrival = self.script.syn_arrival(at);
        let ready = self.script.end(None, arrival, self.machine.connect);
        if let Some(refused) = self.script.refused_at(at, ready) {
            self.until(Some(refused + ROUND_TRIP)).await;
            return Err(DbError::Refused);
        }
        self.until(ready).await;
        self.accept(by)
    }

    /// Waits until the network has delivered a request for a connection.
    pub(crate) async fn knock(&self) {
        let arrival = self.script.syn_arrival(self.now());
        self.until(Some(arrival + ROUND_TRIP)).await;
    }

    /// Accepts a connection, if there is room for it.
    pub(crate) fn accept(self: &Arc<Self>, by: Opener) -> Result<Connection, DbError> {
        let mut tally = self.tally.lock().unwrap();
        if self
            .machine
            .clients
            .is_some_and(|most| tally.clients >= most)
        {
            return Err(DbError::Full);
        }
        tally.clients += 1;
        drop(tally);
        Ok(Connection {
            server: Arc::clone(self),
            opener: by,
            opened: self.now(),
            running: None,
            ended: false,
        })
    }

    /// Executes a statement, or a ping without a kind, that arrives at `arrival`.
    async fn execute(
        &self,
        by: Opener,
        kind: Option<Kind>,
        work: Duration,
        arrival: Duration,
    ) -> Result<(), DbError> {
        self.until(Some(arrival)).await;
        let _at_work = AtWork::of(self, by, kind, arrival);
        let turn = self.slots.acquire();
        let _slot = match self.machine.query_wait {
            None => turn.await.unwrap(),
            Some(limit) => (timeout(limit, turn).await)
                .map_err(|_| DbError::QueryWait)?
                .unwrap(),
        };
        if kind.is_some_and(|kind| self.script.fails(kind, self.now())) {
            self.until(Some(self.now() + ROUND_TRIP)).await;
            return Err(DbError::Failed);
        }
        self.until(self.script.end(kind, self.now(), work)).await;
        Ok(())
    }
}

/// Counts a backend that works, for the pool or for the prober.
struct AtWork<'server> {
    server: &'server Server,
    by: Opener,
}

impl<'server> AtWork<'server> {
    fn of(server: &'server Server, by: Opener, kind: Option<Kind>, arrival: Duration) -> Self {
        let mut tally = server.tally.lock().unwrap();
        if kind.is_some() {
            tally.arrivals.push(arrival);
        }
        let count = tally.count(by);
        count.now += 1;
        count.most = count.most.max(count.now);
        drop(tally);
        Self { server, by }
    }
}

impl Tally {
    fn count(&mut self, by: Opener) -> &mut AtOnce {
        match by {
            Opener::Pool => &mut self.at_work,
            Opener::Prober => &mut self.probes,
        }
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.server.tally.lock().unwrap().count(self.by).now -= 1;
    }
}

/// A connection. A statement that its caller abandons runs on at the server.
#[derive(Debug)]
pub(crate) struct Connection {
    server: Arc<Server>,
    opener: Opener,
    opened: Duration,
    running: Option<Running>,
    /// The server has ended it.
    ended: bool,
}

#[derive(Debug)]
struct Running {
    answer: oneshot::Receiver<Result<(), DbError>>,
    /// The answer, and when the server sent it.
    sent: Option<(Duration, Result<(), DbError>)>,
    cancel: Arc<Notify>,
}

impl Connection {
    /// Whether the driver has seen that the connection is closed.
    pub(crate) fn is_closed(&self) -> bool {
        let reset = self.server.script.reset_at(self.opened);
        self.ended || reset.is_some_and(|at| at <= self.server.now())
    }

    /// Whether a statement was abandoned on it.
    pub(crate) fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<(), DbError> {
        self.send(Some(statement.kind), statement.work);
        self.answer().await
    }

    /// Pings after the end of a statement that was abandoned on this connection, if there is one.
    pub(crate) async fn ping(&mut self) -> Result<(), DbError> {
        if self.answer().await == Err(DbError::Reset) {
            return Err(DbError::Reset);
        }
        self.send(None, ROUND_TRIP);
        self.answer().await
    }

    fn send(&mut self, kind: Option<Kind>, work: Duration) {
        let (reply, answer) = oneshot::channel();
        let cancel = Arc::new(Notify::new());
        self.running = Some(Running {
            answer,
            sent: None,
            cancel: Arc::clone(&cancel),
        });
        let (server, now, by) = (Arc::clone(&self.server), self.server.now(), self.opener);
        if self.is_silent() {
            return; // `answer` waits for ever
        }
        let arrival = server.script.arrival(now);
        let reset = server.script.reset_at(self.opened);
        tokio::spawn(async move {
            let result = tokio::select! {
                biased;
                result = server.execute(by, kind, work, arrival) => result,
                () = cancel.notified() => Err(DbError::Canceled),
                () = server.until(reset) => Err(DbError::Reset),
            };
            let _ = reply.send(result);
        });
    }

    /// Waits for the answer to the statement that runs.
    pub(crate) async fn answer(&mut self) -> Result<(), DbError> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let server = &self.server;
        let reset = server.script.reset_at(self.opened);
        let silent = server.script.silent_from(self.opened);
        let delivered = async {
            let (at, result) = match running.sent {
                Some(sent) => sent,
                None => {
                    let result = (&mut running.answer).await.unwrap_or(Err(DbError::Reset));
                    *running.sent.insert((server.now(), result))
                }
            };
            if silent.is_some_and(|from| from <= at) {
                pending::<()>().await;
            }
            server.until(Some(server.script.arrival(at))).await;
            result
        };
        let result = tokio::select! {
            biased;
            () = server.until(reset) => Err(DbError::Reset),
            result = delivered => result,
        };
        self.running = None;
        self.ended = matches!(result, Err(DbError::Reset | DbError::QueryWait));
        result
    }

    /// Asks the server over another connection to end the statement that runs, and waits for its end.
    pub(crate) async fn cancel(&mut self) {
        let (server, now) = (&self.server, self.server.now());
        let request = server.script.syn_arrival(now);
        server
            .until(server.script.end(None, request, server.machine.connect))
            .await;
        if let Some(running) = &self.running {
            running.cancel.notify_one();
            let _ = self.answer().await;
        }
    }

    /// Whether no answer comes on it any more.
    pub(crate) fn is_silent(&self) -> bool {
        let silent = self.server.script.silent_from(self.opened);
        silent.is_some_and(|from| from <= self.server.now())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.tally.lock().unwrap().clients -= 1;
    }
}
