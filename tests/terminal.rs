//! What a terminal sees, and what a program sees instead: every command, in pseudo-terminals and in pipes.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use clap::CommandFactory as _;
use penstock::cli::Cli;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::mysql::{self, Database, Server};
use crate::support::pty::{Pty, escapes};
use crate::support::stub::{Faults, Stub};
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(120);

/// When a command is tried, and with which arguments: those that change much come late.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    /// The tables are needed by all others.
    First,
    /// Nothing runs.
    Before,
    /// A daemon runs.
    Running,
    /// It holds the stream, then not any more.
    Held,
    LetGo,
    /// After all others.
    Last,
}

/// Every command that there is, and the arguments with which it is tried. A new one has its line here.
fn tried(path: &str) -> Option<(When, &'static str)> {
    use When::{Before, First, Held, Last, LetGo, Running};
    Some(match path {
        "check" | "explain" => (Before, ""),
        "provision" => (First, "--yes"),
        "demo" => (Before, "--mysql MYSQL --state FOLDER/demo-TRY --seconds 1"),
        "generate" => (Before, "FOLDER/generated"),
        "run" => (Before, "--until-caught-up"),
        "status" | "verify" | "rehearse" => (Running, ""),
        "pause" => (Held, ""),
        "resume" => (LetGo, ""),
        "resnapshot" => (Running, "people"),
        "dead-letters list" | "dead-letters retry" | "dead-letters export" => (Running, ""),
        "report" => (Running, ""),
        "cutover" => (Last, "--dry-run"),
        _ => return None,
    })
}

/// Commands that draw bars while they wait.
const DRAW: [&str; 8] = [
    "provision",
    "run",
    "verify",
    "rehearse",
    "resnapshot",
    "cutover",
    "demo",
    "dead-letters retry",
];

/// The commands that do something, each with those above it: `dead-letters list`.
fn leaves(command: &clap::Command, above: &str) -> Vec<String> {
    let below: Vec<_> = command
        .get_subcommands()
        .filter(|c| c.get_name() != "help")
        .collect();
    if below.is_empty() {
        return vec![above.trim().to_owned()];
    }
    let path = |c: &clap::Command| format!("{above} {}", c.get_name());
    below
        .into_iter()
        .flat_map(|c| leaves(c, &path(c)))
        .collect()
}

async fn people(database: &Database<'_>) {
    database
        .run(&[
            "CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(50) NOT NULL, weight FLOAT)",
            "INSERT INTO people VALUES (1, 'Ann', 61.5), (2, 'Bob', NULL), (3, '', 80)",
            "CREATE TABLE names (id INT PRIMARY KEY, name VARCHAR(20))",
            // Two rows without a valid item.
            "INSERT INTO names VALUES (1, 'x'), (2, ''), (3, '')",
        ])
        .await;
}

fn contract() -> String {
    let column = |name: &str, ty: &str, table: &str| json!({"name": name, "type": ty, "source_table": table, "source_column": name});
    let table = |name: &str, pk: &str, source: &str, attributes: Vec<Value>| {
        json!({"table": name, "type": "single-entity", "source_table": source, "pk": pk, "sk": null,
            "satisfies": ["x"], "estimated_item_size_bytes": 100, "attributes": attributes})
    };
    // A FLOAT as N is warned of: in colours, where there are any.
    let people = ["id", "name", "weight"];
    let types = ["N", "S", "N"];
    let attributes = people
        .iter()
        .zip(types)
        .map(|(name, ty)| column(name, ty, "people"));
    json!({"tables": [
        table("People", "id", "people", attributes.collect()),
        table("Names", "name", "names", vec![column("name", "S", "names")]),
    ]})
    .to_string()
}

/// A daemon that is not started, with its tables.
fn between(database: &Database<'_>, stub: &Stub) -> Daemon {
    let mut daemon = Daemon::between(
        database.server.port(),
        &database.name,
        &stub.url(),
        &contract(),
    );
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output();
    output.expect("penstock can be run")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// In a pipe: with `--format json` one document and nothing else, as text no escape.
fn in_pipes(daemon: &Daemon, path: &str, words: &[&str]) {
    for format in ["json", "text"] {
        let words: Vec<String> = words
            .iter()
            .map(|word| word.replace("TRY", format))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let arguments = [&["--format", format], words.as_slice()].concat();
        let mut command = daemon.prepared(&arguments);
        let output = run(command.env_remove("NO_COLOR"));
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let told = format!("{path} ({format}): {:?}\n{out}\n{err}", output.status);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{told}");
        assert!(
            !out.contains('\u{1b}') && !err.contains('\u{1b}'),
            "escapes: {told}"
        );
        if format == "json" {
            let documents = serde_json::Deserializer::from_str(&out).into_iter::<Value>();
            let documents: Result<Vec<_>, _> = documents.collect();
            let documents = documents.unwrap_or_else(|error| panic!("{error}: {told}"));
            assert_eq!(documents.len(), 1, "{told}");
            assert!(
                documents[0].is_object() || documents[0].is_array(),
                "{told}"
            );
        }
    }
}

/// On a terminal: with NO_COLOR no colours, and nothing moves but bars. The colours that there are without it.
fn on_a_terminal(daemon: &Daemon, path: &str, words: &[&str]) -> bool {
    let of = |color: &str| -> Vec<String> {
        words
            .iter()
            .map(|word| word.replace("TRY", color))
            .collect()
    };
    let prepared =
        |words: Vec<String>| daemon.prepared(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let command = prepared(of("plain"));
    let plain = Pty::run(&command).expect("a terminal");
    assert!(
        matches!(plain.status, Some(0 | 3)),
        "{path}: {:?} {}",
        plain.status,
        plain.text
    );
    let found = escapes(&plain.text);
    assert!(!found.contains('m'), "{path} is coloured: {:?}", plain.text);
    assert!(
        found.is_empty() || DRAW.contains(&path),
        "{path} moves: {:?}",
        plain.text
    );
    let mut command = prepared(of("colored"));
    command.env_remove("NO_COLOR");
    let colored = Pty::run(&command).expect("a terminal");
    escapes(&colored.text).contains('m')
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_speaks_json_in_a_pipe_and_keeps_to_no_color_on_a_terminal() {
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    people(&database).await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract());
    let mysql = format!("127.0.0.1:{}", server.port());
    let folder = daemon.path().display().to_string();
    let mut all: Vec<(When, String, String)> = leaves(&Cli::command(), "")
        .into_iter()
        .map(|path| {
            let known = tried(&path);
            let (when, more) = known
                .unwrap_or_else(|| panic!("`{path}` is new: this test must know how to try it"));
            let more = more.replace("MYSQL", &mysql).replace("FOLDER", &folder);
            (when, path, more)
        })
        .collect();
    all.sort();
    assert!(all.len() > 12, "{all:?}", all = all.len());
    let terminals = Pty::start(&Command::new("true")).is_some();
    let mut colored = Vec::new();
    for (when, path, more) in &all {
        if *when == When::Running && daemon.port() == 0 {
            daemon.start();
            daemon.caught_up(PATIENCE).await;
        }
        let line = format!("{path} {more}");
        let words: Vec<&str> = line.split_whitespace().collect();
        tokio::task::block_in_place(|| {
            in_pipes(&daemon, path, &words);
            if terminals && on_a_terminal(&daemon, path, &words) {
                colored.push(path.clone());
            }
        });
    }
    // What is never coloured could not be told from what keeps to NO_COLOR.
    assert!(
        !terminals || colored.contains(&"check".to_owned()),
        "{colored:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_status_is_drawn_in_place_and_ends_with_ctrl_c() {
    let database = Server::shared().database().await;
    people(&database).await;
    let stub = Stub::start(Faults::default());
    let mut daemon = between(&database, &stub);
    daemon.start();
    daemon.caught_up(PATIENCE).await;
    for no_color in [false, true] {
        let mut command = daemon.prepared(&["status", "--watch"]);
        if !no_color {
            command.env_remove("NO_COLOR");
        }
        let Some(mut pty) = Pty::start(&command) else {
            return;
        };
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        pty.interrupt();
        let seen = pty.end(Duration::from_secs(10));
        assert_eq!(seen.status, Some(0), "{:?}", seen.text);
        let found = escapes(&seen.text);
        // The cursor goes up over the last picture, and what was there is cleared.
        assert!(found.matches('A').count() >= 2, "{:?}", seen.text);
        assert_eq!(found.contains('m'), !no_color, "{:?}", seen.text);
        let (hidden, shown) = (
            seen.text.find("\u{1b}[?25l"),
            seen.text.rfind("\u{1b}[?25h"),
        );
        assert!(
            hidden.is_some() && shown > hidden,
            "the cursor comes back: {:?}",
            seen.text
        );
        for part in [
            "phase",
            "lag",
            "gates",
            "█",
            "penstock dead-letters list",
            "Ctrl-C",
        ] {
            assert!(seen.text.contains(part), "{part} is not in {:?}", seen.text);
        }
    }
    // A terminal that cannot move gets lines.
    let mut dumb = daemon.prepared(&["status", "--watch"]);
    dumb.env("TERM", "dumb");
    let mut pty = Pty::start(&dumb).expect("a terminal");
    tokio::time::sleep(Duration::from_secs(3)).await;
    pty.interrupt();
    let seen = pty.end(Duration::from_secs(10));
    assert_eq!(
        (seen.status, escapes(&seen.text)),
        (Some(0), String::new()),
        "{:?}",
        seen.text
    );
    daemon.terminate(Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_status_in_a_pipe_is_lines_and_goes_on_without_a_daemon() {
    let database = Server::shared().database().await;
    people(&database).await;
    let stub = Stub::start(Faults::default());
    let mut daemon = between(&database, &stub);
    let watch = |daemon: &Daemon, format: &str| {
        let mut command = daemon.prepared(&["--format", format, "status", "--watch"]);
        command
            .env_remove("NO_COLOR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command.spawn().expect("penstock can be run")
    };
    let watching = [watch(&daemon, "text"), watch(&daemon, "json")];
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Whoever watches does not keep it from starting.
    daemon.start();
    daemon.phase("ready", PATIENCE).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    daemon.terminate(Duration::from_secs(10));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut said = Vec::new();
    for child in watching {
        let ended = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(ended.expect("kill").success());
        let output = child.wait_with_output().expect("its end");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        said.push(text(&output.stdout));
    }
    let lines: Vec<&str> = said[0].lines().collect();
    assert!((3..30).contains(&lines.len()), "{lines:?}");
    assert!(lines[0].ends_with("no penstock runs here"), "{lines:?}");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("ready; 0.0 s behind")),
        "{lines:?}"
    );
    assert!(
        lines
            .last()
            .expect("a line")
            .ends_with("no penstock runs here"),
        "{lines:?}"
    );
    assert!(!said[0].contains('\u{1b}'), "{lines:?}");
    let documents: Vec<Value> = said[1]
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(documents[0]["running"], false, "{documents:?}");
    assert!(
        documents.iter().any(|d| d["phase"] == "ready"),
        "{documents:?}"
    );
}

/// A copy, a comparison and a drain that take a while, because DynamoDB does.
#[tokio::test(flavor = "multi_thread")]
async fn waits_have_bars_on_a_terminal() {
    let database = Server::shared().database().await;
    database
        .run(&[
            "CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(50) NOT NULL, weight FLOAT)",
            "INSERT INTO people WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, i, i FROM n",
            "CREATE TABLE names (id INT PRIMARY KEY, name VARCHAR(20))",
            "ANALYZE TABLE people, names",
        ])
        .await;
    let slow = Faults {
        latency: Duration::from_millis(300),
        ..Faults::default()
    };
    let stub = Stub::start(Faults::default());
    let mut daemon = between(&database, &stub);
    daemon.set("snapshot", "chunk_rows", "100");
    stub.set_faults(slow);
    let command = daemon.prepared(&["run", "--until-caught-up"]);
    let Some(seen) = Pty::run(&command) else {
        return;
    };
    assert_eq!(seen.status, Some(0), "{}", seen.text);
    assert!(seen.text.contains("rows copied: "), "{:?}", seen.text);
    assert!(seen.text.contains("copy       █"), "{:?}", seen.text);
    // The result stands on a line of its own, after the bar is gone.
    let last = seen.text.rfind("caught up after").expect("the result");
    assert!(
        seen.text[..last].ends_with("\u{1b}[2K") || seen.text[..last].ends_with('\n'),
        "{:?}",
        seen.text
    );
    assert!(
        seen.text.find("INFO").is_some(),
        "the log is there too: {:?}",
        seen.text
    );

    // A comparison, and a cutover that waits for a gate; elsewhere than on a terminal each step of it is a line.
    let seen = Pty::run(&daemon.prepared(&["verify"])).expect("a terminal");
    assert_eq!(seen.status, Some(0), "{}", seen.text);
    assert!(
        seen.text.contains("verify     █") && seen.text.contains("compared "),
        "{:?}",
        seen.text
    );
    let waiting = ["cutover", "--wait", "2"];
    let seen = Pty::run(&daemon.prepared(&waiting)).expect("a terminal");
    assert_eq!(seen.status, Some(3), "{}", seen.text);
    assert!(seen.text.contains("shut: "), "{:?}", seen.text);
    assert!(
        seen.text.contains("no cutover: the stream goes on"),
        "{:?}",
        seen.text
    );
    let output = tokio::task::block_in_place(|| daemon.command(&waiting));
    let said = text(&output.stderr);
    let steps = said.lines().filter(|line| line.starts_with("cutover: "));
    assert!(steps.count() >= 2 && !said.contains('\u{1b}'), "{said}");

    // What is in flight when Ctrl-C comes is drained before one's eyes.
    stub.set_faults(Faults {
        latency: Duration::from_secs(2),
        ..Faults::default()
    });
    let mut pty = Pty::start(&daemon.prepared(&["run"])).expect("a terminal");
    let begun = Instant::now();
    while !daemon.state().join("penstock.sock").exists() {
        assert!(begun.elapsed() < PATIENCE, "the daemon does not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    database.run(&["UPDATE people SET name = 'changed'"]).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    pty.interrupt();
    let seen = pty.end(Duration::from_secs(30));
    assert_eq!(seen.status, Some(0), "{}", seen.text);
    assert!(seen.text.contains("items written: "), "{:?}", seen.text);
}
