//! The body of a BatchWriteItem request, put together from items that are JSON already.

use super::writer::Table;
use crate::pipeline::{Action, Mutation};

/// `{"RequestItems":{"table":[{"PutRequest":{"Item":…}},{"DeleteRequest":{"Key":…}}]}}`, tables in the order of their
/// first write. `tables` is indexed by the target's id.
pub fn batch_write(tables: &[Table], writes: &[&Mutation], body: &mut Vec<u8>) {
    let size: usize = writes.iter().map(|write| 64 + payload(write).len()).sum();
    body.reserve(size + 128);
    body.extend_from_slice(br#"{"RequestItems":{"#);
    let mut first_table = true;
    for (index, write) in writes.iter().enumerate() {
        let target = write.target;
        if writes.iter().take(index).any(|w| w.target == target) {
            continue;
        }
        if !first_table {
            body.push(b',');
        }
        first_table = false;
        if let Some(table) = tables.get(usize::from(target.0)) {
            body.extend_from_slice(table.quoted_name().as_bytes());
        }
        body.extend_from_slice(b":[");
        let mut separator: &[u8] = b"";
        for write in writes.iter().skip(index).filter(|w| w.target == target) {
            body.extend_from_slice(separator);
            separator = b",";
            body.extend_from_slice(match write.action {
                Action::Put { .. } => br#"{"PutRequest":{"Item":"#,
                Action::Delete => br#"{"DeleteRequest":{"Key":"#,
            });
            body.extend_from_slice(payload(write));
            body.extend_from_slice(b"}}");
        }
        body.push(b']');
    }
    body.extend_from_slice(b"}}");
}

fn payload(write: &Mutation) -> &[u8] {
    match &write.action {
        Action::Put { item, .. } => item,
        Action::Delete => &write.key.0,
    }
}
