//! From a row's name back to its key: what finds the row in MySQL, and what the view knows it by.
//!
//! The name is what `view::source_key` writes: the key's values as MySQL prints them, joined by `,`. MySQL finds the row by
//! it as its columns compare, so where a collation takes two spellings for equal the row that is found may have another name.

use super::decode::text;
use crate::change::charset::Charset;
use crate::change::{Row, Value};
use crate::checkpoint::Bound;
use crate::error::{Error, Kind, Result};
use crate::plan::SourceTable;
use crate::schema::{Column, ColumnType, quote};
use crate::view::CODES;

/// A row's key, read from the row's name.
#[derive(Debug, Clone)]
pub struct RowKey<'t> {
    table: &'t SourceTable,
    /// By key column.
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    /// The column's text, or its bytes where it has no text or another one than they.
    bytes: Vec<u8>,
    /// Whether these are the bytes of a text in the column's own character set.
    coded: bool,
}

/// The condition under which MySQL finds the row of this name; its index serves it.
///
/// # Errors
/// `Usage` where this is not the name of a row of the table.
pub fn condition(table: &SourceTable, source_key: &str) -> Result<String> {
    RowKey::parse(table, source_key)?.condition()
}

/// The row's key as the bounds of chunks have it: SQL literals of the key's columns; ENUM, SET and BIT as numbers.
///
/// # Errors
/// As [`condition`].
pub fn literals(table: &SourceTable, source_key: &str) -> Result<Bound> {
    RowKey::parse(table, source_key)?.literals()
}

impl<'t> RowKey<'t> {
    /// Reads the name.
    ///
    /// # Errors
    /// As [`condition`].
    pub fn parse(table: &'t SourceTable, source_key: &str) -> Result<Self> {
        let texts = split(source_key);
        let columns: Vec<&Column> = columns(table).collect();
        if texts.len() != columns.len() || columns.len() != table.key.len() {
            return Err(unknown(table));
        }
        let parts = columns.iter().zip(texts).map(|(column, (text, coded))| {
            let hex = || text.strip_prefix("0x").and_then(|t| hex::decode(t).ok());
            let bytes = match (&column.ty, coded) {
                (ColumnType::Binary { .. } | ColumnType::Bytes { .. }, false)
                | (ColumnType::Text { .. }, true) => hex(),
                (_, false) => Some(text.into_bytes()),
                (_, true) => None,
            };
            let bytes = bytes.ok_or_else(|| unknown(table))?;
            Ok(Part { bytes, coded })
        });
        let key = Self {
            table,
            parts: parts.collect::<Result<_>>()?,
        };
        // What is no value of its column is no SQL either.
        key.row()?;
        Ok(key)
    }

    /// A row with this key, of which nothing else is known.
    ///
    /// # Errors
    /// As [`condition`].
    pub fn row(&self) -> Result<Row<'_>> {
        let mut values = vec![Value::Null; self.table.columns.len()];
        for ((slot, column), part) in self.table.key.iter().zip(self.columns()).zip(&self.parts) {
            let value = values.get_mut(*slot).ok_or_else(|| unknown(self.table))?;
            *value = self.value(column, part)?;
        }
        Ok(Row { values })
    }

    /// See [`condition`].
    ///
    /// # Errors
    /// As [`condition`].
    pub fn condition(&self) -> Result<String> {
        self.condition_under("")
    }

    /// The same, each column behind `prefix`: `d.`.
    ///
    /// # Errors
    /// As [`condition`].
    pub fn condition_under(&self, prefix: &str) -> Result<String> {
        let literals = self.literals()?;
        let columns = self.columns().zip(&self.parts).zip(literals);
        let parts: Vec<String> = columns
            .map(|((column, part), literal)| {
                let name = format!("{prefix}{}", quote(&column.name));
                match &column.ty {
                    // Compared as texts they are served by the index; the number tells labels apart that look alike.
                    ColumnType::Enum { .. } | ColumnType::Set { .. } => format!(
                        "{name} = _utf8mb4 x'{}' AND CAST({name} AS UNSIGNED) = {literal}",
                        hex::encode(&part.bytes)
                    ),
                    _ => format!("{name} = {literal}"),
                }
            })
            .collect();
        Ok(parts.join(" AND "))
    }

    /// See [`literals`].
    ///
    /// # Errors
    /// As [`condition`].
    pub fn literals(&self) -> Result<Bound> {
        let columns = self.columns().zip(&self.parts);
        columns.map(|(c, part)| self.literal(c, part)).collect()
    }

    fn columns(&self) -> impl Iterator<Item = &'t Column> + use<'t> {
        columns(self.table)
    }

    fn value<'v>(&'v self, column: &Column, part: &'v Part) -> Result<Value<'v>> {
        let bytes = part.bytes.as_slice();
        let text = || std::str::from_utf8(bytes).map_err(|_| unknown(self.table));
        Ok(match &column.ty {
            ColumnType::Text { charset, .. } if part.coded => {
                let set = Charset::by_mysql_name(charset);
                let text = set.and_then(|set| set.text(bytes).ok());
                // One that has no need of its bytes is named without them.
                let text = text.filter(|text| text.codes().is_some());
                Value::Text(text.ok_or_else(|| unknown(self.table))?)
            }
            ColumnType::Text { .. } | ColumnType::Enum { .. } => Value::Text(text()?.into()),
            ColumnType::Set { .. } => Value::Set(text()?.into()),
            ColumnType::Bit { .. } => Value::Bit(text()?.parse().map_err(|_| unknown(self.table))?),
            _ => text::value(column, bytes).map_err(|_| unknown(self.table))?,
        })
    }

    fn literal(&self, column: &Column, part: &Part) -> Result<String> {
        let bytes = part.bytes.as_slice();
        let text = || std::str::from_utf8(bytes).map_err(|_| unknown(self.table));
        let number = |number: Option<u64>| {
            let number = number.ok_or_else(|| unknown(self.table))?;
            Ok(number.to_string())
        };
        match &column.ty {
            // Each has been read as a value of its type: digits and separators only.
            ColumnType::Int { .. }
            | ColumnType::Decimal { .. }
            | ColumnType::Bit { .. }
            | ColumnType::Year => Ok(text()?.to_owned()),
            ColumnType::Date
            | ColumnType::DateTime { .. }
            | ColumnType::Timestamp { .. }
            | ColumnType::Time { .. } => Ok(format!("'{}'", text()?)),
            ColumnType::Text {
                charset, collation, ..
            } if part.coded => Ok(format!(
                "_{charset} x'{}' COLLATE {collation}",
                hex::encode(bytes)
            )),
            // Computed once for the statement, by the server itself: keys are text of characters that come back.
            ColumnType::Text {
                charset, collation, ..
            } => Ok(format!(
                "CONVERT(_utf8mb4 x'{}' USING {charset}) COLLATE {collation}",
                hex::encode(bytes)
            )),
            ColumnType::Binary { .. } | ColumnType::Bytes { .. } => {
                Ok(format!("x'{}'", hex::encode(bytes)))
            }
            ColumnType::Enum { labels, .. } => number(enum_number(labels, text()?)),
            ColumnType::Set { labels, .. } => number(set_number(labels, text()?)),
            ColumnType::Float { .. }
            | ColumnType::Double { .. }
            | ColumnType::Json
            | ColumnType::Geometry
            | ColumnType::Vector { .. } => Err(unknown(self.table)),
        }
    }
}

fn columns(table: &SourceTable) -> impl Iterator<Item = &Column> + use<'_> {
    let columns = table.key.iter().filter_map(|&slot| table.columns.get(slot));
    columns.map(|c| &c.column)
}

/// The parts between the commas; a backslash takes the meaning from the character behind it. The flag: [`CODES`] stands before
/// the part, which is without its backslash.
fn split(name: &str) -> Vec<(String, bool)> {
    let coded = |rest: &str| rest.starts_with(CODES);
    let mut parts = vec![(String::new(), coded(name))];
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        let taken = match c {
            ',' => {
                parts.push((String::new(), coded(chars.as_str())));
                continue;
            }
            // One at the end stands for itself: no name has it there.
            '\\' => chars.next().unwrap_or(c),
            c => c,
        };
        if let Some((part, _)) = parts.last_mut() {
            part.push(taken);
        }
    }
    parts
}

/// 0 is the value of an error, whose text is empty.
fn enum_number(labels: &[String], text: &str) -> Option<u64> {
    match labels.iter().position(|label| label == text) {
        Some(at) => u64::try_from(at + 1).ok(),
        None => text.is_empty().then_some(0),
    }
}

fn set_number(labels: &[String], text: &str) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    text.split(',').try_fold(0, |number, member| {
        let bit = labels.iter().position(|label| label == member)?;
        Some(number | 1u64.checked_shl(u32::try_from(bit).ok()?)?)
    })
}

/// The name is a row value, and not told.
fn unknown(table: &SourceTable) -> Error {
    Error::new(
        Kind::Usage,
        format!("this is not the key of a row of {}", table.name),
    )
    .with_remedy("give a source key as `penstock dead-letters list` or a report shows it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_as_they_were_joined() {
        let split = |name| {
            let parts = split(name).into_iter();
            parts.map(|(part, coded)| if coded { format!("codes {part}") } else { part })
        };
        let split = |name| split(name).collect::<Vec<_>>();
        assert_eq!(split("1"), ["1"]);
        assert_eq!(split("a\\,b,c\\\\,"), ["a,b", "c\\", ""]);
        assert_eq!(split(""), [""]);
        assert_eq!(split("a\\"), ["a\\"]);
        assert_eq!(
            split("\\0x98,0x98,\\\\0x98"),
            ["codes 0x98", "0x98", "\\0x98"]
        );
    }

    #[test]
    fn labels_have_numbers() {
        let labels = ["x", "y", "é"].map(str::to_owned);
        assert_eq!(enum_number(&labels, "é"), Some(3));
        assert_eq!(enum_number(&labels, ""), Some(0));
        assert_eq!(enum_number(&labels, "z"), None);
        assert_eq!(set_number(&labels, ""), Some(0));
        assert_eq!(set_number(&labels, "x,é"), Some(5));
        assert_eq!(set_number(&labels, "x,z"), None);
        let many: Vec<String> = (0..64).map(|n| n.to_string()).collect();
        assert_eq!(set_number(&many, "63"), Some(1 << 63));
    }
}
