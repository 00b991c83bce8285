//! The contract as written: one type for each object of the format, every leaf with its place.
//!
//! Enumerations that the format closes (types, operations) are resolved while parsing; names of tables and columns
//! and expressions stay text until `plan::compile`.

use super::diagnostic::Place;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<T> {
    pub value: T,
    pub place: Place,
}

pub type Text = Spanned<String>;

#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    pub tables: Vec<Table>,
    /// Tables with errors of shape, as far as they could be read: only for finding what else is wrong with them.
    pub broken: Vec<Table>,
}

/// One DynamoDB table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    pub place: Place,
    pub name: Text,
    pub kind: TableKind,
    /// The key attributes' names as written; `None` where a multi-entity table leaves them out (`PK`, `SK`).
    pub pk: Option<Text>,
    pub sk: Option<Text>,
    pub gsis: Vec<Gsi>,
}

#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are few tables; a box would only be in the way"
)]
pub enum TableKind {
    /// Exactly one entity, without templates.
    Single(Entity),
    Multi(Vec<Entity>),
}

/// What one driving table contributes to a DynamoDB table.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    pub place: Place,
    /// `None` in a single-entity table.
    pub entity_type: Option<Text>,
    /// `database.table` or a bare name.
    pub source_table: Text,
    pub pk_template: Option<Text>,
    pub sk_template: Option<Text>,
    /// A condition on the driving row (SQL).
    pub filter: Option<Text>,
    pub attributes: Vec<Attribute>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Gsi {
    pub place: Place,
    pub index_name: Text,
    pub pk: Text,
    pub sk: Option<Text>,
    pub projection: GsiProjection,
}

#[derive(Debug, Clone, PartialEq)]
pub enum GsiProjection {
    All,
    KeysOnly,
    Include(Vec<Text>),
}

/// DynamoDB's attribute types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeType {
    S,
    N,
    B,
    SS,
    NS,
    BS,
    M,
    L,
    Bool,
    Null,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    pub place: Place,
    pub name: Text,
    pub ty: Spanned<AttributeType>,
    pub source_table: Option<Text>,
    /// One name, or several (which makes a composite, joined by `#`).
    pub source_columns: Vec<Text>,
    pub join: Option<Spanned<Join>>,
    pub calculation: Option<Spanned<Calculation>>,
    pub transformation: Option<Spanned<Transformation>>,
    pub denormalized: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Join {
    /// `foreign-key`, `lookup-table` and `multi-column` (which alone has several conditions).
    ToOne {
        kind: ToOneKind,
        target_table: Text,
        conditions: Vec<Text>,
        select_column: Text,
    },
    SelfJoin {
        alias: Text,
        target_table: Option<Text>,
        condition: Text,
        select_column: Text,
        null_value: Option<Spanned<Scalar>>,
    },
    Conditional {
        condition: Text,
        target_table: Text,
        join_condition: Text,
        select_column: Text,
        else_value: Option<Spanned<Scalar>>,
    },
    Chain {
        hops: Vec<Hop>,
        separator: Option<Text>,
    },
    Json {
        target_table: Text,
        condition: Text,
        construction: Construction,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToOneKind {
    ForeignKey,
    LookupTable,
    MultiColumn,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    pub place: Place,
    pub target_table: Text,
    pub condition: Text,
    pub select_column: Option<Text>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Construction {
    pub place: Place,
    /// `array` (every matching row) or `object` (the one matching row).
    pub array: bool,
    /// Key and SQL expression, in the order as written.
    pub select_columns: Vec<(Text, Text)>,
    pub order_by: Option<Text>,
    pub limit: Option<Spanned<u64>>,
}

/// A JSON scalar that stands for a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    String(String),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Calculation {
    Aggregate {
        operation: AggregateOperation,
        target_table: Text,
        condition: Text,
        select_column: Option<Text>,
    },
    Case {
        cases: Vec<(Text, Spanned<Scalar>)>,
        otherwise: Option<Spanned<Scalar>>,
    },
    Concat {
        /// Column names or SQL expressions.
        parts: Vec<Text>,
        separator: Option<Text>,
    },
    /// `date-math`, or any calculation that carries `expression`.
    Expression(Text),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateOperation {
    Sum,
    Count,
    Avg,
    Min,
    Max,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Transformation {
    /// `string-format` and `template`: text with `{placeholders}`.
    Template(Text),
    Static(Spanned<Scalar>),
    DateFormat {
        format: Text,
        source_format: Option<Text>,
    },
    NumberFormat(Text),
    JsonParse,
    BinaryFormat(Spanned<BinaryFormat>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinaryFormat {
    Base64,
    Hex,
    Uuid,
}
