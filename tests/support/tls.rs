//! TLS for clients of PostgreSQL, and a relay that shows whether they use it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::postgres::Postgres;

/// TLS that trusts this server and no other.
pub async fn trusting(server: &Postgres) -> MakeRustlsConnect {
    let certificate = CertificateDer::from_pem_slice(server.certificate().await.as_bytes());
    let mut roots = RootCertStore::empty();
    roots
        .add(certificate.expect("a certificate"))
        .expect("the certificate is one to trust");
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring has the usual versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    MakeRustlsConnect::new(config)
}

/// How a connection to PostgreSQL begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A request for TLS that was granted, and its handshake.
    Tls,
    /// A cancel request without encryption.
    PlainCancel,
    /// Anything else.
    Plain,
}

/// The numbers of the requests that a connection may begin with, and of TLS' handshake.
const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const HANDSHAKE: u8 = 22;

/// A relay to a server, on a free port of 127.0.0.1, that sees how connections begin.
#[derive(Debug)]
pub struct Tap {
    addr: SocketAddr,
    openings: Openings,
    task: JoinHandle<io::Result<()>>,
}

type Openings = Arc<Mutex<Vec<Opening>>>;

impl Tap {
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let openings = Openings::default();
        let task = tokio::spawn(serve(listener, upstream, Arc::clone(&openings)));
        Ok(Self {
            addr,
            openings,
            task,
        })
    }

    /// The port to connect to instead of the server's.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// How the connections since the last call began. A connection is listed before the server has read
    /// its request.
    pub fn openings(&self) -> Vec<Opening> {
        std::mem::take(&mut self.openings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, upstream: SocketAddr, openings: Openings) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await?;
        let openings = Arc::clone(&openings);
        connections.spawn(async move {
            let mut server = TcpStream::connect(upstream).await?;
            let opening = open(&mut client, &mut server).await?;
            openings
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(opening);
            copy_bidirectional(&mut client, &mut server).await
        });
    }
}

/// Relays as many bytes as it needs to recognize the request. Only a request for TLS is then complete.
async fn open(client: &mut TcpStream, server: &mut TcpStream) -> io::Result<Opening> {
    let length = client.read_u32().await?;
    let request = client.read_u32().await?;
    server.write_u32(length).await?;
    server.write_u32(request).await?;
    let mut opening = match request {
        CANCEL_REQUEST => Opening::PlainCancel,
        _ => Opening::Plain,
    };
    if request == SSL_REQUEST {
        client.write_u8(server.read_u8().await?).await?;
        let first = client.read_u8().await?;
        server.write_u8(first).await?;
        if first == HANDSHAKE {
            opening = Opening::Tls;
        }
    }
    Ok(opening)
}
