//! What does not fit the plan is refused.

use super::golden::Golden;
use crate::change::{Change, Value};
use crate::error::Kind;
use crate::schema::ColumnType;
use crate::source::decode::event::types;
use crate::source::decode::{DecodeError, Layout, RowsEvent, RowsKind, TableMap};

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
        }
    });
    refused("u_medium", |ty| {
        *ty = ColumnType::Int {
            bytes: 3,
            unsigned: false,
        }
    });
    refused("dec_10_2", |ty| {
        *ty = ColumnType::Decimal {
            precision: 10,
            scale: 3,
            unsigned: false,
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
