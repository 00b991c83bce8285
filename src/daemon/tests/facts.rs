//! Facts through the committer: in one commit with the position, in every copy of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::checkpoint::{DeadLetterChange, Lineage, Loaded, Store};
use crate::daemon::committer::Committer;
use crate::daemon::deaths::Letters;
use crate::daemon::shared::Shared;
use crate::daemon::stage::Completion;
use crate::daemon::stage::tests::plan_of_things;
use crate::pipeline::{self, Batch, Fate, Outcome, Writer};
use crate::position::Position;
use crate::source::snapshot::Progress;
use crate::state;

struct Takes;

impl Writer for Takes {
    async fn write(&self, batch: &Batch) -> Result<Outcome> {
        Ok(Outcome::all(batch, &Fate::Written, None))
    }
}

/// A committer over a state directory, with nothing to commit but facts.
struct Rig {
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
    _feed: pipeline::Feed<Completion>,
    _letters: mpsc::Sender<DeadLetterChange>,
}

impl Rig {
    fn start(dir: &Path, views: Option<Arc<state::Store>>) -> Rig {
        let (store, report) = Store::open(dir).expect("the store opens");
        assert_eq!(report, Default::default());
        let checkpoint = match store.load() {
            Loaded::Found(checkpoint) => *checkpoint,
            Loaded::None => empty(),
        };
        let plan = Arc::new(plan_of_things());
        let progress = Arc::new(Progress::new(Vec::new(), 1));
        let shared = Arc::new(Shared::new(
            Arc::clone(&plan),
            Arc::clone(&progress),
            &checkpoint,
            0,
        ));
        let (feed, durable) = pipeline::start(
            pipeline::Options::default(),
            Arc::new(Takes),
            &tokio::runtime::Handle::current(),
        );
        let (sender, letters) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let committer = Committer::new(
            Arc::new(store),
            checkpoint,
            progress,
            Letters::new(plan),
            Arc::clone(&shared),
            views.map(|store| (store, true)),
        );
        Rig {
            shared,
            task: tokio::spawn(committer.run(durable, letters, stop.clone())),
            stop,
            _feed: feed,
            _letters: sender,
        }
    }

    async fn end(self) {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("it commits");
    }
}

fn empty() -> Checkpoint {
    let lineage = Lineage {
        server_uuid: String::new(),
    };
    Checkpoint::new(Position::default(), lineage, "plan")
}

/// Time enough for several commits that nobody asked for.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(700)).await;
}

fn mirror(dir: &Path) -> Value {
    let text = std::fs::read(dir.join("checkpoint.json")).expect("the mirror");
    let mut sealed: Value = serde_json::from_slice(&text).expect("JSON");
    sealed["content"]["checkpoint"]["other"]["facts"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_is_in_the_next_commit_and_survives_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path(), None);
    rig.shared
        .facts
        .set("parity", &json!({"clean": true}))
        .expect("set");
    rig.shared.facts.set("gone", &1).expect("set");
    a_while().await;
    assert_eq!(
        mirror(dir.path()),
        json!({"parity": {"clean": true}, "gone": 1})
    );
    rig.shared.facts.remove("gone");
    rig.end().await;

    let rig = Rig::start(dir.path(), None);
    let facts = &rig.shared.facts;
    let parity: Option<Value> = facts.get("parity").expect("read");
    assert_eq!(parity, Some(json!({"clean": true})));
    assert_eq!(facts.get::<Value>("gone").expect("read"), None);
    let other_shape = facts.get::<u64>("parity").expect_err("an object");
    assert_eq!(other_shape.kind(), Kind::Store);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_durably_is_on_disk_when_the_call_returns() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path(), None);
    a_while().await;
    for number in 0..20 {
        let facts = &rig.shared.facts;
        facts.set_durably("number", &number).await.expect("durable");
        // The mirror is written last: what it has, the store has.
        assert_eq!(mirror(dir.path()), json!({"number": number}));
    }
    rig.shared
        .facts
        .remove_durably("number")
        .await
        .expect("durable");
    assert_eq!(mirror(dir.path()), Value::Null);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_in_the_commit_of_the_joins_state() {
    let dir = tempfile::tempdir().expect("a directory");
    let format = state::Format {
        plan_fingerprint: "plan".into(),
        spaces: 1,
    };
    let open = || {
        state::Store::open(
            &dir.path().join("views"),
            &format,
            &state::Options::default(),
        )
    };
    let (views, none) = open().expect("the state opens");
    assert_eq!(none, None);
    let views = Arc::new(views);
    let rig = Rig::start(dir.path(), Some(Arc::clone(&views)));
    rig.shared
        .facts
        .set_durably("parity", &7)
        .await
        .expect("durable");
    rig.end().await;
    drop(views);
    let (_, blob) = open().expect("the state opens");
    let checkpoint: Checkpoint = serde_json::from_slice(&blob.expect("committed").0).expect("JSON");
    assert_eq!(fact_of(&checkpoint, "parity").expect("read"), Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_daemon_that_ends_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let rig = Rig::start(dir.path(), None);
    let shared = Arc::clone(&rig.shared);
    rig.end().await;
    let error = shared
        .facts
        .set_durably("late", &1)
        .await
        .expect_err("too late");
    assert_eq!(error.kind(), Kind::Interrupted);
}

#[test]
fn facts_leave_what_else_the_checkpoint_holds() {
    let mut checkpoint = empty();
    checkpoint
        .other
        .insert("harmless_xids".into(), json!(["x"]));
    let before = checkpoint.clone();
    set_fact(&mut checkpoint, "cutover", Some(&json!({"serial": 1}))).expect("set");
    assert_eq!(
        fact_of(&checkpoint, "cutover").expect("read"),
        Some(json!({"serial": 1}))
    );
    let facts = Facts::of(&checkpoint);
    facts.set("other", &2).expect("set");
    facts.write_to(&mut checkpoint);
    assert_eq!(checkpoint.other["harmless_xids"], json!(["x"]));
    facts.remove("other");
    facts.remove("cutover");
    facts.write_to(&mut checkpoint);
    assert_eq!(checkpoint, before, "an empty entry is none");
}

#[test]
fn an_equal_value_is_nothing_to_commit() {
    let facts = Facts::of(&empty());
    assert!(!facts.is_dirty());
    facts.set("a", &1).expect("set");
    assert!(facts.is_dirty());
    let mut checkpoint = empty();
    let version = facts.write_to(&mut checkpoint);
    facts.set("b", &1).expect("set");
    facts.committed(version);
    assert!(facts.is_dirty(), "b came after the checkpoint was taken");
    let version = facts.write_to(&mut checkpoint);
    facts.committed(version);
    facts.set("b", &1).expect("set");
    assert!(!facts.is_dirty());
}

/// Two that change the same fact: what the one has said is not undone by the other.
#[test]
fn changes_of_one_fact_follow_each_other() {
    let facts = Facts::of(&empty());
    let add = || {
        for _ in 0..25 {
            let next = |n: Option<u64>| {
                std::thread::sleep(Duration::from_millis(1));
                n.unwrap_or(0) + 1
            };
            facts.update("count", next).expect("a number");
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(add);
        }
    });
    assert_eq!(facts.get::<u64>("count").expect("a number"), Some(100));
    assert!(facts.is_dirty());
    facts.set("count", &"many").expect("set");
    let refused = facts.update("count", |n: Option<u64>| n.unwrap_or(0));
    assert_eq!(refused.expect_err("another shape").kind(), Kind::Store);
}

/// A comparison that is owed is a fact of the checkpoint, whoever finds out.
#[tokio::test]
async fn what_is_owed_is_noted_where_there_was_a_comparison() {
    use crate::daemon::verifier::{owe, owe_in};
    use crate::verify::{Owed, Standing};
    let mut checkpoint = empty();
    let standing = |checkpoint: &Checkpoint| -> Option<Standing> {
        fact_of(checkpoint, "parity").expect("its shape")
    };
    owe_in(&mut checkpoint, Owed::AnotherServer).expect("noted");
    assert_eq!(standing(&checkpoint), None, "there was no comparison");
    set_fact(&mut checkpoint, "parity", Some(&Standing::default())).expect("set");
    owe_in(&mut checkpoint, Owed::AnotherServer).expect("noted");
    let noted = standing(&checkpoint).expect("a standing");
    assert_eq!(noted.owed, Some(Owed::AnotherServer));
    let facts = Facts::of(&checkpoint);
    facts.ended();
    assert!(owe(&facts, Owed::Repaired).await.is_err(), "not durable");
    let noted: Option<Standing> = facts.get("parity").expect("its shape");
    assert_eq!(noted.and_then(|s| s.owed), Some(Owed::Repaired));
}
