//! Exact decimal numbers, with MySQL's limits: 65 digits, 30 of them after the point, rounding half away from zero.

use num_bigint::BigInt;
use std::cmp::Ordering;

/// Digits after the point that a result may show.
pub(super) const MAX_SCALE: u8 = 30;
/// Digits that a declared type may have.
pub(super) const MAX_PRECISION: u8 = 65;
/// Digits that an intermediate result may have: nine words of nine digits.
const CAPACITY: usize = 81;

/// `mantissa` × 10^-`scale`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dec {
    mantissa: Mantissa,
    scale: u8,
}

/// Nearly all numbers are small.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mantissa {
    Small(i128),
    /// Never one that fits the other variant.
    Big(Box<BigInt>),
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OutOfRange {
    /// It does not fit MySQL's decimals.
    Whole,
    /// MySQL would cut digits off the factors of the product.
    Fraction,
}

impl Mantissa {
    fn of(big: BigInt) -> Self {
        match i128::try_from(&big) {
            Ok(small) => Mantissa::Small(small),
            Err(_) => Mantissa::Big(Box::new(big)),
        }
    }

    fn big(&self) -> BigInt {
        match self {
            Mantissa::Small(small) => BigInt::from(*small),
            Mantissa::Big(big) => (**big).clone(),
        }
    }

    fn is_negative(&self) -> bool {
        match self {
            Mantissa::Small(small) => *small < 0,
            Mantissa::Big(big) => big.sign() == num_bigint::Sign::Minus,
        }
    }

    /// × 10^`places`.
    fn shifted(&self, places: u32) -> Mantissa {
        if places == 0 {
            return self.clone();
        }
        if let Mantissa::Small(small) = self
            && let Some(power) = 10_i128.checked_pow(places)
            && let Some(product) = small.checked_mul(power)
        {
            return Mantissa::Small(product);
        }
        Mantissa::of(self.big() * power_of_ten(places))
    }

    /// ÷ 10^`places`, what is left over handled by `mode`.
    fn shortened(&self, places: u32, mode: Rounding) -> Mantissa {
        if places == 0 {
            return self.clone();
        }
        if let Mantissa::Small(small) = self
            && let Some(power) = 10_i128.checked_pow(places)
        {
            let (quotient, rest) = (small / power, small % power);
            let away = match mode {
                Rounding::HalfUp => rest.unsigned_abs() >= (power / 2) as u128,
                Rounding::Truncate => false,
                Rounding::Floor => rest < 0,
                Rounding::Ceiling => rest > 0,
            };
            let step = if *small < 0 { -1 } else { 1 };
            return Mantissa::Small(quotient + if away { step } else { 0 });
        }
        let (big, power) = (self.big(), power_of_ten(places));
        let (quotient, rest) = (&big / &power, &big % &power);
        let zero = BigInt::from(0);
        let away = match mode {
            Rounding::HalfUp => rest.magnitude() * 2_u8 >= *power.magnitude(),
            Rounding::Truncate => false,
            Rounding::Floor => rest < zero,
            Rounding::Ceiling => rest > zero,
        };
        let step = BigInt::from(if big < zero { -1 } else { 1 });
        Mantissa::of(if away { quotient + step } else { quotient })
    }

    fn digits(&self) -> usize {
        match self {
            Mantissa::Small(0) => 0,
            Mantissa::Small(small) => small.unsigned_abs().ilog10() as usize + 1,
            Mantissa::Big(big) => big.magnitude().to_string().len(),
        }
    }
}

fn power_of_ten(places: u32) -> BigInt {
    BigInt::from(10).pow(places)
}

/// What becomes of digits that do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// Half away from zero.
    HalfUp,
    Truncate,
    Floor,
    Ceiling,
}

impl Dec {
    pub fn zero() -> Self {
        Dec::from_int(0)
    }

    pub fn from_int(number: i128) -> Self {
        Dec {
            mantissa: Mantissa::Small(number),
            scale: 0,
        }
    }

    /// `mantissa` × 10^-`scale`.
    pub fn new(mantissa: i128, scale: u8) -> Self {
        Dec {
            mantissa: Mantissa::Small(mantissa),
            scale,
        }
    }

    /// The number that a text begins with, after white space: sign, digits, point, exponent. Zero where there is none.
    /// Digits that do not fit are rounded away; beyond the range it is the largest number.
    pub fn from_leading(text: &str) -> Self {
        Self::leading(text).0
    }

    /// Exactly the number that the text is; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, length) = Self::leading(text);
        (length == text.len() && length > 0).then_some(number)
    }

    fn leading(text: &str) -> (Self, usize) {
        let trimmed = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
        let skipped = text.len() - trimmed.len();
        let bytes = trimmed.as_bytes();
        let signed = matches!(bytes.first(), Some(b'-' | b'+'));
        let negative = bytes.first() == Some(&b'-');
        let digits = |from: usize| {
            bytes
                .get(from..)
                .unwrap_or_default()
                .iter()
                .take_while(|b| b.is_ascii_digit())
                .count()
        };
        let start = usize::from(signed);
        let whole = digits(start);
        let mut at = start + whole;
        let mut fraction = 0;
        if bytes.get(at) == Some(&b'.') {
            fraction = digits(at + 1);
            if whole + fraction > 0 {
                at += 1 + fraction;
            }
        }
        if whole + fraction == 0 {
            return (Dec::zero(), 0);
        }
        let mut exponent = 0_i64;
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = matches!(bytes.get(at + 1), Some(b'-' | b'+'));
            let from = at + 1 + usize::from(sign);
            let count = digits(from);
            if count > 0 {
                let value = trimmed[from..from + count].parse::<i64>();
                let Ok(value) = value else {
                    return (Dec::zero(), skipped + from + count);
                };
                exponent = value.min(1_000_000);
                if bytes.get(at + 1) == Some(&b'-') {
                    exponent = -exponent;
                }
                at = from + count;
            }
        }
        let whole_digits = &trimmed[start..start + whole];
        let fraction_digits = if fraction > 0 {
            &trimmed[start + whole + 1..start + whole + 1 + fraction]
        } else {
            ""
        };
        let number = Self::assemble(negative, whole_digits, fraction_digits, exponent);
        (number, skipped + at)
    }

    fn assemble(negative: bool, whole: &str, fraction: &str, exponent: i64) -> Self {
        let digits = [whole, fraction].concat();
        let digits = digits.trim_start_matches('0');
        let scale = fraction.len() as i64 - exponent;
        if digits.is_empty() {
            return Dec::new(0, scale.clamp(0, i64::from(MAX_SCALE)) as u8);
        }
        let point = digits.len() as i64 - scale;
        if point > CAPACITY as i64 {
            return Dec::largest(negative, CAPACITY as u8, 0);
        }
        if point < -(CAPACITY as i64) {
            return Dec::new(0, MAX_SCALE);
        }
        // As many digits as words hold; what is beyond them cannot matter any more.
        let room = CAPACITY - (point.max(0) as usize).div_ceil(9) * 9;
        let kept = (room as i64).min(scale.max(0));
        let keep = (digits.len() as i64 - (scale - kept)).clamp(0, digits.len() as i64) as usize;
        let mut mantissa = BigInt::parse_bytes(&digits.as_bytes()[..keep], 10).unwrap_or_default();
        if scale < 0 {
            mantissa *= power_of_ten((-scale) as u32);
        }
        if negative {
            mantissa = -mantissa;
        }
        Dec {
            mantissa: Mantissa::of(mantissa),
            scale: kept as u8,
        }
    }

    /// The largest number of a type (or the smallest).
    pub fn largest(negative: bool, precision: u8, scale: u8) -> Self {
        let magnitude: BigInt = power_of_ten(u32::from(precision)) - 1;
        Dec {
            mantissa: Mantissa::of(if negative { -magnitude } else { magnitude }),
            scale,
        }
    }

    /// As MySQL makes a DECIMAL of a DOUBLE: through its shortest text.
    pub fn from_f64(number: f64) -> Self {
        if !number.is_finite() {
            return Dec::largest(number < 0.0, CAPACITY as u8, 0);
        }
        let mut text = String::new();
        crate::change::write_double(number, &mut text);
        Dec::from_leading(&text)
    }

    pub fn scale(&self) -> u8 {
        self.scale
    }

    pub fn is_zero(&self) -> bool {
        self.mantissa == Mantissa::Small(0)
    }

    pub fn is_negative(&self) -> bool {
        self.mantissa.is_negative()
    }

    /// The number with `scale` digits after the point.
    pub fn rescaled(&self, scale: u8, mode: Rounding) -> Self {
        let mantissa = if scale >= self.scale {
            self.mantissa.shifted(u32::from(scale - self.scale))
        } else {
            self.mantissa.shortened(u32::from(self.scale - scale), mode)
        };
        Dec { mantissa, scale }
    }

    /// The number with `scale` digits after the point, or as many as MySQL has room for.
    pub fn shown(&self, scale: u8) -> Self {
        let room = CAPACITY.saturating_sub(self.whole_digits().div_ceil(9) * 9);
        self.rescaled(scale.min(room as u8), Rounding::HalfUp)
    }

    /// Rounded at 10^`places` (left of the point), as an integer.
    pub fn rounded_left(&self, places: u32, mode: Rounding) -> Self {
        let shortened = self
            .mantissa
            .shortened(u32::from(self.scale).saturating_add(places), mode);
        Dec {
            mantissa: shortened.shifted(places),
            scale: 0,
        }
    }

    /// Clamped to a type's range, with its scale.
    pub fn fitted(&self, precision: u8, scale: u8) -> Self {
        let rounded = self.rescaled(scale, Rounding::HalfUp);
        if rounded.mantissa.digits() > usize::from(precision) {
            return Dec::largest(self.is_negative(), precision, scale);
        }
        rounded
    }

    /// Digits before the point.
    fn whole_digits(&self) -> usize {
        self.mantissa
            .digits()
            .saturating_sub(usize::from(self.scale))
    }

    /// Held to what MySQL's nine words hold.
    fn checked(self) -> Result<Self, OutOfRange> {
        let whole = self.whole_digits().div_ceil(9);
        if whole > 9 {
            return Err(OutOfRange::Whole);
        }
        let most = ((9 - whole) * 9) as u8;
        if self.scale > most {
            return Ok(self.rescaled(most, Rounding::Truncate));
        }
        Ok(self)
    }

    /// The sum. Where one is taken from the other and nothing is left, MySQL's zero has no digits after the point.
    pub fn add(&self, other: &Dec) -> Result<Dec, OutOfRange> {
        let sum = self.sum(other)?;
        let takes = self.is_negative() != other.is_negative();
        Ok(if takes { sum.without_zeros() } else { sum })
    }

    /// The difference; a zero as that of [`add`](Self::add).
    pub fn sub(&self, other: &Dec) -> Result<Dec, OutOfRange> {
        let difference = self.sum(&other.negated())?;
        let takes = self.is_negative() == other.is_negative();
        Ok(if takes {
            difference.without_zeros()
        } else {
            difference
        })
    }

    /// A zero as `0`.
    pub fn without_zeros(self) -> Dec {
        if self.is_zero() { Dec::zero() } else { self }
    }

    fn sum(&self, other: &Dec) -> Result<Dec, OutOfRange> {
        let scale = self.scale.max(other.scale);
        let left = self.mantissa.shifted(u32::from(scale - self.scale));
        let right = other.mantissa.shifted(u32::from(scale - other.scale));
        let mantissa = match (&left, &right) {
            (Mantissa::Small(a), Mantissa::Small(b)) => a.checked_add(*b).map(Mantissa::Small),
            _ => None,
        };
        let mantissa = mantissa.unwrap_or_else(|| Mantissa::of(left.big() + right.big()));
        Dec { mantissa, scale }.checked()
    }

    pub fn negated(&self) -> Dec {
        let mantissa = match &self.mantissa {
            Mantissa::Small(small) => match small.checked_neg() {
                Some(small) => Mantissa::Small(small),
                None => Mantissa::of(-BigInt::from(*small)),
            },
            Mantissa::Big(big) => Mantissa::of(-(**big).clone()),
        };
        Dec {
            mantissa,
            scale: self.scale,
        }
    }

    pub fn abs(&self) -> Dec {
        if self.is_negative() {
            self.negated()
        } else {
            self.clone()
        }
    }

    /// The product; of a zero nothing is left but `0`.
    pub fn mul(&self, other: &Dec) -> Result<Dec, OutOfRange> {
        let words = |digits: usize| digits.div_ceil(9);
        let whole = words(self.whole_digits()) + words(other.whole_digits());
        let fraction = words(usize::from(self.scale)) + words(usize::from(other.scale));
        if whole + fraction > CAPACITY / 9 {
            return Err(OutOfRange::Fraction);
        }
        let mantissa = match (&self.mantissa, &other.mantissa) {
            (Mantissa::Small(a), Mantissa::Small(b)) => a.checked_mul(*b).map(Mantissa::Small),
            _ => None,
        };
        let mantissa =
            mantissa.unwrap_or_else(|| Mantissa::of(self.mantissa.big() * other.mantissa.big()));
        let product = Dec {
            mantissa,
            scale: self.scale + other.scale,
        };
        Ok(product.checked()?.without_zeros())
    }

    /// The quotient, truncated to `scale` digits; `None`: division by zero.
    pub fn div(&self, other: &Dec, scale: u8) -> Option<Result<Dec, OutOfRange>> {
        if other.is_zero() {
            return None;
        }
        let up = u32::from(scale) + u32::from(other.scale);
        let down = u32::from(self.scale);
        let (left, right) = (
            self.mantissa.shifted(up.saturating_sub(down)),
            other.mantissa.shifted(down.saturating_sub(up)),
        );
        let mantissa = match (&left, &right) {
            (Mantissa::Small(a), Mantissa::Small(b)) => a.checked_div(*b).map(Mantissa::Small),
            _ => None,
        };
        let mantissa = mantissa.unwrap_or_else(|| Mantissa::of(left.big() / right.big()));
        Some(Dec { mantissa, scale }.checked())
    }

    /// The rest of the division, with the sign of `self`, a zero as `0`; `None`: division by zero.
    pub fn rem(&self, other: &Dec) -> Option<Dec> {
        if other.is_zero() {
            return None;
        }
        let scale = self.scale.max(other.scale);
        let left = self.mantissa.shifted(u32::from(scale - self.scale));
        let right = other.mantissa.shifted(u32::from(scale - other.scale));
        let mantissa = match (&left, &right) {
            (Mantissa::Small(a), Mantissa::Small(b)) => a.checked_rem(*b).map(Mantissa::Small),
            _ => None,
        };
        let mantissa = mantissa.unwrap_or_else(|| Mantissa::of(left.big() % right.big()));
        Some(Dec { mantissa, scale }.without_zeros())
    }

    pub fn compare(&self, other: &Dec) -> Ordering {
        let scale = self.scale.max(other.scale);
        let left = self.mantissa.shifted(u32::from(scale - self.scale));
        let right = other.mantissa.shifted(u32::from(scale - other.scale));
        match (&left, &right) {
            (Mantissa::Small(a), Mantissa::Small(b)) => a.cmp(b),
            _ => left.big().cmp(&right.big()),
        }
    }

    /// The integer that it is, after rounding by `mode`; `None` beyond 128 bits.
    pub fn to_int(&self, mode: Rounding) -> Option<i128> {
        match self.rescaled(0, mode).mantissa {
            Mantissa::Small(small) => Some(small),
            Mantissa::Big(_) => None,
        }
    }

    pub fn to_f64(&self) -> f64 {
        if let (Mantissa::Small(small), 0) = (&self.mantissa, self.scale) {
            return *small as f64;
        }
        let mut text = String::new();
        self.write(&mut text);
        text.parse().unwrap_or(0.0)
    }

    /// Appends `-0.50`: all digits of the scale, one zero before the point where there is nothing else.
    pub fn write(&self, out: &mut String) {
        let digits = match &self.mantissa {
            Mantissa::Small(small) => small.unsigned_abs().to_string(),
            Mantissa::Big(big) => big.magnitude().to_string(),
        };
        if self.is_negative() {
            out.push('-');
        }
        let scale = usize::from(self.scale);
        let whole = digits.len().saturating_sub(scale);
        out.push_str(if whole == 0 { "0" } else { &digits[..whole] });
        if scale > 0 {
            out.push('.');
            out.extend(std::iter::repeat_n('0', scale - (digits.len() - whole)));
            out.push_str(&digits[whole..]);
        }
    }

    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    /// Bytes that are equal exactly for equal numbers, ended by a byte that cannot stand in them.
    pub fn key(&self, out: &mut Vec<u8>) {
        let mut text = self.to_text();
        if self.scale > 0 {
            text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
        }
        out.extend_from_slice(text.as_bytes());
        out.push(b';');
    }
}
