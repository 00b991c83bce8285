//! Derived cascades and the copying of tables: which tables can be followed, and what the open windows have to know.

use super::stage::touch;
use super::trouble::Trouble;
use crate::change::Change;
use crate::error::Result;
use crate::metrics;
use crate::plan::{ForeignKeyPlan, Plan, SourceId};
use crate::source::snapshot::{Progress, Window};
use crate::view::cascade::Effect;
use crate::view::joins::{Follow, Witness};

/// From here on a table's restarts are told.
const MANY_RESTARTS: u32 = 4;

/// What the view thread knows of the copy while it derives a cascade.
pub struct Watch<'w> {
    pub plan: &'w Plan,
    pub progress: &'w Progress,
    pub trouble: &'w Trouble,
    pub windows: &'w mut Vec<Window>,
    /// Rows changed by cascades: updated, deleted; by source.
    pub counters: &'w [Counters],
    pub key: &'w mut Vec<u8>,
}

/// A table's rows that cascades changed.
pub struct Counters {
    update: ::metrics::Counter,
    delete: ::metrics::Counter,
}

impl Counters {
    pub fn of(plan: &Plan) -> Vec<Self> {
        let counter = |name: &_, kind: metrics::RowKind| {
            metrics::CASCADED_ROWS.with([&format!("{name}"), kind.word()])
        };
        let tables = plan.sources.iter().map(|table| &table.name);
        tables
            .map(|name: &crate::schema::TableName| Self {
                update: counter(name, metrics::RowKind::Update),
                delete: counter(name, metrics::RowKind::Delete),
            })
            .collect()
    }
}

impl Watch<'_> {
    /// Each restart by itself is harmless. One after the other, the copy may never end, and a person has to know why.
    fn tell(&self, key: &ForeignKeyPlan, times: u32) {
        let table = &self.plan.source(key.child).name;
        let parent = &self.plan.source(key.parent).name;
        let reason = format!(
            "the copy of {table} has begun again {times} times: changes of {parent} reach its rows by foreign key {}, \
             which the binlog does not tell, before they are all known",
            key.name
        );
        if times < MANY_RESTARTS {
            tracing::debug!("{reason}");
            return;
        }
        if times.is_power_of_two() {
            tracing::warn!(
                "{reason}; if it does not end, hold back deletes and key changes of {parent} until it is copied"
            );
        }
        self.trouble.copy(Some(reason));
    }

    /// The tables whose copy a cascade makes begin again.
    fn undone(&self, key: &ForeignKeyPlan, effect: &Effect) -> Vec<SourceId> {
        let together = self.progress.under_way_together(key.child);
        if !together.is_empty() {
            return together.to_vec();
        }
        let table = self.plan.source(key.child);
        let moves = matches!(effect, Effect::Set { .. })
            && key.child_slots.iter().any(|slot| table.key.contains(slot));
        match moves && !self.progress.is_complete(key.child) {
            true => vec![key.child],
            false => Vec::new(),
        }
    }
}

impl Witness for Watch<'_> {
    fn cascades(&mut self, foreign_key: usize, key: &[u8], effect: &Effect) -> Result<Follow> {
        let Some(plan) = self.plan.foreign_keys.get(foreign_key) else {
            return Ok(Follow::No);
        };
        if self.progress.waits(plan.child) {
            return Ok(Follow::No);
        }
        let undone = self.undone(plan, effect);
        // Most cascades undo nothing, and do not wait for the workers' lock.
        if !undone.is_empty()
            && let Some(times) = self.progress.begin_again(&undone)
        {
            self.tell(plan, times);
            for table in &undone {
                let name = self.plan.source(*table).name.to_string();
                metrics::SNAPSHOT_RESTARTS.with([&name]).increment(1);
            }
            let windows = self.windows.iter_mut();
            windows
                .filter(|w| undone.contains(&w.source))
                .for_each(Window::spoil);
            return Ok(Follow::Forget(undone));
        }
        let windows = self.windows.iter_mut();
        for window in windows.filter(|w| w.source == plan.child) {
            window.cascade(foreign_key, key, effect);
        }
        Ok(Follow::Yes)
    }

    fn changes(&mut self, source: SourceId, change: &Change<'_>) {
        touch(self.windows, self.key, self.plan.source(source), change);
        if let Some(counters) = self.counters.get(usize::from(source.0)) {
            match change {
                Change::Delete { .. } => counters.delete.increment(1),
                Change::Insert { .. } | Change::Update { .. } => counters.update.increment(1),
            }
        }
    }
}
