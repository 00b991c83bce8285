//! What an earlier run has left: its checkpoint, and the joins' state with the checkpoint that was committed with it.

use std::path::PathBuf;
use std::sync::Arc;

use super::start::blocking;
use super::views;
use crate::checkpoint::{Checkpoint, Loaded, Store, TableState};
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;

/// The last checkpoint: where joins have state, the one that was committed with it.
pub(super) fn stored(store: &Store, views: Option<&views::Opened>) -> Result<Option<Checkpoint>> {
    let found = match store.load() {
        Loaded::Found(checkpoint) => Some(*checkpoint),
        Loaded::None => None,
    };
    let Some(views) = views else {
        return Ok(found);
    };
    match (&views.checkpoint, found) {
        (Some(with_state), found) => Ok(Some(newest(with_state, found.as_ref()))),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Error::new(
            Kind::Store,
            "the state of the joins is missing, and the checkpoint cannot go on without it",
        )
        .with_remedy("restore the directory `views` of the state directory, or start over with `penstock run --resnapshot`")),
    }
}

/// The state's checkpoint is the one to go on from. Where the other store knows more, the state has lost its end.
fn newest(with_state: &Checkpoint, other: Option<&Checkpoint>) -> Checkpoint {
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
            || copied(other) > copied(with_state))
}

/// The joins' state; emptied first where everything starts over.
pub(super) async fn open_views(
    state: PathBuf,
    plan: &Arc<Plan>,
    start_over: bool,
) -> Result<Option<views::Opened>> {
    let plan = Arc::clone(plan);
    blocking(move || {
        if start_over {
            crate::state::Store::wipe(&views::directory(&state))?;
        }
        views::open(&state, &plan)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{Lineage, TableProgress};
    use crate::position::Position;

    fn at(gtids: &str, copied: bool) -> Checkpoint {
        let position = Position {
            gtids: gtids.parse().expect("a GTID set"),
            ..Position::default()
        };
        let lineage = Lineage {
            server_uuid: "server".into(),
        };
        let mut checkpoint = Checkpoint::new(position, lineage, "plan");
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
            (at(NINE, true), at(NINE, true), false),
            // A crash between the two commits: the state is ahead.
            (at(NINE, true), at(FIVE, false), false),
            (at(FIVE, true), at(NINE, true), true),
            (at(NINE, false), at(NINE, true), true),
        ] {
            let found = newest(&with_state, Some(&other));
            assert_eq!(found.verify_owed, owed, "{with_state:?} beside {other:?}");
            assert_eq!(found.position, with_state.position);
            assert!(!newest(&with_state, None).verify_owed);
        }
    }

    #[test]
    fn what_the_other_store_owes_stays_owed() {
        let mut other = at(NINE, true);
        other.verify_owed = true;
        assert!(newest(&at(NINE, true), Some(&other)).verify_owed);
    }
}
