//! Reads numbers and slices from the front of a byte slice; never beyond its end.

use super::DecodeError;

type Result<T> = std::result::Result<T, Unread>;

/// Why nothing was read. Small: it is part of what every read of a row image returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    Truncated(&'static str),
    Malformed(&'static str),
}

impl From<Unread> for DecodeError {
    #[cold]
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Truncated(what) => DecodeError::truncated(what),
            Unread::Malformed(what) => DecodeError::malformed(what),
        }
    }
}

/// The bytes that are still to be read, and what they are part of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Goes on at `rest`, which is an end of [`Self::rest`].
    pub fn rewind(&mut self, rest: &'a [u8]) {
        self.rest = rest;
    }

    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Unread::Truncated(self.what)),
        }
    }

    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(Unread::Truncated(self.what)),
        }
    }

    #[inline]
    pub fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// An unsigned little endian number of 0 to 8 bytes.
    #[inline]
    pub fn uint(&mut self, bytes: usize) -> Result<u64> {
        match bytes {
            1 => self.u8().map(u64::from),
            2 => self.u16().map(u64::from),
            4 => self.u32().map(u64::from),
            8 => self.array().map(u64::from_le_bytes),
            other => Ok(self
                .take(other.min(8))?
                .iter()
                .rev()
                .fold(0, |number, &byte| number << 8 | u64::from(byte))),
        }
    }

    /// A length-encoded integer: one byte below 251, else 2, 3 or 8 bytes after a marker.
    #[inline]
    pub fn packed(&mut self) -> Result<u64> {
        match self.u8()? {
            small @ 0..=250 => Ok(u64::from(small)),
            252 => self.uint(2),
            253 => self.uint(3),
            254 => self.uint(8),
            _ => Err(Unread::Malformed("a length that is none")),
        }
    }

    /// A packed integer that counts or measures something in memory.
    #[inline]
    pub fn packed_len(&mut self) -> Result<usize> {
        usize::try_from(self.packed()?).map_err(|_| Unread::Truncated(self.what))
    }

    /// A packed length and as many bytes.
    #[inline]
    pub fn packed_bytes(&mut self) -> Result<&'a [u8]> {
        let length = self.packed_len()?;
        self.take(length)
    }
}
