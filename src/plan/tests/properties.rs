//! What must hold for the fingerprint, names, limits, cascades, and for offline plans.

use super::*;

fn contract(attributes: &str) -> String {
    format!(
        r#"{{"tables": [{{"table": "Orders", "type": "single-entity", "source_table": "orders", "pk": "id",
            "attributes": [{{"name": "id", "type": "N", "source_column": "id"}}, {attributes}]}}]}}"#
    )
}

const TOTAL: &str = r#"{"name": "total", "type": "N", "source_column": "total"}"#;
const NOTE: &str = r#"{"name": "note", "type": "S", "source_column": "note"}"#;

fn fingerprint(text: &str, catalog: &Catalog) -> String {
    compiled(text, Some(catalog)).0.fingerprint
}

#[test]
fn the_fingerprint_ignores_documentation_and_order() {
    let catalog = tables();
    let plain = fingerprint(&contract(&format!("{TOTAL}, {NOTE}")), &catalog);
    let turned = fingerprint(&contract(&format!("{NOTE},\n\n {TOTAL}")), &catalog);
    let documented = NOTE.replace('}', r#", "justification": "people read it"}"#);
    assert_eq!(plain, turned);
    assert_eq!(
        plain,
        fingerprint(&contract(&format!("{TOTAL}, {documented}")), &catalog)
    );
}

#[test]
fn the_fingerprint_ignores_columns_that_nobody_reads() {
    let catalog = tables();
    let text = contract(TOTAL);
    let mut more = catalog.clone();
    let orders = more
        .tables
        .values_mut()
        .find(|t| t.name.table == "orders")
        .unwrap();
    let mut column = orders.columns[5].clone();
    column.name = "added".into();
    orders.columns.insert(0, column);
    orders.primary_key = vec![1];
    orders.foreign_keys.clear();
    assert_eq!(fingerprint(&text, &catalog), fingerprint(&text, &more));
}

#[test]
fn the_fingerprint_follows_every_change_of_the_mapping() {
    let catalog = tables();
    let changed = [
        contract(TOTAL),
        contract(NOTE),
        contract(&TOTAL.replace("\"N\"", "\"S\"")),
        contract(&TOTAL.replace("\"name\": \"total\"", "\"name\": \"sum\"")),
        contract(
            r#"{"name": "total", "type": "S", "source_column": "total", "transformation": {"type": "number-format", "format": "0.00"}}"#,
        ),
        contract(
            r#"{"name": "total", "type": "S", "source_column": "total", "transformation": {"type": "number-format", "format": "0.000"}}"#,
        ),
        contract(
            r#"{"name": "total", "type": "S", "transformation": {"type": "template", "template": "{total}"}}"#,
        ),
        contract(
            r#"{"name": "total", "type": "S", "transformation": {"type": "template", "template": "{total} "}}"#,
        ),
        contract(
            r#"{"name": "total", "type": "S", "transformation": {"type": "static", "value": "total"}}"#,
        ),
        contract(TOTAL).replace("\"Orders\"", "\"Orders2\""),
        contract(TOTAL).replace("\"pk\"", "\"filter\": \"total > 1\", \"pk\""),
        contract(TOTAL).replace("\"pk\"", "\"filter\": \"total > 2\", \"pk\""),
        contract(TOTAL).replace(
            "\"pk\"",
            "\"gsis\": [{\"index_name\": \"by_total\", \"pk\": \"total\"}], \"pk\"",
        ),
    ];
    let distinct: std::collections::BTreeSet<_> =
        changed.iter().map(|t| fingerprint(t, &catalog)).collect();
    assert_eq!(distinct.len(), changed.len());

    let (parsed, mut d) = parsed(&contract(TOTAL));
    let parsed = parsed.unwrap();
    for mapping in [
        Mapping {
            write_nulls: true,
            ..Mapping::default()
        },
        Mapping {
            table_prefix: "test-".into(),
            ..Mapping::default()
        },
    ] {
        let plan = compile(&parsed, Some(&catalog), "shop", &mapping, &mut d).unwrap();
        assert!(!distinct.contains(&plan.fingerprint));
    }
    let mut other_type = catalog.clone();
    let orders = other_type
        .tables
        .values_mut()
        .find(|t| t.name.table == "orders")
        .unwrap();
    orders.columns[5].ty = crate::schema::ColumnType::Decimal {
        precision: 12,
        scale: 3,
        unsigned: false,
        zerofill: false,
    };
    assert!(!distinct.contains(&fingerprint(&contract(TOTAL), &other_type)));
}

#[test]
fn cascades_are_followed_to_their_roots() {
    let catalog = tables();
    let text = r#"{"tables": [{"table": "Items", "type": "single-entity", "source_table": "order_items", "pk": "order_id", "sk": "line_no",
        "attributes": [{"name": "order_id", "type": "N", "source_column": "order_id"}, {"name": "line_no", "type": "N", "source_column": "line_no"}]}]}"#;
    let (plan, _) = compiled(text, Some(&catalog));
    let reach = cascades(&plan, &catalog);
    let shown: Vec<_> = reach
        .iter()
        .map(|c| format!("{} {} {} {}", c.child, c.foreign_key, c.action, c.parent))
        .collect();
    assert_eq!(
        shown,
        [
            "shop.order_items to_order ON DELETE CASCADE shop.orders",
            "shop.order_items to_order ON UPDATE CASCADE shop.orders"
        ]
    );
    assert_eq!(
        reach[0]
            .from
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["shop.customers"]
    );
}

#[test]
fn set_null_matters_only_where_the_column_is_read() {
    let catalog = tables();
    let text = |attribute: &str| {
        format!(
            r#"{{"tables": [{{"table": "Cats", "type": "single-entity", "source_table": "categories", "pk": "id",
            "attributes": [{{"name": "id", "type": "N", "source_column": "id"}}, {{"name": "v", "type": "S", "source_column": "{attribute}"}}]}}]}}"#
        )
    };
    assert!(cascades(&compiled(&text("name"), Some(&catalog)).0, &catalog).is_empty());
    assert_eq!(
        cascades(&compiled(&text("parent_id"), Some(&catalog)).0, &catalog).len(),
        1
    );
}

#[test]
fn slots_are_in_the_tables_order_and_hold_the_key() {
    let catalog = tables();
    let (plan, _) = compiled(&contract(&format!("{NOTE}, {TOTAL}")), Some(&catalog));
    let source = &plan.sources[0];
    let names: Vec<_> = source
        .columns
        .iter()
        .map(|c| c.column.name.as_str())
        .collect();
    assert_eq!(names, ["id", "total", "note"]);
    assert_eq!(source.key, [0]);
    let slots: Vec<_> = plan.projections[0]
        .attributes
        .iter()
        .map(|a| (a.name.as_str(), format!("{:?}", a.value)))
        .collect();
    assert_eq!(
        slots,
        [
            ("id", "Column(0)".into()),
            ("note", "Column(2)".into()),
            ("total", "Column(1)".to_string())
        ]
    );
}

#[test]
fn templates_that_grow_or_nest_without_end_are_refused() {
    let catalog = tables();
    let nest = |depth: usize, template: &dyn Fn(usize) -> String| {
        let attributes: Vec<_> = (0..depth)
            .map(|i| format!(r#"{{"name": "t{i}", "type": "S", "transformation": {{"type": "template", "template": "{}"}}}}"#, template(i)))
            .collect();
        let text = contract(&format!("{}, {NOTE}", attributes.join(", ")));
        let (contract, mut d) = parsed(&text);
        let plan = compile(
            &contract.unwrap(),
            Some(&catalog),
            "shop",
            &Mapping::default(),
            &mut d,
        );
        (
            plan.is_some(),
            d.all.iter().map(|d| d.code).collect::<Vec<_>>(),
        )
    };
    assert!(
        nest(100, &|i| format!("{{t{}}}", i + 1)
            .replace("{t100}", "{note}"))
        .1
        .contains(&"template-too-deep")
    );
    assert!(
        nest(20, &|i| format!("{{t{0}}}{{t{0}}}", i + 1)
            .replace("{t20}", "{note}"))
        .1
        .contains(&"template-too-large")
    );
    assert!(
        nest(20, &|i| format!("{{t{}}}", i + 1)
            .replace("{t20}", "{note}"))
        .0
    );
}

#[test]
fn long_expressions_are_refused_not_overflowed() {
    let catalog = tables();
    for filter in [
        vec!["1"; 100_000].join("+"),
        format!("{}1{}", "(".repeat(600), ")".repeat(600)),
        vec!["NOT"; 1400].join(" ") + " 1",
        vec!["1"; 700].join("+"),
    ] {
        let text = contract(TOTAL).replace("\"pk\"", &format!("\"filter\": \"{filter}\", \"pk\""));
        let (contract, mut d) = parsed(&text);
        let plan = compile(
            &contract.unwrap(),
            Some(&catalog),
            "shop",
            &Mapping::default(),
            &mut d,
        );
        assert!(plan.is_none() && d.has_errors());
    }
    let (plan, _) = compiled(
        &contract(TOTAL).replace(
            "\"pk\"",
            &format!("\"filter\": \"{}\", \"pk\"", vec!["1"; 90].join("+")),
        ),
        Some(&catalog),
    );
    assert!(plan.projections[0].filter.is_some());
}

#[test]
fn two_hundred_tables_compile_in_well_under_a_second() {
    let mut catalog = String::new();
    let mut tables = Vec::new();
    for t in 0..200 {
        catalog += &format!("table shop.t{t}\n id bigint\n");
        let mut attributes =
            vec![r#"{"name": "id", "type": "N", "source_column": "id"}"#.to_string()];
        for c in 0..15 {
            catalog += &format!(" c{c} varchar(50)\n");
            attributes.push(format!(
                r#"{{"name": "c{c}", "type": "S", "source_column": "c{c}"}}"#
            ));
        }
        catalog += " pk id\n";
        tables.push(format!(
            r#"{{"table": "Table{t}", "type": "single-entity", "source_table": "t{t}", "pk": "id", "attributes": [{}]}}"#,
            attributes.join(", ")
        ));
    }
    let catalog = fixture::catalog(&catalog);
    let text = format!(r#"{{"tables": [{}]}}"#, tables.join(", "));
    let (contract, mut d) = parsed(&text);
    let contract = contract.unwrap();
    let started = std::time::Instant::now();
    for catalog in [Some(&catalog), None] {
        let plan = compile(&contract, catalog, "shop", &Mapping::default(), &mut d).unwrap();
        assert!(explain::text(&plan).len() > 1000);
    }
    assert!(
        started.elapsed().as_millis() < 1500,
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn the_sample_contracts_compile_offline() {
    for name in ["shop.json", "shop-joins.json"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("contracts")
            .join(name);
        let (plan, _) = compiled(&fs::read_to_string(path).unwrap(), None);
        assert!(plan.offline && explain::text(&plan).contains("offline"));
    }
}

#[test]
fn offline_finds_what_needs_no_tables() {
    let text = contract(
        r#"{"name": "x", "type": "S", "transformation": {"type": "template", "template": "{x1}"}},
        {"name": "x1", "type": "S", "transformation": {"type": "template", "template": "{x}"}}"#,
    )
    .replace("\"pk\"", "\"filter\": \"SLEEP(5)\", \"pk\"");
    let (contract, mut d) = parsed(&text);
    let plan = compile(
        &contract.unwrap(),
        None,
        "shop",
        &Mapping::default(),
        &mut d,
    );
    let codes: Vec<_> = d.all.iter().map(|d| d.code).collect();
    assert!(plan.is_none());
    assert!(
        codes.contains(&"circle") && codes.contains(&"sql-unsupported"),
        "{codes:?}"
    );
}

#[test]
fn names_are_found_however_they_are_written() {
    let catalog = tables();
    for name in [
        "orders",
        "shop.orders",
        "`orders`",
        "`shop`.`orders`",
        "shop.`orders`",
    ] {
        let (plan, d) = compiled(
            &contract(TOTAL).replace("\"orders\"", &format!("\"{name}\"")),
            Some(&catalog),
        );
        assert_eq!(plan.sources[0].name.to_string(), "shop.orders");
        assert!(!d.all.iter().any(|d| d.code == "table-case"), "{name}");
    }
    let (_, d) = compiled(
        &contract(TOTAL).replace("\"orders\"", "\"Orders\""),
        Some(&catalog),
    );
    assert!(d.all.iter().any(|d| d.code == "table-case"));
    let dotted = fixture::catalog(
        "table shop.orders\n id int\n total int\n pk id\ntable shop.a.b\n id int\n total int\n pk id",
    );
    let (plan, _) = compiled(
        &contract(TOTAL).replace("\"orders\"", "\"a.b\""),
        Some(&dotted),
    );
    assert_eq!(plan.sources[0].name.table, "a.b");
}

/// Warnings that are owed, by code.
#[test]
fn doubtful_keys_and_values_are_warned_about() {
    let catalog = tables();
    let warned = |source: &str, pk: &str, attributes: &str| {
        let text = format!(
            r#"{{"tables": [{{"table": "Things", "type": "single-entity", "source_table": "{source}", {pk}, "attributes": [{attributes}]}}]}}"#
        );
        compiled(&text, Some(&catalog))
            .1
            .all
            .iter()
            .map(|d| d.code)
            .collect::<Vec<_>>()
    };
    let column = |name: &str, ty: &str| {
        format!(r#"{{"name": "{name}", "type": "{ty}", "source_column": "{name}"}}"#)
    };
    assert!(
        warned("customers", r#""pk": "email""#, &column("email", "S"))
            .contains(&"key-case-insensitive")
    );
    assert!(
        !warned("orders", r#""pk": "status""#, &column("status", "S"))
            .contains(&"key-case-insensitive")
    );
    assert!(warned("customers", r#""pk": "name""#, &column("name", "S")).contains(&"key-nullable"));
    let items = format!("{}, {}", column("order_id", "S"), column("line_no", "S"));
    assert!(
        warned(
            "order_items",
            r#""pk": "order_id", "sk": "line_no""#,
            &items
        )
        .contains(&"sort-key-unpadded")
    );
    let items = items.replace("\"S\"", "\"N\"");
    assert!(
        !warned(
            "order_items",
            r#""pk": "order_id", "sk": "line_no""#,
            &items
        )
        .contains(&"sort-key-unpadded")
    );
    let ids = column("id", "N");
    let index =
        r#""pk": "id", "gsis": [{"index_name": "by_total", "pk": "status", "sk": "total"}]"#;
    let orders = format!("{ids}, {}, {}", column("status", "S"), column("total", "S"));
    assert!(warned("orders", index, &orders).contains(&"sort-key-unpadded"));
    assert!(
        warned(
            "customers",
            r#""pk": "id""#,
            &format!("{ids}, {}", column("balance", "N"))
        )
        .contains(&"number-too-long")
    );
    assert!(
        warned(
            "customers",
            r#""pk": "id""#,
            &format!("{ids}, {}", column("name", "N"))
        )
        .contains(&"text-into-number")
    );
    assert!(
        warned(
            "customers",
            r#""pk": "id""#,
            &format!("{ids}, {}", column("name", "NULL"))
        )
        .contains(&"always-null")
    );
}
