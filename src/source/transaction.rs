//! From events to transactions: the decode thread's state.
//!
//! Synchronous and without I/O. A transaction's row events are held until its commit has been read, as long as they
//! are small, so that a connection that breaks in the middle costs nothing; a larger one streams through, and is
//! reported as abandoned when it breaks. What cannot be replicated exactly stops the stream before it is given on.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::control::{self, Control};
use super::decode::event::types;
use super::decode::{Checksum, Event, FormatDescription, Header, TableMap};
use super::payload;
use super::statement::{self, Statement, Tables};
use crate::error::{Error, Kind, Result};
use crate::plan::SourceId;
use crate::position::{Gtid, GtidSet, Position};

/// Row events are held up to this many bytes of one transaction, then streamed.
const HOLD: usize = 4 << 20;
/// What a held event costs besides its bytes.
const EVENT_OVERHEAD: usize = 256;
/// A shorter event is copied when it is held: its slice would keep the whole read buffer.
const COPY_BELOW: usize = 32 * 1024;
/// How many table maps and how many xids are remembered; of xids the newest.
const MAX_MAPS: usize = 4096;
const MAX_XIDS: usize = 65_536;
/// The table id of a rows event that only ends a statement.
const DUMMY_TABLE: u64 = 0xFFFF_FFFF_FFFF;
/// Set by the server on events that a reader may skip though it does not know them.
const FLAG_IGNORABLE: u16 = 0x80;
/// Set on events that are made up for this connection and lie in no file.
const FLAG_ARTIFICIAL: u16 = 0x20;

/// What the stream consists of, in order.
#[derive(Debug, Clone)]
pub enum StreamItem {
    /// A transaction begins; `Commit` or `Abandoned` follows.
    Begin {
        gtid: Gtid,
        committed_at_micros: u64,
    },
    /// A rows event of a table of the plan.
    Rows {
        source: SourceId,
        table: Arc<TableMap>,
        event: Event,
    },
    /// The transaction is complete; `file` and `offset` are where it ends, `bytes` what it took in the stream.
    /// Transactions without rows of the plan come as `Begin` and `Commit` alone.
    Commit {
        gtid: Gtid,
        file: Arc<str>,
        offset: u64,
        committed_at_micros: u64,
        bytes: u64,
    },
    /// The server is alive and has nothing more before this position. `timestamp`: seconds since 1970 by the
    /// server's clock, 0 where the event does not say.
    Alive {
        file: Arc<str>,
        offset: u64,
        timestamp: u32,
    },
    /// The connection broke within a transaction that had begun to stream; it comes again, from its start.
    Abandoned { gtid: Gtid },
    /// Between transactions: an XA transaction without rows of the plan. Before the transaction that prepares it, and
    /// after the one that ends it, so that whoever resumes at any position knows all that may still end.
    Xa { xid: String, prepared: bool },
}

/// Receives the items; an error ends the event's processing.
pub type Output<'a> = dyn FnMut(StreamItem) -> Result<()> + 'a;

/// Puts the events of one stream together.
pub struct Assembler {
    tables: Arc<Tables>,
    /// The end of the last complete transaction, and all before it.
    completed: GtidSet,
    file: Arc<str>,
    offset: u64,
    checksum: Checksum,
    open: Option<Transaction>,
    /// Table maps that were seen, by table id: most transactions bring the same ones again.
    maps: HashMap<u64, Mapped>,
    /// XA transactions that were prepared without a row of the plan, the oldest first.
    harmless_xids: VecDeque<String>,
    abandoned: Option<Gtid>,
}

#[derive(Clone)]
struct Mapped {
    source: SourceId,
    table: Arc<TableMap>,
}

struct Transaction {
    gtid: Gtid,
    committed_at_micros: u64,
    bytes: u64,
    /// BEGIN or XA START was read.
    begun: bool,
    xid: Option<String>,
    /// `None`: a table that does not matter.
    maps: HashMap<u64, Option<Mapped>>,
    held: Vec<StreamItem>,
    held_bytes: usize,
    touched: bool,
    streaming: bool,
}

impl Assembler {
    /// Goes on after `start`.
    pub fn new(tables: Arc<Tables>, start: Position) -> Self {
        Self {
            tables,
            completed: start.gtids,
            file: start.file.into(),
            offset: start.offset,
            checksum: Checksum::Crc32,
            open: None,
            maps: HashMap::new(),
            harmless_xids: VecDeque::new(),
            abandoned: None,
        }
    }

    /// The XA transactions without rows of the plan that were prepared before the start, as [`StreamItem::Xa`] told them.
    pub fn with_harmless_xids(mut self, xids: impl IntoIterator<Item = String>) -> Self {
        self.harmless_xids.extend(xids);
        self
    }

    /// All transactions that are complete: where a new connection goes on.
    pub fn completed(&self) -> &GtidSet {
        &self.completed
    }

    /// Takes the next event of the stream, whole, as the server sent it.
    pub fn event(&mut self, bytes: Bytes, out: &mut Output<'_>) -> Result<()> {
        self.take(bytes, out).map_err(|e| self.located(e))
    }

    /// The connection is gone: what was not complete is dropped, and abandoned if it had begun to stream.
    pub fn disconnected(&mut self, out: &mut Output<'_>) -> Result<()> {
        self.checksum = Checksum::Crc32;
        self.maps.clear();
        match self.open.take() {
            Some(open) if open.streaming => {
                self.abandoned = Some(open.gtid.clone());
                out(StreamItem::Abandoned { gtid: open.gtid })
            }
            _ => Ok(()),
        }
    }

    /// A transaction that had begun to stream when a connection broke and has not come again: items may stem from it,
    /// so a server that lacks it has another history.
    pub fn abandoned(&self) -> Option<&Gtid> {
        self.abandoned.as_ref()
    }

    fn take(&mut self, bytes: Bytes, out: &mut Output<'_>) -> Result<()> {
        let header = Header::parse(&bytes)?;
        if header.type_code == types::FORMAT_DESCRIPTION {
            let description = FormatDescription::parse(&bytes)?;
            self.checksum = description.checksum;
            if description.server_version.contains("MariaDB") {
                return Err(unsupported("the binlog is written by MariaDB"));
            }
            self.advance(&header);
            return Ok(());
        }
        let event = Event::parse(bytes, self.checksum)?;
        if let Some(open) = &mut self.open {
            open.bytes += u64::from(event.header.size);
        }
        self.advance(&event.header);
        if event.header.type_code == types::TRANSACTION_PAYLOAD {
            return self.payload(&event, out);
        }
        self.process(event, false, out)
    }

    /// Counts in 64 bits: the header's position wraps at 4 GiB, and never goes back within a file.
    fn advance(&mut self, header: &Header) {
        let is_real = header.flags & FLAG_ARTIFICIAL == 0
            && !matches!(
                header.type_code,
                types::ROTATE | types::HEARTBEAT | types::HEARTBEAT_V2
            );
        if !is_real || header.log_pos == 0 {
            return;
        }
        let mut offset = (self.offset & !0xFFFF_FFFF) | u64::from(header.log_pos);
        if offset < self.offset {
            offset += 1 << 32;
        }
        self.offset = offset;
    }

    fn payload(&mut self, event: &Event, out: &mut Output<'_>) -> Result<()> {
        if self.open.is_none() {
            return Err(unreadable(
                "a compressed transaction comes without its GTID",
            ));
        }
        payload::open(event.body(), |inner| {
            let event = Event::parse(inner, Checksum::None)?;
            if event.header.type_code == types::TRANSACTION_PAYLOAD {
                return Err(unreadable("a compressed transaction within another"));
            }
            self.process(event, true, out)
        })?;
        match &self.open {
            None => Ok(()),
            Some(_) => Err(unreadable("a compressed transaction has no end")),
        }
    }

    /// `inner`: the event comes from a transaction payload, whose bytes are its own.
    fn process(&mut self, event: Event, inner: bool, out: &mut Output<'_>) -> Result<()> {
        match event.header.type_code {
            types::GTID | types::GTID_TAGGED | types::XID | types::ROTATE | types::HEARTBEAT
            | types::HEARTBEAT_V2 => {
                let control = control::parse(&event)
                    .ok_or_else(|| unreadable(&format!("an event of type {}", event.header.type_code)))?;
                self.control(control, &event.header, out)
            }
            types::QUERY => self.query(&event, out),
            types::TABLE_MAP => self.table_map(&event),
            types::WRITE_ROWS | types::UPDATE_ROWS | types::DELETE_ROWS
            | types::PARTIAL_UPDATE_ROWS | types::WRITE_ROWS_V1 | types::UPDATE_ROWS_V1
            | types::DELETE_ROWS_V1 => self.rows(event, inner, out),
            types::XA_PREPARE => self.xa_prepare(&event, out),
            types::ANONYMOUS_GTID => Err(Error::new(
                Kind::SourceSettings,
                "the binlog holds a transaction without a GTID",
            )
            .with_remedy("set gtid_mode = ON on the server (`penstock check` prints the steps), then `penstock run --resnapshot`")),
            types::INCIDENT => Err(Error::new(
                Kind::EventUnreadable,
                "the server has recorded an incident: events are missing from its binlog",
            )
            .with_remedy("start over with `penstock run --resnapshot`")),
            types::STOP | types::PREVIOUS_GTIDS | types::ROWS_QUERY | types::IGNORABLE
            | types::TRANSACTION_CONTEXT | types::VIEW_CHANGE | types::INTVAR | types::RAND
            | types::USER_VAR => Ok(()),
            code @ 160..=171 => Err(unsupported(&format!("event type {code} is MariaDB's"))),
            _ if event.header.flags & FLAG_IGNORABLE != 0 => Ok(()),
            code => Err(unreadable(&format!("event type {code}, which is not known"))),
        }
    }

    fn control(&mut self, control: Control, header: &Header, out: &mut Output<'_>) -> Result<()> {
        match control {
            Control::Gtid {
                gtid,
                committed_at_micros,
            } => self.begin(gtid, committed_at_micros, u64::from(header.size)),
            Control::Xid => self.commit(out),
            Control::Rotate { file, position } => {
                self.moved(&file, Some(position));
                self.alive(header, out)
            }
            Control::Heartbeat { file, position } => {
                let position = position.unwrap_or(u64::from(header.log_pos));
                self.moved(&file, Some(position).filter(|p| *p > self.offset));
                self.alive(header, out)
            }
        }
    }

    fn moved(&mut self, file: &str, position: Option<u64>) {
        if *self.file != *file {
            self.file = file.into();
            self.offset = position.unwrap_or(4);
        } else if let Some(position) = position {
            self.offset = position;
        }
    }

    fn alive(&self, header: &Header, out: &mut Output<'_>) -> Result<()> {
        if self.open.is_some() {
            return Ok(());
        }
        out(StreamItem::Alive {
            file: Arc::clone(&self.file),
            offset: self.offset,
            timestamp: header.timestamp,
        })
    }

    fn begin(&mut self, gtid: Gtid, committed_at_micros: u64, bytes: u64) -> Result<()> {
        if let Some(open) = &self.open {
            return Err(unreadable(&format!(
                "transaction {gtid} begins within {}",
                open.gtid
            )));
        }
        self.open = Some(Transaction {
            gtid,
            committed_at_micros,
            bytes,
            begun: false,
            xid: None,
            maps: HashMap::new(),
            held: Vec::new(),
            held_bytes: 0,
            touched: false,
            streaming: false,
        });
        Ok(())
    }

    fn commit(&mut self, out: &mut Output<'_>) -> Result<()> {
        let Some(mut open) = self.open.take() else {
            return Err(unreadable("a commit comes without a transaction"));
        };
        self.completed.add(&open.gtid);
        if self.abandoned.as_ref() == Some(&open.gtid) {
            self.abandoned = None;
        }
        open.give_held(out)?;
        out(StreamItem::Commit {
            gtid: open.gtid,
            file: Arc::clone(&self.file),
            offset: self.offset,
            committed_at_micros: open.committed_at_micros,
            bytes: open.bytes,
        })
    }

    fn query(&mut self, event: &Event, out: &mut Output<'_>) -> Result<()> {
        let query = control::query(event.body()).ok_or_else(|| unreadable("a statement"))?;
        let statement = statement::classify(&query, &self.tables);
        let Some(open) = &mut self.open else {
            return Err(unreadable("a statement comes without a transaction"));
        };
        match statement {
            Statement::Touches { action, table } => Err(Error::new(
                Kind::TableChanged,
                format!("{action} names {table}, and may change it other than by rows"),
            )),
            Statement::ChangesRows { action } => Err(Error::new(
                Kind::SourceSettings,
                format!(
                    "transaction {} holds {action} as a statement, not as rows: by a view, a trigger or a routine it may have changed a table of the contract",
                    open.gtid
                ),
            )
            .with_remedy("keep every session at binlog_format = ROW, then start over with `penstock run --resnapshot`")),
            Statement::Begin => {
                open.begun = true;
                Ok(())
            }
            Statement::XaStart(xid) => {
                open.begun = true;
                open.xid = Some(xid);
                Ok(())
            }
            Statement::XaCommit(xid) | Statement::XaRollback(xid) => {
                if !self.forget(&xid) {
                    return Err(unknown_xa(&xid));
                }
                self.commit(out)?;
                out(StreamItem::Xa {
                    xid,
                    prepared: false,
                })
            }
            Statement::Commit => self.commit(out),
            Statement::Rollback => self.rollback(out),
            Statement::RollbackToSavepoint if open.touched => Err(unsupported(&format!(
                "transaction {} takes back a part of its rows (ROLLBACK TO SAVEPOINT beside a table that knows no transactions)",
                open.gtid
            ))),
            // Outside BEGIN a statement is a transaction of its own.
            Statement::Harmless if !open.begun => self.commit(out),
            Statement::Harmless
            | Statement::Savepoint
            | Statement::RollbackToSavepoint
            | Statement::XaEnd => Ok(()),
        }
    }

    /// A transaction that ends with ROLLBACK is in the binlog for the sake of tables that know no transactions.
    fn rollback(&mut self, out: &mut Output<'_>) -> Result<()> {
        if let Some(open) = &mut self.open {
            if open.streaming {
                return Err(unsupported(&format!(
                    "transaction {} was taken back after a part of it had been applied",
                    open.gtid
                ))
                .with_remedy("start over with `penstock run --resnapshot`"));
            }
            open.held.clear();
        }
        self.commit(out)
    }

    /// Prepared, or with XA COMMIT … ONE PHASE committed by the same event: of such a one no end comes, and to remember
    /// it would be for ever.
    fn xa_prepare(&mut self, event: &Event, out: &mut Output<'_>) -> Result<()> {
        let Some(xid) = self.open.as_mut().and_then(|open| open.xid.take()) else {
            return Err(unreadable("XA PREPARE comes without XA START"));
        };
        match event.body().first() {
            Some(0) => {}
            Some(_) => return self.commit(out),
            None => return Err(unreadable("XA PREPARE without its content")),
        }
        self.forget(&xid);
        if self.harmless_xids.len() >= MAX_XIDS {
            self.harmless_xids.pop_front();
        }
        self.harmless_xids.push_back(xid.clone());
        out(StreamItem::Xa {
            xid,
            prepared: true,
        })?;
        self.commit(out)
    }

    /// Whether the xid was known. Most end soon after they were prepared, so the newest are looked at first.
    fn forget(&mut self, xid: &str) -> bool {
        let at = self.harmless_xids.iter().rposition(|known| known == xid);
        at.and_then(|at| self.harmless_xids.remove(at)).is_some()
    }

    fn table_map(&mut self, event: &Event) -> Result<()> {
        let names = control::table_names(event.body());
        let (id, database, table) = names.ok_or_else(|| unreadable("a table map"))?;
        let mapped = match self.tables.find(database, table) {
            Some(source) => Some(self.mapped(source, event)?),
            None => None,
        };
        let Some(open) = &mut self.open else {
            return Err(unreadable("a table map comes without a transaction"));
        };
        open.maps.insert(id, mapped);
        Ok(())
    }

    fn mapped(&mut self, source: SourceId, event: &Event) -> Result<Mapped> {
        let (id, body) = TableMap::peek(event)?;
        if let Some(known) = self.maps.get(&id)
            && known.source == source
            && known.table.same_as(&body)
        {
            return Ok(known.clone());
        }
        // The map outlives the event: it must not keep the read buffer.
        let own = Event::parse(
            Bytes::copy_from_slice(&event.bytes),
            self.own_checksum(event),
        )?;
        let mapped = Mapped {
            source,
            table: Arc::new(TableMap::parse(&own)?),
        };
        if self.maps.len() >= MAX_MAPS {
            self.maps.clear();
        }
        self.maps.insert(id, mapped.clone());
        Ok(mapped)
    }

    /// Whether this event ends with a checksum: those of a payload do not.
    fn own_checksum(&self, event: &Event) -> Checksum {
        let bare = event.bytes.len() == event.body().len() + super::decode::event::HEADER_LENGTH;
        if bare { Checksum::None } else { self.checksum }
    }

    fn rows(&mut self, event: Event, inner: bool, out: &mut Output<'_>) -> Result<()> {
        let id = control::table_id(event.body()).ok_or_else(|| unreadable("a rows event"))?;
        let checksum = self.own_checksum(&event);
        let Some(open) = &mut self.open else {
            return Err(unreadable("rows come without a transaction"));
        };
        let mapped = match open.maps.get(&id) {
            Some(Some(mapped)) => mapped.clone(),
            Some(None) => return Ok(()),
            // The server ends a statement whose last table changed no row with an event of this id and no rows.
            None if id == DUMMY_TABLE => return Ok(()),
            None => {
                return Err(unreadable(&format!(
                    "rows of table id {id}, which has no table map"
                )));
            }
        };
        if open.xid.is_some() {
            return Err(unsupported(&format!(
                "the XA transaction {} changes {}.{}",
                open.gtid, mapped.table.database, mapped.table.table
            )));
        }
        let event = if !inner && !open.streaming && event.bytes.len() < COPY_BELOW {
            Event::parse(Bytes::copy_from_slice(&event.bytes), checksum)?
        } else {
            event
        };
        open.touched = true;
        open.held_bytes += event.bytes.len() + EVENT_OVERHEAD;
        open.held.push(StreamItem::Rows {
            source: mapped.source,
            table: mapped.table,
            event,
        });
        if open.streaming || open.held_bytes > HOLD {
            open.give_held(out)?;
        }
        Ok(())
    }

    /// Adds where it happened.
    fn located(&self, error: Error) -> Error {
        let remedy = error.remedy().to_owned();
        let after = self
            .open
            .as_ref()
            .map_or_else(String::new, |open| format!(", transaction {}", open.gtid));
        let message = format!("{error} (at {}:{}{after})", self.file, self.offset);
        Error::new(error.kind(), message).with_remedy(remedy)
    }
}

impl Transaction {
    /// Gives what is held; from then on the transaction streams.
    fn give_held(&mut self, out: &mut Output<'_>) -> Result<()> {
        if !self.streaming {
            self.streaming = true;
            out(StreamItem::Begin {
                gtid: self.gtid.clone(),
                committed_at_micros: self.committed_at_micros,
            })?;
        }
        self.held_bytes = 0;
        self.held.drain(..).try_for_each(out)
    }
}

fn unreadable(what: &str) -> Error {
    Error::new(
        Kind::EventUnreadable,
        format!("the binlog stream cannot be read: {what}"),
    )
}

fn unsupported(what: &str) -> Error {
    Error::new(Kind::Unsupported, what.to_owned())
}

fn unknown_xa(xid: &str) -> Error {
    unsupported(&format!(
        "the end of the XA transaction {xid} came, and its rows were not seen: they may belong to a table of the contract"
    ))
    .with_remedy("start over with `penstock run --resnapshot` while `XA RECOVER` is empty")
}

#[cfg(test)]
#[path = "transaction_tests.rs"]
mod tests;
