//! Which bytes of a row image go into which slot of the plan, and how they are read.

use crate::change::charset::{Charset, Collation};
use crate::plan::SourceTable;
use crate::schema::{Column, ColumnType};

use super::table_map::TableMap;
use super::value::{Meaning, Read};
use super::wire::Wire;
use super::{DecodeError, Metadata};

/// The collation id of what has no character set.
const BINARY: u16 = 63;

/// A table map bound to a plan's table. Made once for each new table map; rows are then read without looking at names.
#[derive(Debug, Clone)]
pub struct Layout {
    pub(super) table: String,
    pub(super) table_id: u64,
    /// One for each column of the image.
    pub(super) fields: Vec<Field>,
    pub(super) slots: usize,
    /// For each slot which of the values that are read it is; empty where they are read in the order of the slots.
    pub(super) order: Vec<usize>,
    /// Indexes of the JSON columns among the fields: a partial update has a bit for each.
    pub(super) json: Vec<usize>,
}

/// A column of the image.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub read: Read,
    pub wire: Wire,
    /// The plan's name; empty where the plan does not use the column.
    pub column: String,
}

impl Field {
    pub fn is_used(&self) -> bool {
        !matches!(self.read, Read::Skip(_))
    }
}

impl Layout {
    /// Finds the plan's columns by name (`binlog_row_metadata=FULL`) and checks that each one's type, sign, collation
    /// and labels are those that the plan was compiled against.
    pub fn bind(map: &TableMap, table: &SourceTable) -> Result<Self, DecodeError> {
        if map.metadata.names.len() != map.columns.len() || map.columns.is_empty() {
            return Err(DecodeError::NoColumnNames {
                table: table.name.to_string(),
            });
        }
        Self::bind_with(map, table, |column, _| {
            let names = &map.metadata.names;
            names
                .iter()
                .position(|name| name == &column.name)
                .or_else(|| {
                    let lower = column.name.to_lowercase();
                    names.iter().position(|name| name.to_lowercase() == lower)
                })
        })
    }

    /// Finds the plan's columns by their ordinals (`binlog_row_metadata=MINIMAL`): right only while the table is the one
    /// that the catalog showed, of which `columns`, the number of all its columns, and all types that are used must agree.
    pub fn bind_by_ordinal(
        map: &TableMap,
        table: &SourceTable,
        columns: usize,
    ) -> Result<Self, DecodeError> {
        if map.columns.len() != columns {
            return Err(DecodeError::ColumnCount {
                table: table.name.to_string(),
                expected: columns,
                actual: map.columns.len(),
            });
        }
        Self::bind_with(map, table, |_, ordinal| Some(ordinal))
    }

    /// The same table under another id: a server gives a new one when it reopens the table, with an equal map.
    pub fn with_table_id(mut self, table_id: u64) -> Self {
        self.table_id = table_id;
        self
    }

    /// How many values a row has: the table's columns that the plan uses.
    pub fn slots(&self) -> usize {
        self.slots
    }

    fn bind_with(
        map: &TableMap,
        table: &SourceTable,
        find: impl Fn(&Column, usize) -> Option<usize>,
    ) -> Result<Self, DecodeError> {
        let name = table.name.to_string();
        // Whether names differ by case alone is the server's setting; who finds the table has asked it.
        let same = |a: &str, b: &str| a == b || a.to_lowercase() == b.to_lowercase();
        if !same(&map.database, &table.name.database) || !same(&map.table, &table.name.table) {
            return Err(DecodeError::malformed("a table map of another table"));
        }
        let mut fields: Vec<Field> = map
            .columns
            .iter()
            .map(|column| Field {
                read: Read::Skip(column.wire),
                wire: column.wire,
                column: String::new(),
            })
            .collect();
        let mut positions = Vec::with_capacity(table.columns.len());
        for source in &table.columns {
            let column = &source.column;
            let unfit = |reason: String| DecodeError::Unfit {
                table: name.clone(),
                column: column.name.clone(),
                reason,
            };
            let position = find(column, source.ordinal);
            let (position, field) = position
                .and_then(|position| Some((position, fields.get_mut(position)?)))
                .ok_or_else(|| unfit("the table in the binlog has no such column".into()))?;
            let meaning = meaning(column, field.wire, position, &map.metadata).map_err(unfit)?;
            if field.is_used() {
                return Err(unfit("two columns of the plan have this name".into()));
            }
            let meaning = meaning.ok_or_else(|| unsupported(column))?;
            field.read = Read::new(field.wire, meaning);
            field.column.clone_from(&column.name);
            positions.push(position);
        }
        let json = fields.iter().enumerate();
        let json = json
            .filter(|(_, field)| matches!(field.wire, Wire::Json { .. }))
            .map(|(index, _)| index)
            .collect();
        Ok(Self {
            table: name,
            table_id: map.table_id,
            fields,
            slots: table.columns.len(),
            order: order(&positions),
            json,
        })
    }
}

/// For each position its rank; nothing where they ascend.
fn order(positions: &[usize]) -> Vec<usize> {
    if positions.is_sorted() {
        return Vec::new();
    }
    let rank = |position| positions.iter().filter(|&other| other < position).count();
    positions.iter().map(rank).collect()
}

fn unsupported(column: &Column) -> DecodeError {
    let charset = match &column.ty {
        ColumnType::Text { charset, .. }
        | ColumnType::Enum { charset, .. }
        | ColumnType::Set { charset, .. } => charset.clone(),
        _ => String::new(),
    };
    DecodeError::UnsupportedCharset {
        column: column.name.clone(),
        charset,
    }
}

/// How the column is read; `Ok(None)` where its character set cannot be converted, `Err` where the map does not fit.
fn meaning(
    column: &Column,
    wire: Wire,
    position: usize,
    metadata: &Metadata,
) -> Result<Option<Meaning>, String> {
    match (&column.ty, wire) {
        (
            ColumnType::Text {
                max_chars,
                charset,
                collation,
                fixed,
            },
            Wire::Fixed { .. } | Wire::Variable { .. } | Wire::Blob { .. },
        ) if *fixed == matches!(wire, Wire::Fixed { .. }) => {
            fits_collation(charset, collation, position, metadata)?;
            let known = Charset::by_mysql_name(charset);
            fits_length(*max_chars, known, wire, metadata)?;
            Ok(known.map(Meaning::Text))
        }
        (ColumnType::Binary { length }, Wire::Fixed { length: actual })
            if *length == u32::from(actual) =>
        {
            fits_binary(position, metadata)?;
            let length = usize::from(actual);
            Ok(Some(Meaning::Binary { length }))
        }
        (ColumnType::Bytes { .. }, Wire::Variable { .. } | Wire::Blob { .. }) => {
            fits_binary(position, metadata)?;
            Ok(Some(Meaning::Bytes))
        }
        (
            ColumnType::Enum {
                labels,
                charset,
                collation,
            },
            Wire::Enum { .. },
        )
        | (
            ColumnType::Set {
                labels,
                charset,
                collation,
            },
            Wire::Set { .. },
        ) => {
            fits_collation(charset, collation, position, metadata)?;
            fits_labels(labels, charset, position, metadata)
        }
        (ty, _) if fits_number(ty, wire) => {
            let unsigned = is_unsigned(ty);
            fits_sign(unsigned, position, metadata)?;
            Ok(Some(match ty.number_style() {
                Some(style) => Meaning::Printed(style),
                None => Meaning::Plain { unsigned },
            }))
        }
        (ty, _) if fits_other(ty, wire, metadata.dimensions.get(position)) => {
            Ok(Some(Meaning::Plain { unsigned: false }))
        }
        (ty, _) => Err(format!(
            "the binlog has {wire:?} where the catalog had {}",
            shape(ty)
        )),
    }
}

fn fits_number(ty: &ColumnType, wire: Wire) -> bool {
    match (ty, wire) {
        (ColumnType::Int { bytes, .. }, Wire::Int { bytes: actual }) => *bytes == actual,
        (ColumnType::Float { .. }, Wire::Float) | (ColumnType::Double { .. }, Wire::Double) => true,
        (
            ColumnType::Decimal {
                precision, scale, ..
            },
            Wire::Decimal {
                precision: digits,
                scale: decimals,
            },
        ) => (*precision, *scale) == (digits, decimals),
        _ => false,
    }
}

fn is_unsigned(ty: &ColumnType) -> bool {
    matches!(
        ty,
        ColumnType::Int { unsigned: true, .. }
            | ColumnType::Float { unsigned: true, .. }
            | ColumnType::Double { unsigned: true, .. }
            | ColumnType::Decimal { unsigned: true, .. }
    )
}

/// Dates and times, BIT, JSON, GEOMETRY, VECTOR.
fn fits_other(ty: &ColumnType, wire: Wire, floats: Option<&Option<u32>>) -> bool {
    match (ty, wire) {
        (ColumnType::Bit { bits }, Wire::Bit { bits: actual }) => *bits == actual,
        (ColumnType::Date, Wire::Date)
        | (ColumnType::Year, Wire::Year)
        | (ColumnType::Json, Wire::Json { .. })
        | (ColumnType::Geometry, Wire::Geometry { .. })
        | (ColumnType::DateTime { fsp: 0 }, Wire::OldDateTime)
        | (ColumnType::Timestamp { fsp: 0 }, Wire::OldTimestamp)
        | (ColumnType::Time { fsp: 0 }, Wire::OldTime) => true,
        (ColumnType::DateTime { fsp }, Wire::DateTime { fsp: actual })
        | (ColumnType::Timestamp { fsp }, Wire::Timestamp { fsp: actual })
        | (ColumnType::Time { fsp }, Wire::Time { fsp: actual }) => *fsp == actual,
        (ColumnType::Vector { dimensions }, Wire::Vector { .. }) => floats
            .copied()
            .flatten()
            .is_none_or(|actual| actual == *dimensions),
        _ => false,
    }
}

/// The type without an ENUM's labels, which can be data.
fn shape(ty: &ColumnType) -> String {
    match ty {
        ColumnType::Enum { labels, .. } => format!("ENUM of {} labels", labels.len()),
        ColumnType::Set { labels, .. } => format!("SET of {} labels", labels.len()),
        other => format!("{other:?}"),
    }
}

fn fits_sign(unsigned: bool, position: usize, metadata: &Metadata) -> Result<(), String> {
    match metadata.unsigned.get(position) {
        Some(&actual) if actual != unsigned => Err(format!(
            "the binlog has it {}, the catalog had it {}",
            sign(actual),
            sign(unsigned)
        )),
        Some(_) => Ok(()),
        // Every numeric column has its sign in the map since MySQL 8.0.
        None => Err("the table map does not say which numbers are unsigned".into()),
    }
}

fn sign(unsigned: bool) -> &'static str {
    if unsigned { "unsigned" } else { "signed" }
}

fn fits_collation(
    charset: &str,
    collation: &str,
    position: usize,
    metadata: &Metadata,
) -> Result<(), String> {
    let Some(id) = metadata.collations.get(position).copied().flatten() else {
        // Only ENUM and SET come without one, under MINIMAL metadata; their labels are the plan's then.
        return Ok(());
    };
    match Collation::by_id(id) {
        Some(actual) if actual.name == collation && actual.charset == charset => Ok(()),
        Some(actual) => Err(format!(
            "the binlog has it in {}, the catalog had it in {collation}",
            actual.name
        )),
        None => Err(format!(
            "the binlog has it in collation {id}, which is not known"
        )),
    }
}

fn fits_binary(position: usize, metadata: &Metadata) -> Result<(), String> {
    match metadata.collations.get(position).copied().flatten() {
        None | Some(BINARY) => Ok(()),
        Some(_) => Err("the binlog has it as text, the catalog had it as binary".into()),
    }
}

/// Without names, a text column of another length is taken to be another column.
fn fits_length(
    max_chars: u64,
    charset: Option<Charset>,
    wire: Wire,
    metadata: &Metadata,
) -> Result<(), String> {
    let (Some(charset), true) = (charset, metadata.names.is_empty()) else {
        return Ok(());
    };
    let (Wire::Fixed { length } | Wire::Variable { length }) = wire else {
        return Ok(());
    };
    if u64::from(length) == max_chars.saturating_mul(u64::from(charset.max_bytes())) {
        Ok(())
    } else {
        Err(format!(
            "the binlog has it with {length} bytes, the catalog had it with {max_chars} characters"
        ))
    }
}

fn fits_labels(
    labels: &[String],
    charset: &str,
    position: usize,
    metadata: &Metadata,
) -> Result<Option<Meaning>, String> {
    let Some(charset) = Charset::by_mysql_name(charset) else {
        return Ok(None);
    };
    if let Some(Some(actual)) = metadata.labels.get(position) {
        let same = actual.len() == labels.len()
            && actual.iter().zip(labels).all(|(actual, label)| {
                charset
                    .decode(actual)
                    .is_ok_and(|actual| actual == label.as_str())
            });
        if !same {
            return Err("its labels in the binlog are not those that the catalog had".into());
        }
    }
    Ok(Some(Meaning::Labels(labels.to_vec())))
}
