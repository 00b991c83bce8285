//! Asking a running daemon over its Unix socket.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::Status;
use crate::checkpoint::DeadLetterPage;
use crate::error::{Error, Kind, Result};

const WAIT: Duration = Duration::from_secs(15);
const ANSWER_BYTES: usize = 16 << 20;

/// The socket of the daemon that holds this state directory.
pub fn socket_path(state: &Path) -> PathBuf {
    state.join("penstock.sock")
}

/// Speaks to one daemon.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// For the daemon of this state directory; nothing is connected yet.
    pub fn new(state: &Path) -> Self {
        Self {
            socket: socket_path(state),
        }
    }

    /// Where the daemon stands; `None` where none runs.
    pub async fn status(&self) -> Result<Option<Status>> {
        self.get("/status").await
    }

    /// A page of dead letters; `None` where no daemon runs.
    pub async fn dead_letters(
        &self,
        from: Option<&str>,
        limit: usize,
    ) -> Result<Option<DeadLetterPage>> {
        // A page's `next` is hexadecimal: anything else could change the request.
        if from.is_some_and(|f| !f.bytes().all(|b| b.is_ascii_hexdigit())) {
            return Err(Error::new(
                Kind::Usage,
                "this is not the start of a page of dead letters",
            ));
        }
        let from = from.map_or(String::new(), |f| format!("&from={f}"));
        self.get(&format!("/dead-letters?limit={limit}{from}"))
            .await
    }

    /// What the daemon answers to a GET; `None` where no daemon runs.
    ///
    /// # Errors
    /// The daemon's own, with its kind, reason and remedy; `Store` where it does not answer.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        self.ask(Method::GET, path, Bytes::new(), WAIT).await
    }

    /// What the daemon answers to a POST of `body` within `patience`; `None` where no daemon runs.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        patience: Duration,
    ) -> Result<Option<T>> {
        let body = serde_json::to_vec(body)
            .map_err(|e| Error::new(Kind::Internal, "a request as JSON").with_source(e))?;
        self.ask(Method::POST, path, body.into(), patience).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        patience: Duration,
    ) -> Result<Option<T>> {
        let stream = match UnixStream::connect(&self.socket).await {
            Ok(stream) => stream,
            // No socket, or one that a killed process left.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(e) => return Err(self.failed("cannot be reached").with_source(e)),
        };
        let body = tokio::time::timeout(patience, self.exchange(stream, method, path, body))
            .await
            .map_err(|_| self.failed("does not answer"))??;
        serde_json::from_slice(&body)
            .map(Some)
            .map_err(|_| self.failed("answers something else; it may be of another version"))
    }

    async fn exchange(
        &self,
        stream: UnixStream,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes> {
        let lost = |e: hyper::Error| self.failed("broke off").with_source(e);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(lost)?;
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "penstock")
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|e| Error::new(Kind::Internal, "a request").with_source(e))?;
        let answer = sender.send_request(request).await.map_err(lost)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES)
            .collect()
            .await
            .map_err(|e| self.failed("broke off").with_source(e))?
            .to_bytes();
        driver.abort();
        if status.is_success() {
            return Ok(body);
        }
        Err(self.refused(status, &body))
    }

    /// The daemon's own error.
    fn refused(&self, status: StatusCode, body: &[u8]) -> Error {
        let told: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let Some(reason) = told["reason"].as_str() else {
            return self.failed(&format!("answers {status}; it may be of another version"));
        };
        let kind = told["kind"].as_str().and_then(Kind::named);
        let error = Error::new(kind.unwrap_or(Kind::Internal), reason);
        match told["remedy"].as_str() {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        }
    }

    fn failed(&self, what: &str) -> Error {
        Error::new(
            Kind::Store,
            format!("the daemon behind {} {what}", self.socket.display()),
        )
        .with_remedy("see the daemon's log; its status is also on [metrics] listen")
    }
}
