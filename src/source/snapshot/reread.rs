//! Named rows read again beside the stream: a chunk that somebody asks for, between its watermarks like any other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use mysql_async::Conn;
use mysql_async::prelude::Queryable as _;

use super::width::weight;
use super::window::RawRow;
use super::worker::{executed_at, raw};
use crate::error::{Error, Kind, Result};
use crate::plan::select::{DRIVING, FOUND, JoinedRows};
use crate::plan::{Plan, SourceId, SourceTable};
use crate::position::GtidSet;
use crate::schema::quote;
use crate::source::Options;
use crate::source::connect::classify;
use crate::source::decode::text::select_expression;
use crate::source::row_key::RowKey;

/// So many rows are asked for with one statement.
const KEYS: usize = 100;
/// More is no repair of single items any more.
pub const MOST_ROWS: usize = 20_000;
const MOST_BYTES: usize = 64 << 20;

/// What is read.
pub struct Wanted<'w> {
    /// By table and name.
    pub rows: &'w BTreeSet<(SourceId, Arc<str>)>,
    /// The driving rows whose joined rows are wanted, too, and how MySQL finds those.
    pub items: &'w [Arc<str>],
    pub driving: SourceId,
    pub joins: &'w [JoinedRows],
}

/// What was read, and what was executed afterwards.
pub struct Reading {
    pub rows: Vec<(SourceId, RawRow)>,
    pub high: GtidSet,
}

/// Reads rows after everything in `received` is visible; the connection is one for snapshots.
///
/// # Errors
/// `SourceUnavailable` and its like where MySQL cannot be read, `Usage` for a name that is no row's, `Unsupported` where it
/// would be too much.
pub async fn reread(
    options: &Options,
    plan: &Plan,
    conn: &mut Conn,
    received: &GtidSet,
    wanted: &Wanted<'_>,
) -> Result<Reading> {
    let mut session = Session {
        options,
        plan,
        conn,
        rows: Vec::new(),
        bytes: 0,
    };
    let seen_at = session.wait_until_visible(received).await?;
    session.by_name(wanted.rows).await?;
    session.joined(wanted).await?;
    let (high, read_from) = session.executed().await?;
    if read_from != seen_at {
        return Err(Error::new(
            Kind::SourceUnavailable,
            format!(
                "another server answered while rows were read again ({seen_at}, then {read_from})"
            ),
        ));
    }
    Ok(Reading {
        rows: session.rows,
        high,
    })
}

struct Session<'s> {
    options: &'s Options,
    plan: &'s Plan,
    conn: &'s mut Conn,
    rows: Vec<(SourceId, RawRow)>,
    bytes: usize,
}

impl Session<'_> {
    async fn wait_until_visible(&mut self, received: &GtidSet) -> Result<String> {
        loop {
            let (executed, server) = self.executed().await?;
            if received.is_subset(&executed) {
                return Ok(server);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn executed(&mut self) -> Result<(GtidSet, String)> {
        let answer = executed_at(self.conn).await;
        answer.map_err(|e| failed(self.options, e))
    }

    async fn by_name(&mut self, rows: &BTreeSet<(SourceId, Arc<str>)>) -> Result<()> {
        let names: Vec<&(SourceId, Arc<str>)> = rows.iter().collect();
        for of_table in names.chunk_by(|(a, _), (b, _)| a == b) {
            for some in of_table.chunks(KEYS) {
                let Some((source, _)) = some.first() else {
                    continue;
                };
                let table = self.plan.source(*source);
                let from = format!("FROM {} AS {FOUND}", table.name.sql());
                let names = some.iter().map(|(_, name)| name);
                let condition = any_of(table, names, FOUND)?;
                self.read(table, &format!("{from} WHERE {condition}"))
                    .await?;
            }
        }
        Ok(())
    }

    async fn joined(&mut self, wanted: &Wanted<'_>) -> Result<()> {
        let driving = self.plan.source(wanted.driving);
        for some in wanted.items.chunks(KEYS) {
            let condition = any_of(driving, some.iter(), DRIVING)?;
            for join in wanted.joins {
                let table = self.plan.source(join.source);
                self.read(table, &format!("{} WHERE {condition}", join.from))
                    .await?;
            }
        }
        Ok(())
    }

    /// Reads the rows under [`FOUND`].
    async fn read(&mut self, table: &SourceTable, from: &str) -> Result<()> {
        let columns: Vec<String> = table
            .columns
            .iter()
            .map(|c| {
                let name = quote(&c.column.name);
                select_expression(&c.column).replace(&name, &format!("{FOUND}.{name}"))
            })
            .collect();
        let sql = format!("SELECT {} {from}", columns.join(", "));
        let (options, conn) = (self.options, &mut *self.conn);
        let mut stream = conn
            .query_stream::<mysql_async::Row, _>(sql)
            .await
            .map_err(|e| failed(options, e))?;
        while let Some(row) = stream.next().await {
            let row = raw(row.map_err(|e| failed(options, e))?);
            self.bytes += weight(&row);
            self.rows.push((table.id, row));
            if self.rows.len() > MOST_ROWS || self.bytes > MOST_BYTES {
                return Err(too_much(table));
            }
        }
        Ok(())
    }
}

/// `(a = 1) OR (a = 2)`
fn any_of<'n>(
    table: &SourceTable,
    names: impl Iterator<Item = &'n Arc<str>>,
    alias: &str,
) -> Result<String> {
    let prefix = format!("{alias}.");
    let conditions = names.map(|name| {
        let condition = RowKey::parse(table, name)?.condition_under(&prefix)?;
        Ok(format!("({condition})"))
    });
    let conditions: Vec<String> = conditions.collect::<Result<_>>()?;
    Ok(format!("({})", conditions.join(" OR ")))
}

/// Rows that are too many to be read again one by one.
pub fn too_much(table: &SourceTable) -> Error {
    Error::new(
        Kind::Unsupported,
        format!(
            "an item is made of more rows of {} than can be read again for it",
            table.name
        ),
    )
    .with_remedy(format!(
        "copy the table again: `penstock resnapshot {}`",
        table.name
    ))
}

fn failed(options: &Options, error: mysql_async::Error) -> Error {
    let error = classify(options, error);
    Error::new(error.kind(), "while rows were read again").with_source(error)
}
