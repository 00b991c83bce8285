//! How wide a table's rows are, and so for how many of them a SELECT asks.
//!
//! A chunk is cut when it holds [`CHUNK_BYTES`]. What of the result set is left then is lost, and is sent nonetheless: the
//! query client reads it to its end before it lets go of the connection. Without a LIMIT a range of wide rows would be
//! sent once for each of its chunks. A LIMIT changes nothing of what is read: a chunk that reaches it is cut behind its
//! last row, as one that is cut by its bytes. (To kill the old connection instead spares less, as sockets hold
//! megabytes that were sent already, and its number can be another's where a proxy shares connections.)

use crate::plan::SourceTable;
use crate::schema::ColumnType;

use super::window::RawRow;

/// A chunk is cut when it holds this many bytes, whatever the number of its rows.
pub const CHUNK_BYTES: usize = 8 << 20;
/// What a LIMIT aims at: below the cut, so that a chunk of somewhat wider rows is whole as well.
const AIM: usize = CHUNK_BYTES / 4 * 3;
/// For how many rows the first SELECT asks where the columns' types promise nothing.
const FIRST_ROWS: usize = 100;
/// What a value costs besides its bytes.
const VALUE_OVERHEAD: usize = 32;

/// What a row of a table weighs, by the chunks that were read of late; `None` before the first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Width(Option<usize>);

impl Width {
    /// A chunk was read. Wide rows are forgotten by halves: where they take turns with narrow ones, each turn would cost
    /// the rest of a result set.
    pub fn saw(&mut self, rows: usize, bytes: usize) {
        if let Some(now) = bytes.checked_div(rows) {
            self.0 = Some(now.max(self.0.unwrap_or(0) / 2));
        }
    }

    /// For how many rows the next SELECT asks.
    pub fn limit(self, table: &SourceTable) -> usize {
        let types = table.columns.iter().map(|c| &c.column.ty);
        self.rows(types.map(|ty| widest(ty).saturating_add(VALUE_OVERHEAD)))
    }

    fn rows(self, declared: impl Iterator<Item = usize>) -> usize {
        let fit = |weight: usize| AIM / weight.max(1);
        match self.0 {
            Some(weight) => fit(weight).max(1),
            None => fit(declared.fold(0, usize::saturating_add)).max(FIRST_ROWS),
        }
    }
}

/// What a row takes in memory.
pub fn weight(row: &RawRow) -> usize {
    let values = row.iter().map(|v| v.as_ref().map_or(0, Vec::len));
    values.map(|length| length + VALUE_OVERHEAD).sum()
}

/// The most bytes that a value of this type can have as text, or about that.
fn widest(ty: &ColumnType) -> usize {
    let bytes = match ty {
        ColumnType::Text { max_chars, .. } => max_chars.saturating_mul(4),
        ColumnType::Binary { length } => u64::from(*length),
        ColumnType::Bytes { max_length } => *max_length,
        ColumnType::Enum { labels, .. } => labels.iter().map(String::len).max().unwrap_or(0) as u64,
        ColumnType::Set { labels, .. } => labels.iter().map(|label| label.len() as u64 + 1).sum(),
        ColumnType::Vector { dimensions } => u64::from(*dimensions) * 4,
        ColumnType::Json | ColumnType::Geometry => u64::MAX,
        // Numbers and times.
        _ => 32,
    };
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_follows_the_rows() {
        let declared = |bytes| Width::default().rows([bytes, 64].into_iter());
        assert_eq!(declared(1000), AIM / 1064);
        assert_eq!(declared(usize::MAX), FIRST_ROWS);
        let limit = |width: Width| width.rows(std::iter::empty());
        let mut width = Width::default();
        width.saw(0, 0);
        assert_eq!(width.rows(std::iter::once(usize::MAX)), FIRST_ROWS);
        width.saw(40, 40 * 200_000);
        assert_eq!(limit(width), AIM / 200_000);
        // Narrow rows after wide ones: not all at once.
        width.saw(31, 31 * 100);
        assert_eq!(limit(width), AIM / 100_000);
        for _ in 0..20 {
            width.saw(1000, 1000 * 100);
        }
        assert_eq!(limit(width), AIM / 100);
        // Wide ones are believed at once; one that alone is wider than a chunk is read alone.
        width.saw(1, 1 << 30);
        assert_eq!(limit(width), 1);
    }
}
