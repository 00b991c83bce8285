//! The stores as the daemon opens them: the checkpoint's, and that of the joins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::filing;
use super::rest::cut_over;
use super::resume::newest;
use super::start::{Start, blocking};
use super::views;
use crate::checkpoint::{Checkpoint, Loaded, Store};
use crate::error::{Error, Kind, Result};
use crate::plan::Plan;

/// Opens the checkpoint's store; to start over, even where it cannot be read.
pub async fn open_store(path: PathBuf, start_over: bool) -> Result<Arc<Store>> {
    blocking(move || {
        let (store, opened) = match start_over {
            // What cannot be read need not be, to start over; it is set aside.
            true => Store::start_over(&path, |_| no_cutover_beside(&path))?,
            false => Store::open(&path)?,
        };
        if let Some(rebuilt) = &opened.rebuilt {
            tracing::warn!(
                reason = rebuilt.reason,
                set_aside = ?rebuilt.set_aside,
                "the checkpoint store could not be read and was rebuilt from its mirror: a full verification is owed"
            );
        }
        Ok(Arc::new(store))
    })
    .await
}

/// Whether this directory has a store, or what one can be rebuilt from.
pub fn has_store(state: &Path) -> bool {
    state.join("sled").exists() || state.join("checkpoint.json").exists()
}

/// Starting over is writing, too: only who takes the cutover back may.
pub async fn not_cut_over(store: &Arc<Store>, start: &Start) -> Result<()> {
    let found = |checkpoint: &Checkpoint| filing::is_cut_over(checkpoint);
    if let Loaded::Found(checkpoint) = store.load()
        && found(&checkpoint)?
    {
        return Err(cut_over());
    }
    if !start.resnapshot {
        return Ok(());
    }
    // The joins' state is about to go. Where it cannot be read, what lies beside it says whether it has a cutover.
    let state = start.settings.state.clone();
    let views = match open_views(state.clone(), &start.plan, false).await {
        Ok(views) => views,
        Err(_) => {
            blocking(move || no_cutover_beside(&state)).await?;
            None
        }
    };
    match stored(store, views.as_ref()) {
        Err(error) if error.kind() == Kind::CutOver => Err(error),
        _ => Ok(()),
    }
}

/// Nobody can read what was decided: a cutover that left a trace counts.
fn no_cutover_beside(state: &Path) -> Result<()> {
    let Some(says) = filing::left_cut_over(state)? else {
        return Ok(());
    };
    let state = state.display();
    Err(Error::new(
        Kind::CutOver,
        format!("the state in {state} cannot be read, and its {says} says that a cutover was made: DynamoDB is the application's since"),
    )
    .with_remedy(
        "put the directory back from a backup. If the application does not use these tables (any more), move `audit.log` and the `cutover-` reports out of the directory, then start over",
    ))
}

/// For `run --resnapshot`: only after source and target were found to be usable.
pub async fn forget(store: &Arc<Store>) -> Result<()> {
    let store = Arc::clone(store);
    blocking(move || {
        store.reset()?;
        store.audit(
            "resnapshot",
            "the checkpoint was given up by `run --resnapshot`",
        )
    })
    .await
}

/// The last checkpoint: where joins have state, the one that was committed with it.
pub fn stored(store: &Store, views: Option<&views::Opened>) -> Result<Option<Checkpoint>> {
    let found = match store.load() {
        Loaded::Found(checkpoint) => Some(*checkpoint),
        Loaded::None => None,
    };
    let Some(views) = views else {
        return Ok(found);
    };
    match (&views.checkpoint, found) {
        (Some(with_state), found) => {
            let mut checkpoint = newest(with_state, found.as_ref());
            filing::newer_standing(&mut checkpoint, found.as_ref())?;
            if filing::is_cut_over(&checkpoint)? {
                // A crash came between the two commits: the store follows, and whoever starts next finds it there.
                store.commit(&checkpoint, &[])?;
                return Err(cut_over());
            }
            Ok(Some(checkpoint))
        }
        (None, None) => Ok(None),
        (None, Some(_)) => Err(Error::new(
            Kind::Store,
            "the state of the joins is missing, and the checkpoint cannot go on without it",
        )
        .with_remedy("restore the directory `views` of the state directory, or start over with `penstock run --resnapshot`")),
    }
}

pub async fn open_views(
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
