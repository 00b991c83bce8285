//! docs/contract.md: each example gives the items that stand beside it, and whatever the format has, has an example.

use std::collections::BTreeSet;

use penstock::contract::format::{DateFormat, DateToken, NumberFormat};
use penstock::contract::format::{parse_date_format, parse_number_format};
use penstock::contract::spec::{CONTRACT, Shape, Spec, Tagged};
use serde_json::{Map, Value, json};

use super::blocks;
use crate::support::daemon::Daemon;
use crate::support::items::{self, Items, Tables};
use crate::support::mysql::Server;
use crate::support::target::Target;

/// What the page shows, in its order.
#[derive(Default)]
struct Page {
    /// The object around the tables.
    file: Value,
    sql: Vec<String>,
    tables: Vec<Value>,
    /// By the name of their table.
    items: Tables,
    /// What indexes hold: table, index, items.
    indexes: Vec<(String, String, Items)>,
}

fn examples() -> Page {
    let mut page = Page::default();
    for (kind, text) in blocks(&super::page("contract.md")) {
        let json =
            || serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
        match kind.as_str() {
            "sql" => {
                let statements = text.split(";\n").map(str::trim).filter(|s| !s.is_empty());
                page.sql.extend(statements.map(str::to_owned));
            }
            "json file" => page.file = json(),
            "json contract" => page.tables.push(json()),
            "json items" => {
                let (name, items) = of_last(&page.tables, &json());
                assert!(page.items.insert(name, items).is_none(), "twice:\n{text}");
            }
            kind => {
                if let Some(index) = kind.strip_prefix("json index ") {
                    let (name, items) = of_last(&page.tables, &json());
                    page.indexes.push((name, index.to_owned(), items));
                }
            }
        }
    }
    page
}

/// The name of the last table, and its items by their keys.
fn of_last(tables: &[Value], items: &Value) -> (String, Items) {
    let table = tables.last().expect("a contract before its items");
    let name = table["table"].as_str().expect("a name").to_owned();
    let items = items.as_array().expect("a list of items");
    (name, by_key(table, items))
}

/// Items by the key of their table.
fn by_key(table: &Value, items: &[Value]) -> Items {
    let key = |field: &str, default: &str| match &table[field] {
        Value::String(name) => Some(name.clone()),
        _ if table["pk"].is_null() => Some(default.to_owned()),
        _ => None,
    };
    let keys: Vec<String> = [key("pk", "PK"), key("sk", "SK")]
        .into_iter()
        .flatten()
        .collect();
    let object = |item: &Value| -> Map<String, Value> {
        item.as_object()
            .unwrap_or_else(|| panic!("not an item: {item}"))
            .clone()
    };
    items
        .iter()
        .map(|item| items::canonical(&object(item), &keys))
        .collect()
}

#[tokio::test]
async fn every_example_of_the_contract_gives_its_items() {
    let page = examples();
    assert!(page.tables.len() > 20 && page.indexes.len() > 1);
    assert_eq!(page.tables.len(), page.items.len());
    let mut contract = page.file;
    contract["tables"] = page.tables.clone().into();

    let database = Server::shared().database().await;
    let statements: Vec<&str> = page.sql.iter().map(String::as_str).collect();
    database.run(&statements).await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract.to_string());
    for command in [&["provision", "--yes"], &["run", "--until-caught-up"]] {
        let output = daemon.command(command);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    items::compare(&page.items, &target.scan_all().await);
    for (table, index, wanted) in page.indexes {
        let scan = json!({ "TableName": table, "IndexName": index });
        let answer = target.call("Scan", &scan).await.expect("a scan");
        let found = answer["Items"].as_array().expect("items");
        let made = page.tables.iter().find(|made| made["table"] == table);
        let found = by_key(made.expect("the table"), found);
        items::compare(&[(index.clone(), wanted)].into(), &[(index, found)].into());
    }
}

/// Every field of the format, every word of its closed lists and every form of a date or a number is in an example. What the
/// format gains has to be shown.
#[test]
fn every_construct_has_an_example() {
    let page = examples();
    let mut demanded = Demand::default();
    demanded.object(&CONTRACT, None);
    demanded.forms();
    let mut contract = page.file;
    contract["tables"] = page.tables.into();
    let mut shown = Demand::default();
    shown.object(&CONTRACT, Some(&contract));
    let missing: Vec<_> = demanded.all.difference(&shown.all).collect();
    assert!(missing.is_empty(), "without an example: {missing:#?}");
    let unknown: Vec<_> = shown.all.difference(&demanded.all).collect();
    assert!(
        unknown.is_empty(),
        "shown and not of the format: {unknown:?}"
    );
    assert!(demanded.all.len() > 120, "{}", demanded.all.len());
}

/// Constructs by name: all that the format has, or those of a value.
#[derive(Default)]
struct Demand {
    all: BTreeSet<String>,
}

impl Demand {
    fn note(&mut self, of: &str, what: &str) -> bool {
        self.all.insert(format!("{of}: {what}"))
    }

    /// The fields of an object that are there; without a value all of them.
    fn object(&mut self, spec: &'static Spec, value: Option<&Value>) {
        for field in spec.fields {
            let given = value.map(|value| &value[field.name]);
            if given.is_some_and(Value::is_null) {
                continue;
            }
            let new = self.note(spec.name, field.name);
            // The format ends: what was seen is not looked into again.
            if new || given.is_some() {
                self.shape(spec, field.name, &field.shape, given);
            }
        }
    }

    fn shape(
        &mut self,
        spec: &'static Spec,
        name: &str,
        shape: &'static Shape,
        value: Option<&Value>,
    ) {
        match shape {
            Shape::Word(words) => {
                for (word, _) in *words {
                    if value.is_none_or(|value| value == word) {
                        self.note(spec.name, &format!("{name} = {word}"));
                    }
                }
            }
            Shape::NameOrNames => {
                if value.is_none_or(Value::is_string) {
                    self.note(spec.name, &format!("{name}, one"));
                }
                if value.is_none_or(Value::is_array) {
                    self.note(spec.name, &format!("{name}, several"));
                }
            }
            Shape::Object(inner) => self.object(inner, value),
            Shape::Objects(inner) => {
                for element in elements(value) {
                    self.object(inner, element);
                }
            }
            Shape::Tagged(inner) => self.tagged(inner, value),
            Shape::TaggedList(inner) => {
                for element in elements(value) {
                    self.tagged(inner, element);
                }
            }
            Shape::Name
            | Shape::Names
            | Shape::Sql
            | Shape::Sqls
            | Shape::Template
            | Shape::Bool
            | Shape::Count(_)
            | Shape::Scalar
            | Shape::Texts
            | Shape::SqlMap => {}
            Shape::Text => self.format(spec.name, name, value),
        }
        // Keys of several entities are made by templates instead.
        let key = matches!(name, "pk" | "sk") && spec.field("entities").is_none();
        let several = |value: &Value| value.as_str().is_some_and(|name| name.contains('#'));
        if key && value.is_none_or(several) {
            self.note(spec.name, "a key of several attributes");
        }
    }

    fn tagged(&mut self, tagged: &'static Tagged, value: Option<&Value>) {
        for (kind, spec) in tagged.kinds {
            if value.is_none_or(|value| value["type"] == *kind) {
                self.note(tagged.name, &format!("type = {kind}"));
                self.object(spec, value);
            }
        }
    }

    /// The two small languages, where a value is written in one.
    fn format(&mut self, spec: &str, name: &str, value: Option<&Value>) {
        let Some(text) = value.and_then(Value::as_str) else {
            return;
        };
        if spec.contains("date-format") && name == "format" {
            let format = parse_date_format(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            if let DateFormat::Pattern(tokens) = &format {
                for token in tokens {
                    self.note("a date's token", token_name(token));
                }
            }
            self.note("a date", date_name(&format));
        } else if spec.contains("number-format") {
            let format = parse_number_format(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            self.note("a number", number_name(&format));
        }
    }

    /// What [`Demand::format`] must find.
    fn forms(&mut self) {
        use DateToken::{Day, Hour, Literal, Millis, Minute, Month, Second, Year};
        let dates = [
            DateFormat::Pattern(Vec::new()),
            DateFormat::Epoch,
            DateFormat::EpochMillis,
            DateFormat::Iso8601,
        ];
        for date in &dates {
            self.note("a date", date_name(date));
        }
        let tokens = [Year, Month, Day, Hour, Minute, Second, Millis];
        for token in tokens.iter().chain([&Literal(String::new())]) {
            self.note("a date's token", token_name(token));
        }
        let (integer_digits, decimals, width, zero) = (0, 0, 0, true);
        let decimals = NumberFormat::Decimals {
            integer_digits,
            decimals,
        };
        for number in [decimals, NumberFormat::Padded { width, zero }] {
            self.note("a number", number_name(&number));
        }
    }
}

// Whoever adds a form is told by the compiler that it needs a name here; add it to `forms`, too.

fn date_name(format: &DateFormat) -> &'static str {
    match format {
        DateFormat::Pattern(_) => "a pattern",
        DateFormat::Epoch => "epoch",
        DateFormat::EpochMillis => "epoch_ms",
        DateFormat::Iso8601 => "iso8601",
    }
}

fn token_name(token: &DateToken) -> &'static str {
    match token {
        DateToken::Year => "YYYY",
        DateToken::Month => "MM",
        DateToken::Day => "DD",
        DateToken::Hour => "HH",
        DateToken::Minute => "mm",
        DateToken::Second => "ss",
        DateToken::Millis => "SSS",
        DateToken::Literal(_) => "text",
    }
}

fn number_name(format: &NumberFormat) -> &'static str {
    match format {
        NumberFormat::Decimals { .. } => "decimals",
        NumberFormat::Padded { .. } => "padded",
    }
}

/// The elements of a list; of the format itself one that stands for all.
fn elements(list: Option<&Value>) -> Vec<Option<&Value>> {
    match list {
        None => vec![None],
        Some(list) => list.as_array().into_iter().flatten().map(Some).collect(),
    }
}
