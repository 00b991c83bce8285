//! The checkpoint's list of prepared XA transactions that touch nothing of the plan: where one of them ends, a stream
//! that began after it was prepared need not stop.

use serde_json::Value;

use crate::checkpoint::Checkpoint;

/// Where the list is kept.
const ENTRY: &str = "harmless_xids";
/// A list that is longer would weigh on every commit: the newest are kept. One that is older stops the stream, if it
/// ends after a restart.
const MOST: usize = 1000;

/// The xids, as the server writes them.
pub fn of(checkpoint: &Checkpoint) -> Vec<String> {
    let listed = checkpoint.other.get(ENTRY).and_then(Value::as_array);
    listed
        .into_iter()
        .flatten()
        .filter_map(|xid| xid.as_str().map(str::to_owned))
        .collect()
}

/// Adds one that was prepared, or takes one away that has ended.
pub fn apply(checkpoint: &mut Checkpoint, xid: String, prepared: bool) {
    let mut xids = of(checkpoint);
    xids.retain(|known| *known != xid);
    if prepared {
        xids.push(xid);
        xids.drain(..xids.len().saturating_sub(MOST));
    }
    if xids.is_empty() {
        checkpoint.other.remove(ENTRY);
    } else {
        checkpoint.other.insert(ENTRY.to_owned(), xids.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Lineage;
    use crate::position::Position;

    #[test]
    fn what_was_prepared_is_there_until_it_ends() {
        let lineage = Lineage {
            server_uuid: String::new(),
        };
        let mut checkpoint = Checkpoint::new(Position::default(), lineage, String::new());
        for xid in 0..MOST + 5 {
            apply(&mut checkpoint, format!("X'{xid:x}'"), true);
            apply(&mut checkpoint, format!("X'{xid:x}'"), true);
        }
        // The oldest made room.
        assert_eq!(of(&checkpoint).len(), MOST);
        for xid in 0..MOST + 4 {
            apply(&mut checkpoint, format!("X'{xid:x}'"), false);
        }
        let newest = format!("X'{:x}'", MOST + 4);
        assert_eq!(of(&checkpoint), [newest.as_str()]);
        apply(&mut checkpoint, newest, false);
        assert!(checkpoint.other.is_empty());
    }
}
