//! The routes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::{Status, StatusSource};
use crate::error::Error;
use crate::metrics::Exposition;

/// How long `/status` waits for the source to say where it is.
const CAUGHT_UP_WAIT: Duration = Duration::from_secs(5);
const PAGE: usize = 100;

#[derive(Clone)]
struct Answers {
    source: Arc<dyn StatusSource>,
    exposition: Exposition,
}

/// What anybody may ask.
pub(super) fn public(source: Arc<dyn StatusSource>, exposition: Exposition) -> Router {
    routes().with_state(Answers { source, exposition })
}

/// What the owner of the state directory may ask, too; `more` are the routes of the commands.
pub(super) fn local(source: Arc<dyn StatusSource>, exposition: Exposition, more: Router) -> Router {
    routes()
        .route("/dead-letters", get(dead_letters))
        .with_state(Answers { source, exposition })
        .merge(more)
}

fn routes() -> Router<Answers> {
    Router::new()
        .route("/", get(page))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
}

async fn metrics(State(answers): State<Answers>) -> Response {
    answers.source.refresh_metrics();
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], answers.exposition.render()).into_response()
}

async fn readyz(State(answers): State<Answers>) -> Response {
    match answers.source.status().readiness() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn status(State(answers): State<Answers>) -> Json<Status> {
    let caught_up = tokio::time::timeout(CAUGHT_UP_WAIT, answers.source.caught_up())
        .await
        .unwrap_or(false);
    Json(Status {
        caught_up,
        ..answers.source.status()
    })
}

async fn dead_letters(State(answers): State<Answers>, RawQuery(query): RawQuery) -> Response {
    let (mut from, mut limit) = (None, PAGE);
    for pair in query.as_deref().unwrap_or_default().split('&') {
        match pair.split_once('=') {
            Some(("from", value)) => from = Some(value.to_string()),
            Some(("limit", value)) => limit = value.parse().unwrap_or(PAGE),
            _ => {}
        }
    }
    match answers.source.dead_letters(from, limit).await {
        Ok(page) => Json(page).into_response(),
        Err(error) => refused(&error),
    }
}

/// An error as the client understands it.
pub fn refused(error: &Error) -> Response {
    let body = json!({
        "kind": error.kind().name(),
        "reason": error.to_string(),
        "remedy": error.remedy(),
    });
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}

async fn page(State(answers): State<Answers>) -> Html<String> {
    let status = answers.source.status();
    let lag = status
        .lag_seconds
        .apply
        .map_or("unknown".to_string(), |s| format!("{s:.1} s"));
    // Words and numbers of our own only: nothing here needs escaping.
    Html(format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>penstock</title>\n\
         <h1>penstock {}</h1>\n\
         <p>Phase: <b>{}</b>. Behind the source: {lag}. Dead letters: {}.</p>\n\
         <ul>\n<li><a href=\"/status\">/status</a>: everything, as JSON</li>\n\
         <li><a href=\"/metrics\">/metrics</a>: for Prometheus</li>\n\
         <li><a href=\"/healthz\">/healthz</a>: the process is alive</li>\n\
         <li><a href=\"/readyz\">/readyz</a>: DynamoDB is current</li>\n</ul>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        status.phase,
        status.dead_letters,
    ))
}
