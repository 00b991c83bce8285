//! `check --cost` beside what is really written: the numbers are computed here from the items that DynamoDB holds.

use serde_json::{Map, Value, json};

use crate::support::daemon::Daemon;
use crate::support::mysql::{self, Database, Server};
use crate::support::target::Target;

/// Orders with one long note among ten, and the user's name joined to each; users that are more than are mapped.
async fn shop(database: &Database<'_>) {
    let numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <";
    database
        .run(&[
            "SET SESSION cte_max_recursion_depth = 10000",
            "CREATE TABLE users (id INT PRIMARY KEY, email VARCHAR(80) NOT NULL, city VARCHAR(30))",
            "CREATE TABLE orders (id INT PRIMARY KEY, user_id INT NOT NULL, state VARCHAR(10), total DECIMAL(12,2), \
             tags JSON, paid TINYINT(1), note TEXT)",
        ])
        .await;
    let users = format!(
        "INSERT INTO users {numbers} 900) SELECT i, CONCAT('user', i, '@example.com'), IF(i % 3 = 0, NULL, 'Ulm') FROM n"
    );
    let more = users.replace("SELECT i, CONCAT", "SELECT i + 900, CONCAT");
    let third = users.replace("SELECT i, CONCAT", "SELECT i + 1800, CONCAT");
    let orders = format!(
        "INSERT INTO orders {numbers} 300) SELECT i, 1 + i % 30, IF(i % 4 = 0, 'open', 'sent'), i * 7.5, \
         JSON_OBJECT('a', i, 'b', JSON_ARRAY(TRUE, NULL, 'x')), i % 2, IF(i % 10 = 0, REPEAT('n', 1500 + i), NULL) FROM n"
    );
    database.run(&[&users, &more, &third, &orders]).await;
    database
        .run(&[
            "UPDATE orders SET total = total + 1 WHERE id <= 50",
            "DELETE FROM orders WHERE id > 290",
        ])
        .await;
}

fn contract() -> Value {
    let column = |name: &str, ty: &str, table: &str| json!({"name": name, "type": ty, "source_table": table, "source_column": name});
    json!({"tables": [
        {"table": "Users", "type": "single-entity", "source_table": "users", "pk": "id", "sk": null,
         "satisfies": ["x"], "estimated_item_size_bytes": 100,
         "gsis": [{"index_name": "ByCity", "pk": "city", "sk": "email", "projection": "ALL"}],
         "attributes": [column("id", "N", "users"), column("email", "S", "users"), column("city", "S", "users")]},
        {"table": "Orders", "type": "single-entity", "source_table": "orders", "pk": "user_id", "sk": "id",
         "satisfies": ["x"], "estimated_item_size_bytes": 100, "filter": "orders.state = 'sent' OR orders.id > 100",
         "gsis": [{"index_name": "ByState", "pk": "state", "projection": "KEYS_ONLY"},
                  {"index_name": "ByNote", "pk": "user", "sk": "state", "projection": "INCLUDE", "projected_attributes": ["note"]}],
         "attributes": [
             column("user_id", "N", "orders"), column("id", "N", "orders"), column("state", "S", "orders"),
             column("total", "N", "orders"), column("tags", "M", "orders"), column("paid", "BOOL", "orders"),
             column("note", "S", "orders"),
             {"name": "user", "type": "S", "join": {"type": "foreign-key", "target_table": "users",
              "join_condition": "orders.user_id = users.id", "select_column": "users.email"}},
         ]},
    ]})
}

/// DynamoDB's rules: names and text in UTF-8, two digits of a number a byte and one more, 3 for a map or list and 1 for each element.
fn bytes_of(value: &Value) -> usize {
    let (ty, inner) = value
        .as_object()
        .and_then(|o| o.iter().next())
        .expect("a value");
    match (ty.as_str(), inner) {
        ("S", Value::String(text)) => text.len(),
        ("N", Value::String(text)) => {
            let (whole, fraction) = text
                .trim_start_matches('-')
                .split_once('.')
                .unwrap_or((text, ""));
            let fraction = fraction.trim_end_matches('0');
            let whole = if fraction.is_empty() {
                whole.trim_end_matches('0')
            } else {
                whole
            };
            (1 + usize::from(text.starts_with('-'))
                + whole.len().div_ceil(2)
                + fraction.len().div_ceil(2))
            .max(1)
        }
        ("BOOL" | "NULL", _) => 1,
        ("L", Value::Array(values)) => 3 + values.iter().map(|v| 1 + bytes_of(v)).sum::<usize>(),
        ("M", Value::Object(values)) => {
            3 + values
                .iter()
                .map(|(name, v)| 1 + name.len() + bytes_of(v))
                .sum::<usize>()
        }
        other => panic!("no size for {other:?}"),
    }
}

fn size<'a>(attributes: impl Iterator<Item = (&'a String, &'a Value)>) -> usize {
    attributes
        .map(|(name, value)| name.len() + bytes_of(value))
        .sum()
}

/// Entries, bytes and units of some items.
fn sums(sizes: impl Iterator<Item = usize>) -> [f64; 3] {
    sizes.fold([0.0; 3], |[n, bytes, units], size| {
        [
            n + 1.0,
            bytes + size as f64,
            units + size.div_ceil(1024).max(1) as f64,
        ]
    })
}

async fn items(target: &Target, table: &str) -> Vec<Map<String, Value>> {
    let mut items = Vec::new();
    let mut request = json!({"TableName": table});
    loop {
        let page = target.call("Scan", &request).await.expect("a scan");
        let of_page = page["Items"].as_array().expect("items").iter();
        items.extend(of_page.map(|item| item.as_object().expect("an item").clone()));
        match &page["LastEvaluatedKey"] {
            Value::Null => return items,
            last => request["ExclusiveStartKey"] = last.clone(),
        }
    }
}

fn near(told: &Value, real: f64, within: f64, what: &str) {
    let told = told.as_f64().unwrap_or_else(|| panic!("{what}: {told}"));
    assert!(
        (told - real).abs() <= within * real.abs() + 1e-9,
        "{what}: {told} is told, {real} is real"
    );
}

#[tokio::test]
async fn what_check_says_it_costs_is_what_is_written() {
    let server = Server::start(&mysql::FAST);
    let database = Database::create(&server).await;
    shop(&database).await;
    let target = Target::dynoxide();
    let mut daemon = Daemon::new(&database, &target, &contract().to_string());
    daemon
        .set("cost", "currency", "\"EUR\"")
        .set("cost", "million_writes", "1.5")
        .set("cost", "write_unit_hour", "0.001")
        .set("cost", "gigabyte_month", "0.3");
    // Before there are tables: a check that fails because of them, and the cost all the same.
    let output = daemon.command(&["check", "--cost", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let cost = &told["cost"];
    let made = daemon.command(&["provision", "--yes"]);
    assert!(made.status.success(), "{made:?}");
    let ran = daemon.command(&["run", "--until-caught-up"]);
    assert!(ran.status.success(), "{ran:?}");

    let orders = items(&target, "Orders").await;
    let [n, bytes, units] = sums(orders.iter().map(|item| size(item.iter())));
    let kind = &cost["kinds"][1];
    // All of them were mapped: everything is as it is, and the filter has left some rows out.
    assert_eq!(
        (&kind["rows"], &kind["sampled_rows"]),
        (&json!(290), &json!(290)),
        "{cost:#}"
    );
    assert_eq!(kind["sampled_items"], json!(orders.len()));
    assert!(orders.len() < 290 && units > n, "{n} items, {units} units");
    near(&kind["item_bytes"], bytes / n, 0.0, "an order's bytes");
    near(&kind["write_units"], units / n, 0.0, "an order's units");
    let keys_only = |item: &Map<String, Value>| {
        size(
            item.iter()
                .filter(|(name, _)| ["user_id", "id", "state"].contains(&name.as_str())),
        )
    };
    let of_note = |item: &Map<String, Value>| {
        size(item.iter().filter(|(name, _)| {
            ["user_id", "id", "state", "user", "note"].contains(&name.as_str())
        }))
    };
    let by_state = sums(orders.iter().map(keys_only));
    let by_note = sums(orders.iter().map(of_note));
    for (index, [entries, bytes, units]) in [(0, by_state), (1, by_note)] {
        let told = &kind["indexes"][index];
        near(&told["sampled_items"], entries, 0.0, "entries");
        near(
            &told["entry_bytes"],
            bytes / entries,
            0.0,
            "an entry's bytes",
        );
        near(
            &told["write_units"],
            units / entries,
            0.0,
            "an entry's units",
        );
    }

    // Of the users a sample was mapped; a third of them is not in the index.
    let users = items(&target, "Users").await;
    let kind = &cost["kinds"][0];
    assert_eq!(
        (&kind["rows"], &kind["rows_are_counted"]),
        (&json!(2_700), &json!(true))
    );
    let sampled = kind["sampled_rows"].as_u64().expect("a number");
    assert!((900..=1_000).contains(&sampled), "{sampled}");
    let [n, user_bytes, user_units] = sums(users.iter().map(|item| size(item.iter())));
    let cities = users.iter().filter(|item| item.contains_key("city"));
    let by_city = sums(cities.map(|item| size(item.iter())));
    near(&kind["item_bytes"], user_bytes / n, 0.03, "a user's bytes");
    near(
        &kind["indexes"][0]["entry_bytes"],
        by_city[1] / by_city[0],
        0.03,
        "an entry's bytes",
    );

    // The sums, and money.
    let all = cost["sums"].clone();
    let index_units = by_state[2] + by_note[2] + by_city[2];
    let copy = units + user_units + index_units;
    near(
        &all["items"],
        orders.len() as f64 + users.len() as f64,
        1e-6,
        "items",
    );
    near(&all["copy_write_units"], copy, 0.02, "units");
    near(
        &all["copy_index_write_units"],
        index_units,
        0.02,
        "units of indexes",
    );
    near(
        &cost["money"]["copy_on_demand"],
        copy * 1.5 / 1e6,
        0.02,
        "on demand",
    );
    near(
        &cost["money"]["copy_provisioned"],
        copy / 3600.0 * 0.001,
        0.02,
        "provisioned",
    );

    // A day: the rows that this test has changed, as if it went on so.
    let seconds = cost["changes"]["since"]["seconds"]
        .as_f64()
        .expect("seconds");
    let tables = cost["changes"]["tables"].as_array().expect("tables");
    let counted = |table: &str, what: &str| {
        let table = tables.iter().find(|t| {
            t["table"]
                .as_str()
                .is_some_and(|name| name.ends_with(table))
        });
        table.expect("the table")[what].as_f64().expect("a number") * seconds / 86_400.0
    };
    assert_eq!(counted(".orders", "updated").round(), 50.0, "{cost:#}");
    assert_eq!(counted(".orders", "inserted").round(), 300.0);
    assert_eq!(counted(".orders", "deleted").round(), 10.0);
    assert_eq!(counted(".users", "inserted").round(), 2_700.0);
    // A user is in one order at most on the average, so a change of a user is taken for one of an order.
    let day = (360.0 + 2_700.0) * 86_400.0 / seconds;
    near(
        &cost["kinds"][1]["writes_a_day"],
        day,
        1e-6,
        "writes to orders",
    );
    near(
        &cost["kinds"][0]["writes_a_day"],
        2_700.0 * 86_400.0 / seconds,
        1e-6,
        "writes to users",
    );

    // For people; and where the account may not look, it says so.
    let output = daemon.command(&["check", "--cost"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for part in [
        "DynamoDB",
        "cost      kind",
        "+ ByCity",
        "about 2",
        " EUR",
        "write units",
        "since MySQL's start",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    println!("{text}");
    database
        .run(&[
            "CREATE USER 'cost_few'@'%' IDENTIFIED BY ''",
            "GRANT REPLICATION SLAVE, REPLICATION CLIENT, XA_RECOVER_ADMIN ON *.* TO 'cost_few'@'%'",
            &format!("GRANT SELECT ON `{}`.* TO 'cost_few'@'%'", database.name),
        ])
        .await;
    daemon.set("source", "user", "\"cost_few\"");
    let output = daemon.command(&["check", "--cost"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && text.contains("a day        not known"),
        "{output:?}"
    );
    assert!(
        text.contains("GRANT SELECT ON performance_schema"),
        "{text}"
    );
}
