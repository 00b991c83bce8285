//! What Prometheus sees of a daemon that works: every metric that is declared has a series, and its value is plausible.

use std::collections::BTreeMap;
use std::time::Duration;

use penstock::metrics::ALL;

use crate::support::daemon::Daemon;
use crate::support::eventually;
use crate::support::mysql::{Database, Server};
use crate::support::stub::{Faults, Stub};
use crate::workload;

const ROWS: u32 = 300;

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
