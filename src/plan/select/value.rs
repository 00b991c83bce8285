//! A value as SQL, and its two forms: as a column of the result, and as text among other text.

use super::layout::literal;
use crate::contract::model::Scalar;
use crate::plan::charsets;
use crate::schema::ColumnType;

/// A value as SQL.
#[derive(Debug, Clone)]
pub(super) struct Rendered<'p> {
    /// Stands by itself: as an argument, or in a list.
    pub sql: String,
    pub kind: Kind<'p>,
}

/// What is known about a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'p> {
    /// A column, as it is.
    Column(&'p ColumnType),
    Text,
    /// JSON that MySQL takes for text.
    Json,
    /// A whole number.
    Integer,
    /// The result of an expression.
    Unknown,
    /// The same, text in another character set than that of the session: not all of them mix.
    Foreign,
}

impl<'p> Rendered<'p> {
    pub fn new(sql: impl Into<String>, kind: Kind<'p>) -> Self {
        Self {
            sql: sql.into(),
            kind,
        }
    }

    pub fn is_json(&self) -> bool {
        matches!(self.kind, Kind::Json)
    }

    pub fn column(&self) -> Option<&'p ColumnType> {
        match self.kind {
            Kind::Column(ty) => Some(ty),
            _ => None,
        }
    }

    /// As a column of the result: MySQL sends BIT as bytes, the number is meant.
    pub fn shown(&self) -> String {
        match self.kind {
            Kind::Column(ColumnType::Bit { .. }) => format!("{} + 0", self.sql),
            _ => self.sql.clone(),
        }
    }

    /// As a part of a row's name (`view::source_key`), for a text in a character set in which several codes show as one
    /// character; `None` for what is named by what it shows.
    pub fn name_part(&self) -> Option<String> {
        let Kind::Column(ColumnType::Text { charset, .. }) = self.kind else {
            return None;
        };
        if charsets::one_to_one(charset) {
            return None;
        }
        let sql = &self.sql;
        let shown = format!("CONVERT({sql} USING utf8mb4)");
        Some(format!(
            "IF(CAST(CONVERT({shown} USING {charset}) AS BINARY) = CAST({sql} AS BINARY), \
             REPLACE(REPLACE({shown}, '\\\\', '\\\\\\\\'), ',', '\\\\,'), CONCAT('\\\\0x', LOWER(HEX({sql}))))"
        ))
    }

    /// As an argument of CONCAT, which gives the text that [`shown`](Self::shown) has.
    pub fn part(&self) -> String {
        match self.kind {
            // Character sets do not always mix.
            _ if self.is_foreign() => format!("CONVERT({} USING utf8mb4)", self.sql),
            // CONCAT turns to an exponent earlier than a result does; as a DOUBLE the six digits do not.
            Kind::Column(ColumnType::Float {
                decimals: None,
                zerofill,
                ..
            }) => {
                let wide = format!("CONCAT({}) * 1e0", self.sql);
                match zerofill {
                    Some(width) => {
                        format!("LPAD({wide}, GREATEST({width}, CHAR_LENGTH({wide})), '0')")
                    }
                    None => wide,
                }
            }
            _ => self.shown(),
        }
    }

    /// Whether it is text that may not stand beside any other.
    pub fn is_foreign(&self) -> bool {
        match self.kind {
            Kind::Foreign => true,
            Kind::Column(
                ColumnType::Text { charset, .. }
                | ColumnType::Enum { charset, .. }
                | ColumnType::Set { charset, .. },
            ) => is_foreign(charset),
            _ => false,
        }
    }

    /// As a branch beside others.
    pub fn branch(&self) -> String {
        match self.is_foreign() {
            true => self.part(),
            false => self.shown(),
        }
    }

    /// As text that keeps its form beside values of other types, as in COALESCE and CASE.
    pub fn text(&self) -> String {
        match self.kind {
            Kind::Text | Kind::Json => self.sql.clone(),
            Kind::Column(
                ColumnType::Binary { .. }
                | ColumnType::Bytes { .. }
                | ColumnType::Geometry
                | ColumnType::Vector { .. },
            ) => self.sql.clone(),
            Kind::Column(
                ColumnType::Text { .. } | ColumnType::Enum { .. } | ColumnType::Set { .. },
            ) => self.part(),
            _ => format!("CONCAT({})", self.part()),
        }
    }

    /// In parentheses unless it is a mere column.
    pub fn operand(&self) -> String {
        match self.kind {
            Kind::Column(_) => self.shown(),
            _ => format!("({})", self.sql),
        }
    }
}

/// Whether text of this character set may not stand beside any other.
pub(super) fn is_foreign(charset: &str) -> bool {
    !charset.starts_with("utf8") && !charset.starts_with("ascii")
}

/// A constant of the contract.
pub(super) fn constant(scalar: &Scalar) -> Rendered<'static> {
    match scalar {
        Scalar::Null => Rendered::new("NULL", Kind::Unknown),
        Scalar::Bool(true) => Rendered::new("'true'", Kind::Json),
        Scalar::Bool(false) => Rendered::new("'false'", Kind::Json),
        Scalar::Number(text) | Scalar::String(text) => Rendered::new(literal(text), Kind::Text),
    }
}
