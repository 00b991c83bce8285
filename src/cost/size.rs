//! The size of an item as DynamoDB counts it.

use crate::contract::model::GsiProjection;
use crate::plan::{GsiPlan, TargetTable};
use crate::verify::canonical::{self, Tag, members};

/// A write unit writes so much.
const UNIT: usize = 1024;

/// What writing so many bytes costs.
pub fn write_units(bytes: usize) -> u64 {
    bytes.div_ceil(UNIT).max(1) as u64
}

/// An item's bytes.
pub fn item_size(item: &[u8]) -> usize {
    members(item)
        .map(|(name, value)| name.len() + size(value))
        .sum()
}

/// The bytes of its entry in an index; `None` where it is not in it.
pub fn entry_size(item: &[u8], index: &GsiPlan, table: &TargetTable) -> Option<usize> {
    let of_index = [Some(&index.pk), index.sk.as_ref()];
    let of_table = [Some(&table.pk), table.sk.as_ref()];
    let has = |wanted: &str| members(item).any(|(name, _)| name == wanted);
    if of_index.iter().flatten().any(|key| !has(&key.name)) {
        return None;
    }
    let is_key = |name: &str| {
        let mut keys = of_index.iter().chain(&of_table).flatten();
        keys.any(|key| key.name == name)
    };
    let is_in = |name: &str| match &index.projection {
        GsiProjection::All => true,
        GsiProjection::KeysOnly => is_key(name),
        GsiProjection::Include(names) => is_key(name) || names.iter().any(|n| n.value == name),
    };
    let entry = members(item).filter(|(name, _)| is_in(name));
    Some(entry.map(|(name, value)| name.len() + size(value)).sum())
}

/// A value's bytes.
fn size(value: &[u8]) -> usize {
    let Some((value, _)) = canonical::value(value) else {
        return 0;
    };
    let payload = value.payload;
    match value.tag {
        Tag::S | Tag::B => payload.len(),
        Tag::N => number(payload),
        Tag::Bool | Tag::Null => 1,
        Tag::M => {
            let each = members(payload).map(|(name, value)| 1 + name.len() + size(value));
            3 + each.sum::<usize>()
        }
        Tag::L => {
            3 + canonical::values(payload)
                .map(|v| 1 + size(v))
                .sum::<usize>()
        }
        Tag::SS | Tag::BS => canonical::set(payload).map(<[u8]>::len).sum(),
        Tag::NS => canonical::set(payload).map(number).sum(),
    }
}

/// Two digits a byte, and one more, and one more for a sign.
fn number(canonical: &[u8]) -> usize {
    let mut rest = Vec::new();
    canonical::number(canonical, &mut rest).unwrap_or(1)
}
