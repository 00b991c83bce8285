//! The routes.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use super::history::History;
use super::{Status, StatusSource, page};
use crate::checkpoint::DeadLetterPage;
use crate::error::Error;
use crate::metrics::Exposition;

/// How long `/status` waits for the source to say where it is.
const CAUGHT_UP_WAIT: Duration = Duration::from_secs(5);
const PAGE: usize = 100;
/// Entries of the audit log on the page, and dead letters whose reasons are on it.
const AUDIT: usize = 10;
const LETTERS: usize = 1_000;

#[derive(Clone)]
struct Answers {
    source: Arc<dyn StatusSource>,
    exposition: Exposition,
}

/// What the page shows.
#[derive(Clone)]
struct Page {
    source: Arc<dyn StatusSource>,
    history: Arc<History>,
}

/// What anybody may ask.
pub(super) fn public(source: Arc<dyn StatusSource>, exposition: Exposition) -> Router {
    let history = History::watch(&source);
    let page = Page {
        source: Arc::clone(&source),
        history,
    };
    let page: Router = Router::new().route("/", get(html)).with_state(page);
    routes()
        .with_state(Answers { source, exposition })
        .merge(page)
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

async fn html(State(page): State<Page>, RawQuery(query): RawQuery) -> Response {
    let audit = page.source.audit(AUDIT).await;
    let status = page.source.status();
    let letters = match status.dead_letters {
        0 => Ok(DeadLetterPage::default()),
        _ => page.source.dead_letters(None, LETTERS).await,
    };
    // What cannot be read now is there the next time; how many there are is known in any case.
    let letters = letters.unwrap_or_default();
    let more = page::More {
        audit: &audit,
        reasons: page::reasons(&letters.letters),
        now_unix_ms: crate::checkpoint::now_unix_ms(),
        refreshes: !query.is_some_and(|q| q.split('&').any(|pair| pair == "refresh=off")),
    };
    let html = page::render(&status, &page.history, &more);
    // Nothing comes from elsewhere, and nothing runs.
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
}
