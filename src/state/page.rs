//! Pages: memory, scratch and base as one ordered map, the newest version of a key winning.

use std::iter::Peekable;
use std::ops::Bound;
use std::sync::PoisonError;

use fjall::{UserKey, UserValue};

use super::overlay::{Key, Slot};
use super::store::Shared;
use crate::error::Result;

/// Entries of one layer in key order; no value: deleted.
pub(super) type Entries<'a> = Box<dyn Iterator<Item = Result<(UserKey, Option<UserValue>)>> + 'a>;

/// How many entries are taken from memory at a time, at least.
const CHUNK: usize = 64;
/// And at most: what the writer copies for a page.
const MOST: usize = 1_024;

/// The first bytes that no key with this prefix reaches; `prefix` begins with a space other than the last.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

/// Tells the live entries with `prefix`, from `from` on, to `each`, at most `limit`; true: there may be more.
pub(super) fn page(
    shared: &Shared,
    prefix: &[u8],
    mut from: Bound<Vec<u8>>,
    limit: usize,
    each: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<bool> {
    let upto = end_of(prefix);
    let mut left = limit;
    loop {
        // Memory first: what leaves it later is in the layers below by then.
        let (memory, covered) = shared
            .overlay
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .range(
                prefix,
                from.as_ref().map(Vec::as_slice),
                limit.saturating_add(1).clamp(CHUNK, MOST),
            );
        let scratch = shared.scratch();
        let lower: Entries<'_> = match &scratch {
            Some(scratch) => scratch.range(from.clone(), upto.clone()),
            None => Box::new(std::iter::empty()),
        };
        let mut layers = Layers {
            memory: memory.into_iter().peekable(),
            scratch: lower.peekable(),
            base: shared.base.range(from.clone(), upto.clone()).peekable(),
        };
        while let Some((key, value)) = layers.next(covered.as_deref())? {
            let Some(value) = value else { continue };
            if left == 0 {
                return Ok(true);
            }
            left -= 1;
            each(key.bytes(), value.bytes());
        }
        match covered {
            None => return Ok(false),
            Some(key) => from = Bound::Excluded(key.to_vec()),
        }
    }
}

struct Layers<'a> {
    memory: Peekable<std::vec::IntoIter<(Key, Slot)>>,
    scratch: Peekable<Entries<'a>>,
    base: Peekable<Entries<'a>>,
}

/// Bytes of memory or of a database.
enum Bytes {
    Memory(Key),
    Disk(UserKey),
}

impl Bytes {
    fn bytes(&self) -> &[u8] {
        match self {
            Bytes::Memory(bytes) => bytes,
            Bytes::Disk(bytes) => bytes,
        }
    }
}

impl Layers<'_> {
    /// The next key, up to and including `covered`, with its newest version.
    fn next(&mut self, covered: Option<&[u8]>) -> Result<Option<(Bytes, Option<Bytes>)>> {
        let scratch_key = peeked(&mut self.scratch)?;
        let base_key = peeked(&mut self.base)?;
        let memory_key = self.memory.peek().map(|(key, _)| &key[..]);
        let keys = [memory_key, scratch_key, base_key];
        let Some(lowest) = keys.into_iter().flatten().min() else {
            return Ok(None);
        };
        if covered.is_some_and(|covered| lowest > covered) {
            return Ok(None);
        }
        let [in_memory, in_scratch, in_base] = keys.map(|key| key == Some(lowest));
        let from_memory = if in_memory { self.memory.next() } else { None };
        let from_scratch = if in_scratch {
            self.scratch.next()
        } else {
            None
        };
        let from_base = if in_base { self.base.next() } else { None };
        if let Some((key, value)) = from_memory {
            return Ok(Some((Bytes::Memory(key), value.map(Bytes::Memory))));
        }
        match from_scratch.or(from_base) {
            None => Ok(None),
            Some(entry) => {
                let (key, value) = entry?;
                Ok(Some((Bytes::Disk(key), value.map(Bytes::Disk))))
            }
        }
    }
}

fn peeked<'p>(entries: &'p mut Peekable<Entries<'_>>) -> Result<Option<&'p [u8]>> {
    if matches!(entries.peek(), Some(Err(_))) {
        if let Some(Err(error)) = entries.next() {
            return Err(error);
        }
        return Ok(None);
    }
    match entries.peek() {
        Some(Ok((key, _))) => Ok(Some(key)),
        _ => Ok(None),
    }
}
