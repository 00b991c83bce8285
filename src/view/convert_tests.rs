use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::Value as Tree;

use super::super::item::{MAX_DEPTH, MAX_ITEM_BYTES, Name};
use super::*;
use crate::change::TimeOfDay;

/// The item of one attribute `a`, as text and as DynamoDB counts it; `None` where nothing was written.
fn item(
    value: &Value<'_>,
    ty: AttributeType,
    foreign: bool,
) -> Result<Option<(String, usize)>, Fault> {
    let mut writer = ItemWriter::default();
    writer.start();
    writer.name(&Name::new("a"))?;
    let written = Converter::default().write(value, ty, foreign, &mut writer)?;
    let size = writer.size();
    let text = String::from_utf8(writer.closed().to_vec()).unwrap();
    Ok((written == Written::Value).then_some((text, size)))
}

/// The attribute's JSON; checks the size against the reference on the way.
fn json(value: &Value<'_>, ty: AttributeType) -> Result<Option<String>, Fault> {
    Ok(item(value, ty, false)?.map(|(text, size)| {
        let tree: Tree = serde_json::from_str(&text).unwrap();
        assert_eq!(size, 1 + reference_size(&tree["a"]), "{text}");
        text.strip_prefix("{\"a\":")
            .unwrap()
            .strip_suffix('}')
            .unwrap()
            .to_owned()
    }))
}

fn ok(text: &str) -> Result<Option<String>, Fault> {
    Ok(Some(text.to_owned()))
}

/// An attribute value's size by DynamoDB's rules, over a tree.
fn reference_size(tree: &Tree) -> usize {
    let (tag, value) = tree.as_object().unwrap().iter().next().unwrap();
    let text = |v: &Tree| v.as_str().unwrap().to_owned();
    let raw = |v: &Tree| STANDARD.decode(text(v)).unwrap().len();
    match tag.as_str() {
        "S" => text(value).len(),
        "N" => reference_number(&text(value)),
        "B" => raw(value),
        "SS" => value
            .as_array()
            .unwrap()
            .iter()
            .map(|v| text(v).len())
            .sum(),
        "NS" => value
            .as_array()
            .unwrap()
            .iter()
            .map(|v| reference_number(&text(v)))
            .sum(),
        "BS" => value.as_array().unwrap().iter().map(raw).sum(),
        "L" => {
            3 + value
                .as_array()
                .unwrap()
                .iter()
                .map(|v| 1 + reference_size(v))
                .sum::<usize>()
        }
        "M" => {
            let members = value.as_object().unwrap();
            3 + members
                .iter()
                .map(|(k, v)| k.len() + 1 + reference_size(v))
                .sum::<usize>()
        }
        _ => 1,
    }
}

/// Over the plain notation that the writer uses.
fn reference_number(text: &str) -> usize {
    let digits = text.trim_start_matches('-');
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let whole = if fraction.is_empty() {
        whole.trim_end_matches('0')
    } else {
        whole
    };
    let fraction = if whole.is_empty() {
        fraction.trim_start_matches('0')
    } else {
        fraction
    };
    1 + usize::from(text.starts_with('-')) + whole.len().div_ceil(2) + fraction.len().div_ceil(2)
}

fn doc(text: &str) -> Value<'_> {
    Value::Json(text.into())
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

#[test]
fn strings() {
    use AttributeType::S;
    assert_eq!(
        json(&text("a\"b\\c\n\u{1}é\u{7f}"), S),
        ok("{\"S\":\"a\\\"b\\\\c\\n\\u0001é\u{7f}\"}")
    );
    assert_eq!(json(&text(""), S), ok(r#"{"S":""}"#));
    assert_eq!(json(&Value::Int(-7), S), ok(r#"{"S":"-7"}"#));
    assert_eq!(json(&Value::Double(-0.0), S), ok(r#"{"S":"-0"}"#));
    assert_eq!(
        json(&Value::Decimal("1.50".into()), S),
        ok(r#"{"S":"1.50"}"#)
    );
    assert_eq!(
        json(&Value::Date(Temporal::default()), S),
        ok(r#"{"S":"0000-00-00"}"#)
    );
    assert_eq!(
        json(&doc(r#"{"k": null}"#), S),
        ok(r#"{"S":"{\"k\": null}"}"#)
    );
    assert_eq!(json(&doc("null"), S), ok(r#"{"S":"null"}"#));
    assert_eq!(json(&Value::Bytes(b"x"[..].into()), S), Err(Fault::Binary));
    assert_eq!(json(&Value::Null, S), Ok(None));
}

#[test]
fn long_strings_are_escaped_wherever_it_is() {
    for length in [0, 1, 31, 32, 33, 63, 64, 65, 100] {
        for special in [
            "\"", "\\", "\n", "\u{1f}", "\u{0}", "\u{7f}", "é", "\u{2028}",
        ] {
            for at in 0..=length {
                let value = format!("{}{special}{}", "x".repeat(at), "y".repeat(length - at));
                let written = json(&text(&value), AttributeType::S).unwrap().unwrap();
                let tree: Tree = serde_json::from_str(&written).unwrap();
                assert_eq!(tree["S"], value, "{written}");
            }
        }
    }
}

/// What columns of integers become by the short way, their text becomes by the long one.
#[test]
fn integers_are_written_as_their_text_is() {
    use AttributeType::N;
    let mut values = vec![0, 1, 9, 10, 11, 99, 100, 101, 1000, 1_000_001, 10_000_000];
    values.extend([
        i64::MAX as u64,
        i64::MAX as u64 + 1,
        u64::MAX,
        10u64.pow(19),
    ]);
    for value in values {
        let unsigned = item(&Value::UInt(value), N, false);
        assert_eq!(unsigned, item(&text(&value.to_string()), N, false));
        for signed in [value as i64, (value as i64).wrapping_neg(), i64::MIN] {
            let short = item(&Value::Int(signed), N, false);
            assert_eq!(short, item(&text(&signed.to_string()), N, false));
        }
    }
}

#[test]
fn numbers() {
    use AttributeType::N;
    assert_eq!(
        json(&Value::UInt(u64::MAX), N),
        ok(r#"{"N":"18446744073709551615"}"#)
    );
    assert_eq!(json(&Value::Int(-100), N), ok(r#"{"N":"-100"}"#));
    assert_eq!(
        json(&Value::Decimal("1.50".into()), N),
        ok(r#"{"N":"1.5"}"#)
    );
    assert_eq!(json(&Value::Float(0.1), N), ok(r#"{"N":"0.1"}"#));
    assert_eq!(
        json(&Value::Double(1e20), N),
        ok(r#"{"N":"100000000000000000000"}"#)
    );
    assert_eq!(json(&Value::Double(-0.0), N), ok(r#"{"N":"0"}"#));
    assert_eq!(json(&Value::Double(1e126), N), Err(Fault::NumberOutOfRange));
    assert_eq!(
        json(&Value::Double(5e-324), N),
        Err(Fault::NumberOutOfRange)
    );
    assert_eq!(json(&Value::Double(f64::NAN), N), Err(Fault::NotANumber));
    assert_eq!(json(&text(" 007 "), N), ok(r#"{"N":"7"}"#));
    assert_eq!(json(&text("seven"), N), Err(Fault::NotANumber));
    assert_eq!(json(&Value::Year(0), N), ok(r#"{"N":"0"}"#));
    assert_eq!(json(&Value::Bit(3), N), ok(r#"{"N":"3"}"#));
    assert_eq!(json(&doc("1.0"), N), ok(r#"{"N":"1"}"#));
    assert_eq!(json(&doc("\"12\""), N), ok(r#"{"N":"12"}"#));
    assert_eq!(json(&doc("true"), N), ok(r#"{"N":"1"}"#));
    assert_eq!(json(&doc("null"), N), Ok(None));
    assert!(json(&doc("[1]"), N).is_err());
    assert_eq!(json(&Value::Date(Temporal::default()), N), Ok(None));
    let day = Value::Date(Temporal {
        year: 2024,
        month: 1,
        day: 1,
        ..Temporal::default()
    });
    assert_eq!(json(&day, N), Err(Fault::NotANumber));
    assert_eq!(
        json(&Value::Time(TimeOfDay::default()), N),
        Err(Fault::NotANumber)
    );
    assert_eq!(json(&Value::Bytes(b"1"[..].into()), N), Err(Fault::Binary));
}

#[test]
fn booleans() {
    use AttributeType::Bool;
    for value in [
        Value::Int(-1),
        Value::Bit(1),
        text("TRUE"),
        text("1"),
        doc("true"),
        doc("0.5"),
        Value::Double(0.1),
    ] {
        assert_eq!(json(&value, Bool), ok(r#"{"BOOL":true}"#), "{value:?}");
    }
    for value in [
        Value::Int(0),
        Value::Decimal("0.00".into()),
        text("false"),
        text("0"),
        doc("false"),
    ] {
        assert_eq!(json(&value, Bool), ok(r#"{"BOOL":false}"#), "{value:?}");
    }
    for value in [
        text(""),
        text("yes"),
        doc("[]"),
        Value::Date(Temporal::default()),
    ] {
        assert_eq!(json(&value, Bool), Err(Fault::NotABoolean), "{value:?}");
    }
}

#[test]
fn bytes_and_nulls() {
    use AttributeType::B;
    assert_eq!(
        json(&Value::Bytes(vec![0, 255, 1].into()), B),
        ok(r#"{"B":"AP8B"}"#)
    );
    assert_eq!(
        json(&Value::Vector(vec![0; 4].into()), B),
        ok(r#"{"B":"AAAAAA=="}"#)
    );
    assert_eq!(json(&text("é"), B), ok(r#"{"B":"w6k="}"#));
    assert!(json(&Value::Int(1), B).is_err());
    assert_eq!(json(&text("anything"), AttributeType::Null), Ok(None));
}

#[test]
fn documents() {
    use AttributeType::{L, M};
    assert_eq!(
        json(
            &doc(r#"{"a": 1.50, "b": [true, null, "x\u00e9\ud83d\ude00\n"], "c": {}}"#),
            M
        ),
        ok(
            r#"{"M":{"a":{"N":"1.5"},"b":{"L":[{"BOOL":true},{"NULL":true},{"S":"xé😀\n"}]},"c":{"M":{}}}}"#
        )
    );
    assert_eq!(json(&doc("[]"), L), ok(r#"{"L":[]}"#));
    assert_eq!(json(&doc(" null "), M), Ok(None));
    for (value, ty) in [
        (doc("[]"), M),
        (doc("{}"), L),
        (doc("1"), M),
        (text("{}"), M),
        (Value::Int(1), L),
    ] {
        assert!(
            matches!(json(&value, ty), Err(Fault::WrongType { .. })),
            "{value:?}"
        );
    }
    for bad in [
        "",
        "{",
        "{\"a\"}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":+1}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\ud800\\u0041\"}",
        "{\"a\":\"\\udc00\"}",
        "{} x",
        "{\"a\":tru}",
        "{\"a\":\"\\u00é\"}",
        "{\"a\":\"",
        "{\"a\":\"\\",
        "{\"a\":-}",
        "{\"a\":1e}",
        "{,}",
    ] {
        assert_eq!(json(&doc(bad), M), Err(Fault::InvalidJson), "{bad}");
    }
    assert_eq!(
        json(&doc(r#"{"a": 1e200}"#), M),
        Err(Fault::NumberOutOfRange)
    );
}

#[test]
fn members_named_twice_are_refused_in_foreign_text() {
    let twice = doc(r#"{"x":{"a":1,"\u0061":2}}"#);
    assert_eq!(
        item(&twice, AttributeType::M, true),
        Err(Fault::DuplicateMember)
    );
    assert!(item(&doc(r#"{"x":{"a":1},"a":2}"#), AttributeType::M, true).is_ok());
}

#[test]
fn names_that_dynamodb_refuses() {
    let named = |length: usize| format!(r#"{{"x": {{"{}": 1}}}}"#, "n".repeat(length));
    for (length, expected) in [
        (0, Err(Fault::MemberName)),
        (1, Ok(())),
        (65_535, Ok(())),
        (65_536, Err(Fault::MemberName)),
    ] {
        let written = json(&doc(&named(length)), AttributeType::M).map(|_| ());
        assert_eq!(written, expected, "{length}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let holding = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(json(&doc(&holding(MAX_DEPTH - 1)), AttributeType::L).is_ok());
    assert_eq!(
        json(&doc(&holding(MAX_DEPTH)), AttributeType::L),
        Err(Fault::TooDeep)
    );
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(json(&doc(&nested(MAX_DEPTH)), AttributeType::L).is_ok());
    assert_eq!(
        json(&doc(&nested(MAX_DEPTH + 1)), AttributeType::L),
        Err(Fault::TooDeep)
    );
    assert_eq!(
        json(&doc(&nested(1_000_000)), AttributeType::L),
        Err(Fault::TooDeep)
    );
    let fits = "x".repeat(MAX_ITEM_BYTES - 1);
    assert!(json(&text(&fits), AttributeType::S).is_ok());
    let over = "x".repeat(MAX_ITEM_BYTES);
    for ty in [
        AttributeType::S,
        AttributeType::B,
        AttributeType::SS,
        AttributeType::BS,
    ] {
        assert_eq!(json(&text(&over), ty), Err(Fault::ItemTooLarge));
    }
}

#[test]
fn sets() {
    use AttributeType::{BS, NS, SS};
    let labels = |text: &'static str| Value::Set(text.into());
    assert_eq!(json(&labels("a,b"), SS), ok(r#"{"SS":["a","b"]}"#));
    assert_eq!(json(&labels(""), SS), Ok(None));
    assert_eq!(json(&text("b,a,b,"), SS), ok(r#"{"SS":["b","a",""]}"#));
    assert_eq!(
        json(&doc(r#"["x", "\u0078", 1, true]"#), SS),
        ok(r#"{"SS":["x","1","true"]}"#)
    );
    assert_eq!(json(&doc("[]"), SS), Ok(None));
    assert_eq!(json(&doc("null"), SS), Ok(None));
    assert!(json(&doc(r#"[null]"#), SS).is_err());
    assert!(json(&doc(r#"[[1]]"#), SS).is_err());
    assert!(json(&doc(r#"{"a": 1}"#), SS).is_err());
    assert_eq!(json(&doc("[1"), SS), Err(Fault::InvalidJson));
    assert_eq!(
        json(&doc("[1, 1.0, 10, 1e1, -0]"), NS),
        ok(r#"{"NS":["1","10","0"]}"#)
    );
    assert_eq!(json(&text("3, 4"), NS), ok(r#"{"NS":["3","4"]}"#));
    assert_eq!(json(&Value::Int(3), NS), ok(r#"{"NS":["3"]}"#));
    assert_eq!(json(&text("3,x"), NS), Err(Fault::NotANumber));
    assert_eq!(json(&text("a,b,a"), BS), ok(r#"{"BS":["YQ==","Yg=="]}"#));
    assert_eq!(
        json(&Value::Bytes(b"a,b"[..].into()), BS),
        ok(r#"{"BS":["YSxi"]}"#)
    );
}

/// A JSON document as a tree, whose integers are DynamoDB's numbers.
fn tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::from),
        any::<i64>().prop_map(Tree::from),
        any::<String>().prop_map(Tree::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::from),
            prop::collection::btree_map(".{1,6}", inner, 0..6)
                .prop_map(|members| Tree::Object(members.into_iter().collect())),
        ]
    })
}

/// DynamoDB's JSON back to plain JSON.
fn plain(tree: &Tree) -> Tree {
    let (tag, value) = tree.as_object().unwrap().iter().next().unwrap();
    match tag.as_str() {
        "N" => serde_json::from_str(value.as_str().unwrap()).unwrap(),
        "NULL" => Tree::Null,
        "L" => value.as_array().unwrap().iter().map(plain).collect(),
        "M" => Tree::Object(
            value
                .as_object()
                .unwrap()
                .iter()
                .map(|(k, v)| (k.clone(), plain(v)))
                .collect(),
        ),
        _ => value.clone(),
    }
}

proptest! {
    #[test]
    fn documents_come_back(tree in tree(), pretty: bool) {
        let source = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
        let ty = match tree {
            Tree::Object(_) => AttributeType::M,
            _ => AttributeType::L,
        };
        let (tree, source) = match tree {
            Tree::Object(_) | Tree::Array(_) => (tree, source),
            scalar => (Tree::from(vec![scalar]), format!("[{source}]")),
        };
        let (written, size) = item(&doc(&source), ty, true).unwrap().unwrap();
        let parsed: Tree = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(size, 1 + reference_size(&parsed["a"]));
        prop_assert_eq!(plain(&parsed["a"]), tree);
    }

    #[test]
    fn strings_come_back(source: String) {
        let (written, _) = item(&text(&source), AttributeType::S, false).unwrap().unwrap();
        let parsed: Tree = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(parsed["a"]["S"].as_str(), Some(source.as_str()));
    }

    #[test]
    fn we_accept_the_json_that_serde_accepts(source in r#"[\[\]{}",:0-9a-e\\ .tru-]{0,16}"#) {
        let ours = item(&doc(&format!("[{source}]")), AttributeType::L, false);
        let theirs = serde_json::from_str::<Tree>(&format!("[{source}]"));
        let size_or_range = matches!(ours, Err(Fault::NumberOutOfRange | Fault::TooManyDigits));
        prop_assert!(size_or_range || ours.is_ok() == theirs.is_ok(), "{source}: {ours:?}");
    }
}
