//! Logs go to stderr: for people on a terminal, as JSON lines elsewhere.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// Starts logging. `PENSTOCK_LOG` says what; by default the daemon tells what it does, and commands only what is wrong.
pub(super) fn init(daemon: bool) {
    let default = if daemon { "info" } else { "warn" };
    // sled and the AWS SDK tell at `info` what nobody asked.
    let quiet = format!("{default},sled=error,aws_config=warn,hyper=warn");
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
    let _ = if stderr().is_terminal() {
        builder.with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    if let Some(error) = complaint {
        tracing::warn!(%error, "PENSTOCK_LOG is not understood; the default is used");
    }
}
