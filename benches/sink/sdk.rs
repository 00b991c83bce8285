//! What a program does that has aws-sdk-dynamodb and uses it as its documentation shows: typed items, the SDK's own
//! connections, timeouts and standard retries; and how a run is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, Region};
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// The table's name.
pub const TABLE: &str = "items";
/// Requests at a time.
pub const LANES: usize = 8;

/// What a run took.
pub struct Cost {
    pub cpu: Duration,
    pub wall: Duration,
}

impl Cost {
    /// For another process.
    pub fn print(&self) {
        println!("{} {}", self.cpu.as_secs_f64(), self.wall.as_secs_f64());
    }
}

/// User and system time of this process, in the kernel's hundredths of a second.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc/self/stat");
    let after_name = stat.rsplit_once(')').expect("a name").1;
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("ticks"))
        .sum();
    Duration::from_millis(ticks * 10)
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
}

/// Runs `work` and takes its time.
pub fn timed(work: impl FnOnce()) -> Cost {
    let (cpu, started) = (cpu_time(), Instant::now());
    work();
    Cost {
        cpu: cpu_time().saturating_sub(cpu),
        wall: started.elapsed(),
    }
}

/// The text of each item.
pub fn text() -> String {
    "x".repeat(220)
}

/// Writes so many items to the server at the URL; unprocessed ones are sent again.
pub fn write(url: &str, items: usize) -> Cost {
    timed(|| {
        runtime().block_on(async {
            let client = client(url).await;
            let next = Arc::new(AtomicUsize::new(0));
            let lanes: Vec<_> = (0..LANES)
                .map(|_| tokio::spawn(lane(client.clone(), Arc::clone(&next), items)))
                .collect();
            for lane in lanes {
                lane.await.expect("a lane");
            }
        });
    })
}

/// All defaults; the connector is named because this crate leaves the default one, with its other TLS library, out.
async fn client(url: &str) -> Client {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(url)
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
        .load()
        .await;
    Client::new(&config)
}

async fn lane(client: Client, next: Arc<AtomicUsize>, items: usize) {
    let text = text();
    loop {
        let first = next.fetch_add(25, Ordering::Relaxed);
        if first >= items {
            return;
        }
        let mut left: Vec<usize> = (first..items.min(first + 25)).collect();
        let mut again = None;
        while !left.is_empty() {
            let make = || left.iter().map(|n| request(*n, &text)).collect();
            let requests = again.take().unwrap_or_else(make);
            let answer = client
                .batch_write_item()
                .request_items(TABLE, requests)
                .send()
                .await;
            // Where its retries are used up, the same once more.
            if let Ok(output) = answer {
                let mut unprocessed = output.unprocessed_items.unwrap_or_default();
                again = unprocessed.remove(TABLE);
                left = again.iter().flatten().filter_map(number).collect();
            }
        }
    }
}

fn request(n: usize, text: &str) -> WriteRequest {
    let put = PutRequest::builder()
        .item("PK", AttributeValue::S(format!("USER#{n}")))
        .item("n", AttributeValue::N(n.to_string()))
        .item("text", AttributeValue::S(text.to_owned()))
        .build()
        .expect("a put");
    WriteRequest::builder().put_request(put).build()
}

fn number(request: &WriteRequest) -> Option<usize> {
    let item = &request.put_request()?.item;
    item.get("n")?.as_n().ok()?.parse().ok()
}
