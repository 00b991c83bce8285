//! Keys: where their values come from, and what is legal in them and often not meant.

use super::entity::{EntityCompiler, placeholder};
use super::model::*;
use super::scope::Cx;
use super::suggest;
use super::types::type_name;
use crate::contract::diagnostic::Place;
use crate::contract::model::{AttributeType, Scalar, Text};
use crate::contract::template::{self, TemplatePiece};
use crate::schema::ColumnType;

/// An entity's key as it was resolved.
pub(super) struct Key {
    pub value: ValueSource,
    pub ty: AttributeType,
    pub place: Place,
}

/// A key's value: the attribute of that name, a composite, or the template, in this order.
pub(super) fn resolve(
    compiler: &mut EntityCompiler<'_, '_, '_, '_>,
    name: &Text,
    template: Option<&Text>,
    field: &str,
    entity: &Place,
) -> Option<Key> {
    if let Some(index) = compiler.find(&name.value) {
        if let Some(template) = template {
            documentation_only(compiler, template);
        }
        let attribute = &compiler.entity.attributes[index];
        let ty = attribute.ty.value;
        if !is_key_type(ty) {
            compiler.cx.d.error_help(
                "key-type",
                &attribute.ty.place,
                format!(
                    "a key attribute is S, N or B, and `{}` is {}",
                    name.value,
                    type_name(ty)
                ),
                "write S",
            );
        }
        let value = compiler.value(index)?.clone();
        return Some(Key {
            value,
            ty,
            place: attribute.name.place.clone(),
        });
    }
    let own = Some(name.value.as_str());
    let (value, place) = if name.value.contains('#') {
        (compiler.composite(name, own, 0)?, &name.place)
    } else if let Some(template) = template {
        (compiler.template(template, own, 0)?, &template.place)
    } else {
        unresolved(compiler, name, field, entity);
        return None;
    };
    if matches!(&value, ValueSource::Static(Scalar::String(text)) if text.is_empty()) {
        compiler
            .cx
            .d
            .error("empty-key", place, "a key must not be empty");
        return None;
    }
    Some(Key {
        value,
        ty: AttributeType::S,
        place: place.clone(),
    })
}

pub(super) fn is_key_type(ty: AttributeType) -> bool {
    matches!(ty, AttributeType::S | AttributeType::N | AttributeType::B)
}

fn unresolved(
    compiler: &mut EntityCompiler<'_, '_, '_, '_>,
    name: &Text,
    field: &str,
    entity: &Place,
) {
    let known = compiler
        .entity
        .attributes
        .iter()
        .map(|a| a.name.value.as_str());
    let near = suggest::closest(&name.value, known);
    let is_column = !compiler.cx.sources.offline()
        && compiler
            .cx
            .sources
            .has_column(compiler.driving, &name.value);
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if is_column => format!(
            "declare it: {{\"name\": \"{0}\", \"type\": \"S\", \"source_column\": \"{0}\"}}",
            name.value
        ),
        None if compiler.entity.entity_type.is_some() => {
            format!("add \"{field}\" to the entity, or an attribute of that name")
        }
        None => "add an attribute of that name, or write a composite: \"a#b\"".to_string(),
    };
    let place = if compiler.entity.entity_type.is_some() {
        entity
    } else {
        &name.place
    };
    compiler.cx.d.error_help(
        "key-unresolved",
        place,
        format!("nothing says what the key `{}` holds", name.value),
        help,
    );
}

/// A template beside an attribute of the key's name is not used; what it names should exist all the same.
fn documentation_only(compiler: &mut EntityCompiler<'_, '_, '_, '_>, template: &Text) {
    let Ok(pieces) = template::parse(&template.value) else {
        return;
    };
    let mut from = 0;
    for piece in pieces {
        let TemplatePiece::Placeholder(name) = piece else {
            continue;
        };
        let place = placeholder(template, &name, &mut from);
        let known = compiler.find(&name).is_some()
            || compiler.cx.sources.offline()
            || compiler.cx.sources.has_column(compiler.driving, &name);
        if !known {
            compiler.cx.d.warn_help(
                "template-unused",
                &place,
                format!("`{name}` is unknown; the template is not used, because an attribute has the key's name"),
                "correct the template or remove it",
            );
        }
    }
}

/// What is legal in a key and often not meant.
pub(super) fn warnings(cx: &mut Cx<'_, '_>, driving: SourceId, key: &AttributePlan, sort: bool) {
    let mut columns = Vec::new();
    leaves(&key.value, &mut columns);
    let one_number = key.ty == AttributeType::N;
    for (ordinal, padded) in columns {
        let Some(ty) = cx.sources.column_type(driving, ordinal) else {
            continue;
        };
        let column = cx.sources.column(driving, ordinal);
        let name = column.name.clone();
        let nullable = column.nullable;
        match ty {
            ColumnType::Text { collation, .. } if collation.ends_with("_ci") => cx.d.warn_help(
                "key-case-insensitive",
                &key.place,
                format!("MySQL compares `{name}` without case, DynamoDB compares bytes: `Anna` and `anna` are two keys"),
                "look keys up exactly as they are stored",
            ),
            ColumnType::Int { .. } | ColumnType::Decimal { .. } | ColumnType::Bit { .. } if sort && !one_number && !padded => cx.d.warn_help(
                "sort-key-unpadded",
                &key.place,
                format!("`{name}` is a number inside a text sort key: 10 sorts before 9"),
                "use type N, or an attribute with a number-format such as `%010d`",
            ),
            ColumnType::Float { .. } | ColumnType::Double { .. } => cx.d.warn_help(
                "key-float",
                &key.place,
                format!("`{name}` is a FLOAT or DOUBLE: its text is rounded"),
                "use an exact column in the key",
            ),
            _ => {}
        }
        if nullable && key.role != Role::IndexKey {
            cx.d.warn_help(
                "key-nullable",
                &key.place,
                format!("`{name}` may be NULL, and a row without a key has no item"),
                "such rows become dead letters; declare the column NOT NULL",
            );
        }
    }
}

/// The columns that a value's text shows, and whether a number is padded there.
fn leaves(value: &ValueSource, found: &mut Vec<(usize, bool)>) {
    match value {
        ValueSource::Column(ordinal) => found.push((*ordinal, false)),
        ValueSource::Template(pieces) => {
            for piece in pieces {
                if let Piece::Value(value) = piece {
                    leaves(value, found);
                }
            }
        }
        ValueSource::Transformed { input, by } => {
            let mut inner = Vec::new();
            leaves(input, &mut inner);
            let padded = matches!(by, Transform::Number(_));
            found.extend(inner.into_iter().map(|(ordinal, p)| (ordinal, p || padded)));
        }
        _ => {}
    }
}
