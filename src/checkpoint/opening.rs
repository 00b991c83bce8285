//! Opening sled: what counts as damage, and how a store is rebuilt from its mirror.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::entries::{Committed, Damage, newer, put_head, put_tables, read_committed};
use super::mirror::{self, Content, Mirror, Read};
use super::store::Rebuilt;
use super::{files, frame, now_unix_ms};
use crate::error::{Error, Kind, Result};

const CACHE_BYTES: u64 = 4 << 20;
/// How long sled's own lock is waited for. We hold the directory's, so nobody else has it; but an earlier sled of
/// this process, or a child that is about to start, may still have the file open.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(10);

/// Opens sled; on damaged files it may panic rather than return an error, and that is an answer too.
pub(super) fn open_sled(dir: &Path) -> Result<sled::Db, Damage> {
    let config = sled::Config::default()
        .path(dir)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    let begin = Instant::now();
    let mut opened = catch_unwind(AssertUnwindSafe(|| config.open()));
    while matches!(&opened, Ok(Err(sled::Error::Io(e))) if is_held(e)) && begin.elapsed() < PATIENCE
    {
        std::thread::sleep(PAUSE);
        opened = catch_unwind(AssertUnwindSafe(|| config.open()));
    }
    match opened {
        Ok(Ok(db)) => Ok(db),
        // The data may be whole.
        Ok(Err(sled::Error::Io(e))) if is_held(&e) || is_the_disks(&e) => {
            Err(Damage::Refused(files::failed("open", dir, e)))
        }
        Ok(Err(e)) => Err(Damage::Unusable(format!("it does not open: {e}"))),
        Err(_) => Err(Damage::Unusable("it does not open".to_string())),
    }
}

/// sled gives this no kind of its own.
fn is_held(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// Permissions, or a disk that is full: nothing is known to be damaged.
pub(super) fn is_the_disks(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    matches!(
        error.kind(),
        PermissionDenied | StorageFull | ReadOnlyFilesystem
    )
}

/// Reads everything once, so that damage is found now and not in the middle of a migration.
pub(super) fn read_all(db: &sled::Db) -> Result<Committed, Damage> {
    match catch_unwind(AssertUnwindSafe(|| read_committed(db))) {
        Ok(answer) => answer,
        Err(_) => Err(Damage::Unusable("it cannot be read".to_string())),
    }
}

/// The mirror is written after the store: a store behind it has lost commits that were acknowledged.
pub(super) fn not_behind(committed: &Committed, mirrored: &Read<Content>) -> Result<(), Damage> {
    match mirrored {
        Read::Found(content) if content.generation > committed.generation => {
            Err(Damage::Unusable(format!(
                "it has lost commits: it is at {}, its mirror at {}",
                committed.generation, content.generation
            )))
        }
        // An empty store beside a mirror that was written and cannot be read is not a first start.
        Read::Unreadable(reason) if committed.generation == 0 => Err(Damage::Unusable(format!(
            "it is empty, though its mirror was written (and {reason})"
        ))),
        _ => Ok(()),
    }
}

/// What the store is rebuilt from; `Unusable` says that there is nothing.
pub(super) fn usable(dir: &Path, reason: &str, mirrored: Read<Content>) -> Result<Content, Damage> {
    match mirrored {
        Read::Found(content) => Ok(content),
        Read::Missing => Err("it is missing".to_string()),
        Read::Newer(format) => return Err(Damage::Refused(newer(dir, format))),
        Read::Refused(error) => return Err(Damage::Refused(error)),
        Read::Unreadable(reason) => Err(reason),
    }
    .map_err(|mirror| Damage::Unusable(format!("the store: {reason}; checkpoint.json: {mirror}")))
}

/// Neither the store nor its mirror can be read.
pub(super) fn unreadable(dir: &Path, why: &str) -> Error {
    Error::new(
        Kind::Store,
        format!(
            "neither the store nor its mirror in {} can be read: {why}",
            dir.display()
        ),
    )
    .with_remedy(
        "put the directory back from a backup, or start over with `penstock run --resnapshot` (it sets the unreadable files aside)",
    )
}

/// Sets the damaged sled aside and fills a new one from the mirror, atomically.
pub(super) fn rebuild(
    dir: &Path,
    mirror: &Mirror,
    content: Content,
    reason: String,
) -> Result<(sled::Db, Committed, Rebuilt)> {
    let sled_dir = dir.join("sled");
    let set_aside = files::set_aside(&sled_dir, now_unix_ms())?;
    let letters = match mirror.read_letters() {
        Read::Found(letters) => letters.letters,
        Read::Missing | Read::Newer(_) | Read::Unreadable(_) | Read::Refused(_) => Vec::new(),
    };
    let db = open_sled(&sled_dir).map_err(|damage| match damage {
        Damage::Refused(error) => error,
        Damage::Unusable(why) => Error::new(
            Kind::Store,
            format!("a new store in {}: {why}", dir.display()),
        ),
    })?;
    let count = letters.len() as u64;
    let mut checkpoint = content.checkpoint;
    if let Some(checkpoint) = &mut checkpoint {
        checkpoint.verify_owed = true;
    }
    let committed = Committed {
        generation: content.generation + 1,
        checkpoint,
        letters: count,
        unsure: false,
    };
    let mut batch = sled::Batch::default();
    put_tables(&mut batch, None, committed.checkpoint.as_ref())?;
    for letter in &letters {
        batch.insert(letter.store_key(), frame::seal(&mirror::json(letter)?));
    }
    put_head(&mut batch, &committed)?;
    db.apply_batch(batch)
        .and_then(|()| db.flush().map(drop))
        .map_err(|e| {
            Error::new(
                Kind::Store,
                format!("could not rebuild the store in {}", dir.display()),
            )
            .with_source(e)
        })?;
    let rebuilt = Rebuilt {
        reason,
        set_aside,
        lost_dead_letters: content.dead_letters.saturating_sub(count),
    };
    Ok((db, committed, rebuilt))
}
