//! A daemon to speak to: the one that runs, or, where none does, the flow in our own process for as long as the command
//! takes. Either way the command speaks over the socket, so that there is one way to do a thing.

use std::sync::Arc;
use std::time::Duration;

use super::serving::{self, Signals, Up, at_once};
use super::{Cli, Failure, runtime, settings};
use crate::admin::Client;
use crate::config::Settings;
use crate::daemon::Shared;
use crate::error::{Error, Kind, Result};
use crate::metrics::Exposition;

/// Runs `work` with a daemon. SIGTERM and Ctrl-C end it; a flow of our own is drained then, and at the end.
pub(super) fn with<T>(
    cli: &Cli,
    work: impl AsyncFnOnce(&Client) -> Result<T>,
) -> Result<T, Failure> {
    let settings = Arc::new(settings(cli)?);
    let runtime = runtime()?;
    let done = runtime.block_on(attached(settings, work));
    runtime.shutdown_timeout(Duration::from_millis(500));
    Ok(done?)
}

async fn attached<T>(
    settings: Arc<Settings>,
    work: impl AsyncFnOnce(&Client) -> Result<T>,
) -> Result<T> {
    let mut signals = Signals::new()?;
    let client = Client::new(&settings.state);
    if client.status().await?.is_some() {
        return tokio::select! {
            biased;
            () = signals.end() => Err(interrupted()),
            done = work(&client) => done,
        };
    }
    let exposition = Exposition::install()?;
    let up = tokio::select! {
        biased;
        () = signals.end() => return Err(interrupted()),
        up = serving::up(&settings, false, &exposition) => up?,
    };
    match up {
        Up::Rest(rest) => {
            let done = tokio::select! {
                biased;
                () = signals.end() => Err(interrupted()),
                done = work(&client) => done,
            };
            rest.end().await;
            done
        }
        Up::Flow(mut daemon) => {
            let shared = Arc::clone(&daemon.shared);
            let mut work = std::pin::pin!(work(&client));
            let done = tokio::select! {
                biased;
                () = signals.end() => Err(interrupted()),
                done = &mut work => done,
                () = daemon.stopped() => Err(stopped(&shared)),
            };
            tokio::select! {
                biased;
                left = daemon.drain() => drop(left?),
                () = signals.end() => at_once(),
            }
            done
        }
    }
}

/// Why the stream stopped while the command waited for it.
fn stopped(shared: &Shared) -> Error {
    match shared.failure() {
        Some(failure) => Error::new(failure.error_kind, failure.reason).with_remedy(failure.remedy),
        None => interrupted(),
    }
}

fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "ended by a signal")
}
