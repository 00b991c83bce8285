//! FLOAT and DOUBLE as MySQL prints them.
//!
//! Both are shortest decimal text: a DOUBLE with as many digits as bring it back exactly, a FLOAT with at most six
//! significant digits of its exact value. Plain notation is used while the number is neither very small
//! (below 1e-15) nor an integer of more than 15 digits; beyond that `1.5e-16`, `1e15`, never with `+` or padding.
//! Columns declared `FLOAT(M,D)` or `DOUBLE(M,D)` print exactly D decimals, which no value knows by itself: see
//! [`write_fixed`].
//!
//! `tests/golden/float.tsv` holds what a server printed; the tests compare.

use std::fmt::{self, Write};

/// Significant digits that a FLOAT shows.
const FLOAT_DIGITS: usize = 6;
/// Largest exponent at which an integer is still written without exponent.
const PLAIN_INTEGER_DIGITS: i32 = 15;
/// Position of the point below which exponent notation starts.
const PLAIN_LOWEST_POINT: i32 = -14;

/// Appends a FLOAT.
pub fn write_f32(value: f32, out: &mut String) {
    write(f64::from(value), Some(FLOAT_DIGITS), out);
}

/// Appends a DOUBLE.
pub fn write_f64(value: f64, out: &mut String) {
    write(value, None, out);
}

/// Appends a value of a column declared `FLOAT(M,D)` or `DOUBLE(M,D)`, `decimals` being D: the shortest text that
/// brings the (double) value back, filled with zeros, or the exact value rounded where that text is longer.
pub fn write_fixed(value: f64, decimals: u8, out: &mut String) {
    let places = usize::from(decimals);
    let mut text = Scientific::default();
    let written = write!(text, "{:e}", value.abs());
    if !value.is_finite() || written.is_err() {
        out.push_str("nan");
        return;
    }
    text.settle_tie(value.abs());
    let (digits, point) = text.split();
    let shown = digits.len() as i64 - i64::from(point);
    if value == 0.0 || shown > places as i64 {
        let _ = write!(out, "{value:.places$}");
        return;
    }
    if value < 0.0 {
        out.push('-');
    }
    let start = out.len();
    if point <= 0 {
        layout_plain_fraction(digits, point, out);
    } else {
        let (whole, fraction) = digits.split_at(digits.len().min(point as usize));
        out.push_str(whole);
        out.extend(std::iter::repeat_n('0', point as usize - whole.len()));
        if places > 0 {
            out.push('.');
            out.push_str(fraction);
        }
    }
    let have = out[start..]
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    out.extend(std::iter::repeat_n('0', places - have));
}

fn write(value: f64, digits: Option<usize>, out: &mut String) {
    if !value.is_finite() {
        // MySQL stores neither; whatever consumes this text refuses it as a number.
        out.push_str("nan");
        return;
    }
    if value.is_sign_negative() {
        out.push('-');
    }
    if value == 0.0 {
        out.push('0');
        return;
    }
    let mut text = Scientific::default();
    let magnitude = value.abs();
    // Writing into the fixed buffer cannot fail: 17 digits, point and exponent fit.
    let _ = match digits {
        Some(digits) => write!(text, "{magnitude:.*e}", digits - 1),
        None => write!(text, "{magnitude:e}"),
    };
    if digits.is_none() {
        text.settle_tie(magnitude);
    }
    let (digits, point) = text.split();
    layout(digits, point, out);
}

/// Writes `0.DIGITS × 10^point`.
fn layout(digits: &str, point: i32, out: &mut String) {
    let count = digits.len() as i32;
    let has_fraction = count > point;
    let plain = point >= PLAIN_LOWEST_POINT && (point <= PLAIN_INTEGER_DIGITS || has_fraction);
    if !plain {
        let (first, rest) = digits.split_at(1);
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        let _ = write!(out, "e{}", point - 1);
    } else if point <= 0 {
        layout_plain_fraction(digits, point, out);
    } else if has_fraction {
        let (whole, fraction) = digits.split_at(point as usize);
        out.push_str(whole);
        out.push('.');
        out.push_str(fraction);
    } else {
        out.push_str(digits);
        out.extend(std::iter::repeat_n('0', (point - count) as usize));
    }
}

/// `0.00ddd` for a point at or before the first digit.
fn layout_plain_fraction(digits: &str, point: i32, out: &mut String) {
    out.push_str("0.");
    out.extend(std::iter::repeat_n('0', point.unsigned_abs() as usize));
    out.push_str(digits);
}

/// `d.ddde-xx` on the stack, the point left out.
#[derive(Default)]
struct Scientific {
    bytes: [u8; 32],
    len: usize,
}

impl Write for Scientific {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes().filter(|b| *b != b'.') {
            *self.bytes.get_mut(self.len).ok_or(fmt::Error)? = byte;
            self.len += 1;
        }
        Ok(())
    }
}

impl Scientific {
    /// Where two shortest texts are equally near (…842624.25 is …624.2 or …624.3), MySQL takes the one with the even
    /// last digit; the standard library rounds up.
    fn settle_tie(&mut self, magnitude: f64) {
        let (digits, _) = self.split();
        let last_is_odd = digits.bytes().last().is_some_and(|d| d % 2 == 1);
        let precision = digits.len().saturating_sub(1);
        // A tie needs a value whose last bits weigh as much as its last digit: never with fewer digits than these.
        if !last_is_odd || digits.len() < 15 {
            return;
        }
        let mut nearest = Scientific::default();
        let written = write!(nearest, "{magnitude:.precision$e}");
        let (digits, point) = nearest.split();
        let comes_back = format!("0.{digits}e{point}").parse() == Ok(magnitude);
        if written.is_ok() && comes_back {
            *self = nearest;
        }
    }

    /// The significant digits without trailing zeros, and where the point stands before them.
    fn split(&self) -> (&str, i32) {
        let text = std::str::from_utf8(&self.bytes[..self.len]).unwrap_or("0e0");
        let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        (digits.trim_end_matches('0'), exponent + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of `width<TAB>bits in hex<TAB>text`; see the file's head for how it is made.
    const GOLDEN: &str = include_str!("../../tests/golden/float.tsv");

    #[test]
    fn prints_what_the_server_printed() {
        let mut checked = 0;
        for line in GOLDEN.lines().filter(|l| !l.starts_with('#')) {
            let mut fields = line.split('\t');
            let (Some(width), Some(bits), Some(expected)) =
                (fields.next(), fields.next(), fields.next())
            else {
                panic!("a line of three fields: {line}");
            };
            let bits = u64::from_str_radix(bits, 16).unwrap();
            let mut text = String::new();
            match width {
                "32" => write_f32(f32::from_bits(bits as u32), &mut text),
                "64" => write_f64(f64::from_bits(bits), &mut text),
                fixed => {
                    let decimals = fixed.strip_prefix("fixed").unwrap().parse().unwrap();
                    write_fixed(f64::from_bits(bits), decimals, &mut text);
                }
            }
            assert_eq!(text, expected, "{width} bits {bits:x}");
            checked += 1;
        }
        assert!(checked >= 300, "only {checked} lines");
    }

    #[test]
    fn a_double_comes_back_exactly() {
        let seed = fastrand::u64(..);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..20_000 {
            let value = f64::from_bits(random.u64(..));
            if value.is_finite() {
                let mut text = String::new();
                write_f64(value, &mut text);
                assert_eq!(
                    text.parse::<f64>().unwrap().to_bits(),
                    value.to_bits(),
                    "seed {seed}"
                );
            }
        }
    }
}
