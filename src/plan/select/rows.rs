//! The rows that items are made of, as MySQL finds them: for each join of a projection one FROM.
//!
//! They are found by the joins' conditions alone: where an item takes the first of several rows, all are here.

use super::SelectError;
use super::expression::rewrite;
use super::render::column_name;
use crate::plan::model::*;

/// The driving row's alias.
pub const DRIVING: &str = "d";
/// The alias of the rows that are looked for.
pub const FOUND: &str = "r";

/// Rows of one table that belong to items of a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedRows {
    pub source: SourceId,
    /// `FROM … AS d … JOIN … AS r ON …`; conditions on the driving row follow as WHERE.
    pub from: String,
}

/// Every join of the projection, each once.
///
/// # Errors
/// As [`super::select`].
pub fn joined_rows(plan: &Plan, projection: &Projection) -> Result<Vec<JoinedRows>, SelectError> {
    if plan.offline {
        return Err(SelectError::Offline);
    }
    let mut found = Vec::new();
    let mut collector = Collector {
        plan,
        driving: plan.source(projection.driving),
        found: &mut found,
    };
    for attribute in &projection.attributes {
        collector.value(&attribute.value)?;
    }
    Ok(found)
}

struct Collector<'p, 'f> {
    plan: &'p Plan,
    driving: &'p SourceTable,
    found: &'f mut Vec<JoinedRows>,
}

impl Collector<'_, '_> {
    fn value(&mut self, value: &ValueSource) -> Result<(), SelectError> {
        match value {
            ValueSource::Template(pieces) => {
                for piece in pieces {
                    if let Piece::Value(value) = piece {
                        self.value(value)?;
                    }
                }
                Ok(())
            }
            ValueSource::Transformed { input, .. } => self.value(input),
            ValueSource::Join(join) => {
                let hops: Vec<(SourceId, &[Sql])> = join
                    .hops
                    .iter()
                    .map(|hop| (hop.source, hop.conditions.as_slice()))
                    .collect();
                (1..=hops.len()).try_for_each(|count| self.hops(hops.get(..count).unwrap_or(&[])))
            }
            ValueSource::Aggregate {
                source, condition, ..
            } => self.hops(&[(*source, std::slice::from_ref(condition))]),
            ValueSource::Column(_)
            | ValueSource::Static(_)
            | ValueSource::Case { .. }
            | ValueSource::Concat { .. }
            | ValueSource::Expression(_) => Ok(()),
        }
    }

    /// The rows of the last of these hops.
    fn hops(&mut self, hops: &[(SourceId, &[Sql])]) -> Result<(), SelectError> {
        let Some((source, _)) = hops.last() else {
            return Ok(());
        };
        let alias = |hop: usize| match hop + 1 == hops.len() {
            true => FOUND.to_owned(),
            false => format!("j{hop}"),
        };
        let mut from = format!("FROM {} AS {DRIVING}", self.driving.name.sql());
        for (hop, (source, conditions)) in hops.iter().enumerate() {
            let mut on = Vec::new();
            for condition in *conditions {
                let text = rewrite(condition, &mut |r| {
                    let row = match r.row {
                        RowRef::Driving => DRIVING.to_owned(),
                        RowRef::Joined(hop) => alias(hop),
                    };
                    let column = column_name(self.plan.source(r.source), r.slot);
                    format!("{row}.{column}")
                })?;
                on.push(format!("({text})"));
            }
            let table = self.plan.source(*source).name.sql();
            from.push_str(&format!(
                " JOIN {table} AS {} ON {}",
                alias(hop),
                on.join(" AND ")
            ));
        }
        let rows = JoinedRows {
            source: *source,
            from,
        };
        if !self.found.contains(&rows) {
            self.found.push(rows);
        }
        Ok(())
    }
}
