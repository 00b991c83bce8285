//! How large the state is beside the columns that it stores.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use penstock::change::{Change, Row, Value};
use penstock::plan::{Plan, SourceId};
use penstock::schema::ColumnType;
use penstock::state::Store;
use penstock::view::joins::Joins;

use super::{contract, fill, opened};
use crate::support::mysql::Server;
use crate::support::plan;

/// PENSTOCK_FULL=1: five million rows; otherwise a twentieth.
fn rows() -> u64 {
    let full = std::env::var("PENSTOCK_FULL").is_ok_and(|value| value == "1");
    if full { 5_000_000 } else { 250_000 }
}

/// What the journals take, whatever the size of the state: one that is being written, and those whose rows are not yet in
/// tables.
const JOURNALS: u64 = 160_000_000;

#[tokio::test]
async fn the_state_takes_at_most_twice_the_bytes_of_the_stored_columns() {
    let database = Server::shared().database().await;
    fill(&database).await;
    let plan = Arc::new(plan::compile(&database, &contract()).await);
    let sizes = tokio::task::spawn_blocking(move || filled(&plan, rows()));
    let sizes = sizes.await.expect("a state");
    let of = |bytes: u64| bytes as f64 / rows() as f64;
    println!(
        "{} rows: {:.1} bytes a row in stored columns, {:.1} in tables, {:.1} in journals",
        rows(),
        of(sizes.stored),
        of(sizes.tables),
        of(sizes.journals)
    );
    assert!(sizes.tables > 0 && sizes.tables <= 2 * sizes.stored);
    assert!(sizes.journals <= JOURNALS);
    if rows() > 1_000_000 {
        assert!(sizes.tables + sizes.journals <= 2 * sizes.stored);
    }
}

/// Bytes.
struct Sizes {
    /// Of the stored columns, as MySQL's rows have them.
    stored: u64,
    tables: u64,
    journals: u64,
}

/// A state of so many rows and of what was written for them, after everything that can be merged has been.
fn filled(plan: &Arc<Plan>, rows: u64) -> Sizes {
    let folder = tempfile::tempdir().expect("a directory");
    let store = opened(plan, folder.path());
    let mut writer = store.writer().expect("the writer");
    let joins = Joins::new(Arc::clone(plan), &mut writer).expect("the plan");
    let mut joins = joins.expect("joins");
    let mut sequence = 0;
    let mut stored = 0;
    for id in 0..rows {
        let table = if id < 20 { "categories" } else { "products" };
        let source = plan
            .sources
            .iter()
            .find(|s| s.name.table == table)
            .expect("a table");
        let after = row(plan, source.id, id);
        stored += bytes(plan, source.id, &after);
        sequence += 1;
        writer.begin(sequence).expect("a sequence");
        joins
            .apply(
                &mut writer,
                source.id,
                &Change::Insert { after },
                &mut Vec::new(),
            )
            .expect("a row");
        if sequence % 10_000 == 0 {
            store.commit(sequence, b"").expect("a commit");
        }
    }
    while let Some(projection) = joins.due(|_| true) {
        sequence += 1;
        writer.begin(sequence).expect("a sequence");
        joins.first_pass(&mut writer, projection).expect("a page");
        if sequence % 100 == 0 {
            store.commit(sequence, b"").expect("a commit");
        }
    }
    store.commit(sequence, b"").expect("a commit");
    settled(&store);
    let files = files(folder.path());
    let journal = |name: &str| name.ends_with(".jnl");
    let sum = |journals: bool| {
        let files = files.iter().filter(|(name, _)| journal(name) == journals);
        files.map(|(_, bytes)| bytes).sum()
    };
    Sizes {
        stored,
        tables: sum(false),
        journals: sum(true),
    }
}

/// What a directory's files take on the disk, by name.
fn files(dir: &Path) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("a file");
        match metadata.is_dir() {
            true => all.extend(files(&entry.path())),
            // A journal is as long as it may become.
            false => all.push((
                entry.file_name().to_string_lossy().into_owned(),
                metadata.blocks() * 512,
            )),
        }
    }
    all
}

/// Until nothing is merged any more.
fn settled(store: &Store) {
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(3) {
        let now = store.figures().disk_bytes;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A row as a shop has them.
fn row(plan: &Plan, source: SourceId, id: u64) -> Row<'static> {
    let columns = &plan.source(source).columns;
    let value = |name: &str| match name {
        "id" if columns.iter().any(|c| c.column.name == "price") => Value::UInt(id),
        "id" => Value::Int(id as i64),
        "name" => Value::Text(
            format!(
                "Circular saw {} W, blade {} mm",
                600 + id * 7919 % 1400,
                100 + id * 104_729 % 250
            )
            .into(),
        ),
        "price" => Value::Decimal(format!("{}.{:02}", id * 6151 % 900, id * 31 % 100).into()),
        "category_id" => Value::Int((id * 7 % 20) as i64),
        _ => Value::Null,
    };
    Row {
        values: columns.iter().map(|c| value(&c.column.name)).collect(),
    }
}

/// What MySQL's rows take for the columns that the state stores.
fn bytes(plan: &Plan, source: SourceId, row: &Row<'_>) -> u64 {
    let table = plan.source(source);
    let stored = plan.stored[usize::from(source.0)].as_ref().expect("rows");
    let of = |slot: &usize| match (&table.columns[*slot].column.ty, &row.values[*slot]) {
        (_, Value::Null) => 0,
        (ColumnType::Int { bytes, .. }, _) => u64::from(*bytes),
        (ColumnType::Text { .. }, Value::Text(text)) => 1 + text.len() as u64,
        // Four bytes hold nine digits, and one of two digits: DECIMAL(10,2).
        (ColumnType::Decimal { .. }, _) => 5,
        other => panic!("{other:?}"),
    };
    stored.slots.iter().map(of).sum()
}
