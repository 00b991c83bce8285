//! The verdict on items: what MySQL says about a key, what DynamoDB has, and whether the stream was there meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::future::try_join_all;

use super::canonical::different_attributes;
use super::flow::Flow;
use super::session::{Session, Truth};
use super::source::wire_key;
use super::target::{Found, MOST_KEYS, Target};
use crate::error::Result;
use crate::pipeline::Key;
use crate::plan::{Plan, ProjectionId, TargetId};

/// Requests under way at once.
const REQUESTS: usize = 4;

/// What is wrong with an item.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// A row has it, and DynamoDB has not.
    Missing,
    /// Its attributes differ.
    Different,
    /// No row has it, and it is one of ours by its key.
    Extra,
}

impl Wrong {
    pub const ALL: [Wrong; 3] = [Wrong::Missing, Wrong::Different, Wrong::Extra];

    pub fn word(self) -> &'static str {
        match self {
            Wrong::Missing => "missing",
            Wrong::Different => "different",
            Wrong::Extra => "extra",
        }
    }
}

/// A difference between both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub wrong: Wrong,
    /// The row whose item it is, or that has no valid item.
    pub projection: Option<ProjectionId>,
    pub source_key: Option<String>,
    /// Names of the attributes that differ.
    pub attributes: Vec<String>,
    pub expected: Option<Vec<u8>>,
    pub actual: Option<Vec<u8>>,
}

/// An item's key, by its DynamoDB table.
pub type Name = (TargetId, Vec<u8>);

/// What was found of a key.
#[derive(Debug)]
pub struct Verdict {
    pub difference: Option<Difference>,
    /// The stream wrote it meanwhile: the difference says nothing.
    pub touched: bool,
}

/// Compares what must be with what is.
pub fn compare(expected: Option<&[u8]>, actual: Option<&[u8]>) -> Option<Wrong> {
    match (expected, actual) {
        (None, None) => None,
        (Some(_), None) => Some(Wrong::Missing),
        (None, Some(_)) => Some(Wrong::Extra),
        (Some(expected), Some(actual)) => (expected != actual).then_some(Wrong::Different),
    }
}

/// Reads these keys of one table, some requests at a time.
pub async fn fetch(
    target: &Target,
    plan: &Plan,
    id: TargetId,
    keys: &[&[u8]],
) -> Result<Vec<Found>> {
    let table = plan.target(id);
    let mut found = Vec::with_capacity(keys.len() / MOST_KEYS + 1);
    for some in keys.chunks(MOST_KEYS * REQUESTS) {
        let mut requests = Vec::with_capacity(REQUESTS);
        for keys in some.chunks(MOST_KEYS) {
            requests.push(target.get(table, keys));
        }
        found.extend(try_join_all(requests).await?);
    }
    Ok(found)
}

/// The key as the pipeline names it.
pub fn pipeline_key(plan: &Plan, (target, key): &Name) -> Key {
    let mut wire = Vec::with_capacity(64);
    wire_key(plan.target(*target), key, &mut wire);
    Key(wire.into())
}

/// Judges items by their keys, in one bracket: everything is asked anew.
pub async fn judge(
    plan: &Arc<Plan>,
    session: &mut Session,
    target: &Target,
    flow: &dyn Flow,
    names: &[Name],
) -> Result<Vec<Verdict>> {
    let watch = flow.watch().await?;
    session.visible(watch.received()).await?;
    let mut by_target: BTreeMap<TargetId, Vec<Vec<u8>>> = BTreeMap::new();
    for (id, key) in names {
        by_target.entry(*id).or_default().push(key.clone());
    }
    let mut truths: HashMap<TargetId, HashMap<Vec<u8>, Truth>> = HashMap::new();
    for (id, keys) in &by_target {
        truths.insert(*id, session.truths(*id, keys).await?);
    }
    let high = session.executed().await?;
    flow.durable(&high).await?;
    let mut found: HashMap<TargetId, Vec<Found>> = HashMap::new();
    for (id, keys) in &mut by_target {
        keys.sort();
        keys.dedup();
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        found.insert(*id, fetch(target, plan, *id, &keys).await?);
    }
    let verdicts = names.iter().map(|name| {
        let (id, key) = name;
        let truth = truths.get(id).and_then(|truths| truths.get(key));
        let pages = found.get(id).map(Vec::as_slice).unwrap_or_default();
        let actual = pages.iter().find_map(|page| page.item(key));
        let expected = truth.and_then(|truth| truth.item.as_deref());
        let difference = compare(expected, actual).map(|wrong| Difference {
            wrong,
            projection: truth.map(|truth| truth.projection),
            source_key: truth.map(|truth| truth.source_key.clone()),
            attributes: match (expected, actual) {
                (Some(expected), Some(actual)) => different_attributes(expected, actual),
                _ => Vec::new(),
            },
            expected: expected.map(<[u8]>::to_vec),
            actual: actual.map(<[u8]>::to_vec),
        });
        let touched = difference.is_some() && watch.is_touched(*id, &pipeline_key(plan, name));
        Verdict {
            difference,
            touched,
        }
    });
    Ok(verdicts.collect())
}
