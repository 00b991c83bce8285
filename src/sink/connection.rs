//! Connections to DynamoDB, one request at a time on each, and HTTP/1.1 as far as that needs it.
//!
//! A connection belongs to the call that uses it; one that is dropped in the middle of an exchange is closed, so that no
//! answer can be taken for that to another request. Its task reads and writes the socket itself: no other task is woken
//! for an answer.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::future::poll_fn;
use hyper::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::reply::{Reading, Reply};

/// A connection that has not been used for so long is closed: shorter than what servers and balancers wait.
const IDLE: Duration = Duration::from_secs(20);
/// After so long an address is looked up again, so that we follow where DynamoDB goes.
const OLD: Duration = Duration::from_secs(300);
/// What is kept of the room for an answer, and of that for a request.
const KEPT: usize = 64 << 10;
/// A balancer's silence is noticed after about this time.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Opens connections to one address and keeps those that are not in use.
pub(super) struct Connections {
    uri: Uri,
    tcp: HttpConnector,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    patience: Duration,
    /// The last used is the first taken.
    idle: Mutex<Vec<Connection>>,
}

pub(super) struct Connection {
    stream: Box<dyn Stream>,
    opened: Instant,
    used: Instant,
    buffer: Vec<u8>,
}

/// Room for one request, used again for others.
#[derive(Default)]
pub(super) struct Room {
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

/// Rooms that nobody uses; at most one for each request at a time.
#[derive(Default)]
pub(super) struct Rooms {
    free: Mutex<Vec<Room>>,
}

impl Rooms {
    pub fn take(&self) -> Room {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.pop().unwrap_or_default()
    }

    /// Back, for another request; a large one's room is not kept.
    pub fn give_back(&self, mut room: Room) {
        for part in [&mut room.head, &mut room.body] {
            part.clear();
            part.shrink_to(KEPT);
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(room);
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Why an exchange failed.
pub(super) enum Broken {
    /// Nobody has seen anything of the request.
    BeforeRequest(io::Error),
    BeforeAnswer(io::Error),
    InAnswer(io::Error),
}

impl Connections {
    /// Connects to nothing yet.
    pub fn new(uri: &Uri, patience: Duration) -> io::Result<Self> {
        Self::trusting(uri, patience, trust)
    }

    /// With what TLS asks for, where it is used.
    fn trusting(
        uri: &Uri,
        patience: Duration,
        trust: impl FnOnce() -> io::Result<Arc<ClientConfig>>,
    ) -> io::Result<Self> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_connect_timeout(Some(patience));
        let tls = match uri.scheme_str() {
            Some("https") => Some((TlsConnector::from(trust()?), server_name(uri)?)),
            _ => None,
        };
        Ok(Self {
            uri: uri.clone(),
            tcp,
            tls,
            patience,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// A connection that nobody uses, or a new one.
    pub async fn take(&self) -> io::Result<Connection> {
        while let Some(mut idle) = self.pop() {
            if idle.used.elapsed() < IDLE && idle.is_quiet().await {
                return Ok(idle);
            }
        }
        tokio::time::timeout(self.patience, self.open())
            .await
            .map_err(|_| io::Error::new(ErrorKind::TimedOut, "no connection in time"))?
    }

    /// Takes back a connection whose last answer has been read to its end.
    pub fn give_back(&self, mut connection: Connection) {
        let now = Instant::now();
        if now.saturating_duration_since(connection.opened) < OLD {
            connection.used = now;
            connection.buffer.clear();
            connection.buffer.shrink_to(KEPT);
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.push(connection);
        }
    }

    fn pop(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    async fn open(&self) -> io::Result<Connection> {
        let mut tcp = self.tcp.clone();
        let opened = match poll_fn(|cx| tcp.poll_ready(cx)).await {
            Ok(()) => tcp.call(self.uri.clone()).await,
            Err(error) => Err(error),
        };
        let tcp = opened.map_err(io::Error::other)?.into_inner();
        let stream: Box<dyn Stream> = match &self.tls {
            Some((tls, name)) => Box::new(tls.connect(name.clone(), tcp).await?),
            None => Box::new(tcp),
        };
        let now = Instant::now();
        Ok(Connection {
            stream,
            opened: now,
            used: now,
            buffer: Vec::with_capacity(1024),
        })
    }
}

impl Connection {
    /// Sends a request, which is its head and its body, and reads the answer. Whether the connection may be used again
    /// is the second part.
    pub async fn exchange(&mut self, head: &[u8], body: &[u8]) -> Result<(Reply, bool), Broken> {
        let sent = self.send(head, body).await;
        let whole = match sent {
            Ok(whole) => whole,
            Err((0, error)) => return Err(Broken::BeforeRequest(error)),
            // It may have answered before it closed: a request that is too large.
            Err((_, error)) => {
                return match self.receive().await {
                    Ok((reply, _)) => Ok((reply, false)),
                    Err(_) => Err(Broken::BeforeAnswer(error)),
                };
            }
        };
        let (reply, reusable) = self.receive().await?;
        Ok((reply, whole && reusable))
    }

    /// Writes all of the request, or as much as the server wants to see before it answers: whether it was all. With an
    /// error, how much was written.
    async fn send(&mut self, head: &[u8], body: &[u8]) -> Result<bool, (usize, io::Error)> {
        let mut sent = 0;
        poll_fn(|cx| {
            while sent < head.len() + body.len() {
                let rest = [
                    IoSlice::new(head.get(sent..).unwrap_or_default()),
                    IoSlice::new(
                        body.get(sent.saturating_sub(head.len())..)
                            .unwrap_or_default(),
                    ),
                ];
                match Pin::new(&mut self.stream).poll_write_vectored(cx, &rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(more)) => sent += more,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return self.poll_early(cx),
                }
            }
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(flushed) => Poll::Ready(flushed.map(|()| true)),
                Poll::Pending => self.poll_early(cx),
            }
        })
        .await
        .map_err(|error| (sent, error))
    }

    /// The server takes no more: whether it has begun to answer.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        match self.poll_read(cx) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(false)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Reads an answer; whether the server goes on with this connection after it.
    async fn receive(&mut self) -> Result<(Reply, bool), Broken> {
        let mut ended = false;
        loop {
            match Reply::read(&mut self.buffer, ended) {
                Ok(Reading::Whole(reply, reusable)) => {
                    // What comes unasked belongs to nothing.
                    return Ok((reply, reusable && self.buffer.is_empty()));
                }
                Ok(Reading::More) if !ended => {}
                Ok(Reading::More) => return Err(self.broken(ErrorKind::UnexpectedEof.into())),
                Err(error) => return Err(Broken::InAnswer(error)),
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(read) => ended = read == 0,
                Err(error) => return Err(self.broken(error)),
            }
        }
    }

    fn broken(&self, error: io::Error) -> Broken {
        match self.buffer.is_empty() {
            true => Broken::BeforeAnswer(error),
            false => Broken::InAnswer(error),
        }
    }

    /// Whether the connection stands and nothing has come unasked.
    async fn is_quiet(&mut self) -> bool {
        poll_fn(|cx| Poll::Ready(self.poll_read(cx).is_pending())).await
    }

    /// Reads a little into the buffer.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; 1024];
        let mut read = ReadBuf::new(&mut bytes);
        match Pin::new(&mut self.stream).poll_read(cx, &mut read) {
            Poll::Ready(Ok(())) => {
                self.buffer.extend_from_slice(read.filled());
                Poll::Ready(Ok(read.filled().len()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// In the certificates that the system trusts, as the SDK's own client does.
fn trust() -> io::Result<Arc<ClientConfig>> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        tracing::warn!(
            errors = why.join(", "),
            "this system has no certificates to trust"
        );
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    trust_in(roots)
}

fn trust_in(roots: RootCertStore) -> io::Result<Arc<ClientConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn server_name(uri: &Uri) -> io::Result<ServerName<'static>> {
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(io::Error::other)
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
