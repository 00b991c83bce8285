//! Changes of rows: the state moves, and the items that they can touch are marked.

use std::sync::Arc;

use super::keys::{item_id, parts_key};
use super::{Joins, PAGE, driven, misfit};
use crate::change::Row;
use crate::error::Result;
use crate::plan::SourceId;
use crate::plan::graph::NodeId;
use crate::view::program::same_value;
use crate::view::projector::Outcome;
use crate::view::source_key::source_key;
use crate::view::state::State;

/// A row on the way from the state.
type Found = (Vec<u8>, Vec<u8>);

impl Joins {
    pub(super) fn upsert(
        &mut self,
        state: &mut dyn State,
        source: SourceId,
        row: &Row<'_>,
        out: &mut Vec<Outcome>,
    ) -> Result<()> {
        let key = self.row_key(source, row)?;
        let new = self.encode(source, row)?;
        let mut old = Vec::new();
        let existed = state.get(self.spaces.rows(source), &key, &mut old)?;
        if existed && old == new {
            return Ok(());
        }
        if !existed {
            self.reindex(state, source, &key, None, Some(row))?;
            state.put(self.spaces.rows(source), &key, &new)?;
            return self.mark(state, source, &key, row, None, true);
        }
        // Both as they are stored: what is not is alike.
        let row = self.decode(source, &new)?;
        let before = self.decode(source, &old)?;
        // The same key in MySQL's eyes, and another name: `anna` that became `Anna`.
        let table = self.plan.source(source);
        let name = source_key(table, &before);
        let renamed = name != source_key(table, &row);
        if renamed {
            self.tell_gone(source, &name, out);
        }
        self.put_down(state, source, &key, (&before, &name), (Some(&row), renamed))?;
        self.mark(state, source, &key, &before, Some(&row), false)?;
        self.reindex(state, source, &key, Some(&before), Some(&row))?;
        state.put(self.spaces.rows(source), &key, &new)?;
        self.mark(state, source, &key, &row, Some(&before), true)
    }

    pub(super) fn remove(
        &mut self,
        state: &mut dyn State,
        source: SourceId,
        row: &Row<'_>,
        out: &mut Vec<Outcome>,
    ) -> Result<()> {
        let key = self.row_key(source, row)?;
        let mut old = Vec::new();
        if !state.get(self.spaces.rows(source), &key, &mut old)? {
            return self.remove_unknown(state, source, &key, row, out);
        }
        let before = self.decode(source, &old)?;
        let name = source_key(self.plan.source(source), &before);
        self.tell_gone(source, &name, out);
        self.put_down(state, source, &key, (&before, &name), (None, true))?;
        self.mark(state, source, &key, &before, None, false)?;
        self.reindex(state, source, &key, Some(&before), None)?;
        state.delete(self.spaces.rows(source), &key)
    }

    /// A row that the state has not: it was forgotten, or never known. An item that was written for it goes with it.
    fn remove_unknown(
        &mut self,
        state: &mut dyn State,
        source: SourceId,
        key: &[u8],
        row: &Row<'_>,
        out: &mut Vec<Outcome>,
    ) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        for projection in driven(&plan, source) {
            let pass = self.passes.get(projection);
            let made = pass.is_some_and(|pass| pass.covers(key));
            if made && self.record(state, projection, key)?.is_some() {
                let name = source_key(plan.source(source), row);
                out.push(Outcome::Gone(Self::origin(projection, &name)));
                self.touch(projection, key)?;
            }
        }
        Ok(())
    }

    /// What was known of the row by this name can go.
    fn tell_gone(&self, source: SourceId, name: &Arc<str>, out: &mut Vec<Outcome>) {
        let driven = driven(&self.plan, source);
        out.extend(driven.map(|projection| Outcome::Gone(Self::origin(projection, name))));
    }

    pub(super) fn reindex(
        &self,
        state: &mut dyn State,
        source: SourceId,
        key: &[u8],
        before: Option<&Row<'_>>,
        after: Option<&Row<'_>>,
    ) -> Result<()> {
        let Some(stored) = self.stored(source) else {
            return Ok(());
        };
        for id in &stored.indexes {
            let index = self
                .plan
                .indexes
                .get(*id)
                .ok_or_else(|| misfit("an index"))?;
            let entry = |row: Option<&Row<'_>>| -> Result<Option<Vec<u8>>> {
                let Some(row) = row else { return Ok(None) };
                let mut entry = Vec::new();
                if !parts_key(&index.parts, row, &mut entry)? {
                    return Ok(None);
                }
                entry.extend_from_slice(key);
                Ok(Some(entry))
            };
            let (old, new) = (entry(before)?, entry(after)?);
            if old == new {
                continue;
            }
            if let Some(old) = old {
                state.delete(self.spaces.index(*id), &old)?;
            }
            if let Some(new) = new {
                state.put(self.spaces.index(*id), &new, &[])?;
            }
        }
        Ok(())
    }

    /// Marks every item that the row is a part of, as the state is now. `other` is the row's other image: where both agree in
    /// all that a node reads, nothing follows from the change there. `again`: the items above the other image are marked.
    fn mark(
        &mut self,
        state: &mut dyn State,
        source: SourceId,
        key: &[u8],
        row: &Row<'_>,
        other: Option<&Row<'_>>,
        again: bool,
    ) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        let stored = plan.stored.get(usize::from(source.0));
        let used = stored.and_then(Option::as_ref).into_iter();
        for (projection, node) in used.flat_map(|stored| stored.used.iter().copied()) {
            if !self.passes.get(projection).is_some_and(|pass| pass.begun()) {
                continue;
            }
            let reads = &self
                .graph(projection)?
                .nodes
                .get(node)
                .ok_or_else(|| misfit("a node"))?
                .reads;
            let same = other.is_some_and(|other| {
                reads
                    .iter()
                    .all(|slot| same_value(row.values.get(*slot), other.values.get(*slot)))
            });
            if same {
                continue;
            }
            if let (true, Some(other)) = (again, other)
                && self.has_same_items(projection, node, row, other)?
            {
                continue;
            }
            self.climb(state, projection, node, key, row)?;
        }
        Ok(())
    }

    /// Whether the items above both images are certainly the same ones: the row hangs on the same rows as before, and what
    /// stands above those is of other tables, which the change does not move.
    fn has_same_items(
        &self,
        projection: usize,
        node: NodeId,
        row: &Row<'_>,
        other: &Row<'_>,
    ) -> Result<bool> {
        let graph = self.graph(projection)?;
        let node_at = |node: NodeId| graph.nodes.get(node).ok_or_else(|| misfit("a node"));
        let own = node_at(node)?;
        let Some(join) = &own.join else {
            return Ok(true);
        };
        let mut above = Some(join.parent);
        while let Some(parent) = above {
            let parent = node_at(parent)?;
            if parent.source == own.source {
                return Ok(false);
            }
            above = parent.join.as_ref().map(|join| join.parent);
        }
        let (mut now, mut then) = (Vec::new(), Vec::new());
        let joins = parts_key(&join.to, row, &mut now)? == parts_key(&join.to, other, &mut then)?;
        Ok(joins && now == then)
    }

    /// Marks the items above a row of a node.
    fn climb(
        &mut self,
        state: &mut dyn State,
        projection: usize,
        node: NodeId,
        key: &[u8],
        row: &Row<'_>,
    ) -> Result<()> {
        if node == 0 {
            return self.touch(projection, key);
        }
        let graph = self.graph(projection)?;
        let join = graph.nodes.get(node).and_then(|n| n.join.as_ref());
        let join = join.ok_or_else(|| misfit("a node without a join"))?;
        let (parent, reverse) = (join.parent, join.reverse);
        let parent_source = graph
            .nodes
            .get(parent)
            .ok_or_else(|| misfit("a parent"))?
            .source;
        let mut prefix = Vec::new();
        if !parts_key(&join.to, row, &mut prefix)? {
            return Ok(());
        }
        let index = self
            .plan
            .indexes
            .get(reverse)
            .ok_or_else(|| misfit("an index"))?;
        if index.primary {
            return self.climb_to(state, projection, parent, parent_source, &prefix);
        }
        let space = self.spaces.index(reverse);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let mut entries: Vec<Vec<u8>> = Vec::new();
            let more = state.page(space, &prefix, after.as_deref(), PAGE, &mut |entry, _| {
                entries.push(entry.to_vec());
            })?;
            for entry in &entries {
                let parent_key = entry.get(prefix.len()..).unwrap_or_default();
                self.climb_to(state, projection, parent, parent_source, parent_key)?;
            }
            if !more {
                return Ok(());
            }
            after = entries.pop();
        }
    }

    fn climb_to(
        &mut self,
        state: &mut dyn State,
        projection: usize,
        parent: NodeId,
        source: SourceId,
        key: &[u8],
    ) -> Result<()> {
        if parent == 0 {
            return self.touch(projection, key);
        }
        let mut found: Found = (key.to_vec(), Vec::new());
        if !state.get(self.spaces.rows(source), key, &mut found.1)? {
            return Ok(());
        }
        let bytes = found.1;
        let row = self.decode(source, &bytes)?;
        self.climb(state, projection, parent, key, &row)
    }

    /// Marks an item, unless its first pass has not come to it yet.
    pub(super) fn touch(&mut self, projection: usize, row_key: &[u8]) -> Result<()> {
        if self
            .passes
            .get(projection)
            .is_some_and(|pass| pass.covers(row_key))
        {
            self.touched.insert(&item_id(projection, row_key))?;
        }
        Ok(())
    }
}
