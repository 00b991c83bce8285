//! In which order tables are copied whose rows change behind the binlog.
//!
//! A cascade that goes through a row can only be followed where that row is known. So a table whose rows are changed by
//! what cascades do to another table waits until that one is copied. Tables that wait for each other (a tree in one
//! table) are copied together; a cascade among them meanwhile makes their copy begin again.

use super::model::*;
use crate::schema::ReferentialAction as A;

/// Which tables wait for which.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyOrder {
    /// By source: those that have to be copied before it.
    pub after: Vec<Vec<SourceId>>,
    /// By source: those that can only be copied together with it, itself among them; empty for most.
    pub together: Vec<Vec<SourceId>>,
}

impl CopyOrder {
    /// The order for a plan; nothing waits where the source logs its cascades.
    pub fn of(plan: &Plan) -> Self {
        let count = plan.sources.len();
        let mut reaches = vec![vec![false; count]; count];
        for first in &plan.foreign_keys {
            for second in plan.foreign_keys.iter().filter(|next| carries(first, next)) {
                if let Some(reached) = reaches
                    .get_mut(usize::from(first.child.0))
                    .and_then(|row| row.get_mut(usize::from(second.child.0)))
                {
                    *reached = true;
                }
            }
        }
        for middle in 0..count {
            let over = reaches[middle].clone();
            for from in reaches.iter_mut().filter(|from| from[middle]) {
                from.iter_mut()
                    .zip(&over)
                    .for_each(|(to, more)| *to |= more);
            }
        }
        let ids = |holds: &dyn Fn(usize) -> bool| -> Vec<SourceId> {
            let found = (0..count).filter(|other| holds(*other));
            found.map(|other| SourceId(other as u16)).collect()
        };
        Self {
            after: (0..count)
                .map(|to| ids(&|from| reaches[from][to] && !reaches[to][from]))
                .collect(),
            together: (0..count)
                .map(|to| ids(&|from| reaches[from][to] && reaches[to][from]))
                .collect(),
        }
    }

    /// Those that have to be copied before `source`.
    pub fn before(&self, source: SourceId) -> &[SourceId] {
        self.after
            .get(usize::from(source.0))
            .map_or(&[], Vec::as_slice)
    }

    /// Those that are copied together with `source`; empty where it is alone.
    pub fn group(&self, source: SourceId) -> &[SourceId] {
        self.together
            .get(usize::from(source.0))
            .map_or(&[], Vec::as_slice)
    }
}

/// Whether what `first` does to a row makes `second` do something to that row's children.
fn carries(first: &ForeignKeyPlan, second: &ForeignKeyPlan) -> bool {
    if first.child != second.parent {
        return false;
    }
    let deletes = first.on_delete == A::Cascade && second.on_delete != A::Restrict;
    let sets = first.on_delete == A::SetNull || first.on_update != A::Restrict;
    let moves = first
        .child_slots
        .iter()
        .any(|slot| second.parent_slots.contains(slot));
    deletes || (sets && moves && second.on_update != A::Restrict)
}
