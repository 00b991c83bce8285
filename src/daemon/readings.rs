//! What the gates read: the daemon's own state, and MySQL's as it is now.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::inspect::{Inspection, Inspector};
use super::shared::Shared;
use crate::checkpoint::TableState;
use crate::config;
use crate::cutover::{Gate, Moment, Readings, Thresholds, gates};
use crate::error::Result;
use crate::metrics;
use crate::phase::Phase;
use crate::pipeline::Control;
use crate::position::GtidSet;
use crate::verify::{Owed, Standing};

/// The server as it was last asked, or why it did not answer.
type Answer = std::result::Result<Inspection, String>;

/// How often the server is asked for `/status` and the metrics.
const INTERVAL: Duration = Duration::from_secs(5);

/// Reads the gates.
pub struct Gatehouse {
    shared: Arc<Shared>,
    inspector: Inspector,
    thresholds: Thresholds,
    control: OnceLock<Control>,
    /// As they were last read, and what the server said then.
    latest: Mutex<(Vec<Gate>, Option<Answer>)>,
}

impl Gatehouse {
    pub fn new(shared: Arc<Shared>, inspector: Inspector, settings: &config::Cutover) -> Self {
        Self {
            shared,
            inspector,
            thresholds: Thresholds {
                lag: settings.max_lag_seconds,
                heartbeat: settings.max_heartbeat_seconds,
                checkpoint: settings.max_checkpoint_seconds,
            },
            control: OnceLock::new(),
            latest: Mutex::default(),
        }
    }

    /// Beside a MySQL that does not answer, with ten seconds for everything.
    #[cfg(test)]
    pub fn nowhere(shared: Arc<Shared>) -> Self {
        let nowhere = crate::source::Options {
            port: 1,
            ..crate::source::Options::default()
        };
        let settings = config::Cutover {
            max_lag_seconds: 10,
            max_heartbeat_seconds: 10,
            max_checkpoint_seconds: 10,
            drain_within: Duration::from_secs(10),
        };
        Self::new(shared, Inspector::new(Arc::new(nowhere)), &settings)
    }

    /// The pipeline, once it runs.
    pub fn watch(&self, control: Control) {
        let _ = self.control.set(control);
    }

    /// Mutations that DynamoDB has not acknowledged.
    pub fn in_flight(&self) -> usize {
        self.control
            .get()
            .map_or(0, |control| control.gauges().items)
    }

    /// `gtid_executed`, read after this call began.
    ///
    /// # Errors
    /// As [`Inspector::inspect`].
    pub async fn position(&self) -> Result<GtidSet> {
        Ok(self.inspector.inspect().await?.executed)
    }

    /// All gates as they are now; whether the server refuses writes is one where that is `expected`.
    pub async fn read(&self, moment: Moment, read_only_expected: bool) -> Vec<Gate> {
        let asked = Instant::now();
        let inspected = self.inspector.inspect().await;
        match &inspected {
            Ok(inspection) => self.shared.source_is_at(&inspection.executed, asked),
            Err(_) => self.shared.source_is_silent(),
        }
        let answer = inspected.map_err(|error| error.to_string());
        let readings = self.readings(&answer, read_only_expected);
        let all = gates(&readings, &self.thresholds, moment);
        self.show(&all, answer);
        all
    }

    /// What is known without waiting: the daemon's own state as it is now, the server as it was last asked.
    pub fn latest(&self) -> Vec<Gate> {
        let (all, answer) = self.lock().clone();
        match (self.shared.phase(), answer) {
            // What they were at the drain stays.
            (Phase::CutOver | Phase::Draining, _) | (_, None) => all,
            (_, Some(answer)) => gates(
                &self.readings(&answer, false),
                &self.thresholds,
                Moment::Before,
            ),
        }
    }

    /// Reads them again and again, until it is dropped.
    pub async fn keep_current(&self) {
        let mut tick = tokio::time::interval(INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            match self.shared.phase() {
                // What they were then stays: a cutover reads them itself.
                Phase::CutOver | Phase::Draining => {}
                Phase::Snapshot
                | Phase::Streaming
                | Phase::Ready
                | Phase::Aborted
                | Phase::Paused
                | Phase::Stopped
                | Phase::ResnapshotRequired => {
                    self.read(Moment::Before, false).await;
                }
            }
        }
    }

    fn readings(&self, answer: &Answer, read_only_expected: bool) -> Readings {
        let shared = &self.shared;
        let lag = shared.lag();
        let tables = shared.progress.tables();
        let left = tables.iter().filter(|t| t.state != TableState::Done);
        let (inspection, silent) = match answer {
            Ok(inspection) => (Some(inspection), None),
            Err(reason) => (None, Some(reason.clone())),
        };
        let server = inspection.map(|i| i.read_only);
        Readings {
            phase: match shared.pause.paused() {
                // It is not shown while a cutover drains.
                Some(_) if shared.phase() == Phase::Draining => Phase::Paused,
                _ => shared.phase(),
            },
            stopped: shared.failure().map(|failure| failure.reason),
            copied: shared.is_copied(),
            tables_left: left.count(),
            resnapshot: self.resnapshot(),
            lag: lag.apply.filter(|_| silent.is_none()),
            in_flight: self.in_flight(),
            dead_letters: shared.known_dead_letters(),
            parity: self.parity(),
            heartbeat: lag.heartbeat,
            checkpoint: shared.checkpoint_age().map(|age| age.as_secs_f64()),
            prepared: inspection.and_then(|i| i.prepared),
            silent,
            replica: inspection.and_then(|i| i.replica.clone()),
            read_only: read_only_expected.then(|| server.unwrap_or_default()),
        }
    }

    /// What a full comparison has proved. What cannot be read proves nothing.
    fn parity(&self) -> Result<(), Owed> {
        let standing: Option<Standing> = self.shared.facts.get("parity").ok().flatten();
        standing.unwrap_or_default().gate()?;
        match self.shared.touches.dirt() {
            (true, _) => Ok(()),
            (false, _) => Err(Owed::DirtyOverflown),
        }
    }

    /// The tables that are being copied again.
    fn resnapshot(&self) -> Vec<String> {
        let fact = self.shared.facts.get::<Value>("resnapshot");
        let tables: Vec<String> = match fact {
            Ok(None | Some(Value::Null)) => return Vec::new(),
            Ok(Some(Value::Object(tables))) => tables.keys().cloned().collect(),
            Ok(Some(Value::Array(tables))) => tables
                .iter()
                .map(|table| table.as_str().unwrap_or("a table").to_owned())
                .collect(),
            // Something is there: the gate is shut.
            Ok(Some(_)) | Err(_) => vec!["a table".to_owned()],
        };
        tables
    }

    fn show(&self, gates: &[Gate], answer: Answer) {
        // One that is there only while somebody asks for it would stay as it was.
        for gate in gates
            .iter()
            .filter(|gate| !matches!(gate.name.as_str(), "read_only" | "replica"))
        {
            let open = if gate.open { 1.0 } else { 0.0 };
            metrics::GATE_OPEN.with([&gate.name]).set(open);
        }
        *self.lock() = (gates.to_vec(), Some(answer));
    }

    fn lock(&self) -> MutexGuard<'_, (Vec<Gate>, Option<Answer>)> {
        // Whatever panicked, the list is whole.
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
