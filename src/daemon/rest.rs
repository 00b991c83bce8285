//! A daemon at rest: the application has moved. It serves what it knows, and neither reads MySQL nor writes DynamoDB.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::response::Response;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::filing;
use super::opening::{has_store, open_store};
use super::start::blocking;
use super::target::open_target;
use crate::admin::cutover::{Desk, routes};
use crate::admin::{
    LagSeconds, Peer, PositionStatus, Servers, Status, StatusSource, TableStatus, refused,
};
use crate::checkpoint::{AuditEntry, Checkpoint, DeadLetterPage, Loaded, Store};
use crate::config::Settings;
use crate::cutover::{FACT, Options, Outcome, Progress, Rehearsal, Standing, State};
use crate::error::{Error, Kind, Result};
use crate::metrics::{self, Exposition};
use crate::phase::Phase;
use crate::sink::embedded::Embedded;

/// What is being answered has so long to end.
const ANSWERS: Duration = Duration::from_millis(300);

/// What serves while nothing flows.
pub struct Rest {
    pub address: std::net::SocketAddr,
    /// The URL of the embedded DynamoDB, if that is the target: the application uses it.
    pub embedded_url: Option<String>,
    reopened: CancellationToken,
    servers: Servers,
    embedded: Option<Embedded>,
}

impl Rest {
    /// Where a cutover has been made, serves that; `None` where the flow may run.
    ///
    /// # Errors
    /// As the daemon's start, where store, target or address cannot be used.
    pub async fn begin(settings: &Settings, exposition: &Exposition) -> Result<Option<Rest>> {
        if !has_store(&settings.state) {
            return Ok(None);
        }
        let store = open_store(settings.state.clone(), false).await?;
        let Loaded::Found(checkpoint) = store.load() else {
            return Ok(None);
        };
        let standing: Option<Standing> = super::facts::fact_of(&checkpoint, FACT)?;
        let Some(standing) = standing.filter(|standing| standing.state == State::CutOver) else {
            return Ok(None);
        };
        let (embedded, _, target) = open_target(settings).await?;
        let report = standing.report.clone();
        let outcome = filing::file_again(&store, &settings.state, report).await?;
        metrics::set_phase(Phase::CutOver);
        metrics::DEAD_LETTERS
            .with([])
            .set(store.dead_letter_count() as f64);
        tracing::info!(
            position = %standing.report.position.gtids,
            "the cutover has been made: nothing is read and nothing is written; `penstock cutover --reopen` takes it back"
        );
        let reopened = CancellationToken::new();
        let resting = Arc::new(Resting {
            store,
            checkpoint: *checkpoint,
            standing,
            target,
            started: Instant::now(),
            progress: watch::channel(told(outcome)).0,
            reopened: reopened.clone(),
        });
        let commands = routes(Arc::clone(&resting) as Arc<dyn Desk>).fallback(nothing_flows);
        let servers = crate::admin::serve(
            settings.listen,
            &settings.state,
            resting,
            exposition.clone(),
            commands,
        )
        .await?;
        Ok(Some(Rest {
            address: servers.address,
            embedded_url: embedded.as_ref().map(Embedded::endpoint_url),
            reopened,
            servers,
            embedded,
        }))
    }

    /// Waits until an operator takes the cutover back.
    pub async fn reopened(&self) {
        self.reopened.cancelled().await;
    }

    /// Ends in order.
    pub async fn end(self) {
        self.servers.end(ANSWERS).await;
        if let Some(embedded) = self.embedded {
            let _ = tokio::task::spawn_blocking(move || embedded.stop()).await;
        }
    }
}

fn told(outcome: Outcome) -> Progress {
    Progress {
        version: 1,
        step: "ended".to_owned(),
        outcome: Some(outcome),
        ..Progress::default()
    }
}

/// Commands that need the flow.
async fn nothing_flows() -> Response {
    refused(&cut_over())
}

/// What everything that would write is told.
pub fn cut_over() -> Error {
    Error::new(
        Kind::CutOver,
        "the cutover has been made: nothing is replicated any more",
    )
}

struct Resting {
    store: Arc<Store>,
    checkpoint: Checkpoint,
    standing: Standing,
    target: String,
    started: Instant,
    progress: watch::Sender<Progress>,
    reopened: CancellationToken,
}

impl StatusSource for Resting {
    fn status(&self) -> Status {
        let tables = self.checkpoint.snapshot.iter();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: self.started.elapsed().as_secs(),
            phase: Phase::CutOver,
            caught_up: false,
            position: PositionStatus::from(&self.checkpoint.position),
            // MySQL is not asked.
            lag_seconds: LagSeconds::default(),
            behind_transactions: None,
            in_flight: 0,
            snapshot: tables.map(TableStatus::from).collect(),
            paused: None,
            dead_letters: self.store.dead_letter_count(),
            parity: Some(self.standing.report.parity.clone()),
            gates: self.standing.report.gates.clone(),
            stopped: None,
            trouble: Vec::new(),
            target: self.target.clone(),
            checkpoint_age_seconds: None,
        }
    }

    fn caught_up(&self) -> BoxFuture<'_, bool> {
        Box::pin(async { false })
    }

    fn dead_letters(
        &self,
        from: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, Result<DeadLetterPage>> {
        let store = Arc::clone(&self.store);
        Box::pin(blocking(move || store.dead_letters(from.as_deref(), limit)))
    }

    fn audit(&self, most: usize) -> BoxFuture<'_, Vec<AuditEntry>> {
        Box::pin(super::status::newest_entries(Arc::clone(&self.store), most))
    }
}

impl Desk for Resting {
    fn begin(self: Arc<Self>, _: Options, _: Peer) -> BoxFuture<'static, Result<()>> {
        Box::pin(async { Err(cut_over()) })
    }

    fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    fn abort(&self, _: Peer) -> BoxFuture<'_, Result<Outcome>> {
        Box::pin(async { Err(cut_over()) })
    }

    fn reopen(&self, who: Peer) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            filing::reopen_stored(&self.store).await?;
            let position = &self.standing.report.position.gtids;
            filing::note_reopened(&self.store, &who.to_string(), position).await;
            self.reopened.cancel();
            Ok(())
        })
    }

    fn rehearse(&self, _: Peer) -> BoxFuture<'_, Result<Rehearsal>> {
        Box::pin(async { Err(cut_over()) })
    }
}
