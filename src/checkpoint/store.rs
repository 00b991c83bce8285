//! The store: one sled tree, fsynced and mirrored with every commit.
//!
//! sled's own `flush` does not wait for the disk (it asks the kernel to start writing), so a commit syncs the file and its
//! directory afterwards. A sled that does not open, or whose content does not decode, or that is behind
//! its mirror, has lost something: it is set aside and rebuilt from the mirror, and the report says so.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::entries::{Committed, Damage, decode, newer, put_head, put_tables};
use super::mirror::{self, Content, Letters, Mirror, Read};
use super::opening::{not_behind, open_sled, read_all, rebuild, unreadable, usable};
use super::{
    AuditEntry, Checkpoint, DeadLetter, DeadLetterChange, DeadLetterPage, audit, dead_letter,
    files, frame, now_unix_ms,
};
use crate::error::{Error, Kind, Result};

/// A page of dead letters, at most.
const PAGE: usize = 1_000;

/// The state directory of one daemon, locked for this process.
pub struct Store {
    dir: PathBuf,
    db: sled::Db,
    db_file: File,
    mirror: Mirror,
    committed: Mutex<Committed>,
    _lock: files::Lock,
}

/// What [`Store::open`] had to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenReport {
    /// Where the damaged store was moved to, and why it could not be used; it was rebuilt from the mirror.
    pub rebuilt: Option<Rebuilt>,
    /// Why the mirror could not be used; it was written anew.
    pub mirror_rewritten: Option<String>,
}

/// A store that was rebuilt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    pub reason: String,
    /// `None` where there was nothing left to set aside.
    pub set_aside: Option<PathBuf>,
    /// Dead letters that the mirror knew of but did not hold.
    pub lost_dead_letters: u64,
}

/// What the store holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Loaded {
    /// Nothing yet: a first start, or after a reset.
    None,
    Found(Box<Checkpoint>),
}

/// What came of opening a state directory.
enum Opened {
    Whole(Box<Store>, OpenReport),
    /// Neither the store nor its mirror can be read.
    Unreadable {
        why: String,
        lock: files::Lock,
    },
}

impl Store {
    /// Opens the state directory, making it where it does not exist, and takes its lock.
    ///
    /// # Errors
    /// `Store` where another process holds it, where neither the store nor its mirror can be read, or where a newer
    /// version wrote it. Never "there is none" for something that could not be read.
    pub fn open(dir: &Path) -> Result<(Store, OpenReport)> {
        match Store::try_open(dir)? {
            Opened::Whole(store, report) => Ok((*store, report)),
            Opened::Unreadable { why, .. } => Err(unreadable(dir, &why)),
        }
    }

    /// Opens the state directory as [`open`](Self::open) does; where neither the store nor its mirror can be read, and
    /// `allowed` agrees, sets everything but the audit log aside and starts empty. For `run --resnapshot`.
    ///
    /// # Errors
    /// As [`open`](Self::open), but for what cannot be read: a store that another process holds, that a newer version
    /// wrote, or that the disk refuses, is left as it is.
    pub fn start_over(
        dir: &Path,
        allowed: impl FnOnce(&str) -> Result<()>,
    ) -> Result<(Store, OpenReport)> {
        let (why, lock) = match Store::try_open(dir)? {
            Opened::Whole(store, report) => return Ok((*store, report)),
            Opened::Unreadable { why, lock } => (why, lock),
        };
        allowed(&why)?;
        let stamp = now_unix_ms();
        files::set_aside(&dir.join("sled"), stamp)?;
        Mirror::new(dir).set_aside(stamp)?;
        drop(lock);
        let (store, report) = Store::open(dir)?;
        store.audit("started over", "the unreadable store was set aside")?;
        Ok((store, report))
    }

    fn try_open(dir: &Path) -> Result<Opened> {
        files::create_directory(dir)?;
        let lock = files::lock(dir)?;
        let mirror = Mirror::new(dir);
        let sled_dir = dir.join("sled");
        let mut mirrored = mirror.read();
        if matches!(mirrored, Read::Missing) && !sled_dir.exists() {
            // What a kill leaves of a store that is being made cannot be read; the mirror says that nothing was in it.
            let nothing = Content::default();
            mirror.write(&nothing)?;
            mirrored = Read::Found(nothing);
        }
        match mirrored {
            Read::Newer(format) => return Err(newer(dir, format)),
            Read::Refused(error) => return Err(error),
            Read::Missing | Read::Found(_) | Read::Unreadable(_) => {}
        }
        let mut report = OpenReport::default();
        let opened = open_sled(&sled_dir).and_then(|db| {
            let committed = read_all(&db)?;
            not_behind(&committed, &mirrored)?;
            Ok((db, committed))
        });
        let (db, committed) = match opened {
            Ok(found) => found,
            Err(Damage::Refused(error)) => return Err(error),
            Err(Damage::Unusable(reason)) => {
                let content = match usable(dir, &reason, mirrored) {
                    Ok(content) => content,
                    Err(Damage::Refused(error)) => return Err(error),
                    Err(Damage::Unusable(why)) => return Ok(Opened::Unreadable { why, lock }),
                };
                let (db, committed, rebuilt) = rebuild(dir, &mirror, content, reason)?;
                report.rebuilt = Some(rebuilt);
                let store = Store::assemble(dir, db, committed, mirror, lock)?;
                store.sync()?;
                store.write_mirror(&store.committed().clone(), true)?;
                store.note_rebuilt(&report)?;
                return Ok(Opened::Whole(Box::new(store), report));
            }
        };
        let store = Store::assemble(dir, db, committed, mirror, lock)?;
        report.mirror_rewritten = store.catch_up_mirror(mirrored)?;
        Ok(Opened::Whole(Box::new(store), report))
    }

    /// The last committed checkpoint.
    pub fn load(&self) -> Loaded {
        match &self.committed().checkpoint {
            None => Loaded::None,
            Some(checkpoint) => Loaded::Found(Box::new(checkpoint.clone())),
        }
    }

    /// Makes a checkpoint and changes of dead letters durable, both or neither. When it returns, they survive a power
    /// loss.
    pub fn commit(&self, checkpoint: &Checkpoint, dead_letters: &[DeadLetterChange]) -> Result<()> {
        let mut committed = self.committed();
        let mut next = Committed {
            generation: committed.generation + 1,
            checkpoint: Some(checkpoint.clone()),
            letters: committed.letters,
            unsure: false,
        };
        let mut batch = sled::Batch::default();
        put_tables(&mut batch, committed.checkpoint.as_ref(), Some(checkpoint))?;
        next.letters = self.put_letters(&mut batch, dead_letters, committed.letters)?;
        put_head(&mut batch, &next)?;
        self.apply(&mut committed, batch)?;
        *committed = next;
        self.write_mirror(&committed, !dead_letters.is_empty())
    }

    /// Forgets the checkpoint and the dead letters; the audit log stays.
    pub fn reset(&self) -> Result<()> {
        let mut committed = self.committed();
        let next = Committed {
            generation: committed.generation + 1,
            ..Committed::default()
        };
        let mut batch = sled::Batch::default();
        put_tables(&mut batch, committed.checkpoint.as_ref(), None)?;
        for key in self.db.scan_prefix(dead_letter::PREFIX).keys() {
            batch.remove(key.map_err(|e| self.failed("read", e))?);
        }
        put_head(&mut batch, &next)?;
        self.apply(&mut committed, batch)?;
        *committed = next;
        self.write_mirror(&committed, true)
    }

    /// How many dead letters there are.
    pub fn dead_letter_count(&self) -> u64 {
        self.committed().letters
    }

    /// The dead letter of a row, if it has one.
    ///
    /// # Errors
    /// `Store` where it cannot be read.
    pub fn dead_letter(&self, projection: &str, source_key: &str) -> Result<Option<DeadLetter>> {
        let found = self.db.get(dead_letter::store_key(projection, source_key));
        let found = found.map_err(|e| self.failed("read", e))?;
        let letter = found.map(|value| decode(&value).map_err(|reason| self.broken(&reason)));
        letter.transpose()
    }

    /// At most `limit` dead letters (and never more than a thousand), from `from` on: `None`, or a page's `next`.
    ///
    /// # Errors
    /// `Usage` where `from` is not a page's `next`.
    pub fn dead_letters(&self, from: Option<&str>, limit: usize) -> Result<DeadLetterPage> {
        let limit = limit.clamp(1, PAGE);
        let start = match from {
            None => dead_letter::PREFIX.to_vec(),
            Some(text) => hex::decode(text)
                .ok()
                .filter(|key| key.starts_with(dead_letter::PREFIX))
                .ok_or_else(|| {
                    Error::new(
                        Kind::Usage,
                        "this is not the start of a page of dead letters",
                    )
                })?,
        };
        let mut page = DeadLetterPage {
            total: self.dead_letter_count(),
            ..DeadLetterPage::default()
        };
        for entry in self.db.range(start..) {
            let (key, value) = entry.map_err(|e| self.failed("read", e))?;
            if !key.starts_with(dead_letter::PREFIX) {
                break;
            }
            if page.letters.len() == limit {
                page.next = Some(hex::encode(&key));
                break;
            }
            page.letters
                .push(decode(&value).map_err(|reason| self.broken(&reason))?);
        }
        Ok(page)
    }

    /// Adds a line to the audit log.
    pub fn audit(&self, action: &str, detail: &str) -> Result<()> {
        self.audit_by("", action, detail)
    }

    /// Adds a line to the audit log: what somebody asked for.
    pub fn audit_by(&self, who: &str, action: &str, detail: &str) -> Result<()> {
        let entry = AuditEntry {
            at_unix_ms: now_unix_ms(),
            who: who.to_string(),
            action: action.to_string(),
            detail: detail.to_string(),
        };
        audit::append(&self.dir.join("audit.log"), &entry)
    }

    /// The audit log, oldest first.
    pub fn audit_log(&self) -> Result<Vec<AuditEntry>> {
        audit::audit_log(&self.dir)
    }

    fn assemble(
        dir: &Path,
        db: sled::Db,
        committed: Committed,
        mirror: Mirror,
        lock: files::Lock,
    ) -> Result<Store> {
        let path = dir.join("sled").join("db");
        let db_file = File::open(&path).map_err(|e| files::failed("open", &path, e))?;
        Ok(Store {
            dir: dir.to_path_buf(),
            db,
            db_file,
            mirror,
            committed: Mutex::new(committed),
            _lock: lock,
        })
    }

    fn committed(&self) -> MutexGuard<'_, Committed> {
        // Set only after the store has taken a commit, so a panic elsewhere leaves it right.
        self.committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the changes to the batch and returns how many letters there are afterwards.
    fn put_letters(
        &self,
        batch: &mut sled::Batch,
        changes: &[DeadLetterChange],
        before: u64,
    ) -> Result<u64> {
        // A batch's own changes cannot be read back, so they are folded here first.
        let mut folded: BTreeMap<Vec<u8>, (bool, Option<DeadLetter>)> = BTreeMap::new();
        for change in changes {
            let key = match change {
                DeadLetterChange::Put(letter) => letter.store_key(),
                DeadLetterChange::Clear {
                    projection,
                    source_key,
                } => dead_letter::store_key(projection, source_key),
            };
            if !folded.contains_key(&key) {
                let stored = self.read_letter(&key)?;
                folded.insert(key.clone(), (stored.is_some(), stored));
            }
            if let Some((_, now)) = folded.get_mut(&key) {
                *now = match (change, now.take()) {
                    (DeadLetterChange::Put(letter), Some(earlier)) => {
                        Some(letter.clone().after(&earlier))
                    }
                    (DeadLetterChange::Put(letter), None) => Some(letter.clone()),
                    (DeadLetterChange::Clear { .. }, _) => None,
                };
            }
        }
        let mut count = before;
        for (key, (was_there, now)) in folded {
            match (&now, was_there) {
                (Some(_), false) => count += 1,
                (None, true) => count = count.saturating_sub(1),
                _ => {}
            }
            match now {
                Some(letter) => batch.insert(key, frame::seal(&mirror::json(&letter)?)),
                None => batch.remove(key),
            }
        }
        Ok(count)
    }

    fn read_letter(&self, key: &[u8]) -> Result<Option<DeadLetter>> {
        match self.db.get(key).map_err(|e| self.failed("read", e))? {
            None => Ok(None),
            Some(value) => decode(&value)
                .map(Some)
                .map_err(|reason| self.broken(&reason)),
        }
    }

    fn apply(&self, committed: &mut Committed, batch: sled::Batch) -> Result<()> {
        if committed.unsure {
            return Err(Error::new(
                Kind::Store,
                format!("an earlier write to {} failed", self.dir.display()),
            )
            .with_remedy(
                "see to the disk, then restart penstock: it goes on from the last commit",
            ));
        }
        let written = self
            .db
            .apply_batch(batch)
            .and_then(|()| self.db.flush().map(drop))
            .map_err(|e| self.failed("write", e))
            .and_then(|()| self.sync());
        committed.unsure = written.is_err();
        written
    }

    /// Waits until what sled has written is on disk: its log, the values that it keeps in files of their own, and the directory.
    fn sync(&self) -> Result<()> {
        let dir = self.dir.join("sled");
        self.db_file
            .sync_all()
            .map_err(|e| files::failed("sync", &dir.join("db"), e))?;
        let blobs = dir.join("blobs");
        if let Ok(entries) = std::fs::read_dir(&blobs) {
            let mut any = false;
            for path in entries.flatten().map(|entry| entry.path()) {
                // One that is gone by now was collected, and is not needed.
                if let Ok(file) = File::open(&path) {
                    file.sync_all()
                        .map_err(|e| files::failed("sync", &path, e))?;
                    any = true;
                }
            }
            if any {
                files::sync_directory(&blobs)?;
            }
        }
        files::sync_directory(&dir)
    }

    fn write_mirror(&self, committed: &Committed, letters: bool) -> Result<()> {
        if letters {
            self.mirror.write_letters(&Letters {
                total: committed.letters,
                letters: self.first_letters()?,
            })?;
        }
        self.mirror.write(&Content {
            generation: committed.generation,
            checkpoint: committed.checkpoint.clone(),
            dead_letters: committed.letters,
        })
    }

    fn first_letters(&self) -> Result<Vec<DeadLetter>> {
        self.db
            .scan_prefix(dead_letter::PREFIX)
            .values()
            .take(mirror::LETTERS)
            .map(|value| {
                let value = value.map_err(|e| self.failed("read", e))?;
                decode(&value).map_err(|reason| self.broken(&reason))
            })
            .collect()
    }

    /// A crash may fall between the store and its mirror; says why, where the mirror was not merely one behind.
    fn catch_up_mirror(&self, mirrored: Read<Content>) -> Result<Option<String>> {
        let committed = self.committed().clone();
        if committed.generation == 0 {
            return Ok(None);
        }
        let why = match mirrored {
            Read::Found(content) if content.generation == committed.generation => return Ok(None),
            Read::Found(_) | Read::Newer(_) | Read::Refused(_) => None,
            Read::Missing => Some("it was missing".to_string()),
            Read::Unreadable(reason) => Some(reason),
        };
        self.write_mirror(&committed, true)?;
        Ok(why)
    }

    fn note_rebuilt(&self, report: &OpenReport) -> Result<()> {
        match &report.rebuilt {
            Some(rebuilt) => self.audit("store rebuilt from its mirror", &rebuilt.reason),
            None => Ok(()),
        }
    }

    fn failed(&self, what: &str, error: sled::Error) -> Error {
        Error::new(
            Kind::Store,
            format!("could not {what} the store in {}", self.dir.display()),
        )
        .with_source(error)
    }

    fn broken(&self, reason: &str) -> Error {
        Error::new(
            Kind::Store,
            format!("the store in {} is damaged: {reason}", self.dir.display()),
        )
        .with_remedy("restart penstock: it rebuilds the store from its mirror")
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}
