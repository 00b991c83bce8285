//! DynamoDB's rules for names, keys and indexes.

use std::collections::{HashMap, HashSet};

use super::read::Input;
use crate::contract::json::clip;
use crate::contract::model::{
    Attribute, AttributeType, Gsi, GsiProjection, Table, TableKind, Text,
};

/// How many indexes a table may have.
pub const MAX_GSIS: usize = 20;
/// How many attributes the indexes of a table may project (INCLUDE), in all.
const MAX_PROJECTED: usize = 100;
const MAX_KEY_NAME: usize = 255;
const MAX_NAME: usize = 65_535;

/// Names that must differ from each other.
pub struct Names {
    what: &'static str,
    code: &'static str,
    seen: HashSet<String>,
}

impl Names {
    pub fn new(what: &'static str, code: &'static str) -> Self {
        Names {
            what,
            code,
            seen: HashSet::new(),
        }
    }

    pub fn add(&mut self, input: &mut Input, name: &Text) {
        // What has no readable name was reported already.
        if name.value.is_empty() || self.seen.insert(name.value.clone()) {
            return;
        }
        let message = format!("the {} `{}` is there twice", self.what, clip(&name.value));
        input.found.error_help(
            self.code,
            &name.place,
            message,
            "remove one of them, or rename it if both are meant",
        );
    }
}

impl<'t> Input<'t> {
    pub fn check_table_name(&mut self, name: &Text) {
        self.check_characters(name, "a DynamoDB table's name");
        if name.value.len() < 3 {
            self.found.warn_help(
                "short-name",
                &name.place,
                "DynamoDB wants table names of at least 3 characters",
                "write a longer name, or set [target] table_prefix",
            );
        }
    }

    pub fn check_index_name(&mut self, name: &Text) {
        self.check_characters(name, "an index's name");
        if name.value.len() < 3 {
            self.found.error_help(
                "name-length",
                &name.place,
                "an index's name has at least 3 characters",
                "write a longer name",
            );
        }
    }

    fn check_characters(&mut self, name: &Text, what: &str) {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if let Some((i, c)) = name.value.char_indices().find(|(_, c)| !allowed(*c)) {
            let mut place = self.within(name, i);
            if place.span != name.place.span {
                place.span.end = place.span.start + c.len_utf8();
            }
            let fixed: String = name
                .value
                .chars()
                .map(|c| if allowed(c) { c } else { '_' })
                .collect();
            let message = format!("{what} cannot hold `{}`", c.escape_debug());
            self.found.error_help(
                "name-characters",
                &place,
                message,
                format!("use A-Z a-z 0-9 _ - . only, as \"{}\"", clip(&fixed)),
            );
        }
        if name.value.len() > 255 {
            self.found.error_help(
                "name-length",
                &name.place,
                format!("{what} has at most 255 characters"),
                "write a shorter name",
            );
        }
    }

    pub fn check_attribute_name(&mut self, name: &Text) {
        if name.value.len() > MAX_NAME {
            self.found.error_help(
                "name-length",
                &name.place,
                format!("an attribute's name has at most {MAX_NAME} bytes"),
                "write a shorter name",
            );
        }
    }

    /// A key attribute's name, which may be a composite (`a#b`).
    pub fn check_key_name(&mut self, name: &Text) {
        if name.value.len() > MAX_KEY_NAME {
            let message = format!(
                "a key attribute's name has at most {MAX_KEY_NAME} bytes; this one has {}",
                name.value.len()
            );
            self.found
                .error_help("name-length", &name.place, message, "write a shorter name");
        }
    }

    pub fn check_gsis(&mut self, gsis: &[Gsi]) {
        let mut names = Names::new("index", "duplicate-index");
        let mut projected = 0;
        for (i, gsi) in gsis.iter().enumerate() {
            names.add(self, &gsi.index_name);
            if i == MAX_GSIS {
                let message = format!(
                    "DynamoDB allows {MAX_GSIS} global secondary indexes on a table; here are {}",
                    gsis.len()
                );
                self.found.error_help("too-many-indexes", &gsi.index_name.place, message, "leave out those that no access pattern needs, or put several entities into one index");
            }
            if let GsiProjection::Include(attributes) = &gsi.projection {
                projected += attributes.len();
            }
        }
        if projected > MAX_PROJECTED {
            let place = gsis.first().map(|g| g.place.clone());
            let message = format!(
                "the indexes project {projected} attributes; DynamoDB allows {MAX_PROJECTED} in all indexes of a table"
            );
            if let Some(place) = place {
                self.found.error_help(
                    "too-many-projected",
                    &place,
                    message,
                    "use the projection ALL where an index needs that many",
                );
            }
        }
    }

    /// Keys that cannot be: both the same, a part of a composite empty, a type that DynamoDB has no keys of.
    pub fn check_keys(&mut self, table: &Table) {
        let table_keys = [table.pk.as_ref(), table.sk.as_ref()];
        self.check_key_pair(table_keys, "the table");
        for gsi in &table.gsis {
            self.check_key_pair([Some(&gsi.pk), gsi.sk.as_ref()], "the index");
        }
        let entities = match &table.kind {
            TableKind::Single(entity) => std::slice::from_ref(entity),
            TableKind::Multi(entities) => entities.as_slice(),
        };
        let mut keys: HashMap<&str, &str> =
            HashMap::from([("PK", "the table"), ("SK", "the table")]);
        if table.pk.is_some() {
            keys.clear();
        }
        keys.extend(
            table
                .gsis
                .iter()
                .flat_map(|g| [Some(&g.pk), g.sk.as_ref()])
                .flatten()
                .map(|k| (k.value.as_str(), "an index")),
        );
        keys.extend(
            table_keys
                .into_iter()
                .flatten()
                .map(|k| (k.value.as_str(), "the table")),
        );
        for entity in entities {
            for attribute in &entity.attributes {
                if let Some(owner) = keys.get(attribute.name.value.as_str()) {
                    self.check_key_type(attribute, owner);
                }
            }
            self.check_composites(table, &entity.attributes);
        }
    }

    fn check_key_pair(&mut self, [pk, sk]: [Option<&Text>; 2], what: &str) {
        for key in [pk, sk].into_iter().flatten() {
            self.check_key_name(key);
        }
        if let (Some(pk), Some(sk)) = (pk, sk)
            && pk.value == sk.value
            && !pk.value.is_empty()
        {
            let message = format!(
                "partition key and sort key of {what} are the same attribute `{}`",
                clip(&sk.value)
            );
            self.found.error_help(
                "same-keys",
                &sk.place,
                message,
                "name another attribute, or leave `sk` out",
            );
        }
    }

    fn check_key_type(&mut self, attribute: &Attribute, owner: &str) {
        use AttributeType::{B, N, S};
        if !matches!(attribute.ty.value, S | N | B) {
            let message = format!(
                "`{}` is a key of {owner}, and a key is S, N or B",
                clip(&attribute.name.value)
            );
            self.found.error_help(
                "key-type",
                &attribute.ty.place,
                message,
                "write \"S\", \"N\" or \"B\"",
            );
        }
    }

    fn check_composites(&mut self, table: &Table, attributes: &[Attribute]) {
        let table_keys = [table.pk.as_ref(), table.sk.as_ref()].into_iter().flatten();
        let index_keys = table
            .gsis
            .iter()
            .flat_map(|g| [Some(&g.pk), g.sk.as_ref()])
            .flatten();
        for key in table_keys.chain(index_keys) {
            let declared = attributes.iter().any(|a| a.name.value == key.value);
            if key.value.contains('#')
                && !declared
                && key.value.split('#').any(|part| part.trim().is_empty())
            {
                let message = format!(
                    "`{}` joins attributes by `#`, and one of them has no name",
                    clip(&key.value)
                );
                self.found.error_help(
                    "empty-part",
                    &key.place,
                    message,
                    "write the attributes' names, as `customer_id#year`",
                );
            }
        }
    }
}
