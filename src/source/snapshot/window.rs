//! What a snapshot worker and the view say to each other about a chunk.
//!
//! While a window is open the view records every key of the table that the stream touches; when the stream has passed
//! the chunk's high watermark, the chunk's rows whose keys were not touched become items, and the window closes.

use std::collections::HashSet;

use tokio::sync::oneshot;

use super::progress::Assignment;
use crate::change::Value;
use crate::plan::SourceId;
use crate::position::GtidSet;
use crate::view::cascade::{Effect, Notes};

/// How many touched keys a window may record before it is void: its chunk is read again later.
const MAX_TOUCHED: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };
/// The same in bytes.
const MAX_TOUCHED_BYTES: usize = 32 << 20;

/// A row as the text protocol gives it: for each slot of the plan's source table the bytes, or NULL.
pub type RawRow = Vec<Option<Vec<u8>>>;

/// From a worker to the view.
pub enum Request {
    /// Record what the stream touches from now on; the answer names the window and what the stream has received.
    Open {
        source: SourceId,
        reply: oneshot::Sender<Opened>,
    },
    /// The rows, read after everything in [`Opened::received`] was visible, and what was executed afterwards.
    Chunk {
        window: u64,
        assignment: Assignment,
        rows: Vec<RawRow>,
        high: GtidSet,
        reply: oneshot::Sender<Emitted>,
    },
    /// The chunk will not come.
    Abandon { window: u64 },
}

/// An open window.
pub struct Opened {
    pub window: u64,
    pub received: GtidSet,
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emitted {
    /// Its rows are on their way to DynamoDB.
    Accepted,
    /// The stream touched too much meanwhile: read the range again.
    Void,
}

/// The keys that the stream touched in one window.
pub struct Window {
    pub id: u64,
    pub source: SourceId,
    touched: HashSet<Box<[u8]>, ahash::RandomState>,
    bytes: usize,
    void: bool,
    cascades: Notes,
}

impl Window {
    pub fn new(id: u64, source: SourceId) -> Self {
        Self {
            id,
            source,
            touched: HashSet::default(),
            bytes: 0,
            void: false,
            cascades: Notes::default(),
        }
    }

    /// A cascade through a foreign key changed rows of this key, which are perhaps in the chunk.
    pub fn cascade(&mut self, foreign_key: usize, key: &[u8], effect: &Effect) {
        if !self.void && !self.cascades.push(foreign_key, key, effect) {
            self.spoil();
        }
    }

    /// The cascades into the table since the window was opened.
    pub fn cascades(&self) -> &Notes {
        &self.cascades
    }

    /// The chunk is to be read again, whatever comes.
    pub fn spoil(&mut self) {
        self.void = true;
        self.touched = HashSet::default();
        self.cascades = Notes::default();
    }

    /// The stream changed the row of this key.
    pub fn touch(&mut self, key: &[u8]) {
        if self.void || self.touched.contains(key) {
            return;
        }
        self.bytes += key.len() + 48;
        if self.touched.len() >= MAX_TOUCHED || self.bytes > MAX_TOUCHED_BYTES {
            self.spoil();
            return;
        }
        self.touched.insert(key.into());
    }

    pub fn is_touched(&self, key: &[u8]) -> bool {
        self.touched.contains(key)
    }

    /// More keys were touched than may be remembered.
    pub fn is_void(&self) -> bool {
        self.void
    }
}

/// Writes the row's key into `out`, unambiguously: two rows have the same bytes exactly when their key values are the same.
pub fn encode_key<'v>(values: impl Iterator<Item = &'v Value<'v>>, out: &mut Vec<u8>) {
    out.clear();
    for value in values {
        match value {
            Value::Null => out.push(0),
            Value::Int(n) => fixed(out, 1, &n.to_le_bytes()),
            Value::UInt(n) | Value::Bit(n) => fixed(out, 2, &n.to_le_bytes()),
            Value::Float(f) => fixed(out, 3, &f.to_le_bytes()),
            Value::Double(f) => fixed(out, 4, &f.to_le_bytes()),
            Value::Year(y) => fixed(out, 5, &y.to_le_bytes()),
            Value::Decimal(t) => counted(out, 6, t.text().as_bytes()),
            Value::Json(t) => counted(out, 6, t.text().as_bytes()),
            Value::Text(t) => match t.codes() {
                None => counted(out, 6, t.as_bytes()),
                Some(codes) => counted(out, 10, codes),
            },
            Value::Set(t) => counted(out, 6, t.as_bytes()),
            Value::Bytes(b) | Value::Geometry(b) | Value::Vector(b) => counted(out, 7, b),
            Value::Date(t) | Value::DateTime(t) | Value::Timestamp(t) => {
                out.push(8);
                out.extend_from_slice(&t.year.to_le_bytes());
                out.extend_from_slice(&[t.month, t.day, t.hour, t.minute, t.second]);
                out.extend_from_slice(&t.micros.to_le_bytes());
            }
            Value::Time(t) => {
                out.push(9);
                out.push(u8::from(t.negative));
                out.extend_from_slice(&t.hours.to_le_bytes());
                out.extend_from_slice(&[t.minutes, t.seconds]);
                out.extend_from_slice(&t.micros.to_le_bytes());
            }
        }
    }
}

fn fixed(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(bytes);
}

fn counted(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(parts: &[&str]) -> Vec<u8> {
        let values: Vec<Value<'_>> = parts.iter().map(|p| Value::Text((*p).into())).collect();
        let mut out = Vec::new();
        encode_key(values.iter(), &mut out);
        out
    }

    #[test]
    fn keys_with_separators_inside_stay_apart() {
        assert_ne!(key(&["a,b", "c"]), key(&["a", "b,c"]));
        assert_ne!(key(&["", "a"]), key(&["a", ""]));
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
    }

    #[test]
    fn a_window_that_would_remember_too_much_is_void_and_frees_its_memory() {
        let mut window = Window::new(1, SourceId(0));
        for n in 0..=MAX_TOUCHED as u64 {
            window.touch(&n.to_le_bytes());
        }
        assert!(window.is_void());
        assert_eq!(window.touched.capacity(), 0);
    }
}
