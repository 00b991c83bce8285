//! Named facts that belong to the checkpoint: what was proved, what is owed, what an operator decided.
//!
//! They lie under one entry of [`Checkpoint::other`], so each commit makes them durable together with the position: in
//! the store, in its mirror, and in the joins' state. A value is JSON and small: every commit writes all of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Kind, Result};

/// Where they lie in [`Checkpoint::other`].
const ENTRY: &str = "facts";

/// When a request last ended without an answer, in milliseconds since 1970.
pub const LOST: &str = "unanswered_unix_ms";

/// The facts of one run. Everybody sets them; the committer alone writes them.
#[derive(Debug)]
pub struct Facts {
    held: Mutex<Held>,
    /// The last version that is durable.
    durable: watch::Sender<Durable>,
    /// Somebody waits: the next commit is due now.
    wanted: Notify,
}

#[derive(Debug)]
struct Held {
    values: BTreeMap<String, Value>,
    /// Counts changes.
    version: u64,
}

#[derive(Debug, Clone, Copy)]
struct Durable {
    version: u64,
    /// Nothing is committed any more.
    ended: bool,
}

impl Facts {
    /// Those of a checkpoint.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let durable = Durable {
            version: 0,
            ended: false,
        };
        Self {
            held: Mutex::new(Held {
                values: stored(checkpoint),
                version: 0,
            }),
            durable: watch::channel(durable).0,
            wanted: Notify::new(),
        }
    }

    /// The value of this name; `None` where there is none.
    ///
    /// # Errors
    /// `Store` where it is there and has another shape.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let value = self.held().values.get(name).cloned();
        value.map(|value| decoded(name, value)).transpose()
    }

    /// Sets a value, with the next commit. One that is equal changes nothing.
    ///
    /// # Errors
    /// `Internal` where it has no form as JSON.
    pub fn set<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        self.change(name, Some(encoded(name, value)?));
        Ok(())
    }

    /// Sets a value to what comes of it, with the next commit; nobody else changes it meanwhile. Gives what it is now.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`set`](Self::set).
    pub fn update<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        change: impl FnOnce(Option<T>) -> T,
    ) -> Result<T> {
        let mut held = self.held();
        let before = held.values.get(name).cloned();
        let now = change(before.map(|value| decoded(name, value)).transpose()?);
        held.change(name, Some(encoded(name, &now)?));
        Ok(now)
    }

    /// Removes a value, with the next commit.
    pub fn remove(&self, name: &str) {
        self.change(name, None);
    }

    /// Sets a value; when this returns, it survives a power loss.
    ///
    /// # Errors
    /// As [`set`](Self::set); `Interrupted` where the daemon ends before it is committed.
    pub async fn set_durably<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        self.set(name, value)?;
        self.make_durable().await
    }

    /// Removes a value; when this returns, it is gone for good.
    ///
    /// # Errors
    /// `Interrupted` where the daemon ends before it is committed.
    pub async fn remove_durably(&self, name: &str) -> Result<()> {
        self.remove(name);
        self.make_durable().await
    }

    /// Waits until everything that has been set by now is committed.
    ///
    /// # Errors
    /// `Interrupted` where the daemon ends before that.
    pub async fn make_durable(&self) -> Result<()> {
        let version = self.held().version;
        let mut durable = self.durable.subscribe();
        self.wanted.notify_one();
        let done = durable.wait_for(|d| d.version >= version || d.ended).await;
        match done {
            Ok(durable) if durable.version >= version => Ok(()),
            _ => Err(Error::new(
                Kind::Interrupted,
                "the daemon ended before this was committed",
            )),
        }
    }

    /// Whether there is something to commit.
    pub(super) fn is_dirty(&self) -> bool {
        self.held().version > self.durable.borrow().version
    }

    /// Returns when somebody waits for the next commit.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Writes all of them into a checkpoint that is about to be committed, and tells which version that is.
    pub(super) fn write_to(&self, checkpoint: &mut Checkpoint) -> u64 {
        let held = self.held();
        write(&held.values, checkpoint);
        held.version
    }

    /// This version is durable.
    pub(super) fn committed(&self, version: u64) {
        self.durable.send_modify(|durable| {
            durable.version = durable.version.max(version);
        });
    }

    /// Nothing is committed any more: nobody need wait.
    pub(super) fn ended(&self) {
        self.durable.send_modify(|durable| durable.ended = true);
    }

    fn change(&self, name: &str, value: Option<Value>) {
        self.held().change(name, value);
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Whatever panicked, the values are whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn change(&mut self, name: &str, value: Option<Value>) {
        if self.values.get(name) == value.as_ref() {
            return;
        }
        match value {
            Some(value) => self.values.insert(name.to_owned(), value),
            None => self.values.remove(name),
        };
        self.version += 1;
    }
}

/// One fact of a checkpoint that no daemon is running on.
///
/// # Errors
/// `Store` where it is there and has another shape.
pub fn fact_of<T: DeserializeOwned>(checkpoint: &Checkpoint, name: &str) -> Result<Option<T>> {
    let value = stored(checkpoint).remove(name);
    value.map(|value| decoded(name, value)).transpose()
}

/// Sets (or removes) one fact of a checkpoint that no daemon is running on.
///
/// # Errors
/// `Internal` where the value has no form as JSON.
pub fn set_fact<T: Serialize>(
    checkpoint: &mut Checkpoint,
    name: &str,
    value: Option<&T>,
) -> Result<()> {
    let mut values = stored(checkpoint);
    match value {
        Some(value) => values.insert(name.to_owned(), encoded(name, value)?),
        None => values.remove(name),
    };
    write(&values, checkpoint);
    Ok(())
}

fn stored(checkpoint: &Checkpoint) -> BTreeMap<String, Value> {
    let entry = checkpoint.other.get(ENTRY).and_then(Value::as_object);
    entry
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn write(values: &BTreeMap<String, Value>, checkpoint: &mut Checkpoint) {
    if values.is_empty() {
        checkpoint.other.remove(ENTRY);
        return;
    }
    let entry = values.clone().into_iter().collect();
    checkpoint
        .other
        .insert(ENTRY.to_owned(), Value::Object(entry));
}

fn encoded<T: Serialize>(name: &str, value: &T) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|e| Error::new(Kind::Internal, format!("the fact {name} as JSON")).with_source(e))
}

fn decoded<T: DeserializeOwned>(name: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|_| {
        Error::new(
            Kind::Store,
            format!("the fact {name} of the checkpoint does not decode"),
        )
        .with_remedy("a newer penstock may have written it: run that version again")
    })
}

#[cfg(test)]
#[path = "tests/facts.rs"]
mod tests;
