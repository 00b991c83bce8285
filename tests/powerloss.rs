//! Loss of power while a store commits: every commit that was acknowledged is there, and what is there is whole.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::support::powerloss::Disk;
use crate::support::storm::{Model, Storm, Which, check_checkpoints, commit_if_asked};
use crate::support::{seconds, seed};

/// How often the power is lost; more often where more time is given.
const LOSSES: u32 = 12;
/// The longest time between two losses, in milliseconds.
const BETWEEN: u64 = 500;
/// How long the losses may take together before more of them are asked for, in seconds.
const TIME: u64 = 1;

#[test]
fn the_process_that_commits() {
    commit_if_asked();
}

#[test]
fn the_join_state_keeps_what_it_acknowledged() {
    lose_power_again_and_again(Which::JoinState, Place::Whole);
}

#[test]
fn the_checkpoint_store_keeps_what_it_acknowledged() {
    lose_power_again_and_again(Which::Checkpoint, Place::Whole);
}

/// The mirror is synced with each commit, and with it the file system's journal: on the same disk it would hide that sled
/// is not synced, and it would replace what sled lost. So it lies elsewhere, and is gone afterwards.
#[test]
fn sled_alone_keeps_what_the_checkpoint_store_acknowledged() {
    lose_power_again_and_again(Which::Checkpoint, Place::SledAlone);
}

/// What of a store lies on the disk that loses power.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Whole,
    SledAlone,
}

impl Place {
    /// Where the store is, if its disk is mounted at `disk` and `elsewhere` is another one's.
    fn store(self, disk: &Path, elsewhere: &Path) -> PathBuf {
        let on_disk = disk.join("store");
        if self == Place::Whole {
            return on_disk;
        }
        std::fs::create_dir_all(&on_disk).expect("a directory on the disk");
        let store = elsewhere.join("store");
        std::fs::create_dir(&store).expect("a directory");
        std::os::unix::fs::symlink(&on_disk, store.join("sled")).expect("a link");
        store
    }
}

fn lose_power_again_and_again(which: Which, place: Place) {
    let mut disk = match Disk::new() {
        Ok(disk) => disk,
        Err(reason) => {
            println!("SKIPPED, no disk can be mounted here: {reason}");
            return;
        }
    };
    let seed = seed();
    let mut rng = Rng::with_seed(seed);
    let time = Duration::from_secs(seconds(TIME));
    let begin = Instant::now();
    let mut model = Model::new(seed);
    let elsewhere = tempfile::tempdir().expect("a directory");
    let mut storm = Storm::start(
        "powerloss::the_process_that_commits",
        which,
        &place.store(disk.path(), elsewhere.path()),
        seed,
    );
    let (mut losses, mut found) = (0, 0);
    while losses < LOSSES || begin.elapsed() < time {
        storm.beyond(found);
        std::thread::sleep(Duration::from_millis(rng.u64(0..BETWEEN)));
        let acknowledged = storm.acknowledged();
        let clone = disk.lose_power();
        let without_mirror = tempfile::tempdir().expect("a directory");
        let store = place.store(clone.path(), without_mirror.path());
        found = match which {
            Which::JoinState => model.check(&store, acknowledged),
            Which::Checkpoint => check_checkpoints(&store, acknowledged),
        };
        losses += 1;
        println!("loss {losses}: {acknowledged} acknowledged, {found} found");
    }
    storm.kill();
    drop(disk);
}
