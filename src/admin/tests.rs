use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::routing::post;
use axum::{Json, Router};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::checkpoint::{DeadLetter, TableState};
use crate::error::{Error, Kind};
use crate::metrics::Exposition;
use crate::phase::Phase;

const SECRET_KEY: &str = "customer-4711";
const PATIENCE: Duration = Duration::from_secs(30);

/// A table of about a thousand rows on its way.
pub(crate) fn table(name: &str, state: TableState, rows: u64) -> TableStatus {
    TableStatus {
        table: name.to_owned(),
        state,
        rows,
        estimated_rows: 1000,
        open_chunks: 0,
    }
}

struct Daemon {
    status: Status,
    caught_up: bool,
    refreshed: AtomicUsize,
}

impl StatusSource for Daemon {
    fn status(&self) -> Status {
        self.status.clone()
    }

    fn caught_up(&self) -> BoxFuture<'_, bool> {
        Box::pin(async { self.caught_up })
    }

    fn dead_letters(
        &self,
        from: Option<String>,
        limit: usize,
    ) -> BoxFuture<'_, crate::error::Result<DeadLetterPage>> {
        Box::pin(async move {
            if from.as_deref() == Some("bad") {
                return Err(Error::new(Kind::Usage, "no such page"));
            }
            let letter = DeadLetter {
                projection: "orders".into(),
                source_key: SECRET_KEY.into(),
                target: "Shop".into(),
                reason: "the key is empty".into(),
                first_seen_unix_ms: 1,
                last_seen_unix_ms: 2,
                count: 3,
                position: from.unwrap_or_default(),
            };
            Ok(DeadLetterPage {
                letters: vec![letter],
                next: None,
                total: limit as u64,
            })
        })
    }

    fn refresh_metrics(&self) {
        self.refreshed.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) fn status(phase: Phase, lag: Option<f64>) -> Status {
    Status {
        version: "0.1.0".into(),
        uptime_seconds: 12,
        phase,
        caught_up: false,
        position: PositionStatus::default(),
        lag_seconds: LagSeconds {
            read: lag,
            apply: lag,
        },
        snapshot: Vec::new(),
        paused: None,
        behind_transactions: None,
        in_flight: 0,
        dead_letters: 1,
        parity: None,
        gates: Vec::new(),
        stopped: None,
        trouble: Vec::new(),
        target: "embedded".into(),
        checkpoint_age_seconds: None,
    }
}

fn daemon(status: Status) -> Arc<Daemon> {
    Arc::new(Daemon {
        status,
        caught_up: true,
        refreshed: AtomicUsize::new(0),
    })
}

async fn start(state: &Path, daemon: Arc<Daemon>) -> Servers {
    let (_, exposition) = Exposition::build().unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let commands = commands();
    serve(listen, state, daemon, exposition, commands)
        .await
        .unwrap()
}

/// Commands of the socket: one that tells who asked what, late, and one that refuses.
fn commands() -> Router {
    let echo = async |ConnectInfo(peer): ConnectInfo<Peer>, Json(body): Json<Value>| {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Json(json!({"peer": peer, "body": body}))
    };
    let no = async || {
        let error = Error::new(Kind::SourcePurged, "it is gone").with_remedy("start over");
        router::refused(&error)
    };
    Router::new()
        .route("/echo", post(echo))
        .route("/no", post(no))
}

#[tokio::test]
async fn commands_are_on_the_socket_only_and_know_who_asks() {
    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(dir.path());
    let body = json!({"a": 1});
    let nobody: Option<Value> = client.post("/echo", &body, PATIENCE).await.unwrap();
    assert_eq!(nobody, None);
    let servers = start(dir.path(), daemon(status(Phase::Ready, None))).await;
    let answer = get(&servers, "/no").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let told: Option<Value> = client.post("/echo", &body, PATIENCE).await.unwrap();
    let told = told.unwrap();
    assert_eq!(told["body"], body);
    assert_eq!(told["peer"]["pid"], std::process::id());
    let late = Duration::from_millis(20);
    let error = client.post::<_, Value>("/echo", &body, late).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error}");
}

#[tokio::test]
async fn the_daemons_error_is_the_clients() {
    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(dir.path());
    let _servers = start(dir.path(), daemon(status(Phase::Ready, None))).await;
    let error = client.post::<_, Value>("/no", &json!({}), PATIENCE).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), Kind::SourcePurged);
    assert_eq!(error.to_string(), "it is gone");
    assert_eq!(error.remedy(), "start over");
}

/// Status line, headers and body of one request.
async fn get(servers: &Servers, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(servers.address)
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_routes_answer() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = daemon(status(Phase::Streaming, Some(0.5)));
    let servers = start(dir.path(), daemon.clone()).await;
    assert!(get(&servers, "/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(get(&servers, "/readyz").await.starts_with("HTTP/1.1 200"));
    let metrics = get(&servers, "/metrics").await;
    assert!(metrics.contains("text/plain; version=0.0.4"), "{metrics}");
    assert_eq!(daemon.refreshed.load(Ordering::Relaxed), 1);
    let page = get(&servers, "/").await;
    assert!(
        page.contains("<span class=\"word\">streaming</span>"),
        "{page}"
    );
    assert!(!page.contains("http:") && !page.contains("src="), "{page}");
    assert!(
        page.contains("content-security-policy: default-src 'none'"),
        "{page}"
    );
    let answer = get(&servers, "/status").await;
    let body = answer.split("\r\n\r\n").nth(1).unwrap();
    let told: Status = serde_json::from_str(body).unwrap();
    assert!(told.caught_up);
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    for key in [
        "phase",
        "caught_up",
        "position",
        "lag_seconds",
        "snapshot",
        "dead_letters",
        "parity",
        "gates",
        "stopped",
        "target",
        "uptime_seconds",
        "version",
    ] {
        assert!(json.get(key).is_some(), "{key} is missing");
    }
}

#[tokio::test]
async fn source_keys_are_on_the_socket_and_never_on_http() {
    let dir = tempfile::tempdir().unwrap();
    let servers = start(dir.path(), daemon(status(Phase::Ready, Some(0.0)))).await;
    for path in ["/", "/status", "/metrics", "/readyz", "/dead-letters"] {
        assert!(!get(&servers, path).await.contains(SECRET_KEY), "{path}");
    }
    assert!(
        get(&servers, "/dead-letters")
            .await
            .starts_with("HTTP/1.1 404")
    );
    let client = Client::new(dir.path());
    let page = client.dead_letters(Some("ab12"), 7).await.unwrap().unwrap();
    assert_eq!(page.letters[0].source_key, SECRET_KEY);
    assert_eq!(page.letters[0].position, "ab12");
    assert_eq!(page.total, 7);
    assert!(client.status().await.unwrap().unwrap().caught_up);
    let error = client.dead_letters(Some("bad"), 7).await.unwrap_err();
    assert!(error.to_string().contains("no such page"), "{error}");
    let error = client.dead_letters(Some("x&limit=1"), 7).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
}

#[tokio::test]
async fn the_socket_is_its_owners_replaces_a_dead_one_and_goes_with_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let socket = socket_path(dir.path());
    let client = Client::new(dir.path());
    assert!(client.status().await.unwrap().is_none());
    // What a killed process leaves: a socket that nobody listens on.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(client.status().await.unwrap().is_none());
    let servers = start(dir.path(), daemon(status(Phase::Ready, None))).await;
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(client.status().await.unwrap().is_some());
    drop(servers);
    assert!(!socket.exists());
    assert!(client.status().await.unwrap().is_none());
}

#[tokio::test]
async fn an_address_in_use_and_a_file_in_the_way_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let first = start(dir.path(), daemon(status(Phase::Ready, None))).await;
    let (_, exposition) = Exposition::build().unwrap();
    let source = daemon(status(Phase::Ready, None));
    let error = serve(
        first.address,
        other.path(),
        source.clone(),
        exposition.clone(),
        Router::new(),
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(
        error.to_string().contains(&first.address.to_string()),
        "{error}"
    );
    assert!(error.remedy().contains("[metrics] listen"));
    std::fs::write(socket_path(other.path()), "x").unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let error = serve(listen, other.path(), source, exposition, Router::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("is no socket"), "{error}");
}

#[tokio::test]
async fn not_ready_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let mut stopped = status(Phase::Stopped, None);
    stopped.stopped = Some(Stopped::from(&Error::new(
        Kind::TableChanged,
        "ALTER TABLE",
    )));
    let servers = start(dir.path(), daemon(stopped)).await;
    let answer = get(&servers, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("table_changed"), "{answer}");
    assert!(get(&servers, "/healthz").await.starts_with("HTTP/1.1 200"));
}

#[test]
fn ready_only_when_streaming_with_a_small_lag_that_is_known() {
    for phase in Phase::ALL {
        let ready = status(phase, Some(0.0)).readiness().is_ok();
        assert_eq!(ready, phase.is_streaming(), "{phase}");
    }
    assert!(status(Phase::Streaming, None).readiness().is_err());
    assert!(
        status(Phase::Streaming, Some(READY_LAG_SECONDS))
            .readiness()
            .is_ok()
    );
    assert!(
        status(Phase::Streaming, Some(READY_LAG_SECONDS + 0.1))
            .readiness()
            .is_err()
    );
    assert!(
        status(Phase::Streaming, Some(f64::NAN))
            .readiness()
            .is_err()
    );
}
