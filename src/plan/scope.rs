//! What the references of an expression mean: the driving row, or the row of a join.

use std::sync::Arc;

use sqlparser::ast::{BinaryOperator, Expr};
use sqlparser::tokenizer::Location;

use super::model::{RowRef, SourceId, Sql, SqlRef};
use super::sources::Sources;
use super::sql::{Parsed, RawRef};
use super::suggest;
use crate::contract::diagnostic::Diagnostics;

/// What all of an entity's parts need while it is compiled.
pub(super) struct Cx<'a, 'd> {
    pub sources: Sources<'a>,
    pub d: &'d mut Diagnostics,
}

/// The rows that an expression can see: the driving row first, then the hops in order.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub rows: Vec<ScopeRow>,
    /// The attribute's `source_column`: tells the sides of `t.a = t.b` apart.
    pub source_column: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct ScopeRow {
    pub row: RowRef,
    pub source: SourceId,
    pub alias: Option<String>,
}

/// What kind of text the references stand in; it decides what a name means that fits two rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A join condition.
    Condition,
    /// `select_column` and aggregates: the table's name is the joined row.
    Select,
    /// `select_columns` and `order_by`: bare columns are the joined row's first, too.
    Construct,
    /// `condition` of a conditional join, `when`, filters: the table's name is the driving row.
    Driving,
}

impl Scope {
    pub fn driving(source: SourceId) -> Self {
        Self {
            rows: vec![ScopeRow {
                row: RowRef::Driving,
                source,
                alias: None,
            }],
            source_column: None,
        }
    }

    /// Adds the row of the next hop.
    pub fn join(&mut self, source: SourceId, alias: Option<&str>) -> RowRef {
        let row = RowRef::Joined(self.rows.len() - 1);
        self.rows.push(ScopeRow {
            row,
            source,
            alias: alias.map(str::to_string),
        });
        row
    }

    /// Resolves every reference, marks the columns as needed, reports what is unknown or has two meanings.
    pub fn resolve(&self, parsed: Parsed, mode: Mode, cx: &mut Cx<'_, '_>) -> Option<Sql> {
        let pairs = if mode == Mode::Condition {
            equalities(&parsed.expr)
        } else {
            Vec::new()
        };
        let mut refs = Vec::with_capacity(parsed.refs.len());
        let mut complete = true;
        for raw in &parsed.refs {
            let resolved = self
                .row_of(raw, &parsed.refs, &pairs, mode, cx)
                .and_then(|row| self.column_of(raw, row, mode, cx));
            match resolved {
                Some(reference) => refs.push(reference),
                None => complete = false,
            }
        }
        complete.then(|| Sql {
            text: parsed.text,
            expr: Arc::new(parsed.expr),
            refs,
            place: parsed.place,
            typed: None,
        })
    }

    fn column_of(
        &self,
        raw: &RawRef,
        row: &ScopeRow,
        mode: Mode,
        cx: &mut Cx<'_, '_>,
    ) -> Option<SqlRef> {
        let slot = match cx.sources.column_index(row.source, &raw.column) {
            Some(slot) => slot,
            None if raw.qualifier.is_empty() => {
                self.unknown_bare(raw, mode, cx);
                return None;
            }
            None => cx.sources.need(row.source, &raw.column, &raw.place, cx.d)?,
        };
        cx.sources.use_column(row.source, slot, &raw.place, cx.d);
        let location = (raw.location.line, raw.location.column);
        Some(SqlRef {
            location,
            row: row.row,
            source: row.source,
            slot,
        })
    }

    fn unknown_bare(&self, raw: &RawRef, mode: Mode, cx: &mut Cx<'_, '_>) {
        let tables: Vec<_> = self
            .rows
            .iter()
            .map(|r| cx.sources.name(r.source).to_string())
            .collect();
        let names: Vec<_> = self
            .rows
            .iter()
            .flat_map(|r| {
                cx.sources
                    .table(r.source)
                    .columns
                    .iter()
                    .map(|c| c.name.as_str())
            })
            .collect();
        let near = suggest::closest(&raw.column, names.iter().copied());
        let help = match near {
            Some(near) => format!(
                "did you mean `{near}`? A text stands in quotes: '{}'",
                raw.column
            ),
            None if mode == Mode::Condition => format!("name the table: `table.{}`", raw.column),
            None => format!("if it is a text, put it in quotes: '{}'", raw.column),
        };
        let message = format!(
            "`{}` is a column of neither {}",
            raw.column,
            suggest::list(tables.iter().map(String::as_str)).replace(", ", " nor ")
        );
        let message = if tables.len() == 1 {
            message.replace("of neither", "that does not exist in")
        } else {
            message
        };
        cx.d.error_help("unknown-column", &raw.place, message, help);
    }

    fn row_of(
        &self,
        raw: &RawRef,
        all: &[RawRef],
        pairs: &[(Location, Location)],
        mode: Mode,
        cx: &mut Cx<'_, '_>,
    ) -> Option<&ScopeRow> {
        let (first, last) = (self.rows.first()?, self.rows.last()?);
        if raw.qualifier.is_empty() {
            let has = |row: &ScopeRow| cx.sources.has_column(row.source, &raw.column);
            let found = match mode {
                Mode::Construct => self.rows.iter().rev().find(|r| has(r)),
                _ => Some(first)
                    .filter(|r| has(r))
                    .or_else(|| self.rows.iter().rev().find(|r| has(r))),
            };
            return Some(found.unwrap_or(if mode == Mode::Driving { first } else { last }));
        }
        let aliased = |r: &&ScopeRow| {
            r.alias
                .as_deref()
                .is_some_and(|a| a.eq_ignore_ascii_case(&raw.qualifier))
        };
        if let Some(row) = self.rows.iter().rev().find(aliased) {
            return Some(row);
        }
        let named = |r: &&ScopeRow| cx.sources.is_named(r.source, &raw.qualifier);
        let mut candidates: Vec<_> = self
            .rows
            .iter()
            .filter(|r| r.alias.is_none())
            .filter(named)
            .collect();
        if candidates.is_empty() {
            candidates = self.rows.iter().filter(named).collect();
        }
        match candidates.as_slice() {
            [one] => Some(one),
            [] if self.rows.len() > 1 && last.source == first.source => Some(last),
            [] => {
                self.unknown_qualifier(raw, cx);
                None
            }
            _ if mode == Mode::Driving => Some(first),
            _ if mode != Mode::Condition => candidates.last().copied(),
            [.., earlier, later] => self.side(raw, all, pairs, earlier, later, cx),
        }
    }

    /// Which of two rows of one table a side of `t.a = t.b` means.
    fn side<'s>(
        &'s self,
        raw: &RawRef,
        all: &[RawRef],
        pairs: &[(Location, Location)],
        earlier: &'s ScopeRow,
        later: &'s ScopeRow,
        cx: &mut Cx<'_, '_>,
    ) -> Option<&'s ScopeRow> {
        let other = pairs.iter().find_map(|(a, b)| match raw.location {
            l if l == *a => Some((*b, true)),
            l if l == *b => Some((*a, false)),
            _ => None,
        });
        let other =
            other.and_then(|(at, is_left)| Some((all.iter().find(|r| r.location == at)?, is_left)));
        let Some((other, is_left)) = other else {
            self.ambiguous(raw, cx);
            return None;
        };
        let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
        if same(&raw.column, &other.column) {
            return Some(if is_left { earlier } else { later });
        }
        if let Some(source) = &self.source_column {
            match (same(&raw.column, source), same(&other.column, source)) {
                (true, false) => return Some(earlier),
                (false, true) => return Some(later),
                _ => {}
            }
        }
        if cx.sources.offline() {
            return Some(if is_left { earlier } else { later });
        }
        let table = cx.sources.table(later.source);
        let in_key = |name: &str| {
            table
                .column_index(name)
                .is_some_and(|c| cx.sources.get(later.source).key.contains(&c))
        };
        match (in_key(&raw.column), in_key(&other.column)) {
            (true, false) => Some(later),
            (false, true) => Some(earlier),
            _ => {
                self.ambiguous(raw, cx);
                None
            }
        }
    }

    fn ambiguous(&self, raw: &RawRef, cx: &mut Cx<'_, '_>) {
        cx.d.error_help(
            "ambiguous-reference",
            &raw.place,
            format!("`{}.{}` can mean the driving row and the joined row of the same table", raw.qualifier, raw.column),
            "use a self-join with \"join_alias\", or name the driving row's column in \"source_column\"",
        );
    }

    fn unknown_qualifier(&self, raw: &RawRef, cx: &mut Cx<'_, '_>) {
        let known: Vec<String> = self
            .rows
            .iter()
            .map(|r| {
                r.alias
                    .clone()
                    .unwrap_or_else(|| cx.sources.name(r.source).table.clone())
            })
            .collect();
        let help = match suggest::closest(&raw.qualifier, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}.{}`?", raw.column),
            None => format!(
                "known here: {}",
                suggest::list(known.iter().map(String::as_str))
            ),
        };
        cx.d.error_help(
            "unknown-reference",
            &raw.place,
            format!("nothing here is called `{}`", raw.qualifier),
            help,
        );
    }
}

/// The column pairs of `a = b AND c = d …`, by where their references begin.
fn equalities(expr: &Expr) -> Vec<(Location, Location)> {
    let mut found = Vec::new();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Nested(inner) => open.push(inner),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::And,
                right,
            } => open.extend([&**left, right]),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::Eq,
                right,
            } => {
                if let (Some(left), Some(right)) = (location(left), location(right)) {
                    found.push((left, right));
                }
            }
            _ => {}
        }
    }
    found
}

/// The references of `a = b AND c = d …`, pair by pair, where either side is a column and nothing else.
pub(super) fn equal_columns(sql: &Sql) -> impl Iterator<Item = (&SqlRef, &SqlRef)> {
    let pairs = equalities(&sql.expr).into_iter();
    pairs.filter_map(|(left, right)| reference_at(sql, left).zip(reference_at(sql, right)))
}

/// The reference that the expression is, where it is a column and nothing else.
pub(super) fn lone_column(sql: &Sql) -> Option<&SqlRef> {
    let bare = matches!(
        &*sql.expr,
        Expr::Identifier(_) | Expr::CompoundIdentifier(_)
    );
    match (sql.refs.as_slice(), location(&sql.expr)) {
        ([_], Some(at)) if bare => reference_at(sql, at),
        _ => None,
    }
}

/// Where a column reference begins; `None` for anything else.
fn location(expr: &Expr) -> Option<Location> {
    match expr {
        Expr::Identifier(name) => Some(name.span.start),
        Expr::CompoundIdentifier(parts) => parts.first().map(|p| p.span.start),
        Expr::Nested(inner) => location(inner),
        _ => None,
    }
}

/// The columns of `row` that the conditions hold equal to something that does not depend on it: a column of another row,
/// or a literal (`None`). `exact` says whether that comparison tells the column's values apart.
pub(super) fn fixed_columns(
    conditions: &[Sql],
    row: RowRef,
    exact: &dyn Fn(&SqlRef, Other<'_>) -> bool,
) -> Vec<usize> {
    let mut fixed = Vec::new();
    for sql in conditions {
        let mut open = vec![&*sql.expr];
        while let Some(expr) = open.pop() {
            match expr {
                Expr::Nested(inner) => open.push(inner),
                Expr::BinaryOp {
                    left,
                    op: BinaryOperator::And,
                    right,
                } => open.extend([&**left, right]),
                Expr::BinaryOp {
                    left,
                    op: BinaryOperator::Eq,
                    right,
                } => fixed.extend(fixed_side(sql, left, right, row, exact)),
                _ => {}
            }
        }
    }
    fixed
}

/// What a column is held equal to.
#[derive(Clone, Copy)]
pub(super) enum Other<'s> {
    Column(&'s SqlRef),
    Literal(&'s sqlparser::ast::Value),
}

fn fixed_side(
    sql: &Sql,
    left: &Expr,
    right: &Expr,
    row: RowRef,
    exact: &dyn Fn(&SqlRef, Other<'_>) -> bool,
) -> Option<usize> {
    fn side<'s>(sql: &'s Sql, expr: &'s Expr) -> Option<Other<'s>> {
        match expr {
            Expr::Value(value) => Some(Other::Literal(&value.value)),
            _ => reference_at(sql, location(expr)?).map(Other::Column),
        }
    }
    let own = |other: Other<'_>| matches!(other, Other::Column(r) if r.row == row);
    let (left, right) = (side(sql, left)?, side(sql, right)?);
    let (column, other) = match (left, right) {
        (Other::Column(column), other) if own(left) && !own(right) => (column, other),
        (other, Other::Column(column)) if own(right) && !own(left) => (column, other),
        _ => return None,
    };
    exact(column, other).then_some(column.slot)
}

/// The resolved reference that begins there.
fn reference_at(sql: &Sql, at: Location) -> Option<&SqlRef> {
    sql.refs.iter().find(|r| r.location == (at.line, at.column))
}
