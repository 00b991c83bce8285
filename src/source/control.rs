//! The events that carry no rows: what begins and ends transactions, where the stream is, what was executed.
//!
//! What MySQL and MariaDB share is read by `mysql_cdc`; what it does not know, or reads at the cost of a panic, is read here.

use mysql_cdc::events::binlog_event::BinlogEvent;
use mysql_cdc::events::event_header::EventHeader;
use mysql_cdc::events::event_parser::EventParser;

use super::decode::Event;
use super::decode::event::types;
use crate::position::{Gtid, MAX_NUMBER, Tag};

/// A control event's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    Gtid {
        gtid: Gtid,
        /// Microseconds since 1970; 0 where the event does not say.
        committed_at_micros: u64,
    },
    Xid,
    Rotate {
        file: String,
        position: u64,
    },
    Heartbeat {
        file: String,
        /// In 64 bits, where the server gives it.
        position: Option<u64>,
    },
}

/// A statement, as a QUERY event carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    /// The default database when it ran.
    pub database: &'a [u8],
    pub text: &'a [u8],
    /// A backslash escapes in strings (no NO_BACKSLASH_ESCAPES in the session's sql_mode).
    pub backslash_escapes: bool,
}

/// Reads a GTID, tagged GTID, XID, ROTATE or HEARTBEAT event; `None` where its content cannot be read.
pub fn parse(event: &Event) -> Option<Control> {
    match event.header.type_code {
        types::GTID_TAGGED => tagged_gtid(event.body()),
        types::HEARTBEAT_V2 => heartbeat_v2(event.body()),
        types::GTID | types::XID | types::ROTATE | types::HEARTBEAT => shared(event),
        _ => None,
    }
}

/// The events that `mysql_cdc` reads well. Its parser takes the body without the checksum, which is verified already.
fn shared(event: &Event) -> Option<Control> {
    let header = EventHeader {
        timestamp: event.header.timestamp,
        event_type: event.header.type_code,
        server_id: event.header.server_id,
        event_length: event.header.size,
        next_event_position: event.header.log_pos,
        event_flags: event.header.flags,
    };
    match EventParser::new().parse_event(&header, event.body()).ok()? {
        BinlogEvent::MySqlGtidEvent(e) => Some(Control::Gtid {
            gtid: Gtid {
                uuid: e.gtid.source_id.data,
                tag: None,
                number: legal(e.gtid.transaction_id)?,
            },
            committed_at_micros: commit_timestamp(event.body()),
        }),
        BinlogEvent::XidEvent(_) => Some(Control::Xid),
        BinlogEvent::RotateEvent(e) => Some(Control::Rotate {
            file: e.binlog_filename,
            position: e.binlog_position,
        }),
        BinlogEvent::HeartbeatEvent(e) => Some(Control::Heartbeat {
            file: e.binlog_filename,
            position: None,
        }),
        _ => None,
    }
}

fn legal(number: u64) -> Option<u64> {
    (1..=MAX_NUMBER).contains(&number).then_some(number)
}

/// Behind flags, UUID, number and logical clock: 7 bytes, the highest bit of which says that another one follows.
fn commit_timestamp(body: &[u8]) -> u64 {
    let bytes = body.get(42..49).unwrap_or_default();
    let number = bytes
        .iter()
        .rev()
        .fold(0u64, |n, b| (n << 8) | u64::from(*b));
    number & !(1 << 55)
}

/// The body of GTID_TAGGED_LOG in MySQL's serialization format: numbered fields of variable length.
fn tagged_gtid(body: &[u8]) -> Option<Control> {
    let mut rest = Serialized(body);
    let (_version, size) = (rest.byte()?, rest.uint()?);
    let last_needed = rest.uint()?;
    let envelope = body.len() - rest.0.len();
    let fields = usize::try_from(size).ok()?.checked_sub(envelope)?;
    let mut fields = Serialized(rest.0.get(..fields)?);
    let (mut uuid, mut number, mut tag, mut committed_at_micros) = (None, None, None, 0);
    while !fields.0.is_empty() {
        match fields.uint()? {
            1 => uuid = Some(fields.uuid()?),
            2 => number = Some(fields.uint()?),
            3 => tag = Some(fields.text()?),
            6 => committed_at_micros = fields.uint()?,
            0 | 4 | 5 | 7..=11 => _ = fields.uint()?,
            // A field of a later version, whose length we do not know: the ones that we need came before it.
            field if field > last_needed => break,
            _ => return None,
        }
    }
    // Numbers are signed there: zigzag, and never negative.
    let number = number.filter(|n| n & 1 == 0).map(|n| n >> 1)?;
    let tag = match tag? {
        "" => None,
        tag => Some(Tag::new(tag).ok()?),
    };
    let gtid = Gtid {
        uuid: uuid?,
        tag,
        number: legal(number)?,
    };
    Some(Control::Gtid {
        gtid,
        committed_at_micros,
    })
}

/// What is left of a serialized structure.
struct Serialized<'a>(&'a [u8]);

impl<'a> Serialized<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// The first byte's trailing ones count the bytes that follow it; the number is in the bits above.
    fn uint(&mut self) -> Option<u64> {
        let more = self.0.first()?.trailing_ones() as usize;
        let bytes = self.take(more + 1)?;
        if more == 8 {
            return Some(u64::from_le_bytes(bytes.get(1..)?.try_into().ok()?));
        }
        let number = bytes
            .iter()
            .rev()
            .fold(0u64, |n, b| (n << 8) | u64::from(*b));
        Some(number >> (more + 1))
    }

    fn uuid(&mut self) -> Option<[u8; 16]> {
        let mut uuid = [0; 16];
        for byte in &mut uuid {
            *byte = u8::try_from(self.uint()?).ok()?;
        }
        Some(uuid)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.uint()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }
}

/// HEARTBEAT_V2: fields of type, length, value.
fn heartbeat_v2(body: &[u8]) -> Option<Control> {
    let (mut file, mut position) = (None, None);
    let mut rest = body;
    while !rest.is_empty() {
        let kind = packed(&mut rest)?;
        if kind == 0 {
            break;
        }
        let length = usize::try_from(packed(&mut rest)?).ok()?;
        let (mut value, after) = rest.split_at_checked(length)?;
        rest = after;
        match kind {
            1 => file = Some(String::from_utf8(value.to_vec()).ok()?),
            2 => position = Some(packed(&mut value)?),
            _ => {}
        }
    }
    Some(Control::Heartbeat {
        file: file?,
        position,
    })
}

/// A length-encoded integer of the client protocol.
pub fn packed(input: &mut &[u8]) -> Option<u64> {
    let (first, rest) = input.split_first()?;
    let length = match first {
        0..=250 => {
            *input = rest;
            return Some(u64::from(*first));
        }
        252 => 2,
        253 => 3,
        254 => 8,
        _ => return None,
    };
    let (number, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some(number.iter().rev().fold(0, |n, b| (n << 8) | u64::from(*b)))
}

/// Reads a QUERY event's body.
pub fn query(body: &[u8]) -> Option<Query<'_>> {
    let database_length = usize::from(*body.get(8)?);
    let status = body.get(11..13)?;
    let status_length = usize::from(u16::from_le_bytes(status.try_into().ok()?));
    let rest = body.get(13 + status_length..)?;
    let (database, rest) = rest.split_at_checked(database_length)?;
    let (_zero, text) = rest.split_first()?;
    Some(Query {
        database,
        text,
        backslash_escapes: backslash_escapes(body.get(13..13 + status_length)?),
    })
}

/// From the status variables: whether a backslash escapes in the statement's strings. The server writes the flags
/// (code 0, 4 bytes) and the sql_mode (code 1, 8 bytes) first.
fn backslash_escapes(mut status: &[u8]) -> bool {
    const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;
    loop {
        match status {
            [0, rest @ ..] => status = rest.get(4..).unwrap_or_default(),
            [1, rest @ ..] => {
                let mode = rest.get(..8).and_then(|b| b.try_into().ok());
                return mode.is_none_or(|b| u64::from_le_bytes(b) & NO_BACKSLASH_ESCAPES == 0);
            }
            _ => return true,
        }
    }
}

/// Database and table of a TABLE_MAP event's body, and the table's id: enough to see whether it matters.
pub fn table_names(body: &[u8]) -> Option<(u64, &str, &str)> {
    let id = table_id(body)?;
    let mut rest = body.get(8..)?;
    let mut name = || {
        let length = usize::try_from(packed(&mut rest)?).ok()?;
        let (name, after) = rest.split_at_checked(length)?;
        rest = after.get(1..)?;
        std::str::from_utf8(name).ok()
    };
    Some((id, name()?, name()?))
}

/// The table id that TABLE_MAP and rows events begin with.
pub fn table_id(body: &[u8]) -> Option<u64> {
    let id = body.get(..6)?;
    Some(id.iter().rev().fold(0, |n, b| (n << 8) | u64::from(*b)))
}
