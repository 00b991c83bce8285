//! Keys of global secondary indexes: attributes of the entity, composites, or absent (a sparse index).

use std::collections::BTreeMap;

use super::entity::EntityCompiler;
use super::key::is_key_type;
use super::model::{AttributePlan, GsiPlan, KeyAttribute, Role, ValueSource};
use super::suggest;
use super::types::type_name;
use crate::contract::diagnostic::Diagnostics;
use crate::contract::model::{AttributeType, GsiProjection, Table, TableKind, Text};

/// The index key attributes of one table, while its entities are compiled.
pub(super) struct IndexKeys {
    /// Without those that are key attributes of the table itself.
    keys: BTreeMap<String, IndexKey>,
    single: bool,
    /// All attributes that any entity has.
    attributes: Vec<String>,
    /// An entity was left out because of its table, which has been reported: nothing can be said to be unknown.
    incomplete: bool,
}

struct IndexKey {
    text: Text,
    /// The type, and who gave it that; `None` until an entity has it.
    ty: Option<(AttributeType, String)>,
    /// Already reported.
    failed: bool,
}

impl IndexKeys {
    pub fn new(table: &Table, pk: &str, sk: Option<&str>) -> Self {
        let mut keys = BTreeMap::new();
        for gsi in &table.gsis {
            for text in [Some(&gsi.pk), gsi.sk.as_ref()].into_iter().flatten() {
                if text.value != pk && Some(text.value.as_str()) != sk {
                    keys.entry(text.value.clone()).or_insert_with(|| IndexKey {
                        text: text.clone(),
                        ty: None,
                        failed: false,
                    });
                }
            }
        }
        Self {
            keys,
            single: matches!(table.kind, TableKind::Single(_)),
            attributes: Vec::new(),
            incomplete: false,
        }
    }

    /// An entity cannot be compiled.
    pub fn entity_is_missing(&mut self) {
        self.incomplete = true;
    }

    pub fn is_key(&self, name: &str) -> bool {
        self.keys.contains_key(name)
    }

    /// Whether some index sorts by the attribute.
    pub fn sorts(&self, table: &Table, name: &str) -> bool {
        table
            .gsis
            .iter()
            .any(|gsi| gsi.sk.as_ref().is_some_and(|sk| sk.value == name))
    }

    /// Checks an entity's attributes that are index keys, and gives the composites that only indexes need.
    pub fn entity(&mut self, compiler: &mut EntityCompiler<'_, '_, '_, '_>) -> Vec<AttributePlan> {
        let label = compiler
            .entity
            .entity_type
            .as_ref()
            .map_or_else(|| "this table".to_string(), |t| t.value.clone());
        self.attributes.extend(
            compiler
                .entity
                .attributes
                .iter()
                .map(|a| a.name.value.clone()),
        );
        let single = self.single;
        let mut composites = Vec::new();
        for (name, key) in &mut self.keys {
            if let Some(index) = compiler.find(name) {
                key.attribute(compiler, index, &label);
            } else if name.contains('#') {
                let parts: Vec<_> = name.split('#').collect();
                let known = parts
                    .iter()
                    .filter(|p| {
                        compiler.find(p).is_some()
                            || compiler.cx.sources.has_column(compiler.driving, p)
                    })
                    .count();
                if known == 0 && !single {
                    continue;
                }
                match compiler.composite(&key.text, Some(name), 0) {
                    Some(value) => {
                        key.agree(AttributeType::S, &key.text.clone(), &label, compiler.cx.d);
                        composites.push(plan(name, value, &key.text));
                    }
                    None => key.failed = true,
                }
            }
        }
        composites
    }

    /// The table's indexes; what no entity has, and what DynamoDB refuses, is reported.
    pub fn finish(
        mut self,
        table: &Table,
        pk: &KeyAttribute,
        sk: Option<&KeyAttribute>,
        d: &mut Diagnostics,
    ) -> Vec<GsiPlan> {
        for (name, key) in &self.keys {
            if key.ty.is_none() && !key.failed && !self.incomplete {
                let help = match suggest::closest(name, self.attributes.iter().map(String::as_str))
                {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "add an attribute of that name, or write a composite: \"a#b\"".into(),
                };
                d.error_help(
                    "index-key-unknown",
                    &key.text.place,
                    format!("no attribute is called `{name}`: the index would be empty"),
                    help,
                );
            }
        }
        self.attributes.extend([pk.name.clone()]);
        self.attributes.extend(sk.map(|k| k.name.clone()));
        self.projected(table, d);
        let key = |text: &Text| {
            let own = [Some(pk), sk]
                .into_iter()
                .flatten()
                .find(|k| k.name == text.value);
            own.cloned().unwrap_or_else(|| KeyAttribute {
                name: text.value.clone(),
                ty: self
                    .keys
                    .get(&text.value)
                    .and_then(|k| k.ty.as_ref())
                    .map_or(AttributeType::S, |(ty, _)| *ty),
            })
        };
        table
            .gsis
            .iter()
            .map(|gsi| GsiPlan {
                name: gsi.index_name.value.clone(),
                pk: key(&gsi.pk),
                sk: gsi.sk.as_ref().map(key),
                projection: gsi.projection.clone(),
            })
            .collect()
    }

    /// Attributes that an index shall hold and no entity has.
    fn projected(&self, table: &Table, d: &mut Diagnostics) {
        if self.incomplete {
            return;
        }
        for gsi in &table.gsis {
            let GsiProjection::Include(included) = &gsi.projection else {
                continue;
            };
            for text in included
                .iter()
                .filter(|t| !self.attributes.contains(&t.value) && !self.is_key(&t.value))
            {
                let near =
                    suggest::closest(&text.value, self.attributes.iter().map(String::as_str));
                d.warn_help(
                    "projected-unknown",
                    &text.place,
                    format!("no entity of the table has the attribute `{}`", text.value),
                    near.map_or("remove it".to_string(), |near| {
                        format!("did you mean `{near}`?")
                    }),
                );
            }
        }
    }
}

impl IndexKey {
    fn attribute(
        &mut self,
        compiler: &mut EntityCompiler<'_, '_, '_, '_>,
        index: usize,
        label: &str,
    ) {
        let attribute = &compiler.entity.attributes[index];
        let ty = attribute.ty.value;
        if !is_key_type(ty) {
            self.failed = true;
            compiler.cx.d.error_help(
                "index-key-type",
                &attribute.ty.place,
                format!(
                    "`{}` is a key of an index, which must be S, N or B; it is {}",
                    attribute.name.value,
                    type_name(ty)
                ),
                "write S, or add an attribute for the index",
            );
            return;
        }
        let place = Text {
            value: attribute.name.value.clone(),
            place: attribute.ty.place.clone(),
        };
        self.agree(ty, &place, label, compiler.cx.d);
    }

    fn agree(&mut self, ty: AttributeType, at: &Text, label: &str, d: &mut Diagnostics) {
        match &self.ty {
            None => self.ty = Some((ty, label.to_string())),
            Some((known, _)) if *known == ty => {}
            Some((known, first)) => d.error_help(
                "key-type-conflict",
                &at.place,
                format!(
                    "`{}` is {} here and {} in `{first}`",
                    at.value,
                    type_name(ty),
                    type_name(*known)
                ),
                "a key attribute of an index has one type in the whole table: S fits all",
            ),
        }
    }
}

fn plan(name: &str, value: ValueSource, text: &Text) -> AttributePlan {
    AttributePlan {
        name: name.to_string(),
        ty: AttributeType::S,
        role: Role::IndexKey,
        value,
        place: text.place.clone(),
    }
}
