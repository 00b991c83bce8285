//! Whatever speaks against a cutover shuts a gate: reason, remedy, exit status 3, and the stream goes on.

use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{PATIENCE, Scene, answer, ask, between, cut_over, prove, things, write};
use crate::rules::{contract, equal};
use crate::support::daemon::Daemon;
use crate::support::eventually;
use crate::support::mysql::{self, Server};
use crate::support::stub::{Faults, Stub};
use crate::support::target::Target;

/// The gates that are shut, each of which tells reason and remedy.
fn shut(answer: &Value) -> Vec<&str> {
    let gates = answer["outcome"]["refused"]["shut"].as_array();
    let gates = gates.unwrap_or_else(|| panic!("not refused: {answer:#}"));
    gates
        .iter()
        .map(|gate| {
            for key in ["reason", "remedy"] {
                let text = gate[key].as_str().unwrap_or_default();
                assert!(text.len() > 10, "{key} of {gate:#}");
            }
            gate["name"].as_str().expect("a name")
        })
        .collect()
}

/// A cutover is refused by these gates and no others.
#[track_caller]
fn refused_by(daemon: &mut Daemon, more: &[&str], gates: &[&str]) -> Value {
    let (status, answer) = ask(daemon, &[&["cutover"], more].concat());
    assert_eq!(status, 3, "{answer:#}");
    assert_eq!(shut(&answer), gates, "{answer:#}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn each_gate_refuses_for_its_own_reason() {
    let server = Server::start(&mysql::FAST);
    let database = things(&server).await;
    let stub = Stub::start(Faults::default());
    let mut daemon = between(&database, &stub.url());
    daemon.set("cutover", "max_lag_s", "2");
    daemon.start();
    daemon.phase("ready", PATIENCE).await;

    refused_by(&mut daemon, &[], &["parity"]);
    prove(&mut daemon).await;

    // A row that DynamoDB refuses.
    stub.set_faults(Faults {
        invalid: Some("BAD".into()),
        ..Faults::default()
    });
    database
        .run(&["UPDATE things SET v = 'BAD' WHERE id = 1"])
        .await;
    daemon
        .reach("a dead letter", PATIENCE, |status| {
            status["dead_letters"] == 1
        })
        .await;
    daemon.caught_up(PATIENCE).await;
    refused_by(&mut daemon, &[], &["dead_letters"]);
    stub.set_faults(Faults::default());
    database
        .run(&["UPDATE things SET v = 'good' WHERE id = 1"])
        .await;
    daemon
        .reach("no dead letter", PATIENCE, |status| {
            status["dead_letters"] == 0
        })
        .await;

    // A target that takes nothing: the stream falls behind.
    stub.set_faults(Faults {
        throttle: 1.0,
        ..Faults::default()
    });
    database
        .run(&["UPDATE things SET v = 'late' WHERE id = 2"])
        .await;
    daemon
        .reach("lag", PATIENCE, |status| {
            status["lag_seconds"]["apply"].as_f64() > Some(3.0)
        })
        .await;
    let answer = refused_by(&mut daemon, &[], &["lag"]);
    assert!(answer["outcome"]["refused"]["shut"][0]["figure"].as_f64() > Some(2.0));
    // There is time to wait: the gate opens, and the cutover would be made.
    let waiting = daemon.spawn(&["--format", "json", "cutover", "--dry-run", "--wait", "100"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    stub.set_faults(Faults::default());
    let waited = tokio::task::block_in_place(|| waiting.wait_with_output());
    let (status, dry) = super::answer(&waited.expect("its output"));
    assert_eq!(status, 0, "{dry:#}");
    daemon.caught_up(PATIENCE).await;

    // Rows that may yet be committed.
    let mut prepared = database.conn().await;
    for statement in [
        "CREATE TABLE others (id INT PRIMARY KEY)",
        "XA START 'x'",
        "INSERT INTO others VALUES (1)",
        "XA END 'x'",
        "XA PREPARE 'x'",
    ] {
        prepared.query_drop(statement).await.expect(statement);
    }
    drop(prepared);
    refused_by(&mut daemon, &[], &["xa"]);
    database.run(&["XA ROLLBACK 'x'"]).await;

    // A server that takes writes, and one that does not.
    refused_by(&mut daemon, &["--expect-read-only"], &["read_only"]);

    // Writes that have not stopped.
    let until = CancellationToken::new();
    let writer = write(&database, 1, Duration::from_millis(5), until.clone());
    let (status, answer) = ask(&mut daemon, &["cutover", "--wait", "20"]);
    assert_eq!(status, 3, "{answer:#}");
    assert_eq!(shut(&answer), ["still"], "{answer:#}");
    until.cancel();
    assert!(writer.await.expect("the writer") > 0);
    daemon.phase("ready", PATIENCE).await;

    database.run(&["SET GLOBAL super_read_only = ON"]).await;
    cut_over(&mut daemon, &["--expect-read-only", "--wait", "60"]);
}

/// A source that is not heard any more: it hangs, or its heartbeats are lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_stale_heartbeat_refuses() {
    let server = Server::start(&mysql::FAST);
    let Scene {
        database: _database,
        target: _target,
        mut daemon,
    } = Scene::made(&server).await;
    // Heartbeats come every ten seconds.
    daemon.set("cutover", "max_heartbeat_age_s", "2");
    daemon.start();
    daemon.phase("ready", PATIENCE).await;
    prove(&mut daemon).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let refused = eventually("the heartbeat is stale", PATIENCE, async || {
        let (status, answer) = ask(&mut daemon, &["cutover", "--dry-run"]);
        (status == 3).then_some(answer)
    })
    .await;
    let gates = refused["gates"].as_array().expect("gates");
    let shut: Vec<&Value> = gates.iter().filter(|gate| gate["open"] == false).collect();
    assert_eq!(shut.len(), 1, "{shut:#?}");
    assert_eq!(shut[0]["name"], "heartbeat");
    refused_by(&mut daemon, &[], &["heartbeat"]);
}

/// A difference shuts the gate, whether the full comparison saw it or it came after; so does its repair, until the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_mismatch_refuses_until_a_full_comparison_is_clean() {
    let server = Server::start(&mysql::FAST);
    let Scene {
        database,
        target,
        mut daemon,
    } = Scene::proved(&server).await;
    database
        .run(&["UPDATE things SET v = 'new' WHERE id = 7"])
        .await;
    daemon.caught_up(PATIENCE).await;
    let planted = json!({"id": {"N": "7"}, "v": {"S": "wrong"}});
    target.put("things", planted).await.expect("planted");
    let answer = refused_by(&mut daemon, &["--wait", "20"], &["parity"]);
    let gate = &answer["outcome"]["refused"]["shut"][0];
    assert_eq!(gate["figure"], 1.0, "{gate:#}");
    daemon.phase("ready", PATIENCE).await;
    for (arguments, status) in [(&["verify"][..], 3), (&["verify", "--repair"], 3)] {
        let output = tokio::task::block_in_place(|| daemon.command(arguments));
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        refused_by(&mut daemon, &[], &["parity"]);
    }
    prove(&mut daemon).await;
    cut_over(&mut daemon, &["--wait", "20"]);
    equal(&database, &target, &["things"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_stream_refuses() {
    let server = Server::start(&mysql::FAST);
    let Scene {
        database: _database,
        target: _target,
        mut daemon,
    } = Scene::proved(&server).await;
    let paused = tokio::task::block_in_place(|| daemon.command(&["pause"]));
    assert!(paused.status.success(), "{paused:?}");
    refused_by(&mut daemon, &[], &["stream"]);
    daemon.phase("paused", PATIENCE).await;
    let resumed = tokio::task::block_in_place(|| daemon.command(&["resume"]));
    assert!(resumed.status.success(), "{resumed:?}");
    daemon.phase("ready", PATIENCE).await;
    cut_over(&mut daemon, &["--wait", "20"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cutover_that_waits_can_be_given_up() {
    let server = Server::start(&mysql::FAST);
    let Scene {
        database,
        target: _target,
        mut daemon,
    } = Scene::ready(&server).await;
    let (status, error) = ask(&mut daemon, &["cutover", "--abort"]);
    assert_eq!(status, 2, "{error:#}");
    // Nobody has compared both sides: it waits.
    let waiting = daemon.spawn(&["--format", "json", "cutover", "--wait", "600"]);
    let aborted = eventually("it can be given up", PATIENCE, async || {
        let (status, answer) = ask(&mut daemon, &["cutover", "--abort"]);
        (status == 0).then_some(answer)
    });
    assert_eq!(aborted.await["aborted"], true);
    let ended = tokio::task::block_in_place(|| waiting.wait_with_output());
    let (status, told) = answer(&ended.expect("its output"));
    assert_eq!((status, &told["outcome"]), (3, &Value::from("aborted")));
    // Ctrl-C gives it up, too: none is under way afterwards.
    let waiting = daemon.spawn(&["cutover", "--wait", "600"]);
    eventually("another one cannot begin", PATIENCE, async || {
        // A look holds the place for a moment, too: the one that waits must come to it.
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        let (status, _) = ask(&mut daemon, &["cutover", "--dry-run"]);
        (status == 2).then_some(())
    })
    .await;
    let pid = waiting.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(sent.is_ok_and(|status| status.success()));
    let ended = tokio::task::block_in_place(|| waiting.wait_with_output());
    assert_eq!(ended.expect("its output").status.code(), Some(1));
    eventually("none is under way", PATIENCE, async || {
        let (status, _) = ask(&mut daemon, &["cutover", "--dry-run"]);
        (status == 3).then_some(())
    })
    .await;
    database
        .run(&["UPDATE things SET v = 'on' WHERE id = 1"])
        .await;
    daemon.phase("ready", PATIENCE).await;
    daemon.caught_up(PATIENCE).await;
}

/// A replica that does not apply stands still as well as a server that takes no writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_a_replica_behind_its_own_source_refuses() {
    let primary = Server::start(&mysql::FAST);
    let server = Server::start(&[mysql::FAST[0], mysql::FAST[1], "--server-id=4711"]);
    let follow = format!(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {}, SOURCE_USER = 'root', SOURCE_AUTO_POSITION = 1, SOURCE_SSL = 1",
        primary.port()
    );
    let mut replica = server.conn(None).await;
    for statement in [follow.as_str(), "START REPLICA"] {
        replica.query_drop(statement).await.expect(statement);
    }
    let database = things(&primary).await;
    eventually("the replica has the rows", PATIENCE, async || {
        let count = format!("SELECT COUNT(*) FROM `{}`.things", database.name);
        let found: Option<u32> = replica.query_first(count).await.ok()?;
        (found == Some(300)).then_some(())
    })
    .await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::between(
        server.port(),
        &database.name,
        &target.endpoint(),
        &contract(&["things"], "S"),
    );
    let provisioned = tokio::task::block_in_place(|| daemon.command(&["provision", "--yes"]));
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    daemon.phase("ready", PATIENCE).await;
    prove(&mut daemon).await;
    let stop = "STOP REPLICA SQL_THREAD";
    replica.query_drop(stop).await.expect(stop);
    database.run(&["DELETE FROM things WHERE id < 10"]).await;
    refused_by(&mut daemon, &[], &["replica"]);
    let start = "START REPLICA SQL_THREAD";
    replica.query_drop(start).await.expect(start);
    eventually("the replica has applied it", PATIENCE, async || {
        let count = format!("SELECT COUNT(*) FROM `{}`.things", database.name);
        let found: Option<u32> = replica.query_first(count).await.ok()?;
        (found == Some(291)).then_some(())
    })
    .await;
    daemon.caught_up(PATIENCE).await;
    let (status, dry) = ask(&mut daemon, &["cutover", "--dry-run", "--wait", "60"]);
    assert_eq!(status, 0, "{dry:#}");
    // Another server of the same history: what was written may stem from transactions that it never had.
    daemon.terminate(Duration::from_secs(10));
    daemon.set("source", "port", &primary.port().to_string());
    daemon.start();
    daemon.phase("ready", PATIENCE).await;
    let status = daemon.status().await.expect("a status");
    assert_eq!(status["parity"]["owed"], "another_server", "{status:#}");
    refused_by(&mut daemon, &["--wait", "5"], &["parity"]);
    prove(&mut daemon).await;
    cut_over(&mut daemon, &["--wait", "60"]);
    equal(&database, &target, &["things"]).await;
}
