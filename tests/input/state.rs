//! State directories that cannot be used, are full, damaged, from another version, or held by somebody.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{PATIENCE, equal, fails, filled, make_table, no_panic, stopped, text, things};
use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::target::Target;

/// A daemon that has caught up once, and runs no more.
async fn has_run() -> (Database<'static>, Target, Daemon) {
    let database = filled(Server::shared(), 30).await;
    let target = Target::dynoxide();
    make_table(&target).await;
    let mut daemon = Daemon::new(&database, &target, &things());
    daemon.set("metrics", "listen", "\"127.0.0.1:0\"");
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    daemon.terminate(Duration::from_secs(10));
    (database, target, daemon)
}

async fn goes_on(database: &Database<'_>, target: &Target, daemon: &mut Daemon) {
    database
        .run(&[
            "DELETE FROM things WHERE id = 1",
            "REPLACE INTO things VALUES (900, UUID())",
        ])
        .await;
    daemon.set("metrics", "listen", "\"127.0.0.1:0\"");
    let output = daemon.command(&["run", "--until-caught-up"]);
    assert!(output.status.success(), "{}", text(&output));
    equal(database, target).await;
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_told() {
    let (_database, _target, mut daemon) = has_run().await;
    for path in ["contract.json/state", "/proc/penstock"] {
        daemon.set("state", "path", &format!("\"{path}\""));
        let told = fails(&mut daemon, &["run"], 1, &["[state] path"]);
        assert!(told.contains(path), "{told}");
    }
    let long = format!("\"{}\"", "long/".repeat(40));
    daemon.set("state", "path", &long);
    fails(&mut daemon, &["run"], 1, &["shorter"]);
}

#[tokio::test]
async fn a_store_that_is_damaged_is_rebuilt_from_its_mirror() {
    let (database, target, mut daemon) = has_run().await;
    let db = daemon.state().join("sled/db");
    let mut bytes = std::fs::read(&db).expect("the store");
    let (from, to) = (bytes.len() / 3, bytes.len() / 3 + 20_000);
    let to = to.min(bytes.len());
    bytes[from..to].fill(0xA5);
    std::fs::write(&db, &bytes).expect("the store");
    for command in ["status", "dead-letters"] {
        let arguments = [command, "list"];
        let arguments = &arguments[..if command == "status" { 1 } else { 2 }];
        let output = daemon.command(arguments);
        assert!(output.status.success(), "{}", text(&output));
    }
    goes_on(&database, &target, &mut daemon).await;
}

#[tokio::test]
async fn a_mirror_that_is_damaged_is_written_again() {
    let (database, target, mut daemon) = has_run().await;
    let mirror = daemon.state().join("checkpoint.json");
    for garbage in [&b"{\"format\": 1, \"sha256\":"[..], b"", b"\0\0\0", b"[]"] {
        std::fs::write(&mirror, garbage).expect("the mirror");
        goes_on(&database, &target, &mut daemon).await;
        let text = std::fs::read_to_string(&mirror).expect("the mirror");
        serde_json::from_str::<Value>(&text).expect("JSON again");
    }
}

#[tokio::test]
async fn a_store_without_a_readable_copy_is_refused() {
    let (database, target, mut daemon) = has_run().await;
    let db = daemon.state().join("sled/db");
    let size = std::fs::metadata(&db).expect("the store").len();
    std::fs::write(&db, vec![0x5A; size as usize]).expect("the store");
    std::fs::write(daemon.state().join("checkpoint.json"), "{").expect("the mirror");
    for command in [&["run"][..], &["status"], &["dead-letters", "list"]] {
        fails(
            &mut daemon,
            command,
            1,
            &["checkpoint.json", "--resnapshot"],
        );
    }
    daemon.set("metrics", "listen", "\"127.0.0.1:0\"");
    let output = daemon.command(&["run", "--resnapshot", "--until-caught-up"]);
    assert!(output.status.success(), "{}", text(&output));
    equal(&database, &target).await;
    goes_on(&database, &target, &mut daemon).await;
}

#[tokio::test]
async fn a_state_of_a_newer_version_is_left_alone() {
    let (database, target, mut daemon) = has_run().await;
    let mirror = daemon.state().join("checkpoint.json");
    let before = std::fs::read_to_string(&mirror).expect("the mirror");
    let mut content: Value = serde_json::from_str(&before).expect("JSON");
    content["format"] = 999.into();
    std::fs::write(&mirror, content.to_string()).expect("the mirror");
    let set_aside = daemon.path().join("sled-of-before");
    std::fs::rename(daemon.state().join("sled"), &set_aside).expect("the store");
    for command in [&["run"][..], &["status"]] {
        fails(&mut daemon, command, 1, &["newer", "999"]);
    }
    std::fs::write(&mirror, before).expect("the mirror");
    let _ = std::fs::remove_dir_all(daemon.state().join("sled"));
    std::fs::rename(&set_aside, daemon.state().join("sled")).expect("the store");
    goes_on(&database, &target, &mut daemon).await;
}

#[tokio::test]
async fn a_second_daemon_on_one_directory_is_refused() {
    let (database, target, mut daemon) = has_run().await;
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    fails(
        &mut daemon,
        &["run"],
        1,
        &["another penstock", "[state] path"],
    );
    // The first one is not disturbed, and the commands still reach it.
    database
        .run(&["INSERT INTO things VALUES (901, 'y')"])
        .await;
    daemon.caught_up(PATIENCE).await;
    let output = daemon.command(&["status"]);
    assert!(text(&output).contains("caught up"), "{}", text(&output));
    equal(&database, &target).await;
}

/// A small file system of one's own; it goes when this is dropped.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    /// `None` where it may not be mounted.
    fn mount(at: &'a Path) -> Option<Small<'a>> {
        std::fs::create_dir_all(at).expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
            .arg(at)
            .status();
        mounted.is_ok_and(|s| s.success()).then_some(Small(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_stops_the_stream_and_room_cures_it() {
    let database = filled(Server::shared(), 30).await;
    let target = Target::dynoxide();
    make_table(&target).await;
    let mut daemon = Daemon::new(&database, &target, &things());
    daemon.set("metrics", "listen", "\"127.0.0.1:0\"");
    let at = daemon.state();
    let Some(_small) = Small::mount(&at) else {
        println!("skipped: a tmpfs may not be mounted here");
        return;
    };
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    let ballast = at.join("ballast");
    // Fills it to the last byte; the write that fails is the point.
    let _ = std::fs::write(&ballast, vec![7; 4 << 20]);
    database.run(&["DELETE FROM things WHERE id = 2"]).await;
    let status = stopped(&mut daemon).await;
    assert_eq!(status["stopped"]["kind"], "store", "{status}");
    let told = status["stopped"].to_string();
    assert!(
        told.contains("No space left") && told.contains("[state] path"),
        "{told}"
    );
    daemon.terminate(Duration::from_secs(15));
    std::fs::remove_file(&ballast).expect("room");
    goes_on(&database, &target, &mut daemon).await;
    no_panic(&daemon);
}
