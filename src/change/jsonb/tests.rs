//! Random documents: their binary form prints as their text, and whatever damages them is refused or printed whole.

use super::*;
use crate::change::Json;

fn random() -> fastrand::Rng {
    let seed = std::env::var("PENSTOCK_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("PENSTOCK_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// A value: its kind, its bytes, and its text.
struct Made {
    kind: u8,
    bytes: Vec<u8>,
    text: String,
}

fn made(kind: u8, bytes: &[u8], text: impl Into<String>) -> Made {
    Made {
        kind,
        bytes: bytes.to_vec(),
        text: text.into(),
    }
}

fn length(mut length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while length > 0x7f {
        bytes.push(0x80 | (length & 0x7f) as u8);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes
}

fn string(random: &mut fastrand::Rng) -> String {
    let choices = [
        "",
        "a",
        "colour",
        "é",
        "😀",
        "tab\there",
        "\"quoted\"",
        "\u{1}",
        "x",
    ];
    let mut text = choices[random.usize(..choices.len())].to_owned();
    if random.u8(..10) == 0 {
        text = text.repeat(40);
    }
    text
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    print_string(text, &mut out);
    assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
    out
}

fn scalar(random: &mut fastrand::Rng) -> Made {
    match random.u8(..12) {
        0 => made(4, &[0], "null"),
        1 => made(4, &[1], "true"),
        2 => made(4, &[2], "false"),
        3 => made(5, &(-7_i16).to_le_bytes(), "-7"),
        4 => made(6, &65_535_u16.to_le_bytes(), "65535"),
        5 => made(7, &(-70_000_i32).to_le_bytes(), "-70000"),
        6 => made(8, &4_000_000_000_u32.to_le_bytes(), "4000000000"),
        7 => made(9, &i64::MIN.to_le_bytes(), i64::MIN.to_string()),
        8 => made(11, &1.0_f64.to_le_bytes(), "1.0"),
        9 => made(15, &[246, 4, 4, 2, 0x80, 99], "0.99"),
        10 => made(15, &[16, 2, 1, 2], "\"base64:type16:AQI=\""),
        _ => {
            let text = string(random);
            let bytes = [length(text.len()), text.as_bytes().to_vec()].concat();
            made(12, &bytes, quoted(&text))
        }
    }
}

fn value(random: &mut fastrand::Rng, depth: usize) -> Made {
    if depth == 0 || random.bool() {
        return scalar(random);
    }
    let (object, large) = (random.bool(), random.bool());
    let count = random.usize(..6);
    let keys: Vec<String> = (0..count).map(|_| string(random)).collect();
    let values: Vec<Made> = (0..count).map(|_| value(random, depth - 1)).collect();
    let width = if large { 4 } else { 2 };
    let number = |number: usize| (number as u32).to_le_bytes()[..width].to_vec();
    let key_entry = if object { width + 2 } else { 0 };
    let mut end = 2 * width + count * (key_entry + width + 1);
    let (mut entries, mut heap, mut text) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys.iter().filter(|_| object) {
        entries.extend(number(end));
        entries.extend((key.len() as u16).to_le_bytes());
        heap.extend(key.as_bytes());
        end += key.len();
    }
    for (key, value) in keys.iter().zip(&values) {
        entries.push(value.kind);
        if is_inlined(value.kind, width) {
            let mut inlined = value.bytes.clone();
            inlined.resize(width, 0);
            entries.extend(inlined);
        } else {
            entries.extend(number(end));
            heap.extend(&value.bytes);
            end += value.bytes.len();
        }
        text.push(match object {
            true => format!("{}: {}", quoted(key), value.text),
            false => value.text.clone(),
        });
    }
    let bytes = [number(count), number(end), entries, heap].concat();
    let (open, close) = if object { ('{', '}') } else { ('[', ']') };
    Made {
        kind: if object { 0 } else { 2 } + u8::from(large),
        bytes,
        text: format!("{open}{}{close}", text.join(", ")),
    }
}

fn document(random: &mut fastrand::Rng) -> (Vec<u8>, String) {
    let made = value(random, 4);
    let bytes = [vec![made.kind], made.bytes].concat();
    // Offsets of two bytes reach so far only.
    match bytes.len() < 30_000 {
        true => (bytes, made.text),
        false => document(random),
    }
}

#[test]
fn both_forms_are_one_value() {
    let mut random = random();
    let mut buffer = "something".to_owned();
    for _ in 0..5_000 {
        let (bytes, text) = document(&mut random);
        let stream = Json::binary(&bytes).expect("a sound document");
        let snapshot = Json::from(text.as_str());
        assert_eq!(stream.text_in(&mut buffer), text);
        assert_eq!(stream, snapshot);
        assert_eq!(snapshot, stream);
        assert_eq!(stream.is_null(), snapshot.is_null());
        assert_eq!(
            format!("{stream} {stream:?}"),
            format!("{snapshot} {snapshot:?}")
        );
        assert_ne!(stream, Json::from(text + " "));
    }
}

#[test]
fn a_small_and_a_large_form_are_one_value() {
    let small = [2, 1, 0, 7, 0, 5, 9, 0];
    let large = [3, 1, 0, 0, 0, 13, 0, 0, 0, 5, 9, 0, 0, 0];
    let (small, large) = (Json::binary(&small), Json::binary(&large));
    assert_eq!(small.as_ref().unwrap().text(), "[9]");
    assert_eq!(small, large);
    assert_ne!(small, Json::binary(&[2, 1, 0, 7, 0, 5, 8, 0]));
    assert!(Json::binary(&[]).unwrap().is_null());
    assert_eq!(Json::binary(&[]), Json::binary(&[4, 0]));
}

#[test]
fn what_is_checked_is_what_is_printed() {
    let mut random = random();
    let (mut sound, mut refused) = (0, 0);
    for _ in 0..40_000 {
        let (mut bytes, _) = document(&mut random);
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            bytes[at] = match random.u8(..3) {
                0 => random.u8(..16),
                1 => bytes[at] ^ 1 << random.u8(..8),
                _ => random.u8(..),
            };
        }
        if random.u8(..4) == 0 {
            bytes.truncate(random.usize(..bytes.len()));
        }
        let checked = check(&bytes).is_some();
        let mut out = String::new();
        assert_eq!(checked, print(&bytes, &mut out).is_some(), "{bytes:?}");
        // In a sound document each byte is part of one value: a control character takes six.
        assert!(!checked || out.len() <= 64 + 32 * bytes.len(), "{bytes:?}");
        sound += u32::from(checked);
        refused += u32::from(!checked);
    }
    assert!(
        sound > 1000 && refused > 1000,
        "{sound} sound, {refused} refused"
    );
}

#[test]
fn depth_is_limited() {
    let nested = |innermost: &[u8], levels: usize| {
        let mut bytes = innermost.to_vec();
        for _ in 0..levels {
            // An array of one value, which lies behind its entry unless it is a literal.
            let literal = bytes[0] == 4;
            let (entry, behind) = match literal {
                true => ([4, bytes[1], 0], &[][..]),
                false => ([bytes[0], 7, 0], &bytes[1..]),
            };
            let size = (7 + behind.len()) as u16;
            bytes = [&[2, 1, 0][..], &size.to_le_bytes(), &entry, behind].concat();
        }
        bytes
    };
    for (innermost, text) in [(&[4, 1][..], "true"), (&[12, 1, b'x'], "\"x\"")] {
        let shown = Json::binary(&nested(innermost, 3)).map(|json| json.text().into_owned());
        assert_eq!(shown, Some(format!("[[[{text}]]]")));
        assert!(Json::binary(&nested(innermost, MAX_DEPTH)).is_some());
        assert!(Json::binary(&nested(innermost, MAX_DEPTH + 1)).is_none());
    }
}
