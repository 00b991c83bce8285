//! A crash between what a first pass promises and the commit of it.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::change::Value;
use crate::checkpoint::Lineage;
use crate::contract;
use crate::pipeline::Action;
use crate::plan::tests::fixture;
use crate::plan::{self, Mapping};
use crate::position::Position;

const TABLES: &str = "
table shop.carts
  id int
  user int
  pk id
table shop.users
  id int
  email varchar(100)
  pk id
";

const CARTS: SourceId = SourceId(0);
const USERS: SourceId = SourceId(1);

const CONTRACT: &str = r#"{"tables": [{"table": "Carts", "type": "single-entity", "source_table": "carts", "pk": "email", "sk": "id",
    "attributes": [{"name": "email", "type": "S", "join": {"type": "foreign-key", "target_table": "users",
        "join_condition": "users.id = carts.user", "select_column": "users.email"}},
        {"name": "id", "type": "N", "source_column": "id"}]}]}"#;

fn plan() -> Arc<Plan> {
    plan_of(TABLES, CONTRACT)
}

fn plan_of(tables: &str, contract: &str) -> Arc<Plan> {
    let (contract, mut diagnostics) = contract::parse(contract, false);
    let plan = plan::compile(
        &contract.expect("a contract"),
        Some(&fixture::catalog(tables)),
        "shop",
        &Mapping::default(),
        &mut diagnostics,
    );
    Arc::new(plan.expect("a plan"))
}

fn checkpoint(plan: &Plan) -> Checkpoint {
    let lineage = Lineage {
        server_uuid: "server".into(),
    };
    Checkpoint::new(Position::default(), lineage, plan.fingerprint.clone())
}

/// A run of the daemon as far as its state goes, from its start.
fn start(state: &Path, plan: &Arc<Plan>) -> (Arc<Store>, Views) {
    let opened = open(state, plan).expect("the state").expect("joins");
    let views = Views::new(Arc::clone(plan), Arc::clone(&opened.store));
    let views = views.expect("the state").expect("joins");
    // As the committer does before anything is written.
    commit(&opened.store, 0, &checkpoint(plan)).expect("a commit");
    (opened.store, views)
}

/// The same, once a cart and its user are copied.
fn copied(state: &Path, plan: &Arc<Plan>) -> (Arc<Store>, Views) {
    let (store, mut views) = start(state, plan);
    views.begin(1).expect("a sequence");
    for (source, after) in [
        (CARTS, row([Value::Int(10), Value::Int(1)])),
        (USERS, user("old")),
    ] {
        let change = Change::Insert { after };
        let applied = views.apply(source, &change, &mut Vec::new());
        applied.expect("a chunk's row");
    }
    commit(&store, 1, &checkpoint(plan)).expect("a commit");
    (store, views)
}

fn row<const N: usize>(values: [Value<'static>; N]) -> Row<'static> {
    Row {
        values: values.into(),
    }
}

fn user(email: &'static str) -> Row<'static> {
    row([Value::Int(1), Value::Text(email.into())])
}

/// The keys of the items after these outcomes.
fn write(items: &mut BTreeSet<String>, outcomes: Vec<Outcome>) {
    for outcome in outcomes {
        if let Outcome::Write(mutation) = outcome {
            let key = String::from_utf8(mutation.key.0.to_vec()).expect("JSON");
            match mutation.action {
                Action::Put { .. } => items.insert(key),
                Action::Delete => items.remove(&key),
            };
        }
    }
}

/// The item is written, the daemon dies before the commit, the key moves meanwhile: nothing but the promise knows the old one.
#[test]
fn what_a_first_pass_wrote_before_a_crash_is_deleted_when_its_key_has_moved() {
    let folder = tempfile::tempdir().expect("a directory");
    let plan = plan();
    let mut items = BTreeSet::new();

    let (store, mut views) = copied(folder.path(), &plan);
    let page = views.first_pass(2, 0).expect("a page");
    write(&mut items, page.outcomes);
    assert_eq!(items.len(), 1);
    drop((store, views));

    // A run that dies at once keeps the promise for the next one.
    drop(start(folder.path(), &plan));

    let (store, mut views) = start(folder.path(), &plan);
    views.begin(1).expect("a sequence");
    write(&mut items, views.broken_promises().expect("promises"));
    views.begin(2).expect("a sequence");
    let change = Change::Update {
        before: user("old"),
        after: user("new"),
    };
    let applied = views.apply(USERS, &change, &mut Vec::new());
    applied.expect("a change");
    let page = views.first_pass(3, 0).expect("a page");
    write(&mut items, page.outcomes);
    let kept: Vec<&String> = items.iter().collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(kept[0].contains("new"), "{kept:?}");

    // Once it is durable nothing is promised any more.
    commit(&store, 3, &checkpoint(&plan)).expect("a commit");
    drop((store, views));
    let (_, mut views) = start(folder.path(), &plan);
    assert_eq!(views.broken_promises().expect("promises").len(), 0);
    assert!(views.all_made());
}

/// A page is written and not yet committed; a transaction gives the item another key, which is written too; the daemon dies.
/// When the transaction comes again, the pass has not come to the row: nothing but the promise knows of the key in between.
#[test]
fn what_the_stream_wrote_beside_a_page_that_a_crash_takes_back_is_deleted_too() {
    let folder = tempfile::tempdir().expect("a directory");
    let plan = plan();
    let mut items = BTreeSet::new();
    let moves = |from, to| Change::Update {
        before: user(from),
        after: user(to),
    };

    let (store, mut views) = copied(folder.path(), &plan);
    let page = views.first_pass(2, 0).expect("a page");
    write(&mut items, page.outcomes);
    transaction(&mut views, 3, moves("old", "mid"), &mut items);
    assert_eq!(items.len(), 1);
    drop((store, views));

    let (store, mut views) = start(folder.path(), &plan);
    views.begin(1).expect("a sequence");
    write(&mut items, views.broken_promises().expect("promises"));
    assert!(items.is_empty(), "{items:?}");
    transaction(&mut views, 2, moves("old", "mid"), &mut items);
    transaction(&mut views, 3, moves("mid", "new"), &mut items);
    let page = views.first_pass(4, 0).expect("a page");
    write(&mut items, page.outcomes);
    assert_eq!(items.len(), 1, "{items:?}");
    assert!(items.iter().all(|key| key.contains("new")), "{items:?}");

    // What follows from the binlog and from what is committed is not promised.
    commit(&store, 4, &checkpoint(&plan)).expect("a commit");
    transaction(&mut views, 5, moves("new", "last"), &mut items);
    drop((store, views));
    let (_, mut views) = start(folder.path(), &plan);
    assert_eq!(views.broken_promises().expect("promises").len(), 0);
}

/// A transaction of the stream as the stage ends it.
fn transaction(
    views: &mut Views,
    sequence: Sequence,
    change: Change<'_>,
    items: &mut BTreeSet<String>,
) {
    views.begin(sequence).expect("a sequence");
    let applied = views.apply(USERS, &change, &mut Vec::new());
    applied.expect("a change");
    let promised = views.promise_where_unfounded(sequence);
    promised.expect("the promises");
    write(items, finish(views));
}

fn finish(views: &mut Views) -> Vec<Outcome> {
    let mut written = Vec::new();
    let finished = views.finish(&mut |outcome| {
        written.push(outcome);
        Ok(true)
    });
    finished.expect("the items");
    written
}

const MAILS: &str = "
table shop.early
  name int
  mail varchar(20)
  pk name
table shop.late
  name int
  mail varchar(20)
  pk name
";

/// Two kinds of rows may claim a key. A page gives it to another row and is written; before its commit the daemon dies, and
/// that row goes: the state never knew of it, and the item's content is the other row's again.
#[test]
fn a_contested_item_that_a_crash_took_back_is_written_again() {
    let entity = |name: &str| {
        format!(
            r#"{{"entity_type": "{name}", "source_table": "{name}", "pk_template": "M#{{mail}}", "sk_template": "X",
                "attributes": [{{"name": "who", "type": "N", "source_column": "name"}}]}}"#
        )
    };
    let text = format!(
        r#"{{"tables": [{{"table": "Mails", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": [{}, {}]}}]}}"#,
        entity("early"),
        entity("late"),
    );
    let folder = tempfile::tempdir().expect("a directory");
    let plan = plan_of(MAILS, &text);
    let mail = |name| row([Value::Int(name), Value::Text("m".into())]);
    let mut item: Option<String> = None;
    let mut write = |outcomes: Vec<Outcome>| {
        for outcome in outcomes {
            if let Outcome::Write(mutation) = outcome {
                item = match mutation.action {
                    Action::Put { item, .. } => Some(String::from_utf8_lossy(&item).into_owned()),
                    Action::Delete => None,
                };
            }
        }
        item.clone().unwrap_or_default()
    };

    let (store, mut views) = start(folder.path(), &plan);
    views.begin(1).expect("a sequence");
    for (source, name) in [(0, 2), (1, 1)] {
        let change = Change::Insert { after: mail(name) };
        let applied = views.apply(SourceId(source), &change, &mut Vec::new());
        applied.expect("a chunk's row");
    }
    let page = views.first_pass(2, 1).expect("a page");
    assert!(write(page.outcomes).contains(r#""who":{"N":"1"}"#));
    commit(&store, 2, &checkpoint(&plan)).expect("a commit");
    let page = views.first_pass(3, 0).expect("a page");
    assert!(write(page.outcomes).contains(r#""who":{"N":"2"}"#));
    drop((store, views));

    let (_store, mut views) = start(folder.path(), &plan);
    views.begin(1).expect("a sequence");
    write(views.broken_promises().expect("promises"));
    write(finish(&mut views));
    views.begin(2).expect("a sequence");
    let change = Change::Delete { before: mail(2) };
    let applied = views.apply(SourceId(0), &change, &mut Vec::new());
    applied.expect("a change");
    write(finish(&mut views));
    let page = views.first_pass(3, 0).expect("a page");
    let last = write(page.outcomes);
    assert!(last.contains(r#""who":{"N":"1"}"#), "{last}");
}
