use std::io;

use clap::{CommandFactory, Parser};

use super::seams::{Area, Finding, Section, Severity, Step, TableStep};
use super::*;
use crate::admin::{LagSeconds, PositionStatus, Status, Stopped, TableStatus};
use crate::checkpoint::{
    Checkpoint, DeadLetter, DeadLetterChange, DeadLetterPage, Lineage, Store, TableState,
};
use crate::config::Problem;
use crate::phase::Phase;
use crate::position::Position;

fn parse(args: &[&str]) -> Cli {
    Cli::try_parse_from([&["penstock"], args].concat()).unwrap()
}

/// Settings in a directory of their own, and the arguments that name them.
fn with_settings(dir: &tempfile::TempDir) -> String {
    let file = dir.path().join("penstock.toml");
    let text = "[source]\nuser=\"u\"\npassword_env=\"PENSTOCK_TEST_NOT_SET\"\ndatabase=\"d\"\n[contract]\npath=\"c\"\n[state]\npath=\"state\"\n";
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
    let cli = parse(&["run", "--until-caught-up", "--config", "x.toml"]);
    assert_eq!(cli.config().to_str(), Some("x.toml"));
    assert!(matches!(
        cli.command,
        Command::Run(RunOptions {
            until_caught_up: true,
            resnapshot: false
        })
    ));
    let cli = parse(&["--format", "json", "dead-letters", "list", "--limit", "5"]);
    assert_eq!(cli.format, Format::Json);
    assert!(matches!(
        cli.command,
        Command::DeadLetters(DeadLetters::List {
            limit: 5,
            from: None
        })
    ));
    assert!(matches!(
        parse(&["demo", "--keep", "--mysql", "h:1", "--state", "s"]).command,
        Command::Demo(_)
    ));
}

#[test]
fn wrong_usage_is_status_2() {
    for args in [
        &["run", "--fast"][..],
        &["provision", "--emit", "terraform"],
        // What is printed for others is not made as well.
        &["provision", "--emit", "iam", "--yes"],
        &["provision", "--offline"],
        &["resnapshot"],
    ] {
        let error = Cli::try_parse_from([&["penstock"], args].concat()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{args:?}");
    }
    let outcome = dispatch(&parse(&["status", "--format", "mermaid"]));
    assert_eq!(output::status(&outcome), 2);
}

#[test]
fn a_cutover_is_made_or_taken_back_or_given_up_but_not_at_once() {
    let cli = parse(&["cutover", "--wait", "60", "--expect-read-only"]);
    let Command::Cutover(options) = cli.command else {
        panic!("not a cutover");
    };
    assert_eq!((options.wait, options.expect_read_only), (60, true));
    for more in ["--dry-run", "--expect-read-only", "--abort"] {
        let args = ["penstock", "cutover", "--reopen", more];
        let error = Cli::try_parse_from(args).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{more}");
    }
}

#[test]
fn the_exit_status_says_what_happened() {
    let error = |kind| Err(Failure::Error(Error::new(kind, "x")));
    let output = |kind| Err(Failure::Output(io::Error::from(kind)));
    for (outcome, wanted) in [
        (Ok(Answer::Done), 0),
        (Ok(Answer::Failed), 1),
        (Ok(Answer::Wrong), 2),
        (Ok(Answer::No), 3),
        (error(Kind::Usage), 2),
        (error(Kind::SourceUnavailable), 1),
        (error(Kind::PlanDiffers), 1),
        (Err(Failure::Settings(Vec::new())), 2),
        (output(io::ErrorKind::BrokenPipe), 0),
        (output(io::ErrorKind::StorageFull), 1),
    ] {
        assert_eq!(output::status(&outcome), wanted, "{outcome:?}");
    }
}

#[test]
fn failures_are_told_with_the_remedy_and_as_json() {
    let failure = Failure::Error(Error::new(Kind::SourcePurged, "binlog.7 is gone"));
    let text = output::failure_text(Format::Text, &failure);
    assert!(
        text.starts_with("error: binlog.7 is gone\n  help: "),
        "{text}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&output::failure_text(Format::Json, &failure)).unwrap();
    assert_eq!(json["error"]["kind"], "source_purged");
    let failure = Failure::Settings(vec![Problem::of_file("x".as_ref(), "it is not there")]);
    assert!(
        output::failure_text(Format::Text, &failure).ends_with("error: 1 problem in the settings")
    );
    let json: serde_json::Value =
        serde_json::from_str(&output::failure_text(Format::Json, &failure)).unwrap();
    assert_eq!(json["problems"][0]["severity"], "error");
}

#[test]
fn missing_and_wrong_settings_end_every_command() {
    for command in ["check", "explain", "provision", "run", "status"] {
        let outcome = dispatch(&parse(&[command, "--config", "/nowhere/penstock.toml"]));
        assert_eq!(output::status(&outcome), 2, "{command}");
    }
}

fn finding(severity: Severity) -> Finding {
    Finding {
        severity,
        message: "gtid_mode is OFF".into(),
        place: None,
        help: Some("SET GLOBAL gtid_mode = OFF_PERMISSIVE;\nSET GLOBAL gtid_mode = ON;".into()),
        rendered: None,
    }
}

#[test]
fn check_tells_each_area_and_decides() {
    let section = |area, findings| Section {
        area,
        subject: "x".into(),
        findings,
    };
    let sections = [
        section(Area::Contract, vec![]),
        section(Area::MySql, vec![finding(Severity::Error)]),
        section(Area::DynamoDb, vec![finding(Severity::Warning)]),
    ];
    let text = check::render(&sections);
    assert!(text.contains("contract  x  ok\n"), "{text}");
    assert!(text.contains("    SET GLOBAL gtid_mode = ON;\n"), "{text}");
    assert!(text.ends_with("errors: 1, warnings: 1\n"), "{text}");
    assert_eq!(check::answer(&sections, false), Answer::Failed);
    assert_eq!(check::answer(&sections[..1], true), Answer::Done);
    assert_eq!(check::answer(&sections[2..], false), Answer::Done);
    assert_eq!(check::answer(&sections[2..], true), Answer::Failed);
    let wrong = [
        sections[1].clone(),
        section(Area::Contract, vec![finding(Severity::Error)]),
    ];
    assert_eq!(check::answer(&wrong, false), Answer::Wrong);
}

#[test]
fn provision_says_what_it_did_and_did_not() {
    let step = |table: &str, step| TableStep {
        table: table.into(),
        step,
        detail: "PK (S)".into(),
    };
    let text = provision::render(&[step("a", Step::WouldCreate), step("long", Step::Differs)]);
    assert!(
        text.contains("a     missing  PK (S)\nlong  DIFFERS"),
        "{text}"
    );
    assert!(
        text.contains("--yes") && text.contains("never changes a table"),
        "{text}"
    );
}

fn status_of_a_daemon() -> Status {
    Status {
        version: "0.1.0".into(),
        uptime_seconds: 125,
        phase: Phase::Stopped,
        caught_up: false,
        position: PositionStatus {
            gtids: "uuid:1-5".into(),
            file: "binlog.000002".into(),
            offset: 42,
        },
        lag_seconds: LagSeconds {
            read: Some(0.25),
            apply: None,
        },
        snapshot: vec![
            TableStatus {
                table: "shop.orders".into(),
                state: TableState::Copying,
                rows: 50,
                estimated_rows: 200,
                open_chunks: 1,
            },
            TableStatus {
                table: "shop.a".into(),
                state: TableState::Done,
                rows: 7,
                estimated_rows: 9,
                open_chunks: 0,
            },
        ],
        paused: None,
        behind_transactions: None,
        in_flight: 0,
        dead_letters: 3,
        parity: None,
        gates: Vec::new(),
        stopped: Some(Stopped {
            kind: "table_changed".into(),
            reason: "ALTER TABLE".into(),
            remedy: "do this".into(),
        }),
        trouble: Vec::new(),
        target: "embedded".into(),
        checkpoint_age_seconds: Some(1.4),
    }
}

#[test]
fn status_is_aligned_for_people() {
    let text = status::render(&status_of_a_daemon());
    assert_eq!(
        text,
        "phase         stopped\n\
         stopped       ALTER TABLE\n\
         remedy        do this\n\
         lag           read 0.2 s, apply unknown\n\
         position      uuid:1-5 (binlog.000002:42)\n\
         target        embedded\n\
         dead letters  3\n\
         checkpoint    1 s ago\n\
         up            2 min (penstock 0.1.0)\n  \
           shop.orders  copying            50 rows of about 200 (25%)\n  \
           shop.a       done                7 rows\n"
    );
    assert_eq!(status::span(7_200.0), "2 h");
    assert_eq!(status::span(864_000.0), "10 days");
    assert_eq!(status::span(-1.0), "0 s");
}

#[test]
fn without_a_daemon_the_store_is_read_and_none_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let config = with_settings(&dir);
    let state = dir.path().join("state");
    for args in [&["status"][..], &["dead-letters", "list"]] {
        let outcome = dispatch(&parse(&[args, &["--config", &config]].concat()));
        assert_eq!(output::status(&outcome), 0, "{outcome:?}");
        assert!(!state.exists());
    }
    let (store, _) = Store::open(&state).unwrap();
    let letter = DeadLetter {
        projection: "orders".into(),
        source_key: "1".into(),
        target: "Shop".into(),
        reason: "the key is empty".into(),
        first_seen_unix_ms: 1,
        last_seen_unix_ms: 1,
        count: 1,
        position: String::new(),
    };
    let lineage = Lineage {
        server_uuid: "u".into(),
    };
    let checkpoint = Checkpoint::new(Position::default(), lineage, "f");
    store
        .commit(&checkpoint, &[DeadLetterChange::Put(letter)])
        .unwrap();
    // Held, and no socket: an error that names the holder, not an empty answer.
    let outcome = dispatch(&parse(&["status", "--config", &config]));
    assert!(
        matches!(&outcome, Err(Failure::Error(e)) if e.to_string().contains("another penstock"))
    );
    drop(store);
    for format in ["text", "json"] {
        for args in [&["status"][..], &["dead-letters", "list"]] {
            let all = [args, &["--config", &config, "--format", format]].concat();
            assert_eq!(output::status(&dispatch(&parse(&all))), 0);
        }
    }
}

#[test]
fn a_dead_letters_key_cannot_steer_the_terminal() {
    let page = DeadLetterPage {
        letters: vec![DeadLetter {
            projection: "orders".into(),
            source_key: "a\u{1b}[2Jb\n".into(),
            target: "Shop".into(),
            reason: "the key is empty".into(),
            first_seen_unix_ms: 1,
            last_seen_unix_ms: 1,
            count: 4,
            position: "uuid:9".into(),
        }],
        next: Some("64".into()),
        total: 9,
    };
    let text = dead_letters::render(&page);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(text.contains("seen 4 times"), "{text}");
    assert!(
        text.ends_with("1 of 9\nmore: penstock dead-letters list --from 64\n"),
        "{text}"
    );
    assert_eq!(
        dead_letters::render(&DeadLetterPage::default()),
        "no dead letters\n"
    );
}
