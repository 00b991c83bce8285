//! Ordered sets of keys: in memory while they are small, beyond that in a database that is thrown away.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use fjall::{Database, Keyspace, UserKey};

use super::base::options;
use super::files;
use super::scratch::{Home, open_database};
use crate::error::{Error, Result};
use crate::view::state::{KeySet, check_key};

const MEMTABLE_BYTES: u64 = 4 << 20;
const CACHE_BYTES: u64 = 4 << 20;
/// Bytes that a key takes besides its own.
const KEY_BYTES: usize = 48;
/// How many keys go into one batch.
const BATCH: usize = 10_000;
/// In front of every key: the database knows no empty ones.
const FRONT: u8 = 0;

/// A [`KeySet`] whose keys move to the disk when they outgrow its budget.
pub struct DiskSet {
    dir: PathBuf,
    budget: usize,
    memory: BTreeSet<UserKey>,
    bytes: usize,
    len: u64,
    disk: Option<Disk>,
}

struct Disk {
    keys: Keyspace,
    db: Database,
    // The last field: the directory goes when the database is closed.
    _home: Home,
}

impl DiskSet {
    pub(super) fn new(dir: PathBuf, budget: usize) -> DiskSet {
        DiskSet {
            dir,
            budget,
            memory: BTreeSet::new(),
            bytes: 0,
            len: 0,
            disk: None,
        }
    }

    /// Whether it has outgrown the memory.
    pub fn is_on_disk(&self) -> bool {
        self.disk.is_some()
    }

    fn spill(&mut self) -> Result<()> {
        let keys = std::mem::take(&mut self.memory);
        self.bytes = 0;
        let disk = self.disk()?;
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let mut batch = disk.db.batch();
            for key in keys.by_ref().take(BATCH) {
                batch.insert(&disk.keys, front(&key), []);
            }
            if let Err(e) = batch.commit() {
                return Err(self.failed("write", e));
            }
        }
        Ok(())
    }

    fn disk(&mut self) -> Result<&Disk> {
        if self.disk.is_none() {
            if let Some(parent) = self.dir.parent() {
                files::create_directory(parent)?;
            }
            // Nothing of an earlier use is there, unless it could not be removed.
            files::remove_directory(&self.dir)?;
            let open = || -> fjall::Result<Disk> {
                let db = open_database(&self.dir, CACHE_BYTES)?;
                Ok(Disk {
                    keys: db.keyspace("keys", || options(MEMTABLE_BYTES))?,
                    db,
                    _home: Home {
                        dir: self.dir.clone(),
                        discard: AtomicBool::new(true),
                    },
                })
            };
            self.disk = Some(open().map_err(|e| self.failed("open", e))?);
        }
        match &self.disk {
            Some(disk) => Ok(disk),
            None => Err(self.failed("open", fjall::Error::Unrecoverable)),
        }
    }

    fn failed(&self, what: &str, error: fjall::Error) -> Error {
        files::database_failed(&format!("{what} the scratch of"), &self.dir, error)
    }
}

impl KeySet for DiskSet {
    fn insert(&mut self, key: &[u8]) -> Result<bool> {
        check_key(key)?;
        if self.memory.contains(key) {
            return Ok(false);
        }
        if let Some(disk) = &self.disk
            && disk
                .keys
                .contains_key(front(key))
                .map_err(|e| self.failed("read", e))?
        {
            return Ok(false);
        }
        self.memory.insert(UserKey::from(key));
        self.bytes += KEY_BYTES + key.len();
        self.len += 1;
        if self.bytes > self.budget {
            self.spill()?;
        }
        Ok(true)
    }

    fn page(
        &mut self,
        after: Option<&[u8]>,
        limit: usize,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<bool> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut memory = self
            .memory
            .range::<[u8], _>((from, Bound::Unbounded))
            .peekable();
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(front(after)));
        let mut disk = self
            .disk
            .iter()
            .flat_map(|disk| disk.keys.range((from.clone(), Bound::Unbounded)))
            .map(|entry| entry.key())
            .peekable();
        for count in 0.. {
            let in_memory = memory.peek().map(|key| &key[..]);
            let on_disk = match disk.peek() {
                Some(Ok(key)) => key.get(1..),
                _ => None,
            };
            if count == limit {
                return Ok(in_memory.is_some() || disk.peek().is_some());
            }
            // No key is in both.
            let from_memory = match (in_memory, on_disk) {
                (Some(memory), Some(disk)) => memory < disk,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if from_memory && !matches!(disk.peek(), Some(Err(_))) {
                if let Some(key) = memory.next() {
                    each(key);
                }
                continue;
            }
            match disk.next() {
                None => break,
                Some(key) => {
                    let key = key.map_err(|e| self.failed("read", e))?;
                    each(key.get(1..).unwrap_or_default());
                }
            }
        }
        Ok(false)
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn clear(&mut self) -> Result<()> {
        self.memory.clear();
        self.bytes = 0;
        self.len = 0;
        self.disk = None;
        Ok(())
    }
}

fn front(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + key.len());
    out.push(FRONT);
    out.extend_from_slice(key);
    out
}
