//! Every function and operator against the server: random expressions over a table of every type, each evaluated by us
//! over the rows that MySQL evaluated it over.
//!
//! `PENSTOCK_SEED` replays a run, `PENSTOCK_SECONDS` lets one go on for so long.

mod aggregates;
mod check;
mod coded;
mod generate;
mod known;
mod table;
mod values;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fastrand::Rng;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use penstock::change::Value;
use penstock::plan::FUNCTIONS;
use penstock::schema::{Catalog, Column};
use penstock::source::decode::text as reader;

use crate::invented::inside::server;
use crate::support::mysql::Database;
use check::{Compiled, Outcome};

const ROWS: usize = 400;
/// Expressions of each template in a round.
const EACH: usize = 30;
/// So many values of each function and operator are compared at least: its own result, not NULL and no error.
const LEAST: usize = 2_000;
/// At most so many tables are filled until they are.
const MOST_ROUNDS: usize = 5;
/// Expressions in one SELECT.
const IN_ONE: usize = 20;
/// Rows for which an expression is run alone where the server refuses a SELECT over all.
const ALONE: usize = 6;

/// What a run has seen.
#[derive(Default)]
struct Tally {
    values: usize,
    /// Values compared as members of documents.
    in_documents: usize,
    expressions: usize,
    refused: usize,
    /// Values compared that are not NULL, by the name of what was tested, and by the function whose own result they are.
    by_name: BTreeMap<&'static str, usize>,
    by_function: BTreeMap<&'static str, usize>,
    differences: Vec<String>,
}

struct Case {
    name: &'static str,
    /// What the whole expression calls.
    function: Option<&'static str>,
    text: String,
    compiled: Compiled,
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_give_what_the_server_gives() {
    let seed = crate::support::seed();
    let seconds = crate::support::seconds(0);
    let until = Instant::now() + Duration::from_secs(seconds);
    // Long runs look for what deep nesting brings to light.
    let depth = usize::from(seconds == 0);
    let database = Database::create(server()).await;
    let hashes = knows_md5(&mut database.conn().await).await;
    let mut random = Rng::with_seed(seed);
    let mut tally = Tally::default();
    for rounds in 1.. {
        round(&database, depth, &mut random, &mut tally).await;
        // By chance a function may be NULL or fail more often than usual.
        let enough = tally.few(hashes).is_empty() || rounds >= MOST_ROUNDS;
        if (Instant::now() >= until && enough) || tally.differences.len() > 20 {
            break;
        }
    }
    println!(
        "{} values of {} expressions compared, {} in documents, {} expressions refused",
        tally.values, tally.expressions, tally.in_documents, tally.refused
    );
    let rarest = tally.by_function.iter().chain(&tally.by_name);
    println!("rarest: {:?}", rarest.min_by_key(|(_, count)| **count));
    let few = tally.few(hashes);
    assert!(
        few.is_empty(),
        "PENSTOCK_SEED={seed}: of {few:?} fewer than {LEAST} values compared"
    );
    assert!(
        tally.differences.is_empty(),
        "PENSTOCK_SEED={seed}\n{}",
        tally.differences.join("\n")
    );
}

impl Tally {
    /// What was compared too rarely: every function that a contract may call, and every template's name.
    fn few(&self, hashes: bool) -> Vec<(&'static str, usize)> {
        let functions = FUNCTIONS.iter().filter(|name| hashes || **name != "MD5");
        let functions = functions.map(|name| (*name, self.by_function.get(name)));
        let names = generate::TEMPLATES.iter().map(|(name, _)| *name);
        let names = names.filter(|name| hashes || *name != "md5");
        let names = names.map(|name| (name, self.by_name.get(name)));
        let counted = functions.chain(names);
        let counted = counted.map(|(name, count)| (name, count.copied().unwrap_or(0)));
        counted.filter(|(_, count)| *count < LEAST).collect()
    }
}

/// Whether the server has MD5: MySQL 9.6 and later have it as a component.
async fn knows_md5(conn: &mut Conn) -> bool {
    // A second time it is refused.
    let _ = conn
        .query_drop("INSTALL COMPONENT 'file://component_classic_hashing'")
        .await;
    let known = rows(conn, "SELECT MD5('')").await.is_ok();
    if !known {
        crate::support::missing("component_classic_hashing", "mysql");
    }
    known
}

/// A new table of random rows, and every template over it.
async fn round(database: &Database<'_>, depth: usize, random: &mut Rng, tally: &mut Tally) {
    let mut conn = database.conn().await;
    fill(&mut conn, random).await;
    let columns = table::columns();
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let cells = cells(&mut conn, &columns).await;
    let values = values(&columns, &cells);
    let catalog = table::catalog();
    let mut cases = Vec::new();
    for &(name, template) in generate::TEMPLATES {
        let found = (0..EACH).filter_map(|_| case(name, template, depth, random, &catalog, tally));
        cases.extend(found);
    }
    for batch in cases.chunks(IN_ONE) {
        compare(&mut conn, batch, &values, &names, tally).await;
    }
}

/// All rows of the table as the snapshot reads them.
async fn cells(conn: &mut Conn, columns: &[Column]) -> Vec<Vec<Option<Vec<u8>>>> {
    let list: Vec<String> = columns.iter().map(reader::select_expression).collect();
    let select = format!("SELECT {} FROM v ORDER BY id", list.join(", "));
    run(conn, "SET character_set_results = NULL").await;
    let cells = rows(conn, &select).await.expect("the rows");
    run(conn, "SET NAMES utf8mb4").await;
    cells
}

fn values<'c>(columns: &[Column], cells: &'c [Vec<Option<Vec<u8>>>]) -> Vec<Vec<Value<'c>>> {
    let value = |(column, cell): (&Column, &'c Option<Vec<u8>>)| match cell {
        None => Value::Null,
        Some(bytes) => reader::value(column, bytes).expect("a value"),
    };
    let row = |row: &'c Vec<Option<Vec<u8>>>| columns.iter().zip(row).map(value).collect();
    cells.iter().map(row).collect()
}

/// One expression of a template; refusals are counted.
fn case(
    name: &'static str,
    template: &'static str,
    depth: usize,
    random: &mut Rng,
    catalog: &Catalog,
    tally: &mut Tally,
) -> Option<Case> {
    for _ in 0..10 {
        let text = generate::expression(random, template, depth);
        match check::compile(&text, catalog) {
            Ok(compiled) => {
                return Some(Case {
                    name,
                    function: generate::called(template),
                    text,
                    compiled,
                });
            }
            Err(_) => tally.refused += 1,
        }
    }
    None
}

async fn fill(conn: &mut Conn, random: &mut Rng) {
    run(conn, "SET time_zone = '+00:00'").await;
    run(conn, "SET NAMES utf8mb4").await;
    run(conn, "SET sql_mode = ''").await;
    run(conn, "DROP TABLE IF EXISTS v").await;
    run(conn, &table::create()).await;
    run(conn, "START TRANSACTION").await;
    for id in 0..ROWS {
        run(conn, &table::insert(id, random)).await;
    }
    run(conn, "COMMIT").await;
    run(conn, "SET sql_mode = DEFAULT").await;
}

async fn run(conn: &mut Conn, statement: &str) {
    if let Err(error) = conn.query_drop(statement).await {
        panic!("{error}\n  in: {statement}");
    }
}

async fn rows(
    conn: &mut Conn,
    statement: &str,
) -> Result<Vec<Vec<Option<Vec<u8>>>>, mysql_async::Error> {
    let rows: Vec<Row> = conn.query(statement).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            row.unwrap()
                .into_iter()
                .map(|cell| match cell {
                    mysql_async::Value::NULL => None,
                    mysql_async::Value::Bytes(bytes) => Some(bytes),
                    other => panic!("the text protocol gives bytes, not {other:?}"),
                })
                .collect()
        })
        .collect())
}

/// Runs the batch in one SELECT; where that fails one by one, and where that fails for single rows.
async fn compare(
    conn: &mut Conn,
    batch: &[Case],
    values: &[Vec<Value<'_>>],
    names: &[&str],
    tally: &mut Tally,
) {
    compare_rows(conn, batch, values, names, tally).await;
    for case in batch.iter().filter(|case| case.compiled.is_decimal()) {
        in_documents(conn, case, values, names, tally).await;
    }
}

async fn compare_rows(
    conn: &mut Conn,
    batch: &[Case],
    values: &[Vec<Value<'_>>],
    names: &[&str],
    tally: &mut Tally,
) {
    let texts: Vec<&str> = batch.iter().map(|case| case.text.as_str()).collect();
    let select = format!("SELECT {} FROM v ORDER BY id", texts.join(", "));
    if let Ok(server) = rows(conn, &select).await {
        for (index, case) in batch.iter().enumerate() {
            let column = server.iter().map(|row| outcome(row.get(index)));
            judge(case, values.iter().zip(column), names, tally);
        }
        return;
    }
    for case in batch {
        let select = format!("SELECT {} FROM v ORDER BY id", case.text);
        if let Ok(server) = rows(conn, &select).await {
            let column = server.iter().map(|row| outcome(row.first()));
            judge(case, values.iter().zip(column), names, tally);
            continue;
        }
        for (id, row) in values.iter().enumerate().take(ALONE) {
            let select = format!("SELECT {} FROM v WHERE id = {id}", case.text);
            let server = match rows(conn, &select).await {
                Ok(rows) => outcome(rows.first().and_then(|row| row.first())),
                Err(error) => Outcome::Error(error.to_string()),
            };
            judge(case, std::iter::once((row, server)), names, tally);
        }
    }
}

/// The same of an exact number as a member of documents, where it has digits of its own.
async fn in_documents(
    conn: &mut Conn,
    case: &Case,
    values: &[Vec<Value<'_>>],
    names: &[&str],
    tally: &mut Tally,
) {
    let text = format!("JSON_EXTRACT(JSON_ARRAY({}), '$[0]')", case.text);
    let select = format!("SELECT {text} FROM v ORDER BY id");
    let Ok(server) = rows(conn, &select).await else {
        return;
    };
    let mut differs = None;
    for (row, cells) in values.iter().zip(&server) {
        let server = match outcome(cells.first()) {
            Outcome::Bytes(text) if text == b"null" => Outcome::Null,
            other => other,
        };
        let ours = case.compiled.run_in_document(row);
        let stricter = matches!(&ours, Outcome::Error(error) if is_stricter(error));
        tally.in_documents += 1;
        if !stricter && server != ours {
            differs.get_or_insert((row, server, ours));
        }
    }
    if let Some((row, server, ours)) = differs {
        tally.differences.push(format!(
            "{} in a document: {}\n   where {}\n   the server says {}, we say {}",
            case.name,
            case.text,
            check::involved(&case.compiled, row, names),
            check::describe(&server),
            check::describe(&ours)
        ));
    }
}

fn outcome(cell: Option<&Option<Vec<u8>>>) -> Outcome {
    match cell {
        Some(Some(bytes)) => Outcome::Bytes(bytes.clone()),
        Some(None) => Outcome::Null,
        None => Outcome::Error("no such cell".into()),
    }
}

/// Where MySQL's answer for incomplete dates depends on who asks, and where it cuts digits off factors, ours is an error.
fn is_stricter(error: &str) -> bool {
    error.contains("a zero date") || error.contains("factors of too many digits")
}

fn judge<'v>(
    case: &Case,
    pairs: impl Iterator<Item = (&'v Vec<Value<'v>>, Outcome)>,
    names: &[&str],
    tally: &mut Tally,
) {
    tally.expressions += 1;
    let mut reported = false;
    for (row, server) in pairs {
        let ours = case.compiled.run(row);
        tally.values += 1;
        if matches!((&server, &ours), (Outcome::Bytes(_), Outcome::Bytes(_))) {
            *tally.by_name.entry(case.name).or_default() += 1;
            let called = case.function.iter();
            called.for_each(|name| *tally.by_function.entry(name).or_default() += 1);
        }
        let same = match (&server, &ours) {
            (_, Outcome::Error(error)) if is_stricter(error) => true,
            (Outcome::Error(_), Outcome::Error(_)) => true,
            (server, ours) => server == ours,
        };
        if !same && !reported {
            reported = true;
            tally.differences.push(format!(
                "{}: {}\n   where {}\n   the server says {}, we say {}",
                case.name,
                case.text,
                check::involved(&case.compiled, row, names),
                check::describe(&server),
                check::describe(&ours)
            ));
        }
    }
}
