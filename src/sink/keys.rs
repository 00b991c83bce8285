//! Comparing keys by value. DynamoDB may answer with a number or a text written otherwise than we wrote it.

use std::collections::BTreeMap;

use super::answer::{Attribute, Write};

/// Key attributes by name: type and value, numbers normalized, bytes in base64.
pub type KeyValues = BTreeMap<String, (String, String)>;

/// A key as a mutation carries it.
pub fn of_json(key: &[u8]) -> Option<KeyValues> {
    let attributes: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_slice(key).ok()?;
    attributes
        .into_iter()
        .map(|(name, value)| {
            let (ty, text) = value.into_iter().next()?;
            let text = if ty == "N" { number(&text)? } else { text };
            Some((name, (ty, text)))
        })
        .collect()
}

/// The key of an unprocessed write; puts come back as whole items.
pub fn of_write(write: &Write, names: &[String]) -> Option<KeyValues> {
    let (Write::Put { item: attributes } | Write::Delete { key: attributes }) = write;
    names
        .iter()
        .map(|name| Some((name.clone(), of_attribute(attributes.get(name)?)?)))
        .collect()
}

fn of_attribute(attribute: &Attribute) -> Option<(String, String)> {
    let (ty, text) = match attribute {
        Attribute {
            text: Some(text), ..
        } => ("S", text.clone()),
        Attribute {
            number: Some(text), ..
        } => ("N", number(text)?),
        Attribute {
            bytes: Some(text), ..
        } => ("B", text.clone()),
        _ => return None,
    };
    Some((ty.to_owned(), text))
}

/// A decimal number in one form: sign, digits without zeros at either end, `e`, the exponent of the last digit.
fn number(text: &str) -> Option<String> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some("0".into());
    }
    let dropped = digits.len() - digits.trim_end_matches('0').len();
    let exponent = exponent + i64::try_from(dropped).ok()? - i64::try_from(fraction.len()).ok()?;
    let sign = if negative { "-" } else { "" };
    Some(format!("{sign}{significant}e{exponent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        for same in ["10", "1e1", "10.0", "010", "+1E1", "100e-1", "1.0e+1"] {
            assert_eq!(number(same).as_deref(), Some("1e1"), "{same}");
        }
        assert_eq!(number("-0.50"), number("-5e-1"));
        assert_eq!(number("-0"), number("0.000"));
        assert_ne!(number("1"), number("10"));
        assert_ne!(number("1"), number("-1"));
        assert_eq!(number("1x"), None);
        assert_eq!(number(""), None);
    }

    #[test]
    fn keys_are_compared_by_value() {
        let a = of_json(br#"{"PK":{"S":"a\u002fb"},"SK":{"N":"1"}}"#).unwrap();
        let b = of_json(br#"{"PK":{"S":"a/b"},"SK":{"N":"1.0"}}"#).unwrap();
        assert_eq!(a, b);
        assert_eq!(of_json(b"not json"), None);
    }
}
