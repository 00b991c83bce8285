//! Rows of a join while they are read: no more of them are held than the item can show.

use std::collections::BTreeSet;

use super::Joins;
use crate::change::Row;
use crate::error::Result;
use crate::plan::ConstructionPlan;
use crate::plan::graph::{Cardinality, Kept, Node};
use crate::view::construct::{self, by_key, key_order};
use crate::view::reason::Fault;
use crate::view::scene::Path;

/// So many more than are needed come together before they are put in order.
const MARGIN: usize = if cfg!(test) { 2 } else { 64 };

/// The rows so far, one behind the other.
pub(super) struct Rows<'n> {
    node: &'n Node,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// When so many are held, those that are not needed go.
    bound: usize,
}

impl<'n> Rows<'n> {
    pub fn of(node: &'n Node) -> Self {
        let needed = match (&node.kept, node.cardinality) {
            (_, Cardinality::First) => 1,
            (Kept::First(constructions), _) => constructions
                .iter()
                .filter_map(ConstructionPlan::holds)
                .fold(0, usize::saturating_add),
            (Kept::None | Kept::All, _) => 0,
        };
        Self {
            node,
            bytes: Vec::new(),
            ends: Vec::new(),
            bound: needed.saturating_mul(2).saturating_add(MARGIN),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(&0).chain(&self.ends);
        let ends = begins.zip(&self.ends);
        ends.map(|(begin, end)| self.bytes.get(*begin..*end).unwrap_or_default())
    }

    /// One row more.
    pub fn push(&mut self, joins: &Joins, bytes: &[u8], path: Path<'_>) -> Result<()> {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
        match self.ends.len() < self.bound {
            true => Ok(()),
            false => self.narrow(joins, path),
        }
    }

    /// Lets go of what is not needed.
    pub fn narrow(&mut self, joins: &Joins, path: Path<'_>) -> Result<()> {
        let rows = self.iter().map(|row| joins.decode(self.node.source, row));
        let rows = rows.collect::<Result<Vec<Row<'_>>>>()?;
        let places = match self.needed(joins, &rows, path) {
            Ok(places) => places,
            // What cannot be put in order is told where the attribute is written, if that is an attribute that matters.
            Err(_) => {
                self.bound = usize::MAX;
                return Ok(());
            }
        };
        let mut narrowed = Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            ..*self
        };
        let kept = self.iter().enumerate();
        for (_, row) in kept.filter(|(place, _)| places.contains(place)) {
            narrowed.bytes.extend_from_slice(row);
            narrowed.ends.push(narrowed.bytes.len());
        }
        *self = narrowed;
        Ok(())
    }

    fn needed(
        &self,
        joins: &Joins,
        rows: &[Row<'_>],
        path: Path<'_>,
    ) -> std::result::Result<BTreeSet<usize>, Fault> {
        let table = joins.plan.source(self.node.source);
        if self.node.cardinality == Cardinality::First {
            let keys = key_order(table)?;
            let rows = rows.iter().enumerate();
            let lowest = rows.min_by(|(_, a), (_, b)| by_key(&keys, a, b));
            return Ok(lowest.map(|(place, _)| place).into_iter().collect());
        }
        let mut places = BTreeSet::new();
        if let Kept::First(constructions) = &self.node.kept {
            for construction in constructions {
                places.extend(construct::first(construction, path, rows, table)?);
            }
        }
        Ok(places)
    }
}
