//! What Prometheus sees of a daemon that works: every metric that is declared has a series, and its value is plausible.

use std::collections::BTreeMap;
use std::time::Duration;

use penstock::metrics::ALL;

use crate::support::daemon::Daemon;
use crate::support::eventually;
use crate::support::mysql::{Database, Server};
use crate::support::stub::{Faults, Stub};
use crate::support::target::Target;
use crate::{views, workload};

const ROWS: u32 = 300;

/// Only where there are joins.
const STATE: &str = "penstock_state_";

#[tokio::test]
async fn every_metric_of_a_working_daemon_has_a_series() {
    let database = Database::create(Server::shared()).await;
    workload::fill(&database, ROWS).await;
    let stub = Stub::start(Faults::default());
    let mut daemon = Daemon::between(
        database.server.port(),
        &database.name,
        &stub.url(),
        &workload::contract(),
    );
    daemon.set("sink", "request_timeout_ms", "1000");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    stub.set_faults(Faults {
        throttle: 0.1,
        partial: 0.2,
        internal: 0.1,
        ..Faults::default()
    });
    daemon.start();
    daemon.caught_up(Duration::from_secs(60)).await;
    database
        .run(&[
            "UPDATE people SET name = CONCAT(name, '!') WHERE id <= 100",
            "UPDATE people SET name = CONCAT(name, '?') WHERE id <= 100",
            "DELETE FROM accounts WHERE id <= 10",
            "INSERT INTO entries VALUES (9999, 1, 'new', NULL)",
        ])
        .await;
    daemon.caught_up(Duration::from_secs(60)).await;
    // The gauges of the queues follow once a second, and a heartbeat may be under way at any moment.
    for name in [
        "penstock_queue_items",
        "penstock_queue_bytes",
        "penstock_pipeline_open_sequences",
    ] {
        let what = format!("{name} is 0 when nothing is under way");
        eventually(&what, Duration::from_secs(20), async || {
            (daemon.metric(name).await == 0.0).then_some(())
        })
        .await;
    }
    let text = daemon.metrics().await;
    let series = sums(&text);
    let missing: Vec<_> = ALL
        .iter()
        .map(|metric| metric.name)
        .filter(|name| !name.starts_with(STATE))
        .filter(|name| {
            !series.contains_key(*name) && !series.contains_key(&format!("{name}_count"))
        })
        .collect();
    assert!(missing.is_empty(), "no series of {missing:?} in\n{text}");
    let value = |name: &str| series.get(name).copied().unwrap_or_default();
    let rows = f64::from(ROWS) * 3.0;
    let items = value("penstock_target_items_total");
    assert!(items >= rows && items < rows * 2.0, "{items} items");
    assert!(value("penstock_target_written_bytes_total") > items * 20.0);
    for name in [
        "penstock_target_throttles_total",
        "penstock_target_unprocessed_items_total",
        "penstock_target_retries_total",
        "penstock_source_read_bytes_total",
        "penstock_target_request_duration_seconds_count",
    ] {
        assert!(value(name) > 0.0, "{name} is 0 in\n{text}");
    }
    assert!(value("penstock_source_transactions_total") >= 4.0);
    assert!(
        text.contains("penstock_source_events_total{type=\"update_rows\"}"),
        "{text}"
    );
}

#[tokio::test]
async fn the_state_of_joins_shows_its_figures() {
    let database = Server::shared().database().await;
    views::fill(&database).await;
    let target = Target::dynoxide();
    let mut daemon = views::ready(&database, &target, &views::contract());
    daemon.start();
    daemon.caught_up(Duration::from_secs(120)).await;
    let before = daemon.metric("penstock_state_reads_total").await;
    database
        .run(&["UPDATE cart_items SET quantity = quantity + 1"])
        .await;
    daemon.caught_up(Duration::from_secs(120)).await;
    // They follow once a second.
    eventually("reads are counted", Duration::from_secs(20), async || {
        (daemon.metric("penstock_state_reads_total").await > before).then_some(())
    })
    .await;
    let text = daemon.metrics().await;
    let series = sums(&text);
    let declared = ALL.iter().filter(|metric| metric.name.starts_with(STATE));
    for metric in declared {
        assert!(series.contains_key(metric.name), "no {}", metric.name);
        let help = format!("# HELP {} {}", metric.name, metric.help);
        assert!(text.contains(&help), "{help}");
    }
    for name in [
        "disk_bytes",
        "pages_total",
        "page_entries_total",
        "committed_entries_total",
    ] {
        let value = series[&format!("{STATE}{name}")];
        assert!(value > 0.0, "{name} is {value}");
    }
    for layer in ["overlay", "scratch", "base", "none"] {
        let series = format!("penstock_state_reads_total{{layer=\"{layer}\"}}");
        assert!(text.contains(&series), "{series}");
    }
    assert_eq!(series["penstock_state_spilled_bytes_total"], 0.0);
}

/// The values of each name, all of its series added up.
fn sums(text: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let name = series.split('{').next().unwrap_or(series);
        if let Ok(value) = value.parse::<f64>() {
            *sums.entry(name.to_owned()).or_default() += value;
        }
    }
    sums
}
