//! From the parser's tree to the typed one.

use sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, Ident, TrimWhereField, UnaryOperator, Value as Literal,
};

use super::comparison::{How, Side, how, text_order};
use super::datum::Datum;
use super::decimal::MAX_SCALE;
use super::interval::Unit;
use super::node::{Class, Node, Op, Order, Shape, Sign, Special, Target};
use super::select::{self, Common};
use super::types::{Collated, Derivation, Type, TypeKind};
use super::{Refusal, literal};
use crate::change::collation::Weigher;
use crate::plan::{RowRef, SourceId, Sql};
use crate::schema::{Column, ColumnType};

pub(super) type Result<T> = std::result::Result<T, Refusal>;

/// Gives the column at a slot of a source.
type Columns<'c> = dyn Fn(SourceId, usize) -> Option<&'c Column> + 'c;

pub(super) fn compile<'c>(sql: &Sql, columns: &Columns<'c>) -> Result<Node> {
    Compiler { sql, columns }.node(&sql.expr)
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
    matches!(kind, TypeKind::Decimal { precision, scale } if precision - scale <= 17)
}

fn scale_of(node: &Node) -> u8 {
    match node.ty.kind {
        TypeKind::Decimal { scale, .. } => scale,
        _ => node.ty.kind.fsp(),
    }
}

fn is_unsigned(node: &Node) -> bool {
    matches!(
        node.ty.kind,
        TypeKind::Int { unsigned: true } | TypeKind::Bit | TypeKind::Year
    )
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

const BOOL: TypeKind = TypeKind::Int { unsigned: false };

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
        let collated = match &ty.kind {
            TypeKind::Text { collation } => Collated {
                name: collation.clone(),
                derivation: Derivation::Column,
                ascii: collation.starts_with("ascii"),
            },
            TypeKind::Binary => Collated {
                name: "binary".into(),
                derivation: Derivation::Column,
                ascii: false,
            },
            TypeKind::Json => json_collated(),
            _ => Collated::number(),
        };
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
            return Err(Refusal::new(
                "computing with a choice between dates is not supported",
            )
            .help("CAST it to DATE or DATETIME"));
        }
        let node = match node.special.clone() {
            Special::Labels { labels, set } => {
                let nullable = node.ty.nullable;
                let op = Op::To(Target::LabelNumber { labels, set }, Box::new(node));
                computed(op, TypeKind::Int { unsigned: true }, nullable)
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
                let arg = Box::new(arg);
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
        if [&a, &b].iter().any(|n| n.special == Special::UnsignedDecimal) {
            return Err(Refusal::new(
                "computing with the rest of an unsigned integer divided by a DECIMAL is not supported",
            )
            .help("CAST the integer to DECIMAL"));
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
        let op = Op::Arithmetic {
            sign,
            class,
            unsigned,
            scale,
            args: Box::new([a, b]),
        };
        let special = match (sign, class) {
            (Sign::Modulo, Class::Decimal) if unsigned => Special::UnsignedDecimal,
            _ => Special::No,
        };
        Ok(Node {
            special,
            ..computed(op, kind, nullable)
        })
    }

    fn compare(&self, sign: Order, a: Node, b: Node) -> Result<Node> {
        let (how, a, b) = self.comparable(a, b)?;
        let nullable = sign != Order::Same && (a.ty.nullable || b.ty.nullable);
        let args = Box::new([a, b]);
        Ok(computed(Op::Compare { sign, how, args }, BOOL, nullable))
    }

    /// How two operands compare; literals beside dates become dates.
    pub(super) fn comparable(&self, a: Node, b: Node) -> Result<(How, Node, Node)> {
        let (a, b) = (self.labels(a, &b)?, b);
        let (b, a) = (self.labels(b, &a)?, a);
        let b = as_moment(b, &a)?;
        let a = as_moment(a, &b)?;
        let how = match (whole(&a, &b), whole(&b, &a)) {
            (true, _) | (_, true) => How::Int,
            _ => how(&a.side(), &b.side()).map_err(Refusal::new)?,
        };
        if matches!(how, How::Json)
            && (a.special == Special::Printed || b.special == Special::Printed)
        {
            return Err(Refusal::new(
                "comparing JSON with a column declared ZEROFILL or with a number of digits is not supported",
            ));
        }
        if !matches!(how, How::Moment) {
            return Ok((how, a, b));
        }
        let mixed = is_mixed(&a, &b);
        Ok((how, complete(a, mixed), complete(b, mixed)))
    }

    /// An ENUM or SET is its number beside a number.
    fn labels(&self, node: Node, other: &Node) -> Result<Node> {
        let labels = matches!(node.special, Special::Labels { .. } | Special::SomeLabels);
        if labels && other.ty.kind.is_number() {
            return Ok(self.number(node)?.0);
        }
        Ok(node)
    }

    fn is_null(&self, expr: &Expr) -> Result<Node> {
        let arg = Box::new(self.node(expr)?);
        Ok(computed(Op::IsNull(arg), BOOL, false))
    }

    fn is(&self, expr: &Expr, truth: bool) -> Result<Node> {
        let arg = Box::new(self.condition(self.node(expr)?)?);
        Ok(computed(Op::Is { truth, arg }, BOOL, false))
    }

    fn in_list(&self, expr: &Expr, list: &[Expr]) -> Result<Node> {
        refuse_predicates(expr, expr)?;
        let mut arg = self.node(expr)?;
        let mut nullable = arg.ty.nullable;
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            let (how, left, item) = self.comparable(arg.clone(), self.node(item)?)?;
            if list.len() > 1 && left.ty.kind != arg.ty.kind {
                return Err(Refusal::new(
                    "numbers beside labels in IN are not supported",
                ));
            }
            if list.len() == 1 {
                arg = left;
            }
            nullable |= item.ty.nullable;
            items.push((how, item));
        }
        if items.iter().any(|(_, item)| is_mixed(&arg, item)) {
            arg = complete(arg, true);
        }
        let all: Vec<&Node> = std::iter::once(&arg).chain(items.iter().map(|(_, n)| n)).collect();
        if let Some(together) = self.together(&all)? {
            items.iter_mut().for_each(|(how, _)| *how = together.clone());
        }
        let arg = Box::new(arg);
        Ok(computed(Op::In { arg, list: items }, BOOL, nullable))
    }

    fn between(&self, expr: &Expr, low: &Expr, high: &Expr) -> Result<Node> {
        refuse_predicates(expr, expr)?;
        let arg = self.node(expr)?;
        let (low_how, mut left, low) = self.comparable(arg.clone(), self.node(low)?)?;
        let (high_how, right, high) = self.comparable(arg, self.node(high)?)?;
        if is_mixed(&right, &high) || is_mixed(&low, &high) {
            left = complete(left, true);
        }
        if left.ty.kind != right.ty.kind {
            return Err(Refusal::new(
                "BETWEEN two bounds of such different types is not supported",
            ));
        }
        if left.ty.kind.has_date() && [&low, &high].into_iter().any(|n| n.special == Special::Number) {
            return Err(Refusal::new("BETWEEN with a number beside a date is not supported")
                .help("write the date in quotes"));
        }
        let nullable = left.ty.nullable || low.ty.nullable || high.ty.nullable;
        let together = self.together(&[&left, &low, &high])?;
        let (low_how, high_how) = match together {
            Some(how) => (how.clone(), how),
            None => (low_how, high_how),
        };
        let op = Op::Between {
            arg: Box::new(left),
            low: (low_how, Box::new(low)),
            high: (high_how, Box::new(high)),
        };
        Ok(computed(op, BOOL, nullable))
    }

    fn like(&self, expr: &Expr, pattern: &Expr, escape: Option<&Expr>) -> Result<Node> {
        refuse_predicates(expr, pattern)?;
        let arg = self.text(self.node(expr)?)?;
        let pattern = self.text(self.node(pattern)?)?;
        let escape = match escape {
            None => Some('\\'),
            Some(Expr::Value(value)) => match &value.value {
                Literal::SingleQuotedString(text) | Literal::DoubleQuotedString(text)
                    if text.chars().count() <= 1 =>
                {
                    text.chars().next()
                }
                _ => return Err(Refusal::new("ESCAPE takes one character")),
            },
            Some(_) => return Err(Refusal::new("ESCAPE takes one character")),
        };
        let collated = self.mixed(&[&arg, &pattern])?;
        let weigher = self.weigher(&collated)?;
        let nullable = arg.ty.nullable || pattern.ty.nullable;
        let op = Op::Like {
            weigher,
            escape,
            args: Box::new([arg, pattern]),
        };
        Ok(computed(op, BOOL, nullable))
    }

    /// Texts that are compared with one another in one place are compared by one collation, that of all of them.
    fn together(&self, nodes: &[&Node]) -> Result<Option<How>> {
        let is_text = |node: &Node| {
            matches!(
                node.ty.kind,
                TypeKind::Text { .. } | TypeKind::Binary | TypeKind::Json
            )
        };
        let texts: Vec<&Node> = nodes
            .iter()
            .filter(|n| n.ty.kind != TypeKind::Null)
            .copied()
            .collect();
        let count = texts.iter().filter(|n| is_text(n)).count();
        if count < 2 {
            return Ok(None);
        }
        if count < texts.len() || !texts.iter().all(|n| matches!(n.ty.kind, TypeKind::Text { .. })) {
            return Err(Refusal::new(
                "texts beside other types in one IN, BETWEEN or CASE are not supported",
            ));
        }
        let collated = self.mixed(&texts)?;
        text_order(&collated.name).map(Some).map_err(Refusal::new)
    }

    pub(super) fn weigher(&self, collated: &Collated) -> Result<Weigher> {
        match text_order(&collated.name).map_err(Refusal::new)? {
            How::Text(weigher) => Ok(weigher),
            _ => Err(Refusal::new("no order of text")),
        }
    }

    /// The collation of several texts together.
    pub(super) fn mixed(&self, nodes: &[&Node]) -> Result<Collated> {
        let mut nodes = nodes.iter();
        let Some(first) = nodes.next() else {
            return Ok(Collated::number());
        };
        nodes.try_fold(first.collated.clone(), |all, node| {
            all.with(&node.collated).ok_or_else(|| {
                Refusal::new(format!(
                    "the collations {} and {} do not mix",
                    all.name, node.collated.name
                ))
            })
        })
    }

    fn case(
        &self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&Expr>,
    ) -> Result<Node> {
        let otherwise = otherwise.map(|e| self.node(e)).transpose()?;
        let mut thens = Vec::with_capacity(conditions.len());
        for when in conditions {
            thens.push(self.node(&when.result)?);
        }
        let mut branches: Vec<&Node> = thens.iter().collect();
        branches.extend(otherwise.iter());
        let mut common = select::common(&branches).map_err(Refusal::new)?;
        common.ty.nullable |= otherwise.is_none();
        let thens = common.texted(thens);
        let otherwise = otherwise.map(|node| common.texted(vec![node]));
        let otherwise = otherwise.and_then(|mut nodes| nodes.pop());
        let otherwise = otherwise.map(Box::new);
        let to = common.shape.clone();
        let op = match operand {
            None => {
                let mut cases = Vec::with_capacity(thens.len());
                for (when, then) in conditions.iter().zip(thens) {
                    let condition = self.condition(self.node(&when.condition)?)?;
                    cases.push((condition, then));
                }
                Op::Case {
                    cases,
                    otherwise,
                    to,
                }
            }
            Some(operand) => {
                let operand = self.node(operand)?;
                let mut cases = Vec::with_capacity(thens.len());
                for (when, then) in conditions.iter().zip(thens) {
                    let condition = self.node(&when.condition)?;
                    let (how, left, when) = self.comparable(operand.clone(), condition)?;
                    if left.ty.kind != operand.ty.kind {
                        return Err(Refusal::new(
                            "numbers beside labels in CASE are not supported",
                        ));
                    }
                    cases.push((how, when, then));
                }
                let all = std::iter::once(&operand).chain(cases.iter().map(|(_, n, _)| n));
                if let Some(together) = self.together(&all.collect::<Vec<_>>())? {
                    cases.iter_mut().for_each(|(how, ..)| *how = together.clone());
                }
                Op::CaseOf {
                    operand: Box::new(operand),
                    cases,
                    otherwise,
                    to,
                }
            }
        };
        Ok(common.node(op))
    }

    /// IF, which is a CASE.
    pub(super) fn if_then(&self, condition: Node, then: Node, otherwise: Node) -> Result<Node> {
        let common = select::common(&[&then, &otherwise]).map_err(Refusal::new)?;
        let mut branches = common.texted(vec![otherwise, then]);
        let (then, otherwise) = (branches.pop(), branches.pop());
        let then = then.ok_or_else(|| Refusal::new("IF takes three arguments"))?;
        let op = Op::Case {
            cases: vec![(self.condition(condition)?, then)],
            otherwise: otherwise.map(Box::new),
            to: common.shape.clone(),
        };
        Ok(common.node(op))
    }

    pub(super) fn coalesce(&self, args: Vec<Node>) -> Result<Node> {
        let mut common = select::common(&args.iter().collect::<Vec<_>>()).map_err(Refusal::new)?;
        common.ty.nullable = args.iter().all(|a| a.ty.nullable);
        let to = fixed(&common);
        let args = common.texted(args);
        Ok(common.node(Op::Coalesce { args, to }))
    }

    pub(super) fn null_if(&self, a: Node, b: Node) -> Result<Node> {
        let (ty, collated) = (a.ty.clone(), a.collated.clone());
        let (how, a, b) = self.comparable(a, b)?;
        if matches!(ty.kind, TypeKind::Year | TypeKind::Bit) || a.special == Special::Printed {
            return Err(Refusal::new("NULLIF of such a column is not supported").help("CAST it to SIGNED"));
        }
        if a.ty.kind != ty.kind {
            return Err(Refusal::new(
                "NULLIF of a label with a number is not supported",
            ));
        }
        let args = Box::new([a, b]);
        Ok(Node {
            op: Op::NullIf { how, args },
            ty: Type {
                nullable: true,
                ..ty
            },
            collated,
            special: Special::No,
        })
    }

    pub(super) fn extreme(&self, greatest: bool, args: Vec<Node>) -> Result<Node> {
        let common = select::common(&args.iter().collect::<Vec<_>>()).map_err(Refusal::new)?;
        let texts = args
            .iter()
            .any(|a| matches!(a.ty.kind, TypeKind::Text { .. }));
        if texts && args.iter().any(|a| a.ty.kind.is_temporal()) {
            return Err(
                Refusal::new("GREATEST and LEAST of a date and a text are not supported")
                    .help("CAST the text to DATE or DATETIME"),
            );
        }
        let side = Side {
            kind: common.ty.kind.clone(),
            collated: common.collated.clone(),
        };
        let how = how(&side, &side).map_err(Refusal::new)?;
        let to = fixed(&common);
        let args = match how {
            How::Moment => args
                .into_iter()
                .map(|arg| complete(arg, false))
                .collect(),
            _ => common.texted(args),
        };
        let op = Op::Extreme {
            greatest,
            how,
            args,
            to,
        };
        Ok(common.node(op))
    }

    pub(super) fn unit(&self, interval: &sqlparser::ast::Interval) -> Result<Unit> {
        let plain = interval.last_field.is_none()
            && interval.leading_precision.is_none()
            && interval.fractional_seconds_precision.is_none();
        let field = interval.leading_field.as_ref().filter(|_| plain);
        field.and_then(Unit::of).ok_or_else(|| {
            let shown = field.map_or("this".to_owned(), |field| field.to_string());
            Refusal::new(format!("the unit {shown} of INTERVAL is not supported"))
                .help("use MICROSECOND, SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR")
        })
    }
}

/// A DATE beside a DATETIME or TIMESTAMP that is no literal.
fn is_mixed(a: &Node, b: &Node) -> bool {
    let dates = a.ty.kind.has_date() && b.ty.kind.has_date();
    let literal = a.literal().is_some() || b.literal().is_some();
    dates && !literal && (a.ty.kind == TypeKind::Date) != (b.ty.kind == TypeKind::Date)
}

/// A date whose value MySQL treats in its own ways where month or day are missing: columns beside columns of another
/// type, and what was computed.
pub(super) fn complete(node: Node, mixed: bool) -> Node {
    let plain = node.literal().is_some() || (node.is_column() && !mixed);
    if plain || !node.ty.kind.has_date() || matches!(node.op, Op::To(Target::Complete, _)) {
        return node;
    }
    let (ty, collated) = (node.ty.clone(), node.collated.clone());
    Node {
        op: Op::To(Target::Complete, Box::new(node)),
        ty,
        collated,
        special: Special::No,
    }
}

/// A DECIMAL with all digits of its scale, which those of a choice may not have.
pub(super) fn scaled(node: Node) -> Node {
    let TypeKind::Decimal { scale, .. } = node.ty.kind else {
        return node;
    };
    let ty = node.ty.clone();
    computed(
        Op::To(Target::Scale(scale), Box::new(node)),
        ty.kind,
        ty.nullable,
    )
}

/// CASE and its kin: MySQL asks the chosen branch itself, whatever the type of the whole.
pub(super) fn is_choice(node: &Node) -> bool {
    matches!(
        node.op,
        Op::Case { .. }
            | Op::CaseOf { .. }
            | Op::Coalesce { .. }
            | Op::NullIf { .. }
            | Op::Extreme { .. }
    )
}

/// A FLOAT or DOUBLE as text: MySQL has room for so many characters.
pub(super) fn printed_double(node: Node) -> Node {
    let width = match node.ty.kind {
        TypeKind::Float => 12,
        TypeKind::Double if node.is_column() => 24,
        TypeKind::Double => 22,
        _ => return node,
    };
    if node.special == Special::Printed {
        return node;
    }
    let nullable = node.ty.nullable;
    let collated = node.collated.clone();
    let textify = |branches: Vec<Node>| branches.into_iter().map(printed_double);
    let op = match node.op {
        Op::Case {
            cases, otherwise, ..
        } => {
            let (whens, thens): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
            Op::Case {
                cases: whens.into_iter().zip(textify(thens)).collect(),
                otherwise: otherwise.map(|node| Box::new(printed_double(*node))),
                to: Shape::Text,
            }
        }
        Op::CaseOf {
            operand,
            cases,
            otherwise,
            ..
        } => Op::CaseOf {
            operand,
            cases: cases
                .into_iter()
                .map(|(how, when, then)| (how, when, printed_double(then)))
                .collect(),
            otherwise: otherwise.map(|node| Box::new(printed_double(*node))),
            to: Shape::Text,
        },
        op => Op::To(
            Target::Narrow(width),
            Box::new(computed(op, node.ty.kind, nullable)),
        ),
    };
    textual(op, collated, nullable)
}

/// COALESCE, GREATEST and LEAST give all decimals the same scale.
fn fixed(common: &Common) -> Shape {
    match common.ty.kind {
        TypeKind::Decimal { scale, .. } => Shape::Decimal(Some(scale)),
        _ => common.shape.clone(),
    }
}

impl Common {
    fn node(self, op: Op) -> Node {
        let special = if self.labels {
            Special::SomeLabels
        } else {
            Special::No
        };
        Node {
            op,
            ty: self.ty,
            collated: self.collated,
            special,
        }
    }

    /// Branches of a text, doubles in the width that text has for them.
    fn texted(&self, nodes: Vec<Node>) -> Vec<Node> {
        match self.ty.kind {
            TypeKind::Text { .. } => nodes.into_iter().map(printed_double).collect(),
            _ => nodes,
        }
    }
}

pub(super) fn json_collated() -> Collated {
    Collated {
        name: super::types::JSON_COLLATION.into(),
        derivation: Derivation::Column,
        ascii: false,
    }
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
        _ => Special::No,
    }
}

fn not(node: Node) -> Node {
    let nullable = node.ty.nullable;
    computed(Op::Not(Box::new(node)), BOOL, nullable)
}

fn negate_if(negated: bool, node: Node) -> Node {
    if negated { not(node) } else { node }
}

fn order_of(op: &BinaryOperator) -> Option<Order> {
    Some(match op {
        BinaryOperator::Eq => Order::Equal,
        BinaryOperator::NotEq => Order::NotEqual,
        BinaryOperator::Lt => Order::Less,
        BinaryOperator::LtEq => Order::LessOrEqual,
        BinaryOperator::Gt => Order::Greater,
        BinaryOperator::GtEq => Order::GreaterOrEqual,
        BinaryOperator::Spaceship => Order::Same,
        _ => return None,
    })
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

/// MySQL binds LIKE, IN and BETWEEN more tightly than comparisons, the parser does not; without parentheses the two
/// could mean different things.
fn refuse_predicates(left: &Expr, right: &Expr) -> Result<()> {
    let loose = |expr: &Expr| match expr {
        Expr::BinaryOp { op, .. } => order_of(op).is_some(),
        Expr::Like { .. } | Expr::InList { .. } | Expr::Between { .. } => true,
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_) => true,
        Expr::UnaryOp { op, .. } => *op == UnaryOperator::Not,
        _ => false,
    };
    if loose(left) || loose(right) {
        return Err(Refusal::new(
            "a comparison of comparisons needs parentheses to have one meaning",
        )
        .help("put the inner comparison in parentheses"));
    }
    Ok(())
}

/// An integer column beside a text that is an integer: compared as integers, not as doubles.
fn whole(column: &Node, literal: &Node) -> bool {
    let exact = |text: &str| text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    column.is_column()
        && matches!(column.ty.kind, TypeKind::Int { .. })
        && literal.literal_text().is_some_and(exact)
}

/// A literal beside a date, as a date.
fn as_moment(node: Node, other: &Node) -> Result<Node> {
    let kind = &other.ty.kind;
    if !kind.has_date() || node.ty.kind.is_temporal() || node.ty.kind == TypeKind::Null {
        return Ok(node);
    }
    let refused = || {
        Refusal::new(format!(
            "MySQL's comparison of {} with {} is not supported",
            kind.name(),
            node.ty.kind.name()
        ))
        .help("CAST it to DATE or DATETIME")
    };
    let datum = node.literal().ok_or_else(refused)?;
    let exact = matches!(datum, Datum::Text(_)) || (matches!(datum, Datum::Int(_)) && other.is_column());
    let moment = super::cast::moment(datum, super::calendar::Zeros::Refused).filter(|_| exact);
    let (moment, _) = moment.ok_or_else(refused)?;
    let special = match datum {
        Datum::Int(_) => Special::Number,
        _ => Special::No,
    };
    Ok(Node {
        special,
        ..computed(
            Op::Literal(Datum::DateTime(moment)),
            TypeKind::DateTime { fsp: moment.fsp },
            false,
        )
    })
}
