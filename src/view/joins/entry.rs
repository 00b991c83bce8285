//! What was written for a driving row, in as few bytes as tell it.
//!
//! The row's name, and the key of an item whose key is one of the driving row alone, follow from the row as the state has
//! it. They are put down at the last moment: when the row goes, or changes so that they do not follow from it any more.

use std::sync::Arc;

use bytes::Bytes;

use super::{Joins, corrupt, driven, misfit};
use crate::change::Row;
use crate::error::{Error, Result};
use crate::plan::SourceId;
use crate::view::program::Program;
use crate::view::scene::Scene;
use crate::view::source_key::source_key;
use crate::view::state::State;

pub(super) const HASH: usize = 16;

/// What a record holds, a bit each.
const HAS_HASH: u8 = 1;
const HAS_KEY: u8 = 2;
const HAS_NAME: u8 = 4;

/// What was written for a driving row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Of the item; nothing where claims decide whose item stands under the key.
    pub hash: Option<[u8; HASH]>,
    pub name: Arc<str>,
    pub key: Bytes,
    /// Whether all of it stands in the state.
    pub whole: bool,
}

/// An entry as it is kept: what does not stand in it follows from the row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub hash: Option<[u8; HASH]>,
    pub name: Option<Arc<str>>,
    pub key: Option<Bytes>,
}

impl Record {
    pub fn encode(&self) -> Vec<u8> {
        let name = self.name.as_deref().unwrap_or_default();
        let key = self.key.as_deref().unwrap_or_default();
        let mut bytes = Vec::with_capacity(1 + HASH + 2 + name.len() + key.len());
        let bit = |bit, is: bool| if is { bit } else { 0 };
        bytes.push(
            bit(HAS_HASH, self.hash.is_some())
                | bit(HAS_KEY, self.key.is_some())
                | bit(HAS_NAME, self.name.is_some()),
        );
        bytes.extend(self.hash.iter().flatten());
        if self.name.is_some() {
            let length = u16::try_from(name.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            let name = name.as_bytes();
            bytes.extend_from_slice(name.get(..usize::from(length)).unwrap_or(name));
        }
        bytes.extend_from_slice(key);
        bytes
    }

    fn of(entry: Entry) -> Self {
        Self {
            hash: entry.hash,
            name: Some(entry.name),
            key: Some(entry.key),
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let parts = || {
            let (has, mut rest) = bytes.split_first()?;
            let mut record = Self::default();
            if has & HAS_HASH != 0 {
                let (hash, after) = rest.split_first_chunk::<HASH>()?;
                (record.hash, rest) = (Some(*hash), after);
            }
            if has & HAS_NAME != 0 {
                let (length, after) = rest.split_first_chunk::<2>()?;
                let (name, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
                let name = std::str::from_utf8(name).ok()?;
                (record.name, rest) = (Some(Arc::from(name)), after);
            }
            if has & HAS_KEY != 0 {
                record.key = Some(Bytes::copy_from_slice(rest));
                rest = &[];
            }
            rest.is_empty().then_some(record)
        };
        parts().ok_or_else(|| corrupt("what was written for an item"))
    }

    /// The entry, where nothing is left to the row.
    pub fn whole(&self) -> Option<Entry> {
        Some(Entry {
            hash: self.hash,
            name: Arc::clone(self.name.as_ref()?),
            key: self.key.clone()?,
            whole: true,
        })
    }
}

impl Joins {
    /// What was written for a driving row.
    pub(super) fn entry(
        &mut self,
        state: &mut dyn State,
        projection: usize,
        row_key: &[u8],
    ) -> Result<Option<Entry>> {
        let Some(record) = self.record(state, projection, row_key)? else {
            return Ok(None);
        };
        if let Some(entry) = record.whole() {
            return Ok(Some(entry));
        }
        let driving = self.driving(projection)?;
        let mut bytes = Vec::new();
        if !state.get(self.spaces.rows(driving), row_key, &mut bytes)? {
            return Err(lost());
        }
        let row = self.decode(driving, &bytes)?;
        let name = source_key(self.plan.source(driving), &row);
        self.complete(record, projection, name, &row).map(Some)
    }

    /// The entry of a row that is as it was when its item was written, in all that the record leaves to it.
    pub(super) fn complete(
        &mut self,
        record: Record,
        projection: usize,
        name: Arc<str>,
        row: &Row<'_>,
    ) -> Result<Entry> {
        if let Some(entry) = record.whole() {
            return Ok(entry);
        }
        Ok(Entry {
            hash: record.hash,
            name: record.name.unwrap_or(name),
            key: match record.key {
                Some(key) => key,
                None => self.own_key(projection, row)?,
            },
            whole: false,
        })
    }

    pub(super) fn record(
        &self,
        state: &mut dyn State,
        projection: usize,
        row_key: &[u8],
    ) -> Result<Option<Record>> {
        let mut bytes = Vec::new();
        if !state.get(self.spaces.items(projection), row_key, &mut bytes)? {
            return Ok(None);
        }
        Record::decode(&bytes).map(Some)
    }

    /// Keeps what is now written for a row that the state has.
    pub(super) fn keep(
        &self,
        state: &mut dyn State,
        projection: usize,
        row_key: &[u8],
        hash: Option<[u8; HASH]>,
        key: &Bytes,
    ) -> Result<()> {
        let own = self.program(projection)?.has_own_key();
        let record = Record {
            hash,
            name: None,
            key: (!own).then(|| key.clone()),
        };
        state.put(self.spaces.items(projection), row_key, &record.encode())
    }

    /// Puts down what was written for a row that is about to be another one, or none: of each projection that it drives.
    /// `name` is the row's before; `renamed`: it has another one afterwards, or none.
    pub(super) fn put_down(
        &mut self,
        state: &mut dyn State,
        source: SourceId,
        row_key: &[u8],
        (before, name): (&Row<'_>, &Arc<str>),
        (after, renamed): (Option<&Row<'_>>, bool),
    ) -> Result<()> {
        let plan = Arc::clone(&self.plan);
        for projection in driven(&plan, source) {
            let program = self.program(projection)?;
            let same_key = after.is_some_and(|after| program.same_key(before, after));
            if !renamed && (same_key || !program.has_own_key()) {
                continue;
            }
            let Some(record) = self.record(state, projection, row_key)? else {
                continue;
            };
            let entry = self.complete(record, projection, Arc::clone(name), before)?;
            if !entry.whole {
                let space = self.spaces.items(projection);
                state.put(space, row_key, &Record::of(entry).encode())?;
            }
        }
        Ok(())
    }

    fn own_key(&mut self, projection: usize, row: &Row<'_>) -> Result<Bytes> {
        let lost = || corrupt("an item without the key that it was written under");
        let program = program(&self.programs, projection)?;
        if !program.has_own_key() {
            return Err(lost());
        }
        program
            .write_key(&self.plan, Scene::of(row), &mut self.work)
            .map_err(|_| lost())?;
        Ok(self.work.writer.closed())
    }

    pub(super) fn program(&self, projection: usize) -> Result<&Program> {
        program(&self.programs, projection)
    }

    pub(super) fn driving(&self, projection: usize) -> Result<SourceId> {
        let projection = self.plan.projections.get(projection);
        Ok(projection.ok_or_else(|| misfit("a projection"))?.driving)
    }
}

/// The state has an entry that leaves something to a row, and not the row.
pub(super) fn lost() -> Error {
    corrupt("an item whose row is gone")
}

/// The projection's program; of the programs alone, where it runs in the workspace beside them.
pub(super) fn program(programs: &[Option<Program>], projection: usize) -> Result<&Program> {
    let program = programs.get(projection).and_then(Option::as_ref);
    program.ok_or_else(|| misfit("a projection without a program"))
}
