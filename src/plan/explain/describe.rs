//! Values, joins and roles in words; shared by all three forms.

use super::super::graph;
use super::super::model::*;
use super::super::types::{column_type_name, shortened};
use crate::contract::model::{AggregateOperation, BinaryFormat, GsiProjection, Scalar};
use crate::schema::ReferentialAction;

/// Where a value comes from, in words: `"CUSTOMER#" + customer_id`.
pub(super) fn value(plan: &Plan, driving: &SourceTable, source: &ValueSource) -> String {
    match source {
        ValueSource::Column(slot) => column(plan, driving, *slot),
        ValueSource::Template(pieces) => pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => format!("{text:?}"),
                Piece::Value(ValueSource::Column(slot)) => {
                    driving.columns[*slot].column.name.clone()
                }
                Piece::Value(inner) => value(plan, driving, inner),
            })
            .collect::<Vec<_>>()
            .join(" + "),
        ValueSource::Static(scalar) => format!("always {}", constant(scalar)),
        ValueSource::Transformed { input, by } => {
            format!("{} as {}", value(plan, driving, input), transform(by))
        }
        ValueSource::Join(join) => join_words(plan, join),
        ValueSource::Aggregate {
            operation,
            source,
            condition,
            select,
            ..
        } => {
            let operation = match operation {
                AggregateOperation::Sum => "SUM",
                AggregateOperation::Count => "COUNT",
                AggregateOperation::Avg => "AVG",
                AggregateOperation::Min => "MIN",
                AggregateOperation::Max => "MAX",
            };
            let what = select.as_ref().map_or("*", |s| s.text.as_str());
            format!(
                "{operation}({what}) of {} where {}",
                plan.source(*source).name,
                condition.text
            )
        }
        ValueSource::Case { cases, otherwise } => {
            let cases: Vec<_> = cases
                .iter()
                .map(|(when, then)| format!("{} if {}", then.text, when.text))
                .collect();
            let otherwise = otherwise.as_ref().map_or("NULL", |s| s.text.as_str());
            format!("{}, else {otherwise}", cases.join(", "))
        }
        ValueSource::Concat { parts, separator } => {
            let parts: Vec<_> = parts.iter().map(|s| s.text.as_str()).collect();
            parts.join(
                &separator
                    .as_ref()
                    .map_or(" + ".into(), |s| format!(" + {s:?} + ")),
            )
        }
        ValueSource::Expression(sql) => sql.text.clone(),
    }
}

fn column(plan: &Plan, table: &SourceTable, slot: usize) -> String {
    let column = &table.columns[slot].column;
    match plan.offline {
        true => column.name.clone(),
        false => format!("{} ({})", column.name, column_type_name(&column.ty)),
    }
}

fn constant(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Null => "NULL".into(),
        Scalar::Bool(b) => b.to_string(),
        Scalar::Number(n) => n.clone(),
        Scalar::String(s) => format!("{:?}", shortened(s)),
    }
}

fn transform(by: &Transform) -> String {
    match by {
        Transform::Date {
            format,
            source_format,
        } => {
            let read = source_format
                .as_ref()
                .map_or(String::new(), |s| format!(", read as {s}"));
            format!("date {}{read}", date_format(format))
        }
        Transform::Number(NumberFormat::Decimals {
            integer_digits,
            decimals,
        }) => {
            format!("number with {decimals} decimals (at least {integer_digits} before the point)")
        }
        Transform::Number(NumberFormat::Padded { width, zero }) => {
            format!(
                "integer padded with {} to {width}",
                if *zero { "zeros" } else { "spaces" }
            )
        }
        Transform::JsonParse => "parsed JSON".into(),
        Transform::Binary(BinaryFormat::Base64) => "base64".into(),
        Transform::Binary(BinaryFormat::Hex) => "hex".into(),
        Transform::Binary(BinaryFormat::Uuid) => "UUID".into(),
    }
}

fn date_format(format: &DateFormat) -> String {
    match format {
        DateFormat::Epoch => "seconds since 1970".into(),
        DateFormat::EpochMillis => "milliseconds since 1970".into(),
        DateFormat::Iso8601 => "ISO 8601".into(),
        DateFormat::Pattern(tokens) => tokens
            .iter()
            .map(|token| match token {
                DateToken::Year => "YYYY",
                DateToken::Month => "MM",
                DateToken::Day => "DD",
                DateToken::Hour => "HH",
                DateToken::Minute => "mm",
                DateToken::Second => "ss",
                DateToken::Millis => "SSS",
                DateToken::Literal(text) => text,
            })
            .collect(),
    }
}

fn join_words(plan: &Plan, join: &JoinPlan) -> String {
    let mut out = String::new();
    if let Some(construction) = &join.construction {
        let keys: Vec<_> = construction
            .select
            .iter()
            .map(|(key, _)| key.as_str())
            .collect();
        let (open, close) = if construction.array {
            ("list of {", "}")
        } else {
            ("{", "}")
        };
        out += &format!("{open}{}{close}", keys.join(", "));
        out.extend(construction.order_by.as_ref().map(|o| format!(" by {o}")));
        out.extend(construction.limit.map(|l| format!(", at most {l}")));
    } else {
        let selected: Vec<_> = join
            .hops
            .iter()
            .filter_map(|h| h.select.as_ref())
            .map(|s| s.text.as_str())
            .collect();
        out += &match &join.separator {
            Some(separator) => selected.join(&format!(" + {separator:?} + ")),
            None => selected.last().map_or("?", |s| *s).to_string(),
        };
    }
    let tables: Vec<_> = join.hops.iter().map(|h| hop_name(plan, h)).collect();
    out += &format!(" from {}", tables.join(" → "));
    out.extend(join.condition.as_ref().map(|c| format!(" if {}", c.text)));
    let otherwise = join
        .else_sql
        .as_ref()
        .map(|s| s.text.clone())
        .or_else(|| join.else_value.as_ref().map(constant));
    out.extend(otherwise.map(|o| format!(", else {o}")));
    out.extend(
        join.null_value
            .as_ref()
            .map(|n| format!(", NULL becomes {}", constant(n))),
    );
    out
}

/// A hop's table, with its alias.
pub(super) fn hop_name(plan: &Plan, hop: &HopPlan) -> String {
    let name = &plan.source(hop.source).name;
    match &hop.alias {
        Some(alias) => format!("{name} ({alias})"),
        None => name.to_string(),
    }
}

/// The joins inside a value, with what they hang on.
pub(super) struct JoinLine {
    pub kind: &'static str,
    pub source: SourceId,
    pub table: String,
    pub cardinality: &'static str,
    pub condition: String,
}

pub(super) fn joins(plan: &Plan, value: &ValueSource) -> Vec<JoinLine> {
    match value {
        ValueSource::Join(join) => join
            .hops
            .iter()
            .map(|hop| JoinLine {
                kind: join.kind,
                source: hop.source,
                table: hop_name(plan, hop),
                cardinality: match (
                    hop.to_one,
                    join.construction.as_ref().is_some_and(|c| c.array),
                ) {
                    (true, _) => "one row",
                    (false, true) => "many rows",
                    (false, false) if plan.offline => "unknown",
                    (false, false) => "many rows, the lowest key wins",
                },
                condition: hop
                    .conditions
                    .iter()
                    .map(|c| c.text.as_str())
                    .collect::<Vec<_>>()
                    .join(" AND "),
            })
            .collect(),
        ValueSource::Aggregate {
            source, condition, ..
        } => vec![JoinLine {
            kind: "aggregate",
            source: *source,
            table: plan.source(*source).name.to_string(),
            cardinality: "many rows",
            condition: condition.text.clone(),
        }],
        ValueSource::Transformed { input, .. } => joins(plan, input),
        ValueSource::Template(pieces) => pieces
            .iter()
            .flat_map(|piece| match piece {
                Piece::Literal(_) => Vec::new(),
                Piece::Value(value) => joins(plan, value),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// What an attribute is to its item.
pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::PartitionKey => "partition key",
        Role::SortKey => "sort key",
        Role::IndexKey => "index key",
        Role::Plain => "",
    }
}

/// What an index holds besides its keys.
pub(super) fn index_projection(projection: &GsiProjection) -> String {
    match projection {
        GsiProjection::All => "all attributes".into(),
        GsiProjection::KeysOnly => "keys only".into(),
        GsiProjection::Include(names) => {
            let names: Vec<_> = names.iter().map(|n| n.value.as_str()).collect();
            format!("keys and {}", names.join(", "))
        }
    }
}

/// The projections that a change of the table touches, and how: it drives them, or they join it (`by` attributes).
pub(super) fn touched(plan: &Plan, source: SourceId) -> Vec<(ProjectionId, bool, Vec<&str>)> {
    let mut found = Vec::new();
    for projection in &plan.projections {
        let mut by: Vec<&str> = projection
            .attributes
            .iter()
            .filter(|a| joins(plan, &a.value).iter().any(|j| j.source == source))
            .map(|a| a.name.as_str())
            .collect();
        by.dedup();
        let drives = projection.driving == source;
        if drives || !by.is_empty() {
            found.push((projection.id, drives, by));
        }
    }
    found
}

/// A foreign key whose cascades are derived, and that can change the projection's items.
pub(super) struct CascadeLine {
    pub name: String,
    pub parent: String,
    pub child: String,
    pub actions: String,
    /// The parent's rows are not copied: its changes are all that is needed.
    pub watched_only: bool,
}

/// The derived cascades that reach what the projection reads, nearest first.
pub(super) fn cascades(plan: &Plan, projection: &Projection) -> Vec<CascadeLine> {
    let mut reached = graph::sources(projection);
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(child) = reached.get(next).copied() {
        next += 1;
        for key in plan.foreign_keys.iter().filter(|key| key.child == child) {
            let parent = plan.source(key.parent);
            let words = [("DELETE", key.on_delete), ("UPDATE", key.on_update)];
            let actions = words
                .into_iter()
                .filter_map(|(event, action)| match action {
                    ReferentialAction::Restrict => None,
                    ReferentialAction::Cascade => Some(format!("ON {event} CASCADE")),
                    ReferentialAction::SetNull => Some(format!("ON {event} SET NULL")),
                });
            found.push(CascadeLine {
                name: key.name.clone(),
                parent: parent.name.to_string(),
                child: plan.source(child).name.to_string(),
                actions: actions.collect::<Vec<_>>().join(", "),
                watched_only: parent.watched_only,
            });
            if !reached.contains(&key.parent) {
                reached.push(key.parent);
            }
        }
    }
    found
}
