//! Functions of dates, with their arguments' types.

use sqlparser::ast::{Expr, Interval};

use super::Refusal;
use super::calendar::{self, Zeros};
use super::cast::moment;
use super::choice::{is_choice, is_mixed_choice, scaled};
use super::compare::complete;
use super::compile::{Compiler, Result, computed, textual};
use super::date_format::Format;
use super::functions::INT;
use super::interval::Unit;
use super::node::{Call, Node, Op, Special};
use super::types::{Collated, Derivation, TypeKind};

impl Compiler<'_, '_> {
    /// A node that dates are taken from.
    pub(super) fn date(&self, node: Node, name: &str) -> Result<Node> {
        let fine = match &node.ty.kind {
            kind if kind.has_date() => true,
            TypeKind::Text { .. } | TypeKind::Null => node.special == Special::No,
            TypeKind::Int { .. } => node
                .literal()
                .is_some_and(|number| moment(number, Zeros::Refused).is_some()),
            _ => false,
        };
        if is_mixed_choice(&node) && !node.ty.kind.is_temporal() {
            return Err(Refusal::new(format!(
                "{name} of a choice between texts and others is not supported"
            ))
            .help("CAST it to DATE or DATETIME"));
        }
        if fine && is_choice(&node) {
            return Ok(complete(node, true));
        }
        if fine {
            return Ok(node);
        }
        Err(Refusal::new(format!(
            "{name} of {} is not supported",
            node.ty.kind.name()
        ))
        .help("CAST it to DATE or DATETIME"))
    }

    pub(super) fn date_function(&self, name: &str, nodes: Vec<Node>) -> Result<Node> {
        let mut nodes = nodes.into_iter();
        let (Some(first), second) = (nodes.next(), nodes.next()) else {
            return Err(Refusal::new(format!("{name} takes an argument")));
        };
        if name == "FROM_UNIXTIME" {
            return self.moment_of_seconds(first, second);
        }
        let is_mixed = is_mixed_choice(&first);
        let first = self.date(first, name)?;
        let kind = first.ty.kind.clone();
        let call = match name {
            "YEAR" => Call::Year,
            "MONTH" => Call::Month,
            "DAY" | "DAYOFMONTH" => Call::Day,
            "DATE" => {
                return Ok(computed(
                    Op::Call(Call::Date, vec![first]),
                    TypeKind::Date,
                    true,
                ));
            }
            "DATEDIFF" => {
                let second = second.ok_or_else(|| Refusal::new("DATEDIFF takes two dates"))?;
                let args = vec![first, self.date(second, name)?];
                return Ok(computed(Op::Call(Call::DateDiff, args), INT, true));
            }
            "DATE_FORMAT" => {
                let second = second.ok_or_else(|| Refusal::new("DATE_FORMAT takes a format"))?;
                return self.date_format(first, second);
            }
            _ => {
                if is_mixed {
                    return Err(Refusal::new(
                        "UNIX_TIMESTAMP of a choice between different types is not supported",
                    )
                    .help("CAST it to DATETIME"));
                }
                let literal = first.literal_text();
                if literal.is_some_and(|t| calendar::parse_moment(t, Zeros::Refused).is_none()) {
                    return Err(Refusal::new("UNIX_TIMESTAMP takes a date"));
                }
                let scale = match (&kind, first.literal_text()) {
                    (TypeKind::Text { .. }, Some(text)) => literal_fraction(text),
                    (TypeKind::Text { .. }, None) => 6,
                    (kind, _) => kind.fsp(),
                };
                let nullable = first.ty.nullable;
                let kind = match scale {
                    0 => INT,
                    scale => TypeKind::Decimal {
                        precision: 11 + scale,
                        scale,
                    },
                };
                let op = Op::Call(Call::UnixTimestamp { scale }, vec![first]);
                return Ok(scaled(computed(op, kind, nullable)));
            }
        };
        Ok(computed(Op::Call(call, vec![first]), INT, true))
    }

    pub(super) fn date_format(&self, first: Node, format: Node) -> Result<Node> {
        let format = self.text(format)?;
        let ascii = format.literal_text().is_some_and(str::is_ascii);
        let known = format.literal_text().map(Format::parse);
        let op = Op::Call(Call::DateFormat(known), vec![first, format]);
        Ok(textual(
            op,
            Collated {
                derivation: Derivation::Literal,
                ascii,
                ..Collated::number()
            },
            true,
        ))
    }

    pub(super) fn moment_of_seconds(&self, first: Node, format: Option<Node>) -> Result<Node> {
        if first.ty.kind.is_temporal() {
            return Err(Refusal::new("FROM_UNIXTIME of a date is not supported"));
        }
        if is_mixed_choice(&first) {
            return Err(Refusal::new(
                "FROM_UNIXTIME of a choice between different types is not supported",
            )
            .help("CAST it to DECIMAL"));
        }
        let (first, _) = self.number(first)?;
        let fsp = match first.ty.kind {
            TypeKind::Decimal { scale, .. } => scale.min(6),
            TypeKind::Double | TypeKind::Float | TypeKind::Text { .. } => 6,
            _ => 0,
        };
        let op = Op::Call(Call::FromUnixtime { fsp }, vec![first]);
        let moment = computed(op, TypeKind::DateTime { fsp }, true);
        match format {
            Some(format) => self.date_format(moment, format),
            None => Ok(moment),
        }
    }

    pub(super) fn add_interval(
        &self,
        date: &Expr,
        interval: &Interval,
        subtract: bool,
    ) -> Result<Node> {
        let unit = self.unit(interval)?;
        let date = self.date(self.node(date)?, "adding an INTERVAL")?;
        let (amount, _) = self.number(self.node(&interval.value)?)?;
        if amount.ty.kind.is_temporal() || matches!(amount.ty.kind, TypeKind::Text { .. }) {
            let whole = amount
                .literal_text()
                .is_some_and(|t| t.parse::<i64>().is_ok());
            if !whole {
                return Err(Refusal::new(format!(
                    "an INTERVAL of {} is not supported",
                    amount.ty.kind.name()
                ))
                .help("CAST it to SIGNED or DECIMAL"));
            }
        }
        let plain = amount.is_column() || amount.literal().is_some();
        if !plain && !amount.ty.kind.is_integer() && amount.ty.kind != TypeKind::Null {
            return Err(Refusal::new(
                "an INTERVAL of a computed number that is no integer is not supported",
            )
            .help("CAST it to SIGNED"));
        }
        let digits = match (&amount.ty.kind, unit) {
            (_, Unit::Microsecond) => 6,
            (TypeKind::Decimal { scale, .. }, Unit::Second) => (*scale).min(6),
            (TypeKind::Double | TypeKind::Float | TypeKind::Text { .. }, Unit::Second) => 6,
            _ => 0,
        };
        let result = match &date.ty.kind {
            TypeKind::Date if !unit.is_clock() => TypeKind::Date,
            kind if kind.has_date() => TypeKind::DateTime {
                fsp: kind.fsp().max(digits),
            },
            _ => TypeKind::Text {
                collation: super::types::CONNECTION.into(),
            },
        };
        let call = Call::AddInterval {
            unit,
            subtract,
            result: result.clone(),
        };
        let op = Op::Call(call, vec![date, amount]);
        if let TypeKind::Text { .. } = result {
            let collated = Collated {
                derivation: Derivation::Literal,
                ..Collated::number()
            };
            return Ok(textual(op, collated, true));
        }
        Ok(computed(op, result, true))
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

pub(super) fn literal_fraction(text: &str) -> u8 {
    match calendar::parse_moment(text, Zeros::Refused) {
        Some((moment, _)) => moment.fsp,
        None => 6,
    }
}
