//! A full comparison of a million rows of a real MySQL with a stand-in for DynamoDB that makes up the items: how many
//! items a CPU-second of our process compares, both sides read and the scan for extra items included. The stand-in is a
//! process of its own, and so is MySQL.

#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use penstock::error::Result;
use penstock::pipeline::Key;
use penstock::plan::TargetId;
use penstock::position::GtidSet;
use penstock::sink;
use penstock::source::Options;
use penstock::verify::flow::{Flow, Watching};
use penstock::verify::pass::Engine;
use penstock::verify::rate::Limit;
use penstock::verify::report::Mode;
use penstock::verify::target::Target;
use serde_json::json;

use support::mysql::{self, Database, Server};

/// Keys of a page of a scan: about a megabyte of items.
const PAGE: u64 = 4_000;

fn main() {
    let rows = std::env::var("PENSTOCK_BENCH_ROWS").ok();
    let rows = rows.and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if std::env::args().nth(1).as_deref() == Some("stub") {
        let rows = std::env::args().nth(2).and_then(|n| n.parse().ok());
        runtime.spawn(serve(rows.unwrap_or(0)));
        let mut rest = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut rest);
        std::process::exit(0);
    }
    runtime.block_on(measure(rows));
}

async fn measure(rows: u64) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["stub", &rows.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the stand-in");
    let mut url = String::new();
    let output = child.stdout.take().expect("its output");
    BufReader::new(output)
        .read_line(&mut url)
        .expect("its address");
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    fill(&database, rows).await;
    let column = |name: &str, ty: &str| json!({"name": name, "type": ty, "source_column": name});
    let contract = json!({"tables": [{"table": "Rows", "type": "single-entity", "source_table": "rows_", "pk": "id",
        "attributes": [column("id", "N"), column("name", "S"), column("amount", "N"), column("at", "S"), column("note", "S")]}]});
    let plan = support::plan::compile(&database, &contract.to_string()).await;
    let directory = tempfile::tempdir().expect("a directory");
    let target = sink::Target {
        endpoint_url: Some(url.trim().to_owned()),
        ..sink::Target::default()
    };
    let engine = Arc::new(Engine {
        plan: Arc::new(plan),
        options: Arc::new(Options {
            port: server.port(),
            database: Some(database.name.clone()),
            ..Options::default()
        }),
        target: Target::new(sink::connect(&target).await, None),
        flow: Arc::new(Still),
        rows: Limit::new(None),
        directory: directory.path().join("verify"),
        progress: Arc::default(),
        stop: Default::default(),
        show_values: false,
        patience: Duration::from_secs(5),
        not_before: 0,
    });
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let report = engine.run(&Mode::Full, |_| {}).await.expect("a report");
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    assert!(report.is_clean(), "{}", report.markdown());
    assert_eq!(report.items, rows);
    println!("{rows} items of five attributes compared, and their keys scanned");
    println!(
        "{:>14}{:>16}{:>20}",
        "items/s", "items/CPU-s", "CPU-us/item"
    );
    println!(
        "{:>14.0}{:>16.0}{:>20.1}",
        rows as f64 / seconds,
        rows as f64 / cpu,
        cpu / rows as f64 * 1e6
    );
    drop(child.stdin.take());
    let _ = child.wait();
}

async fn fill(database: &Database<'_>, rows: u64) {
    database
        .run(&[
            "SET cte_max_recursion_depth = 1000000000",
            "CREATE TABLE rows_ (id BIGINT NOT NULL PRIMARY KEY, name VARCHAR(100) NOT NULL,
                 amount DECIMAL(12,2) NOT NULL, at DATETIME(3) NOT NULL, note TEXT)",
            &format!(
                "INSERT INTO rows_ WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                 SELECT i, CONCAT('name ', i), i, '2024-01-01 00:00:00.000', REPEAT('x', 100) FROM n"
            ),
            "ANALYZE TABLE rows_",
        ])
        .await;
}

/// CPU time of this process in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|t| t.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// A stream in which nothing happens.
struct Still;

struct Nothing(GtidSet);

impl Flow for Still {
    fn watch(&self) -> BoxFuture<'_, Result<Box<dyn Watching>>> {
        Box::pin(async { Ok(Box::new(Nothing(GtidSet::new())) as Box<dyn Watching>) })
    }

    fn durable<'a>(&'a self, _: &'a GtidSet) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }
}

impl Watching for Nothing {
    fn received(&self) -> &GtidSet {
        &self.0
    }

    fn is_touched(&self, _: TargetId, _: &Key) -> bool {
        false
    }
}

/// The other process: a DynamoDB whose items follow from their keys.
async fn serve(rows: u64) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a port");
    println!("http://{}", listener.local_addr().expect("its address"));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, rows));
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, rows: u64) -> std::io::Result<Response<Full<Bytes>>> {
    let scan = request
        .headers()
        .get("x-amz-target")
        .is_some_and(|v| v.as_bytes().ends_with(b"Scan"));
    let body = request.into_body().collect().await;
    let body = body.map_err(std::io::Error::other)?.to_bytes();
    let answer = match scan {
        true => page(&body, rows),
        false => items(&body),
    };
    Response::builder()
        .header("content-type", "application/x-amz-json-1.0")
        .body(Full::new(answer.into()))
        .map_err(std::io::Error::other)
}

fn items(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let note = "x".repeat(100);
    let mut out = String::from("{\"Responses\":{\"Rows\":[");
    for (nth, id) in text.split("{\"N\":\"").skip(1).enumerate() {
        let id = id.split('"').next().unwrap_or_default();
        if nth > 0 {
            out.push(',');
        }
        out.push_str(&format!(
            "{{\"note\":{{\"S\":\"{note}\"}},\"id\":{{\"N\":\"{id}\"}},\"name\":{{\"S\":\"name {id}\"}},\
             \"amount\":{{\"N\":\"{id}\"}},\"at\":{{\"S\":\"2024-01-01 00:00:00.000\"}}}}"
        ));
    }
    out.push_str("]},\"UnprocessedKeys\":{}}");
    out
}

/// A page of one segment; the segments are the numbers by their remainder.
fn page(body: &[u8], rows: u64) -> String {
    let request: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let number = |value: &serde_json::Value| value.as_u64().unwrap_or(0);
    let segments = number(&request["TotalSegments"]).max(1);
    let last = request["ExclusiveStartKey"]["id"]["N"]
        .as_str()
        .and_then(|n| n.parse::<u64>().ok());
    let from = match last {
        Some(last) => last + segments,
        None => number(&request["Segment"]) + 1,
    };
    let mut out = String::from("{\"Items\":[");
    let (mut id, mut count) = (from, 0);
    while id <= rows && count < PAGE {
        if count > 0 {
            out.push(',');
        }
        out.push_str(&format!("{{\"id\":{{\"N\":\"{id}\"}}}}"));
        id += segments;
        count += 1;
    }
    out.push(']');
    if id <= rows {
        out.push_str(&format!(
            ",\"LastEvaluatedKey\":{{\"id\":{{\"N\":\"{}\"}}}}",
            id - segments
        ));
    }
    out.push('}');
    out
}
