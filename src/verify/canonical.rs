//! Attribute values in one form of bytes: equal values have equal bytes, whoever wrote them.
//!
//! A value is its tag, the length of what follows, and that: text as UTF-8, a number as `[-]digits` and `eN` without zeros at
//! either end, bytes as they are. A map's members are ordered, a set's too and each there once. An item is what a map holds.
//!
//! Nothing of `view` is used: what writes items must not be what says whether they are right.

use std::ops::Range;

/// An item's largest size as DynamoDB counts it.
const LARGEST_ITEM: usize = 400 * 1024;
const MOST_DIGITS: usize = 38;
const EXPONENTS: std::ops::RangeInclusive<i64> = -130..=125;
/// DynamoDB counts so much for a map or list, and so much for each of its elements.
const CONTAINER: usize = 3;
const ELEMENT: usize = 1;

/// The tag of a value: what DynamoDB calls its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    S = b'S',
    N = b'N',
    B = b'B',
    Bool = b'T',
    Null = b'0',
    M = b'M',
    L = b'L',
    SS = b's',
    NS = b'n',
    BS = b'b',
}

impl Tag {
    /// By its name on DynamoDB's wire.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "S" => Tag::S,
            "N" => Tag::N,
            "B" => Tag::B,
            "BOOL" => Tag::Bool,
            "NULL" => Tag::Null,
            "M" => Tag::M,
            "L" => Tag::L,
            "SS" => Tag::SS,
            "NS" => Tag::NS,
            "BS" => Tag::BS,
            _ => return None,
        })
    }

    fn of(byte: u8) -> Option<Self> {
        [
            Tag::S,
            Tag::N,
            Tag::B,
            Tag::Bool,
            Tag::Null,
            Tag::M,
            Tag::L,
            Tag::SS,
            Tag::NS,
            Tag::BS,
        ]
        .into_iter()
        .find(|tag| *tag as u8 == byte)
    }
}

/// This cannot be a value in DynamoDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

/// Puts values behind each other into a buffer, and counts their size as DynamoDB does.
#[derive(Debug, Default)]
pub struct Writer {
    pub bytes: Vec<u8>,
    /// Of the item at hand.
    pub size: usize,
    spare: Vec<u8>,
}

/// The place of a length that is known later.
#[derive(Debug, Clone, Copy)]
pub struct Open(usize);

impl Writer {
    /// An item begins.
    pub fn start(&mut self) -> usize {
        self.size = 0;
        self.bytes.len()
    }

    pub fn is_too_large(&self) -> bool {
        self.size > LARGEST_ITEM
    }

    /// The name of an attribute, or of a map's member; its value follows.
    pub fn name(&mut self, name: &[u8]) {
        self.size += name.len();
        self.length(name.len());
        self.bytes.extend_from_slice(name);
    }

    pub fn scalar(&mut self, tag: Tag, payload: &[u8]) {
        self.size += payload.len().max(1);
        self.bytes.push(tag as u8);
        self.length(payload.len());
        self.bytes.extend_from_slice(payload);
    }

    /// S and B: an empty one has no size.
    pub fn text(&mut self, tag: Tag, payload: &[u8]) {
        self.size += payload.len();
        self.bytes.push(tag as u8);
        self.length(payload.len());
        self.bytes.extend_from_slice(payload);
    }

    pub fn number(&mut self, text: &[u8]) -> Result<(), Invalid> {
        let open = self.open(Tag::N);
        self.size += number(text, &mut self.bytes)?;
        self.close(open);
        Ok(())
    }

    /// A map, a list or a set begins.
    pub fn open(&mut self, tag: Tag) -> Open {
        if matches!(tag, Tag::M | Tag::L) {
            self.size += CONTAINER;
        }
        self.bytes.push(tag as u8);
        self.length(0);
        Open(self.bytes.len())
    }

    /// An element of a map or list follows.
    pub fn element(&mut self) {
        self.size += ELEMENT;
    }

    pub fn close(&mut self, open: Open) {
        let length = u32::try_from(self.bytes.len() - open.0).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(open.0 - 4..open.0) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    /// Brings pieces of the buffer's end into this order: `pieces` cover it from `start` on.
    pub fn reorder(&mut self, start: usize, pieces: &[Range<usize>]) {
        self.spare.clear();
        for piece in pieces {
            if let Some(bytes) = self.bytes.get(piece.clone()) {
                self.spare.extend_from_slice(bytes);
            }
        }
        self.bytes.truncate(start);
        self.bytes.extend_from_slice(&self.spare);
    }

    /// Orders the members of a map that were written from `start` on, each from the place in `members` to the next one.
    /// Two members of one name are refused.
    pub fn order_members(&mut self, start: usize, members: &[usize]) -> Result<(), Invalid> {
        let mut pieces = self.pieces(members);
        let bytes = &self.bytes;
        let name = |piece: &Range<usize>| {
            let rest = bytes.get(piece.clone()).unwrap_or_default();
            take(rest).map_or(&[][..], |(name, _)| name)
        };
        if pieces
            .windows(2)
            .all(|w| compare_names(name(&w[0]), name(&w[1])).is_lt())
        {
            return Ok(());
        }
        pieces.sort_by(|a, b| compare_names(name(a), name(b)));
        if pieces.windows(2).any(|w| name(&w[0]) == name(&w[1])) {
            return Err(Invalid);
        }
        self.reorder(start, &pieces);
        Ok(())
    }

    /// Orders the members of a set, and drops those that are there already.
    pub fn order_set(&mut self, start: usize, members: &[usize]) {
        let mut pieces = self.pieces(members);
        let bytes = &self.bytes;
        let text = |piece: &Range<usize>| bytes.get(piece.clone()).unwrap_or_default();
        if pieces.windows(2).all(|w| text(&w[0]) < text(&w[1])) {
            return;
        }
        pieces.sort_by(|a, b| text(a).cmp(text(b)));
        pieces.dedup_by(|a, b| text(a) == text(b));
        self.reorder(start, &pieces);
    }

    /// A member of a set: its length and its bytes.
    pub fn member(&mut self, payload: &[u8]) {
        self.size += payload.len();
        self.length(payload.len());
        self.bytes.extend_from_slice(payload);
    }

    pub fn number_member(&mut self, text: &[u8]) -> Result<(), Invalid> {
        self.length(0);
        let open = Open(self.bytes.len());
        self.size += number(text, &mut self.bytes)?;
        self.close(open);
        Ok(())
    }

    fn pieces(&self, starts: &[usize]) -> Vec<Range<usize>> {
        let ends = starts.iter().skip(1).copied();
        starts
            .iter()
            .copied()
            .zip(ends.chain([self.bytes.len()]))
            .map(|(from, to)| from..to)
            .collect()
    }

    fn length(&mut self, length: usize) {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
    }
}

/// Shorter names first, as MySQL orders the members of an object.
pub fn compare_names(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// The bytes behind a length, and what follows them.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?);
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// A value: its tag and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    pub tag: Tag,
    pub payload: &'a [u8],
}

/// The value at the beginning of `bytes`, and what follows it.
pub fn value(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (payload, rest) = take(rest)?;
    let tag = Tag::of(*tag)?;
    Some((Value { tag, payload }, rest))
}

/// The members of an item or map, in their order: names with their values' bytes.
pub fn members(mut bytes: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    std::iter::from_fn(move || {
        let (name, rest) = take(bytes)?;
        let (_, after) = value(rest)?;
        let whole = rest.get(..rest.len() - after.len())?;
        bytes = after;
        Some((str::from_utf8(name).ok()?, whole))
    })
}

/// The values of a list, each with its bytes.
pub fn values(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (_, after) = value(bytes)?;
        let whole = bytes.get(..bytes.len() - after.len())?;
        bytes = after;
        Some(whole)
    })
}

/// The members of a set.
pub fn set(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (member, rest) = take(bytes)?;
        bytes = rest;
        Some(member)
    })
}

/// Names of the attributes that one item has and the other has not, or has otherwise.
pub fn different_attributes(a: &[u8], b: &[u8]) -> Vec<String> {
    let (mut a, mut b) = (members(a).peekable(), members(b).peekable());
    let mut names = Vec::new();
    loop {
        let order = match (a.peek(), b.peek()) {
            (None, None) => return names,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((x, _)), Some((y, _))) => compare_names(x.as_bytes(), y.as_bytes()),
        };
        let (x, y) = match order {
            std::cmp::Ordering::Less => (a.next(), None),
            std::cmp::Ordering::Greater => (None, b.next()),
            std::cmp::Ordering::Equal => (a.next(), b.next()),
        };
        if x != y
            && let Some((name, _)) = x.or(y)
        {
            names.push(name.to_owned());
        }
    }
}

/// Appends the number in its one form; what DynamoDB would not take is refused. Returns the bytes that it counts for it.
pub fn number(text: &[u8], out: &mut Vec<u8>) -> Result<usize, Invalid> {
    let text = text.trim_ascii();
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let end = rest.iter().position(|b| matches!(b, b'e' | b'E'));
    let (mantissa, exponent) = match end {
        Some(at) => (&rest[..at], whole(&rest[at + 1..])?),
        None => (rest, 0),
    };
    let start = out.len();
    if negative {
        out.push(b'-');
    }
    let digits_at = out.len();
    // The exponent of the last digit that was taken; zeros wait until a digit follows.
    let (mut zeros, mut fraction, mut seen, mut point) = (0_usize, false, false, exponent);
    for byte in mantissa {
        match byte {
            b'.' if !fraction => fraction = true,
            b'0'..=b'9' => {
                seen = true;
                point -= i64::from(fraction);
                if *byte != b'0' {
                    if out.len() - digits_at + zeros > 80 {
                        return Err(Invalid);
                    }
                    out.extend(std::iter::repeat_n(b'0', zeros));
                    zeros = 0;
                    out.push(*byte);
                } else if out.len() > digits_at {
                    zeros += 1;
                }
            }
            _ => return Err(Invalid),
        }
    }
    if !seen {
        return Err(Invalid);
    }
    let digits = out.len() - digits_at;
    if digits == 0 {
        out.truncate(start);
        out.push(b'0');
        return Ok(1);
    }
    let last = point + i64::try_from(zeros).map_err(|_| Invalid)?;
    let first = last + digits as i64 - 1;
    if digits > MOST_DIGITS || !EXPONENTS.contains(&first) {
        return Err(Invalid);
    }
    if last != 0 {
        out.push(b'e');
        integer(last, out);
    }
    let before_point = usize::try_from((first + 1).clamp(0, digits as i64)).unwrap_or(0);
    let size = 1 + usize::from(negative);
    Ok(size + before_point.div_ceil(2) + (digits - before_point).div_ceil(2))
}

fn integer(n: i64, out: &mut Vec<u8>) {
    use std::io::Write as _;
    // Writing to a vector cannot fail.
    let _ = write!(out, "{n}");
}

fn whole(text: &[u8]) -> Result<i64, Invalid> {
    let digits = match text {
        [b'-' | b'+', digits @ ..] => digits,
        digits => digits,
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Invalid);
    }
    let size = digits.iter().fold(0_i64, |n, d| {
        n.saturating_mul(10).saturating_add(i64::from(d - b'0'))
    });
    let size = size.min(i64::MAX / 4);
    Ok(if text.first() == Some(&b'-') {
        -size
    } else {
        size
    })
}

/// A number's one form in plain notation, as items on the wire have it.
pub fn plain(canonical: &[u8], out: &mut Vec<u8>) {
    let (sign, rest) = match canonical {
        [b'-', rest @ ..] => (&b"-"[..], rest),
        rest => (&b""[..], rest),
    };
    let at = rest.iter().position(|b| *b == b'e');
    let (digits, exponent) = match at {
        Some(at) => (&rest[..at], whole(&rest[at + 1..]).unwrap_or(0)),
        None => (rest, 0),
    };
    out.extend_from_slice(sign);
    let point = digits.len() as i64 + exponent.clamp(-400, 400);
    if exponent >= 0 {
        out.extend_from_slice(digits);
        out.extend((0..exponent.min(400)).map(|_| b'0'));
    } else if point <= 0 {
        out.extend_from_slice(b"0.");
        out.extend((point..0).map(|_| b'0'));
        out.extend_from_slice(digits);
    } else {
        let point = usize::try_from(point).unwrap_or(0).min(digits.len());
        out.extend_from_slice(&digits[..point]);
        out.push(b'.');
        out.extend_from_slice(&digits[point..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Option<String> {
        let mut out = Vec::new();
        number(text.as_bytes(), &mut out).ok()?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn equal_numbers_have_one_form() {
        for (text, wanted) in [
            ("0", "0"),
            ("-0.00", "0"),
            ("007", "7"),
            ("100", "1e2"),
            ("1E+2", "1e2"),
            ("-12.340", "-1234e-2"),
            ("0.00012", "12e-5"),
            (".5", "5e-1"),
            ("5.", "5"),
            ("10203000", "10203e3"),
            ("1e-130", "1e-130"),
        ] {
            assert_eq!(form(text).as_deref(), Some(wanted), "{text}");
        }
        for text in ["", "-", ".", "1e", "1 2", "1e126", "1e-131", "x", "1.2.3"] {
            assert_eq!(form(text), None, "{text}");
        }
        assert_eq!(form(&"9".repeat(38)), Some("9".repeat(38)));
        assert_eq!(form(&"9".repeat(39)), None);
    }

    #[test]
    fn numbers_are_written_plainly() {
        for (text, wanted) in [
            ("0", "0"),
            ("-1234e-2", "-12.34"),
            ("12e-5", "0.00012"),
            ("5e-1", "0.5"),
            ("1e2", "100"),
            ("12", "12"),
        ] {
            let mut out = Vec::new();
            plain(text.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), wanted);
        }
    }

    #[test]
    fn items_differ_by_the_names_of_their_attributes() {
        let item = |attributes: &[(&str, Tag, &str)]| {
            let mut writer = Writer::default();
            for (name, tag, text) in attributes {
                writer.name(name.as_bytes());
                writer.text(*tag, text.as_bytes());
            }
            writer.bytes
        };
        let a = item(&[("a", Tag::S, "1"), ("b", Tag::S, "x"), ("cc", Tag::S, "y")]);
        let b = item(&[("a", Tag::N, "1"), ("c", Tag::S, "x"), ("cc", Tag::S, "y")]);
        assert_eq!(different_attributes(&a, &b), ["a", "b", "c"]);
        assert!(different_attributes(&a, &a).is_empty());
    }

    #[test]
    fn members_are_ordered_and_none_is_there_twice() {
        let mut writer = Writer::default();
        let mut starts = Vec::new();
        for name in ["bb", "c", "a"] {
            starts.push(writer.bytes.len());
            writer.name(name.as_bytes());
            writer.text(Tag::S, b"x");
        }
        writer.order_members(0, &starts).unwrap();
        let names: Vec<_> = members(&writer.bytes).map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "c", "bb"]);
        let mut writer = Writer::default();
        let starts: Vec<_> = ["a", "a"]
            .iter()
            .map(|name| {
                let at = writer.bytes.len();
                writer.name(name.as_bytes());
                writer.scalar(Tag::Null, b"");
                at
            })
            .collect();
        assert_eq!(writer.order_members(0, &starts), Err(Invalid));
    }
}
