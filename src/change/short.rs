//! Whole numbers in as few bytes as they need.

/// Appends the number so that the bytes sort as the numbers do: first how many there are (from `middle` up, or down where
/// it is negative), then those, big endian, inverted where it is negative.
pub(crate) fn ordered(middle: u8, number: i128, out: &mut Vec<u8>) {
    let size = number.unsigned_abs();
    let skipped = size.leading_zeros() / 8;
    let length = (u128::BITS / 8 - skipped) as u8;
    let (head, flip) = match number < 0 {
        true => (middle - length, u8::MAX),
        false => (middle + length, 0),
    };
    out.push(head);
    let bytes = size.to_be_bytes();
    out.extend(bytes.iter().skip(skipped as usize).map(|byte| byte ^ flip));
}

/// Appends the number, seven bits of it a byte, the lowest first; the highest bit says that more follow.
pub(crate) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
