//! A table with every column type and its extreme values: what the contract makes of it, and what MySQL says it is.

/// How a column is mapped, and the SQL that says what the attribute must be.
pub enum Mapped {
    /// Into S; the SQL gives the text.
    Text(&'static str),
    /// Into N.
    Number(&'static str),
    /// Into B; the SQL gives the bytes.
    Binary(&'static str),
    /// Into S through `binary-format` hex.
    Hex,
    /// Into SS, split at `,`.
    StringSet,
    /// Into M or L: JSON.
    Native(&'static str),
    /// Into BOOL.
    Bool,
}

pub struct Column {
    pub name: &'static str,
    pub ddl: &'static str,
    /// Attribute suffix and mapping.
    pub mapped: &'static [(&'static str, Mapped)],
    /// SQL expressions, taken in turn by the rows.
    pub values: &'static [&'static str],
}

use Mapped::{Binary, Bool, Hex, Native, Number, StringSet, Text};

/// `{}` stands for the column in the expressions.
const CHARS: &str = "CAST({} AS CHAR)";
const UTF8: &str = "CONVERT({} USING utf8mb4)";

macro_rules! int {
    ($name:literal, $ddl:literal, [$($value:literal),*]) => {
        Column {
            name: $name,
            ddl: $ddl,
            mapped: &[("s", Text(CHARS)), ("n", Number(CHARS))],
            values: &[$($value),*, "NULL"],
        }
    };
}

macro_rules! text {
    ($name:literal, $ddl:literal, [$($value:literal),*]) => {
        Column {
            name: $name,
            ddl: $ddl,
            mapped: &[("s", Text(UTF8))],
            values: &[$($value),*, "NULL"],
        }
    };
}

macro_rules! plain {
    ($name:literal, $ddl:literal, [$($value:literal),*]) => {
        Column {
            name: $name,
            ddl: $ddl,
            mapped: &[("s", Text(CHARS))],
            values: &[$($value),*, "NULL"],
        }
    };
}

macro_rules! binary {
    ($name:literal, $ddl:literal, [$($value:literal),*]) => {
        Column {
            name: $name,
            ddl: $ddl,
            mapped: &[("b", Binary("{}")), ("h", Hex)],
            values: &[$($value),*, "NULL"],
        }
    };
}

pub const COLUMNS: &[Column] = &[
    int!("tiny", "TINYINT", ["-128", "127", "0", "-1"]),
    int!("utiny", "TINYINT UNSIGNED", ["255", "0"]),
    int!("small", "SMALLINT", ["-32768", "32767", "-1"]),
    int!("usmall", "SMALLINT UNSIGNED", ["65535", "0"]),
    int!("medium", "MEDIUMINT", ["-8388608", "8388607", "-1"]),
    int!("umedium", "MEDIUMINT UNSIGNED", ["16777215", "0"]),
    int!("normal", "INT", ["-2147483648", "2147483647", "-1"]),
    int!("unormal", "INT UNSIGNED", ["4294967295", "0"]),
    int!(
        "big",
        "BIGINT",
        ["-9223372036854775808", "9223372036854775807", "-1"]
    ),
    int!("ubig", "BIGINT UNSIGNED", ["18446744073709551615", "0"]),
    int!("year_", "YEAR", ["0", "1901", "2155", "2024"]),
    int!(
        "dec_small",
        "DECIMAL(10,2)",
        ["-0.50", "99999999.99", "-99999999.99", "0", "0.05"]
    ),
    int!(
        "dec_38",
        "DECIMAL(38,10)",
        [
            "-9999999999999999999999999999.9999999999",
            "0.0000000001",
            "1234567890.5"
        ]
    ),
    Column {
        name: "dec_65",
        ddl: "DECIMAL(65,30)",
        mapped: &[("s", Text(CHARS))],
        values: &[
            "99999999999999999999999999999999999.999999999999999999999999999999",
            "-99999999999999999999999999999999999.999999999999999999999999999999",
            "0.000000000000000000000000000001",
            "-1",
            "NULL",
        ],
    },
    plain!(
        "float_",
        "FLOAT",
        [
            "0",
            "-0.0",
            "1.5",
            "-3.40282e38",
            "1.17549e-38",
            "16777216",
            "1e-5",
            "123456.7",
            "1234567.8",
            "1e15",
            "1e14",
            "0.1",
            "3.14159265"
        ]
    ),
    plain!(
        "double_",
        "DOUBLE",
        [
            "0",
            "0.1",
            "-1.7976931348623157e308",
            "2.2250738585072014e-308",
            "1e15",
            "1e16",
            "123456789012345680",
            "0.0001",
            "0.00001",
            "1e-7",
            "3.141592653589793",
            "1e22",
            "5e-324"
        ]
    ),
    Column {
        name: "bit_1",
        ddl: "BIT(1)",
        mapped: &[
            ("s", Text("CAST({}+0 AS CHAR)")),
            ("n", Number("CAST({}+0 AS CHAR)")),
            ("bool", Bool),
        ],
        values: &["b'1'", "b'0'", "NULL"],
    },
    Column {
        name: "bit_9",
        ddl: "BIT(9)",
        mapped: &[("s", Text("CAST({}+0 AS CHAR)"))],
        values: &["b'111111111'", "b'100000000'", "b'0'", "NULL"],
    },
    Column {
        name: "bit_64",
        ddl: "BIT(64)",
        mapped: &[("s", Text("CAST({}+0 AS CHAR)"))],
        values: &["~0", "1", "NULL"],
    },
    plain!(
        "date_",
        "DATE",
        [
            "'0000-00-00'",
            "'1000-01-01'",
            "'9999-12-31'",
            "'2024-02-29'",
            "'2024-00-00'"
        ]
    ),
    plain!(
        "datetime_0",
        "DATETIME",
        [
            "'0000-00-00 00:00:00'",
            "'1000-01-01 00:00:00'",
            "'9999-12-31 23:59:59'"
        ]
    ),
    plain!(
        "datetime_1",
        "DATETIME(1)",
        ["'2024-01-31 23:59:59.9'", "'2024-01-31 23:59:59'"]
    ),
    plain!("datetime_2", "DATETIME(2)", ["'2024-01-31 23:59:59.99'"]),
    plain!(
        "datetime_3",
        "DATETIME(3)",
        ["'2024-01-31 23:59:59.999'", "'2024-01-31 00:00:00.001'"]
    ),
    plain!("datetime_4", "DATETIME(4)", ["'2024-01-31 23:59:59.9999'"]),
    plain!("datetime_5", "DATETIME(5)", ["'2024-01-31 23:59:59.00001'"]),
    plain!(
        "datetime_6",
        "DATETIME(6)",
        [
            "'2024-01-31 23:59:59.999999'",
            "'1000-01-01 00:00:00.000001'"
        ]
    ),
    plain!(
        "timestamp_0",
        "TIMESTAMP NULL",
        [
            "'1970-01-01 00:00:01'",
            "'2038-01-19 03:14:07'",
            "'0000-00-00 00:00:00'",
            "'2024-03-31 02:30:00'"
        ]
    ),
    plain!(
        "timestamp_3",
        "TIMESTAMP(3) NULL",
        ["'2024-10-27 01:30:00.123'"]
    ),
    plain!(
        "timestamp_6",
        "TIMESTAMP(6) NULL",
        [
            "'2038-01-19 03:14:07.499999'",
            "'1970-01-01 00:00:01.000001'"
        ]
    ),
    plain!(
        "time_0",
        "TIME",
        ["'838:59:59'", "'-838:59:59'", "'00:00:00'", "'-00:00:01'"]
    ),
    plain!("time_1", "TIME(1)", ["'-00:00:00.1'", "'12:34:56.7'"]),
    plain!("time_2", "TIME(2)", ["'-00:00:00.01'", "'-01:00:00.99'"]),
    plain!("time_3", "TIME(3)", ["'-00:00:00.001'", "'100:00:00.5'"]),
    plain!("time_4", "TIME(4)", ["'-12:34:56.7899'"]),
    plain!("time_5", "TIME(5)", ["'-12:34:56.00001'"]),
    plain!(
        "time_6",
        "TIME(6)",
        [
            "'-838:59:58.999999'",
            "'838:59:58.000001'",
            "'-00:00:00.000001'"
        ]
    ),
    text!(
        "char_",
        "CHAR(10)",
        ["'abc'", "'  lead'", "'trail  '", "''", "'ä€😀'"]
    ),
    text!("char_long", "CHAR(255)", ["REPEAT('€', 255)", "''"]),
    text!(
        "varchar_",
        "VARCHAR(300)",
        [
            "'abc  '",
            "REPEAT('x', 300)",
            "''",
            "'\"quoted\\\\\\n\\t\\0'"
        ]
    ),
    text!("tinytext_", "TINYTEXT", ["REPEAT('t', 255)", "''"]),
    text!("text_", "TEXT", ["REPEAT('text ', 5000)", "'a'"]),
    text!("mediumtext_", "MEDIUMTEXT", ["REPEAT('m', 70000)", "''"]),
    text!("longtext_", "LONGTEXT", ["'long'", "''"]),
    text!(
        "latin1_",
        "VARCHAR(50) CHARACTER SET latin1",
        ["_latin1 x'e9e8808cff41'", "''"]
    ),
    text!(
        "gbk_",
        "VARCHAR(50) CHARACTER SET gbk",
        ["CONVERT(_utf8mb4'中文测试' USING gbk)", "''"]
    ),
    text!(
        "utf16_",
        "VARCHAR(50) CHARACTER SET utf16",
        ["_utf8mb4'ä€😀x'", "''"]
    ),
    text!(
        "latin1_text",
        "TEXT CHARACTER SET latin1",
        ["_latin1 x'e9e8'", "''"]
    ),
    binary!(
        "binary_",
        "BINARY(8)",
        ["x'0000000000000000'", "x'01'", "x'ff00ff'", "'abc'"]
    ),
    binary!("binary_255", "BINARY(255)", ["x'01'"]),
    binary!(
        "varbinary_",
        "VARBINARY(300)",
        ["x'00'", "REPEAT(x'ff00', 150)", "x'616200'"]
    ),
    binary!("tinyblob_", "TINYBLOB", ["REPEAT(x'01', 255)"]),
    binary!("blob_", "BLOB", ["REPEAT(x'0102', 5000)", "x'00'"]),
    binary!("mediumblob_", "MEDIUMBLOB", ["REPEAT(x'aa', 40000)"]),
    binary!("longblob_", "LONGBLOB", ["x'ff'"]),
    text!(
        "enum_",
        "ENUM('a','b,c','ä','it''s')",
        ["'a'", "'b,c'", "'ä'", "'it''s'"]
    ),
    text!(
        "enum_latin1",
        "ENUM('é','x') CHARACTER SET latin1",
        ["'é'", "'x'"]
    ),
    Column {
        name: "set_",
        ddl: "SET('x','y','ä','it''s')",
        mapped: &[("s", Text(UTF8)), ("ss", StringSet)],
        values: &["'x,y'", "''", "'ä,it''s,x,y'", "NULL"],
    },
    Column {
        name: "json_",
        ddl: "JSON",
        mapped: &[("s", Text(CHARS))],
        values: &[
            "'{\"b\": 1, \"aa\": [1, -1, 65535, -32768, 4294967296, 18446744073709551615, 1.5, 1e300, 0.1, true, null]}'",
            "JSON_OBJECT('d', CAST(1.50 AS DECIMAL(10,2)), 't', CAST('12:34:56.5' AS TIME(1)), 'dt', CAST('2024-01-31 10:00:00.123456' AS DATETIME(6)), 'da', CAST('2024-01-31' AS DATE), 'b', x'00ff10', 'bit', b'101', 'f', CAST(1.5 AS FLOAT), 'ts', TIMESTAMP('2024-01-31 10:00:00'))",
            "'\"text \\\\u0001 \\\\\" \\\\\\\\ ä 😀\"'",
            "'[]'",
            "'{}'",
            "'null'",
            "'true'",
            "'-9223372036854775808'",
            "JSON_ARRAY(REPEAT('long', 20000), JSON_OBJECT(REPEAT('k', 300), 1))",
            "CAST(CAST(1 AS DOUBLE) AS JSON)",
            "NULL",
        ],
    },
    Column {
        name: "json_native",
        ddl: "JSON",
        mapped: &[("m", Native(CHARS))],
        values: &[
            "'{\"a\": {\"b\": [1, 2.50, \"x\", null, true, {}]}, \"\": \"empty key\"}'",
            "'{}'",
            "NULL",
        ],
    },
    Column {
        name: "geometry_",
        ddl: "GEOMETRY",
        mapped: &[("b", Binary("{}"))],
        values: &[
            "ST_GeomFromText('POINT(1 -2.5)')",
            "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))', 4326)",
            "NULL",
        ],
    },
    Column {
        name: "point_",
        ddl: "POINT",
        mapped: &[("b", Binary("{}"))],
        values: &["ST_GeomFromText('POINT(0 0)')", "NULL"],
    },
    Column {
        name: "vector_",
        ddl: "VECTOR(3)",
        mapped: &[("b", Binary("{}"))],
        values: &["STRING_TO_VECTOR('[1.5,-2,3e10]')", "NULL"],
    },
];

/// Columns that MySQL computes, and one that `SELECT *` does not show.
pub const GENERATED: &[Column] = &[
    Column {
        name: "stored_",
        ddl: "INT GENERATED ALWAYS AS (normal DIV 2) STORED",
        mapped: &[("n", Number(CHARS))],
        values: &[],
    },
    Column {
        name: "virtual_",
        ddl: "VARCHAR(20) GENERATED ALWAYS AS (CONCAT('v', tiny)) VIRTUAL",
        mapped: &[("s", Text(UTF8))],
        values: &[],
    },
    Column {
        name: "invisible_",
        ddl: "INT DEFAULT 7 INVISIBLE",
        mapped: &[("n", Number(CHARS))],
        values: &[],
    },
];

/// The statement that makes the table.
pub fn create() -> String {
    let columns: Vec<String> = COLUMNS
        .iter()
        .chain(GENERATED)
        .map(|c| format!("  `{}` {}", c.name, c.ddl))
        .collect();
    format!(
        "CREATE TABLE every_type (\n  id BIGINT NOT NULL PRIMARY KEY,\n{}\n) CHARACTER SET utf8mb4",
        columns.join(",\n")
    )
}

/// Statements that insert rows, so that every value of every column occurs.
pub fn inserts(first_id: i64) -> Vec<String> {
    let rows = COLUMNS.iter().map(|c| c.values.len()).max().unwrap_or(0);
    (0..rows)
        .map(|row| {
            let names: Vec<String> = COLUMNS.iter().map(|c| format!("`{}`", c.name)).collect();
            let values: Vec<&str> = COLUMNS
                .iter()
                .map(|c| c.values[row % c.values.len()])
                .collect();
            let id = first_id + i64::try_from(row).unwrap();
            format!(
                "INSERT INTO every_type (id, {}) VALUES ({id}, {})",
                names.join(", "),
                values.join(", ")
            )
        })
        .collect()
}
