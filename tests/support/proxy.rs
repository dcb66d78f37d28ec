//! A TCP proxy that injects faults between a client and its server.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};

/// The most bytes held back per connection and direction, besides the kernel's socket buffers.
const CHUNK: usize = 16 * 1024;

/// What a [`Proxy`] does to the traffic passing through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Forwards everything at once.
    None,
    /// Holds each chunk, in both directions, for this long.
    Delay(Duration),
    /// Accepts connections, and forwards nothing on a new one for this long. Existing ones go on.
    SlowConnect(Duration),
    /// Accepts and keeps connections but forwards nothing. What was sent meanwhile is held, not
    /// lost: it goes out when the fault ends.
    Stall,
    /// Like `Stall`, but new connections get no answer at all, as if the network dropped their packets.
    Blackhole,
    /// Drops, for ever, all data on the connections that existed when the fault was set, like a
    /// network that has forgotten them. A client does not see its server's close either. New
    /// connections work.
    Zombie,
    /// Closes existing connections in order (FIN), and new ones as soon as they are accepted.
    Cut,
    /// Resets existing connections (RST), and new ones as soon as they are accepted.
    Reset,
    /// Stops listening, so that new connections are refused; existing ones go on. A connection
    /// that slips in before the listener is gone is reset.
    Refuse,
}

impl Fault {
    /// Whether no data comes through until it ends.
    fn holds(self) -> bool {
        matches!(self, Self::Stall | Self::Blackhole)
    }
}

/// A TCP proxy on a free port of 127.0.0.1 with a [`Fault`] that can be changed at any time.
///
/// Dropping it closes its port and all its connections.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    state: watch::Sender<State>,
    counters: Arc<Counters>,
    task: JoinHandle<io::Result<()>>,
}

impl Proxy {
    /// Starts a proxy in front of `upstream`, without a fault.
    ///
    /// `upstream` is connected to once per accepted connection. When that fails, the accepted
    /// connection is reset.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        let (state, receiver) = watch::channel(State::default());
        let task = tokio::spawn(serve(listener, upstream, receiver, Arc::clone(&counters)));
        Ok(Self {
            addr,
            state,
            counters,
            task,
        })
    }

    /// The address to connect to instead of the upstream's.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Replaces the current fault. [`Fault::None`] heals.
    pub fn set(&self, fault: Fault) {
        self.state.send_modify(|state| {
            // Read under the lock, so that each connection is either below the mark or sees the
            // new fault when it is accepted.
            let accepted = self.counters.accepted.load(Ordering::SeqCst);
            state.fault = fault;
            match fault {
                Fault::Zombie => state.zombies_below = accepted,
                Fault::Cut => state.cut_below = accepted,
                Fault::Reset => state.reset_below = accepted,
                Fault::None
                | Fault::Delay(_)
                | Fault::SlowConnect(_)
                | Fault::Stall
                | Fault::Blackhole
                | Fault::Refuse => {}
            }
        });
    }

    /// The number of connections accepted so far, including those that have ended.
    pub fn accepted(&self) -> u64 {
        self.counters.accepted.load(Ordering::SeqCst)
    }

    /// The number of accepted connections that are still open.
    pub fn live(&self) -> usize {
        self.counters.live.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The fault, and the connections that earlier faults must end.
///
/// Connections are numbered in the order of their acceptance. A mark, unlike the fault itself,
/// can't be missed by a connection that is slow to look.
#[derive(Debug)]
struct State {
    fault: Fault,
    zombies_below: u64,
    cut_below: u64,
    reset_below: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            fault: Fault::None,
            zombies_below: 0,
            cut_below: 0,
            reset_below: 0,
        }
    }
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    live: AtomicUsize,
}

/// Counts a connection as live until dropped.
struct Live(Arc<Counters>);

impl Live {
    fn new(counters: &Arc<Counters>) -> Self {
        counters.live.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counters))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The proxy's port: listened on, or bound only, which refuses connections without giving the
/// port away. If its queue is full, the kernel ignores requests for connections.
enum Door {
    Open(TcpListener),
    Shut(TcpSocket),
    Full(
        TcpListener,
        #[expect(dead_code, reason = "they fill the queue")] Vec<TcpStream>,
    ),
}

impl Door {
    async fn accept(&self) -> io::Result<TcpStream> {
        match self {
            Self::Open(listener) => listener.accept().await.map(|(stream, _)| stream),
            Self::Shut(_) | Self::Full(..) => pending().await,
        }
    }

    fn shut(self, addr: SocketAddr) -> io::Result<Self> {
        match self {
            Self::Open(listener) | Self::Full(listener, _) => drop(listener),
            Self::Shut(_) => return Ok(self),
        }
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        Ok(Self::Shut(socket))
    }

    fn open(self) -> io::Result<Self> {
        match self {
            Self::Open(_) => Ok(self),
            Self::Shut(socket) => socket.listen(1024).map(Self::Open),
            Self::Full(listener, _) => {
                let addr = listener.local_addr()?;
                Self::Full(listener, Vec::new()).shut(addr)?.open()
            }
        }
    }

    async fn fill(self, addr: SocketAddr) -> io::Result<Self> {
        let Self::Shut(socket) = self.shut(addr)? else {
            return Err(io::ErrorKind::AddrInUse.into());
        };
        let listener = socket.listen(0)?;
        let mut queued = Vec::new();
        let connect = || timeout(Duration::from_millis(50), TcpStream::connect(addr));
        while let Ok(stream) = connect().await {
            queued.push(stream?);
        }
        Ok(Self::Full(listener, queued))
    }
}

/// Accepts connections until aborted; the connections' tasks end with it.
async fn serve(
    listener: TcpListener,
    upstream: SocketAddr,
    mut state: watch::Receiver<State>,
    counters: Arc<Counters>,
) -> io::Result<()> {
    let addr = listener.local_addr()?;
    let mut door = Door::Open(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            changed = state.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let fault = state.borrow_and_update().fault;
                door = match fault {
                    Fault::Refuse => door.shut(addr)?,
                    Fault::Blackhole => door.fill(addr).await?,
                    _ => door.open()?,
                };
            }
            accepted = door.accept() => {
                // An error is about that connection, or about a shortage that passes.
                let Ok(client) = accepted else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                let live = Live::new(&counters);
                let id = counters.accepted.fetch_add(1, Ordering::SeqCst);
                let fault = state.borrow().fault;
                match fault {
                    Fault::Cut => close(client).await,
                    Fault::Reset | Fault::Refuse => reset(client),
                    Fault::None
                    | Fault::Delay(_)
                    | Fault::SlowConnect(_)
                    | Fault::Stall
                    | Fault::Blackhole
                    | Fault::Zombie => {
                        let link = Link { id, state: state.clone() };
                        connections.spawn(async move {
                            connection(client, upstream, link).await;
                            drop(live);
                        });
                    }
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Why a connection was ended by a fault.
enum Sentence {
    Cut,
    Reset,
}

/// One connection's view of the proxy's state.
#[derive(Clone)]
struct Link {
    id: u64,
    state: watch::Receiver<State>,
}

impl Link {
    /// Waits until the proxy no longer stalls.
    async fn flowing(&mut self) {
        self.wait_for(|state| !state.fault.holds()).await;
    }

    /// Waits as long as a connection must that was just accepted.
    async fn connects(&mut self) {
        let fault = self.state.borrow().fault;
        if let Fault::SlowConnect(wait) = fault {
            let healed = self.wait_for(|state| state.fault != fault);
            let _ = timeout(wait, healed).await;
        }
        self.flowing().await;
    }

    /// Waits until a fault ends this connection.
    async fn condemned(&mut self) -> Sentence {
        let id = self.id;
        self.wait_for(|state| id < state.cut_below.max(state.reset_below))
            .await;
        if id < self.state.borrow().reset_below {
            Sentence::Reset
        } else {
            Sentence::Cut
        }
    }

    /// Waits until a chunk read at `read_at` may go on. False if it is lost.
    async fn passes(&mut self, read_at: Instant) -> bool {
        loop {
            let (fault, zombie) = {
                let state = self.state.borrow_and_update();
                (state.fault, self.id < state.zombies_below)
            };
            let due = match fault {
                _ if zombie => return false,
                Fault::Delay(delay) => read_at + delay,
                _ if fault.holds() => {
                    self.changed().await;
                    continue;
                }
                _ => return true,
            };
            if tokio::time::timeout_at(due, self.changed()).await.is_err() {
                return true;
            }
        }
    }

    async fn wait_for(&mut self, condition: impl FnMut(&State) -> bool) {
        if self.state.wait_for(condition).await.is_err() {
            // The proxy is gone and about to abort this task.
            pending().await
        }
    }

    async fn changed(&mut self) {
        if self.state.changed().await.is_err() {
            pending().await
        }
    }
}

/// Serves one accepted connection to its end.
async fn connection(mut client: TcpStream, upstream: SocketAddr, mut link: Link) {
    let mut server = None;
    let mut judge = link.clone();
    let relayed = async {
        link.connects().await;
        let server = server.insert(TcpStream::connect(upstream).await?);
        relay(&mut client, server, link).await
    };
    let sentence = tokio::select! {
        biased;
        sentence = judge.condemned() => sentence,
        // Ended by itself, in order or not.
        result = relayed => if result.is_ok() { Sentence::Cut } else { Sentence::Reset },
    };
    for stream in [Some(client), server].into_iter().flatten() {
        match sentence {
            Sentence::Cut => close(stream).await,
            Sentence::Reset => reset(stream),
        }
    }
}

/// Copies both ways until both sides have closed, or one has failed.
async fn relay(client: &mut TcpStream, server: &mut TcpStream, link: Link) -> io::Result<()> {
    // A chunk goes on as it came, not when the kernel has gathered more.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        pump(from_client, to_server, link.clone(), Side::Client),
        pump(from_server, to_client, link, Side::Server),
    )?;
    Ok(())
}

#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}

/// Copies one way until `from` closes.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut link: Link,
    sender: Side,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer).await;
        let passes = link.passes(Instant::now()).await;
        match (read, sender) {
            (Ok(1..), _) if !passes => {}
            // Nothing is left that could notice that the connection is dead.
            (_, Side::Client) if !passes => return Err(io::ErrorKind::ConnectionAborted.into()),
            (_, Side::Server) if !passes => pending().await,
            (Ok(0), _) => return to.shutdown().await,
            (Ok(length), _) => to.write_all(&buffer[..length]).await?,
            (Err(error), _) => return Err(error),
        }
    }
}

/// Closes in order.
async fn close(mut stream: TcpStream) {
    // Fails if the peer has closed already, which is as good.
    let _ = stream.shutdown().await;
    // The kernel sends RST instead of FIN when a socket is closed with data unread.
    while let Ok(1..) = stream.try_read(&mut [0; CHUNK]) {}
}

/// Closes by RST.
fn reset(stream: TcpStream) {
    // Fails only for a socket that the peer has reset already.
    let _ = stream.set_zero_linger();
}
