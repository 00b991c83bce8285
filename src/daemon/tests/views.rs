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

const CONTRACT: &str = r#"{"tables": [{"table": "Carts", "type": "single-entity", "source_table": "carts", "pk": "email", "sk": "id",
    "attributes": [{"name": "email", "type": "S", "join": {"type": "foreign-key", "target_table": "users",
        "join_condition": "users.id = carts.user", "select_column": "users.email"}},
        {"name": "id", "type": "N", "source_column": "id"}]}]}"#;

fn plan() -> Arc<Plan> {
    let (contract, mut diagnostics) = contract::parse(CONTRACT, false);
    let plan = plan::compile(
        &contract.expect("a contract"),
        Some(&fixture::catalog(TABLES)),
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
    let (carts, users) = (SourceId(0), SourceId(1));
    let mut items = BTreeSet::new();

    let (store, mut views) = start(folder.path(), &plan);
    views.begin(1).expect("a sequence");
    for (source, after) in [
        (carts, row([Value::Int(10), Value::Int(1)])),
        (users, user("old")),
    ] {
        let change = Change::Insert { after };
        let applied = views.apply(source, &change, &mut Vec::new());
        applied.expect("a chunk's row");
    }
    commit(&store, 1, &checkpoint(&plan)).expect("a commit");
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
    let applied = views.apply(users, &change, &mut Vec::new());
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
