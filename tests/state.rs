//! The join state under `kill -9`: it is what it was at a commit, the last acknowledged one or a later one.

use std::time::Duration;

use fastrand::Rng;

use crate::support::storm::{Model, Storm, Which, commit_if_asked};
use crate::support::{seconds, seed};

/// How long, in seconds.
const TIME: u64 = 15;
/// The longest life of a process that commits, in milliseconds.
const LIFE: u64 = 300;

#[test]
fn the_process_that_commits() {
    commit_if_asked();
}

#[test]
fn killed_at_any_moment_it_is_as_of_a_commit() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = directory.path().join("store");
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let mut model = Model::new(seed);
    let begin = std::time::Instant::now();
    let (mut kills, mut found) = (0, 0);
    while begin.elapsed() < Duration::from_secs(seconds(TIME)) {
        let mut storm = Storm::start(
            "state::the_process_that_commits",
            Which::JoinState,
            &store,
            seed,
        );
        // Some die while they open what the one before left.
        if rng.u8(0..4) > 0 {
            storm.beyond(found);
        }
        std::thread::sleep(Duration::from_millis(rng.u64(0..LIFE)));
        let acknowledged = storm.kill().max(found);
        found = model.check(&store, acknowledged);
        kills += 1;
    }
    println!("{kills} kills, {found} commits");
    assert!(kills >= 5 && found > 100, "{kills} kills, {found} commits");
}
