//! The documents say what is true.

mod contract;
mod demo;
mod migration;

use crate::support::daemon::Daemon;
use crate::support::mysql::Server;
use crate::support::root;

/// The fenced blocks of a page: their first line's words, and their text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(kind), None) => open = Some((kind.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    blocks
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).expect("a page of docs/")
}

/// The reference of metrics is the table of metrics. PENSTOCK_BLESS=1 writes it.
#[test]
fn the_reference_of_metrics_is_the_table() {
    use std::fmt::Write as _;
    let mut text = String::from(
        "# Metrics\n\nWhat `/metrics` serves, made from the code by the tests. Labels are bounded: tables of the contract and closed lists of words,\n\
         never keys or positions. `NaN` is \"not known\"; 0 is said only where it is known to be 0.\n\n\
         | metric | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for metric in penstock::metrics::ALL {
        let kind = format!("{:?}", metric.shape).to_lowercase();
        let labels: Vec<String> = metric.labels.iter().map(|l| format!("`{l}`")).collect();
        let help = metric.help.replace('|', "\\|");
        writeln!(
            text,
            "| `{}` | {kind} | {} | {help} |",
            metric.name,
            labels.join(" ")
        )
        .expect("text");
    }
    let file = root().join("docs/metrics.md");
    if std::env::var_os("PENSTOCK_BLESS").is_some() {
        std::fs::write(&file, &text).expect("the page");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        written, text,
        "PENSTOCK_BLESS=1 writes docs/metrics.md anew"
    );
}

/// Links between the pages, and from the README to them, lead somewhere; so do the names of tests.
#[test]
fn links_lead_somewhere() {
    let mut wrong = Vec::new();
    let pages = std::fs::read_dir(root().join("docs")).expect("docs/");
    let mut files: Vec<_> = pages.map(|entry| entry.expect("an entry").path()).collect();
    files.push(root().join("README.md"));
    for file in files
        .iter()
        .filter(|f| f.extension().is_some_and(|e| e == "md"))
    {
        let text = std::fs::read_to_string(file).expect("a page");
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to = match path {
                "" => file.clone(),
                path => file.parent().expect("a folder").join(path),
            };
            let Ok(target) = std::fs::read_to_string(&to) else {
                if !to.exists() {
                    wrong.push(format!("{}: {link}", file.display()));
                }
                continue;
            };
            let has = |line: &str| line.starts_with('#') && anchor_of(line) == anchor;
            if !anchor.is_empty() && !target.lines().any(has) {
                wrong.push(format!("{}: {link}", file.display()));
            }
        }
    }
    let tests = std::fs::read_to_string(root().join("tests/main.rs")).expect("tests/main.rs");
    for line in page("faults.md")
        .lines()
        .filter(|line| line.starts_with("| "))
    {
        let last = line
            .trim_end_matches(" |")
            .rsplit('|')
            .next()
            .unwrap_or_default();
        for name in last.split('`').skip(1).step_by(2) {
            if !tests.contains(&format!("mod {name};")) {
                wrong.push(format!("faults.md: there is no test {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a page links to beside it, pictures included.
pub fn links(page: &str) -> impl Iterator<Item = &str> {
    page.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.contains("://"))
}

/// A heading's anchor, as forges make it.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_')
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The README's policy is the one that `--emit iam` prints, and it names what `preserve` needs beside it.
#[test]
fn the_readmes_policy_is_the_one_that_is_emitted() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README");
    let shown = blocks(&readme)
        .into_iter()
        .find(|(kind, text)| kind == "json" && text.contains("\"Statement\""))
        .expect("the policy")
        .1;
    let contract = blocks(&page("getting-started.md"))
        .into_iter()
        .find(|(kind, _)| kind == "json")
        .expect("the contract")
        .1;
    let mut daemon = Daemon::between(1, "shop", "http://127.0.0.1:1", &contract);
    let emitted = |daemon: &mut Daemon| {
        let output = daemon.command(&["provision", "--emit", "iam", "--offline"]);
        assert!(output.status.success(), "{output:?}");
        rights(&String::from_utf8_lossy(&output.stdout))
    };
    assert_eq!(rights(&shown), emitted(&mut daemon));
    daemon.set("mapping", "preserve", "[\"ttl\"]");
    for (_, actions) in emitted(&mut daemon) {
        for action in actions {
            assert!(readme.contains(&action), "{action}");
        }
    }
}

/// Names of statements with their actions.
fn rights(policy: &str) -> Vec<(String, Vec<String>)> {
    let policy: serde_json::Value = serde_json::from_str(policy).expect("a policy");
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let statements = policy["Statement"].as_array().expect("statements");
    let of = |statement: &serde_json::Value| {
        let actions = statement["Action"].as_array().expect("actions");
        let mut actions: Vec<String> = actions.iter().map(text).collect();
        actions.sort();
        (text(&statement["Sid"]), actions)
    };
    statements.iter().map(of).collect()
}

/// The README shows what `scripts/recordings` has recorded, and not a word else.
#[test]
fn the_readme_holds_the_recordings_as_they_were_made() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README");
    for name in ["demo", "own"] {
        let mark = format!("<!-- recorded: {name} -->\n```text\n");
        let shown = readme
            .split(&mark)
            .nth(1)
            .and_then(|rest| rest.split("```\n<!-- end -->").next());
        assert_eq!(
            shown,
            Some(recording(name).as_str()),
            "run scripts/recordings"
        );
    }
    for picture in readme
        .split("](docs/images/")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        assert!(
            root().join("docs/images").join(picture).is_file(),
            "{picture}"
        );
    }
}

fn recording(name: &str) -> String {
    let file = root()
        .join("docs/recordings")
        .join(name)
        .with_extension("txt");
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Every command line of the README and of the book is one that penstock takes.
#[test]
fn every_command_in_the_documents_is_one() {
    let mut pages = vec![root().join("README.md")];
    let docs = std::fs::read_dir(root().join("docs")).expect("docs/");
    pages.extend(
        docs.map(|entry| entry.expect("a page").path())
            .filter(|path| path.extension().is_some_and(|e| e == "md")),
    );
    let mut seen = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).expect("a page");
        // In what was recorded the commands stand behind a prompt.
        let shown = |kind: &str, line: &str| match kind {
            "sh" => Some(line.to_owned()),
            "text" => line.strip_prefix("$ ").map(str::to_owned),
            _ => None,
        };
        let lines: Vec<String> = blocks(&text)
            .iter()
            .flat_map(|(kind, block)| {
                block
                    .lines()
                    .filter_map(|line| shown(kind, line))
                    .collect::<Vec<_>>()
            })
            .collect();
        let inline = text.split('`').skip(1).step_by(2).map(str::to_owned);
        for line in lines.into_iter().chain(inline) {
            let Some(words) = command(&line) else {
                continue;
            };
            if let Err(error) = parses(&words) {
                panic!("{}: {line}\n{error}", page.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} commands were found");
}

/// Whether penstock takes these words; what is named without its arguments is named.
fn parses(words: &[String]) -> Result<(), clap::Error> {
    use clap::CommandFactory as _;
    match penstock::cli::Cli::command().try_get_matches_from(words) {
        Err(error) if error.kind() != clap::error::ErrorKind::MissingRequiredArgument => Err(error),
        _ => Ok(()),
    }
}

/// The words of a command line of penstock's, without what the shell and the reader take for themselves; names that stand for
/// something are something.
fn command(line: &str) -> Option<Vec<String>> {
    let line = line.trim().strip_prefix("penstock ")?;
    let line = line
        .split(" #")
        .next()?
        .split([';', '|', '>', '&', '…'])
        .next()?;
    let words = line.split_whitespace().map(|word| match word {
        "PERCENT" => "5".to_owned(),
        word => word.to_owned(),
    });
    Some(
        std::iter::once("penstock".to_owned())
            .chain(words)
            .collect(),
    )
}

/// The recorded run of one's own, once more: every line that it prints stands in the recording, whatever the numbers.
#[tokio::test(flavor = "multi_thread")]
async fn the_recorded_run_prints_today_what_was_recorded() {
    let server = Server::start(&[]);
    let mut conn = server.conn(None).await;
    let sql = std::fs::read_to_string(root().join("docs/recordings/shop.sql")).expect("the shop");
    for statement in sql.split(";\n").map(str::trim).filter(|s| !s.is_empty()) {
        mysql_async::prelude::Queryable::query_drop(&mut conn, statement)
            .await
            .expect(statement);
    }
    let start = page("getting-started.md");
    let contract = blocks(&start)
        .into_iter()
        .find(|(kind, _)| kind == "json")
        .expect("the contract")
        .1;
    let mut daemon = Daemon::between(server.port(), "shop", "embedded", &contract);
    daemon
        .without("target", "region")
        .set("metrics", "listen", "\"127.0.0.1:0\"")
        .set("source", "user", "\"penstock\"")
        .set("source", "password_env", "\"PENSTOCK_PASSWORD\"")
        .variable("PENSTOCK_PASSWORD", "only-for-a-look");
    let numberless = |text: &str| -> Vec<String> {
        let plain = text.lines().map(|line| {
            let mut out = String::new();
            for word in line.split_whitespace() {
                let known = word.chars().any(|c| c.is_ascii_digit())
                    || word.contains('/')
                    || word.ends_with(".json");
                out.push_str(if known { "#" } else { word });
                out.push(' ');
            }
            out
        });
        plain.filter(|line| !line.trim().is_empty()).collect()
    };
    let recorded = numberless(&recording("own"));
    let commands: Vec<String> = recording("own")
        .lines()
        .filter_map(|line| line.strip_prefix("$ penstock ").map(str::to_owned))
        .collect();
    assert_eq!(
        commands,
        ["check", "run --until-caught-up", "verify"],
        "in three commands"
    );
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        let output = tokio::task::block_in_place(|| daemon.command(&words));
        assert!(output.status.success(), "{command}: {output:?}");
        for line in numberless(&String::from_utf8_lossy(&output.stdout)) {
            assert!(
                recorded.contains(&line),
                "`penstock {command}` prints {line:?}: run scripts/recordings"
            );
        }
    }
}
