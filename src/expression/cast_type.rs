//! CAST: which types become which.

use sqlparser::ast::{CharacterLength, DataType, ExactNumberInfo};

use super::Refusal;
use super::choice::{is_choice, is_mixed_choice, printed_double, real};
use super::compare::complete;
use super::compile::{Compiler, Result, computed, json_collated, textual};
use super::functions::{INT, is_fractional_timestamp, whole, whole_double};
use super::node::{Encoding, Node, Op, Special, Target};
use super::types::{Collated, Derivation, TypeKind};

impl Compiler<'_, '_> {
    pub(super) fn cast(&self, arg: Node, ty: &DataType) -> Result<Node> {
        let nullable = arg.ty.nullable;
        let name = arg.ty.kind.name();
        let refused = || Refusal::new(format!("CAST of {name} to {ty} is not supported"));
        let (target, kind) = target(ty).ok_or_else(refused)?;
        let from = &arg.ty.kind;
        let odd = matches!(from, TypeKind::Geometry | TypeKind::Vector);
        let bytes = matches!(from, TypeKind::Binary | TypeKind::Bit);
        let fine = match &target {
            _ if odd => false,
            Target::Decimal { .. } if is_mixed_choice(&arg) => {
                matches!(from, TypeKind::Decimal { .. } | TypeKind::Int { .. })
            }
            Target::Signed | Target::Unsigned => {
                *from == TypeKind::Bit || !matches!(from, TypeKind::Json | TypeKind::Binary)
            }
            Target::Decimal { .. } | Target::Double | Target::Float => {
                !bytes && *from != TypeKind::Json
            }
            Target::Chars(_) => *from != TypeKind::Bit && *from != TypeKind::Binary,
            Target::Bytes(_) => *from != TypeKind::Bit,
            Target::Date | Target::DateTime(_) => {
                from.has_date()
                    || matches!(from, TypeKind::Text { .. } | TypeKind::Null)
                    || (matches!(from, TypeKind::Int { .. }) && arg.literal().is_some())
            }
            Target::Time(_) => from.is_temporal() || *from == TypeKind::Null,
            Target::Json => {
                let labels = matches!(arg.special, Special::Labels { .. } | Special::SomeLabels);
                // What is computed may have fewer digits there than its scale.
                let computed = matches!(from, TypeKind::Decimal { .. })
                    && !arg.is_column()
                    && !matches!(arg.op, Op::To(Target::Decimal { .. }, _) | Op::Literal(_));
                !bytes && *from != TypeKind::Float && !labels && !computed
            }
            Target::Year => {
                from.has_date() || matches!(from, TypeKind::Year | TypeKind::Int { .. })
            }
            _ => false,
        };
        if !fine {
            return Err(refused());
        }
        let numeric = matches!(
            target,
            Target::Signed
                | Target::Unsigned
                | Target::Decimal { .. }
                | Target::Double
                | Target::Float
        );
        let printed = arg.special == Special::Printed;
        let plain = matches!(target, Target::Chars(_))
            || (arg.ty.kind.is_integer() && matches!(target, Target::Signed | Target::Unsigned));
        if printed && !plain {
            return Err(refused());
        }
        let arg = match target {
            Target::Chars(_) | Target::Bytes(_) => printed_double(arg),
            Target::Date | Target::DateTime(_) | Target::Time(_) | Target::Json | Target::Year
                if is_choice(&arg) =>
            {
                complete(arg, true)
            }
            _ => arg,
        };
        let from = &arg.ty.kind;
        let encoding = matches!(target, Target::Bytes(_))
            .then(|| self.encoding(&arg))
            .transpose()?;
        if encoding.is_some_and(|e| !matches!(e, Encoding::Utf8)) {
            return Err(refused());
        }
        let arg = if numeric && *from != TypeKind::Bit && !matches!(from, TypeKind::Text { .. })
            || numeric && matches!(arg.special, Special::Labels { .. } | Special::SomeLabels)
        {
            let (arg, class) = self.number(arg)?;
            let rounds = target == Target::Unsigned && is_fractional_timestamp(&arg);
            match target {
                Target::Signed => whole(arg, class)?,
                // Here it does round before.
                Target::Unsigned if !rounds => whole_double(arg, class)?,
                _ => arg,
            }
        } else {
            arg
        };
        let fallible = !matches!(target, Target::Signed | Target::Unsigned | Target::Double);
        let arg = match target {
            Target::Double | Target::Float => real(arg),
            _ => arg,
        };
        let op = Op::To(target.clone(), Box::new(arg));
        Ok(match target {
            Target::Chars(_) => textual(
                op,
                Collated {
                    derivation: Derivation::Column,
                    ascii: false,
                    ..Collated::number()
                },
                nullable,
            ),
            Target::Bytes(_) => Node {
                collated: Collated {
                    name: "binary".into(),
                    derivation: Derivation::Column,
                    ascii: false,
                },
                ..computed(op, kind, nullable)
            },
            Target::Json => Node {
                collated: json_collated(),
                ..computed(op, kind, nullable)
            },
            _ => computed(op, kind, nullable || fallible),
        })
    }
}

/// What CAST is asked for.
pub(super) fn target(ty: &DataType) -> Option<(Target, TypeKind)> {
    let small = |n: &Option<u64>| match n {
        None => Some(0),
        Some(n @ 0..=6) => Some(*n as u8),
        Some(_) => None,
    };
    Some(match ty {
        DataType::Char(length) | DataType::Character(length) => {
            let most = match length {
                None => None,
                Some(CharacterLength::IntegerLength { length, unit: None }) => {
                    Some(usize::try_from(*length).ok()?)
                }
                Some(_) => return None,
            };
            let kind = TypeKind::Text {
                collation: super::types::CONNECTION.into(),
            };
            (Target::Chars(most), kind)
        }
        DataType::Signed | DataType::SignedInteger => (Target::Signed, INT),
        DataType::Unsigned | DataType::UnsignedInteger => {
            (Target::Unsigned, TypeKind::Int { unsigned: true })
        }
        DataType::Decimal(info) => {
            let (precision, scale) = match info {
                ExactNumberInfo::None => (10, 0),
                ExactNumberInfo::Precision(p) => (*p, 0),
                ExactNumberInfo::PrecisionAndScale(p, s) => (*p, u64::try_from(*s).ok()?),
            };
            let precision = if precision == 0 { 10 } else { precision };
            (precision <= 65 && scale <= 30 && scale <= precision).then_some(())?;
            let (precision, scale) = (precision as u8, scale as u8);
            (
                Target::Decimal { precision, scale },
                TypeKind::Decimal { precision, scale },
            )
        }
        DataType::Double(ExactNumberInfo::None) => (Target::Double, TypeKind::Double),
        DataType::Float(ExactNumberInfo::None) => (Target::Float, TypeKind::Float),
        DataType::Date => (Target::Date, TypeKind::Date),
        DataType::Datetime(fsp) => {
            let fsp = small(fsp)?;
            (Target::DateTime(fsp), TypeKind::DateTime { fsp })
        }
        DataType::Time(fsp, _) => {
            let fsp = small(fsp)?;
            (Target::Time(fsp), TypeKind::Time { fsp })
        }
        DataType::Binary(length) => {
            let length = match length {
                None => None,
                Some(length) => Some(usize::try_from(*length).ok().filter(|n| *n < 1 << 24)?),
            };
            (Target::Bytes(length), TypeKind::Binary)
        }
        DataType::JSON => (Target::Json, TypeKind::Json),
        other if other.to_string().eq_ignore_ascii_case("YEAR") => (Target::Year, TypeKind::Year),
        _ => return None,
    })
}
