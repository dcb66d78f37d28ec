//! The fault-injecting proxy, in front of an echo server.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::proxy::{Fault, Proxy};
use crate::support::{PATIENCE, eventually};

/// How long the tests wait for something that must not happen.
const QUIET: Duration = Duration::from_millis(100);

async fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    addr
}

async fn proxied_echo() -> Proxy {
    Proxy::start(echo_server().await).await.unwrap()
}

async fn connect(proxy: &Proxy) -> TcpStream {
    timeout(PATIENCE, TcpStream::connect(proxy.addr()))
        .await
        .unwrap()
        .unwrap()
}

async fn receive(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut buffer))
        .await
        .expect("bytes within the time allowed")
        .unwrap();
    buffer
}

async fn assert_echoes(stream: &mut TcpStream) {
    stream.write_all(b"ping").await.unwrap();
    assert_eq!(receive(stream, 4).await, b"ping");
}

/// A connection that has been through the proxy and back.
async fn established(proxy: &Proxy) -> TcpStream {
    let mut stream = connect(proxy).await;
    assert_echoes(&mut stream).await;
    stream
}

/// How the connection ends: 0 bytes for FIN, or the error.
async fn end(stream: &mut TcpStream) -> Result<usize, ErrorKind> {
    timeout(PATIENCE, stream.read(&mut [0; 1]))
        .await
        .expect("an end within the time allowed")
        .map_err(|error| error.kind())
}

async fn assert_silent(stream: &mut TcpStream) {
    let read = timeout(QUIET, stream.read(&mut [0; 1])).await;
    assert!(read.is_err(), "received {read:?}");
}

#[tokio::test]
async fn forwards_more_than_its_buffers_hold() {
    let proxy = proxied_echo().await;
    let (mut from, mut to) = connect(&proxy).await.into_split();
    let sent: Vec<u8> = (0..8_u32 << 20).map(|i| (i % 251) as u8).collect();
    let copy = sent.clone();
    let writer = tokio::spawn(async move {
        to.write_all(&copy).await.unwrap();
        to.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    timeout(PATIENCE, from.read_to_end(&mut received))
        .await
        .unwrap()
        .unwrap();
    writer.await.unwrap();
    assert!(received == sent);
    eventually("the connection to end", async || proxy.live() == 0).await;
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test]
async fn counts_connections() {
    let proxy = proxied_echo().await;
    let first = established(&proxy).await;
    let second = established(&proxy).await;
    assert_eq!((proxy.accepted(), proxy.live()), (2, 2));
    drop((first, second));
    eventually("both to close", async || proxy.live() == 0).await;
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn delay_holds_each_direction() {
    let proxy = proxied_echo().await;
    let mut stream = established(&proxy).await;
    proxy.set(Fault::Delay(QUIET));
    let start = Instant::now();
    assert_echoes(&mut stream).await;
    assert!(start.elapsed() >= 2 * QUIET);
}

#[tokio::test]
async fn healing_ends_a_delay_in_progress() {
    let proxy = proxied_echo().await;
    let mut stream = established(&proxy).await;
    proxy.set(Fault::Delay(10 * PATIENCE));
    stream.write_all(b"ping").await.unwrap();
    assert_silent(&mut stream).await;
    proxy.set(Fault::None);
    assert_eq!(receive(&mut stream, 4).await, b"ping");
}

#[tokio::test]
async fn stall_holds_bytes_until_healed() {
    let proxy = proxied_echo().await;
    let mut old = established(&proxy).await;
    proxy.set(Fault::Stall);
    let mut new = connect(&proxy).await;
    for stream in [&mut old, &mut new] {
        stream.write_all(b"held").await.unwrap();
        assert_silent(stream).await;
    }
    assert_eq!(proxy.live(), 2);
    proxy.set(Fault::None);
    for stream in [&mut old, &mut new] {
        assert_eq!(receive(stream, 4).await, b"held");
    }
}

#[tokio::test]
async fn stall_pushes_back_on_the_sender() {
    let proxy = proxied_echo().await;
    let mut stream = established(&proxy).await;
    proxy.set(Fault::Stall);
    let endless = async {
        loop {
            stream.write_all(&[0; 1 << 20]).await.unwrap();
        }
    };
    let sent = timeout(5 * QUIET, endless).await;
    assert!(sent.is_err(), "the write never waited: {sent:?}");
}

#[tokio::test]
async fn zombie_swallows_old_connections_for_ever() {
    let proxy = proxied_echo().await;
    let mut old = established(&proxy).await;
    proxy.set(Fault::Zombie);
    let mut new = established(&proxy).await;
    old.write_all(b"lost").await.unwrap();
    assert_silent(&mut old).await;
    proxy.set(Fault::None);
    old.write_all(b"lost").await.unwrap();
    assert_silent(&mut old).await;
    assert_echoes(&mut new).await;
    drop(old);
    eventually("the zombie to end", async || proxy.live() == 1).await;
}

#[tokio::test]
async fn a_zombies_client_is_not_told_that_its_server_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
    let mut client = connect(&proxy).await;
    let (server, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    proxy.set(Fault::Zombie);
    drop(server);
    assert_silent(&mut client).await;
}

#[tokio::test]
async fn cut_closes_old_and_new_in_order() {
    let proxy = proxied_echo().await;
    let mut old = established(&proxy).await;
    proxy.set(Fault::Cut);
    assert_eq!(end(&mut old).await, Ok(0));
    assert_eq!(end(&mut connect(&proxy).await).await, Ok(0));
    eventually("both to end", async || proxy.live() == 0).await;
    assert_eq!(proxy.accepted(), 2);
    proxy.set(Fault::None);
    established(&proxy).await;
}

#[tokio::test]
async fn reset_resets_old_and_new() {
    let proxy = proxied_echo().await;
    let mut old = established(&proxy).await;
    proxy.set(Fault::Reset);
    assert_eq!(end(&mut old).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(
        end(&mut connect(&proxy).await).await,
        Err(ErrorKind::ConnectionReset)
    );
    proxy.set(Fault::None);
    established(&proxy).await;
}

#[tokio::test]
async fn a_fault_reaches_connections_even_when_healed_at_once() {
    let proxy = proxied_echo().await;
    let mut old = established(&proxy).await;
    proxy.set(Fault::Reset);
    proxy.set(Fault::None);
    assert_eq!(end(&mut old).await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn refuse_spares_old_connections() {
    let proxy = proxied_echo().await;
    let mut old = established(&proxy).await;
    proxy.set(Fault::Refuse);
    eventually("a refused connection", async || {
        TcpStream::connect(proxy.addr())
            .await
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    })
    .await;
    assert_echoes(&mut old).await;
    proxy.set(Fault::None);
    eventually("an accepted connection", async || {
        TcpStream::connect(proxy.addr()).await.is_ok()
    })
    .await;
    established(&proxy).await;
}

#[tokio::test]
async fn an_unreachable_upstream_resets() {
    // Bound, not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let proxy = Proxy::start(socket.local_addr().unwrap()).await.unwrap();
    let mut stream = connect(&proxy).await;
    assert_eq!(end(&mut stream).await, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn dropping_the_proxy_ends_everything() {
    let proxy = proxied_echo().await;
    let addr = proxy.addr();
    let mut stream = established(&proxy).await;
    drop(proxy);
    assert!(matches!(
        end(&mut stream).await,
        Ok(0) | Err(ErrorKind::ConnectionReset)
    ));
    eventually("a refused connection", async || {
        TcpStream::connect(addr).await.is_err()
    })
    .await;
}
