//! Whatever the bytes, decoding ends, with an error or not, and without a panic.

use std::borrow::Cow;

use bytes::Bytes;

use super::golden::Golden;
use crate::change::{Change, Value};
use crate::error::Kind;
use crate::plan::SourceTable;
use crate::source::decode::event::types;
use crate::source::decode::{
    Checksum, DecodeError, Event, FormatDescription, Layout, RowsEvent, RowsKind, TableMap,
};

/// Decodes a frame as whatever it claims to be; the number of rows that came out.
fn decode(frame: Vec<u8>, map: &TableMap, table: &SourceTable) -> usize {
    let _ = FormatDescription::parse(&frame);
    let Ok(event) = Event::parse(Bytes::from(frame), Checksum::None) else {
        return 0;
    };
    if event.header.type_code == types::TABLE_MAP {
        if let Ok(map) = TableMap::parse(&event) {
            let _ = Layout::bind(&map, table);
            let _ = Layout::bind_by_ordinal(&map, table, map.columns.len());
        }
        return 0;
    }
    let layout = Layout::bind(map, table).unwrap();
    let Ok(rows) = RowsEvent::parse(&event) else {
        return 0;
    };
    let Ok(rows) = rows.rows(&layout) else {
        return 0;
    };
    let size = event.bytes.len();
    rows.inspect(|change| {
        let held = change.as_ref().map_or(0, held);
        // A control character of JSON takes six, and a column has its padding or the digits of a number beside it.
        let most = 16 * size + 1024 * layout.slots();
        assert!(held <= most, "{held} bytes from an event of {size}");
        // What was let through can be printed, and is no longer than what it was printed from allows.
        let printed = change.as_ref().map_or(0, printed);
        assert!(
            printed <= 2 * most + 32 * size,
            "{printed} bytes of text from an event of {size}"
        );
    })
    .count()
}

fn values<'c, 'a>(change: &'c Change<'a>) -> impl Iterator<Item = &'c Value<'a>> {
    let rows = match change {
        Change::Insert { after: row } | Change::Delete { before: row } => [Some(row), None],
        Change::Update { before, after } => [Some(before), Some(after)],
    };
    rows.into_iter().flatten().flat_map(|row| &row.values)
}

/// Bytes of all values as text.
fn printed(change: &Change<'_>) -> usize {
    let mut text = String::new();
    for value in values(change) {
        value.write_text(&mut text);
    }
    text.len()
}

/// Bytes that a change holds beside the event.
fn held(change: &Change<'_>) -> usize {
    values(change)
        .map(|value| match value {
            Value::Text(text) => text.owned_bytes(),
            Value::Set(Cow::Owned(text)) => text.capacity(),
            Value::Decimal(number) => number.owned_bytes(),
            Value::Json(document) => document.owned_bytes(),
            Value::Bytes(Cow::Owned(bytes)) => bytes.capacity(),
            _ => 0,
        })
        .sum()
}

/// The frames of a binlog that are table maps or rows, without their checksums, each with its table's map.
fn frames(golden: &Golden) -> Vec<(Vec<u8>, TableMap)> {
    let mut map = None;
    let mut found = Vec::new();
    for event in golden.events() {
        let type_code = event.header.type_code;
        if type_code == types::TABLE_MAP {
            map = Some(TableMap::parse(&event).unwrap());
        }
        if type_code == types::TABLE_MAP || RowsKind::of(type_code).is_some() {
            let mut frame = event.bytes[..event.bytes.len() - 4].to_vec();
            sized(&mut frame);
            found.push((frame, map.clone().unwrap()));
        }
    }
    found
}

/// Writes the size that the frame has into its header.
fn sized(frame: &mut [u8]) {
    let size = (frame.len() as u32).to_le_bytes();
    if let Some(place) = frame.get_mut(9..13) {
        place.copy_from_slice(&size);
    }
}

#[test]
fn cut_events_end_in_an_error() {
    for name in ["types", "partial", "json", "printed"] {
        let golden = Golden::load(name);
        for (frame, map) in frames(&golden).into_iter().take(12) {
            let step = frame.len() / 200 + 1;
            for length in (0..frame.len()).step_by(step) {
                let mut cut = frame[..length].to_vec();
                sized(&mut cut);
                decode(cut, &map, &golden.table);
            }
        }
    }
}

/// Why the rows of a binlog are refused when one byte of them is another.
fn refusals(name: &str) -> Vec<DecodeError> {
    let golden = Golden::load(name);
    let mut found = Vec::new();
    for (frame, map) in frames(&golden) {
        if RowsKind::of(frame[4]).is_none() {
            continue;
        }
        let layout = Layout::bind(&map, &golden.table).unwrap();
        let step = frame.len() / 400 + 1;
        for at in (30..frame.len()).step_by(step) {
            let mut garbled = frame.clone();
            garbled[at] = 0xfe;
            let event = Event::parse(Bytes::from(garbled), Checksum::None).unwrap();
            let Ok(event) = RowsEvent::parse(&event) else {
                continue;
            };
            let Ok(rows) = event.rows(&layout) else {
                continue;
            };
            found.extend(rows.filter_map(Result::err));
        }
    }
    found
}

#[test]
fn packed_values_that_are_damaged_stop_the_stream_and_name_their_column() {
    for (name, type_name) in [("json", "JSON"), ("types", "DECIMAL"), ("partial", "JSON")] {
        let refusals = refusals(name);
        let found = refusals
            .iter()
            .find(|error| matches!(error, DecodeError::Value { what, .. } if *what == type_name));
        let error = found.unwrap_or_else(|| panic!("no damaged {type_name} among {name}"));
        assert_eq!(error.kind(), Kind::EventUnreadable);
        assert!(error.to_string().contains("column `gold."), "{error}");
    }
}

#[test]
fn garbled_events_end() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for name in ["types", "partial", "json", "printed"] {
        let golden = Golden::load(name);
        let frames = frames(&golden);
        for _ in 0..1500 {
            let (frame, map) = &frames[random.usize(..frames.len())];
            let mut garbled = frame.clone();
            for _ in 0..random.usize(1..6) {
                // The start of the body is where lengths and counts are.
                let end = if random.bool() {
                    garbled.len().min(80)
                } else {
                    garbled.len()
                };
                garbled[random.usize(19..end)] = match random.u8(..4) {
                    0 => 0,
                    1 => 0xff,
                    _ => random.u8(..),
                };
            }
            if random.u8(..4) == 0 {
                garbled.truncate(random.usize(19..garbled.len()));
                sized(&mut garbled);
            }
            let rows = decode(garbled, map, &golden.table);
            assert!(rows <= frame.len(), "more rows than bytes");
        }
    }
}
