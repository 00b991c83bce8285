//! The rows that an item is made of, from the state.

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

/// The stored rows of a scene, by node; what [`Joins::decoded`] borrows from.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// Those of folded nodes are not kept.
    nodes: Vec<Vec<Vec<u8>>>,
    folds: Vec<Folded>,
}

/// The decoded rows of a scene.
pub(super) struct Decoded<'b> {
    driving: Row<'b>,
    joined: Vec<Vec<Row<'b>>>,
    folds: &'b [Folded],
}

impl Decoded<'_> {
    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            driving: &self.driving,
            joined: &self.joined,
            folds: self.folds,
        }
    }
}

/// Takes a row's bytes; whether to go on.
type Each<'e> = dyn FnMut(Vec<u8>) -> Result<bool> + 'e;

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

impl Joins {
    /// Finds the rows of the item that a stored driving row makes. The inner error ends the item: a condition cannot be
    /// computed.
    pub(super) fn load(
        &self,
        state: &mut dyn State,
        projection: usize,
        driving: Vec<u8>,
    ) -> Result<std::result::Result<Loaded, Fault>> {
        let graph = self.graph(projection)?;
        let mut loaded = Loaded {
            nodes: vec![vec![driving]],
            folds: vec![None; graph.folds.len()],
        };
        for (id, node) in graph.nodes.iter().enumerate().skip(1) {
            if node.folded {
                if let Err(fault) = self.fold(state, graph, id, &mut loaded)? {
                    return Ok(Err(fault));
                }
                loaded.nodes.push(Vec::new());
                continue;
            }
            match self.rows_of(state, graph, node, &loaded)? {
                Ok(rows) => loaded.nodes.push(rows),
                Err(fault) => return Ok(Err(fault)),
            }
        }
        Ok(Ok(loaded))
    }

    pub(super) fn decoded<'b>(&self, projection: usize, loaded: &'b Loaded) -> Result<Decoded<'b>> {
        let graph = self.graph(projection)?;
        let mut all = Vec::with_capacity(loaded.nodes.len());
        for (node, rows) in graph.nodes.iter().zip(&loaded.nodes) {
            let rows = rows.iter().map(|bytes| self.decode(node.source, bytes));
            all.push(rows.collect::<Result<Vec<_>>>()?);
        }
        let mut nodes = all.into_iter();
        let driving = nodes.next().and_then(|rows| rows.into_iter().next());
        Ok(Decoded {
            driving: driving.ok_or_else(|| misfit("an item without its driving row"))?,
            joined: nodes.collect(),
            folds: &loaded.folds,
        })
    }

    fn rows_of(
        &self,
        state: &mut dyn State,
        graph: &Graph,
        node: &Node,
        loaded: &Loaded,
    ) -> Result<std::result::Result<Vec<Vec<u8>>, Fault>> {
        let join = join_of(node)?;
        let Some(prefix) = self.prefix(graph, join, loaded)? else {
            return Ok(Ok(Vec::new()));
        };
        let mut rows = Vec::new();
        self.candidates(state, node.source, join, &prefix, &mut |bytes| {
            rows.push(bytes);
            Ok(true)
        })?;
        if !join.residual.is_empty() {
            match self.satisfying(graph, node, join, loaded, rows)? {
                Ok(kept) => rows = kept,
                Err(fault) => return Ok(Err(fault)),
            }
        }
        if node.cardinality == Cardinality::First && rows.len() > 1 {
            return self.lowest(node.source, rows);
        }
        Ok(Ok(rows))
    }

    /// Computes the aggregates of a node whose rows nothing else looks at, one row at a time.
    fn fold(
        &self,
        state: &mut dyn State,
        graph: &Graph,
        id: NodeId,
        loaded: &mut Loaded,
    ) -> Result<std::result::Result<(), Fault>> {
        let node = graph.nodes.get(id).ok_or_else(|| misfit("a node"))?;
        let join = join_of(node)?;
        let folds = graph.folds.iter().enumerate().filter(|(_, f)| f.node == id);
        let mut sums: Vec<_> = folds
            .map(|(at, f)| (at, f, joined::begin(f.operation, f.select.as_ref())))
            .collect();
        if let Some(prefix) = self.prefix(graph, join, loaded)? {
            let (driving, known) = self.known(graph, loaded)?;
            let scene = Scene {
                driving: &driving,
                joined: &known,
                folds: &[],
            };
            let path = scene.path(join.path.get(1..).unwrap_or_default());
            let mut fault = None;
            self.candidates(state, node.source, join, &prefix, &mut |bytes| {
                let row = self.decode(node.source, &bytes)?;
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

    /// What the parent's row asks of the node's index; `None`: it joins nothing.
    fn prefix(&self, graph: &Graph, join: &NodeJoin, loaded: &Loaded) -> Result<Option<Vec<u8>>> {
        let parent_source = graph
            .nodes
            .get(join.parent)
            .ok_or_else(|| misfit("a parent"))?
            .source;
        let Some(parent) = loaded.nodes.get(join.parent).and_then(|rows| rows.first()) else {
            return Ok(None);
        };
        let parent = self.decode(parent_source, parent)?;
        let mut prefix = Vec::new();
        Ok(parts_key(&join.from, &parent, &mut prefix)?.then_some(prefix))
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
                each(bytes)?;
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
                if found && !each(std::mem::take(&mut bytes))? {
                    return Ok(());
                }
            }
            if !more {
                return Ok(());
            }
            after = entries.pop();
        }
    }

    /// Those of the candidates that satisfy what the index does not answer.
    fn satisfying(
        &self,
        graph: &Graph,
        node: &Node,
        join: &NodeJoin,
        loaded: &Loaded,
        candidates: Vec<Vec<u8>>,
    ) -> Result<std::result::Result<Vec<Vec<u8>>, Fault>> {
        let (driving, joined) = self.known(graph, loaded)?;
        let scene = Scene {
            driving: &driving,
            joined: &joined,
            folds: &[],
        };
        let path = scene.path(join.path.get(1..).unwrap_or_default());
        let mut kept = Vec::new();
        for bytes in candidates {
            let holds = {
                let row = self.decode(node.source, &bytes)?;
                holds(join, &path.with(&row))
            };
            match holds {
                Ok(true) => kept.push(bytes),
                Ok(false) => {}
                Err(fault) => return Ok(Err(fault)),
            }
        }
        Ok(Ok(kept))
    }

    /// The scene as far as it is known; a candidate stands for the path's last row.
    fn known<'b>(&self, graph: &Graph, loaded: &'b Loaded) -> Result<(Row<'b>, Vec<Vec<Row<'b>>>)> {
        let mut known = Vec::new();
        for (node, rows) in graph.nodes.iter().zip(&loaded.nodes) {
            let rows = rows
                .iter()
                .take(1)
                .map(|bytes| self.decode(node.source, bytes));
            known.push(rows.collect::<Result<Vec<_>>>()?);
        }
        let mut known = known.into_iter();
        let driving = known.next().and_then(|rows| rows.into_iter().next());
        let driving = driving.ok_or_else(|| misfit("an item without its driving row"))?;
        Ok((driving, known.collect()))
    }

    /// The row with the lowest key.
    fn lowest(
        &self,
        source: SourceId,
        rows: Vec<Vec<u8>>,
    ) -> Result<std::result::Result<Vec<Vec<u8>>, Fault>> {
        let keys = match key_order(self.plan.source(source)) {
            Ok(keys) => keys,
            Err(fault) => return Ok(Err(fault)),
        };
        let mut decoded = Vec::with_capacity(rows.len());
        for (nth, bytes) in rows.iter().enumerate() {
            decoded.push((nth, self.decode(source, bytes)?));
        }
        let lowest = decoded.iter().min_by(|(_, a), (_, b)| by_key(&keys, a, b));
        let lowest = lowest.map(|(nth, _)| *nth).unwrap_or_default();
        drop(decoded);
        Ok(Ok(rows.into_iter().nth(lowest).into_iter().collect()))
    }
}
