//! Cutover over the socket: begin it, follow it, give it up, take it back, rehearse it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::sync::watch;

use super::{Peer, refused};
use crate::cutover::{Options, Outcome, Progress, Rehearsal};
use crate::error::Result;

/// So long at most a question waits for news.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Who carries cutovers out: the daemon.
pub trait Desk: Send + Sync + 'static {
    /// Begins one, in the background; an error where it cannot begin.
    fn begin(self: Arc<Self>, options: Options, who: Peer) -> BoxFuture<'static, Result<()>>;

    /// Where the last one is.
    fn progress(&self) -> watch::Receiver<Progress>;

    /// Gives up the one that is under way, and tells how it ended: at its last step it is not given up.
    fn abort(&self, who: Peer) -> BoxFuture<'_, Result<Outcome>>;

    /// Takes the last one back: the sink may write again. The daemon starts its flow anew after the answer.
    fn reopen(&self, who: Peer) -> BoxFuture<'_, Result<()>>;

    /// How a cutover would go now.
    fn rehearse(&self, who: Peer) -> BoxFuture<'_, Result<Rehearsal>>;
}

/// The routes; for the socket only.
pub fn routes(desk: Arc<dyn Desk>) -> Router {
    Router::new()
        .route("/cutover", post(begin).get(progress))
        .route("/cutover/abort", post(abort))
        .route("/cutover/reopen", post(reopen))
        .route("/rehearse", post(rehearse))
        .with_state(desk)
}

type Shared = State<Arc<dyn Desk>>;

async fn begin(
    State(desk): Shared,
    ConnectInfo(who): ConnectInfo<Peer>,
    Json(options): Json<Options>,
) -> Response {
    let begun = Arc::clone(&desk).begin(options, who).await;
    answer(begun.map(|()| {
        let now = desk.progress().borrow().clone();
        json!(now)
    }))
}

/// Where it is; with `?seen=N` as soon as that is not version N any more, or after ten seconds.
async fn progress(State(desk): Shared, RawQuery(query): RawQuery) -> Json<Progress> {
    let mut progress = desk.progress();
    let seen = query.as_deref().unwrap_or_default().strip_prefix("seen=");
    if let Some(seen) = seen.and_then(|seen| seen.parse::<u64>().ok()) {
        let changed = progress.wait_for(|now| now.version != seen);
        let _ = tokio::time::timeout(LONGEST_WAIT, changed).await;
    }
    let now = progress.borrow().clone();
    Json(now)
}

async fn abort(State(desk): Shared, ConnectInfo(who): ConnectInfo<Peer>) -> Response {
    answer(desk.abort(who).await.map(|outcome| json!(outcome)))
}

async fn reopen(State(desk): Shared, ConnectInfo(who): ConnectInfo<Peer>) -> Response {
    let reopened = desk.reopen(who).await;
    answer(reopened.map(|()| json!({"reopened": true})))
}

async fn rehearse(State(desk): Shared, ConnectInfo(who): ConnectInfo<Peer>) -> Response {
    answer(desk.rehearse(who).await.map(|rehearsal| json!(rehearsal)))
}

fn answer(result: Result<serde_json::Value>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(error) => refused(&error),
    }
}
