//! Reading stored bytes: every step may find that there are not enough of them.

use super::LONG;

pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Input { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// A number of `length` bytes, little endian.
    pub fn uint(&mut self, length: u8) -> Option<u64> {
        let bytes = self.take(usize::from(length))?;
        let mut all = [0; 8];
        all.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(all))
    }

    /// Bytes whose length is in `upper`, or follows.
    pub fn bytes(&mut self, upper: u8) -> Option<&'a [u8]> {
        let length = match upper {
            LONG => self.varint()?,
            short => usize::from(short),
        };
        self.take(length)
    }

    /// As [`bytes`](Self::bytes), UTF-8.
    pub fn text(&mut self, upper: u8) -> Option<&'a str> {
        std::str::from_utf8(self.bytes(upper)?).ok()
    }

    fn varint(&mut self) -> Option<usize> {
        let mut number = 0_u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(number).ok();
            }
        }
        None
    }
}
