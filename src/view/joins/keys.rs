//! Keys of rows and of index entries.

use sha2::{Digest, Sha256};

use super::{Joins, corrupt, misfit};
use crate::change::{Row, Value};
use crate::error::Result;
use crate::expression::Comparison;
use crate::plan::SourceId;
use crate::plan::graph::Part;
use crate::view::encoding::{self, RowShape};
use crate::view::scene::Only;

/// A longer part of an index's key is replaced by its hash: only equality is asked of it.
const LONGEST_PART: usize = 512;
/// In front of the hash: no part begins so, for no length is written with more bytes than it needs.
const HASHED: [u8; 2] = [0x80, 0];

impl Joins {
    /// The key under which a row is kept: equal for two rows exactly when MySQL takes their keys for equal (or, where
    /// we cannot compare as MySQL does, when they are the same bytes).
    pub(super) fn row_key(&self, source: SourceId, row: &Row<'_>) -> Result<Vec<u8>> {
        let table = self.plan.source(source);
        let stored = self
            .stored(source)
            .ok_or_else(|| misfit("a source without state"))?;
        let mut key = Vec::with_capacity(16);
        for (slot, comparison) in table.key.iter().zip(&stored.key) {
            let value = row
                .values
                .get(*slot)
                .ok_or_else(|| misfit("a row without its key"))?;
            // As an index's part: where the rows themselves are the index, both must be the same bytes.
            match comparison {
                Some(comparison) if part_key(value, comparison, &mut key) => {}
                _ => encoding::encode_key([value], &mut key),
            }
        }
        Ok(key)
    }

    /// The row's stored columns.
    pub(super) fn encode(&self, source: SourceId, row: &Row<'_>) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(64);
        self.shape(source)?.encode(row, &mut bytes)?;
        Ok(bytes)
    }

    /// A row from its stored columns; the others are NULL.
    pub(super) fn decode<'b>(&self, source: SourceId, bytes: &'b [u8]) -> Result<Row<'b>> {
        self.shape(source)?.decode(bytes)
    }

    fn shape(&self, source: SourceId) -> Result<&RowShape> {
        let shape = self.shapes.get(usize::from(source.0));
        shape
            .and_then(Option::as_ref)
            .ok_or_else(|| misfit("a source without state"))
    }
}

/// Appends the key of an index for the row; false where a part is NULL: NULL equals nothing. A part that cannot be
/// computed equals nothing either: in MySQL such a row makes the whole query fail.
pub(super) fn parts_key(parts: &[Part], row: &Row<'_>, out: &mut Vec<u8>) -> Result<bool> {
    for part in parts {
        let rows = Only(row);
        let Ok(value) = part.value.evaluate(&rows) else {
            return Ok(false);
        };
        if !part_key(&value, &part.comparison, out) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// As [`parts_key`], of the row's columns.
pub(super) fn key_of_columns(
    slots: &[usize],
    comparisons: &[Comparison],
    row: &Row<'_>,
    out: &mut Vec<u8>,
) -> Result<bool> {
    for (slot, comparison) in slots.iter().zip(comparisons) {
        let value = row.values.get(*slot);
        if !part_key(
            value.ok_or_else(|| misfit("a key's column"))?,
            comparison,
            out,
        ) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn part_key(value: &Value<'_>, comparison: &Comparison, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    if matches!(value, Value::Null) || !comparison.key(value, out) {
        return false;
    }
    if out.len() - start > LONGEST_PART {
        let hash = Sha256::digest(out.get(start..).unwrap_or_default());
        out.truncate(start);
        out.extend_from_slice(&HASHED);
        out.extend_from_slice(&hash);
    }
    true
}

/// What a driving row's item is known by in one map for all projections.
pub(super) fn item_id(projection: usize, row_key: &[u8]) -> Vec<u8> {
    let mut id = Vec::with_capacity(2 + row_key.len());
    id.extend_from_slice(&(projection as u16).to_be_bytes());
    id.extend_from_slice(row_key);
    id
}

/// The parts of [`item_id`].
pub(super) fn split_id(id: &[u8]) -> Result<(usize, &[u8])> {
    let (projection, row_key) = id
        .split_first_chunk::<2>()
        .ok_or_else(|| corrupt("an item's name"))?;
    Ok((usize::from(u16::from_be_bytes(*projection)), row_key))
}
