use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;

fn checkpoint(n: u64) -> Checkpoint {
    let position = Position {
        gtids: format!("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-{}", n + 1)
            .parse()
            .unwrap(),
        file: "binlog.000001".into(),
        offset: n,
    };
    let lineage = Lineage {
        server_uuid: "3e11fa47-71ca-11e1-9e33-c80aa9429562".into(),
    };
    Checkpoint::new(position, lineage, "abc")
}

fn with_tables(n: u64, tables: usize) -> Checkpoint {
    let mut checkpoint = checkpoint(n);
    for t in 0..tables {
        let mut table = TableProgress::pending("shop", format!("t{t}"));
        table.state = TableState::Copying;
        table.rows = n;
        table.next = Some(vec![n.to_string(), "'it''s'".into()]);
        table.open.push(Range {
            after: None,
            upto: Some(vec!["7".into()]),
        });
        checkpoint.snapshot.push(table);
    }
    checkpoint
}

fn letter(projection: &str, key: &str) -> DeadLetter {
    DeadLetter {
        projection: projection.into(),
        source_key: key.into(),
        target: "Shop".into(),
        reason: "the key is empty".into(),
        first_seen_unix_ms: 10,
        last_seen_unix_ms: 10,
        count: 1,
        position: String::new(),
    }
}

fn clear(projection: &str, key: &str) -> DeadLetterChange {
    DeadLetterChange::Clear {
        projection: projection.into(),
        source_key: key.into(),
    }
}

fn open(dir: &TempDir) -> (Store, OpenReport) {
    Store::open(dir.path()).unwrap()
}

/// Opens what must be whole.
fn reopen(dir: &TempDir) -> Store {
    let (store, report) = open(dir);
    assert_eq!(report, OpenReport::default());
    store
}

fn found(store: &Store) -> Checkpoint {
    match store.load() {
        Loaded::Found(checkpoint) => *checkpoint,
        Loaded::None => panic!("no checkpoint"),
    }
}

/// Overwrites the middle of sled's file.
fn damage(dir: &Path) {
    let db = dir.join("sled/db");
    let length = fs::metadata(&db).unwrap().len() as usize;
    fs::write(&db, vec![0xa5; length.max(4096)]).unwrap();
}

#[test]
fn none_then_found_then_none_after_a_reset() {
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(&dir);
    assert_eq!(store.load(), Loaded::None);
    store
        .commit(
            &with_tables(5, 3),
            &[DeadLetterChange::Put(letter("p", "1"))],
        )
        .unwrap();
    drop(store);
    let store = reopen(&dir);
    assert_eq!(found(&store).snapshot.len(), 3);
    assert_eq!(store.dead_letter_count(), 1);
    store.audit("run --resnapshot", "").unwrap();
    store.reset().unwrap();
    drop(store);
    let store = reopen(&dir);
    assert_eq!(store.load(), Loaded::None);
    assert_eq!(store.dead_letter_count(), 0);
    assert_eq!(store.audit_log().unwrap().len(), 1);
}

#[test]
fn another_plan_is_refused_with_what_to_do() {
    let error = compatible(&checkpoint(1), "other").unwrap_err();
    assert_eq!(error.kind(), Kind::PlanDiffers);
    assert!(error.remedy().contains("--resnapshot"));
    compatible(&checkpoint(1), "abc").unwrap();
}

#[test]
fn a_second_process_is_told_who_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let _store = reopen(&dir);
    let error = Store::open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Store);
    let text = error.to_string();
    assert!(
        text.contains(&format!("pid {}", std::process::id())),
        "{text}"
    );
    // Nor may it be started over beneath the one that runs.
    assert!(Store::start_over(dir.path(), |_| Ok(())).is_err());
    assert!(dir.path().join("sled/db").exists());
}

#[test]
fn a_damaged_store_is_set_aside_and_rebuilt_from_its_mirror() {
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(&dir);
    let letters = [
        DeadLetterChange::Put(letter("p", "1")),
        DeadLetterChange::Put(letter("p", "2")),
    ];
    store.commit(&with_tables(8, 2), &letters).unwrap();
    drop(store);
    damage(dir.path());
    let (store, report) = open(&dir);
    let rebuilt = report.rebuilt.expect("a rebuilt store");
    assert!(rebuilt.set_aside.expect("a path").exists());
    assert_eq!(rebuilt.lost_dead_letters, 0);
    let wanted = Checkpoint {
        verify_owed: true,
        saved_at_unix_ms: found(&store).saved_at_unix_ms,
        ..with_tables(8, 2)
    };
    assert_eq!(found(&store), wanted);
    assert_eq!(store.dead_letter_count(), 2);
    assert_eq!(store.audit_log().unwrap().len(), 1);
    store.commit(&checkpoint(9), &[]).unwrap();
    drop(store);
    assert_eq!(found(&reopen(&dir)).position.offset, 9);
}

/// Starting over sets aside what nobody can read, and nothing else: what can be read is forgotten by whoever has looked at it.
#[test]
fn starting_over_leaves_what_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(&dir);
    store.commit(&checkpoint(8), &[]).unwrap();
    drop(store);
    let never = |why: &str| panic!("asked, because of {why}");
    let (store, _) = Store::start_over(dir.path(), never).unwrap();
    assert_eq!(found(&store).position.offset, 8);
    drop(store);
    // Written by a newer version: its mirror alone says so.
    let mirror = dir.path().join("checkpoint.json");
    let text = fs::read_to_string(&mirror).unwrap();
    let newer = text.replacen("\"format\": 1", "\"format\": 2", 1);
    assert_ne!(newer, text);
    fs::write(&mirror, newer).unwrap();
    damage(dir.path());
    let error = Store::start_over(dir.path(), never).unwrap_err();
    assert!(error.to_string().contains("newer"), "{error}");
    assert!(dir.path().join("sled/db").exists());
}

/// A kill in the first moments leaves a store that does not open: nothing was in it.
#[test]
fn a_store_that_was_being_made_is_made_again() {
    let dir = TempDir::new().unwrap();
    drop(open(&dir));
    fs::write(dir.path().join("sled/conf"), b"torn in its middle").unwrap();
    let (store, report) = open(&dir);
    assert!(report.rebuilt.is_some());
    assert_eq!(store.load(), Loaded::None);
}

#[test]
fn a_store_that_was_lost_or_cut_off_is_never_a_first_start() {
    let cut = |dir: &Path| {
        fs::File::options()
            .write(true)
            .open(dir.join("sled/db"))
            .unwrap()
            .set_len(0)
            .unwrap()
    };
    let remove = |dir: &Path| fs::remove_dir_all(dir.join("sled")).unwrap();
    for lose in [&cut as &dyn Fn(&Path), &remove] {
        let dir = tempfile::tempdir().unwrap();
        let store = reopen(&dir);
        store.commit(&checkpoint(3), &[]).unwrap();
        drop(store);
        lose(dir.path());
        let (store, report) = open(&dir);
        assert!(report.rebuilt.is_some());
        assert_eq!(found(&store).position.offset, 3);
        drop(store);
        // And where the mirror is torn too, nothing is guessed.
        lose(dir.path());
        fs::write(dir.path().join("checkpoint.json"), "{\"format\":1,").unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Store);
        assert!(
            error.remedy().contains("--resnapshot"),
            "{}",
            error.remedy()
        );
        // Whoever knows better forbids it, and nothing is touched.
        let forbid = |why: &str| Err(Error::new(Kind::CutOver, why));
        let error = Store::start_over(dir.path(), forbid).unwrap_err();
        assert_eq!(error.kind(), Kind::CutOver);
        assert!(Store::open(dir.path()).is_err());
        let (store, _) = Store::start_over(dir.path(), |_| Ok(())).unwrap();
        assert_eq!(store.load(), Loaded::None);
    }
}

#[test]
fn a_store_whose_file_a_child_still_has_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(&dir);
    store.commit(&checkpoint(5), &[]).unwrap();
    drop(store);
    let inherited = fs::File::open(dir.path().join("sled/db")).unwrap();
    inherited.lock().unwrap();
    let child = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(inherited);
    });
    assert_eq!(found(&reopen(&dir)).position.offset, 5);
    child.join().unwrap();
}

#[test]
fn an_older_copy_of_the_store_is_not_gone_on_from() {
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(&dir);
    store.commit(&checkpoint(1), &[]).unwrap();
    drop(store);
    let old = fs::read(dir.path().join("sled/db")).unwrap();
    let store = reopen(&dir);
    store.commit(&checkpoint(2), &[]).unwrap();
    drop(store);
    fs::write(dir.path().join("sled/db"), old).unwrap();
    let (store, report) = open(&dir);
    assert!(report.rebuilt.is_some());
    assert_eq!(found(&store).position.offset, 2);
}

#[test]
fn a_torn_or_edited_mirror_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mirror = dir.path().join("checkpoint.json");
    reopen(&dir).commit(&checkpoint(4), &[]).unwrap();
    let text = fs::read_to_string(&mirror).unwrap();
    for bad in [
        text[..text.len() / 2].to_string(),
        text.replace("\"offset\": 4", "\"offset\": 5"),
        String::new(),
    ] {
        assert_ne!(bad, text);
        fs::write(&mirror, bad).unwrap();
        let (store, report) = open(&dir);
        assert!(report.mirror_rewritten.is_some());
        assert_eq!(found(&store).position.offset, 4);
        assert_eq!(fs::read_to_string(&mirror).unwrap(), text);
    }
    fs::remove_file(&mirror).unwrap();
    assert!(open(&dir).1.mirror_rewritten.is_some());
}

#[test]
fn what_a_newer_version_wrote_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    reopen(&dir).commit(&checkpoint(4), &[]).unwrap();
    let mirror = dir.path().join("checkpoint.json");
    let newer = "{\"format\": 2, \"other\": true}";
    fs::write(&mirror, newer).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(
        error.to_string().contains("newer penstock (format 2"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&mirror).unwrap(), newer);
    // The same for the store itself, where the mirror is gone.
    fs::remove_file(&mirror).unwrap();
    let db = sled::open(dir.path().join("sled")).unwrap();
    db.insert("head", frame::seal(b"{\"format\":9}")).unwrap();
    db.flush().unwrap();
    drop(db);
    let error = Store::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("format 9"), "{error}");
    assert!(dir.path().join("sled").exists());
}

#[test]
fn dead_letters_count_on_keep_their_first_time_and_are_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(&dir);
    let later = DeadLetter {
        first_seen_unix_ms: 20,
        last_seen_unix_ms: 20,
        reason: "other".into(),
        ..letter("p", "1")
    };
    store
        .commit(&checkpoint(1), &[DeadLetterChange::Put(letter("p", "1"))])
        .unwrap();
    store
        .commit(
            &checkpoint(2),
            &[
                DeadLetterChange::Put(later.clone()),
                DeadLetterChange::Put(later),
            ],
        )
        .unwrap();
    let page = store.dead_letters(None, 10).unwrap();
    assert_eq!((page.total, page.letters.len()), (1, 1));
    let kept = &page.letters[0];
    assert_eq!(
        (kept.first_seen_unix_ms, kept.last_seen_unix_ms, kept.count),
        (10, 20, 3)
    );
    assert_eq!(kept.reason, "other");
    // Put and cleared within one commit, and clearing what is not there.
    store
        .commit(
            &checkpoint(3),
            &[
                DeadLetterChange::Put(letter("p", "9")),
                clear("p", "9"),
                clear("p", "1"),
                clear("q", "1"),
            ],
        )
        .unwrap();
    assert_eq!(store.dead_letter_count(), 0);
    assert!(store.dead_letters(None, 10).unwrap().letters.is_empty());
}

#[test]
fn pages_give_every_dead_letter_once_and_no_two_share_a_place() {
    let dir = tempfile::tempdir().unwrap();
    let store = reopen(&dir);
    let mut puts: Vec<_> = (0..25).map(|n| letter("orders", &n.to_string())).collect();
    puts.push(letter("a", "b\0\0c"));
    puts.push(letter("a\0\0b", "c"));
    puts.push(letter("a\0b", "c"));
    let changes: Vec<_> = puts.iter().cloned().map(DeadLetterChange::Put).collect();
    store.commit(&checkpoint(1), &changes).unwrap();
    let (mut all, mut from) = (Vec::new(), None);
    loop {
        let page = store.dead_letters(from.as_deref(), 4).unwrap();
        assert!(page.letters.len() <= 4);
        assert_eq!(page.total, 28);
        all.extend(page.letters);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    let key = |l: &DeadLetter| (l.projection.clone(), l.source_key.clone());
    all.sort_by_key(key);
    puts.sort_by_key(key);
    assert_eq!(all, puts);
    for bad in ["zz", "00", "6865"] {
        assert_eq!(
            store.dead_letters(Some(bad), 4).unwrap_err().kind(),
            Kind::Usage
        );
    }
}

#[test]
fn random_commits_and_reopenings_give_the_last_one() {
    for seed in [1, 2, 3] {
        let mut random = fastrand::Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let mut store = reopen(&dir);
        let mut last = None;
        let mut letters: BTreeMap<String, u64> = BTreeMap::new();
        for n in 1..60 {
            if random.u8(..) < 12 {
                store.reset().unwrap();
                last = None;
                letters.clear();
            }
            let next = with_tables(random.u64(..9), random.usize(..5));
            let mut changes = Vec::new();
            for _ in 0..random.usize(..4) {
                let key = random.u8(..6).to_string();
                if random.bool() {
                    *letters.entry(key.clone()).or_default() += 1;
                    changes.push(DeadLetterChange::Put(letter("p", &key)));
                } else {
                    letters.remove(&key);
                    changes.push(clear("p", &key));
                }
            }
            store.commit(&next, &changes).unwrap();
            last = Some(next).or(last);
            match random.u8(..10) {
                0 => {
                    drop(store);
                    store = reopen(&dir);
                }
                1 => {
                    drop(store);
                    damage(dir.path());
                    store = open(&dir).0;
                    if let Some(last) = &mut last {
                        last.verify_owed = true;
                    }
                }
                _ => {}
            }
            let stored = match store.load() {
                Loaded::Found(checkpoint) => Some(*checkpoint),
                Loaded::None => None,
            };
            assert_eq!(stored, last, "seed {seed}, commit {n}");
            let page = store.dead_letters(None, 100).unwrap();
            let seen: BTreeMap<_, _> = page
                .letters
                .into_iter()
                .map(|l| (l.source_key, l.count))
                .collect();
            assert_eq!(seen, letters, "seed {seed}, commit {n}");
            assert_eq!(store.dead_letter_count(), letters.len() as u64);
        }
    }
}

const CHILD: &str = "PENSTOCK_TEST_COMMITS";

/// Commits until it is killed, and tells each number once it is durable. Does nothing unless the next test starts it.
#[test]
fn commits_for_ever_as_a_child() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let (store, _) = Store::open(Path::new(&dir)).unwrap();
    let start = match store.load() {
        Loaded::Found(checkpoint) => checkpoint.position.offset,
        Loaded::None => 0,
    };
    for n in start + 1.. {
        let key = n.to_string();
        let changes = [DeadLetterChange::Put(letter("p", &key))];
        store.commit(&with_tables(n, 3), &changes).unwrap();
        println!("\ncommitted {n}");
    }
}

#[test]
fn a_killed_process_leaves_its_last_commit() {
    let dir = tempfile::tempdir().unwrap();
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "checkpoint::tests::commits_for_ever_as_a_child",
                "--nocapture",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut told = 0;
        let wanted = random.u64(1..12);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < wanted {
            let line = lines.next().expect("the child ended by itself").unwrap();
            if let Some(n) = line.strip_prefix("committed ") {
                told = n.parse().unwrap();
                seen += 1;
            }
        }
        std::thread::sleep(std::time::Duration::from_micros(random.u64(..8_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        for n in lines
            .map_while(Result::ok)
            .filter_map(|l| l.strip_prefix("committed ")?.parse().ok())
        {
            told = n;
        }
        let (store, report) = open(&dir);
        assert_eq!(report.rebuilt, None, "seed {seed}, round {round}");
        let stored = found(&store);
        let n = stored.position.offset;
        // The one that was under way may have been finished.
        assert!(
            n == told || n == told + 1,
            "seed {seed}, round {round}: {n}, told {told}"
        );
        assert!(
            stored.snapshot.iter().all(|t| t.rows == n),
            "seed {seed}, round {round}"
        );
        assert_eq!(store.dead_letter_count(), n, "seed {seed}, round {round}");
    }
}

/// The optimizer's word counts until the rows are counted, where it was too low less than that.
#[test]
fn a_table_that_is_copied_has_the_rows_that_were_counted() {
    let mut table = TableProgress::pending("shop", "t");
    (table.estimated_rows, table.rows) = (1_000, 400);
    for state in [TableState::Pending, TableState::Copying] {
        table.state = state;
        assert_eq!(table.rows_in_all(), 1_000);
    }
    table.rows = 1_001;
    assert_eq!(table.rows_in_all(), 1_001);
    (table.state, table.rows) = (TableState::Done, 400);
    assert_eq!(table.rows_in_all(), 400);
}
