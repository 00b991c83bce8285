//! Contract → plan: tables, entities, keys and indexes.

use std::collections::{HashMap, HashSet};

use super::cascade;
use super::entity::EntityCompiler;
use super::fingerprint;
use super::graph;
use super::index::IndexKeys;
use super::key::{self, Key};
use super::model::*;
use super::scope::Cx;
use super::sources::Sources;
use super::types::{self, type_name};
use super::typing;
use super::unique;
use crate::contract::diagnostic::{Diagnostics, Place, Severity};
use crate::contract::model::{AttributeType, Contract, Entity, Table, TableKind, Text};
use crate::schema::Catalog;

/// Compiles the contract against what the server has. All that is wrong, and all that is doubtful, goes into
/// `diagnostics`; the plan is there when none of it was an error.
///
/// Without a catalog what can be checked is checked, and the plan is marked [`offline`](Plan::offline).
/// `default_database` is where bare table names live.
pub fn compile(
    contract: &Contract,
    catalog: Option<&Catalog>,
    default_database: &str,
    mapping: &Mapping,
    diagnostics: &mut Diagnostics,
) -> Option<Plan> {
    let mut found = Diagnostics::default();
    let plan = match contract.tables.is_empty() {
        true => None,
        false => Compiler::new(catalog, default_database, mapping, &mut found).run(contract),
    };
    for table in &contract.broken {
        let mut more = Diagnostics::default();
        Compiler::new(catalog, default_database, mapping, &mut more).table(table);
        more.all.retain(|d| SCHEMA.contains(&d.code));
        found.all.extend(more.all);
    }
    let plan = plan.filter(|_| contract.broken.is_empty());
    // What the parser has refused already is not said twice.
    let refused = diagnostics
        .all
        .iter()
        .filter(|d| d.severity == Severity::Error);
    let refused: HashSet<_> = refused
        .map(|d| (d.place.span.start, d.place.span.end))
        .collect();
    found
        .all
        .retain(|d| !refused.contains(&(d.place.span.start, d.place.span.end)));
    found
        .all
        .sort_by_key(|d| (d.place.span.start, d.place.span.end));
    for d in found.all {
        match (d.severity, d.help) {
            (Severity::Error, Some(help)) => {
                diagnostics.error_help(d.code, &d.place, d.message, help)
            }
            (Severity::Error, None) => diagnostics.error(d.code, &d.place, d.message),
            (Severity::Warning, Some(help)) => {
                diagnostics.warn_help(d.code, &d.place, d.message, help)
            }
            (Severity::Warning, None) => diagnostics.warn(d.code, &d.place, d.message),
        }
    }
    plan
}

/// What is said of tables whose shape is wrong: that something they name is not there. The rest may only follow from
/// their shape.
const SCHEMA: &[&str] = &[
    "ambiguous-reference",
    "ambiguous-table",
    "unknown-column",
    "unknown-placeholder",
    "unknown-reference",
    "unknown-table",
];

/// DynamoDB takes update expressions of 4 KB and 300 operators.
const MOST_UPDATED: usize = 250;

/// Every entity is compared with every other one of its table.
const MOST_ENTITIES: usize = 1000;

struct Compiler<'a, 'd> {
    cx: Cx<'a, 'd>,
    mapping: &'a Mapping,
    targets: Vec<TargetTable>,
    projections: Vec<Projection>,
}

/// The key attributes of a table, by name.
struct KeyNames {
    pk: Text,
    sk: Option<Text>,
}

impl<'a, 'd> Compiler<'a, 'd> {
    fn new(
        catalog: Option<&'a Catalog>,
        default_database: &'a str,
        mapping: &'a Mapping,
        d: &'d mut Diagnostics,
    ) -> Self {
        let cx = Cx {
            sources: Sources::new(catalog, default_database),
            d,
        };
        Self {
            cx,
            mapping,
            targets: Vec::new(),
            projections: Vec::new(),
        }
    }

    fn run(mut self, contract: &Contract) -> Option<Plan> {
        let entities: usize = contract.tables.iter().map(|t| entities(t).len()).sum();
        if let (Some(first), true) = (
            contract.tables.first(),
            entities.max(contract.tables.len()) > usize::from(u16::MAX),
        ) {
            self.cx.d.error(
                "too-many-tables",
                &first.place,
                "a contract may have at most 65,535 tables and entities",
            );
            return None;
        }
        let mut seen: HashMap<&str, &Table> = HashMap::new();
        for table in &contract.tables {
            if seen.insert(&table.name.value, table).is_some() {
                self.cx.d.error_help(
                    "duplicate-table",
                    &table.name.place,
                    format!("the table `{}` is described twice", table.name.value),
                    "make one multi-entity table of the two",
                );
            }
            self.table(table);
        }
        if self.cx.d.has_errors() {
            return None;
        }
        self.finish()
    }

    fn table(&mut self, table: &Table) {
        let id = TargetId(self.targets.len() as u16);
        let name = format!("{}{}", self.mapping.table_prefix, table.name.value);
        self.table_name(&name, &table.name.place);
        let Some(names) = self.key_names(table) else {
            for entity in entities(table) {
                self.cx.sources.resolve(&entity.source_table, self.cx.d);
            }
            return;
        };
        let mut indexes = IndexKeys::new(
            table,
            &names.pk.value,
            names.sk.as_ref().map(|t| t.value.as_str()),
        );
        if entities(table).len() > MOST_ENTITIES {
            self.cx.d.error(
                "too-many-entities",
                &table.name.place,
                format!("a table may have at most {MOST_ENTITIES} entities"),
            );
            return;
        }
        let mut types: [Option<(AttributeType, String)>; 2] = [None, None];
        for entity in entities(table) {
            if let Some(compiled) = self.entity(table, entity, &names, id, &mut indexes) {
                let label = compiled.0.label.clone();
                self.agree(&mut types[0], &names.pk.value, &compiled.1, &label);
                if let Some(sk) = &compiled.2 {
                    let name = names.sk.as_ref().map_or("", |t| t.value.as_str());
                    self.agree(&mut types[1], name, sk, &label);
                }
                self.projections.push(compiled.0);
            }
        }
        let [pk_ty, sk_ty] = types.map(|t| t.map_or(AttributeType::S, |(ty, _)| ty));
        let pk = KeyAttribute {
            name: names.pk.value.clone(),
            ty: pk_ty,
        };
        let sk = names.sk.as_ref().map(|t| KeyAttribute {
            name: t.value.clone(),
            ty: sk_ty,
        });
        let gsis = indexes.finish(table, &pk, sk.as_ref(), self.cx.d);
        self.preserved(id, &table.place);
        self.targets.push(TargetTable {
            id,
            name,
            pk,
            sk,
            gsis,
            place: table.place.clone(),
        });
    }

    /// Attributes of others that stay make updates of puts: they must not be ours, and an expression has an end.
    fn preserved(&mut self, target: TargetId, table: &Place) {
        if self.mapping.preserve.is_empty() {
            return;
        }
        let mut names: HashMap<&str, &Place> = HashMap::new();
        for projection in self.projections.iter().filter(|p| p.target == target) {
            names.extend(
                projection
                    .attributes
                    .iter()
                    .map(|a| (a.name.as_str(), &a.place)),
            );
        }
        if names.len() > MOST_UPDATED {
            self.cx.d.error_help(
                "preserve-too-many",
                table,
                format!("with [mapping] preserve items of a table may have at most {MOST_UPDATED} attributes, and these have {}", names.len()),
                "keep the attributes of others in items of their own",
            );
        }
        let own = self
            .mapping
            .preserve
            .iter()
            .find_map(|name| Some((name, *names.get(name.as_str())?)));
        if let Some((name, place)) = own {
            self.cx.d.error_help(
                "preserve-own",
                place,
                format!("`{name}` is an attribute of the contract, and [mapping] preserve says that it is somebody else's"),
                "take it out of one of the two",
            );
        }
    }

    fn table_name(&mut self, name: &str, place: &Place) {
        let legal = name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        if !legal || !(3..=255).contains(&name.len()) {
            self.cx.d.error_help(
                "table-name",
                place,
                format!(
                    "DynamoDB has no table names like `{}`",
                    types::shortened(name)
                ),
                "use 3 to 255 letters, digits, `_`, `-` and `.`",
            );
        }
    }

    fn key_names(&mut self, table: &Table) -> Option<KeyNames> {
        let multi = matches!(table.kind, TableKind::Multi(_));
        let implied = |name: &str| Text {
            value: name.into(),
            place: table.name.place.clone(),
        };
        let needs_sk = |e: &Entity| {
            e.sk_template.is_some() || e.attributes.iter().any(|a| a.name.value == "SK")
        };
        let names = match (&table.pk, &table.sk) {
            (Some(pk), sk) => KeyNames {
                pk: pk.clone(),
                sk: sk.clone(),
            },
            (None, None) if multi => KeyNames {
                pk: implied("PK"),
                sk: entities(table).iter().any(needs_sk).then(|| implied("SK")),
            },
            (None, sk) if multi => KeyNames {
                pk: implied("PK"),
                sk: sk.clone(),
            },
            (None, _) => {
                self.cx.d.error_help(
                    "missing-pk",
                    &table.name.place,
                    "the table has no partition key",
                    "add \"pk\": the name of an attribute",
                );
                return None;
            }
        };
        match &names.sk {
            Some(sk) if sk.value == names.pk.value => {
                self.cx.d.error_help(
                    "same-key-attribute",
                    &sk.place,
                    "partition key and sort key are the same attribute",
                    "leave out \"sk\", or name another attribute",
                );
                None
            }
            None => {
                for template in entities(table)
                    .iter()
                    .filter_map(|e| e.sk_template.as_ref())
                {
                    self.cx.d.error_help(
                        "sort-key-undeclared",
                        &template.place,
                        "there is a sk_template, but the table has no sort key",
                        "add \"sk\": \"SK\" to the table, or remove the template",
                    );
                }
                Some(names)
            }
            Some(_) => Some(names),
        }
    }

    fn entity(
        &mut self,
        table: &Table,
        entity: &Entity,
        names: &KeyNames,
        target: TargetId,
        indexes: &mut IndexKeys,
    ) -> Option<(Projection, Key, Option<Key>)> {
        let Some(driving) = self.cx.sources.resolve(&entity.source_table, self.cx.d) else {
            indexes.entity_is_missing();
            return None;
        };
        let mut compiler = EntityCompiler::new(&mut self.cx, entity, driving);
        let filter = compiler.filter();
        let pk = key::resolve(
            &mut compiler,
            &names.pk,
            entity.pk_template.as_ref(),
            "pk_template",
            &entity.place,
        );
        let sk = names.sk.as_ref().map(|sk| {
            key::resolve(
                &mut compiler,
                sk,
                entity.sk_template.as_ref(),
                "sk_template",
                &entity.place,
            )
        });
        let index_values = indexes.entity(&mut compiler);
        let mut attributes = Vec::new();
        let sk_name = names.sk.as_ref().map(|t| t.value.as_str());
        for (index, attribute) in entity.attributes.iter().enumerate() {
            let name = attribute.name.value.as_str();
            if name == names.pk.value || Some(name) == sk_name {
                continue;
            }
            if let Some(value) = compiler.value(index) {
                let role = if indexes.is_key(name) {
                    Role::IndexKey
                } else {
                    Role::Plain
                };
                attributes.push(AttributePlan {
                    name: name.to_string(),
                    ty: attribute.ty.value,
                    role,
                    value: value.clone(),
                    place: attribute.name.place.clone(),
                });
            }
        }
        let (pk, sk) = (
            pk?,
            match sk {
                None => None,
                Some(found) => Some(found?),
            },
        );
        let key_plan = |name: &str, role, key: &Key| AttributePlan {
            name: name.to_string(),
            ty: key.ty,
            role,
            value: key.value.clone(),
            place: key.place.clone(),
        };
        let mut all = vec![key_plan(&names.pk.value, Role::PartitionKey, &pk)];
        all.extend(
            sk.as_ref()
                .zip(sk_name)
                .map(|(sk, name)| key_plan(name, Role::SortKey, sk)),
        );
        all.extend(index_values);
        all.append(&mut attributes);
        for attribute in all.iter().filter(|a| a.role != Role::Plain) {
            let sorts = attribute.role == Role::SortKey || indexes.sorts(table, &attribute.name);
            key::warnings(&mut self.cx, driving, attribute, sorts);
        }
        let label = match &entity.entity_type {
            Some(entity_type) => format!("{}/{}", table.name.value, entity_type.value),
            None => table.name.value.clone(),
        };
        let projection = Projection {
            id: ProjectionId(self.projections.len() as u16),
            label,
            entity: entity.entity_type.as_ref().map(|t| t.value.clone()),
            target,
            driving,
            filter,
            attributes: all,
            uniqueness: Uniqueness::Unproved(String::new()),
            claimed: true,
            graph: None,
        };
        Some((projection, pk, sk))
    }

    /// All entities of a table must give a key attribute the same type.
    fn agree(
        &mut self,
        known: &mut Option<(AttributeType, String)>,
        name: &str,
        key: &Key,
        label: &str,
    ) {
        match known {
            None => *known = Some((key.ty, label.to_string())),
            Some((ty, _)) if *ty == key.ty => {}
            Some((ty, first)) => self.cx.d.error_help(
                "key-type-conflict",
                &key.place,
                format!(
                    "`{name}` is {} here and {} in `{first}`",
                    type_name(key.ty),
                    type_name(*ty)
                ),
                "a key attribute has one type in the whole table: S fits all",
            ),
        }
    }

    fn finish(mut self) -> Option<Plan> {
        unique::prove(&self.cx.sources, &mut self.projections);
        let offline = self.cx.sources.offline();
        if !offline {
            self.warn_of_contested_keys();
        }
        let read = self.cx.sources.len();
        let links = cascade::links(&mut self.cx.sources, self.cx.d);
        let (mut sources, slots) = self.cx.sources.finish();
        cascade::mark_watched(&mut sources, read, &links);
        for projection in &mut self.projections {
            let driving = projection.driving;
            if let Some(sql) = &mut projection.filter {
                renumber_sql(sql, &slots);
            }
            for attribute in &mut projection.attributes {
                renumber(&mut attribute.value, driving, &slots);
            }
        }
        let mut plan = Plan {
            stored: vec![None; sources.len()],
            indexes: Vec::new(),
            foreign_keys: Vec::new(),
            sources,
            targets: self.targets,
            projections: self.projections,
            settings: self.mapping.clone(),
            offline,
            fingerprint: String::new(),
        };
        plan.foreign_keys = cascade::foreign_keys(&plan.sources, links, &slots, self.cx.d);
        plan.fingerprint = fingerprint::of(&plan);
        if !offline {
            typing::run(&mut plan, self.cx.d);
            graph::build(&mut plan, self.cx.d);
        }
        (!self.cx.d.has_errors()).then_some(plan)
    }
}

impl Compiler<'_, '_> {
    /// Keys that two rows may share: who has the item is then decided by who claims it.
    fn warn_of_contested_keys(&mut self) {
        for projection in &self.projections {
            let Uniqueness::Unproved(why) = &projection.uniqueness else {
                continue;
            };
            let key = projection
                .attributes
                .iter()
                .find(|a| a.role == Role::PartitionKey);
            let Some(key) = key else { continue };
            self.cx.d.warn_help(
                "key-contested",
                &key.place,
                format!("the key of {} is not provably unique: {why}", projection.label),
                "two rows with one key: the first has the item, the other becomes a dead letter until one of them leaves; put a unique key of the table into the key",
            );
        }
    }
}

fn entities(table: &Table) -> &[Entity] {
    match &table.kind {
        TableKind::Single(entity) => std::slice::from_ref(entity),
        TableKind::Multi(entities) => entities,
    }
}

fn renumber(value: &mut ValueSource, driving: SourceId, slots: &[HashMap<usize, usize>]) {
    match value {
        ValueSource::Column(ordinal) => *ordinal = slots[usize::from(driving.0)][ordinal],
        ValueSource::Template(pieces) => {
            for piece in pieces {
                if let Piece::Value(value) = piece {
                    renumber(value, driving, slots);
                }
            }
        }
        ValueSource::Transformed { input, .. } => renumber(input, driving, slots),
        _ => value.each_sql(&mut |sql| renumber_sql(sql, slots)),
    }
}

fn renumber_sql(sql: &mut Sql, slots: &[HashMap<usize, usize>]) {
    for reference in &mut sql.refs {
        reference.slot = slots[usize::from(reference.source.0)][&reference.slot];
    }
}
