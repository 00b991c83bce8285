//! `penstock report` of a migration that has been cut over: it says what the cutover's own report says, and what to clean up.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::terminal::text;

#[tokio::test(flavor = "multi_thread")]
async fn a_migrations_report_gathers_what_its_directory_tells() {
    let server = Server::start(&mysql::FAST);
    let database = things(&server).await;
    let target = Target::dynoxide();
    let mut daemon = ready(&database, &target.endpoint(), &contract(&["things"], "S"));
    let (status, nothing) = ask(&mut daemon, &["report"]);
    assert_eq!((status, &nothing["state"]), (0, &json!("nothing_yet")));
    daemon.start();
    daemon.phase("ready", PATIENCE).await;
    // A row whose item is changed behind our back: one comparison finds it, the next is clean.
    let key = json!({"id": {"N": "7"}});
    let lost = json!({"TableName": "things", "Key": key});
    target.call("DeleteItem", &lost).await.expect("deleted");
    let output = tokio::task::block_in_place(|| daemon.command(&["verify", "--repair"]));
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    for command in ["pause", "resume"] {
        let output = tokio::task::block_in_place(|| daemon.command(&[command]));
        assert!(output.status.success(), "{output:?}");
    }
    prove(&mut daemon).await;
    let (_, running) = ask(&mut daemon, &["report"]);
    assert_eq!(running["state"], "running", "{running:#}");
    assert_eq!(
        running["stages"].as_array().map(Vec::len),
        Some(3),
        "{running:#}"
    );
    let made = cut_over(&mut daemon, &[]);
    let cutover = &made["report"]["report"];
    daemon.phase("cut_over", PATIENCE).await;

    // Beside the daemon that serves it, and without one: the same.
    let (status, told) = ask(&mut daemon, &["report"]);
    assert_eq!(status, 0, "{told:#}");
    daemon.terminate(Duration::from_secs(10));
    let (_, again) = ask(&mut daemon, &["report"]);
    for key in [
        "state",
        "stages",
        "tables",
        "counts",
        "comparisons",
        "gates",
        "cutovers",
        "cleanup",
        "position",
    ] {
        assert_eq!(told[key], again[key], "{key}");
    }
    assert_eq!(told["state"], "cut_over");
    assert_eq!(told["position"], cutover["position"]["gtids"]);
    assert_eq!(told["plan_fingerprint"], cutover["plan_fingerprint"]);
    assert_eq!(told["gates"], cutover["gates"]);
    assert_eq!(told["counts"]["rows_copied"], 300);
    assert_eq!(
        told["counts"]["transactions"],
        cutover["counts"]["transactions"]
    );
    assert_eq!(told["counts"]["pauses"], 1);
    assert_eq!(told["tables"][0]["rows"], 300);
    let comparisons = told["comparisons"].as_array().expect("comparisons");
    let clean: Vec<_> = comparisons.iter().map(|c| c["clean"] == true).collect();
    assert_eq!(clean, [false, true], "{told:#}");
    assert_eq!(comparisons[0]["mismatches"], json!({"missing": 1}));

    // The stages follow each other, and last as long as the cutover's report says.
    let stages = told["stages"].as_array().expect("stages");
    let of = |name: &str| {
        stages
            .iter()
            .find(|stage| stage["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {told:#}"))
    };
    let times = &cutover["times"];
    let ms = |name: &str| times[name].as_u64().expect("a time");
    assert_eq!(
        of("cutover: drain")["seconds"],
        (ms("drained") - ms("position_read")) as f64 / 1000.0
    );
    assert_eq!(
        of("cutover, in all")["seconds"],
        (ms("cut_over") - ms("begun")) as f64 / 1000.0
    );
    let (copy, parallel) = (of("copy"), of("parallel run"));
    assert_eq!(copy["ended_unix_ms"], parallel["begun_unix_ms"]);
    assert_eq!(parallel["ended_unix_ms"], times["begun"]);
    assert!(
        copy["seconds"].as_f64() > Some(0.0) && parallel["seconds"].as_f64() > Some(0.0),
        "{told:#}"
    );

    // Who asked stands in a column of its own.
    let did = |action: &str| {
        let audit = told["audit"].as_array().expect("the log");
        let entry = audit.iter().find(|entry| entry["action"] == action);
        entry
            .unwrap_or_else(|| panic!("{action}: {audit:#?}"))
            .clone()
    };
    for action in ["pause", "resume", "verify", "cutover: cut over"] {
        let who = did(action)["who"].as_str().unwrap_or_default().to_owned();
        assert!(who.contains("uid "), "{action}: {told:#}");
    }
    assert_eq!(did("pause")["detail"], "");

    // What is left to do, with the names of this migration.
    let cleanup = told["cleanup"].to_string();
    let state = daemon.state().display().to_string();
    let lines = told["cleanup"].as_array().expect("a list");
    let at = |says: &str| {
        let said =
            |line: &serde_json::Value| line["how"].as_str().is_some_and(|how| how.contains(says));
        lines
            .iter()
            .position(said)
            .unwrap_or_else(|| panic!("{says}: {cleanup}"))
    };
    let order = [
        at("--reopen"),
        at("/audit.log"),
        at("systemctl disable"),
        at(&format!("remove {state}:")),
        at("apt purge penstock"),
        at("shred -u"),
    ];
    assert!(order.is_sorted(), "{order:?}: {cleanup}");
    for part in [
        "DROP USER 'root'",
        "binlog_expire_logs_seconds",
        "server_id",
        &state,
        "emit iam",
        "alarms",
        "super_read_only",
    ] {
        assert!(cleanup.contains(part), "{part} is not in {cleanup}");
    }
    let output = daemon.command(&["report"]);
    let markdown = text(&output.stdout);
    let position = cutover["position"]["gtids"].as_str().expect("a position");
    for part in [
        "# Migration: cut over",
        position,
        "| copy | ",
        "300 rows of 1 table |",
        "the reports of 2 comparisons are kept",
        "1 missing",
        "| cutover: cut over |",
        "- [ ] **the account in MySQL**",
        "## Gates, with the sink sealed",
    ] {
        assert!(markdown.contains(part), "{part} is not in {markdown}");
    }
}
