//! What does not follow from the binlog: items that are written whatever the state says of them, once the rows that they
//! are made of have been read again.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::emit::Item;
use super::entry::HASH;
use super::keys::{item_id, parts_key, split_id};
use super::pass::promise;
use super::{Joins, PAGE, driven, misfit};
use crate::change::Row;
use crate::error::Result;
use crate::pipeline::Origin;
use crate::plan::graph::sources;
use crate::plan::{Projection, ProjectionId, SourceId, TargetId};
use crate::view::source_key::source_key;
use crate::view::state::State;

/// A row by its table and its name.
pub type Named = (SourceId, Arc<str>);

/// Names of rows, and where the next page begins, if there is one.
pub type NamesPage = (Vec<Arc<str>>, Option<Vec<u8>>);

impl Joins {
    /// Whether the items of the projection are made of rows of the state.
    pub fn makes(&self, projection: ProjectionId) -> bool {
        let program = self.programs.get(usize::from(projection.0));
        program.is_some_and(Option::is_some)
    }

    /// The tables whose rows the projection's items are made of.
    pub fn sources(&self, projection: ProjectionId) -> Vec<SourceId> {
        sources(self.plan.projection(projection))
    }

    /// The key under which the state keeps a row: the same for all spellings that MySQL takes for equal.
    ///
    /// # Errors
    /// `Internal` where no rows of the source are kept.
    pub fn state_key(&self, source: SourceId, row: &Row<'_>) -> Result<Vec<u8>> {
        self.row_key(source, row)
    }

    /// Marks the item of a driving row, to be written at the end even if it stands there already, as far as the state knows.
    ///
    /// # Errors
    /// `Internal` where the row does not fit; `Store` where the state cannot be written.
    pub fn force(&mut self, projection: ProjectionId, row: &Row<'_>) -> Result<()> {
        let id = usize::from(projection.0);
        let key = self.row_key(self.plan.projection(projection).driving, row)?;
        let pass = self.passes.get(id);
        // The first pass will make it otherwise.
        if pass.is_some_and(|pass| pass.covers(&key)) {
            self.mark_forced(id, &key)?;
        }
        Ok(())
    }

    pub(super) fn mark_forced(&mut self, projection: usize, row_key: &[u8]) -> Result<()> {
        self.mark_item(projection, row_key)?;
        self.forced.insert(item_id(projection, row_key));
        Ok(())
    }

    /// The same for every projection that the row drives.
    ///
    /// # Errors
    /// As [`force`](Self::force).
    pub fn force_all(&mut self, source: SourceId, row: &Row<'_>) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        for projection in driven(&plan, source) {
            self.force(Self::projection_id(projection), row)?;
        }
        Ok(())
    }

    /// The names of rows that the state has, in its order, and where the next page begins.
    ///
    /// # Errors
    /// `Store` where the state cannot be read.
    pub fn state_page(
        &mut self,
        state: &mut dyn State,
        source: SourceId,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<NamesPage> {
        let mut rows: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let space = self.spaces.rows(source);
        let more = state.page(space, &[], after, limit, &mut |key, row| {
            rows.push((key.to_vec(), row.to_vec()));
        })?;
        let names = rows.iter().map(|(_, row)| Ok(self.named(source, row)?.1));
        let names = names.collect::<Result<Vec<_>>>()?;
        let last = rows.pop().map(|(key, _)| key);
        Ok((names, last.filter(|_| more)))
    }

    /// The names of the rows in the state that the driving row's item is made of, or could be: every row that the joins'
    /// equalities lead to. At most `limit`; `None` beyond.
    ///
    /// # Errors
    /// `Store` where the state cannot be read.
    pub fn parts(
        &mut self,
        state: &mut dyn State,
        projection: ProjectionId,
        driving: &Row<'_>,
        limit: usize,
    ) -> Result<Option<BTreeSet<Named>>> {
        let mut names = BTreeSet::new();
        let graph = self.graph(usize::from(projection.0))?.clone();
        let source = self.plan.projection(projection).driving;
        let key = self.row_key(source, driving)?;
        let mut bytes = Vec::new();
        if !state.get(self.spaces.rows(source), &key, &mut bytes)? {
            return Ok(Some(names));
        }
        names.insert(self.named(source, &bytes)?);
        let mut rows: Vec<Vec<Vec<u8>>> = vec![vec![bytes]];
        for node in graph.nodes.iter().skip(1) {
            let join = node
                .join
                .as_ref()
                .ok_or_else(|| misfit("a node without a join"))?;
            let parent = graph.nodes.get(join.parent);
            let parent = parent.ok_or_else(|| misfit("a parent"))?.source;
            let mut found: BTreeSet<Vec<u8>> = BTreeSet::new();
            for bytes in rows.get(join.parent).into_iter().flatten() {
                let row = self.decode(parent, bytes)?;
                let mut prefix = Vec::new();
                if parts_key(&join.from, &row, &mut prefix)? {
                    self.candidates(state, node.source, join, &prefix, &mut |bytes| {
                        found.insert(bytes.to_vec());
                        Ok(found.len() <= limit)
                    })?;
                }
                if found.len() > limit {
                    return Ok(None);
                }
            }
            for bytes in &found {
                names.insert(self.named(node.source, bytes)?);
            }
            rows.push(found.into_iter().collect());
        }
        Ok((names.len() <= limit).then_some(names))
    }

    /// Whose items these are, as far as the state knows: the rows that have them.
    ///
    /// # Errors
    /// `Store` where the state cannot be read.
    pub fn owners(
        &mut self,
        state: &mut dyn State,
        target: TargetId,
        keys: &BTreeSet<Vec<u8>>,
    ) -> Result<Vec<(Vec<u8>, Origin)>> {
        let mut found = Vec::new();
        if self.is_contested(target) {
            for key in keys {
                let mut owner = Vec::new();
                if !state.get(self.spaces.owners(target), key, &mut owner)? {
                    continue;
                }
                let (projection, row_key) = split_id(owner.get(HASH..).unwrap_or_default())?;
                if let Some(entry) = self.entry(state, projection, row_key)? {
                    found.push((key.clone(), Self::origin(projection, &entry.name)));
                }
            }
            return Ok(found);
        }
        let of_target = |p: &&Projection| p.target == target && p.graph.is_some();
        let plan = Arc::clone(&self.plan);
        for projection in plan.projections.iter().filter(of_target) {
            self.items_of(state, usize::from(projection.id.0), keys, &mut found)?;
        }
        Ok(found)
    }

    /// Which of the keys the projection's rows have. Nothing finds an item by its key: all are looked at.
    fn items_of(
        &mut self,
        state: &mut dyn State,
        projection: usize,
        keys: &BTreeSet<Vec<u8>>,
        found: &mut Vec<(Vec<u8>, Origin)>,
    ) -> Result<()> {
        let space = self.spaces.items(projection);
        let mut after: Option<Vec<u8>> = None;
        loop {
            let mut entries: Vec<Vec<u8>> = Vec::new();
            let more = state.page(space, &[], after.as_deref(), PAGE, &mut |key, _| {
                entries.push(key.to_vec());
            })?;
            for row_key in &entries {
                let Some(entry) = self.entry(state, projection, row_key)? else {
                    continue;
                };
                if keys.contains(entry.key.as_ref()) {
                    let origin = Self::origin(projection, &entry.name);
                    found.push((entry.key.to_vec(), origin));
                }
            }
            if !more {
                return Ok(());
            }
            after = entries.pop();
        }
    }

    /// What is about to be written, a page of it: to be made durable before [`Joins::finish`] is called, where what is marked
    /// does not follow from the binlog. `None`: there is no more.
    ///
    /// # Errors
    /// `Store` where the state cannot be read.
    pub fn promises(
        &mut self,
        state: &mut dyn State,
        after: &mut Option<Vec<u8>>,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        let mut ids: Vec<Vec<u8>> = Vec::new();
        self.touched
            .page(after.as_deref(), PAGE, &mut |id| ids.push(id.to_vec()))?;
        let mut promises = Vec::new();
        for id in &ids {
            let (projection, row_key) = split_id(id)?;
            let computed = self.compute(state, projection, row_key)?;
            if let Item::Valid { key, .. } = &computed.item {
                promises.push(promise(projection, row_key, key));
            }
            // Of the key that the row leaves, too: who else claims it gets it; and if the row is there again after a crash, so
            // must its item be.
            if let Some(entry) = computed
                .known
                .filter(|known| Some(&known.key) != computed.item.key())
            {
                promises.push(promise(projection, row_key, &entry.key));
            }
        }
        match ids.pop() {
            None => Ok(None),
            last => {
                *after = last;
                Ok(Some(promises))
            }
        }
    }

    fn named(&self, source: SourceId, bytes: &[u8]) -> Result<Named> {
        let row = self.decode(source, bytes)?;
        Ok((source, source_key(self.plan.source(source), &row)))
    }
}
