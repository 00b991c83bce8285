//! What comes up when the flow is started, for `run` and for commands that need it; and the signals that end it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Settings;
use crate::daemon::{Daemon, Rest, Start};
use crate::error::{Error, Kind, Result};
use crate::metrics::Exposition;
use crate::prepare::{self, Prepared};

/// After a cutover was taken back in this process, its stores and addresses may be held for a moment by who still asks it.
const HELD: Duration = Duration::from_secs(15);

/// What came up.
pub(super) enum Up {
    Flow(Box<Daemon>),
    /// A cutover has been made: nothing flows.
    Rest(Box<Rest>),
}

/// Starts the flow, or what serves in its place.
pub(super) async fn up(
    settings: &Arc<Settings>,
    resnapshot: bool,
    exposition: &Exposition,
) -> Result<Up> {
    if let Some(rest) = resting(settings, resnapshot, exposition).await? {
        return Ok(Up::Rest(rest));
    }
    match start(settings, resnapshot, exposition).await {
        Ok(daemon) => Ok(Up::Flow(Box::new(daemon))),
        // A crash had left it in the joins' state only.
        Err(error) if error.kind() == Kind::CutOver => {
            match resting(settings, resnapshot, exposition).await? {
                Some(rest) => Ok(Up::Rest(rest)),
                None => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// The same in a process that has just ended its flow.
pub(super) async fn up_again(settings: &Arc<Settings>, exposition: &Exposition) -> Result<Up> {
    let begun = Instant::now();
    loop {
        match up(settings, false, exposition).await {
            Err(error)
                if matches!(error.kind(), Kind::Store | Kind::Usage) && begun.elapsed() < HELD =>
            {
                tracing::debug!(%error, "not yet");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            ended => return ended,
        }
    }
}

async fn resting(
    settings: &Settings,
    resnapshot: bool,
    exposition: &Exposition,
) -> Result<Option<Box<Rest>>> {
    match Rest::begin(settings, exposition).await {
        Ok(rest) => Ok(rest.map(Box::new)),
        // What cannot be read need not be, to start over.
        Err(_) if resnapshot => Ok(None),
        Err(error) => Err(error),
    }
}

async fn start(
    settings: &Arc<Settings>,
    resnapshot: bool,
    exposition: &Exposition,
) -> Result<Daemon> {
    let Prepared {
        plan,
        catalog,
        facts,
    } = prepare::online(settings).await?;
    let daemon = Daemon::start(Start {
        settings: Arc::clone(settings),
        plan,
        catalog,
        facts,
        exposition: exposition.clone(),
        resnapshot,
    })
    .await?;
    tracing::info!(address = %daemon.address, "serving /status and /metrics");
    Ok(daemon)
}

/// A second signal: nobody waits for what is in flight. The stores are as after a crash, which they survive.
pub(super) fn at_once() -> ! {
    tracing::warn!("told to end twice: not waiting for what is in flight; the next run writes it");
    std::process::exit(1)
}

/// What ends the daemon from outside.
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    pub(super) fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let open = |kind| {
            signal(kind).map_err(|e| {
                Error::new(Kind::Internal, "signals cannot be received").with_source(e)
            })
        };
        Ok(Self {
            terminate: open(SignalKind::terminate())?,
            interrupt: open(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn end(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
