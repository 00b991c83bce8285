//! Directories that are there after a power loss, and the errors of the store.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use crate::error::{Error, Kind, Result};

/// Makes the directory and what leads to it, for its owner only.
pub(super) fn create_directory(dir: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| failed("create", dir, e))
}

/// Waits until the directory's entries are on disk.
pub(super) fn sync_directory(dir: &Path) -> Result<()> {
    File::open(dir)
        .and_then(|d| d.sync_all())
        .map_err(|e| failed("sync", dir, e))
}

/// Removes a directory with all that is in it; nothing happens where there is none.
pub(super) fn remove_directory(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", dir, e)),
        _ => Ok(()),
    }
}

/// An error of kind `Store` for a file or directory.
pub(super) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::new(Kind::Store, format!("could not {what} {}", path.display())).with_source(error)
}

/// An error of kind `Store` for an operation on a database.
pub(super) fn database_failed(what: &str, dir: &Path, error: fjall::Error) -> Error {
    let message = format!("could not {what} the join state in {}", dir.display());
    let failed = Error::new(Kind::Store, message);
    match error {
        fjall::Error::Locked => failed
            .with_remedy("another penstock holds it: stop the other one, or give this one a directory of its own in [state] path"),
        fjall::Error::Poisoned => failed.with_remedy(
            "an earlier write failed: see to the disk, then restart penstock: it goes on from the last commit",
        ),
        error => failed.with_source(error),
    }
}
