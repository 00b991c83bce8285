use super::super::item::{MAX_ITEM_BYTES, MAX_SORT_KEY_BYTES};
use super::*;
use crate::change::{Temporal, Value};
use crate::contract::Place;
use crate::contract::model::{AttributeType, GsiProjection, Scalar};
use crate::plan::{
    AttributePlan, DateFormat, GsiPlan, KeyAttribute, Mapping, Piece, Projection, ProjectionId,
    Role, SourceColumn, SourceTable, TargetId, TargetTable, Transform, Uniqueness, ValueSource,
};
use crate::schema::{Column, ColumnType, Generated, TableName};
use crate::view::{Fault, source_key};

#[path = "model_tests.rs"]
mod model;

fn place() -> Place {
    Place {
        span: 0..0,
        pointer: Arc::from(""),
    }
}

fn attribute(name: &str, ty: AttributeType, role: Role, value: ValueSource) -> AttributePlan {
    AttributePlan {
        name: name.to_owned(),
        ty,
        role,
        value,
        place: place(),
    }
}

fn key(name: &str, ty: AttributeType) -> KeyAttribute {
    KeyAttribute {
        name: name.to_owned(),
        ty,
    }
}

fn column(ordinal: usize) -> SourceColumn {
    SourceColumn {
        ordinal,
        column: Column {
            name: format!("c{ordinal}"),
            ty: ColumnType::Json,
            nullable: true,
            generated: Generated::No,
            invisible: false,
        },
    }
}

/// Columns: 0 id, 1 name, 2 status, 3 notes. Table `t` with pk `PK` = `USER#{id}`, sk `SK` = name; index on `status`.
fn plan() -> Plan {
    let pk = ValueSource::Template(vec![
        Piece::Literal("USER#".to_owned()),
        Piece::Value(ValueSource::Column(0)),
    ]);
    Plan {
        offline: false,
        stored: vec![None],
        indexes: vec![],
        foreign_keys: vec![],
        sources: vec![SourceTable {
            id: SourceId(0),
            name: TableName::new("shop", "users"),
            columns: (0..4).map(column).collect(),
            key: vec![0],
            column_count: 4,
            watched_only: false,
        }],
        targets: vec![TargetTable {
            id: TargetId(0),
            name: "t".to_owned(),
            pk: key("PK", AttributeType::S),
            sk: Some(key("SK", AttributeType::S)),
            gsis: vec![GsiPlan {
                name: "by_status".to_owned(),
                pk: key("status", AttributeType::S),
                sk: None,
                projection: GsiProjection::All,
            }],
            place: place(),
        }],
        projections: vec![Projection {
            id: ProjectionId(0),
            label: "t/USER".to_owned(),
            entity: None,
            target: TargetId(0),
            driving: SourceId(0),
            filter: None,
            attributes: vec![
                attribute("PK", AttributeType::S, Role::PartitionKey, pk),
                attribute(
                    "SK",
                    AttributeType::S,
                    Role::SortKey,
                    ValueSource::Column(1),
                ),
                attribute(
                    "notes",
                    AttributeType::M,
                    Role::Plain,
                    ValueSource::Column(3),
                ),
                attribute(
                    "status",
                    AttributeType::S,
                    Role::IndexKey,
                    ValueSource::Column(2),
                ),
            ],
            uniqueness: Uniqueness::Proved("test".to_owned()),
            claimed: false,
            graph: None,
        }],
        settings: Mapping::default(),
        fingerprint: String::new(),
    }
}

fn row(id: i64, name: &str, status: &str, notes: &str) -> Row<'static> {
    let text = |text: &str| match text {
        "NULL" => Value::Null,
        text => Value::Text(text.to_owned().into()),
    };
    let notes = match text(notes) {
        Value::Text(text) => Value::Json(text.into_shown().into()),
        other => other,
    };
    Row {
        values: vec![Value::Int(id), text(name), text(status), notes],
    }
}

fn insert(after: Row<'static>) -> Change<'static> {
    Change::Insert { after }
}

fn update(before: Row<'static>, after: Row<'static>) -> Change<'static> {
    Change::Update { before, after }
}

/// Each outcome as a line: `put KEY ITEM`, `delete KEY`, `gone NAME`, `unmappable NAME: attribute fault`.
fn run(plan: Plan, change: &Change<'_>, suppress: bool) -> Vec<String> {
    let mut out = Vec::new();
    let mut projector = Projector::new(Arc::new(plan)).unwrap();
    projector
        .project(SourceId(0), change, suppress, &mut out)
        .unwrap();
    // The same change again gives the same, whatever the buffers hold.
    let mut again = Vec::new();
    projector
        .project(SourceId(0), change, suppress, &mut again)
        .unwrap();
    assert_eq!(out, again);
    out.iter().map(line).collect()
}

fn line(outcome: &Outcome) -> String {
    let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    match outcome {
        Outcome::Write(Mutation {
            key,
            action: Action::Delete,
            ..
        }) => format!("delete {}", text(&key.0)),
        Outcome::Write(Mutation {
            key,
            action: Action::Put { item, .. },
            ..
        }) => {
            let item = text(item);
            let tree: serde_json::Value = serde_json::from_str(&item).unwrap();
            let of_key: serde_json::Value = serde_json::from_slice(&key.0).unwrap();
            for (name, value) in of_key.as_object().unwrap() {
                assert_eq!(&tree[name], value, "the key is part of the item");
            }
            format!("put {item}")
        }
        Outcome::Gone(origin) => format!("gone {}", origin.source_key),
        Outcome::Contested { origin, owner } => {
            format!("contested {} by {}", origin.source_key, owner.source_key)
        }
        Outcome::Unmappable { origin, reason } => {
            format!(
                "unmappable {}: {} {}",
                origin.source_key,
                reason.attribute,
                reason.fault.name()
            )
        }
    }
}

const ANNA: &str = r#"{"PK":{"S":"USER#1"},"SK":{"S":"anna"}"#;

#[test]
fn an_insert_is_a_put() {
    let lines = run(plan(), &insert(row(1, "anna", "new", r#"{"a": 1}"#)), true);
    assert_eq!(
        lines,
        [format!(
            r#"put {ANNA},"status":{{"S":"new"}},"notes":{{"M":{{"a":{{"N":"1"}}}}}}}}"#
        )]
    );
    let lines = run(plan(), &insert(row(1, "anna", "NULL", "NULL")), true);
    assert_eq!(lines, [format!("put {ANNA}}}")]);
}

#[test]
fn size_is_counted() {
    let mut out = Vec::new();
    let mut projector = Projector::new(Arc::new(plan())).unwrap();
    let change = insert(row(1, "anna", "new", r#"{"a": 1}"#));
    projector
        .project(SourceId(0), &change, true, &mut out)
        .unwrap();
    let Outcome::Write(Mutation {
        action: Action::Put { size, .. },
        ..
    }) = &out[0]
    else {
        panic!("a put");
    };
    assert_eq!(*size, (2 + 6) + (2 + 4) + (6 + 3) + (5 + 3 + 1 + 1 + 2));
}

#[test]
fn nulls_are_written_where_asked_but_never_in_index_keys() {
    let mut plan = plan();
    plan.settings.write_nulls = true;
    let lines = run(plan, &insert(row(1, "anna", "NULL", "NULL")), true);
    assert_eq!(lines, [format!(r#"put {ANNA},"notes":{{"NULL":true}}}}"#)]);
}

#[test]
fn bad_index_keys_are_left_out() {
    let long = "x".repeat(2049);
    for status in ["", &long] {
        let lines = run(plan(), &insert(row(1, "anna", status, "NULL")), true);
        assert_eq!(lines, [format!("put {ANNA}}}")]);
    }
    let fits = "x".repeat(2048);
    let lines = run(plan(), &insert(row(1, "anna", &fits, "NULL")), true);
    assert!(lines[0].contains("status"));
    let mut numeric = plan();
    numeric.projections[0].attributes[3].ty = AttributeType::N;
    numeric.targets[0].gsis[0].pk.ty = AttributeType::N;
    let lines = run(
        numeric,
        &insert(row(1, "anna", "not a number", "NULL")),
        true,
    );
    assert_eq!(lines, [format!("put {ANNA}}}")]);
    let mut other_type = plan();
    other_type.targets[0].gsis[0].pk.ty = AttributeType::N;
    let lines = run(other_type, &insert(row(1, "anna", "new", "NULL")), true);
    assert_eq!(lines, [format!("put {ANNA}}}")]);
}

#[test]
fn an_index_key_behind_large_attributes_is_not_dropped_for_want_of_room() {
    // notes comes before status in the plan and leaves room for less than status needs.
    let notes = format!(r#"{{"n": "{}"}}"#, "x".repeat(MAX_ITEM_BYTES - 40));
    let lines = run(
        plan(),
        &insert(row(1, "anna", "s-that-does-not-fit", &notes)),
        true,
    );
    assert_eq!(lines[0], format!("delete {ANNA}}}"));
    assert_eq!(lines[1], "unmappable 1: notes item_too_large");
}

#[test]
fn updates() {
    let anna = || row(1, "anna", "new", "NULL");
    assert_eq!(
        run(plan(), &update(anna(), anna()), true),
        Vec::<String>::new()
    );
    let again = run(plan(), &update(anna(), anna()), false);
    assert_eq!(again, [format!(r#"put {ANNA},"status":{{"S":"new"}}}}"#)]);
    let moved = run(
        plan(),
        &update(anna(), row(1, "berta", "NULL", "NULL")),
        true,
    );
    assert_eq!(
        moved,
        [
            format!("delete {ANNA}}}"),
            r#"put {"PK":{"S":"USER#1"},"SK":{"S":"berta"}}"#.to_owned()
        ]
    );
    let other_row = run(
        plan(),
        &update(anna(), row(2, "anna", "NULL", "NULL")),
        true,
    );
    assert_eq!(
        other_row,
        [
            "gone 1".to_owned(),
            format!("delete {ANNA}}}"),
            r#"put {"PK":{"S":"USER#2"},"SK":{"S":"anna"}}"#.to_owned()
        ]
    );
}

#[test]
fn deletes() {
    let gone = Change::Delete {
        before: row(1, "anna", "new", "not even json"),
    };
    assert_eq!(
        run(plan(), &gone, true),
        ["gone 1".to_owned(), format!("delete {ANNA}}}")]
    );
    let keyless = Change::Delete {
        before: row(1, "NULL", "new", "NULL"),
    };
    assert_eq!(run(plan(), &keyless, true), ["gone 1"]);
}

#[test]
fn rows_without_a_valid_item() {
    let anna = || row(1, "anna", "new", "NULL");
    let delete = format!("delete {ANNA}}}");
    let to = |after: Row<'static>| run(plan(), &update(anna(), after), true);
    assert_eq!(
        to(row(1, "NULL", "new", "NULL")),
        [delete.clone(), "unmappable 1: SK key_null".to_owned()]
    );
    assert_eq!(
        to(row(1, "", "new", "NULL")),
        [delete.clone(), "unmappable 1: SK key_empty".to_owned()]
    );
    let long = "x".repeat(MAX_SORT_KEY_BYTES + 1);
    assert_eq!(
        to(row(1, &long, "new", "NULL")),
        [delete.clone(), "unmappable 1: SK key_too_long".to_owned()]
    );
    assert_eq!(
        to(row(1, "anna", "new", "[]")),
        [delete.clone(), "unmappable 1: notes wrong_type".to_owned()]
    );
    let moved = to(row(1, "berta", "new", "[]"));
    assert_eq!(moved.len(), 3);
    assert!(moved.contains(&delete) && moved.iter().any(|l| l.contains("berta")));
    // From bad to good: the key had nothing that could be deleted.
    let better = run(
        plan(),
        &update(
            row(1, "NULL", "new", "NULL"),
            row(1, "anna", "NULL", "NULL"),
        ),
        true,
    );
    assert_eq!(better, [format!("put {ANNA}}}")]);
}

#[test]
fn a_reason_names_attribute_and_rule_but_no_value() {
    let mut out = Vec::new();
    let mut projector = Projector::new(Arc::new(plan())).unwrap();
    let change = insert(row(1, "anna", "new", "\"secret\""));
    projector
        .project(SourceId(0), &change, true, &mut out)
        .unwrap();
    let Some(Outcome::Unmappable { reason, .. }) = out.last() else {
        panic!("unmappable");
    };
    let text = reason.to_string();
    assert!(
        text.contains("notes") && text.contains("JSON object") && !text.contains("secret"),
        "{text}"
    );
    assert!(matches!(reason.fault, Fault::WrongType { .. }));
}

#[test]
fn minus_zero_is_a_change() {
    let mut plan = plan();
    plan.projections[0].attributes[2].ty = AttributeType::S;
    let with = |number| Row {
        values: vec![
            Value::Int(1),
            Value::Text("anna".into()),
            Value::Null,
            Value::Double(number),
        ],
    };
    let lines = run(
        plan,
        &Change::Update {
            before: with(0.0),
            after: with(-0.0),
        },
        true,
    );
    assert_eq!(lines, [format!(r#"put {ANNA},"notes":{{"S":"-0"}}}}"#)]);
}

#[test]
fn number_keys_are_normalized_and_key_order_is_the_tables() {
    let mut plan = plan();
    plan.targets[0].pk.ty = AttributeType::N;
    plan.projections[0].attributes[0].ty = AttributeType::N;
    plan.projections[0].attributes[0].value = ValueSource::Column(2);
    plan.targets[0].gsis.clear();
    plan.projections[0].attributes.pop();
    plan.projections[0].attributes.reverse();
    let of = |status: &str| run(plan.clone(), &insert(row(1, "anna", status, "NULL")), true);
    for status in ["7", "07", "7.0", "0.7e1"] {
        assert_eq!(of(status), [r#"put {"PK":{"N":"7"},"SK":{"S":"anna"}}"#]);
    }
    let same = update(row(1, "anna", "7", "NULL"), row(1, "anna", "7.0", "NULL"));
    assert_eq!(
        run(plan.clone(), &same, true),
        [r#"put {"PK":{"N":"7"},"SK":{"S":"anna"}}"#]
    );
}

#[test]
fn templates_transforms_and_constants() {
    let mut plan = plan();
    let date = ValueSource::Transformed {
        input: Box::new(ValueSource::Column(3)),
        by: Transform::Date {
            format: DateFormat::Epoch,
            source_format: None,
        },
    };
    let attributes = &mut plan.projections[0].attributes;
    attributes[2] = attribute("at", AttributeType::N, Role::Plain, date.clone());
    let label = ValueSource::Template(vec![
        Piece::Value(ValueSource::Static(Scalar::String("at ".to_owned()))),
        Piece::Value(date),
        Piece::Value(ValueSource::Template(vec![Piece::Literal("!".to_owned())])),
    ]);
    attributes.push(attribute("label", AttributeType::S, Role::Plain, label));
    let flag = ValueSource::Static(Scalar::Bool(true));
    attributes.push(attribute("flag", AttributeType::Bool, Role::Plain, flag));
    let number = ValueSource::Static(Scalar::Number("1.50".to_owned()));
    attributes.push(attribute("rate", AttributeType::N, Role::Plain, number));
    let row = |date| Row {
        values: vec![
            Value::Int(1),
            Value::Text("anna".into()),
            Value::Null,
            Value::Date(date),
        ],
    };
    let day = Temporal {
        year: 1970,
        month: 1,
        day: 2,
        ..Temporal::default()
    };
    assert_eq!(
        run(plan.clone(), &Change::Insert { after: row(day) }, true),
        [format!(
            r#"put {ANNA},"at":{{"N":"86400"}},"label":{{"S":"at 86400!"}},"flag":{{"BOOL":true}},"rate":{{"N":"1.5"}}}}"#
        )]
    );
    let zero = run(
        plan,
        &Change::Insert {
            after: row(Temporal::default()),
        },
        true,
    );
    assert_eq!(
        zero,
        [format!(
            r#"put {ANNA},"flag":{{"BOOL":true}},"rate":{{"N":"1.5"}}}}"#
        )]
    );
}

#[test]
fn what_does_not_fit_is_refused_at_the_start() {
    let kind = |plan: Plan| {
        Projector::new(Arc::new(plan))
            .map(|_| ())
            .unwrap_err()
            .kind()
    };
    let mut keyless = plan();
    keyless.projections[0].attributes.remove(1);
    assert_eq!(kind(keyless), Kind::Internal);
    let mut slot = plan();
    slot.projections[0].attributes[2].value = ValueSource::Column(4);
    assert_eq!(kind(slot), Kind::Internal);
}

#[test]
fn changes_that_do_not_fit_the_plan_are_errors() {
    let mut projector = Projector::new(Arc::new(plan())).unwrap();
    let short = Change::Insert {
        after: Row {
            values: vec![Value::Int(1)],
        },
    };
    let mut out = Vec::new();
    assert!(
        projector
            .project(SourceId(0), &short, true, &mut out)
            .is_err()
    );
    assert!(
        projector
            .project(
                SourceId(9),
                &insert(row(1, "a", "b", "NULL")),
                true,
                &mut out
            )
            .is_err()
    );
    assert!(out.is_empty());
}

#[test]
fn names_of_rows_do_not_collide() {
    let table = SourceTable {
        key: vec![1, 2],
        ..plan().sources[0].clone()
    };
    let name = |a: &str, b: &str| source_key(&table, &row(1, a, b, "NULL"));
    assert_eq!(&*name("a", "b"), "a,b");
    assert_ne!(name("a,b", "c"), name("a", "b,c"));
    assert_ne!(name("a\\", ",c"), name("a\\,", "c"));
    let bytes = Row {
        values: vec![
            Value::Null,
            Value::Bytes(vec![0, 171].into()),
            Value::UInt(3),
            Value::Null,
        ],
    };
    assert_eq!(&*source_key(&table, &bytes), "0x00ab,3");
}
