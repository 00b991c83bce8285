use proptest::prelude::*;

use super::*;

fn canonical(text: &str) -> Result<String, Fault> {
    let number = Number::parse(text)?;
    number.check()?;
    let mut out = Vec::new();
    number.write_canonical(&mut out);
    Ok(String::from_utf8(out).unwrap())
}

fn size(text: &str) -> usize {
    Number::parse(text).unwrap().size()
}

#[test]
fn equal_numbers_have_one_text() {
    for text in [
        "1", "01", "1.0", "1e0", "+1", " 1 ", "10e-1", "0.1E1", "1.", "0001.000",
    ] {
        assert_eq!(canonical(text).as_deref(), Ok("1"), "{text}");
    }
    for text in ["0", "-0", "0.000", "0e99999999999999999999", "-.0", "00"] {
        assert_eq!(canonical(text).as_deref(), Ok("0"), "{text}");
    }
    assert_eq!(canonical("-0.50").as_deref(), Ok("-0.5"));
    assert_eq!(canonical("1e20").as_deref(), Ok("100000000000000000000"));
    assert_eq!(canonical("1.5e-7").as_deref(), Ok("0.00000015"));
    assert_eq!(canonical("100.5").as_deref(), Ok("100.5"));
    assert_eq!(canonical("1010").as_deref(), Ok("1010"));
    assert_eq!(canonical(".5").as_deref(), Ok("0.5"));
}

#[test]
fn what_is_not_a_number() {
    for text in [
        "", " ", "-", ".", "e1", "1e", "1e+", "1x", "0x10", "1.2.3", "--1", "nan", "1 2", "١",
    ] {
        assert_eq!(canonical(text), Err(Fault::NotANumber), "{text}");
    }
}

#[test]
fn the_limits_of_dynamodb() {
    let digits = |n: usize| "9".repeat(n);
    assert!(canonical(&digits(38)).is_ok());
    assert_eq!(canonical(&digits(39)), Err(Fault::TooManyDigits));
    assert_eq!(canonical(&digits(500)), Err(Fault::TooManyDigits));
    assert!(canonical(&format!("{}{}", digits(38), "0".repeat(80))).is_ok());
    assert!(canonical("9.9999999999999999999999999999999999999E+125").is_ok());
    assert_eq!(canonical("1E126"), Err(Fault::NumberOutOfRange));
    assert!(canonical("1E-130").is_ok());
    assert_eq!(canonical("9.9E-131"), Err(Fault::NumberOutOfRange));
    assert_eq!(canonical("-1E126"), Err(Fault::NumberOutOfRange));
    assert_eq!(
        canonical("1e99999999999999999999999"),
        Err(Fault::NumberOutOfRange)
    );
    assert_eq!(
        canonical("1e-99999999999999999999999"),
        Err(Fault::NumberOutOfRange)
    );
}

#[test]
fn sizes_as_dynamodb_counts() {
    for (text, bytes) in [
        ("0", 1),
        ("1", 2),
        ("12", 2),
        ("123", 3),
        ("100", 2),
        ("1010", 3),
        ("0.0000001", 2),
        ("1.5", 3),
        ("1.234", 4),
        ("3.14159", 5),
        ("0.15", 2),
        ("-42", 3),
        ("-0", 1),
        ("-1E125", 3),
        ("12345678901234567890123456789012345678", 20),
    ] {
        assert_eq!(size(text), bytes, "{text}");
    }
}

fn rounded(text: &str, decimals: usize) -> String {
    let rounded = Number::parse(text).unwrap().rounded(decimals).unwrap();
    format!(
        "{}{}.{}",
        if rounded.negative { "-" } else { "" },
        String::from_utf8(rounded.whole).unwrap(),
        String::from_utf8(rounded.fraction).unwrap()
    )
}

#[test]
fn rounds_half_away_from_zero() {
    assert_eq!(rounded("1.005", 2), "1.01");
    assert_eq!(rounded("-1.005", 2), "-1.01");
    assert_eq!(rounded("1.00499999999999999999999999", 2), "1.00");
    assert_eq!(rounded("0.005", 2), ".01");
    assert_eq!(rounded("0.0049", 2), ".00");
    assert_eq!(rounded("-0.0049", 2), ".00");
    assert_eq!(rounded("0.05", 0), ".");
    assert_eq!(rounded("0.5", 0), "1.");
    assert_eq!(rounded("0.0005", 0), ".");
    assert_eq!(rounded("999.995", 2), "1000.00");
    assert_eq!(rounded("12", 3), "12.000");
    assert_eq!(rounded("1e3", 1), "1000.0");
    assert_eq!(rounded("0", 2), ".00");
    assert!(Number::parse("1e401").unwrap().rounded(2).is_err());
}

/// A number as digits and a power of ten: the reference that comparisons are checked against.
fn reference(digits: &str, exponent: i32) -> (String, i32) {
    let all = digits.trim_start_matches('0');
    let short = all.trim_end_matches('0');
    match short {
        "" => (String::new(), 0),
        short => (
            short.to_owned(),
            exponent + (all.len() - short.len()) as i32,
        ),
    }
}

prop_compose! {
    /// Text of a number, and its digits and exponent.
    fn decimal()(
        digits in "[0-9]{1,4}0{0,3}", point in 0_usize..8, exponent in -4_i32..4, negative: bool, plus: bool,
    ) -> (String, bool, String, i32) {
        let point = point.min(digits.len());
        let (whole, fraction) = digits.split_at(digits.len() - point);
        let sign = if negative { "-" } else if plus { "+" } else { "" };
        let dot = if point > 0 { "." } else { "" };
        (format!("{sign}{whole}{dot}{fraction}e{exponent}"), negative, digits, exponent - point as i32)
    }
}

proptest! {
    #[test]
    fn texts_are_equal_exactly_when_numbers_are(a in decimal(), b in decimal()) {
        let value = |(_, negative, digits, exponent): &(String, bool, String, i32)| {
            let (digits, exponent) = reference(digits, *exponent);
            (*negative && !digits.is_empty(), digits, exponent)
        };
        let (x, y) = (canonical(&a.0).unwrap(), canonical(&b.0).unwrap());
        prop_assert_eq!(x == y, value(&a) == value(&b), "{} {}", a.0, b.0);
        let again = canonical(&x).unwrap();
        prop_assert_eq!(&again, &x);
        let exact: f64 = a.0.parse().unwrap();
        prop_assert_eq!(x.parse::<f64>().unwrap(), exact);
    }

    #[test]
    fn no_text_panics(text in "[-+0-9.eE ]{0,24}") {
        if let Ok(number) = Number::parse(&text) {
            let _ = number.rounded(3);
            let valid = text.trim().parse::<f64>().is_ok();
            prop_assert!(valid, "{text}");
        }
    }
}
