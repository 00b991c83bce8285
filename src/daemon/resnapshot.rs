//! One table copied again while the rest goes on.
//!
//! The table counts as not copied from the moment that it is asked for: its chunks are read beside the stream, nothing of it
//! is suppressed meanwhile, and a restart goes on at its cursors, as in the first copy. Then the rows that only the state
//! has are looked for, page by page. What that cannot find are items that no row explains and no state knows: a full
//! comparison is owed afterwards, and begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::rows::Rows;
use super::shared::Shared;
use super::start::{report, until};
use super::verifier::owe;
use crate::admin::Peer;
use crate::admin::control::Again;
use crate::admin::verify::{Bench, Order};
use crate::checkpoint::now_unix_ms;
use crate::error::{Directive, Error, Kind, Result};
use crate::phase::Phase;
use crate::plan::SourceTable;
use crate::source::snapshot::Worker;
use crate::verify::Owed;
use crate::verify::report::Mode;

/// The fact of the checkpoint: the tables under way, by name.
const FACT: &str = "resnapshot";

/// How often the end of the copy is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// When MySQL cannot be read, so long until the next attempt.
const PAUSE: Duration = Duration::from_secs(2);
/// Rows of the state that are looked for together: each page waits for the stream, so that small ones make a slow sweep.
const PAGE: usize = 4_000;

/// A table under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct UnderWay {
    since_unix_ms: u64,
    by: String,
    step: Step,
    /// How far the sweep has come, in hexadecimal.
    #[serde(default)]
    swept: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// The cursors still say that it is copied.
    Asked,
    Copy,
    Sweep,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Asked | Step::Copy => "copy",
            Step::Sweep => "sweep",
        }
    }
}

type All = BTreeMap<String, UnderWay>;

/// The workers of snapshots.
pub struct Workers {
    pub worker: Worker,
    pub count: usize,
    pub reading: CancellationToken,
    pub failed: mpsc::UnboundedSender<Error>,
}

impl Workers {
    /// Starts them; they end when every table is copied.
    pub fn spawn(&self) {
        for _ in 0..self.count.max(1) {
            let work = report(self.failed.clone(), self.worker.clone().run());
            tokio::spawn(until(self.reading.clone(), work));
        }
    }
}

/// Tables copied again, of one daemon.
pub struct Resnapshot {
    shared: Arc<Shared>,
    rows: Arc<Rows>,
    bench: Arc<dyn Bench>,
    workers: OnceLock<Workers>,
    begun: Notify,
}

impl Resnapshot {
    /// Goes on with what an earlier run has begun.
    ///
    /// # Errors
    /// `Store` where that cannot be read.
    pub fn new(shared: Arc<Shared>, rows: Arc<Rows>, bench: Arc<dyn Bench>) -> Result<Self> {
        let again = Self {
            shared,
            rows,
            bench,
            workers: OnceLock::new(),
            begun: Notify::new(),
        };
        for (name, under_way) in again.all()? {
            let table = again.table(&name)?;
            tracing::info!(table = %table.name, by = under_way.by, "the table is being copied again");
            if under_way.step == Step::Asked {
                again.shared.progress.copy_again(table.id);
            }
        }
        again.begun.notify_one();
        Ok(again)
    }

    /// To be called once, when the flow runs.
    pub fn copies_with(&self, workers: Workers) {
        if !self.shared.progress.all_complete() {
            workers.spawn();
        }
        let _ = self.workers.set(workers);
    }

    /// Begins; returns when a restart would go on with it.
    ///
    /// # Errors
    /// `Usage` for a table that the contract does not read, and where something stands against it now; `Unsupported` where
    /// rows of it change without a word in the binlog.
    pub async fn begin(&self, table: &str, by: String) -> Result<String> {
        let table = self.table(table)?;
        self.may_begin(table)?;
        let workers = self
            .workers
            .get()
            .ok_or_else(|| not_now("penstock is starting"))?;
        let name = table.name.to_string();
        self.owe().await?;
        let mut under_way = UnderWay {
            since_unix_ms: now_unix_ms(),
            by,
            step: Step::Asked,
            swept: None,
        };
        self.set(&name, under_way.clone()).await?;
        self.shared.progress.copy_again(table.id);
        // The commit of this has the cursors that begin anew.
        under_way.step = Step::Copy;
        self.set(&name, under_way).await?;
        if self.shared.phase().is_streaming() {
            self.shared.enter(Phase::Snapshot);
        }
        tracing::info!(table = %table.name, "the table is copied again");
        workers.spawn();
        self.begun.notify_one();
        Ok(name)
    }

    /// The tables under way.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn progress(&self) -> Result<Vec<Again>> {
        let tables = self.shared.progress.tables();
        let again = self.all()?.into_iter().map(|(name, under_way)| {
            let copy = tables
                .iter()
                .find(|t| format!("{}.{}", t.database, t.table) == name);
            Again {
                since_unix_ms: under_way.since_unix_ms,
                by: under_way.by,
                step: under_way.step.name().to_owned(),
                rows: copy.map_or(0, |t| t.rows),
                estimated_rows: copy.map_or(0, |t| t.estimated_rows),
                table: name,
            }
        });
        Ok(again.collect())
    }

    /// Brings each to its end, until the daemon ends.
    ///
    /// # Errors
    /// `Store` where what is under way cannot be read; `Internal` where the contract does not know it.
    pub async fn keep(&self) -> Result<()> {
        loop {
            self.begun.notified().await;
            while let Some((name, under_way)) = self.all()?.pop_first() {
                let table = self.table(&name)?;
                while !self.shared.progress.is_complete(table.id) {
                    tokio::time::sleep(LOOK).await;
                }
                if let Err(error) = self.finish(table, under_way).await {
                    if error.directive() != Directive::Retry && error.kind() != Kind::Interrupted {
                        return Err(error);
                    }
                    tracing::warn!(%error, table = %table.name, "rows that are gone cannot be looked for; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn finish(&self, table: &SourceTable, mut under_way: UnderWay) -> Result<()> {
        let name = table.name.to_string();
        under_way.step = Step::Sweep;
        self.set(&name, under_way.clone()).await?;
        let swept = under_way.swept.as_deref().and_then(|t| hex::decode(t).ok());
        let (mut after, mut rows) = (swept, PAGE);
        loop {
            let stage = &self.shared.stage;
            let page = stage.state_page(table.id, after.clone(), rows).await?;
            let names: BTreeSet<_> = page.names.into_iter().map(|row| (table.id, row)).collect();
            if !names.is_empty() {
                match self.rows.sweep(table.id, &names).await {
                    Ok(sequence) => self.shared.until_committed(sequence).await?,
                    // Rows so large that fewer of them fill the memory that they may take.
                    Err(error) if error.kind() == Kind::Unsupported && rows > 1 => {
                        rows = (rows / 4).max(1);
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            let Some(last) = page.more else { break };
            under_way.swept = Some(hex::encode(&last));
            self.change(&name, Some(under_way.clone()))?;
            after = Some(last);
        }
        // What was compared meanwhile may have been of the time before.
        self.owe().await?;
        self.change(&name, None)?;
        self.shared.facts.make_durable().await?;
        tracing::info!(table = %table.name, "the table has been copied again: a full comparison is owed");
        self.scan();
        Ok(())
    }

    /// Begins the comparison that is owed: it finds items that no row explains.
    fn scan(&self) {
        let order = Order {
            mode: Mode::Full,
            repair: false,
            show_values: false,
            keys: Vec::new(),
        };
        if let Err(error) = self.bench.begin(order, &Peer::default()) {
            tracing::info!(%error, "the comparison is left to who asks for it");
        }
    }

    fn may_begin(&self, table: &SourceTable) -> Result<()> {
        let shared = &self.shared;
        let phase = shared.phase();
        if !matches!(phase, Phase::Streaming | Phase::Ready | Phase::Aborted) || !shared.is_copied()
        {
            return Err(not_now(&format!("the phase is {phase}")));
        }
        if !self.all()?.is_empty() {
            return Err(not_now("another table is being copied again"));
        }
        if table.watched_only {
            let message = format!("{} is watched only: nothing of it is copied", table.name);
            return Err(Error::new(Kind::Usage, message));
        }
        let keys = &shared.plan.foreign_keys;
        if keys
            .iter()
            .any(|k| k.parent == table.id || k.child == table.id)
        {
            // While a copy is under way cascades pass through rows that are not known.
            return Err(Error::new(
                Kind::Unsupported,
                format!(
                    "{} takes part in foreign keys whose effects MySQL does not log: it cannot be copied alone",
                    table.name
                ),
            )
            .with_remedy("start over with `penstock run --resnapshot`"));
        }
        Ok(())
    }

    /// By its whole name, or by that of the table alone.
    fn table(&self, name: &str) -> Result<&SourceTable> {
        let sources = &self.shared.plan.sources;
        let whole = sources.iter().find(|s| s.name.to_string() == name);
        let mut alone = sources.iter().filter(|s| s.name.table == name);
        let found = whole.or_else(|| alone.next().filter(|_| alone.next().is_none()));
        found.ok_or_else(|| {
            Error::new(Kind::Usage, format!("the contract reads no table {name}"))
                .with_remedy("name it as `penstock status` does: `shop.orders`")
        })
    }

    fn all(&self) -> Result<All> {
        Ok(self.shared.facts.get(FACT)?.unwrap_or_default())
    }

    async fn set(&self, name: &str, under_way: UnderWay) -> Result<()> {
        self.change(name, Some(under_way))?;
        self.shared.facts.make_durable().await
    }

    fn change(&self, name: &str, under_way: Option<UnderWay>) -> Result<()> {
        let mut all = self.all()?;
        match under_way {
            Some(under_way) => all.insert(name.to_owned(), under_way),
            None => all.remove(name),
        };
        match all.is_empty() {
            true => self.shared.facts.remove(FACT),
            false => self.shared.facts.set(FACT, &all)?,
        }
        Ok(())
    }

    /// A full comparison is owed.
    async fn owe(&self) -> Result<()> {
        owe(&self.shared.facts, Owed::Resnapshot).await
    }
}

fn not_now(why: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!("no table can be copied again now: {why}"),
    )
    .with_remedy("see `penstock status`, and ask again")
}
