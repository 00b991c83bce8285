//! Golden tests: contracts against the tables of `tests/golden/plan/tables.txt`.
//!
//! `PENSTOCK_BLESS=1` writes what came out as what is expected.

mod cascades;
pub(crate) mod fixture;
mod joined_keys;
mod joined_proofs;
mod proofs;
mod properties;

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::contract::diagnostic::{Diagnostics, Severity};
use crate::contract::model::Contract;
use crate::schema::Catalog;

fn golden(part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/plan")
        .join(part)
}

pub(super) fn tables() -> Catalog {
    fixture::catalog(&fs::read_to_string(golden("tables.txt")).unwrap())
}

fn parsed(text: &str) -> (Option<Contract>, Diagnostics) {
    crate::contract::parse(text, false)
}

/// Compiles a text that must have no errors.
pub(super) fn compiled(text: &str, catalog: Option<&Catalog>) -> (Plan, Diagnostics) {
    let (contract, mut diagnostics) = parsed(text);
    let plan = compile(
        &contract.expect("a contract"),
        catalog,
        "shop",
        &Mapping::default(),
        &mut diagnostics,
    );
    match plan {
        Some(plan) => (plan, diagnostics),
        None => panic!("{}", shown(text, &diagnostics)),
    }
}

/// The findings, one by one: severity, code, the token that they point at, message, help.
fn shown(text: &str, diagnostics: &Diagnostics) -> String {
    let mut out = String::new();
    for d in &diagnostics.all {
        let severity = if d.severity == Severity::Error {
            "error"
        } else {
            "warning"
        };
        let token = text.get(d.place.span.clone()).unwrap_or("?");
        let token: String = token
            .chars()
            .take(60)
            .collect::<String>()
            .replace('\n', " ");
        out += &format!(
            "{severity}[{}] at {}\n  token: {token}\n  {}\n",
            d.code, d.place.pointer, d.message
        );
        if let Some(help) = &d.help {
            out += &format!("  help: {help}\n");
        }
    }
    out
}

fn cases(folder: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(golden(folder))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    paths
}

/// Compares with the expected text beside the case; gives what differs.
fn compare(path: &Path, extension: &str, found: &str) -> Option<String> {
    let expected = path.with_extension(extension);
    if std::env::var_os("PENSTOCK_BLESS").is_some() {
        fs::write(&expected, found).unwrap();
    }
    let wanted = fs::read_to_string(&expected).unwrap_or_default();
    (wanted != found).then(|| {
        format!(
            "{} differs\n--- expected\n{wanted}\n--- found\n{found}\n",
            expected.display()
        )
    })
}

#[test]
fn bad_contracts_are_refused_at_their_place() {
    let catalog = tables();
    let cases = cases("bad");
    assert!(cases.len() >= 35, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for path in cases {
        let text = fs::read_to_string(&path).unwrap();
        let (contract, mut diagnostics) = parsed(&text);
        let Some(contract) = contract.filter(|_| !diagnostics.has_errors()) else {
            wrong.push(format!(
                "{}: a wrong shape, not a wrong meaning\n{}",
                path.display(),
                shown(&text, &diagnostics)
            ));
            continue;
        };
        let plan = compile(
            &contract,
            Some(&catalog),
            "shop",
            &Mapping::default(),
            &mut diagnostics,
        );
        if plan.is_some() || !diagnostics.has_errors() {
            wrong.push(format!("{} compiles\n", path.display()));
        }
        wrong.extend(compare(&path, "txt", &shown(&text, &diagnostics)));
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

/// A table whose shape is wrong still says what it names, and that is looked up; nothing else is said of it.
#[test]
fn what_a_table_of_a_wrong_shape_names_is_looked_up_too() {
    let text = r#"{"tables": [
        {"table": "Orders", "type": "single-entity", "source_table": "orders", "pk": "missing_key", "attributes": [
            {"name": "id", "type": "X", "source_column": "idd"},
            {"name": "note", "type": "S", "source_column": "note"},
            {"name": "total", "type": "N", "source_column": "totl"}]},
        {"table": "Shop", "type": "multi-entity", "entities": [
            {"entity_type": "C", "source_table": "custmers", "pk_template": "C#{id}", "attributes": [5]}]},
        {"table": "Good", "type": "single-entity", "source_table": "orders", "pk": "id", "attributes": [
            {"name": "id", "type": "N", "source_column": "id"}]}]}"#;
    let (contract, mut diagnostics) = parsed(text);
    let shape = diagnostics.all.len();
    assert!(diagnostics.has_errors());
    let contract = contract.expect("what could be read");
    let catalog = tables();
    let mapping = Mapping::default();
    let plan = compile(
        &contract,
        Some(&catalog),
        "shop",
        &mapping,
        &mut diagnostics,
    );
    assert!(plan.is_none(), "a part of a contract is no contract");
    let found: Vec<_> = diagnostics.all[shape..]
        .iter()
        .map(|d| (d.code, &text[d.place.span.clone()]))
        .collect();
    let expected = [
        ("unknown-column", "\"idd\""),
        ("unknown-column", "\"totl\""),
        ("unknown-table", "\"custmers\""),
    ];
    let bare = |(code, token): &(_, &str)| (*code, token.trim_matches('"').to_owned());
    let found: Vec<_> = found.iter().map(bare).collect();
    let expected: Vec<_> = expected.iter().map(bare).collect();
    assert_eq!(found, expected, "{}", shown(text, &diagnostics));
}

#[test]
fn good_contracts_are_explained() {
    let catalog = tables();
    let mut wrong = Vec::new();
    for path in cases("good") {
        let text = fs::read_to_string(&path).unwrap();
        let (plan, diagnostics) = compiled(&text, Some(&catalog));
        let out = format!("{}\n{}", explain::text(&plan), shown(&text, &diagnostics));
        wrong.extend(compare(&path, "txt", &out));
        wrong.extend(compare(&path, "plan.json.txt", &explain::json(&plan)));
        wrong.extend(compare(&path, "mmd", &explain::mermaid(&plan)));
        let (offline, _) = compiled(&text, None);
        assert!(offline.offline && !plan.offline);
        wrong.extend(compare(&path, "offline.txt", &explain::text(&offline)));
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}
