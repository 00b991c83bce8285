//! A projection's SELECT: its list, its joins, its conditions.

use super::expression::{bare, rewrite};
use super::layout::{alias, comment, is_alias, list, literal};
use super::value::{Kind, Rendered, constant, is_foreign};
use super::{DRIVING, Narrow, Select, SelectColumn, SelectError};
use crate::contract::model::AttributeType;
use crate::expression::TypeKind;
use crate::plan::model::*;
use crate::plan::types::type_name;
use crate::schema::{ColumnType, quote};

/// The alias of the rows that a subquery collects.
pub(super) const INNER: &str = "t";
/// MySQL joins so many tables, the driving one among them.
const MOST_TABLES: usize = 61;
/// Long enough for any item; without it MySQL cuts a list after 1024 bytes.
const LIST_HINT: &str = "/*+ SET_VAR(group_concat_max_len = 1073741824) */";

/// The whole statement.
pub(super) fn projection(
    plan: &Plan,
    projection: &Projection,
    narrow: Narrow<'_>,
) -> Result<Option<Select>, SelectError> {
    let mut renderer = Renderer {
        plan,
        driving: plan.source(projection.driving),
        joins: Vec::new(),
        faults: Vec::new(),
        lists: false,
    };
    renderer.statement(projection, narrow)
}

pub(super) struct Renderer<'p> {
    pub plan: &'p Plan,
    pub driving: &'p SourceTable,
    joins: Vec<Join<'p>>,
    /// Conditions under which a transformation cannot read its value.
    pub faults: Vec<String>,
    /// Whether a list is put together, which needs room.
    pub lists: bool,
}

/// A row that others may share: the same table on the same condition.
struct Join<'p> {
    source: &'p SourceTable,
    alias: String,
    /// Over `alias` where `direct`, else over [`INNER`].
    condition: String,
    /// No two rows can match, so that a plain join is enough.
    direct: bool,
}

/// Where the row of a [`RowRef::Joined`] stands.
#[derive(Clone)]
pub(super) enum Row {
    /// An index into the renderer's joins.
    Join(usize),
    /// A subquery's own row.
    Inner,
    /// A join that is being made, under this alias.
    Alias(String),
}

impl<'p> Renderer<'p> {
    fn statement(
        &mut self,
        projection: &'p Projection,
        narrow: Narrow<'_>,
    ) -> Result<Option<Select>, SelectError> {
        let mut items = Vec::new();
        let (mut key, mut named) = (Vec::new(), Vec::new());
        for (index, slot) in self.driving.key.iter().enumerate() {
            let name = format!("_key_{}", index + 1);
            let column = self.column(self.driving, *slot, DRIVING);
            let part = column.name_part();
            named.push(part.is_some());
            let shown = part.unwrap_or_else(|| column.shown());
            items.push((format!("{shown} AS `{name}`"), String::new()));
            key.push(name);
        }
        let mut columns = Vec::new();
        let mut faults = Vec::new();
        for (index, attribute) in projection.attributes.iter().enumerate() {
            let rendered = self.attribute(attribute, &mut faults)?;
            let named = format!("{}:{}", attribute.name, type_name(attribute.ty));
            let alias = match is_alias(&named) {
                true => named,
                false => format!("_attribute_{}", index + 1),
            };
            let sql = format!("{} AS {}", rendered.shown(), quote(&alias));
            items.push((sql, pointer(attribute)));
            columns.push(SelectColumn {
                name: attribute.name.clone(),
                ty: attribute.ty,
                role: attribute.role,
                alias,
                json: rendered.is_json(),
            });
        }
        let filter = match &projection.filter {
            Some(filter) => Some(self.condition(filter, &[])?),
            None => None,
        };
        let narrow = match narrow {
            Narrow::All => None,
            Narrow::Driving(condition) => Some(format!("({condition})")),
            Narrow::Items(keys) => match self.item_keys(projection, keys)? {
                Some(condition) => Some(condition),
                None => return Ok(None),
            },
        };
        let joins: usize = self.joins.iter().map(Join::tables).sum();
        if joins + 1 > MOST_TABLES {
            return Err(SelectError::TooManyJoins {
                label: projection.label.clone(),
                joins,
            });
        }
        let mut sql = self.heading(projection);
        sql.push_str(if self.lists { "SELECT " } else { "SELECT" });
        sql.push_str(if self.lists { LIST_HINT } else { "" });
        sql.push('\n');
        sql.push_str(&list(&items));
        sql.push_str(&format!("FROM {} AS {DRIVING}\n", self.driving.name.sql()));
        for join in &self.joins {
            sql.push_str(&join.sql());
        }
        let mut word = "WHERE";
        let faults = faults.iter().map(|f| readable(f));
        for condition in narrow.into_iter().chain(filter).chain(faults) {
            sql.push_str(&format!("{word} {condition}\n"));
            word = "  AND";
        }
        // Where it decides nothing, no order: sorting costs, and MySQL changes some values in temporary tables.
        if let Uniqueness::Unproved(_) = projection.uniqueness {
            sql.push_str(&format!("ORDER BY {}", key_terms(self.driving, DRIVING)));
        }
        Ok(Some(Select {
            named,
            label: projection.label.clone(),
            sql: sql.trim_end().to_string(),
            key,
            columns,
        }))
    }

    fn heading(&self, projection: &Projection) -> String {
        let target = self.plan.target(projection.target);
        let mut keys = target.pk.name.clone();
        if let Some(sk) = &target.sk {
            keys = format!("{keys}, {}", sk.name);
        }
        let mut out = format!(
            "-- {}: one row for each item of {} ({}), from {}\n",
            comment(&projection.label),
            comment(&target.name),
            comment(&keys),
            comment(&self.driving.name.to_string()),
        );
        if let Uniqueness::Unproved(_) = projection.uniqueness {
            out.push_str("-- of rows that share an item's key, the first one owns it");
            let of_table = |p: &&Projection| p.target == projection.target;
            let earlier = self.plan.projections.iter().filter(of_table);
            let earlier: Vec<_> = earlier
                .take_while(|p| p.id != projection.id)
                .map(|p| p.label.as_str())
                .collect();
            if !earlier.is_empty() {
                out.push_str(&format!(
                    ", after those of {}",
                    comment(&earlier.join(", "))
                ));
            }
            out.push('\n');
        }
        out
    }

    /// An attribute's value; what it cannot read goes to `faults`, or leaves an index key out.
    fn attribute(
        &mut self,
        attribute: &'p AttributePlan,
        faults: &mut Vec<String>,
    ) -> Result<Rendered<'p>, SelectError> {
        if attribute.ty == AttributeType::Null {
            return Ok(Rendered::new("NULL", Kind::Unknown));
        }
        let rendered = self.value(&attribute.value)?;
        let found = std::mem::take(&mut self.faults);
        if found.is_empty() {
            return Ok(rendered);
        }
        if attribute.role != Role::IndexKey {
            for fault in found {
                if !faults.contains(&fault) {
                    faults.push(fault);
                }
            }
            return Ok(rendered);
        }
        let conditions: Vec<_> = found.iter().map(|f| readable(f)).collect();
        let sql = format!(
            "CASE WHEN {} THEN {} END",
            conditions.join(" AND "),
            rendered.shown()
        );
        Ok(Rendered::new(sql, rendered.kind).loose())
    }

    /// A value, wherever it stands.
    pub fn value(&mut self, value: &'p ValueSource) -> Result<Rendered<'p>, SelectError> {
        Ok(match value {
            ValueSource::Column(slot) => self.column(self.driving, *slot, DRIVING),
            ValueSource::Static(scalar) => constant(scalar),
            ValueSource::Template(pieces) => {
                let mut parts = Vec::new();
                for piece in pieces {
                    parts.push(match piece {
                        Piece::Literal(text) => literal(text),
                        Piece::Value(value) => self.value(value)?.part(),
                    });
                }
                Rendered::new(format!("CONCAT({})", parts.join(", ")), Kind::Text)
            }
            ValueSource::Transformed { input, by } => {
                let input = self.value(input)?;
                self.transformed(input, by)
            }
            ValueSource::Join(join) => self.join(join)?,
            ValueSource::Aggregate {
                operation,
                source,
                condition,
                select,
                ..
            } => self.aggregate(*operation, *source, condition, select.as_ref())?,
            ValueSource::Case { cases, otherwise } => {
                let mut sql = String::from("CASE");
                for (when, then) in cases {
                    let when = self.expression(when, &[])?;
                    let then = self.expression(then, &[])?;
                    sql.push_str(&format!(" WHEN {} THEN {}", when.sql, then.branch()));
                }
                if let Some(otherwise) = otherwise {
                    let otherwise = self.expression(otherwise, &[])?;
                    sql.push_str(&format!(" ELSE {}", otherwise.branch()));
                }
                Rendered::new(format!("{sql} END"), Kind::Unknown)
            }
            ValueSource::Concat { parts, separator } => {
                let mut arguments = Vec::new();
                for part in parts {
                    arguments.push(self.expression(part, &[])?.part());
                }
                Rendered::new(concat(separator.as_deref(), &arguments), Kind::Text)
            }
            ValueSource::Expression(sql) => self.expression(sql, &[])?,
        })
    }

    fn join(&mut self, join: &'p JoinPlan) -> Result<Rendered<'p>, SelectError> {
        if let Some(construction) = &join.construction {
            return self.construction(join, construction);
        }
        let mut rows = Vec::new();
        for hop in &join.hops {
            let row = self.hop(hop, &rows)?;
            rows.push(row);
        }
        if let Some(separator) = &join.separator {
            let mut parts = Vec::new();
            for select in join.hops.iter().filter_map(|h| h.select.as_ref()) {
                parts.push(self.expression(select, &rows)?.part());
            }
            return Ok(Rendered::new(concat(Some(separator), &parts), Kind::Text));
        }
        let select = join.hops.last().and_then(|h| h.select.as_ref());
        let value = match select {
            Some(select) => self.expression(select, &rows)?,
            None => Rendered::new("NULL", Kind::Unknown),
        };
        if let Some(null) = &join.null_value
            && *null != crate::contract::model::Scalar::Null
        {
            let sql = format!("COALESCE({}, {})", value.text(), constant(null).sql);
            return Ok(Rendered::new(sql, value.kind).loose());
        }
        let Some(condition) = &join.condition else {
            return Ok(value);
        };
        let condition = self.expression(condition, &rows)?.sql;
        let otherwise = match (&join.else_value, &join.else_sql) {
            (_, Some(sql)) => Some(self.expression(sql, &rows)?),
            (Some(scalar), None) => Some(constant(scalar)),
            (None, None) => None,
        };
        let sql = match (otherwise, value.kind) {
            (None, Kind::Unknown) => format!("CASE WHEN {condition} THEN {} END", value.sql),
            (None, _) => format!("CASE WHEN {condition} THEN {} END", value.text()),
            (Some(other), _) => format!(
                "CASE WHEN {condition} THEN {} ELSE {} END",
                value.text(),
                other.text()
            ),
        };
        Ok(Rendered::new(sql, value.kind).loose())
    }

    /// The row of a hop; `rows` are those of the hops before it.
    fn hop(&mut self, hop: &'p HopPlan, rows: &[Row]) -> Result<Row, SelectError> {
        let source = self.plan.source(hop.source);
        let direct = hop.to_one && self.compares_exactly(&hop.conditions);
        let name = alias(&source.name.table, self.joins.len() + 1);
        let under = |this: &Self, alias: &str| -> Result<String, SelectError> {
            let mut rows = rows.to_vec();
            rows.push(Row::Alias(alias.to_string()));
            let mut conditions = Vec::new();
            for condition in &hop.conditions {
                conditions.push(this.condition(condition, &rows)?);
            }
            Ok(conditions.join(" AND "))
        };
        for index in 0..self.joins.len() {
            // The same condition under that join's alias is the same row.
            let join = &self.joins[index];
            if join.source.id != source.id || join.direct != direct {
                continue;
            }
            let (alias, condition) = (join.row_alias().to_string(), join.condition.clone());
            if under(self, &alias)? == condition {
                return Ok(Row::Join(index));
            }
        }
        let condition = under(self, if direct { &name } else { INNER })?;
        self.joins.push(Join {
            source,
            alias: name,
            condition,
            direct,
        });
        Ok(Row::Join(self.joins.len() - 1))
    }

    /// An expression over the driving row and `rows`.
    pub fn expression(&self, sql: &'p Sql, rows: &[Row]) -> Result<Rendered<'p>, SelectError> {
        let text = rewrite(sql, &mut |r| self.reference(r, rows))?;
        Ok(match bare(sql) {
            Some(reference) => {
                let source = self.plan.source(reference.source);
                Rendered::new(text, Kind::Column(column_type(source, reference.slot)))
            }
            None => Rendered::new(text, kind_of(sql)),
        })
    }

    /// A condition, to stand beside others.
    pub fn condition(&self, sql: &'p Sql, rows: &[Row]) -> Result<String, SelectError> {
        Ok(format!(
            "({})",
            rewrite(sql, &mut |r| self.reference(r, rows))?
        ))
    }

    /// What stands for a reference.
    pub fn reference(&self, reference: &SqlRef, rows: &[Row]) -> String {
        let source = self.plan.source(reference.source);
        let row = match reference.row {
            RowRef::Driving => DRIVING,
            RowRef::Joined(hop) => match rows.get(hop) {
                Some(Row::Join(index)) => &self.joins[*index].alias,
                Some(Row::Alias(alias)) => alias,
                Some(Row::Inner) | None => INNER,
            },
        };
        format!("{row}.{}", column_name(source, reference.slot))
    }

    pub fn column(&self, source: &'p SourceTable, slot: usize, row: &str) -> Rendered<'p> {
        Rendered::new(
            format!("{row}.{}", column_name(source, slot)),
            Kind::Column(column_type(source, slot)),
        )
    }

    /// The table's key under an alias, as terms of ORDER BY.
    pub fn key_of(&self, source: &SourceTable, row: &str) -> String {
        key_terms(source, row)
    }

    /// Whether all that the conditions name compares exactly, so that a unique key admits one row: numbers compared with
    /// text do not, nor texts of two collations.
    fn compares_exactly(&self, conditions: &[Sql]) -> bool {
        conditions.iter().all(|sql| {
            let mut families = sql
                .refs
                .iter()
                .map(|r| family(column_type(self.plan.source(r.source), r.slot)));
            match families.next() {
                Some(Some(first)) => {
                    sql.refs.len() == 2 && families.all(|f| f.as_ref() == Some(&first))
                }
                _ => false,
            }
        })
    }
}

impl Join<'_> {
    fn tables(&self) -> usize {
        if self.direct { 1 } else { 2 }
    }

    fn row_alias(&self) -> &str {
        if self.direct { &self.alias } else { INNER }
    }

    fn sql(&self) -> String {
        let (table, alias) = (self.source.name.sql(), &self.alias);
        if self.direct {
            return format!("LEFT JOIN {table} AS {alias} ON {}\n", self.condition);
        }
        // Only the key comes out of the subquery: MySQL changes some values on their way through a derived table.
        let same: Vec<_> = self
            .source
            .key
            .iter()
            .map(|slot| column_name(self.source, *slot))
            .map(|name| format!("{alias}.{name} = {alias}_key.{name}"))
            .collect();
        let key = key_terms(self.source, INNER);
        format!(
            "LEFT JOIN LATERAL (\n  SELECT {key} FROM {table} AS {INNER}\n  WHERE {} ORDER BY {key} LIMIT 1\n) AS {alias}_key ON TRUE\nLEFT JOIN {table} AS {alias} ON {}\n",
            self.condition,
            same.join(" AND "),
        )
    }
}

impl Rendered<'_> {
    /// The same value in an expression: no column any more, but JSON stays JSON.
    fn loose(mut self) -> Self {
        self.kind = match self.kind {
            _ if self.is_foreign() => Kind::Foreign,
            Kind::Json | Kind::Column(ColumnType::Json) => Kind::Json,
            Kind::Text => Kind::Text,
            _ => Kind::Unknown,
        };
        self
    }
}

fn kind_of(sql: &Sql) -> Kind<'static> {
    match sql.typed.as_ref().map(|typed| &typed.ty().kind) {
        Some(TypeKind::Text { collation }) => {
            let charset = collation.split('_').next();
            match charset.is_some_and(is_foreign) {
                true => Kind::Foreign,
                false => Kind::Unknown,
            }
        }
        _ => Kind::Unknown,
    }
}

/// The contract's place of the attribute.
fn pointer(attribute: &AttributePlan) -> String {
    let pointer: &str = &attribute.place.pointer;
    comment(pointer.strip_suffix("/name").unwrap_or(pointer))
}

fn key_terms(source: &SourceTable, row: &str) -> String {
    let terms: Vec<_> = source
        .key
        .iter()
        .map(|slot| format!("{row}.{}", column_name(source, *slot)))
        .collect();
    terms.join(", ")
}

fn readable(fault: &str) -> String {
    format!("NOT COALESCE({fault}, FALSE)")
}

/// NULL makes the whole NULL, unless there is a separator: then it is skipped.
fn concat(separator: Option<&str>, parts: &[String]) -> String {
    match separator {
        Some(separator) => format!("CONCAT_WS({}, {})", literal(separator), parts.join(", ")),
        None => format!("CONCAT({})", parts.join(", ")),
    }
}

pub(super) fn column_name(source: &SourceTable, slot: usize) -> String {
    quote(&source.columns[slot].column.name)
}

pub(super) fn column_type(source: &SourceTable, slot: usize) -> &ColumnType {
    &source.columns[slot].column.ty
}

/// Types that compare exactly with each other.
fn family(ty: &ColumnType) -> Option<String> {
    Some(match ty {
        ColumnType::Int { .. } | ColumnType::Decimal { .. } => "number".into(),
        ColumnType::Text { collation, .. } => format!("text {collation}"),
        ColumnType::Binary { .. } | ColumnType::Bytes { .. } => "bytes".into(),
        ColumnType::Date => "date".into(),
        ColumnType::DateTime { .. } => "datetime".into(),
        ColumnType::Timestamp { .. } => "timestamp".into(),
        _ => return None,
    })
}
