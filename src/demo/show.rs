//! The demo on the terminal: a shop, its copy, a write load, and the comparison of both sides.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use mysql_async::{Conn, OptsBuilder};
use tokio_util::sync::CancellationToken;

use super::compare::{Compared, compare};
use super::load::{Load, LoadStats};
use super::sample::{self, Sizes};
use crate::config::{self, Settings};
use crate::daemon::{Daemon, Event, Start};
use crate::error::{Error, Kind, Result};
use crate::metrics::Exposition;
use crate::phase::Phase;
use crate::plan::Plan;
use crate::prepare::{self, Prepared};

/// What the demo is asked to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// `host:port` of a MySQL whose root has no password; the database `shop` is made anew there.
    pub mysql: String,
    /// A directory for settings, contract and state.
    pub state: PathBuf,
    /// Stay up afterwards, until Ctrl-C.
    pub keep: bool,
    /// How long the write load runs.
    pub seconds: u64,
    /// How many times the default size the shop has.
    pub scale: u32,
    /// Where what people read goes.
    pub say: Say,
}

/// Where lines for people go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    Stdout,
    /// Stdout is for a program.
    Stderr,
}

impl Say {
    fn line(self, line: std::fmt::Arguments<'_>) {
        // Where nobody reads there is nobody to tell.
        let _ = match self {
            Say::Stdout => writeln!(std::io::stdout(), "{line}"),
            Say::Stderr => writeln!(std::io::stderr(), "{line}"),
        };
    }
}

macro_rules! say {
    ($say:expr, $($line:tt)*) => { $say.line(format_args!($($line)*)) };
}

/// Transactions a second of the write load.
const RATE: u32 = 200;

/// Runs the demo.
pub async fn run(options: Options, exposition: Exposition) -> Result<Summary> {
    let say = options.say;
    say!(say, "penstock demo: MySQL → DynamoDB, on this machine\n");
    let opts = mysql_opts(&options.mysql)?;
    let rows = fill_shop(&opts, options.scale, say).await?;
    let settings = Arc::new(write_settings(&options)?);
    let prepared = prepare::online(&settings).await?;
    let plan = Arc::clone(&prepared.plan);
    show_contract(&plan, say);
    let started = Instant::now();
    let until = CancellationToken::new();
    let load = tokio::spawn(
        Load::new(opts.clone().db_name(Some(sample::DATABASE)).into())
            .rate(RATE)
            .run(until.clone()),
    );
    let mut daemon = start(&settings, prepared, exposition, say).await?;
    let bars = MultiProgress::new();
    let copied = show_snapshot(&daemon, &bars, rows, say).await;
    show_stream(&daemon, &bars, Duration::from_secs(options.seconds), say).await;
    until.cancel();
    let load = load
        .await
        .map_err(|e| Error::new(Kind::Internal, "the write load failed").with_source(e))?
        .map_err(failed)?;
    let drained = Instant::now();
    if daemon.caught_up().await == Event::Stopped {
        return Err(stopped(&daemon));
    }
    let caught_up = drained.elapsed();
    let results = compare_sides(&opts, &plan, &daemon).await?;
    let summary = Summary {
        equal: results.iter().all(Compared::is_equal),
        rows,
        copied_seconds: copied.as_secs_f64(),
        load,
        caught_up_seconds: caught_up.as_secs_f64(),
        seconds: started.elapsed().as_secs_f64(),
        tables: results,
    };
    show_summary(&summary, say);
    if options.keep {
        keep(&options, &daemon).await;
    }
    daemon.drain().await?;
    Ok(summary)
}

fn mysql_opts(address: &str) -> Result<OptsBuilder> {
    let parsed = address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let Some((host, port)) = parsed else {
        return Err(Error::new(
            Kind::Usage,
            format!("--mysql {address}: expected host:port"),
        ));
    };
    Ok(OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(port)
        .user(Some("root"))
        .prefer_socket(false))
}

async fn fill_shop(opts: &OptsBuilder, scale: u32, say: Say) -> Result<u64> {
    let sizes = Sizes::default();
    let sizes = Sizes {
        users: sizes.users * scale,
        products: sizes.products * scale,
        orders: sizes.orders * scale,
    };
    let mut conn = Conn::new(opts.clone()).await.map_err(failed)?;
    let bar = ProgressBar::new_spinner()
        .with_style(style("{spinner} filling the shop in MySQL: {pos} rows"));
    sample::create(&mut conn, sample::DATABASE)
        .await
        .map_err(failed)?;
    let rows = sample::fill(&mut conn, sizes, 1, |rows| bar.set_position(rows))
        .await
        .map_err(failed)?;
    bar.finish_and_clear();
    say!(
        say,
        "  MySQL      the database `shop` holds {rows} rows in 4 tables"
    );
    Ok(rows)
}

/// The demo runs on a settings file and a contract like any other migration; both can be read afterwards.
fn write_settings(options: &Options) -> Result<Settings> {
    let write = |name: &str, text: &str| {
        std::fs::create_dir_all(&options.state)
            .and_then(|()| std::fs::write(options.state.join(name), text))
            .map_err(|e| {
                Error::new(Kind::Store, "the demo's files cannot be written").with_source(e)
            })
    };
    let (host, port) = options
        .mysql
        .rsplit_once(':')
        .unwrap_or(("127.0.0.1", "3306"));
    let text = format!(
        "[source]\nhost = \"{host}\"\nport = {port}\nuser = \"root\"\ndatabase = \"{}\"\n\n\
         [target]\nendpoint = \"embedded\"\n\n[contract]\npath = \"shop.json\"\n\n\
         [state]\npath = \"state\"\n\n[metrics]\nlisten = \"127.0.0.1:0\"\n\n\
         # Small chunks, so that the bar moves.\n[snapshot]\nchunk_rows = 1000\n",
        sample::DATABASE
    );
    write("shop.json", &contract()?)?;
    write("penstock.toml", &text)?;
    let path = options.state.join("penstock.toml");
    match config::load(&path) {
        Ok(loaded) => Ok(loaded.settings),
        Err(problems) => Err(Error::new(
            Kind::Internal,
            format!(
                "the demo's own settings are wrong:\n{}",
                config::render(&problems)
            ),
        )),
    }
}

/// The two sample contracts as one: items of single rows, and items that join.
fn contract() -> Result<String> {
    const SAMPLES: [&str; 2] = [
        include_str!("../../contracts/shop.json"),
        include_str!("../../contracts/shop-joins.json"),
    ];
    let wrong = || Error::new(Kind::Internal, "the demo's contract has another form");
    let mut tables = Vec::new();
    for sample in SAMPLES {
        let (_, rest) = sample.split_once("\"tables\": [").ok_or_else(wrong)?;
        let (inner, _) = rest.rsplit_once(']').ok_or_else(wrong)?;
        tables.push(inner.trim_end());
    }
    Ok(format!(
        "{{\n  \"tables\": [{}\n  ]\n}}\n",
        tables.join(",")
    ))
}

/// What the contract makes of the shop.
fn show_contract(plan: &Plan, say: Say) {
    let joined = plan.projections.iter().filter(|p| {
        let graph = p.graph.as_ref();
        graph.is_some_and(crate::plan::graph::Graph::joins)
    });
    say!(
        say,
        "  contract   {} DynamoDB tables, {} kinds of items, {} of them of joined rows",
        plan.targets.len(),
        plan.projections.len(),
        joined.count()
    );
}

async fn start(
    settings: &Arc<Settings>,
    prepared: Prepared,
    exposition: Exposition,
    say: Say,
) -> Result<Daemon> {
    let daemon = Daemon::start(Start {
        settings: Arc::clone(settings),
        plan: prepared.plan,
        catalog: prepared.catalog,
        facts: prepared.facts,
        exposition,
        resnapshot: false,
    })
    .await?;
    say!(
        say,
        "  DynamoDB   embedded, {}",
        daemon.embedded_url.as_deref().unwrap_or("(not served)")
    );
    say!(say, "  status     http://{}/status", daemon.address);
    say!(
        say,
        "  load       {RATE} transactions a second are being written to MySQL all the while\n"
    );
    Ok(daemon)
}

/// A bar for each table until the copy is complete; returns how long that took.
async fn show_snapshot(daemon: &Daemon, bars: &MultiProgress, rows: u64, say: Say) -> Duration {
    let started = Instant::now();
    let bar = bars.add(
        ProgressBar::new(rows)
            .with_style(style("  snapshot   {bar:32} {pos:>7}/{len} rows  {msg}")),
    );
    loop {
        let tables = daemon.shared.progress.tables();
        let done: u64 = tables.iter().map(|t| t.rows).sum();
        bar.set_length(rows.max(done));
        bar.set_position(done);
        bar.set_message(rate(done, rows, started.elapsed()));
        if daemon.shared.is_copied() || daemon.shared.failure().is_some() {
            bar.finish();
            if !is_terminal() {
                say!(say, "  snapshot   {done} rows copied");
            }
            return started.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// `12000 rows/s, 3 s left`
fn rate(done: u64, of: u64, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64().max(0.1);
    let left = of.saturating_sub(done) as f64 / rate.max(1.0);
    format!("{rate:.0} rows/s, {left:.0} s left")
}

/// One line that tells lag and throughput while the load runs.
async fn show_stream(daemon: &Daemon, bars: &MultiProgress, time: Duration, say: Say) {
    let bar = bars.add(
        ProgressBar::new(time.as_secs())
            .with_style(style("  stream     {bar:32} {pos:>3}/{len} s  {msg}")),
    );
    let started = Instant::now();
    let mut told = Instant::now();
    while started.elapsed() < time && daemon.shared.failure().is_none() {
        let lag = daemon.shared.lag();
        let lag = match lag.apply {
            Some(seconds) => format!("lag {:.0} ms", seconds * 1000.0),
            None => "lag unknown".to_owned(),
        };
        let message = format!("{lag}, {} transactions applied", daemon.shared.applied());
        bar.set_position(started.elapsed().as_secs());
        bar.set_message(message.clone());
        if !is_terminal() && told.elapsed() > Duration::from_secs(5) {
            say!(say, "  stream     {message}");
            told = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bar.finish();
    if is_terminal() {
        // What follows begins below the bars.
        say!(say, "");
    }
}

async fn compare_sides(opts: &OptsBuilder, plan: &Plan, daemon: &Daemon) -> Result<Vec<Compared>> {
    let mut mysql = Conn::new(opts.clone().db_name(Some(sample::DATABASE)))
        .await
        .map_err(failed)?;
    let target = crate::sink::Target {
        endpoint_url: daemon.embedded_url.clone(),
        ..crate::sink::Target::default()
    };
    let dynamo = crate::sink::connect(&target).await;
    compare(plan, &mut mysql, &dynamo).await
}

/// What was shown.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Summary {
    /// Both sides hold the same.
    pub equal: bool,
    /// Rows of the shop before the load.
    pub rows: u64,
    pub copied_seconds: f64,
    pub load: LoadStats,
    /// After the last write until everything was there.
    pub caught_up_seconds: f64,
    pub seconds: f64,
    pub tables: Vec<Compared>,
}

fn show_summary(summary: &Summary, say: Say) {
    let Summary { load, .. } = summary;
    say!(
        say,
        "\nBoth sides, item by item (what MySQL computes from the contract as SQL, and a scan of DynamoDB):\n"
    );
    say!(
        say,
        "  {:<20} {:>8} {:>8} {:>8} {:>6} {:>10}",
        "",
        "MySQL",
        "DynamoDB",
        "missing",
        "extra",
        "different"
    );
    for r in &summary.tables {
        say!(
            say,
            "  {:<20} {:>8} {:>8} {:>8} {:>6} {:>10}",
            r.table,
            r.rows,
            r.items,
            r.missing,
            r.extra,
            r.different
        );
    }
    say!(
        say,
        "\n  copied {} rows in {:.1} s; replicated {} transactions ({} inserts, {} updates, {} deletes)",
        summary.rows,
        summary.copied_seconds,
        load.transactions,
        load.inserted,
        load.updated,
        load.deleted
    );
    say!(
        say,
        "  after the last write the stream was at MySQL's end in {:.2} s; {:.0} s in all",
        summary.caught_up_seconds,
        summary.seconds
    );
    say!(
        say,
        "\n  {}",
        if summary.equal {
            "Both sides are equal."
        } else {
            "THE SIDES DIFFER."
        }
    );
}

async fn keep(options: &Options, daemon: &Daemon) {
    let say = options.say;
    let url = daemon.embedded_url.as_deref().unwrap_or_default();
    say!(
        say,
        "\nEverything stays up; Ctrl-C ends it. To look around:\n"
    );
    let penstock = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("penstock"));
    let settings = options.state.join("penstock.toml");
    let settings = std::path::absolute(&settings).unwrap_or(settings);
    say!(say, "  a page for browsers: http://{}/", daemon.address);
    say!(
        say,
        "  {} --config {} status --watch",
        penstock.display(),
        settings.display()
    );
    say!(say, "  curl http://{}/status", daemon.address);
    say!(say, "  curl http://{}/metrics", daemon.address);
    say!(
        say,
        "  aws dynamodb scan --table-name Shop --max-items 5 --region us-east-1 --endpoint-url {url}"
    );
    say!(
        say,
        "  mysql -h127.0.0.1 -uroot -P{} shop",
        options.mysql.rsplit(':').next().unwrap_or_default()
    );
    say!(say, "  settings and contract: {}", options.state.display());
    // An error here is as good as a Ctrl-C.
    let _ = tokio::signal::ctrl_c().await;
    daemon.shared.enter(Phase::Draining);
}

fn stopped(daemon: &Daemon) -> Error {
    let failure = daemon.shared.failure();
    let reason = failure.map_or_else(|| "for an unknown reason".to_owned(), |f| f.reason);
    Error::new(Kind::Internal, format!("the daemon stopped: {reason}"))
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}

fn failed(error: mysql_async::Error) -> Error {
    Error::new(Kind::SourceUnavailable, "the demo's MySQL failed").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_of_the_demo_is_both_samples() {
        let text = contract().expect("the samples");
        let (contract, diagnostics) = crate::contract::parse(&text, false);
        assert!(!diagnostics.has_errors(), "{:?}", diagnostics.all);
        let tables = contract.expect("a contract").tables;
        let names: Vec<&str> = tables.iter().map(|t| t.name.value.as_str()).collect();
        assert_eq!(names, ["Products", "Shop", "Orders", "OrderLines"]);
    }
}
