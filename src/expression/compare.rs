//! Comparisons: =, IN, BETWEEN, LIKE, IS.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value as Literal};

use super::choice::{real, signs_differ};
use super::comparison::{How, how, text_order};
use super::compile::{BOOL, Compiler, Result, computed, is_constant};
use super::datum::Datum;
use super::functions::is_fractional_timestamp;
use super::node::{Node, Op, Order, Special, Target};
use super::types::{Collated, TypeKind, compared};
use super::{Refusal, coded, literal};
use crate::change::collation::Weigher;

impl Compiler<'_, '_> {
    pub(super) fn compare(&self, sign: Order, a: Node, b: Node) -> Result<Node> {
        let (how, mut a, mut b) = self.pair(a, b)?;
        if is_double(&a) || is_double(&b) {
            (a, b) = (real(a), real(b));
        }
        let nullable = sign != Order::Same && (a.ty.nullable || b.ty.nullable);
        let args = Box::new([a, b]);
        Ok(computed(Op::Compare { sign, how, args }, BOOL, nullable))
    }

    /// How two operands compare that are also looked at in other ways.
    pub(super) fn comparable(&self, a: Node, b: Node) -> Result<(How, Node, Node)> {
        let timestamp = is_fractional_timestamp(&a) || is_fractional_timestamp(&b);
        if timestamp && (is_double(&a) || is_double(&b)) {
            return Err(Refusal::new(
                "UNIX_TIMESTAMP with a fraction beside a DOUBLE is not supported here",
            )
            .help("CAST one of them to DECIMAL(20,6)"));
        }
        self.pair(a, b)
    }

    /// How two operands compare; literals beside dates become dates.
    fn pair(&self, a: Node, b: Node) -> Result<(How, Node, Node)> {
        let (a, b) = (self.labels(a, &b)?, b);
        let (b, a) = (self.labels(b, &a)?, a);
        refuse_short_year(&a, &b)?;
        refuse_short_year(&b, &a)?;
        let b = as_moment(b, &a)?;
        let a = as_moment(a, &b)?;
        let how = match (whole(&a, &b), whole(&b, &a)) {
            (true, _) | (_, true) => How::Int,
            _ => how(&a.side(), &b.side()).map_err(Refusal::new)?,
        };
        coded::known(&how, &[&a, &b])?;
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
    pub(super) fn labels(&self, node: Node, other: &Node) -> Result<Node> {
        let labels = matches!(node.special, Special::Labels { .. } | Special::SomeLabels);
        if labels && other.ty.kind.is_number() {
            return Ok(self.number(node)?.0);
        }
        Ok(node)
    }

    pub(super) fn is_null(&self, expr: &Expr) -> Result<Node> {
        let arg = Box::new(self.node(expr)?);
        Ok(computed(Op::IsNull(arg), BOOL, false))
    }

    pub(super) fn is(&self, expr: &Expr, truth: bool) -> Result<Node> {
        let arg = Box::new(self.condition(self.node(expr)?)?);
        Ok(computed(Op::Is { truth, arg }, BOOL, false))
    }

    pub(super) fn in_list(&self, expr: &Expr, list: &[Expr]) -> Result<Node> {
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
            if matches!(how, How::Int) && list.len() > 1 && signs_differ(&left, &item) {
                return Err(Refusal::new(
                    "a signed integer beside an unsigned one in IN is not supported",
                )
                .help("write it with = and OR"));
            }
            nullable |= item.ty.nullable;
            if list.len() == 1 {
                arg = left;
            }
            items.push((how, item));
        }
        if items.iter().any(|(how, _)| matches!(how, How::Moment)) {
            let mixed = items.iter().any(|(_, item)| is_mixed(&arg, item));
            arg = complete(arg, mixed);
        }
        let all: Vec<&Node> = std::iter::once(&arg)
            .chain(items.iter().map(|(_, n)| n))
            .collect();
        if let Some(together) = self.together(&all)? {
            items
                .iter_mut()
                .for_each(|(how, _)| *how = together.clone());
        }
        let arg = Box::new(arg);
        Ok(computed(Op::In { arg, list: items }, BOOL, nullable))
    }

    pub(super) fn between(&self, expr: &Expr, low: &Expr, high: &Expr) -> Result<Node> {
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
        if left.ty.kind.has_date()
            && [&low, &high]
                .into_iter()
                .any(|n| n.special == Special::Number)
        {
            return Err(
                Refusal::new("BETWEEN with a number beside a date is not supported")
                    .help("write the date in quotes"),
            );
        }
        let hidden = |node: &Node| node.literal().is_none() && is_constant(node);
        if hidden(&low) || hidden(&high) {
            return Err(
                Refusal::new("BETWEEN with a computed constant is not supported")
                    .help("write the value"),
            );
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

    pub(super) fn like(&self, expr: &Expr, pattern: &Expr, escape: Option<&Expr>) -> Result<Node> {
        refuse_predicates(expr, pattern)?;
        let arg = self.text(self.node(expr)?)?;
        let pattern = self.text(self.node(pattern)?)?;
        let has_escape = escape.is_some();
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
        let collated = self.compared(&[&arg, &pattern])?;
        coded::told("LIKE", &collated, &pattern)?;
        if let (Some(character), true) = (escape, has_escape) {
            coded::told("ESCAPE", &collated, &literal::text(&character.to_string()))?;
        }
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
    pub(super) fn together(&self, nodes: &[&Node]) -> Result<Option<How>> {
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
        if count < texts.len()
            || !texts
                .iter()
                .all(|n| matches!(n.ty.kind, TypeKind::Text { .. }))
        {
            return Err(Refusal::new(
                "texts beside other types in one IN, BETWEEN or CASE are not supported",
            ));
        }
        let collated = self.compared(&texts)?;
        let how = text_order(&collated.name).map_err(Refusal::new)?;
        coded::known(&how, &texts)?;
        Ok(Some(how))
    }

    pub(super) fn weigher(&self, collated: &Collated) -> Result<Weigher> {
        match text_order(&collated.name).map_err(Refusal::new)? {
            How::Text(weigher) => Ok(weigher),
            _ => Err(Refusal::new("no order of text")),
        }
    }

    fn compared(&self, nodes: &[&Node]) -> Result<Collated> {
        let texts: Vec<&Collated> = nodes.iter().map(|node| &node.collated).collect();
        compared(&texts).ok_or_else(|| {
            let names: Vec<&str> = texts.iter().map(|text| &*text.name).collect();
            Refusal::new(format!("the collations {} do not mix", names.join(" and ")))
        })
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
}

/// MySQL binds LIKE, IN and BETWEEN more tightly than comparisons, the parser does not; without parentheses the two
/// could mean different things.
pub(super) fn refuse_predicates(left: &Expr, right: &Expr) -> Result<()> {
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
pub(super) fn whole(column: &Node, literal: &Node) -> bool {
    let exact = |text: &str| text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    column.is_column()
        && matches!(column.ty.kind, TypeKind::Int { .. })
        && literal.literal_text().is_some_and(exact)
}

/// Beside a YEAR MySQL reads the literal 24 as the year 2024.
fn refuse_short_year(year: &Node, literal: &Node) -> Result<()> {
    let short = match literal.literal() {
        Some(Datum::Int(number)) => (1..=99).contains(number),
        _ => false,
    };
    let hidden = literal.literal().is_none() && is_constant(literal);
    if year.ty.kind == TypeKind::Year && (short || hidden) {
        return Err(
            Refusal::new("a year of two digits beside a YEAR is not supported")
                .help("write all four digits"),
        );
    }
    Ok(())
}

/// A literal beside a date, as a date.
pub(super) fn as_moment(node: Node, other: &Node) -> Result<Node> {
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
    let exact =
        matches!(datum, Datum::Text(_)) || (matches!(datum, Datum::Int(_)) && other.is_column());
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

/// A DATE beside a DATETIME or TIMESTAMP that is no literal.
pub(super) fn is_mixed(a: &Node, b: &Node) -> bool {
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

/// One side of a comparison, to be found by its value. A column beside a date of another type is taken as it is: rows of
/// zero dates meet in MySQL's joins. Dates that are computed do not, unless they are complete.
pub(super) fn side(node: &Node) -> &Node {
    match &node.op {
        Op::To(Target::Complete, inner) if inner.is_column() => inner,
        _ => node,
    }
}

pub(super) fn not(node: Node) -> Node {
    let nullable = node.ty.nullable;
    computed(Op::Not(Box::new(node)), BOOL, nullable)
}

pub(super) fn negate_if(negated: bool, node: Node) -> Node {
    if negated { not(node) } else { node }
}

pub(super) fn order_of(op: &BinaryOperator) -> Option<Order> {
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

fn is_double(node: &Node) -> bool {
    matches!(node.ty.kind, TypeKind::Float | TypeKind::Double)
}
