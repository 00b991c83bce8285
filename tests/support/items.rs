//! Items in one canonical form, whatever wrote them, and the comparison of two sets of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// Attribute name → its value as canonical DynamoDB JSON.
pub type Item = BTreeMap<String, String>;
/// Key (canonical JSON of the key attributes) → item.
pub type Items = BTreeMap<String, Item>;
/// Table name → items.
pub type Tables = BTreeMap<String, Items>;

/// An item from DynamoDB's JSON (`{"id":{"N":"7"},…}`), and its key.
pub fn canonical(item: &Map<String, Value>, keys: &[String]) -> (String, Item) {
    let item: Item = item
        .iter()
        .map(|(name, value)| (name.clone(), canonical_value(value).to_string()))
        .collect();
    let key: Vec<_> = keys
        .iter()
        .map(|name| {
            let value = item.get(name).map_or("(missing)", String::as_str);
            format!("{name}={value}")
        })
        .collect();
    (key.join(" "), item)
}

/// Sets sorted, numbers in one notation, maps by key.
fn canonical_value(value: &Value) -> Value {
    let Some((kind, inner)) = value.as_object().and_then(|object| object.iter().next()) else {
        panic!("not an attribute value: {value}");
    };
    let inner = match (kind.as_str(), inner) {
        ("N", Value::String(number)) => canonical_number(number).into(),
        ("NS", Value::Array(members)) => sorted(
            members
                .iter()
                .map(|m| canonical_number(m.as_str().unwrap_or_default())),
        ),
        ("SS" | "BS", Value::Array(members)) => sorted(
            members
                .iter()
                .map(|m| m.as_str().unwrap_or_default().to_owned()),
        ),
        ("L", Value::Array(values)) => values.iter().map(canonical_value).collect(),
        ("M", Value::Object(values)) => {
            let by_key: BTreeMap<_, _> = values
                .iter()
                .map(|(key, value)| (key.clone(), canonical_value(value)))
                .collect();
            Value::Object(by_key.into_iter().collect())
        }
        (_, other) => other.clone(),
    };
    json!({ kind: inner })
}

fn sorted(members: impl Iterator<Item = String>) -> Value {
    let mut members: Vec<_> = members.collect();
    members.sort();
    members.into()
}

/// A decimal number as `[-]digits[e exponent]` without zeros at either end: equal numbers have equal text.
///
/// Panics on text that is not a number: in an oracle that is a bug of the test.
pub fn canonical_number(text: &str) -> String {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().expect("an exponent")),
        None => (text, 0),
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    assert!(
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()),
        "not a number: {text:?}"
    );
    let trimmed = digits.trim_end_matches('0');
    let exponent = exponent - fraction.len() as i64 + (digits.len() - trimmed.len()) as i64;
    let trimmed = trimmed.trim_start_matches('0');
    match (trimmed, exponent) {
        ("", _) => "0".to_owned(),
        (_, 0) => format!("{sign}{trimmed}"),
        _ => format!("{sign}{trimmed}e{exponent}"),
    }
}

/// The difference in words, or nothing when both are the same. Shows the first `limit` of each kind for each table.
pub fn difference(expected: &Tables, actual: &Tables, limit: usize) -> Option<String> {
    let none = Items::new();
    let mut report = String::new();
    let names: std::collections::BTreeSet<_> = expected.keys().chain(actual.keys()).collect();
    for name in names {
        let want = expected.get(name).unwrap_or(&none);
        let have = actual.get(name).unwrap_or(&none);
        let missing: Vec<_> = want.keys().filter(|key| !have.contains_key(*key)).collect();
        let extra: Vec<_> = have.keys().filter(|key| !want.contains_key(*key)).collect();
        let different: Vec<_> = want
            .iter()
            .filter_map(|(key, item)| Some((key, item, have.get(key)?)))
            .filter(|(_, item, other)| item != other)
            .collect();
        if missing.is_empty() && extra.is_empty() && different.is_empty() {
            continue;
        }
        let _ = writeln!(
            report,
            "table {name}: {} items expected, {} there: {} missing, {} extra, {} different",
            want.len(),
            have.len(),
            missing.len(),
            extra.len(),
            different.len()
        );
        for key in missing.iter().take(limit) {
            let _ = writeln!(report, "  missing   {key}");
        }
        for key in extra.iter().take(limit) {
            let _ = writeln!(report, "  extra     {key}");
        }
        for (key, item, other) in different.iter().take(limit) {
            let _ = writeln!(report, "  different {key}");
            describe(item, other, &mut report);
        }
    }
    (!report.is_empty()).then_some(report)
}

fn describe(want: &Item, have: &Item, report: &mut String) {
    let names: std::collections::BTreeSet<_> = want.keys().chain(have.keys()).collect();
    for name in names {
        let (w, h) = (want.get(name), have.get(name));
        if w != h {
            let show = |value: Option<&String>| match value {
                Some(text) => text.chars().take(300).collect(),
                None => String::from("(absent)"),
            };
            let _ = writeln!(report, "    {name}: expected {}, is {}", show(w), show(h));
        }
    }
}

/// Panics with the difference, if there is one.
#[track_caller]
pub fn compare(expected: &Tables, actual: &Tables) {
    if let Some(report) = difference(expected, actual, 10) {
        panic!("both sides differ\n{report}");
    }
}

#[test]
fn equal_numbers_have_one_notation() {
    for (text, canonical) in [
        ("0", "0"),
        ("-0.00", "0"),
        ("007", "7"),
        ("100", "1e2"),
        ("1E+2", "1e2"),
        ("-12.340", "-1234e-2"),
        ("0.00012", "12e-5"),
    ] {
        assert_eq!(canonical_number(text), canonical, "{text}");
    }
}

#[test]
fn a_difference_names_table_key_and_attribute() {
    let tables = |items: Value| {
        let items = items.as_array().expect("items").iter();
        let items =
            items.map(|item| canonical(item.as_object().expect("an item"), &["id".to_owned()]));
        Tables::from([("t".to_owned(), items.collect())])
    };
    let expected = tables(json!([
        {"id": {"N": "1"}, "a": {"S": "x"}, "b": {"SS": ["p", "q"]}},
        {"id": {"N": "2"}},
        {"id": {"N": "3.0"}, "b": {"N": "10"}},
    ]));
    let actual = tables(json!([
        {"id": {"N": "1"}, "a": {"S": "y"}, "b": {"SS": ["q", "p"]}},
        {"id": {"N": "3"}, "b": {"N": "1e1"}},
        {"id": {"N": "4"}},
    ]));
    let report = difference(&expected, &actual, 10).expect("a difference");
    let expected_report = "\
table t: 3 items expected, 3 there: 1 missing, 1 extra, 1 different
  missing   id={\"N\":\"2\"}
  extra     id={\"N\":\"4\"}
  different id={\"N\":\"1\"}
    a: expected {\"S\":\"x\"}, is {\"S\":\"y\"}
";
    assert_eq!(report, expected_report);
    assert_eq!(difference(&expected, &expected, 10), None);
}
