//! A snapshot worker: one connection that bounds, reads and hands over chunks until none is left.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;
use futures_util::StreamExt as _;
use mysql_async::prelude::Queryable as _;
use tokio::sync::oneshot;

use super::bound::ChunkKey;
use super::progress::{Assignment, Progress, Work};
use super::width::{CHUNK_BYTES, weight};
use super::window::{Emitted, Opened, RawRow, Request};
use crate::checkpoint::{Bound, Range};
use crate::error::{Directive, Error, Kind, Result};
use crate::metrics;
use crate::plan::{Plan, SourceId, SourceTable};
use crate::position::GtidSet;
use crate::schema::TableName;
use crate::source::Options;
use crate::source::connect::{classify, connect_snapshot};
use crate::source::decode::text::select_expression;

/// A range whose window was void is read again after this: the burst of changes may have passed.
const VOID_PAUSE: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(10);

/// What a worker needs.
#[derive(Clone)]
pub struct Worker {
    pub options: Arc<Options>,
    pub plan: Arc<Plan>,
    pub progress: Arc<Progress>,
    pub view: Sender<Request>,
    /// Rows in a chunk at the most.
    pub chunk_rows: u64,
}

enum Read {
    Emitted,
    /// To be read again: the window was void.
    Void,
}

impl Worker {
    /// Works until every table is read and durable. Goes on by itself when MySQL is away for a while.
    pub async fn run(self) -> Result<()> {
        let mut backoff = Duration::from_millis(200);
        loop {
            match self.session(&mut backoff).await {
                Ok(()) => return Ok(()),
                Err(error) if error.directive() == Directive::Retry => {
                    tracing::warn!(error = %error, "a snapshot connection was lost; trying again");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(MAX_BACKOFF);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn session(&self, backoff: &mut Duration) -> Result<()> {
        let mut conn = connect_snapshot(&self.options).await?;
        *backoff = Duration::from_millis(200);
        loop {
            let assignment = match self.progress.next() {
                Work::Done => break,
                Work::Wait => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
                Work::Read(assignment) => assignment,
                Work::Bound { source, after } => {
                    match self.upper_bound(&mut conn, source, after).await {
                        Ok(upto) => match self.progress.hand_out(source, upto) {
                            Some(assignment) => assignment,
                            None => continue,
                        },
                        Err(error) => {
                            self.progress.give_back_chunker(source);
                            return Err(error);
                        }
                    }
                }
            };
            match self.chunk(&mut conn, assignment.clone()).await {
                Ok(Read::Emitted) => {}
                Ok(Read::Void) => {
                    self.progress.give_back(&assignment);
                    tokio::time::sleep(VOID_PAUSE).await;
                }
                Err(error) => {
                    self.progress.give_back(&assignment);
                    return Err(error);
                }
            }
        }
        // The work is done; a connection that does not close cleanly changes nothing.
        let _ = conn.disconnect().await;
        Ok(())
    }

    /// The last key of the next chunk; `None` when the chunk is the rest of the table.
    async fn upper_bound(
        &self,
        conn: &mut mysql_async::Conn,
        source: SourceId,
        after: Option<Bound>,
    ) -> Result<Option<Bound>> {
        let table = self.plan.source(source);
        let key = chunk_key(table);
        let row: Option<mysql_async::Row> = conn
            .query_first(key.last_of(after, self.chunk_rows)?)
            .await
            .map_err(|e| self.failed(table, e))?;
        row.map(|row| key.bound(&raw(row))).transpose()
    }

    /// Reads one range between its watermarks and hands it to the view.
    async fn chunk(
        &self,
        conn: &mut mysql_async::Conn,
        mut assignment: Assignment,
    ) -> Result<Read> {
        let opened = self.open(assignment.source).await?;
        let read = self.read(conn, &mut assignment, &opened.received).await;
        let (rows, high) = match read {
            Ok(read) => read,
            Err(error) => {
                let _ = self.view.send(Request::Abandon {
                    window: opened.window,
                });
                return Err(error);
            }
        };
        let (reply, answer) = oneshot::channel();
        let request = Request::Chunk {
            window: opened.window,
            assignment,
            rows,
            high,
            reply,
        };
        if self.view.send(request).is_err() {
            return gone().await;
        }
        match answer.await {
            Ok(Emitted::Accepted) => Ok(Read::Emitted),
            Ok(Emitted::Void) => Ok(Read::Void),
            Err(_) => gone().await,
        }
    }

    async fn open(&self, source: SourceId) -> Result<Opened> {
        let (reply, answer) = oneshot::channel();
        if self.view.send(Request::Open { source, reply }).is_err() {
            return gone().await;
        }
        match answer.await {
            Ok(opened) => Ok(opened),
            Err(_) => gone().await,
        }
    }

    async fn read(
        &self,
        conn: &mut mysql_async::Conn,
        assignment: &mut Assignment,
        received: &GtidSet,
    ) -> Result<(Vec<RawRow>, GtidSet)> {
        let table = self.plan.source(assignment.source);
        let seen_at = self.wait_until_visible(conn, table, received).await?;
        let key = chunk_key(table);
        let limit = self.progress.limit(assignment.source, table);
        let sql = select(table, &key, &assignment.range, limit)?;
        let mut rows = Vec::new();
        let mut bytes = 0;
        let mut last = Vec::new();
        {
            let mut stream = conn
                .query_stream::<mysql_async::Row, _>(sql)
                .await
                .map_err(|e| self.failed(table, e))?;
            while let Some(row) = stream.next().await {
                let mut row = raw(row.map_err(|e| self.failed(table, e))?);
                last = row.split_off(table.columns.len().min(row.len()));
                bytes += weight(&row);
                rows.push(row);
                if bytes >= CHUNK_BYTES {
                    break;
                }
            }
        }
        let is_cut = bytes >= CHUNK_BYTES || rows.len() >= limit;
        self.progress.weighed(assignment.source, rows.len(), bytes);
        count(table, rows.len() as u64, assignment.again, is_cut);
        if is_cut {
            self.progress.cut(assignment, key.bound(&last)?);
        }
        if bytes >= CHUNK_BYTES {
            // The client reads the rest of the result set behind our back; on a new connection we need not wait for that.
            let fresh = connect_snapshot(&self.options).await?;
            let old = std::mem::replace(conn, fresh);
            drop(old);
        }
        let (high, read_from) = executed_at(conn).await.map_err(|e| self.failed(table, e))?;
        if read_from != seen_at {
            // Behind one address there can be several servers: the watermark of one says nothing of the rows of another.
            return Err(Error::new(
                Kind::SourceUnavailable,
                format!(
                    "another server answered while {} was copied ({seen_at}, then {read_from})",
                    table.name
                ),
            ));
        }
        Ok((rows, high))
    }

    /// The stream can run ahead of what a SELECT sees: a transaction is sent before its commit is visible. Tells
    /// which server it was asked of.
    async fn wait_until_visible(
        &self,
        conn: &mut mysql_async::Conn,
        table: &SourceTable,
        received: &GtidSet,
    ) -> Result<String> {
        let mut waited = false;
        loop {
            let (executed, server) = executed_at(conn).await.map_err(|e| self.failed(table, e))?;
            if received.is_subset(&executed) {
                return Ok(server);
            }
            if !waited {
                tracing::debug!(table = %table.name, "waiting until what the stream received is visible");
                waited = true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn failed(&self, table: &SourceTable, error: mysql_async::Error) -> Error {
        {
            let error = classify(&self.options, error);
            Error::new(error.kind(), format!("while {} was copied", table.name)).with_source(error)
        }
    }
}

/// `@@gtid_executed` as it is now.
pub async fn executed(conn: &mut mysql_async::Conn) -> mysql_async::Result<GtidSet> {
    Ok(executed_at(conn).await?.0)
}

/// `@@gtid_executed` as it is now, and the server's UUID.
pub async fn executed_at(conn: &mut mysql_async::Conn) -> mysql_async::Result<(GtidSet, String)> {
    let row: Option<(String, String)> = conn
        .query_first("SELECT @@GLOBAL.gtid_executed, @@GLOBAL.server_uuid")
        .await?;
    let (text, server) = row.unwrap_or_default();
    let executed = text
        .parse()
        .map_err(|e| mysql_async::Error::Other(format!("gtid_executed: {e}").into()))?;
    Ok((executed, server))
}

/// The key by which a table is cut.
pub fn chunk_key(table: &SourceTable) -> ChunkKey {
    ChunkKey {
        table: table.name.clone(),
        columns: table
            .key
            .iter()
            .filter_map(|&slot| table.columns.get(slot))
            .map(|c| c.column.clone())
            .collect(),
    }
}

/// The query of the chunk's first rows: the plan's columns, then the key once more as bounds.
fn select(table: &SourceTable, key: &ChunkKey, range: &Range, limit: usize) -> Result<String> {
    let mut list: Vec<String> = table
        .columns
        .iter()
        .map(|c| select_expression(&c.column))
        .collect();
    list.extend(key.expressions());
    Ok(format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT {limit}",
        list.join(", "),
        table.name.sql(),
        key.condition(range)?,
        key.order(),
    ))
}

/// How many rows the optimizer thinks that the table has.
pub async fn estimated_rows(
    conn: &mut mysql_async::Conn,
    table: &TableName,
) -> mysql_async::Result<u64> {
    let rows: Option<Option<u64>> = conn
        .exec_first(
            "SELECT table_rows FROM information_schema.tables WHERE table_schema = ? AND table_name = ?",
            (&table.database, &table.table),
        )
        .await?;
    Ok(rows.flatten().unwrap_or(0))
}

/// A row as the server has sent it, on a connection for snapshots.
pub fn raw(row: mysql_async::Row) -> RawRow {
    row.unwrap_raw()
        .into_iter()
        .map(|value| match value {
            Some(mysql_async::Value::Bytes(bytes)) => Some(bytes),
            _ => None,
        })
        .collect()
}

/// A chunk that is read in pieces counts once, with the last of them.
fn count(table: &SourceTable, rows: u64, again: bool, is_cut: bool) {
    let name = table.name.to_string();
    metrics::SNAPSHOT_ROWS.with([&name]).increment(rows);
    if again {
        metrics::SNAPSHOT_REREAD_CHUNKS
            .with([&name])
            .increment(u64::from(!is_cut));
        metrics::SNAPSHOT_REREAD_ROWS.with([&name]).increment(rows);
    }
}

/// The view has ended: whoever ended it says why, and ends the workers. An error of our own would hide the reason.
async fn gone<T>() -> T {
    std::future::pending().await
}
