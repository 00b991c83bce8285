//! Items per CPU-second, from the values of a row to the stand-in for DynamoDB, each measured in a process of its own: our
//! view and writer beside the SDK's typed items with all its defaults. `cargo bench --bench sink`; with
//! `PENSTOCK_BENCH_ITEMS` another number of items, with `PENSTOCK_BENCH_ROUNDS` another number of rounds.

#[path = "sink/sdk.rs"]
mod sdk;
#[path = "../tests/support/stub/mod.rs"]
mod stub;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use penstock::change::{Change, Row, Value};
use penstock::contract;
use penstock::pipeline::{self, Mutation};
use penstock::plan::{self, Mapping, Plan, SourceId};
use penstock::schema::{Catalog, Column, ColumnType, Generated, TableName};
use penstock::sink::{DynamoWriter, Table, Target, connect};
use penstock::view::{Outcome, Projector};
use sdk::{Cost, LANES, TABLE, runtime, text, timed};
use stub::{Faults, Stub};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of a transaction.
const ROWS: usize = 1000;

/// Writes so many items to the server at the URL.
type Run = fn(&str, usize) -> Cost;

/// The reference: the SDK in a program of its own, with the system's allocator (`benches/sink_sdk.rs`).
const SDK: &str = "SDK, all defaults";

/// What runs in this program, with our allocator.
const OURS: [(&str, Run); 3] = [
    ("SDK, our allocator", sdk::write),
    ("penstock", whole),
    ("penstock, items ready", ready),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["stub", faults] => serve(faults == "faults"),
        ["run", name, url, items] => {
            let run = OURS.iter().find(|(known, _)| *known == name);
            run.expect("a name").1(url, items.parse().expect("a number")).print();
        }
        _ => compare(),
    }
}

fn compare() {
    let items = setting("PENSTOCK_BENCH_ITEMS").unwrap_or(1_000_000);
    let rounds = setting("PENSTOCK_BENCH_ROUNDS").unwrap_or(3);
    let sdk = sdk_program();
    println!(
        "rows of two columns become items of three attributes and 250 bytes; {LANES} requests at a time; the median of {rounds} rounds"
    );
    // The SDK waits long where it is throttled.
    for (what, faults, items) in [
        ("no faults", false, items),
        ("5% throttled, 10% partial", true, items / 10),
    ] {
        println!("{what}, {items} items:");
        println!(
            "{:<24}{:>14}{:>12}{:>10}",
            "", "items/CPU-s", "items/s", "ratio"
        );
        let names: Vec<&str> = std::iter::once(SDK)
            .chain(OURS.iter().map(|(name, _)| *name))
            .collect();
        let mut rates = vec![Vec::new(); names.len()];
        for _ in 0..rounds {
            for (rates, name) in rates.iter_mut().zip(&names) {
                let mut process = if *name == SDK {
                    Command::new(&sdk)
                } else {
                    Command::new(std::env::current_exe().expect("this program"))
                };
                process.arg("run");
                if *name != SDK {
                    process.arg(name);
                }
                rates.push(per_second(&measure(process, faults, items), items));
            }
        }
        let medians: Vec<(f64, f64)> = rates.into_iter().map(median).collect();
        for (name, (cpu, wall)) in names.iter().zip(&medians) {
            let ratio = cpu / medians[0].0;
            println!("{name:<24}{cpu:>14.0}{wall:>12.0}{ratio:>9.2}x");
        }
    }
}

/// Where the SDK's program is; cargo builds it.
fn sdk_program() -> PathBuf {
    // By its name: the one that builds this program may not be the one that runs now.
    let output = Command::new("cargo")
        .args(["bench", "--locked", "--quiet", "--bench", "sink_sdk"])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{output:?}");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

fn setting(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// Items a CPU-second and items a second.
fn per_second(cost: &Cost, items: usize) -> (f64, f64) {
    let items = items as f64;
    (
        items / cost.cpu.as_secs_f64(),
        items / cost.wall.as_secs_f64(),
    )
}

/// Of the rates per CPU-second, with the rate per second that belongs to it.
fn median(mut rates: Vec<(f64, f64)>) -> (f64, f64) {
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    rates[rates.len() / 2]
}

/// Another process does the work; it measures itself, so that what it prepares does not count.
fn measure(mut process: Command, faults: bool, items: usize) -> Cost {
    let server = Server::start(faults);
    let output = process
        .args([&server.url, &items.to_string()])
        .output()
        .expect("the measured process");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut seconds = text
        .split_whitespace()
        .map(|s| Duration::from_secs_f64(s.parse().expect("seconds")));
    Cost {
        cpu: seconds.next().expect("CPU time"),
        wall: seconds.next().expect("time"),
    }
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

fn target(url: &str) -> Target {
    Target {
        endpoint_url: Some(url.to_owned()),
        ..Target::default()
    }
}

/// Rows through view, pipeline and writer.
fn whole(url: &str, items: usize) -> Cost {
    let plan = plan();
    timed(|| ours(url, &plan, mutations(Arc::clone(&plan), items)))
}

/// The same without the view.
fn ready(url: &str, items: usize) -> Cost {
    let plan = plan();
    let made: Vec<Mutation> = mutations(Arc::clone(&plan), items).collect();
    timed(|| ours(url, &plan, made.into_iter()))
}

fn ours(url: &str, plan: &Plan, mutations: impl Iterator<Item = Mutation> + Send + 'static) {
    let runtime = runtime();
    let client = runtime.block_on(connect(&target(url)));
    let writer = Arc::new(DynamoWriter::new(client, Table::all(plan)));
    let options = pipeline::Options {
        lanes: LANES,
        ..pipeline::Options::default()
    };
    let (mut feed, mut progress) = pipeline::start::<()>(options, writer, runtime.handle());
    let feeding = std::thread::spawn(move || {
        let mut mutations = mutations.peekable();
        while mutations.peek().is_some() {
            let sequence = feed.open();
            for mutation in mutations.by_ref().take(ROWS) {
                if feed.push(sequence, mutation).is_err() {
                    return;
                }
            }
            feed.close(sequence, ());
        }
    });
    runtime.block_on(async { while progress.next().await.expect("no error").is_some() {} });
    feeding.join().expect("the feeding thread");
}

/// What the view makes of inserted rows.
fn mutations(plan: Arc<Plan>, items: usize) -> impl Iterator<Item = Mutation> + Send + 'static {
    let mut projector = Projector::new(plan).expect("a projector");
    let text = text();
    let mut out = Vec::new();
    (0..items).map(move |n| {
        let after = Row {
            values: vec![
                Value::Int(i64::try_from(n).expect("a small number")),
                Value::Text(text.as_str().into()),
            ],
        };
        projector
            .project(SourceId(0), &Change::Insert { after }, true, &mut out)
            .expect("a row of the plan");
        match out.pop() {
            Some(Outcome::Write(mutation)) => mutation,
            other => panic!("no item: {other:?}"),
        }
    })
}

fn plan() -> Arc<Plan> {
    let name = TableName::new("bench", "users");
    let column = |name: &str, ty| Column {
        name: name.to_owned(),
        ty,
        nullable: false,
        generated: Generated::No,
        invisible: false,
    };
    let number = ColumnType::Int {
        bytes: 8,
        unsigned: false,
        zerofill: None,
    };
    let text = ColumnType::Text {
        max_chars: 300,
        charset: "utf8mb4".to_owned(),
        collation: "utf8mb4_bin".to_owned(),
        fixed: false,
    };
    let table = penstock::schema::Table {
        name: name.clone(),
        columns: vec![column("n", number), column("text", text)],
        primary_key: vec![0],
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        estimated_rows: 0,
        engine: "InnoDB".to_owned(),
    };
    let catalog = Catalog {
        hides_cascades: false,
        tables: [(name, table)].into(),
    };
    let contract = serde_json::json!({"tables": [{
        "table": TABLE, "type": "multi-entity", "pk": "PK", "entities": [{
            "entity_type": "User", "source_table": "users", "pk_template": "USER#{n}",
            "attributes": [
                {"name": "n", "type": "N", "source_table": "users", "source_column": "n"},
                {"name": "text", "type": "S", "source_table": "users", "source_column": "text"},
            ],
        }],
    }]});
    let (contract, mut found) = contract::parse(&contract.to_string(), false);
    let contract = contract.unwrap_or_else(|| panic!("{:?}", found.all));
    let plan = plan::compile(
        &contract,
        Some(&catalog),
        "bench",
        &Mapping::default(),
        &mut found,
    );
    Arc::new(plan.unwrap_or_else(|| panic!("{:?}", found.all)))
}
