//! Logs go to stderr: for people on a terminal, as JSON lines elsewhere.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// Tells what it does.
    Daemon,
    /// Tells only what is wrong.
    Command,
    /// The same, between bars that people watch, wherever stderr leads.
    Terminal,
}

/// Starts logging. `PENSTOCK_LOG` says what is logged.
pub(super) fn init(voice: Voice) {
    let default = match voice {
        Voice::Daemon => "info",
        Voice::Command | Voice::Terminal => "warn",
    };
    // sled and the AWS SDK tell at `info` what nobody asked; the embedded DynamoDB warns of each of its refusals, which
    // its client judges and tells itself.
    let quiet = format!("{default},sled=error,aws_config=warn,hyper=warn,dynoxide=error");
    let (filter, complaint) = match std::env::var("PENSTOCK_LOG") {
        Err(_) => (EnvFilter::new(&quiet), None),
        Ok(text) => match EnvFilter::try_new(&text) {
            Ok(filter) => (filter, None),
            Err(e) => (EnvFilter::new(&quiet), Some(e)),
        },
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    // A second subscriber (in tests) changes nothing.
    let _ = if voice == Voice::Terminal || stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    if let Some(error) = complaint {
        tracing::warn!(%error, "PENSTOCK_LOG is not understood; the default is used");
    }
}
