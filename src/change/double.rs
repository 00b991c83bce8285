//! DOUBLE as MySQL prints it.

use std::fmt::Write;

/// Beyond this many digits before the point, or zeros after it, MySQL writes an exponent.
const PLAIN: i32 = 15;

/// The shortest decimal that reads back as `value`, in MySQL's form: `0.1`, `-12`, `1e20`, `1.5e-16`.
pub fn mysql_double(value: f64) -> String {
    let mut text = String::new();
    write_double(value, &mut text);
    text
}

/// Appends [`mysql_double`] to `out`.
pub fn write_double(value: f64, out: &mut String) {
    let start = out.len();
    // Writing to a String cannot fail.
    let _ = write!(out, "{value:e}");
    let Some((digits, point)) = parse(out.get(start..).unwrap_or_default()) else {
        return;
    };
    out.truncate(start);
    if value.is_sign_negative() {
        out.push('-');
    }
    let length = digits.len() as i32;
    if point > PLAIN && length <= point || point < 1 - PLAIN {
        exponent(&digits, point - 1, out);
    } else if point <= 0 {
        out.push_str("0.");
        out.extend((point..0).map(|_| '0'));
        out.push_str(&digits);
    } else if let Some((whole, fraction)) = digits.split_at_checked(point as usize) {
        out.push_str(whole);
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(fraction);
        }
    } else {
        out.push_str(&digits);
        out.extend((length..point).map(|_| '0'));
    }
}

fn exponent(digits: &str, exponent: i32, out: &mut String) {
    if let Some((first, rest)) = digits.split_at_checked(1) {
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
    }
    let _ = write!(out, "e{exponent}");
}

/// The significant digits and the position of the point relative to them; `None` for what has none (infinity).
fn parse(scientific: &str) -> Option<(String, i32)> {
    let (mantissa, exponent) = scientific.split_once('e')?;
    let digits = mantissa
        .chars()
        .filter(char::is_ascii_digit)
        .collect::<String>();
    // Zero is printed as `0`, whatever its exponent.
    Some((digits, exponent.parse::<i32>().ok()? + 1))
}

#[cfg(test)]
mod tests {
    use super::mysql_double;

    #[test]
    fn prints_as_the_server_does() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (-12.5, "-12.5"),
            (1e14, "100000000000000"),
            (1e15, "1e15"),
            (123456789012345680.0, "1.2345678901234568e17"),
            (123456789012345.0, "123456789012345"),
            (1234567890123456.5, "1234567890123456.5"),
            (1e-14, "0.00000000000001"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (1.5e-16, "1.5e-16"),
            (f64::MAX, "1.7976931348623157e308"),
            (5e-324, "5e-324"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        ] {
            assert_eq!(mysql_double(value), text);
        }
    }
}
