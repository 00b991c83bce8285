//! Which values fit which attribute type, and which transformations fit which values.

use super::model::{DateFormat, DateToken, NumberFormat, Transform};
use crate::contract::format::parse_date_format;
use crate::contract::model::{AttributeType, BinaryFormat, Scalar};
use crate::schema::ColumnType;

/// What is known about a value before any row is seen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape<'a> {
    Column(&'a ColumnType),
    Constant(&'a Scalar),
    /// Text put together from parts; `digits` when it can be a number.
    Text {
        digits: bool,
    },
    Number,
    /// A native map or list.
    Json {
        array: Option<bool>,
    },
    /// SQL, a join, or a column that nobody has looked at (offline).
    Unknown,
}

/// What to say about a value that does not fit, or does not always.
#[derive(Debug)]
pub(super) struct Finding {
    pub refuse: bool,
    pub code: &'static str,
    pub message: String,
    pub help: String,
}

fn refuse(
    code: &'static str,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Option<Finding> {
    Some(Finding {
        refuse: true,
        code,
        message: message.into(),
        help: help.into(),
    })
}

fn warn(
    code: &'static str,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Option<Finding> {
    Some(Finding {
        refuse: false,
        code,
        message: message.into(),
        help: help.into(),
    })
}

/// The type's name in the contract.
pub(super) fn type_name(ty: AttributeType) -> &'static str {
    use AttributeType::*;
    match ty {
        S => "S",
        N => "N",
        B => "B",
        SS => "SS",
        NS => "NS",
        BS => "BS",
        M => "M",
        L => "L",
        Bool => "BOOL",
        Null => "NULL",
    }
}

/// The column's type as a person writes it.
pub(super) fn column_type_name(ty: &ColumnType) -> String {
    let sign = |unsigned: bool| if unsigned { " UNSIGNED" } else { "" };
    let fraction = |name: &str, fsp: u8| match fsp {
        0 => name.to_string(),
        n => format!("{name}({n})"),
    };
    let zeros = |filled: bool| if filled { " ZEROFILL" } else { "" };
    let real = |name: &str, decimals: Option<u8>| match decimals {
        Some(digits) => format!("{name}(M,{digits})"),
        None => name.into(),
    };
    match ty {
        ColumnType::Int {
            bytes,
            unsigned,
            zerofill,
        } => {
            let name = match bytes {
                1 => "TINYINT",
                2 => "SMALLINT",
                3 => "MEDIUMINT",
                4 => "INT",
                _ => "BIGINT",
            };
            format!("{name}{}{}", sign(*unsigned), zeros(zerofill.is_some()))
        }
        ColumnType::Float {
            unsigned,
            decimals,
            zerofill,
        } => {
            let name = real("FLOAT", *decimals);
            format!("{name}{}{}", sign(*unsigned), zeros(zerofill.is_some()))
        }
        ColumnType::Double {
            unsigned,
            decimals,
            zerofill,
        } => {
            let name = real("DOUBLE", *decimals);
            format!("{name}{}{}", sign(*unsigned), zeros(zerofill.is_some()))
        }
        ColumnType::Decimal {
            precision,
            scale,
            unsigned,
            zerofill,
        } => {
            let (sign, zeros) = (sign(*unsigned), zeros(*zerofill));
            format!("DECIMAL({precision},{scale}){sign}{zeros}")
        }
        ColumnType::Bit { bits } => format!("BIT({bits})"),
        ColumnType::Text {
            max_chars,
            fixed: true,
            ..
        } => format!("CHAR({max_chars})"),
        ColumnType::Text { max_chars, .. } => match max_chars {
            0..=16_383 => format!("VARCHAR({max_chars})"),
            _ => "TEXT".into(),
        },
        ColumnType::Binary { length } => format!("BINARY({length})"),
        ColumnType::Bytes { max_length } => match max_length {
            0..=65_534 => format!("VARBINARY({max_length})"),
            _ => "BLOB".into(),
        },
        ColumnType::Enum { .. } => "ENUM".into(),
        ColumnType::Set { .. } => "SET".into(),
        ColumnType::Date => "DATE".into(),
        ColumnType::DateTime { fsp } => fraction("DATETIME", *fsp),
        ColumnType::Timestamp { fsp } => fraction("TIMESTAMP", *fsp),
        ColumnType::Time { fsp } => fraction("TIME", *fsp),
        ColumnType::Year => "YEAR".into(),
        ColumnType::Json => "JSON".into(),
        ColumnType::Geometry => "GEOMETRY".into(),
        ColumnType::Vector { dimensions } => format!("VECTOR({dimensions})"),
    }
}

/// Whether a value of this shape can become an attribute of this type.
pub(super) fn fits(ty: AttributeType, shape: Shape<'_>) -> Option<Finding> {
    match shape {
        Shape::Unknown => None,
        _ if ty == AttributeType::Null => warn(
            "always-null",
            "an attribute of type NULL is always NULL, whatever its column holds",
            "leave the attribute out, or give it the type of its value",
        ),
        Shape::Column(column) => column_fits(ty, column),
        Shape::Constant(scalar) => constant_fits(ty, scalar),
        Shape::Text { digits } => text_fits(ty, digits),
        Shape::Number => match ty {
            AttributeType::S | AttributeType::N | AttributeType::Bool => None,
            _ => mismatch(ty, "a number", "S or N"),
        },
        Shape::Json { array } => match (ty, array) {
            (AttributeType::S, _)
            | (AttributeType::M, None | Some(false))
            | (AttributeType::L, None | Some(true)) => None,
            (AttributeType::SS | AttributeType::NS | AttributeType::BS, None | Some(true)) => None,
            (_, Some(true)) => mismatch(ty, "a list", "L (or S, as JSON text)"),
            (_, Some(false)) => mismatch(ty, "an object", "M (or S, as JSON text)"),
            (_, None) => mismatch(ty, "a JSON document", "M, L or S"),
        },
    }
}

fn mismatch(ty: AttributeType, what: &str, instead: &str) -> Option<Finding> {
    refuse(
        "type-mismatch",
        format!(
            "{what} cannot become an attribute of type {}",
            type_name(ty)
        ),
        format!("write {instead}"),
    )
}

fn column_fits(ty: AttributeType, column: &ColumnType) -> Option<Finding> {
    use AttributeType as A;
    use ColumnType as C;
    let name = column_type_name(column);
    let wrong = |instead: &str| mismatch(ty, &a_column(column), instead);
    match (ty, column) {
        (A::B, C::Geometry | C::Vector { .. }) => None,
        (_, C::Geometry | C::Vector { .. }) => wrong("B: its bytes as stored"),
        (A::B | A::BS, C::Binary { .. } | C::Bytes { .. }) => None,
        (A::S, C::Binary { .. } | C::Bytes { .. }) => refuse(
            "binary-into-text",
            format!("a {name} column holds bytes, which are no text"),
            "add \"transformation\": {\"type\": \"binary-format\", \"format\": \"base64\"} (or \"hex\", \"uuid\"), or write B",
        ),
        (_, C::Binary { .. } | C::Bytes { .. }) => wrong("B, or S with a binary-format"),
        (A::S, _) => None,
        (A::N, _) => into_number(column, &name),
        (
            A::Bool,
            C::Int { .. }
            | C::Decimal { .. }
            | C::Float { .. }
            | C::Double { .. }
            | C::Bit { .. }
            | C::Year,
        ) => None,
        (A::Bool, C::Text { .. }) => warn(
            "text-into-bool",
            format!("only `true`, `false`, `1` and `0` of this {name} column become a BOOL"),
            "rows with anything else become dead letters; write S to keep the text",
        ),
        (A::Bool, C::Enum { labels, .. }) if labels.iter().all(|l| is_bool(l)) => None,
        (A::Bool, _) => wrong("S or N"),
        (A::B, C::Text { .. }) => None,
        (A::B, _) => wrong("S"),
        (A::M | A::L, C::Json) => None,
        (A::M | A::L, C::Text { .. }) => refuse(
            "text-into-document",
            format!(
                "a {name} column holds text, which is no {} by itself",
                type_name(ty)
            ),
            "add \"transformation\": {\"type\": \"json-parse\"} if the text is JSON, or write S",
        ),
        (A::M | A::L, _) => wrong("S or N"),
        (A::SS | A::NS | A::BS, C::Json | C::Text { .. }) => None,
        (A::NS, C::Set { labels, .. }) if !labels.iter().all(|l| is_number(l)) => wrong("SS"),
        (A::SS | A::NS | A::BS, C::Set { .. }) => None,
        (A::SS | A::NS | A::BS, _) => wrong("S or N: only SET, JSON and text hold several values"),
        (A::Null, _) => None,
    }
}

/// `a BIGINT column`, `an ENUM column`.
fn a_column(ty: &ColumnType) -> String {
    let name = column_type_name(ty);
    let article = if name.starts_with(['E', 'I']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {name} column")
}

fn into_number(column: &ColumnType, name: &str) -> Option<Finding> {
    use ColumnType as C;
    match column {
        C::Int { .. } | C::Year | C::Bit { .. } => None,
        C::Decimal { precision, .. } if *precision > 38 => warn(
            "number-too-long",
            format!("a {name} column can hold more than the 38 digits of a DynamoDB number"),
            "rows that do become dead letters; write S to keep every digit",
        ),
        C::Decimal { .. } => None,
        C::Float { .. } => warn(
            "float-into-number",
            format!(
                "a {name} column becomes the decimal number that MySQL prints: at most 6 digits, the rest is rounded"
            ),
            "use a DECIMAL column where exact values matter",
        ),
        C::Double { .. } => warn(
            "float-into-number",
            format!(
                "a {name} column becomes the decimal number that MySQL prints; rows with values that DynamoDB has no number for (beyond 1E+126, or nearer to 0 than 1E-130) become dead letters"
            ),
            "use a DECIMAL column where exact values matter",
        ),
        C::Text { .. } => warn(
            "text-into-number",
            format!("a {name} column can hold text that is no number"),
            "rows with such text become dead letters; write S to keep the text",
        ),
        C::Enum { labels, .. } if labels.iter().all(|l| is_number(l)) => None,
        C::Date | C::DateTime { .. } | C::Timestamp { .. } => refuse(
            "type-mismatch",
            format!("a {name} column cannot become an attribute of type N"),
            "write S, or add \"transformation\": {\"type\": \"date-format\", \"format\": \"epoch\"}",
        ),
        _ => mismatch(AttributeType::N, &a_column(column), "S"),
    }
}

fn constant_fits(ty: AttributeType, scalar: &Scalar) -> Option<Finding> {
    use AttributeType as A;
    let text = match scalar {
        Scalar::Null => return None,
        Scalar::Bool(_) => "true",
        Scalar::Number(text) | Scalar::String(text) => text,
    };
    match ty {
        A::S | A::B | A::SS | A::BS => None,
        A::N | A::NS if is_number(text) => None,
        A::Bool if is_bool(text) || is_number(text) => None,
        A::M | A::L => mismatch(ty, "a static value", "S, N or BOOL"),
        _ => mismatch(ty, &format!("the static value `{}`", shortened(text)), "S"),
    }
}

fn text_fits(ty: AttributeType, digits: bool) -> Option<Finding> {
    use AttributeType as A;
    match ty {
        A::S | A::B | A::SS | A::BS => None,
        A::N | A::NS if digits => None,
        A::N | A::NS => mismatch(ty, "text put together from several parts", "S"),
        A::Bool => mismatch(ty, "formatted text", "S"),
        A::M | A::L => mismatch(ty, "formatted text", "S"),
        A::Null => None,
    }
}

/// Whether the transformation can be applied to a value of this shape.
pub(super) fn applies(transform: &Transform, input: Shape<'_>) -> Option<Finding> {
    if matches!(input, Shape::Unknown) {
        return None;
    }
    match transform {
        Transform::Date {
            format,
            source_format,
        } => date_applies(format, source_format.as_deref(), input),
        Transform::Number(format) => number_applies(format, input),
        Transform::JsonParse => match input {
            Shape::Column(ColumnType::Text { .. } | ColumnType::Json) | Shape::Text { .. } => None,
            _ => unsuitable("json-parse", input, "json-parse reads JSON from text"),
        },
        Transform::Binary(format) => binary_applies(*format, input),
    }
}

fn unsuitable(transformation: &str, input: Shape<'_>, help: &str) -> Option<Finding> {
    let what = match input {
        Shape::Column(column) => a_column(column),
        Shape::Constant(_) => "a static value".into(),
        Shape::Text { .. } => "text put together from parts".into(),
        Shape::Number => "a number".into(),
        Shape::Json { .. } => "a JSON document".into(),
        Shape::Unknown => "this value".into(),
    };
    refuse(
        "transformation-unsuitable",
        format!("{transformation} cannot be applied to {what}"),
        help,
    )
}

fn date_applies(
    format: &DateFormat,
    source_format: Option<&str>,
    input: Shape<'_>,
) -> Option<Finding> {
    use ColumnType as C;
    let source = source_format.and_then(|text| parse_date_format(text).ok());
    let numbers_only = matches!(source, Some(DateFormat::Epoch | DateFormat::EpochMillis));
    match (input, source_format) {
        (Shape::Column(C::Date | C::DateTime { .. } | C::Timestamp { .. }), Some(_)) => warn(
            "source-format-unused",
            "the column is a date already: source_format is not used",
            "leave source_format out",
        ),
        (Shape::Column(C::Timestamp { .. }), None) if cuts_time(format) => warn(
            "timestamp-cut-utc",
            "a date cut from a TIMESTAMP is the date in UTC, which may differ from the application's by a day",
            "use a DATETIME or DATE column if the application's own time zone is meant",
        ),
        (Shape::Column(C::Date | C::DateTime { .. } | C::Timestamp { .. }), None) => None,
        (Shape::Column(C::Int { .. } | C::Decimal { .. }), Some(_)) if numbers_only => None,
        (Shape::Column(C::Text { .. }) | Shape::Text { .. }, Some(_)) => None,
        (Shape::Column(C::Text { .. } | C::Int { .. }), None) => refuse(
            "date-without-source-format",
            "the column is no date, and nothing says how its values are to be read",
            "add \"source_format\", for example \"YYYY-MM-DD\" for text or \"epoch\" for seconds since 1970",
        ),
        _ => unsuitable(
            "date-format",
            input,
            "date-format needs a DATE, DATETIME or TIMESTAMP column, or text with a source_format",
        ),
    }
}

fn cuts_time(format: &DateFormat) -> bool {
    match format {
        DateFormat::Pattern(tokens) => !tokens.contains(&DateToken::Hour),
        _ => false,
    }
}

fn number_applies(format: &NumberFormat, input: Shape<'_>) -> Option<Finding> {
    use ColumnType as C;
    match input {
        Shape::Column(C::Decimal { scale, .. }) => match format {
            NumberFormat::Decimals { decimals, .. } if *decimals >= usize::from(*scale) => None,
            NumberFormat::Padded { .. } if *scale == 0 => None,
            _ => warn(
                "number-rounded",
                format!(
                    "the format keeps fewer decimals than the column's {scale}: values are rounded"
                ),
                "give the format as many decimals as the column has",
            ),
        },
        Shape::Column(
            C::Int { .. } | C::Float { .. } | C::Double { .. } | C::Year | C::Bit { .. },
        )
        | Shape::Number => None,
        Shape::Column(C::Text { .. }) => warn(
            "text-into-number",
            "the column can hold text that is no number",
            "rows with such text become dead letters",
        ),
        _ => unsuitable("number-format", input, "number-format needs a number"),
    }
}

fn binary_applies(format: BinaryFormat, input: Shape<'_>) -> Option<Finding> {
    use ColumnType as C;
    match (format, input) {
        (BinaryFormat::Uuid, Shape::Column(C::Binary { length: 16 })) => None,
        (BinaryFormat::Uuid, Shape::Column(C::Bytes { max_length })) if *max_length >= 16 => warn(
            "uuid-length",
            "a UUID has 16 bytes, and this column may hold fewer or more",
            "rows with another length become dead letters; use BINARY(16), or hex",
        ),
        (BinaryFormat::Uuid, Shape::Column(C::Binary { .. } | C::Bytes { .. })) => unsuitable(
            "binary-format uuid",
            input,
            "a UUID has 16 bytes: use hex or base64",
        ),
        (_, Shape::Column(C::Binary { .. } | C::Bytes { .. })) => None,
        _ => unsuitable(
            "binary-format",
            input,
            "binary-format needs a BINARY, VARBINARY or BLOB column",
        ),
    }
}

/// What a transformation gives.
pub(super) fn shape_after(transform: &Transform) -> Shape<'static> {
    match transform {
        Transform::Date {
            format: DateFormat::Epoch | DateFormat::EpochMillis,
            ..
        } => Shape::Number,
        Transform::Date {
            format: DateFormat::Pattern(tokens),
            ..
        } => Shape::Text {
            digits: !tokens
                .iter()
                .any(|t| matches!(t, DateToken::Literal(l) if !is_number(l))),
        },
        Transform::Date { .. } => Shape::Text { digits: false },
        Transform::Number(_) => Shape::Number,
        Transform::JsonParse => Shape::Json { array: None },
        Transform::Binary(_) => Shape::Text { digits: false },
    }
}

/// Whether the text is a number as DynamoDB reads it.
pub(super) fn is_number(text: &str) -> bool {
    let plain = text.strip_prefix(['-', '+']).unwrap_or(text);
    plain.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && plain
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

fn is_bool(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "1" | "0"
    )
}

/// The beginning of a text from the contract, for a message.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_string(),
    }
}
