//! Items made of several rows: joins, aggregates and lists, kept exact while the rows change.

mod cost;
mod disk;
mod joined_keys;
mod kills;
mod patterns;
mod rename;

use std::path::Path;
use std::time::Duration;

use mysql_async::Conn;
use penstock::plan::Plan;
use penstock::state::{Format, Options, Store};
use penstock::view::joins::spaces;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::items;
use crate::support::mysql::Database;
use crate::support::oracle::Oracle;
use crate::support::target::Target;

const PATIENCE: Duration = Duration::from_secs(120);

/// Users with tiers, their carts with items, products in categories that have parents.
const TABLES: [&str; 6] = [
    "CREATE TABLE tiers (code VARCHAR(10) PRIMARY KEY, name VARCHAR(40) NOT NULL)",
    "CREATE TABLE users (id BIGINT UNSIGNED PRIMARY KEY, email VARCHAR(100) NOT NULL, tier VARCHAR(10), visits INT NOT NULL DEFAULT 0)",
    "CREATE TABLE categories (id INT PRIMARY KEY, name VARCHAR(60) NOT NULL, parent_id INT)",
    "CREATE TABLE products (id INT UNSIGNED PRIMARY KEY, name VARCHAR(60) NOT NULL, price DECIMAL(10,2) NOT NULL, category_id INT, KEY (category_id))",
    "CREATE TABLE carts (id BIGINT PRIMARY KEY, user_id BIGINT UNSIGNED NOT NULL, placed DATE NOT NULL, KEY (user_id))",
    "CREATE TABLE cart_items (cart_id BIGINT NOT NULL, line INT NOT NULL, product_id INT UNSIGNED, quantity INT NOT NULL, PRIMARY KEY (cart_id, line), KEY (product_id))",
];

fn attribute(name: &str, ty: &str, source: &str, more: Value) -> Value {
    let mut attribute = json!({"name": name, "type": ty, "source_table": source});
    let (Some(to), Some(from)) = (attribute.as_object_mut(), more.as_object()) else {
        panic!("objects");
    };
    to.extend(from.clone());
    attribute
}

fn column(name: &str, ty: &str, source: &str) -> Value {
    attribute(name, ty, source, json!({"source_column": name}))
}

/// The shop with every kind of join.
pub fn contract() -> String {
    let join = |ty: &str, more: Value| {
        let mut join = more;
        join["type"] = ty.into();
        json!({"join": join})
    };
    let user = |select: &str| {
        join(
            "foreign-key",
            json!({"target_table": "users", "join_condition": "users.id = carts.user_id", "select_column": select}),
        )
    };
    let lines = json!({"type": "aggregate", "target_table": "cart_items", "join_condition": "cart_items.cart_id = carts.id"});
    let aggregate = |operation: &str, select: Option<&str>| {
        let mut calculation = lines.clone();
        calculation["operation"] = operation.into();
        if let Some(select) = select {
            calculation["select_column"] = select.into();
        }
        json!({"calculation": calculation})
    };
    let carts = json!({
        "table": "Carts", "type": "single-entity", "source_table": "carts", "pk": "email", "sk": "id",
        "attributes": [
            attribute("email", "S", "users", user("users.email")),
            column("id", "N", "carts"),
            column("placed", "S", "carts"),
            attribute("visits", "N", "users", user("users.visits")),
            attribute("tier", "S", "tiers", join("chain", json!({"joins": [
                {"target_table": "users", "join_condition": "users.id = carts.user_id"},
                {"target_table": "tiers", "join_condition": "tiers.code = users.tier", "select_column": "tiers.name"},
            ]}))),
            attribute("lines", "L", "cart_items", join("json-construction", json!({
                "target_table": "cart_items", "join_condition": "cart_items.cart_id = carts.id",
                "construction": {"type": "array", "order_by": "quantity DESC", "limit": 3,
                    "select_columns": {"line": "cart_items.line", "quantity": "cart_items.quantity", "product": "cart_items.product_id"}},
            }))),
            attribute("count", "N", "cart_items", aggregate("COUNT", None)),
            attribute("quantity", "N", "cart_items", aggregate("SUM", Some("cart_items.quantity"))),
            attribute("biggest", "N", "cart_items", aggregate("MAX", Some("cart_items.quantity"))),
        ],
    });
    let products = json!({
        "table": "Products", "type": "single-entity", "source_table": "products", "pk": "id", "sk": null,
        "attributes": [
            column("id", "N", "products"),
            column("name", "S", "products"),
            column("price", "N", "products"),
            attribute("category", "S", "categories", join("lookup-table", json!({
                "target_table": "categories", "join_condition": "categories.id = products.category_id", "select_column": "categories.name"}))),
            attribute("path", "S", "categories", join("chain", json!({"chain_separator": " < ", "joins": [
                {"target_table": "categories", "join_condition": "categories.id = products.category_id", "select_column": "categories.name"},
                {"target_table": "categories", "join_condition": "categories.parent_id = categories.id", "select_column": "categories.name"},
            ]}))),
        ],
    });
    let categories = json!({
        "table": "Categories", "type": "single-entity", "source_table": "categories", "pk": "id", "sk": null,
        "attributes": [
            column("id", "N", "categories"),
            column("name", "S", "categories"),
            attribute("parent", "S", "categories", join("self-join", json!({"join_alias": "parent",
                "join_condition": "categories.parent_id = parent.id", "select_column": "parent.name", "null_value": "none"}))),
            attribute("products", "N", "products", json!({"calculation": {"type": "aggregate", "operation": "COUNT",
                "target_table": "products", "join_condition": "products.category_id = categories.id"}})),
        ],
    });
    json!({"tables": [carts, products, categories]}).to_string()
}

/// What the items must be, written by hand.
pub async fn expected(conn: &mut Conn) -> Oracle {
    let mut oracle = Oracle::new();
    conn.query_drop_in("SET SESSION group_concat_max_len = 100000000")
        .await;
    let carts = "SELECT u.email, c.id `id:N`, c.placed, u.visits `visits:N`, t.name tier,
        (SELECT CONCAT('[', COALESCE(GROUP_CONCAT(JSON_OBJECT('line', i.line, 'quantity', i.quantity, 'product', i.product_id)
            ORDER BY i.quantity DESC, i.line), ''), ']')
          FROM (SELECT x.*, ROW_NUMBER() OVER (PARTITION BY x.cart_id ORDER BY x.quantity DESC, x.line) n FROM cart_items x) i
          WHERE i.cart_id = c.id AND i.n <= 3) `lines:J`,
        (SELECT COUNT(*) FROM cart_items i WHERE i.cart_id = c.id) `count:N`,
        (SELECT SUM(i.quantity) FROM cart_items i WHERE i.cart_id = c.id) `quantity:N`,
        (SELECT MAX(i.quantity) FROM cart_items i WHERE i.cart_id = c.id) `biggest:N`
        FROM carts c JOIN users u ON u.id = c.user_id LEFT JOIN tiers t ON t.code = u.tier";
    oracle.add(conn, "Carts", &["email", "id"], carts).await;
    let products = "SELECT p.id `id:N`, p.name, p.price `price:N`, c.name category, CONCAT_WS(' < ', c.name, d.name) path
        FROM products p LEFT JOIN categories c ON c.id = p.category_id LEFT JOIN categories d ON d.id = c.parent_id";
    oracle.add(conn, "Products", &["id"], products).await;
    let categories = "SELECT c.id `id:N`, c.name, COALESCE(p.name, 'none') parent,
        (SELECT COUNT(*) FROM products x WHERE x.category_id = c.id) `products:N`
        FROM categories c LEFT JOIN categories p ON p.id = c.parent_id";
    oracle.add(conn, "Categories", &["id"], categories).await;
    oracle
}

/// An empty state of the plan.
fn opened(plan: &Plan, dir: &Path) -> Store {
    let format = Format {
        plan_fingerprint: plan.fingerprint.clone(),
        spaces: spaces(plan).expect("spaces"),
    };
    let opened = Store::open(dir, &format, &Options::default());
    opened.expect("a store").0
}

/// `query_drop` that panics with the query.
trait Drop2 {
    async fn query_drop_in(&mut self, sql: &str);
}

impl Drop2 for Conn {
    async fn query_drop_in(&mut self, sql: &str) {
        use mysql_async::prelude::Queryable;
        if let Err(error) = self.query_drop(sql).await {
            panic!("{error}: {sql}");
        }
    }
}

/// The shop's tables with some rows.
pub async fn fill(database: &Database<'_>) {
    database.run(&TABLES).await;
    database
        .run(&[
            "INSERT INTO tiers VALUES ('g', 'Gold'), ('s', 'Silver')",
            "INSERT INTO users (id, email, tier) VALUES (1, 'ada@example.com', 'g'), (2, 'bob@example.com', 'S'), (3, 'cyd@example.com', NULL)",
            "INSERT INTO categories VALUES (1, 'Tools', NULL), (2, 'Saws', 1), (3, 'Hammers', 1), (4, 'Stray', 99)",
            "INSERT INTO products VALUES (1, 'Fretsaw', 12.50, 2), (2, 'Mallet', 9.00, 3), (3, 'Odd', 1.00, NULL), (4, 'Lost', 2.00, 77)",
            "INSERT INTO carts VALUES (10, 1, '2024-01-02'), (11, 1, '2024-01-03'), (12, 2, '2024-02-01')",
            "INSERT INTO cart_items VALUES (10, 1, 1, 2), (10, 2, 2, 5), (10, 3, 3, 2), (10, 4, 1, 1), (12, 1, NULL, 7)",
        ])
        .await;
}

pub fn ready(database: &Database<'_>, target: &Target, contract: &str) -> Daemon {
    let mut daemon = Daemon::new(database, target, contract);
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    daemon
}

/// Waits until both sides are at the same place, and compares.
pub async fn equal(database: &Database<'_>, daemon: &mut Daemon, target: &Target) {
    daemon.caught_up(PATIENCE).await;
    let expected = expected(&mut database.conn().await).await;
    items::compare(expected.tables(), &target.scan_all().await);
}
