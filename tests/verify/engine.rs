//! The comparison over a stream that the test plays.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use mysql_async::prelude::Queryable;
use penstock::error::{Error, Kind, Result};
use penstock::pipeline::Key;
use penstock::plan::{Plan, TargetId};
use penstock::position::GtidSet;
use penstock::sink;
use penstock::source::Options;
use penstock::verify::flow::{Flow, Watching};
use penstock::verify::pass::Engine;
use penstock::verify::rate::Limit;
use penstock::verify::report::{Mode, Report, name_of_wire};
use penstock::verify::target::Target as Reader;
use serde_json::{Value, json};

use crate::support::mysql::{Database, Server};
use crate::support::plan;
use crate::support::target::Target;

/// A stream of which the test says what it does.
#[derive(Default)]
pub struct Played {
    pub received: Mutex<GtidSet>,
    /// So many watches find everything touched.
    pub touched: AtomicU32,
    /// The source is away: nothing becomes durable.
    pub away: AtomicBool,
    /// What happens before everything is durable, time after time.
    pub durable: Mutex<VecDeque<BoxFuture<'static, ()>>>,
}

impl Played {
    /// The next time that something must be durable, this happens first.
    fn then(&self, happens: impl Future<Output = ()> + Send + 'static) {
        let mut durable = self.durable.lock().expect("futures");
        durable.push_back(Box::pin(happens));
    }
}

impl Flow for Played {
    fn watch(&self) -> BoxFuture<'_, Result<Box<dyn Watching>>> {
        let left = self
            .touched
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        let watch = Watch {
            received: self.received.lock().expect("a set").clone(),
            touched: left.is_ok(),
        };
        Box::pin(async move { Ok(Box::new(watch) as Box<dyn Watching>) })
    }

    fn durable<'a>(&'a self, _: &'a GtidSet) -> BoxFuture<'a, Result<()>> {
        let happens = self.durable.lock().expect("futures").pop_front();
        let away = self.away.load(Ordering::SeqCst);
        Box::pin(async move {
            if away {
                return Err(Error::new(Kind::SourceUnavailable, "it is away"));
            }
            if let Some(happens) = happens {
                happens.await;
            }
            Ok(())
        })
    }
}

struct Watch {
    received: GtidSet,
    touched: bool,
}

impl Watching for Watch {
    fn received(&self) -> &GtidSet {
        &self.received
    }

    fn is_touched(&self, _: TargetId, _: &Key) -> bool {
        self.touched
    }
}

/// An engine between a database and a target.
pub async fn engine(
    database: &Database<'_>,
    endpoint: &str,
    plan: Plan,
    flow: Arc<Played>,
    directory: &Path,
) -> Arc<Engine> {
    let target = sink::Target {
        endpoint_url: Some(endpoint.to_owned()),
        ..sink::Target::default()
    };
    Arc::new(Engine {
        plan: Arc::new(plan),
        options: Arc::new(Options {
            port: database.server.port(),
            database: Some(database.name.clone()),
            ..Options::default()
        }),
        target: Reader::new(sink::connect(&target).await, None),
        flow,
        rows: Limit::new(None),
        directory: directory.join("verify"),
        progress: Arc::default(),
        stop: Default::default(),
        show_values: true,
        patience: Duration::from_secs(2),
        not_before: 0,
    })
}

struct Scene {
    database: Database<'static>,
    target: Arc<Target>,
    flow: Arc<Played>,
    engine: Arc<Engine>,
    _directory: tempfile::TempDir,
}

async fn scene() -> Scene {
    let database = Server::shared().database().await;
    database
        .run(&[
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))",
            "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        ])
        .await;
    let contract = json!({"tables": [{"table": "Things", "type": "single-entity", "source_table": "t", "pk": "id", "attributes": [
        {"name": "id", "type": "N", "source_column": "id"}, {"name": "v", "type": "S", "source_column": "v"}]}]});
    let plan = plan::compile(&database, &contract.to_string()).await;
    let target = Arc::new(Target::dynoxide());
    target
        .create_table("Things", &[("id", "N")])
        .await
        .expect("a table");
    put(&target, 1, "a").await;
    put(&target, 2, "b").await;
    let flow = Arc::new(Played::default());
    let directory = tempfile::tempdir().expect("a directory");
    let engine = engine(
        &database,
        &target.endpoint(),
        plan,
        Arc::clone(&flow),
        directory.path(),
    )
    .await;
    Scene {
        database,
        target,
        flow,
        engine,
        _directory: directory,
    }
}

async fn put(target: &Target, id: u32, v: &str) {
    let item = json!({"id": {"N": id.to_string()}, "v": {"S": v}});
    target.put("Things", item).await.expect("an item");
}

impl Scene {
    async fn pass(&self) -> Report {
        self.engine
            .run(&Mode::Full, |_| {})
            .await
            .expect("a report")
    }

    async fn check(&self, id: u32) -> Report {
        let key = json!({"id": {"N": id.to_string()}}).to_string();
        let name = name_of_wire(&self.engine.plan, TargetId(0), key.as_bytes()).expect("a key");
        self.engine.check(vec![name]).await.expect("a report")
    }
}

#[tokio::test]
async fn differences_have_their_kinds_and_values() {
    let scene = scene().await;
    assert!(scene.pass().await.is_clean());
    put(&scene.target, 1, "x").await;
    put(&scene.target, 3, "c").await;
    scene
        .target
        .call(
            "DeleteItem",
            &json!({"TableName": "Things", "Key": {"id": {"N": "2"}}}),
        )
        .await
        .expect("deleted");
    let report = scene.pass().await;
    assert_eq!(
        json!(report.mismatches),
        json!({"missing": 1, "different": 1, "extra": 1})
    );
    let different = report
        .findings
        .iter()
        .find(|f| !f.attributes.is_empty())
        .expect("one");
    assert_eq!(different.attributes, ["v"]);
    assert_eq!(different.source_key.as_deref(), Some("1"));
    assert_eq!(
        different.expected,
        Some(json!({"id": {"N": "1"}, "v": {"S": "a"}}))
    );
    assert_eq!(
        different.actual,
        Some(json!({"id": {"N": "1"}, "v": {"S": "x"}}))
    );
    let text = report.markdown();
    for part in [
        "# Comparison of MySQL and DynamoDB: 3 items differ",
        "- extra: 1",
        r#"| different | Things | `{"id":{"N":"1"}}` | Things | 1 | v |"#,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// Rule 23: an item that the stream wrote since the watch was opened says nothing.
#[tokio::test]
async fn what_was_touched_is_looked_at_again() {
    let scene = scene().await;
    put(&scene.target, 1, "old").await;
    // Touched at every look: not decided, and so not clean.
    scene.flow.touched.store(u32::MAX, Ordering::SeqCst);
    let report = scene.pass().await;
    assert_eq!(
        (report.mismatched(), report.undecided),
        (0, 1),
        "{report:?}"
    );
    assert!(!report.is_clean());
    // Touched for a while, and then not: decided.
    scene.flow.touched.store(3, Ordering::SeqCst);
    let report = scene.check(1).await;
    assert_eq!(
        (report.mismatched(), report.undecided),
        (1, 0),
        "{report:?}"
    );
    // Put right by the stream in the meantime.
    scene.flow.touched.store(2, Ordering::SeqCst);
    let target = Arc::clone(&scene.target);
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        put(&target, 1, "a").await;
    });
    assert!(scene.check(1).await.is_clean());
    later.await.expect("it was put");
}

/// Rule 23: what was committed after the SELECT is no difference. The target is read when everything up to the high
/// watermark has become durable there.
#[tokio::test]
async fn the_target_is_read_after_the_stream_has_passed() {
    let scene = scene().await;
    scene
        .database
        .run(&["UPDATE t SET v = 'new' WHERE id = 1"])
        .await;
    let target = Arc::clone(&scene.target);
    scene.flow.then(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        put(&target, 1, "new").await;
    });
    let report = scene.check(1).await;
    assert!(report.is_clean(), "{report:?}");
    assert!(scene.flow.durable.lock().expect("futures").is_empty());
}

/// What is seen to differ once may have been on its way: only what is seen twice is a finding.
#[tokio::test]
async fn what_differs_once_is_no_finding() {
    let scene = scene().await;
    put(&scene.target, 1, "late").await;
    let target = Arc::clone(&scene.target);
    scene.flow.then(async {});
    scene.flow.then(async move { put(&target, 1, "a").await });
    let report = scene.pass().await;
    assert!(report.is_clean(), "{report:?}");
    assert!(scene.flow.durable.lock().expect("futures").is_empty());
}

/// Rule 23 and 1: MySQL is read when everything is visible that the stream had received.
#[tokio::test]
async fn mysql_is_read_after_everything_received_is_visible() {
    let scene = scene().await;
    let mut conn = scene.database.conn().await;
    let executed: Option<String> = conn
        .query_first("SELECT CONCAT(@@server_uuid, ':1-', 1000000000)")
        .await
        .expect("a set");
    let beyond: GtidSet = executed.expect("a set").parse().expect("a set");
    *scene.flow.received.lock().expect("a set") = beyond;
    let check = tokio::time::timeout(Duration::from_secs(2), scene.check(1)).await;
    assert!(check.is_err(), "it did not wait");
    // Nor does it wait for ever: the server may never have it.
    let key = json!({"id": {"N": "1"}}).to_string();
    let name = name_of_wire(&scene.engine.plan, TargetId(0), key.as_bytes()).expect("a key");
    let check = tokio::time::timeout(Duration::from_secs(90), scene.engine.check(vec![name]));
    let ended = check.await.expect("it waits for ever");
    assert_eq!(
        ended.expect_err("no report").kind(),
        Kind::SourceUnavailable
    );
}

/// Where our own evaluation of a row says something else than MySQL, that is told.
#[tokio::test]
async fn our_own_evaluation_is_asked_where_both_sides_differ() {
    let scene = scene().await;
    let contract = json!({"tables": [{"table": "Things", "type": "single-entity", "source_table": "t", "pk": "id", "attributes": [
        {"name": "id", "type": "N", "source_column": "id"},
        {"name": "v", "type": "S", "source_column": "v", "calculation": {"type": "date-math", "expression": "CONCAT(v, '!')"}}]}]});
    let mut plan = plan::compile(&scene.database, &contract.to_string()).await;
    // MySQL is asked by the text, we evaluate what was compiled: as if we computed it wrongly.
    let expression = plan.projections[0].attributes.iter_mut();
    for attribute in expression.filter(|a| a.name == "v") {
        attribute
            .value
            .each_sql(&mut |sql| sql.text = sql.text.replace('!', "?"));
    }
    put(&scene.target, 1, "a!").await;
    put(&scene.target, 2, "b?").await;
    let flow = Arc::new(Played::default());
    let directory = tempfile::tempdir().expect("a directory");
    let endpoint = scene.target.endpoint();
    let engine = engine(&scene.database, &endpoint, plan, flow, directory.path()).await;
    let report = engine.run(&Mode::Full, |_| {}).await.expect("a report");
    assert_eq!(
        (report.mismatched(), report.disagrees),
        (1, 1),
        "{report:?}"
    );
    assert_eq!(
        report.findings[0].disagrees.as_deref(),
        Some(&["v".to_owned()][..])
    );
    // Where it says the same, the item was only not written.
    put(&scene.target, 1, "x").await;
    let report = scene.pass().await;
    assert!(
        report
            .findings
            .iter()
            .all(|f| f.disagrees.as_deref() == Some(&[])),
        "{report:?}"
    );
    assert_eq!((report.mismatched(), report.disagrees), (2, 0));
}

/// What could not be judged for so long that it counts as old is not forgotten: there is no report then.
#[tokio::test]
async fn what_was_never_judged_is_not_left_out() {
    let scene = scene().await;
    put(&scene.target, 3, "extra").await;
    scene.flow.away.store(true, Ordering::SeqCst);
    let key = json!({"id": {"N": "3"}}).to_string();
    let name = name_of_wire(&scene.engine.plan, TargetId(0), key.as_bytes()).expect("a key");
    let ended = scene.engine.check(vec![name]).await;
    let error = ended.expect_err("nothing was judged, and yet it is told");
    assert_eq!(error.kind(), Kind::SourceUnavailable);
    // In a full pass the scan finds it: the source goes away when the rows have been compared.
    scene.flow.away.store(false, Ordering::SeqCst);
    let flow = Arc::clone(&scene.flow);
    scene
        .flow
        .then(async move { flow.away.store(true, Ordering::SeqCst) });
    let ended = scene.engine.run(&Mode::Full, |_| {}).await;
    let error = ended.expect_err("nothing was judged, and yet it is told");
    assert_eq!(error.kind(), Kind::SourceUnavailable);
    scene.flow.away.store(false, Ordering::SeqCst);
    let report = scene.pass().await;
    assert_eq!(json!(report.mismatches), json!({"extra": 1}));
}

/// Its files are its owner's alone, and are gone on with only by who asks for the same, after what is owed.
#[tokio::test]
async fn what_is_left_of_a_comparison() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut scene = scene().await;
    put(&scene.target, 1, "secret").await;
    let stopped = async |engine: &Arc<Engine>, directory: &Path| {
        engine.stop.cancel();
        let ended = engine.run(&Mode::Full, |_| {}).await;
        assert_eq!(ended.expect_err("stopped").kind(), Kind::Interrupted);
        let state = std::fs::read(directory.join("state.json")).expect("its state");
        let state: Value = serde_json::from_slice(&state).expect("JSON");
        state
    };
    let directory = scene.engine.directory.clone();
    let state = stopped(&scene.engine, &directory).await;
    // However few rows there seem to be.
    assert_eq!(state["parts"], 64);
    let mode = |path: &Path| std::fs::metadata(path).expect("it").permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let files = std::fs::read_dir(&directory).expect("its files");
    let files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    assert!(files.len() > 100, "{files:?}");
    for file in &files {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    let started = state["report"]["started_unix_ms"].as_u64().expect("a time");
    let mut next = async |show_values: bool, not_before: u64| {
        // What was aborted may still be about to end.
        while Arc::strong_count(&scene.engine) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let engine = Arc::get_mut(&mut scene.engine).expect("the only one");
        engine.stop = Default::default();
        (engine.show_values, engine.not_before) = (show_values, not_before);
        stopped(&scene.engine, &directory).await["report"]["resumed"].clone()
    };
    assert_eq!(next(true, started - 1).await, 1, "it goes on");
    assert_eq!(next(false, started - 1).await, 0, "with values, without");
    assert_eq!(next(false, started - 1).await, 1);
    tokio::time::sleep(Duration::from_millis(2)).await;
    let owed = penstock::checkpoint::now_unix_ms();
    assert_eq!(next(false, owed).await, 0, "before what is owed");
}

/// A comparison costs what the limits allow.
#[tokio::test]
async fn the_rate_is_limited() {
    let mut scene = scene().await;
    scene
        .database
        .run(&["INSERT INTO t WITH RECURSIVE n AS (SELECT 10 i UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, 'x' FROM n"])
        .await;
    let engine = Arc::get_mut(&mut scene.engine).expect("the only one");
    engine.rows = Limit::new(Some(300));
    let begun = Instant::now();
    let mode = Mode::Sample(100.0);
    let report = scene.engine.run(&mode, |_| {}).await.expect("a report");
    assert_eq!(report.items, 893);
    assert!(
        begun.elapsed() > Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
    // On the target's side, too: each item is one read unit at least, there or not.
    let target = sink::Target {
        endpoint_url: Some(scene.target.endpoint()),
        ..sink::Target::default()
    };
    let engine = Arc::get_mut(&mut scene.engine).expect("the only one");
    engine.rows = Limit::new(None);
    engine.target = Reader::new(sink::connect(&target).await, Some(300));
    let begun = Instant::now();
    let report = scene.engine.run(&mode, |_| {}).await.expect("a report");
    assert_eq!(report.items, 893);
    assert!(
        begun.elapsed() > Duration::from_millis(1500),
        "{:?}",
        begun.elapsed()
    );
}

/// What stands in a store of items, in the target.
pub async fn put_all(target: &Target, tables: &crate::support::items::Tables) {
    for (table, items) in tables {
        for item in items.values() {
            let item: serde_json::Map<String, Value> = item
                .iter()
                .map(|(name, value)| (name.clone(), serde_json::from_str(value).expect("JSON")))
                .collect();
            target
                .put(table, Value::Object(item))
                .await
                .expect("an item");
        }
    }
}

/// The product reads MySQL's rows as the oracle does: over a target that has the oracle's items nothing differs.
pub async fn agrees(database: &Database<'_>, plan: Plan, tables: &crate::support::items::Tables) {
    let target = Target::dynoxide();
    let client = sink::connect(&sink::Target {
        endpoint_url: Some(target.endpoint()),
        ..sink::Target::default()
    })
    .await;
    sink::provision::create(&client, &plan, Duration::from_secs(30), |_| {})
        .await
        .expect("the tables");
    put_all(&target, tables).await;
    let directory = tempfile::tempdir().expect("a directory");
    let flow = Arc::new(Played::default());
    let engine = engine(database, &target.endpoint(), plan, flow, directory.path()).await;
    let report = engine.run(&Mode::Full, |_| {}).await.expect("a report");
    assert!(
        report.is_clean(),
        "{}\n{:#?}",
        report.markdown(),
        report.findings
    );
    let there: usize = tables.values().map(|items| items.len()).sum();
    assert!(report.items >= there as u64, "{} of {there}", report.items);
    assert!(report.foreign.is_empty(), "{:?}", report.foreign);
}
