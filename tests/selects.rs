//! The contract as SQL means what the contract says: against SELECTs written by hand, and against items written by hand.

use penstock::demo::sample::{self, Sizes};
use serde_json::{Value, json};

use crate::support::items::{self, Tables};
use crate::support::mysql::{Database, Server};
use crate::support::oracle::select::{Computed, of_plan};
use crate::support::oracle::{self, Oracle};
use crate::support::{plan, root, shop};
use crate::{every_type, types};

async fn computed(database: &Database<'_>, contract: &str) -> Computed {
    let plan = plan::compile(database, contract).await;
    of_plan(&mut database.conn().await, &plan).await
}

fn sample_contract(name: &str, database: &str) -> String {
    let path = root().join("contracts").join(name);
    let text = std::fs::read_to_string(path).expect("a sample contract");
    text.replace("\"shop.", &format!("\"{database}."))
}

async fn sample_shop() -> Database<'static> {
    let database = Server::shared().database().await;
    let mut conn = database.conn().await;
    sample::create(&mut conn, &database.name)
        .await
        .expect("the tables");
    sample::fill(&mut conn, Sizes::SMALL, 7, |_| {})
        .await
        .expect("the rows");
    database
}

#[tokio::test]
async fn the_sample_without_joins_is_what_the_shop_says() {
    let database = sample_shop().await;
    let found = computed(&database, &sample_contract("shop.json", &database.name)).await;
    assert_eq!((found.unmappable, found.contested), (0, 0));
    let expected = shop::expected(&mut database.conn().await).await;
    items::compare(&expected, &found.tables);
}

const ORDERS: &str = r"
SELECT o.id `order_id:N`, o.status, CONCAT(REPLACE(o.placed_at, ' ', 'T'), 'Z') placed_at, o.total `total:N`, u.email customer_email,
       IF(o.status <> 'cart', COALESCE(u.name, u.email), 'guest') greeting,
       (SELECT COALESCE(JSON_ARRAYAGG(JSON_OBJECT('line', i.line, 'product_id', i.product_id, 'amount', i.quantity * i.unit_price)), JSON_ARRAY())
        FROM (SELECT * FROM order_items WHERE order_id = o.id ORDER BY line LIMIT 100) i) `items:J`,
       (SELECT COUNT(*) FROM order_items i WHERE i.order_id = o.id) `item_count:N`,
       (SELECT SUM(i.quantity * i.unit_price) FROM order_items i WHERE i.order_id = o.id) `items_total:N`,
       CASE WHEN o.status IN ('placed', 'paid') THEN 'in preparation' WHEN o.status = 'shipped' THEN 'on its way' ELSE 'closed' END status_label,
       DATE_FORMAT(o.placed_at + INTERVAL 30 DAY, '%Y-%m-%d') due_on
FROM orders o LEFT JOIN users u ON u.id = o.user_id";

const LINES: &str = r"
SELECT i.order_id `order_id:N`, i.line `line:N`, p.title product_title, u.email customer, CONCAT(i.quantity, ' x ', i.product_id) label
FROM order_items i LEFT JOIN products p ON p.id = i.product_id LEFT JOIN orders o ON o.id = i.order_id LEFT JOIN users u ON u.id = o.user_id";

#[tokio::test]
async fn the_sample_with_joins_is_what_sql_by_hand_says() {
    let database = sample_shop().await;
    let contract = sample_contract("shop-joins.json", &database.name);
    let found = computed(&database, &contract).await;
    assert_eq!((found.unmappable, found.contested), (0, 0));
    let mut conn = database.conn().await;
    let mut expected = Oracle::new();
    expected
        .add(&mut conn, "Orders", &["order_id"], ORDERS)
        .await
        .add(&mut conn, "OrderLines", &["order_id", "line"], LINES)
        .await;
    items::compare(expected.tables(), &found.tables);
}

#[tokio::test]
async fn every_type_is_what_sql_by_hand_says() {
    let database = Server::shared().database().await;
    types::run(&database, &[every_type::create()]).await;
    types::run(&database, &every_type::inserts(0)).await;
    let found = computed(&database, &types::contract()).await;
    assert_eq!(found.unmappable, 0);
    let mut conn = database.conn().await;
    let expected = oracle::select(&mut conn, &["id"], &types::oracle_sql()).await;
    let expected = Tables::from([("EveryType".to_owned(), expected)]);
    items::compare(&expected, &found.tables);
}

/// A value keeps its text when it comes through a join, and inside other text.
#[tokio::test]
async fn a_value_has_one_text_wherever_it_stands() {
    let database = Server::shared().database().await;
    types::run(&database, &[every_type::create()]).await;
    types::run(&database, &every_type::inserts(0)).await;
    // No unique key for the server to use: the row comes through a LATERAL.
    types::run(
        &database,
        &[
            "CREATE TABLE links (id BIGINT PRIMARY KEY, other VARCHAR(20) NOT NULL)".into(),
            "INSERT INTO links SELECT id, id FROM every_type".into(),
        ],
    )
    .await;
    let text = |c: &every_type::Column| {
        c.mapped
            .iter()
            .any(|(_, m)| matches!(m, every_type::Mapped::Text(_)))
    };
    // A FLOAT that has no sign forgets that of -0 on its way through a join.
    let keeps_sign = |c: &every_type::Column| c.name != "float_huge_filled";
    let columns: Vec<_> = every_type::COLUMNS
        .iter()
        .filter(|c| text(c) && keeps_sign(c))
        .collect();
    assert!(columns.len() > 40);
    let mut attributes = vec![json!({"name": "id", "type": "N", "source_column": "id"})];
    for column in &columns {
        let join = |kind: &str, select: String| {
            json!({"type": kind, "target_table": "every_type", "join_condition": "links.other = every_type.id",
                   "condition": "links.id >= 0", "select_column": select, "else_value": "none", "chain_separator": ";",
                   "joins": [{"target_table": "every_type", "join_condition": "links.other = every_type.id", "select_column": select}]})
        };
        let name = format!("every_type.{}", column.name);
        for kind in ["foreign-key", "conditional", "chain"] {
            let mut join = join(kind, name.clone());
            let fields: &[&str] = match kind {
                "foreign-key" => &["type", "target_table", "join_condition", "select_column"],
                "conditional" => &[
                    "type",
                    "condition",
                    "target_table",
                    "join_condition",
                    "select_column",
                    "else_value",
                ],
                _ => &["type", "joins", "chain_separator"],
            };
            join.as_object_mut()
                .expect("an object")
                .retain(|field, _| fields.contains(&field.as_str()));
            attributes.push(json!({"name": format!("{}_{kind}", column.name), "type": "S", "source_column": "other", "join": join}));
        }
    }
    let direct: Vec<_> = columns
        .iter()
        .flat_map(|c| {
            ["foreign-key", "conditional", "chain"].map(|kind| {
            json!({"name": format!("{}_{kind}", c.name), "type": "S", "source_column": c.name})
        })
        })
        .collect();
    let templates: Vec<_> = columns
        .iter()
        .flat_map(|c| {
            ["foreign-key", "conditional", "chain"].map(|kind| {
                json!({"name": format!("{}_{kind}", c.name), "type": "S",
                   "transformation": {"type": "template", "template": format!("{{{}}}", c.name)}})
            })
        })
        .collect();
    let with_id = |more: Vec<Value>| {
        let mut all = vec![json!({"name": "id", "type": "N", "source_column": "id"})];
        all.extend(more);
        all
    };
    let table = |source: &str, attributes: Vec<Value>| {
        json!({"tables": [{"table": "Table", "type": "single-entity", "source_table": source, "pk": "id", "attributes": attributes}]})
            .to_string()
    };
    let direct = computed(&database, &table("every_type", with_id(direct))).await;
    let inside = computed(&database, &table("every_type", with_id(templates))).await;
    items::compare(&direct.tables, &inside.tables);
    let mut joined = computed(&database, &table("links", attributes)).await;
    // CONCAT_WS makes the empty text of NULL.
    for item in joined.tables.values_mut().flat_map(|t| t.values_mut()) {
        item.retain(|name, value| !(name.ends_with("_chain") && value == "{\"S\":\"\"}"));
        item.retain(|name, value| !(name.ends_with("_conditional") && value == "{\"S\":\"none\"}"));
    }
    let mut direct = direct.tables;
    for item in direct.values_mut().flat_map(|t| t.values_mut()) {
        item.retain(|name, value| !(name.ends_with("_chain") && value == "{\"S\":\"\"}"));
    }
    items::compare(&direct, &joined.tables);
}

const FAMILY: [&str; 6] = [
    "CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(20), boss INT, town VARCHAR(20) COLLATE utf8mb4_0900_ai_ci, bits BIT(4), born DATETIME(3))",
    "CREATE TABLE towns (code VARCHAR(20) COLLATE utf8mb4_0900_ai_ci, part INT, title VARCHAR(20), PRIMARY KEY (code, part))",
    "CREATE TABLE visits (id INT PRIMARY KEY, person INT, cost DECIMAL(6,2), at DATE, score DOUBLE)",
    "INSERT INTO people VALUES (1, 'Ann', NULL, 'BERN', b'1010', '1969-12-31 23:59:59.250'), (2, 'Bob', 1, 'bern', NULL, NULL),
       (3, NULL, 2, 'nowhere', b'0', '2024-02-29 00:00:00.007'), (4, 'Dan', 99, NULL, b'1', '1970-01-01 00:00:01')",
    "INSERT INTO towns VALUES ('Bern', 2, 'New Bern'), ('Bern', 1, 'Old Bern'), ('Rome', 1, NULL)",
    "INSERT INTO visits VALUES (5, 1, 1.50, '2024-01-05', 0.1), (3, 1, NULL, '2024-01-03', 0.2), (9, 1, 1.50, NULL, 1e16), (4, 2, 7, '2024-01-04', NULL)",
];

/// One attribute over `people`, and what it is for the four rows; `null` where it is left out.
async fn people(database: &Database<'_>, ty: &str, mut attribute: Value, wanted: Value) {
    attribute["name"] = "v".into();
    attribute["type"] = ty.into();
    let contract = json!({"tables": [{
        "table": "People", "type": "single-entity", "source_table": "people", "pk": "id",
        "attributes": [{"name": "id", "type": "N", "source_column": "id"}, attribute],
    }]});
    let found = computed(database, &contract.to_string()).await;
    for (row, wanted) in (1..).zip(wanted.as_array().expect("four values")) {
        let item = &found.tables["People"][&format!("id={{\"N\":\"{row}\"}}")];
        let value = item
            .get("v")
            .map(|v| serde_json::from_str::<Value>(v).expect("JSON"));
        let value = value.map_or(Value::Null, |v| v[if ty == "J" { "L" } else { ty }].clone());
        assert_eq!(&value, wanted, "row {row} of {attribute}");
    }
}

#[tokio::test]
async fn every_construct_is_what_the_format_says() {
    let database = Server::shared().database().await;
    database.run(&FAMILY).await;
    let d = &database;
    let to_boss = "people.boss = boss.id";
    let boss = |select: &str, otherwise: Value| {
        json!({"source_column": "boss", "join": {"type": "self-join", "join_alias": "boss", "target_table": "people",
            "join_condition": to_boss, "select_column": select, "null_value": otherwise}})
    };
    people(
        d,
        "S",
        boss("boss.name", "nobody".into()),
        json!(["nobody", "Ann", "Bob", "nobody"]),
    )
    .await;
    people(
        d,
        "S",
        boss("boss.name", Value::Null),
        json!([null, "Ann", "Bob", null]),
    )
    .await;
    people(
        d,
        "S",
        boss("boss.bits", "-1".into()),
        json!(["-1", "10", "-1", "-1"]),
    )
    .await;
    people(
        d,
        "N",
        boss("COALESCE(boss.id, 7)", Value::Null),
        json!(["7", "1", "2", "7"]),
    )
    .await;

    // Several towns of that name: the one with the lowest key; and names compare as the column does.
    let town = |select: &str| {
        json!({"source_column": "town", "join": {"type": "foreign-key", "target_table": "towns",
            "join_condition": "towns.code = people.town", "select_column": select}})
    };
    people(
        d,
        "S",
        town("title"),
        json!(["Old Bern", "Old Bern", null, null]),
    )
    .await;
    people(
        d,
        "S",
        town("'literal'"),
        json!(["literal", "literal", "literal", "literal"]),
    )
    .await;
    let both = json!({"source_column": "town", "join": {"type": "multi-column", "target_table": "towns",
        "join_conditions": ["towns.code = people.town", "towns.part = people.id"], "select_column": "title"}});
    people(d, "S", both, json!(["Old Bern", "New Bern", null, null])).await;
    let when = |other: Value| {
        json!({"source_column": "town", "join": {"type": "conditional", "condition": "people.id < 4", "target_table": "towns",
            "join_condition": "towns.code = people.town", "select_column": "towns.part", "else_value": other}})
    };
    people(d, "S", when("none".into()), json!(["1", "1", null, "none"])).await;
    people(
        d,
        "S",
        when("people.name".into()),
        json!(["1", "1", null, "Dan"]),
    )
    .await;
    people(d, "S", when(Value::Null), json!(["1", "1", null, null])).await;

    let chain = |separator: Option<&str>| {
        let mut join = json!({"type": "chain", "joins": [
            {"target_table": "towns", "join_condition": "towns.code = people.town", "select_column": "towns.title"},
            {"target_table": "visits", "join_condition": "visits.person = towns.part", "select_column": "visits.at"}]});
        if let Some(separator) = separator {
            join["chain_separator"] = separator.into();
        }
        json!({"source_column": "town", "join": join})
    };
    people(
        d,
        "S",
        chain(None),
        json!(["2024-01-03", "2024-01-03", null, null]),
    )
    .await;
    people(
        d,
        "S",
        chain(Some(", ")),
        json!(["Old Bern, 2024-01-03", "Old Bern, 2024-01-03", "", ""]),
    )
    .await;
    let bosses = json!({"source_column": "boss", "join": {"type": "chain", "chain_separator": " < ", "joins": [
        {"target_table": "people", "join_condition": "people.boss = people.id", "select_column": "people.name"},
        {"target_table": "people", "join_condition": "people.boss = people.id", "select_column": "people.name"}]}});
    people(d, "S", bosses, json!(["", "Ann", "Bob < Ann", ""])).await;

    let list = |order: Value, limit: Value| {
        json!({"source_column": "id", "join": {"type": "json-construction", "target_table": "visits", "join_condition": "visits.person = people.id",
            "construction": {"type": "array", "select_columns": {"id": "id", "cost": "cost"}, "order_by": order, "limit": limit}}})
    };
    let visit = |id: &str, cost: Value| json!({"M": {"cost": cost, "id": {"N": id}}});
    let (one, none) = (json!({"N": "15e-1"}), json!({"NULL": true}));
    let bob = json!([visit("4", json!({"N": "7"}))]);
    let ann = |ids: &[(&str, &Value)]| {
        Value::Array(
            ids.iter()
                .map(|(id, cost)| visit(id, (*cost).clone()))
                .collect(),
        )
    };
    people(
        d,
        "L",
        list(Value::Null, Value::Null),
        json!([ann(&[("3", &none), ("5", &one), ("9", &one)]), bob, [], []]),
    )
    .await;
    people(
        d,
        "L",
        list("cost DESC".into(), Value::Null),
        json!([ann(&[("5", &one), ("9", &one), ("3", &none)]), bob, [], []]),
    )
    .await;
    people(
        d,
        "L",
        list("COALESCE(cost, 99), at".into(), 2.into()),
        json!([ann(&[("9", &one), ("5", &one)]), bob, [], []]),
    )
    .await;
    people(
        d,
        "S",
        list("id DESC".into(), 1.into()),
        json!([
            r#"[{"id": 9, "cost": 1.50}]"#,
            r#"[{"id": 4, "cost": 7.00}]"#,
            "[]",
            "[]"
        ]),
    )
    .await;
    let object = json!({"source_column": "id", "join": {"type": "json-construction", "target_table": "visits", "join_condition": "visits.person = people.id",
        "construction": {"type": "object", "select_columns": {"at": "at", "it's": "person + 1"}}}});
    people(d, "M", object, json!([{"at": {"S": "2024-01-03"}, "it's": {"N": "2"}}, {"at": {"S": "2024-01-04"}, "it's": {"N": "3"}}, null, null])).await;

    let aggregate = |operation: &str, select: Value| {
        json!({"source_column": "id", "calculation": {"type": "aggregate", "operation": operation, "target_table": "visits",
            "join_condition": "visits.person = people.id", "select_column": select}})
    };
    people(
        d,
        "N",
        aggregate("COUNT", Value::Null),
        json!(["3", "1", "0", "0"]),
    )
    .await;
    people(
        d,
        "S",
        aggregate("COUNT", "cost".into()),
        json!(["2", "1", "0", "0"]),
    )
    .await;
    people(
        d,
        "S",
        aggregate("SUM", "cost * 2".into()),
        json!(["6.00", "14.00", null, null]),
    )
    .await;
    people(
        d,
        "S",
        aggregate("AVG", "cost".into()),
        json!(["1.500000", "7.000000", null, null]),
    )
    .await;
    people(
        d,
        "S",
        aggregate("MAX", "at".into()),
        json!(["2024-01-05", "2024-01-04", null, null]),
    )
    .await;
    // 0.2 + 0.1 + 1e16: the order of the keys
    people(
        d,
        "S",
        aggregate("SUM", "score".into()),
        json!(["1e16", null, null, null]),
    )
    .await;

    let case = json!({"source_column": "id", "calculation": {"type": "case", "cases": [
        {"when": "name IS NULL", "then": "'none'"}, {"when": "id = 1", "then": "name"}], "else": "CONCAT(id, '!')"}});
    people(d, "S", case, json!(["Ann", "2!", "none", "4!"])).await;
    let concat = |separator: Value| json!({"source_column": "id", "calculation": {"type": "concat", "columns": ["id", "name", "bits"], "separator": separator}});
    people(
        d,
        "S",
        concat(Value::Null),
        json!(["1Ann10", null, null, "4Dan1"]),
    )
    .await;
    people(
        d,
        "S",
        concat("-".into()),
        json!(["1-Ann-10", "2-Bob", "3-0", "4-Dan-1"]),
    )
    .await;
    let composite = json!({"source_column": ["id", "name", "born"]});
    people(
        d,
        "S",
        composite,
        json!([
            "1#Ann#1969-12-31 23:59:59.250",
            null,
            null,
            "4#Dan#1970-01-01 00:00:01.000"
        ]),
    )
    .await;
    let born = |format: &str| json!({"source_column": "born", "transformation": {"type": "date-format", "format": format}});
    people(
        d,
        "N",
        born("epoch"),
        json!(["-1", null, "17091648e2", "1"]),
    )
    .await;
    people(
        d,
        "S",
        born("epoch_ms"),
        json!(["-750", null, "1709164800007", "1000"]),
    )
    .await;
    people(
        d,
        "S",
        born("iso8601"),
        json!([
            "1969-12-31T23:59:59.250Z",
            null,
            "2024-02-29T00:00:00.007Z",
            "1970-01-01T00:00:01.000Z"
        ]),
    )
    .await;
    people(
        d,
        "S",
        born("DD.MM.YYYY 'at' HH:mm:ss,SSS"),
        json!([
            "31.12.1969 at 23:59:59,250",
            null,
            "29.02.2024 at 00:00:00,007",
            "01.01.1970 at 00:00:01,000"
        ]),
    )
    .await;
}

/// Who has an item, and whose it is: rows without a key or with bytes that are no UUID have none; of those that share a
/// key the one with the lowest entity and key owns it; what cannot be an index's key is left out.
#[tokio::test]
async fn keys_decide_which_rows_have_items() {
    let database = Server::shared().database().await;
    database
        .run(&[
            "CREATE TABLE b (id INT PRIMARY KEY, k VARCHAR(9), i VARCHAR(9), u VARBINARY(16))",
            "CREATE TABLE a (id INT PRIMARY KEY, k VARCHAR(9), gone BOOL NOT NULL)",
            "INSERT INTO b VALUES (9, 'x', 'nine', NULL), (3, 'x', 'three', NULL), (4, 'y', '', NULL), (5, NULL, '', NULL),
                                  (6, '', NULL, NULL), (7, 'z', '7', 'short'), (8, 'w', 'w', x'000102030405060708090a0b0c0d0e0f')",
            "INSERT INTO a VALUES (70, 'y', 0), (60, 'x', 1), (50, 'v', 0), (40, 'v', 0)",
        ])
        .await;
    let contract = json!({"tables": [{"table": "Things", "type": "multi-entity", "pk": "PK", "gsis": [{"index_name": "by_i", "pk": "i"}], "entities": [
        {"entity_type": "B", "source_table": "b", "pk_template": "{k}", "attributes": [
            {"name": "i", "type": "S", "source_column": "i"},
            {"name": "u", "type": "S", "source_column": "u", "transformation": {"type": "binary-format", "format": "uuid"}},
            {"name": "id", "type": "N", "source_column": "id"}]},
        {"entity_type": "A", "source_table": "a", "pk_template": "{k}", "filter": "NOT gone", "attributes": [
            {"name": "id", "type": "N", "source_column": "id"}]}]}]});
    let found = computed(&database, &contract.to_string()).await;
    let key = ["PK".to_owned()];
    let expected = [
        json!({"PK": {"S": "x"}, "i": {"S": "three"}, "id": {"N": "3"}}),
        json!({"PK": {"S": "y"}, "id": {"N": "4"}}),
        json!({"PK": {"S": "w"}, "i": {"S": "w"}, "id": {"N": "8"}, "u": {"S": "00010203-0405-0607-0809-0a0b0c0d0e0f"}}),
        json!({"PK": {"S": "v"}, "id": {"N": "40"}}),
    ];
    let expected = expected
        .iter()
        .map(|item| items::canonical(item.as_object().expect("an item"), &key));
    items::compare(
        &Tables::from([("Things".to_owned(), expected.collect())]),
        &found.tables,
    );
    assert_eq!((found.unmappable, found.contested), (2, 3));
}
