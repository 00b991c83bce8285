//! Whether bytes are a document: exactly where [`print`](super::print) prints it.

use super::opaque::Opaque;
use super::{Budget, Container, MAX_DEPTH, Node, node, variable};

/// Visits every value; `None` where the bytes are no document.
#[inline]
pub(in crate::change) fn check(bytes: &[u8]) -> Option<()> {
    let Some((&kind, data)) = bytes.split_first() else {
        return Some(());
    };
    value(kind, data, 0, &mut Budget::of(bytes))
}

#[inline(always)]
fn value(kind: u8, data: &[u8], depth: usize, budget: &mut Budget) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match kind {
        0..=3 => container(kind, data, depth, budget),
        12 => is_utf8(variable(data, budget)?).then_some(()),
        _ => rarer(kind, data, budget),
    }
}

/// Most strings are short and ASCII.
#[inline(always)]
fn is_utf8(bytes: &[u8]) -> bool {
    bytes.is_ascii() || std::str::from_utf8(bytes).is_ok()
}

#[inline(never)]
fn rarer(kind: u8, data: &[u8], budget: &mut Budget) -> Option<()> {
    match node(kind, data, budget)? {
        Node::Double(number) => number.is_finite().then_some(()),
        Node::Opaque(type_code, bytes) => Opaque::parse(type_code, bytes).map(|_| ()),
        _ => Some(()),
    }
}

fn container(kind: u8, data: &[u8], depth: usize, budget: &mut Budget) -> Option<()> {
    match kind {
        0 | 2 => {
            let container = Container::parse(data, false, kind == 0, budget)?;
            let (keys, values) = container.entries()?;
            let (keys, _) = keys.as_chunks::<4>();
            let keys = keys.iter().map(|&[a, b, c, d]| {
                let length = u16::from_le_bytes([c, d]);
                (usize::from(u16::from_le_bytes([a, b])), length)
            });
            check_keys(container.data, keys, budget)?;
            let (values, _) = values.as_chunks::<3>();
            values.iter().try_for_each(|&[kind, a, b]| {
                let offset = usize::from(u16::from_le_bytes([a, b]));
                member(&container, kind, &[a, b], offset, depth + 1, budget)
            })
        }
        _ => {
            let container = Container::parse(data, true, kind == 1, budget)?;
            let (keys, values) = container.entries()?;
            let (keys, _) = keys.as_chunks::<6>();
            let keys = keys.iter().map(|&[a, b, c, d, e, f]| {
                let length = u16::from_le_bytes([e, f]);
                (u32::from_le_bytes([a, b, c, d]) as usize, length)
            });
            check_keys(container.data, keys, budget)?;
            let (values, _) = values.as_chunks::<5>();
            values.iter().try_for_each(|&[kind, a, b, c, d]| {
                let offset = u32::from_le_bytes([a, b, c, d]) as usize;
                member(&container, kind, &[a, b, c, d], offset, depth + 1, budget)
            })
        }
    }
}

/// One value of a container, from its entry.
#[inline]
fn member(
    container: &Container<'_>,
    kind: u8,
    entry: &[u8],
    offset: usize,
    depth: usize,
    budget: &mut Budget,
) -> Option<()> {
    if super::is_inlined(kind, container.width) {
        let literal = entry.first().is_some_and(|&literal| literal <= 2);
        return (depth <= MAX_DEPTH && (kind != 4 || literal)).then_some(());
    }
    value(kind, container.data.get(offset..)?, depth, budget)
}

/// Keys mostly lie side by side, in order, and are ASCII: then one look is enough for all of them.
#[inline]
fn check_keys(
    data: &[u8],
    keys: impl DoubleEndedIterator<Item = (usize, u16)> + Clone,
    budget: &mut Budget,
) -> Option<()> {
    let (Some(first), Some(last)) = (keys.clone().next(), keys.clone().next_back()) else {
        return Some(());
    };
    let (start, end) = (first.0, last.0.checked_add(usize::from(last.1))?);
    let ascii = data.get(start..end).is_some_and(<[u8]>::is_ascii);
    for (offset, length) in keys {
        let length = usize::from(length);
        budget.spend(length)?;
        let within = offset >= start && offset.checked_add(length)? <= end;
        let sound = (ascii && within) || is_utf8(data.get(offset..)?.get(..length)?);
        if !sound {
            return None;
        }
    }
    Some(())
}

impl<'a> Container<'a> {
    /// The entries of the keys and those of the values.
    #[inline]
    fn entries(&self) -> Option<(&'a [u8], &'a [u8])> {
        let values = self.value_entry(0)?;
        let keys = self.data.get(2 * self.width..values)?;
        let values = self.data.get(values..self.value_entry(self.count)?)?;
        Some((keys, values))
    }
}
