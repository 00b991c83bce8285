//! Invented cases without a daemon: the view over the rows that the server shows after each transaction, against what the
//! server computes. Far cheaper than [`super::engine`], so that far more cases are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row as SqlRow};
use penstock::change::{Change, Row, Value};
use penstock::pipeline::{Action, Origin};
use penstock::plan::select::select;
use penstock::plan::{Plan, Projection, SourceId, SourceTable, Uniqueness};
use penstock::source::decode::text as reader;
use penstock::view::joins::Joins;
use penstock::view::state::MemoryState;
use penstock::view::{Outcome, Projector};

use super::cases;
use crate::support::invent::{Case, SESSION, run};
use crate::support::items::{self, Tables};
use crate::support::mysql::{Database, FAST, Server};
use crate::support::oracle::select::of_plan;
use crate::support::{plan, seed};

/// Long runs go on after a difference, up to so many.
const MOST_DIFFERENCES: usize = 10;
const TRANSACTIONS: usize = 8;

#[derive(Debug, Default)]
struct Totals {
    cases: usize,
    refused: usize,
    items: usize,
    letters: usize,
    /// Kinds of item whose key is proved unique through a join.
    told_by_joins: usize,
}

#[tokio::test]
async fn the_view_computes_what_mysql_computes() {
    // Other cases each day.
    let first = match std::env::var("PENSTOCK_SEED") {
        Ok(_) => seed(),
        Err(_) => day() * 1000,
    };
    let mut total = Totals::default();
    let mut differences = Vec::new();
    for number in 0..cases(100) {
        let seed = first.wrapping_add(number);
        println!("case PENSTOCK_SEED={seed} PENSTOCK_CASES=1");
        let what = match AssertUnwindSafe(one(seed, &mut total)).catch_unwind().await {
            Ok(Ok(())) => continue,
            Ok(Err(difference)) => difference,
            Err(panic) => match panic.downcast_ref::<String>() {
                Some(text) => text.clone(),
                None => "a panic: its message is above".to_owned(),
            },
        };
        println!("seed {seed}: {what}");
        differences.push(format!("seed {seed}: {what}"));
        if differences.len() >= MOST_DIFFERENCES {
            break;
        }
    }
    println!("{total:?}");
    assert!(
        differences.is_empty(),
        "{} differences, the first one: {}",
        differences.len(),
        differences[0]
    );
    assert!(
        cases(100) < 10
            || total.refused * 3 < total.cases && total.items > 100 && total.told_by_joins > 0,
        "{total:?}"
    );
}

fn day() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("a clock after 1970").as_secs() / 86_400
}

/// Nothing here is about durability.
pub fn server() -> &'static Server {
    static FASTEST: OnceLock<Server> = OnceLock::new();
    FASTEST.get_or_init(|| Server::start(&FAST))
}

async fn one(seed: u64, total: &mut Totals) -> Result<(), String> {
    total.cases += 1;
    let mut case = Case::invent(seed);
    let database = Database::create(server()).await;
    let mut conn = database.conn().await;
    let checked = follow(&mut case, &database, &mut conn, total).await;
    session(&mut conn, &format!("DROP DATABASE `{}`", database.name)).await;
    checked
}

async fn follow(
    case: &mut Case,
    database: &Database<'_>,
    conn: &mut Conn,
    total: &mut Totals,
) -> Result<(), String> {
    session(conn, SESSION).await;
    run(conn, &case.ddl).await;
    run(conn, &case.initial).await;
    let contract = case.contract_json();
    let Some(plan) = plan::compile_unless_refused(database, &contract).await else {
        total.refused += 1;
        return Ok(());
    };
    let told = |p: &&Projection| matches!(&p.uniqueness, Uniqueness::Proved(why) if why.contains("which gives") || why.contains("which equals"));
    total.told_by_joins += plan.projections.iter().filter(told).count();
    let plan = Arc::new(plan);
    let mut script = vec![SESSION.to_owned()];
    script.extend(case.ddl.iter().chain(&case.initial).cloned());
    let mut replica = Replica::new(Arc::clone(&plan));
    for number in 0..=TRANSACTIONS {
        let mut statements = Vec::new();
        if number > 0 {
            statements = case.next_transaction();
            session(conn, SESSION).await;
            run(conn, &statements).await;
            script.extend(statements.iter().cloned());
        }
        replica.follow(conn).await;
        // The first passes begin in the middle.
        if number == TRANSACTIONS / 2 {
            replica.first_passes();
        }
        if number < TRANSACTIONS / 2 || number % 2 == 1 {
            continue;
        }
        let computed = of_plan(conn, &plan).await;
        let at = || {
            let kept = keep(case.seed, &script, &plan);
            format!(
                "after transaction {number} ({kept} repeats it):\n{}\n{}\n{contract}",
                statements.join(";\n"),
                case.ddl.join("\n")
            )
        };
        let actual = replica.tables();
        if let Some(difference) = items::difference(&computed.tables, &actual, 5) {
            return Err(format!("{difference}\n{}", at()));
        }
        let letters = computed.unmappable + computed.contested;
        if letters != replica.letters.len() {
            let mut listed = String::new();
            for ((projection, key), why) in &replica.letters {
                let _ = writeln!(listed, "{projection} {key}: {why}");
            }
            return Err(format!(
                "{} dead letters, not {} rows without an item and {} contested ones\n{listed}{}",
                replica.letters.len(),
                computed.unmappable,
                computed.contested,
                at()
            ));
        }
        total.letters += letters;
        total.items += actual.values().map(|t| t.len()).sum::<usize>();
    }
    Ok(())
}

/// Writes all statements so far into a file, and the SELECTs that define the items; gives its name.
fn keep(seed: u64, script: &[String], plan: &Plan) -> String {
    let file = std::env::temp_dir().join(format!("penstock-case-{seed}.sql"));
    let selects = plan.projections.iter().filter_map(|p| select(plan, p).ok());
    let mut lines: Vec<String> = script.to_vec();
    lines.extend(selects.map(|s| s.sql));
    let _ = std::fs::write(&file, lines.join(";\n") + ";\n");
    file.display().to_string()
}

pub(super) async fn session(conn: &mut Conn, statement: &str) {
    run(conn, &[statement.to_owned()]).await;
}

/// A row as the text protocol shows it.
type Cells = Vec<Option<Vec<u8>>>;

pub(super) struct Replica {
    plan: Arc<Plan>,
    projector: Projector,
    joins: Option<Joins>,
    state: MemoryState,
    /// By source, rows by their keys.
    rows: Vec<BTreeMap<Cells, Cells>>,
    items: BTreeMap<(u16, Vec<u8>), Vec<u8>>,
    letters: BTreeMap<(u16, String), String>,
}

impl Replica {
    pub(super) fn new(plan: Arc<Plan>) -> Replica {
        let mut state = MemoryState::default();
        Replica {
            projector: Projector::new(Arc::clone(&plan)).expect("a projector"),
            joins: Joins::new(Arc::clone(&plan), &mut state).expect("joins"),
            state,
            rows: plan.sources.iter().map(|_| BTreeMap::new()).collect(),
            items: BTreeMap::new(),
            letters: BTreeMap::new(),
            plan,
        }
    }

    /// Takes what has changed since the last look as one transaction.
    pub(super) async fn follow(&mut self, conn: &mut Conn) {
        session(
            conn,
            "SET character_set_results = NULL, time_zone = '+00:00'",
        )
        .await;
        let plan = Arc::clone(&self.plan);
        let mut seen = Vec::new();
        for source in &plan.sources {
            seen.push(rows(conn, source).await);
        }
        let before = std::mem::replace(&mut self.rows, seen.clone());
        let mut outcomes = Vec::new();
        for (source, (before, after)) in plan.sources.iter().zip(before.iter().zip(&seen)) {
            let keys: BTreeSet<&Cells> = before.keys().chain(after.keys()).collect();
            let mut inserts = Vec::new();
            for key in keys {
                let change = match (before.get(key), after.get(key)) {
                    (Some(before), Some(after)) if before == after => continue,
                    (Some(before), Some(after)) => Change::Update {
                        before: row(source, before),
                        after: row(source, after),
                    },
                    (Some(before), None) => Change::Delete {
                        before: row(source, before),
                    },
                    (None, Some(after)) => {
                        inserts.push(Change::Insert {
                            after: row(source, after),
                        });
                        continue;
                    }
                    (None, None) => continue,
                };
                self.apply(source.id, &change, &mut outcomes);
            }
            // Keys that differ for us can be the same for the server: what leaves goes first.
            for change in &inserts {
                self.apply(source.id, change, &mut outcomes);
            }
        }
        if let Some(joins) = &mut self.joins {
            let mut out = |outcome| {
                outcomes.push(outcome);
                Ok(true)
            };
            joins
                .finish(&mut self.state, &mut out)
                .expect("the end of a transaction");
        }
        self.write(outcomes);
    }

    fn apply(&mut self, source: SourceId, change: &Change<'_>, outcomes: &mut Vec<Outcome>) {
        self.projector
            .project(source, change, true, outcomes)
            .expect("a projection");
        if let Some(joins) = &mut self.joins {
            joins
                .apply(&mut self.state, source, change, outcomes)
                .expect("a change of a join");
        }
    }

    pub(super) fn first_passes(&mut self) {
        let mut outcomes = Vec::new();
        if let Some(joins) = &mut self.joins {
            while let Some(projection) = joins.due(|_| true) {
                let page = joins.first_pass(&mut self.state, projection);
                outcomes.extend(page.expect("a page").outcomes);
            }
        }
        self.write(outcomes);
    }

    fn write(&mut self, outcomes: Vec<Outcome>) {
        let name = |origin: &Origin| (origin.projection.0, origin.source_key.to_string());
        for outcome in outcomes {
            match outcome {
                Outcome::Write(mutation) => {
                    let key = (mutation.target.0, mutation.key.0.to_vec());
                    match &mutation.action {
                        Action::Put { item, .. } => {
                            self.letters.remove(&name(&mutation.origin));
                            self.items.insert(key, item.to_vec());
                        }
                        Action::Delete => {
                            self.items.remove(&key);
                        }
                    }
                }
                Outcome::Unmappable { origin, reason } => {
                    self.letters.insert(name(&origin), reason.to_string());
                }
                Outcome::Contested { origin, .. } => {
                    self.letters.insert(name(&origin), "contested".into());
                }
                Outcome::Gone(origin) => {
                    self.letters.remove(&name(&origin));
                }
            }
        }
    }

    pub(super) fn tables(&self) -> Tables {
        let mut tables = Tables::new();
        for ((target, _), item) in &self.items {
            let target = &self.plan.targets[usize::from(*target)];
            let mut keys = vec![target.pk.name.clone()];
            keys.extend(target.sk.iter().map(|sk| sk.name.clone()));
            let item = serde_json::from_slice(item).expect("an item");
            let (key, item) = items::canonical(&item, &keys);
            let table = tables.entry(target.name.clone()).or_default();
            assert!(
                table.insert(key.clone(), item).is_none(),
                "{} has {key} twice",
                target.name
            );
        }
        tables
    }
}

async fn rows(conn: &mut Conn, source: &SourceTable) -> BTreeMap<Cells, Cells> {
    let columns = source.columns.iter();
    let list: Vec<_> = columns
        .map(|c| reader::select_expression(&c.column))
        .collect();
    let select = format!("SELECT {} FROM {}", list.join(", "), source.name.sql());
    let rows: Vec<SqlRow> = conn.query(&select).await.expect("the rows");
    let cells = rows.into_iter().map(|row| -> Cells {
        let cells = row.unwrap().into_iter();
        cells
            .map(|cell| match cell {
                mysql_async::Value::NULL => None,
                mysql_async::Value::Bytes(bytes) => Some(bytes),
                other => panic!("the text protocol gives bytes, not {other:?}"),
            })
            .collect()
    });
    let key = |cells: &Cells| source.key.iter().map(|&slot| cells[slot].clone()).collect();
    cells.map(|cells| (key(&cells), cells)).collect()
}

fn row<'c>(source: &SourceTable, cells: &'c Cells) -> Row<'c> {
    let columns = source.columns.iter().zip(cells);
    let values = columns.map(|(column, cell)| match cell {
        None => Value::Null,
        Some(bytes) => reader::value(&column.column, bytes).expect("a value"),
    });
    Row {
        values: values.collect(),
    }
}
