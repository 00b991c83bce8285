//! The joins of a plan beside the stage: their state, moved with the stream's transactions and the snapshot's chunks.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::requests::StatePage;
use crate::change::{Change, Row};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Kind, Result};
use crate::pipeline::{Origin, Sequence};
use crate::plan::{Plan, ProjectionId, SourceId, TargetId};
use crate::source::snapshot::Progress;
use crate::state::{self, Store, Writer};
use crate::view::Outcome;
use crate::view::cascade::Notes;
use crate::view::joins::{self, Joins, Named, Page, Settled, Witness};

/// The keys that one transaction touches stay in memory up to here, in bytes for each of two sets.
const SET_BYTES: usize = 24 << 20;

/// The view thread's half.
pub struct Views {
    joins: Joins,
    writer: Writer,
    store: Arc<Store>,
    /// What an earlier run had promised to write.
    promises: Vec<Vec<u8>>,
    /// The last sequence of this run that does not follow from the binlog.
    unfounded: Sequence,
}

/// The state of a plan that has joins, with the checkpoint that was committed with it.
pub struct Opened {
    pub store: Arc<Store>,
    pub checkpoint: Option<Checkpoint>,
}

/// Where the state is.
pub fn directory(state: &std::path::Path) -> PathBuf {
    state.join("views")
}

/// Opens the state; `None` for a plan that needs none.
///
/// # Errors
/// `PlanDiffers`, `Store` as [`Store::open`]. Blocks.
pub fn open(state: &std::path::Path, plan: &Plan) -> Result<Option<Opened>> {
    if joins::stored_sources(plan).is_empty() {
        return Ok(None);
    }
    let format = state::Format {
        plan_fingerprint: format!("{} {}", plan.fingerprint, joins::layout(plan)),
        spaces: joins::spaces(plan)?,
    };
    let (store, blob) = Store::open(&directory(state), &format, &state::Options::default())?;
    let checkpoint = blob.map(|blob| {
        serde_json::from_slice(&blob.0).map_err(|e| {
            Error::new(
                Kind::Store,
                "the checkpoint of the join state cannot be read",
            )
            .with_source(e)
        })
    });
    Ok(Some(Opened {
        store: Arc::new(store),
        checkpoint: checkpoint.transpose()?,
    }))
}

/// Commits the state's sequences up to `through` with the checkpoint. Blocks.
///
/// # Errors
/// As [`Store::commit`].
pub fn commit(store: &Store, through: Sequence, checkpoint: &Checkpoint) -> Result<()> {
    let blob = serde_json::to_vec(checkpoint)
        .map_err(|e| Error::new(Kind::Internal, "a checkpoint as JSON").with_source(e))?;
    store.commit(through, &blob)
}

impl Views {
    /// Makes the plan's joins ready over their state.
    pub fn new(plan: Arc<Plan>, store: Arc<Store>) -> Result<Option<Self>> {
        let mut writer = store.writer()?;
        let Some(joins) = Joins::new(plan, &mut writer)? else {
            return Ok(None);
        };
        let promises = store.take_over_promises()?;
        let sets = [(); 2].map(|()| Box::new(store.key_set(SET_BYTES)) as _);
        Ok(Some(Self {
            joins: joins.with_sets(sets),
            writer,
            store,
            promises,
            unfounded: 0,
        }))
    }

    /// What is put from now on belongs to this sequence.
    pub fn begin(&mut self, sequence: Sequence) -> Result<()> {
        self.writer.begin(sequence)
    }

    pub fn keeps(&self, source: SourceId) -> bool {
        self.joins.keeps(source)
    }

    pub fn apply(
        &mut self,
        source: SourceId,
        change: &Change<'_>,
        out: &mut Vec<Outcome>,
    ) -> Result<()> {
        self.joins.apply(&mut self.writer, source, change, out)
    }

    /// Derives what the change does to other rows by foreign keys that the source does not follow in the binlog.
    pub fn cascade(
        &mut self,
        source: SourceId,
        change: &Change<'_>,
        witness: &mut dyn Witness,
        out: &mut Vec<Outcome>,
    ) -> Result<()> {
        self.joins
            .cascade(&mut self.writer, source, change, witness, out)
    }

    /// What a row of a chunk is after the cascades of its window.
    pub fn settled<'r>(
        &self,
        notes: &'r Notes,
        source: SourceId,
        row: Row<'r>,
    ) -> Result<Settled<'r>> {
        self.joins.settled(notes, source, row)
    }

    pub fn finish(&mut self, out: &mut dyn FnMut(Outcome) -> Result<bool>) -> Result<bool> {
        self.joins.finish(&mut self.writer, out)
    }

    /// Whether items of the projection are made of the state.
    pub fn makes(&self, projection: ProjectionId) -> bool {
        self.joins.makes(projection)
    }

    pub fn state_key(&self, source: SourceId, row: &Row<'_>) -> Result<Vec<u8>> {
        self.joins.state_key(source, row)
    }

    /// Marks a driving row's item, to be written whatever is known of it.
    pub fn force(&mut self, projection: ProjectionId, row: &Row<'_>) -> Result<()> {
        self.joins.force(projection, row)
    }

    /// See [`Joins::parts`].
    pub fn parts(
        &mut self,
        projection: ProjectionId,
        driving: &Row<'_>,
        limit: usize,
    ) -> Result<Option<BTreeSet<Named>>> {
        self.joins
            .parts(&mut self.writer, projection, driving, limit)
    }

    /// See [`Joins::owners`].
    pub fn owners(
        &mut self,
        target: TargetId,
        keys: &BTreeSet<Vec<u8>>,
    ) -> Result<Vec<(Vec<u8>, Origin)>> {
        self.joins.owners(&mut self.writer, target, keys)
    }

    /// Some of the rows of a table, in the state's order.
    pub fn state_page(
        &mut self,
        source: SourceId,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<StatePage> {
        let (names, more) = self
            .joins
            .state_page(&mut self.writer, source, after, limit)?;
        Ok(StatePage { names, more })
    }

    /// Marks the items that the row drives.
    pub fn force_all(&mut self, source: SourceId, row: &Row<'_>) -> Result<()> {
        self.joins.force_all(source, row)
    }

    /// Makes durable what [`finish`](Self::finish) is about to write, where it does not follow from the binlog.
    pub fn promise(&mut self, sequence: Sequence) -> Result<()> {
        self.unfounded = sequence;
        self.promise_marked(sequence)
    }

    /// The same for a transaction of the stream. Its writes follow from the binlog and from what the state was; while that
    /// holds what a crash would take back, they could not be derived again.
    pub fn promise_where_unfounded(&mut self, sequence: Sequence) -> Result<()> {
        match self.unfounded > self.store.committed() {
            true => self.promise_marked(sequence),
            false => Ok(()),
        }
    }

    fn promise_marked(&mut self, sequence: Sequence) -> Result<()> {
        let (mut after, mut made) = (None, 0_u32);
        while let Some(promises) = self.joins.promises(&mut self.writer, &mut after)? {
            self.store.promise(sequence, made, &promises)?;
            made = made.saturating_add(u32::try_from(promises.len()).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    /// The deletes that promises of an earlier run call for, once; items that are to be written again are marked.
    pub fn broken_promises(&mut self) -> Result<Vec<Outcome>> {
        let mut deletes = Vec::new();
        for promise in std::mem::take(&mut self.promises) {
            deletes.extend(self.joins.broken_promise(&mut self.writer, &promise)?);
        }
        Ok(deletes)
    }

    /// Whether every projection's items have been made.
    pub fn all_made(&self) -> bool {
        self.joins.all_made()
    }

    /// A projection whose items can be made now.
    pub fn due(&self, progress: &Progress) -> Option<usize> {
        self.joins.due(|source| progress.is_settled(source))
    }

    /// Makes the next page of a projection's items; what it is about to write is durable as promised when this returns.
    pub fn first_pass(&mut self, sequence: Sequence, projection: usize) -> Result<Page> {
        self.writer.begin(sequence)?;
        let page = self.joins.first_pass(&mut self.writer, projection)?;
        self.store.promise(sequence, 0, &page.promises)?;
        self.unfounded = sequence;
        Ok(page)
    }
}

#[cfg(test)]
#[path = "tests/views.rs"]
mod tests;

#[cfg(test)]
#[path = "tests/promises.rs"]
mod promises;
