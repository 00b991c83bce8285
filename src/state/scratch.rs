//! The scratch store: versions that did not fit into memory, in a database of their own that is thrown away when they are committed.
//!
//! Two maps: `log` holds each version by sequence and key, which is the order of a fold; `latest` tells for each key the
//! sequence of its newest version here.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use fjall::{Database, Keyspace, PersistMode, Readable, Slice};

use super::base::{Base, WORKERS, damaged, options};
use super::files;
use super::overlay::Moved;
use super::page::Entries;
use crate::error::{Error, Result};

const MEMTABLE_BYTES: u64 = 4 << 20;
const CACHE_BYTES: u64 = 8 << 20;
const OPEN_FILES: usize = 64;
/// What a batch may hold, in bytes of keys and values.
const BATCH_BYTES: usize = 2 << 20;
const SEQUENCE_BYTES: usize = 8;

const DELETED: u8 = 0;
const PUT: u8 = 1;

/// Versions on disk.
pub(super) struct Scratch {
    log: Keyspace,
    latest: Keyspace,
    db: Database,
    /// Held while versions come or go.
    gate: Mutex<()>,
    highest: AtomicU64,
    lowest: AtomicU64,
    // The last field: the directory goes when the database is closed.
    home: Home,
}

/// A directory that is removed when it is no longer needed.
pub(super) struct Home {
    pub dir: PathBuf,
    pub discard: AtomicBool,
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.discard.load(Ordering::Acquire) {
            // What remains is removed at the next start.
            let _ = files::remove_directory(&self.dir);
        }
    }
}

/// A database without promises, in a directory of its own.
pub(super) fn open_database(dir: &Path, cache_bytes: u64) -> fjall::Result<Database> {
    Database::builder(dir)
        .cache_size(cache_bytes)
        .max_cached_files(Some(OPEN_FILES))
        .worker_threads(WORKERS)
        .open()
}

impl Scratch {
    /// Opens the scratch in `dir`, making it where there is none.
    pub fn open(dir: &Path) -> Result<Scratch> {
        if let Some(parent) = dir.parent() {
            files::create_directory(parent)?;
        }
        let open = || -> fjall::Result<Scratch> {
            let db = open_database(dir, CACHE_BYTES)?;
            Ok(Scratch {
                log: db.keyspace("log", || options(MEMTABLE_BYTES))?,
                latest: db.keyspace("latest", || options(MEMTABLE_BYTES))?,
                db,
                gate: Mutex::new(()),
                highest: AtomicU64::new(0),
                lowest: AtomicU64::new(u64::MAX),
                home: Home {
                    dir: dir.to_path_buf(),
                    discard: AtomicBool::new(false),
                },
            })
        };
        open().map_err(|e| files::database_failed("open the scratch of", dir, e))
    }

    /// The name of its directory.
    pub fn name(&self) -> String {
        let name = self.home.dir.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The newest sequence that it holds versions of.
    pub fn highest(&self) -> u64 {
        self.highest.load(Ordering::Acquire)
    }

    /// Whether it may hold versions of sequences up to `through`.
    pub fn reaches(&self, through: u64) -> bool {
        self.lowest.load(Ordering::Acquire) <= through
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        let maps = self.log.disk_space() + self.latest.disk_space();
        maps + self.db.journal_disk_space().unwrap_or(0)
    }

    /// Bytes in memory that are not yet written out to tables.
    pub fn buffer_bytes(&self) -> u64 {
        self.db.write_buffer_size()
    }

    /// Takes versions in; none of them is older than what it has of the same key. Returns their bytes.
    pub fn write(&self, moved: &[Moved]) -> Result<u64> {
        let mut total = 0;
        let mut rest = moved;
        while !rest.is_empty() {
            let mut batch = self.db.batch();
            let (mut bytes, mut count) = (0, 0);
            for version in rest {
                if bytes > BATCH_BYTES {
                    break;
                }
                let mut key = Vec::with_capacity(SEQUENCE_BYTES + version.key.len());
                key.extend_from_slice(&version.sequence.to_be_bytes());
                key.extend_from_slice(&version.key);
                let mut value =
                    Vec::with_capacity(1 + version.value.as_ref().map_or(0, |v| v.len()));
                match &version.value {
                    None => value.push(DELETED),
                    Some(bytes) => {
                        value.push(PUT);
                        value.extend_from_slice(bytes);
                    }
                }
                bytes += key.len() + value.len();
                count += 1;
                batch.insert(&self.log, key, value);
                let sequence = version.sequence.to_be_bytes();
                batch.insert(&self.latest, &version.key[..], &sequence[..]);
                self.highest.fetch_max(version.sequence, Ordering::AcqRel);
                self.lowest.fetch_min(version.sequence, Ordering::AcqRel);
            }
            let _gate = self.gate();
            batch.commit().map_err(|e| self.failed("write", e))?;
            total += bytes as u64;
            rest = rest.get(count..).unwrap_or_default();
        }
        Ok(total)
    }

    /// The newest version of a key, if it has one: `Some(None)` where that is a deletion.
    pub fn get(&self, key: &[u8]) -> Result<Option<Option<Slice>>> {
        let found = self.latest.get(key).map_err(|e| self.failed("read", e))?;
        match found {
            None => Ok(None),
            Some(sequence) => self.version(&sequence, key),
        }
    }

    /// The newest version of every key from `from` up to `upto`, which is excluded, as of now: what a commit takes away while
    /// they are read may have reached the base too late for who looks at both.
    pub fn range(&self, from: Bound<Vec<u8>>, upto: Vec<u8>) -> Entries<'_> {
        let snapshot = self.db.snapshot();
        let entries = snapshot.range(&self.latest, (from, Bound::Excluded(upto)));
        Box::new(entries.map(move |entry| {
            let (key, sequence) = entry.into_inner().map_err(|e| self.failed("read", e))?;
            let log_key = [&*sequence, &*key].concat();
            let found = snapshot.get(&self.log, log_key);
            let found = found.map_err(|e| self.failed("read", e))?;
            let value = found.ok_or_else(|| self.broken())?;
            Ok((key, self.slot(&value)?))
        }))
    }

    /// Waits until all of it is on disk.
    pub fn persist(&self) -> Result<()> {
        self.db
            .persist(PersistMode::SyncAll)
            .map_err(|e| self.failed("sync", e))?;
        if let Some(parent) = self.home.dir.parent() {
            files::sync_directory(parent)?;
            if let Some(grandparent) = parent.parent() {
                files::sync_directory(grandparent)?;
            }
        }
        Ok(())
    }

    /// Writes every version of the sequences up to `through` to the base, oldest first; returns how many. Not durable yet;
    /// doing it again gives the same.
    pub fn fold(&self, base: &Base, through: u64) -> Result<u64> {
        let upto = through.saturating_add(1).to_be_bytes();
        let mut batch = base.batch();
        let mut written = 0;
        for entry in self.db.snapshot().range(&self.log, ..upto) {
            let (key, value) = entry.into_inner().map_err(|e| self.failed("read", e))?;
            let (Some(key), Some((&tag, value))) = (key.get(SEQUENCE_BYTES..), value.split_first())
            else {
                return Err(self.broken());
            };
            batch.put(key, (tag == PUT).then_some(value));
            written += 1;
            if batch.bytes() > BATCH_BYTES {
                std::mem::replace(&mut batch, base.batch()).commit(None)?;
            }
        }
        batch.commit(None)?;
        Ok(written)
    }

    /// Removes the versions of the sequences up to `through`, which are in the base.
    pub fn forget(&self, through: u64) -> Result<()> {
        let upto = through.saturating_add(1).to_be_bytes().to_vec();
        let mut from = Bound::Unbounded;
        // From where the page before ended: what was removed there would have to be skipped each time.
        while let Some(last) = self.forget_page(from, &upto)? {
            from = Bound::Excluded(last);
        }
        self.lowest
            .fetch_max(through.saturating_add(1), Ordering::AcqRel);
        Ok(())
    }

    fn forget_page(&self, from: Bound<Vec<u8>>, upto: &[u8]) -> Result<Option<Vec<u8>>> {
        let _gate = self.gate();
        let mut batch = self.db.batch();
        let mut last = None;
        let mut bytes = 0;
        let page = (from, Bound::Excluded(upto.to_vec()));
        for entry in self.db.snapshot().range(&self.log, page) {
            let key = entry.key().map_err(|e| self.failed("read", e))?;
            let Some((sequence, of)) = key.split_at_checked(SEQUENCE_BYTES) else {
                return Err(self.broken());
            };
            let latest = self.latest.get(of).map_err(|e| self.failed("read", e))?;
            if latest.is_some_and(|latest| *latest == *sequence) {
                batch.remove(&self.latest, of);
            }
            bytes += key.len();
            last = Some(key.to_vec());
            batch.remove(&self.log, key);
            if bytes > BATCH_BYTES / 16 {
                break;
            }
        }
        batch.commit().map_err(|e| self.failed("write", e))?;
        Ok(last)
    }

    /// Its directory goes when the last user lets go of it.
    pub fn discard(&self) {
        self.home.discard.store(true, Ordering::Release);
    }

    fn version(&self, sequence: &[u8], key: &[u8]) -> Result<Option<Option<Slice>>> {
        let log_key = [sequence, key].concat();
        let found = self.log.get(log_key).map_err(|e| self.failed("read", e))?;
        // One that is gone by now has reached the base.
        found.map(|value| self.slot(&value)).transpose()
    }

    fn slot(&self, value: &[u8]) -> Result<Option<Slice>> {
        match value.split_first() {
            Some((&PUT, value)) => Ok(Some(Slice::from(value))),
            Some((&DELETED, _)) => Ok(None),
            _ => Err(self.broken()),
        }
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, what: &str, error: fjall::Error) -> Error {
        files::database_failed(&format!("{what} the scratch of"), &self.home.dir, error)
    }

    fn broken(&self) -> Error {
        damaged(&self.home.dir, "a version in its scratch makes no sense")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A commit may take away what a page is about to read, after the page has begun to read the base.
    #[test]
    fn what_is_taken_away_meanwhile_is_still_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let scratch = Scratch::open(&dir.path().join("scratch")).expect("a scratch");
        let versions: Vec<Moved> = (0..10)
            .map(|n| Moved {
                key: [0, 1, n].into(),
                sequence: 1,
                value: (n % 3 > 0).then(|| [n].into()),
            })
            .collect();
        scratch.write(&versions).expect("written");
        let mut entries = scratch.range(Bound::Included(vec![0, 1]), vec![0, 2]);
        let first = entries.next().expect("an entry").expect("read");
        scratch.forget(1).expect("forgotten");
        let mut found = vec![first];
        found.extend(entries.map(|entry| entry.expect("read")));
        let expected: Vec<(Slice, Option<Slice>)> =
            versions.into_iter().map(|m| (m.key, m.value)).collect();
        assert_eq!(found, expected);
        let mut after = scratch.range(Bound::Included(vec![0, 1]), vec![0, 2]);
        assert!(after.next().is_none());
    }
}
