//! What must hold for the fingerprint, the proof of keys, the gate, and for offline plans.

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
    };
    assert!(!distinct.contains(&fingerprint(&contract(TOTAL), &other_type)));
}

/// Whether the key `sk` (beside a constant pk) of a table with these columns is proved.
fn proved(table: &str, template: &str, attributes: &str) -> bool {
    let catalog = fixture::catalog(table);
    let text = format!(
        r#"{{"tables": [{{"table": "App", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": [
            {{"entity_type": "E", "source_table": "t", "pk_template": "T", "sk_template": "{template}", "attributes": [{attributes}]}}]}}]}}"#
    );
    let (plan, _) = compiled(&text, Some(&catalog));
    matches!(plan.projections[0].uniqueness, Uniqueness::Proved(_))
}

#[test]
fn a_key_is_proved_only_where_its_text_gives_the_columns_back() {
    let ints = "table shop.t\n a int\n b int\n pk a,b";
    let texts = "table shop.t\n a varchar(9)\n b varchar(9)\n pk a,b";
    let mixed = "table shop.t\n a int\n b varchar(9)\n c varchar(9)\n pk a,b";
    let cases = [
        (ints, "{a}#{b}", true),
        (ints, "{a}{b}", false),
        (ints, "{a}-{b}", false),
        (ints, "{a}", false),
        (ints, "{b}/{a}", true),
        (texts, "{a}#{b}", false),
        (mixed, "{a}#{b}", true),
        (mixed, "{b}#{a}", true),
        (mixed, "{b}{a}", false),
        (mixed, "{a}#{b}#{c}", false),
        (mixed, "{c}#{a}#{b}", false),
        (mixed, "{a}#{a}#{b}", true),
        (
            "table shop.t\n a date\n b varchar(9)\n pk a,b",
            "{a}{b}",
            true,
        ),
        (
            "table shop.t\n a enum('x#','y')\n b varchar(9)\n pk a,b",
            "{a}#{b}",
            false,
        ),
        (
            "table shop.t\n a enum('x','y')\n b varchar(9)\n pk a,b",
            "{a}#{b}",
            true,
        ),
        ("table shop.t\n a enum('x','')\n pk a", "E{a}", false),
        (
            "table shop.t\n a decimal(9,2)\n b int\n pk a,b",
            "{a}.{b}",
            true,
        ),
        (
            "table shop.t\n a decimal(9,2)\n b int\n pk a,b",
            "{a}/{b}",
            true,
        ),
        (
            "table shop.t\n a varchar(9) collate=gbk_chinese_ci\n pk a",
            "{a}",
            false,
        ),
        (
            "table shop.t\n a varchar(9) collate=latin1_swedish_ci\n pk a",
            "{a}",
            true,
        ),
        (
            "table shop.t\n a int\n b int null\n pk a\n unique u b",
            "{b}",
            false,
        ),
        (
            "table shop.t\n a int\n b int\n pk a\n unique u b",
            "{b}",
            true,
        ),
    ];
    for (table, template, expected) in cases {
        assert_eq!(proved(table, template, ""), expected, "{table}\n{template}");
    }
}

#[test]
fn a_transformation_that_drops_something_proves_nothing() {
    let table = |ty: &str| format!("table shop.t\n a {ty}\n pk a");
    let with = |ty: &str, transformation: &str| {
        let attribute = format!(
            r#"{{"name": "x", "type": "S", "source_column": "a", "transformation": {transformation}}}"#
        );
        proved(&table(ty), "{x}", &attribute)
    };
    let date = |f: &str| format!(r#"{{"type": "date-format", "format": "{f}"}}"#);
    let number = |f: &str| format!(r#"{{"type": "number-format", "format": "{f}"}}"#);
    assert!(with("date", &date("DD.MM.YYYY")));
    assert!(!with("date", &date("YYYY-MM")));
    assert!(!with("datetime", &date("YYYY-MM-DD")));
    assert!(with("datetime", &date("YYYYMMDDHHmmss")));
    assert!(!with("datetime(6)", &date("YYYYMMDDHHmmssSSS")));
    assert!(with("datetime(3)", &date("epoch_ms")));
    assert!(!with("datetime(3)", &date("epoch")));
    assert!(with("datetime(6)", &date("iso8601")));
    assert!(with("decimal(9,2)", &number("0.00")));
    assert!(!with("decimal(9,2)", &number("0.0")));
    assert!(with("int", &number("%010d")));
    assert!(with(
        "binary(16)",
        r#"{"type": "binary-format", "format": "uuid"}"#
    ));
}

/// Every pair of short texts over a small alphabet: where the proof says "unique", brute force finds no collision.
#[test]
fn proofs_hold_against_brute_force() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut proofs, mut refusals) = (0, 0);
    for _ in 0..300 {
        let kinds: Vec<bool> = (0..random.usize(1..4)).map(|_| random.bool()).collect();
        let names = ["a", "b", "c"];
        let mut table = "table shop.t\n".to_string();
        for (name, text) in names.iter().zip(&kinds) {
            table += &format!(" {name} {}\n", if *text { "varchar(3)" } else { "int" });
        }
        table += &format!(" pk {}", names[..kinds.len()].join(","));
        let mut order: Vec<usize> = (0..kinds.len()).collect();
        random.shuffle(&mut order);
        let separators = ["", "#", "-", "1", "x", "#-"];
        let mut template = separators[random.usize(..separators.len())].to_string();
        let mut pieces = vec![(None, template.clone())];
        for &column in &order {
            let separator = separators[random.usize(..separators.len())].to_string();
            template += &format!("{{{}}}{separator}", names[column]);
            pieces.push((Some(column), separator));
        }
        if !proved(&table, &template, "") {
            refusals += 1;
            continue;
        }
        proofs += 1;
        let values = |text: bool| {
            if text {
                ["", "1", "#", "-", "x", "1#1", "x-"]
            } else {
                ["1", "-1", "11", "0", "10", "-11", "111"]
            }
        };
        let mut seen = std::collections::HashSet::new();
        for n in 0..7usize.pow(kinds.len() as u32) {
            let chosen = |column: usize| values(kinds[column])[n / 7usize.pow(column as u32) % 7];
            let key: String = pieces
                .iter()
                .map(|(c, s)| format!("{}{s}", c.map_or("", chosen)))
                .collect();
            assert!(seen.insert(key), "seed {seed}: {template} over\n{table}");
        }
    }
    assert!(
        proofs > 10 && refusals > 10,
        "seed {seed}: {proofs} proofs, {refusals} refusals"
    );
}

#[test]
fn entities_that_can_meet_are_found() {
    let catalog = fixture::catalog(
        "table shop.t\n a int\n pk a\ntable shop.u\n a int\n s varchar(9)\n pk a\n unique s s",
    );
    let meets = |first: (&str, &str), second: (&str, &str)| {
        let text = format!(
            r#"{{"tables": [{{"table": "App", "type": "multi-entity", "pk": "PK", "sk": "SK", "entities": [
              {{"entity_type": "A", "source_table": "t", "pk_template": "{}", "sk_template": "{}", "attributes": []}},
              {{"entity_type": "B", "source_table": "u", "pk_template": "{}", "sk_template": "{}", "attributes": []}}]}}]}}"#,
            first.0, first.1, second.0, second.1
        );
        let (plan, _) = compiled(&text, Some(&catalog));
        plan.projections
            .iter()
            .all(|p| matches!(p.uniqueness, Uniqueness::Unproved(_)))
    };
    assert!(!meets(("A#{a}", "X"), ("B#{a}", "X")));
    assert!(!meets(("A#{a}", "X"), ("A#{a}", "Y")));
    assert!(!meets(("A#{a}", "X"), ("A#{a}#Z", "X")));
    assert!(!meets(("A#{a}", "X"), ("A#B{s}", "X")));
    assert!(!meets(("{a}#A", "X"), ("{s}#B", "X")));
    assert!(meets(("A#{a}", "X"), ("A#{a}", "X")));
    assert!(meets(("A#{a}", "X"), ("A#{s}", "X")));
    assert!(meets(("A#{a}", "X"), ("A{s}", "X")));
    assert!(meets(("A#{a}", "X#{a}"), ("A#{a}", "X{s}")));
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
            &format!("\"filter\": \"{}\", \"pk\"", vec!["1"; 700].join("+")),
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
