//! The pipeline against a fake target with a vocabulary of faults.

mod fake;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::*;
use crate::error::Kind;
use fake::{Fake, Faults, begin, collect, delete, put, quick, runtime};

/// Feeds random sequences, checks each durable prefix as it comes, and the end state against the model.
fn random_run(seed: u64, faults: Faults) {
    eprintln!("seed {seed}");
    let runtime = runtime();
    let fake = Fake::new(seed, faults);
    let (mut feed, mut progress) = begin::<(u64, HashMap<String, u64>)>(quick(), &fake, &runtime);
    let feeding = std::thread::spawn(move || {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut model = BTreeMap::new();
        let mut version = 0;
        for number in 0..400 {
            let sequence = feed.open();
            let mut last = HashMap::new();
            for _ in 0..rng.usize(0..40) {
                version += 1;
                let keys = if rng.bool() { 12 } else { 2000 };
                let key = format!("k{}", rng.u32(0..keys));
                let mutation = if rng.u32(0..5) == 0 {
                    delete(&key, version)
                } else {
                    put(&key, version, rng.usize(1..3000))
                };
                model.insert(
                    key.clone(),
                    (version, !matches!(mutation.action, Action::Delete)),
                );
                last.insert(key, version);
                feed.push(sequence, mutation).unwrap();
            }
            feed.close(sequence, (number, last));
        }
        model
    });
    let mut next = 0;
    runtime.block_on(async {
        while let Some(durable) = progress.next().await.unwrap() {
            for (number, last) in durable.completions {
                assert_eq!(number, next, "seed {seed}: a gap");
                next += 1;
                for (key, version) in last {
                    let stored = fake.version(&key);
                    assert!(stored >= Some(version), "seed {seed}: {key} is not durable");
                }
            }
        }
    });
    assert_eq!(next, 400, "seed {seed}");
    let model = feeding.join().unwrap();
    // Late requests may still come; they must not change anything.
    std::thread::sleep(Duration::from_millis(50));
    fake.check();
    assert_eq!(fake.state.lock().unwrap().items, model, "seed {seed}");
    assert!(fake.most_items.load(SeqCst) <= 500, "seed {seed}: items");
    assert!(
        fake.most_bytes.load(SeqCst) <= 1 << 20,
        "seed {seed}: bytes"
    );
    comes_to_nothing(&progress.control());
}

/// The budget is given back just after the acknowledgement.
fn comes_to_nothing(control: &Control) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while control.gauges() != Gauges::default() {
        assert!(Instant::now() < deadline, "{:?} is left", control.gauges());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn a_seed() -> u64 {
    std::env::var("PENSTOCK_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..))
}

#[test]
fn without_faults_the_end_state_is_the_models() {
    random_run(a_seed(), Faults::default());
}

#[test]
fn refusals_and_partial_answers_change_nothing() {
    let faults = Faults {
        not_written: 0.1,
        partial: 0.2,
        latency: Duration::from_micros(500),
        ..Faults::default()
    };
    random_run(a_seed(), faults);
}

#[test]
fn lost_and_late_answers_change_nothing() {
    for _ in 0..3 {
        let faults = Faults {
            not_written: 0.05,
            partial: 0.1,
            unknown_applied: 0.04,
            unknown_lost: 0.04,
            unknown_late: 0.04,
            late_by: Duration::from_millis(20),
            latency: Duration::from_millis(1),
            ..Faults::default()
        };
        random_run(a_seed(), faults);
    }
}

#[test]
fn the_last_write_of_a_key_wins_and_the_others_are_not_sent() {
    let runtime = runtime();
    let fake = Fake::new(
        1,
        Faults {
            hold: true,
            ..Faults::default()
        },
    );
    let (mut feed, progress) = begin::<u64>(
        Options {
            lanes: 1,
            ..quick()
        },
        &fake,
        &runtime,
    );
    for number in 1..=50 {
        let sequence = feed.open();
        feed.push(sequence, put("hot", number, 10)).unwrap();
        feed.push(sequence, put(&format!("cold{number}"), number, 10))
            .unwrap();
        feed.close(sequence, number);
    }
    drop(feed);
    fake.set(|faults| faults.hold = false);
    let (completions, _) = runtime.block_on(collect(progress));
    assert_eq!(completions, (1..=50).collect::<Vec<_>>());
    fake.check();
    assert_eq!(fake.version("hot"), Some(50));
    let state = fake.state.lock().unwrap();
    let hot = state
        .batches
        .iter()
        .flatten()
        .filter(|key| *key == "hot")
        .count();
    assert!(hot <= 3, "the hot key was sent {hot} times");
}

#[test]
fn nothing_is_durable_before_what_supersedes_it() {
    let runtime = runtime();
    let fake = Fake::new(
        1,
        Faults {
            not_written: 1.0,
            ..Faults::default()
        },
    );
    let (mut feed, mut progress) = begin::<u64>(quick(), &fake, &runtime);
    for number in 1..=3 {
        let sequence = feed.open();
        feed.push(sequence, put("a", number, 10)).unwrap();
        feed.close(sequence, number);
    }
    runtime.block_on(async {
        let early = tokio::time::timeout(Duration::from_millis(50), progress.next()).await;
        assert!(early.is_err(), "told something durable: {early:?}");
        fake.set(|faults| faults.not_written = 0.0);
        let mut told = Vec::new();
        while told.len() < 3 {
            told.extend(progress.next().await.unwrap().unwrap().completions);
        }
        assert_eq!(fake.version("a"), Some(3));
    });
}

#[test]
fn a_late_key_is_acknowledged_at_once_and_blocks_only_itself() {
    let runtime = runtime();
    let fake = Fake::new(
        1,
        Faults {
            unknown_lost: 1.0,
            ..Faults::default()
        },
    );
    let options = Options {
        lanes: 1,
        late_after: Duration::from_millis(300),
        ..quick()
    };
    let (mut feed, mut progress) = begin::<&str>(options, &fake, &runtime);
    let mut write = |key: &str, version, name| {
        let sequence = feed.open();
        feed.push(sequence, put(key, version, 10)).unwrap();
        feed.close(sequence, name);
    };
    write("a", 1, "first");
    std::thread::sleep(Duration::from_millis(20));
    fake.set(|faults| faults.unknown_lost = 0.0);
    let started = Instant::now();
    runtime.block_on(async {
        let first = progress.next().await.unwrap().unwrap();
        assert_eq!(first.completions, ["first"]);
        assert!(
            started.elapsed() < Duration::from_millis(150),
            "the answer was held back"
        );
        write("b", 2, "other");
        write("a", 3, "second");
        let other = progress.next().await.unwrap().unwrap();
        assert_eq!(other.completions, ["other"]);
        assert!(
            started.elapsed() < Duration::from_millis(200),
            "another key was held back"
        );
        assert_eq!(
            fake.version("a"),
            Some(1),
            "written while a late request may come"
        );
        let left = progress
            .control()
            .drain(Instant::now() + Duration::from_millis(20))
            .await;
        assert_eq!((left.items, left.sequences), (1, 1));
        let second = progress.next().await.unwrap().unwrap();
        assert_eq!(second.completions, ["second"]);
        assert!(
            started.elapsed() > Duration::from_millis(200),
            "the key was not blocked"
        );
        assert_eq!(fake.version("a"), Some(3));
    });
}

#[test]
fn a_rejection_is_told_no_later_than_its_sequence() {
    let runtime = runtime();
    let fake = Fake::new(
        3,
        Faults {
            reject: Some("bad"),
            ..Faults::default()
        },
    );
    let (mut feed, mut progress) = begin::<u64>(quick(), &fake, &runtime);
    for number in 0..90 {
        let sequence = feed.open();
        feed.push(sequence, put(&format!("good{number}"), number, 10))
            .unwrap();
        feed.push(sequence, put(&format!("bad{number}"), number, 10))
            .unwrap();
        feed.close(sequence, number);
    }
    drop(feed);
    runtime.block_on(async {
        let mut rejected = HashSet::new();
        let mut completed = 0;
        while let Some(durable) = progress.next().await.unwrap() {
            rejected.extend(
                durable
                    .rejected
                    .iter()
                    .map(|r| r.origin.source_key.to_string()),
            );
            for number in durable.completions {
                assert!(
                    rejected.contains(&number.to_string()),
                    "{number} came too early"
                );
                completed += 1;
            }
        }
        assert_eq!((completed, rejected.len()), (90, 90));
    });
    comes_to_nothing(&progress.control());
}

#[test]
fn the_feed_blocks_at_its_budget_and_a_giant_passes_alone() {
    let runtime = runtime();
    let fake = Fake::new(
        1,
        Faults {
            hold: true,
            ..Faults::default()
        },
    );
    let options = Options {
        max_items: 10,
        max_bytes: 4000,
        ..quick()
    };
    let (mut feed, progress) = begin::<u64>(options, &fake, &runtime);
    let control = progress.control();
    let pushed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pushed);
    let feeding = std::thread::spawn(move || {
        let sequence = feed.open();
        for number in 0..30 {
            feed.push(sequence, put(&format!("k{number}"), number, 100))
                .unwrap();
            count.fetch_add(1, SeqCst);
        }
        feed.push(sequence, put("giant", 30, 100_000)).unwrap();
        feed.close(sequence, 1);
    });
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(pushed.load(SeqCst), 10);
    assert!(control.gauges().bytes <= 4000);
    fake.set(|faults| faults.hold = false);
    let (completions, _) = runtime.block_on(collect(progress));
    feeding.join().unwrap();
    assert_eq!(completions, [1]);
    assert_eq!(fake.version("giant"), Some(30));
    assert!(fake.most_items.load(SeqCst) <= 10);
}

#[test]
fn open_sequences_are_bounded_until_they_are_told() {
    let runtime = runtime();
    let fake = Fake::new(1, Faults::default());
    let options = Options {
        max_open_sequences: 3,
        ..quick()
    };
    let (mut feed, progress) = begin::<u64>(options, &fake, &runtime);
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let feeding = std::thread::spawn(move || {
        for number in 0..10 {
            let sequence = feed.open();
            count.fetch_add(1, SeqCst);
            feed.close(sequence, number);
        }
    });
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(opened.load(SeqCst), 3);
    let (completions, _) = runtime.block_on(collect(progress));
    feeding.join().unwrap();
    assert_eq!(completions, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_fatal_error_is_told_once_and_frees_the_feed() {
    let runtime = runtime();
    let fake = Fake::new(
        1,
        Faults {
            fatal_after: Some(20),
            ..Faults::default()
        },
    );
    let options = Options {
        max_items: 50,
        ..quick()
    };
    let (mut feed, mut progress) = begin::<u64>(options, &fake, &runtime);
    let feeding = std::thread::spawn(move || {
        for number in 0.. {
            let sequence = feed.open();
            if feed
                .push(sequence, put(&format!("k{number}"), number, 10))
                .is_err()
            {
                return;
            }
            feed.close(sequence, number);
        }
    });
    runtime.block_on(async {
        let error = loop {
            match progress.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("ended without its error"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), Kind::TargetTable);
        assert!(progress.next().await.unwrap().is_none());
    });
    feeding.join().unwrap();
}

#[test]
fn a_target_that_takes_nothing_stops_the_pipeline_in_the_end() {
    let runtime = runtime();
    let fake = Fake::new(
        1,
        Faults {
            not_written: 1.0,
            ..Faults::default()
        },
    );
    let options = Options {
        retry_for: Duration::from_millis(60),
        ..quick()
    };
    let (mut feed, mut progress) = begin::<u64>(options, &fake, &runtime);
    let sequence = feed.open();
    feed.push(sequence, put("a", 1, 10)).unwrap();
    feed.close(sequence, 1);
    let error = runtime.block_on(progress.next()).unwrap_err();
    assert_eq!(error.kind(), Kind::TargetUnavailable);
    assert!(error.to_string().contains("a fault"), "{error}");
}

#[test]
fn abort_ends_at_once_and_acknowledges_nothing() {
    let runtime = runtime();
    let fake = Fake::new(
        1,
        Faults {
            hold: true,
            ..Faults::default()
        },
    );
    let (mut feed, mut progress) = begin::<u64>(quick(), &fake, &runtime);
    let sequence = feed.open();
    feed.push(sequence, put("a", 1, 10)).unwrap();
    feed.close(sequence, 1);
    feed.abort();
    assert!(runtime.block_on(progress.next()).unwrap().is_none());
    let sequence = feed.open();
    assert_eq!(feed.push(sequence, put("b", 2, 10)), Err(Closed));
    let left = runtime.block_on(progress.control().drain(Instant::now()));
    assert_eq!(left.items, 1);
}

#[test]
fn drain_waits_for_everything_or_the_deadline() {
    let runtime = runtime();
    let fake = Fake::new(
        1,
        Faults {
            hold: true,
            ..Faults::default()
        },
    );
    let (mut feed, progress) = begin::<u64>(quick(), &fake, &runtime);
    let sequence = feed.open();
    for number in 0..30 {
        feed.push(sequence, put(&format!("k{number}"), number, 10))
            .unwrap();
    }
    feed.close(sequence, 1);
    let control = feed.control();
    runtime.block_on(async {
        let left = control
            .drain(Instant::now() + Duration::from_millis(20))
            .await;
        assert_eq!((left.items, left.sequences), (30, 1));
        fake.set(|faults| faults.hold = false);
        let left = control
            .drain(Instant::now() + Duration::from_secs(10))
            .await;
        assert_eq!((left.items, left.sequences), (0, 0));
    });
    drop(progress);
}

#[test]
fn an_item_that_is_never_taken_stops_the_pipeline_though_others_are() {
    let runtime = runtime();
    let faults = Faults {
        starve: Some("poor"),
        ..Faults::default()
    };
    let fake = Fake::new(1, faults);
    let options = Options {
        retry_for: Duration::from_millis(300),
        lanes: 1,
        ..quick()
    };
    let (mut feed, mut progress) = begin::<u64>(options, &fake, &runtime);
    let feeding = std::thread::spawn(move || {
        for number in 0..10_000 {
            let sequence = feed.open();
            // Newer versions do not begin the wait anew.
            let fed = feed
                .push(sequence, put("poor", number, 10))
                .and_then(|()| feed.push(sequence, put(&format!("rich{number}"), number, 10)));
            if fed.is_err() {
                return true;
            }
            feed.close(sequence, number);
            std::thread::sleep(Duration::from_millis(2));
        }
        false
    });
    let error = runtime.block_on(async {
        loop {
            match progress.next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("ended without an error"),
                Err(error) => return error,
            }
        }
    });
    assert_eq!(error.kind(), Kind::TargetUnavailable);
    assert!(fake.version("rich3").is_some(), "others were taken");
    assert!(feeding.join().unwrap(), "the feed was told");
}

/// Of one row: a bad version of `bad`, and a newer one at `after`.
fn healed_by(after: &str) -> Vec<String> {
    let runtime = runtime();
    let faults = Faults {
        reject: Some("bad"),
        ..Faults::default()
    };
    let fake = Fake::new(1, faults);
    let (mut feed, mut progress) = begin::<u64>(quick(), &fake, &runtime);
    let row = |key: &str| Mutation {
        origin: put("", 7, 0).origin,
        ..put(key, 7, 10)
    };
    let mut healed = Vec::new();
    runtime.block_on(async {
        for (number, key) in ["bad", after].into_iter().enumerate() {
            let sequence = feed.open();
            feed.push(sequence, row(key)).unwrap();
            feed.close(sequence, number as u64);
            let mut done = false;
            while !done {
                let durable = progress.next().await.unwrap().expect("more");
                done = !durable.completions.is_empty();
                let keys = durable.healed.iter().map(|o| o.source_key.to_string());
                healed.extend(keys);
            }
        }
    });
    healed
}

#[test]
fn a_rejected_row_is_healed_by_what_is_written_after_it() {
    assert_eq!(healed_by("good"), ["7"]);
    assert_eq!(healed_by("bad again"), Vec::<String>::new());
}

/// What is older than the rejection does not heal, however late it is written.
#[test]
fn an_older_version_of_a_row_does_not_heal_it() {
    let runtime = runtime();
    let fake = Fake::new(
        1,
        Faults {
            reject: Some("bad"),
            starve: Some("slow"),
            ..Faults::default()
        },
    );
    let (mut feed, mut progress) = begin::<u64>(quick(), &fake, &runtime);
    for (number, key) in ["slow", "bad"].into_iter().enumerate() {
        let sequence = feed.open();
        let origin = put("", 7, 0).origin;
        let mutation = Mutation {
            origin,
            ..put(key, 7, 10)
        };
        feed.push(sequence, mutation).unwrap();
        feed.close(sequence, number as u64);
    }
    drop(feed);
    runtime.block_on(async {
        let (mut rejected, mut healed) = (0, 0);
        while let Some(durable) = progress.next().await.unwrap() {
            rejected += durable.rejected.len();
            healed += durable.healed.len();
            fake.set(|faults| faults.starve = None);
        }
        assert_eq!((rejected, healed), (1, 0));
    });
}
