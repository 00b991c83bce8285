//! An in-memory stand-in for DynamoDB that throttles, answers partially, loses answers, applies late and breaks down.
//!
//! It speaks enough of the JSON protocol for our writers and readers, on loopback. Faults are drawn from a seed and may
//! be changed while it runs. It records what it saw, so that a test can ask whether two requests for one key
//! ever overlapped and in which order a key was written. In the fast mode it counts and forgets.
#![allow(dead_code)]

mod faults;
mod server;
mod store;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use serde_json::Value;

pub use faults::Faults;
pub use store::{Recorded, Seen};

/// A running stub; stops when dropped.
pub struct Stub {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Counts writes instead of storing them.
    fast: bool,
    state: Mutex<State>,
}

struct State {
    faults: Faults,
    rng: fastrand::Rng,
    store: store::Store,
    ids: Ids,
}

/// The `id`s (numbers) of the items that were put in the fast mode, one bit each.
#[derive(Default)]
struct Ids {
    seen: Vec<u64>,
    distinct: u64,
}

impl Ids {
    /// Notes every id in a request's body.
    fn note(&mut self, body: &[u8]) {
        const START: &[u8] = br#""id":{"N":""#;
        let mut rest = body;
        while let Some(quote) = rest.iter().position(|&b| b == b'"') {
            rest = &rest[quote..];
            let Some(number) = rest.strip_prefix(START) else {
                rest = &rest[1..];
                continue;
            };
            let digits = number.iter().take_while(|b| b.is_ascii_digit());
            let id = digits.fold(0, |id, b| id * 10 + usize::from(b - b'0'));
            rest = number;
            if self.seen.len() <= id / 64 {
                self.seen.resize(id / 64 + 1, 0);
            }
            let bit = 1 << (id % 64);
            self.distinct += u64::from(self.seen[id / 64] & bit == 0);
            self.seen[id / 64] |= bit;
        }
    }
}

impl Stub {
    /// Starts on a free port, on a thread of its own.
    pub fn start(faults: Faults) -> Self {
        Self::start_with(faults, false)
    }

    /// Starts one that counts items and forgets them.
    pub fn start_fast(faults: Faults) -> Self {
        Self::start_with(faults, true)
    }

    fn start_with(faults: Faults, fast: bool) -> Self {
        let shared = Arc::new(Shared {
            fast,
            state: Mutex::new(State {
                rng: fastrand::Rng::with_seed(faults.seed),
                faults,
                store: store::Store::default(),
                ids: Ids::default(),
            }),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        listener.set_nonblocking(true).expect("nonblocking");
        let address = listener.local_addr().expect("address");
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("runtime");
            runtime.block_on(server::serve(listener, serving, stopped));
        });
        Self {
            shared,
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on; the random numbers go on where they were.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.lock().faults = faults;
    }

    /// Creates a table without a request: `keys` are names and types, `("PK", "S")`.
    pub fn create_table(&self, name: &str, keys: &[(&str, &str)]) {
        self.shared.lock().store.create_simple(name, keys);
    }

    /// All items of a table by canonical key.
    pub fn items(&self, table: &str) -> std::collections::BTreeMap<String, Value> {
        self.shared.lock().store.items(table)
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.shared.lock().store.seen.clone()
    }

    /// How many different `id`s were put in the fast mode.
    pub fn distinct_ids(&self) -> u64 {
        self.shared.lock().ids.distinct
    }

    /// The writes of one key that were applied, in order; `key` in canonical form.
    pub fn history(&self, table: &str, key: &str) -> Vec<Recorded> {
        self.shared.lock().store.history(table, key)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
