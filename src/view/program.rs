//! A projection, made ready to run: names encoded, limits looked up, slots collected.

use std::sync::Arc;

use super::convert::{Converter, Written};
use super::evaluate;
use super::item::{ItemWriter, MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES, Name};
use super::reason::{Fault, Reason};
use super::scene::Scene;
use crate::change::{Row, Value};
use crate::contract::model::AttributeType;
use crate::error::{Error, Kind, Result};
use crate::plan::{
    AttributePlan, KeyAttribute, Plan, Projection, Role, Sql, TargetId, TargetTable, ValueSource,
};

/// One projection.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) projection: crate::plan::ProjectionId,
    pub(super) target: TargetId,
    /// Key attributes first, then those of indexes.
    attributes: Vec<Attribute>,
    /// How many of them make the key.
    keys: usize,
    /// The slots that the item or its origin depends on.
    slots: Vec<usize>,
    /// The slots that the key depends on.
    key_slots: Vec<usize>,
    /// Whether the key is one of the driving row alone.
    own_key: bool,
    /// Rows that do not satisfy it have no item.
    filter: Option<Sql>,
    write_nulls: bool,
}

#[derive(Debug)]
struct Attribute {
    name: Arc<str>,
    encoded: Name,
    ty: AttributeType,
    role: Role,
    /// Longest value in bytes where the attribute is a key of the table or of an index.
    limit: usize,
    /// Whether the type is the one that its indexes ask for.
    index_type: bool,
    value: ValueSource,
    foreign: bool,
}

/// What writing needs and keeps from item to item.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    pub(super) writer: ItemWriter,
    converter: Converter,
    text: String,
}

impl Program {
    /// Makes `projection` ready. One that does not fit its tables is refused.
    pub(super) fn new(plan: &Plan, projection: &Projection) -> Result<Self> {
        let target = plan
            .targets
            .get(usize::from(projection.target.0))
            .ok_or_else(|| misfit(projection, "its DynamoDB table is not in the plan"))?;
        let source = plan
            .sources
            .get(usize::from(projection.driving.0))
            .ok_or_else(|| misfit(projection, "its driving table is not in the plan"))?;
        let mut attributes = key_attributes(projection, target)?;
        let keys = attributes.len();
        // Index keys before the rest: while they are written the item has room, so that one that does not fit is itself
        // too long, and leaving it out hides nothing.
        for role in [Role::IndexKey, Role::Plain] {
            attributes.extend(projection.attributes.iter().filter(|a| a.role == role));
        }
        let key_slots = collect_slots(&attributes[..keys]);
        let own_key = attributes[..keys]
            .iter()
            .all(|a| evaluate::is_own(&a.value));
        let mut slots = collect_slots(&attributes);
        slots.extend(&source.key);
        let filter = projection.filter.clone();
        let filtered = filter.iter().flat_map(|sql| &sql.refs);
        slots.extend(filtered.map(|reference| reference.slot));
        slots.sort_unstable();
        slots.dedup();
        if slots
            .last()
            .is_some_and(|slot| *slot >= source.columns.len())
        {
            return Err(misfit(
                projection,
                "it reads a column that its driving table lacks",
            ));
        }
        Ok(Self {
            projection: projection.id,
            target: projection.target,
            attributes: attributes
                .into_iter()
                .map(|a| Attribute::new(a, target))
                .collect(),
            keys,
            slots,
            key_slots,
            own_key,
            filter,
            write_nulls: plan.settings.write_nulls,
        })
    }

    /// Whether the two rows give the same outcome.
    pub(super) fn same_item(&self, before: &Row<'_>, after: &Row<'_>) -> bool {
        same(&self.slots, before, after)
    }

    /// Whether the two rows certainly have the same key.
    pub(super) fn same_key(&self, before: &Row<'_>, after: &Row<'_>) -> bool {
        same(&self.key_slots, before, after)
    }

    /// Whether the key is one of the driving row alone: nothing else changes it.
    pub(super) fn has_own_key(&self) -> bool {
        self.own_key
    }

    /// Whether the driving row is one that has an item.
    pub(super) fn passes(&self, scene: Scene<'_>) -> Result<bool, Reason> {
        match &self.filter {
            None => Ok(true),
            Some(filter) => evaluate::is_true(filter, scene.path(&[])).map_err(|fault| Reason {
                attribute: Arc::from("filter"),
                fault,
            }),
        }
    }

    /// Starts an item with its key attributes: what [`ItemWriter::closed`] then gives is the key.
    pub(super) fn write_key(
        &self,
        plan: &Plan,
        scene: Scene<'_>,
        work: &mut Workspace,
    ) -> Result<(), Reason> {
        work.writer.start();
        self.write(&self.attributes[..self.keys], plan, scene, work)
    }

    /// Writes the attributes behind the key.
    pub(super) fn write_rest(
        &self,
        plan: &Plan,
        scene: Scene<'_>,
        work: &mut Workspace,
    ) -> Result<(), Reason> {
        self.write(&self.attributes[self.keys..], plan, scene, work)
    }

    fn write(
        &self,
        attributes: &[Attribute],
        plan: &Plan,
        scene: Scene<'_>,
        work: &mut Workspace,
    ) -> Result<(), Reason> {
        for attribute in attributes {
            attribute
                .write(plan, scene, self.write_nulls, work)
                .map_err(|fault| Reason {
                    attribute: Arc::clone(&attribute.name),
                    fault,
                })?;
        }
        Ok(())
    }
}

impl Attribute {
    fn new(plan: &AttributePlan, target: &TargetTable) -> Self {
        Self {
            name: Arc::from(plan.name.as_str()),
            encoded: Name::new(&plan.name),
            ty: plan.ty,
            role: plan.role,
            limit: limit(&plan.name, target),
            index_type: is_key_type(plan.ty)
                && target
                    .gsis
                    .iter()
                    .flat_map(|gsi| std::iter::once(&gsi.pk).chain(&gsi.sk))
                    .all(|key| key.name != plan.name || key.ty == plan.ty),
            value: plan.value.clone(),
            foreign: evaluate::is_foreign(&plan.value),
        }
    }

    fn write(
        &self,
        plan: &Plan,
        scene: Scene<'_>,
        write_nulls: bool,
        work: &mut Workspace,
    ) -> Result<(), Fault> {
        let mark = work.writer.mark();
        let written = self.write_value(plan, scene, work);
        match self.role {
            Role::PartitionKey | Role::SortKey => return self.check_key(written),
            Role::IndexKey => {
                // DynamoDB refuses the whole item for a bad index key; without it the index leaves the item out.
                if !matches!(written, Ok((Written::Value, size)) if self.fits_index(size)) {
                    work.writer.rewind(mark);
                }
            }
            Role::Plain => match written?.0 {
                Written::Value => {}
                Written::Null if write_nulls || self.ty == AttributeType::Null => {
                    work.writer.null()?
                }
                Written::Null | Written::Nothing => work.writer.rewind(mark),
            },
        }
        Ok(())
    }

    /// Writes name and value; gives the value's size as DynamoDB counts it.
    fn write_value(
        &self,
        plan: &Plan,
        scene: Scene<'_>,
        work: &mut Workspace,
    ) -> Result<(Written, usize), Fault> {
        let Workspace {
            writer,
            converter,
            text,
        } = work;
        writer.name(&self.encoded)?;
        let before = writer.size();
        let value = evaluate::value(&self.value, scene, plan, text)?;
        let written = converter.write(&value, self.ty, self.foreign, writer)?;
        Ok((written, writer.size() - before))
    }

    fn fits_index(&self, size: usize) -> bool {
        self.index_type && size > 0 && size <= self.limit
    }

    fn check_key(&self, written: Result<(Written, usize), Fault>) -> Result<(), Fault> {
        match written {
            Ok((Written::Value, 0)) => Err(Fault::KeyEmpty),
            Ok((Written::Value, size)) if size <= self.limit => Ok(()),
            Ok((Written::Value, _)) | Err(Fault::ItemTooLarge) => {
                Err(Fault::KeyTooLong { limit: self.limit })
            }
            Ok((Written::Null | Written::Nothing, _)) => Err(Fault::KeyNull),
            Err(fault) => Err(fault),
        }
    }
}

fn is_key_type(ty: AttributeType) -> bool {
    matches!(ty, AttributeType::S | AttributeType::N | AttributeType::B)
}

/// The smallest of the limits of all keys that the attribute belongs to.
fn limit(name: &str, target: &TargetTable) -> usize {
    let indexes = target.gsis.iter().map(|gsi| (&gsi.pk, gsi.sk.as_ref()));
    std::iter::once((&target.pk, target.sk.as_ref()))
        .chain(indexes)
        .flat_map(|(pk, sk)| {
            let partition = (pk.name == name).then_some(MAX_PARTITION_KEY_BYTES);
            let sort = sk.filter(|sk| sk.name == name).map(|_| MAX_SORT_KEY_BYTES);
            partition.into_iter().chain(sort)
        })
        .min()
        .unwrap_or(usize::MAX)
}

/// The key attributes in the table's order; exactly those, by name and type.
fn key_attributes<'p>(
    projection: &'p Projection,
    target: &TargetTable,
) -> Result<Vec<&'p AttributePlan>> {
    let find = |role: Role, key: &KeyAttribute| {
        let mut found = projection.attributes.iter().filter(|a| a.role == role);
        match (found.next(), found.next()) {
            (Some(a), None) if a.name == key.name && a.ty == key.ty && is_key_type(a.ty) => Ok(a),
            _ => Err(misfit(
                projection,
                "its key attributes are not those of its DynamoDB table",
            )),
        }
    };
    let mut keys = vec![find(Role::PartitionKey, &target.pk)?];
    match &target.sk {
        Some(sk) => keys.push(find(Role::SortKey, sk)?),
        None if projection
            .attributes
            .iter()
            .any(|a| a.role == Role::SortKey) =>
        {
            return Err(misfit(projection, "its DynamoDB table has no sort key"));
        }
        None => {}
    }
    Ok(keys)
}

fn collect_slots(attributes: &[&AttributePlan]) -> Vec<usize> {
    let mut slots = Vec::new();
    for attribute in attributes {
        evaluate::slots(&attribute.value, &mut |slot| slots.push(slot));
    }
    slots.sort_unstable();
    slots.dedup();
    slots
}

fn misfit(projection: &Projection, what: &str) -> Error {
    Error::new(
        Kind::Internal,
        format!("projection {}: {what}", projection.label),
    )
}

fn same(slots: &[usize], before: &Row<'_>, after: &Row<'_>) -> bool {
    slots
        .iter()
        .all(|slot| same_value(before.values.get(*slot), after.values.get(*slot)))
}

/// Whether two values certainly have the same text.
pub(super) fn same_value(a: Option<&Value<'_>>, b: Option<&Value<'_>>) -> bool {
    match (a, b) {
        // Equality of floats takes -0 for 0, whose texts differ.
        (Some(Value::Float(a)), Some(Value::Float(b))) => a.to_bits() == b.to_bits(),
        (Some(Value::Double(a)), Some(Value::Double(b))) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}
