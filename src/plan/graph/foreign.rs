//! Indexes over the referencing columns of foreign keys whose cascades are derived.

use std::sync::Arc;

use sqlparser::ast::{Expr, Ident};

use super::build::{Builder, column_text, identity};
use super::{Index, IndexId, Part};
use crate::contract::diagnostic::Place;
use crate::expression::{self, Expression};
use crate::plan::model::*;
use crate::plan::typing::Columns;

impl Builder<'_, '_> {
    /// The index over the child's rows by the columns of the foreign key, in the key's order.
    pub(super) fn foreign_key(&mut self, key: &ForeignKeyPlan) -> Option<IndexId> {
        let mut parts = Vec::new();
        let mut texts = Vec::new();
        let mut names = Vec::new();
        for (slot, comparison) in key.child_slots.iter().zip(&key.comparisons) {
            names.push(self.sources.column(key.child, *slot)?.name.as_str());
            texts.push((column_text(*slot), format!("{comparison:?}")));
            parts.push(Part {
                value: self.column(key.child, *slot)?,
                comparison: comparison.clone(),
            });
        }
        let identity = identity(key.child, false, texts);
        if let Some(found) = self.known.get(&identity) {
            return Some(*found);
        }
        let text = names.join(", ");
        let id = self.indexes.len();
        self.indexes.push(Index {
            source: key.child,
            parts,
            text,
            primary: false,
        });
        self.known.insert(identity, id);
        Some(id)
    }

    /// A column as an expression.
    fn column(&self, source: SourceId, slot: usize) -> Option<Arc<Expression>> {
        let name = &self.sources.column(source, slot)?.name;
        let ident = Ident::with_quote('`', name.as_str());
        let location = (ident.span.start.line, ident.span.start.column);
        let sql = Sql {
            text: name.clone(),
            expr: Arc::new(Expr::Identifier(ident)),
            refs: vec![SqlRef {
                location,
                row: RowRef::Driving,
                source,
                slot,
            }],
            place: Place {
                span: 0..0,
                pointer: Arc::from(""),
            },
            typed: None,
        };
        let compiled = expression::compile(&sql, &|source, slot| self.sources.column(source, slot));
        compiled.ok().map(Arc::new)
    }
}
