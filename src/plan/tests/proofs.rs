//! What the proof of keys must find, and what it must never claim.

use super::*;

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
        (
            "table shop.t\n a enum('x','') null\n b int\n pk b\n unique u a",
            "E{a}",
            false,
        ),
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
            "table shop.t\n a varchar(9) collate=gbk_chinese_ci\n b int\n pk a\n unique u b",
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

/// The columns of the row key of a table, and the codes of what is said about it.
fn row_key(table: &str) -> (Vec<String>, Vec<&'static str>) {
    let catalog = fixture::catalog(table);
    let text = r#"{"tables": [{"table": "App", "type": "single-entity", "source_table": "t", "pk": "v", "sk": null,
        "attributes": [{"name": "v", "type": "N", "source_table": "t", "source_column": "v"}]}]}"#;
    let (contract, _) = crate::contract::parse(text, false);
    let mut found = Diagnostics::default();
    let mapping = Mapping::default();
    let contract = contract.expect("a contract");
    let plan = compile(&contract, Some(&catalog), "shop", &mapping, &mut found);
    let codes = found.all.iter().map(|d| d.code);
    let codes = codes.filter(|c| c.starts_with("key-in") || c.starts_with("key-sl"));
    let key = plan.into_iter().flat_map(|plan| {
        let source = &plan.sources[0];
        let names = source
            .key
            .iter()
            .map(|&slot| source.columns[slot].column.name.clone());
        names.collect::<Vec<_>>()
    });
    (key.collect(), codes.collect())
}

#[test]
fn the_row_key_is_one_that_tells_rows_apart_and_that_an_index_serves() {
    let set = "set('x','y')";
    let cases: &[(&str, &str, &[&str], &[&str])] = &[
        ("int", "pk k", &["k"], &[]),
        ("int", "pk k,u", &["k", "u"], &[]),
        (
            "varchar(9) collate=gbk_chinese_ci",
            "pk k",
            &[],
            &["key-inexact"],
        ),
        (
            "varchar(9) collate=gbk_chinese_ci",
            "pk k\n unique by_u u",
            &["u"],
            &[],
        ),
        ("varchar(9) collate=gbk_bin", "pk k", &["k"], &[]),
        (
            "varchar(9) collate=gbk_bin",
            "pk k\n unique by_u u",
            &["k"],
            &[],
        ),
        ("double", "pk u,k\n unique by_u u", &["u"], &[]),
        ("double", "unique by_k k", &[], &["key-inexact"]),
        ("enum('x','')", "pk k", &[], &["key-inexact"]),
        ("enum('x','y')", "pk k", &["k"], &[]),
        ("enum('x','X')", "pk k", &["k"], &["key-slow"]),
        ("enum('x','X') collate=utf8mb4_bin", "pk k", &["k"], &[]),
        (
            "enum('ä','o') collate=latin1_swedish_ci",
            "pk k",
            &["k"],
            &["key-slow"],
        ),
        (set, "pk k,u", &["k", "u"], &["key-slow"]),
        (set, "pk u,k", &["u", "k"], &[]),
        (set, "pk k\n unique by_u u", &["u"], &[]),
        ("bit(9)", "pk k", &["k"], &[]),
    ];
    for (ty, keys, expected, codes) in cases {
        let table = format!("table shop.t\n v int\n k {ty}\n u int\n {keys}");
        let (key, found) = row_key(&table);
        assert_eq!(key, *expected, "{table}");
        assert_eq!(found, *codes, "{table}");
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
