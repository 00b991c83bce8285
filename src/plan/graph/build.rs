//! Plan → graphs: which rows each item needs, and the indexes that find them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sqlparser::ast::{BinaryOperator, Expr};

use super::{
    Cardinality, Fold, Graph, Index, IndexId, Kept, Node, NodeId, NodeJoin, Part, Residual,
};
use crate::contract::diagnostic::Diagnostics;
use crate::contract::model::AttributeType;
use crate::expression::{self, Aggregate, Equality, Expression, Type};
use crate::plan::model::*;
use crate::plan::typing::{self, Columns};

/// Gives every projection that needs more than its driving row its graph, and the plan its indexes. The plan's
/// expressions have been typed.
pub(in crate::plan) fn build(plan: &mut Plan, d: &mut Diagnostics) {
    let contested: BTreeSet<TargetId> = plan
        .projections
        .iter()
        .filter(|p| matches!(p.uniqueness, Uniqueness::Unproved(_)))
        .map(|p| p.target)
        .collect();
    let mut projections = std::mem::take(&mut plan.projections);
    let mut builder = Builder {
        sources: &plan.sources,
        indexes: Vec::new(),
        known: HashMap::new(),
        d,
    };
    // Rows that change behind the binlog are known from the state alone.
    let derived: BTreeSet<SourceId> = plan.foreign_keys.iter().map(|key| key.child).collect();
    for projection in &mut projections {
        if needs_rows(projection)
            || contested.contains(&projection.target)
            || derived.contains(&projection.driving)
        {
            projection.graph = builder.graph(projection);
        }
    }
    for key in &mut plan.foreign_keys {
        match builder.foreign_key(key) {
            Some(index) => key.index = index,
            None => {
                let place = &plan.targets.first().map(|t| t.place.clone());
                if let Some(place) = place {
                    let message =
                        format!("the columns of foreign key {} cannot be compared", key.name);
                    builder.d.error("cascade-unsupported", place, message);
                }
            }
        }
    }
    plan.indexes = builder.indexes;
    plan.projections = projections;
    plan.stored = super::stored::stored(plan, d);
}

/// Whether an attribute needs other rows than the driving one.
fn needs_rows(projection: &Projection) -> bool {
    fn joins(value: &ValueSource) -> bool {
        match value {
            ValueSource::Join(_) | ValueSource::Aggregate { .. } => true,
            ValueSource::Transformed { input, .. } => joins(input),
            ValueSource::Template(pieces) => pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Value(value) if joins(value))),
            _ => false,
        }
    }
    projection.attributes.iter().any(|a| joins(&a.value))
}

pub(super) struct Builder<'p, 'd> {
    pub(super) sources: &'p [SourceTable],
    pub(super) indexes: Vec<Index>,
    /// Indexes by what they are made of.
    pub(super) known: HashMap<String, IndexId>,
    d: &'d mut Diagnostics,
}

/// One side of `a = b`: an expression, and its text with what its references mean.
struct Side {
    value: Arc<Expression>,
    text: String,
    /// As people read it: a column's name alone.
    shown: String,
    /// The slot, where the side is a column and nothing else.
    column: Option<usize>,
}

/// `from = to`.
struct Pair {
    row: RowRef,
    from: Side,
    to: Side,
    comparison: expression::Comparison,
}

/// A hop of a join, on its way to become a node.
struct Hop<'h> {
    source: SourceId,
    conditions: &'h [Sql],
    cardinality: Cardinality,
    /// The driving row's node and those of the hops before.
    path: &'h [NodeId],
}

impl Builder<'_, '_> {
    fn graph(&mut self, projection: &mut Projection) -> Option<Graph> {
        let mut graph = Graph::default();
        let driving = self.sources.get(usize::from(projection.driving.0));
        graph.nodes.push(Node {
            source: projection.driving,
            join: None,
            cardinality: Cardinality::One,
            // What is told of a row is told by its name, and that is its key as it is spelled.
            reads: driving
                .iter()
                .flat_map(|table| table.key.iter().copied())
                .collect(),
            kept: Kept::All,
            listed_by: None,
        });
        if let Some(filter) = &projection.filter {
            note(&mut graph, &[0], filter);
        }
        let mut complete = true;
        for attribute in &mut projection.attributes {
            complete &= self.value(&mut graph, &mut attribute.value);
            list(&mut graph, attribute);
        }
        complete.then_some(graph)
    }

    fn value(&mut self, graph: &mut Graph, value: &mut ValueSource) -> bool {
        match value {
            ValueSource::Column(slot) => {
                graph.nodes[0].reads.insert(*slot);
                true
            }
            ValueSource::Static(_) => true,
            ValueSource::Template(pieces) => pieces.iter_mut().all(|piece| match piece {
                Piece::Literal(_) => true,
                Piece::Value(value) => self.value(graph, value),
            }),
            ValueSource::Transformed { input, .. } => self.value(graph, input),
            ValueSource::Join(join) => self.join(graph, join),
            ValueSource::Aggregate {
                operation,
                source,
                condition,
                select,
                node,
                fold,
            } => {
                let hop = Hop {
                    source: *source,
                    conditions: std::slice::from_ref(condition),
                    cardinality: Cardinality::Many,
                    path: &[0],
                };
                let Some(found) = self.node(graph, &hop) else {
                    return false;
                };
                *node = found;
                *fold = graph.folds.len();
                graph.folds.push(Fold {
                    node: found,
                    operation: *operation,
                    select: select.clone(),
                });
                if let Some(select) = select {
                    note(graph, &[0, found], select);
                }
                let over = select.as_ref().and_then(|s| s.typed.as_ref());
                let sum = Aggregate::new(*operation, over.map(|typed| typed.ty()));
                if !sum.is_ok_and(|sum| sum.takes_any_order()) {
                    graph.nodes[found].kept = Kept::All;
                }
                true
            }
            ValueSource::Case { .. } | ValueSource::Concat { .. } | ValueSource::Expression(_) => {
                value.each_sql(&mut |sql| note(graph, &[0], sql));
                true
            }
        }
    }

    fn join(&mut self, graph: &mut Graph, join: &mut JoinPlan) -> bool {
        // An object of several rows is that of the first in the construction's order.
        let constructed = join.construction.is_some();
        let mut path = vec![0];
        for hop in &join.hops {
            let array = join.construction.as_ref().is_some_and(|c| c.array);
            let cardinality = match (array, hop.to_one) {
                (true, _) => Cardinality::Many,
                (false, true) => Cardinality::One,
                (false, false) if constructed => Cardinality::Many,
                (false, false) => Cardinality::First,
            };
            let hop = Hop {
                source: hop.source,
                conditions: &hop.conditions,
                cardinality,
                path: &path,
            };
            let Some(node) = self.node(graph, &hop) else {
                return false;
            };
            let kept = &mut graph.nodes[node].kept;
            match &join.construction {
                Some(construction) => kept.construct(construction),
                None => *kept = Kept::All,
            }
            path.push(node);
        }
        join.nodes = path[1..].to_vec();
        join.each_sql(&mut |sql| note(graph, &path, sql));
        true
    }

    /// The node of the hop: one that is there already, or a new one.
    fn node(&mut self, graph: &mut Graph, hop: &Hop<'_>) -> Option<NodeId> {
        let own = RowRef::Joined(hop.path.len() - 1);
        let place = hop.conditions.first()?.place.clone();
        if hop.conditions.iter().any(|c| c.typed.is_none()) {
            // It has been said why.
            return None;
        }
        let mut pairs = Vec::new();
        let mut residual = Vec::new();
        for condition in hop.conditions {
            for part in conjuncts(&condition.expr) {
                match self.pair(condition, part, own) {
                    Some(pair) => pairs.push(pair),
                    None => residual.push((condition, part)),
                }
            }
        }
        let Some(row) = self.parent_row(&pairs) else {
            self.d.error_help(
                "join-without-equality",
                &place,
                "no condition of this join holds a column of the joined table equal to one of the row before it",
                "join on `target.column = source.column`; other conditions may stand beside it",
            );
            return None;
        };
        let (pairs, others): (Vec<Pair>, Vec<Pair>) =
            pairs.into_iter().partition(|pair| pair.row == row);
        let residual = self.residual(hop, residual, &others, row, own)?;
        let parent = Graph::node_of(hop.path, row)?;
        let identity = |node: &Node| {
            node.source == hop.source
                && node.cardinality == hop.cardinality
                && node.join.as_ref().is_some_and(|j| {
                    j.parent == parent && j.residual.is_empty() && residual.is_empty()
                })
        };
        let (forward, pairs) = self.index(hop.source, pairs, |p| &p.to);
        // Both indexes sort their columns, so they do not tell which column of one side goes with which of the other.
        let equal: Vec<(String, String)> = pairs
            .iter()
            .map(|p| (p.from.shown.clone(), p.to.shown.clone()))
            .collect();
        let parent_source = graph.nodes.get(parent)?.source;
        let (reverse, from, to) = self.both(parent_source, pairs);
        // The indexes say which columns take part, not which of them meet.
        let same = |node: &Node| {
            identity(node)
                && node.join.as_ref().is_some_and(|j| {
                    j.forward == forward && j.reverse == reverse && j.equal == equal
                })
        };
        if let Some(found) = graph.nodes.iter().position(same) {
            self.note_conditions(graph, hop, found);
            return Some(found);
        }
        let node = graph.nodes.len();
        let mut path = hop.path.to_vec();
        path.push(node);
        graph.nodes.push(Node {
            source: hop.source,
            join: Some(NodeJoin {
                parent,
                path,
                forward,
                reverse,
                from,
                to,
                equal,
                residual,
            }),
            cardinality: hop.cardinality,
            reads: BTreeSet::new(),
            kept: Kept::None,
            listed_by: None,
        });
        self.note_conditions(graph, hop, node);
        Some(node)
    }

    fn note_conditions(&self, graph: &mut Graph, hop: &Hop<'_>, node: NodeId) {
        let mut path = hop.path.to_vec();
        path.push(node);
        for condition in hop.conditions {
            note(graph, &path, condition);
        }
    }

    /// `part` as an equality between the hop's own row and one row before it.
    fn pair(&mut self, sql: &Sql, part: &Expr, own: RowRef) -> Option<Pair> {
        let Expr::BinaryOp {
            left,
            op: BinaryOperator::Eq,
            right,
        } = part
        else {
            return None;
        };
        // As the condition itself compares, not as the sides alone would.
        let whole = expression::compile(&sub(sql, part), &|source, slot| {
            self.sources.column(source, slot)
        });
        let Equality {
            left: left_value,
            right: right_value,
            comparison,
        } = whole.ok()?.equality()?;
        let (left_row, left) = self.side(sql, left, left_value)?;
        let (right_row, right) = self.side(sql, right, right_value)?;
        let (row, from, to) = match (left_row, right_row) {
            (a, b) if b == own && a != own => (a, left, right),
            (a, b) if a == own && b != own => (b, right, left),
            _ => return None,
        };
        Some(Pair {
            row,
            from,
            to,
            comparison,
        })
    }

    /// An expression over exactly one row, and what it is beside the other one.
    fn side(&self, sql: &Sql, expr: &Expr, value: Expression) -> Option<(RowRef, Side)> {
        let mut rows = BTreeSet::new();
        let mut slots = Vec::new();
        value.each_reference(&mut |row, _, slot| {
            rows.insert(row);
            slots.push(slot);
        });
        let row = rows.pop_first().filter(|_| rows.is_empty())?;
        let column = value.column();
        let written = expr.to_string();
        let name = match (is_column(expr), sql.refs.iter().find(|r| r.row == row)) {
            (true, Some(reference)) => slots
                .first()
                .and_then(|slot| self.sources.column(reference.source, *slot))
                .map(|c| c.name.clone()),
            _ => None,
        };
        Some((
            row,
            Side {
                value: Arc::new(value),
                text: column.map_or_else(|| format!("{written} {slots:?}"), column_text),
                shown: name.unwrap_or(written),
                column,
            },
        ))
    }

    /// The row that most equalities lead to; the nearest of several.
    fn parent_row(&self, pairs: &[Pair]) -> Option<RowRef> {
        let count = |row: RowRef| pairs.iter().filter(|p| p.row == row).count();
        pairs
            .iter()
            .map(|p| p.row)
            .max_by_key(|row| (count(*row), *row))
    }

    /// What the indexes do not answer, ready to be evaluated.
    fn residual(
        &mut self,
        hop: &Hop<'_>,
        parts: Vec<(&Sql, &Expr)>,
        others: &[Pair],
        row: RowRef,
        own: RowRef,
    ) -> Option<Vec<Residual>> {
        let mut found = Vec::new();
        let mut complete = true;
        let mut all: Vec<(&Sql, Expr)> = parts.into_iter().map(|(s, e)| (s, e.clone())).collect();
        if !others.is_empty() {
            // Equalities with a second row: looked at once the candidates are there.
            for condition in hop.conditions {
                let again = conjuncts(&condition.expr).into_iter().filter(|part| {
                    self.pair(condition, part, own)
                        .is_some_and(|p| p.row != row)
                });
                all.extend(
                    again
                        .cloned()
                        .collect::<Vec<_>>()
                        .into_iter()
                        .map(|e| (condition, e)),
                );
            }
        }
        for (sql, expr) in all {
            let part = sub(sql, &expr);
            match typing::expression(&part, self.sources, self.d) {
                Some(value) => found.push(Residual {
                    value,
                    text: part.text,
                }),
                None => complete = false,
            }
        }
        complete.then_some(found)
    }

    /// The index over one side of the pairs, and the pairs in its order.
    fn index(
        &mut self,
        source: SourceId,
        mut pairs: Vec<Pair>,
        side: impl Fn(&Pair) -> &Side,
    ) -> (IndexId, Vec<Pair>) {
        let primary = self.is_key(source, &pairs, &side);
        match &primary {
            Some(order) => {
                pairs.sort_by_key(|p| order.iter().position(|s| side(p).column == Some(*s)))
            }
            None => pairs.sort_by(|a, b| side(a).text.cmp(&side(b).text)),
        }
        let id = self.intern(source, &pairs, &side, primary.is_some());
        (id, pairs)
    }

    /// The index over the parents' side, and both sides' parts: `from` in the order of `pairs`, `to` in that of the
    /// index that is found.
    fn both(&mut self, parent: SourceId, pairs: Vec<Pair>) -> (IndexId, Vec<Part>, Vec<Part>) {
        let part = |side: &Side, pair: &Pair| Part {
            value: Arc::clone(&side.value),
            comparison: pair.comparison.clone(),
        };
        let from: Vec<Part> = pairs.iter().map(|p| part(&p.from, p)).collect();
        let (reverse, pairs) = self.index(parent, pairs, |p| &p.from);
        let to = pairs.iter().map(|p| part(&p.to, p)).collect();
        (reverse, from, to)
    }

    fn intern(
        &mut self,
        source: SourceId,
        pairs: &[Pair],
        side: &impl Fn(&Pair) -> &Side,
        primary: bool,
    ) -> IndexId {
        let parts = pairs
            .iter()
            .map(|p| (side(p).text.clone(), format!("{:?}", p.comparison)));
        let identity = identity(source, primary, parts.collect());
        if let Some(found) = self.known.get(&identity) {
            return *found;
        }
        let id = self.indexes.len();
        let names = pairs.iter().map(|p| side(p).shown.clone());
        self.indexes.push(Index {
            source,
            text: names.collect::<Vec<_>>().join(", "),
            parts: pairs
                .iter()
                .map(|p| Part {
                    value: Arc::clone(&side(p).value),
                    comparison: p.comparison.clone(),
                })
                .collect(),
            primary,
        });
        self.known.insert(identity, id);
        id
    }

    /// The key's slots in order, where the pairs are exactly the table's key, compared as the key itself is.
    fn is_key(
        &self,
        source: SourceId,
        pairs: &[Pair],
        side: &impl Fn(&Pair) -> &Side,
    ) -> Option<Vec<usize>> {
        let table = self.sources.get(usize::from(source.0))?;
        let own = |slot: usize| Some(format!("{:?}", key_comparison(table, slot)?));
        let is = |slot: &usize| {
            pairs.iter().any(|p| {
                side(p).column == Some(*slot) && own(*slot) == Some(format!("{:?}", p.comparison))
            })
        };
        (pairs.len() == table.key.len() && table.key.iter().all(is)).then(|| table.key.clone())
    }
}

/// What makes an index the same as another.
pub(super) fn identity(source: SourceId, primary: bool, parts: Vec<(String, String)>) -> String {
    format!("{source:?} {primary} {parts:?}")
}

/// What an index calls a part that is a column.
pub(super) fn column_text(slot: usize) -> String {
    format!("column {slot}")
}

/// How a key column's values compare with one another; `None`: byte for byte.
pub(super) fn key_comparison(table: &SourceTable, slot: usize) -> Option<expression::Comparison> {
    let ty = Type::from(&table.columns.get(slot)?.column);
    expression::comparison(&ty, &ty).ok()
}

/// Marks the node whose rows the attribute lists, each of them and as they are.
fn list(graph: &mut Graph, attribute: &AttributePlan) {
    let ValueSource::Join(join) = &attribute.value else {
        return;
    };
    let whole = attribute.role == Role::Plain
        && matches!(attribute.ty, AttributeType::S | AttributeType::L)
        && join
            .construction
            .as_ref()
            .is_some_and(|c| c.holds().is_none());
    let node = join
        .nodes
        .first()
        .and_then(|node| graph.nodes.get_mut(*node));
    if let (true, Some(node)) = (whole, node) {
        node.listed_by = Some(Arc::from(attribute.name.as_str()));
    }
}

/// Marks what the expression reads.
fn note(graph: &mut Graph, path: &[NodeId], sql: &Sql) {
    for reference in &sql.refs {
        let node = Graph::node_of(path, reference.row).and_then(|node| graph.nodes.get_mut(node));
        if let Some(node) = node {
            node.reads.insert(reference.slot);
        }
    }
}

/// The parts of `a AND b AND c`.
fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Nested(inner) => open.push(inner),
            Expr::BinaryOp {
                left,
                op: BinaryOperator::And,
                right,
            } => open.extend([&**right, left]),
            other => found.push(other),
        }
    }
    found
}

/// A part of an expression as one of its own; its references are those of the whole.
fn sub(sql: &Sql, expr: &Expr) -> Sql {
    Sql {
        text: expr.to_string(),
        expr: Arc::new(expr.clone()),
        refs: sql.refs.clone(),
        place: sql.place.clone(),
        typed: None,
    }
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => true,
        Expr::Nested(inner) => is_column(inner),
        _ => false,
    }
}
