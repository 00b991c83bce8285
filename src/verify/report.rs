//! What a comparison found: for programs as JSON, for people as Markdown.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::canonical::{self, Tag, Writer, members};
use super::extra::{Hash, hash};
use super::json::Reader;
use super::judge::{Difference, Name, Wrong, pipeline_key};
use super::standing::Pass;
use crate::checkpoint::now_unix_ms;
use crate::plan::{Plan, TargetId};

/// Findings that are named; further ones are counted.
pub const MOST_FINDINGS: usize = 10_000;

/// Items that are known to be counted: beyond, one that is found twice is counted twice.
const MOST_KNOWN: usize = if cfg!(test) { 64 } else { 1 << 18 };

/// What is compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything, and the scan for extra items.
    Full,
    /// So many percent of the rows, by chance.
    Sample(f64),
    /// The items of one entity, without the scan for extra items.
    Entity(String),
    /// The items that an earlier report names.
    Keys,
}

impl Mode {
    /// As a person would say it.
    pub fn words(&self) -> String {
        match self {
            Mode::Full => "everything".to_owned(),
            Mode::Sample(percent) => format!("{percent} % of the rows"),
            Mode::Entity(entity) => entity.clone(),
            Mode::Keys => "the items of an earlier report".to_owned(),
        }
    }
}

/// The result. Holds source keys, and with `--show-values` row values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub penstock: String,
    pub plan_fingerprint: String,
    pub mode: Mode,
    pub started_unix_ms: u64,
    pub finished_unix_ms: Option<u64>,
    /// Times that it was interrupted and went on.
    pub resumed: u64,
    /// Compared items, each once.
    pub items: u64,
    /// Rows that have no valid item.
    pub rows_without_item: u64,
    /// By entity.
    pub entities: BTreeMap<String, Entity>,
    /// By kind: missing, different, extra.
    pub mismatches: BTreeMap<String, u64>,
    /// Items that the stream wrote whenever they were looked at.
    pub undecided: u64,
    /// Differences where our own evaluation of the row says something else than MySQL.
    pub disagrees: u64,
    /// Items that no entity of the contract can have made, by DynamoDB table. They are never touched.
    pub foreign: BTreeMap<String, u64>,
    /// Items that were put right.
    pub repaired: u64,
    pub findings: Vec<Finding>,
    /// There are more than are named.
    pub more: bool,
    /// Items that have been counted, by the hashes of their keys.
    #[serde(skip)]
    known: Known,
}

/// Two reports are the same whatever is known besides.
#[derive(Debug, Clone, Default)]
struct Known(HashSet<Hash>);

impl Known {
    /// Whether it was not there before, as far as that is known.
    fn add(&mut self, hash: Hash) -> bool {
        match self.0.len() < MOST_KNOWN {
            true => self.0.insert(hash),
            false => !self.0.contains(&hash),
        }
    }
}

impl PartialEq for Known {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// One entity's figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    pub items: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mismatches: BTreeMap<String, u64>,
}

/// One item that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: Wrong,
    /// The stream wrote it whenever it was looked at: not decided.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undecided: bool,
    pub table: String,
    /// As DynamoDB has it.
    pub key: Value,
    pub entity: Option<String>,
    /// The row whose item it is.
    pub source_key: Option<String>,
    /// Names of the attributes that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// Attributes of which our own evaluation says something else than MySQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disagrees: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<Value>,
}

impl Report {
    pub fn new(mode: Mode, plan: &Plan) -> Self {
        Self {
            penstock: env!("CARGO_PKG_VERSION").to_owned(),
            plan_fingerprint: plan.fingerprint.clone(),
            mode,
            started_unix_ms: now_unix_ms(),
            finished_unix_ms: None,
            resumed: 0,
            items: 0,
            rows_without_item: 0,
            entities: BTreeMap::new(),
            mismatches: BTreeMap::new(),
            undecided: 0,
            disagrees: 0,
            foreign: BTreeMap::new(),
            repaired: 0,
            findings: Vec::new(),
            more: false,
            known: Known::default(),
        }
    }

    /// Knows again what it names, after it was read from a file.
    pub fn know_again(&mut self, plan: &Plan) {
        let names = self.findings.iter().filter_map(|f| name_of(plan, f));
        self.known.0 = names.map(|(id, key)| hash((id, &key))).collect();
    }

    /// Differences that were decided.
    pub fn mismatched(&self) -> u64 {
        self.mismatches.values().sum()
    }

    pub fn is_clean(&self) -> bool {
        self.mismatched() == 0 && self.undecided == 0
    }

    /// For the standing of parity.
    pub fn pass(&self) -> Pass {
        Pass {
            started_unix_ms: self.started_unix_ms,
            finished_unix_ms: self.finished_unix_ms.unwrap_or_default(),
            items: self.items,
            mismatches: self.mismatches.clone(),
            undecided: self.undecided,
            clean: self.is_clean(),
            entities: self.entities.clone(),
        }
    }

    /// Adds a difference, unless it is there already.
    pub fn add(
        &mut self,
        plan: &Plan,
        name: &Name,
        difference: &Difference,
        undecided: bool,
        disagrees: Option<Vec<String>>,
        show_values: bool,
    ) {
        // The rows and the scan may find the same, and so may what goes on after an interruption.
        if !self.known.add(hash((name.0, &name.1))) {
            return;
        }
        let key = serde_json::from_slice(&pipeline_key(plan, name).0).unwrap_or_default();
        let table = &plan.target(name.0).name;
        let entity = difference
            .projection
            .map(|id| plan.projection(id).label.clone());
        if undecided {
            self.undecided += 1;
        } else {
            let kind = difference.wrong.word();
            *self.mismatches.entry(kind.to_owned()).or_default() += 1;
            if let Some(entity) = &entity {
                let entity = self.entities.entry(entity.clone()).or_default();
                *entity.mismatches.entry(kind.to_owned()).or_default() += 1;
            }
        }
        if disagrees.as_ref().is_some_and(|names| !names.is_empty()) {
            self.disagrees += 1;
        }
        if self.findings.len() >= MOST_FINDINGS {
            self.more = true;
            return;
        }
        let shown = |item: &Option<Vec<u8>>| item.as_deref().filter(|_| show_values).map(item_json);
        self.findings.push(Finding {
            kind: difference.wrong,
            undecided,
            table: table.clone(),
            key,
            entity,
            source_key: difference.source_key.clone(),
            attributes: difference.attributes.clone(),
            disagrees,
            expected: shown(&difference.expected),
            actual: shown(&difference.actual),
        });
    }

    /// For people.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_markdown(&mut out);
        out
    }

    fn write_markdown(&self, out: &mut String) -> std::fmt::Result {
        let verdict = match (self.mismatched(), self.undecided) {
            (0, 0) => "both sides are equal".to_owned(),
            (0, n) => format!("{n} items could not be decided"),
            (n, _) => format!("{n} items differ"),
        };
        let seconds = self
            .finished_unix_ms
            .map(|end| end.saturating_sub(self.started_unix_ms) / 1000);
        writeln!(out, "# Comparison of MySQL and DynamoDB: {verdict}\n")?;
        writeln!(
            out,
            "- penstock {}, plan {}",
            self.penstock, self.plan_fingerprint
        )?;
        writeln!(out, "- compared: {}", self.scope())?;
        writeln!(
            out,
            "- items: {}; rows without a valid item: {}",
            self.items, self.rows_without_item
        )?;
        if let Some(seconds) = seconds {
            writeln!(out, "- took {seconds} s")?;
        }
        if self.resumed > 0 {
            writeln!(
                out,
                "- interrupted and gone on with: {} times; where another process had begun it, what was written meanwhile is \
                 not known, and a comparison in one go is still owed",
                self.resumed
            )?;
        }
        for (kind, count) in &self.mismatches {
            writeln!(out, "- {kind}: {count}")?;
        }
        if self.undecided > 0 {
            writeln!(
                out,
                "- undecided (written again and again): {}",
                self.undecided
            )?;
        }
        if self.disagrees > 0 {
            writeln!(
                out,
                "- **{} rows are evaluated otherwise by penstock than by MySQL**: please report this",
                self.disagrees
            )?;
        }
        if self.repaired > 0 {
            writeln!(
                out,
                "- repaired: {}; unproved until the next comparison",
                self.repaired
            )?;
        }
        for (table, count) in &self.foreign {
            writeln!(
                out,
                "- {table}: {count} items of others, which were left alone"
            )?;
        }
        writeln!(out, "\n| entity | items | differences |\n|---|---|---|")?;
        for (label, entity) in &self.entities {
            let kinds: Vec<_> = entity
                .mismatches
                .iter()
                .map(|(kind, n)| format!("{n} {kind}"))
                .collect();
            writeln!(out, "| {label} | {} | {} |", entity.items, kinds.join(", "))?;
        }
        if !self.findings.is_empty() {
            writeln!(
                out,
                "\n| kind | table | key | entity | row | attributes |\n|---|---|---|---|---|---|"
            )?;
        }
        for f in &self.findings {
            let kind = if f.undecided {
                "undecided"
            } else {
                f.kind.word()
            };
            writeln!(
                out,
                "| {kind} | {} | `{}` | {} | {} | {} |",
                f.table,
                f.key.to_string().replace('|', "\\|"),
                f.entity.as_deref().unwrap_or(""),
                f.source_key.as_deref().unwrap_or("").replace('|', "\\|"),
                f.attributes.join(", "),
            )?;
        }
        if self.more {
            writeln!(out, "\nFurther ones are counted above and not named.")?;
        }
        if self.known.0.len() >= MOST_KNOWN {
            writeln!(out, "\nThey are so many that some may be counted twice.")?;
        }
        Ok(())
    }

    fn scope(&self) -> String {
        let how = match &self.mode {
            Mode::Full => ", and a scan for extra items",
            Mode::Sample(_) => ", by chance",
            Mode::Entity(_) => ", without a scan for extra items",
            Mode::Keys => "",
        };
        self.mode.words() + how
    }
}

/// The key that a report names; `None` where it is none of the plan's.
pub fn name_of(plan: &Plan, finding: &Finding) -> Option<Name> {
    let target = plan.targets.iter().find(|t| t.name == finding.table)?;
    let mut writer = Writer::default();
    for attribute in [Some(&target.pk), target.sk.as_ref()].into_iter().flatten() {
        let text = finding.key.get(&attribute.name)?.to_string();
        Reader::new(text.as_bytes())
            .attribute(0, &mut writer)
            .ok()?;
    }
    Some((target.id, writer.bytes))
}

/// The key that the pipeline names; `None` where it is none of the table's.
pub fn name_of_wire(plan: &Plan, target: TargetId, key: &[u8]) -> Option<Name> {
    let table = plan.target(target);
    let (mut writer, mut pk, mut sk) = (Writer::default(), Vec::new(), Vec::new());
    let mut reader = Reader::new(key);
    let read = reader.attributes(0, &mut writer, |name, value| {
        if name == table.pk.name {
            pk = value.to_vec();
        } else {
            sk = value.to_vec();
        }
    });
    read.ok()?;
    pk.extend(sk);
    Some((target, pk))
}

/// An item as DynamoDB's JSON.
pub fn item_json(item: &[u8]) -> Value {
    let attributes = members(item).map(|(name, bytes)| (name.to_owned(), value_json(bytes)));
    Value::Object(attributes.collect::<Map<_, _>>())
}

fn value_json(bytes: &[u8]) -> Value {
    let Some((value, _)) = canonical::value(bytes) else {
        return Value::Null;
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let plain = |bytes: &[u8]| {
        let mut out = Vec::new();
        canonical::plain(bytes, &mut out);
        text(&out)
    };
    let set = |each: &dyn Fn(&[u8]) -> String| {
        canonical::set(value.payload).map(each).collect::<Vec<_>>()
    };
    match value.tag {
        Tag::S => json!({"S": text(value.payload)}),
        Tag::N => json!({"N": plain(value.payload)}),
        Tag::B => json!({"B": STANDARD.encode(value.payload)}),
        Tag::Bool => json!({"BOOL": value.payload == [1]}),
        Tag::Null => json!({"NULL": true}),
        Tag::M => json!({"M": item_json(value.payload)}),
        Tag::L => {
            json!({"L": canonical::values(value.payload).map(value_json).collect::<Vec<_>>()})
        }
        Tag::SS => json!({"SS": set(&text)}),
        Tag::NS => json!({"NS": set(&plain)}),
        Tag::BS => json!({"BS": set(&|bytes| STANDARD.encode(bytes))}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What differs may be everything: what is known of it has an end.
    #[test]
    fn what_is_counted_is_known_within_bounds() {
        let mut known = Known::default();
        let hash = |n: u32| {
            let mut hash = Hash::default();
            hash[..4].copy_from_slice(&n.to_le_bytes());
            hash
        };
        for n in 0..2 * MOST_KNOWN as u32 {
            assert!(known.add(hash(n)));
        }
        assert_eq!(known.0.len(), MOST_KNOWN);
        assert!(!known.add(hash(1)));
    }
}
