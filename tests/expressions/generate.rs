//! Random expressions: each function and operator has templates, whose holes are filled with columns, literals and other
//! expressions.

use fastrand::Rng;

use super::values::{date_text, json, numeral, quoted, word};

/// Name and template. `{n}` number, `{i}` integer, `{k}` small number, `{s}` text, `{d}` date or moment, `{t}` time,
/// `{j}` JSON, `{b}` condition, `{v}` a column, `{p}` path, `{f}` date format, `{u}` unit, `{a}` anything.
pub const TEMPLATES: &[(&str, &str)] = &[
    // A lone BIT is a number for us, bytes for the protocol.
    ("column", "{v}"),
    ("+", "{n} + {n}"),
    ("+", "{a} + {n}"),
    ("-", "{n} - {n}"),
    ("-", "{d} - {k}"),
    ("*", "{n} * {n}"),
    ("*", "({n} + {n}) * {n}"),
    ("/", "{n} / {n}"),
    ("/", "({n} / {n}) * {n}"),
    ("%", "{n} % {n}"),
    ("DIV", "{n} DIV {n}"),
    ("MOD", "MOD({n}, {n})"),
    ("negate", "-{n}"),
    ("negate", "-({n} - {n})"),
    ("compare", "{n} = {n}"),
    ("compare", "{n} < {n}"),
    ("compare", "{n} >= {n}"),
    ("compare", "{s} = {s}"),
    ("compare", "{s} < {s}"),
    ("compare", "{s} >= {s}"),
    ("compare", "{s} <> {n}"),
    ("compare", "{i} = {s}"),
    ("compare", "{d} = {d}"),
    ("compare", "{d} < {d}"),
    ("compare", "{d} > {dl}"),
    ("compare", "{t} <= {t}"),
    ("compare", "{a} <=> {a}"),
    ("compare", "{j} = {s}"),
    ("compare", "{j} < {n}"),
    ("compare", "{j} <= {j}"),
    ("and", "{b} AND {b}"),
    ("or", "{b} OR {b}"),
    ("not", "NOT {b}"),
    ("and", "{a} AND {a}"),
    ("is null", "{a} IS NULL"),
    ("is null", "{a} IS NOT NULL"),
    ("is true", "{b} IS TRUE"),
    ("is true", "{n} IS NOT FALSE"),
    ("in", "{n} IN ({n}, {n}, {k})"),
    ("in", "{s} IN ({s}, {s}, NULL)"),
    ("in", "{s} NOT IN ({s}, 'a')"),
    ("in", "{d} IN ({d}, {dl})"),
    ("between", "{n} BETWEEN {n} AND {n}"),
    ("between", "{s} BETWEEN {s} AND {s}"),
    ("between", "{d} NOT BETWEEN {d} AND {dl}"),
    ("like", "{s} LIKE {l}"),
    ("like", "{s} NOT LIKE {l}"),
    ("like", "{s} LIKE {l} ESCAPE '|'"),
    ("like", "{s} LIKE {s}"),
    (
        "case",
        "CASE WHEN {b} THEN {n} WHEN {b} THEN {n} ELSE {n} END",
    ),
    ("case", "CASE WHEN {b} THEN {s} ELSE {s} END"),
    ("case", "CASE WHEN {b} THEN {d} ELSE {d} END"),
    ("case", "CASE WHEN {b} THEN {a} ELSE {a} END"),
    ("case", "CASE WHEN {b} THEN {a} END"),
    (
        "case of",
        "CASE {s} WHEN {s} THEN {n} WHEN 'a' THEN {k} ELSE {n} END",
    ),
    (
        "case of",
        "CASE {n} WHEN {n} THEN {s} WHEN {k} THEN 'two' END",
    ),
    ("coalesce", "COALESCE({n}, {n}, {n})"),
    ("coalesce", "COALESCE({s}, {s})"),
    ("coalesce", "COALESCE({a}, {a})"),
    ("coalesce", "COALESCE({d}, {d})"),
    ("ifnull", "IFNULL({a}, {a})"),
    ("ifnull", "IFNULL({n}, {k})"),
    ("nullif", "NULLIF({n}, {n})"),
    ("nullif", "NULLIF({s}, {s})"),
    ("nullif", "NULLIF({d}, {d})"),
    ("if", "IF({b}, {n}, {n})"),
    ("if", "IF({b}, {a}, {a})"),
    ("if", "IF({b}, {s}, {n})"),
    ("concat", "CONCAT({s}, {s})"),
    ("concat", "CONCAT({a}, '-', {a})"),
    ("concat", "CONCAT({n}, {d}, {t})"),
    ("concat_ws", "CONCAT_WS({s}, {a}, {s}, {n})"),
    ("concat_ws", "CONCAT_WS('#', {s}, NULL, {a})"),
    ("upper", "UPPER({s})"),
    ("upper", "UCASE({s})"),
    ("lower", "LOWER({s})"),
    ("lower", "LCASE({a})"),
    ("trim", "TRIM({s})"),
    ("trim", "TRIM(LEADING {s} FROM {s})"),
    ("trim", "TRIM(TRAILING 'x' FROM {s})"),
    ("trim", "TRIM(BOTH 'a' FROM {s})"),
    ("ltrim", "LTRIM({s})"),
    ("rtrim", "RTRIM({s})"),
    ("substring", "SUBSTRING({s}, {k})"),
    ("substring", "SUBSTRING({s}, {k}, {k})"),
    ("substring", "SUBSTRING({s} FROM {k} FOR {k})"),
    ("substring", "SUBSTR({a}, {n}, {n})"),
    ("left", "LEFT({s}, {k})"),
    ("left", "LEFT({a}, {n})"),
    ("right", "RIGHT({s}, {k})"),
    ("replace", "REPLACE({s}, {s}, {s})"),
    ("replace", "REPLACE({s}, 'a', {s})"),
    ("lpad", "LPAD({s}, {k}, {s})"),
    ("lpad", "LPAD({n}, 12, '0')"),
    ("rpad", "RPAD({s}, {k}, {s})"),
    ("length", "LENGTH({s})"),
    ("length", "LENGTH({a})"),
    ("char_length", "CHAR_LENGTH({a})"),
    ("char_length", "CHARACTER_LENGTH({s})"),
    ("round", "ROUND({n})"),
    ("round", "ROUND({n}, {k})"),
    ("round", "ROUND({n}, {i})"),
    ("floor", "FLOOR({n})"),
    ("floor", "FLOOR({s})"),
    ("ceil", "CEIL({n})"),
    ("ceil", "CEILING({n})"),
    ("abs", "ABS({n})"),
    ("greatest", "GREATEST({n}, {n})"),
    ("greatest", "GREATEST({s}, {s}, {s})"),
    ("greatest", "GREATEST({d}, {d})"),
    ("greatest", "GREATEST({a}, {a})"),
    ("least", "LEAST({n}, {n}, {k})"),
    ("least", "LEAST({d}, {d})"),
    ("least", "LEAST({s}, {n})"),
    ("hex", "HEX({s})"),
    ("hex", "HEX({n})"),
    ("hex", "HEX({a})"),
    // What MySQL 9.6 and later have takes texts alone.
    ("md5", "MD5({s})"),
    ("md5", "MD5(CONCAT({a}, {s}))"),
    ("sha2", "SHA2({s}, {h})"),
    ("sha2", "SHA2({a}, 256)"),
    ("cast char", "CAST({a} AS CHAR)"),
    ("cast char", "CAST({a} AS CHAR(5))"),
    ("cast signed", "CAST({n} AS SIGNED)"),
    ("cast signed", "CAST({a} AS SIGNED)"),
    ("cast unsigned", "CAST({n} AS UNSIGNED)"),
    ("cast unsigned", "CAST({s} AS UNSIGNED)"),
    ("cast decimal", "CAST({n} AS DECIMAL(12,3))"),
    ("cast decimal", "CAST({a} AS DECIMAL(30,10))"),
    ("cast decimal", "CAST({n} AS DECIMAL)"),
    ("cast double", "CAST({a} AS DOUBLE)"),
    ("cast float", "CAST({n} AS FLOAT)"),
    ("cast date", "CAST({d} AS DATE)"),
    ("cast date", "CAST({ds} AS DATE)"),
    ("cast date", "CAST({a} AS DATE)"),
    ("cast datetime", "CAST({ds} AS DATETIME)"),
    ("cast datetime", "CAST({ds} AS DATETIME(6))"),
    ("cast datetime", "CAST({d} AS DATETIME(2))"),
    ("cast time", "CAST({d} AS TIME(3))"),
    ("cast time", "CAST({t} AS TIME)"),
    ("cast json", "CAST({a} AS JSON)"),
    ("cast json", "CAST({js} AS JSON)"),
    ("cast binary", "CAST({a} AS BINARY)"),
    ("cast binary", "CAST({s} AS BINARY(6))"),
    ("cast year", "CAST({d} AS YEAR)"),
    ("cast year", "CAST({i} AS YEAR)"),
    ("date", "DATE({d})"),
    ("date", "DATE({ds})"),
    ("date", "DATE({a})"),
    ("year", "YEAR({d})"),
    ("year", "YEAR({ds})"),
    ("month", "MONTH({d})"),
    ("month", "MONTH({ds})"),
    ("day", "DAY({d})"),
    ("day", "DAYOFMONTH({ds})"),
    ("date_format", "DATE_FORMAT({d}, {f})"),
    ("date_format", "DATE_FORMAT({d}, {f})"),
    ("date_format", "DATE_FORMAT({ds}, {f})"),
    ("date_add", "DATE_ADD({d}, INTERVAL {k} {u})"),
    ("date_add", "DATE_ADD({d}, INTERVAL {i} {u})"),
    ("date_add", "DATE_ADD({ds}, INTERVAL {k} {u})"),
    ("date_sub", "DATE_SUB({d}, INTERVAL {n} {u})"),
    ("date_sub", "{d} - INTERVAL {k} {u}"),
    ("date_sub", "{d} + INTERVAL '{m}' {u}"),
    ("datediff", "DATEDIFF({d}, {d})"),
    ("datediff", "DATEDIFF({ds}, {d})"),
    ("unix_timestamp", "UNIX_TIMESTAMP({d})"),
    ("unix_timestamp", "UNIX_TIMESTAMP({ds})"),
    ("unix_timestamp", "UNIX_TIMESTAMP({d}) + 1"),
    ("unix_timestamp", "UNIX_TIMESTAMP({d}) * 1.5"),
    ("unix_timestamp", "-UNIX_TIMESTAMP({d})"),
    ("unix_timestamp", "ABS(UNIX_TIMESTAMP({d}))"),
    ("unix_timestamp", "MOD(UNIX_TIMESTAMP({d}), 100)"),
    ("from_unixtime", "FROM_UNIXTIME({n})"),
    ("from_unixtime", "FROM_UNIXTIME({e})"),
    ("from_unixtime", "FROM_UNIXTIME({e}, {f})"),
    ("json_extract", "JSON_EXTRACT({j}, {p})"),
    ("json_extract", "JSON_EXTRACT({j}, {p}, {p})"),
    ("json_extract", "JSON_EXTRACT(jt, {p})"),
    ("json_unquote", "JSON_UNQUOTE({j})"),
    ("json_unquote", "JSON_UNQUOTE({s})"),
    ("->", "js->{p}"),
    ("->>", "js->>{p}"),
    ("->>", "js->>{p} = {s}"),
    ("->>", "js->>{p} + {n}"),
    ("->>", "{n} - js->>{p} * {n}"),
    ("->>", "js->>{p} IS NULL"),
    ("->>", "js->>{p} IN ({s}, 'x', {s})"),
    ("->>", "js->>{p} LIKE {l}"),
    ("->>", "js->>{p} BETWEEN {s} AND js->>{p}"),
    ("->>", "NOT js->>{p} = {s} OR js->>{p} <> {s}"),
    ("text of number", "CONCAT({n} + {n})"),
    ("typed", "DATE '2024-02-29' + INTERVAL {k} {u}"),
    ("typed", "TIMESTAMP '2024-01-31 10:20:30.25' > {d}"),
];

const NUMBERS: &[&str] = &[
    "i1", "i4", "u4", "i8", "u8", "y", "bt", "zf", "d5", "d10", "d20", "d40", "fl", "db", "i4",
    "du", "du", "d5", "d20", "db",
];
const INTEGERS: &[&str] = &["i1", "i4", "u4", "i8", "u8", "y"];
const TEXTS: &[&str] = &["s", "sb", "sg", "sc", "l1", "ch", "s", "sn", "en", "st"];
const DATES: &[&str] = &["dt", "dz", "m0", "m3", "m6", "ts", "ts6", "dt"];
const UNITS: &[&str] = &[
    "MICROSECOND",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "WEEK",
    "MONTH",
    "QUARTER",
    "YEAR",
];
const PATHS: &[&str] = &[
    "$",
    "$.a",
    "$.b",
    "$.n",
    "$[0]",
    "$[1]",
    "$.a.b",
    "$.a[0]",
    "$.*",
    "$[*]",
    "$**.a",
    "$.list",
    "$[last]",
    "$[last-1]",
    "$[0 to 1]",
    "$.\"odd key\"",
    "$.a.*",
    "$**[0]",
    "$.é",
    "$ . a",
    "$[0][0]",
    "$[1 to last]",
    "$[last to 0]",
    "$**.b",
    "$.*.a",
    "$[5]",
];

/// The function that the whole template is a call of: `ABS` of `ABS({n})`, nothing of `ABS({n}) + 1`.
pub fn called(template: &'static str) -> Option<&'static str> {
    let (name, _) = template.split_once('(')?;
    let mut depth = 0;
    let ends = template.char_indices().find(|(_, c)| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => return false,
        };
        depth == 0
    });
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    (is_name && ends.is_some_and(|(at, _)| at + 1 == template.len())).then_some(name)
}

fn one<'t>(r: &mut Rng, of: &[&'t str]) -> &'t str {
    of[r.usize(..of.len())]
}

/// An expression of the template; `depth` bounds how deep it nests.
pub fn expression(r: &mut Rng, template: &str, depth: usize) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (hole, after) = after.split_once('}').expect("a hole ends");
        out.push_str(before);
        out.push_str(&fill(r, hole, depth));
        rest = after;
    }
    out + rest
}

fn nested(r: &mut Rng, of: &[&str], depth: usize) -> String {
    let template = one(r, of);
    format!("({})", expression(r, template, depth + 1))
}

fn fill(r: &mut Rng, hole: &str, depth: usize) -> String {
    let deep = depth < 2 && r.u8(..5) == 0;
    match hole {
        "n" if deep => nested(
            r,
            &[
                "{n} + {n}",
                "{n} * {n}",
                "{n} / {n}",
                "{n} - {n}",
                "ROUND({n}, {k})",
                "IF({b}, {n}, {n})",
                "COALESCE({n}, {n})",
                "CAST({s} AS DECIMAL(10,2))",
                "LENGTH({s})",
                "-{n}",
                "{n} % {n}",
                "{n} DIV {n}",
                "DATEDIFF({d}, {d})",
                "UNIX_TIMESTAMP({d})",
                "FLOOR({n})",
                "NULLIF({n}, {n})",
            ],
            depth,
        ),
        "n" => match r.u8(..6) {
            0 => number(r),
            1 => one(r, &["0", "1", "2", "10", "0.5", "-1", "3.0", "1e0", "100"]).to_owned(),
            _ => one(r, NUMBERS).to_owned(),
        },
        "i" => match r.u8(..4) {
            0 => r.i32(-100..100).to_string(),
            _ => one(r, INTEGERS).to_owned(),
        },
        "k" => r.i8(-4..9).to_string(),
        "m" => r.i8(-20..40).to_string(),
        "s" if deep => nested(
            r,
            &[
                "CONCAT({s}, {s})",
                "UPPER({s})",
                "LEFT({s}, {k})",
                "CAST({n} AS CHAR)",
                "COALESCE({s}, {s})",
                "IF({b}, {s}, {s})",
                "DATE_FORMAT({d}, {f})",
                "js->>{p}",
                "HEX({n})",
                "TRIM({s})",
                "CONCAT({n})",
                "REPLACE({s}, 'a', 'b')",
            ],
            depth,
        ),
        "s" => match r.u8(..5) {
            0 => quoted(&word(r)),
            _ => one(r, TEXTS).to_owned(),
        },
        "l" => {
            let parts = [
                "%", "_", "a", "b", "A", "ä", "\\%", "\\_", "|%", "abc", "s", "e", "ss",
            ];
            let pattern: String = (0..r.usize(..4)).map(|_| one(r, &parts)).collect();
            // The backslash is for LIKE, not for the literal.
            format!("'{pattern}'")
        }
        "d" if deep => nested(
            r,
            &[
                "DATE_ADD({d}, INTERVAL {k} {u})",
                "CAST({d} AS DATETIME(3))",
                "DATE({d})",
                "COALESCE({d}, {d})",
                "IF({b}, {d}, {d})",
                "FROM_UNIXTIME({e})",
            ],
            depth,
        ),
        "d" => one(r, DATES).to_owned(),
        "dl" => one(
            r,
            &[
                "'2024-02-29'",
                "'2001-01-01 10:00:00'",
                "20240101",
                "'1999-12-31 23:59:59.5'",
                "dt",
                "m3",
            ],
        )
        .to_owned(),
        "ds" => match r.u8(..3) {
            0 => quoted(&date_text(r)),
            _ => "sd".to_owned(),
        },
        "e" => one(
            r,
            &[
                "1700000000",
                "u4",
                "u8",
                "1e9",
                "1234567890.123456",
                "d20",
                "sn",
                "UNIX_TIMESTAMP(m3)",
                "-1",
                "i4 + 0.5",
            ],
        )
        .to_owned(),
        "v" => one(
            r,
            &[
                "i4", "u8", "y", "zf", "d40", "fl", "db", "f2", "s", "l1", "en", "st", "bi", "m3",
                "t3", "js",
            ],
        )
        .to_owned(),
        "t" => one(r, &["t0", "t3"]).to_owned(),
        "j" => match r.u8(..4) {
            0 => format!("js->{}", fill(r, "p", depth)),
            _ => "js".to_owned(),
        },
        "js" => match r.u8(..2) {
            0 => quoted(&json(r, 1)),
            _ => "jt".to_owned(),
        },
        "p" => quoted(one(r, PATHS)),
        "u" => one(r, UNITS).to_owned(),
        "f" => {
            let letters = "MbWaDcdefHhIiklmjprSsTUuVvwXxYy%qz";
            let count = letters.chars().count();
            let format: String = (0..r.usize(1..4))
                .map(|_| format!("%{}.", letters.chars().nth(r.usize(..count)).unwrap_or('Y')))
                .collect();
            quoted(&format)
        }
        "h" => one(r, &["0", "224", "256", "384", "512", "1", "i1"]).to_owned(),
        "b" => nested(
            r,
            &[
                "{n} > {n}",
                "{n} = {n}",
                "{s} = {s}",
                "{n} IS NULL",
                "{d} < {d}",
                "i1 > 0",
                "i1 % 2",
                "{s} LIKE {l}",
                "{n}",
            ],
            depth,
        ),
        _ => {
            let hole = one(
                r,
                &["n", "s", "d", "t", "j", "n", "s", "sd", "bi", "NULL", "f2"],
            );
            match hole {
                "sd" | "bi" | "NULL" | "f2" => hole.to_owned(),
                hole => fill(r, hole, depth),
            }
        }
    }
}

fn number(r: &mut Rng) -> String {
    match r.u8(..6) {
        0 => r.i32(..).to_string(),
        1 => format!("{}.{:03}", r.i16(..), r.u16(..1000)),
        2 => format!("{}e{}", r.i16(..), r.i8(-10..10)),
        3 => quoted(&numeral(r)),
        4 => "18446744073709551615".into(),
        _ => r.i16(-500..500).to_string(),
    }
}
