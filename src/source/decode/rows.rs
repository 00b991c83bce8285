//! Rows events: WRITE, UPDATE and DELETE, and UPDATE with partial JSON.

use crate::change::{Change, Row, Value};

use super::cursor::Cursor;
use super::event::{Event, types};
use super::layout::{Field, Layout};
use super::table_map::bit;
use super::{DecodeError, json_dom, value};

const END_OF_STATEMENT: u16 = 0x1;
const NO_FOREIGN_KEY_CHECKS: u16 = 0x2;
const USE_SQL_FOREIGN_KEY: u16 = 0x10;
/// In the options of a partial update's after image: some of its JSON columns are differences.
const PARTIAL_JSON: u64 = 0x1;

/// What a rows event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsKind {
    Write,
    Update,
    /// An update whose JSON columns may be differences from the before image.
    PartialUpdate,
    Delete,
}

impl RowsKind {
    /// The kind of a rows event's type code; MariaDB's compressed ones are not read.
    pub fn of(type_code: u8) -> Option<Self> {
        Some(match type_code {
            types::WRITE_ROWS | types::WRITE_ROWS_V1 => RowsKind::Write,
            types::UPDATE_ROWS | types::UPDATE_ROWS_V1 => RowsKind::Update,
            types::PARTIAL_UPDATE_ROWS => RowsKind::PartialUpdate,
            types::DELETE_ROWS | types::DELETE_ROWS_V1 => RowsKind::Delete,
            _ => return None,
        })
    }
}

/// A rows event, its rows still packed.
#[derive(Debug, Clone)]
pub struct RowsEvent<'a> {
    pub kind: RowsKind,
    pub table_id: u64,
    pub flags: u16,
    /// Extra row information (partition ids, NDB), as it came.
    pub extra: &'a [u8],
    columns: usize,
    /// Which columns the images have; for writes `before` is empty, for deletes `after` is.
    before: &'a [u8],
    after: &'a [u8],
    rows: &'a [u8],
}

impl<'a> RowsEvent<'a> {
    /// Reads everything but the rows.
    pub fn parse(event: &'a Event) -> Result<Self, DecodeError> {
        let type_code = event.header.type_code;
        let kind = RowsKind::of(type_code).ok_or(DecodeError::WrongEvent {
            type_code,
            expected: "rows",
        })?;
        let mut cursor = Cursor::new(event.body(), "rows event");
        let table_id = cursor.uint(6)?;
        let flags = cursor.u16()?;
        let extra = if type_code < types::WRITE_ROWS {
            &[]
        } else {
            // The length counts itself.
            let length = usize::from(cursor.u16()?);
            let length = length.checked_sub(2);
            cursor.take(length.ok_or(DecodeError::malformed("a length of extra data below 2"))?)?
        };
        let columns = cursor.packed_len()?;
        let bitmap = columns.div_ceil(8);
        let before = match kind {
            RowsKind::Write => &[],
            _ => cursor.take(bitmap)?,
        };
        let after = match kind {
            RowsKind::Delete => &[],
            _ => cursor.take(bitmap)?,
        };
        Ok(Self {
            kind,
            table_id,
            flags,
            extra,
            columns,
            before,
            after,
            rows: cursor.rest(),
        })
    }

    /// The last rows event of its statement: table maps end with it.
    pub fn ends_statement(&self) -> bool {
        self.flags & END_OF_STATEMENT != 0
    }

    /// The session had `foreign_key_checks=0`.
    pub fn without_foreign_key_checks(&self) -> bool {
        self.flags & NO_FOREIGN_KEY_CHECKS != 0
    }

    /// Cascades of this change are in the binlog as row changes of their own.
    pub fn logs_cascades(&self) -> bool {
        self.flags & USE_SQL_FOREIGN_KEY != 0
    }

    /// The changes, in order. After an error there are no more.
    pub fn rows(&self, layout: &'a Layout) -> Result<Rows<'a>, DecodeError> {
        if layout.table_id != self.table_id {
            return Err(DecodeError::WrongTable {
                expected: layout.table_id,
                actual: self.table_id,
            });
        }
        if layout.fields.len() != self.columns {
            return Err(DecodeError::ColumnCount {
                table: layout.table.clone(),
                expected: layout.fields.len(),
                actual: self.columns,
            });
        }
        if self.kind != RowsKind::Write {
            self.complete("before", self.before, layout)?;
        }
        if self.kind != RowsKind::Delete {
            self.complete("after", self.after, layout)?;
        }
        Ok(Rows {
            kind: self.kind,
            layout,
            cursor: Cursor::new(self.rows, "row image"),
            spare: Spare::default(),
        })
    }

    /// Whether an image has every column.
    fn complete(
        &self,
        image: &'static str,
        bitmap: &[u8],
        layout: &Layout,
    ) -> Result<(), DecodeError> {
        let present = (0..self.columns)
            .filter(|&index| bit(bitmap, index))
            .count();
        if present == self.columns {
            return Ok(());
        }
        Err(DecodeError::IncompleteImage {
            image,
            table: layout.table.clone(),
            present,
            columns: self.columns,
        })
    }
}

/// The changes of one rows event.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    kind: RowsKind,
    layout: &'a Layout,
    cursor: Cursor<'a>,
    spare: Spare<'a>,
}

/// The vectors of rows that are done with: an update's two images.
type Spare<'a> = [Vec<Value<'a>>; 2];

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Change<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let before = self.cursor.rest().len();
        let change = self.change();
        if change.is_err() || self.cursor.rest().len() == before {
            self.cursor = Cursor::new(&[], "row image");
        }
        Some(change)
    }
}

impl<'a> Rows<'a> {
    /// Takes a change back that is done with: the next ones are read into its memory.
    #[inline]
    pub fn recycle(&mut self, change: Change<'a>) {
        let (first, second) = match change {
            Change::Insert { after } => (after, None),
            Change::Delete { before } => (before, None),
            Change::Update { before, after } => (before, Some(after)),
        };
        let [one, two] = &mut self.spare;
        *one = first.values;
        one.clear();
        if let Some(row) = second {
            *two = row.values;
            two.clear();
        }
    }

    /// Empty, with room for a row.
    #[inline]
    fn vacant(&mut self) -> Vec<Value<'a>> {
        let [one, two] = &mut self.spare;
        let source = if one.capacity() > 0 { one } else { two };
        let mut values = std::mem::take(source);
        values.reserve(self.layout.slots);
        values
    }

    fn change(&mut self) -> Result<Change<'a>, DecodeError> {
        Ok(match self.kind {
            RowsKind::Write => Change::Insert {
                after: self.image()?,
            },
            RowsKind::Delete => Change::Delete {
                before: self.image()?,
            },
            RowsKind::Update => Change::Update {
                before: self.image()?,
                after: self.image()?,
            },
            RowsKind::PartialUpdate => self.partial_update()?,
        })
    }

    /// One image: a bit for each column that is NULL, then the values of the others.
    fn image(&mut self) -> Result<Row<'a>, DecodeError> {
        let layout = self.layout;
        let nulls = self.cursor.take(layout.fields.len().div_ceil(8))?;
        let mut values = self.vacant();
        for (index, field) in layout.fields.iter().enumerate() {
            if bit(nulls, index) {
                if let Some(slot) = &field.slot {
                    put(&mut values, slot.index, Value::Null);
                }
                continue;
            }
            let bytes = field.wire.take(&mut self.cursor)?;
            if let Some(slot) = &field.slot {
                let value = value::read(field.wire, &slot.meaning, bytes)
                    .map_err(|what| self.invalid(field, what))?;
                put(&mut values, slot.index, value);
            }
        }
        Ok(Row { values })
    }

    #[cold]
    fn invalid(&self, field: &Field, what: &'static str) -> DecodeError {
        let column = field.slot.as_ref().map(|slot| slot.column.as_str());
        DecodeError::Value {
            column: format!("{}.{}", self.layout.table, column.unwrap_or_default()),
            what,
        }
    }

    fn partial_update(&mut self) -> Result<Change<'a>, DecodeError> {
        let start = self.cursor;
        let before = self.image()?;
        let documents = self.documents(start)?;
        let options = self.cursor.packed()?;
        if options & !PARTIAL_JSON != 0 {
            return Err(DecodeError::malformed(
                "unknown options of a partial update",
            ));
        }
        let partial = match options & PARTIAL_JSON {
            0 => &[],
            _ => self.cursor.take(documents.len().div_ceil(8))?,
        };
        let after = self.partial_image(partial, &documents)?;
        Ok(Change::Update { before, after })
    }

    /// The JSON documents of the image that starts at `cursor`, in the order of the columns.
    fn documents(&self, mut cursor: Cursor<'a>) -> Result<Vec<Option<&'a [u8]>>, DecodeError> {
        let fields = &self.layout.fields;
        let nulls = cursor.take(fields.len().div_ceil(8))?;
        let mut documents = vec![None; self.layout.json.len()];
        let mut nth = 0;
        for (index, field) in fields.iter().enumerate() {
            let json = self.layout.json.get(nth) == Some(&index);
            if !bit(nulls, index) {
                let bytes = field.wire.take(&mut cursor)?;
                if let (true, Some(document)) = (json, documents.get_mut(nth)) {
                    *document = Some(bytes);
                }
            }
            nth += usize::from(json);
        }
        Ok(documents)
    }

    /// An after image whose JSON columns with a bit in `partial` are differences from `documents`.
    fn partial_image(
        &mut self,
        partial: &[u8],
        documents: &[Option<&'a [u8]>],
    ) -> Result<Row<'a>, DecodeError> {
        let layout = self.layout;
        let nulls = self.cursor.take(layout.fields.len().div_ceil(8))?;
        let mut values = self.vacant();
        let mut nth = 0;
        for (index, field) in layout.fields.iter().enumerate() {
            let json = layout.json.get(nth) == Some(&index);
            let differences = json && bit(partial, nth);
            let document = documents.get(nth).copied().flatten();
            nth += usize::from(json);
            let bytes = match bit(nulls, index) {
                true => None,
                false => Some(field.wire.take(&mut self.cursor)?),
            };
            let Some(slot) = &field.slot else { continue };
            let value = match bytes {
                None => Ok(Value::Null),
                Some(bytes) if differences => json_dom::patched(document, bytes)
                    .map(|text| Value::Json(text.into()))
                    .ok_or("the result of a JSON difference"),
                Some(bytes) => value::read(field.wire, &slot.meaning, bytes),
            };
            put(
                &mut values,
                slot.index,
                value.map_err(|what| self.invalid(field, what))?,
            );
        }
        Ok(Row { values })
    }
}

/// Slots mostly come in order; where the table's order has changed since the plan was made, they do not.
#[inline]
fn put<'a>(values: &mut Vec<Value<'a>>, index: usize, value: Value<'a>) {
    if index == values.len() {
        values.push(value);
        return;
    }
    if index >= values.len() {
        values.resize(index + 1, Value::Null);
    }
    if let Some(place) = values.get_mut(index) {
        *place = value;
    }
}
