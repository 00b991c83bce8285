//! What is committed: one ordered map on disk, a key's space in front of it, and beside the spaces our own records.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fjall::compaction::Leveled;
use fjall::config::{BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, UserKey, UserValue,
};
use serde::{Deserialize, Serialize};

use super::FORMAT_VERSION;
use super::files;
use super::page::{Entries, end_of};
use super::store::Format;
use crate::error::{Error, Kind, Result};
use crate::view::state::Space;

/// Our own records stand in the last space, in the same map: so one batch holds both and one journal feeds one map.
pub(super) const RESERVED: Space = Space(u16::MAX);

const FORMAT: &[u8] = b"format";
const CHECKPOINT: &[u8] = b"checkpoint";
const FOLDING: &[u8] = b"folding";

/// An open replays the journal, and a flush waits for nothing bigger than this.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// Of several, the first asks for compaction in a loop while another is busy with it (fjall 3.1).
pub(super) const WORKERS: usize = 1;
/// So many tables come together before they are merged into the next level: rows come in the order of their keys, mostly,
/// but those of several tables share the map, so that each merge writes all of the next level again.
const UNMERGED: u8 = 8;
/// A table's size, and eight of these the first level's: with every merge into it all of it is written again, and nothing is
/// flushed meanwhile.
const TABLE_BYTES: u64 = 16 << 20;
/// While more than this waits to be flushed a commit waits too, so that a long merge does not fill the memory.
const UNFLUSHED_BYTES: u64 = 4 * MEMTABLE_BYTES;
/// After so long it goes on: a worker that has failed says so to the commit itself.
const FLUSH_PATIENCE: Duration = Duration::from_secs(60);
const FILTER_BITS: f32 = 10.0;
const OPEN_FILES: usize = 128;

/// The committed state.
pub(super) struct Base {
    dir: PathBuf,
    db: Database,
    map: Keyspace,
}

/// The note that the scratch's sequences up to `through` belong to the committed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Folding {
    pub through: u64,
    /// The scratch's directory, by its name.
    pub scratch: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredFormat {
    version: u32,
    plan: String,
    spaces: u16,
}

/// A key with its space in front.
pub(super) fn spaced(space: Space, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + key.len());
    out.extend_from_slice(&space.0.to_be_bytes());
    out.extend_from_slice(key);
    out
}

/// How every map of ours is kept; scratch and base differ in nothing but their size.
pub(super) fn options(memtable_bytes: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable_bytes)
        // We say when to wait for the disk.
        .manual_journal_persist(true)
}

fn tables() -> Leveled {
    Leveled::default()
        .with_l0_threshold(UNMERGED)
        .with_table_target_size(TABLE_BYTES)
}

impl Base {
    /// Opens the base in `dir`, making it where there is none, and compares its format.
    pub fn open(dir: &Path, format: &Format, cache_bytes: u64) -> Result<Base> {
        let unfinished = dir.with_extension("new");
        files::remove_directory(&unfinished)?;
        let exists = dir
            .try_exists()
            .map_err(|e| files::failed("open", dir, e))?;
        if !exists {
            // Made aside and renamed, so that what is there is whole.
            let base = Base::open_database(&unfinished, cache_bytes)?;
            base.write_format(format)?;
            drop(base);
            fs::rename(&unfinished, dir).map_err(|e| files::failed("rename", &unfinished, e))?;
            files::sync_directory(dir.parent().unwrap_or(Path::new(".")))?;
        }
        let base = Base::open_database(dir, cache_bytes)?;
        base.check_format(format)?;
        Ok(base)
    }

    fn open_database(dir: &Path, cache_bytes: u64) -> Result<Base> {
        let open = || -> fjall::Result<Base> {
            let db = Database::builder(dir)
                .cache_size(cache_bytes)
                .max_cached_files(Some(OPEN_FILES))
                .worker_threads(WORKERS)
                .open()?;
            let map = db.keyspace("state", || {
                options(MEMTABLE_BYTES)
                    .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
                    .compaction_strategy(Arc::new(tables()))
                    .filter_policy(FilterPolicy::all(FilterPolicyEntry::Bloom(
                        BloomConstructionPolicy::BitsPerKey(FILTER_BITS),
                    )))
            })?;
            let dir = dir.to_path_buf();
            Ok(Base { dir, db, map })
        };
        // On damaged files it may panic rather than return an error, and that is an answer too.
        match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(base)) => Ok(base),
            Ok(Err(e)) => Err(unreadable(files::database_failed("open", dir, e))),
            Err(_) => Err(damaged(dir, "it does not open")),
        }
    }

    /// The value under a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<UserValue>> {
        self.map
            .get(key)
            .map_err(|e| files::database_failed("read", &self.dir, e))
    }

    /// The last key of a space, without the space.
    pub fn last(&self, space: Space) -> Result<Option<Vec<u8>>> {
        use fjall::Readable;
        let from = spaced(space, &[]);
        let upto = end_of(&from);
        let mut entries = self.db.snapshot().range(&self.map, from..upto);
        let last = entries.next_back().map(fjall::Guard::key).transpose();
        let last = last.map_err(|e| files::database_failed("read", &self.dir, e))?;
        Ok(last.map(|key| key.get(size_of::<u16>()..).unwrap_or_default().to_vec()))
    }

    /// The entries from `from` up to `upto`, which is excluded.
    pub fn range(&self, from: std::ops::Bound<Vec<u8>>, upto: Vec<u8>) -> Entries<'_> {
        use fjall::Readable;
        let range = (from, std::ops::Bound::Excluded(upto));
        let entries = self.db.snapshot().range(&self.map, range);
        Box::new(entries.map(|entry| {
            let (key, value) = entry
                .into_inner()
                .map_err(|e| files::database_failed("read", &self.dir, e))?;
            Ok((key, Some(value)))
        }))
    }

    /// A batch on this base.
    pub fn batch(&self) -> Batch<'_> {
        Batch {
            base: self,
            inner: self.db.batch(),
            bytes: 0,
        }
    }

    /// The committed checkpoint.
    pub fn checkpoint(&self) -> Result<Option<Vec<u8>>> {
        let stored = self.get(&spaced(RESERVED, CHECKPOINT))?;
        Ok(stored.map(|value| value.to_vec()))
    }

    /// The fold that a commit has begun and not finished.
    pub fn folding(&self) -> Result<Option<Folding>> {
        match self.get(&spaced(RESERVED, FOLDING))? {
            None => Ok(None),
            Some(value) => serde_json::from_slice(&value)
                .map(Some)
                .map_err(|e| damaged(&self.dir, "a record of it makes no sense").with_source(e)),
        }
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.map.disk_space() + self.db.journal_disk_space().unwrap_or(0)
    }

    /// Bytes in memory that are not yet written out to tables.
    pub fn buffer_bytes(&self) -> u64 {
        self.db.write_buffer_size()
    }

    fn wait_for_flush(&self) {
        let since = Instant::now();
        while self.buffer_bytes() > UNFLUSHED_BYTES && since.elapsed() < FLUSH_PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn write_format(&self, format: &Format) -> Result<()> {
        let stored = StoredFormat {
            version: FORMAT_VERSION,
            plan: format.plan_fingerprint.clone(),
            spaces: format.spaces,
        };
        let mut batch = self.batch();
        batch.record(FORMAT, &json(&stored)?);
        batch.commit(Some(PersistMode::SyncAll))
    }

    fn check_format(&self, format: &Format) -> Result<()> {
        let Some(value) = self.get(&spaced(RESERVED, FORMAT))? else {
            return Err(damaged(&self.dir, "it has lost its format"));
        };
        let stored: StoredFormat = serde_json::from_slice(&value)
            .map_err(|e| damaged(&self.dir, "its format makes no sense").with_source(e))?;
        if stored.version != FORMAT_VERSION {
            return Err(Error::new(
                Kind::Store,
                format!(
                    "the join state in {} has format {}, this penstock writes {FORMAT_VERSION}",
                    self.dir.display(),
                    stored.version
                ),
            )
            .with_remedy(
                "run the penstock that wrote it, or start over with `penstock run --resnapshot`",
            ));
        }
        if stored.plan != format.plan_fingerprint || stored.spaces != format.spaces {
            return Err(Error::new(
                Kind::PlanDiffers,
                "the join state was written with another contract or mapping",
            ));
        }
        Ok(())
    }
}

/// Changes that become visible and durable together.
pub(super) struct Batch<'a> {
    base: &'a Base,
    inner: fjall::OwnedWriteBatch,
    bytes: usize,
}

impl Batch<'_> {
    /// Puts a value, or removes what is there.
    pub fn put(&mut self, key: impl Into<UserKey>, value: Option<impl Into<UserValue>>) {
        let (key, value) = (key.into(), value.map(Into::into));
        self.bytes += key.len() + value.as_ref().map_or(0, |value| value.len());
        match value {
            Some(value) => self.inner.insert(&self.base.map, key, value),
            None => self.inner.remove(&self.base.map, key),
        }
    }

    /// Removes what is there.
    pub fn remove(&mut self, key: impl Into<UserKey>) {
        self.put(key, None::<UserValue>);
    }

    /// Sets the checkpoint.
    pub fn checkpoint(&mut self, blob: &[u8]) {
        self.record(CHECKPOINT, blob);
    }

    /// Notes that a fold begins, or that none is under way.
    pub fn folding(&mut self, folding: Option<&Folding>) -> Result<()> {
        match folding {
            Some(folding) => self.record(FOLDING, &json(folding)?),
            None => self.remove(spaced(RESERVED, FOLDING)),
        }
        Ok(())
    }

    /// Bytes of keys and values in it.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many changes it has.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Applies all of it; with a mode, and waits for the disk. Without one it is durable no later than the next that waits.
    pub fn commit(self, mode: Option<PersistMode>) -> Result<()> {
        let base = self.base;
        base.wait_for_flush();
        self.inner
            .durability(mode)
            .commit()
            .map_err(|e| files::database_failed("write", &base.dir, e))
    }

    fn record(&mut self, name: &[u8], value: &[u8]) {
        self.put(spaced(RESERVED, name), Some(value));
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|e| Error::new(Kind::Internal, "a record of the join state").with_source(e))
}

/// The error for a state that is there and cannot be used.
pub(super) fn damaged(dir: &Path, reason: &str) -> Error {
    unreadable(Error::new(
        Kind::Store,
        format!("the join state in {} is damaged: {reason}", dir.display()),
    ))
}

fn unreadable(error: Error) -> Error {
    if error.remedy() != Kind::Store.remedy() {
        return error;
    }
    error.with_remedy(
        "check space and permissions of the directory; if it is damaged, put it back from a backup, or start over with `penstock run --resnapshot`",
    )
}
