//! Files that are there after a power loss: write aside, fsync, rename, fsync the directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// Makes the directory and what leads to it, for its owner only.
pub fn create_directory(dir: &Path) -> Result<()> {
    fs::DirBuilder::new()
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

/// Replaces a file's content: afterwards it is the old one or the new one, whole, whatever happens.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let aside = path.with_extension("json.new");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    write().map_err(|e| failed("write", path, e))?;
    sync_directory(parent(path))
}

/// Moves something out of the way and returns its new name; nothing happens where it does not exist.
pub(super) fn set_aside(path: &Path, stamp: u64) -> Result<Option<PathBuf>> {
    if !path.exists() {
        return Ok(None);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = (0..1000)
        .map(|n| path.with_file_name(format!("{name}.set-aside-{}", stamp + n)))
        .find(|p| !p.exists())
        .ok_or_else(|| {
            Error::new(
                Kind::Store,
                format!("no free name to set {} aside", path.display()),
            )
        })?;
    fs::rename(path, &aside).map_err(|e| failed("rename", path, e))?;
    sync_directory(parent(path))?;
    Ok(Some(aside))
}

/// A state directory that is this process's until this is dropped.
///
/// The kernel's lock belongs to the open file, and a child process has all of them until it runs its program. So it is
/// given back in so many words: merely closed, it would stay taken while such a child is about to start.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Takes the directory for this process; it is free again when the lock is dropped or the process ends.
pub(super) fn lock(dir: &Path) -> Result<Lock> {
    let path = dir.join("penstock.lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|e| failed("open", &path, e))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(held(dir, &mut file)),
        Err(TryLockError::Error(e)) => return Err(failed("lock", &path, e)),
    }
    // Who holds it is for people only; the lock itself is the kernel's.
    let _ = file.set_len(0);
    let _ = write!(file, "{}", std::process::id());
    Ok(Lock(file))
}

fn held(dir: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let _ = file.rewind();
    let _ = file.take(20).read_to_string(&mut text);
    let who = match text.trim().parse::<u32>() {
        Ok(pid) => format!("another penstock (pid {pid})"),
        Err(_) => "another penstock".to_string(),
    };
    Error::new(
        Kind::Store,
        format!("{who} holds the state directory {}", dir.display()),
    )
    .with_remedy("stop the other one, or give this one a directory of its own in [state] path; where it is a service that is to copy everything again: `penstock resnapshot --all`, then restart it")
}

/// An error of kind `Store` for a file.
pub(super) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::new(Kind::Store, format!("could not {what} {}", path.display())).with_source(error)
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_free_while_a_child_is_about_to_start() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        // What a child has between its fork and the start of its program.
        let inherited = held.0.try_clone().unwrap();
        assert!(lock(dir.path()).is_err());
        drop(held);
        drop(lock(dir.path()).unwrap());
        drop(inherited);
    }
}
