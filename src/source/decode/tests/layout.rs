//! What does not fit the plan is refused.

use super::golden::Golden;
use crate::change::{Change, Row, Value};
use crate::error::Kind;
use crate::schema::ColumnType;
use crate::source::decode::event::types;
use crate::source::decode::{
    Checksum, DecodeError, Event, Layout, RowsEvent, RowsKind, TableMap, text,
};

fn map(golden: &Golden) -> TableMap {
    let event = golden
        .events()
        .find(|event| event.header.type_code == types::TABLE_MAP);
    TableMap::parse(&event.unwrap()).unwrap()
}

/// Binds after `change` has made one of the plan's columns another one.
fn refused(name: &str, change: impl Fn(&mut ColumnType)) -> DecodeError {
    let mut golden = Golden::load("types");
    let map = map(&golden);
    Layout::bind(&map, &golden.table).unwrap();
    let columns = &mut golden.table.columns;
    let source = columns.iter_mut().find(|source| source.column.name == name);
    change(&mut source.unwrap().column.ty);
    let error = Layout::bind(&map, &golden.table).unwrap_err();
    assert!(
        matches!(&error, DecodeError::Unfit { column, .. } if column == name),
        "{error}"
    );
    assert_eq!(error.kind(), Kind::TableChanged);
    error
}

#[test]
fn a_column_that_is_not_what_the_plan_knows_is_refused() {
    refused("c_int", |ty| {
        *ty = ColumnType::Int {
            bytes: 8,
            unsigned: false,
            zerofill: None,
        }
    });
    refused("u_medium", |ty| {
        *ty = ColumnType::Int {
            bytes: 3,
            unsigned: false,
            zerofill: None,
        }
    });
    refused("dec_10_2", |ty| {
        *ty = ColumnType::Decimal {
            precision: 10,
            scale: 3,
            unsigned: false,
            zerofill: false,
        }
    });
    refused("dt3", |ty| *ty = ColumnType::DateTime { fsp: 4 });
    refused("ve", |ty| *ty = ColumnType::Vector { dimensions: 4 });
    refused("bi", |ty| *ty = ColumnType::Binary { length: 15 });
    refused("vb", |ty| {
        *ty = ColumnType::Text {
            max_chars: 30,
            charset: "latin1".into(),
            collation: "latin1_bin".into(),
            fixed: false,
        }
    });
    refused("vgbk", |ty| {
        if let ColumnType::Text { collation, .. } = ty {
            *collation = "gbk_bin".into();
        }
    });
    refused("vl", |ty| *ty = ColumnType::Bytes { max_length: 63 });
    refused("engbk", |ty| {
        if let ColumnType::Enum { labels, .. } = ty {
            labels.reverse();
        }
    });
    refused("se64", |ty| {
        if let ColumnType::Set { labels, .. } = ty {
            labels.pop();
        }
    });
    refused("js", |ty| *ty = ColumnType::Geometry);
}

#[test]
fn columns_are_found_by_name_whatever_their_order() {
    let mut golden = Golden::load("partial");
    golden.table.columns.reverse();
    let layout = Layout::bind(&map(&golden), &golden.table).unwrap();
    let event = golden
        .events()
        .find(|event| RowsKind::of(event.header.type_code).is_some())
        .unwrap();
    let rows = RowsEvent::parse(&event).unwrap();
    let Some(Ok(Change::Insert { after })) = rows.rows(&layout).unwrap().next() else {
        panic!("no insert");
    };
    assert_eq!(after.values[3], Value::Int(1));
    assert_eq!(after.values[1], Value::Text("p".into()));
}

#[test]
fn rows_are_in_the_plans_order_and_not_the_tables() {
    let golden = Golden::load("partial");
    let mut rotated = Golden::load("partial");
    rotated.table.columns.rotate_left(1);
    let plain = Layout::bind(&map(&golden), &golden.table).unwrap();
    let layout = Layout::bind(&map(&golden), &rotated.table).unwrap();
    let mut checked = 0;
    for event in golden.events() {
        if RowsKind::of(event.header.type_code).is_none() {
            continue;
        }
        let event = RowsEvent::parse(&event).unwrap();
        let (plain, mut moved) = (event.rows(&plain).unwrap(), event.rows(&layout).unwrap());
        for change in plain {
            let actual = moved.next().unwrap().unwrap();
            for (mut row, other) in images(change.unwrap())
                .into_iter()
                .zip(images(actual.clone()))
            {
                row.values.rotate_left(1);
                assert_eq!(row, other);
                checked += 1;
            }
            moved.recycle(actual);
        }
        assert!(moved.next().is_none());
    }
    assert!(checked > 10);
}

fn images(change: Change<'_>) -> Vec<Row<'_>> {
    match change {
        Change::Insert { after: row } | Change::Delete { before: row } => vec![row],
        Change::Update { before, after } => vec![before, after],
    }
}

#[test]
fn columns_that_the_plan_does_not_use_are_skipped() {
    let mut golden = Golden::load("types");
    golden
        .table
        .columns
        .retain(|source| matches!(source.column.name.as_str(), "id" | "vc300" | "inv"));
    let layout = Layout::bind(&map(&golden), &golden.table).unwrap();
    let mut ids = Vec::new();
    for event in golden.events() {
        if RowsKind::of(event.header.type_code) == Some(RowsKind::Write) {
            for change in RowsEvent::parse(&event).unwrap().rows(&layout).unwrap() {
                let Change::Insert { after } = change.unwrap() else {
                    panic!("not an insert");
                };
                assert_eq!(after.values.len(), 3);
                let Value::Int(id) = after.values[0] else {
                    panic!("not a number");
                };
                ids.push(id);
            }
        }
    }
    assert_eq!(ids, (1..=33).collect::<Vec<_>>());
}

#[test]
fn without_names_the_columns_must_be_as_many_and_alike() {
    let golden = Golden::load("types");
    let mut map = map(&golden);
    map.metadata.names.clear();
    map.metadata.labels.clear();
    let error = Layout::bind(&map, &golden.table).unwrap_err();
    assert!(matches!(error, DecodeError::NoColumnNames { .. }));
    assert!(error.remedy().unwrap().contains("binlog_row_metadata=FULL"));

    let count = golden.table.columns.len();
    Layout::bind_by_ordinal(&map, &golden.table, count).unwrap();
    let error = Layout::bind_by_ordinal(&map, &golden.table, count + 1).unwrap_err();
    assert!(matches!(error, DecodeError::ColumnCount { .. }));
}

#[test]
fn the_map_tells_keys_and_visibility() {
    let golden = Golden::load("types");
    let map = map(&golden);
    assert_eq!(map.database, "gold");
    assert_eq!(map.metadata.primary_key.len(), 1);
    let invisible: Vec<_> = map
        .metadata
        .names
        .iter()
        .zip(&map.metadata.invisible)
        .filter(|(_, invisible)| **invisible)
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(invisible, ["inv"]);
    assert!(!map.columns[0].nullable && map.columns[1].nullable);
    assert_eq!(map.metadata.geometry_types.iter().flatten().count(), 2);
}

#[test]
fn minimal_metadata_is_read_by_ordinal() {
    let golden = Golden::load("minimal_metadata");
    let map = map(&golden);
    assert!(map.metadata.names.is_empty() && !map.metadata.unsigned.is_empty());
    assert!(matches!(
        Layout::bind(&map, &golden.table),
        Err(DecodeError::NoColumnNames { .. })
    ));
    let count = golden.table.columns.len();
    let layout = Layout::bind_by_ordinal(&map, &golden.table, count).unwrap();
    let mut expected = golden.rows.iter();
    for event in golden.events() {
        if RowsKind::of(event.header.type_code).is_none() {
            continue;
        }
        for change in RowsEvent::parse(&event).unwrap().rows(&layout).unwrap() {
            let Change::Insert { after } = change.unwrap() else {
                panic!("not an insert");
            };
            let (_, cells) = expected.next().unwrap();
            for ((cell, value), column) in
                cells.iter().zip(&after.values).zip(&golden.table.columns)
            {
                let printed = cell.as_deref().map_or(Value::Null, |cell| {
                    text::value(&column.column, cell).unwrap()
                });
                assert_eq!(*value, printed, "column {}", column.column.name);
            }
        }
    }
    assert!(expected.next().is_none());

    // A text column of another length is another column, as far as anybody can tell.
    let mut golden = golden;
    let columns = &mut golden.table.columns;
    let source = columns.iter_mut().find(|source| source.column.name == "vc");
    if let ColumnType::Text { max_chars, .. } = &mut source.unwrap().column.ty {
        *max_chars += 1;
    }
    let error = Layout::bind_by_ordinal(&map, &golden.table, count).unwrap_err();
    assert!(matches!(error, DecodeError::Unfit { column, .. } if column == "vc"));
}

#[test]
fn an_image_that_lacks_columns_is_refused() {
    let golden = Golden::load("minimal_image");
    let layout = Layout::bind(&map(&golden), &golden.table).unwrap();
    let mut images = Vec::new();
    for event in golden.events() {
        if RowsKind::of(event.header.type_code).is_none() {
            continue;
        }
        match RowsEvent::parse(&event).unwrap().rows(&layout) {
            Ok(_) => images.push("whole"),
            Err(error) => {
                assert_eq!(error.kind(), Kind::SourceSettings);
                let DecodeError::IncompleteImage { image, present, .. } = error else {
                    panic!("{error}");
                };
                assert_eq!(present, 1);
                images.push(image);
            }
        }
    }
    assert_eq!(images, ["whole", "before", "before"]);
}

#[test]
fn events_of_version_1_lack_the_extra_data() {
    let golden = Golden::load("minimal_image");
    let layout = Layout::bind(&map(&golden), &golden.table).unwrap();
    let mut events = golden.events();
    let event = events
        .find(|event| event.header.type_code == types::WRITE_ROWS)
        .unwrap();
    let mut bytes = event.bytes[..event.bytes.len() - 4].to_vec();
    bytes.drain(27..29);
    bytes[4] = types::WRITE_ROWS_V1;
    let size = (bytes.len() as u32).to_le_bytes();
    bytes[9..13].copy_from_slice(&size);
    let old = Event::parse(bytes.into(), Checksum::None).unwrap();
    let (new, old) = (
        RowsEvent::parse(&event).unwrap(),
        RowsEvent::parse(&old).unwrap(),
    );
    assert!(new.ends_statement() && new.logs_cascades() && !new.without_foreign_key_checks());
    assert_eq!(new.flags, old.flags);
    let rows =
        |event: &RowsEvent<'_>| format!("{:?}", event.rows(&layout).unwrap().collect::<Vec<_>>());
    assert_eq!(rows(&new), rows(&old));
}
