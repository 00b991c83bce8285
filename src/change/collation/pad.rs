//! Comparison and keys where the shorter text counts as followed by spaces without end.

use std::cmp::Ordering;

/// Compares two sequences of weights, the shorter one continued with `space`.
pub(super) fn compare(
    a: impl Iterator<Item = u32>,
    b: impl Iterator<Item = u32>,
    space: u32,
) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (left, right) = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (left, right) => (left.unwrap_or(space), right.unwrap_or(space)),
        };
        if left != right {
            return left.cmp(&right);
        }
    }
}

/// Appends a key whose byte order is that of [`compare`]: `write` appends a weight, as bytes none of which begin those of
/// another weight.
///
/// A space is followed by a byte that says whether what comes after the spaces is less than a space, nothing at all, or
/// greater; so a run of spaces needs not be as long as that in another key to be compared with it.
pub(super) fn key(
    weights: impl Iterator<Item = u32>,
    space: u32,
    mut write: impl FnMut(u32, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    const LESS: u8 = 0;
    const END: u8 = 1;
    const GREATER: u8 = 2;
    let mut spaces = 0_usize;
    for weight in weights {
        if weight == space {
            spaces += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut spaces) {
            write(space, out);
            out.push(if weight < space { LESS } else { GREATER });
        }
        write(weight, out);
    }
    write(space, out);
    out.push(END);
}
