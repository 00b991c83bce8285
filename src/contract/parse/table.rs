//! Tables, entities and indexes.

use std::collections::HashSet;

use super::limits::Names;
use super::read::{At, Fields, Input, head};
use crate::contract::json::{Value, clip};
use crate::contract::model::{Entity, Gsi, GsiProjection, Table, TableKind, Text};
use crate::contract::spec;
use crate::contract::template;

impl<'t> Input<'t> {
    pub fn table(&mut self, at: &At<'t>) -> Option<Table> {
        let (kind, fields) = self.tagged(at, &spec::TABLE)?;
        let name = self.text(&fields, "table");
        if let Some(name) = &name {
            self.check_table_name(name);
        }
        self.documentation(
            &fields,
            &["satisfies", "estimated_item_size_bytes", "justification"],
        );
        let pk = self.text(&fields, "pk");
        let sk = self.text(&fields, "sk");
        let gsis = self.gsis(&fields);
        let filter = self.text(&fields, "filter");
        let kind = match kind {
            "single-entity" => self.single(at, &fields, filter).map(TableKind::Single),
            _ => self.multi(at, &fields, filter).map(TableKind::Multi),
        };
        let name = name.unwrap_or_else(|| blank(&fields));
        let kind = kind?;
        if fields.spec.field("entities").is_some() {
            self.check_default_keys(at, &pk, &sk);
        }
        let mut table = Table {
            place: fields.place(),
            name,
            kind,
            pk,
            sk,
            gsis,
        };
        self.check_keys(&table);
        self.drop_keys_without_value(&mut table);
        Some(table)
    }

    fn single(&mut self, at: &At<'t>, fields: &Fields<'t>, filter: Option<Text>) -> Option<Entity> {
        if self.member_holds_something(at, "entities") {
            self.two_kinds(
                fields,
                "a single-entity table has `attributes`, not `entities`",
                "write \"type\": \"multi-entity\", or move the attributes up",
            );
        }
        let source_table = self.text(fields, "source_table");
        let attributes = self.attributes(fields, true);
        Some(Entity {
            place: fields.place(),
            entity_type: None,
            source_table: source_table.unwrap_or_else(|| blank(fields)),
            pk_template: None,
            sk_template: None,
            filter,
            attributes,
        })
    }

    fn multi(
        &mut self,
        at: &At<'t>,
        fields: &Fields<'t>,
        filter: Option<Text>,
    ) -> Option<Vec<Entity>> {
        if self.member_holds_something(at, "attributes") {
            self.two_kinds(
                fields,
                "a multi-entity table has `entities`, and its attributes stand in those",
                "write \"type\": \"single-entity\", or move the attributes into the entities",
            );
        }
        self.documentation(fields, &["source_table"]);
        let elements = self.elements(fields, "entities")?;
        if elements.is_empty() {
            if let Some(list) = fields.get("entities") {
                self.found.error_help(
                    "empty-list",
                    &list.place(),
                    "the table has no entities",
                    "write at least one entity",
                );
            }
            return None;
        }
        let mut names: HashSet<String> = HashSet::new();
        let mut entities = Vec::new();
        for element in &elements {
            let entity = self.entity(element, filter.as_ref());
            if let Some(name) = entity.as_ref().and_then(|e| e.entity_type.as_ref())
                && !name.value.is_empty()
                && !names.insert(name.value.clone())
            {
                let message = format!("two entities are called `{}`", clip(&name.value));
                self.found.warn_help(
                    "duplicate-entity",
                    &name.place,
                    message,
                    "give them different names, so that reports can tell them apart",
                );
            }
            self.incomplete |= entity.is_none();
            entities.extend(entity);
        }
        Some(entities)
    }

    fn entity(&mut self, at: &At<'t>, table_filter: Option<&Text>) -> Option<Entity> {
        let fields = self.fields(at, &spec::ENTITY, None)?;
        let entity_type = self.text(&fields, "entity_type");
        let source_table = self.text(&fields, "source_table");
        let pk_template = self.template(&fields, "pk_template");
        let sk_template = self.template(&fields, "sk_template");
        let own = self.text(&fields, "filter");
        if let (Some(own), Some(_)) = (&own, table_filter) {
            let message = "both the table and the entity have a `filter`";
            self.found.error_help("two-filters", &own.place, message, "keep the entities' filters, with both conditions joined by AND, and remove the table's");
        }
        self.documentation(&fields, &["justification"]);
        let attributes = self.attributes(&fields, false);
        Some(Entity {
            place: fields.place(),
            entity_type: Some(entity_type.unwrap_or_else(|| blank(&fields))),
            source_table: source_table.unwrap_or_else(|| blank(&fields)),
            pk_template,
            sk_template,
            filter: own.or_else(|| table_filter.cloned()),
            attributes,
        })
    }

    /// Template text whose braces fit.
    pub fn template(&mut self, fields: &Fields<'t>, name: &str) -> Option<Text> {
        let text = self.text(fields, name)?;
        match template::parse(&text.value) {
            Ok(_) => Some(text),
            Err(e) => {
                let place = self.within(&text, e.offset);
                self.found.error_help(
                    "template",
                    &place,
                    format!("`{name}`: {}", e.message),
                    e.help,
                );
                None
            }
        }
    }

    fn gsis(&mut self, fields: &Fields<'t>) -> Vec<Gsi> {
        let elements = match fields.has("gsis") {
            true => self.elements(fields, "gsis").unwrap_or_default(),
            false => Vec::new(),
        };
        let mut gsis = Vec::new();
        for at in &elements {
            let gsi = self.gsi(at);
            self.incomplete |= gsi.is_none();
            gsis.extend(gsi);
        }
        self.check_gsis(&gsis);
        gsis
    }

    fn gsi(&mut self, at: &At<'t>) -> Option<Gsi> {
        let fields = self.fields(at, &spec::GSI, None)?;
        let index_name = self.text(&fields, "index_name");
        if let Some(name) = &index_name {
            self.check_index_name(name);
        }
        let pk = self.text(&fields, "pk");
        let sk = self.text(&fields, "sk");
        self.documentation(&fields, &["justification"]);
        let projection = self.projection(&fields);
        Some(Gsi {
            place: fields.place(),
            index_name: index_name.unwrap_or_else(|| blank(&fields)),
            pk: pk.unwrap_or_else(|| blank(&fields)),
            sk,
            projection: projection.unwrap_or(GsiProjection::All),
        })
    }

    fn projection(&mut self, fields: &Fields<'t>) -> Option<GsiProjection> {
        let word = self.word(fields, "projection");
        if fields.has("projection") && word.is_none() {
            return None;
        }
        let word = word.map(|w| w.value);
        // An empty list beside ALL says nothing.
        let listed = fields
            .get("projected_attributes")
            .filter(|at| !matches!(&at.node.value, Value::Array(e) if e.is_empty()));
        match (word, listed) {
            (Some("INCLUDE"), None) => {
                let message =
                    "the projection INCLUDE needs `projected_attributes`, and there are none";
                self.found.error_help(
                    "missing-field",
                    &fields.place(),
                    message,
                    "name the attributes, or write \"projection\": \"KEYS_ONLY\"",
                );
                None
            }
            (Some("INCLUDE"), Some(_)) => {
                let attributes = self.list(fields, "projected_attributes")?;
                let mut names = Names::new("projected attribute", "duplicate-attribute");
                for name in &attributes {
                    names.add(self, name);
                }
                Some(GsiProjection::Include(attributes))
            }
            (None, Some(at)) => {
                let place = head(at);
                self.found.error_help("two-meanings", &place, "`projected_attributes` without a projection: ALL is the default, but a list asks for INCLUDE", "write \"projection\": \"INCLUDE\", or remove the list");
                None
            }
            (Some(word), listed) => {
                if let Some(at) = listed {
                    let message = format!(
                        "`projected_attributes` says nothing beside the projection {word}; it is ignored"
                    );
                    self.found.warn_help(
                        "unused-field",
                        &head(at),
                        message,
                        "remove it, or write \"projection\": \"INCLUDE\"",
                    );
                }
                Some(if word == "KEYS_ONLY" {
                    GsiProjection::KeysOnly
                } else {
                    GsiProjection::All
                })
            }
            (None, None) => Some(GsiProjection::All),
        }
    }

    /// A multi-entity table that names no pk has `PK` and `SK`; null for sk then has two meanings.
    fn check_default_keys(&mut self, at: &At<'t>, pk: &Option<Text>, sk: &Option<Text>) {
        if let (None, None, Some(null)) = (pk, sk, self.member_of(at, "sk")) {
            let message = "`sk` is null, but without `pk` the keys are `PK` and `SK`";
            self.found.error_help(
                "two-meanings",
                &null.place(),
                message,
                "write \"pk\": \"PK\" too if there is no sort key, or remove `sk`",
            );
        }
    }

    fn member_of(&self, at: &At<'t>, name: &str) -> Option<At<'t>> {
        let Value::Object(members) = &at.node.value else {
            return None;
        };
        members
            .iter()
            .find(|m| m.key == name)
            .map(|m| at.member(name, &m.value))
    }

    fn member_holds_something(&self, at: &At<'t>, name: &str) -> bool {
        self.member_of(at, name)
            .is_some_and(|m| match &m.node.value {
                Value::Null => false,
                Value::Array(elements) => !elements.is_empty(),
                _ => true,
            })
    }

    fn two_kinds(&mut self, fields: &Fields<'t>, message: &str, help: &str) {
        let place = self
            .member_of(&fields.at, "type")
            .map_or(fields.place(), |ty| ty.place());
        self.found.error_help("two-meanings", &place, message, help);
    }
}

/// Stands for a text that is missing and was reported, so that the rest of the table can be checked. The table itself
/// is one of the contract's broken ones.
pub(super) fn blank(fields: &Fields) -> Text {
    Text {
        value: String::new(),
        place: fields.place(),
    }
}
