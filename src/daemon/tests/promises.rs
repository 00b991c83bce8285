//! What does not follow from the binlog is promised before it is written: a crash in between leaves no item behind.

use super::*;
use crate::change::Value;
use crate::pipeline::Action;
use crate::plan::tests::fixture;
use crate::plan::{Mapping, compile};
use crate::position::Position;

const TABLES: &str = "
table shop.users
  id bigint unsigned
  email varchar(100)
  pk id
table shop.carts
  id bigint
  owner bigint unsigned null
  pk id
";

/// Carts under their owner's e-mail.
const CONTRACT: &str = r#"{"tables": [{"table": "Carts", "type": "single-entity", "source_table": "carts", "pk": "email", "sk": "id",
"attributes": [{"name": "id", "type": "N", "source_column": "id"},
  {"name": "email", "type": "S", "join": {"type": "foreign-key", "target_table": "users", "join_condition": "users.id = carts.owner",
    "select_column": "users.email"}}]}]}"#;

fn plan() -> Arc<Plan> {
    let (contract, mut diagnostics) = crate::contract::parse(CONTRACT, false);
    let catalog = fixture::catalog(TABLES);
    let plan = compile(
        &contract.expect("a contract"),
        Some(&catalog),
        "shop",
        &Mapping::default(),
        &mut diagnostics,
    );
    Arc::new(plan.unwrap_or_else(|| panic!("{:?}", diagnostics.all)))
}

fn source(plan: &Plan, name: &str) -> SourceId {
    let found = plan.sources.iter().find(|s| s.name.table == name);
    found.expect(name).id
}

fn insert<'v>(plan: &Plan, table: &str, values: &[(&str, Value<'v>)]) -> Change<'v> {
    let columns = &plan.source(source(plan, table)).columns;
    let value = |name: &str| {
        values
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.clone())
    };
    let values = columns
        .iter()
        .map(|c| value(&c.column.name).expect("a value"));
    Change::Insert {
        after: Row {
            values: values.collect(),
        },
    }
}

/// The views over the state in a directory; what an earlier run had promised is deleted.
fn open(dir: &std::path::Path, plan: &Arc<Plan>) -> (Views, Arc<Store>, Vec<String>) {
    let opened = super::open(dir, plan).expect("the state").expect("joins");
    let views = Views::new(Arc::clone(plan), Arc::clone(&opened.store));
    let mut views = views.expect("the views").expect("joins");
    let deletes = views.broken_promises().expect("the promises");
    let keys = deletes.iter().map(|delete| match delete {
        Outcome::Write(m) if m.action == Action::Delete => key_of(&m.key.0),
        other => panic!("{other:?}"),
    });
    let keys = keys.collect();
    (views, opened.store, keys)
}

fn key_of(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// Applies, and gives the keys that are put and deleted.
fn finish(views: &mut Views) -> Vec<String> {
    let mut written = Vec::new();
    let mut out = |outcome| {
        if let Outcome::Write(m) = outcome {
            let word = match m.action {
                Action::Put { .. } => "put",
                Action::Delete => "delete",
            };
            written.push(format!("{word} {}", key_of(&m.key.0)));
        }
        Ok(true)
    };
    views.finish(&mut out).expect("the items");
    written
}

/// The cart's owner is corrected by a row that is read again; the item is written under the new key; the process dies before
/// the state is committed; then the owner changes in MySQL. Nothing but the promise knows of that key.
#[test]
fn an_item_written_by_a_repair_is_deleted_after_a_crash_that_forgot_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let plan = plan();
    let carts = source(&plan, "carts");
    let cart = |owner: u64| {
        insert(
            &plan,
            "carts",
            &[("id", Value::Int(1)), ("owner", Value::UInt(owner))],
        )
    };
    let user = |id: u64, email: &'static str| {
        insert(
            &plan,
            "users",
            &[
                ("id", Value::UInt(id)),
                ("email", Value::Text(email.into())),
            ],
        )
    };
    let checkpoint = Checkpoint::new(
        Position::default(),
        crate::checkpoint::Lineage {
            server_uuid: String::new(),
        },
        "",
    );
    {
        let (mut views, store, _) = open(dir.path(), &plan);
        views.begin(1).expect("a sequence");
        let mut out = Vec::new();
        for (table, change) in [
            ("users", user(1, "old")),
            ("users", user(2, "new")),
            ("carts", cart(1)),
        ] {
            views
                .apply(source(&plan, table), &change, &mut out)
                .expect("a change");
        }
        views.first_pass(2, 0).expect("the items");
        commit(&store, 2, &checkpoint).expect("a commit");
        // Read again: the cart is another user's.
        views.begin(3).expect("a sequence");
        views.apply(carts, &cart(2), &mut out).expect("a change");
        views.promise(3).expect("the promises");
        assert_eq!(
            finish(&mut views),
            [
                r#"delete {"email":{"S":"old"},"id":{"N":"1"}}"#,
                r#"put {"email":{"S":"new"},"id":{"N":"1"}}"#
            ]
        );
    }
    let (_, _, deletes) = open(dir.path(), &plan);
    assert_eq!(deletes, [r#"{"email":{"S":"new"},"id":{"N":"1"}}"#]);
}

/// What the state has been committed with needs no promise any more.
#[test]
fn a_promise_ends_with_the_commit_of_its_sequence() {
    let dir = tempfile::tempdir().expect("a directory");
    let plan = plan();
    let checkpoint = Checkpoint::new(
        Position::default(),
        crate::checkpoint::Lineage {
            server_uuid: String::new(),
        },
        "",
    );
    {
        let (mut views, store, _) = open(dir.path(), &plan);
        views.first_pass(1, 0).expect("no items");
        let mut out = Vec::new();
        let user = insert(
            &plan,
            "users",
            &[("id", Value::UInt(1)), ("email", Value::Text("a".into()))],
        );
        let cart = insert(
            &plan,
            "carts",
            &[("id", Value::Int(1)), ("owner", Value::UInt(1))],
        );
        views.begin(2).expect("a sequence");
        views
            .apply(source(&plan, "users"), &user, &mut out)
            .expect("a change");
        views
            .apply(source(&plan, "carts"), &cart, &mut out)
            .expect("a change");
        views.promise(2).expect("the promises");
        assert_eq!(finish(&mut views).len(), 1);
        commit(&store, 2, &checkpoint).expect("a commit");
    }
    let (mut views, _, deletes) = open(dir.path(), &plan);
    assert!(deletes.is_empty(), "{deletes:?}");
    // An item that stands there already, as far as the state knows, is written where somebody asks for it.
    let Change::Insert { after: row } = insert(
        &plan,
        "carts",
        &[("id", Value::Int(1)), ("owner", Value::Null)],
    ) else {
        unreachable!("an insert");
    };
    views.begin(1).expect("a sequence");
    assert!(finish(&mut views).is_empty());
    views.force(ProjectionId(0), &row).expect("a mark");
    assert_eq!(
        finish(&mut views),
        [r#"put {"email":{"S":"a"},"id":{"N":"1"}}"#]
    );
    assert!(finish(&mut views).is_empty(), "once");
}
