//! The plan's types. Ids are indexes into the plan's vectors, slots are indexes into [`SourceTable::columns`].

use std::sync::Arc;

pub use crate::contract::format::{DateFormat, DateToken, NumberFormat};

use crate::contract::Place;
use crate::contract::model::{
    AggregateOperation, AttributeType, BinaryFormat, GsiProjection, Scalar,
};
use crate::expression::{Comparison, Expression};
use crate::schema::{Column, ReferentialAction, TableName};

use super::graph::{Graph, Index, IndexId, NodeId, Stored};

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
    /// What is kept of each source for the joins (by source id); `None` where no join reads it.
    pub stored: Vec<Option<Stored>>,
    /// How the stored rows are found.
    pub indexes: Vec<Index>,
    /// The foreign keys whose cascades the source does not log: what they do is derived from the changes of the parents.
    pub foreign_keys: Vec<ForeignKeyPlan>,
    /// Compiled without a catalog: columns, types and keys are guessed from the contract's words. Such a plan can be
    /// explained and must never run.
    pub offline: bool,
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
    /// Attributes that others add to the items, and that stay.
    pub preserve: Vec<String>,
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
    /// How many columns the table has, those that nobody needs included: where table maps name no columns, they
    /// are found by their ordinals, and then the number must agree.
    pub column_count: usize,
    /// Its changes are followed for what they do to other tables by foreign keys; its rows are not copied.
    pub watched_only: bool,
}

/// A foreign key whose cascades are derived.
#[derive(Debug, Clone)]
pub struct ForeignKeyPlan {
    pub name: String,
    pub parent: SourceId,
    pub child: SourceId,
    /// The referenced columns.
    pub parent_slots: Vec<usize>,
    /// The referencing columns, in the same order.
    pub child_slots: Vec<usize>,
    pub on_delete: ReferentialAction,
    pub on_update: ReferentialAction,
    /// How the columns compare, one by one.
    pub comparisons: Vec<Comparison>,
    /// The child's rows by the referencing columns.
    pub index: IndexId,
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
    /// Whether a state of it keeps whose each key is. So it is where the key is not proved unique, and where the proof rests on
    /// another key than the one by which the state keeps the rows: a state that is being put right holds rows that MySQL
    /// has no more, driving and joined ones, and one of those may have the same unique key as a row that is there.
    pub claimed: bool,
    /// The rows that an item is made of, where they are more than the driving row, or where its key may be contested.
    pub graph: Option<Graph>,
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
    Join(Box<JoinPlan>),
    Aggregate {
        operation: AggregateOperation,
        source: SourceId,
        condition: Sql,
        select: Option<Sql>,
        /// The rows in the projection's graph, and the place among its folds; set where the plan has one.
        node: NodeId,
        fold: usize,
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

/// A SQL expression: as written, and parsed.
#[derive(Debug, Clone)]
pub struct Sql {
    pub text: String,
    pub expr: Arc<sqlparser::ast::Expr>,
    /// What each column reference means, in the order in which they stand in the text.
    pub refs: Vec<SqlRef>,
    pub place: Place,
    /// Ready to be evaluated; `None` offline, where nobody knows the columns' types.
    pub typed: Option<Arc<Expression>>,
}

/// A column reference of a SQL expression, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlRef {
    /// Line and column (from 1) where the reference begins in the expression's text, as in the parsed identifiers' spans.
    pub location: (u64, u64),
    pub row: RowRef,
    pub source: SourceId,
    pub slot: usize,
}

/// Whose row a reference reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowRef {
    Driving,
    /// The row of a hop (an index into [`JoinPlan::hops`]); 0 is the target of a join with one target, and of an aggregate.
    Joined(usize),
}

/// A join, resolved as far as names go.
#[derive(Debug, Clone)]
pub struct JoinPlan {
    /// The contract's word: `foreign-key`, `chain`, …
    pub kind: &'static str,
    pub hops: Vec<HopPlan>,
    /// For each hop its rows in the projection's graph; set where the plan has one.
    pub nodes: Vec<NodeId>,
    /// Anything besides the hops that evaluation needs, as written (condition, else, null_value, order, limit, separator).
    pub condition: Option<Sql>,
    pub else_value: Option<Scalar>,
    /// The else value where it is a column reference.
    pub else_sql: Option<Sql>,
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
    /// The terms of `order_by`; `true` is descending.
    pub order: Vec<(Sql, bool)>,
    pub limit: Option<u64>,
}

/// An item's largest size as DynamoDB counts it: 400 KB.
pub const MAX_ITEM_BYTES: usize = 400 * 1024;
/// No item has room for a list of more: an element takes more than two bytes, as an attribute's value and as text.
pub const MOST_LISTED: usize = MAX_ITEM_BYTES / 3;

impl ConstructionPlan {
    /// How many rows it is made of at the most; `None`: of all.
    pub fn most(&self) -> Option<usize> {
        match self.array {
            true => self.limit.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
            false => Some(1),
        }
    }

    /// As [`most`](Self::most), where so many rows can be at hand.
    pub fn holds(&self) -> Option<usize> {
        self.most().filter(|most| *most <= MOST_LISTED)
    }
}

impl Plan {
    pub fn source(&self, id: SourceId) -> &SourceTable {
        &self.sources[usize::from(id.0)]
    }

    pub fn target(&self, id: TargetId) -> &TargetTable {
        &self.targets[usize::from(id.0)]
    }

    /// Every attribute that items of this table may have, each name once.
    pub fn attribute_names(&self, target: TargetId) -> Vec<String> {
        let of_target = self.projections.iter().filter(|p| p.target == target);
        let names: std::collections::BTreeSet<&str> = of_target
            .flat_map(|p| p.attributes.iter().map(|a| a.name.as_str()))
            .collect();
        names.into_iter().map(str::to_owned).collect()
    }

    pub fn projection(&self, id: ProjectionId) -> &Projection {
        &self.projections[usize::from(id.0)]
    }
}

impl ValueSource {
    /// Every SQL expression of this value itself (not of a transformation's input).
    pub fn each_sql(&mut self, visit: &mut dyn FnMut(&mut Sql)) {
        match self {
            ValueSource::Join(join) => join.each_sql(visit),
            ValueSource::Aggregate {
                condition, select, ..
            } => {
                visit(condition);
                select.iter_mut().for_each(visit);
            }
            ValueSource::Case { cases, otherwise } => {
                for (when, then) in cases {
                    visit(when);
                    visit(then);
                }
                otherwise.iter_mut().for_each(visit);
            }
            ValueSource::Concat { parts, .. } => parts.iter_mut().for_each(visit),
            ValueSource::Expression(sql) => visit(sql),
            ValueSource::Column(_)
            | ValueSource::Template(_)
            | ValueSource::Static(_)
            | ValueSource::Transformed { .. } => {}
        }
    }
}

impl JoinPlan {
    /// Every SQL expression of the join.
    pub fn each_sql(&mut self, visit: &mut dyn FnMut(&mut Sql)) {
        for hop in &mut self.hops {
            hop.conditions.iter_mut().for_each(&mut *visit);
            hop.select.iter_mut().for_each(&mut *visit);
        }
        self.condition.iter_mut().for_each(&mut *visit);
        self.else_sql.iter_mut().for_each(&mut *visit);
        if let Some(construction) = &mut self.construction {
            construction
                .select
                .iter_mut()
                .for_each(|(_, sql)| visit(sql));
            construction
                .order
                .iter_mut()
                .for_each(|(sql, _)| visit(sql));
        }
    }
}
