//! What cannot be compared with the server of the tests.

use penstock::change::{Temporal, Value};

use super::check::{self, Outcome};
use super::table;

fn value(text: &str) -> Outcome {
    value_where(text, &[])
}

/// Of a row with these values, and NULL in all other columns.
fn value_where(text: &str, known: &[(&str, Value<'_>)]) -> Outcome {
    let compiled = check::compile(text, &table::catalog());
    let compiled = compiled.unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
    let columns = table::columns();
    let named = |name: &str| known.iter().find(|(n, _)| *n == name);
    let row = columns.iter().map(|c| match named(&c.name) {
        Some((_, value)) => value.clone(),
        None => Value::Null,
    });
    compiled.run(&row.collect::<Vec<_>>())
}

fn shows(text: &str, expected: &str) {
    assert_eq!(value(text), Outcome::Bytes(expected.into()), "{text}");
}

/// MySQL 9.7 has MD5 only where a component is installed. The digests are those of RFC 1321.
#[test]
fn md5_digests() {
    shows("MD5('')", "d41d8cd98f00b204e9800998ecf8427e");
    shows("MD5('abc')", "900150983cd24fb0d6963f7d28e17f72");
    shows("MD5('message digest')", "f96b697d7cb7938d525a2f31aaf161d0");
    assert_eq!(value("MD5(NULL)"), Outcome::Null);
}

/// CAST to DATE does not look at the time of a number, CAST to DATETIME does. As MySQL 9.7 has it; invented numbers are
/// hardly ever of that kind.
#[test]
fn numbers_with_a_date_and_no_time() {
    for number in ["20000404508150", "404508150", "20000404126060"] {
        shows(&format!("CAST({number} AS DATE)"), "2000-04-04");
        let text = format!("CAST({number} AS DATETIME)");
        assert_eq!(value(&text), Outcome::Null, "{text}");
    }
    assert_eq!(value("CAST(20001304101010 AS DATE)"), Outcome::Null);
}

/// NULLIF as text is its first argument as text: a DECIMAL that a choice took has its digits, also where the choice is a
/// DOUBLE. As MySQL 9.7 has it; found by a long run.
#[test]
fn nullif_shows_what_its_first_argument_shows() {
    let row = [
        ("i1", Value::Int(-1)),
        ("db", Value::Double(-1.5)),
        ("d5", Value::Decimal("207.00".into())),
        ("fl", Value::Float(1.1)),
    ];
    for (text, expected) in [
        ("CONCAT(NULLIF(IF(i1 > 0, db, d5), db))", Some("207.00")),
        ("UPPER(NULLIF(IF(i1 > 0, db, d5), db))", Some("207.00")),
        (
            "CONCAT(NULLIF(NULLIF(IF(i1 > 0, db, d5), db), i1))",
            Some("207.00"),
        ),
        (
            "CONCAT(NULLIF(CASE i1 WHEN 1 THEN db ELSE d5 END, i1))",
            Some("207.00"),
        ),
        ("CONCAT(NULLIF(IF(i1 < 0, db, d5), db))", None),
        ("CONCAT(NULLIF(GREATEST(db, d5), i1))", Some("207")),
        (
            "CONCAT(NULLIF(COALESCE(fl, fl), i1))",
            Some("1.100000023841858"),
        ),
        ("CONCAT(NULLIF(fl, i1))", Some("1.1")),
        ("CONCAT(NULLIF(db, i1))", Some("-1.5")),
    ] {
        let expected = expected.map_or(Outcome::Null, |e| Outcome::Bytes(e.into()));
        assert_eq!(value_where(text, &row), expected, "{text}");
    }
}

/// UNIX_TIMESTAMP with a fraction beside a DOUBLE is its seconds and its fraction added. As MySQL 9.7 has it; found by a
/// long run.
#[test]
fn a_timestamp_as_a_double_is_a_sum() {
    let moment = Temporal {
        year: 1970,
        month: 1,
        day: 1,
        second: 1,
        micros: 285_913,
        fsp: 6,
        ..Temporal::default()
    };
    let row = [
        ("i1", Value::Int(1)),
        ("db", Value::Double(0.5)),
        ("m6", Value::DateTime(moment)),
    ];
    for (text, expected) in [
        ("GREATEST(db, UNIX_TIMESTAMP(m6))", "1.2859129999999999"),
        (
            "CONCAT(GREATEST(db, UNIX_TIMESTAMP(m6)))",
            "1.2859129999999999",
        ),
        ("UNIX_TIMESTAMP(m6) + 0e0", "1.2859129999999999"),
        ("UNIX_TIMESTAMP(m6) % 1e0", "0.28591299999999986"),
        ("NULLIF(UNIX_TIMESTAMP(m6), 1) + 0e0", "1.2859129999999999"),
        ("CAST(UNIX_TIMESTAMP(m6) AS DOUBLE)", "1.2859129999999999"),
        ("IFNULL(UNIX_TIMESTAMP(m6), db)", "1.2859129999999999"),
        ("IF(i1 > 5, db, UNIX_TIMESTAMP(m6))", "1.2859129999999999"),
        ("UNIX_TIMESTAMP(m6) = 1.285913e0", "0"),
        ("UNIX_TIMESTAMP(m6) < 1.285913e0", "1"),
        ("UNIX_TIMESTAMP(m6) = '1.285913'", "1"),
        ("CONCAT(IF(i1 > 5, db, UNIX_TIMESTAMP(m6)))", "1.285913"),
        ("-UNIX_TIMESTAMP(m6) + 0e0", "-1.285913"),
        ("(UNIX_TIMESTAMP(m6) + 0) + 0e0", "1.285913"),
        ("ABS(UNIX_TIMESTAMP(m6)) + 0e0", "1.285913"),
        ("COALESCE(UNIX_TIMESTAMP(m6), 1.5) + 0e0", "1.285913"),
    ] {
        let expected = Outcome::Bytes(expected.into());
        assert_eq!(value_where(text, &row), expected, "{text}");
    }
}

/// A time behind which the distance from UTC stands is moved to UTC; a sign with anything else makes it none. As MySQL 9.7 has
/// it, in a session of UTC; found by a long run.
#[test]
fn a_distance_from_utc_moves_a_time() {
    for (text, expected) in [
        (
            "2003-08-26 20:24:02+02:00",
            Some("2003-08-26 18:24:02.000000"),
        ),
        (
            "2003-08-26T20:24:02+02:00 ",
            Some("2003-08-26 18:24:02.000000"),
        ),
        (
            "2003-08-26 23:24:02.5-02:00",
            Some("2003-08-27 01:24:02.500000"),
        ),
        (
            "2003-08-26 20:24:02.+14:00",
            Some("2003-08-26 06:24:02.000000"),
        ),
        (
            "2003-08-26 20:24:02.1234567+02:00",
            Some("2003-08-26 18:24:02.123457"),
        ),
        ("20030826202402.5-02:00", Some("2003-08-26 22:24:02.500000")),
        (
            "2003-08-26 20:24:02 +02:00",
            Some("2003-08-26 20:24:02.000000"),
        ),
        (
            "2003-08-26 20:24:02a+02:00",
            Some("2003-08-26 20:24:02.000000"),
        ),
        (
            "2003-08-26 20:24:02+00:00",
            Some("2003-08-26 20:24:02.000000"),
        ),
        ("2003-08-26 20:24:02-00:00", None),
        ("2003-08-26 20:24:02-14:01", None),
        ("2003-08-26 20:24:02+13:60", None),
        ("2003-08-26 20:24:02+2:00", None),
        ("2003-08-26 20:24:02+02:00x", None),
        ("2003-08-26 20:24:02-29", None),
        ("03.08.26.2024-02-29", None),
    ] {
        let row = [("sd", Value::Text(text.into()))];
        let expected = expected.map_or(Outcome::Null, |e| Outcome::Bytes(e.into()));
        let found = value_where("CAST(sd AS DATETIME(6))", &row);
        assert_eq!(found, expected, "{text}");
    }
}

/// As the server has it: where it asks for an integer it takes the quotient with all digits that it has computed, else it
/// rounds the digits that are shown.
#[test]
fn an_integer_of_a_quotient_is_not_rounded_twice() {
    for (text, expected) in [
        ("i4/100000", "1.5000"),
        ("CAST(i4/100000 AS SIGNED)", "1"),
        ("CAST(i4/100000 AS UNSIGNED)", "2"),
        ("CAST(i4/100000*1 AS SIGNED)", "2"),
        ("CAST(-(i4/100000) AS SIGNED)", "-2"),
        ("CAST(-i4/100000 AS SIGNED)", "-1"),
        ("CAST(i4/100000 + 0 AS SIGNED)", "2"),
        ("CAST(NULLIF(i4/100000, 7) AS SIGNED)", "1"),
        ("CAST(CASE 1 WHEN 1 THEN i4/100000 END AS SIGNED)", "1"),
        ("CAST(COALESCE(i4/100000, 0/1) AS SIGNED)", "2"),
        ("LEFT('abc', i4/100000)", "a"),
        ("LPAD('x', i4/100000, 'y')", "x"),
        ("HEX(i4/100000)", "1"),
    ] {
        let row = [("i4", Value::Int(149_999))];
        assert_eq!(
            value_where(text, &row),
            Outcome::Bytes(expected.into()),
            "{text}"
        );
    }
    // It is compared as it is shown.
    let row = [("i4", Value::Int(149_999))];
    let found = value_where("CAST(NULLIF(i4/100000, 1.5) AS SIGNED)", &row);
    assert_eq!(found, Outcome::Null);
}

#[test]
fn refusals_name_what_they_refuse() {
    for (text, part) in [
        ("bt + js", "JSON"),
        ("CONCAT(bi, 'x')", "binary"),
        ("s = sg", "do not mix"),
        ("DATE_ADD(dt, INTERVAL 1 DAYS)", "DAYS"),
        ("i4 = i4 = i4", "parentheses"),
        ("i4 = s LIKE 'a'", "parentheses"),
        ("GREATEST(dt, s)", "date and a text"),
        ("dt = 'not a date'", "DATE"),
        ("JSON_EXTRACT(js, 'a')", "path"),
        ("LEFT(s)", "arguments"),
        ("CAST(t0 AS YEAR)", "CAST"),
        ("LEFT(js, (2 - 18446744073709551615))", "out of range"),
        ("IF(i4 > 0, 1, 18446744073709551615 + 1)", "out of range"),
        ("NULLIF(UNIX_TIMESTAMP(m6), db)", "beside a DOUBLE"),
        ("UNIX_TIMESTAMP(m3) IN (1, db)", "beside a DOUBLE"),
        ("UNIX_TIMESTAMP(m3) BETWEEN 0 AND fl", "beside a DOUBLE"),
    ] {
        let refusal = match check::compile(text, &table::catalog()) {
            Ok(_) => panic!("{text} is not refused"),
            Err(refusal) => refusal,
        };
        assert!(refusal.contains(part), "{text}: {refusal}");
    }
}

/// What is no call has a template by its name; every call is counted where the values are compared.
#[test]
fn every_operator_has_a_template() {
    let names = "+ - * / % DIV = < > <> >= <= <=> AND OR NOT IS_NULL IS_NOT_NULL IN BETWEEN LIKE CASE INTERVAL -> ->>";
    let templates: Vec<&str> = super::generate::TEMPLATES.iter().map(|t| t.1).collect();
    for name in names.split_whitespace() {
        let name = name.replace('_', " ");
        let found = |template: &&str| template.replace('_', " ").contains(&name);
        assert!(templates.iter().any(found), "{name}");
    }
}
