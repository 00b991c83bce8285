//! Reads a binlog and the rows that belong to it.

use bytes::Bytes;

use crate::plan::{SourceColumn, SourceId, SourceTable};
use crate::schema::{Column, ColumnType, Generated, TableName};
use crate::source::decode::{Checksum, Event};

/// A row's change and its cells, in hexadecimal no more; None is NULL.
pub type Expected = (String, Vec<Option<Vec<u8>>>);

pub struct Golden {
    pub table: SourceTable,
    pub rows: Vec<Expected>,
    binlog: Bytes,
}

impl Golden {
    pub fn load(name: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/binlog/");
        let binlog = std::fs::read(format!("{folder}{name}.binlog")).unwrap();
        let text = std::fs::read_to_string(format!("{folder}{name}.tsv")).unwrap();
        let (mut columns, mut rows) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            if cells[0] == "column" {
                columns.push(SourceColumn {
                    ordinal: columns.len(),
                    column: column(cells[1], cells[2]),
                });
            } else {
                let values = cells[1..].iter().map(|cell| {
                    cell.strip_prefix('x')
                        .map(|cell| hex::decode(cell).unwrap())
                });
                rows.push((cells[0].to_owned(), values.collect()));
            }
        }
        let table = match name {
            "partial" => "part",
            "minimal_metadata" => "types",
            other => other,
        };
        Self {
            table: SourceTable {
                id: SourceId(0),
                name: TableName::new("gold", table),
                column_count: columns.len(),
                watched_only: false,
                columns,
                key: vec![0],
            },
            rows,
            binlog: binlog.into(),
        }
    }

    /// The events of the file, cut by the sizes in their headers.
    pub fn frames(&self) -> Vec<Bytes> {
        let mut frames = Vec::new();
        let mut rest = self.binlog.slice(4..);
        while !rest.is_empty() {
            let size = u32::from_le_bytes(rest[9..13].try_into().unwrap());
            frames.push(rest.split_to(size as usize));
        }
        frames
    }

    pub fn events(&self) -> impl Iterator<Item = Event> {
        self.frames()
            .into_iter()
            .map(|frame| Event::parse(frame, Checksum::Crc32).unwrap())
    }
}

/// A column from its notation: a word for the type, then what belongs to it.
fn column(name: &str, notation: &str) -> Column {
    let words: Vec<&str> = notation.split(' ').collect();
    let number = |index: usize| words[index].parse::<u64>().unwrap();
    let byte = |index: usize| words[index].parse::<u8>().unwrap();
    let owned = |index: usize| words[index].to_owned();
    let labels = || words[3..].iter().map(|&word| word.to_owned()).collect();
    let ty = match words[0] {
        "int" => ColumnType::Int {
            bytes: byte(1),
            unsigned: words[2] == "u",
            zerofill: words.get(3).and_then(|width| width.parse().ok()),
        },
        "float" => ColumnType::Float {
            unsigned: name == "fu" || words.get(1) == Some(&"u"),
            decimals: words.get(2).and_then(|digits| digits.parse().ok()),
            zerofill: words.get(3).and_then(|width| width.parse().ok()),
        },
        "double" => ColumnType::Double {
            unsigned: name == "du" || words.get(1) == Some(&"u"),
            decimals: words.get(2).and_then(|digits| digits.parse().ok()),
            zerofill: words.get(3).and_then(|width| width.parse().ok()),
        },
        "decimal" => ColumnType::Decimal {
            precision: byte(1),
            scale: byte(2),
            unsigned: words[3] == "u",
            zerofill: words.get(4) == Some(&"zerofill"),
        },
        "bit" => ColumnType::Bit { bits: byte(1) },
        "year" => ColumnType::Year,
        "date" => ColumnType::Date,
        "datetime" => ColumnType::DateTime { fsp: byte(1) },
        "timestamp" => ColumnType::Timestamp { fsp: byte(1) },
        "time" => ColumnType::Time { fsp: byte(1) },
        "text" => ColumnType::Text {
            max_chars: number(1),
            charset: owned(2),
            collation: owned(3),
            fixed: words[4] == "fixed",
        },
        "binary" => ColumnType::Binary {
            length: number(1) as u32,
        },
        "bytes" => ColumnType::Bytes {
            max_length: number(1),
        },
        "enum" => ColumnType::Enum {
            labels: labels(),
            charset: owned(1),
            collation: owned(2),
        },
        "set" => ColumnType::Set {
            labels: labels(),
            charset: owned(1),
            collation: owned(2),
        },
        "json" => ColumnType::Json,
        "geometry" => ColumnType::Geometry,
        "vector" => ColumnType::Vector {
            dimensions: number(1) as u32,
        },
        other => panic!("no such type: {other}"),
    };
    Column {
        name: name.to_owned(),
        ty,
        nullable: name != "id",
        generated: Generated::No,
        invisible: name == "inv",
    }
}
