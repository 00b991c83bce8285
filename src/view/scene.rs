//! The rows that an item is made of, at hand.

use super::reason::Fault;
use crate::change::{Row, Value};
use crate::expression::Rows;
use crate::plan::RowRef;
use crate::plan::graph::NodeId;

/// The driving row, and the joined ones by their nodes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'s> {
    pub driving: &'s Row<'s>,
    /// The rows of node 1 and on.
    pub joined: &'s [Vec<Row<'s>>],
    /// The aggregates that were computed while the rows were read; `None`: their rows are among the joined ones.
    pub folds: &'s [Folded],
}

/// An aggregate's value, or why there is none.
pub(super) type Folded = Option<Result<Value<'static>, Fault>>;

impl<'s> Scene<'s> {
    /// A scene of the driving row alone.
    pub(super) fn of(driving: &'s Row<'s>) -> Self {
        Self {
            driving,
            joined: &[],
            folds: &[],
        }
    }

    /// The aggregate of the graph's fold, where it has been computed.
    pub(super) fn fold(&self, fold: usize) -> Folded {
        self.folds.get(fold)?.clone()
    }

    /// The rows of a node, in the order in which they were found.
    pub(super) fn rows(&self, node: NodeId) -> &'s [Row<'s>] {
        match node.checked_sub(1) {
            None => std::slice::from_ref(self.driving),
            Some(joined) => self.joined.get(joined).map_or(&[], Vec::as_slice),
        }
    }

    /// What the references of an expression see whose hops are these nodes.
    pub(super) fn path<'p>(&self, hops: &'p [NodeId]) -> Path<'p>
    where
        's: 'p,
    {
        Path {
            scene: *self,
            hops,
            element: None,
        }
    }
}

/// Rows by reference: the driving row, and the hops of one join.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'p> {
    scene: Scene<'p>,
    hops: &'p [NodeId],
    /// Stands for the last hop's row, where that has several.
    element: Option<&'p Row<'p>>,
}

impl<'p> Path<'p> {
    /// The same, with one of the last hop's rows.
    pub(super) fn with(self, element: &'p Row<'p>) -> Self {
        Self {
            element: Some(element),
            ..self
        }
    }

    pub(super) fn at(&self, row: RowRef) -> Option<&'p Row<'p>> {
        match row {
            RowRef::Driving => Some(self.scene.driving),
            RowRef::Joined(hop) => match self.element {
                Some(element) if hop + 1 == self.hops.len() => Some(element),
                _ => self.scene.rows(*self.hops.get(hop)?).first(),
            },
        }
    }
}

impl Rows for Path<'_> {
    fn row(&self, row: RowRef) -> Option<&Row<'_>> {
        self.at(row)
    }
}

/// One row, whichever reference asks.
pub(super) struct Only<'r>(pub &'r Row<'r>);

impl Rows for Only<'_> {
    fn row(&self, _: RowRef) -> Option<&Row<'_>> {
        Some(self.0)
    }
}
