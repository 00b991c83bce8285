//! The one type of several branches: CASE, IF, COALESCE, GREATEST.

use super::node::{Node, Op, Shape, Special, Target};
use super::types::{Collated, Derivation, Type, TypeKind};

/// The common type of the branches, and what each value becomes.
pub(super) struct Common {
    pub ty: Type,
    pub collated: Collated,
    pub shape: Shape,
    /// One of the branches is an ENUM or SET.
    pub labels: bool,
    /// All of them are UNSIGNED DECIMALs.
    pub unsigned: bool,
}

/// A text that is no number is cast to `0`, whatever the scale, where nothing rounds it afterwards.
pub(super) fn refuse_loose(branch: &Node) -> Result<(), String> {
    let loose = match &branch.op {
        Op::To(Target::Decimal { .. }, arg) => matches!(arg.ty.kind, TypeKind::Text { .. }),
        _ => false,
    };
    if loose {
        return Err(
            "a text cast to DECIMAL cannot be a branch here; put COALESCE(…, NULL) around it"
                .into(),
        );
    }
    Ok(())
}

/// The type that MySQL gives to a result which is one of `branches`.
pub(super) fn common(branches: &[&Node]) -> Result<Common, String> {
    let nullable = branches.iter().any(|b| b.ty.nullable);
    let valued: Vec<&&Node> = branches
        .iter()
        .filter(|b| b.ty.kind != TypeKind::Null)
        .collect();
    if valued.iter().any(|b| b.special == Special::Printed) {
        return Err(
            "a column declared ZEROFILL or with a number of digits cannot be a branch here; CAST it"
                .into(),
        );
    }
    if valued.iter().any(|b| b.ty.kind == TypeKind::Bit) {
        return Err("a BIT cannot be a branch here; add 0 to it".into());
    }
    if valued.iter().any(|b| b.ty.kind == TypeKind::Year) {
        // MySQL shows the year 0 as `0` or as `0000` there, depending on who asks.
        return Err("a YEAR cannot be a branch here; CAST it to SIGNED".into());
    }
    let Some((first, rest)) = valued.split_first() else {
        return Ok(Common {
            ty: Type {
                kind: TypeKind::Null,
                nullable: true,
            },
            collated: Collated {
                derivation: Derivation::Null,
                ..Collated::number()
            },
            shape: Shape::As,
            labels: false,
            unsigned: false,
        });
    };
    let signed = TypeKind::Int { unsigned: false };
    let beside_signed = valued.iter().any(|b| b.ty.kind == signed);
    let kind_of = |branch: &Node| match branch.special {
        Special::Narrow if beside_signed => signed.clone(),
        _ => branch.ty.kind.clone(),
    };
    let mut kind = kind_of(first);
    let mut collated = first.collated.clone();
    for branch in rest {
        collated = collated.with(&branch.collated).ok_or_else(|| {
            format!(
                "the collations {} and {} do not mix",
                collated.name, branch.collated.name
            )
        })?;
        kind = merged(&kind, &kind_of(branch))?;
    }
    if let TypeKind::Text { collation } = &mut kind {
        *collation = collated.name.clone();
    }
    let same = valued.iter().all(|b| b.ty.kind == kind);
    let shape = shape(&kind, same);
    let unsigned = valued.iter().all(|b| b.special == Special::UnsignedDecimal);
    Ok(Common {
        unsigned,
        ty: Type { kind, nullable },
        collated,
        shape,
        labels: valued
            .iter()
            .any(|b| matches!(b.special, Special::Labels { .. } | Special::SomeLabels)),
    })
}

fn shape(kind: &TypeKind, same: bool) -> Shape {
    match kind {
        _ if same => Shape::As,
        TypeKind::Int { unsigned } => Shape::Int {
            unsigned: *unsigned,
        },
        TypeKind::Decimal { .. } => Shape::Decimal(None),
        TypeKind::Double => Shape::Double,
        TypeKind::Text { .. } => Shape::Text,
        TypeKind::Binary => Shape::Bytes,
        TypeKind::DateTime { fsp } | TypeKind::Timestamp { fsp } => Shape::DateTime(*fsp),
        TypeKind::Time { fsp } => Shape::Time(*fsp),
        _ => Shape::As,
    }
}

fn merged(a: &TypeKind, b: &TypeKind) -> Result<TypeKind, String> {
    use TypeKind as K;
    let refused = || {
        Err(format!(
            "branches that are {} and {} are not supported together; CAST one of them",
            a.name(),
            b.name()
        ))
    };
    Ok(match (a, b) {
        (K::Text { .. }, K::Text { .. }) => a.clone(),
        (a, b) if a == b && *a != K::Bit => a.clone(),
        (K::Geometry | K::Vector | K::Json | K::Bit, _)
        | (_, K::Geometry | K::Vector | K::Json | K::Bit) => return refused(),
        (K::Binary, K::Text { .. }) | (K::Text { .. }, K::Binary) => return refused(),
        (K::Binary, _) | (_, K::Binary) => return refused(),
        (text @ K::Text { .. }, _) | (_, text @ K::Text { .. }) => text.clone(),
        (K::Time { fsp: a }, K::Time { fsp: b }) => K::Time { fsp: *a.max(b) },
        (a, b) if a.has_date() && b.has_date() => K::DateTime {
            fsp: a.fsp().max(b.fsp()),
        },
        (a, b) if a.is_temporal() || b.is_temporal() => return refused(),
        (K::Float, _) | (_, K::Float) => return refused(),
        (K::Double, _) | (_, K::Double) => K::Double,
        (K::Decimal { .. }, _) | (_, K::Decimal { .. }) => decimals(a, b),
        (K::Int { unsigned: a }, K::Int { unsigned: b }) if a != b => K::Decimal {
            precision: 20,
            scale: 0,
        },
        (K::Int { unsigned }, _) | (_, K::Int { unsigned }) => K::Int {
            unsigned: *unsigned,
        },
        _ => return refused(),
    })
}

/// Digits before and after the point.
pub(super) fn digits(kind: &TypeKind) -> (u8, u8) {
    match kind {
        TypeKind::Decimal { precision, scale } => (precision.saturating_sub(*scale), *scale),
        TypeKind::Year => (4, 0),
        TypeKind::Int { unsigned: true } | TypeKind::Bit => (20, 0),
        _ => (19, 0),
    }
}

fn decimals(a: &TypeKind, b: &TypeKind) -> TypeKind {
    let ((wa, sa), (wb, sb)) = (digits(a), digits(b));
    let scale = sa.max(sb);
    TypeKind::Decimal {
        precision: (wa.max(wb) + scale).min(65),
        scale,
    }
}
