//! What a change reads of the state: the rows of its own items, however many others there are. Counted, not timed.

use std::sync::Arc;

use penstock::change::{Change, Row, Temporal, Value};
use penstock::plan::{Plan, SourceId};
use penstock::state::{Figures, Store, Writer};
use penstock::view::joins::Joins;

use super::{contract, fill, opened};
use crate::support::mysql::Server;
use crate::support::plan;

/// What an update of a leaf may read beyond the rows of its own group.
const POINTS: u64 = 10;
const LINES: u64 = 4;

/// PENSTOCK_FULL=1: a million rows of state; otherwise a fiftieth.
fn rows() -> u64 {
    let full = std::env::var("PENSTOCK_FULL").is_ok_and(|value| value == "1");
    if full { 1_000_000 } else { 20_000 }
}

#[tokio::test]
async fn a_change_reads_the_rows_of_its_own_items_and_no_others() {
    let database = Server::shared().database().await;
    fill(&database).await;
    let plan = Arc::new(plan::compile(&database, &contract()).await);
    let cost = |rows: u64| {
        let plan = Arc::clone(&plan);
        tokio::task::spawn_blocking(move || costs(&plan, rows))
    };
    let small = cost(1_000).await.expect("a small state");
    let large = cost(rows()).await.expect("a large state");
    for (what, cost) in &large {
        println!("{} rows: {what}: {cost:?}", rows());
    }
    assert_eq!(small, large, "the cost does not grow with the state");
    for (what, cost) in large {
        assert!(
            cost.reads <= POINTS + cost.entries,
            "{what} reads more than {POINTS} points beyond its group: {cost:?}"
        );
        // Not more than its own group is gone through: the lines of the cart, and the cart of the user.
        assert!(cost.entries <= LINES + 1, "{what}: {cost:?}");
        assert_eq!(cost.items, 1, "{what}: {cost:?}");
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Cost {
    /// Reads of single keys.
    reads: u64,
    pages: u64,
    /// Entries that the pages gave: each is a row of a group.
    entries: u64,
    /// Items that were written.
    items: u64,
}

/// A shop of so many rows, and what each of some updates in it costs.
fn costs(plan: &Arc<Plan>, rows: u64) -> Vec<(&'static str, Cost)> {
    let folder = tempfile::tempdir().expect("a directory");
    let store = opened(plan, folder.path());
    let mut writer = store.writer().expect("the writer");
    let joins = Joins::new(Arc::clone(plan), &mut writer).expect("the plan");
    let mut shop = Shop {
        plan,
        joins: joins.expect("joins"),
        store: &store,
        writer,
        sequence: 0,
    };
    shop.fill(rows);
    let middle = rows / 2 / LINES;
    let line = |quantity| {
        [
            ("cart_id", middle),
            ("line", 2),
            ("product_id", 7),
            ("quantity", quantity),
        ]
    };
    let product = |price| [("id", 9), ("category_id", 9), ("price", price), ("name", 9)];
    let user = |visits| {
        [
            ("id", middle),
            ("email", middle),
            ("tier", 1),
            ("visits", visits),
        ]
    };
    vec![
        (
            "a line's quantity",
            shop.cost("cart_items", &line(2), &line(99)),
        ),
        (
            "a product's price",
            shop.cost("products", &product(9), &product(77)),
        ),
        ("a user's visits", shop.cost("users", &user(0), &user(5))),
    ]
}

struct Shop<'s> {
    plan: &'s Plan,
    joins: Joins,
    store: &'s Store,
    writer: Writer,
    sequence: u64,
}

impl Shop<'_> {
    /// Half of the rows are lines of carts, four each; then carts, users and products. All is committed.
    fn fill(&mut self, rows: u64) {
        let carts = rows / 2 / LINES;
        self.insert("tiers", &[("code", 1), ("name", 1)]);
        for id in 1..=10 {
            self.insert(
                "categories",
                &[("id", id), ("name", id), ("parent_id", id / 2)],
            );
        }
        for id in 1..=rows / 4 {
            let product = [
                ("id", id),
                ("name", id),
                ("price", id),
                ("category_id", id % 10),
            ];
            self.insert("products", &product);
        }
        for id in 1..=carts {
            let user = [("id", id), ("email", id), ("tier", 1), ("visits", 0)];
            self.insert("users", &user);
            self.insert("carts", &[("id", id), ("user_id", id), ("placed", 1)]);
            for line in 1..=LINES {
                let product = id % (rows / 4) + 1;
                let row = [
                    ("cart_id", id),
                    ("line", line),
                    ("product_id", product),
                    ("quantity", line),
                ];
                self.insert("cart_items", &row);
            }
        }
        while let Some(projection) = self.joins.due(|_| true) {
            self.begin();
            let page = self.joins.first_pass(&mut self.writer, projection);
            page.expect("a page of items");
        }
        self.store.commit(self.sequence, b"").expect("a commit");
    }

    fn begin(&mut self) {
        self.sequence += 1;
        self.writer.begin(self.sequence).expect("a sequence");
    }

    fn insert(&mut self, table: &str, values: &[(&str, u64)]) {
        self.begin();
        let after = self.row(table, values);
        let change = Change::Insert { after };
        let source = self.source(table);
        let applied = self
            .joins
            .apply(&mut self.writer, source, &change, &mut Vec::new());
        applied.expect("a row");
        if self.sequence.is_multiple_of(10_000) {
            self.store.commit(self.sequence, b"").expect("a commit");
        }
    }

    fn cost(&mut self, table: &str, before: &[(&str, u64)], after: &[(&str, u64)]) -> Cost {
        let was: Figures = self.store.figures();
        self.begin();
        let (before, after) = (self.row(table, before), self.row(table, after));
        let change = Change::Update { before, after };
        let source = self.source(table);
        let applied = self
            .joins
            .apply(&mut self.writer, source, &change, &mut Vec::new());
        applied.expect("a change");
        let mut items = 0;
        let mut out = |_| {
            items += 1;
            Ok(true)
        };
        let ended = self.joins.finish(&mut self.writer, &mut out);
        ended.expect("its items");
        let now = self.store.figures();
        // The next one finds everything where this one did.
        self.store.commit(self.sequence, b"").expect("a commit");
        Cost {
            reads: now.gets - was.gets,
            pages: now.pages - was.pages,
            entries: now.page_entries - was.page_entries,
            items,
        }
    }

    fn source(&self, table: &str) -> SourceId {
        let mut sources = self.plan.sources.iter();
        sources.find(|s| s.name.table == table).expect("a table").id
    }

    /// A row of the plan's columns; texts and numbers alike are made of the number.
    fn row(&self, table: &str, values: &[(&str, u64)]) -> Row<'static> {
        let columns = &self.plan.source(self.source(table)).columns;
        let value = |name: &str| {
            let found = values.iter().find(|(column, _)| *column == name);
            let number = found.map_or(0, |(_, number)| *number);
            match name {
                "code" | "tier" | "name" | "email" => Value::Text(format!("t{number}").into()),
                "placed" => Value::Date(Temporal {
                    year: 2024,
                    month: 1,
                    day: 1,
                    ..Temporal::default()
                }),
                "price" => Value::Decimal(format!("{number}.00").into()),
                "id" if matches!(table, "users" | "products") => Value::UInt(number),
                "user_id" | "product_id" => Value::UInt(number),
                _ => Value::Int(number as i64),
            }
        };
        Row {
            values: columns.iter().map(|c| value(&c.column.name)).collect(),
        }
    }
}
