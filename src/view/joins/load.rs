//! The rows that an item is made of, from the state.

use bumpalo::Bump;

use super::keys::parts_key;
use super::{Joins, PAGE, misfit};
use crate::change::Row;
use crate::error::Result;
use crate::expression::Aggregate;
use crate::plan::SourceId;
use crate::plan::graph::{Cardinality, Graph, Node, NodeId, NodeJoin};
use crate::view::construct::{by_key, key_order};
use crate::view::joined;
use crate::view::reason::Fault;
use crate::view::scene::{Folded, Path, Scene};
use crate::view::state::State;

/// The rows of a scene, by node; their bytes are the arena's.
pub(super) struct Loaded<'b> {
    driving: Row<'b>,
    /// The rows of node 1 and on; those of folded nodes are not kept.
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
    ) -> Result<std::result::Result<Loaded<'b>, Fault>> {
        let graph = self.graph(projection)?;
        let mut loaded = Loaded {
            driving,
            joined: Vec::with_capacity(graph.nodes.len().saturating_sub(1)),
            folds: vec![None; graph.folds.len()],
        };
        for (id, node) in graph.nodes.iter().enumerate().skip(1) {
            if node.folded {
                if let Err(fault) = self.fold(state, graph, id, &mut loaded)? {
                    return Ok(Err(fault));
                }
                loaded.joined.push(Vec::new());
                continue;
            }
            match self.rows_of(state, arena, node, &loaded)? {
                Ok(rows) => loaded.joined.push(rows),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        Ok(Ok(loaded))
    }

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
                Ok(true) => rows.push(row),
                Ok(false) => {}
                Err(found) => {
                    fault = Some(found);
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        if let Some(fault) = fault {
            return Ok(Err(fault));
        }
        if node.cardinality == Cardinality::First && rows.len() > 1 {
            let keys = match key_order(self.plan.source(node.source)) {
                Ok(keys) => keys,
                Err(fault) => return Ok(Err(fault)),
            };
            let lowest = rows.into_iter().min_by(|a, b| by_key(&keys, a, b));
            return Ok(Ok(lowest.into_iter().collect()));
        }
        Ok(Ok(rows))
    }

    /// Computes the aggregates of a node whose rows nothing else looks at, one row at a time.
    fn fold(
        &self,
        state: &mut dyn State,
        graph: &Graph,
        id: NodeId,
        loaded: &mut Loaded<'_>,
    ) -> Result<std::result::Result<(), Fault>> {
        let node = graph.nodes.get(id).ok_or_else(|| misfit("a node"))?;
        let join = join_of(node)?;
        let folds = graph.folds.iter().enumerate().filter(|(_, f)| f.node == id);
        let mut sums: Vec<_> = folds
            .map(|(at, f)| (at, f, joined::begin(f.operation, f.select.as_ref())))
            .collect();
        if let Some(prefix) = prefix(join, loaded)? {
            let path = loaded.rows().path(join.path.get(1..).unwrap_or_default());
            let mut fault = None;
            self.candidates(state, node.source, join, &prefix, &mut |bytes| {
                let row = self.decode(node.source, bytes)?;
                let path = path.with(&row);
                match holds(join, &path) {
                    Ok(true) => {}
                    Ok(false) => return Ok(true),
                    Err(found) => {
                        fault = Some(found);
                        return Ok(false);
                    }
                }
                for (_, fold, sum) in &mut sums {
                    let added = sum
                        .as_mut()
                        .map(|sum| joined::add(sum, fold.select.as_ref(), path));
                    if let Ok(Err(fault)) = added {
                        *sum = Err(fault);
                    }
                }
                Ok(true)
            })?;
            if let Some(fault) = fault {
                return Ok(Err(fault));
            }
        }
        for (at, _, sum) in sums {
            if let Some(slot) = loaded.folds.get_mut(at) {
                *slot = Some(sum.map(Aggregate::finish));
            }
        }
        Ok(Ok(()))
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
