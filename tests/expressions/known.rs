//! What cannot be compared with the server of the tests.

use penstock::change::Value;

use super::check::{self, Outcome};
use super::table;

fn value(text: &str) -> Outcome {
    let compiled = check::compile(text, &table::catalog());
    let compiled = compiled.unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
    let nulls: Vec<_> = table::columns().iter().map(|_| Value::Null).collect();
    compiled.run(&nulls)
}

fn shows(text: &str, expected: &str) {
    assert_eq!(value(text), Outcome::Bytes(expected.into()), "{text}");
}

/// MySQL 9.7 has no MD5 unless a component is installed. The digests are those of RFC 1321.
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
    ] {
        let refusal = match check::compile(text, &table::catalog()) {
            Ok(_) => panic!("{text} is not refused"),
            Err(refusal) => refusal,
        };
        assert!(refusal.contains(part), "{text}: {refusal}");
    }
}

/// The functions and operators that contracts may use. MD5 has its own test.
#[test]
fn every_function_has_a_template() {
    let names = "+ - * / % DIV = < > <> >= <= <=> AND OR NOT IS_NULL IS_NOT_NULL IN BETWEEN LIKE CASE COALESCE( IFNULL( NULLIF( IF( \
        CONCAT( CONCAT_WS( UPPER( UCASE( LOWER( LCASE( TRIM( LTRIM( RTRIM( SUBSTRING( SUBSTR( LEFT( RIGHT( REPLACE( LPAD( RPAD( \
        LENGTH( CHAR_LENGTH( CHARACTER_LENGTH( ROUND( FLOOR( CEIL( CEILING( ABS( MOD( GREATEST( LEAST( CAST( DATE( YEAR( \
        MONTH( DAY( DAYOFMONTH( DATE_FORMAT( DATE_ADD( DATE_SUB( INTERVAL DATEDIFF( UNIX_TIMESTAMP( FROM_UNIXTIME( \
        JSON_EXTRACT( JSON_UNQUOTE( -> ->> HEX( SHA2(";
    let templates: Vec<&str> = super::generate::TEMPLATES.iter().map(|t| t.1).collect();
    for name in names.split_whitespace() {
        let name = name.replace('_', " ");
        let found = |template: &&str| template.replace('_', " ").contains(&name);
        assert!(templates.iter().any(found), "{name}");
    }
}
