//! The rows that an item is made of: a tree of joins below the driving row, and how each row of it is found from its
//! neighbours, in both directions.
//!
//! Joins of several attributes that are the same are one node. An index answers "which rows of this table have these
//! values"; from parent to child it finds the joined rows, from child to parent the items that a change touches.

mod build;
mod foreign;
mod stored;

use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) use build::build;

use super::model::{ConstructionPlan, Projection, RowRef, SourceId, Sql};
use crate::contract::model::AggregateOperation;
use crate::expression::{Comparison, Expression};

/// An index into [`Graph::nodes`]; 0 is the driving row.
pub type NodeId = usize;
/// An index into `Plan::indexes`.
pub type IndexId = usize;

/// The rows of one kind of item.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Parents stand before their children.
    pub nodes: Vec<Node>,
    /// The aggregates of the item's attributes.
    pub folds: Vec<Fold>,
}

/// An aggregate over the rows of a node.
#[derive(Debug, Clone)]
pub struct Fold {
    pub node: NodeId,
    pub operation: AggregateOperation,
    pub select: Option<Sql>,
}

/// Rows of one table, as they are joined.
#[derive(Debug, Clone)]
pub struct Node {
    pub source: SourceId,
    /// How the rows are joined; `None` for the driving row.
    pub join: Option<NodeJoin>,
    pub cardinality: Cardinality,
    /// The slots of the source that this node's rows are read for: a change of others touches no item through it.
    pub reads: BTreeSet<usize>,
    pub kept: Kept,
    /// The attribute that lists every row: where they are more than an item has room for, there is none.
    pub listed_by: Option<Arc<str>>,
}

/// Which of a node's rows an item has to have at hand at the same time. Aggregates beside them are computed while the rows
/// are read, unless all are kept.
#[derive(Debug, Clone)]
pub enum Kept {
    /// None: only aggregates look at them, in any order.
    None,
    /// The first ones in the order of each of these constructions, as many as it has room for.
    First(Vec<ConstructionPlan>),
    All,
}

/// How a node's rows are found from its parent's row, and the other way round.
#[derive(Debug, Clone)]
pub struct NodeJoin {
    pub parent: NodeId,
    /// The nodes that the conditions' references mean: the driving row first, then the hops of the join up to this one.
    pub path: Vec<NodeId>,
    /// Finds the node's rows; its parts take the values of `from` in the parent's row.
    pub forward: IndexId,
    /// Finds the parent's rows from this node's row.
    pub reverse: IndexId,
    /// What the parent's row gives for `forward`.
    pub from: Vec<Part>,
    /// What this node's row gives for `reverse`.
    pub to: Vec<Part>,
    /// Which value of the parent's row equals which of this node's, in the order of `forward`; a column by its name.
    /// Two joins over the same columns are one only where these agree: neither index tells the pairs.
    pub equal: Vec<(String, String)>,
    /// Conditions that the indexes do not answer.
    pub residual: Vec<Residual>,
}

/// A condition that is looked at row by row.
#[derive(Debug, Clone)]
pub struct Residual {
    pub value: Arc<Expression>,
    /// As SQL, for people.
    pub text: String,
}

/// How many rows a node can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cardinality {
    /// At most one, provably.
    One,
    /// The one with the lowest primary key, of those that match.
    First,
    /// All that match.
    Many,
}

/// One value of an index's key.
#[derive(Debug, Clone)]
pub struct Part {
    /// Over one row: whatever row a reference names, it is that one.
    pub value: Arc<Expression>,
    /// How it compares with the other side of the join.
    pub comparison: Comparison,
}

/// Rows of a source by some values.
#[derive(Debug, Clone)]
pub struct Index {
    pub source: SourceId,
    pub parts: Vec<Part>,
    /// The values as SQL, for people.
    pub text: String,
    /// The parts are the table's key, compared in the same way: the rows themselves are the index.
    pub primary: bool,
}

/// What is kept of a source's rows.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// Slots, ascending; the key is among them.
    pub slots: Vec<usize>,
    /// Where the key's values stand in `Plan::indexes`' order, how each compares; `None`: byte for byte.
    pub key: Vec<Option<Comparison>>,
    /// The indexes of this source that are not its key.
    pub indexes: Vec<IndexId>,
    /// `(projection, node)` for each place where the rows are joined or drive.
    pub used: Vec<(usize, NodeId)>,
}

impl Stored {
    /// The projections whose items the rows drive.
    pub fn driven(&self) -> impl Iterator<Item = usize> {
        let driven = self.used.iter().filter(|(_, node)| *node == 0);
        driven.map(|(projection, _)| *projection)
    }
}

impl Kept {
    /// One construction more that looks at the rows.
    pub(super) fn construct(&mut self, construction: &ConstructionPlan) {
        match self {
            Kept::All => {}
            _ if construction.holds().is_none() => *self = Kept::All,
            Kept::None => *self = Kept::First(vec![construction.clone()]),
            Kept::First(constructions) => constructions.push(construction.clone()),
        }
    }
}

impl Graph {
    /// Whether an item is made of other tables' rows too.
    pub fn joins(&self) -> bool {
        self.nodes.len() > 1
    }

    /// The row that a reference means in an expression of the join that ends at `node`.
    pub fn node_of(path: &[NodeId], row: RowRef) -> Option<NodeId> {
        match row {
            RowRef::Driving => path.first().copied(),
            RowRef::Joined(hop) => path.get(hop + 1).copied(),
        }
    }
}

/// The sources that a projection's items are made of, the driving one first.
pub fn sources(projection: &Projection) -> Vec<SourceId> {
    let mut found = vec![projection.driving];
    for node in projection.graph.iter().flat_map(|g| &g.nodes) {
        if !found.contains(&node.source) {
            found.push(node.source);
        }
    }
    found
}
