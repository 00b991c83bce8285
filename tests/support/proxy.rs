//! A TCP proxy that hurts: refuses, falls silent, and resets connections in the middle of what they carry.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// What the proxy does at present.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    Pass,
    /// Resets every connection, old and new ones.
    Refuse,
    /// Takes connections and carries nothing.
    Hang,
    /// Every connection is reset after a random number of bytes, between 1 KB and this many.
    Cut(u64),
}

/// Runs on a thread of its own until it is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

struct Shared {
    to: AtomicU16,
    mode: watch::Sender<Mode>,
    rng: Mutex<fastrand::Rng>,
    cuts: AtomicU64,
    connections: AtomicU64,
}

impl Proxy {
    /// To a port of 127.0.0.1.
    pub fn to(port: u16, seed: u64) -> Proxy {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener
            .set_nonblocking(true)
            .expect("a non-blocking socket");
        let own = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared {
            to: port.into(),
            mode: watch::channel(Mode::Pass).0,
            rng: Mutex::new(fastrand::Rng::with_seed(seed)),
            cuts: 0.into(),
            connections: 0.into(),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async move {
                tokio::select! {
                    () = serve(listener, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        Proxy {
            port: own,
            shared,
            _stop: stop,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// New connections lead to another port.
    pub fn redirect(&self, port: u16) {
        self.shared.to.store(port, SeqCst);
    }

    /// Connections that were reset in the middle.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(SeqCst)
    }

    /// Connections that were taken.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(SeqCst)
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    loop {
        if let Ok((client, _)) = listener.accept().await {
            shared.connections.fetch_add(1, SeqCst);
            tokio::spawn(carry(client, Arc::clone(&shared)));
        }
    }
}

async fn carry(client: TcpStream, shared: Arc<Shared>) {
    reset_when_closed(&client);
    let mut mode = shared.mode.subscribe();
    if *mode.borrow() == Mode::Refuse {
        return;
    }
    if mode.wait_for(|mode| *mode != Mode::Hang).await.is_err() {
        return;
    }
    let to = SocketAddr::from(([127, 0, 0, 1], shared.to.load(SeqCst)));
    let Ok(server) = TcpStream::connect(to).await else {
        return;
    };
    reset_when_closed(&server);
    // Whatever ends first takes both directions with it, and drops both sockets at once.
    let ended = AtomicBool::new(false);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        _ = relay(from_client, to_server, &shared, &ended) => {}
        _ = relay(from_server, to_client, &shared, &ended) => {}
        _ = mode.wait_for(|mode| *mode == Mode::Refuse) => {}
    }
}

/// Dropping the socket sends a reset instead of an end in order.
fn reset_when_closed(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

async fn relay(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    ended: &AtomicBool,
) -> io::Result<()> {
    let mut mode = shared.mode.subscribe();
    let mut left: Option<u64> = None;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let now = *mode.borrow_and_update();
        match now {
            Mode::Pass => left = None,
            Mode::Refuse => return Ok(()),
            Mode::Hang => {
                let _ = mode.changed().await;
                continue;
            }
            Mode::Cut(most) => {
                left.get_or_insert_with(|| shared.budget(most));
            }
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read?,
            _ = mode.changed() => continue,
        };
        if read == 0 {
            return Ok(());
        }
        match &mut left {
            Some(left) if *left < read as u64 => {
                let part = usize::try_from(*left).unwrap_or(read);
                to.write_all(&buffer[..part]).await?;
                if !ended.swap(true, SeqCst) {
                    shared.cuts.fetch_add(1, SeqCst);
                }
                return Ok(());
            }
            Some(left) => *left -= read as u64,
            None => {}
        }
        to.write_all(&buffer[..read]).await?;
    }
}

impl Shared {
    /// Small and large budgets alike: handshakes are cut as well as result sets.
    fn budget(&self, most: u64) -> u64 {
        let mut rng = self.rng.lock().expect("the random numbers");
        let most = most.max(2048) as f64;
        (1024.0 * (most / 1024.0).powf(rng.f64())) as u64
    }
}
