//! The documents say what is true: each example of docs/contract.md gives the items that stand beside it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::support::daemon::Daemon;
use crate::support::items::{self, Items, Tables};
use crate::support::mysql::Server;
use crate::support::root;
use crate::support::target::Target;

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

/// The key attributes of a table of a contract.
fn keys(table: &Value) -> Vec<String> {
    let names = [&table["pk"], &table["sk"]];
    names
        .into_iter()
        .filter_map(|key| key.as_str().map(str::to_owned))
        .collect()
}

fn expected(table: &Value, text: &str) -> Items {
    let keys = keys(table);
    let items: Vec<Map<String, Value>> = serde_json::from_str(text)
        .unwrap_or_else(|error| panic!("the items of {}: {error}", table["table"]));
    items
        .iter()
        .map(|item| items::canonical(item, &keys))
        .collect()
}

#[tokio::test]
async fn every_example_of_the_contract_gives_its_items() {
    let page = page("contract.md");
    let (mut sql, mut tables, mut wanted) = (Vec::new(), Vec::<Value>::new(), Tables::new());
    for (kind, text) in blocks(&page) {
        match kind.as_str() {
            "sql" => sql.extend(
                text.split(";\n")
                    .map(str::trim)
                    .filter(|s| !s.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>(),
            ),
            "json contract" => {
                let table = serde_json::from_str(&text)
                    .unwrap_or_else(|error| panic!("{error} in\n{text}"));
                tables.push(table);
            }
            "json items" => {
                let table = tables.last().expect("a contract before its items");
                let name = table["table"].as_str().expect("a name").to_owned();
                wanted.insert(name, expected(table, &text));
            }
            _ => {}
        }
    }
    assert!(tables.len() >= 15 && tables.len() == wanted.len());

    let database = Server::shared().database().await;
    let statements: Vec<&str> = sql.iter().map(String::as_str).collect();
    database.run(&statements).await;
    let target = Target::dynoxide();
    let contract = json!({ "tables": tables }).to_string();
    let mut daemon = Daemon::new(&database, &target, &contract);
    let made = daemon.command(&["provision", "--yes"]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let ran = daemon.command(&["run", "--until-caught-up"]);
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    items::compare(&wanted, &target.scan_all().await);
}

/// Every word that the format has for a kind of join, calculation or transformation has an example.
#[test]
fn every_construct_has_an_example() {
    let page = page("contract.md");
    let mut missing = BTreeMap::new();
    for tagged in [
        &penstock::contract::spec::JOIN,
        &penstock::contract::spec::CALCULATION,
        &penstock::contract::spec::TRANSFORMATION,
    ] {
        for (kind, _) in tagged.kinds {
            if !page.contains(&format!("\"type\": \"{kind}\"")) {
                missing.insert(*kind, tagged.name);
            }
        }
    }
    assert!(missing.is_empty(), "without an example: {missing:?}");
}
