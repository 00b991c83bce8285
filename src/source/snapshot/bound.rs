//! Chunk bounds as SQL: keys are ordered and compared by MySQL, never by us, so that collations, unsigned numbers and
//! ENUM order hold.

use std::fmt::Write as _;

use crate::checkpoint::{Bound, Range};
use crate::error::{Error, Kind, Result};
use crate::schema::{Column, ColumnType, TableName, quote};

/// The columns by which a table is cut into chunks: its primary key, or the unique key that stands for it.
#[derive(Debug, Clone)]
pub struct ChunkKey {
    pub table: TableName,
    pub columns: Vec<Column>,
}

impl ChunkKey {
    /// The key's expressions as they are selected for a bound: ENUM, SET and BIT as numbers. A cast, because `+0` would go
    /// through DOUBLE, which cannot tell large SETs apart.
    pub fn expressions(&self) -> Vec<String> {
        self.columns
            .iter()
            .map(|c| match c.ty {
                ColumnType::Enum { .. } | ColumnType::Set { .. } | ColumnType::Bit { .. } => {
                    number("", c)
                }
                _ => quote(&c.name),
            })
            .collect()
    }

    /// `ORDER BY` list: the index order.
    pub fn order(&self) -> String {
        let names: Vec<String> = self.columns.iter().map(|c| quote(&c.name)).collect();
        names.join(", ")
    }

    /// The bound of a row whose [`expressions`](Self::expressions) MySQL's text protocol gave as `values`
    /// (text in the column's own charset).
    pub fn bound(&self, values: &[Option<Vec<u8>>]) -> Result<Bound> {
        if values.len() != self.columns.len() {
            return Err(self.unusable("the key has another number of columns"));
        }
        self.columns
            .iter()
            .zip(values)
            .map(|(column, value)| match value {
                Some(bytes) => self.literal(column, bytes),
                None => Err(self.unusable("a key column is NULL")),
            })
            .collect()
    }

    /// The condition for the rows of `range`: after its lower bound, up to and with its upper bound.
    pub fn condition(&self, range: &Range) -> Result<String> {
        self.condition_under("", range)
    }

    /// The same for a query in which the table has an alias: `prefix` is the alias and a point.
    pub fn condition_under(&self, prefix: &str, range: &Range) -> Result<String> {
        let mut parts = Vec::new();
        if let Some(after) = &range.after {
            parts.push(self.compare(prefix, after, Side::After)?);
        }
        if let Some(upto) = &range.upto {
            parts.push(self.compare(prefix, upto, Side::UpTo)?);
        }
        if parts.is_empty() {
            return Ok("TRUE".to_owned());
        }
        Ok(parts.join(" AND "))
    }

    /// `(a, b) > (x, y)`, spelled so that the range optimizer uses the key: `a > x OR (a = x AND (b > y))`.
    fn compare(&self, prefix: &str, bound: &Bound, side: Side) -> Result<String> {
        if bound.len() != self.columns.len() {
            return Err(self.unusable("a stored bound has another number of columns"));
        }
        let last = bound.len().saturating_sub(1);
        let mut sql = String::new();
        for (i, (column, literal)) in self.columns.iter().zip(bound).enumerate() {
            let operator = match (side, i == last) {
                (Side::After, _) => ">",
                (Side::UpTo, false) => "<",
                (Side::UpTo, true) => "<=",
            };
            let beyond = compared(prefix, column, operator, literal);
            // Writing to a String cannot fail.
            let _ = if i == last {
                write!(sql, "({beyond}")
            } else {
                let same = compared(prefix, column, "=", literal);
                write!(sql, "({beyond} OR ({same} AND ")
            };
        }
        sql.push(')');
        for _ in 0..last {
            sql.push_str("))");
        }
        Ok(sql)
    }

    /// The query of the key of the last of the next `rows` rows: no row where there are not so many. [`raw`](super::raw) and
    /// [`bound`](Self::bound) make a bound of what it gives, on a connection for snapshots.
    ///
    /// # Errors
    /// As [`condition`](Self::condition).
    pub fn last_of(&self, after: Option<Bound>, rows: u64) -> Result<String> {
        Ok(format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {} LIMIT 1 OFFSET {}",
            self.expressions().join(", "),
            self.table.sql(),
            self.condition(&Range { after, upto: None })?,
            self.order(),
            rows.max(1) - 1,
        ))
    }

    fn literal(&self, column: &Column, bytes: &[u8]) -> Result<String> {
        match &column.ty {
            ColumnType::Int { .. }
            | ColumnType::Decimal { .. }
            | ColumnType::Bit { .. }
            | ColumnType::Year
            | ColumnType::Enum { .. }
            | ColumnType::Set { .. } => self.plain(bytes, b"0123456789-.", ""),
            ColumnType::Date
            | ColumnType::DateTime { .. }
            | ColumnType::Timestamp { .. }
            | ColumnType::Time { .. } => self.plain(bytes, b"0123456789-.: ", "'"),
            ColumnType::Text {
                charset, collation, ..
            } => Ok(format!(
                "_{charset} x'{}' COLLATE {collation}",
                hex::encode(bytes)
            )),
            ColumnType::Binary { .. } | ColumnType::Bytes { .. } => {
                Ok(format!("x'{}'", hex::encode(bytes)))
            }
            ColumnType::Float { .. }
            | ColumnType::Double { .. }
            | ColumnType::Json
            | ColumnType::Geometry
            | ColumnType::Vector { .. } => {
                Err(self.unusable("a key column's type cannot bound a chunk"))
            }
        }
    }

    /// Text of known characters only, so that it is SQL as it stands.
    fn plain(&self, bytes: &[u8], allowed: &[u8], quotes: &str) -> Result<String> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() && bytes.iter().all(|b| allowed.contains(b)) => {
                Ok(format!("{quotes}{text}{quotes}"))
            }
            _ => Err(self.unusable("a key value has an unexpected form")),
        }
    }

    fn unusable(&self, why: &str) -> Error {
        Error::new(
            Kind::Internal,
            format!("cannot bound a chunk of {}: {why}", self.table),
        )
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    After,
    UpTo,
}

fn number(prefix: &str, column: &Column) -> String {
    format!("CAST({prefix}{} AS UNSIGNED)", quote(&column.name))
}

/// The column compared with a bound's literal.
///
/// ENUM and SET are ordered by number and compared as text, and no index serves a comparison of their numbers. An ENUM's
/// labels can be listed instead, and a list is served; a row with the number 0, an error's value, has the empty text.
fn compared(prefix: &str, column: &Column, operator: &str, literal: &str) -> String {
    let name = format!("{prefix}{}", quote(&column.name));
    match &column.ty {
        ColumnType::Enum { .. } => match listed(column, operator, literal) {
            Some(labels) if labels.is_empty() => "FALSE".to_owned(),
            Some(labels) => format!("{name} IN ({})", labels.join(", ")),
            None => format!("{} {operator} {literal}", number(prefix, column)),
        },
        ColumnType::Set { .. } => format!("{} {operator} {literal}", number(prefix, column)),
        _ => format!("{name} {operator} {literal}"),
    }
}

/// The labels that lie so to the bound's number, as literals; `None` where they cannot stand for their numbers.
fn listed(column: &Column, operator: &str, literal: &str) -> Option<Vec<String>> {
    let labels = column.ty.telling_labels()?;
    let bound: usize = literal.parse().ok()?;
    let lies_so = |number: usize| match operator {
        ">" => number > bound,
        "<" => number < bound,
        "<=" => number <= bound,
        _ => number == bound,
    };
    let texts = std::iter::once("").chain(labels.iter().map(String::as_str));
    let listed = texts.enumerate().filter(|(number, _)| lies_so(*number));
    Some(
        listed
            .map(|(_, text)| format!("_utf8mb4 x'{}'", hex::encode(text)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Generated;

    fn column(name: &str, ty: ColumnType) -> Column {
        Column {
            name: name.to_owned(),
            ty,
            nullable: false,
            generated: Generated::No,
            invisible: false,
        }
    }

    fn key() -> ChunkKey {
        ChunkKey {
            table: TableName::new("shop", "t"),
            columns: vec![
                column(
                    "a",
                    ColumnType::Int {
                        bytes: 8,
                        unsigned: true,
                        zerofill: None,
                    },
                ),
                column(
                    "e",
                    ColumnType::Enum {
                        labels: vec!["x".into(), "y".into(), "z".into()],
                        charset: "utf8mb4".into(),
                        collation: "utf8mb4_bin".into(),
                    },
                ),
                column(
                    "b",
                    ColumnType::Text {
                        max_chars: 10,
                        charset: "latin1".into(),
                        collation: "latin1_swedish_ci".into(),
                        fixed: false,
                    },
                ),
            ],
        }
    }

    #[test]
    fn bounds_are_literals_of_the_columns_own_charset() {
        let bound = key()
            .bound(&[
                Some(b"18446744073709551615".to_vec()),
                Some(b"2".to_vec()),
                Some(vec![0xe9, b'\'']),
            ])
            .unwrap();
        assert_eq!(
            bound,
            [
                "18446744073709551615",
                "2",
                "_latin1 x'e927' COLLATE latin1_swedish_ci"
            ]
        );
    }

    #[test]
    fn a_range_is_spelled_for_the_range_optimizer() {
        let range = Range {
            after: Some(vec!["1".into(), "2".into(), "x'00'".into()]),
            upto: Some(vec!["3".into(), "3".into(), "x'ff'".into()]),
        };
        assert_eq!(
            key().condition(&range).unwrap(),
            "(`a` > 1 OR (`a` = 1 AND (`e` IN (_utf8mb4 x'7a') OR (`e` IN (_utf8mb4 x'79') AND (`b` > x'00'))))) AND \
             (`a` < 3 OR (`a` = 3 AND (`e` IN (_utf8mb4 x'', _utf8mb4 x'78', _utf8mb4 x'79') OR (`e` IN (_utf8mb4 x'7a') AND (`b` <= x'ff')))))"
        );
    }

    #[test]
    fn values_that_are_not_what_the_type_promises_are_refused() {
        let error = key()
            .bound(&[Some(b"1 OR 1".to_vec()), Some(b"1".to_vec()), Some(vec![])])
            .unwrap_err();
        assert!(error.to_string().contains("shop.t"), "{error}");
        assert!(key().bound(&[None, None, None]).is_err());
    }
}
