//! JSON_EXTRACT, JSON_UNQUOTE, `->` and `->>`.

use sqlparser::ast::Expr;

use super::Refusal;
use super::compile::{Compiler, Result, computed, json_collated, textual};
use super::datum::Datum;
use super::json::Path;
use super::node::{Call, Node, Op};
use super::types::{Collated, Derivation, TypeKind};

impl Compiler<'_, '_> {
    pub(super) fn arrow(&self, left: &Expr, right: &Expr, unquote: bool) -> Result<Node> {
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
                        .ok_or_else(|| Refusal::new(format!("'{}' is no JSON path", &**text)))?,
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
