//! TRANSACTION_PAYLOAD: a whole transaction's events in one, usually compressed; opened as a stream.

use std::io::{BufReader, Read};

use bytes::{Bytes, BytesMut};

use super::control::packed;
use super::decode::event::{HEADER_LENGTH, Header};
use crate::error::{Error, Kind, Result};

const FIELD_END: u64 = 0;
const FIELD_SIZE: u64 = 1;
const FIELD_COMPRESSION: u64 = 2;
const FIELD_UNCOMPRESSED_SIZE: u64 = 3;
const ZSTD: u64 = 0;
const NONE: u64 = 255;
/// No event of MySQL is longer (`max_allowed_packet` of replicas), and no window of zstd needs more than 128 MiB.
const MAX_EVENT: usize = (1 << 30) + 4096;
const MAX_WINDOW_LOG: u32 = 27;
/// What is allocated before the bytes that fill it have been decompressed.
const FIRST_ALLOCATION: usize = 1 << 20;

/// Opens the payload in `body` and gives its events, one after the other, each whole and without a checksum.
/// Memory: one event and the decompressor's window.
pub fn open(body: &[u8], mut event: impl FnMut(Bytes) -> Result<()>) -> Result<()> {
    let (compression, stated, payload) = header(body).ok_or_else(|| unreadable("its header"))?;
    let mut reader: Box<dyn Read + '_> = match compression {
        NONE => Box::new(payload),
        ZSTD => Box::new(BufReader::with_capacity(128 * 1024, zstd(payload)?)),
        other => {
            return Err(Error::new(
                Kind::EventUnreadable,
                format!(
                    "a compressed transaction uses compression type {other}, which is not known"
                ),
            ));
        }
    };
    let mut total = 0u64;
    while let Some(bytes) = next(&mut reader)? {
        total += bytes.len() as u64;
        event(bytes)?;
    }
    match stated {
        Some(stated) if stated != total => Err(unreadable("its length")),
        _ => Ok(()),
    }
}

fn zstd(payload: &[u8]) -> Result<zstd::Decoder<'_, &[u8]>> {
    let mut decoder = zstd::Decoder::with_buffer(payload)
        .map_err(|e| unreadable("its content").with_source(e))?;
    decoder
        .window_log_max(MAX_WINDOW_LOG)
        .map_err(|e| unreadable("its content").with_source(e))?;
    Ok(decoder)
}

/// Compression type, uncompressed size where it is stated, and the payload itself.
fn header(body: &[u8]) -> Option<(u64, Option<u64>, &[u8])> {
    let (mut compression, mut uncompressed, mut size) = (None, None, None);
    let mut rest = body;
    loop {
        let field = packed(&mut rest)?;
        if field == FIELD_END {
            break;
        }
        let length = usize::try_from(packed(&mut rest)?).ok()?;
        let (mut value, after) = rest.split_at_checked(length)?;
        rest = after;
        match field {
            FIELD_SIZE => size = Some(packed(&mut value)?),
            FIELD_COMPRESSION => compression = Some(packed(&mut value)?),
            FIELD_UNCOMPRESSED_SIZE => uncompressed = Some(packed(&mut value)?),
            _ => {}
        }
    }
    if size.is_some_and(|size| size != rest.len() as u64) {
        return None;
    }
    Some((compression?, uncompressed, rest))
}

/// The next event; `None` at the end.
fn next(reader: &mut impl Read) -> Result<Option<Bytes>> {
    let mut head = [0; HEADER_LENGTH];
    match fill(reader, &mut head)? {
        0 => return Ok(None),
        HEADER_LENGTH => {}
        _ => return Err(unreadable("an event's header")),
    }
    let length = Header::parse(&head).map_err(Error::from)?.size as usize;
    if !(HEADER_LENGTH..=MAX_EVENT).contains(&length) {
        return Err(unreadable("an event's length"));
    }
    let mut event = BytesMut::with_capacity(length.min(FIRST_ALLOCATION));
    event.extend_from_slice(&head);
    while event.len() < length {
        let filled = event.len();
        // Doubles at most, so that a length that lies costs no more than what came.
        let target = length.min(filled.max(FIRST_ALLOCATION / 2) * 2);
        if target > event.capacity() {
            event.reserve(target - filled);
        }
        event.resize(target, 0);
        let part = event.get_mut(filled..).unwrap_or_default();
        if fill(reader, part)? < target - filled {
            return Err(unreadable("an event's body"));
        }
    }
    Ok(Some(event.freeze()))
}

/// Reads until `part` is full or the input ends; says how much came.
fn fill(reader: &mut impl Read, part: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while let Some(rest) = part.get_mut(filled..).filter(|r| !r.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unreadable("its content").with_source(e)),
        }
    }
    Ok(filled)
}

fn unreadable(what: &str) -> Error {
    Error::new(
        Kind::EventUnreadable,
        format!("a compressed transaction cannot be opened: {what} is wrong"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(length: usize) -> Vec<u8> {
        let mut event = vec![0; length];
        event[9..13].copy_from_slice(&(length as u32).to_le_bytes());
        event
    }

    fn payload(compression: u8, stated: u64, content: &[u8]) -> Vec<u8> {
        let mut body = vec![2, 1, compression, 3, 9, 254];
        if compression == 255 {
            body = vec![2, 3, 252, 255, 0, 3, 9, 254];
        }
        body.extend_from_slice(&stated.to_le_bytes());
        body.extend_from_slice(&[1, 9, 254]);
        body.extend_from_slice(&(content.len() as u64).to_le_bytes());
        body.push(0);
        body.extend_from_slice(content);
        body
    }

    fn lengths(body: &[u8]) -> Result<Vec<usize>> {
        let mut lengths = Vec::new();
        open(body, |bytes| {
            lengths.push(bytes.len());
            Ok(())
        })?;
        Ok(lengths)
    }

    #[test]
    fn events_come_one_by_one() {
        let all = [event(19), event(3_000_000), event(40)].concat();
        let total = all.len() as u64;
        let zstd = zstd::encode_all(&all[..], 3).expect("compressed");
        let expected = vec![19, 3_000_000, 40];
        assert_eq!(lengths(&payload(0, total, &zstd)).expect("zstd"), expected);
        assert_eq!(lengths(&payload(255, total, &all)).expect("none"), expected);
    }

    /// Were the whole decompressed first, nothing would come of a payload whose end is missing.
    #[test]
    fn events_come_before_the_rest_is_decompressed() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut all = Vec::new();
        for _ in 0..100 {
            let mut one = event(40_000);
            one[19..].fill_with(|| random.u8(..));
            all.extend(one);
        }
        let zstd = zstd::encode_all(&all[..], 3).expect("compressed");
        let mut body = payload(0, all.len() as u64, &zstd);
        let middle = body.len() / 2;
        body[middle..].fill(0xFF);
        let mut events = 0;
        let opened = open(&body, |_| {
            events += 1;
            Ok(())
        });
        assert!(opened.is_err());
        assert!((30..60).contains(&events), "{events} events came");
    }

    /// Were the whole decompressed first, two gigabytes would be resident when the first event comes.
    #[test]
    fn the_first_event_comes_before_the_rest_takes_memory() {
        const REST: u64 = 2 << 30;
        let peak = || -> u64 {
            let status = std::fs::read_to_string("/proc/self/status").expect("our own status");
            let line = status.lines().find(|line| line.starts_with("VmHWM:"));
            let number = line.and_then(|line| line.split_whitespace().nth(1));
            number.and_then(|n| n.parse().ok()).expect("a peak") // in KiB
        };
        let first = event(19);
        let mut all = first.as_slice().chain(std::io::repeat(0).take(REST));
        let zstd = zstd::encode_all(&mut all, 1).expect("compressed");
        let mut events = 0;
        let opened = open(&payload(0, 19 + REST, &zstd), |_| {
            events += 1;
            match events {
                1 => Ok(()),
                _ => Err(unreadable("nothing")),
            }
        });
        assert!(opened.is_err());
        assert_eq!(events, 1, "zeros are no event");
        assert!(peak() < (REST / 2) >> 10, "{} KiB", peak());
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let all = [event(19), event(4000)].concat();
        let total = all.len() as u64;
        let zstd = zstd::encode_all(&all[..], 3).expect("compressed");
        let good = payload(0, total, &zstd);
        assert!(lengths(&payload(0, total + 1, &zstd)).is_err());
        assert!(lengths(&payload(7, total, &zstd)).is_err());
        assert!(lengths(&payload(255, total - 1, &all[..all.len() - 1])).is_err());
        assert!(
            lengths(&payload(255, 19, &[0; 19])).is_err(),
            "an event of length 0"
        );
        for end in 0..good.len() {
            assert!(lengths(&good[..end]).is_err(), "cut at {end}");
        }
        for seed in 0..2000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut garbled = good.clone();
            let at = random.usize(..garbled.len());
            garbled[at] = random.u8(..);
            let _ = lengths(&garbled);
        }
    }
}
