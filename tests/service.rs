//! The daemon as systemd runs it: what it tells, how it logs, and what its unit promises.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::rules;
use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::stub::{Faults, Stub};
use crate::support::{eventually, missing, root};
use crate::workload;

const PATIENCE: Duration = Duration::from_secs(90);

/// A daemon between MySQL and a stub, told where the service manager listens.
async fn service(database: &Database<'_>, stub: &Stub, watchdog_usec: &str) -> (Daemon, Manager) {
    workload::fill(database, 50).await;
    let mut daemon = Daemon::between(
        database.server.port(),
        &database.name,
        &stub.url(),
        &workload::contract(),
    );
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    let path = daemon.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_nonblocking(true).expect("a non-blocking socket");
    daemon.variable("NOTIFY_SOCKET", &path.display().to_string());
    daemon.variable("WATCHDOG_USEC", watchdog_usec);
    let told = Vec::new();
    (daemon, Manager { socket, told })
}

/// What a service manager has been told.
struct Manager {
    socket: UnixDatagram,
    told: Vec<(Instant, String)>,
}

impl Manager {
    fn read(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            self.told.push((Instant::now(), text));
        }
    }

    /// Waits for a message with this in it; where it stands.
    async fn hears(&mut self, what: &str) -> usize {
        eventually(what, PATIENCE, async || {
            self.read();
            self.told.iter().position(|(_, text)| text.contains(what))
        })
        .await
    }

    fn count(&self, what: &str) -> usize {
        self.told.iter().filter(|(_, text)| text == what).count()
    }
}

#[tokio::test]
async fn systemd_is_told_of_readiness_state_life_and_the_end() {
    let database = Server::shared().database().await;
    let stub = Stub::start(Faults::default());
    let (mut daemon, mut manager) = service(&database, &stub, "1500000").await;
    daemon.start();
    let starting = manager.hears("STATUS=starting").await;
    let ready = manager.hears("READY=1\nSTATUS=").await;
    assert!(starting < ready, "{:?}", manager.told);
    // Ready means that it serves.
    assert_eq!(daemon.get("/healthz").await.status, 200);
    daemon.caught_up(PATIENCE).await;
    let caught_up = manager.hears("STATUS=ready; 0.0 s behind").await;
    assert!(ready < caught_up);
    let before = manager.count("WATCHDOG=1");
    eventually("three more signs of life", PATIENCE, async || {
        manager.read();
        (manager.count("WATCHDOG=1") >= before + 3).then_some(())
    })
    .await;
    daemon.terminate(PATIENCE);
    let stopping = manager.hears("STOPPING=1").await;
    let words: Vec<_> = manager.told[stopping..]
        .iter()
        .map(|(_, text)| text)
        .collect();
    assert_eq!(words.len(), 1, "the last word: {words:?}");
}

/// A side that is away is no reason to be killed, and the line of state says which one it is.
#[tokio::test]
async fn a_daemon_that_waits_lives_and_one_that_stopped_tells_why() {
    let database = Server::shared().database().await;
    let stub = Stub::start(Faults::default());
    let (mut daemon, mut manager) = service(&database, &stub, "1500000").await;
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    stub.set_faults(Faults {
        internal: 1.0,
        ..Faults::default()
    });
    database
        .run(&["UPDATE people SET name = CONCAT(name, '!') WHERE id < 10"])
        .await;
    let waits = manager.hears("DynamoDB has taken no writes for").await;
    eventually("signs of life while it waits", PATIENCE, async || {
        manager.read();
        let since = manager.told[waits..].iter();
        (since.filter(|(_, text)| text == "WATCHDOG=1").count() >= 3).then_some(())
    })
    .await;
    stub.set_faults(Faults::default());
    daemon.caught_up(PATIENCE).await;
    database
        .run(&["ALTER TABLE people ADD COLUMN more INT"])
        .await;
    let stopped = manager.hears("STATUS=stopped; table_changed: ").await;
    eventually(
        "signs of life of a daemon that stopped",
        PATIENCE,
        async || {
            manager.read();
            let since = manager.told[stopped..].iter();
            (since.filter(|(_, text)| text == "WATCHDOG=1").count() >= 3).then_some(())
        },
    )
    .await;
}

/// Settings without a password are warned of: once for the journal, once for whoever reads JSON.
#[test]
fn the_journal_gets_priorities_and_others_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = "[source]\nuser=\"u\"\nport=1\ndatabase=\"d\"\n[contract]\npath=\"c\"\n[state]\npath=\"s\"\n";
    std::fs::write(folder.path().join("penstock.toml"), settings).expect("the settings");
    let run = |journal: bool| {
        let path = folder.path().join("log");
        let log = File::create(&path).expect("a log");
        let meta = log.metadata().expect("its numbers");
        let ino = if journal { meta.ino() } else { meta.ino() + 1 };
        Command::new(env!("CARGO_BIN_EXE_penstock"))
            .arg("run")
            .current_dir(folder.path())
            .env("JOURNAL_STREAM", format!("{}:{ino}", meta.dev()))
            .env_remove("PENSTOCK_CONFIG")
            .stdin(Stdio::null())
            .stderr(log)
            .status()
            .expect("penstock can be run");
        let text = std::fs::read_to_string(&path).expect("the log");
        text.lines().next().unwrap_or_default().to_owned()
    };
    let line = run(true);
    assert!(line.starts_with("<4>there is no password"), "{line}");
    let line = run(false);
    assert!(line.starts_with('{') && line.contains("\"WARN\""), "{line}");
}

/// `systemd-analyze ARGUMENTS` on the unit as it would be here: its program is the one that was built.
fn analyze(arguments: &[&str]) -> Option<String> {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        missing("systemd-analyze", "systemd");
        return None;
    }
    let unit =
        std::fs::read_to_string(root().join("packaging/penstock.service")).expect("the unit");
    let unit = unit.replace("/usr/bin/penstock", env!("CARGO_BIN_EXE_penstock"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("penstock.service");
    std::fs::write(&path, unit).expect("the unit");
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg(&path)
        .output();
    let output = output.expect("systemd-analyze can be run");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(
        output.status.success(),
        "systemd-analyze {arguments:?}: {said}"
    );
    Some(said)
}

#[test]
fn the_unit_is_sound_and_may_do_little() {
    // What it exposes, times ten.
    let Some(said) = analyze(&["security", "--no-pager", "--offline=true", "--threshold=15"])
    else {
        return;
    };
    assert!(said.contains("Overall exposure level"), "{said}");
    let said = analyze(&["verify", "--man=no"]).unwrap_or_default();
    assert_eq!(said.trim(), "", "systemd-analyze verify says something");
}

/// What happens in a transaction is told under its GTID, at debug and not before; no values of rows in either.
#[tokio::test]
async fn a_transaction_has_its_span_at_debug_only() {
    let database = Server::shared().database().await;
    database
        .run(&["CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(50))"])
        .await;
    let stub = Stub::start(Faults::default());
    for debug in [false, true] {
        let mut daemon = rules::ready(
            &database,
            &stub.url(),
            &rules::contract(&["people"], "S").replace("\"v\"", "\"name\""),
        );
        if debug {
            daemon.variable("PENSTOCK_LOG", "penstock=debug");
        }
        daemon.start();
        daemon.caught_up(PATIENCE).await;
        database
            .run(&[&format!("REPLACE INTO people VALUES (1, 'SECRET {debug}')")])
            .await;
        daemon.caught_up(PATIENCE).await;
        let log = daemon.log();
        let spans = log
            .lines()
            .filter(|line| line.contains("\"name\":\"transaction\""));
        let spans: Vec<&str> = spans.filter(|line| line.contains("\"gtid\":\"")).collect();
        assert_eq!(spans.is_empty(), !debug, "{log}");
        assert!(!log.contains("SECRET"), "{log}");
        daemon.terminate(Duration::from_secs(10));
    }
}
