//! What stands in the tree: a head, one entry for each table, one for each dead letter, each with its checksum.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::DeadLetter;
use super::{Checkpoint, FORMAT_VERSION, TableProgress, dead_letter, frame, mirror};
use crate::error::{Error, Kind, Result};

const HEAD: &[u8] = b"head";
const TABLE: &[u8] = b"t";

/// What the last commit left, so that a commit writes only what differs.
#[derive(Default, Clone)]
pub(super) struct Committed {
    pub(super) generation: u64,
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) letters: u64,
    /// A write failed: what the store holds is known again after it has been reopened.
    pub(super) unsure: bool,
}

/// The part of a checkpoint that is written with every commit; each table has a key of its own.
#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    generation: u64,
    checkpoint: Option<Checkpoint>,
    /// How many tables there must be.
    tables: usize,
}

#[derive(Deserialize)]
struct HeadFormat {
    format: u32,
}

/// Why a sled cannot be used.
pub(super) enum Damage {
    /// It may be replaced by its mirror.
    Unusable(String),
    /// It must be left alone.
    Refused(Error),
}

pub(super) fn read_committed(db: &sled::Db) -> Result<Committed, Damage> {
    let unusable = |e: sled::Error| Damage::Unusable(format!("it cannot be read: {e}"));
    let mut committed = Committed::default();
    let Some(bytes) = db.get(HEAD).map_err(unusable)? else {
        return match db.iter().next() {
            None => Ok(committed),
            Some(_) => Err(Damage::Unusable("its head is missing".to_string())),
        };
    };
    let format: HeadFormat = decode(&bytes).map_err(Damage::Unusable)?;
    if format.format > FORMAT_VERSION {
        return Err(Damage::Refused(newer(
            Path::new("the store"),
            format.format,
        )));
    }
    let head: Head = decode(&bytes).map_err(Damage::Unusable)?;
    let mut tables: Vec<TableProgress> = Vec::new();
    for entry in db.scan_prefix(TABLE) {
        let (_, value) = entry.map_err(unusable)?;
        tables.push(decode(&value).map_err(Damage::Unusable)?);
    }
    if tables.len() != head.tables {
        return Err(Damage::Unusable(
            "a table's progress is missing".to_string(),
        ));
    }
    for entry in db.scan_prefix(dead_letter::PREFIX) {
        let (_, value) = entry.map_err(unusable)?;
        decode::<DeadLetter>(&value).map_err(Damage::Unusable)?;
        committed.letters += 1;
    }
    committed.generation = head.generation;
    committed.checkpoint = head.checkpoint.map(|mut checkpoint| {
        checkpoint.snapshot = tables;
        checkpoint
    });
    Ok(committed)
}

pub(super) fn put_head(batch: &mut sled::Batch, committed: &Committed) -> Result<()> {
    let head = Head {
        format: FORMAT_VERSION,
        generation: committed.generation,
        tables: committed
            .checkpoint
            .as_ref()
            .map_or(0, |checkpoint| checkpoint.snapshot.len()),
        checkpoint: committed.checkpoint.as_ref().map(|checkpoint| Checkpoint {
            snapshot: Vec::new(),
            ..checkpoint.clone()
        }),
    };
    batch.insert(HEAD, frame::seal(&mirror::json(&head)?));
    Ok(())
}

/// Writes the tables that differ, and removes those that are no more.
pub(super) fn put_tables(
    batch: &mut sled::Batch,
    old: Option<&Checkpoint>,
    new: Option<&Checkpoint>,
) -> Result<()> {
    let old = old.map_or(&[][..], |checkpoint| &checkpoint.snapshot);
    let new = new.map_or(&[][..], |checkpoint| &checkpoint.snapshot);
    for (n, table) in new.iter().enumerate() {
        if old.get(n) != Some(table) {
            batch.insert(table_key(n), frame::seal(&mirror::json(table)?));
        }
    }
    for n in new.len()..old.len() {
        batch.remove(table_key(n));
    }
    Ok(())
}

/// By place in the list, so that the order comes back too.
fn table_key(n: usize) -> Vec<u8> {
    [TABLE, &(n as u64).to_be_bytes()].concat()
}

pub(super) fn decode<T: for<'de> Deserialize<'de>>(framed: &[u8]) -> Result<T, String> {
    let payload = frame::open(framed).ok_or("a checksum does not hold")?;
    serde_json::from_slice(payload).map_err(|_| "an entry does not decode".to_string())
}

pub(super) fn newer(place: &Path, format: u32) -> Error {
    Error::new(
        Kind::Store,
        format!(
            "{} was written by a newer penstock (format {format}, this one knows {FORMAT_VERSION})",
            place.display()
        ),
    )
    .with_remedy("run the newer version again; an older one must not go on from it")
}
