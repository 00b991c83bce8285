//! How far the stream has come: GTIDs, sets of them, and the position that a checkpoint holds.
//!
//! Pure: the text form is MySQL's (`@@gtid_executed`), tags of MySQL 8.3 and later included.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The greatest transaction number that MySQL gives out, 2^63 - 2.
pub const MAX_NUMBER: u64 = i64::MAX as u64 - 1;

/// A GTID's tag: a letter or `_`, then letters, digits and `_`, at most 32 characters, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

impl Tag {
    /// A tag from its text; upper case is lowered, as MySQL does.
    pub fn new(text: &str) -> Result<Self, ParseError> {
        let lower = text.to_ascii_lowercase();
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let starts_well = lower.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        if lower.len() > 32 || !starts_well || !lower.chars().all(legal) {
            return Err(ParseError::new(text, "is not a GTID tag"));
        }
        Ok(Self(lower.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One transaction's identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gtid {
    /// The server where the transaction was committed first.
    pub uuid: [u8; 16],
    pub tag: Option<Tag>,
    /// 1 to [`MAX_NUMBER`].
    pub number: u64,
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(f, &self.uuid)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{}", tag.as_str())?;
        }
        write!(f, ":{}", self.number)
    }
}

/// What has been executed or received: intervals of transaction numbers by server UUID and tag.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GtidSet {
    /// No entry is empty; `None` sorts before any tag, which is MySQL's order too.
    sources: BTreeMap<[u8; 16], BTreeMap<Option<Tag>, Intervals>>,
}

/// Numbers from `start` to `end`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    pub start: u64,
    pub end: u64,
}

impl GtidSet {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Adds one transaction; says whether it was new. A number that no transaction can have is not added.
    pub fn add(&mut self, gtid: &Gtid) -> bool {
        if !(1..=MAX_NUMBER).contains(&gtid.number) {
            return false;
        }
        if let Some(intervals) = self
            .sources
            .get_mut(&gtid.uuid)
            .and_then(|tags| tags.get_mut(&gtid.tag))
        {
            return intervals.add(gtid.number);
        }
        self.sources
            .entry(gtid.uuid)
            .or_default()
            .entry(gtid.tag.clone())
            .or_default()
            .add(gtid.number)
    }

    /// Adds the numbers `start` to `end`, both included; an empty range adds nothing, nor do numbers that no
    /// transaction can have.
    pub fn add_interval(&mut self, uuid: [u8; 16], tag: Option<Tag>, start: u64, end: u64) {
        let (start, end) = (start.max(1), end.min(MAX_NUMBER));
        if start > end {
            return;
        }
        self.sources
            .entry(uuid)
            .or_default()
            .entry(tag)
            .or_default()
            .add_range(start, end);
    }

    pub fn contains(&self, gtid: &Gtid) -> bool {
        self.intervals(&gtid.uuid, &gtid.tag)
            .is_some_and(|i| i.contains(gtid.number))
    }

    /// Whether every transaction of this set is in `other` (MySQL's GTID_SUBSET).
    pub fn is_subset(&self, other: &GtidSet) -> bool {
        self.iter().all(|(uuid, tag, interval)| {
            other
                .intervals(uuid, tag)
                .is_some_and(|i| i.covers(interval))
        })
    }

    /// Adds all of `other`.
    pub fn union(&mut self, other: &GtidSet) {
        for (uuid, tag, interval) in other.iter() {
            self.add_interval(*uuid, tag.clone(), interval.start, interval.end);
        }
    }

    /// What is in this set and not in `other` (MySQL's GTID_SUBTRACT).
    pub fn difference(&self, other: &GtidSet) -> GtidSet {
        let mut rest = GtidSet::new();
        for (uuid, tag, interval) in self.iter() {
            let holes = other.intervals(uuid, tag).map_or(&[][..], |i| &i.0);
            let mut next = interval.start;
            for hole in holes.iter().filter(|h| h.end >= interval.start) {
                if hole.start > interval.end {
                    break;
                }
                if hole.start > next {
                    rest.add_interval(*uuid, tag.clone(), next, hole.start - 1);
                }
                next = next.max(hole.end.saturating_add(1));
            }
            rest.add_interval(*uuid, tag.clone(), next, interval.end);
        }
        rest
    }

    /// How many transactions the set holds.
    pub fn count(&self) -> u64 {
        self.iter()
            .fold(0, |sum, (_, _, i)| sum.saturating_add(i.end - i.start + 1))
    }

    /// All intervals, ordered by UUID, tag and number.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8; 16], &Option<Tag>, Interval)> {
        self.sources.iter().flat_map(|(uuid, tags)| {
            tags.iter()
                .flat_map(move |(tag, intervals)| intervals.0.iter().map(move |i| (uuid, tag, *i)))
        })
    }

    /// Whether any of its GTIDs has a tag.
    pub fn is_tagged(&self) -> bool {
        self.sources
            .values()
            .any(|tags| tags.keys().any(Option::is_some))
    }

    fn intervals(&self, uuid: &[u8; 16], tag: &Option<Tag>) -> Option<&Intervals> {
        self.sources.get(uuid)?.get(tag)
    }
}

/// Disjoint, ascending, never adjacent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Intervals(Vec<Interval>);

impl Intervals {
    fn add(&mut self, number: u64) -> bool {
        // The stream's case: the next number of the last interval.
        if let Some(last) = self.0.last_mut()
            && last.end.checked_add(1) == Some(number)
        {
            last.end = number;
            return true;
        }
        if self.contains(number) {
            return false;
        }
        self.add_range(number, number);
        true
    }

    fn add_range(&mut self, start: u64, end: u64) {
        // The first interval that touches the new one, and the first behind it that does not.
        let from = self.0.partition_point(|i| i.end.saturating_add(1) < start);
        let to = self.0.partition_point(|i| i.start <= end.saturating_add(1));
        let touched = self.0.get(from..to).unwrap_or_default();
        let merged = Interval {
            start: touched.first().map_or(start, |i| i.start.min(start)),
            end: touched.last().map_or(end, |i| i.end.max(end)),
        };
        self.0.splice(from..to.max(from), [merged]);
    }

    fn covers(&self, interval: Interval) -> bool {
        let at = self.0.partition_point(|i| i.end < interval.start);
        self.0
            .get(at)
            .is_some_and(|i| i.start <= interval.start && interval.end <= i.end)
    }

    fn contains(&self, number: u64) -> bool {
        self.covers(Interval {
            start: number,
            end: number,
        })
    }
}

/// MySQL's canonical text, in one line: `uuid:1-5:7:tag:1-3,uuid:1`.
impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (uuid, tags)) in self.sources.iter().enumerate() {
            if nth > 0 {
                f.write_str(",")?;
            }
            write_uuid(f, uuid)?;
            for (tag, intervals) in tags {
                if let Some(tag) = tag {
                    write!(f, ":{}", tag.as_str())?;
                }
                for interval in &intervals.0 {
                    write!(f, ":{}", interval.start)?;
                    if interval.end > interval.start {
                        write!(f, "-{}", interval.end)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Why a text is not a GTID set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {reason}")]
pub struct ParseError {
    text: String,
    reason: &'static str,
}

impl ParseError {
    fn new(text: &str, reason: &'static str) -> Self {
        let text = text.chars().take(80).collect();
        Self { text, reason }
    }
}

/// Reads what MySQL prints and accepts: white space anywhere, any order, overlapping intervals, `1-5:3-9`.
impl FromStr for GtidSet {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut set = GtidSet::new();
        for entry in text.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            let mut parts = entry.split(':').map(str::trim);
            let uuid = parse_uuid(parts.next().unwrap_or_default())?;
            let mut tag = None;
            for part in parts {
                if part.starts_with(|c: char| c.is_ascii_digit()) {
                    let (start, end) = parse_interval(part)?;
                    set.add_interval(uuid, tag.clone(), start, end);
                } else {
                    tag = Some(Tag::new(part)?);
                }
            }
        }
        Ok(set)
    }
}

fn parse_interval(part: &str) -> Result<(u64, u64), ParseError> {
    let number = |text: &str| {
        text.trim()
            .parse::<u64>()
            .ok()
            .filter(|n| (1..=MAX_NUMBER).contains(n))
            .ok_or_else(|| ParseError::new(part, "is not an interval of transaction numbers"))
    };
    match part.split_once('-') {
        Some((start, end)) => Ok((number(start)?, number(end)?)),
        None => number(part).map(|n| (n, n)),
    }
}

/// A UUID from its text, with or without hyphens.
pub fn parse_uuid(text: &str) -> Result<[u8; 16], ParseError> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let mut uuid = [0; 16];
    hex::decode_to_slice(&digits, &mut uuid)
        .map_err(|_| ParseError::new(text, "is not the UUID of a server"))?;
    Ok(uuid)
}

/// A UUID's text, lower case with hyphens.
pub fn format_uuid(uuid: &[u8; 16]) -> String {
    let text = hex::encode(uuid);
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    let parts: Vec<&str> = parts.into_iter().filter_map(|r| text.get(r)).collect();
    parts.join("-")
}

fn write_uuid(f: &mut fmt::Formatter<'_>, uuid: &[u8; 16]) -> fmt::Result {
    f.write_str(&format_uuid(uuid))
}

impl Serialize for GtidSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GtidSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A position in the binlog. Opaque outside `source`: it only moves at the ends of transactions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    pub gtids: GtidSet,
    /// For people, and to tell how much of the binlog is still to come; not used to resume.
    pub file: String,
    /// Counted in 64 bits: event headers wrap at 4 GiB.
    pub offset: u64,
}

#[cfg(test)]
mod tests;
