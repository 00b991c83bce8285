//! Values in the store: a checksum before the bytes, so that damage is seen and never decoded.

use sha2::{Digest, Sha256};

const SUM: usize = 8;

/// The bytes with their checksum in front.
pub(super) fn seal(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(SUM + payload.len());
    out.extend(sum(payload));
    out.extend_from_slice(payload);
    out
}

/// The bytes, if their checksum holds.
pub(super) fn open(framed: &[u8]) -> Option<&[u8]> {
    let (head, payload) = framed.split_at_checked(SUM)?;
    sum(payload).eq(head.iter().copied()).then_some(payload)
}

/// The checksum as text, for files that people read.
pub(super) fn sum_text(payload: &[u8]) -> String {
    hex::encode(Sha256::digest(payload))
}

fn sum(payload: &[u8]) -> impl Iterator<Item = u8> {
    Sha256::digest(payload).into_iter().take(SUM)
}
