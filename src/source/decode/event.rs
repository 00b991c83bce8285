//! Event framing: the header, the checksum, the event types.

use std::ops::Range;

use bytes::Bytes;

use super::DecodeError;
use super::cursor::Cursor;

/// Bytes of an event's header.
pub const HEADER_LENGTH: usize = 19;
const CHECKSUM_LENGTH: usize = 4;

/// The event types of MySQL 9.7 and MariaDB.
pub mod types {
    pub const UNKNOWN: u8 = 0;
    pub const START_V3: u8 = 1;
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const LOAD: u8 = 6;
    pub const SLAVE: u8 = 7;
    pub const CREATE_FILE: u8 = 8;
    pub const APPEND_BLOCK: u8 = 9;
    pub const EXEC_LOAD: u8 = 10;
    pub const DELETE_FILE: u8 = 11;
    pub const NEW_LOAD: u8 = 12;
    pub const RAND: u8 = 13;
    pub const USER_VAR: u8 = 14;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const BEGIN_LOAD_QUERY: u8 = 17;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const PRE_GA_WRITE_ROWS: u8 = 20;
    pub const PRE_GA_UPDATE_ROWS: u8 = 21;
    pub const PRE_GA_DELETE_ROWS: u8 = 22;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const UPDATE_ROWS_V1: u8 = 24;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const IGNORABLE: u8 = 28;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const TRANSACTION_CONTEXT: u8 = 36;
    pub const VIEW_CHANGE: u8 = 37;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;
    pub const MARIADB_ANNOTATE_ROWS: u8 = 160;
    pub const MARIADB_BINLOG_CHECKPOINT: u8 = 161;
    pub const MARIADB_GTID: u8 = 162;
    pub const MARIADB_GTID_LIST: u8 = 163;
    pub const MARIADB_START_ENCRYPTION: u8 = 164;
    pub const MARIADB_QUERY_COMPRESSED: u8 = 165;
    pub const MARIADB_WRITE_ROWS_COMPRESSED_V1: u8 = 166;
    pub const MARIADB_UPDATE_ROWS_COMPRESSED_V1: u8 = 167;
    pub const MARIADB_DELETE_ROWS_COMPRESSED_V1: u8 = 168;
    pub const MARIADB_WRITE_ROWS_COMPRESSED: u8 = 169;
    pub const MARIADB_UPDATE_ROWS_COMPRESSED: u8 = 170;
    pub const MARIADB_DELETE_ROWS_COMPRESSED: u8 = 171;

    /// The type's name in metrics.
    pub fn name(code: u8) -> &'static str {
        match code {
            QUERY => "query",
            ROTATE => "rotate",
            FORMAT_DESCRIPTION => "format_description",
            XID => "xid",
            TABLE_MAP => "table_map",
            WRITE_ROWS | WRITE_ROWS_V1 => "write_rows",
            UPDATE_ROWS | UPDATE_ROWS_V1 => "update_rows",
            DELETE_ROWS | DELETE_ROWS_V1 => "delete_rows",
            PARTIAL_UPDATE_ROWS => "partial_update_rows",
            HEARTBEAT | HEARTBEAT_V2 => "heartbeat",
            ROWS_QUERY => "rows_query",
            GTID | GTID_TAGGED | MARIADB_GTID => "gtid",
            ANONYMOUS_GTID => "anonymous_gtid",
            PREVIOUS_GTIDS => "previous_gtids",
            XA_PREPARE => "xa_prepare",
            TRANSACTION_PAYLOAD => "transaction_payload",
            _ => "other",
        }
    }
}

/// Whether an event of this type can hold changes of rows. Types that nobody knows are taken to.
/// QUERY can change rows too (a statement, DDL), but says so in its text.
pub fn can_carry_rows(type_code: u8) -> bool {
    use types::*;
    !matches!(
        type_code,
        UNKNOWN
            | START_V3
            | QUERY
            | STOP
            | ROTATE
            | INTVAR
            | SLAVE
            | RAND
            | USER_VAR
            | FORMAT_DESCRIPTION
            | XID
            | TABLE_MAP
            | INCIDENT
            | HEARTBEAT
            | IGNORABLE
            | ROWS_QUERY
            | GTID
            | ANONYMOUS_GTID
            | PREVIOUS_GTIDS
            | TRANSACTION_CONTEXT
            | VIEW_CHANGE
            | XA_PREPARE
            | HEARTBEAT_V2
            | GTID_TAGGED
            | MARIADB_ANNOTATE_ROWS
            | MARIADB_BINLOG_CHECKPOINT
            | MARIADB_GTID
            | MARIADB_GTID_LIST
            | MARIADB_START_ENCRYPTION
            | MARIADB_QUERY_COMPRESSED
    )
}

/// Whether events end with a CRC32 of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    None,
    Crc32,
}

/// An event's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Seconds since 1970.
    pub timestamp: u32,
    pub type_code: u8,
    pub server_id: u32,
    /// Bytes of the whole event, header and checksum included.
    pub size: u32,
    /// Where the next event starts; wraps at 4 GiB, and is 0 within a transaction payload.
    pub log_pos: u32,
    pub flags: u16,
}

impl Header {
    /// Reads the header at the front of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(bytes, "header");
        Ok(Self {
            timestamp: cursor.u32()?,
            type_code: cursor.u8()?,
            server_id: cursor.u32()?,
            size: cursor.u32()?,
            log_pos: cursor.u32()?,
            flags: cursor.u16()?,
        })
    }
}

/// One event, whole and checked.
#[derive(Debug, Clone)]
pub struct Event {
    pub header: Header,
    /// The whole event: header, body, checksum.
    pub bytes: Bytes,
    body: Range<usize>,
}

impl Event {
    /// Checks size and checksum of one whole event.
    pub fn parse(bytes: Bytes, checksum: Checksum) -> Result<Self, DecodeError> {
        let header = Header::parse(&bytes)?;
        if usize::try_from(header.size) != Ok(bytes.len()) {
            return Err(DecodeError::Size {
                stated: header.size,
                actual: bytes.len(),
            });
        }
        let body = match checksum {
            Checksum::None => HEADER_LENGTH..bytes.len(),
            Checksum::Crc32 => HEADER_LENGTH..verified_length(&bytes)?,
        };
        Ok(Self {
            header,
            bytes,
            body,
        })
    }

    /// What lies between the header and the checksum.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(self.body.clone()).unwrap_or_default()
    }

    /// [`Self::body`] without copying it out of the event.
    pub fn body_bytes(&self) -> Bytes {
        self.bytes.slice(self.body.clone())
    }
}

/// Bytes before a checksum that matches.
fn verified_length(bytes: &[u8]) -> Result<usize, DecodeError> {
    let length = bytes
        .len()
        .checked_sub(CHECKSUM_LENGTH)
        .filter(|&length| length >= HEADER_LENGTH)
        .ok_or(DecodeError::truncated("checksum"))?;
    let (content, stated) = bytes.split_at(length);
    if crc32fast::hash(content).to_le_bytes() == stated {
        Ok(length)
    } else {
        Err(DecodeError::Checksum)
    }
}

/// A binlog that is being written (or was not closed) says so by a flag in its FORMAT_DESCRIPTION, which the checksum
/// does not cover.
fn verify_format(bytes: &[u8]) -> Result<(), DecodeError> {
    const FLAGS: usize = 17;
    const IN_USE: u8 = 0x1;
    let mut closed = bytes.to_vec();
    if let Some(flags) = closed.get_mut(FLAGS) {
        *flags &= !IN_USE;
    }
    verified_length(&closed).map(|_| ())
}

/// FORMAT_DESCRIPTION: what the events after it look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatDescription {
    pub binlog_version: u16,
    /// Such as `9.7.4` or `10.11.6-MariaDB-log`.
    pub server_version: String,
    /// Of the events that follow.
    pub checksum: Checksum,
    /// Bytes of the fixed part after the header, for event types from 1 on.
    pub post_header_lengths: Vec<u8>,
}

impl FormatDescription {
    /// Reads a whole FORMAT_DESCRIPTION event and verifies its own checksum.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let header = Header::parse(bytes)?;
        if header.type_code != types::FORMAT_DESCRIPTION {
            return Err(DecodeError::WrongEvent {
                type_code: header.type_code,
                expected: "FORMAT_DESCRIPTION",
            });
        }
        if usize::try_from(header.size) != Ok(bytes.len()) {
            return Err(DecodeError::Size {
                stated: header.size,
                actual: bytes.len(),
            });
        }
        let mut cursor = Cursor::new(bytes, "format description");
        cursor.take(HEADER_LENGTH)?;
        let binlog_version = cursor.u16()?;
        let version = cursor.take(50)?;
        cursor.u32()?;
        if usize::from(cursor.u8()?) != HEADER_LENGTH {
            return Err(DecodeError::malformed("the header length is not 19"));
        }
        // The lengths, then one byte for the algorithm and the checksum, present whether it is on or off.
        let lengths = cursor.rest().len().checked_sub(1 + CHECKSUM_LENGTH);
        let lengths = lengths.ok_or(DecodeError::truncated("format description"))?;
        let post_header_lengths = cursor.take(lengths)?.to_vec();
        let checksum = match cursor.u8()? {
            1 => {
                verify_format(bytes)?;
                Checksum::Crc32
            }
            0 | 255 => Checksum::None,
            _ => return Err(DecodeError::malformed("an unknown checksum algorithm")),
        };
        let version = version.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(Self {
            binlog_version,
            server_version: String::from_utf8_lossy(version).into_owned(),
            checksum,
            post_header_lengths,
        })
    }
}
