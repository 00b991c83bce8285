//! The mirror: what the store holds, in two files that a person can read and that rebuild it.
//!
//! `checkpoint.json` is written with every commit, `dead-letters.json` before it where dead letters changed. Both are
//! replaced whole.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::opening::is_the_disks;
use super::{Checkpoint, DeadLetter, FORMAT_VERSION, files, frame};
use crate::error::{Error, Kind, Result};

/// How many dead letters the mirror holds; the store itself holds all.
pub(super) const LETTERS: usize = 10_000;

/// The content of `checkpoint.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Content {
    /// Counts commits: the store is never behind it.
    pub generation: u64,
    /// `None` after a reset.
    pub checkpoint: Option<Checkpoint>,
    /// All dead letters that the store holds.
    pub dead_letters: u64,
}

/// The content of `dead-letters.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Letters {
    pub total: u64,
    /// The first of them, at most [`LETTERS`].
    pub letters: Vec<DeadLetter>,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Read<T> {
    Missing,
    Found(T),
    /// Written by a newer version.
    Newer(u32),
    /// Why it cannot be used.
    Unreadable(String),
    /// It may be whole, and we may not read it.
    Refused(Error),
}

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    format: u32,
    sha256: String,
    content: T,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

pub(super) struct Mirror {
    checkpoint: PathBuf,
    letters: PathBuf,
}

impl Mirror {
    pub(super) fn new(dir: &Path) -> Self {
        Self {
            checkpoint: dir.join("checkpoint.json"),
            letters: dir.join("dead-letters.json"),
        }
    }

    pub(super) fn write(&self, content: &Content) -> Result<()> {
        write(&self.checkpoint, content)
    }

    pub(super) fn write_letters(&self, letters: &Letters) -> Result<()> {
        write(&self.letters, letters)
    }

    pub(super) fn read(&self) -> Read<Content> {
        read(&self.checkpoint)
    }

    pub(super) fn read_letters(&self) -> Read<Letters> {
        read(&self.letters)
    }

    pub(super) fn set_aside(&self, stamp: u64) -> Result<()> {
        files::set_aside(&self.checkpoint, stamp)?;
        files::set_aside(&self.letters, stamp)?;
        Ok(())
    }
}

/// What the mirror in a state directory says: the checkpoint, and how many dead letters there are. Nobody has to let go of
/// the store for it.
///
/// # Errors
/// `Store` where there is a mirror that cannot be read.
pub fn mirrored(dir: &Path) -> Result<Option<(Checkpoint, u64)>> {
    let unreadable = |reason: String| {
        let what = format!("{}: {reason}", dir.join("checkpoint.json").display());
        Err(Error::new(Kind::Store, what))
    };
    match Mirror::new(dir).read() {
        Read::Missing => Ok(None),
        Read::Found(content) => {
            let letters = content.dead_letters;
            Ok(content.checkpoint.map(|checkpoint| (checkpoint, letters)))
        }
        Read::Newer(format) => unreadable(format!("its format {format} is of a newer penstock")),
        Read::Unreadable(reason) => unreadable(reason),
        Read::Refused(error) => Err(error),
    }
}

fn write<T: Serialize>(path: &Path, content: &T) -> Result<()> {
    let sealed = Sealed {
        format: FORMAT_VERSION,
        sha256: frame::sum_text(&json(content)?),
        content,
    };
    let mut text = serde_json::to_vec_pretty(&sealed).map_err(encoding)?;
    text.push(b'\n');
    files::replace(path, &text)
}

fn read<T: Serialize + for<'de> Deserialize<'de>>(path: &Path) -> Read<T> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Read::Missing,
        Err(e) if is_the_disks(&e) => return Read::Refused(files::failed("read", path, e)),
        Err(e) => return Read::Unreadable(e.to_string()),
    };
    match serde_json::from_slice::<Format>(&text) {
        Ok(found) if found.format > FORMAT_VERSION => return Read::Newer(found.format),
        Ok(_) => {}
        // serde's message may quote what it found, and that may be a row's key.
        Err(_) => return Read::Unreadable("it is not the JSON that penstock writes".into()),
    }
    let Ok(sealed) = serde_json::from_slice::<Sealed<T>>(&text) else {
        return Read::Unreadable("it is not the JSON that penstock writes".into());
    };
    match json(&sealed.content) {
        Ok(bytes) if frame::sum_text(&bytes) == sealed.sha256 => Read::Found(sealed.content),
        _ => Read::Unreadable("its checksum does not hold".into()),
    }
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(encoding)
}

fn encoding(error: serde_json::Error) -> Error {
    Error::new(
        crate::error::Kind::Internal,
        "a checkpoint could not be encoded",
    )
    .with_source(error)
}
