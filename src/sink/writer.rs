//! One attempt at a batch: the request, and what its answer says about each item.

use std::time::Instant;

use aws_sdk_dynamodb::Client;

use super::answer::Unprocessed;
use super::classify::{Failure, Meaning};
use super::connection::Rooms;
use super::meters::{Meters, Stats};
use super::rate::Rate;
use super::wire::Wire;
use super::{body, keys, update};
use crate::error::{Error, Kind, Result};
use crate::pipeline::{Action, Batch, Fate, Mutation, Outcome, Writer};
use crate::plan::{Plan, TargetId};

/// A DynamoDB table as the writer needs it.
#[derive(Debug, Clone)]
pub struct Table {
    /// As a JSON string, ready for a request.
    quoted: String,
    name: String,
    /// Names of the key attributes: the partition key's, then the sort key's if there is one.
    keys: Vec<String>,
    /// Where attributes of others stay: the names of all attributes that the contract gives the table's items.
    updates: Option<Vec<String>>,
}

/// Items of one batch that are written at the same time where each takes a request of its own.
const AT_A_TIME: usize = 8;

/// Writes batches to DynamoDB.
pub struct DynamoWriter {
    wire: Wire,
    rooms: Rooms,
    /// By the target's id, as `rates`.
    tables: Vec<Table>,
    rates: Vec<Rate>,
    meters: Meters,
}

impl Table {
    pub fn new(name: &str, partition_key: &str, sort_key: Option<&str>) -> Self {
        Self {
            quoted: serde_json::Value::from(name).to_string(),
            name: name.to_owned(),
            keys: std::iter::once(partition_key)
                .chain(sort_key)
                .map(str::to_owned)
                .collect(),
            updates: None,
        }
    }

    /// All targets of a plan, in the order of their ids.
    pub fn all(plan: &Plan) -> Vec<Self> {
        plan.targets
            .iter()
            .map(|target| {
                let sort_key = target.sk.as_ref().map(|sk| sk.name.as_str());
                let keeps = !plan.settings.preserve.is_empty();
                Self {
                    updates: keeps.then(|| plan.attribute_names(target.id)),
                    ..Self::new(&target.name, &target.pk.name, sort_key)
                }
            })
            .collect()
    }

    pub(super) fn is_key(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key == name)
    }

    pub(super) fn quoted_name(&self) -> &str {
        &self.quoted
    }
}

impl DynamoWriter {
    /// `tables` in the order of the targets' ids; `client` must not retry by itself (see [`super::connect`]).
    pub fn new(client: Client, tables: Vec<Table>) -> Self {
        let now = Instant::now();
        Self {
            wire: Wire::new(client),
            rooms: Rooms::default(),
            rates: tables.iter().map(|_| Rate::new(now)).collect(),
            meters: Meters::new(tables.iter().map(|table| table.name.as_str())),
            tables,
        }
    }

    pub fn stats(&self) -> Stats {
        self.meters.stats()
    }

    /// For each table that is held back: its name and the write units a second that it may have.
    pub fn limits(&self) -> Vec<(String, f64)> {
        let tables = self.tables.iter().zip(&self.rates);
        tables
            .filter_map(|(table, rate)| Some((table.name.clone(), rate.limit()?)))
            .collect()
    }

    /// Sends `writes` in one request; the indexes of those that DynamoDB left unprocessed.
    async fn send(&self, writes: &[&Mutation]) -> Result<Vec<usize>, Failure> {
        let mut room = self.rooms.take();
        body::batch_write(&self.tables, writes, &mut room.body);
        let length = room.body.len();
        let started = Instant::now();
        let answer = self.wire.send(&mut room).await;
        self.rooms.give_back(room);
        let left = answer
            .and_then(|answer| self.left(&answer, writes))
            .map_err(|failure| self.naming_tables(failure, writes));
        let ended = left.as_ref().map(Vec::len);
        self.meters.request(length, started.elapsed(), ended);
        left
    }

    /// DynamoDB does not say which table it does not have.
    fn naming_tables(&self, failure: Failure, writes: &[&Mutation]) -> Failure {
        if failure.error.kind() != Kind::TargetTable {
            return failure;
        }
        let of_request = |(index, _): &(usize, &Table)| {
            let index = *index;
            writes.iter().any(|w| usize::from(w.target.0) == index)
        };
        let tables = self.tables.iter().enumerate().filter(of_request);
        let names: Vec<&str> = tables.map(|(_, table)| table.name.as_str()).collect();
        let which = match names[..] {
            [name] => format!("table {name}"),
            _ => format!("one of the tables {}", names.join(", ")),
        };
        let message = format!("{which}: {}", failure.error.message());
        Failure {
            error: Error::new(Kind::TargetTable, message),
            ..failure
        }
    }

    /// The indexes of the writes that came back.
    fn left(&self, answer: &Unprocessed, writes: &[&Mutation]) -> Result<Vec<usize>, Failure> {
        let tables = &answer.tables;
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        let sent: Vec<_> = writes.iter().map(|w| keys::of_json(&w.key.0)).collect();
        let mut unprocessed = Vec::new();
        for (name, requests) in tables {
            let is_table = |target: TargetId| {
                self.tables
                    .get(usize::from(target.0))
                    .filter(|table| table.name == *name)
            };
            let names = writes
                .iter()
                .find_map(|w| is_table(w.target))
                .map(|t| &t.keys);
            for request in requests {
                let key = names.and_then(|names| keys::of_write(request, names));
                let index = writes.iter().zip(&sent).position(|(write, sent)| {
                    is_table(write.target).is_some() && sent.is_some() && *sent == key
                });
                let Some(index) = index else {
                    return Err(Failure::protocol(format!(
                        "BatchWriteItem: table {name} answers with an unprocessed item that was not sent"
                    )));
                };
                unprocessed.push(index);
            }
        }
        Ok(unprocessed)
    }

    /// Holds back until the tables' rates allow the batch.
    async fn wait_for_turn(&self, batch: &Batch) {
        let now = Instant::now();
        let mut wait = std::time::Duration::ZERO;
        for (index, rate) in self.rates.iter().enumerate() {
            let units: f64 = of_table(batch, index).map(|(_, write)| units(write)).sum();
            if units > 0.0 {
                wait = wait.max(rate.book(units, now));
            }
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Tells the rates which writes were taken and which were throttled.
    fn record(&self, batch: &Batch, throttled: impl Fn(usize) -> bool) {
        let now = Instant::now();
        for (index, rate) in self.rates.iter().enumerate() {
            let (mut taken, mut refused) = (0.0, 0.0);
            for (position, write) in of_table(batch, index) {
                if throttled(position) {
                    refused += units(write);
                } else {
                    taken += units(write);
                }
            }
            if taken + refused > 0.0 {
                let limit = rate.record(taken, refused, now);
                self.meters.rate(index, limit);
            }
        }
    }

    fn written(&self, batch: &Batch, unprocessed: &[usize]) -> Outcome {
        self.record(batch, |index| unprocessed.contains(&index));
        let mut fates = vec![Fate::Written; batch.writes.len()];
        for &index in unprocessed {
            if let Some(fate) = fates.get_mut(index) {
                *fate = Fate::NotWritten;
            }
        }
        self.count_written(batch, &fates);
        Outcome {
            fates,
            trouble: None,
        }
    }

    fn count_written(&self, batch: &Batch, fates: &[Fate]) {
        for table in 0..self.tables.len() {
            let fate = |position: usize| fates.get(position);
            let written = of_table(batch, table)
                .filter(|(position, _)| fate(*position) == Some(&Fate::Written))
                .map(|(_, write)| write);
            let left = of_table(batch, table)
                .filter(|(position, _)| fate(*position) == Some(&Fate::NotWritten))
                .count();
            self.meters.items(table, written, left as u64);
        }
    }

    /// Each item by itself, some at a time: where something in the batch is not acceptable, so that the others go on, and
    /// where items are updated, which no request does for several.
    async fn one_by_one(&self, batch: &Batch) -> Result<Outcome> {
        let mut fates = Vec::with_capacity(batch.writes.len());
        let mut trouble = None;
        for writes in batch.writes.chunks(AT_A_TIME) {
            if trouble.is_some() {
                // In trouble with the connection or the rate: the rest comes again later.
                fates.extend(writes.iter().map(|_| Fate::NotWritten));
                continue;
            }
            let each = writes.iter().map(|write| self.alone(write));
            for ended in futures_util::future::join_all(each).await {
                let (fate, error) = ended?;
                if fate == Fate::NotWritten || fate == Fate::Unknown {
                    let left = || Error::new(Kind::TargetUnavailable, "item left unprocessed");
                    trouble = Some(error.unwrap_or_else(left));
                }
                fates.push(fate);
            }
        }
        self.record(batch, |index| fates.get(index) == Some(&Fate::NotWritten));
        self.count_written(batch, &fates);
        Ok(Outcome { fates, trouble })
    }

    async fn alone(&self, write: &Mutation) -> Result<(Fate, Option<Error>)> {
        let sent = match self.update(write) {
            Some(body) => self.send_update(write, body?).await,
            None => self.send(&[write]).await,
        };
        match sent {
            Ok(unprocessed) if unprocessed.is_empty() => Ok((Fate::Written, None)),
            Ok(_) => Ok((Fate::NotWritten, None)),
            Err(failure) if failure.meaning == Meaning::Invalid => {
                self.reject(write, failure.reason).await
            }
            Err(failure) => self.fate(failure),
        }
    }

    /// The update that a put is where attributes of others stay.
    fn update(&self, write: &Mutation) -> Option<Result<Vec<u8>>> {
        let table = self.tables.get(usize::from(write.target.0))?;
        let names = table.updates.as_ref()?;
        let Action::Put { item, .. } = &write.action else {
            return None;
        };
        let body = update::update_item(table, names, &write.key.0, item);
        Some(body.ok_or_else(|| Error::new(Kind::Internal, "an item that is no JSON object")))
    }

    /// Nothing comes back unprocessed from an update.
    async fn send_update(&self, write: &Mutation, body: Vec<u8>) -> Result<Vec<usize>, Failure> {
        let length = body.len();
        let started = Instant::now();
        let answer = self.wire.ask("UpdateItem", body.into()).await;
        let left = answer
            .map(|_| Vec::new())
            .map_err(|failure| self.naming_tables(failure, &[write]));
        let ended = left.as_ref().map(Vec::len);
        self.meters.request(length, started.elapsed(), ended);
        left
    }

    /// A row without a valid item has no item: what its key held before is deleted.
    async fn reject(&self, write: &Mutation, reason: String) -> Result<(Fate, Option<Error>)> {
        if matches!(write.action, Action::Put { .. }) {
            let delete = Mutation {
                action: Action::Delete,
                ..write.clone()
            };
            match self.send(&[&delete]).await {
                Ok(unprocessed) if !unprocessed.is_empty() => return Ok((Fate::NotWritten, None)),
                Ok(_) => {}
                // A key that cannot be deleted cannot be held by an item either.
                Err(failure) if failure.meaning == Meaning::Invalid => {}
                Err(failure) => return self.fate(failure),
            }
        }
        self.meters.rejected();
        Ok((Fate::Rejected(reason), None))
    }

    fn fate(&self, failure: Failure) -> Result<(Fate, Option<Error>)> {
        match failure.meaning {
            Meaning::Throttled => {
                self.meters.throttled_request();
                Ok((Fate::NotWritten, Some(failure.error)))
            }
            Meaning::NotWritten => Ok((Fate::NotWritten, Some(failure.error))),
            Meaning::Unknown => {
                self.meters.unknown_request();
                Ok((Fate::Unknown, Some(failure.error)))
            }
            Meaning::Invalid | Meaning::Fatal(_) => Err(failure.error),
        }
    }
}

impl Writer for DynamoWriter {
    async fn write(&self, batch: &Batch) -> Result<Outcome> {
        self.wait_for_turn(batch).await;
        if self.tables.iter().any(|table| table.updates.is_some()) {
            return self.one_by_one(batch).await;
        }
        let writes: Vec<&Mutation> = batch.writes.iter().collect();
        match self.send(&writes).await {
            Ok(unprocessed) => Ok(self.written(batch, &unprocessed)),
            Err(failure) if failure.meaning == Meaning::Invalid => self.one_by_one(batch).await,
            Err(failure) => {
                if failure.meaning == Meaning::Throttled {
                    self.record(batch, |_| true);
                    for table in 0..self.tables.len() {
                        if of_table(batch, table).next().is_some() {
                            self.meters.throttled(table);
                        }
                    }
                }
                let (fate, trouble) = self.fate(failure)?;
                Ok(Outcome::all(batch, &fate, trouble))
            }
        }
    }

    fn superseded(&self, target: TargetId) {
        self.meters.coalesced(usize::from(target.0));
    }
}

fn of_table(batch: &Batch, index: usize) -> impl Iterator<Item = (usize, &Mutation)> {
    let writes = batch.writes.iter().enumerate();
    writes.filter(move |(_, write)| usize::from(write.target.0) == index)
}

/// Write units of a mutation: one for each KB begun. A delete costs what its item was, which we do not know.
fn units(write: &Mutation) -> f64 {
    match &write.action {
        Action::Put { size, .. } => size.div_ceil(1024).max(1) as f64,
        Action::Delete => 1.0,
    }
}
