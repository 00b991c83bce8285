//! Sums, products and rounding.

use super::EvaluationError;
use super::datum::Datum;
use super::decimal::{Dec, Rounding};
use super::node::{Class, Sign};

type Result<T> = std::result::Result<T, EvaluationError>;

/// `a` ∘ `b`, neither of them NULL; NULL where something is divided by zero.
pub(super) fn arithmetic(
    sign: Sign,
    class: Class,
    unsigned: bool,
    scale: u8,
    a: &Datum<'_>,
    b: &Datum<'_>,
) -> Result<Datum<'static>> {
    match class {
        Class::Int => integers(sign, unsigned, number(a.to_int())?, number(b.to_int())?),
        Class::Decimal => decimals(
            sign,
            unsigned,
            scale,
            &number(a.to_decimal())?,
            &number(b.to_decimal())?,
        ),
        Class::Double => doubles(sign, number(a.to_f64())?, number(b.to_f64())?),
    }
}

/// Every value that is not NULL is a number.
fn number<T>(value: Option<T>) -> Result<T> {
    value.ok_or(EvaluationError::Argument("arithmetic", "no number"))
}

fn integers(sign: Sign, unsigned: bool, a: i128, b: i128) -> Result<Datum<'static>> {
    let out_of_range = EvaluationError::OutOfRange(if unsigned {
        "BIGINT UNSIGNED"
    } else {
        "BIGINT"
    });
    let result = match sign {
        Sign::Plus => a.checked_add(b),
        Sign::Minus => a.checked_sub(b),
        Sign::Times => a.checked_mul(b),
        Sign::Div | Sign::Divide | Sign::Modulo if b == 0 => return Ok(Datum::Null),
        Sign::Div | Sign::Divide => a.checked_div(b),
        Sign::Modulo => a.checked_rem(b),
    };
    // MySQL divides without the sign, and then has no room for the lowest BIGINT.
    let lowest = sign == Sign::Div && result == Some(i128::from(i64::MIN));
    integer(result.filter(|_| !lowest), unsigned).ok_or(out_of_range)
}

fn integer(result: Option<i128>, unsigned: bool) -> Option<Datum<'static>> {
    if unsigned {
        Some(Datum::UInt(u64::try_from(result?).ok()?))
    } else {
        Some(Datum::Int(i64::try_from(result?).ok()?))
    }
}

fn decimals(sign: Sign, unsigned: bool, scale: u8, a: &Dec, b: &Dec) -> Result<Datum<'static>> {
    let result = match sign {
        Sign::Plus => a.add(b)?,
        Sign::Minus => a.sub(b)?,
        Sign::Times => a.mul(b)?,
        Sign::Divide => {
            // Nine digits more than are shown: what is cut off there cannot matter for half up but in a tie.
            let Some(quotient) = a.div(b, quotient_scale(a.scale(), b.scale())) else {
                return Ok(Datum::Null);
            };
            quotient?.without_zeros()
        }
        Sign::Modulo => match a.rem(b) {
            Some(rest) => rest,
            None => return Ok(Datum::Null),
        },
        Sign::Div => {
            let Some(quotient) = a.div(b, 0) else {
                return Ok(Datum::Null);
            };
            let whole = quotient?.to_int(Rounding::Truncate);
            return integer(whole, unsigned).ok_or(EvaluationError::OutOfRange(if unsigned {
                "BIGINT UNSIGNED"
            } else {
                "BIGINT"
            }));
        }
    };
    let result = match sign {
        // No more digits than it has: a choice gives fewer than its type has, and so does what is divided then.
        Sign::Divide if !result.is_zero() => {
            result.shown(scale.min(quotient_scale(a.scale(), b.scale())))
        }
        // UNIX_TIMESTAMP of fewer digits has six.
        Sign::Plus | Sign::Minus | Sign::Times | Sign::Modulo if result.scale() > scale => {
            result.shown(scale)
        }
        _ => result,
    };
    if unsigned && result.is_negative() {
        return Err(EvaluationError::OutOfRange("DECIMAL UNSIGNED"));
    }
    Ok(Datum::Decimal(result))
}

/// The digits after the point that MySQL computes of a quotient: whole words of nine.
fn quotient_scale(a: u8, b: u8) -> u8 {
    let words = |digits: u8| digits.div_ceil(9) * 9;
    let gained = words(a) - a + words(b) - b;
    words(words(a) + words(b) + 4_u8.saturating_sub(gained))
}

fn doubles(sign: Sign, a: f64, b: f64) -> Result<Datum<'static>> {
    let result = match sign {
        Sign::Plus => a + b,
        Sign::Minus => a - b,
        Sign::Times => a * b,
        Sign::Divide | Sign::Modulo | Sign::Div if b == 0.0 => return Ok(Datum::Null),
        Sign::Divide | Sign::Div => a / b,
        Sign::Modulo => a % b,
    };
    double(result)
}

pub(super) fn double(number: f64) -> Result<Datum<'static>> {
    if number.is_finite() {
        Ok(Datum::Double(number))
    } else {
        Err(EvaluationError::OutOfRange("DOUBLE"))
    }
}

pub(super) fn negate(class: Class, value: &Datum<'_>) -> Result<Datum<'static>> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    match class {
        Class::Int => integer(number(value.to_int())?.checked_neg(), false)
            .ok_or(EvaluationError::OutOfRange("BIGINT")),
        Class::Decimal => Ok(Datum::Decimal(number(value.to_decimal())?.negated())),
        Class::Double => Ok(Datum::Double(-number(value.to_f64())?)),
    }
}

pub(super) fn abs(class: Class, value: &Datum<'_>) -> Result<Datum<'static>> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    match class {
        Class::Int => {
            if let Datum::UInt(number) = value {
                return Ok(Datum::UInt(*number));
            }
            integer(number(value.to_int())?.checked_abs(), false)
                .ok_or(EvaluationError::OutOfRange("BIGINT"))
        }
        Class::Decimal => Ok(Datum::Decimal(number(value.to_decimal())?.abs())),
        Class::Double => Ok(Datum::Double(number(value.to_f64())?.abs())),
    }
}

/// FLOOR and CEIL: integers where they fit, as MySQL's type says.
pub(super) fn whole(
    class: Class,
    to_int: bool,
    up: bool,
    value: &Datum<'_>,
) -> Result<Datum<'static>> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    match class {
        Class::Int => Ok(match value {
            Datum::UInt(number) => Datum::UInt(*number),
            other => integer(other.to_int(), false).unwrap_or(Datum::Null),
        }),
        Class::Decimal => {
            let mode = if up {
                Rounding::Ceiling
            } else {
                Rounding::Floor
            };
            let whole = number(value.to_decimal())?.rescaled(0, mode);
            if !to_int {
                return Ok(Datum::Decimal(whole));
            }
            integer(whole.to_int(mode), false).ok_or(EvaluationError::OutOfRange("BIGINT"))
        }
        Class::Double => {
            let value = number(value.to_f64())?;
            Ok(Datum::Double(if up { value.ceil() } else { value.floor() }))
        }
    }
}

/// ROUND to `places` digits after the point (before it where negative); `most` is the scale of a decimal result.
pub(super) fn round(
    class: Class,
    value: &Datum<'_>,
    places: i128,
    most: u8,
) -> Result<Datum<'static>> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    match class {
        Class::Int => round_int(value, places),
        Class::Decimal => {
            let value = number(value.to_decimal())?;
            let places = places.clamp(-81, i128::from(most)) as i8;
            Ok(Datum::Decimal(match u8::try_from(places) {
                Ok(places) => value.rescaled(places, Rounding::HalfUp),
                Err(_) => value.rounded_left(u32::from(places.unsigned_abs()), Rounding::HalfUp),
            }))
        }
        Class::Double => Ok(Datum::Double(round_double(number(value.to_f64())?, places))),
    }
}

fn round_int(value: &Datum<'_>, places: i128) -> Result<Datum<'static>> {
    let unsigned = matches!(value, Datum::UInt(_));
    let whole = number(value.to_int())?;
    if places >= 0 {
        return Ok(integer(Some(whole), unsigned).unwrap_or(Datum::Null));
    }
    if places < -20 {
        return Ok(integer(Some(0), unsigned).unwrap_or(Datum::Null));
    }
    let unit = 10_i128.pow(places.unsigned_abs() as u32);
    let sign = if whole < 0 { -1 } else { 1 };
    let rounded = (whole.abs() + unit / 2) / unit * unit * sign;
    integer(Some(rounded), unsigned).ok_or(EvaluationError::OutOfRange(if unsigned {
        "BIGINT UNSIGNED"
    } else {
        "BIGINT"
    }))
}

/// With the arithmetic of doubles that MySQL uses, its inexactness included.
fn round_double(value: f64, places: i128) -> f64 {
    if places == 0 {
        return value.round_ties_even();
    }
    let magnitude = places.unsigned_abs().min(400) as i32;
    let power = if magnitude < 309 {
        POWERS
            .get(magnitude as usize)
            .copied()
            .unwrap_or(f64::INFINITY)
    } else {
        f64::INFINITY
    };
    if places < 0 && power.is_infinite() {
        return 0.0;
    }
    let scaled = value * power;
    if places > 0 && !scaled.is_finite() {
        return value;
    }
    if places < 0 {
        return (value / power).round_ties_even() * power;
    }
    scaled.round_ties_even() / power
}

/// Powers of ten, each the nearest double.
static POWERS: std::sync::LazyLock<Vec<f64>> = std::sync::LazyLock::new(|| {
    (0..309)
        .map(|n| format!("1e{n}").parse().unwrap_or(f64::INFINITY))
        .collect()
});
