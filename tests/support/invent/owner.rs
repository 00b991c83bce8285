//! Keys that come from the row that a link leads to: they move when that row's column or the link does.

use fastrand::Rng;
use serde_json::{Value, json};

use super::attribute::{Maker, Step};
use super::expression::{Row, written};
use super::pick;
use super::schema::Table;

impl Maker<'_> {
    /// The key of the row that a link leads to, as an attribute: it moves when that row's key or the link does.
    pub fn owner(&self, name: &str, rng: &mut Rng) -> Option<Value> {
        let steps: Vec<_> = self
            .steps(self.driving)
            .into_iter()
            .filter(|s| !s.back && !s.is_self())
            .collect();
        let step = if steps.is_empty() {
            return None;
        } else {
            *pick(rng, &steps)
        };
        let texts: Vec<_> = step
            .to
            .columns
            .iter()
            .filter(|c| c.kind.is_text() || c.kind.is_number())
            .collect();
        let column = if texts.is_empty() {
            return None;
        } else {
            *pick(rng, &texts)
        };
        let column = Row::of(step.to).column(column);
        let select = if rng.bool() {
            format!("COALESCE({column}, 'none')")
        } else {
            column
        };
        Some(
            json!({"name": name, "type": "S", "source_column": step.source_column(),
            "join": {"type": "foreign-key", "target_table": step.to.name,
                "join_condition": step.conditions(step.to.name, rng).join(" AND "), "select_column": select}}),
        )
    }

    /// A column that is unique there, of a row that only one row here has a link to: a key by itself. Where there is none,
    /// one that rows may share.
    pub fn sole_owner(&self, name: &str, rng: &mut Rng) -> Option<Value> {
        let mut found: Vec<(Step<'_>, usize)> = Vec::new();
        for step in self.steps(self.driving) {
            let columns: Vec<usize> = step.pairs().iter().map(|pair| pair.0).collect();
            if step.back || step.is_self() || !step.from.tells(&columns) {
                continue;
            }
            let alone = (0..step.to.columns.len()).filter(|&column| {
                !step.to.columns[column].kind.is_binary() && step.to.tells(&[column])
            });
            found.extend(alone.map(|column| (step, column)));
        }
        if found.is_empty() || rng.u8(0..8) == 0 {
            return self.owner(name, rng);
        }
        let (step, column) = *pick(rng, &found);
        let column_of = |table: &Table, column: usize| {
            format!(
                "{}.{}",
                written(table.name),
                written(&table.columns[column].name)
            )
        };
        let pairs = step.pairs().into_iter();
        let conditions: Vec<String> = pairs
            .map(|(from, to)| {
                format!(
                    "{} = {}",
                    column_of(step.from, from),
                    column_of(step.to, to)
                )
            })
            .collect();
        Some(
            json!({"name": name, "type": "S", "source_column": step.source_column(),
            "join": {"type": "multi-column", "target_table": step.to.name,
                "join_conditions": conditions, "select_column": column_of(step.to, column)}}),
        )
    }
}
