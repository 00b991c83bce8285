//! A process that commits to a store as fast as it can and tells what was acknowledged, until it is killed or its disk
//! loses power; and what the store must hold afterwards.
//!
//! What a commit changes follows from the seed and its number alone, so the number that a store was committed with tells
//! all of its content.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use penstock::checkpoint::{
    self, Checkpoint, DeadLetter, DeadLetterChange, Lineage, Loaded, TableProgress,
};
use penstock::position::Position;
use penstock::state::{Format, Options, Store};
use penstock::view::state::{Space, State};

const STORE: &str = "PENSTOCK_STORM_STORE";
const DIRECTORY: &str = "PENSTOCK_STORM_DIRECTORY";
const SEED: &str = "PENSTOCK_STORM_SEED";
const ACKNOWLEDGED: &str = "acknowledged ";

/// How far the writer of the join state may be ahead of the commits, in sequences.
const AHEAD: u64 = 60;
const SPACES: u16 = 3;
const KEYS: u32 = 20_000;
/// Every so many sequences one that does not fit into the overlay.
const LARGE: u64 = 150;
const LETTERS: u64 = 7;
const TABLES: usize = 3;

/// Which store is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    JoinState,
    Checkpoint,
}

/// A process that commits.
pub struct Storm {
    child: Child,
    acknowledged: Arc<AtomicU64>,
    last_words: Option<std::thread::JoinHandle<String>>,
}

impl Storm {
    /// Starts this test binary again, as a process that commits to the store in `directory`; `test` is the name of the test that calls
    /// [`commit_if_asked`].
    pub fn start(test: &str, which: Which, directory: &Path, seed: u64) -> Storm {
        let mut child = Command::new(std::env::current_exe().expect("this binary"))
            .args(["--exact", test, "--nocapture"])
            .env(STORE, format!("{which:?}"))
            .env(DIRECTORY, directory)
            .env(SEED, seed.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this binary runs again");
        let acknowledged = Arc::new(AtomicU64::new(0));
        let told = acknowledged.clone();
        let stderr = child.stderr.take().expect("a pipe");
        let last_words = std::thread::spawn(move || {
            let mut others = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                match line.strip_prefix(ACKNOWLEDGED).map(str::parse) {
                    Some(Ok(number)) => told.store(number, Ordering::Release),
                    _ => others += &(line + "\n"),
                }
            }
            others
        });
        Storm {
            child,
            acknowledged,
            last_words: Some(last_words),
        }
    }

    /// The last commit that was acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Waits until a commit beyond `number` has been acknowledged.
    pub fn beyond(&mut self, number: u64) {
        let begin = std::time::Instant::now();
        while self.acknowledged() <= number {
            let ended = self.child.try_wait().expect("the child");
            assert!(ended.is_none(), "it ended by itself, {ended:?}");
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "no commit in a minute"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills it with SIGKILL; returns the last commit that was acknowledged.
    pub fn kill(mut self) -> u64 {
        let ended = self.child.try_wait().expect("the child");
        let _ = self.child.kill();
        let _ = self.child.wait();
        let last_words = self.last_words.take().map(|reader| reader.join());
        let last_words = last_words.and_then(Result::ok).unwrap_or_default();
        assert!(ended.is_none(), "it ended by itself:\n{last_words}");
        self.acknowledged.load(Ordering::Acquire)
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        // Also where a test fails: nobody else would end it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's part: commits until it is killed; returns at once where this process is no such child.
pub fn commit_if_asked() {
    let Ok(which) = std::env::var(STORE) else {
        return;
    };
    let directory = std::env::var_os(DIRECTORY).expect("a directory");
    let directory = Path::new(&directory);
    let seed = std::env::var(SEED).expect("a seed");
    let seed = seed.parse().expect("a number");
    match which.as_str() {
        "JoinState" => commit_join_state(directory, seed),
        "Checkpoint" => commit_checkpoints(directory),
        other => panic!("{other}?"),
    }
}

fn acknowledge(number: u64) {
    let line = format!("{ACKNOWLEDGED}{number}\n");
    // Where nobody reads any more the parent is gone.
    if std::io::stderr().write_all(line.as_bytes()).is_err() {
        std::process::abort();
    }
}

type Key = (u16, Vec<u8>);
type Map = BTreeMap<Key, Vec<u8>>;

/// What a sequence changes, in order.
fn changes(seed: u64, sequence: u64) -> Vec<(Key, Option<Vec<u8>>)> {
    let mut rng = Rng::with_seed(seed ^ sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let count = match sequence % LARGE {
        0 => 2_000,
        _ => rng.usize(0..8),
    };
    (0..count)
        .map(|_| {
            let key = rng.u32(0..KEYS).to_be_bytes().to_vec();
            let value = (rng.u8(0..4) > 0).then(|| vec![rng.u8(..); rng.usize(0..200)]);
            ((rng.u16(0..SPACES), key), value)
        })
        .collect()
}

fn open_join_state(directory: &Path) -> penstock::error::Result<(Store, u64)> {
    let format = Format {
        plan_fingerprint: "storm".into(),
        spaces: SPACES,
    };
    let options = Options {
        overlay_bytes: 200_000,
        patience: Duration::ZERO,
        cache_bytes: 1 << 20,
    };
    let (store, found) = Store::open(directory, &format, &options)?;
    let number = found.map_or(0, |blob| {
        u64::from_be_bytes(blob.0.try_into().expect("a number as we wrote it"))
    });
    Ok((store, number))
}

fn commit_join_state(directory: &Path, seed: u64) {
    let (store, mut sequence) = open_join_state(directory).expect("the store opens");
    let mut writer = store.writer().expect("the writer");
    let (put, done) = (AtomicU64::new(sequence), AtomicU64::new(sequence));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut rng = Rng::new();
            let mut last = done.load(Ordering::Acquire);
            loop {
                let newest = put.load(Ordering::Acquire);
                if newest == last {
                    std::thread::yield_now();
                    continue;
                }
                last = rng.u64(last + 1..=newest);
                if let Err(error) = store.commit(last, &last.to_be_bytes()) {
                    // The other thread would wait for ever.
                    let _ = writeln!(std::io::stderr(), "commit {last}: {error}");
                    std::process::abort();
                }
                acknowledge(last);
                done.store(last, Ordering::Release);
            }
        });
        loop {
            sequence += 1;
            while sequence > done.load(Ordering::Acquire) + AHEAD {
                std::thread::yield_now();
            }
            writer.begin(sequence).expect("ascending");
            for ((space, key), value) in changes(seed, sequence) {
                match value {
                    Some(value) => writer.put(Space(space), &key, &value),
                    None => writer.delete(Space(space), &key),
                }
                .expect("a change");
            }
            put.store(sequence, Ordering::Release);
        }
    });
}

/// What the join state must hold, commit by commit.
pub struct Model {
    seed: u64,
    number: u64,
    map: Map,
}

impl Model {
    pub fn new(seed: u64) -> Model {
        Model {
            seed,
            number: 0,
            map: Map::new(),
        }
    }

    /// Opens the join state in `directory`: it must hold `acknowledged` or a later commit, and that one exactly. Returns which.
    pub fn check(&mut self, directory: &Path, acknowledged: u64) -> u64 {
        let (store, number) = open_join_state(directory)
            .unwrap_or_else(|error| panic!("commit {acknowledged} was acknowledged: {error}"));
        assert!(
            number >= acknowledged,
            "commit {acknowledged} was acknowledged, it holds {number}"
        );
        assert!(number >= self.number, "an earlier look found more");
        while self.number < number {
            self.number += 1;
            for (key, value) in changes(self.seed, self.number) {
                match value {
                    Some(value) => self.map.insert(key, value),
                    None => self.map.remove(&key),
                };
            }
        }
        let mut found = Map::new();
        let mut writer = store.writer().expect("the writer");
        for space in 0..SPACES {
            writer
                .page(
                    Space(space),
                    b"",
                    None,
                    usize::MAX - 1,
                    &mut |key, value| {
                        found.insert((space, key.to_vec()), value.to_vec());
                    },
                )
                .expect("a page");
        }
        let differs = self
            .map
            .iter()
            .find(|(key, value)| found.get(*key) != Some(value))
            .map(|(key, _)| key.clone());
        assert_eq!(differs, None, "it holds {number}, but not this key of it");
        assert_eq!(found.len(), self.map.len(), "it holds {number} and more");
        number
    }
}

fn letter_change(number: u64) -> [DeadLetterChange; 2] {
    let letter = DeadLetter {
        projection: "storm".into(),
        source_key: format!("key {}", number % LETTERS),
        target: "Storm".into(),
        reason: "because".repeat(20),
        first_seen_unix_ms: number,
        last_seen_unix_ms: number,
        count: 1,
        position: number.to_string(),
    };
    let cleared = DeadLetterChange::Clear {
        projection: "storm".into(),
        source_key: format!("key {}", (number + 3) % LETTERS),
    };
    [DeadLetterChange::Put(letter), cleared]
}

fn storm_checkpoint(number: u64) -> Checkpoint {
    let position = Position {
        gtids: format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-{}", number + 1)
            .parse()
            .expect("a GTID set"),
        file: "binlog.000001".into(),
        offset: number,
    };
    let lineage = Lineage {
        server_uuid: "3e11fa47-71ca-11e1-9e33-c80aa9429562".into(),
    };
    let mut checkpoint = Checkpoint::new(position, lineage, "storm");
    checkpoint.saved_at_unix_ms = number;
    for table in 0..TABLES {
        let mut table = TableProgress::pending("storm", format!("t{table}"));
        table.rows = number;
        table.next = Some(vec![number.to_string()]);
        checkpoint.snapshot.push(table);
    }
    checkpoint
}

fn commit_checkpoints(directory: &Path) {
    let (store, _) = checkpoint::Store::open(directory).expect("the store opens");
    let mut number = match store.load() {
        Loaded::None => 0,
        Loaded::Found(found) => found.position.offset,
    };
    loop {
        number += 1;
        store
            .commit(&storm_checkpoint(number), &letter_change(number))
            .expect("a commit");
        acknowledge(number);
    }
}

/// Opens the checkpoint store in `directory`: it must open as it is, without its mirror, and hold `acknowledged` or a
/// later commit, whole. Returns which.
pub fn check_checkpoints(directory: &Path, acknowledged: u64) -> u64 {
    let (store, report) = checkpoint::Store::open(directory)
        .unwrap_or_else(|error| panic!("commit {acknowledged} was acknowledged: {error}"));
    assert_eq!(report.rebuilt, None, "{acknowledged} was acknowledged");
    let Loaded::Found(found) = store.load() else {
        assert_eq!(acknowledged, 0, "it is empty");
        return 0;
    };
    let number = found.position.offset;
    assert!(
        number >= acknowledged,
        "commit {acknowledged} was acknowledged, it holds {number}"
    );
    assert_eq!(*found, storm_checkpoint(number));
    let mut expected = BTreeMap::new();
    for earlier in number.saturating_sub(2 * LETTERS).max(1)..=number {
        for change in letter_change(earlier) {
            match change {
                DeadLetterChange::Put(letter) => {
                    expected.insert(letter.source_key, letter.position)
                }
                DeadLetterChange::Clear { source_key, .. } => expected.remove(&source_key),
            };
        }
    }
    let page = store.dead_letters(None, 100).expect("the letters");
    let letters = page.letters.into_iter();
    let letters: BTreeMap<_, _> = letters.map(|l| (l.source_key, l.position)).collect();
    assert_eq!(letters, expected, "the letters of {number}");
    number
}
