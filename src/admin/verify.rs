//! Comparisons over the socket: begin one, follow it, stop it.

use std::sync::Arc;

use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Peer;
use super::router::refused;
use crate::error::Result;
use crate::verify::progress::Snapshot;
use crate::verify::report::{Finding, Mode, Report};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub mode: Mode,
    /// Put right what differs.
    #[serde(default)]
    pub repair: bool,
    /// Row values into the report.
    #[serde(default)]
    pub show_values: bool,
    /// For [`Mode::Keys`]: the items, as a report names them.
    #[serde(default)]
    pub keys: Vec<Finding>,
}

/// Where the last comparison is. Names no items: the report's file does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Which comparison of this daemon it is; 0 before the first.
    pub attempt: u64,
    /// Null when none is under way.
    pub progress: Option<Snapshot>,
    pub ended: Option<Ended>,
}

/// How the last comparison ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    Done {
        /// Without its findings.
        report: Box<Report>,
        /// JSON, then Markdown.
        files: Vec<String>,
    },
    Failed {
        kind: String,
        reason: String,
        remedy: String,
    },
}

/// Who compares: the daemon.
pub trait Bench: Send + Sync + 'static {
    /// Begins a comparison in the background; an error where it cannot begin.
    fn begin(&self, order: Order, who: &Peer) -> Result<()>;

    fn standing(&self) -> Standing;

    /// Stops the one that is under way; it can be gone on with.
    fn stop(&self) -> bool;
}

/// The routes; for the socket only.
pub fn routes(bench: Arc<dyn Bench>) -> Router {
    Router::new()
        .route("/verify", get(standing).post(begin))
        .route("/verify/stop", post(stop))
        .layer(axum::extract::DefaultBodyLimit::max(16 << 20))
        .with_state(bench)
}

type Shared = State<Arc<dyn Bench>>;

async fn begin(
    State(bench): Shared,
    ConnectInfo(who): ConnectInfo<Peer>,
    Json(order): Json<Order>,
) -> Response {
    match bench.begin(order, &who) {
        Ok(()) => Json(bench.standing()).into_response(),
        Err(error) => refused(&error),
    }
}

async fn standing(State(bench): Shared) -> Json<Standing> {
    Json(bench.standing())
}

async fn stop(State(bench): Shared) -> Json<serde_json::Value> {
    Json(json!({"stopped": bench.stop()}))
}
