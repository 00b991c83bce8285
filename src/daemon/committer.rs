//! The committer: what is durable becomes the checkpoint.
//!
//! It takes completions in order up to the contiguous low watermark, stores dead letters before the position moves
//! past the rows that caused them, and commits at most a few times a second.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::deaths::Letters;
use super::facts::LOST;
use super::shared::Shared;
use super::stage::Completion;
use super::views;
use super::xids;
use crate::checkpoint::{Checkpoint, DeadLetterChange, Store, now_unix_ms};
use crate::error::{Error, Kind, Result};
use crate::metrics;
use crate::pipeline::{Durable, Progress as PipelineProgress, Sequence};
use crate::source::snapshot::Progress;

/// How often the checkpoint moves.
const INTERVAL: Duration = Duration::from_millis(250);
/// The same while chunks of a snapshot become durable: a worker's next chunk waits for it.
const CHUNK_INTERVAL: Duration = Duration::from_millis(20);
/// Dead letters held before they are stored ahead of the checkpoint.
const MAX_HELD_LETTERS: usize = 1000;

/// The committer's state.
pub struct Committer {
    pub store: Arc<Store>,
    pub checkpoint: Checkpoint,
    /// The checkpoint as the store has it, for storing dead letters ahead of the position.
    pub committed: Checkpoint,
    pub progress: Arc<Progress>,
    pub deaths: Letters,
    pub shared: Arc<Shared>,
    /// The joins' state, committed with the checkpoint and before it.
    state: Option<Arc<crate::state::Store>>,
    /// Every sequence up to here is durable.
    through: Sequence,
    /// Every projection's items have been made.
    made: bool,
    letters: Vec<DeadLetterChange>,
    dirty: bool,
    /// When a commit was last due, and when the next one is.
    last: Instant,
    due: Instant,
}

impl Committer {
    /// `views`: the joins' state, and whether all their items have been made.
    pub fn new(
        store: Arc<Store>,
        checkpoint: Checkpoint,
        progress: Arc<Progress>,
        deaths: Letters,
        shared: Arc<Shared>,
        views: Option<(Arc<crate::state::Store>, bool)>,
    ) -> Self {
        let (state, made) = views.map_or((None, true), |(state, made)| (Some(state), made));
        Self {
            store,
            committed: checkpoint.clone(),
            checkpoint,
            progress,
            deaths,
            shared,
            made,
            state,
            through: 0,
            letters: Vec::new(),
            // The first commit says where we start, before anything is written.
            dirty: true,
            last: Instant::now(),
            due: Instant::now(),
        }
    }

    /// Runs until the pipeline has ended or `stop` is cancelled; commits what is durable either way.
    pub async fn run(
        self,
        pipeline: PipelineProgress<Completion>,
        letters: mpsc::Receiver<DeadLetterChange>,
        stop: CancellationToken,
    ) -> Result<()> {
        let _ended = Ended(Arc::clone(&self.shared));
        self.keep(pipeline, letters, stop).await
    }

    async fn keep(
        mut self,
        mut pipeline: PipelineProgress<Completion>,
        mut letters: mpsc::Receiver<DeadLetterChange>,
        stop: CancellationToken,
    ) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        self.commit().await?;
        loop {
            tokio::select! {
                biased;
                // First: completions that never cease must not keep the checkpoint from moving.
                () = tokio::time::sleep_until(self.due) => self.commit().await?,
                () = shared.facts.wanted() => self.commit().await?,
                letter = letters.recv() => match letter {
                    Some(letter) => self.letter(letter).await?,
                    // The view has ended; what is still in flight goes on becoming durable.
                    None => break,
                },
                durable = pipeline.next() => match durable? {
                    Some(durable) => self.durable(durable, &mut letters).await?,
                    None => return self.commit().await,
                },
                () = stop.cancelled() => return self.commit().await,
            }
        }
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.due) => self.commit().await?,
                () = shared.facts.wanted() => self.commit().await?,
                durable = pipeline.next() => match durable? {
                    Some(durable) => self.durable(durable, &mut letters).await?,
                    None => return self.commit().await,
                },
                () = stop.cancelled() => return self.commit().await,
            }
        }
    }

    async fn letter(&mut self, letter: DeadLetterChange) -> Result<()> {
        if matches!(letter, DeadLetterChange::Put(_)) {
            self.shared.letter_waits();
        }
        self.letters.push(letter);
        if self.letters.len() >= MAX_HELD_LETTERS {
            self.store_letters().await?;
        }
        Ok(())
    }

    async fn durable(
        &mut self,
        durable: Durable<Completion>,
        letters: &mut mpsc::Receiver<DeadLetterChange>,
    ) -> Result<()> {
        // The letters of these sequences were sent before their sequences were closed.
        while let Ok(letter) = letters.try_recv() {
            self.letter(letter).await?;
        }
        for rejection in durable.rejected {
            if self.deaths.rejected(&rejection.origin) {
                let letter = self.deaths.letter(&rejection.origin, &rejection.reason);
                self.letter(DeadLetterChange::Put(letter)).await?;
            }
        }
        for origin in durable.healed {
            if let Some(clear) = self.deaths.healed(&origin) {
                self.letter(clear).await?;
            }
        }
        for completion in durable.completions {
            self.apply(completion);
        }
        self.through = durable.through;
        if self.state.as_ref().is_some_and(|s| s.is_crowded()) {
            self.due = self.due.min(self.last + CHUNK_INTERVAL);
        }
        self.shared.durable_moved(&self.checkpoint.position);
        self.dirty = true;
        Ok(())
    }

    fn apply(&mut self, completion: Completion) {
        let position = &mut self.checkpoint.position;
        match completion {
            Completion::Transaction {
                gtid,
                file,
                offset,
                committed_at_micros,
            } => {
                position.gtids.add(&gtid);
                file.as_ref().clone_into(&mut position.file);
                position.offset = offset;
                self.shared.transaction_durable(committed_at_micros);
            }
            Completion::Alive { file, offset } => {
                file.as_ref().clone_into(&mut position.file);
                position.offset = offset;
            }
            Completion::Made { all } => {
                self.made = all;
                self.due = self.due.min(self.last + CHUNK_INTERVAL);
            }
            // Somebody waits.
            Completion::Asked => self.due = self.due.min(self.last + CHUNK_INTERVAL),
            Completion::Xa { xid, prepared } => {
                xids::apply(&mut self.checkpoint, xid, prepared);
            }
            Completion::Chunk {
                source,
                range_id,
                rows,
            } => {
                self.due = self.due.min(self.last + CHUNK_INTERVAL);
                if self.progress.done(source, range_id, rows) {
                    self.shared.table_copied(source);
                }
            }
        }
    }

    async fn store_letters(&mut self) -> Result<()> {
        let letters = std::mem::take(&mut self.letters);
        let store = Arc::clone(&self.store);
        let checkpoint = self.committed.clone();
        blocking(move || store.commit(&checkpoint, &letters)).await?;
        self.shared.letters_stored(self.store.dead_letter_count());
        Ok(())
    }

    async fn commit(&mut self) -> Result<()> {
        self.last = Instant::now();
        self.due = self.last + INTERVAL;
        self.shared.pulse.beat();
        if let Some(lost) = self.shared.seal.lost_unix_ms() {
            self.shared.facts.set(LOST, &lost)?;
        }
        if !self.dirty && self.letters.is_empty() && !self.shared.facts.is_dirty() {
            return Ok(());
        }
        let facts = self.shared.facts.write_to(&mut self.checkpoint);
        self.checkpoint.snapshot = self.progress.tables();
        self.checkpoint.snapshot_done = self
            .checkpoint
            .snapshot
            .iter()
            .all(|t| t.state == crate::checkpoint::TableState::Done)
            && self.made;
        self.checkpoint.saved_at_unix_ms = now_unix_ms();
        self.shared.write_as_of(&mut self.checkpoint);
        let letters = std::mem::take(&mut self.letters);
        let store = Arc::clone(&self.store);
        let checkpoint = self.checkpoint.clone();
        let committed = self.committed.clone();
        let (state, through) = (self.state.clone(), self.through);
        let started = Instant::now();
        let writing = self.shared.pulse.writing();
        blocking(move || {
            match state {
                None => store.commit(&checkpoint, &letters)?,
                Some(state) => {
                    // Dead letters are durable before the position moves past the rows that caused them.
                    if !letters.is_empty() {
                        store.commit(&committed, &letters)?;
                    }
                    views::commit(&state, through, &checkpoint)?;
                    store.commit(&checkpoint, &[])?;
                }
            }
            match checkpoint.snapshot_done && !committed.snapshot_done {
                true => store.audit(crate::report::COPIED, &crate::report::copied(&checkpoint)),
                false => Ok(()),
            }
        })
        .await?;
        drop(writing);
        metrics::CHECKPOINT_COMMITS.with([]).increment(1);
        metrics::CHECKPOINT_DURATION
            .with([])
            .record(started.elapsed());
        self.committed = self.checkpoint.clone();
        self.dirty = false;
        self.progress.committed();
        self.shared.facts.committed(facts);
        self.shared.committed_through(through);
        self.shared.committed(&self.committed);
        self.shared.letters_stored(self.store.dead_letter_count());
        Ok(())
    }
}

/// However the committer ends: nobody waits for a fact that it will not commit.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.facts.ended();
        self.0.committed_through(Sequence::MAX);
    }
}

async fn blocking(work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::new(Kind::Internal, "the checkpoint task failed").with_source(e))?
}

#[cfg(test)]
#[path = "tests/committer.rs"]
mod tests;
