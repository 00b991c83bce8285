//! The contract, resolved: which rows make which items, and how.
//!
//! A plan is compiled once from a contract and a catalog, and is all that the running daemon sees of either.
//! Ids are indexes into the plan's vectors.

use std::sync::Arc;

use crate::contract::Place;
use crate::contract::model::{
    AggregateOperation, AttributeType, BinaryFormat, GsiProjection, Scalar,
};
use crate::schema::{Column, TableName};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u16);
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TargetId(pub u16);
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectionId(pub u16);

#[derive(Debug, Clone)]
pub struct Plan {
    pub sources: Vec<SourceTable>,
    pub targets: Vec<TargetTable>,
    pub projections: Vec<Projection>,
    pub settings: Mapping,
    /// SHA-256 (hex) of the plan's canonical text: what it reads, how it maps, into which tables. Two contracts that
    /// differ only in documentation, order of fields or white space have the same fingerprint.
    pub fingerprint: String,
}

/// `[mapping]` of the settings: what a person decides about all items.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    /// NULL is written as DynamoDB's NULL rather than left out.
    pub write_nulls: bool,
    /// Put before every DynamoDB table's name.
    pub table_prefix: String,
}

/// A MySQL table that the plan reads, and the columns that it needs.
#[derive(Debug, Clone)]
pub struct SourceTable {
    pub id: SourceId,
    pub name: TableName,
    /// The slots: the columns that any projection needs, the primary key among them, in the table's order.
    pub columns: Vec<SourceColumn>,
    /// Slots of the primary key (or of the unique key that stands for it), in key order.
    pub key: Vec<usize>,
}

#[derive(Debug, Clone)]
pub struct SourceColumn {
    /// Index among all of the table's columns.
    pub ordinal: usize,
    pub column: Column,
}

/// A DynamoDB table.
#[derive(Debug, Clone)]
pub struct TargetTable {
    pub id: TargetId,
    /// With the prefix.
    pub name: String,
    pub pk: KeyAttribute,
    pub sk: Option<KeyAttribute>,
    pub gsis: Vec<GsiPlan>,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAttribute {
    pub name: String,
    /// S, N or B.
    pub ty: AttributeType,
}

#[derive(Debug, Clone)]
pub struct GsiPlan {
    pub name: String,
    pub pk: KeyAttribute,
    pub sk: Option<KeyAttribute>,
    pub projection: GsiProjection,
}

/// What makes one kind of item.
#[derive(Debug, Clone)]
pub struct Projection {
    pub id: ProjectionId,
    /// `orders` or `orders/ORDER` (table, entity): for people.
    pub label: String,
    pub entity: Option<String>,
    pub target: TargetId,
    pub driving: SourceId,
    pub filter: Option<Sql>,
    /// All attributes of the item: the key attributes first (pk, then sk), then key attributes of indexes that are
    /// not in the contract's list, then the contract's attributes in order, each name once.
    pub attributes: Vec<AttributePlan>,
    /// Whether the key is provably unique, and why (not).
    pub uniqueness: Uniqueness,
}

#[derive(Debug, Clone)]
pub struct AttributePlan {
    pub name: String,
    pub ty: AttributeType,
    pub role: Role,
    pub value: ValueSource,
    /// Where the contract says so.
    pub place: Place,
}

/// What an attribute is to its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// NULL or empty makes the row unmappable.
    PartitionKey,
    SortKey,
    /// Left out where it is NULL, empty or of the wrong type (sparse index).
    IndexKey,
    Plain,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uniqueness {
    /// Why two rows can never share a key.
    Proved(String),
    /// Why it could not be proved.
    Unproved(String),
}

/// Where an attribute's value comes from. The first group needs the driving row only.
#[derive(Debug, Clone)]
pub enum ValueSource {
    /// A slot of the driving table.
    Column(usize),
    /// Text pieces; any NULL part makes the whole NULL. Composites are templates with `#` between the parts.
    Template(Vec<Piece>),
    Static(Scalar),
    /// A transformation of another value.
    Transformed {
        input: Box<ValueSource>,
        by: Transform,
    },
    // Needs more than the driving row, or SQL: compiled and explained, executed from the views on.
    Join(JoinPlan),
    Aggregate {
        operation: AggregateOperation,
        source: SourceId,
        condition: Sql,
        select: Option<Sql>,
    },
    Case {
        cases: Vec<(Sql, Sql)>,
        otherwise: Option<Sql>,
    },
    Concat {
        parts: Vec<Sql>,
        separator: Option<String>,
    },
    Expression(Sql),
}

#[derive(Debug, Clone)]
pub enum Piece {
    Literal(String),
    /// Another attribute's value, as its text.
    Value(ValueSource),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transform {
    Date {
        format: DateFormat,
        source_format: Option<String>,
    },
    Number(NumberFormat),
    JsonParse,
    Binary(BinaryFormat),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DateFormat {
    /// Tokens YYYY MM DD HH mm ss SSS and literal text between them.
    Pattern(Vec<DateToken>),
    /// Seconds since 1970 in UTC.
    Epoch,
    EpochMillis,
    /// `2024-01-31T10:20:30Z`, with the fraction that the column has.
    Iso8601,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DateToken {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Millis,
    Literal(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberFormat {
    /// `0.00`: that many decimals, rounded half away from zero as MySQL's ROUND does; `integer_digits` zeros at least before the point.
    Decimals {
        integer_digits: usize,
        decimals: usize,
    },
    /// `%08d`: an integer, padded with zeros (or spaces) to `width`.
    Padded { width: usize, zero: bool },
}

/// A SQL expression: as written, and parsed.
#[derive(Debug, Clone)]
pub struct Sql {
    pub text: String,
    pub expr: Arc<sqlparser::ast::Expr>,
    pub place: Place,
}

/// A join, resolved as far as names go.
#[derive(Debug, Clone)]
pub struct JoinPlan {
    /// The contract's word: `foreign-key`, `chain`, …
    pub kind: &'static str,
    pub hops: Vec<HopPlan>,
    /// Anything besides the hops that evaluation needs, as written (condition, else, null_value, order, limit, separator).
    pub condition: Option<Sql>,
    pub else_value: Option<Scalar>,
    pub null_value: Option<Scalar>,
    pub separator: Option<String>,
    pub construction: Option<ConstructionPlan>,
}

#[derive(Debug, Clone)]
pub struct HopPlan {
    pub source: SourceId,
    pub alias: Option<String>,
    pub conditions: Vec<Sql>,
    pub select: Option<Sql>,
    /// At most one row matches, provably.
    pub to_one: bool,
}

#[derive(Debug, Clone)]
pub struct ConstructionPlan {
    pub array: bool,
    pub select: Vec<(String, Sql)>,
    pub order_by: Option<String>,
    pub limit: Option<u64>,
}

impl Plan {
    pub fn source(&self, id: SourceId) -> &SourceTable {
        &self.sources[usize::from(id.0)]
    }

    pub fn target(&self, id: TargetId) -> &TargetTable {
        &self.targets[usize::from(id.0)]
    }

    pub fn projection(&self, id: ProjectionId) -> &Projection {
        &self.projections[usize::from(id.0)]
    }
}
