//! What DynamoDB has: consistent reads by key, and a scan of the keys.

use std::ops::Range;
use std::time::{Duration, Instant};

use ahash::RandomState;
use aws_sdk_dynamodb::Client;
use bytes::Bytes;
use hashbrown::HashTable;

use super::canonical::{Invalid, Writer};
use super::json::Reader;
use super::rate::Limit;
use super::source::{wire_key, write_string};
use crate::error::{Error, Kind, Result};
use crate::plan::TargetTable;
use crate::sink::Wire;
use crate::sink::classify::{Failure, Meaning};

/// DynamoDB's limit of one BatchGetItem.
pub const MOST_KEYS: usize = 100;
/// A read unit is a consistent read of so many bytes.
const UNIT_BYTES: usize = 4096;
/// So long a target may refuse or be away.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Reads the target.
pub struct Target {
    wire: Wire,
    limit: Limit,
    /// Attributes of others.
    preserved: Vec<String>,
}

/// Items that were read. Everything is in one buffer.
#[derive(Debug, Default)]
pub struct Found {
    writer: Writer,
    items: Vec<(Range<usize>, Range<usize>)>,
    by_key: HashTable<usize>,
    hasher: RandomState,
}

/// A page of a scan.
#[derive(Debug)]
pub struct Page {
    pub keys: Vec<Vec<u8>>,
    /// Where the next page begins, as DynamoDB says it; `None` at the end.
    pub next: Option<Vec<u8>>,
}

impl Target {
    /// `units`: read units a second, or no limit.
    pub fn new(client: Client, units: Option<u64>) -> Self {
        Self {
            wire: Wire::new(client),
            limit: Limit::new(units),
            preserved: Vec::new(),
        }
    }

    /// Reads items as if they had no attributes of these names: they are somebody else's.
    pub fn without(self, preserved: Vec<String>) -> Self {
        Self { preserved, ..self }
    }

    /// The items of these keys, read consistently; each key once, [`MOST_KEYS`] at most.
    pub async fn get(&self, target: &TargetTable, keys: &[&[u8]]) -> Result<Found> {
        let mut found = Found::default();
        let mut request = b"{\"RequestItems\":{".to_vec();
        write_string(target.name.as_bytes(), &mut request);
        request.extend_from_slice(b":{\"ConsistentRead\":true,\"Keys\":[");
        for (nth, key) in keys.iter().enumerate() {
            if nth > 0 {
                request.push(b',');
            }
            wire_key(target, key, &mut request);
        }
        request.extend_from_slice(b"]}}}");
        let mut request = Bytes::from(request);
        let mut pause = Duration::from_millis(25);
        let begun = Instant::now();
        // An item that is not there costs a unit, too.
        self.limit.take(keys.len() as f64).await;
        loop {
            let answer = self.ask("BatchGetItem", request, begun).await?;
            let before = found.items.len();
            let left = found
                .take(target, &self.preserved, &answer)
                .map_err(|_| unreadable("BatchGetItem"))?;
            let more = found.items.get(before..).unwrap_or_default();
            let units: usize = more.iter().map(|(_, item)| item.len() / UNIT_BYTES).sum();
            self.limit.take(units as f64).await;
            let Some(left) = left else {
                return Ok(found);
            };
            if begun.elapsed() > PATIENCE {
                return Err(impatient("BatchGetItem left keys unprocessed"));
            }
            let mut again = b"{\"RequestItems\":".to_vec();
            again.extend_from_slice(&left);
            again.push(b'}');
            request = again.into();
            tokio::time::sleep(jitter(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A page of the table's keys, of one of `segments` parts.
    pub async fn scan(
        &self,
        target: &TargetTable,
        segment: usize,
        segments: usize,
        from: Option<&[u8]>,
    ) -> Result<Page> {
        let mut request = b"{\"TableName\":".to_vec();
        write_string(target.name.as_bytes(), &mut request);
        let names = match target.sk {
            Some(_) => "#p,#s",
            None => "#p",
        };
        request.extend_from_slice(
            format!(
                ",\"ConsistentRead\":true,\"ReturnConsumedCapacity\":\"TOTAL\",\"Segment\":{segment},\
                 \"TotalSegments\":{segments},\"ProjectionExpression\":\"{names}\",\"ExpressionAttributeNames\":{{\"#p\":"
            )
            .as_bytes(),
        );
        write_string(target.pk.name.as_bytes(), &mut request);
        if let Some(sk) = &target.sk {
            request.extend_from_slice(b",\"#s\":");
            write_string(sk.name.as_bytes(), &mut request);
        }
        request.push(b'}');
        if let Some(from) = from {
            request.extend_from_slice(b",\"ExclusiveStartKey\":");
            request.extend_from_slice(from);
        }
        request.push(b'}');
        let answer = self.ask("Scan", request.into(), Instant::now()).await?;
        let (page, units) = page(target, &answer).map_err(|_| unreadable("Scan"))?;
        self.limit.take(units).await;
        Ok(page)
    }

    /// Asks until there is an answer; reading changes nothing, so that any failure but a final one is tried again.
    async fn ask(&self, operation: &'static str, body: Bytes, begun: Instant) -> Result<Bytes> {
        let mut pause = Duration::from_millis(25);
        loop {
            let failure: Failure = match self.wire.ask(operation, body.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            match failure.meaning {
                Meaning::Throttled | Meaning::NotWritten | Meaning::Unknown
                    if begun.elapsed() < PATIENCE => {}
                _ => return Err(failure.error),
            }
            tokio::time::sleep(jitter(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Found {
    /// The item of this key.
    pub fn item(&self, key: &[u8]) -> Option<&[u8]> {
        let hash = self.hasher.hash_one(key);
        let at = self.by_key.find(hash, |at| self.key(*at) == key)?;
        let (_, item) = self.items.get(*at)?;
        self.writer.bytes.get(item.clone())
    }

    fn key(&self, at: usize) -> &[u8] {
        let key = self.items.get(at).map(|(key, _)| key.clone());
        key.and_then(|key| self.writer.bytes.get(key))
            .unwrap_or_default()
    }

    /// Takes the items of an answer; what is left is to be asked for again.
    fn take(
        &mut self,
        target: &TargetTable,
        preserved: &[String],
        answer: &[u8],
    ) -> Result<Option<Vec<u8>>, Invalid> {
        let mut reader = Reader::new(answer);
        let mut left = None;
        reader.expect(b'{')?;
        let mut first = true;
        while reader.more(first, b'}')? {
            first = false;
            let name = reader.string()?;
            reader.expect(b':')?;
            match &*name {
                "Responses" => {
                    reader.expect(b'{')?;
                    let mut first = true;
                    while reader.more(first, b'}')? {
                        first = false;
                        reader.string()?;
                        reader.expect(b':')?;
                        self.items(target, preserved, &mut reader)?;
                    }
                }
                "UnprocessedKeys" => {
                    let keys = reader.skip()?;
                    if keys.contains(&b'"') {
                        left = Some(keys.to_vec());
                    }
                }
                _ => {
                    reader.skip()?;
                }
            }
        }
        Ok(left)
    }

    fn items(
        &mut self,
        target: &TargetTable,
        preserved: &[String],
        reader: &mut Reader<'_>,
    ) -> Result<(), Invalid> {
        reader.expect(b'[')?;
        let mut first = true;
        let mut key = KeyOf::default();
        while reader.more(first, b']')? {
            first = false;
            let start = self.writer.start();
            key.read(target, preserved, reader, &mut self.writer)?;
            let item = start..self.writer.bytes.len();
            let at = item.end;
            self.writer.bytes.extend_from_slice(&key.pk);
            self.writer.bytes.extend_from_slice(&key.sk);
            let range = at..self.writer.bytes.len();
            let hash = self
                .hasher
                .hash_one(self.writer.bytes.get(range.clone()).ok_or(Invalid)?);
            let index = self.items.len();
            self.items.push((range, item));
            let (items, bytes, hasher) = (&self.items, &self.writer.bytes, &self.hasher);
            self.by_key.insert_unique(hash, index, |at| {
                let key = items.get(*at).and_then(|(key, _)| bytes.get(key.clone()));
                hasher.hash_one(key.unwrap_or_default())
            });
        }
        Ok(())
    }
}

/// The key's values of the item at hand.
#[derive(Default)]
struct KeyOf {
    pk: Vec<u8>,
    sk: Vec<u8>,
}

impl KeyOf {
    fn read(
        &mut self,
        target: &TargetTable,
        preserved: &[String],
        reader: &mut Reader<'_>,
        out: &mut Writer,
    ) -> Result<(), Invalid> {
        self.pk.clear();
        self.sk.clear();
        reader.attributes_but(preserved, 0, out, |name, value| {
            if name == target.pk.name {
                self.pk.extend_from_slice(value);
            } else if target.sk.as_ref().is_some_and(|sk| name == sk.name) {
                self.sk.extend_from_slice(value);
            }
        })
    }
}

fn page(target: &TargetTable, answer: &[u8]) -> Result<(Page, f64), Invalid> {
    let mut reader = Reader::new(answer);
    let mut page = Page {
        keys: Vec::new(),
        next: None,
    };
    let mut units = None;
    let mut writer = Writer::default();
    let mut key = KeyOf::default();
    reader.expect(b'{')?;
    let mut first = true;
    while reader.more(first, b'}')? {
        first = false;
        let name = reader.string()?;
        reader.expect(b':')?;
        match &*name {
            "Items" => {
                reader.expect(b'[')?;
                let mut first = true;
                while reader.more(first, b']')? {
                    first = false;
                    writer.bytes.clear();
                    key.read(target, &[], &mut reader, &mut writer)?;
                    page.keys.push([key.pk.as_slice(), &key.sk].concat());
                }
            }
            "LastEvaluatedKey" => {
                let next = reader.skip()?;
                page.next = next.contains(&b'"').then(|| next.to_vec());
            }
            "ConsumedCapacity" => {
                let told: serde_json::Value =
                    serde_json::from_slice(reader.skip()?).map_err(|_| Invalid)?;
                units = told["CapacityUnits"].as_f64();
            }
            _ => {
                reader.skip()?;
            }
        }
    }
    // Where it is not told: a page is up to 1 MB.
    let guess = page.keys.len() as f64 / 4.0;
    Ok((page, units.unwrap_or(guess)))
}

fn jitter(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64())
}

fn unreadable(operation: &str) -> Error {
    Error::new(
        Kind::TargetProtocol,
        format!("{operation}: the answer is not what DynamoDB answers"),
    )
}

fn impatient(what: &str) -> Error {
    Error::new(
        Kind::TargetUnavailable,
        format!("{what} for {} minutes", PATIENCE.as_secs() / 60),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::model::AttributeType;
    use crate::plan::{KeyAttribute, TargetId};
    use crate::verify::canonical::{Tag, members};

    fn target() -> TargetTable {
        TargetTable {
            id: TargetId(0),
            name: "T".into(),
            pk: KeyAttribute {
                name: "PK".into(),
                ty: AttributeType::S,
            },
            sk: Some(KeyAttribute {
                name: "SK".into(),
                ty: AttributeType::N,
            }),
            gsis: Vec::new(),
            place: crate::contract::Place {
                span: 0..0,
                pointer: "".into(),
            },
        }
    }

    fn key(pk: &str, sk: &str) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.text(Tag::S, pk.as_bytes());
        writer.number(sk.as_bytes()).unwrap();
        writer.bytes
    }

    #[test]
    fn items_are_found_by_their_keys() {
        let mut found = Found::default();
        let answer = br#"{"Responses":{"T":[{"SK":{"N":"1.0"},"PK":{"S":"a"},"x":{"S":"1"}},{"PK":{"S":"b"},"SK":{"N":"2"}}]},
            "UnprocessedKeys":{"T":{"Keys":[{"PK":{"S":"c"},"SK":{"N":"3"}}]}}}"#;
        let left = found.take(&target(), &[], answer).unwrap().unwrap();
        assert!(left.starts_with(br#"{"T":{"Keys""#));
        let item = found.item(&key("a", "1")).unwrap();
        let names: Vec<_> = members(item).map(|(name, _)| name).collect();
        assert_eq!(names, ["x", "PK", "SK"]);
        assert!(found.item(&key("b", "2.00")).is_some());
        assert!(found.item(&key("c", "3")).is_none());
        let nothing = br#"{"Responses":{},"UnprocessedKeys":{}}"#;
        assert_eq!(found.take(&target(), &[], nothing), Ok(None));
        assert!(found.take(&target(), &[], b"<html>").is_err());
    }

    #[test]
    fn a_page_tells_keys_and_where_to_go_on() {
        let answer = br#"{"Count":1,"Items":[{"PK":{"S":"a"},"SK":{"N":"1"}}],"LastEvaluatedKey":{"PK":{"S":"a"},"SK":{"N":"1"}},
            "ConsumedCapacity":{"CapacityUnits":2.5}}"#;
        let (page, units) = page(&target(), answer).unwrap();
        assert_eq!(page.keys, [key("a", "1")]);
        assert_eq!(
            page.next.as_deref(),
            Some(&br#"{"PK":{"S":"a"},"SK":{"N":"1"}}"#[..])
        );
        assert_eq!(units, 2.5);
    }
}
