//! TABLE_MAP: a table as the server saw it when it wrote the rows events that follow.

use bytes::Bytes;

use super::cursor::Cursor;
use super::event::{Event, types};
use super::wire::Wire;
use super::{DecodeError, Metadata};

/// The most columns that a MySQL table can have.
const MAX_COLUMNS: usize = 4096;

/// A table map. Two maps are equal when their bytes are, the table id aside: a server that has restarted or reopened
/// the table gives it another id.
#[derive(Debug, Clone)]
pub struct TableMap {
    pub table_id: u64,
    pub database: String,
    pub table: String,
    pub columns: Vec<MapColumn>,
    pub metadata: Metadata,
    /// The event's body after the table id.
    raw: Bytes,
}

/// A column's place in a row image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapColumn {
    pub wire: Wire,
    pub nullable: bool,
}

impl TableMap {
    /// Only the id and the body after it: enough to see whether a map that is already known has come again.
    pub fn peek(event: &Event) -> Result<(u64, Bytes), DecodeError> {
        if event.header.type_code != types::TABLE_MAP {
            return Err(DecodeError::WrongEvent {
                type_code: event.header.type_code,
                expected: "TABLE_MAP",
            });
        }
        let body = event.body_bytes();
        let table_id = Cursor::new(&body, "table map").uint(6)?;
        Ok((table_id, body.slice(6..)))
    }

    /// Reads a TABLE_MAP event.
    pub fn parse(event: &Event) -> Result<Self, DecodeError> {
        let (table_id, raw) = Self::peek(event)?;
        let mut cursor = Cursor::new(&raw, "table map");
        cursor.u16()?;
        let database = name(&mut cursor)?;
        let table = name(&mut cursor)?;
        let count = cursor.packed_len()?;
        if count > MAX_COLUMNS {
            return Err(DecodeError::malformed("a table of more than 4096 columns"));
        }
        let type_codes = cursor.take(count)?;
        let mut meta = Cursor::new(cursor.packed_bytes()?, "table map's types");
        let nullable = cursor.take(count.div_ceil(8))?;
        let wires = type_codes
            .iter()
            .enumerate()
            .map(|(position, &code)| Wire::parse(code, position, &mut meta))
            .collect::<Result<Vec<_>, _>>()?;
        if !meta.is_empty() {
            return Err(DecodeError::malformed("types and their metadata disagree"));
        }
        let metadata = Metadata::parse(cursor.rest(), &wires)?;
        let columns = wires
            .into_iter()
            .enumerate()
            .map(|(index, wire)| MapColumn {
                wire,
                nullable: bit(nullable, index),
            })
            .collect();
        Ok(Self {
            table_id,
            database,
            table,
            columns,
            metadata,
            raw,
        })
    }

    /// Whether `body`, as [`Self::peek`] gives it, describes the same table in the same way.
    pub fn same_as(&self, body: &[u8]) -> bool {
        self.raw == body
    }
}

impl PartialEq for TableMap {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for TableMap {}

/// Bit `index` of a bitmap that starts with the lowest bit of its first byte.
#[inline]
pub(super) fn bit(bitmap: &[u8], index: usize) -> bool {
    bitmap
        .get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// A name with its length before it and a zero byte after it.
fn name(cursor: &mut Cursor<'_>) -> Result<String, DecodeError> {
    let bytes = cursor.packed_bytes()?;
    cursor.u8()?;
    let name = std::str::from_utf8(bytes);
    let name = name.map_err(|_| DecodeError::malformed("a table name that is not UTF-8"))?;
    Ok(name.to_owned())
}
