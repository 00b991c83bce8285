//! The dashboard and the alerts: sound by themselves, and answered by a real Prometheus that scrapes a real daemon.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use penstock::demo::load::Load;
use penstock::demo::sample::{self, Sizes};
use penstock::metrics::{ALL, Shape};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use yaml_rust2::YamlLoader;

use crate::support::daemon::Daemon;
use crate::support::mysql::Server;
use crate::support::prometheus::{Prometheus, promtool};
use crate::support::root;
use crate::support::stub::{Faults, Stub};

/// Two scrapes are enough for everything; machines may be slow.
const PATIENCE: Duration = Duration::from_secs(90);

fn dashboard() -> Value {
    let text = std::fs::read_to_string(root().join("dashboards/penstock.json"));
    serde_json::from_str(&text.expect("the dashboard")).expect("JSON")
}

fn array<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// `(title of the panel, query)` of every panel.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = array(dashboard, "panels").iter();
    panels
        .flat_map(|panel| {
            let targets = array(panel, "targets").iter();
            targets.map(|target| {
                (
                    text(panel, "title").to_owned(),
                    text(target, "expr").to_owned(),
                )
            })
        })
        .collect()
}

#[test]
fn panels_have_ids_units_words_and_room() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "penstock");
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    let mut taken = BTreeSet::new();
    let mut rows = Vec::new();
    for panel in array(&dashboard, "panels") {
        let title = text(panel, "title");
        assert!(
            ids.insert(panel["id"].as_u64().expect("an id")),
            "{title}: its id is taken"
        );
        assert!(!title.is_empty() && titles.insert(title), "{title}: twice");
        let grid = |key: &str| panel["gridPos"][key].as_u64().expect("a place in the grid");
        assert!(
            grid("x") + grid("w") <= 24 && grid("w") > 0 && grid("h") > 0,
            "{title}"
        );
        for x in grid("x")..grid("x") + grid("w") {
            for y in grid("y")..grid("y") + grid("h") {
                assert!(taken.insert((x, y)), "{title} lies over another panel");
            }
        }
        if panel["type"] == "row" {
            rows.push(title);
            continue;
        }
        assert!(
            !text(panel, "description").is_empty(),
            "{title}: no description"
        );
        let defaults = &panel["fieldConfig"]["defaults"];
        assert!(!text(defaults, "unit").is_empty(), "{title}: no unit");
        let steps = array(&defaults["thresholds"], "steps");
        assert!(
            steps.first().is_some_and(|s| s["value"].is_null()),
            "{title}: no thresholds"
        );
        assert!(!array(panel, "targets").is_empty(), "{title}: asks nothing");
        for target in array(panel, "targets") {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            assert!(
                text(target, "expr").contains("$instance"),
                "{title}: of any instance"
            );
        }
    }
    let expected = [
        "Overview",
        "Snapshot",
        "Stream",
        "Target",
        "State of the joins",
        "Parity and cutover",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn every_variable_is_used_and_every_one_used_is_there() {
    let dashboard = dashboard();
    let variables: BTreeSet<_> = array(&dashboard["templating"], "list")
        .iter()
        .map(|variable| text(variable, "name").to_owned())
        .collect();
    let mut used = BTreeSet::new();
    for string in array(&dashboard, "panels").iter().map(Value::to_string) {
        for (at, _) in string.match_indices('$') {
            let name = string[at + 1..].trim_start_matches('{');
            let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
            used.insert(name[..end.unwrap_or(name.len())].to_owned());
        }
    }
    used.remove("__rate_interval");
    assert_eq!(variables, used);
}

/// What is asked for exists, and what exists can be seen.
#[test]
fn every_metric_is_shown_and_no_other() {
    let mut asked = BTreeSet::new();
    let alerts =
        std::fs::read_to_string(root().join("dashboards/alerts.yaml")).expect("the alerts");
    let dashboard = dashboard();
    let annotations = array(&dashboard["annotations"], "list");
    let all = queries(&dashboard).into_iter().map(|(_, query)| query);
    for query in all
        .chain([alerts])
        .chain(annotations.iter().map(|a| text(a, "expr").to_owned()))
    {
        asked.extend(metrics(&query));
    }
    let known: BTreeSet<String> = ALL
        .iter()
        .map(|metric| match metric.shape {
            Shape::Histogram => format!("{}_bucket", metric.name),
            Shape::Counter | Shape::Gauge => metric.name.to_owned(),
        })
        .collect();
    let unknown: Vec<_> = asked.difference(&known).collect();
    assert!(unknown.is_empty(), "nobody has {unknown:?}");
    let unseen: Vec<_> = known.difference(&asked).collect();
    assert!(unseen.is_empty(), "no panel shows {unseen:?}");
}

/// The metrics of ours that a query names.
fn metrics(query: &str) -> Vec<String> {
    let words = query.split(|c: char| !c.is_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("penstock_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn promtool_finds_the_rules_sound_and_their_tests_pass() {
    for arguments in [
        ["check", "rules", "alerts.yaml"],
        ["test", "rules", "alerts.test.yaml"],
    ] {
        let Some(output) = promtool(&arguments) else {
            return;
        };
        assert!(
            output.status.success(),
            "promtool {arguments:?}: {output:?}"
        );
    }
}

#[test]
fn every_alert_is_tested_and_has_its_page_in_the_runbook() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("a file");
    let rules = YamlLoader::load_from_str(&read("dashboards/alerts.yaml")).expect("YAML");
    let (tests, runbook) = (read("dashboards/alerts.test.yaml"), read("docs/runbook.md"));
    let rules = rules[0]["groups"][0]["rules"].as_vec().expect("rules");
    assert!(rules.len() > 9);
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        let url = rule["annotations"]["runbook_url"]
            .as_str()
            .unwrap_or_default();
        let page = "https://github.com/penstock/penstock/blob/main/docs/runbook.md#";
        assert_eq!(url, format!("{page}{}", name.to_lowercase()));
        assert!(
            runbook.contains(&format!("\n## {name}\n")),
            "{name} is not in the runbook"
        );
        let severity = rule["labels"]["severity"].as_str().unwrap_or_default();
        assert!(
            ["critical", "warning"].contains(&severity),
            "{name}: {severity}"
        );
        let asked = format!("alertname: {name}\n");
        let fires = tests.split(&asked).skip(1);
        let fires = fires.filter(|test| test.trim_start().starts_with("exp_alerts:\n"));
        assert!(fires.count() > 0, "no test makes {name} fire");
    }
}

/// Panels whose value is no finite number although all is well, and why.
const NO_NUMBER: [(&str, &str); 1] = [(
    "Rate allowed",
    "infinite until DynamoDB throttles, which is what the panel shows then",
)];

/// A daemon that has done everything once: copied, streamed, found a row without a valid item, compared both sides.
#[tokio::test(flavor = "multi_thread")]
async fn every_query_and_every_alert_has_a_value() {
    let database = Server::shared().database().await;
    let mut conn = database.conn().await;
    sample::create(&mut conn, &database.name)
        .await
        .expect("the tables");
    sample::fill(&mut conn, Sizes::SMALL, 3, |_| {})
        .await
        .expect("the rows");
    let contract = std::fs::read_to_string(root().join("contracts/shop-joins.json"));
    let contract = contract
        .expect("a contract")
        .replace("\"shop.", &format!("\"{}.", database.name));
    let contract = with_parcels(&contract);
    database
        .run(&["CREATE TABLE parcels (id VARCHAR(20) PRIMARY KEY, weight VARCHAR(20))"])
        .await;
    let stub = Stub::start(Faults::default());
    let mut daemon = Daemon::between(
        database.server.port(),
        &database.name,
        &stub.url(),
        &contract,
    );
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon.start();
    let alerts = root().join("dashboards/alerts.yaml");
    let Some(prometheus) = Prometheus::scraping(daemon.port(), &alerts).await else {
        return;
    };
    daemon.caught_up(Duration::from_secs(180)).await;
    let until = CancellationToken::new();
    let load = tokio::spawn(Load::new(database.opts()).rate(20).run(until.clone()));
    database
        .run(&["INSERT INTO parcels VALUES ('p', 'heavy')"])
        .await;
    daemon
        .reach("a dead letter", PATIENCE, |status| {
            status["dead_letters"] == 1
        })
        .await;
    let compared = tokio::task::block_in_place(|| daemon.command(&["verify"]));
    assert!(
        compared.status.code().is_some_and(|c| [0, 3].contains(&c)),
        "{compared:?}"
    );

    let dashboard = dashboard();
    for (what, query) in asked(&dashboard, &prometheus).await {
        let is_excused = NO_NUMBER.iter().any(|(panel, _)| *panel == what);
        let query = substituted(&query);
        let begin = Instant::now();
        loop {
            let answer = prometheus.query(&query).await;
            let values = answer
                .as_ref()
                .map(|series| values(series))
                .unwrap_or_default();
            if values.iter().any(|value| match is_excused {
                true => value.is_infinite(),
                false => value.is_finite(),
            }) {
                break;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{what} has no value: {query}: {answer:?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    // What is copied is copied, whatever the optimizer had estimated.
    for (panel, expected) in [("Copied", 1.0), ("Time left", 0.0)] {
        let queries = queries(&dashboard);
        let (_, query) = queries
            .iter()
            .find(|(title, _)| title == panel)
            .expect(panel);
        let answer = prometheus.query(&substituted(query)).await.expect(panel);
        let values = values(&answer);
        assert!(
            !values.is_empty() && values.iter().all(|v| *v == expected),
            "{panel}: {answer:?}"
        );
    }
    for variable in array(&dashboard["templating"], "list") {
        let Some(query) = variable["query"]["query"].as_str() else {
            continue;
        };
        let query = query
            .strip_prefix("label_values(")
            .and_then(|q| q.strip_suffix(')'));
        let (series, label) = query
            .and_then(|q| q.rsplit_once(", "))
            .expect("label_values");
        let values = prometheus.label_values(label, &substituted(series)).await;
        assert!(!values.expect("values").is_empty(), "{variable}");
    }
    until.cancel();
    load.await.expect("the load's task").expect("the load");
}

/// The contract with a table whose rows may have no valid item: a weight is a number.
fn with_parcels(contract: &str) -> String {
    let mut contract: Value = serde_json::from_str(contract).expect("JSON");
    let column = |name: &str, ty: &str| json!({"name": name, "type": ty, "source_table": "parcels", "source_column": name});
    let parcels = json!({"table": "Parcels", "type": "single-entity", "source_table": "parcels", "pk": "id", "sk": null,
        "satisfies": ["x"], "estimated_item_size_bytes": 100, "attributes": [column("id", "S"), column("weight", "N")]});
    let tables = contract["tables"].as_array_mut().expect("tables");
    tables.push(parcels);
    contract.to_string()
}

/// Everything that dashboard and alerts ask for, with who asks.
async fn asked(dashboard: &Value, prometheus: &Prometheus) -> Vec<(String, String)> {
    let mut asked = queries(dashboard);
    for annotation in array(&dashboard["annotations"], "list") {
        // Its marks are at the moments when something changed.
        let marks = format!("max_over_time(({})[10m:1s])", text(annotation, "expr"));
        asked.push((text(annotation, "name").to_owned(), marks));
    }
    for (name, query, health) in prometheus.rules().await {
        assert_ne!(health, "err", "{name}");
        // A comparison with what is no number is false, and looks like any other: each series by itself.
        let series = selectors(&query);
        assert!(!series.is_empty(), "{name}: {query}");
        asked.extend(
            series
                .into_iter()
                .map(|series| (format!("alert {name}"), series)),
        );
        // 0 and 1 in place of nothing and something: every side of every comparison has data, and they fit each other.
        asked.push((format!("alert {name}"), with_bool(&query)));
    }
    assert!(asked.len() > 100, "{}", asked.len());
    asked
}

/// The newest value of each series.
fn values(series: &[Value]) -> Vec<f64> {
    let text = series.iter().filter_map(|one| one["value"][1].as_str());
    text.map(|value| value.parse().expect("a number")).collect()
}

/// The series that a query starts from, without their ranges.
fn selectors(query: &str) -> Vec<String> {
    let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = query;
    while let Some(begin) = rest.find(is_of_name) {
        rest = &rest[begin..];
        let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        let labels = match rest[end..].starts_with('{') {
            true => rest[end..].find('}').map_or(0, |at| at + 1),
            false => 0,
        };
        let name = &rest[..end];
        if name.starts_with("penstock_") || (name == "up" && labels > 0) {
            found.push(rest[..end + labels].to_owned());
        }
        rest = &rest[end + labels..];
    }
    found
}

#[test]
fn series_are_found() {
    let query = "penstock_a{b=\"c\"} > 1 and on (up) rate(penstock_b_total[5m]) == 0 and up{job=\"penstock\"} == 0";
    let series = [
        "penstock_a{b=\"c\"}",
        "penstock_b_total",
        "up{job=\"penstock\"}",
    ];
    assert_eq!(selectors(query), series);
}

/// A change of phase is marked even where the next one comes soon after.
#[test]
fn short_phases_leave_their_mark() {
    let dashboard = dashboard();
    for annotation in array(&dashboard["annotations"], "list") {
        assert_eq!(annotation["step"], "15s", "{annotation}");
        assert!(
            text(annotation, "expr").contains("offset 15s"),
            "{annotation}"
        );
    }
}

/// A query as Grafana would send it: everything is chosen.
fn substituted(query: &str) -> String {
    let query = query.replace("$__rate_interval", "30s");
    ["$instance", "$table", "$target"]
        .iter()
        .fold(query, |query, variable| query.replace(variable, ".*"))
}

/// Comparisons answer 0 or 1 where they would filter.
fn with_bool(query: &str) -> String {
    [" == ", " != ", " > ", " < ", " >= ", " <= "]
        .iter()
        .fold(query.to_owned(), |query, operator| {
            query.replace(operator, &format!("{operator}bool "))
        })
}

#[test]
fn comparisons_are_found() {
    assert_eq!(
        with_bool("a{b=\"c\"} > 1 and on (d) sum(e) == 0"),
        "a{b=\"c\"} > bool 1 and on (d) sum(e) == bool 0"
    );
}
