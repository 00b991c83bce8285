//! MySQL's expressions: typed when a plan is compiled, evaluated over rows with MySQL's rules.
//!
//! The rules are those of one session: MySQL's default `sql_mode`, UTC, utf8mb4. What a SELECT would answer with a
//! warning and a value has that value here; where a SELECT fails, evaluation fails. What cannot be computed as MySQL
//! computes it is refused by [`compile`], with its name and place.

mod aggregate;
mod calendar;
mod call;
mod cast;
mod cast_type;
mod choice;
mod coded;
mod collate;
mod compare;
mod comparison;
#[cfg(test)]
mod comparison_tests;
mod compile;
mod date_format;
mod dates;
mod datum;
mod decimal;
mod evaluate;
mod exact;
mod functions;
mod interval;
mod json;
mod json_path;
mod literal;
mod node;
mod numeric;
mod parts;
mod select;
mod text;
mod types;

use std::sync::Arc;

use node::{Node, Op, Order};

pub use aggregate::Aggregate;
pub use comparison::{Comparison, comparison, order, tells_apart};
pub use types::{Print, Type, TypeKind};

use crate::change::{Row, Value};
use crate::plan::{RowRef, SourceId, Sql};
use crate::schema::Column;

/// A typed expression, ready to run.
#[derive(Debug, Clone)]
pub struct Expression {
    root: Arc<Node>,
    /// The same with the digits that documents show.
    exact: Arc<Node>,
    ty: Type,
}

/// `a = b`: what each side is there (the number of an ENUM, beside numbers), and how they compare.
#[derive(Debug, Clone)]
pub struct Equality {
    pub left: Expression,
    pub right: Expression,
    pub comparison: Comparison,
}

/// Why an expression cannot be computed as MySQL computes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub message: String,
    pub help: Option<String>,
    /// Line and column (from 1) in the expression's text.
    pub location: Option<(u64, u64)>,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            location: None,
        }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Why an expression has no value for some rows; MySQL's SELECT fails there too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum EvaluationError {
    #[error("a value of type {0} is out of range")]
    OutOfRange(&'static str),
    #[error("{0} was given a text that is no JSON document")]
    InvalidJson(&'static str),
    #[error("{0} was given {1}")]
    Argument(&'static str, &'static str),
    /// The rows are not those that the expression was compiled for.
    #[error("the row has no column at the place that the expression reads")]
    NoColumn,
}

/// The rows that an expression reads.
pub trait Rows {
    /// `None`: there is no such row; all of its columns are NULL then.
    fn row(&self, row: RowRef) -> Option<&Row<'_>>;
}

/// Types an expression; `column` gives the column at a slot of a source.
pub fn compile<'c>(
    sql: &Sql,
    column: &(dyn Fn(SourceId, usize) -> Option<&'c Column> + 'c),
) -> Result<Expression, Refusal> {
    compile::compile(sql, column).map(Expression::new)
}

impl Expression {
    fn new(root: Node) -> Self {
        let (ty, root) = (root.ty.clone(), Arc::new(root));
        let exact = match ty.kind {
            TypeKind::Decimal { .. } => Arc::new(exact::exact(&root)),
            _ => Arc::clone(&root),
        };
        Expression { root, exact, ty }
    }

    /// The sides of the comparison, where it is `a = b` and nothing else.
    pub fn equality(&self) -> Option<Equality> {
        let Op::Compare {
            sign: Order::Equal,
            how,
            args,
        } = &self.root.op
        else {
            return None;
        };
        let [left, right] = args.each_ref().map(|node| compare::side(node).clone());
        Some(Equality {
            left: Expression::new(left),
            right: Expression::new(right),
            comparison: Comparison { how: how.clone() },
        })
    }

    /// The slot that it reads, where it is a column and nothing else.
    pub fn column(&self) -> Option<usize> {
        match self.root.op {
            Op::Column { slot, .. } => Some(slot),
            _ => None,
        }
    }

    /// The type of its values.
    pub fn ty(&self) -> &Type {
        &self.ty
    }

    /// The order of its values, as ORDER BY, MIN and MAX have it.
    ///
    /// # Errors
    /// Says why it is not known.
    pub fn order(&self) -> Result<Comparison, Refusal> {
        let order = order(&self.ty)?;
        coded::known(&order.how, &[&self.root])?;
        Ok(order)
    }

    /// Its value for these rows.
    pub fn evaluate<'r>(&'r self, rows: &'r dyn Rows) -> Result<Value<'r>, EvaluationError> {
        self.root.value(rows)
    }

    /// Its value as a member of a JSON document: a DECIMAL has the digits that it was computed with there, which may be
    /// others than those that are shown.
    pub fn evaluate_in_document<'r>(
        &'r self,
        rows: &'r dyn Rows,
    ) -> Result<Value<'r>, EvaluationError> {
        self.exact.value(rows)
    }

    /// Whether it holds; NULL does not.
    pub fn is_true(&self, rows: &dyn Rows) -> Result<bool, EvaluationError> {
        Ok(self.root.evaluate(rows)?.truth() == Some(true))
    }

    /// Whether a document can hold it as MySQL's JSON_OBJECT does; why not.
    ///
    /// # Errors
    /// Says what it is, and what can be written instead.
    pub fn in_documents(&self) -> Result<(), Refusal> {
        let refused = |help: &str| {
            Refusal::new(format!(
                "{} cannot be a member of a document",
                self.ty.kind.name()
            ))
            .help(help)
        };
        match self.ty.kind {
            TypeKind::Bit => Err(refused("add 0 to it, which makes it a number")),
            TypeKind::Binary => Err(refused("put HEX(…) around it")),
            TypeKind::Geometry | TypeKind::Vector => Err(refused("leave it out")),
            TypeKind::Fixed(Print::SixDigits) => Err(Refusal::new(
                "a FLOAT declared ZEROFILL cannot be a member of a document, which shows more digits than the column does",
            )
            .help("leave it out, or declare its digits: FLOAT(M,D)")),
            _ if !self.is_known_in_documents() => Err(Refusal::new(
                "how many decimals this number has in a document depends on how MySQL computes with fractions of seconds",
            )
            .help("put CAST(… AS DECIMAL(M,D)) around it")),
            _ => Ok(()),
        }
    }

    /// Whether a document shows it with as many zeros at the end as here: MySQL's sums of moments with a fraction have some
    /// that nobody can foretell.
    pub fn is_known_in_documents(&self) -> bool {
        !matches!(self.ty.kind, TypeKind::Decimal { .. }) || !self.root.sums_fractions()
    }

    /// Calls `visit` with every column that is asked for NULL.
    pub fn each_null_test(&self, visit: &mut dyn FnMut(SourceId, usize)) {
        self.root.each_null_test(visit);
    }

    /// Calls `visit` with every column that it reads, repetitions included.
    pub fn each_reference(&self, visit: &mut dyn FnMut(RowRef, SourceId, usize)) {
        self.root.each_reference(visit);
    }
}
