//! Asks MySQL: how many rows there are, and what items some of them make.

use std::collections::{HashMap, HashSet};

use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::changes::{self, Counts};
use super::{Cost, Index, Kind, Prices, entry_size, item_size, write_units};
use crate::checkpoint::{Bound, Range};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::plan::graph::sources;
use crate::plan::select::{DRIVING, Narrow, SESSION, select_narrow};
use crate::plan::{Plan, Projection, SourceId, SourceTable, TargetId, TargetTable};
use crate::source::Options;
use crate::source::connect::{classify, connect, connect_snapshot};
use crate::source::snapshot::{ChunkKey, chunk_key, estimated_rows, raw};
use crate::verify::source::{Expected, ItemReader};

/// Rows of each kind of item that are mapped: all of them where there are no more.
const SAMPLE: u64 = 1_000;
/// In so many places, spread over the table.
const PLACES: u64 = 20;
/// Up to here rows are counted; beyond it the optimizer's estimate has to do.
const COUNTED: u64 = 1_000_000;

/// Two connections: items come in one character set, keys as they are.
struct Asked<'p> {
    plan: &'p Plan,
    options: &'p Options,
    items: Conn,
    keys: Conn,
}

/// The rows of a table.
#[derive(Clone, Copy)]
struct Rows {
    rows: u64,
    counted: bool,
}

/// The keys of items that were seen, so that a contested one is counted once.
type SeenKeys = HashSet<(TargetId, Vec<u8>)>;

/// Counts and maps rows. Nothing is changed on either side.
///
/// # Errors
/// Where MySQL cannot be asked, or an item's kind has no SELECT.
pub async fn estimate(plan: &Plan, options: &Options, prices: Prices) -> Result<Cost> {
    let mut items = connect(options).await?;
    items
        .query_drop(SESSION)
        .await
        .map_err(|e| classify(options, e))?;
    let keys = connect_snapshot(options).await?;
    let mut asked = Asked {
        plan,
        options,
        items,
        keys,
    };
    let mut rows = HashMap::new();
    for source in plan.sources.iter().filter(|s| !s.watched_only) {
        rows.insert(source.id, asked.count(source).await?);
    }
    let mut seen = SeenKeys::new();
    let mut kinds = Vec::new();
    for projection in &plan.projections {
        let of = rows.get(&projection.driving).copied();
        let of = of.unwrap_or(Rows {
            rows: 0,
            counted: true,
        });
        kinds.push(asked.kind(projection, of, &mut seen).await?);
    }
    let changes = changes::ask(&mut asked.keys, plan).await;
    let changes = changes.map_err(|e| asked.failed("the changes of a day", e))?;
    if let Some(changes) = &changes {
        for (kind, projection) in kinds.iter_mut().zip(&plan.projections) {
            let of = |source| rows.get(&source).map_or(0, |rows: &Rows| rows.rows);
            kind.writes_a_day = changes.writes(plan, projection, kind.items(), of);
        }
    }
    // Connections that do not close cleanly change nothing.
    let _ = asked.items.disconnect().await;
    let _ = asked.keys.disconnect().await;
    Ok(Cost::new(kinds, changes, prices))
}

impl Asked<'_> {
    async fn count(&mut self, table: &SourceTable) -> Result<Rows> {
        let name = table.name.sql();
        let sql = format!(
            "SELECT COUNT(*) FROM (SELECT 1 FROM {name} LIMIT {}) AS c",
            COUNTED + 1
        );
        let counted: Option<u64> = self.question(&sql, "the rows were counted").await?;
        let counted = counted.unwrap_or(0);
        if counted <= COUNTED {
            return Ok(Rows {
                rows: counted,
                counted: true,
            });
        }
        let estimated = estimated_rows(&mut self.keys, &table.name).await;
        let estimated = estimated.map_err(|e| self.failed("the rows were estimated", e))?;
        Ok(Rows {
            rows: estimated.max(counted),
            counted: false,
        })
    }

    async fn kind(
        &mut self,
        projection: &Projection,
        of: Rows,
        seen: &mut SeenKeys,
    ) -> Result<Kind> {
        let target = self.plan.target(projection.target);
        let mut sums = ItemSums::new(target);
        let mut sampled = 0;
        if of.rows <= SAMPLE {
            sampled = of.rows;
            self.map(projection, Narrow::All, &mut sums, seen).await?;
        } else {
            let key = chunk_key(self.plan.source(projection.driving));
            for range in self.places(&key, of).await? {
                let condition = key.condition_under(&format!("{DRIVING}."), &range)?;
                let sql = format!(
                    "SELECT COUNT(*) FROM {} AS {DRIVING} WHERE {condition}",
                    key.table.sql()
                );
                let rows: Option<u64> = self.question(&sql, "sampled rows were counted").await?;
                sampled += rows.unwrap_or(0);
                self.map(projection, Narrow::Driving(&condition), &mut sums, seen)
                    .await?;
            }
        }
        Ok(sums.kind(projection, target, of, sampled))
    }

    /// Places of some rows each, spread over the table, or over as much of it as was counted.
    async fn places(&mut self, key: &ChunkKey, of: Rows) -> Result<Vec<Range>> {
        let rows = SAMPLE / PLACES;
        let gap = (of.rows.min(COUNTED) / PLACES).saturating_sub(rows).max(1);
        let mut places = Vec::new();
        let mut after: Option<Bound> = None;
        for _ in 0..PLACES {
            let upto = self.bound(key, after.as_ref(), rows).await?;
            places.push(Range {
                after: after.take(),
                upto: upto.clone(),
            });
            let Some(upto) = upto else { break };
            after = self.bound(key, Some(&upto), gap).await?;
            if after.is_none() {
                break;
            }
        }
        Ok(places)
    }

    /// The key of the last of the next rows; `None` where there are not so many.
    async fn bound(
        &mut self,
        key: &ChunkKey,
        after: Option<&Bound>,
        rows: u64,
    ) -> Result<Option<Bound>> {
        let sql = key.last_of(after.cloned(), rows)?;
        let row: Option<mysql_async::Row> = self.question(&sql, "places of the sample").await?;
        row.map(|row| key.bound(&raw(row))).transpose()
    }

    /// Maps rows as MySQL computes the contract.
    async fn map(
        &mut self,
        projection: &Projection,
        narrow: Narrow<'_>,
        sums: &mut ItemSums<'_>,
        seen: &mut SeenKeys,
    ) -> Result<()> {
        let select = select_narrow(self.plan, projection, narrow).map_err(|e| {
            Error::new(ErrorKind::Unsupported, format!("{}: {e}", projection.label))
        })?;
        let Some(select) = select else {
            return Ok(());
        };
        let target = self.plan.target(projection.target);
        let reader = ItemReader::new(&select, target, self.plan.settings.write_nulls);
        let failed = |e| {
            failed(
                self.options,
                &format!("rows of {} were mapped", projection.label),
                e,
            )
        };
        let mut result = self.items.query_iter(&select.sql).await.map_err(failed)?;
        let sent = ItemReader::sent(result.columns_ref());
        let mut expected = Expected::default();
        while let Some(row) = result.next().await.map_err(failed)? {
            expected.clear();
            reader.read(&row, &sent, &mut expected);
            for row in &expected.rows {
                let Some(item) = &row.item else { continue };
                if seen.insert((projection.target, expected.bytes(&row.key).to_vec())) {
                    sums.add(expected.bytes(item));
                }
            }
        }
        Ok(())
    }

    async fn question<T: mysql_async::prelude::FromRow + Send + 'static>(
        &mut self,
        sql: &str,
        what: &str,
    ) -> Result<Option<T>> {
        let answer = self.keys.query_first(sql).await;
        answer.map_err(|e| failed(self.options, what, e))
    }

    fn failed(&self, what: &str, error: mysql_async::Error) -> Error {
        failed(self.options, what, error)
    }
}

fn failed(options: &Options, what: &str, error: mysql_async::Error) -> Error {
    let error = classify(options, error);
    Error::new(error.kind(), format!("the cost cannot be told ({what})")).with_source(error)
}

/// What the sampled items come to.
struct ItemSums<'p> {
    target: &'p TargetTable,
    items: u64,
    bytes: u64,
    units: u64,
    /// For each index: entries, bytes, units.
    indexes: Vec<[u64; 3]>,
}

impl<'p> ItemSums<'p> {
    fn new(target: &'p TargetTable) -> Self {
        Self {
            target,
            items: 0,
            bytes: 0,
            units: 0,
            indexes: vec![[0; 3]; target.gsis.len()],
        }
    }

    fn add(&mut self, item: &[u8]) {
        let size = item_size(item);
        self.items += 1;
        self.bytes += size as u64;
        self.units += write_units(size);
        for (index, sums) in self.target.gsis.iter().zip(&mut self.indexes) {
            if let Some(size) = entry_size(item, index, self.target) {
                sums[0] += 1;
                sums[1] += size as u64;
                sums[2] += write_units(size);
            }
        }
    }

    fn kind(self, projection: &Projection, target: &TargetTable, of: Rows, sampled: u64) -> Kind {
        let mean = |sum: u64, of: u64| sum as f64 / (of as f64).max(1.0);
        let indexes = target.gsis.iter().zip(&self.indexes);
        Kind {
            kind: projection.label.clone(),
            table: target.name.clone(),
            rows: of.rows,
            rows_are_counted: of.counted,
            sampled_rows: sampled,
            sampled_items: self.items,
            item_bytes: mean(self.bytes, self.items),
            write_units: mean(self.units, self.items),
            indexes: indexes
                .map(|(index, [entries, bytes, units])| Index {
                    index: index.name.clone(),
                    sampled_items: *entries,
                    entry_bytes: mean(*bytes, *entries),
                    write_units: mean(*units, *entries),
                })
                .collect(),
            writes_a_day: None,
        }
    }
}

/// What the changes of a day write, at most.
impl super::Changes {
    fn writes(
        &self,
        plan: &Plan,
        projection: &Projection,
        items: f64,
        rows: impl Fn(SourceId) -> u64,
    ) -> Option<f64> {
        let mut writes = 0.0;
        for source in sources(projection) {
            let changed = self.of(&plan.source(source).name)?;
            // A joined row that many items share touches all of them; one of many in an item touches that one.
            let touched = match source == projection.driving {
                true => 1.0,
                false => (items / (rows(source) as f64).max(1.0)).max(1.0),
            };
            writes += changed.map(|counts: Counts| counts.sum()).unwrap_or(0.0) * touched;
        }
        Some(writes)
    }
}
