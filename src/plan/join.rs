//! Joins and calculations: compiled as far as names and expressions go, so that they can be explained.

use sqlparser::ast::Value;

use super::model::{
    ConstructionPlan, HopPlan, JoinPlan, RowRef, SourceId, Sql, SqlRef, ValueSource,
};
use super::scope::{Cx, Mode, Other, Scope, fixed_columns};
use super::sql::{self, RawRef};
use super::types::is_number;
use crate::contract::diagnostic::Place;
use crate::contract::model::{
    Attribute, Calculation, Construction, Hop, Join, Scalar, Spanned, Text, ToOneKind,
};
use crate::expression::{Type, tells_apart};

/// Compiles the attribute's join.
pub(super) fn join(
    cx: &mut Cx<'_, '_>,
    driving: SourceId,
    attribute: &Attribute,
    join: &Spanned<Join>,
) -> Option<ValueSource> {
    let mut scope = Scope::driving(driving);
    scope.source_column = attribute.source_columns.first().map(|c| c.value.clone());
    let plan = match &join.value {
        Join::ToOne {
            kind,
            target_table,
            conditions,
            select_column,
        } => {
            let kind = match kind {
                ToOneKind::ForeignKey => "foreign-key",
                ToOneKind::LookupTable => "lookup-table",
                ToOneKind::MultiColumn => "multi-column",
            };
            let hop = hop(
                cx,
                &mut scope,
                target_table,
                None,
                conditions,
                Some(select_column),
                true,
            )?;
            plain(kind, vec![hop])
        }
        Join::SelfJoin {
            alias,
            target_table,
            condition,
            select_column,
            null_value,
        } => {
            let target = match target_table {
                Some(name) => cx.sources.resolve(name, cx.d),
                None => self_join_target(cx, driving, alias, condition),
            }?;
            let hop = hop_to(
                cx,
                &mut scope,
                target,
                Some(&alias.value),
                std::slice::from_ref(condition),
                Some(select_column),
                true,
            )?;
            JoinPlan {
                null_value: null_value.as_ref().map(|v| v.value.clone()),
                ..plain("self-join", vec![hop])
            }
        }
        Join::Conditional {
            condition,
            target_table,
            join_condition,
            select_column,
            else_value,
        } => {
            let hop = hop(
                cx,
                &mut scope,
                target_table,
                None,
                std::slice::from_ref(join_condition),
                Some(select_column),
                true,
            );
            let condition = expression(cx, &scope, condition, Mode::Driving);
            let otherwise = else_value.as_ref().map(|v| otherwise(cx, &scope, v));
            let (else_value, else_sql) = match otherwise {
                None => (None, None),
                Some(found) => found?,
            };
            JoinPlan {
                condition: Some(condition?),
                else_value,
                else_sql,
                ..plain("conditional", vec![hop?])
            }
        }
        Join::Chain { hops, separator } => {
            let hops = chain(cx, &mut scope, hops, separator.is_some(), &join.place)?;
            JoinPlan {
                separator: separator.as_ref().map(|s| s.value.clone()),
                ..plain("chain", hops)
            }
        }
        Join::Json {
            target_table,
            condition,
            construction,
        } => {
            let to_one = !construction.array;
            let hop = hop(
                cx,
                &mut scope,
                target_table,
                None,
                std::slice::from_ref(condition),
                None,
                to_one,
            )?;
            let construction = construct(cx, &scope, construction)?;
            JoinPlan {
                construction: Some(construction),
                ..plain("json-construction", vec![hop])
            }
        }
    };
    Some(ValueSource::Join(Box::new(plan)))
}

/// Compiles the attribute's calculation.
pub(super) fn calculation(
    cx: &mut Cx<'_, '_>,
    driving: SourceId,
    attribute: &Attribute,
    calculation: &Calculation,
) -> Option<ValueSource> {
    let mut scope = Scope::driving(driving);
    scope.source_column = attribute.source_columns.first().map(|c| c.value.clone());
    match calculation {
        Calculation::Aggregate {
            operation,
            target_table,
            condition,
            select_column,
        } => {
            let source = cx.sources.resolve(target_table, cx.d)?;
            scope.join(source, None);
            let condition = expression(cx, &scope, condition, Mode::Condition);
            let select = match select_column {
                Some(text) if text.value.trim() != "*" => {
                    let parsed = sql::parse(text, cx.d)?;
                    of_both(cx, driving, source, &parsed.refs);
                    Some(scope.resolve(parsed, Mode::Construct, cx)?)
                }
                _ => None,
            };
            inexact_sum(cx, source, select.as_ref());
            Some(ValueSource::Aggregate {
                operation: *operation,
                source,
                condition: condition?,
                select,
                node: 0,
                fold: 0,
            })
        }
        Calculation::Case { cases, otherwise } => {
            let compiled: Vec<_> = cases
                .iter()
                .map(|(when, then)| {
                    (
                        expression(cx, &scope, when, Mode::Driving),
                        scalar(cx, &scope, then),
                    )
                })
                .collect();
            let otherwise = otherwise.as_ref().map(|v| scalar(cx, &scope, v));
            let cases = compiled
                .into_iter()
                .map(|(when, then)| Some((when?, then?)))
                .collect::<Option<Vec<_>>>()?;
            let otherwise = match otherwise {
                None => None,
                Some(found) => Some(found?),
            };
            Some(ValueSource::Case { cases, otherwise })
        }
        Calculation::Concat { parts, separator } => {
            let parts: Vec<_> = parts
                .iter()
                .map(|p| expression(cx, &scope, p, Mode::Driving))
                .collect();
            let parts = parts.into_iter().collect::<Option<Vec<_>>>()?;
            Some(ValueSource::Concat {
                parts,
                separator: separator.as_ref().map(|s| s.value.clone()),
            })
        }
        Calculation::Expression(text) => Some(ValueSource::Expression(expression(
            cx,
            &scope,
            text,
            Mode::Driving,
        )?)),
    }
}

/// Bare columns of an aggregate that the driving table has as well: elsewhere they would be the driving row's.
fn of_both(cx: &mut Cx<'_, '_>, driving: SourceId, target: SourceId, refs: &[RawRef]) {
    if cx.sources.offline() || driving == target {
        return;
    }
    for bare in refs.iter().filter(|r| r.qualifier.is_empty()) {
        let both = [driving, target]
            .iter()
            .all(|s| cx.sources.has_column(*s, &bare.column));
        if !both {
            continue;
        }
        let (own, other) = (cx.sources.name(target), cx.sources.name(driving));
        let message = format!(
            "`{}` is a column of both {own} and {other}: that of {own} is aggregated",
            bare.column
        );
        let help = format!(
            "name the table: `{}.{}`, or `{}.{}`",
            own.table, bare.column, other.table, bare.column
        );
        cx.d.warn_help("bare-column", &bare.place, message, help);
    }
}

/// Compiles an expression over the rows of the scope.
pub(super) fn expression(
    cx: &mut Cx<'_, '_>,
    scope: &Scope,
    text: &Text,
    mode: Mode,
) -> Option<Sql> {
    let parsed = sql::parse(text, cx.d)?;
    scope.resolve(parsed, mode, cx)
}

fn plain(kind: &'static str, hops: Vec<HopPlan>) -> JoinPlan {
    JoinPlan {
        kind,
        hops,
        nodes: Vec::new(),
        condition: None,
        else_value: None,
        else_sql: None,
        null_value: None,
        separator: None,
        construction: None,
    }
}

fn hop(
    cx: &mut Cx<'_, '_>,
    scope: &mut Scope,
    target: &Text,
    alias: Option<&str>,
    conditions: &[Text],
    select: Option<&Text>,
    wants_one: bool,
) -> Option<HopPlan> {
    let source = cx.sources.resolve(target, cx.d)?;
    hop_to(cx, scope, source, alias, conditions, select, wants_one)
}

fn hop_to(
    cx: &mut Cx<'_, '_>,
    scope: &mut Scope,
    source: SourceId,
    alias: Option<&str>,
    conditions: &[Text],
    select: Option<&Text>,
    wants_one: bool,
) -> Option<HopPlan> {
    let row = scope.join(source, alias);
    let compiled: Vec<_> = conditions
        .iter()
        .map(|c| expression(cx, scope, c, Mode::Condition))
        .collect();
    let select = select.map(|text| expression(cx, scope, text, Mode::Select));
    let conditions = compiled.into_iter().collect::<Option<Vec<_>>>()?;
    let to_one = matches_one(cx, source, &conditions, row);
    let place = conditions.first().map(|c| c.place.clone());
    if let (true, false, false, Some(place)) = (wants_one, to_one, cx.sources.offline(), place) {
        cx.d.warn_help(
            "join-many",
            &place,
            format!(
                "several rows of `{}` can match: the one with the lowest primary key is taken",
                cx.sources.name(source)
            ),
            "join on all columns of a unique key of that table",
        );
    }
    let select = match select {
        None => None,
        Some(found) => Some(found?),
    };
    Some(HopPlan {
        source,
        alias: alias.map(str::to_string),
        conditions,
        select,
        to_one,
    })
}

/// Whether at most one row can satisfy the conditions: they fix all columns of a unique key.
fn matches_one(cx: &Cx<'_, '_>, source: SourceId, conditions: &[Sql], row: RowRef) -> bool {
    let table = cx.sources.table(source);
    let column = |source: SourceId, slot: usize| {
        let columns = &cx.sources.table(source).columns;
        columns.get(slot).map(Type::from)
    };
    let exact = |own: &SqlRef, other: Other<'_>| {
        let Some(own) = column(own.source, own.slot) else {
            return true;
        };
        match other {
            _ if cx.sources.offline() => true,
            Other::Column(other) => {
                column(other.source, other.slot).is_none_or(|other| tells_apart(&own, &other))
            }
            Other::Literal(Value::Number(..)) => own.kind.is_number(),
            Other::Literal(Value::SingleQuotedString(_) | Value::DoubleQuotedString(_)) => {
                !own.kind.is_number()
            }
            Other::Literal(_) => false,
        }
    };
    let fixed = fixed_columns(conditions, row, &exact);
    let keys =
        std::iter::once(&table.primary_key).chain(table.unique_keys.iter().map(|k| &k.columns));
    keys.filter(|k| !k.is_empty())
        .any(|key| key.iter().all(|c| fixed.contains(c)))
}

fn chain(
    cx: &mut Cx<'_, '_>,
    scope: &mut Scope,
    hops: &[Hop],
    separated: bool,
    place: &Place,
) -> Option<Vec<HopPlan>> {
    const MOST_HOPS: usize = 16;
    if hops.is_empty() || hops.len() > MOST_HOPS {
        cx.d.error(
            "chain-length",
            place,
            format!(
                "a chain has 1 to {MOST_HOPS} joins, this one has {}",
                hops.len()
            ),
        );
        return None;
    }
    let mut compiled = Vec::new();
    for (index, each) in hops.iter().enumerate() {
        let needs_select = separated || index + 1 == hops.len();
        if needs_select && each.select_column.is_none() {
            cx.d.error_help(
                "missing-select",
                &each.place,
                "nothing says which column of this join is the value",
                "add \"select_column\"",
            );
        }
        let select = each.select_column.as_ref();
        compiled.push(hop(
            cx,
            scope,
            &each.target_table,
            None,
            std::slice::from_ref(&each.condition),
            select,
            true,
        )?);
        // From the second hop on, the column that leads there is not the attribute's own.
        scope.source_column = None;
    }
    Some(compiled)
}

/// The table of a self-join without `target_table`: where the foreign key of the condition's column leads, else the
/// driving table itself.
fn self_join_target(
    cx: &mut Cx<'_, '_>,
    driving: SourceId,
    alias: &Text,
    condition: &Text,
) -> Option<SourceId> {
    if cx.sources.offline() {
        return Some(driving);
    }
    let parsed = sql::parse(condition, cx.d)?;
    let of_alias = |q: &str| q.eq_ignore_ascii_case(&alias.value);
    let table = cx.sources.table(driving);
    let own: Vec<_> = parsed
        .refs
        .iter()
        .filter(|r| !of_alias(&r.qualifier))
        .filter_map(|r| table.column_index(&r.column))
        .collect();
    let parent = table
        .foreign_keys
        .iter()
        .find(|fk| fk.columns.iter().all(|c| own.contains(c)))
        .map(|fk| fk.parent.clone());
    if let Some(parent) = parent
        && let Some(found) = cx.sources.add(parent, &condition.place, cx.d)
    {
        return Some(found);
    }
    let there = parsed
        .refs
        .iter()
        .filter(|r| of_alias(&r.qualifier))
        .all(|r| cx.sources.has_column(driving, &r.column));
    if there {
        return Some(driving);
    }
    cx.d.error_help(
        "self-join-target",
        &alias.place,
        format!(
            "`{}` is no table, and no foreign key of `{}` says which one is meant",
            alias.value,
            cx.sources.name(driving)
        ),
        "add \"target_table\" to the join",
    );
    None
}

/// `else_value`: a literal, or a reference where it has a dot and no quotes.
fn otherwise(
    cx: &mut Cx<'_, '_>,
    scope: &Scope,
    value: &Spanned<Scalar>,
) -> Option<(Option<Scalar>, Option<Sql>)> {
    let Scalar::String(text) = &value.value else {
        return Some((Some(value.value.clone()), None));
    };
    let trimmed = text.trim();
    let unquoted = ['\'', '"']
        .iter()
        .find_map(|q| trimmed.strip_prefix(*q)?.strip_suffix(*q));
    if let Some(inner) = unquoted {
        return Some((Some(Scalar::String(inner.to_string())), None));
    }
    if !trimmed.contains('.') || is_number(trimmed) {
        return Some((Some(Scalar::String(text.clone())), None));
    }
    let written = Text {
        value: text.clone(),
        place: value.place.clone(),
    };
    let before = std::mem::take(cx.d);
    let found = expression(cx, scope, &written, Mode::Select);
    *cx.d = before;
    let is_reference = found.as_ref().is_some_and(|s| s.refs.len() == 1);
    if let (Some(sql), true) = (found, is_reference) {
        return Some((None, Some(sql)));
    }
    cx.d.error_help(
        "else-value",
        &value.place,
        format!("`{}` has a dot and no quotes, so it should be a column, and there is none of that name", super::types::shortened(text)),
        format!("if it is a text, put it in quotes: \"'{}'\"", super::types::shortened(text)),
    );
    None
}

fn construct(
    cx: &mut Cx<'_, '_>,
    scope: &Scope,
    construction: &Construction,
) -> Option<ConstructionPlan> {
    if construction.select_columns.is_empty() {
        cx.d.error_help(
            "missing-select",
            &construction.place,
            "the construction selects nothing",
            "add \"select_columns\": {\"key\": \"column\"}",
        );
    }
    let select: Vec<_> = construction
        .select_columns
        .iter()
        .map(|(key, text)| {
            Some((
                key.value.clone(),
                expression(cx, scope, text, Mode::Construct)?,
            ))
        })
        .collect();
    let mut order = Some(Vec::new());
    if let Some(text) = &construction.order_by {
        order = sql::parse_order(text, cx.d).and_then(|terms| {
            let terms: Vec<_> = terms
                .into_iter()
                .map(|(term, down)| Some((scope.resolve(term, Mode::Construct, cx)?, down)))
                .collect();
            terms.into_iter().collect()
        });
    }
    Some(ConstructionPlan {
        array: construction.array,
        select: select.into_iter().collect::<Option<_>>()?,
        order_by: construction.order_by.as_ref().map(|t| t.value.clone()),
        order: order?,
        limit: construction.limit.as_ref().map(|l| l.value),
    })
}

/// `then` and `else`: strings are SQL, everything else stands for itself.
fn scalar(cx: &mut Cx<'_, '_>, scope: &Scope, value: &Spanned<Scalar>) -> Option<Sql> {
    let (literal, text) = match &value.value {
        Scalar::String(text) => {
            let text = Text {
                value: text.clone(),
                place: value.place.clone(),
            };
            return expression(cx, scope, &text, Mode::Driving);
        }
        Scalar::Null => (Value::Null, "NULL".to_string()),
        Scalar::Bool(b) => (Value::Boolean(*b), b.to_string().to_uppercase()),
        Scalar::Number(n) => (Value::Number(n.clone(), false), n.clone()),
    };
    scope.resolve(
        sql::literal(literal, &text, &value.place),
        Mode::Driving,
        cx,
    )
}

fn inexact_sum(cx: &mut Cx<'_, '_>, source: SourceId, select: Option<&Sql>) {
    use crate::schema::ColumnType;
    let Some(sql) = select else { return };
    let inexact = sql.refs.iter().any(|r| {
        matches!(
            cx.sources.column_type(r.source, r.slot),
            Some(ColumnType::Float { .. } | ColumnType::Double { .. })
        )
    });
    if inexact {
        cx.d.warn_help(
            "float-aggregate",
            &sql.place,
            format!("a sum of FLOAT or DOUBLE depends on the order of addition: the rows of `{}` are taken in primary-key order", cx.sources.name(source)),
            "use a DECIMAL column where exact values matter",
        );
    }
}
