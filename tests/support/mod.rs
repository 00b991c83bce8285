//! What the integration tests stand on: real servers, the daemon as a process, and an oracle.

#![allow(dead_code)] // every test uses a part of it

pub mod browser;
pub mod daemon;
pub mod http;
pub mod invent;
pub mod items;
pub mod mysql;
pub mod oracle;
pub mod plan;
pub mod powerloss;
pub mod prometheus;
pub mod proxy;
pub mod pty;
pub mod shop;
pub mod storm;
pub mod stub;
pub mod target;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The folder of the crate.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a test needs is not on this machine: a word about it, and the test does nothing. On CI, where scripts/setup has
/// installed everything, it fails: green means that it was looked at.
///
/// # Panics
/// With the variable CI set to `true`.
pub fn missing(what: &str, setup: &str) {
    let told = format!("no {what} here (scripts/setup {setup})");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{told}");
    eprintln!("skipped: {told}");
}

/// One of the scripts.
pub fn script(name: &str) -> PathBuf {
    root().join("scripts").join(name)
}

/// A port of 127.0.0.1 on which nobody listens now. It can be taken until it is used: callers try again.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port on 127.0.0.1")
        .port()
}

/// Asks again and again until the answer is there; panics with `what` when it is not in time.
pub async fn eventually<T>(
    what: &str,
    timeout: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begin.elapsed() < timeout, "not within {timeout:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The seed of a random test: PENSTOCK_SEED, or a new one; printed, so that a failure can be repeated.
pub fn seed() -> u64 {
    let seed = match std::env::var("PENSTOCK_SEED") {
        Ok(text) => text.parse().expect("PENSTOCK_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("PENSTOCK_SEED={seed}");
    seed
}

/// How long a test under load runs, in seconds: PENSTOCK_SECONDS, or what suits everyday runs.
pub fn seconds(usual: u64) -> u64 {
    match std::env::var("PENSTOCK_SECONDS") {
        Ok(text) => text.parse().expect("PENSTOCK_SECONDS is a number"),
        Err(_) => usual,
    }
}
