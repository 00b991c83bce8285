//! What becomes of outcomes, and what is said of rows.

use std::sync::Arc;

use super::deaths::Deaths;
use super::stage::Completion;
use super::touches::Touches;
use crate::change::{Row, Value};
use crate::error::{Error, Kind};
use crate::pipeline::{Action, Feed, Sequence};
use crate::plan::{Plan, SourceTable};
use crate::position::Gtid;
use crate::source::decode::DecodeError;
use crate::view::Outcome;

/// Where outcomes go: to the lanes, and to the dead letters.
pub(super) struct Outlet {
    pub plan: Arc<Plan>,
    pub feed: Feed<Completion>,
    pub deaths: Deaths,
    pub touches: Arc<Touches>,
}

impl Outlet {
    /// Hands an outcome on; false when the pipeline or the committer has gone.
    pub fn deliver(&mut self, gtid: Option<&Gtid>, sequence: Sequence, outcome: Outcome) -> bool {
        let at = || gtid.map(ToString::to_string).unwrap_or_default();
        let deaths = &self.deaths;
        match outcome {
            Outcome::Write(mutation) => {
                // An item in its place ends a dead letter; the deletion of an old one does not.
                let cleared = match mutation.action {
                    Action::Put { .. } => deaths.cleared(&mutation.origin),
                    Action::Delete => true,
                };
                self.touches
                    .note(mutation.target, &mutation.key, &mutation.origin);
                cleared && self.feed.push(sequence, mutation).is_ok()
            }
            Outcome::Gone(origin) => deaths.cleared(&origin),
            Outcome::Unmappable { origin, reason } => {
                deaths.died(&origin, &reason.to_string(), at())
            }
            Outcome::Contested { origin, owner } => {
                let label = &self.plan.projection(owner.projection).label;
                let reason = format!(
                    "its key is also that of {label} {}, which has the item",
                    owner.source_key
                );
                deaths.died(&origin, &reason, at())
            }
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
