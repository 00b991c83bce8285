//! Whether the tables are still those that the plan was compiled against.
//!
//! Rows are read by what the catalog says. A catalog read counts only where no DDL of the table lies between the stream's
//! position and the read: DDL after the read is met in the stream and stops it, DDL before it is found here, by comparing
//! with the tables as they were at the position.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Kind, Result};
use crate::plan::{Plan, column_type};
use crate::schema::{Catalog, Generated, Table};

/// Where a checkpoint keeps them.
const ENTRY: &str = "table_shapes";

/// A hash of the columns and the key of each source table, by the table's name.
pub type Shapes = BTreeMap<String, String>;

/// The shapes of the plan's tables; one that the catalog lacks has none.
pub fn shapes(plan: &Plan, catalog: &Catalog) -> Shapes {
    plan.sources
        .iter()
        .filter_map(|source| {
            let table = catalog.tables.get(&source.name)?;
            Some((source.name.to_string(), shape(table)))
        })
        .collect()
}

/// Refuses to go on from `checkpoint` where a table is not what it was at its position, and notes the shapes in it.
pub fn resume(checkpoint: &mut Checkpoint, now: &Shapes) -> Result<()> {
    if let Some(Value::Object(stored)) = checkpoint.other.get(ENTRY) {
        let differs = stored
            .iter()
            .find(|(table, shape)| now.get(*table).map(String::as_str) != shape.as_str());
        if let Some((table, _)) = differs {
            return Err(Error::new(
                Kind::TableChanged,
                format!(
                    "the columns of {table} are not those of the checkpoint: rows written before that change can no longer be read"
                ),
            ));
        }
    }
    note(checkpoint, now);
    Ok(())
}

/// Refuses a start where a table changed between the reading of the catalog and the start position.
pub fn unchanged(before: &Shapes, at_position: &Shapes) -> Result<()> {
    let differs = before
        .iter()
        .find(|(table, shape)| at_position.get(*table) != Some(shape));
    match differs {
        None => Ok(()),
        Some((table, _)) => Err(Error::new(
            Kind::TableChanged,
            format!("{table} was altered while penstock started"),
        )
        .with_remedy("start `penstock run` again: nothing has been written yet")),
    }
}

/// Writes the shapes into the checkpoint.
pub fn note(checkpoint: &mut Checkpoint, shapes: &Shapes) {
    let entry = shapes
        .iter()
        .map(|(table, shape)| (table.clone(), Value::from(shape.as_str())))
        .collect();
    checkpoint
        .other
        .insert(ENTRY.to_owned(), Value::Object(entry));
}

fn shape(table: &Table) -> String {
    let mut text = String::new();
    for column in &table.columns {
        let generated = match column.generated {
            Generated::No => "",
            Generated::Stored => " stored",
            Generated::Virtual => " virtual",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:?} {} {}{generated}",
            column.name,
            column_type(&column.ty),
            column.nullable
        );
    }
    let _ = writeln!(text, "{:?}", table.primary_key);
    hex::encode(Sha256::digest(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Lineage;
    use crate::position::Position;
    use crate::schema::{Column, ColumnType, TableName};

    fn table(columns: &[(&str, u8)]) -> Table {
        let columns = columns.iter().map(|(name, bytes)| Column {
            name: (*name).to_owned(),
            ty: ColumnType::Int {
                bytes: *bytes,
                unsigned: false,
                zerofill: None,
            },
            nullable: false,
            generated: Generated::No,
            invisible: false,
        });
        Table {
            name: TableName::new("shop", "t"),
            columns: columns.collect(),
            primary_key: vec![0],
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            estimated_rows: 0,
            engine: "InnoDB".to_owned(),
        }
    }

    fn shapes_of(columns: &[(&str, u8)]) -> Shapes {
        Shapes::from([("shop.t".to_owned(), shape(&table(columns)))])
    }

    #[test]
    fn names_types_and_order_are_a_tables_shape() {
        let base = shapes_of(&[("a", 4), ("b", 4)]);
        let mut checkpoint = Checkpoint::new(
            Position::default(),
            Lineage {
                server_uuid: String::new(),
            },
            "",
        );
        resume(&mut checkpoint, &base).expect("a checkpoint of an earlier version has no shapes");
        resume(&mut checkpoint, &base).expect("nothing has changed");
        for other in [
            &[("b", 4), ("a", 4)][..],
            &[("a", 4), ("b", 8)],
            &[("a", 4), ("c", 4)],
            &[("a", 4), ("b", 4), ("c", 4)],
        ] {
            let error = resume(&mut checkpoint, &shapes_of(other)).expect_err("another shape");
            assert_eq!(error.kind(), Kind::TableChanged);
            assert!(unchanged(&base, &shapes_of(other)).is_err());
        }
        let gone = resume(&mut checkpoint, &Shapes::new()).expect_err("no table");
        assert!(gone.to_string().contains("shop.t"));
    }
}
