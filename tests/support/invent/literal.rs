//! Values of the invented columns, as SQL.

use fastrand::Rng;

use super::pick;
use super::schema::{ALIKE, CODED, Kind, LABELS, WORDS};

impl Kind {
    /// The `n`th key of this type as a literal: all differ, also without regard to case.
    pub fn key(self, n: usize) -> String {
        match self {
            Kind::Decimal => format!("{}.{}", n / 3, [25, 50, 75][n % 3]),
            Kind::Date => format!(
                "'20{:02}-{:02}-{:02}'",
                n / 28 % 100,
                n % 12 + 1,
                n % 28 + 1
            ),
            Kind::Enum => format!("'{}'", LABELS[n % LABELS.len()]),
            Kind::Binary => format!("x'{:02x}{}{:02x}'", n % 7, "00ff".repeat(7), n % 256),
            Kind::Text(CODED) => {
                let number = hex::encode((n / ALIKE.len()).to_string());
                format!("_cp932 x'{}{number}'", ALIKE[n % ALIKE.len()])
            }
            Kind::Text(_) => format!("'{}{}'", WORDS[n % WORDS.len()], n / WORDS.len()),
            _ => n.to_string(),
        }
    }

    /// Any value of this type as a literal.
    pub fn any(self, rng: &mut Rng) -> String {
        let choose = |rng: &mut Rng, choices: &[&str]| (*pick(rng, choices)).to_owned();
        match self {
            Kind::Small => choose(rng, &["0", "1", "-1", "7", "32767", "-32768", "12"]),
            Kind::Int => match rng.u8(0..4) {
                0 => choose(rng, &["0", "-1", "2147483647", "-2147483648"]),
                _ => rng.i32(-50..500).to_string(),
            },
            Kind::BigUnsigned => choose(
                rng,
                &["0", "1", "18446744073709551615", "9007199254740993", "42"],
            ),
            Kind::Decimal => match rng.u8(0..4) {
                0 => choose(rng, &["0", "-0.01", "99999999.99", "1.005", "2.50"]),
                _ => format!("{}.{:02}", rng.i32(-20..200), rng.u8(0..100)),
            },
            Kind::Float => choose(
                rng,
                &["0", "1.5", "-0.1", "1e14", "123456.7", "1e-7", "3.14159265"],
            ),
            Kind::Double => choose(
                rng,
                &["0", "0.1", "-2.5", "1e22", "123456789.125", "1e-7", "0.3"],
            ),
            Kind::Bit => rng.u16(0..512).to_string(),
            Kind::Year => choose(rng, &["2024", "1901", "2155", "1999", "0"]),
            Kind::Filled => choose(rng, &["0", "42", "999999", "1234567", "7"]),
            Kind::Fixed => choose(rng, &["0", "1.5", "-0.125", "12", "3.1415"]),
            Kind::Text(CODED) => match rng.u8(0..4) {
                0 => choose(rng, &["''", "'a'", "'A'", "'a,b'", "' x '"]),
                _ => format!("_cp932 x'61{}'", pick(rng, &ALIKE)),
            },
            Kind::Text(_) | Kind::Char => match rng.u8(0..4) {
                0 => choose(
                    rng,
                    &["''", "'a'", "'A'", "'it''s'", "'a,b'", "' x '", "'ä'"],
                ),
                _ => format!("'{}'", pick(rng, &WORDS)),
            },
            Kind::JsonText => choose(
                rng,
                &[
                    r#"'{"a": 1, "b": [true, null, "x"]}'"#,
                    r#"'{}'"#,
                    r#"'{"n": 1.50, "s": "é\\n"}'"#,
                ],
            ),
            Kind::Date => choose(
                rng,
                &[
                    "'2024-02-29'",
                    "'1999-12-31'",
                    "'2024-01-01'",
                    "'1000-01-01'",
                    "'2030-07-15'",
                    "'0000-00-00'",
                ],
            ),
            Kind::DateTime => choose(
                rng,
                &[
                    "'2024-02-29 23:59:59.999'",
                    "'1969-12-31 12:00:00.5'",
                    "'2024-01-01 00:00:00'",
                    "'2030-07-15 08:09:10.011'",
                    "'0000-00-00 00:00:00'",
                ],
            ),
            Kind::Timestamp => choose(
                rng,
                &[
                    "'2024-02-29 23:59:59'",
                    "'1970-01-01 00:00:01'",
                    "'2037-01-01 00:00:00'",
                    "'0000-00-00 00:00:00'",
                ],
            ),
            Kind::Time => choose(
                rng,
                &["'12:34:56.7'", "'-01:00:00'", "'838:59:59'", "'00:00:00'"],
            ),
            Kind::Enum => format!("'{}'", pick(rng, &LABELS)),
            Kind::Set => choose(rng, &["''", "'red'", "'red,blue'", "'red,green,blue'"]),
            Kind::Binary => format!("x'{:032x}'", rng.u128(..)),
            Kind::Bytes => choose(rng, &["x''", "x'00'", "x'ff00fe'", "'abc'"]),
            Kind::Json => choose(
                rng,
                &[
                    "'{\"a\": [1, 2.5, \"x\"], \"b\": null}'",
                    "'{}'",
                    "'{\"a\": {\"b\": \"ü\"}, \"c\": true}'",
                    "'{\"a\": 12345678901234567890}'",
                ],
            ),
        }
    }
}
