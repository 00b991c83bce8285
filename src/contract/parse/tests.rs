//! What the parser makes of contracts: the values, and what becomes of tables with errors.

use crate::contract::model::*;
use crate::contract::{Diagnostics, parse};

/// A single-entity table with these attributes (and the key).
fn table(attributes: &str) -> String {
    format!(
        r#"{{"table": "Users", "type": "single-entity", "source_table": "shop.users", "pk": "id", "satisfies": [], "estimated_item_size_bytes": 1,
            "attributes": [{{"name": "id", "type": "N", "source_column": "id"}}, {attributes}]}}"#
    )
}

fn attribute(written: &str) -> (Attribute, Diagnostics) {
    let text = format!("[{}]", table(written));
    let (contract, found) = parse(&text, false);
    let contract = contract.unwrap_or_else(|| panic!("{:#?}", found.all));
    let TableKind::Single(entity) = &contract.tables[0].kind else {
        panic!("{contract:?}")
    };
    (entity.attributes[1].clone(), found)
}

const JOIN: &str = r#""join": {"type": "foreign-key", "target_table": "t", "join_condition": "t.id = users.t", "select_column": " t.x "}"#;

#[test]
fn a_join_keeps_its_parts_and_their_places() {
    let (attribute, found) = attribute(&format!(r#"{{"name": "a", "type": "S", {JOIN}}}"#));
    let Some(Join::ToOne {
        kind: ToOneKind::ForeignKey,
        conditions,
        select_column,
        ..
    }) = attribute.join.map(|j| j.value)
    else {
        panic!("no join")
    };
    assert_eq!(conditions[0].value, "t.id = users.t");
    assert_eq!(select_column.value, "t.x");
    assert_eq!(
        &*select_column.place.pointer,
        "/0/attributes/1/join/select_column"
    );
    assert!(found.all.is_empty(), "{:?}", found.all);
}

#[test]
fn a_transformation_without_placeholders_applies_to_the_join() {
    let (attribute, _) = attribute(&format!(
        r#"{{"name": "a", "type": "S", {JOIN}, "transformation": {{"type": "date-format", "format": "iso8601"}}}}"#
    ));
    assert!(attribute.join.is_some() && attribute.transformation.is_some());
}

#[test]
fn a_transformation_with_placeholders_replaces_the_join() {
    let (attribute, found) = attribute(&format!(
        r#"{{"name": "a", "type": "S", {JOIN}, "transformation": {{"type": "template", "template": "A#{{b}}"}}}}"#
    ));
    assert!(attribute.join.is_none());
    assert_eq!(found.all[0].code, "unused-field");
    let Some(Transformation::Template(text)) = attribute.transformation.map(|t| t.value) else {
        panic!("no template")
    };
    assert_eq!(text.value, "A#{b}");
}

#[test]
fn any_calculation_may_carry_an_expression() {
    for kind in ["aggregate", "case", "concat", "date-math"] {
        let (attribute, _) = attribute(&format!(
            r#"{{"name": "a", "type": "S", "calculation": {{"type": "{kind}", "expression": "1 + 1"}}}}"#
        ));
        let Some(Calculation::Expression(text)) = attribute.calculation.map(|c| c.value) else {
            panic!("{kind}")
        };
        assert_eq!(text.value, "1 + 1");
    }
}

#[test]
fn concat_takes_columns_or_expressions() {
    for field in ["columns", "expressions"] {
        let (attribute, _) = attribute(&format!(
            r#"{{"name": "a", "type": "S", "calculation": {{"type": "concat", "{field}": ["x", "y"], "separator": ""}}}}"#
        ));
        let Some(Calculation::Concat { parts, separator }) = attribute.calculation.map(|c| c.value)
        else {
            panic!("{field}")
        };
        assert_eq!(
            parts.iter().map(|p| p.value.as_str()).collect::<Vec<_>>(),
            ["x", "y"]
        );
        assert_eq!(separator.unwrap().value, "");
    }
}

#[test]
fn counting_everything_selects_nothing() {
    let (attribute, _) = attribute(
        r#"{"name": "a", "type": "N", "calculation": {"type": "aggregate", "operation": "COUNT", "target_table": "t", "join_condition": "c", "select_column": "*"}}"#,
    );
    let value = attribute.calculation.unwrap().value;
    assert!(matches!(
        value,
        Calculation::Aggregate {
            operation: AggregateOperation::Count,
            select_column: None,
            ..
        }
    ));
}

#[test]
fn select_columns_keep_their_order_and_a_list_names_its_columns() {
    for (written, expected) in [
        (
            r#"{"z": "t.a", "b": "UPPER(x)"}"#,
            [("z", "t.a"), ("b", "UPPER(x)")],
        ),
        (r#"["t.a", "b"]"#, [("a", "t.a"), ("b", "b")]),
    ] {
        let (attribute, _) = attribute(&format!(
            r#"{{"name": "a", "type": "L", "join": {{"type": "json-construction", "target_table": "t", "join_condition": "c",
                "construction": {{"type": "array", "select_columns": {written}}}}}}}"#
        ));
        let Some(Join::Json { construction, .. }) = attribute.join.map(|j| j.value) else {
            panic!("no construction")
        };
        let pairs: Vec<_> = construction
            .select_columns
            .iter()
            .map(|(k, e)| (k.value.as_str(), e.value.as_str()))
            .collect();
        assert_eq!(pairs, expected);
    }
}

#[test]
fn null_is_a_value_where_a_value_is_asked_for() {
    let (attribute, _) = attribute(
        r#"{"name": "a", "type": "NULL", "transformation": {"type": "static", "value": null}}"#,
    );
    let value = attribute.transformation.unwrap().value;
    assert!(matches!(
        value,
        Transformation::Static(Spanned {
            value: Scalar::Null,
            ..
        })
    ));
}

#[test]
fn numbers_stay_as_they_were_written() {
    let (attribute, _) = attribute(
        r#"{"name": "a", "type": "N", "transformation": {"type": "static", "value": 1.10e2}}"#,
    );
    let value = attribute.transformation.unwrap().value;
    assert!(
        matches!(value, Transformation::Static(Spanned { value: Scalar::Number(n), .. }) if n == "1.10e2")
    );
}

#[test]
fn a_columns_type_as_source_format_says_nothing() {
    let (attribute, _) = attribute(
        r#"{"name": "a", "type": "S", "source_column": "c", "transformation": {"type": "date-format", "format": "YYYY", "source_format": "timestamp"}}"#,
    );
    let value = attribute.transformation.unwrap().value;
    assert!(matches!(
        value,
        Transformation::DateFormat {
            source_format: None,
            ..
        }
    ));
}

#[test]
fn tables_with_errors_are_left_out_and_the_others_stay() {
    let good =
        table(r#"{"name": "a", "type": "S", "source_column": "a"}"#).replace("Users", "Good");
    for broken in [
        r#"{"name": "a", "type": "X", "source_column": "a"}"#,
        r#"{"name": "a", "type": "S"}"#,
        r#"{"name": "a", "type": "S", "join": {"type": "chain", "joins": []}}"#,
        "5",
    ] {
        let text = format!(r#"{{"tables": [{}, {good}]}}"#, table(broken));
        let (contract, found) = parse(&text, false);
        assert!(found.has_errors(), "{broken}");
        let contract = contract.unwrap();
        let names = |tables: &[Table]| -> Vec<String> {
            tables.iter().map(|t| t.name.value.clone()).collect()
        };
        assert_eq!(names(&contract.tables), ["Good"], "{broken}");
        assert_eq!(names(&contract.broken), ["Users"], "{broken}");
        assert!(parse(&table(broken), false).0.unwrap().tables.is_empty());
    }
}

#[test]
fn keys_left_out_of_a_multi_entity_table_stay_open() {
    let text = r#"[{"table": "Shop", "type": "multi-entity", "filter": "tenant = 7", "entities": [
        {"entity_type": "USER", "source_table": "users", "pk_template": "U#{id}", "sk_template": "P",
         "attributes": [{"name": "PK", "type": "S"}, {"name": "id", "type": "N", "source_column": "id"}]}]}]"#;
    let (contract, found) = parse(text, false);
    assert!(!found.has_errors(), "{:?}", found.all);
    let table = &contract.unwrap().tables[0];
    assert!(table.pk.is_none() && table.sk.is_none());
    let TableKind::Multi(entities) = &table.kind else {
        panic!()
    };
    // The declaration of the key says no value; the template gives it. The table's filter holds for its entities.
    assert_eq!(entities[0].attributes.len(), 1);
    assert_eq!(entities[0].filter.as_ref().unwrap().value, "tenant = 7");
}

#[test]
fn strict_makes_errors_of_unknown_fields_only() {
    let text = table(r#"{"name": "a", "type": "string", "source_column": "a", "x": 1}"#);
    let (_, loose) = parse(&text, false);
    let (_, strict) = parse(&text, true);
    assert_eq!((loose.error_count(), strict.error_count()), (0, 1));
    assert_eq!(
        strict
            .all
            .iter()
            .find(|d| d.severity == crate::contract::Severity::Error)
            .unwrap()
            .code,
        "unknown-field"
    );
}
