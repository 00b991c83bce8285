//! Reading the generated tables, and what they are looked up in.

/// The format that the generator (`tests/collations/generate.py`) writes.
const FORMAT: u8 = 1;

/// What a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Weights = 1,
    Maps = 2,
}

/// A table's content, number by number; `None` where it ends too early.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of a whole and undamaged table of this kind and of the format that is read here.
    pub fn open(table: &'a [u8], kind: Kind) -> Option<Self> {
        let rest = table.strip_prefix(b"PCOL")?;
        let (head, rest) = rest.split_first_chunk::<2>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (checksum, content) = rest.split_first_chunk::<4>()?;
        let whole = *head == [FORMAT, kind as u8]
            && usize::try_from(u32::from_le_bytes(*length)) == Ok(content.len())
            && u32::from_le_bytes(*checksum) == fnv1a(content);
        whole.then_some(Self(content))
    }

    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }

    pub fn number(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(value).ok();
            }
        }
        None
    }

    pub fn count(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    pub fn weight(&mut self) -> Option<u16> {
        u16::try_from(self.number()?).ok()
    }

    /// What has to be added, wrapping.
    pub fn signed(&mut self) -> Option<u32> {
        let value = self.number()?;
        Some((value >> 1) ^ 0_u32.wrapping_sub(value & 1))
    }

    pub fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

fn fnv1a(bytes: &[u8]) -> u32 {
    let step = |sum: u32, &byte: &u8| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}

/// A number for each of some code points.
#[derive(Default)]
pub(super) struct Pages {
    /// The page of each 256 code points, counted from 1; 0 where there is none.
    index: Vec<u16>,
    cells: Vec<u32>,
}

const PAGE: usize = 256;

impl Pages {
    /// `value` must not be 0, which says that there is none.
    pub fn set(&mut self, code: u32, value: u32) -> Option<()> {
        let (page, place) = split(code);
        if self.index.len() <= page {
            self.index.resize(page + 1, 0);
        }
        let number = self.index.get_mut(page)?;
        if *number == 0 {
            self.cells.resize(self.cells.len() + PAGE, 0);
            *number = u16::try_from(self.cells.len() / PAGE).ok()?;
        }
        let start = (usize::from(*number) - 1) * PAGE;
        *self.cells.get_mut(start + place)? = value;
        Some(())
    }

    #[inline]
    pub fn get(&self, code: u32) -> Option<u32> {
        let (page, place) = split(code);
        let number = usize::from(*self.index.get(page)?);
        let start = number.checked_sub(1)? * PAGE;
        let value = *self.cells.get(start + place)?;
        (value != 0).then_some(value)
    }
}

#[inline]
fn split(code: u32) -> (usize, usize) {
    ((code >> 8) as usize, (code & 0xff) as usize)
}
