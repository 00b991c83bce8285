//! From the parser's tree to the typed one.

use sqlparser::ast::{BinaryOperator, Expr, Ident, TrimWhereField, UnaryOperator};

use super::choice::{is_choice, is_mixed_choice, printed_double, real, scaled};
use super::compare::{negate_if, not, order_of, refuse_predicates};
use super::decimal::MAX_SCALE;
use super::exact::{exact, exact_within};
use super::node::{Class, Node, Op, Sign, Special, Target};
use super::select::{self};
use super::types::{Collated, Type, TypeKind};
use super::{Refusal, Rows, literal};
use crate::change::Row;
use crate::plan::{RowRef, SourceId, Sql};
use crate::schema::{Column, ColumnType};

pub(super) type Result<T> = std::result::Result<T, Refusal>;

/// Gives the column at a slot of a source.
type Columns<'c> = dyn Fn(SourceId, usize) -> Option<&'c Column> + 'c;

pub(super) fn compile<'c>(sql: &Sql, columns: &Columns<'c>) -> Result<Node> {
    let root = Compiler { sql, columns }.node(&sql.expr)?;
    constants(&root)?;
    Ok(root)
}

/// The server computes constants before it looks at any row, and a SELECT with one that cannot be computed fails
/// altogether, or does not, as it is used.
fn constants(node: &Node) -> Result<()> {
    if !is_constant(node) {
        let mut found = Ok(());
        node.each_part(&mut |part| {
            if found.is_ok() {
                found = constants(part);
            }
        });
        return found;
    }
    match node.evaluate(&NoRows) {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::new(format!(
            "a part of it that reads no column has no value: {error}"
        ))),
    }
}

pub(super) struct Compiler<'a, 'c> {
    sql: &'a Sql,
    columns: &'a Columns<'c>,
}

/// In which numbers values of this type are computed with.
pub(super) fn class_of(kind: &TypeKind) -> Class {
    match kind {
        TypeKind::Decimal { .. } => Class::Decimal,
        kind if kind.is_temporal() && kind.fsp() > 0 => Class::Decimal,
        TypeKind::Null | TypeKind::Int { .. } | TypeKind::Year | TypeKind::Bit => Class::Int,
        kind if kind.is_temporal() => Class::Int,
        _ => Class::Double,
    }
}

/// Whether FLOOR and CEIL of a DECIMAL give an integer.
pub(super) fn whole_is_int(kind: &TypeKind) -> bool {
    matches!(kind, TypeKind::Decimal { precision, scale } if precision - scale < 20)
}

fn scale_of(node: &Node) -> u8 {
    match node.ty.kind {
        TypeKind::Decimal { scale, .. } => scale,
        _ => node.ty.kind.fsp(),
    }
}

fn is_unsigned(node: &Node) -> bool {
    let decimal = node.special == Special::UnsignedDecimal;
    decimal
        || matches!(
            node.ty.kind,
            TypeKind::Int { unsigned: true } | TypeKind::Bit | TypeKind::Year
        )
}

/// It reads no column.
pub(super) fn is_constant(node: &Node) -> bool {
    let mut constant = true;
    node.each_reference(&mut |_, _, _| constant = false);
    constant
}

/// A node whose text, if any, is that of a number.
pub(super) fn computed(op: Op, kind: TypeKind, nullable: bool) -> Node {
    Node {
        op,
        ty: Type { kind, nullable },
        collated: Collated::number(),
        special: Special::No,
    }
}

/// A node of text.
pub(super) fn textual(op: Op, collated: Collated, nullable: bool) -> Node {
    Node {
        op,
        ty: Type {
            kind: TypeKind::Text {
                collation: collated.name.clone(),
            },
            nullable,
        },
        collated,
        special: Special::No,
    }
}

pub(super) const BOOL: TypeKind = TypeKind::Int { unsigned: false };

impl Compiler<'_, '_> {
    pub(super) fn node(&self, expr: &Expr) -> Result<Node> {
        match expr {
            Expr::Nested(inner) => self.node(inner),
            Expr::Identifier(name) => self.column(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(parts) => self.column(parts),
            Expr::Value(value) => literal::of(&value.value).map_err(Refusal::new),
            Expr::TypedString(typed) => literal::typed(typed).map_err(Refusal::new),
            Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::IsNull(e) => Ok(self.is_null(e)?),
            Expr::IsNotNull(e) => Ok(not(self.is_null(e)?)),
            Expr::IsTrue(e) => self.is(e, true),
            Expr::IsNotTrue(e) => Ok(not(self.is(e, true)?)),
            Expr::IsFalse(e) => self.is(e, false),
            Expr::IsNotFalse(e) => Ok(not(self.is(e, false)?)),
            Expr::InList {
                expr,
                list,
                negated,
            } => Ok(negate_if(*negated, self.in_list(expr, list)?)),
            Expr::Between {
                expr,
                negated,
                low,
                high,
            } => Ok(negate_if(*negated, self.between(expr, low, high)?)),
            Expr::Like {
                negated,
                expr,
                pattern,
                escape_char,
                ..
            } => Ok(negate_if(
                *negated,
                self.like(expr, pattern, escape_char.as_deref())?,
            )),
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(operand.as_deref(), conditions, else_result.as_deref()),
            Expr::Cast {
                expr, data_type, ..
            } => {
                let arg = self.node(expr)?;
                self.cast(arg, data_type)
            }
            Expr::Ceil { expr, .. } => self.call("CEIL", &[expr]),
            Expr::Floor { expr, .. } => self.call("FLOOR", &[expr]),
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                let mut args = vec![&**expr];
                args.extend(substring_from.as_deref());
                args.extend(substring_for.as_deref());
                self.call("SUBSTRING", &args)
            }
            Expr::Trim {
                expr,
                trim_where,
                trim_what,
                ..
            } => {
                let sides = match trim_where {
                    None | Some(TrimWhereField::Both) => (true, true),
                    Some(TrimWhereField::Leading) => (true, false),
                    Some(TrimWhereField::Trailing) => (false, true),
                };
                self.trim(expr, trim_what.as_deref(), sides)
            }
            Expr::Function(function) => self.function(function),
            other => Err(Refusal::new(format!("`{other}` is not supported here"))),
        }
    }

    fn column(&self, parts: &[Ident]) -> Result<Node> {
        let Some(first) = parts.first() else {
            return Err(Refusal::new("a reference without a name"));
        };
        if parts.len() == 1 && first.quote_style == Some('"') {
            return Ok(literal::text(&first.value));
        }
        let location = (first.span.start.line, first.span.start.column);
        let at = |message: String| Refusal {
            location: Some(location),
            ..Refusal::new(message)
        };
        let found = self.sql.refs.iter().find(|r| r.location == location);
        let reference = found.ok_or_else(|| at(format!("`{}` is not resolved", first.value)))?;
        let column = (self.columns)(reference.source, reference.slot)
            .ok_or_else(|| at(format!("`{}` is not known", first.value)))?;
        let mut ty = Type::from(column);
        ty.nullable |= reference.row != RowRef::Driving;
        let collated = Collated::column(&ty.kind);
        Ok(Node {
            op: Op::Column {
                row: reference.row,
                source: reference.source,
                slot: reference.slot,
            },
            ty,
            collated,
            special: special(column),
        })
    }

    /// The node as an operand of a sum, and the class of numbers that it brings.
    pub(super) fn number(&self, node: Node) -> Result<(Node, Class)> {
        if is_choice(&node) && node.ty.kind.is_temporal() {
            return Err(
                Refusal::new("computing with a choice between dates is not supported")
                    .help("CAST it to DATE or DATETIME"),
            );
        }
        if matches!(node.ty.kind, TypeKind::Text { .. }) && is_mixed_choice(&node) {
            return Err(Refusal::new(
                "computing with a choice between texts and numbers is not supported",
            )
            .help("CAST its branches"));
        }
        let node = match node.special.clone() {
            Special::Labels { labels, set } => {
                let nullable = node.ty.nullable;
                let op = Op::To(Target::LabelNumber { labels, set }, Box::new(node));
                computed(op, TypeKind::Double, nullable)
            }
            Special::SomeLabels => {
                return Err(Refusal::new(
                    "computing with a choice that may be an ENUM or SET is not supported",
                )
                .help("CAST the column to CHAR or SIGNED"));
            }
            Special::Printed if !node.ty.kind.is_integer() => {
                return Err(Refusal::new(
                    "computing with a column declared ZEROFILL or with a number of digits is not supported",
                )
                .help("CAST it to DECIMAL or DOUBLE"));
            }
            _ => node,
        };
        match node.ty.kind {
            TypeKind::Json => Err(Refusal::new("computing with a JSON value is not supported")
                .help("take its text with ->>, or CAST it")),
            TypeKind::Binary | TypeKind::Geometry | TypeKind::Vector => Err(Refusal::new(format!(
                "computing with {} is not supported",
                node.ty.kind.name()
            ))),
            _ => {
                let class = class_of(&node.ty.kind);
                Ok((node, class))
            }
        }
    }

    /// The node as a condition.
    pub(super) fn condition(&self, node: Node) -> Result<Node> {
        Ok(self.number(node)?.0)
    }

    /// The node as text.
    pub(super) fn text(&self, node: Node) -> Result<Node> {
        match node.ty.kind {
            TypeKind::Binary | TypeKind::Bit | TypeKind::Geometry | TypeKind::Vector => {
                Err(Refusal::new(format!(
                    "{} is not supported where text is expected",
                    node.ty.kind.name()
                ))
                .help("CAST it to CHAR, or use HEX"))
            }
            _ => Ok(printed_double(node)),
        }
    }

    fn unary(&self, op: UnaryOperator, expr: &Expr) -> Result<Node> {
        if let Expr::Value(value) = expr
            && let Some(node) = literal::signed(op, &value.value)
        {
            return node.map_err(Refusal::new);
        }
        let arg = self.node(expr)?;
        match op {
            UnaryOperator::Plus => Ok(arg),
            UnaryOperator::Not | UnaryOperator::BangNot => {
                if op == UnaryOperator::BangNot && !is_simple(expr) {
                    return Err(Refusal::new("write NOT (…) rather than ! before this"));
                }
                Ok(not(self.condition(arg)?))
            }
            _ => {
                let (arg, class) = self.number(arg)?;
                if class == Class::Int && is_constant(&arg) {
                    return Err(
                        Refusal::new("negating a computed constant is not supported")
                            .help("write the number"),
                    );
                }
                let nullable = arg.ty.nullable;
                let kind = match (class, &arg.ty.kind) {
                    (Class::Int, _) => TypeKind::Int { unsigned: false },
                    (Class::Decimal, TypeKind::Decimal { .. }) => arg.ty.kind.clone(),
                    (Class::Decimal, other) => TypeKind::Decimal {
                        precision: 20 + other.fsp(),
                        scale: other.fsp(),
                    },
                    (Class::Double, _) => TypeKind::Double,
                };
                let arg = Box::new(exact_within(&arg));
                Ok(scaled(computed(Op::Negate { class, arg }, kind, nullable)))
            }
        }
    }

    fn binary(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Node> {
        use BinaryOperator as B;
        match op {
            B::Arrow | B::LongArrow => return self.arrow(left, right, *op == B::LongArrow),
            B::Plus | B::Minus => {
                if let Expr::Interval(interval) = right {
                    return self.add_interval(left, interval, *op == B::Minus);
                }
                if let (Expr::Interval(interval), B::Plus) = (left, op) {
                    return self.add_interval(right, interval, false);
                }
            }
            _ => {}
        }
        if let Some(order) = order_of(op) {
            refuse_predicates(left, right)?;
            return self.compare(order, self.node(left)?, self.node(right)?);
        }
        let (a, b) = (self.node(left)?, self.node(right)?);
        match op {
            B::And | B::Or => {
                let (a, b) = (self.condition(a)?, self.condition(b)?);
                let nullable = a.ty.nullable || b.ty.nullable;
                let args = Box::new([a, b]);
                let op = if *op == B::And {
                    Op::And(args)
                } else {
                    Op::Or(args)
                };
                Ok(computed(op, BOOL, nullable))
            }
            B::Plus => self.arithmetic(Sign::Plus, a, b),
            B::Minus => self.arithmetic(Sign::Minus, a, b),
            B::Multiply => self.arithmetic(Sign::Times, a, b),
            B::Divide => self.arithmetic(Sign::Divide, a, b),
            B::Modulo => self.arithmetic(Sign::Modulo, a, b),
            B::MyIntegerDivide => self.arithmetic(Sign::Div, a, b),
            other => Err(Refusal::new(format!(
                "the operator `{other}` is not supported"
            ))),
        }
    }

    pub(super) fn arithmetic(&self, sign: Sign, a: Node, b: Node) -> Result<Node> {
        let ((a, ca), (b, cb)) = (self.number(a)?, self.number(b)?);
        if [&a, &b]
            .iter()
            .any(|n| n.special == Special::UnsignedDecimal)
        {
            return Err(Refusal::new(
                "computing with the rest of an unsigned integer divided by a DECIMAL is not supported",
            )
            .help("CAST the integer to DECIMAL"));
        }
        if sign == Sign::Div && [&a, &b].iter().any(|n| is_mixed_choice(n)) {
            return Err(Refusal::new(
                "DIV of a choice between values of different types is not supported",
            )
            .help("CAST them"));
        }
        let mut class = match (ca, cb) {
            (Class::Double, _) | (_, Class::Double) => Class::Double,
            (Class::Decimal, _) | (_, Class::Decimal) => Class::Decimal,
            _ => Class::Int,
        };
        match (sign, class) {
            (Sign::Divide, Class::Int) | (Sign::Div, Class::Double) => class = Class::Decimal,
            _ => {}
        }
        let (sa, sb) = (scale_of(&a), scale_of(&b));
        let scale = match sign {
            Sign::Plus | Sign::Minus | Sign::Modulo => sa.max(sb),
            Sign::Times => (sa + sb).min(MAX_SCALE),
            Sign::Divide => (sa + 4).min(MAX_SCALE),
            Sign::Div => 0,
        };
        let unsigned = match sign {
            Sign::Modulo => is_unsigned(&a),
            _ if class == Class::Decimal && sign != Sign::Div => is_unsigned(&a) && is_unsigned(&b),
            _ => is_unsigned(&a) || is_unsigned(&b),
        };
        let kind = match class {
            _ if sign == Sign::Div => TypeKind::Int { unsigned },
            Class::Int => TypeKind::Int { unsigned },
            Class::Decimal => TypeKind::Decimal {
                precision: precision(sign, &a, &b, scale),
                scale,
            },
            Class::Double => TypeKind::Double,
        };
        let divides = matches!(sign, Sign::Divide | Sign::Div | Sign::Modulo);
        let nullable = divides || a.ty.nullable || b.ty.nullable;
        let operand = |node: &Node| match class {
            Class::Double => real(exact(node)),
            _ => exact(node),
        };
        let op = Op::Arithmetic {
            sign,
            class,
            unsigned,
            scale,
            args: Box::new([operand(&a), operand(&b)]),
        };
        let special = match (sign, class) {
            (Sign::Div, _) => Special::No,
            (_, Class::Decimal) | (Sign::Modulo, _) if unsigned && class != Class::Int => {
                Special::UnsignedDecimal
            }
            _ => Special::No,
        };
        Ok(scaled(Node {
            special,
            ..computed(op, kind, nullable)
        }))
    }
}

pub(super) fn json_collated() -> Collated {
    Collated::column(&TypeKind::Json)
}

fn special(column: &Column) -> Special {
    match &column.ty {
        ColumnType::Enum { labels, .. } => Special::Labels {
            labels: labels.clone(),
            set: false,
        },
        ColumnType::Set { labels, .. } => Special::Labels {
            labels: labels.clone(),
            set: true,
        },
        ty if ty.number_style().is_some() => Special::Printed,
        ColumnType::Decimal { unsigned: true, .. } => Special::UnsignedDecimal,
        ColumnType::Int {
            bytes: 1..=4,
            unsigned: true,
            ..
        } => Special::Narrow,
        _ => Special::No,
    }
}

fn precision(sign: Sign, a: &Node, b: &Node, scale: u8) -> u8 {
    let ((wa, _), (wb, sb)) = (select::digits(&a.ty.kind), select::digits(&b.ty.kind));
    let whole = match sign {
        Sign::Plus | Sign::Minus => wa.max(wb) + 1,
        Sign::Times => wa + wb,
        Sign::Divide => wa + sb,
        _ => wa.max(wb),
    };
    (whole + scale).min(65)
}

/// What constants are computed over.
struct NoRows;

impl Rows for NoRows {
    fn row(&self, _: RowRef) -> Option<&Row<'_>> {
        None
    }
}

/// A column, a literal, a call, something in parentheses.
fn is_simple(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Nested(_)
            | Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::Value(_)
            | Expr::Function(_)
    )
}
