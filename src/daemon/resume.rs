//! Which of two checkpoints a start goes on from: that of the joins' state, or the one beside it.

use crate::checkpoint::{Checkpoint, TableState};

/// The state's checkpoint is the one to go on from. Where the other store knows more, the state has lost its end.
pub fn newest(with_state: &Checkpoint, other: Option<&Checkpoint>) -> Checkpoint {
    let mut checkpoint = with_state.clone();
    let Some(other) = other else {
        return checkpoint;
    };
    checkpoint.verify_owed |= other.verify_owed;
    if is_behind(with_state, other) {
        tracing::warn!(
            position = %with_state.position.gtids,
            "the state of the joins is older than the checkpoint beside it, its end was lost: \
             going on from its position, and a full verification is owed"
        );
        checkpoint.verify_owed = true;
    }
    checkpoint
}

/// Whether the checkpoint that was committed with the state lacks what the other store knows to be durable. The state is
/// committed first, so that by itself this never is: a journal that was cut off at a damaged place goes back.
fn is_behind(with_state: &Checkpoint, other: &Checkpoint) -> bool {
    let copied = |checkpoint: &Checkpoint| {
        let tables = checkpoint.snapshot.iter();
        tables.filter(|t| t.state == TableState::Done).count()
    };
    with_state.plan_fingerprint == other.plan_fingerprint
        && (!other.position.gtids.is_subset(&with_state.position.gtids)
            // A table whose copy began anew is behind on purpose, and its checkpoint the later one.
            || (copied(other) > copied(with_state)
                && other.saved_at_unix_ms > with_state.saved_at_unix_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Lineage, TableProgress};
    use crate::position::Position;

    fn at(gtids: &str, copied: bool, saved: u64) -> Checkpoint {
        let position = Position {
            gtids: gtids.parse().expect("a GTID set"),
            ..Position::default()
        };
        let lineage = Lineage {
            server_uuid: "server".into(),
        };
        let mut checkpoint = Checkpoint::new(position, lineage, "plan");
        checkpoint.saved_at_unix_ms = saved;
        checkpoint.snapshot = vec![TableProgress::pending("shop", "users")];
        if copied {
            checkpoint.snapshot[0].state = TableState::Done;
        }
        checkpoint
    }

    const NINE: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9";
    const FIVE: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5";

    #[test]
    fn a_state_that_lost_its_end_owes_a_verification() {
        for (with_state, other, owed) in [
            (at(NINE, true, 2), at(NINE, true, 2), false),
            // A crash between the two commits: the state is ahead.
            (at(NINE, true, 2), at(FIVE, false, 1), false),
            // The same where the copy of a table began anew.
            (at(NINE, false, 2), at(NINE, true, 1), false),
            (at(FIVE, true, 1), at(NINE, true, 2), true),
            (at(NINE, false, 1), at(NINE, true, 2), true),
        ] {
            let found = newest(&with_state, Some(&other));
            assert_eq!(found.verify_owed, owed, "{with_state:?} beside {other:?}");
            assert_eq!(found.position, with_state.position);
            assert!(!newest(&with_state, None).verify_owed);
        }
    }

    #[test]
    fn what_the_other_store_owes_stays_owed() {
        let mut other = at(NINE, true, 1);
        other.verify_owed = true;
        assert!(newest(&at(NINE, true, 1), Some(&other)).verify_owed);
    }
}
