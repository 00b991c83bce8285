//! DECIMAL: the text that MySQL prints, or the bytes that it packs the number into.
//!
//! Packed, nine digits lie in four big endian bytes and fewer digits in fewer bytes, from the point in both directions;
//! the sign is the first bit, set for what is not negative, and negative numbers have all other bits inverted.

use std::borrow::Cow;
use std::fmt;

/// Bytes for 0 to 9 digits.
const GROUP: [usize; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];
/// What a group of 0 to 9 digits is less than.
const LIMIT: [u32; 10] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];
/// The longest text: a sign, 65 digits, a zero before the point and the point.
const LONGEST: usize = 68;

/// A number that is printed exactly. The two forms, text and packed bytes, are one value: they are equal where their
/// texts are, and every way to read one gives the text.
#[derive(Clone)]
pub struct Decimal<'a>(Form<'a>);

#[derive(Clone)]
enum Form<'a> {
    Borrowed(&'a str),
    Owned(Box<str>),
    /// Sound: [`Decimal::packed`] has read every group.
    Packed {
        bytes: &'a [u8],
        precision: u8,
        scale: u8,
    },
}

impl<'a> Decimal<'a> {
    /// The number that MySQL packed as a DECIMAL(`precision`,`scale`); `None` where `bytes` is no such number.
    #[inline]
    pub fn packed(bytes: &'a [u8], precision: u8, scale: u8) -> Option<Self> {
        if !valid(precision, scale) || bytes.len() != packed_length(precision, scale) {
            return None;
        }
        let mut groups = Groups::new(bytes)?;
        let (whole, fraction) = (usize::from(precision - scale), usize::from(scale));
        groups.take(whole % 9)?;
        for _ in 0..whole / 9 + fraction / 9 {
            groups.take(9)?;
        }
        groups.take(fraction % 9)?;
        Some(Self(Form::Packed {
            bytes,
            precision,
            scale,
        }))
    }

    /// Appends the text.
    pub fn write(&self, out: &mut String) {
        match &self.0 {
            Form::Borrowed(text) => out.push_str(text),
            Form::Owned(text) => out.push_str(text),
            Form::Packed { .. } => self.print(|text| out.push_str(text)),
        }
    }

    /// The text, copied only where the number is packed.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Form::Borrowed(text) => Cow::Borrowed(text),
            Form::Owned(text) => Cow::Borrowed(text),
            Form::Packed { .. } => {
                let mut out = String::new();
                self.write(&mut out);
                Cow::Owned(out)
            }
        }
    }

    /// The text; where the number is packed it stands in `buffer`, whose content is replaced.
    pub fn text_in<'t>(&'t self, buffer: &'t mut String) -> &'t str {
        match &self.0 {
            Form::Borrowed(text) => text,
            Form::Owned(text) => text,
            Form::Packed { .. } => {
                buffer.clear();
                self.write(buffer);
                buffer
            }
        }
    }

    /// Whether dropping it does nothing.
    #[inline]
    pub(super) fn owns_nothing(&self) -> bool {
        !matches!(self.0, Form::Owned(_))
    }

    /// Bytes of memory that are this value's own.
    pub fn owned_bytes(&self) -> usize {
        match &self.0 {
            Form::Owned(text) => text.len(),
            Form::Borrowed(_) | Form::Packed { .. } => 0,
        }
    }

    /// Calls `take` with the text, which stands on the stack where the number is packed.
    fn print(&self, take: impl FnOnce(&str)) {
        match &self.0 {
            Form::Borrowed(text) => take(text),
            Form::Owned(text) => take(text),
            &Form::Packed {
                bytes,
                precision,
                scale,
            } => {
                let mut digits = Digits::default();
                let printed = digits.print(bytes, precision, scale);
                debug_assert!(printed.is_some(), "a packed number is sound");
                take(digits.text());
            }
        }
    }
}

impl<'a> From<&'a str> for Decimal<'a> {
    fn from(text: &'a str) -> Self {
        Self(Form::Borrowed(text))
    }
}

impl From<String> for Decimal<'_> {
    fn from(text: String) -> Self {
        Self(Form::Owned(text.into_boxed_str()))
    }
}

impl<'a> From<Cow<'a, str>> for Decimal<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        // Of the same declaration, each number has one packed form.
        if let (
            Form::Packed {
                bytes: a,
                precision: p,
                scale: s,
            },
            Form::Packed {
                bytes: b,
                precision: q,
                scale: t,
            },
        ) = (&self.0, &other.0)
            && (p, s) == (q, t)
        {
            return a == b;
        }
        let mut same = false;
        self.print(|a| other.print(|b| same = a == b));
        same
    }
}

impl Eq for Decimal<'_> {}

impl fmt::Display for Decimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for Decimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text(), f)
    }
}

/// Whether MySQL knows such a DECIMAL.
pub(crate) fn valid(precision: u8, scale: u8) -> bool {
    (1..=65).contains(&precision) && scale <= 30 && scale <= precision
}

/// Bytes of a packed number.
pub(crate) fn packed_length(precision: u8, scale: u8) -> usize {
    let part = |digits: u8| {
        let digits = usize::from(digits);
        digits / 9 * 4 + GROUP.get(digits % 9).copied().unwrap_or_default()
    };
    part(precision.saturating_sub(scale)) + part(scale)
}

/// Reads a packed number group by group.
struct Groups<'a> {
    rest: &'a [u8],
    /// All bits set where the number is negative.
    mask: u32,
    /// The sign bit has not been passed yet.
    first: bool,
}

impl<'a> Groups<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let negative = bytes.first()? & 0x80 == 0;
        Some(Self {
            rest: bytes,
            mask: if negative { u32::MAX } else { 0 },
            first: true,
        })
    }

    fn is_negative(&self) -> bool {
        self.mask != 0
    }

    /// The group of `digits`, 0 to 9; more digits than that are not DECIMAL.
    #[inline]
    fn take(&mut self, digits: usize) -> Option<u32> {
        let width = *GROUP.get(digits)?;
        if width == 0 {
            return Some(0);
        }
        let (bytes, rest) = self.rest.split_at_checked(width)?;
        self.rest = rest;
        let stored = bytes
            .iter()
            .fold(0_u32, |number, &byte| number << 8 | u32::from(byte));
        let bits = 8 * width as u32;
        let sign = u32::from(std::mem::take(&mut self.first)) << (bits - 1);
        let number = (stored ^ sign ^ self.mask) & (u32::MAX >> (32 - bits));
        (number < *LIMIT.get(digits)?).then_some(number)
    }
}

/// Digits in the making.
struct Digits {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Default for Digits {
    fn default() -> Self {
        Self {
            bytes: [0; LONGEST],
            length: 0,
        }
    }
}

impl Digits {
    fn print(&mut self, bytes: &[u8], precision: u8, scale: u8) -> Option<()> {
        let mut groups = Groups::new(bytes)?;
        if groups.is_negative() {
            self.push(b'-');
        }
        let (whole, fraction) = (usize::from(precision - scale), usize::from(scale));
        let start = self.length;
        self.significant(groups.take(whole % 9)?, start);
        for _ in 0..whole / 9 {
            self.significant(groups.take(9)?, start);
        }
        if self.length == start {
            self.push(b'0');
        }
        if fraction > 0 {
            self.push(b'.');
            for _ in 0..fraction / 9 {
                self.padded(groups.take(9)?, 9);
            }
            self.padded(groups.take(fraction % 9)?, fraction % 9);
        }
        Some(())
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    /// Appends a group without the number's leading zeros.
    fn significant(&mut self, group: u32, start: usize) {
        if self.length > start {
            self.padded(group, 9);
        } else if group > 0 {
            self.padded(group, group.ilog10() as usize + 1);
        }
    }

    /// Appends `number` with zeros in front up to `width` digits.
    fn padded(&mut self, mut number: u32, width: usize) {
        let Some(places) = self.bytes.get_mut(self.length..self.length + width) else {
            return;
        };
        for place in places.iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.length += width;
    }

    fn text(&self) -> &str {
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(hex: &str, precision: u8, scale: u8) -> Option<String> {
        let bytes = hex::decode(hex).unwrap();
        let decimal = Decimal::packed(&bytes, precision, scale)?;
        Some(decimal.text().into_owned())
    }

    /// Packs decimal text as the server does.
    fn pack(text: &str, precision: u8, scale: u8) -> Vec<u8> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let width = usize::from(precision - scale);
        let whole = if width == 0 { "" } else { whole };
        let whole = format!("{whole:0>width$}");
        let (head, tail) = whole.split_at(whole.len() % 9);
        let mut groups = vec![head];
        groups.extend(
            tail.as_bytes()
                .chunks(9)
                .map(|c| std::str::from_utf8(c).unwrap()),
        );
        groups.extend(
            fraction
                .as_bytes()
                .chunks(9)
                .map(|c| std::str::from_utf8(c).unwrap()),
        );
        let mut bytes = Vec::new();
        for group in groups.into_iter().filter(|group| !group.is_empty()) {
            let number = group.parse::<u32>().unwrap().to_be_bytes();
            bytes.extend_from_slice(&number[4 - GROUP[group.len()]..]);
        }
        bytes[0] |= 0x80;
        if negative {
            bytes.iter_mut().for_each(|byte| *byte = !*byte);
        }
        bytes
    }

    #[test]
    fn both_forms_are_one_value() {
        let seed = std::env::var("PENSTOCK_SEED")
            .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
        println!("PENSTOCK_SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut buffer = "something".to_owned();
        for _ in 0..20_000 {
            let precision = random.u8(1..=65);
            let scale = random.u8(0..=precision.min(30));
            let mut digits = |count: u8| -> String {
                let zeros = random.u8(0..=count);
                let mut digit = |place| match place < zeros {
                    true => '0',
                    false => char::from(b'0' + random.u8(..10)),
                };
                (0..count).map(&mut digit).collect()
            };
            let (whole, fraction) = (digits(precision - scale), digits(scale));
            let whole = whole.trim_start_matches('0');
            let mut text = if random.bool() {
                "-".to_owned()
            } else {
                String::new()
            };
            text += if whole.is_empty() { "0" } else { whole };
            if scale > 0 {
                text = text + "." + &fraction;
            }
            let bytes = pack(&text, precision, scale);
            let stream = Decimal::packed(&bytes, precision, scale).unwrap();
            let snapshot = Decimal::from(text.as_str());
            assert_eq!(stream.text_in(&mut buffer), text, "({precision},{scale})");
            assert_eq!(stream, snapshot);
            assert_eq!(snapshot, stream);
            assert_eq!(stream, stream.clone());
            assert_eq!(
                format!("{stream} {stream:?}"),
                format!("{snapshot} {snapshot:?}")
            );
            assert_ne!(stream, Decimal::from(text + "0"));
        }
    }

    #[test]
    fn packed_numbers_of_other_declarations_compare_by_their_text() {
        let (a, b) = (pack("1.50", 4, 2), pack("1.50", 12, 2));
        let (a, b) = (Decimal::packed(&a, 4, 2), Decimal::packed(&b, 12, 2));
        assert_eq!(a, b);
        let c = pack("1.5", 4, 1);
        assert_ne!(a, Decimal::packed(&c, 4, 1));
    }

    #[test]
    fn what_is_no_such_number_is_refused() {
        assert_eq!(packed("8063", 4, 2).as_deref(), Some("0.99"));
        assert_eq!(packed("7f9c", 4, 2).as_deref(), Some("-0.99"));
        // A group above its digits, too few bytes, too many, none, and declarations that are none.
        assert_eq!(packed("8064", 4, 2), None);
        assert_eq!(packed("7f9b", 4, 2), None);
        assert_eq!(packed("80", 4, 2), None);
        assert_eq!(packed("806300", 4, 2), None);
        assert_eq!(packed("", 4, 2), None);
        assert_eq!(packed("bb9aca00", 9, 0), None);
        assert_eq!(packed("80", 0, 0), None);
        assert_eq!(packed("80", 1, 2), None);
        assert_eq!(packed("8063", 66, 2), None);
    }
}
