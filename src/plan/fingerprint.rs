//! The hash of everything that decides what the items are, and of nothing else.
//!
//! Names of tables and columns stand for themselves rather than as ids, and everything without a meaningful order is
//! sorted: order of declaration, places, documentation and columns that the plan does not read leave no trace.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::model::*;
use super::types::type_name;
use crate::contract::model::{GsiProjection, Scalar};
use crate::schema::ColumnType;

/// SHA-256 of the plan's canonical text, in hex.
pub(super) fn of(plan: &Plan) -> String {
    hex::encode(Sha256::digest(canonical(plan)))
}

/// The canonical text. Every name and text is quoted, so that no two plans can have the same.
fn canonical(plan: &Plan) -> String {
    let mut out = String::from("penstock plan 1\n");
    let _ = writeln!(
        out,
        "nulls {} offline {}",
        plan.settings.write_nulls, plan.offline
    );
    let blocks = plan
        .sources
        .iter()
        .map(source)
        .chain(plan.targets.iter().map(target));
    let mut blocks: Vec<String> = blocks
        .chain(plan.projections.iter().map(|p| projection(plan, p)))
        .collect();
    blocks.extend(plan.foreign_keys.iter().map(|key| foreign_key(plan, key)));
    blocks.sort_unstable();
    out.extend(blocks);
    out
}

fn foreign_key(plan: &Plan, key: &ForeignKeyPlan) -> String {
    let names = |source: SourceId, slots: &[usize]| -> Vec<String> {
        let table = plan.source(source);
        let columns = slots.iter().filter_map(|slot| table.columns.get(*slot));
        columns.map(|c| c.column.name.clone()).collect()
    };
    format!(
        "cascade {:?} {:?} {:?} from {:?} {:?} {:?} {:?}\n",
        key.name,
        plan.source(key.child).name,
        names(key.child, &key.child_slots),
        plan.source(key.parent).name,
        names(key.parent, &key.parent_slots),
        key.on_delete,
        key.on_update
    )
}

fn source(source: &SourceTable) -> String {
    let mut out = format!(
        "source {:?} {:?}\n",
        source.name.database, source.name.table
    );
    let mut columns: Vec<String> = source
        .columns
        .iter()
        .map(|c| {
            format!(
                " column {:?} {}\n",
                c.column.name,
                column_type(&c.column.ty)
            )
        })
        .collect();
    columns.sort_unstable();
    out.extend(columns);
    for slot in &source.key {
        let _ = writeln!(out, " key {:?}", source.columns[*slot].column.name);
    }
    out
}

/// A column type's canonical text: two types have the same one exactly when they are the same.
pub fn column_type(ty: &ColumnType) -> String {
    let mut text = stored_type(ty);
    if let Some(style) = ty.number_style() {
        let _ = write!(text, " printed {:?} {}", style.decimals, style.width);
    }
    text
}

fn stored_type(ty: &ColumnType) -> String {
    match ty {
        ColumnType::Int {
            bytes, unsigned, ..
        } => format!("int {bytes} {unsigned}"),
        ColumnType::Float { unsigned, .. } => format!("float {unsigned}"),
        ColumnType::Double { unsigned, .. } => format!("double {unsigned}"),
        ColumnType::Decimal {
            precision,
            scale,
            unsigned,
            ..
        } => format!("decimal {precision} {scale} {unsigned}"),
        ColumnType::Bit { bits } => format!("bit {bits}"),
        ColumnType::Text {
            max_chars,
            charset,
            collation,
            fixed,
        } => format!("text {max_chars} {charset:?} {collation:?} {fixed}"),
        ColumnType::Binary { length } => format!("binary {length}"),
        ColumnType::Bytes { max_length } => format!("bytes {max_length}"),
        ColumnType::Enum {
            labels,
            charset,
            collation,
        } => format!("enum {labels:?} {charset:?} {collation:?}"),
        ColumnType::Set {
            labels,
            charset,
            collation,
        } => format!("set {labels:?} {charset:?} {collation:?}"),
        ColumnType::Date => "date".into(),
        ColumnType::DateTime { fsp } => format!("datetime {fsp}"),
        ColumnType::Timestamp { fsp } => format!("timestamp {fsp}"),
        ColumnType::Time { fsp } => format!("time {fsp}"),
        ColumnType::Year => "year".into(),
        ColumnType::Json => "json".into(),
        ColumnType::Geometry => "geometry".into(),
        ColumnType::Vector { dimensions } => format!("vector {dimensions}"),
    }
}

fn target(target: &TargetTable) -> String {
    let key = |key: &KeyAttribute| format!("{:?} {}", key.name, type_name(key.ty));
    let mut out = format!("target {:?} {}", target.name, key(&target.pk));
    out.extend(target.sk.as_ref().map(|sk| format!(" {}", key(sk))));
    out.push('\n');
    let mut indexes: Vec<String> = target
        .gsis
        .iter()
        .map(|gsi| {
            let sk = gsi.sk.as_ref().map(key);
            let projection = match &gsi.projection {
                GsiProjection::All => "all".to_string(),
                GsiProjection::KeysOnly => "keys".to_string(),
                GsiProjection::Include(names) => {
                    let mut names: Vec<_> = names.iter().map(|n| n.value.as_str()).collect();
                    names.sort_unstable();
                    format!("include {names:?}")
                }
            };
            format!(
                " index {:?} {} {sk:?} {projection}\n",
                gsi.name,
                key(&gsi.pk)
            )
        })
        .collect();
    indexes.sort_unstable();
    out.extend(indexes);
    out
}

fn projection(plan: &Plan, projection: &Projection) -> String {
    let driving = plan.source(projection.driving);
    let mut out = format!(
        "projection {:?} from {:?}\n",
        plan.target(projection.target).name,
        driving.name
    );
    if let Some(filter) = &projection.filter {
        let _ = writeln!(out, " filter {}", sql(plan, filter));
    }
    let mut attributes: Vec<String> = projection
        .attributes
        .iter()
        .map(|a| {
            format!(
                " attribute {:?} {} {:?} {}\n",
                a.name,
                type_name(a.ty),
                a.role,
                value(plan, driving, &a.value)
            )
        })
        .collect();
    attributes.sort_unstable();
    out.extend(attributes);
    out
}

fn value(plan: &Plan, driving: &SourceTable, source: &ValueSource) -> String {
    match source {
        ValueSource::Column(slot) => format!("column {:?}", driving.columns[*slot].column.name),
        ValueSource::Template(pieces) => {
            let pieces: Vec<_> = pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Literal(text) => format!("{text:?}"),
                    Piece::Value(inner) => format!("({})", value(plan, driving, inner)),
                })
                .collect();
            format!("template [{}]", pieces.join(" "))
        }
        ValueSource::Static(scalar) => format!("static {}", constant(scalar)),
        ValueSource::Transformed { input, by } => {
            format!("transformed ({}) by {by:?}", value(plan, driving, input))
        }
        ValueSource::Join(join) => join_text(plan, join),
        ValueSource::Aggregate {
            operation,
            source,
            condition,
            select,
            ..
        } => format!(
            "aggregate {operation:?} {:?} on {} of {}",
            plan.source(*source).name,
            sql(plan, condition),
            select.as_ref().map_or_else(|| "*".into(), |s| sql(plan, s))
        ),
        ValueSource::Case { cases, otherwise } => {
            let cases: Vec<_> = cases
                .iter()
                .map(|(when, then)| format!("when {} then {}", sql(plan, when), sql(plan, then)))
                .collect();
            format!(
                "case {} else {:?}",
                cases.join(" "),
                otherwise.as_ref().map(|s| sql(plan, s))
            )
        }
        ValueSource::Concat { parts, separator } => {
            let parts: Vec<_> = parts.iter().map(|s| sql(plan, s)).collect();
            format!("concat {parts:?} {separator:?}")
        }
        ValueSource::Expression(text) => format!("expression {}", sql(plan, text)),
    }
}

fn constant(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Null => "null".into(),
        Scalar::Bool(b) => b.to_string(),
        Scalar::Number(n) => format!("number {n:?}"),
        Scalar::String(s) => format!("string {s:?}"),
    }
}

fn join_text(plan: &Plan, join: &JoinPlan) -> String {
    let mut out = format!("join {}", join.kind);
    for hop in &join.hops {
        let conditions: Vec<_> = hop.conditions.iter().map(|c| sql(plan, c)).collect();
        let select = hop.select.as_ref().map(|s| sql(plan, s));
        let _ = write!(
            out,
            " to {:?} on {conditions:?} select {select:?}",
            plan.source(hop.source).name
        );
    }
    let text = |s: &Option<Sql>| s.as_ref().map(|s| sql(plan, s));
    let scalar = |s: &Option<Scalar>| s.as_ref().map(constant);
    let _ = write!(
        out,
        " if {:?} else {:?} {:?} null {:?} separator {:?}",
        text(&join.condition),
        scalar(&join.else_value),
        text(&join.else_sql),
        scalar(&join.null_value),
        join.separator
    );
    if let Some(c) = &join.construction {
        let select: Vec<_> = c
            .select
            .iter()
            .map(|(key, s)| (key, sql(plan, s)))
            .collect();
        let order: Vec<_> = c
            .order
            .iter()
            .map(|(s, down)| (sql(plan, s), down))
            .collect();
        let _ = write!(
            out,
            " construct {} {select:?} order {order:?} limit {:?}",
            c.array, c.limit
        );
    }
    out
}

/// The expression as the parser prints it, and what its references mean.
fn sql(plan: &Plan, sql: &Sql) -> String {
    let refs: Vec<String> = sql
        .refs
        .iter()
        .map(|r| {
            let source = plan.source(r.source);
            format!(
                "{:?} {} {}",
                r.row, source.name, source.columns[r.slot].column.name
            )
        })
        .collect();
    format!("{:?} {refs:?}", sql.expr.to_string())
}
