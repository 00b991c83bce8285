use std::collections::BTreeSet;

use super::*;

const UNITS: &[&str] = &[
    "seconds",
    "bytes",
    "items",
    "rows",
    "chunks",
    "events",
    "transactions",
    "sequences",
    "requests",
    "retries",
    "throttles",
    "commits",
    "reconnects",
    "reads",
    "pages",
    "entries",
    "info",
    "open",
    // Asked for by these names.
    "checked",
    "mismatches",
    "ratio",
];

#[test]
fn every_name_has_a_noun_a_unit_and_total_for_counters() {
    let mut seen = BTreeSet::new();
    for metric in ALL {
        let name = metric.name;
        assert!(seen.insert(name), "{name} stands twice");
        let rest = name.strip_prefix("penstock_").expect(name);
        assert!(
            rest.chars().all(|c| c.is_ascii_lowercase() || c == '_'),
            "{name}"
        );
        let stem = rest.strip_suffix("_total");
        assert_eq!(stem.is_some(), metric.shape == Shape::Counter, "{name}");
        let unit = stem.unwrap_or(rest).rsplit('_').next().unwrap_or_default();
        assert!(UNITS.contains(&unit), "{name} ends in no unit");
        assert!(metric.help.ends_with('.'), "{name}: {}", metric.help);
        for label in metric.labels {
            assert!(
                [
                    "version",
                    "phase",
                    "stage",
                    "type",
                    "table",
                    "kind",
                    "queue",
                    "operation",
                    "outcome",
                    "reason",
                    "projection",
                    "layer",
                    "gate"
                ]
                .contains(label),
                "{name} has the unbounded label {label}"
            );
        }
    }
}

#[test]
fn what_is_recorded_is_rendered_with_its_help() {
    let (recorder, exposition) = Exposition::build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        exposition.begin();
        set_phase(crate::phase::Phase::Streaming);
        set_lag(Stage::Read, Some(1.5));
        set_lag(Stage::Apply, None);
        target_items("Shop", Operation::Put).increment(3);
        TARGET_REQUEST_DURATION.with(["batch_write"]).record(0.003);
        let gauges = queue(Queue::Lanes, 100, 1 << 20);
        gauges.items.set(7.0);
    });
    let text = exposition.render();
    for line in [
        "# HELP penstock_lag_seconds Seconds behind the source",
        "# TYPE penstock_target_items_total counter",
        "penstock_phase_info{phase=\"streaming\"} 1",
        "penstock_phase_info{phase=\"stopped\"} 0",
        "penstock_lag_seconds{stage=\"read\"} 1.5",
        "penstock_lag_seconds{stage=\"apply\"} NaN",
        "penstock_target_items_total{table=\"Shop\",operation=\"put\"} 3",
        "penstock_target_request_duration_seconds_bucket{operation=\"batch_write\",le=\"0.005\"} 1",
        "penstock_target_retries_total{reason=\"throttled\"} 0",
        "penstock_queue_items{queue=\"lanes\"} 7",
        "penstock_queue_capacity_items{queue=\"lanes\"} 100",
        "penstock_build_info{version=\"",
    ] {
        assert!(text.contains(line), "{line}\nnot in\n{text}");
    }
}

#[test]
fn every_metric_of_the_table_is_rendered_once_it_is_used() {
    let (recorder, exposition) = Exposition::build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        exposition.begin();
        for metric in ALL {
            let labels: Vec<Label> = metric.labels.iter().map(|l| Label::new(*l, "x")).collect();
            match metric.shape {
                Shape::Counter => metrics::counter!(metric.name, labels).increment(1),
                Shape::Gauge => metrics::gauge!(metric.name, labels).set(1.0),
                Shape::Histogram => metrics::histogram!(metric.name, labels).record(1.0),
            }
        }
    });
    let text = exposition.render();
    for metric in ALL {
        assert!(
            text.contains(&format!("# HELP {} ", metric.name)),
            "{}",
            metric.name
        );
    }
    // Values that ran into the name would have been renamed silently.
    assert_eq!(
        text.lines().filter(|l| l.starts_with("# TYPE ")).count(),
        ALL.len()
    );
}
