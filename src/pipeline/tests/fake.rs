//! A target for the pipeline's tests, with a vocabulary of faults. Values are version numbers, so that the fake sees at
//! once when a key goes back in time.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Runtime;

use super::super::*;
use crate::error::{Error, Kind};

/// Shares of batches, 0 to 1.
#[derive(Clone, Default)]
pub struct Faults {
    pub not_written: f64,
    pub partial: f64,
    pub unknown_applied: f64,
    pub unknown_lost: f64,
    pub unknown_late: f64,
    pub late_by: Duration,
    pub reject: Option<&'static str>,
    /// Keys that begin so always come back.
    pub starve: Option<&'static str>,
    /// Batches are answered only while this is false.
    pub hold: bool,
    pub latency: Duration,
    pub fatal_after: Option<usize>,
}

#[derive(Default)]
pub struct Fake {
    pub state: Mutex<FakeState>,
    /// Highest use of the budget seen from here.
    pub control: Mutex<Option<Control>>,
    pub most_items: AtomicUsize,
    pub most_bytes: AtomicUsize,
}

#[derive(Default)]
pub struct FakeState {
    pub faults: Faults,
    pub rng: fastrand::Rng,
    /// By key: the version of the last write, and whether there is an item.
    pub items: BTreeMap<String, (u64, bool)>,
    pub under_way: HashSet<String>,
    pub batches: Vec<Vec<String>>,
    pub trouble: Vec<String>,
}

impl Fake {
    pub fn new(seed: u64, faults: Faults) -> Arc<Self> {
        let fake = Self::default();
        {
            let mut state = fake.state.lock().unwrap();
            state.rng = fastrand::Rng::with_seed(seed);
            state.faults = faults;
        }
        Arc::new(fake)
    }

    pub fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state.lock().unwrap().faults);
    }

    pub fn measure(&self) {
        if let Some(control) = &*self.control.lock().unwrap() {
            let gauges = control.gauges();
            self.most_items.fetch_max(gauges.items, SeqCst);
            self.most_bytes.fetch_max(gauges.bytes, SeqCst);
        }
    }

    pub fn version(&self, key: &str) -> Option<u64> {
        let state = self.state.lock().unwrap();
        state.items.get(key).map(|(version, _)| *version)
    }

    pub fn check(&self) {
        let state = self.state.lock().unwrap();
        assert!(state.trouble.is_empty(), "{:?}", state.trouble.first());
    }
}

impl FakeState {
    fn apply(&mut self, writes: &[(String, u64, bool)]) {
        for (key, version, exists) in writes {
            let before = self.items.insert(key.clone(), (*version, *exists));
            if let Some((before, _)) = before
                && before > *version
            {
                let text = format!("{key} went back from version {before} to {version}");
                self.trouble.push(text);
            }
        }
    }
}

pub struct Under<'a>(&'a Fake, Vec<String>);

impl Drop for Under<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap();
        for key in &self.1 {
            state.under_way.remove(key);
        }
    }
}

/// The writer of the pipeline: shares the fake, so that late requests can outlive a call.
pub struct FakeWriter(Arc<Fake>);

impl Writer for FakeWriter {
    async fn write(&self, batch: &Batch) -> Result<Outcome, Error> {
        let fake = &self.0;
        fake.measure();
        let writes: Vec<_> = batch.writes.iter().map(parts).collect();
        let keys: Vec<String> = writes.iter().map(|w| w.0.clone()).collect();
        let (latency, fatal) = {
            let mut state = fake.state.lock().unwrap();
            for key in &keys {
                if !state.under_way.insert(key.clone()) {
                    state.trouble.push(format!("{key} is under way twice"));
                }
            }
            if keys.is_empty() || keys.len() > MAX_REQUEST_ITEMS {
                state.trouble.push(format!("a batch of {}", keys.len()));
            }
            state.batches.push(keys.clone());
            let count = state.batches.len();
            let latency = state.faults.latency.mul_f64(state.rng.f64());
            (
                latency,
                state.faults.fatal_after.is_some_and(|after| count > after),
            )
        };
        let _under = Under(fake, keys);
        tokio::time::sleep(latency).await;
        while fake.state.lock().unwrap().faults.hold {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if fatal {
            return Err(Error::new(Kind::TargetTable, "no such table"));
        }
        Ok(self.answer(batch, &writes))
    }
}

impl FakeWriter {
    fn answer(&self, batch: &Batch, writes: &[(String, u64, bool)]) -> Outcome {
        let mut state = self.0.state.lock().unwrap();
        let faults = state.faults.clone();
        let mut rest = state.rng.f64();
        let mut hit = |share: f64| {
            let is = rest < share;
            rest -= share;
            is
        };
        let trouble = Some(Error::new(Kind::TargetUnavailable, "a fault"));
        if hit(faults.not_written) {
            return Outcome::all(batch, &Fate::NotWritten, trouble);
        }
        if hit(faults.unknown_lost) {
            return Outcome::all(batch, &Fate::Unknown, trouble);
        }
        if hit(faults.unknown_applied) {
            state.apply(writes);
            return Outcome::all(batch, &Fate::Unknown, trouble);
        }
        if hit(faults.unknown_late) {
            let by = faults.late_by.mul_f64(state.rng.f64());
            let (fake, writes) = (Arc::clone(&self.0), writes.to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(by).await;
                fake.state.lock().unwrap().apply(&writes);
            });
            return Outcome::all(batch, &Fate::Unknown, trouble);
        }
        let partial = hit(faults.partial);
        let mut fates = Vec::new();
        for write in writes {
            if faults.reject.is_some_and(|bad| write.0.starts_with(bad)) {
                fates.push(Fate::Rejected("bad".into()));
            } else if faults.starve.is_some_and(|key| write.0.starts_with(key))
                || partial && state.rng.bool()
            {
                fates.push(Fate::NotWritten);
            } else {
                state.apply(std::slice::from_ref(write));
                fates.push(Fate::Written);
            }
        }
        Outcome {
            fates,
            trouble: None,
        }
    }
}

/// Key, version and whether it is a put.
pub fn parts(mutation: &Mutation) -> (String, u64, bool) {
    let key = String::from_utf8(mutation.key.0.to_vec()).unwrap();
    let exists = matches!(mutation.action, Action::Put { .. });
    (key, mutation.origin.source_key.parse().unwrap(), exists)
}

pub fn put(key: &str, version: u64, size: usize) -> Mutation {
    Mutation {
        target: TargetId(0),
        key: Key(Bytes::copy_from_slice(key.as_bytes())),
        origin: Origin {
            projection: ProjectionId(0),
            source_key: version.to_string().into(),
        },
        action: Action::Put {
            item: Bytes::from(vec![b'x'; size]),
            size,
        },
    }
}

pub fn delete(key: &str, version: u64) -> Mutation {
    Mutation {
        action: Action::Delete,
        ..put(key, version, 0)
    }
}

pub fn quick() -> Options {
    Options {
        lanes: 4,
        max_items: 500,
        max_bytes: 1 << 20,
        max_open_sequences: 100,
        backoff_base: Duration::from_micros(200),
        backoff_cap: Duration::from_millis(2),
        retry_for: Duration::from_secs(20),
        late_after: Duration::from_millis(30),
    }
}

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

pub fn begin<C: Send + 'static>(
    options: Options,
    fake: &Arc<Fake>,
    runtime: &Runtime,
) -> (Feed<C>, Progress<C>) {
    let writer = Arc::new(FakeWriter(Arc::clone(fake)));
    let (feed, progress) = start(options, writer, runtime.handle());
    *fake.control.lock().unwrap() = Some(progress.control());
    (feed, progress)
}

pub async fn collect<C: Send>(mut progress: Progress<C>) -> (Vec<C>, Vec<Rejection>) {
    let (mut completions, mut rejected) = (Vec::new(), Vec::new());
    while let Some(durable) = progress.next().await.unwrap() {
        rejected.extend(durable.rejected);
        completions.extend(durable.completions);
    }
    (completions, rejected)
}
