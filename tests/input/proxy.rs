//! A TCP proxy that looks into MySQL's packets and damages them, and a server that says what it is told to.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What happens to a packet of the server.
pub enum Act {
    Pass,
    /// This payload goes on instead.
    Replace(Vec<u8>),
    /// So many of the packet's bytes go on, then the connection ends.
    Cut(usize),
}

/// Decides about each packet of the server; the flag says whether it belongs to a binlog stream.
pub type Damage = Box<dyn FnMut(&[u8], bool) -> Act + Send>;

/// A proxy on a port of 127.0.0.1; it refuses connections once it is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    to: AtomicU16,
    ended: AtomicBool,
    damage: Mutex<Option<Damage>>,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// To this port, looking at every packet: the connections must not be encrypted.
    pub fn mysql(to: u16) -> Proxy {
        Self::start(to, true)
    }

    /// To this port, whatever is spoken.
    pub fn plain(to: u16) -> Proxy {
        Self::start(to, false)
    }

    fn start(to: u16, packets: bool) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared {
            to: AtomicU16::new(to),
            ended: AtomicBool::new(false),
            damage: Mutex::new(None),
            open: Mutex::new(Vec::new()),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if serving.ended.load(Ordering::SeqCst) {
                    return;
                }
                // Where the other side refuses, the client's connection ends at once.
                let _ = serve(client, &serving, packets);
            }
        });
        Proxy { port, shared }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on; connections that are open are damaged too.
    pub fn damage(&self, damage: impl FnMut(&[u8], bool) -> Act + Send + 'static) {
        *lock(&self.shared.damage) = Some(Box::new(damage));
    }

    pub fn heal(&self) {
        *lock(&self.shared.damage) = None;
    }

    /// Ends every connection; new ones lead to this port.
    pub fn redirect(&self, to: u16) {
        self.shared.to.store(to, Ordering::SeqCst);
        self.cut();
    }

    /// Ends every connection.
    pub fn cut(&self) {
        for socket in lock(&self.shared.open).drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        self.cut();
    }
}

fn serve(client: TcpStream, shared: &Arc<Shared>, packets: bool) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", shared.to.load(Ordering::SeqCst)))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    lock(&shared.open).extend([client.try_clone()?, server.try_clone()?]);
    let dumps = Arc::new(AtomicBool::new(false));
    let (from, to, sees) = (client.try_clone()?, server.try_clone()?, Arc::clone(&dumps));
    std::thread::spawn(move || {
        // A connection that ends is what these tests are about.
        let _ = if packets {
            requests(&from, &to, &sees)
        } else {
            copy(&from, &to)
        };
        let _ = to.shutdown(Shutdown::Both);
    });
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let _ = if packets {
            answers(&server, &client, &dumps, &shared)
        } else {
            copy(&server, &client)
        };
        let _ = client.shutdown(Shutdown::Both);
    });
    Ok(())
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) -> io::Result<()> {
    io::copy(&mut from, &mut to).map(drop)
}

/// The client's packets, as they are; COM_BINLOG_DUMP_GTID tells what the connection is.
fn requests(from: &TcpStream, mut to: &TcpStream, dumps: &AtomicBool) -> io::Result<()> {
    loop {
        let (header, payload) = packet(from)?;
        if header[3] == 0 && payload.first() == Some(&0x1E) {
            dumps.store(true, Ordering::SeqCst);
        }
        to.write_all(&[&header[..], &payload].concat())?;
    }
}

fn answers(
    from: &TcpStream,
    mut to: &TcpStream,
    dumps: &AtomicBool,
    shared: &Shared,
) -> io::Result<()> {
    loop {
        let (header, payload) = packet(from)?;
        let act = match &mut *lock(&shared.damage) {
            Some(damage) => damage(&payload, dumps.load(Ordering::SeqCst)),
            None => Act::Pass,
        };
        let whole = match act {
            Act::Pass => [&header[..], &payload].concat(),
            Act::Replace(payload) => {
                let length = u32::try_from(payload.len()).expect("a short packet");
                let [a, b, c, _] = length.to_le_bytes();
                [&[a, b, c, header[3]][..], &payload].concat()
            }
            Act::Cut(bytes) => {
                let whole = [&header[..], &payload].concat();
                to.write_all(&whole[..bytes.min(whole.len())])?;
                return Ok(());
            }
        };
        to.write_all(&whole)?;
    }
}

fn packet(mut from: &TcpStream) -> io::Result<([u8; 4], Vec<u8>)> {
    let mut header = [0; 4];
    from.read_exact(&mut header)?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let mut payload = vec![0; length as usize];
    from.read_exact(&mut payload)?;
    Ok((header, payload))
}

/// A server that says `says` to everybody who connects, and then is silent or ends.
pub struct Speaker {
    pub port: u16,
}

impl Speaker {
    pub fn start(says: Vec<u8>, hangs_up: bool) -> Speaker {
        Self::serve(move |mut client| {
            let _ = client.write_all(&says);
            if !hangs_up {
                let _ = io::copy(&mut client, &mut io::sink());
            }
        })
    }

    /// An HTTP server with one answer to every request.
    pub fn http(status: &str, content_type: &str, body: &str) -> Speaker {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        Self::serve(move |client| {
            // The whole request first: unread bytes at the end of a connection reset it.
            let _ = request(&client);
            let _ = (&client).write_all(answer.as_bytes());
        })
    }

    fn serve(talk: impl Fn(TcpStream) + Send + Sync + 'static) -> Speaker {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let talk = Arc::new(talk);
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let talk = Arc::clone(&talk);
                std::thread::spawn(move || talk(client));
            }
        });
        Speaker { port }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn request(mut client: &TcpStream) -> io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    io::copy(&mut client.take(length.unwrap_or(0)), &mut io::sink()).map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
