//! The table whose columns the expressions read: every type, several collations, random and extreme values.

use super::values::{
    clock, date, date_text, digits, json, latin, moment, numeral, quoted, whole, word, words,
};
use fastrand::Rng;
use penstock::schema::{Catalog, Column, ColumnType, Generated, Table, TableName};

/// A column: its name, its declaration, its type, and how a value of it is made (as SQL).
pub struct Sample {
    pub name: &'static str,
    pub ddl: &'static str,
    pub ty: fn() -> ColumnType,
    value: fn(&mut Rng) -> String,
}

fn int(bytes: u8, unsigned: bool) -> ColumnType {
    ColumnType::Int {
        bytes,
        unsigned,
        zerofill: None,
    }
}

fn decimal(precision: u8, scale: u8) -> ColumnType {
    ColumnType::Decimal {
        precision,
        scale,
        unsigned: false,
        zerofill: false,
    }
}

fn text(charset: &str, collation: &str) -> ColumnType {
    ColumnType::Text {
        max_chars: 60,
        charset: charset.into(),
        collation: collation.into(),
        fixed: false,
    }
}

fn labels(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

pub const COLUMNS: &[Sample] = &[
    Sample {
        name: "i1",
        ddl: "TINYINT",
        ty: || int(1, false),
        value: |r| r.i8(..).to_string(),
    },
    Sample {
        name: "i4",
        ddl: "INT",
        ty: || int(4, false),
        value: |r| whole(r, i64::from(i32::MIN), i64::from(i32::MAX)),
    },
    Sample {
        name: "u4",
        ddl: "INT UNSIGNED",
        ty: || int(4, true),
        value: |r| whole(r, 0, i64::from(u32::MAX)),
    },
    Sample {
        name: "i8",
        ddl: "BIGINT",
        ty: || int(8, false),
        value: |r| whole(r, i64::MIN, i64::MAX),
    },
    Sample {
        name: "u8",
        ddl: "BIGINT UNSIGNED",
        ty: || int(8, true),
        value: |r| match r.u8(..4) {
            0 => u64::MAX.to_string(),
            1 => r.u64(..).to_string(),
            _ => r.u64(..100).to_string(),
        },
    },
    Sample {
        name: "y",
        ddl: "YEAR",
        ty: || ColumnType::Year,
        value: |r| match r.u8(..8) {
            0 => "0".into(),
            _ => r.u16(1901..=2155).to_string(),
        },
    },
    Sample {
        name: "bt",
        ddl: "BIT(9)",
        ty: || ColumnType::Bit { bits: 9 },
        value: |r| r.u16(..512).to_string(),
    },
    Sample {
        name: "zf",
        ddl: "INT(6) ZEROFILL",
        ty: || ColumnType::Int {
            bytes: 4,
            unsigned: true,
            zerofill: Some(6),
        },
        value: |r| whole(r, 0, 9_999_999),
    },
    Sample {
        name: "d5",
        ddl: "DECIMAL(5,2)",
        ty: || decimal(5, 2),
        value: |r| digits(r, 3, 2),
    },
    Sample {
        name: "du",
        ddl: "DECIMAL(8,2) UNSIGNED",
        ty: || ColumnType::Decimal {
            precision: 8,
            scale: 2,
            unsigned: true,
            zerofill: false,
        },
        value: |r| digits(r, 6, 2).replace('-', ""),
    },
    Sample {
        name: "d10",
        ddl: "DECIMAL(10,0)",
        ty: || decimal(10, 0),
        value: |r| digits(r, 10, 0),
    },
    Sample {
        name: "d20",
        ddl: "DECIMAL(20,6)",
        ty: || decimal(20, 6),
        value: |r| digits(r, 14, 6),
    },
    Sample {
        name: "d40",
        ddl: "DECIMAL(40,15)",
        ty: || decimal(40, 15),
        value: |r| digits(r, 25, 15),
    },
    Sample {
        name: "fl",
        ddl: "FLOAT",
        ty: || ColumnType::Float {
            unsigned: false,
            decimals: None,
            zerofill: None,
        },
        value: |r| match r.u8(..4) {
            0 => ["0", "-0.0", "1.5", "3.4e38", "-1e-30", "0.1"][r.usize(..6)].into(),
            1 => format!("{:e}", (r.f32() - 0.5) * 10_f32.powi(r.i32(-30..38))),
            _ => format!("{:.2}", (r.f32() - 0.5) * 1000.0),
        },
    },
    Sample {
        name: "db",
        ddl: "DOUBLE",
        ty: || ColumnType::Double {
            unsigned: false,
            decimals: None,
            zerofill: None,
        },
        value: |r| match r.u8(..4) {
            0 => {
                ["0", "-0.0", "0.5", "2.5", "-1.5", "1e15", "1e16", "1.7e308"][r.usize(..8)].into()
            }
            1 => format!("{:e}", (r.f64() - 0.5) * 10_f64.powi(r.i32(-300..300))),
            _ => format!("{:.4}", (r.f64() - 0.5) * 100_000.0),
        },
    },
    Sample {
        name: "f2",
        ddl: "FLOAT(10,3)",
        ty: || ColumnType::Float {
            unsigned: false,
            decimals: Some(3),
            zerofill: None,
        },
        value: |r| format!("{:.4}", (r.f64() - 0.5) * 10_000.0),
    },
    Sample {
        name: "s",
        ddl: "VARCHAR(60) COLLATE utf8mb4_0900_ai_ci",
        ty: || text("utf8mb4", "utf8mb4_0900_ai_ci"),
        value: words,
    },
    Sample {
        name: "sb",
        ddl: "VARCHAR(60) COLLATE utf8mb4_bin",
        ty: || text("utf8mb4", "utf8mb4_bin"),
        value: words,
    },
    Sample {
        name: "sg",
        ddl: "VARCHAR(60) COLLATE utf8mb4_general_ci",
        ty: || text("utf8mb4", "utf8mb4_general_ci"),
        value: words,
    },
    Sample {
        name: "sc",
        ddl: "VARCHAR(60) COLLATE utf8mb4_0900_as_cs",
        ty: || text("utf8mb4", "utf8mb4_0900_as_cs"),
        value: words,
    },
    Sample {
        name: "l1",
        ddl: "VARCHAR(60) CHARACTER SET latin1",
        ty: || text("latin1", "latin1_swedish_ci"),
        value: |r| quoted(&latin(r)),
    },
    Sample {
        name: "ch",
        ddl: "CHAR(10)",
        ty: || text("utf8mb4", "utf8mb4_0900_ai_ci"),
        value: |r| quoted(&word(r).chars().take(8).collect::<String>()),
    },
    Sample {
        name: "sn",
        ddl: "VARCHAR(60)",
        ty: || text("utf8mb4", "utf8mb4_0900_ai_ci"),
        value: |r| quoted(&numeral(r)),
    },
    Sample {
        name: "sd",
        ddl: "VARCHAR(60)",
        ty: || text("utf8mb4", "utf8mb4_0900_ai_ci"),
        value: |r| quoted(&date_text(r)),
    },
    Sample {
        name: "bi",
        ddl: "VARBINARY(20)",
        ty: || ColumnType::Bytes { max_length: 20 },
        value: |r| {
            let bytes: Vec<u8> = (0..r.usize(..8)).map(|_| r.u8(..)).collect();
            format!("x'{}'", hex::encode(bytes))
        },
    },
    Sample {
        name: "en",
        ddl: "ENUM('new','Paid','sent ','ä')",
        ty: || ColumnType::Enum {
            labels: labels(&["new", "Paid", "sent", "ä"]),
            charset: "utf8mb4".into(),
            collation: "utf8mb4_0900_ai_ci".into(),
        },
        value: |r| r.u8(1..=4).to_string(),
    },
    Sample {
        name: "st",
        ddl: "SET('x','y','zz')",
        ty: || ColumnType::Set {
            labels: labels(&["x", "y", "zz"]),
            charset: "utf8mb4".into(),
            collation: "utf8mb4_0900_ai_ci".into(),
        },
        value: |r| r.u8(..8).to_string(),
    },
    Sample {
        name: "dt",
        ddl: "DATE",
        ty: || ColumnType::Date,
        value: |r| quoted(&date(r)),
    },
    Sample {
        name: "dz",
        ddl: "DATE",
        ty: || ColumnType::Date,
        value: |r| match r.u8(..4) {
            0 => "'0000-00-00'".into(),
            1 => format!("'{:04}-00-00'", r.u16(1..9999)),
            2 => format!("'{:04}-{:02}-00'", r.u16(0..9999), r.u8(1..=12)),
            _ => quoted(&date(r)),
        },
    },
    Sample {
        name: "m0",
        ddl: "DATETIME",
        ty: || ColumnType::DateTime { fsp: 0 },
        value: |r| quoted(&moment(r, 0)),
    },
    Sample {
        name: "m3",
        ddl: "DATETIME(3)",
        ty: || ColumnType::DateTime { fsp: 3 },
        value: |r| quoted(&moment(r, 3)),
    },
    Sample {
        name: "m6",
        ddl: "DATETIME(6)",
        ty: || ColumnType::DateTime { fsp: 6 },
        value: |r| quoted(&moment(r, 6)),
    },
    Sample {
        name: "ts",
        ddl: "TIMESTAMP NULL",
        ty: || ColumnType::Timestamp { fsp: 0 },
        value: |r| match r.u8(..8) {
            0 => "'0000-00-00 00:00:00'".into(),
            _ => format!(
                "'{}-{:02}-{:02} {:02}:{:02}:{:02}'",
                r.u16(1971..2037),
                r.u8(1..=12),
                r.u8(1..=28),
                r.u8(..24),
                r.u8(..60),
                r.u8(..60)
            ),
        },
    },
    Sample {
        name: "ts6",
        ddl: "TIMESTAMP(6) NULL",
        ty: || ColumnType::Timestamp { fsp: 6 },
        value: |r| {
            format!(
                "FROM_UNIXTIME({}.{:06})",
                r.u32(1..2_147_483_646),
                r.u32(..1_000_000)
            )
        },
    },
    Sample {
        name: "t0",
        ddl: "TIME",
        ty: || ColumnType::Time { fsp: 0 },
        value: |r| quoted(&clock(r, 0)),
    },
    Sample {
        name: "t3",
        ddl: "TIME(3)",
        ty: || ColumnType::Time { fsp: 3 },
        value: |r| quoted(&clock(r, 3)),
    },
    Sample {
        name: "js",
        ddl: "JSON",
        ty: || ColumnType::Json,
        value: |r| {
            match r.u8(..6) {
            0 => "JSON_OBJECT('a', CAST(1.50 AS DECIMAL(5,2)), 'n', CAST(-0.25 AS DOUBLE), 'd', CAST(2 AS DOUBLE))".into(),
            _ => quoted(&json(r, 0)),
        }
        },
    },
    Sample {
        name: "jt",
        ddl: "TEXT",
        ty: || text("utf8mb4", "utf8mb4_0900_ai_ci"),
        value: |r| quoted(&json(r, 0)),
    },
];

/// The statement that makes the table.
pub fn create() -> String {
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|c| format!("`{}` {}", c.name, c.ddl))
        .collect();
    format!(
        "CREATE TABLE v (id BIGINT NOT NULL PRIMARY KEY, {}) CHARACTER SET utf8mb4",
        columns.join(", ")
    )
}

/// The statement that inserts a row.
pub fn insert(id: usize, r: &mut Rng) -> String {
    let values: Vec<String> = COLUMNS
        .iter()
        .map(|c| {
            if r.u8(..12) == 0 {
                "NULL".to_owned()
            } else {
                (c.value)(r)
            }
        })
        .collect();
    format!("INSERT IGNORE INTO v VALUES ({id}, {})", values.join(", "))
}

/// The columns as a catalog has them, `id` first.
pub fn columns() -> Vec<Column> {
    let id = Column {
        name: "id".into(),
        ty: int(8, false),
        nullable: false,
        generated: Generated::No,
        invisible: false,
    };
    std::iter::once(id)
        .chain(COLUMNS.iter().map(|c| Column {
            name: c.name.into(),
            ty: (c.ty)(),
            nullable: true,
            generated: Generated::No,
            invisible: false,
        }))
        .collect()
}

pub fn catalog() -> Catalog {
    catalog_of(columns())
}

/// Of one table of these columns, the first of which is its key.
pub fn catalog_of(columns: Vec<Column>) -> Catalog {
    let name = TableName::new("x", "v");
    let table = Table {
        name: name.clone(),
        columns,
        primary_key: vec![0],
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        estimated_rows: 1,
        engine: "InnoDB".into(),
    };
    Catalog {
        hides_cascades: false,
        tables: [(name, table)].into(),
    }
}
