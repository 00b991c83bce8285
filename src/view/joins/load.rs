//! The rows that an item is made of, from the state.

use std::sync::Arc;

use bumpalo::Bump;

use super::kept::Rows;
use super::keys::parts_key;
use super::{Joins, PAGE, misfit};
use crate::change::Row;
use crate::error::Result;
use crate::expression::Aggregate;
use crate::plan::MOST_LISTED;
use crate::plan::SourceId;
use crate::plan::graph::{Cardinality, Graph, Kept, Node, NodeId, NodeJoin};
use crate::view::joined;
use crate::view::reason::{Fault, Reason};
use crate::view::scene::{Folded, Path, Scene};
use crate::view::state::State;

/// The rows of a scene, by node; their bytes are the arena's.
pub(super) struct Loaded<'b> {
    driving: Row<'b>,
    /// The rows of node 1 and on, as far as they are kept.
    joined: Vec<Vec<Row<'b>>>,
    folds: Vec<Folded>,
}

impl<'b> Loaded<'b> {
    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            folds: &self.folds,
            ..self.rows()
        }
    }

    /// The scene as far as it is known.
    fn rows(&self) -> Scene<'_> {
        Scene {
            driving: &self.driving,
            joined: &self.joined,
            folds: &[],
        }
    }

    /// The row that a node's children hang on.
    fn first(&self, node: NodeId) -> Option<&Row<'b>> {
        match node.checked_sub(1) {
            None => Some(&self.driving),
            Some(joined) => self.joined.get(joined)?.first(),
        }
    }
}

/// Takes a row's bytes; whether to go on.
type Each<'e> = dyn FnMut(&[u8]) -> Result<bool> + 'e;
/// Takes the bytes of a row that matches, and what is seen of it.
type EachRow<'e> = dyn FnMut(&[u8], Path<'_>) -> Result<std::result::Result<(), Fault>> + 'e;

/// The attribute that a fault of a node's rows is told of.
fn reason(node: &Node, fault: Fault) -> Reason {
    let attribute = match (&node.listed_by, fault) {
        (Some(list), Fault::ItemTooLarge) => Arc::clone(list),
        _ => Arc::from("join_condition"),
    };
    Reason { attribute, fault }
}

fn join_of(node: &Node) -> Result<&NodeJoin> {
    node.join
        .as_ref()
        .ok_or_else(|| misfit("a node without a join"))
}

/// Whether the row satisfies what the index does not answer.
fn holds(join: &NodeJoin, path: &Path<'_>) -> std::result::Result<bool, Fault> {
    for condition in &join.residual {
        if !condition.value.is_true(path).map_err(Fault::Expression)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the parent's row asks of the node's index; `None`: it joins nothing.
fn prefix(join: &NodeJoin, loaded: &Loaded<'_>) -> Result<Option<Vec<u8>>> {
    let Some(parent) = loaded.first(join.parent) else {
        return Ok(None);
    };
    let mut prefix = Vec::new();
    Ok(parts_key(&join.from, parent, &mut prefix)?.then_some(prefix))
}

impl Joins {
    /// Finds the rows of the item that a stored driving row makes. The inner error ends the item: a condition cannot be
    /// computed.
    pub(super) fn load<'b>(
        &self,
        state: &mut dyn State,
        arena: &'b Bump,
        projection: usize,
        driving: Row<'b>,
    ) -> Result<std::result::Result<Loaded<'b>, Reason>> {
        let graph = self.graph(projection)?;
        let mut loaded = Loaded {
            driving,
            joined: Vec::with_capacity(graph.nodes.len().saturating_sub(1)),
            folds: vec![None; graph.folds.len()],
        };
        for (id, node) in graph.nodes.iter().enumerate().skip(1) {
            let all = matches!(node.kept, Kept::All) && node.cardinality != Cardinality::First;
            let rows = match all {
                true => self.rows_of(state, arena, node, &loaded)?,
                false => self.narrowed(state, arena, (id, graph), &mut loaded)?,
            };
            match rows {
                Ok(rows) => loaded.joined.push(rows),
                Err(fault) => return Ok(Err(reason(node, fault))),
            }
        }
        Ok(Ok(loaded))
    }

    /// All rows of a node.
    fn rows_of<'b>(
        &self,
        state: &mut dyn State,
        arena: &'b Bump,
        node: &Node,
        loaded: &Loaded<'b>,
    ) -> Result<std::result::Result<Vec<Row<'b>>, Fault>> {
        let join = join_of(node)?;
        let mut rows: Vec<Row<'b>> = Vec::new();
        let Some(prefix) = prefix(join, loaded)? else {
            return Ok(Ok(rows));
        };
        let path = loaded.rows().path(join.path.get(1..).unwrap_or_default());
        let mut fault = None;
        self.candidates(state, node.source, join, &prefix, &mut |bytes| {
            let row = self.decode(node.source, arena.alloc_slice_copy(bytes))?;
            match holds(join, &path.with(&row)) {
                Ok(true) if node.listed_by.is_some() && rows.len() >= MOST_LISTED => {
                    fault = Some(Fault::ItemTooLarge);
                }
                Ok(true) => rows.push(row),
                Ok(false) => {}
                Err(found) => fault = Some(found),
            }
            Ok(fault.is_none())
        })?;
        Ok(fault.map_or(Ok(rows), Err))
    }

    /// Those rows of a node that have to be at hand; its aggregates are computed beside, one row at a time.
    fn narrowed<'b>(
        &self,
        state: &mut dyn State,
        arena: &'b Bump,
        (id, graph): (NodeId, &Graph),
        loaded: &mut Loaded<'b>,
    ) -> Result<std::result::Result<Vec<Row<'b>>, Fault>> {
        let node = graph.nodes.get(id).ok_or_else(|| misfit("a node"))?;
        let folds = graph.folds.iter().enumerate();
        let mut sums: Vec<_> = folds
            .filter(|(_, f)| f.node == id && !matches!(node.kept, Kept::All))
            .map(|(at, f)| (at, f, joined::begin(f.operation, f.select.as_ref())))
            .collect();
        let keeps = !matches!(node.kept, Kept::None);
        let hops = [id];
        let own = loaded.rows().path(&hops);
        let mut kept = Rows::of(node);
        let found = self.matching(state, node, loaded, &mut |bytes, path| {
            for (_, fold, sum) in &mut sums {
                let added = sum
                    .as_mut()
                    .map(|sum| joined::add(sum, fold.select.as_ref(), path));
                if let Ok(Err(fault)) = added {
                    *sum = Err(fault);
                }
            }
            if keeps {
                kept.push(self, bytes, own)?;
            }
            Ok(Ok(()))
        })?;
        if let Err(fault) = found {
            return Ok(Err(fault));
        }
        if node.cardinality == Cardinality::First && kept.iter().nth(1).is_some() {
            kept.narrow(self, own)?;
        }
        let rows = kept.iter().map(|bytes| {
            let bytes: &'b [u8] = arena.alloc_slice_copy(bytes);
            self.decode(node.source, bytes)
        });
        let rows = rows.collect::<Result<Vec<Row<'b>>>>()?;
        for (at, _, sum) in sums {
            if let Some(slot) = loaded.folds.get_mut(at) {
                *slot = Some(sum.map(Aggregate::finish));
            }
        }
        Ok(Ok(rows))
    }

    /// Gives every row of a node, and what its expressions see, to `each`. The inner error ends the item.
    fn matching(
        &self,
        state: &mut dyn State,
        node: &Node,
        loaded: &Loaded<'_>,
        each: &mut EachRow<'_>,
    ) -> Result<std::result::Result<(), Fault>> {
        let join = join_of(node)?;
        let Some(prefix) = prefix(join, loaded)? else {
            return Ok(Ok(()));
        };
        let path = loaded.rows().path(join.path.get(1..).unwrap_or_default());
        let mut fault = None;
        self.candidates(state, node.source, join, &prefix, &mut |bytes| {
            let row = self.decode(node.source, bytes)?;
            let path = path.with(&row);
            let taken = match holds(join, &path) {
                Ok(true) => each(bytes, path)?,
                Ok(false) => Ok(()),
                Err(found) => Err(found),
            };
            fault = taken.err();
            Ok(fault.is_none())
        })?;
        Ok(fault.map_or(Ok(()), Err))
    }

    /// The rows that the index gives.
    pub(super) fn candidates(
        &self,
        state: &mut dyn State,
        source: SourceId,
        join: &NodeJoin,
        prefix: &[u8],
        each: &mut Each<'_>,
    ) -> Result<()> {
        let index = self
            .plan
            .indexes
            .get(join.forward)
            .ok_or_else(|| misfit("an index"))?;
        let rows = self.spaces.rows(source);
        let mut bytes = Vec::new();
        if index.primary {
            if state.get(rows, prefix, &mut bytes)? {
                each(&bytes)?;
            }
            return Ok(());
        }
        let mut after: Option<Vec<u8>> = None;
        loop {
            let mut entries: Vec<Vec<u8>> = Vec::new();
            let space = self.spaces.index(join.forward);
            let more = state.page(space, prefix, after.as_deref(), PAGE, &mut |entry, _| {
                entries.push(entry.to_vec());
            })?;
            for entry in &entries {
                let key = entry.get(prefix.len()..).unwrap_or_default();
                let found = state.get(rows, key, &mut bytes)?;
                if found && !each(&bytes)? {
                    return Ok(());
                }
            }
            if !more {
                return Ok(());
            }
            after = entries.pop();
        }
    }
}
