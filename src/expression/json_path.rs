//! JSON_EXTRACT, JSON_UNQUOTE, `->` and `->>`.

use sqlparser::ast::{BinaryOperator, Expr};

use super::Refusal;
use super::compile::{Compiler, Result, computed, json_collated, textual};
use super::datum::Datum;
use super::json::Path;
use super::node::{Call, Node, Op};
use super::types::{Collated, Derivation, TypeKind};

impl Compiler<'_, '_> {
    pub(super) fn arrow(&self, left: &Expr, right: &Expr, unquote: bool) -> Result<Node> {
        if let Some(rearranged) = rearranged(left, right, unquote) {
            return self.node(&rearranged);
        }
        let column = matches!(left, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        if !column || !matches!(right, Expr::Value(_)) {
            return Err(Refusal::new(
                "`->` takes a column and a path in quotes; more needs parentheses around it",
            )
            .help("write (column->'$.path')"));
        }
        let found = self.json_extract(vec![self.node(left)?, self.node(right)?])?;
        if unquote {
            return self.json_unquote(found);
        }
        Ok(found)
    }

    pub(super) fn json_extract(&self, nodes: Vec<Node>) -> Result<Node> {
        let mut nodes = nodes.into_iter();
        let Some(document) = nodes.next() else {
            return Err(Refusal::new("JSON_EXTRACT takes a document"));
        };
        let foreign = match document.ty.kind {
            TypeKind::Json => false,
            TypeKind::Text { .. } => true,
            TypeKind::Null => false,
            _ => {
                return Err(Refusal::new(format!(
                    "JSON_EXTRACT of {} is not supported",
                    document.ty.kind.name()
                )));
            }
        };
        let mut paths = Vec::new();
        for node in nodes {
            paths.push(match node.literal() {
                Some(Datum::Text(text)) => Some(
                    Path::parse(text)
                        .ok_or_else(|| Refusal::new(format!("'{text}' is no JSON path")))?,
                ),
                Some(Datum::Null) => None,
                _ => return Err(Refusal::new("a JSON path is a literal text here")),
            });
        }
        let open = |path: &Option<Path>| path.as_ref().is_some_and(Path::is_open);
        let many = paths.len() > 1 || paths.iter().any(open);
        let call = Call::JsonExtract {
            paths,
            many,
            foreign,
        };
        Ok(Node {
            collated: json_collated(),
            ..computed(Op::Call(call, vec![document]), TypeKind::Json, true)
        })
    }

    pub(super) fn json_unquote(&self, node: Node) -> Result<Node> {
        if !matches!(
            node.ty.kind,
            TypeKind::Json | TypeKind::Text { .. } | TypeKind::Null
        ) {
            return Err(Refusal::new(format!(
                "JSON_UNQUOTE of {} is not supported",
                node.ty.kind.name()
            )));
        }
        let op = Op::Call(Call::JsonUnquote, vec![node]);
        let collated = Collated {
            derivation: Derivation::Literal,
            ..json_collated()
        };
        Ok(textual(op, collated, true))
    }
}

/// The parser binds `->` less tightly than sums and products, MySQL more tightly: `a->'$.b' + 1` comes as
/// `a->('$.b' + 1)`. The tree as MySQL means it, where only one side is affected.
pub(super) fn rearranged(left: &Expr, right: &Expr, unquote: bool) -> Option<Expr> {
    let op = if unquote {
        BinaryOperator::LongArrow
    } else {
        BinaryOperator::Arrow
    };
    let arrow = |left: Expr, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op: op.clone(),
        right: Box::new(right),
    };
    match (left, right) {
        (
            Expr::BinaryOp {
                left: first,
                op: inner @ (BinaryOperator::Arrow | BinaryOperator::LongArrow),
                right: path,
            },
            _,
        ) => {
            let long = *inner == BinaryOperator::LongArrow;
            let left = rearranged(first, path, long)?;
            rearranged(&left, right, unquote)
        }
        (Expr::Identifier(_) | Expr::CompoundIdentifier(_), Expr::BinaryOp { .. }) => {
            at_edge(right, true, &|path| {
                matches!(path, Expr::Value(_)).then(|| arrow(left.clone(), path.clone()))
            })
        }
        (Expr::BinaryOp { .. }, Expr::Value(_)) => at_edge(left, false, &|column| {
            let is_column = matches!(column, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            is_column.then(|| arrow(column.clone(), right.clone()))
        }),
        _ => None,
    }
}

/// The tree with its leftmost (or rightmost) leaf replaced.
pub(super) fn at_edge(
    tree: &Expr,
    leftmost: bool,
    leaf: &dyn Fn(&Expr) -> Option<Expr>,
) -> Option<Expr> {
    let Expr::BinaryOp { left, op, right } = tree else {
        return leaf(tree);
    };
    let (left, right) = if leftmost {
        (at_edge(left, true, leaf)?, (**right).clone())
    } else {
        ((**left).clone(), at_edge(right, false, leaf)?)
    };
    Some(Expr::BinaryOp {
        left: Box::new(left),
        op: op.clone(),
        right: Box::new(right),
    })
}
