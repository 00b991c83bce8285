//! The store: opening, committing, wiping.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fjall::PersistMode;

use super::base::{Base, Folding, damaged};
use super::files;
use super::meters::{Figures, Meters, add};
use super::overlay::{Moved, Overlay};
use super::promise;
use super::scratch::Scratch;
use super::set::DiskSet;
use super::writer::Writer;
use crate::error::{Error, Kind, Result};

/// How many keys are looked at under the overlay's lock at a time: what the writer may have to wait for.
const STEP: usize = 4_096;

/// What the state belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// `Plan::fingerprint` of the plan whose state it is.
    pub plan_fingerprint: String,
    /// The spaces are `0..spaces`; at most 65,535.
    pub spaces: u16,
}

/// What the store may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of uncommitted versions in memory; while a commit runs up to twice that.
    pub overlay_bytes: usize,
    /// How long the writer waits for a commit to make room, before it moves versions to the scratch: what goes there is
    /// written twice more, but a target that takes nothing must not hold the source up for good.
    pub patience: Duration,
    /// Bytes of the cache of blocks read from disk.
    pub cache_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            overlay_bytes: 32 << 20,
            patience: Duration::from_millis(500),
            cache_bytes: 64 << 20,
        }
    }
}

/// The serialized checkpoint that was committed with the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpointed(pub Vec<u8>);

/// The join state of one daemon.
pub struct Store {
    shared: Arc<Shared>,
    /// Held by the commit that runs.
    committing: Mutex<()>,
    writer_out: Arc<AtomicBool>,
}

pub(super) struct Shared {
    pub base: Base,
    pub overlay: Mutex<Overlay>,
    pub spaces: u16,
    pub overlay_bytes: usize,
    pub patience: Duration,
    pub meters: Meters,
    /// Held while versions move out of memory: by a commit, and by the writer when it spills.
    pub moving: Mutex<()>,
    /// The highest sequence that a commit was asked for, plus one.
    pub closed: AtomicU64,
    /// The highest sequence whose commit has ended.
    committed: AtomicU64,
    /// Told when a commit has made room in memory; with the overlay's lock.
    pub room: Condvar,
    /// Versions were lost on their way to the scratch: nothing may be committed any more.
    pub broken: AtomicBool,
    scratch: Mutex<Option<Arc<Scratch>>>,
    scratch_dir: PathBuf,
    names: AtomicU64,
}

impl Store {
    /// Opens the state in `dir`, making it where there is none, with the checkpoint that was last committed with it.
    /// A fold that a crash has interrupted is finished first.
    ///
    /// # Errors
    /// `PlanDiffers` where it belongs to another plan; `Store` where it cannot be read, has another format or is held by
    /// another process. Never "there is none" for something that could not be read.
    pub fn open(
        dir: &Path,
        format: &Format,
        options: &Options,
    ) -> Result<(Store, Option<Checkpointed>)> {
        // What a wipe that was interrupted has left.
        files::remove_directory(&wiped(dir))?;
        files::create_directory(dir)?;
        if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
            files::sync_directory(parent)?;
        }
        let base = Base::open(&dir.join("base"), format, options.cache_bytes)?;
        let scratch_dir = dir.join("scratch");
        if let Some(folding) = base.folding()? {
            finish(&base, &scratch_dir, &folding)?;
        }
        files::remove_directory(&scratch_dir)?;
        let checkpoint = base.checkpoint()?.map(Checkpointed);
        let shared = Shared {
            base,
            overlay: Mutex::default(),
            spaces: format.spaces,
            overlay_bytes: options.overlay_bytes,
            patience: options.patience,
            meters: Meters::default(),
            moving: Mutex::default(),
            closed: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            room: Condvar::new(),
            broken: AtomicBool::new(false),
            scratch: Mutex::default(),
            scratch_dir,
            names: AtomicU64::new(0),
        };
        let store = Store {
            shared: Arc::new(shared),
            committing: Mutex::default(),
            writer_out: Arc::default(),
        };
        Ok((store, checkpoint))
    }

    /// Removes the state in `dir`, whatever it is; for `run --resnapshot`. No process may have it open.
    pub fn wipe(dir: &Path) -> Result<()> {
        // Renamed first, so that a crash leaves all of it or nothing that could be taken for it.
        let aside = wiped(dir);
        files::remove_directory(&aside)?;
        match fs::rename(dir, &aside) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(files::failed("rename", dir, e)),
        }
        if let Some(parent) = dir.parent().filter(|p| !p.as_os_str().is_empty()) {
            files::sync_directory(parent)?;
        }
        files::remove_directory(&aside)
    }

    /// The handle of the one writer.
    ///
    /// # Errors
    /// `Internal` while there is one.
    pub fn writer(&self) -> Result<Writer> {
        if self.writer_out.swap(true, Ordering::AcqRel) {
            return Err(Error::new(Kind::Internal, "the join state has one writer"));
        }
        Ok(Writer::new(
            self.shared.clone(),
            Arc::clone(&self.writer_out),
        ))
    }

    /// A set of keys that may outgrow the memory: beyond `budget` bytes it goes to the disk.
    pub fn key_set(&self, budget: usize) -> DiskSet {
        DiskSet::new(self.shared.new_scratch_dir("set"), budget)
    }

    /// Makes the changes of every sequence up to `through`, and of no other, durable together with the checkpoint: when
    /// it returns, both survive a power loss; if it does not, both or neither do. Nothing more may be put under these
    /// sequences.
    ///
    /// # Errors
    /// `Store` where the disk fails; the state is then as of the last commit, and no other one succeeds.
    pub fn commit(&self, through: u64, checkpoint: &[u8]) -> Result<()> {
        let _one = lock(&self.committing);
        let started = Instant::now();
        let shared = &*self.shared;
        {
            let _overlay = lock(&shared.overlay);
            shared
                .closed
                .fetch_max(through.saturating_add(1), Ordering::AcqRel);
        }
        let moving = lock(&shared.moving);
        shared.check_whole()?;
        let scratch = shared.scratch().filter(|s| s.reaches(through));
        let written = match scratch {
            None => shared.commit_memory(through, checkpoint)?,
            Some(scratch) => {
                shared.move_to_scratch(&scratch, through)?;
                // From here on nothing of these sequences changes, and the writer may spill newer ones.
                drop(moving);
                shared.commit_scratch(&scratch, through, checkpoint)?
            }
        };
        shared.room.notify_all();
        shared.meters.committed(written, started.elapsed());
        shared.committed.fetch_max(through, Ordering::AcqRel);
        Ok(())
    }

    /// The highest sequence that this run has committed; 0 for none.
    pub fn committed(&self) -> u64 {
        self.shared.committed.load(Ordering::Acquire)
    }

    pub(super) fn base(&self) -> &Base {
        &self.shared.base
    }

    /// Whether a commit should not wait any longer: the writer will soon have to.
    pub fn is_crowded(&self) -> bool {
        lock(&self.shared.overlay).bytes() > self.shared.overlay_bytes / 2
    }

    /// The figures as of now.
    pub fn figures(&self) -> Figures {
        let overlay = lock(&self.shared.overlay);
        let (bytes, versions) = (overlay.bytes(), overlay.versions());
        drop(overlay);
        let (mut disk, mut buffer) = (
            self.shared.base.disk_bytes(),
            self.shared.base.buffer_bytes(),
        );
        if let Some(scratch) = self.shared.scratch() {
            disk += scratch.disk_bytes();
            buffer += scratch.buffer_bytes();
        }
        Figures {
            overlay_bytes: bytes as u64,
            overlay_entries: versions as u64,
            disk_bytes: disk,
            buffer_bytes: buffer,
            ..self.shared.meters.figures()
        }
    }
}

impl Shared {
    /// The scratch, if there is one.
    pub fn scratch(&self) -> Option<Arc<Scratch>> {
        lock(&self.scratch).clone()
    }

    /// Moves the oldest versions to the scratch until memory is at half of its budget; `moving` is held.
    pub fn spill(&self, _moving: &MutexGuard<'_, ()>) -> Result<()> {
        let scratch = match self.scratch() {
            Some(scratch) => scratch,
            None => {
                let made = Arc::new(Scratch::open(&self.new_scratch_dir("spill"))?);
                *lock(&self.scratch) = Some(made.clone());
                made
            }
        };
        loop {
            let taken = lock(&self.overlay).take_oldest(self.overlay_bytes / 2, STEP);
            if taken.is_empty() {
                return Ok(());
            }
            match scratch.write(&taken) {
                Ok(bytes) => {
                    add(&self.meters.spilled_bytes, bytes);
                    add(&self.meters.spilled_entries, taken.len() as u64);
                }
                Err(error) => {
                    self.broken.store(true, Ordering::Release);
                    return Err(error);
                }
            }
        }
    }

    fn check_whole(&self) -> Result<()> {
        if !self.broken.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(Error::new(
            Kind::Store,
            format!("an earlier write to {} failed", self.scratch_dir.display()),
        )
        .with_remedy("see to the disk, then restart penstock: it goes on from the last commit"))
    }

    /// Everything is in memory: one batch.
    fn commit_memory(&self, through: u64, checkpoint: &[u8]) -> Result<u64> {
        let mut batch = self.base.batch();
        let mut at = 0;
        loop {
            let mut put = |moved: Moved| batch.put(moved.key, moved.value);
            if !lock(&self.overlay).collect(through, &mut at, STEP, &mut put) {
                break;
            }
        }
        let written = batch.len() as u64;
        batch.checkpoint(checkpoint);
        promise::forget(&self.base, through, &mut batch)?;
        batch.commit(Some(PersistMode::SyncAll))?;
        while lock(&self.overlay).forget(through, STEP) {}
        Ok(written)
    }

    /// Brings what memory has of the sequences up to `through` to the scratch, which has the rest of them.
    fn move_to_scratch(&self, scratch: &Scratch, through: u64) -> Result<()> {
        let mut at = 0;
        loop {
            let mut moved = Vec::new();
            let more = lock(&self.overlay).collect(through, &mut at, STEP, &mut |m| moved.push(m));
            scratch.write(&moved)?;
            if !more {
                break;
            }
        }
        while lock(&self.overlay).forget(through, STEP) {}
        Ok(())
    }

    /// Everything is in the scratch: made durable, promised, folded, forgotten.
    fn commit_scratch(&self, scratch: &Scratch, through: u64, checkpoint: &[u8]) -> Result<u64> {
        scratch.persist()?;
        let mut batch = self.base.batch();
        batch.checkpoint(checkpoint);
        promise::forget(&self.base, through, &mut batch)?;
        batch.folding(Some(&Folding {
            through,
            scratch: scratch.name(),
        }))?;
        batch.commit(Some(PersistMode::SyncAll))?;
        let written = fold(&self.base, scratch, through)?;
        let moving = lock(&self.moving);
        if scratch.highest() <= through {
            *lock(&self.scratch) = None;
            scratch.discard();
            return Ok(written);
        }
        drop(moving);
        scratch.forget(through)?;
        Ok(written)
    }

    /// A directory for a scratch of this run; the next start removes it.
    fn new_scratch_dir(&self, what: &str) -> PathBuf {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        self.scratch_dir.join(format!("{what}-{number}"))
    }
}

/// Where a state goes that is being removed.
fn wiped(dir: &Path) -> PathBuf {
    dir.with_extension("wiped")
}

/// Brings the scratch's sequences up to `through` into the base, durably, and then takes the note of it away.
fn fold(base: &Base, scratch: &Scratch, through: u64) -> Result<u64> {
    let written = scratch.fold(base, through)?;
    let mut batch = base.batch();
    batch.folding(None)?;
    // The journal is one file after the other: what waits for this waits for the pages before it.
    batch.commit(Some(PersistMode::SyncAll))?;
    Ok(written)
}

/// Finishes the fold that a crash has interrupted.
fn finish(base: &Base, scratch_dir: &Path, folding: &Folding) -> Result<()> {
    let dir = scratch_dir.join(&folding.scratch);
    if !dir.is_dir() {
        return Err(damaged(&dir, "a commit was under way, and it is missing"));
    }
    let scratch = Scratch::open(&dir)?;
    fold(base, &scratch, folding.through)?;
    Ok(())
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change of what these hold is whole before anything can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("figures", &self.figures())
            .finish_non_exhaustive()
    }
}
