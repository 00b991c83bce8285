//! The store against a model of it: random changes, commits, spills, restarts.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::error::Kind;
use crate::view::state::{KeySet, Space, State};

type Map = BTreeMap<(u16, Vec<u8>), Vec<u8>>;
type Change = ((u16, Vec<u8>), Option<Vec<u8>>);

const SPACES: u16 = 3;

fn format(plan: &str) -> Format {
    Format {
        plan_fingerprint: plan.to_string(),
        spaces: SPACES,
    }
}

fn open(dir: &Path, overlay_bytes: usize) -> (Store, Option<Checkpointed>) {
    let options = Options {
        overlay_bytes,
        patience: std::time::Duration::ZERO,
        cache_bytes: 1 << 20,
    };
    Store::open(dir, &format("plan"), &options).expect("the store opens")
}

/// What the store should hold.
#[derive(Default)]
struct Model {
    committed: Map,
    now: Map,
    /// The changes that are not committed, in order.
    pending: Vec<(u64, Change)>,
}

impl Model {
    fn change(&mut self, sequence: u64, change: Change) {
        apply(&mut self.now, change.clone());
        self.pending.push((sequence, change));
    }

    fn commit(&mut self, through: u64) {
        let (done, rest) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|(sequence, _)| *sequence <= through);
        self.pending = rest;
        let done: Vec<(u64, Change)> = done;
        for (_, change) in done {
            apply(&mut self.committed, change);
        }
    }

    fn restart(&mut self) {
        self.now = self.committed.clone();
        self.pending.clear();
    }
}

fn apply(map: &mut Map, (key, value): Change) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

fn everything(writer: &mut Writer, limit: usize) -> Map {
    let mut map = Map::new();
    for space in 0..SPACES {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let mut last = None;
            let more = writer
                .page(
                    Space(space),
                    b"",
                    after.as_deref(),
                    limit,
                    &mut |key, value| {
                        assert!(last.as_deref() < Some(key), "in order");
                        assert!(after.as_deref() < Some(key), "behind the start");
                        last = Some(key.to_vec());
                        map.insert((space, key.to_vec()), value.to_vec());
                    },
                )
                .expect("a page");
            if !more {
                break;
            }
            after = last;
        }
    }
    map
}

fn seed() -> u64 {
    let seed = std::env::var("PENSTOCK_SEED").ok();
    let seed = seed.and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("PENSTOCK_SEED={seed}");
    seed
}

fn random_key(random: &mut fastrand::Rng) -> (u16, Vec<u8>) {
    let mut key = format!("{:02}", random.u8(0..60)).into_bytes();
    if random.bool() {
        key.extend([random.u8(..), random.u8(0..2)]);
    }
    if random.u8(0..30) == 0 {
        key.clear();
    }
    (random.u16(0..SPACES), key)
}

fn random_life(random: &mut fastrand::Rng, overlay_bytes: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut model = Model::default();
    let mut blob = None;
    let mut sequence = 0;
    for _ in 0..4 {
        let (store, found) = open(dir.path(), overlay_bytes);
        assert_eq!(found.map(|c| c.0), blob);
        let mut writer = store.writer().expect("the writer");
        assert_eq!(everything(&mut writer, 7), model.now);
        for _ in 0..random.usize(1..400) {
            sequence += random.u64(1..3);
            writer.begin(sequence).expect("ascending");
            for _ in 0..random.usize(0..12) {
                let (space, key) = random_key(random);
                let value = (random.u8(0..4) > 0).then(|| vec![random.u8(..); random.usize(0..40)]);
                match &value {
                    Some(value) => writer.put(Space(space), &key, value),
                    None => writer.delete(Space(space), &key),
                }
                .expect("a change");
                model.change(sequence, ((space, key), value));
            }
            let (space, key) = random_key(random);
            let mut value = b"left over".to_vec();
            let found = writer
                .get(Space(space), &key, &mut value)
                .expect("a read")
                .then_some(&value);
            assert_eq!(found, model.now.get(&(space, key)));
            if random.u8(0..10) == 0 {
                let through = sequence - random.u64(0..=20.min(sequence));
                blob = Some(through.to_string().into_bytes());
                store
                    .commit(through, blob.as_deref().expect("just set"))
                    .expect("a commit");
                model.commit(through);
                if through == sequence {
                    writer.put(Space(0), b"", b"").expect_err("closed");
                }
            }
            if random.u8(0..20) == 0 {
                assert_eq!(everything(&mut writer, random.usize(1..200)), model.now);
            }
        }
        assert_eq!(everything(&mut writer, 50), model.now);
        model.restart();
    }
}

#[test]
fn it_is_what_the_model_says() {
    let mut random = fastrand::Rng::with_seed(seed());
    for overlay_bytes in [0, 4_000, 40_000, 1 << 30] {
        random_life(&mut random, overlay_bytes);
    }
}

#[test]
fn a_commit_keeps_what_is_newer_in_memory() {
    let dir = tempfile::tempdir().expect("a directory");
    for overlay_bytes in [1 << 20, 0] {
        Store::wipe(dir.path()).expect("wiped");
        let (store, found) = open(dir.path(), overlay_bytes);
        assert_eq!(found, None);
        let mut writer = store.writer().expect("the writer");
        let mut value = Vec::new();
        for sequence in 0..3_u8 {
            writer.begin(u64::from(sequence)).expect("ascending");
            writer.put(Space(0), b"k", &[sequence]).expect("a put");
        }
        store.commit(1, b"one").expect("a commit");
        assert!(writer.get(Space(0), b"k", &mut value).expect("a read"));
        assert_eq!(value, [2]);
        assert!(store.writer().is_err(), "one writer at a time");
        drop((writer, store));
        let (store, found) = open(dir.path(), overlay_bytes);
        assert_eq!(found, Some(Checkpointed(b"one".to_vec())));
        let mut writer = store.writer().expect("the writer");
        assert!(writer.get(Space(0), b"k", &mut value).expect("a read"));
        assert_eq!(value, [1]);
    }
}

#[test]
fn another_plan_and_a_second_process_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options::default();
    let (store, _) = open(dir.path(), 1 << 20);
    let held = Store::open(dir.path(), &format("plan"), &options).expect_err("held");
    assert_eq!(held.kind(), Kind::Store);
    assert!(held.remedy().contains("another penstock"), "{held:?}");
    drop(store);
    let other = Store::open(dir.path(), &format("other"), &options).expect_err("another plan");
    assert_eq!(other.kind(), Kind::PlanDiffers);
    assert!(other.remedy().contains("run --resnapshot"));
    let more = Format {
        spaces: SPACES + 1,
        ..format("plan")
    };
    let more = Store::open(dir.path(), &more, &options).expect_err("another number of spaces");
    assert_eq!(more.kind(), Kind::PlanDiffers);
    open(dir.path(), 1 << 20);
}

#[test]
fn what_cannot_be_read_is_an_error_and_can_be_wiped() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().join("state");
    let (store, _) = open(&dir, 1 << 20);
    let mut writer = store.writer().expect("the writer");
    writer.begin(1).expect("ascending");
    writer.put(Space(0), b"k", b"v").expect("a put");
    store.commit(1, b"one").expect("a commit");
    drop((writer, store));
    let options = Options::default();
    for broken in ["base/version", "base/keyspaces/0/current"] {
        let file = dir.join(broken);
        let before = std::fs::read(&file).expect("a file of the store");
        std::fs::write(&file, b"nonsense").expect("written");
        let error = Store::open(&dir, &format("plan"), &options).expect_err("unreadable");
        assert_eq!(error.kind(), Kind::Store, "{broken}");
        assert!(error.remedy().contains("--resnapshot"), "{error:?}");
        std::fs::write(&file, before).expect("written");
        open(&dir, 1 << 20);
    }
    Store::wipe(&dir).expect("wiped");
    assert_eq!(open(&dir, 1 << 20).1, None);
}

#[test]
fn a_large_set_goes_to_the_disk_and_says_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = open(dir.path(), 1 << 20);
    let mut random = fastrand::Rng::with_seed(seed());
    let mut set = store.key_set(2_000);
    for round in 0..3 {
        let mut model = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let (_, key) = random_key(&mut random);
            assert_eq!(set.insert(&key).expect("an insert"), model.insert(key));
        }
        assert!(set.is_on_disk());
        assert_eq!(set.len(), model.len() as u64);
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let limit = random.usize(1..90);
            let mut page = Vec::new();
            let more = set
                .page(after.as_deref(), limit, &mut |key| page.push(key.to_vec()))
                .expect("a page");
            after = page.last().cloned().or(after);
            assert!(page.len() <= limit);
            found.extend(page);
            if !more {
                break;
            }
        }
        assert_eq!(found, Vec::from_iter(model), "round {round}");
        set.clear().expect("cleared");
        assert!(set.is_empty() && !set.is_on_disk());
    }
    let left = std::fs::read_dir(dir.path().join("scratch")).expect("the scratch");
    assert_eq!(left.count(), 0, "nothing is left on disk");
}

/// Sets it at the end.
struct Written<'a>(&'a std::sync::atomic::AtomicU64, u64);

impl Drop for Written<'_> {
    fn drop(&mut self) {
        self.0.store(self.1, std::sync::atomic::Ordering::Release);
    }
}

#[test]
fn a_commit_that_makes_room_is_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options {
        overlay_bytes: 20_000,
        patience: std::time::Duration::from_secs(60),
        cache_bytes: 1 << 20,
    };
    let (store, _) = Store::open(dir.path(), &format("plan"), &options).expect("the store opens");
    let mut writer = store.writer().expect("the writer");
    let ended = std::sync::atomic::AtomicBool::new(false);
    let begun = std::sync::atomic::AtomicU64::new(1);
    let last = 2_000_u64;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(std::sync::atomic::Ordering::Acquire) {
                let through = begun.load(std::sync::atomic::Ordering::Acquire) - 1;
                store.commit(through, b"").expect("a commit");
            }
        });
        for sequence in 1..=last {
            writer.begin(sequence).expect("ascending");
            begun.store(sequence, std::sync::atomic::Ordering::Release);
            for _ in 0..10 {
                let key = fastrand::u64(..).to_be_bytes();
                writer.put(Space(0), &key, b"value").expect("a put");
            }
        }
        ended.store(true, std::sync::atomic::Ordering::Release);
    });
    assert_eq!(store.figures().spilled_entries, 0);
    store.commit(last, b"all").expect("a commit");
    // A sequence that is too large by itself has nobody to wait for.
    writer.begin(last + 1).expect("ascending");
    for n in 0..1_000_u64 {
        let put = writer.put(Space(1), &n.to_be_bytes(), b"value");
        put.expect("a put");
    }
    assert!(store.figures().spilled_entries > 0);
}

#[test]
fn commits_run_beside_the_writer() {
    let dir = tempfile::tempdir().expect("a directory");
    for overlay_bytes in [20_000, 1 << 30] {
        Store::wipe(dir.path()).expect("wiped");
        let (store, _) = open(dir.path(), overlay_bytes);
        let mut writer = store.writer().expect("the writer");
        let written = std::sync::atomic::AtomicU64::new(0);
        let mut model = Map::new();
        let last = 3_000;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut committed = 0;
                while committed < last {
                    let through = written.load(std::sync::atomic::Ordering::Acquire);
                    store
                        .commit(through, &through.to_be_bytes())
                        .expect("a commit");
                    committed = through;
                }
            });
            // However the writer ends, the commits end too.
            let _end = Written(&written, last);
            let mut random = fastrand::Rng::with_seed(seed());
            let mut value = Vec::new();
            for sequence in 1..=last {
                writer.begin(sequence).expect("ascending");
                for _ in 0..10 {
                    let (space, key) = random_key(&mut random);
                    let found = writer.get(Space(space), &key, &mut value).expect("a read");
                    let before = model.get(&(space, key.clone()));
                    assert_eq!(found.then_some(&value), before);
                    if random.u8(0..4) > 0 {
                        let new = sequence.to_be_bytes().to_vec();
                        writer.put(Space(space), &key, &new).expect("a put");
                        model.insert((space, key), new);
                    } else {
                        writer.delete(Space(space), &key).expect("a delete");
                        model.remove(&(space, key));
                    }
                }
                if sequence % 100 == 0 {
                    assert_eq!(everything(&mut writer, 33), model);
                }
                written.store(sequence, std::sync::atomic::Ordering::Release);
            }
        });
        let figures = store.figures();
        assert_eq!(figures.overlay_entries, 0);
        assert_eq!(figures.spilled_entries > 0, overlay_bytes < 1 << 30);
        drop((writer, store));
        let (store, found) = open(dir.path(), overlay_bytes);
        assert_eq!(found, Some(Checkpointed(last.to_be_bytes().to_vec())));
        assert_eq!(
            everything(&mut store.writer().expect("the writer"), 1_000),
            model
        );
    }
}

/// Flips bits in every table file below `dir`, anywhere.
fn damage_tables(dir: &Path, random: &mut fastrand::Rng) -> usize {
    let mut damaged = 0;
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            damaged += damage_tables(&path, random);
        } else if dir.ends_with("tables") {
            let mut bytes = std::fs::read(&path).expect("a table");
            for _ in 0..3 {
                let at = random.usize(0..bytes.len());
                bytes[at] ^= 1 << random.u8(0..8);
            }
            std::fs::write(&path, bytes).expect("written");
            damaged += 1;
        }
    }
    damaged
}

#[test]
fn damaged_tables_give_errors_and_no_wrong_values() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = fastrand::Rng::with_seed(seed());
    let (store, _) = open(dir.path(), 1 << 20);
    let mut writer = store.writer().expect("the writer");
    // More than fits into the memory of the database: it writes tables.
    let value_of = |number: u32| {
        let mut random = fastrand::Rng::with_seed(u64::from(number));
        (0..1_000).map(|_| random.u8(..)).collect::<Vec<_>>()
    };
    let count = 24_000_u32;
    for number in 0..count {
        if number % 1_000 == 0 {
            writer.begin(u64::from(number)).expect("ascending");
        }
        writer
            .put(Space(0), &number.to_be_bytes(), &value_of(number))
            .expect("a put");
        if number % 1_000 == 999 {
            store.commit(u64::from(number), b"done").expect("a commit");
        }
    }
    drop((writer, store));
    assert!(damage_tables(&dir.path().join("base"), &mut random) > 0);
    let options = Options::default();
    let (store, _) = match Store::open(dir.path(), &format("plan"), &options) {
        Ok(opened) => opened,
        Err(error) => {
            assert_eq!(error.kind(), Kind::Store);
            println!("it does not open: {error}");
            return;
        }
    };
    let mut writer = store.writer().expect("the writer");
    let (mut errors, mut value) = (0, Vec::new());
    for number in 0..count {
        match writer.get(Space(0), &number.to_be_bytes(), &mut value) {
            Ok(found) => assert!(found && value == value_of(number), "{number}"),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Store);
                errors += 1;
            }
        }
    }
    println!("{errors} of {count} cannot be read");
    assert!(errors > 0, "nobody noticed");
}

/// A process that is killed right behind a commit leaves no promise of what it committed: what another row has under the
/// promised key by then would be deleted.
#[test]
fn a_promise_ends_in_the_moment_of_its_commit() {
    // In memory, and by the scratch.
    for overlay_bytes in [1 << 20, 64] {
        let dir = tempfile::tempdir().expect("a directory");
        let (store, _) = open(dir.path(), overlay_bytes);
        let mut writer = store.writer().expect("the writer");
        writer.begin(1).expect("ascending");
        for key in 0..100_u8 {
            writer.put(Space(0), &[key], b"value").expect("a put");
        }
        for sequence in [1, 9] {
            let promises = [sequence.to_string().into_bytes()];
            store
                .promise(sequence, 0, &promises)
                .expect("durable promises");
        }
        store.commit(1, b"checkpoint").expect("a commit");
        // As a kill leaves it: without what the process has not given to the system.
        let left = tempfile::tempdir().expect("a directory");
        copy(dir.path(), left.path());
        let (left, _) = open(left.path(), overlay_bytes);
        let promises = left.take_over_promises().expect("the promises");
        assert_eq!(promises, [b"9".to_vec()], "{overlay_bytes}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("the directory") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        match entry.file_type().expect("its type").is_dir() {
            true => copy(&entry.path(), &to),
            false => _ = std::fs::copy(entry.path(), to).expect("a copy"),
        }
    }
}
