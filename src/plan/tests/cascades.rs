//! Foreign keys whose cascades are derived.

use super::*;
use crate::plan::{CopyOrder, SourceId};

const TABLES: &str = "
table shop.regions
  code varchar(10)
  pk code
table shop.owners
  id int
  region varchar(10) null
  pk id
  fk b_region region -> shop.regions code delete=cascade update=cascade
table shop.folders
  id int
  owner int null
  parent int null
  label varchar(10) null
  pk id
  fk z_owner owner -> shop.owners id delete=cascade update=null
  fk a_parent parent -> shop.folders id delete=cascade
table shop.files
  folder int
  line int
  pk folder,line
  fk file_folder folder -> shop.folders id delete=cascade
table shop.badges
  id int
  owner int null
  pk id
  fk badge_owner owner -> shop.owners id delete=null update=null
";

fn contract(source: &str, pk: &str, sk: Option<&str>) -> String {
    let names: Vec<&str> = std::iter::once(pk).chain(sk).collect();
    let attributes: Vec<String> = names
        .iter()
        .map(|n| format!(r#"{{"name": "{n}", "type": "N", "source_column": "{n}"}}"#))
        .collect();
    let sk = sk.map_or("null".to_owned(), |sk| format!("{sk:?}"));
    format!(
        r#"{{"tables": [{{"table": "Things", "type": "single-entity", "source_table": "{source}", "pk": "{pk}", "sk": {sk},
            "attributes": [{}]}}]}}"#,
        attributes.join(", ")
    )
}

fn hidden(tables: &str) -> Catalog {
    Catalog {
        hides_cascades: true,
        ..fixture::catalog(tables)
    }
}

fn named(plan: &Plan, ids: &[SourceId]) -> Vec<String> {
    ids.iter()
        .map(|id| plan.source(*id).name.table.clone())
        .collect()
}

#[test]
fn the_way_up_is_part_of_the_plan_where_the_server_hides_cascades() {
    let text = contract("files", "folder", Some("line"));
    let (logged, _) = compiled(&text, Some(&fixture::catalog(TABLES)));
    assert!(logged.foreign_keys.is_empty() && logged.sources.len() == 1);
    let (plan, diagnostics) = compiled(&text, Some(&hidden(TABLES)));
    assert_ne!(plan.fingerprint, logged.fingerprint);
    let warned = diagnostics
        .all
        .iter()
        .filter(|d| d.code == "cascade-derived");
    assert_eq!(warned.count(), 4);
    let names: Vec<&str> = plan.foreign_keys.iter().map(|k| k.name.as_str()).collect();
    assert_eq!(names, ["a_parent", "b_region", "file_folder", "z_owner"]);
    let watched: Vec<(&str, bool, bool)> = plan
        .sources
        .iter()
        .zip(&plan.stored)
        .map(|(s, stored)| (s.name.table.as_str(), s.watched_only, stored.is_some()))
        .collect();
    assert_eq!(
        watched,
        [
            ("files", false, true),
            ("folders", false, true),
            ("owners", false, true),
            ("regions", true, false)
        ]
    );
    // The item comes from the state, though it is made of one row.
    assert!(plan.projections[0].graph.is_some());
    let folders = plan.sources[1]
        .columns
        .iter()
        .map(|c| c.column.name.as_str());
    assert_eq!(folders.collect::<Vec<_>>(), ["id", "owner", "parent"]);
}

#[test]
fn tables_wait_for_those_through_which_cascades_come() {
    let (plan, _) = compiled(
        &contract("files", "folder", Some("line")),
        Some(&hidden(TABLES)),
    );
    let order = CopyOrder::of(&plan);
    let (files, folders, owners) = (SourceId(0), SourceId(1), SourceId(2));
    assert_eq!(named(&plan, order.before(files)), ["folders", "owners"]);
    assert_eq!(named(&plan, order.before(folders)), ["owners"]);
    assert!(order.before(owners).is_empty() && order.group(owners).is_empty());
    assert_eq!(named(&plan, order.group(folders)), ["folders"]);
    // What only becomes NULL passes nothing on.
    let (plan, _) = compiled(
        &contract("badges", "id", Some("owner")),
        Some(&hidden(TABLES)),
    );
    let order = CopyOrder::of(&plan);
    assert_eq!(named(&plan, order.before(SourceId(0))), ["owners"]);
    assert!(order.group(SourceId(0)).is_empty());
}

#[test]
fn what_is_not_read_is_not_followed() {
    let (plan, _) = compiled(&contract("badges", "id", None), Some(&hidden(TABLES)));
    assert!(plan.foreign_keys.is_empty());
}

#[test]
fn columns_that_cannot_be_compared_or_set_are_refused_by_name() {
    let text = contract("owners", "id", None);
    for (from, to) in [
        (
            "code varchar(10)",
            "code varchar(10) collate=utf8mb4_czech_ci",
        ),
        ("code varchar(10)", "code char(10)"),
        ("code varchar(10)", "code enum('a','b')"),
    ] {
        let mut tables = TABLES.replace(from, to);
        if to.contains("czech") {
            tables = tables.replace(
                "region varchar(10)",
                "region varchar(10) collate=utf8mb4_czech_ci",
            );
        }
        let (contract, mut diagnostics) = parsed(&text);
        let mapping = Mapping::default();
        let catalog = hidden(&tables);
        let plan = compile(
            &contract.unwrap(),
            Some(&catalog),
            "shop",
            &mapping,
            &mut diagnostics,
        );
        let said = shown(&text, &diagnostics);
        assert!(
            plan.is_none() && said.contains("cascade-unsupported"),
            "{to}: {said}"
        );
        assert!(said.contains("b_region"), "{to}: {said}");
    }
}
