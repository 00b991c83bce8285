//! What the condition of a join means, and what documents show of the rows that it finds.

use super::*;
use crate::change::charset::Charset;
use crate::plan::graph::Cardinality;

/// How many rows a join counts for one driving row, where the other rows come before the item is made and where they come
/// after it.
fn counted(a: (&str, Value<'static>), condition: &str, b: (&str, Vec<Value<'static>>)) -> String {
    let tables = format!(
        "
table shop.lefts
  id int
  a {}
  pk id
table shop.rights
  id int
  b {}
  pk id
",
        a.0, b.0
    );
    let text = format!(
        r#"{{"tables": [{{"table": "Lefts", "type": "single-entity", "source_table": "lefts", "pk": "id", "sk": null,
            "attributes": [{{"name": "id", "type": "N", "source_column": "id"}},
                {{"name": "n", "type": "N", "calculation": {{"type": "aggregate", "operation": "COUNT",
                    "target_table": "rights", "join_condition": "{condition}"}}}}]}}]}}"#
    );
    let plan = plan_of(&tables, &text);
    let left = row_of([Value::Int(1), a.1]);
    let mut rows = Rows::from([((0, vec![1]), left.clone())]);
    let mut state = MemoryState::default();
    let mut joins = Joins::new(Arc::clone(&plan), &mut state).unwrap().unwrap();
    let mut items = Items::new();
    let change = Change::Insert { after: left };
    transaction(&mut joins, &mut state, 0, &change, &mut items);
    pass(&mut joins, &mut state, &mut items);
    for (nth, value) in (1..).zip(b.1) {
        let after = row_of([Value::Int(nth), value]);
        rows.insert((1, vec![nth]), after.clone());
        let change = Change::Insert { after };
        transaction(&mut joins, &mut state, 1, &change, &mut items);
    }
    assert_eq!(items, fresh(&plan, &rows), "{condition}");
    let item = String::from_utf8(items.into_values().next().unwrap()).unwrap();
    let (_, count) = item.split_once(r#""n":{"N":""#).unwrap();
    count.trim_end_matches(['"', '}']).to_owned()
}

/// What a condition means decides which rows are found, not what the types of its sides are: MySQL 9.7's answers.
#[test]
fn a_join_finds_the_rows_that_its_condition_holds_for() {
    fn text(text: &str) -> Value<'static> {
        Value::Text(text.to_owned().into())
    }
    let texts = |texts: &[&str]| texts.iter().map(|t| text(t)).collect::<Vec<_>>();
    let ints = |ints: &[i64]| ints.iter().map(|i| Value::Int(*i)).collect::<Vec<_>>();
    let plain = "lefts.a = rights.b";
    // An ENUM or SET beside a number is its number, beside text its label.
    let labels = "enum('5','2','1')";
    let found = counted((labels, text("2")), plain, ("int", ints(&[0, 1, 2, 5])));
    assert_eq!(found, "1");
    let found = counted((labels, text("5")), plain, ("bigint", ints(&[5, 1, 1])));
    assert_eq!(found, "2");
    let found = counted(
        ("int", Value::Int(2)),
        "rights.b = lefts.a",
        (labels, texts(&["2", "1", "5"])),
    );
    assert_eq!(found, "1");
    let found = counted(
        (labels, text("2")),
        plain,
        ("varchar(9)", texts(&["2", "1"])),
    );
    assert_eq!(found, "1");
    let set = ("set('x','y')", Value::Set("x,y".into()));
    assert_eq!(counted(set, plain, ("int", ints(&[0, 3, 2]))), "1");
    // The column's collation decides, not that of what came out of JSON, of a digest or of a number.
    let documents = [
        r#"{"e": "anna@X"}"#,
        r#"{"e": "Ann@x"}"#,
        r#"{"f": "Anna@x"}"#,
    ];
    let found = counted(
        ("varchar(50)", text("Anna@x")),
        "lefts.a = rights.b->>'$.e'",
        (
            "json",
            documents.map(|json| Value::Json(json.into())).to_vec(),
        ),
    );
    assert_eq!(found, "1");
    let digest = "c4ca4238a0b923820dcc509a6f75849b";
    for (collation, a, expected) in [
        ("latin1_bin", format!("{digest} "), "1"),
        ("latin1_bin", digest.to_uppercase(), "0"),
        ("ascii_bin", digest.to_owned(), "1"),
        ("ascii_bin", digest.to_uppercase(), "0"),
        ("latin1_swedish_ci", digest.to_uppercase(), "1"),
    ] {
        let column = format!("varchar(50) collate={collation}");
        let found = counted(
            (&column, text(&a)),
            "lefts.a = MD5(rights.b)",
            ("varchar(9)", texts(&["1", "2"])),
        );
        assert_eq!(found, expected, "{collation} {a}");
    }
    for (collation, expected) in [
        ("utf8mb4_general_ci", "1"),
        ("utf8mb4_unicode_ci", "1"),
        ("utf8mb4_0900_ai_ci", "0"),
    ] {
        let column = format!("varchar(50) collate={collation}");
        let found = counted(
            (&column, text("7 ")),
            "lefts.a = CONCAT(rights.b)",
            ("int", ints(&[7, 70])),
        );
        assert_eq!(found, expected, "{collation}");
    }
    // Doubles too small to be written as exact numbers are not 0.
    let found = counted(
        ("double", Value::Double(1.8e-274)),
        plain,
        (
            "json",
            ["0", "1.8e-274", "18"]
                .map(|json| Value::Json(json.into()))
                .to_vec(),
        ),
    );
    assert_eq!(found, "1");
    // ASCII mixes with everything.
    let found = counted(
        ("varchar(50) collate=ascii_bin", text("a")),
        plain,
        (
            "varchar(50) collate=latin1_swedish_ci",
            texts(&["A", "a", "b"]),
        ),
    );
    assert_eq!(found, "2");
    // Zero dates of columns meet.
    let zero = crate::change::Temporal::default();
    let found = counted(
        ("date", Value::Date(zero)),
        plain,
        ("datetime", vec![Value::DateTime(zero)]),
    );
    assert_eq!(found, "1");
}

/// A key's values that its own collation tells apart can all equal one value of a column of another: then it is not known
/// that one row at most is found.
#[test]
fn a_key_beside_another_collation_can_match_twice() {
    let item = |key: &str, other: &str, code: &'static str, codes: [&'static str; 2]| {
        let tables = format!(
            "
table shop.uses
  id int
  code varchar(10) collate={other}
  pk id
table shop.codes
  code varchar(10) collate={key}
  title varchar(20)
  pk code
"
        );
        let text = r#"{"tables": [{"table": "Uses", "type": "single-entity", "source_table": "uses", "pk": "id", "sk": null,
            "attributes": [{"name": "id", "type": "N", "source_column": "id"},
                {"name": "title", "type": "S", "join": {"type": "foreign-key", "target_table": "codes",
                    "join_condition": "codes.code = uses.code", "select_column": "codes.title"}}]}]}"#;
        let plan = plan_of(&tables, text);
        let text = |text: &'static str| Value::Text(text.into());
        let rows = Rows::from([
            ((0, vec![1]), row_of([Value::Int(1), text(code)])),
            ((1, vec![1]), row_of([text(codes[1]), text("second")])),
            ((1, vec![2]), row_of([text(codes[0]), text("first")])),
        ]);
        let items = fresh(&plan, &rows);
        let item = String::from_utf8(items.into_values().next().unwrap()).unwrap();
        assert!(
            item.contains(r#""title":{"S":"first"}"#),
            "{key} {other}: {item}"
        );
        plan.projections[0].graph.as_ref().unwrap().nodes[1].cardinality
    };
    let found = item("ascii_bin", "latin1_swedish_ci", "a", ["A", "a"]);
    assert_eq!(found, Cardinality::First);
    let found = item("utf8mb4_0900_ai_ci", "utf8mb4_bin", "a", ["a", "a "]);
    assert_eq!(found, Cardinality::First);
    let found = item("utf8mb4_general_ci", "utf8mb4_bin", "a", ["a", "b"]);
    assert_eq!(found, Cardinality::One);
    let found = item("utf8mb4_0900_ai_ci", "utf8mb4_0900_ai_ci", "a", ["a", "b"]);
    assert_eq!(found, Cardinality::One);
    // Two that show alike are one text in another character set.
    let found = item("cp1251_bin", "utf8mb4_bin", "a", ["a", "b"]);
    assert_eq!(found, Cardinality::First);
    let found = item("cp1251_bin", "cp1251_bin", "a", ["a", "b"]);
    assert_eq!(found, Cardinality::One);
}

/// Texts that show alike are different rows, and found by their bytes; beside another character set by what they show, and
/// not at all where MySQL cannot convert them.
#[test]
fn texts_that_show_alike_are_found_by_their_bytes() {
    let text = |set: &str, bytes: &'static [u8]| {
        let set = Charset::by_mysql_name(set).unwrap();
        Value::Text(set.text(bytes).unwrap().to_owned())
    };
    let cp932 = "varchar(9) collate=cp932_bin";
    let twins = || vec![text("cp932", &[0x81, 0xe0]), text("cp932", &[0x87, 0x90])];
    let plain = "lefts.a = rights.b";
    for twin in twins() {
        assert_eq!(counted((cp932, twin.clone()), plain, (cp932, twins())), "1");
        let unicode = (
            "varchar(9) collate=utf8mb4_bin",
            vec![Value::Text("≒".into())],
        );
        assert_eq!(counted((cp932, twin), plain, unicode), "1");
    }
    let unicode = ("varchar(9) collate=utf8mb4_bin", Value::Text("≒".into()));
    assert_eq!(counted(unicode, plain, (cp932, twins())), "2");
    let cp1251 = "varchar(9) collate=cp1251_bin";
    let marks = vec![text("cp1251", b"?"), text("cp1251", &[0x98])];
    let unicode = ("varchar(9) collate=utf8mb4_bin", Value::Text("?".into()));
    assert_eq!(counted(unicode, plain, (cp1251, marks)), "1");
}

/// ZEROFILL and FLOAT(M,D) say how a column is printed; in a document it is a number.
#[test]
fn documents_hold_numbers_without_what_their_columns_print_around_them() {
    const TABLES: &str = "
table shop.carts
  id int
  pk id
table shop.lines
  id int
  z int zerofill=6
  dz decimal(8,2) zerofill=9
  f float(10,3)
  d double(10,4)
  y year
  pk id
";
    let construct = |name: &str, ty: &str| {
        format!(
            r#"{{"name": "{name}", "type": "{ty}", "join": {{"type": "json-construction", "target_table": "lines",
                "join_condition": "lines.id = carts.id", "construction": {{"type": "object", "select_columns":
                {{"z": "lines.z", "dz": "lines.dz", "f": "(lines.f)", "d": "lines.d", "y": "lines.y"}}}}}}}}"#
        )
    };
    let text = format!(
        r#"{{"tables": [{{"table": "Carts", "type": "single-entity", "source_table": "carts", "pk": "id", "sk": null,
            "attributes": [{{"name": "id", "type": "N", "source_column": "id"}}, {}, {}]}}]}}"#,
        construct("text", "S"),
        construct("map", "M"),
    );
    let plan = plan_of(TABLES, &text);
    let item = |printed: [&str; 4], year: u16| {
        let [z, dz, f, d] = printed.map(|text| Value::Decimal(text.to_owned().into()));
        let line = row_of([Value::Int(1), z, dz, f, d, Value::Year(year)]);
        let cart = row_of([Value::Int(1)]);
        let items = fresh(
            &plan,
            &Rows::from([((0, vec![1]), cart), ((1, vec![1]), line)]),
        );
        String::from_utf8(items.into_values().next().unwrap()).unwrap()
    };
    let expected = |text: &str, map: &str| {
        let text = text.replace('"', "\\\"");
        format!(r#"{{"id":{{"N":"1"}},"text":{{"S":"{text}"}},"map":{{"M":{map}}}}}"#)
    };
    assert_eq!(
        item(["000042", "000003.50", "1.500", "2.2500"], 0),
        expected(
            r#"{"d": 2.25, "f": 1.5, "y": 0, "z": 42, "dz": 3.50}"#,
            r#"{"d":{"N":"2.25"},"f":{"N":"1.5"},"y":{"N":"0"},"z":{"N":"42"},"dz":{"N":"3.5"}}"#
        )
    );
    // A FLOAT is shown with all digits that it has as a DOUBLE.
    assert_eq!(
        item(["000000", "000000.00", "0.100", "0.0000"], 2024),
        expected(
            r#"{"d": 0.0, "f": 0.10000000149011612, "y": 2024, "z": 0, "dz": 0.00}"#,
            r#"{"d":{"N":"0"},"f":{"N":"0.10000000149011612"},"y":{"N":"2024"},"z":{"N":"0"},"dz":{"N":"0"}}"#
        )
    );
    // Rounded by MySQL to what is not the nearest double.
    assert_eq!(
        item(["000001", "000000.50", "-0.667", "-0.6667"], 2155),
        expected(
            r#"{"d": -0.6667000000000001, "f": -0.6669999957084656, "y": 2155, "z": 1, "dz": 0.50}"#,
            r#"{"d":{"N":"-0.6667000000000001"},"f":{"N":"-0.6669999957084656"},"y":{"N":"2155"},"z":{"N":"1"},"dz":{"N":"0.5"}}"#
        )
    );
    assert_eq!(
        item(["1234567", "123456.78", "-123456.789", "123456.7891"], 1999),
        expected(
            r#"{"d": 123456.7891, "f": -123456.7890625, "y": 1999, "z": 1234567, "dz": 123456.78}"#,
            r#"{"d":{"N":"123456.7891"},"f":{"N":"-123456.7890625"},"y":{"N":"1999"},"z":{"N":"1234567"},"dz":{"N":"123456.78"}}"#
        )
    );
}
