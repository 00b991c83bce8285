//! Golden contracts, the schema's file, mutated contracts, and texts of nonsense.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::diagnostic::{Diagnostics, Place};
use super::*;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn bless() -> bool {
    std::env::var_os("PENSTOCK_BLESS").is_some()
}

/// Compares with a file, or writes it where PENSTOCK_BLESS is set.
fn same_as_file(path: &Path, actual: &str) -> Result<(), String> {
    if bless() {
        fs::write(path, actual).unwrap();
        return Ok(());
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    Err(format!(
        "{} differs; it would be:\n{actual}",
        path.display()
    ))
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    files
}

/// Runs all goldens of a folder; `strict-*` are parsed strictly.
fn goldens(folder: &str, good: bool) -> usize {
    let files = json_files(&root().join("tests/golden/contract").join(folder));
    let mut wrong = Vec::new();
    for path in &files {
        let bytes = fs::read(path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let (contract, found) = parse_bytes(&bytes, name.starts_with("strict-"));
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(found.has_errors(), !good, "{name}: {:#?}", found.all);
        assert!(!good || contract.is_some(), "{name}");
        let rendered = render(&found, name, &text, false);
        wrong.extend(same_as_file(&path.with_extension("txt"), &rendered).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    files.len()
}

#[test]
fn bad_contracts_are_explained() {
    assert!(goldens("bad", false) >= 45);
}

#[test]
fn sloppy_contracts_are_read_with_warnings() {
    assert!(goldens("good", true) >= 8);
}

#[test]
fn the_example_contracts_have_no_findings() {
    for name in ["shop.json", "shop-joins.json"] {
        let text = fs::read_to_string(root().join("contracts").join(name)).unwrap();
        let (contract, found) = parse(&text, true);
        assert!(
            found.all.is_empty(),
            "{}",
            render(&found, name, &text, false)
        );
        assert!(!contract.unwrap().tables.is_empty());
    }
}

#[test]
fn the_schema_file_is_what_the_code_says() {
    same_as_file(
        &root().join("contracts/migration-contract.schema.json"),
        &schema::json(),
    )
    .unwrap();
}

#[test]
fn every_reference_of_the_schema_resolves() {
    let schema: serde_json::Value = serde_json::from_str(&schema::json()).unwrap();
    let text = schema::json();
    for reference in text.split("\"$ref\": \"#/$defs/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schema["$defs"].get(name).is_some(), "{name}");
    }
}

/// Every place must be sliceable from the text.
fn check_places(text: &str, found: &Diagnostics) {
    for d in &found.all {
        // Only a mistake in the parser leaves a part out without having said why.
        assert_ne!(d.code, "not-understood", "{text}");
        assert!(
            text.get(d.place.span.clone()).is_some(),
            "{} at {:?} in {text:?}",
            d.code,
            d.place.span
        );
    }
    let _ = render(found, "contract.json", text, true);
    let _ = render_json(found, "contract.json", text);
}

#[test]
fn mutated_contracts_neither_panic_nor_lose_their_places() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut sources: Vec<String> = json_files(&root().join("contracts"))
        .iter()
        .map(|p| fs::read_to_string(p).unwrap())
        .collect();
    for folder in ["good", "bad"] {
        let files = json_files(&root().join("tests/golden/contract").join(folder));
        sources.extend(files.iter().filter_map(|p| fs::read_to_string(p).ok()));
    }
    let scraps = [
        "{", "}", "[", "]", "\"", ",", ":", "null", "é", "日本", "\\u00e9", "\\", "1e5", "-", "//",
        "\u{feff}", "\u{1b}", "\"pk\":", "{}", "\0",
    ];
    for round in 0..3000 {
        let mut text = sources[rng.usize(..sources.len())].clone();
        for _ in 0..rng.usize(1..5) {
            let at = text.floor_char_boundary(rng.usize(..=text.len()));
            let end = text.floor_char_boundary((at + rng.usize(..12)).min(text.len()));
            match rng.u8(..4) {
                0 => text.truncate(at),
                1 if at < end => text.replace_range(at..end, ""),
                2 if at < end => text.replace_range(at..end, scraps[rng.usize(..scraps.len())]),
                _ => text.insert_str(at, scraps[rng.usize(..scraps.len())]),
            }
        }
        let (contract, found) = parse(&text, round % 2 == 0);
        assert!(
            contract.is_some() || found.has_errors(),
            "nothing said about {text:?}"
        );
        check_places(&text, &found);
    }
}

/// Puts `scrap` in the place of the value that is reached after `steps` values, or removes that.
fn disturb(
    value: &mut serde_json::Value,
    steps: &mut usize,
    scrap: &Option<serde_json::Value>,
) -> bool {
    if *steps == 0 {
        // Once is enough.
        *steps = usize::MAX;
        let Some(scrap) = scrap else { return true };
        *value = scrap.clone();
        return false;
    }
    *steps -= 1;
    match value {
        serde_json::Value::Array(elements) => {
            let gone = elements.iter_mut().position(|e| disturb(e, steps, scrap));
            gone.map(|i| elements.remove(i));
        }
        serde_json::Value::Object(members) => {
            let mut gone = None;
            for (key, member) in members.iter_mut() {
                if disturb(member, steps, scrap) {
                    gone = Some(key.clone());
                    break;
                }
            }
            gone.and_then(|k| members.remove(&k));
        }
        _ => {}
    }
    false
}

#[test]
fn values_of_other_kinds_are_reported_wherever_they_stand() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut sources: Vec<serde_json::Value> = ["shop.json", "shop-joins.json"]
        .map(|name| fs::read_to_string(root().join("contracts").join(name)).unwrap())
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let good = json_files(&root().join("tests/golden/contract/good"));
    sources.extend(
        good.iter()
            .filter_map(|p| serde_json::from_str(&fs::read_to_string(p).unwrap()).ok()),
    );
    let scraps = [
        None,
        Some(serde_json::json!(null)),
        Some(serde_json::json!(5)),
        Some(serde_json::json!(true)),
        Some(serde_json::json!("")),
        Some(serde_json::json!("{x}")),
        Some(serde_json::json!([])),
        Some(serde_json::json!([null])),
        Some(serde_json::json!({})),
        Some(serde_json::json!({"type": "chain", "joins": [{}]})),
    ];
    for _ in 0..2000 {
        let mut value = sources[rng.usize(..sources.len())].clone();
        for _ in 0..rng.usize(1..3) {
            disturb(
                &mut value,
                &mut rng.usize(1..200),
                &scraps[rng.usize(..scraps.len())],
            );
        }
        let text = serde_json::to_string_pretty(&value).unwrap();
        let (contract, found) = parse(&text, false);
        assert!(
            contract.is_some() || found.has_errors(),
            "nothing said about {text}"
        );
        check_places(&text, &found);
    }
}

#[test]
fn the_reader_agrees_with_serde_about_what_is_json() {
    let mut rng = fastrand::Rng::with_seed(7);
    let scraps = [
        "{",
        "}",
        "[",
        "]",
        "\"a\"",
        "\"b\"",
        ",",
        ":",
        "null",
        "true",
        "0",
        "01",
        "-1.5e3",
        "1.",
        "\"\\u00e9\"",
        "\"\\ud800\"",
        " ",
        "\"\\x\"",
    ];
    let mut both = 0;
    for _ in 0..40_000 {
        let text: String = (0..rng.usize(1..9))
            .map(|_| scraps[rng.usize(..scraps.len())])
            .collect();
        let text = format!("[{text}]");
        let (_, mistakes) = json::read(&text);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        assert_eq!(
            mistakes.is_empty(),
            theirs.is_ok(),
            "{text:?}: {mistakes:?} {theirs:?}"
        );
        both += usize::from(theirs.is_ok());
    }
    assert!(both > 100);
}

#[test]
fn nonsense_of_any_size_gives_one_clear_error_soon() {
    let size = 60 << 20;
    let mut rng = fastrand::Rng::with_seed(1);
    let letters: Vec<u8> = (0..size).map(|_| rng.u8(b' '..b'~')).collect();
    for (text, code) in [
        ("[".repeat(size), "too-deep"),
        ("{\"a\":".repeat(size / 5), "too-deep"),
        (format!("[{}", "1,".repeat(size / 2)), "too-large"),
        ("[\"".to_owned() + &"x".repeat(size), "unclosed-string"),
        (" ".repeat(MAX_BYTES + 1), "too-large"),
        (String::from_utf8(letters).unwrap(), ""),
    ] {
        let started = Instant::now();
        let (contract, found) = parse(&text, false);
        assert!(contract.is_none());
        assert_eq!(found.all.len(), 1, "{code}");
        assert!(
            code.is_empty() || found.all[0].code == code,
            "{}",
            found.all[0].code
        );
        assert!(render(&found, "f", &text, false).len() < 2000);
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{code}: {:?}",
            started.elapsed()
        );
    }
}

#[test]
fn many_findings_stay_bounded() {
    let text = format!("{{\"tables\": [{}]}}", vec!["{}"; 200_000].join(","));
    let (_, found) = parse(&text, false);
    assert_eq!(
        (found.all.len(), found.error_count()),
        (Diagnostics::LIMIT, 200_000)
    );
    let rendered = render(&found, "f", &text, false);
    assert!(rendered.contains("and 199900 more"), "{rendered}");
}

#[test]
fn many_unknown_fields_take_no_long_time() {
    let fields: String = (0..300_000).map(|i| format!(",\"tabel{i}\": 1")).collect();
    let text = format!("{{\"tables\": []{fields}}}");
    let started = Instant::now();
    let (_, found) = parse(&text, false);
    assert_eq!(found.warning_count(), 300_000);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn bytes_that_are_no_text_are_reported_with_their_offset() {
    let (contract, found) = parse_bytes(b"{\"tables\":\n \"\xff\"}", false);
    assert!(contract.is_none());
    assert_eq!(found.all[0].code, "not-utf8");
    assert!(
        found.all[0].message.contains("byte 13, in line 2"),
        "{}",
        found.all[0].message
    );
    let (_, found) = parse_bytes(b"\xff\xfe{\0}\0", false);
    assert!(found.all[0].help.as_deref().unwrap().contains("UTF-16"));
}

fn rendered(text: &str, span: std::ops::Range<usize>) -> String {
    let mut found = Diagnostics::default();
    found.error(
        "code",
        &Place {
            span,
            pointer: "/a".into(),
        },
        "message",
    );
    render(&found, "f", text, false)
}

#[test]
fn marks_stand_below_the_token() {
    let text = "{\n\t\"é\": \"日本\", \"x\": 1\n}";
    let at = text.find("\"x\"").unwrap();
    let shown = rendered(text, at..at + 3);
    assert!(shown.contains("f:2:13 (/a)\n"), "{shown}");
    assert!(
        shown.contains("2 |     \"é\": \"日本\", \"x\": 1\n  |                  ^^^\n"),
        "{shown}"
    );
    // Over several lines: the first is shown.
    assert!(rendered(text, 0..text.len()).contains("1 | {\n  | ^…\n"));
}

#[test]
fn long_lines_are_clipped_around_the_token() {
    let text = format!(
        "[\"{}\", \"here\", \"{}\"]",
        "a".repeat(500),
        "b".repeat(500)
    );
    let at = text.find("\"here\"").unwrap();
    let shown = rendered(&text, at..at + 6);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines[3].chars().count() <= 110 && lines[3].contains("a\", \"here\", \"b"),
        "{shown}"
    );
    let column = lines[3]
        .chars()
        .collect::<Vec<_>>()
        .windows(6)
        .position(|w| w.iter().collect::<String>() == "\"here\"")
        .unwrap();
    assert_eq!(lines[4].find('^').unwrap(), column, "{shown}");
}

#[test]
fn a_contract_cannot_steer_the_terminal() {
    let text = "{\"tables\": [], \"\\u001b[2J\": 1, \"\u{1b}[31m\": 2}";
    let (_, found) = parse(text, false);
    assert!(!render(&found, "f", text, false).contains('\u{1b}'));
}

#[test]
fn json_findings_have_line_and_column() {
    let text = "{\n  \"tables\": 5\n}";
    let (_, found) = parse(text, false);
    let json: serde_json::Value =
        serde_json::from_str(&render_json(&found, "f.json", text)).unwrap();
    let finding = &json["findings"][0];
    assert_eq!(
        (&finding["line"], &finding["column"], &finding["pointer"]),
        (&2.into(), &13.into(), &"/tables".into())
    );
}
