//! The rows that an item is made of, from the state.

use super::keys::parts_key;
use super::{Joins, PAGE, misfit};
use crate::change::Row;
use crate::error::Result;
use crate::plan::SourceId;
use crate::plan::graph::{Cardinality, Graph, Node, NodeJoin};
use crate::view::construct::{by_key, key_order};
use crate::view::reason::Fault;
use crate::view::scene::Scene;
use crate::view::state::State;

/// The stored rows of a scene, by node; what [`Loaded::decode`] borrows from.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    nodes: Vec<Vec<Vec<u8>>>,
}

/// The decoded rows of a scene.
pub(super) struct Decoded<'b> {
    driving: Row<'b>,
    joined: Vec<Vec<Row<'b>>>,
}

impl Decoded<'_> {
    pub(super) fn scene(&self) -> Scene<'_> {
        Scene {
            driving: &self.driving,
            joined: &self.joined,
        }
    }
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
        };
        for node in graph.nodes.iter().skip(1) {
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
        })
    }

    fn rows_of(
        &self,
        state: &mut dyn State,
        graph: &Graph,
        node: &Node,
        loaded: &Loaded,
    ) -> Result<std::result::Result<Vec<Vec<u8>>, Fault>> {
        let join = node
            .join
            .as_ref()
            .ok_or_else(|| misfit("a node without a join"))?;
        let parent_source = graph
            .nodes
            .get(join.parent)
            .ok_or_else(|| misfit("a parent"))?
            .source;
        let Some(parent) = loaded.nodes.get(join.parent).and_then(|rows| rows.first()) else {
            return Ok(Ok(Vec::new()));
        };
        let parent = self.decode(parent_source, parent)?;
        let mut prefix = Vec::new();
        if !parts_key(&join.from, &parent, &mut prefix)? {
            return Ok(Ok(Vec::new()));
        }
        let mut rows = self.candidates(state, node.source, join, &prefix)?;
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

    /// The rows that the index gives.
    pub(super) fn candidates(
        &self,
        state: &mut dyn State,
        source: SourceId,
        join: &NodeJoin,
        prefix: &[u8],
    ) -> Result<Vec<Vec<u8>>> {
        let index = self
            .plan
            .indexes
            .get(join.forward)
            .ok_or_else(|| misfit("an index"))?;
        let rows = self.spaces.rows(source);
        let mut found = Vec::new();
        let mut bytes = Vec::new();
        if index.primary {
            if state.get(rows, prefix, &mut bytes)? {
                found.push(bytes);
            }
            return Ok(found);
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
                if state.get(rows, key, &mut bytes)? {
                    found.push(std::mem::take(&mut bytes));
                }
            }
            if !more {
                return Ok(found);
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
        // The scene as far as it is known; the candidate stands for the path's last row.
        let mut known = Vec::new();
        for (node, rows) in graph.nodes.iter().zip(&loaded.nodes) {
            let rows = rows
                .iter()
                .take(1)
                .map(|bytes| self.decode(node.source, bytes));
            known.push(rows.collect::<Result<Vec<_>>>()?);
        }
        let driving = known.first().and_then(|rows| rows.first()).cloned();
        let driving = driving.ok_or_else(|| misfit("an item without its driving row"))?;
        let joined = known.split_off(1);
        let scene = Scene {
            driving: &driving,
            joined: &joined,
        };
        let hops = join.path.get(1..).unwrap_or_default();
        let mut kept = Vec::new();
        for bytes in &candidates {
            let row = self.decode(node.source, bytes)?;
            let path = scene.path(hops).with(&row);
            let mut holds = true;
            for condition in &join.residual {
                match condition.is_true(&path) {
                    Ok(true) => {}
                    Ok(false) => holds = false,
                    Err(error) => return Ok(Err(Fault::Expression(error))),
                }
            }
            kept.push(holds);
        }
        let kept = candidates.into_iter().zip(kept).filter(|(_, holds)| *holds);
        Ok(Ok(kept.map(|(bytes, _)| bytes).collect()))
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
