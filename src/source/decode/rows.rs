//! Rows events: WRITE, UPDATE and DELETE, and UPDATE with partial JSON.

use crate::change::{Change, Row, Value};

use super::cursor::Cursor;
use super::event::{Event, types};
use super::layout::Layout;
use super::table_map::bit;
use super::value::Invalid;
use super::{DecodeError, json_dom};

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
        let whole = bitmap.get(..self.columns / 8).unwrap_or_default();
        let rest = self.columns / 8 * 8..self.columns;
        if whole.iter().all(|&byte| byte == 0xff) && rest.clone().all(|index| bit(bitmap, index)) {
            return Ok(());
        }
        let present = (0..self.columns).filter(|&index| bit(bitmap, index));
        let present = present.count();
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
        Value::clear(one);
        if let Some(row) = second {
            *two = row.values;
            Value::clear(two);
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
    #[inline]
    fn image(&mut self) -> Result<Row<'a>, DecodeError> {
        let layout = self.layout;
        let nulls = self.cursor.take(layout.fields.len().div_ceil(8))?;
        let mut values = self.vacant();
        let mut rest = self.cursor.rest();
        for (nth, (fields, &nulls)) in layout.fields.chunks(8).zip(nulls).enumerate() {
            for (bit, field) in fields.iter().enumerate() {
                if nulls >> bit & 1 == 1 {
                    if field.is_used() {
                        values.push(Value::Null);
                    }
                } else if let Err(why) = field.read.value(&mut rest, &mut values) {
                    return Err(self.invalid(8 * nth + bit, why));
                }
            }
        }
        self.cursor.rewind(rest);
        Ok(self.row(values))
    }

    /// A row of values that were read in the order of the columns.
    #[inline]
    fn row(&self, mut values: Vec<Value<'a>>) -> Row<'a> {
        if !self.layout.order.is_empty() {
            let take = |&nth: &usize| values.get_mut(nth).map(std::mem::take);
            values = self.layout.order.iter().filter_map(take).collect();
        }
        Row { values }
    }

    #[cold]
    fn invalid(&self, column: usize, why: Invalid) -> DecodeError {
        if why == Invalid::Truncated {
            return DecodeError::truncated(why.name());
        }
        let column = self.layout.fields.get(column);
        let column = column.map(|field| field.column.as_str());
        DecodeError::Value {
            column: format!("{}.{}", self.layout.table, column.unwrap_or_default()),
            what: why.name(),
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
        let mut rest = cursor.rest();
        let mut documents = Vec::with_capacity(self.layout.json.len());
        for (index, field) in fields.iter().enumerate() {
            let bytes = match bit(nulls, index) {
                true => None,
                false => {
                    let taken = field.wire.take(&mut rest);
                    Some(taken.map_err(|why| self.invalid(index, why))?)
                }
            };
            if self.layout.json.contains(&index) {
                documents.push(bytes);
            }
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
        let mut rest = self.cursor.rest();
        for (index, field) in layout.fields.iter().enumerate() {
            let nth = layout.json.iter().position(|&json| json == index);
            let differs = nth.is_some_and(|nth| bit(partial, nth));
            let read = if bit(nulls, index) {
                if field.is_used() {
                    values.push(Value::Null);
                }
                Ok(())
            } else if differs {
                let document = nth.and_then(|nth| documents.get(nth).copied().flatten());
                field.wire.take(&mut rest).and_then(|differences| {
                    if field.is_used() {
                        let text = json_dom::patched(document, differences);
                        values.push(Value::Json(text.ok_or(Invalid::Difference)?.into()));
                    }
                    Ok(())
                })
            } else {
                field.read.value(&mut rest, &mut values)
            };
            read.map_err(|why| self.invalid(index, why))?;
        }
        self.cursor.rewind(rest);
        Ok(self.row(values))
    }
}
