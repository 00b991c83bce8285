//! Exact decimal numbers: DynamoDB's limits, one text for each value, rounding.

use super::reason::Fault;

/// Significant digits that a number may have while it is computed with; DECIMAL has at most 65.
const CAPACITY: usize = 80;
/// Significant digits that DynamoDB keeps.
const MAX_DIGITS: usize = 38;
/// Exponents of the first digit that DynamoDB accepts: 1E-130 to 9.99…E+125.
const EXPONENTS: std::ops::RangeInclusive<i64> = -130..=125;
/// How far a number that is rounded may lie from 1, in decimal places: beyond a DOUBLE's range nothing is meant.
const MAX_ROUNDED_POINT: i64 = 400;

/// A decimal number: ± 0.DIGITS × 10^point, without zeros at either end of the digits. Zero has no digits and no sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Number {
    negative: bool,
    digits: [u8; CAPACITY],
    len: usize,
    point: i64,
}

impl Number {
    /// Reads decimal text: a sign, digits with a point among or beside them, an exponent. White space around it is
    /// ignored, as MySQL does.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let bytes = text.trim_ascii().as_bytes();
        let (negative, mut rest) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let mut number = Number {
            negative,
            digits: [b'0'; CAPACITY],
            len: 0,
            point: 0,
        };
        let mut zeros = 0;
        let (mut seen, mut fraction, mut full) = (false, false, false);
        while let [first, tail @ ..] = rest {
            match first {
                b'0'..=b'9' => {
                    seen = true;
                    full |= number.push(*first, &mut zeros, fraction).is_err();
                }
                b'.' if !fraction => fraction = true,
                _ => break,
            }
            rest = tail;
        }
        if !seen {
            return Err(Fault::NotANumber);
        }
        number.point = number.point.saturating_add(exponent(rest)?);
        if full {
            return Err(Fault::TooManyDigits);
        }
        if number.len == 0 {
            (number.negative, number.point) = (false, 0);
        }
        Ok(number)
    }

    /// Takes the next digit. Zeros are held back in `zeros` until a digit follows them.
    fn push(&mut self, digit: u8, zeros: &mut usize, fraction: bool) -> Result<(), Fault> {
        if !fraction && (self.len > 0 || digit != b'0') {
            self.point += 1;
        }
        if digit == b'0' {
            if self.len > 0 {
                *zeros += 1;
            } else if fraction {
                self.point -= 1;
            }
            return Ok(());
        }
        let at = self.len + std::mem::take(zeros);
        *self.digits.get_mut(at).ok_or(Fault::TooManyDigits)? = digit;
        self.len = at + 1;
        Ok(())
    }

    pub(super) fn is_zero(&self) -> bool {
        self.len == 0
    }

    /// Whether DynamoDB takes this number.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.len > MAX_DIGITS {
            Err(Fault::TooManyDigits)
        } else if !self.is_zero() && !EXPONENTS.contains(&(self.point - 1)) {
            Err(Fault::NumberOutOfRange)
        } else {
            Ok(())
        }
    }

    /// Bytes that DynamoDB counts for the number: one, one for a minus sign, and one for every two significant
    /// digits, those before and those after the point counted apart.
    pub(super) fn size(&self) -> usize {
        let whole = self.point.clamp(0, self.len as i64) as usize;
        1 + usize::from(self.negative) + whole.div_ceil(2) + (self.len - whole).div_ceil(2)
    }

    /// Appends the one text of this value: plain notation, no zeros that say nothing. Only for numbers that passed
    /// [`check`](Self::check): others could be long.
    pub(super) fn write_canonical(&self, out: &mut Vec<u8>) {
        let digits = self.significant();
        if self.negative {
            out.push(b'-');
        }
        if digits.is_empty() {
            out.push(b'0');
        } else if self.point <= 0 {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(
                b'0',
                self.point.unsigned_abs() as usize,
            ));
            out.extend_from_slice(digits);
        } else {
            let point = self.point as usize;
            match digits.split_at_checked(point) {
                Some((whole, fraction)) if !fraction.is_empty() => {
                    out.extend_from_slice(whole);
                    out.push(b'.');
                    out.extend_from_slice(fraction);
                }
                _ => {
                    out.extend_from_slice(digits);
                    out.extend(std::iter::repeat_n(b'0', point - digits.len()));
                }
            }
        }
    }

    /// The number rounded to `decimals` places, half away from zero: its sign, the digits before the point (none for
    /// 0) and exactly `decimals` behind it. What rounds to zero has no sign.
    pub(super) fn rounded(&self, decimals: usize) -> Result<Rounded, Fault> {
        if self.point.abs() > MAX_ROUNDED_POINT {
            return Err(Fault::NumberOutOfRange);
        }
        let keep = self.point + decimals as i64;
        let mut digits = Vec::new();
        if keep >= 0 {
            let keep = keep as usize;
            let significant = self.significant();
            digits.extend_from_slice(&significant[..keep.min(significant.len())]);
            digits.resize(keep, b'0');
            if significant.get(keep).is_some_and(|d| *d >= b'5') {
                increment(&mut digits);
            }
        }
        // `digits` is the value in units of the last place; a place before it for each missing decimal.
        let missing = decimals.saturating_sub(digits.len());
        digits.splice(0..0, std::iter::repeat_n(b'0', missing));
        let fraction = digits.split_off(digits.len() - decimals);
        let leading = digits.iter().take_while(|d| **d == b'0').count();
        digits.drain(..leading);
        let zero = digits.is_empty() && fraction.iter().all(|d| *d == b'0');
        Ok(Rounded {
            negative: self.negative && !zero,
            whole: digits,
            fraction,
        })
    }

    fn significant(&self) -> &[u8] {
        &self.digits[..self.len]
    }
}

/// A rounded number in ASCII digits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rounded {
    pub(super) negative: bool,
    pub(super) whole: Vec<u8>,
    pub(super) fraction: Vec<u8>,
}

/// What stands behind the digits: nothing, or `e` and a whole number. Saturates: what is that large is refused later.
fn exponent(text: &[u8]) -> Result<i64, Fault> {
    let rest = match text {
        [] => return Ok(0),
        [b'e' | b'E', rest @ ..] => rest,
        _ => return Err(Fault::NotANumber),
    };
    let (negative, digits) = match rest {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Fault::NotANumber);
    }
    let magnitude = digits.iter().fold(0_i64, |n, d| {
        n.saturating_mul(10).saturating_add(i64::from(d - b'0'))
    });
    // Far from the ends of i64, so that the sum with the point cannot wrap.
    let magnitude = magnitude.min(i64::MAX / 4);
    Ok(if negative { -magnitude } else { magnitude })
}

/// Adds one in the last place.
fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

#[cfg(test)]
#[path = "number_tests.rs"]
mod tests;
