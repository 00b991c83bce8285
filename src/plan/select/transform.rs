//! Transformations: dates, numbers, bytes.

use super::layout::literal;
use super::render::Renderer;
use super::value::{Kind, Rendered};
use crate::contract::format::parse_date_format;
use crate::contract::model::BinaryFormat;
use crate::plan::model::*;
use crate::schema::ColumnType;

/// `TO_SECONDS('1970-01-01')`
const SECONDS_BEFORE_1970: u64 = 62_167_219_200;
/// MySQL's longest DECIMAL.
const MOST_DIGITS: usize = 65;

impl<'p> Renderer<'p> {
    pub(super) fn transformed(&mut self, input: Rendered<'p>, by: &Transform) -> Rendered<'p> {
        match by {
            Transform::Date {
                format,
                source_format,
            } => {
                let date = self.date(input, source_format.as_deref());
                formatted_date(&date, format)
            }
            Transform::Number(format) => {
                let exact = self.exact(&input, decimals(format));
                formatted_number(&exact, unsigned(&input), format)
            }
            Transform::JsonParse => Rendered::new(input.shown(), Kind::Json),
            Transform::Binary(format) => self.bytes(&input, *format),
        }
    }

    /// The date that the value is, or that its text says by `source_format`.
    fn date(&mut self, input: Rendered<'p>, source_format: Option<&str>) -> Moment {
        let fsp = match input.column() {
            Some(ColumnType::Date) => Some(None),
            Some(ColumnType::DateTime { fsp } | ColumnType::Timestamp { fsp }) => Some(Some(*fsp)),
            _ => None,
        };
        if let Some(fsp) = fsp {
            return Moment {
                sql: input.sql,
                digits: Digits::Known(fsp.unwrap_or(0)),
            };
        }
        let Some(source) = source_format else {
            return Moment {
                sql: input.shown(),
                digits: Digits::Shown,
            };
        };
        let text = input.shown();
        match parse_date_format(source) {
            Ok(DateFormat::Epoch) => {
                self.faults.push(not_like(&text, "^ *[-+]?[0-9]+ *$"));
                Moment::exactly(
                    format!("DATE_ADD('1970-01-01 00:00:00', INTERVAL {text} SECOND)"),
                    0,
                )
            }
            Ok(DateFormat::EpochMillis) => {
                self.faults.push(not_like(&text, "^ *[-+]?[0-9]+ *$"));
                Moment::exactly(
                    format!(
                        "DATE_ADD('1970-01-01 00:00:00', INTERVAL {} * 1000 MICROSECOND)",
                        input.operand()
                    ),
                    3,
                )
            }
            Ok(DateFormat::Pattern(tokens)) => {
                self.faults.push(not_like(&text, &pattern_regex(&tokens)));
                let sql = read_pattern(&text, &tokens);
                self.faults
                    .push(format!("({text} IS NOT NULL AND {sql} IS NULL)"));
                let millis = tokens.contains(&DateToken::Millis);
                Moment::exactly(sql, if millis { 3 } else { 0 })
            }
            Ok(DateFormat::Iso8601) | Err(_) => {
                self.faults.push(not_like(
                    &text,
                    "^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?Z?)?$",
                ));
                Moment {
                    sql: format!("TRIM(TRAILING 'Z' FROM {text})"),
                    digits: Digits::Shown,
                }
            }
        }
    }

    /// The value rounded half away from zero, as a DECIMAL.
    fn exact(&mut self, input: &Rendered<'p>, decimals: usize) -> String {
        let ty = format!("DECIMAL({MOST_DIGITS}, {decimals})");
        match input.column() {
            Some(
                ColumnType::Int { .. }
                | ColumnType::Decimal { .. }
                | ColumnType::Bit { .. }
                | ColumnType::Year
                | ColumnType::Double { .. },
            ) => format!("CAST({} AS {ty})", input.shown()),
            // What MySQL prints is the value: a FLOAT's own digits go on.
            Some(ColumnType::Float { .. }) => format!("CAST(CONCAT({}) AS {ty})", input.part()),
            _ => {
                let text = input.shown();
                self.faults.push(not_like(
                    &text,
                    "^[[:space:]]*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?[[:space:]]*$",
                ));
                format!("CAST({text} AS {ty})")
            }
        }
    }

    fn bytes(&mut self, input: &Rendered<'p>, format: BinaryFormat) -> Rendered<'p> {
        let bytes = match input.column() {
            // The bytes of text are those of UTF-8.
            Some(ColumnType::Text { .. } | ColumnType::Enum { .. } | ColumnType::Set { .. }) => {
                format!("CONVERT({} USING utf8mb4)", input.sql)
            }
            _ => input.sql.clone(),
        };
        let sql = match format {
            BinaryFormat::Base64 => format!("REPLACE(TO_BASE64({bytes}), '\\n', '')"),
            BinaryFormat::Hex => format!("LOWER(HEX({bytes}))"),
            BinaryFormat::Uuid => {
                let sixteen = matches!(input.column(), Some(ColumnType::Binary { length: 16 }));
                if sixteen {
                    format!("BIN_TO_UUID({bytes})")
                } else {
                    self.faults.push(format!("(LENGTH({bytes}) <> 16)"));
                    format!("CASE WHEN LENGTH({bytes}) = 16 THEN BIN_TO_UUID({bytes}) END")
                }
            }
        };
        Rendered::new(sql, Kind::Text)
    }
}

/// A date as SQL.
struct Moment {
    sql: String,
    digits: Digits,
}

/// How many digits the fraction of the seconds has.
enum Digits {
    Known(u8),
    /// As many as its text shows.
    Shown,
}

impl Moment {
    fn exactly(sql: String, digits: u8) -> Self {
        Self {
            sql,
            digits: Digits::Known(digits),
        }
    }
}

fn not_like(text: &str, regex: &str) -> String {
    format!("NOT REGEXP_LIKE({text}, {}, 'c')", literal(regex))
}

fn formatted_date<'p>(date: &Moment, format: &DateFormat) -> Rendered<'p> {
    let sql = &date.sql;
    match format {
        DateFormat::Pattern(tokens) => Rendered::new(write_pattern(sql, tokens), Kind::Text),
        DateFormat::Epoch => Rendered::new(
            format!("TO_SECONDS({sql}) - {SECONDS_BEFORE_1970}"),
            Kind::Integer,
        ),
        DateFormat::EpochMillis => Rendered::new(
            format!(
                "(TO_SECONDS({sql}) - {SECONDS_BEFORE_1970}) * 1000 + MICROSECOND({sql}) DIV 1000"
            ),
            Kind::Integer,
        ),
        DateFormat::Iso8601 => {
            let fraction = match date.digits {
                Digits::Known(0) => String::new(),
                Digits::Known(n) => {
                    format!(", '.', LEFT(DATE_FORMAT({sql}, '%f'), {n})")
                }
                Digits::Shown => format!(
                    ", CASE WHEN LOCATE('.', {sql}) THEN CONCAT('.', TRIM(TRAILING 'Z' FROM SUBSTRING_INDEX({sql}, '.', -1))) ELSE '' END"
                ),
            };
            let text = match fraction.is_empty() {
                true => format!("DATE_FORMAT({sql}, '%Y-%m-%dT%H:%i:%sZ')"),
                false => {
                    format!("CONCAT(DATE_FORMAT({sql}, '%Y-%m-%dT%H:%i:%s'){fraction}, 'Z')")
                }
            };
            // 0000-00-00 is no moment.
            Rendered::new(
                format!("CASE WHEN TO_DAYS({sql}) IS NOT NULL THEN {text} END"),
                Kind::Text,
            )
        }
    }
}

/// DATE_FORMAT knows microseconds only: milliseconds are cut from them.
fn write_pattern(sql: &str, tokens: &[DateToken]) -> String {
    let mut pieces = Vec::new();
    let mut format = String::new();
    let close = |format: &mut String, pieces: &mut Vec<String>| {
        if !format.is_empty() {
            pieces.push(format!("DATE_FORMAT({sql}, {})", literal(format)));
            format.clear();
        }
    };
    for token in tokens {
        match token {
            DateToken::Millis => {
                close(&mut format, &mut pieces);
                pieces.push(format!("LEFT(DATE_FORMAT({sql}, '%f'), 3)"));
            }
            token => format.push_str(&mysql_token(token)),
        }
    }
    close(&mut format, &mut pieces);
    match pieces.len() {
        1 => pieces.remove(0),
        _ => format!("CONCAT({})", pieces.join(", ")),
    }
}

fn mysql_token(token: &DateToken) -> String {
    match token {
        DateToken::Year => "%Y".into(),
        DateToken::Month => "%m".into(),
        DateToken::Day => "%d".into(),
        DateToken::Hour => "%H".into(),
        DateToken::Minute => "%i".into(),
        DateToken::Second => "%s".into(),
        DateToken::Millis => "%f".into(),
        DateToken::Literal(text) => text.replace('%', "%%"),
    }
}

/// Text by a pattern as a DATETIME: month and day that the pattern lacks are 1, the year 0.
fn read_pattern(text: &str, tokens: &[DateToken]) -> String {
    let mut format: String = tokens.iter().map(mysql_token).collect();
    let mut text = text.to_string();
    let missing: Vec<_> = [
        (DateToken::Year, "0000", "%Y"),
        (DateToken::Month, "01", "%m"),
        (DateToken::Day, "01", "%d"),
        (DateToken::Hour, "00", "%H"),
    ]
    .into_iter()
    .filter(|(token, ..)| !tokens.contains(token))
    .collect();
    if !missing.is_empty() {
        let values: Vec<_> = missing.iter().map(|(_, value, _)| *value).collect();
        let formats: Vec<_> = missing.iter().map(|(.., format)| *format).collect();
        text = format!(
            "CONCAT({text}, {})",
            literal(&format!(" {}", values.join(" ")))
        );
        format.push_str(&format!(" {}", formats.join(" ")));
    }
    format!("STR_TO_DATE({text}, {})", literal(&format))
}

/// What text of this pattern looks like: each part with all its digits.
fn pattern_regex(tokens: &[DateToken]) -> String {
    let mut regex = String::from("^");
    for token in tokens {
        match token {
            DateToken::Year => regex.push_str("[0-9]{4}"),
            DateToken::Millis => regex.push_str("[0-9]{3}"),
            DateToken::Literal(text) => {
                for c in text.chars() {
                    if c.is_ascii_punctuation() {
                        regex.push('\\');
                    }
                    regex.push(c);
                }
            }
            _ => regex.push_str("[0-9]{2}"),
        }
    }
    regex.push('$');
    regex
}

fn decimals(format: &NumberFormat) -> usize {
    match format {
        NumberFormat::Decimals { decimals, .. } => *decimals,
        NumberFormat::Padded { .. } => 0,
    }
}

fn unsigned(input: &Rendered<'_>) -> bool {
    matches!(
        input.column(),
        Some(
            ColumnType::Int { unsigned: true, .. }
                | ColumnType::Decimal { unsigned: true, .. }
                | ColumnType::Bit { .. }
                | ColumnType::Year
        )
    )
}

/// A DECIMAL with zeros or spaces in front. LPAD cuts what is longer, hence GREATEST.
fn formatted_number<'p>(exact: &str, unsigned: bool, format: &NumberFormat) -> Rendered<'p> {
    let size = match unsigned {
        true => exact.to_string(),
        false => format!("ABS({exact})"),
    };
    let sign = match unsigned {
        true => None,
        false => Some(format!("CASE WHEN {exact} < 0 THEN '-' ELSE '' END")),
    };
    let signed = |digits: String| match &sign {
        Some(sign) => format!("CONCAT({sign}, {digits})"),
        None => digits,
    };
    let padded = |width: String, with: &str, value: &str| {
        format!("LPAD({value}, GREATEST({width}, CHAR_LENGTH({value})), '{with}')")
    };
    let sql = match *format {
        NumberFormat::Decimals {
            integer_digits: 1, ..
        } => exact.to_string(),
        // Nothing in front of the point of what is smaller than 1, unless there is no point.
        NumberFormat::Decimals {
            integer_digits: 0,
            decimals: 0,
        } => exact.to_string(),
        NumberFormat::Decimals {
            integer_digits: 0, ..
        } => signed(format!("TRIM(LEADING '0' FROM {size})")),
        NumberFormat::Decimals {
            integer_digits,
            decimals,
        } => {
            let width = integer_digits + if decimals > 0 { decimals + 1 } else { 0 };
            signed(padded(width.to_string(), "0", &size))
        }
        NumberFormat::Padded { width, zero: true } => {
            let width = match unsigned {
                true => width.to_string(),
                false => format!("{width} - ({exact} < 0)"),
            };
            signed(padded(width, "0", &size))
        }
        NumberFormat::Padded { width, zero: false } => padded(width.to_string(), " ", exact),
    };
    Rendered::new(sql, Kind::Text)
}
