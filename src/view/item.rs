//! Writes an item as DynamoDB's wire has it, and counts its size as DynamoDB does.
//!
//! One buffer is used for item after item; nothing is built in between. The size is known while writing, so that an
//! item that would be too large ends early.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use crate::plan::MAX_ITEM_BYTES;

use super::number::Number;
use super::reason::Fault;

/// A partition key's longest value in bytes.
pub const MAX_PARTITION_KEY_BYTES: usize = 2048;
/// A sort key's longest value in bytes.
pub const MAX_SORT_KEY_BYTES: usize = 1024;
/// The longest name of an attribute or of a map's member in bytes; the empty name is refused too.
pub const MAX_NAME_BYTES: usize = 65_535;
/// How deep values may be nested: an attribute's own value is at level 1, the members of a map in it at level 2, and
/// nothing, scalars included, may be at a level beyond this.
pub const MAX_DEPTH: usize = 32;
/// What DynamoDB adds for a map or a list.
const CONTAINER_BYTES: usize = 3;
/// What DynamoDB adds for each element of a map or a list.
const ELEMENT_BYTES: usize = 1;

/// An attribute's name, ready to be written.
#[derive(Debug, Clone)]
pub(super) struct Name {
    /// `"name":`
    json: Vec<u8>,
    /// UTF-8 bytes of the name itself.
    bytes: usize,
}

impl Name {
    pub(super) fn new(name: &str) -> Self {
        let mut json = Vec::with_capacity(name.len() + 3);
        write_json_string(name, &mut json);
        json.push(b':');
        Self {
            json,
            bytes: name.len(),
        }
    }
}

/// The item under construction.
#[derive(Debug, Default)]
pub(super) struct ItemWriter {
    buffer: Vec<u8>,
    size: usize,
    /// Room for base64.
    encoded: String,
}

/// A place in the item to go back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    length: usize,
    size: usize,
}

impl ItemWriter {
    /// Starts an item.
    pub(super) fn start(&mut self) {
        self.buffer.clear();
        self.buffer.push(b'{');
        self.size = 0;
    }

    /// The item's size as DynamoDB counts it.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// What has been written, closed: the item, or its key while only key attributes have been written.
    pub(super) fn closed(&mut self) -> bytes::Bytes {
        self.buffer.push(b'}');
        let bytes = bytes::Bytes::copy_from_slice(&self.buffer);
        self.buffer.pop();
        bytes
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            length: self.buffer.len(),
            size: self.size,
        }
    }

    /// Forgets what was written since `mark`.
    pub(super) fn rewind(&mut self, mark: Mark) {
        self.buffer.truncate(mark.length);
        self.size = mark.size;
    }

    /// The name of the attribute whose value follows.
    pub(super) fn name(&mut self, name: &Name) -> Result<(), Fault> {
        self.grow(name.bytes)?;
        if self.buffer.len() > 1 {
            self.buffer.push(b',');
        }
        self.buffer.extend_from_slice(&name.json);
        Ok(())
    }

    pub(super) fn null(&mut self) -> Result<(), Fault> {
        self.grow(1)?;
        self.raw(b"{\"NULL\":true}");
        Ok(())
    }

    pub(super) fn boolean(&mut self, value: bool) -> Result<(), Fault> {
        self.grow(1)?;
        self.raw(if value {
            b"{\"BOOL\":true}"
        } else {
            b"{\"BOOL\":false}"
        });
        Ok(())
    }

    pub(super) fn string(&mut self, text: &str) -> Result<(), Fault> {
        self.grow(text.len())?;
        self.raw(b"{\"S\":");
        write_json_string(text, &mut self.buffer);
        self.raw(b"}");
        Ok(())
    }

    pub(super) fn number(&mut self, number: &Number) -> Result<(), Fault> {
        number.check()?;
        self.grow(number.size())?;
        self.raw(b"{\"N\":\"");
        number.write_canonical(&mut self.buffer);
        self.raw(b"\"}");
        Ok(())
    }

    /// What [`number`](Self::number) writes for a whole number, without taking it apart.
    pub(super) fn integer(&mut self, negative: bool, magnitude: u64) -> Result<(), Fault> {
        let mut text = [b'0'; 20];
        let mut start = text.len();
        let mut rest = magnitude;
        while rest > 0 || start == text.len() {
            start -= 1;
            text[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let digits = &text[start..];
        let zeros = digits.iter().rev().take_while(|digit| **digit == b'0');
        let significant = digits.len() - zeros.count();
        self.grow(1 + usize::from(negative) + significant.div_ceil(2))?;
        self.raw(if negative {
            b"{\"N\":\"-"
        } else {
            b"{\"N\":\""
        });
        self.raw(digits);
        self.raw(b"\"}");
        Ok(())
    }

    pub(super) fn binary(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.grow(bytes.len())?;
        self.raw(b"{\"B\":");
        self.base64(bytes);
        self.raw(b"}");
        Ok(())
    }

    /// Starts a set of `tag` (SS, NS, BS). Each member follows by its own call; the caller keeps them unique.
    pub(super) fn open_set(&mut self, tag: &str) {
        self.raw(b"{\"");
        self.raw(tag.as_bytes());
        self.raw(b"\":[");
    }

    pub(super) fn string_member(&mut self, first: bool, text: &str) -> Result<(), Fault> {
        self.grow(text.len())?;
        self.comma(first);
        write_json_string(text, &mut self.buffer);
        Ok(())
    }

    pub(super) fn number_member(&mut self, first: bool, number: &Number) -> Result<(), Fault> {
        self.grow(number.size())?;
        self.comma(first);
        self.raw(b"\"");
        number.write_canonical(&mut self.buffer);
        self.raw(b"\"");
        Ok(())
    }

    pub(super) fn binary_member(&mut self, first: bool, bytes: &[u8]) -> Result<(), Fault> {
        self.grow(bytes.len())?;
        self.comma(first);
        self.base64(bytes);
        Ok(())
    }

    pub(super) fn close_set(&mut self) {
        self.raw(b"]}");
    }

    pub(super) fn open_map(&mut self) -> Result<(), Fault> {
        self.grow(CONTAINER_BYTES)?;
        self.raw(b"{\"M\":{");
        Ok(())
    }

    /// The name of a map's member; its value follows.
    pub(super) fn member(&mut self, first: bool, name: &str) -> Result<(), Fault> {
        self.grow(name.len() + ELEMENT_BYTES)?;
        self.comma(first);
        write_json_string(name, &mut self.buffer);
        self.raw(b":");
        Ok(())
    }

    pub(super) fn close_map(&mut self) {
        self.raw(b"}}");
    }

    pub(super) fn open_list(&mut self) -> Result<(), Fault> {
        self.grow(CONTAINER_BYTES)?;
        self.raw(b"{\"L\":[");
        Ok(())
    }

    /// Before each element of a list.
    pub(super) fn element(&mut self, first: bool) -> Result<(), Fault> {
        self.grow(ELEMENT_BYTES)?;
        self.comma(first);
        Ok(())
    }

    pub(super) fn close_list(&mut self) {
        self.raw(b"]}");
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Fault> {
        let size = self.size.saturating_add(bytes);
        if size > MAX_ITEM_BYTES {
            return Err(Fault::ItemTooLarge);
        }
        self.size = size;
        Ok(())
    }

    fn comma(&mut self, first: bool) {
        if !first {
            self.buffer.push(b',');
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Base64 in quotes.
    fn base64(&mut self, bytes: &[u8]) {
        self.encoded.clear();
        STANDARD.encode_string(bytes, &mut self.encoded);
        self.buffer.push(b'"');
        self.buffer.extend_from_slice(self.encoded.as_bytes());
        self.buffer.push(b'"');
    }
}

/// Appends `text` as a JSON string.
pub(super) fn write_json_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, tail) = rest.split_at(plain(rest));
        out.extend_from_slice(plain);
        let Some((byte, tail)) = tail.split_first() else {
            break;
        };
        rest = tail;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
    }
    out.push(b'"');
}

/// How many bytes at the front stand in a JSON string as they are.
fn plain(bytes: &[u8]) -> usize {
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // Without a branch for each byte, so that several are looked at together.
    let clean = |chunk: &&[u8]| !chunk.iter().fold(false, |found, b| found | special(*b));
    let start = 32 * bytes.chunks_exact(32).take_while(clean).count();
    let rest = &bytes[start..];
    start + rest.iter().position(|b| special(*b)).unwrap_or(rest.len())
}
