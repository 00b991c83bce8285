//! Settings that are wrong in every way, and ports that are taken.

use std::net::TcpListener;
use std::process::{Command, Output};

use super::{fails, filled, make_table, text, things};
use crate::support::daemon::Daemon;
use crate::support::mysql::Server;
use crate::support::target::Target;

const RIGHT: &str = "[source]\nuser = \"u\"\ndatabase = \"d\"\npassword_env = \"PATH\"\n\
                     [contract]\npath = \"c\"\n[state]\npath = \"s\"\n";

fn with(settings: &[u8], command: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("penstock.toml");
    std::fs::write(&file, settings).expect("the settings");
    penstock(file.to_str().expect("a path"), command)
}

fn penstock(settings: &str, command: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_penstock"))
        .args(["--config", settings])
        .args(command)
        .output()
        .expect("penstock can be run")
}

#[track_caller]
fn refused(settings: &[u8], words: &[&str]) {
    let output = with(settings, &["check", "--offline"]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

#[test]
fn wrong_settings_are_told_with_place_and_cure() {
    let right = RIGHT.as_bytes();
    let plus = |more: &str| [right, more.as_bytes()].concat();
    refused(
        b"",
        &["[source]", "`user` is missing", "[contract]", "[state]"],
    );
    refused(b"\xff\xfe\0\0", &["UTF-8"]);
    refused(&[b'x'; 2 << 20], &["too large"]);
    refused(b"<html><body>", &["penstock.toml:1:"]);
    refused(&plus("[source]\nuser = \"again\"\n"), &["duplicate"]);
    refused(&plus("[sorce]\n"), &["[source]"]);
    refused(
        &plus("[snapshot]\nworker = 3\n"),
        &["did you mean `workers`?"],
    );
    refused(&plus("[snapshot]\nworkers = 0\n"), &["from 1 to 64"]);
    refused(&plus("[snapshot]\nworkers = -1\n"), &["from 1 to 64"]);
    refused(
        &plus("[snapshot]\nworkers = \"many\"\n"),
        &["a whole number"],
    );
    refused(
        &plus("[snapshot]\nworkers = 99999999999999999999999\n"),
        &["snapshot.workers"],
    );
    refused(&plus("[metrics]\nlisten = \"here\"\n"), &["127.0.0.1:9464"]);
    refused(
        &plus("[target]\nendpoint = \"ftp://x\"\n"),
        &["target.endpoint"],
    );
    refused(
        &plus("[target]\nendpoint = 7\n"),
        &["target.endpoint", "text"],
    );
    refused(&plus("[sink]\nfence = true\n"), &["not in this version"]);
    refused(&plus("snapshot = 3\n[state.more]\n"), &["state"]);
    let nested = format!("{}{}", RIGHT, "[".repeat(100_000));
    refused(nested.as_bytes(), &["penstock.toml:9:"]);
    let deep = format!("{RIGHT}x = {}", "[".repeat(100_000));
    refused(deep.as_bytes(), &["penstock.toml:9:"]);
    let secret = RIGHT.replace("password_env = \"PATH\"", "password = \"hunter2\"");
    let output = with(secret.as_bytes(), &["check"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!text(&output).contains("hunter2"), "{}", text(&output));
}

#[test]
fn settings_that_are_no_file_are_refused() {
    for (path, word) in [
        ("/nowhere/penstock.toml", "--config"),
        ("/", "directory"),
        ("/dev/zero", "too large"),
        ("/dev/null", "`user` is missing"),
    ] {
        for command in [
            &["check"][..],
            &["run"],
            &["status"],
            &["dead-letters", "list"],
        ] {
            let output = penstock(path, command);
            let text = text(&output);
            assert_eq!(output.status.code(), Some(2), "{path}: {text}");
            assert!(text.contains(word), "{path}: {text}");
        }
    }
}

/// Without servers and without secrets: only what is asked for is needed.
#[test]
fn offline_commands_need_no_secrets() {
    let mut daemon = Daemon::between(9, "shop", "http://127.0.0.1:9", &things());
    daemon.set("source", "password_env", "\"PENSTOCK_NOT_SET\"");
    for command in [["check", "--offline"], ["explain", "--offline"]] {
        let output = daemon.command(&command);
        assert!(output.status.success(), "{command:?}: {}", text(&output));
    }
    fails(&mut daemon, &["check"], 2, &["password_env"]);
    daemon.set("source", "password_env", "\"PATH\"");
    daemon.set("source", "password_file", "\"/dev/zero\"");
    fails(&mut daemon, &["check"], 2, &["exclude each other"]);
}

#[tokio::test]
async fn ports_that_are_taken_are_told() {
    let database = filled(Server::shared(), 3).await;
    let target = Target::dynoxide();
    make_table(&target).await;
    let taken = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let mut daemon = Daemon::new(&database, &target, &things());
    daemon.set("metrics", "listen", &format!("\"127.0.0.1:{port}\""));
    fails(
        &mut daemon,
        &["run"],
        2,
        &["cannot listen", "[metrics] listen"],
    );
    daemon
        .set("metrics", "listen", "\"127.0.0.1:0\"")
        .set("target", "endpoint", "\"embedded\"")
        .set("target", "embedded_port", &port.to_string());
    let output = daemon.command(&["run"]);
    let text = text(&output);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{text}");
    assert!(
        text.contains("embedded_port") && text.contains(&port.to_string()),
        "{text}"
    );
}
