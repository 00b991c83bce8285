//! Items per CPU-second: our writer beside the SDK's typed builder with its default retries, against a stub in another
//! process. `cargo bench --bench sink`; with `PENSTOCK_BENCH_ITEMS` another number of items.

#[path = "../tests/support/stub/mod.rs"]
mod stub;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use bytes::Bytes;
use penstock::pipeline::{self, Action, Key, Mutation, Origin};
use penstock::plan::{ProjectionId, TargetId};
use penstock::sink::{DynamoWriter, Table, Target, connect};
use stub::{Faults, Stub};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TABLE: &str = "items";
const LANES: usize = 8;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("stub") {
        serve(arguments.next().as_deref() == Some("faults"));
        return;
    }
    let items = std::env::var("PENSTOCK_BENCH_ITEMS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(100_000);
    println!("{items} items of about 300 bytes, {LANES} requests at a time");
    println!(
        "\"items made\" counts what makes an item's JSON of its values, as the SDK's row counts making its typed items."
    );
    println!(
        "{:<24}{:>14}{:>12}{:>10}",
        "", "items/CPU-s", "items/s", "ratio"
    );
    for (name, faults) in [("no faults", false), ("5% throttled, 10% partial", true)] {
        println!("{name}:");
        let sdk = measure(faults, |url| sdk(url, items)).per_second(items);
        let whole = measure(faults, |url| ours(url, (0..items).map(mutation)));
        let made: Vec<Mutation> = (0..items).map(mutation).collect();
        let sink = measure(faults, |url| ours(url, made.into_iter()));
        show("SDK, typed items", sdk, sdk);
        show("penstock, items made", whole.per_second(items), sdk);
        show("penstock, sink alone", sink.per_second(items), sdk);
    }
}

/// A line of the table: rates, and how they compare per CPU-second.
fn show(name: &str, rates: (f64, f64), sdk: (f64, f64)) {
    let ratio = rates.0 / sdk.0;
    println!("{name:<24}{:>14.0}{:>12.0}{ratio:>9.2}x", rates.0, rates.1);
}

/// The other process: a stub, until its input ends.
fn serve(faults: bool) {
    let faults = if faults {
        Faults {
            throttle: 0.05,
            partial: 0.10,
            ..Faults::default()
        }
    } else {
        Faults::default()
    };
    let stub = Stub::start_fast(faults);
    println!("{}", stub.url());
    let _ = std::io::stdin().read_line(&mut String::new());
}

struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(faults: bool) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["stub", if faults { "faults" } else { "none" }])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the stub's process");
        let mut url = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output)
            .read_line(&mut url)
            .expect("its address");
        Self {
            child,
            url: url.trim().to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

struct Cost {
    cpu: Duration,
    wall: Duration,
}

impl Cost {
    fn per_second(&self, items: usize) -> (f64, f64) {
        let items = items as f64;
        (
            items / self.cpu.as_secs_f64(),
            items / self.wall.as_secs_f64(),
        )
    }
}

fn measure(faults: bool, run: impl FnOnce(&str)) -> Cost {
    let server = Server::start(faults);
    let (cpu, started) = (cpu_time(), Instant::now());
    run(&server.url);
    Cost {
        cpu: cpu_time().saturating_sub(cpu),
        wall: started.elapsed(),
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

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
}

fn target(url: &str) -> Target {
    Target {
        endpoint_url: Some(url.to_owned()),
        ..Target::default()
    }
}

/// Mutations through the pipeline.
fn ours(url: &str, mutations: impl Iterator<Item = Mutation> + Send + 'static) {
    let runtime = runtime();
    let client = runtime.block_on(connect(&target(url)));
    let writer = DynamoWriter::new(client, vec![Table::new(TABLE, "PK", None)]);
    let options = pipeline::Options {
        lanes: LANES,
        ..pipeline::Options::default()
    };
    let writer = Arc::new(writer);
    let (mut feed, mut progress) =
        pipeline::start::<()>(options, Arc::clone(&writer), runtime.handle());
    let feeding = std::thread::spawn(move || {
        let mut mutations = mutations.peekable();
        while mutations.peek().is_some() {
            let sequence = feed.open();
            for mutation in mutations.by_ref().take(1000) {
                if feed.push(sequence, mutation).is_err() {
                    return;
                }
            }
            feed.close(sequence, ());
        }
    });
    runtime.block_on(async { while progress.next().await.expect("no error").is_some() {} });
    feeding.join().expect("the feeding thread");
    let stats = writer.stats();
    let batch = (stats.puts + stats.unprocessed) as f64 / stats.requests as f64;
    println!("  {} requests, {batch:.1} items each", stats.requests);
}

/// A mutation as the view makes it: an item of about 300 bytes, as JSON.
fn mutation(n: usize) -> Mutation {
    let text = "x".repeat(220);
    let item = format!(r#"{{"PK":{{"S":"USER#{n}"}},"n":{{"N":"{n}"}},"text":{{"S":"{text}"}}}}"#);
    Mutation {
        target: TargetId(0),
        key: Key(Bytes::from(format!(r#"{{"PK":{{"S":"USER#{n}"}}}}"#))),
        origin: Origin {
            projection: ProjectionId(0),
            source_key: n.to_string().into(),
        },
        action: Action::Put {
            size: item.len(),
            item: Bytes::from(item),
        },
    }
}

/// What one writes with the SDK: typed items, its default retries, unprocessed items sent again.
fn sdk(url: &str, items: usize) {
    let runtime = runtime();
    runtime.block_on(async {
        let plain = connect(&target(url)).await;
        let config = plain
            .config()
            .to_builder()
            .retry_config(RetryConfig::standard())
            .build();
        let client = Client::from_conf(config);
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = Vec::new();
        for _ in 0..LANES {
            tasks.push(tokio::spawn(sdk_lane(
                client.clone(),
                Arc::clone(&next),
                items,
            )));
        }
        for task in tasks {
            task.await.expect("a lane");
        }
    });
}

async fn sdk_lane(client: Client, next: Arc<AtomicUsize>, items: usize) {
    loop {
        let first = next.fetch_add(25, Ordering::Relaxed);
        if first >= items {
            return;
        }
        let requests = (first..items.min(first + 25)).map(request).collect();
        let mut left = HashMap::from([(TABLE.to_owned(), requests)]);
        while !left.is_empty() {
            let answer = client
                .batch_write_item()
                .set_request_items(Some(left.clone()))
                .send()
                .await;
            // Its retries may be used up; then once more.
            if let Ok(output) = answer {
                left = output.unprocessed_items.unwrap_or_default();
            }
        }
    }
}

fn request(n: usize) -> WriteRequest {
    let text = "x".repeat(220);
    let put = PutRequest::builder()
        .item("PK", AttributeValue::S(format!("USER#{n}")))
        .item("n", AttributeValue::N(n.to_string()))
        .item("text", AttributeValue::S(text))
        .build()
        .expect("a put");
    WriteRequest::builder().put_request(put).build()
}
