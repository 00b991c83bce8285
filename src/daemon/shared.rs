//! What the parts of the running daemon tell each other and the operator: phase, positions, lag.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::facts::Facts;
use super::pause::Pause;
use super::requests::Requests;
use super::seal::Seal;
use super::series;
use super::touches::Touches;
use super::trouble::Trouble;
use super::vitals::Pulse;
use crate::admin::READY_LAG_SECONDS;
use crate::checkpoint::{Checkpoint, now_unix_ms};
use crate::error::{Directive, Error, Kind, Result};
use crate::metrics;
use crate::phase::Phase;
use crate::pipeline::Sequence;
use crate::plan::{Plan, SourceId};
use crate::position::{GtidSet, Position};
use crate::source::snapshot::Progress;

/// So long an answer of the source counts as its present state; it is asked more often.
const FRESH: Duration = Duration::from_secs(3);

/// Shared by all parts of one run.
pub struct Shared {
    pub plan: Arc<Plan>,
    pub progress: Arc<Progress>,
    pub started: Instant,
    phase: watch::Sender<Phase>,
    failure: Mutex<Option<Failure>>,
    durable: Mutex<Position>,
    committed_at: Mutex<Option<Instant>>,
    lag: Mutex<Lag>,
    /// How long the source keeps its binlogs, in seconds; infinite where it never purges them.
    kept: Mutex<f64>,
    letters: AtomicU64,
    /// On their way to the store.
    letters_waiting: AtomicU64,
    applied: AtomicU64,
    /// Transactions of the source that were not in DynamoDB when it was last asked.
    behind: Mutex<Option<u64>>,
    connected: AtomicBool,
    /// Every table is copied, and every item of a join is made.
    copied: AtomicBool,
    /// What holds the flow up at present.
    pub trouble: Arc<Trouble>,
    /// When the committer last gave a sign of life.
    pub pulse: Pulse,
    /// What is kept with the checkpoint beside the position.
    pub facts: Facts,
    /// The sequences up to here are in DynamoDB, and the checkpoint says so; the highest of all: nothing is committed any more.
    through: watch::Sender<Sequence>,
    /// Whether an operator holds the stream.
    pub pause: Pause,
    /// What the view has written, for those who compare.
    pub touches: Arc<Touches>,
    /// Keeps the sink from writing.
    pub seal: Arc<Seal>,
    /// What is asked of the view thread.
    pub stage: Requests,
}

/// Under which name a checkpoint says it: see [`Shared::write_as_of`].
const AS_OF: &str = "as_of_unix_ms";

/// Why the daemon stopped.
#[derive(Debug, Clone)]
pub struct Failure {
    pub error_kind: Kind,
    pub reason: String,
    pub remedy: String,
    pub at_unix_ms: u64,
}

/// Lag is zero only when it is known to be: the source's executed set was covered when last asked.
#[derive(Debug, Clone)]
struct Lag {
    /// Commit time of the newest transaction read, in microseconds since 1970.
    read_commit_micros: u64,
    /// Commit time of the newest durable one.
    applied_commit_micros: u64,
    /// When the source's end was last known to be read (or applied), on our clock.
    read_zero_at: Option<Instant>,
    applied_zero_at: Option<Instant>,
    read_zero: bool,
    applied_zero: bool,
    /// The last word of the source: an event or a heartbeat.
    heard_at: Instant,
    received: GtidSet,
    /// The file of the binlog that the stream has come to.
    received_file: Arc<str>,
}

/// Seconds of lag by stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LagSeconds {
    /// `None` until the source has told its position once.
    pub read: Option<f64>,
    pub apply: Option<f64>,
    /// Age of the source's last word.
    pub heartbeat: f64,
}

impl Shared {
    pub fn new(plan: Arc<Plan>, progress: Arc<Progress>, start: &Checkpoint, letters: u64) -> Self {
        let now = Instant::now();
        let facts = Facts::of(start);
        let pause = Pause::of(&facts);
        let phase = match (pause.paused(), start.snapshot_done) {
            (Some(paused), _) => {
                tracing::warn!(
                    by = paused.by,
                    "paused by an operator: `penstock resume` lets the stream go on"
                );
                Phase::Paused
            }
            (None, true) => Phase::Streaming,
            (None, false) => Phase::Snapshot,
        };
        metrics::set_phase(phase);
        metrics::DEAD_LETTERS.with([]).set(letters as f64);
        series::declare(&plan);
        Self {
            plan,
            progress,
            started: now,
            phase: watch::channel(phase).0,
            failure: Mutex::default(),
            durable: Mutex::new(start.position.clone()),
            committed_at: Mutex::default(),
            lag: Mutex::new(Lag {
                read_commit_micros: 0,
                applied_commit_micros: as_of(start).saturating_mul(1000),
                read_zero_at: None,
                applied_zero_at: None,
                read_zero: false,
                applied_zero: false,
                heard_at: now,
                received: start.position.gtids.clone(),
                received_file: start.position.file.as_str().into(),
            }),
            kept: Mutex::new(f64::NAN),
            letters: AtomicU64::new(letters),
            letters_waiting: AtomicU64::new(0),
            applied: AtomicU64::new(0),
            behind: Mutex::default(),
            connected: AtomicBool::new(false),
            copied: AtomicBool::new(start.snapshot_done),
            trouble: Arc::default(),
            pulse: Pulse::default(),
            facts,
            pause,
            through: watch::channel(0).0,
            touches: Arc::default(),
            seal: Arc::default(),
            stage: Requests::default(),
        }
    }

    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// To wait for a change of the phase.
    pub fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Moves to `to`, unless the daemon has stopped: that is terminal.
    pub fn enter(&self, to: Phase) {
        let moved = self.phase.send_if_modified(|phase| {
            let terminal = match *phase {
                Phase::Stopped | Phase::ResnapshotRequired | Phase::CutOver => true,
                Phase::Snapshot
                | Phase::Streaming
                | Phase::Ready
                | Phase::Draining
                | Phase::Aborted
                | Phase::Paused => false,
            };
            let moves = *phase != to && !terminal;
            if moves {
                *phase = to;
            }
            moves
        });
        if moved {
            tracing::info!(phase = %to, "phase");
            metrics::set_phase(to);
        }
    }

    /// A terminal error: the process stays up to tell it.
    pub fn stop(&self, error: &Error) {
        {
            let mut failure = lock(&self.failure);
            if failure.is_some() {
                return;
            }
            *failure = Some(Failure {
                error_kind: error.kind(),
                reason: error.to_string(),
                remedy: error.remedy().to_owned(),
                at_unix_ms: now_unix_ms(),
            });
        }
        tracing::error!(
            kind = error.kind().name(),
            remedy = error.remedy(),
            "stopped: {error}"
        );
        self.enter(match error.directive() {
            Directive::Resnapshot => Phase::ResnapshotRequired,
            Directive::Stop | Directive::Retry => Phase::Stopped,
        });
    }

    pub fn failure(&self) -> Option<Failure> {
        lock(&self.failure).clone()
    }

    /// The position up to which everything is in DynamoDB.
    pub fn durable(&self) -> Position {
        lock(&self.durable).clone()
    }

    /// Whether everything of `gtids` is in DynamoDB.
    pub fn is_durable(&self, gtids: &GtidSet) -> bool {
        gtids.is_subset(&lock(&self.durable).gtids)
    }

    /// Seconds since the last checkpoint of this run.
    pub fn checkpoint_age(&self) -> Option<Duration> {
        lock(&self.committed_at).map(|at| at.elapsed())
    }

    pub fn dead_letters(&self) -> u64 {
        self.letters.load(Ordering::Relaxed)
    }

    /// Transactions of this run that are in DynamoDB.
    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Relaxed)
    }

    /// Transactions of the source that were not in DynamoDB when it last told its position.
    pub fn behind(&self) -> Option<u64> {
        *lock(&self.behind)
    }

    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    pub fn set_connected(&self, connected: bool) {
        if self.connected.swap(connected, Ordering::Relaxed) != connected {
            metrics::SOURCE_CONNECTED
                .with([])
                .set(if connected { 1.0 } else { 0.0 });
        }
    }

    /// Lag as it is now.
    pub fn lag(&self) -> LagSeconds {
        let lag = lock(&self.lag).clone();
        let behind = |zero: bool, zero_at: Option<Instant>, commit_micros: u64| {
            // A source that hangs says nothing at all: what it said last is not known to hold any more.
            if zero && zero_at.is_some_and(|at| at.elapsed() < FRESH) {
                return Some(0.0);
            }
            let since_zero = zero_at.map(|at| at.elapsed().as_secs_f64());
            let since_commit = (commit_micros > 0).then(|| {
                let now = now_unix_ms() as f64 / 1000.0;
                (now - commit_micros as f64 / 1e6).max(0.0)
            });
            // An idle source: the newest commit is old, and yet we were at its end a moment ago.
            match (since_zero, since_commit) {
                (Some(zero), Some(commit)) => Some(zero.min(commit)),
                (one, other) => one.or(other),
            }
        };
        LagSeconds {
            read: behind(lag.read_zero, lag.read_zero_at, lag.read_commit_micros),
            apply: behind(
                lag.applied_zero,
                lag.applied_zero_at,
                lag.applied_commit_micros,
            ),
            heartbeat: lag.heard_at.elapsed().as_secs_f64(),
        }
    }

    /// Writes into a checkpoint up to when nothing of the source is missing in DynamoDB, as far as is known: what the next
    /// run knows of its lag before the source has told its position.
    pub fn write_as_of(&self, checkpoint: &mut Checkpoint) {
        if let Some(lag) = self.lag().apply {
            let as_of = now_unix_ms().saturating_sub((lag * 1000.0) as u64);
            checkpoint.other.insert(AS_OF.to_owned(), as_of.into());
        }
    }

    /// The source has said for how long it keeps its binlogs; `None`: for ever.
    pub fn source_keeps(&self, kept: Option<Duration>) {
        *lock(&self.kept) = kept.map_or(f64::INFINITY, |kept| kept.as_secs_f64());
    }

    /// Seconds until the source may purge what is not in DynamoDB yet; `None` where that is not known.
    pub fn headroom_seconds(&self) -> Option<f64> {
        let kept = *lock(&self.kept);
        if kept == f64::INFINITY {
            return Some(kept);
        }
        Some(kept - self.lag().apply?).filter(|headroom| !headroom.is_nan())
    }

    /// The stream has come to this file.
    pub fn file_received(&self, file: &Arc<str>) {
        lock(&self.lag).received_file = Arc::clone(file);
    }

    /// The file of the binlog that the view has come to.
    pub fn received_file(&self) -> Arc<str> {
        Arc::clone(&lock(&self.lag).received_file)
    }

    /// The stream has delivered a whole transaction.
    pub fn transaction_received(&self, gtids: &GtidSet, committed_at_micros: u64) {
        let mut lag = lock(&self.lag);
        lag.received.clone_from(gtids);
        lag.read_commit_micros = committed_at_micros;
        lag.heard_at = Instant::now();
    }

    /// The source said something: an event, a heartbeat.
    pub fn heard(&self) {
        lock(&self.lag).heard_at = Instant::now();
    }

    /// Everything of a transaction is in DynamoDB.
    pub fn transaction_durable(&self, committed_at_micros: u64) {
        self.applied.fetch_add(1, Ordering::Relaxed);
        lock(&self.lag).applied_commit_micros = committed_at_micros;
    }

    pub fn durable_moved(&self, position: &Position) {
        lock(&self.durable).clone_from(position);
    }

    /// The source's executed set, as read at `asked`: tells whether lag is zero.
    pub fn source_is_at(&self, executed: &GtidSet, asked: Instant) {
        let behind = executed.difference(&lock(&self.durable).gtids).count();
        *lock(&self.behind) = Some(behind);
        let applied = executed.is_subset(&lock(&self.durable).gtids);
        let mut lag = lock(&self.lag);
        lag.read_zero = executed.is_subset(&lag.received) || applied;
        lag.applied_zero = applied;
        if lag.read_zero {
            lag.read_zero_at = Some(asked);
        }
        if applied {
            lag.applied_zero_at = Some(asked);
        }
        drop(lag);
        self.settle(applied);
    }

    /// Whether the stream has brought all of `gtids`.
    pub fn has_received(&self, gtids: &GtidSet) -> bool {
        gtids.is_subset(&lock(&self.lag).received)
    }

    /// The source could not be asked: nothing is known to be zero.
    pub fn source_is_silent(&self) {
        let mut lag = lock(&self.lag);
        lag.read_zero = false;
        lag.applied_zero = false;
        drop(lag);
        *lock(&self.behind) = None;
        self.settle(false);
    }

    pub fn table_copied(&self, source: SourceId) {
        let table = self.plan.source(source);
        self.trouble.copy(None);
        tracing::info!(table = %table.name, "the table is copied");
    }

    /// Whether the snapshot is complete, the items of joins included.
    pub fn is_copied(&self) -> bool {
        self.copied.load(Ordering::Acquire)
    }

    pub fn committed(&self, checkpoint: &Checkpoint) {
        *lock(&self.committed_at) = Some(Instant::now());
        self.copied
            .store(checkpoint.snapshot_done, Ordering::Release);
        if checkpoint.snapshot_done && self.phase() == Phase::Snapshot {
            tracing::info!("the snapshot is complete");
            self.enter(Phase::Streaming);
        }
    }

    pub fn committed_through(&self, through: Sequence) {
        self.through.send_replace(through);
    }

    /// Waits until the sequence is in DynamoDB, and the checkpoint says so.
    ///
    /// # Errors
    /// `Interrupted` where the daemon ends, or the stream stops, before that.
    pub async fn until_committed(&self, sequence: Sequence) -> Result<()> {
        let mut through = self.through.subscribe();
        let mut phases = self.phases();
        let stops = |phase: &Phase| matches!(phase, Phase::Stopped | Phase::ResnapshotRequired);
        let committed = tokio::select! {
            biased;
            through = through.wait_for(|through| *through >= sequence) => {
                through.is_ok_and(|through| *through != Sequence::MAX)
            }
            _ = phases.wait_for(stops) => false,
        };
        match committed {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Interrupted,
                "the daemon stopped before this was written",
            )),
        }
    }

    /// Dead letters, those included that are not stored yet: what is durable in DynamoDB is not ahead of these.
    pub fn known_dead_letters(&self) -> u64 {
        self.dead_letters() + self.letters_waiting.load(Ordering::Acquire)
    }

    /// A row has no valid item; its letter is stored with the next commit.
    pub fn letter_waits(&self) {
        self.letters_waiting.fetch_add(1, Ordering::AcqRel);
    }

    pub fn letters_stored(&self, count: u64) {
        let before = self.letters.swap(count, Ordering::AcqRel);
        self.letters_waiting.store(0, Ordering::Release);
        metrics::DEAD_LETTERS.with([]).set(count as f64);
        if count > before {
            tracing::warn!(
                count,
                "rows without a valid item: see `penstock dead-letters list`"
            );
        }
    }

    /// Streaming or ready, whichever it is now.
    fn settle(&self, applied: bool) {
        match (self.phase(), applied) {
            (Phase::Streaming, true) => self.enter(Phase::Ready),
            (Phase::Ready, false) if self.lag().apply.is_none_or(|lag| lag > READY_LAG_SECONDS) => {
                self.enter(Phase::Streaming)
            }
            _ => {}
        }
    }
}

/// Milliseconds since 1970; 0 where the checkpoint does not say.
fn as_of(checkpoint: &Checkpoint) -> u64 {
    let stored = checkpoint.other.get(AS_OF);
    stored.and_then(serde_json::Value::as_u64).unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever panicked, each of these values is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
