//! Every kind of value, there and back.

use std::borrow::Cow;

use super::*;

fn temporal(random: &mut fastrand::Rng) -> Temporal {
    let mut moment = Temporal {
        year: random.u16(0..=9_999),
        month: random.u8(0..=12),
        day: random.u8(0..=31),
        ..Temporal::default()
    };
    if random.bool() {
        moment.hour = random.u8(0..24);
        moment.minute = random.u8(0..60);
        moment.second = random.u8(0..60);
    }
    if random.bool() {
        moment.fsp = random.u8(0..=6);
    }
    if random.bool() {
        moment.micros = random.u32(0..1_000_000);
    }
    if random.u8(0..10) == 0 {
        // What no server sends, and is not lost either.
        moment.month = random.u8(..);
        moment.year = random.u16(..);
        moment.micros = random.u32(..);
        moment.fsp = random.u8(..);
    }
    moment
}

fn time_of_day(random: &mut fastrand::Rng) -> TimeOfDay {
    let odd = random.u8(0..10) == 0;
    TimeOfDay {
        negative: random.bool(),
        hours: random.u16(0..if odd { u16::MAX } else { 839 }),
        minutes: random.u8(0..60),
        seconds: random.u8(0..60),
        micros: if random.bool() {
            random.u32(0..1_000_000)
        } else {
            0
        },
        fsp: random.u8(0..=6),
    }
}

fn bytes(random: &mut fastrand::Rng) -> Vec<u8> {
    let length = match random.u8(0..12) {
        0 => random.usize(0..70_000),
        1 => 14,
        2 => 15,
        _ => random.usize(0..200),
    };
    let few = random.bool();
    (0..length)
        .map(|_| {
            if few {
                random.u8(0..2) * 255
            } else {
                random.u8(..)
            }
        })
        .collect()
}

fn text(random: &mut fastrand::Rng) -> String {
    let length = random.usize(0..40);
    (0..length)
        .map(|_| {
            if random.u8(0..5) == 0 {
                '\0'
            } else {
                random.char(..)
            }
        })
        .collect()
}

fn number(random: &mut fastrand::Rng) -> u64 {
    random.u64(..) >> random.u32(0..64)
}

fn random_value(random: &mut fastrand::Rng) -> Value<'static> {
    match random.u8(0..19) {
        0 => Value::Null,
        1 => Value::Int(number(random).cast_signed()),
        2 => Value::Int(-((number(random) >> 1).cast_signed())),
        3 => Value::UInt(number(random)),
        4 => Value::Float(f32::from_bits(random.u32(..))),
        5 => Value::Double(f64::from_bits(random.u64(..))),
        6 => Value::Decimal(format!("{}.{:03}", random.i64(..), random.u16(0..1_000)).into()),
        7 => Value::Text(text(random).into()),
        8 => Value::Set(text(random).into()),
        9 => Value::Bytes(Cow::Owned(bytes(random))),
        10 => Value::Date(temporal(random)),
        11 => Value::DateTime(temporal(random)),
        12 => Value::Timestamp(temporal(random)),
        13 => Value::Time(time_of_day(random)),
        14 => Value::Year(random.u16(..)),
        15 => Value::Bit(number(random)),
        18 => {
            let (shown, codes) = (text(random), bytes(random));
            Value::Text(Text::with_codes(shown, codes.into(), random.bool()))
        }
        16 => Value::Json(format!("[{}, \"{}\"]", random.i64(..), random.alphanumeric()).into()),
        _ if random.bool() => Value::Geometry(Cow::Owned(bytes(random))),
        _ => Value::Vector(Cow::Owned(bytes(random))),
    }
}

/// Equal, and NaN equal to itself.
fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.to_bits() == b.to_bits(),
        (Value::Double(a), Value::Double(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

fn random() -> fastrand::Rng {
    let seed = std::env::var("PENSTOCK_SEED").ok();
    let seed = seed.and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("PENSTOCK_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

#[test]
fn rows_come_back_as_they_were() {
    let mut random = random();
    let mut out = Vec::new();
    for _ in 0..3_000 {
        let width = random.usize(0..20);
        let values: Vec<_> = (0..width).map(|_| random_value(&mut random)).collect();
        let mut slots: Vec<usize> = (0..width).filter(|_| random.bool()).collect();
        random.shuffle(&mut slots);
        let shape = RowShape::new(slots, width);
        let row = Row { values };
        shape.encode(&row, &mut out).expect("it has the slots");
        let back = shape.decode(&out).expect("a row");
        assert_eq!(back.values.len(), width);
        for (slot, (before, after)) in row.values.iter().zip(&back.values).enumerate() {
            match shape.slots().contains(&slot) {
                true => assert!(same(before, after), "{before:?} became {after:?}"),
                false => assert_eq!(*after, Value::Null),
            }
        }
        let mut again = Vec::new();
        shape.encode(&back, &mut again).expect("it has the slots");
        assert_eq!(again, out);
    }
}

#[test]
fn damage_is_an_error_and_no_panic() {
    let mut random = random();
    let mut out = Vec::new();
    for _ in 0..2_000 {
        let width = random.usize(1..9);
        let values = (0..width).map(|_| random_value(&mut random)).collect();
        let shape = RowShape::new((0..width).collect(), width);
        shape
            .encode(&Row { values }, &mut out)
            .expect("it has the slots");
        assert!(shape.decode(&out[..out.len() - 1]).is_err());
        let at = random.usize(0..out.len());
        out[at] ^= 1 << random.u8(0..8);
        let _ = shape.decode(&out);
        out.push(0);
        out[0] = VERSION + 1;
        assert!(shape.decode(&out).is_err(), "another version");
    }
    let shape = RowShape::new(vec![0], 1);
    assert!(shape.encode(&Row { values: vec![] }, &mut out).is_err());
}

#[test]
fn rows_are_compact() {
    let moment = Temporal {
        year: 2024,
        month: 2,
        day: 29,
        hour: 12,
        minute: 30,
        second: 59,
        micros: 0,
        fsp: 0,
    };
    let values = vec![
        Value::Int(-1),
        Value::UInt(100_000),
        Value::Text("short".into()),
        Value::DateTime(moment),
        Value::Null,
        Value::Decimal("12.50".into()),
    ];
    let mut out = Vec::new();
    let shape = RowShape::new((0..values.len()).collect(), values.len());
    shape
        .encode(&Row { values }, &mut out)
        .expect("it has the slots");
    assert_eq!(out.len(), 2 + 2 + 4 + 6 + 6 + 6);
}

/// The value as a key has it: a number has no sign of its type.
fn known(value: &Value<'_>) -> String {
    match value {
        Value::Int(number) => format!("number {number}"),
        Value::UInt(number) => format!("number {number}"),
        Value::Float(number) => format!("float {:x}", number.to_bits()),
        Value::Double(number) => format!("double {:x}", number.to_bits()),
        Value::Text(text) if text.codes().is_some() => format!("codes {:?}", text.codes()),
        value => format!("{value:?}"),
    }
}

fn small_value(random: &mut fastrand::Rng) -> Value<'static> {
    match random.u8(0..9) {
        0 => Value::Null,
        8 => Value::Text(Text::with_codes(
            "?".into(),
            [random.u8(..2) * 0x98, 0x98].into(),
            false,
        )),
        1 => Value::Int(random.i64(-300..300)),
        2 => Value::UInt(random.u64(0..300)),
        3 => Value::Text(
            ["", "\0", "\0\0", "\u{1}", "a", "a\0", "\0\u{1}"][random.usize(0..7)].into(),
        ),
        4 => Value::Bytes(Cow::Owned(
            (0..random.u8(0..3))
                .map(|_| [0, 1, 255][random.usize(0..3)])
                .collect(),
        )),
        _ => random_value(random),
    }
}

#[test]
fn keys_are_injective_and_tell_where_values_end() {
    let mut random = random();
    let mut seen: std::collections::BTreeMap<Vec<u8>, Vec<String>> = Default::default();
    for _ in 0..20_000 {
        let values: Vec<_> = (0..random.usize(0..4))
            .map(|_| small_value(&mut random))
            .collect();
        let mut key = Vec::new();
        encode_key(&values, &mut key);
        for count in 0..=values.len() {
            let mut rest = Vec::new();
            encode_key(&values[count..], &mut rest);
            assert_eq!(after_values(&key, count), Some(&rest[..]));
        }
        assert_eq!(after_values(&key, values.len() + 1), None);
        let texts: Vec<_> = values.iter().map(known).collect();
        let before = seen.entry(key).or_insert_with(|| texts.clone());
        assert_eq!(*before, texts);
    }
    let distinct: std::collections::BTreeSet<_> = seen.values().collect();
    assert_eq!(distinct.len(), seen.len());
    // One is the beginning of another only where its values are.
    let keys: Vec<_> = seen.iter().collect();
    for pair in keys.windows(2) {
        let ((a, of_a), (b, of_b)) = (pair[0], pair[1]);
        assert_eq!(b.starts_with(a), of_b.starts_with(of_a));
    }
}

#[test]
fn numbers_sort_by_size() {
    let numbers = [
        i64::MIN,
        -70_000,
        -257,
        -256,
        -255,
        -2,
        -1,
        0,
        1,
        255,
        256,
        65_536,
        i64::MAX,
    ];
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for number in numbers {
        let mut key = Vec::new();
        encode_key(&[Value::Int(number)], &mut key);
        keys.push(key);
    }
    let mut key = Vec::new();
    encode_key(&[Value::UInt(u64::MAX)], &mut key);
    keys.push(key);
    assert!(keys.is_sorted());
    keys.dedup();
    assert_eq!(keys.len(), numbers.len() + 1);
}
