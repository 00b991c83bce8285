//! MySQL's types of expressions, and what becomes of several of them in one result.

use std::sync::Arc;

use crate::schema::{Column, ColumnType};

/// The type of an expression's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    pub kind: TypeKind,
    pub nullable: bool,
}

/// MySQL's types, as far as they differ in how values compare, compute and print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeKind {
    /// The literal NULL and what always is NULL.
    Null,
    Int {
        unsigned: bool,
    },
    Decimal {
        precision: u8,
        scale: u8,
    },
    Float,
    Double,
    /// A FLOAT or DOUBLE whose declaration says how it is printed: `FLOAT(M,D)`, ZEROFILL. Its value is its print.
    Fixed(Print),
    /// CHAR, VARCHAR, TEXT, ENUM, SET; the collation by its name.
    Text {
        collation: Arc<str>,
    },
    Binary,
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
    Bit,
    Json,
    Geometry,
    Vector,
}

/// What the print of a [`TypeKind::Fixed`] gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Print {
    /// The FLOAT: what is stored was rounded to the digits that are printed.
    RoundedFloat,
    /// The DOUBLE, which was rounded likewise.
    RoundedDouble,
    /// The DOUBLE, all digits of which are printed.
    Double,
    /// Six digits of a FLOAT ZEROFILL, which may have more.
    SixDigits,
}

/// The collation of text that comes from the expression itself: literals, numbers as text.
pub(super) const CONNECTION: &str = "utf8mb4_0900_ai_ci";
/// The collation of text that comes out of JSON.
pub(super) const JSON_COLLATION: &str = "utf8mb4_bin";

impl TypeKind {
    pub fn is_number(&self) -> bool {
        matches!(
            self,
            TypeKind::Int { .. }
                | TypeKind::Decimal { .. }
                | TypeKind::Float
                | TypeKind::Double
                | TypeKind::Fixed(_)
                | TypeKind::Year
                | TypeKind::Bit
        )
    }

    pub(super) fn is_integer(&self) -> bool {
        matches!(self, TypeKind::Int { .. } | TypeKind::Year | TypeKind::Bit)
    }

    /// DATE, DATETIME, TIMESTAMP.
    pub(super) fn has_date(&self) -> bool {
        matches!(
            self,
            TypeKind::Date | TypeKind::DateTime { .. } | TypeKind::Timestamp { .. }
        )
    }

    pub(super) fn is_temporal(&self) -> bool {
        self.has_date() || matches!(self, TypeKind::Time { .. })
    }

    /// Digits of the fraction that values of this type show.
    pub(super) fn fsp(&self) -> u8 {
        match *self {
            TypeKind::DateTime { fsp } | TypeKind::Timestamp { fsp } | TypeKind::Time { fsp } => {
                fsp
            }
            _ => 0,
        }
    }

    /// What the type is called where a person is told.
    pub(super) fn name(&self) -> &'static str {
        match self {
            TypeKind::Null => "NULL",
            TypeKind::Int { .. } => "an integer",
            TypeKind::Decimal { .. } => "a DECIMAL",
            TypeKind::Float => "a FLOAT",
            TypeKind::Double => "a DOUBLE",
            TypeKind::Fixed(_) => "a FLOAT or DOUBLE with a number of digits",
            TypeKind::Text { .. } => "text",
            TypeKind::Binary => "binary text",
            TypeKind::Date => "a DATE",
            TypeKind::DateTime { .. } => "a DATETIME",
            TypeKind::Timestamp { .. } => "a TIMESTAMP",
            TypeKind::Time { .. } => "a TIME",
            TypeKind::Year => "a YEAR",
            TypeKind::Bit => "a BIT",
            TypeKind::Json => "a JSON value",
            TypeKind::Geometry => "a GEOMETRY",
            TypeKind::Vector => "a VECTOR",
        }
    }
}

impl From<&Column> for Type {
    fn from(column: &Column) -> Self {
        let text = |collation: &String| TypeKind::Text {
            collation: Arc::from(collation.as_str()),
        };
        let kind = match &column.ty {
            ColumnType::Int { unsigned, .. } => TypeKind::Int {
                unsigned: *unsigned,
            },
            ColumnType::Float { .. } | ColumnType::Double { .. }
                if column.ty.number_style().is_some() =>
            {
                TypeKind::Fixed(match column.ty {
                    ColumnType::Float { decimals: None, .. } => Print::SixDigits,
                    ColumnType::Float { .. } => Print::RoundedFloat,
                    ColumnType::Double { decimals: None, .. } => Print::Double,
                    _ => Print::RoundedDouble,
                })
            }
            ColumnType::Float { .. } => TypeKind::Float,
            ColumnType::Double { .. } => TypeKind::Double,
            ColumnType::Decimal {
                precision, scale, ..
            } => TypeKind::Decimal {
                precision: *precision,
                scale: *scale,
            },
            ColumnType::Bit { .. } => TypeKind::Bit,
            ColumnType::Text { collation, .. }
            | ColumnType::Enum { collation, .. }
            | ColumnType::Set { collation, .. } => text(collation),
            ColumnType::Binary { .. } | ColumnType::Bytes { .. } => TypeKind::Binary,
            ColumnType::Date => TypeKind::Date,
            ColumnType::DateTime { fsp } => TypeKind::DateTime { fsp: *fsp },
            ColumnType::Timestamp { fsp } => TypeKind::Timestamp { fsp: *fsp },
            ColumnType::Time { fsp } => TypeKind::Time { fsp: *fsp },
            ColumnType::Year => TypeKind::Year,
            ColumnType::Json => TypeKind::Json,
            ColumnType::Geometry => TypeKind::Geometry,
            ColumnType::Vector { .. } => TypeKind::Vector,
        };
        Type {
            kind,
            nullable: column.nullable,
        }
    }
}

/// Where a text's collation comes from; the lower wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Derivation {
    /// Two columns of different collations: the binary one stands in.
    None,
    Column,
    Literal,
    Number,
    Null,
}

/// A text's collation, and how strong it is beside others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Collated {
    pub name: Arc<str>,
    pub derivation: Derivation,
    /// Only ASCII can occur.
    pub ascii: bool,
}

impl Collated {
    pub fn literal(text: &str) -> Self {
        Self {
            name: CONNECTION.into(),
            derivation: Derivation::Literal,
            ascii: text.is_ascii(),
        }
    }

    /// That of a column.
    pub fn column(kind: &TypeKind) -> Self {
        let name = match kind {
            TypeKind::Text { collation } => collation.clone(),
            TypeKind::Binary => "binary".into(),
            TypeKind::Json => JSON_COLLATION.into(),
            _ => return Self::number(),
        };
        Self {
            ascii: name.starts_with("ascii"),
            derivation: Derivation::Column,
            name,
        }
    }

    pub fn number() -> Self {
        Self {
            name: CONNECTION.into(),
            derivation: Derivation::Number,
            ascii: true,
        }
    }

    pub fn charset(&self) -> &str {
        charset_of(&self.name)
    }

    fn is_binary(&self) -> bool {
        &*self.name == "binary"
    }

    fn is_unicode(&self) -> bool {
        matches!(
            self.charset(),
            "utf8mb4" | "utf8mb3" | "utf8" | "ucs2" | "utf16" | "utf16le" | "utf32"
        )
    }

    fn is_superset_of(&self, other: &Collated) -> bool {
        if self.is_unicode() {
            let wider =
                self.charset() == "utf8mb4" && matches!(other.charset(), "utf8mb3" | "utf8");
            if self.derivation < other.derivation
                || (self.derivation == other.derivation && (!other.is_unicode() || wider))
            {
                return true;
            }
        }
        other.ascii
            && (self.derivation < other.derivation
                || (self.derivation == other.derivation && !self.ascii))
    }

    /// The collation of two texts together, as MySQL finds it; `None`: an illegal mix.
    pub fn with(&self, other: &Collated) -> Option<Collated> {
        let ascii = self.ascii && other.ascii;
        let chosen = self.chosen(other)?;
        Some(Collated { ascii, ..chosen })
    }

    fn chosen(&self, other: &Collated) -> Option<Collated> {
        let (a, b) = (self.derivation, other.derivation);
        if self.name == other.name {
            return Some(if a <= b { self } else { other }.clone());
        }
        if self.charset() != other.charset() {
            if self.is_binary() {
                return Some(if a <= b { self } else { other }.clone());
            }
            if other.is_binary() {
                return Some(if b <= a { other } else { self }.clone());
            }
            if a == Derivation::None || b == Derivation::None {
                return None;
            }
            if self.is_superset_of(other) {
                return Some(self.clone());
            }
            if other.is_superset_of(self) {
                return Some(other.clone());
            }
            // What MySQL does further depends on whether each character can be converted.
            return None;
        }
        if a != b {
            return Some(if a < b { self } else { other }.clone());
        }
        if self.name.ends_with("_bin") {
            return Some(self.clone());
        }
        if other.name.ends_with("_bin") {
            return Some(other.clone());
        }
        Some(Collated {
            name: format!("{}_bin", self.charset()).into(),
            derivation: Derivation::None,
            ascii: false,
        })
    }
}

/// The collation by which texts are compared with one another; `None` where MySQL says that they do not mix.
pub(super) fn compared(texts: &[&Collated]) -> Option<Collated> {
    let (first, rest) = texts.split_first()?;
    let all = rest
        .iter()
        .try_fold((*first).clone(), |all, text| all.with(text))?;
    (all.derivation != Derivation::None).then_some(all)
}

/// The character set of a collation.
pub(super) fn charset_of(collation: &str) -> &str {
    collation.split('_').next().unwrap_or(collation)
}
