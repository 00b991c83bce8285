//! What an operator does to the running flow, over the socket: hold it, and have rows read again.

use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Peer;
use super::router::refused;
use crate::error::Result;

/// Which dead letters are tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Those of this projection only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projection: Option<String>,
    /// That of this row only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_key: Option<String>,
    /// Where an answer ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What became of some of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    pub tried: u64,
    /// The row has a valid item now, or is gone.
    pub cleared: u64,
    /// The contract does not know the projection, or no row can have the key.
    pub unknown: u64,
    /// What to ask for next; null at the end.
    pub next: Option<String>,
}

/// A table that is being copied again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    pub table: String,
    pub since_unix_ms: u64,
    pub by: String,
    /// `copy`: its rows are copied; `sweep`: rows that are gone are looked for.
    pub step: String,
    pub rows: u64,
    pub estimated_rows: u64,
}

/// Which table is to be copied again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Which {
    pub table: String,
}

/// Who does it: the daemon.
pub trait Controls: Send + Sync + 'static {
    /// Holds the stream; returns once nothing is written any more. Who holds it, and since when.
    fn pause(&self, who: Peer) -> BoxFuture<'_, Result<serde_json::Value>>;

    /// Lets it go on; false where it was not held.
    fn resume(&self, who: Peer) -> BoxFuture<'_, Result<bool>>;

    /// Copies a table again, in the background; its whole name.
    fn resnapshot(&self, which: Which, who: Peer) -> BoxFuture<'_, Result<String>>;

    /// The tables that are being copied again.
    fn resnapshots(&self) -> Result<Vec<Again>>;

    /// Reads rows without a valid item again, a page of them.
    fn retry(&self, which: Retry, who: Peer) -> BoxFuture<'_, Result<Retried>>;
}

/// The routes; for the socket only.
pub fn routes(controls: Arc<dyn Controls>) -> Router {
    Router::new()
        .route("/pause", post(pause))
        .route("/resume", post(resume))
        .route("/resnapshot", post(resnapshot).get(resnapshots))
        .route("/dead-letters/retry", post(retry))
        .with_state(controls)
}

type Shared = State<Arc<dyn Controls>>;

async fn pause(State(controls): Shared, ConnectInfo(who): ConnectInfo<Peer>) -> Response {
    let paused = controls.pause(who).await;
    answer(paused.map(|paused| json!({"paused": paused})))
}

async fn resume(State(controls): Shared, ConnectInfo(who): ConnectInfo<Peer>) -> Response {
    let resumed = controls.resume(who).await;
    answer(resumed.map(|resumed| json!({"resumed": resumed})))
}

async fn resnapshot(
    State(controls): Shared,
    ConnectInfo(who): ConnectInfo<Peer>,
    Json(which): Json<Which>,
) -> Response {
    let begun = controls.resnapshot(which, who).await;
    answer(begun.map(|table| json!({"table": table})))
}

async fn resnapshots(State(controls): Shared) -> Response {
    answer(controls.resnapshots().map(|tables| json!(tables)))
}

async fn retry(
    State(controls): Shared,
    ConnectInfo(who): ConnectInfo<Peer>,
    Json(which): Json<Retry>,
) -> Response {
    answer(
        controls
            .retry(which, who)
            .await
            .map(|retried| json!(retried)),
    )
}

fn answer(result: Result<serde_json::Value>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => refused(&error),
    }
}
