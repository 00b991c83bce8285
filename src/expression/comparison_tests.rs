//! Keys of values: equal where the values are, each telling where it ends, and in order where that is promised.

use std::cmp::Ordering;

use super::{Comparison, Type, TypeKind, order};
use crate::change::{Temporal, TimeOfDay, Value};

fn seed() -> u64 {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    seed
}

fn of(kind: TypeKind) -> Comparison {
    order(&Type {
        kind,
        nullable: false,
    })
    .expect("an order")
}

fn key(comparison: &Comparison, value: &Value<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(comparison.key(value, &mut out));
    out
}

/// Of any size: the number of bits is what is random.
fn number(random: &mut fastrand::Rng) -> i64 {
    random.i64(..) >> random.u32(0..64)
}

#[test]
fn keys_of_numbers_are_short_and_in_order() {
    let mut random = fastrand::Rng::with_seed(seed());
    let comparison = of(TypeKind::Int { unsigned: false });
    assert!(comparison.keys_are_ordered());
    let edges = [i64::MIN, -256, -255, -1, 0, 1, 255, 256, i64::MAX];
    let mut values: Vec<Value<'_>> = edges.map(Value::Int).to_vec();
    values.push(Value::UInt(u64::MAX));
    values.extend((0..300).map(|_| Value::Int(number(&mut random))));
    for a in &values {
        assert!(key(&comparison, a).len() <= 9);
        for b in &values {
            let keys = key(&comparison, a).cmp(&key(&comparison, b));
            assert_eq!(Some(keys), comparison.compare(a, b), "{a:?} and {b:?}");
        }
    }
    assert_eq!(key(&comparison, &Value::Int(7)).len(), 2);
}

#[test]
fn keys_of_times_are_in_order() {
    let mut random = fastrand::Rng::with_seed(seed());
    let comparison = of(TypeKind::Time { fsp: 6 });
    assert!(comparison.keys_are_ordered());
    let mut time = || {
        Value::Time(TimeOfDay {
            negative: random.bool(),
            hours: random.u16(0..839),
            minutes: random.u8(0..60),
            seconds: random.u8(0..60),
            micros: random.u32(0..1_000_000),
            fsp: 6,
        })
    };
    let values: Vec<Value<'_>> = (0..200).map(|_| time()).collect();
    for a in &values {
        for b in &values {
            let keys = key(&comparison, a).cmp(&key(&comparison, b));
            assert_eq!(Some(keys), comparison.compare(a, b), "{a:?} and {b:?}");
        }
    }
}

/// Two texts behind each other are never the same bytes as two others, however long.
#[test]
fn keys_of_texts_tell_where_they_end() {
    let mut random = fastrand::Rng::with_seed(seed());
    let comparison = of(TypeKind::Binary);
    assert!(!comparison.keys_are_ordered());
    let mut long = |most: usize| {
        let length = random.usize(0..most);
        Value::Bytes(
            std::iter::repeat_with(|| random.u8(0..3))
                .take(length)
                .collect(),
        )
    };
    for most in [2, 4, 8] {
        for _ in 0..300 {
            let pairs = [[long(most), long(most)], [long(most), long(most)]];
            let [a, b] = pairs.each_ref().map(|pair| {
                pair.iter()
                    .map(|value| key(&comparison, value))
                    .collect::<Vec<_>>()
                    .concat()
            });
            let same = pairs[0] == pairs[1];
            assert_eq!(a.cmp(&b) == Ordering::Equal, same);
        }
    }
}

/// One text that is cut in two places: only the lengths tell.
#[test]
fn keys_of_long_texts_tell_where_they_end() {
    let comparison = of(TypeKind::Binary);
    let cut = |all: usize, at: usize| {
        let part = |length: usize| key(&comparison, &Value::Bytes(vec![0; length].into()));
        [part(at), part(all - at)].concat()
    };
    for all in [127, 128, 129, 255, 16_383, 16_384, 16_511, 20_000] {
        let places = (0..=all).filter(|at| at % 128 < 2 || at % 128 == 127);
        let keys: std::collections::BTreeSet<Vec<u8>> =
            places.clone().map(|at| cut(all, at)).collect();
        assert_eq!(keys.len(), places.count(), "{all}");
    }
}

#[test]
fn keys_of_moments_are_in_order() {
    let mut random = fastrand::Rng::with_seed(seed());
    let comparison = of(TypeKind::DateTime { fsp: 6 });
    assert!(comparison.keys_are_ordered());
    let mut moment = || {
        let zero = |random: &mut fastrand::Rng, most: u8| random.u8(0..=most) * random.u8(0..2);
        Value::DateTime(Temporal {
            year: random.u16(0..=9_999) * random.u16(0..2),
            month: zero(&mut random, 12),
            day: zero(&mut random, 31),
            hour: zero(&mut random, 23),
            minute: zero(&mut random, 59),
            second: zero(&mut random, 59),
            micros: random.u32(0..1_000_000) * random.u32(0..2),
            fsp: 6,
        })
    };
    let values: Vec<Value<'_>> = (0..200).map(|_| moment()).collect();
    for a in &values {
        for b in &values {
            let keys = key(&comparison, a).cmp(&key(&comparison, b));
            assert_eq!(Some(keys), comparison.compare(a, b), "{a:?} and {b:?}");
        }
    }
}
