//! CASE and its kin: one of several values.

use sqlparser::ast::{CaseWhen, Expr};

use super::compare::complete;
use super::comparison::{How, Side, how};
use super::compile::{BOOL, Compiler, Result, computed, is_constant, textual};
use super::functions::is_fractional_timestamp;
use super::literal;
use super::node::{Node, Op, Order, Shape, Special, Target};
use super::select::{self, Common};
use super::types::{Type, TypeKind};
use super::{Refusal, coded};

impl Compiler<'_, '_> {
    pub(super) fn case(
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
        for branch in &branches {
            select::refuse_loose(branch).map_err(Refusal::new)?;
        }
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
                    if signs_differ(&operand, &when) {
                        return Err(Refusal::new(
                            "CASE of a signed integer with an unsigned one is not supported",
                        )
                        .help("CAST one of them"));
                    }
                    cases.push((how, when, then));
                }
                let operand = complete(operand, false);
                let all = std::iter::once(&operand).chain(cases.iter().map(|(_, n, _)| n));
                if let Some(together) = self.together(&all.collect::<Vec<_>>())? {
                    cases
                        .iter_mut()
                        .for_each(|(how, ..)| *how = together.clone());
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
        for branch in [&then, &otherwise] {
            select::refuse_loose(branch).map_err(Refusal::new)?;
        }
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
        let to = common.shape.clone();
        let args = common.texted(args);
        Ok(scaled(common.node(Op::Coalesce { args, to })))
    }

    pub(super) fn null_if(&self, a: Node, b: Node) -> Result<Node> {
        select::refuse_loose(&a).map_err(Refusal::new)?;
        if is_constant(&a) && a.ty.kind != TypeKind::Null {
            return Err(Refusal::new("NULLIF of a constant is not supported").help("use IF"));
        }
        let (ty, collated) = (a.ty.clone(), a.collated.clone());
        let special = match a.special {
            Special::UnsignedDecimal => Special::UnsignedDecimal,
            Special::Labels { .. } | Special::SomeLabels => Special::SomeLabels,
            _ => Special::No,
        };
        let (how, a, b) = self.comparable(a, b)?;
        if matches!(ty.kind, TypeKind::Year | TypeKind::Bit) || a.special == Special::Printed {
            return Err(
                Refusal::new("NULLIF of such a column is not supported").help("CAST it to SIGNED")
            );
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
            special,
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
        if common.ty.kind == TypeKind::Json {
            return Err(Refusal::new("GREATEST and LEAST of JSON are not supported"));
        }
        let side = Side {
            kind: common.ty.kind.clone(),
            collated: common.collated.clone(),
        };
        let how = how(&side, &side).map_err(Refusal::new)?;
        coded::known(&how, &args.iter().collect::<Vec<_>>())?;
        let to = common.shape.clone();
        let args = match how {
            How::Moment => args.into_iter().map(|arg| complete(arg, false)).collect(),
            _ => common.texted(args),
        };
        let op = Op::Extreme {
            greatest,
            how,
            args,
            to,
        };
        Ok(scaled(common.node(op)))
    }
}

impl Common {
    fn node(self, op: Op) -> Node {
        let special = if self.labels {
            Special::SomeLabels
        } else if self.unsigned {
            Special::UnsignedDecimal
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

    /// Branches of a text, doubles in the width that text has for them; branches of a double as doubles.
    fn texted(&self, nodes: Vec<Node>) -> Vec<Node> {
        match self.ty.kind {
            TypeKind::Text { .. } => nodes.into_iter().map(printed_double).collect(),
            TypeKind::Double => nodes.into_iter().map(real).collect(),
            _ => nodes,
        }
    }
}

/// MySQL's CASE and IN take -1 for equal to 18446744073709551615.
pub(super) fn signs_differ(a: &Node, b: &Node) -> bool {
    let unsigned = |node: &Node| match &node.ty.kind {
        TypeKind::Int { unsigned } => Some(*unsigned),
        TypeKind::Bit | TypeKind::Year => Some(true),
        _ => None,
    };
    let small = |node: &Node| match node.literal() {
        Some(super::datum::Datum::Int(number)) => *number >= 0,
        _ => false,
    };
    match (unsigned(a), unsigned(b)) {
        (Some(x), Some(y)) => x != y && !small(a) && !small(b),
        _ => false,
    }
}

/// CASE and its kin: MySQL asks the chosen branch itself, whatever the type of the whole.
pub(super) fn is_choice(node: &Node) -> bool {
    matches!(
        raw(node).op,
        Op::Case { .. }
            | Op::CaseOf { .. }
            | Op::Coalesce { .. }
            | Op::NullIf { .. }
            | Op::Extreme { .. }
    )
}

/// A choice whose branches are of several types: MySQL asks the chosen one for an integer, not the common type.
pub(super) fn is_mixed_choice(node: &Node) -> bool {
    match &raw(node).op {
        Op::Case { to, .. }
        | Op::CaseOf { to, .. }
        | Op::Coalesce { to, .. }
        | Op::Extreme { to, .. } => *to != Shape::As,
        _ => false,
    }
}

/// A DECIMAL with all digits of its scale, which those of a choice may not have.
pub(super) fn scaled(node: Node) -> Node {
    let TypeKind::Decimal { scale, .. } = node.ty.kind else {
        return node;
    };
    Node {
        ty: node.ty.clone(),
        collated: node.collated.clone(),
        special: node.special.clone(),
        op: Op::To(Target::Scale(scale), Box::new(node)),
    }
}

/// The number as MySQL computes on with it: with the digits that it has, not those that are shown.
pub(super) fn raw(node: &Node) -> &Node {
    match &node.op {
        Op::To(Target::Scale(_), inner) => inner,
        _ => node,
    }
}

/// UNIX_TIMESTAMP with a fraction beside a DOUBLE: MySQL adds the fraction to the seconds, both as doubles, and that is not
/// always the double nearest to the number.
pub(super) fn real(node: Node) -> Node {
    if !is_fractional_timestamp(&node) {
        return node;
    }
    Node {
        ty: node.ty.clone(),
        collated: node.collated.clone(),
        special: Special::No,
        op: Op::To(Target::Seconds, Box::new(node)),
    }
}

/// NULLIF whose value is given in another form than it is compared in.
pub(super) fn nullif(how: How, value: Node, other: Node, given: Node) -> Op {
    let to = match given.ty.kind {
        TypeKind::Decimal { .. } => Shape::As,
        _ => Shape::Text,
    };
    let args = Box::new([value, other]);
    let sign = Order::Equal;
    let same = computed(Op::Compare { sign, how, args }, BOOL, true);
    Op::Case {
        cases: vec![(same, literal::null())],
        otherwise: Some(Box::new(given)),
        to,
    }
}

/// A FLOAT or DOUBLE as text: MySQL has room for so many characters.
pub(super) fn printed_double(node: Node) -> Node {
    // A branch is asked for its own text.
    if let Op::To(Target::Seconds, number) = node.op {
        return *number;
    }
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
    // These compute a double, whatever they choose from.
    let computes = matches!(raw(&node).op, Op::Coalesce { .. } | Op::Extreme { .. });
    if computes && node.ty.kind == TypeKind::Float {
        let op = Op::To(Target::Double, Box::new(node));
        return printed_double(computed(op, TypeKind::Double, nullable));
    }
    let op = match node.op {
        op @ (Op::Case { .. } | Op::CaseOf { .. }) => {
            op.with_branches(Shape::Text, &mut printed_double)
        }
        // Its text is that of its first argument, which may choose from numbers of other types.
        Op::NullIf { how, args } => {
            let [value, other] = *args;
            nullif(how, value.clone(), other, printed_double(value))
        }
        op => Op::To(
            Target::Narrow(width),
            Box::new(computed(op, node.ty.kind, nullable)),
        ),
    };
    textual(op, collated, nullable)
}
