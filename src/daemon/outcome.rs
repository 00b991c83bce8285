//! What becomes of outcomes, and what is said of rows.

use super::deaths::Deaths;
use super::stage::Completion;
use crate::change::{Row, Value};
use crate::error::{Error, Kind};
use crate::pipeline::{Action, Feed, Sequence};
use crate::plan::{Plan, SourceTable};
use crate::position::Gtid;
use crate::source::decode::DecodeError;
use crate::view::Outcome;

/// Hands an outcome on; false when the pipeline or the committer has gone.
pub(super) fn deliver(
    plan: &Plan,
    feed: &mut Feed<Completion>,
    deaths: &Deaths,
    gtid: Option<&Gtid>,
    sequence: Sequence,
    outcome: Outcome,
) -> bool {
    let at = || gtid.map(ToString::to_string).unwrap_or_default();
    match outcome {
        Outcome::Write(mutation) => {
            // An item in its place ends a dead letter; the deletion of an old one does not.
            let cleared = match mutation.action {
                Action::Put { .. } => deaths.cleared(&mutation.origin),
                Action::Delete => true,
            };
            cleared && feed.push(sequence, mutation).is_ok()
        }
        Outcome::Gone(origin) => deaths.cleared(&origin),
        Outcome::Unmappable { origin, reason } => deaths.died(&origin, &reason.to_string(), at()),
        Outcome::Contested { origin, owner } => {
            let label = &plan.projection(owner.projection).label;
            let reason = format!(
                "its key is also that of {label} {}, which has the item",
                owner.source_key
            );
            deaths.died(&origin, &reason, at())
        }
    }
}

pub(super) fn key_values<'r, 'v>(
    table: &'r SourceTable,
    row: &'r Row<'v>,
) -> impl Iterator<Item = &'r Value<'v>> {
    table.key.iter().filter_map(|&slot| row.values.get(slot))
}

pub(super) fn unreadable(table: &SourceTable, error: &DecodeError) -> Error {
    Error::new(
        Kind::EventUnreadable,
        format!("cannot read a row of {}: {error}", table.name),
    )
}
