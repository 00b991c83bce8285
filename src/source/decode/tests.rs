//! Binlogs of a MySQL 9.7 server against what the same server printed: `tests/golden/binlog/NAME.binlog` with the rows
//! that `SELECT` gave in the text protocol in `NAME.tsv`.

mod damage;
mod golden;
mod layout;

use bytes::Bytes;

use super::event::{can_carry_rows, types};
use super::*;
use crate::change::{Change, Value};

use golden::Golden;

/// Compares every row of a binlog's changes with what the server printed.
fn compare(name: &str) {
    let golden = Golden::load(name);
    let mut map = None;
    let mut expected = golden.rows.iter();
    for event in golden.events() {
        if event.header.type_code == types::TABLE_MAP {
            map = Some(TableMap::parse(&event).unwrap());
        } else if RowsKind::of(event.header.type_code).is_some() {
            let layout = Layout::bind(map.as_ref().unwrap(), &golden.table).unwrap();
            for change in RowsEvent::parse(&event).unwrap().rows(&layout).unwrap() {
                let (kind, cells) = expected.next().expect("a row that nobody expects");
                let (actual, row) = match change.unwrap() {
                    Change::Insert { after } => ("insert", after),
                    Change::Update { after, .. } => ("update", after),
                    Change::Delete { before } => ("delete", before),
                };
                assert_eq!(actual, kind);
                for ((cell, value), column) in
                    cells.iter().zip(&row.values).zip(&golden.table.columns)
                {
                    let printed = match cell {
                        None => Value::Null,
                        Some(cell) => text::value(&column.column, cell).unwrap(),
                    };
                    assert_eq!(*value, printed, "column {}", column.column.name);
                }
                assert_eq!(row.values.len(), cells.len());
            }
        }
    }
    assert!(expected.next().is_none(), "rows are missing");
}

#[test]
fn every_type_reads_as_the_server_prints_it() {
    compare("types");
}

#[test]
fn numbers_read_as_their_declaration_prints_them() {
    compare("printed");
}

#[test]
fn rows_of_a_partitioned_table_tell_their_partition() {
    let golden = Golden::load("printed");
    let rows = golden
        .events()
        .filter(|event| RowsKind::of(event.header.type_code).is_some());
    let extras: Vec<Vec<u8>> = rows
        .map(|event| RowsEvent::parse(&event).unwrap().extra.to_vec())
        .collect();
    // A type, the partition's number, and for updates the number of the partition that the row came from.
    assert_eq!(
        extras,
        [
            vec![1, 0, 0],
            vec![1, 1, 0],
            vec![1, 0, 0, 1, 0],
            vec![1, 1, 0]
        ]
    );
}

#[test]
fn json_documents_read_as_the_server_prints_them() {
    compare("json");
}

#[test]
fn partial_updates_of_json_give_the_servers_documents() {
    compare("partial");
    let kinds: Vec<_> = Golden::load("partial")
        .events()
        .filter_map(|event| RowsKind::of(event.header.type_code))
        .collect();
    assert!(kinds.contains(&RowsKind::PartialUpdate));
}

#[test]
fn an_updates_before_image_is_the_row_as_it_was() {
    let golden = Golden::load("partial");
    let mut map = None;
    let mut known = std::collections::HashMap::new();
    for event in golden.events() {
        if event.header.type_code == types::TABLE_MAP {
            map = Some(TableMap::parse(&event).unwrap());
            continue;
        }
        if RowsKind::of(event.header.type_code).is_none() {
            continue;
        }
        let layout = Layout::bind(map.as_ref().unwrap(), &golden.table).unwrap();
        for change in RowsEvent::parse(&event).unwrap().rows(&layout).unwrap() {
            let change = change.unwrap();
            if let Change::Update { before, .. } = &change {
                assert_eq!(
                    known[&format!("{:?}", before.values[0])],
                    format!("{before:?}")
                );
            }
            let (Change::Insert { after } | Change::Update { after, .. }) = change else {
                continue;
            };
            known.insert(format!("{:?}", after.values[0]), format!("{after:?}"));
        }
    }
}

#[test]
fn frames_are_checked() {
    let golden = Golden::load("partial");
    let frames = golden.frames();
    let format = FormatDescription::parse(&frames[0]).unwrap();
    assert_eq!(format.binlog_version, 4);
    assert!(format.server_version.starts_with("9.7."), "{format:?}");
    assert_eq!(format.checksum, Checksum::Crc32);
    assert_eq!(
        format.post_header_lengths[usize::from(types::WRITE_ROWS) - 1],
        10
    );

    // The file is still being written: a flag says so, and the checksum is that of the file when it is closed.
    let mut open = frames[0].to_vec();
    open[17] |= 1;
    assert_eq!(FormatDescription::parse(&open), Ok(format));

    let frame = frames.last().unwrap();
    let event = Event::parse(frame.clone(), Checksum::Crc32).unwrap();
    assert_eq!(event.body().len(), frame.len() - 19 - 4);
    let mut garbled = frame.to_vec();
    garbled[20] ^= 1;
    assert_eq!(
        Event::parse(Bytes::from(garbled), Checksum::Crc32).unwrap_err(),
        DecodeError::Checksum
    );
    let short = frame.slice(..frame.len() - 1);
    assert!(matches!(
        Event::parse(short, Checksum::Crc32),
        Err(DecodeError::Size { .. })
    ));
}

#[test]
fn unknown_event_types_are_taken_to_carry_rows() {
    for type_code in [
        types::WRITE_ROWS,
        types::UPDATE_ROWS_V1,
        types::PARTIAL_UPDATE_ROWS,
        types::TRANSACTION_PAYLOAD,
        types::MARIADB_DELETE_ROWS_COMPRESSED,
        types::PRE_GA_WRITE_ROWS,
        types::EXECUTE_LOAD_QUERY,
        43,
        99,
        172,
        255,
    ] {
        assert!(can_carry_rows(type_code), "{type_code}");
    }
    for type_code in [
        types::ROTATE,
        types::XID,
        types::GTID_TAGGED,
        types::HEARTBEAT_V2,
    ] {
        assert!(!can_carry_rows(type_code), "{type_code}");
    }
}
