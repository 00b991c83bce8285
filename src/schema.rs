//! Tables and columns as MySQL has them. Pure data: `source` reads it from the server, `plan` is compiled against it.

use std::collections::BTreeMap;
use std::fmt;

/// A table's full name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    pub database: String,
    pub table: String,
}

impl TableName {
    pub fn new(database: impl Into<String>, table: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            table: table.into(),
        }
    }

    /// The name as SQL, each part in backticks: `` `shop`.`orders` ``.
    pub fn sql(&self) -> String {
        format!("{}.{}", quote(&self.database), quote(&self.table))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

/// An identifier in backticks, ready for SQL.
pub fn quote(identifier: &str) -> String {
    format!("`{}`", identifier.replace('`', "``"))
}

/// What the server knows about the tables of one or more databases.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    pub tables: BTreeMap<TableName, Table>,
    /// The server does not log what foreign keys do to the children of a changed row.
    pub hides_cascades: bool,
}

/// One table.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: TableName,
    /// In the order of the row image (ordinal position); virtual generated columns are not in the image.
    pub columns: Vec<Column>,
    /// Indexes into `columns`, in key order; empty where there is no primary key.
    pub primary_key: Vec<usize>,
    /// Unique keys besides the primary key.
    pub unique_keys: Vec<UniqueKey>,
    pub foreign_keys: Vec<ForeignKey>,
    /// The optimizer's estimate of the number of rows.
    pub estimated_rows: u64,
    /// InnoDB, MyISAM, …; only transactional tables can be replicated exactly.
    pub engine: String,
}

/// A unique key; a prefix index (`UNIQUE (c(10))`) is not listed, it proves nothing about the whole column's text that we use.
#[derive(Debug, Clone)]
pub struct UniqueKey {
    pub name: String,
    /// Indexes into the table's columns.
    pub columns: Vec<usize>,
}

/// A foreign key and what it does to the child's rows.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    pub name: String,
    pub columns: Vec<usize>,
    pub parent: TableName,
    pub parent_columns: Vec<String>,
    pub on_delete: ReferentialAction,
    pub on_update: ReferentialAction,
}

/// What happens to the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferentialAction {
    /// RESTRICT and NO ACTION: the statement fails.
    Restrict,
    Cascade,
    SetNull,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub ty: ColumnType,
    pub nullable: bool,
    pub generated: Generated,
    pub invisible: bool,
}

/// Whether MySQL computes the column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generated {
    No,
    Stored,
    /// In MySQL's binlog row images virtual columns are present with their value.
    Virtual,
}

/// A column's type, with what is needed to decode its values and to show them as MySQL does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// TINYINT to BIGINT; `bytes` is 1, 2, 3, 4 or 8. With ZEROFILL MySQL prints zeros in front up to `zerofill`
    /// characters.
    Int {
        bytes: u8,
        unsigned: bool,
        zerofill: Option<u8>,
    },
    /// `FLOAT(M,D)` prints always D `decimals`.
    Float {
        unsigned: bool,
        decimals: Option<u8>,
        zerofill: Option<u8>,
    },
    Double {
        unsigned: bool,
        decimals: Option<u8>,
        zerofill: Option<u8>,
    },
    Decimal {
        precision: u8,
        scale: u8,
        unsigned: bool,
        zerofill: bool,
    },
    /// BIT(n), n of 1 to 64.
    Bit {
        bits: u8,
    },
    /// CHAR, VARCHAR, TINYTEXT to LONGTEXT. `max_chars` is the declared length in characters.
    Text {
        max_chars: u64,
        charset: String,
        collation: String,
        fixed: bool,
    },
    /// BINARY(n): padded with zero bytes to `length`.
    Binary {
        length: u32,
    },
    /// VARBINARY, TINYBLOB to LONGBLOB.
    Bytes {
        max_length: u64,
    },
    Enum {
        labels: Vec<String>,
        charset: String,
        collation: String,
    },
    Set {
        labels: Vec<String>,
        charset: String,
        collation: String,
    },
    Date,
    DateTime {
        fsp: u8,
    },
    Timestamp {
        fsp: u8,
    },
    Time {
        fsp: u8,
    },
    Year,
    Json,
    Geometry,
    Vector {
        dimensions: u32,
    },
}

/// How a number is printed where its declaration says more than its value: `FLOAT(M,D)`, ZEROFILL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberStyle {
    /// Digits after the point of a FLOAT or DOUBLE.
    pub decimals: Option<u8>,
    /// Zeros are put in front up to so many characters.
    pub width: u8,
}

impl ColumnType {
    /// `None`: the value alone says how it is printed.
    pub fn number_style(&self) -> Option<NumberStyle> {
        let (decimals, width) = match *self {
            ColumnType::Int { zerofill, .. } => (None, zerofill),
            ColumnType::Float {
                decimals, zerofill, ..
            }
            | ColumnType::Double {
                decimals, zerofill, ..
            } => (decimals, zerofill),
            ColumnType::Decimal {
                precision,
                scale,
                zerofill: true,
                ..
            } => (None, Some(precision + u8::from(scale > 0))),
            _ => (None, None),
        };
        if decimals.is_none() && width.is_none() {
            return None;
        }
        Some(NumberStyle {
            decimals,
            width: width.unwrap_or(0),
        })
    }

    /// The labels of an ENUM whose values are told apart by comparing their labels, by MySQL as by us; `None` for other
    /// types, and for an ENUM where that is not sure: labels that its collation may take for equal (a session
    /// without strict mode may define some), the empty one (which looks like the value of an error), or very many.
    pub fn telling_labels(&self) -> Option<&[String]> {
        let ColumnType::Enum {
            labels, collation, ..
        } = self
        else {
            return None;
        };
        let exact = collation == "binary" || collation.ends_with("_bin");
        let known = [
            "_general_ci",
            "_unicode_ci",
            "_unicode_520_ci",
            "_swedish_ci",
        ]
        .iter()
        .any(|end| collation.ends_with(end))
            || collation.contains("_0900_");
        let plain = |c: char| c.is_ascii_alphanumeric() || " _-.".contains(c);
        let mut seen = std::collections::BTreeSet::new();
        let tells = |label: &String| {
            let text = label.trim_end_matches(' ');
            let (usable, text) = match exact {
                true => (true, text.to_owned()),
                false => (known && text.chars().all(plain), text.to_ascii_lowercase()),
            };
            usable && !text.is_empty() && seen.insert(text)
        };
        (labels.len() <= MOST_TELLING_LABELS && labels.iter().all(tells)).then_some(labels)
    }
}

/// More labels would make statements that list them unwieldy.
const MOST_TELLING_LABELS: usize = 256;

impl Table {
    /// The index of the column of this name; MySQL compares column names without case.
    pub fn column_index(&self, name: &str) -> Option<usize> {
        let lower = name.to_lowercase();
        self.columns
            .iter()
            .position(|c| c.name.to_lowercase() == lower)
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.column_index(name).map(|i| &self.columns[i])
    }
}
