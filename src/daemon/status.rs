//! What the running daemon answers when it is asked.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::sync::Mutex;

use super::monitor::Question;
use super::readings::Gatehouse;
use super::shared::Shared;
use super::verifier::Comparisons;
use crate::admin::{LagSeconds, PositionStatus, Status, StatusSource, Stopped, TableStatus};
use crate::checkpoint::{AuditEntry, DeadLetterPage, Store};
use crate::error::{Error, Kind, Result};
use crate::metrics;
use crate::phase::Phase;

/// Answers for one run.
pub struct Answers {
    pub shared: Arc<Shared>,
    pub store: Arc<Store>,
    pub gatehouse: Arc<Gatehouse>,
    pub comparisons: Arc<Comparisons>,
    /// `embedded http://127.0.0.1:8000`, `aws eu-central-1`.
    pub target: String,
    /// A connection kept for asking the source's position.
    pub question: Mutex<Question>,
}

impl Answers {
    /// Whether everything that the source has executed, as read after this was called, is in DynamoDB.
    pub async fn is_caught_up(&self) -> bool {
        let asked = Instant::now();
        let mut question = self.question.lock().await;
        let Ok(answer) = question.ask().await else {
            return false;
        };
        drop(question);
        self.shared.source_is_at(&answer.executed, asked);
        self.shared.is_copied()
            && self.shared.failure().is_none()
            && answer.executed.is_subset(&self.shared.durable().gtids)
    }
}

/// The audit log's end, the newest entry first.
pub async fn newest_entries(store: Arc<Store>, most: usize) -> Vec<AuditEntry> {
    let read = tokio::task::spawn_blocking(move || store.audit_log()).await;
    let entries = read.ok().and_then(Result::ok).unwrap_or_default();
    entries.into_iter().rev().take(most).collect()
}

impl StatusSource for Answers {
    fn status(&self) -> Status {
        let shared = &self.shared;
        let lag = shared.lag();
        let position = shared.durable();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: shared.started.elapsed().as_secs(),
            phase: shared.phase(),
            caught_up: false,
            position: PositionStatus {
                gtids: position.gtids.to_string(),
                file: position.file,
                offset: position.offset,
            },
            lag_seconds: match shared.phase() {
                // MySQL is not followed any more.
                Phase::CutOver => LagSeconds::default(),
                _ => LagSeconds {
                    read: lag.read,
                    apply: lag.apply,
                },
            },
            behind_transactions: match shared.phase() {
                Phase::CutOver => None,
                _ => shared.behind(),
            },
            in_flight: self.gatehouse.in_flight() as u64,
            snapshot: shared
                .progress
                .tables()
                .iter()
                .map(TableStatus::from)
                .collect(),
            paused: shared.pause.paused(),
            dead_letters: shared.dead_letters(),
            parity: self.comparisons.parity(),
            gates: self.gatehouse.latest(),
            stopped: shared.failure().map(|failure| Stopped {
                kind: failure.error_kind.name().to_owned(),
                reason: failure.reason,
                remedy: failure.remedy,
            }),
            trouble: shared.trouble.all(),
            target: self.target.clone(),
            checkpoint_age_seconds: shared.checkpoint_age().map(|age| age.as_secs_f64()),
        }
    }

    fn caught_up(&self) -> BoxFuture<'_, bool> {
        Box::pin(self.is_caught_up())
    }

    fn dead_letters(
        &self,
        from: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<DeadLetterPage>> {
        let store = Arc::clone(&self.store);
        Box::pin(async move {
            tokio::task::spawn_blocking(move || store.dead_letters(from.as_deref(), limit))
                .await
                .map_err(|e| {
                    Error::new(Kind::Internal, "reading the dead letters failed").with_source(e)
                })?
        })
    }

    fn applied(&self) -> u64 {
        self.shared.applied()
    }

    fn written(&self) -> u64 {
        self.shared.seal.written()
    }

    fn audit(&self, most: usize) -> BoxFuture<'_, Vec<AuditEntry>> {
        Box::pin(newest_entries(Arc::clone(&self.store), most))
    }

    fn refresh_metrics(&self) {
        // Nothing flows, so no age means anything: they stay as they were.
        if self.shared.phase() == Phase::CutOver {
            return;
        }
        let lag = self.shared.lag();
        metrics::set_lag(metrics::Stage::Read, lag.read);
        metrics::set_lag(metrics::Stage::Apply, lag.apply);
        metrics::SOURCE_HEARTBEAT_AGE.with([]).set(lag.heartbeat);
        if let Some(age) = self.shared.checkpoint_age() {
            metrics::CHECKPOINT_AGE.with([]).set(age.as_secs_f64());
        }
        for table in self.shared.progress.tables() {
            let name = format!("{}.{}", table.database, table.table);
            metrics::SNAPSHOT_COPIED
                .with([&name])
                .set(table.rows as f64);
            metrics::SNAPSHOT_ESTIMATE
                .with([&name])
                .set(table.rows_in_all() as f64);
            metrics::SNAPSHOT_OPEN_CHUNKS
                .with([&name])
                .set(table.open.len() as f64);
        }
    }
}
