//! The rules of the house, kept by machine: what the pure modules may use, how long a file may get, what the sources never
//! name, where things lie, what the dependencies may be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::root;

/// Modules that compute and do no I/O.
const PURE: [&str; 7] = [
    "schema",
    "change",
    "contract",
    "expression",
    "plan",
    "view",
    "position",
];

/// What they must not use: whoever does I/O, and our own modules that do.
const IMPURE: [&str; 33] = [
    "aws_config",
    "aws_sdk_dynamodb",
    "aws_smithy_http_client",
    "aws_smithy_runtime_api",
    "aws_smithy_types",
    "axum",
    "crate::admin",
    "crate::checkpoint",
    "crate::cli",
    "crate::config",
    "crate::daemon",
    "crate::demo",
    "crate::metrics",
    "crate::sink",
    "crate::source",
    "crate::state",
    "dynoxide",
    "fjall",
    "hyper",
    "hyper_util",
    "indicatif",
    "metrics",
    "mysql_async",
    "mysql_cdc",
    "mysql_common",
    "rustls",
    "sled",
    "std::fs",
    "std::net",
    "std::process",
    "std::time::Instant",
    "tokio",
    "tokio_util",
];

const LONGEST_FILE: usize = 600;

#[test]
fn pure_modules_do_no_io() {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for file in files_under("src") {
        let place = relative(&file);
        let module = PURE.iter().find(|module| {
            place == format!("src/{module}.rs") || place.starts_with(&format!("src/{module}/"))
        });
        let Some(module) = module else { continue };
        seen.insert(*module);
        if place.ends_with("/tests.rs") || place.contains("/tests/") {
            continue;
        }
        for path in impure_paths(&read(&file)) {
            found.push(format!("{place} uses {path}"));
        }
    }
    assert!(
        seen.contains("plan") && seen.contains("schema"),
        "the modules are not where this test looks: {seen:?}"
    );
    assert!(
        found.is_empty(),
        "pure modules must not do I/O:\n{}",
        found.join("\n")
    );
}

#[test]
fn the_search_for_impure_paths_finds_them() {
    let source = r##"
        //! tokio in a comment is fine
        use std::{fmt, fs::{self, File}};
        use crate::{plan::Plan, sink};
        fn f() { let text = "sled::open"; let x = ::tokio::spawn; /* axum */ let raw = r#"a " sled::b "#; }
        use crate::plan::tokio as b;
        #[cfg(test)]
        mod more;
        fn g() { axum::serve() }
        #[cfg(test)]
        mod tests { use std::net::TcpStream; }
    "##;
    assert_eq!(
        impure_paths(source),
        ["axum", "crate::sink", "std::fs", "tokio"]
    );
}

/// The impure paths in a source: in `use` trees and inline, outside comments, strings and test modules.
fn impure_paths(source: &str) -> Vec<&'static str> {
    let code = without_test_module(source);
    let tokens = tokens(code);
    let mut paths = BTreeSet::new();
    collect_paths(&tokens, &mut 0, &[], &mut paths);
    IMPURE
        .into_iter()
        .filter(|impure| {
            paths.iter().any(|path| {
                path == impure
                    || path
                        .strip_prefix(impure)
                        .is_some_and(|rest| rest.starts_with("::"))
            })
        })
        .collect()
}

/// The source up to its test module, if it has one with a body (`mod tests;` is a file, which is not searched).
fn without_test_module(source: &str) -> &str {
    for (at, attribute) in source.match_indices("#[cfg(test)]") {
        let next = source[at + attribute.len()..].trim_start();
        let head = next.split_inclusive(['{', ';']).next().unwrap_or_default();
        if head.starts_with("mod ") && head.ends_with('{') {
            return &source[..at];
        }
    }
    source
}

/// Words and the signs that matter; comments, strings and character literals are left out.
fn tokens(code: &str) -> Vec<String> {
    let bytes = code.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &code[at..];
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("r#\"") {
            rest.find("\"#").map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with('"') {
            string_length(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\'") {
            rest[1..].find('\'').map_or(1, |end| end + 2)
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            let word = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            if word > 0 {
                tokens.push(rest[..word].to_owned());
                word
            } else {
                let sign = rest.chars().next().unwrap_or(' ');
                if !sign.is_whitespace() {
                    tokens.push(sign.to_string());
                }
                sign.len_utf8()
            }
        };
        at += skip;
    }
    tokens
}

/// Bytes of the string literal that `rest` begins with, quotes included.
fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Adds every path of `tokens` to `paths`, `a::{b, c::d}` as `a::b` and `a::c::d`; stops behind the brace that closes
/// the group which belongs to `prefix`.
fn collect_paths(
    tokens: &[String],
    at: &mut usize,
    prefix: &[String],
    paths: &mut BTreeSet<String>,
) {
    let is_word = |token: &String| {
        token
            .chars()
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_')
    };
    while *at < tokens.len() {
        if tokens[*at] == "}" && !prefix.is_empty() {
            return;
        }
        if !is_word(&tokens[*at]) {
            *at += 1;
            continue;
        }
        let mut path = prefix.to_vec();
        path.push(tokens[*at].clone());
        *at += 1;
        while tokens.get(*at).is_some_and(|token| token == "::") {
            match tokens.get(*at + 1) {
                Some(next) if is_word(next) => {
                    path.push(next.clone());
                    *at += 2;
                }
                Some(next) if next == "{" => {
                    *at += 2;
                    collect_paths(tokens, at, &path, paths);
                    *at += 1;
                }
                _ => *at += 1,
            }
        }
        // A lone word is a name, not a path; `use sled;` still is one.
        let in_use = path.len() == 1 && *at >= 2 && tokens[*at - 2] == "use";
        if path.len() > 1 || in_use {
            paths.insert(path.join("::"));
            // `tokio::spawn` and `::tokio::spawn` are both tokio.
        }
    }
}

#[test]
fn files_are_short_enough_to_read() {
    let long: Vec<_> = ["src", "tests", "benches", "scripts", "fuzz"]
        .into_iter()
        .flat_map(files_under)
        .filter(|file| !relative(file).contains("golden"))
        .filter_map(|file| {
            let lines = read(&file).lines().count();
            (lines > LONGEST_FILE).then(|| format!("{}: {lines} lines", relative(&file)))
        })
        .collect();
    assert!(
        long.is_empty(),
        "at most {LONGEST_FILE} lines in a file:\n{}",
        long.join("\n")
    );
}

/// The sources speak of themselves alone, and name no registry: packages come from where the machine gets its own.
#[test]
fn sources_name_no_registry_and_no_workplace() {
    let forbidden = [
        concat!("registry.", "npmjs"),
        concat!("deb.", "debian.org"),
        concat!("static.", "crates.io"),
        concat!("index.", "crates.io"),
        concat!("files.", "pythonhosted"),
        concat!("proxy.", "golang.org"),
        concat!("/wo", "rk/"),
        concat!("/tmp/", "wt"),
        concat!("shared/", "design"),
        concat!("contract-", "format.md"),
        concat!("correct", "ness.md"),
        concat!("owner", "ship.md"),
    ];
    let mut found = Vec::new();
    for file in files_under("") {
        if relative(&file) == "Cargo.lock" {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&file) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for word in forbidden.iter().filter(|&&word| line.contains(word)) {
                found.push(format!("{}:{}: {word}", relative(&file), number + 1));
            }
        }
    }
    assert!(
        found.is_empty(),
        "words that do not belong here:\n{}",
        found.join("\n")
    );
}

#[test]
fn the_top_level_is_what_it_shall_be() {
    let needed = [
        ".ci",
        ".gitignore",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "deny.toml",
        "rust-toolchain.toml",
        "scripts",
        "src",
        "tests",
    ];
    let allowed = [
        "benches",
        "config",
        "contracts",
        "dashboards",
        "docs",
        "fuzz",
        "packaging",
        "target",
        ".git",
        ".github",
    ];
    let there: BTreeSet<_> = std::fs::read_dir(root())
        .expect("the crate's folder")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    for name in needed {
        assert!(there.contains(name), "{name} is missing");
    }
    for name in &there {
        assert!(
            needed.contains(&name.as_str()) || allowed.contains(&name.as_str()),
            "{name} does not belong at the top level"
        );
    }
}

#[cfg(unix)]
#[test]
fn scripts_can_be_run_and_say_how() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut scripts = files_under("scripts");
    scripts.push(root().join(".ci/run"));
    for script in scripts {
        let place = relative(&script);
        let mode = std::fs::metadata(&script)
            .expect("the script")
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111, "{place} is not executable");
        let text = read(&script);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#!/usr/bin/env bash"), "{place}");
        let usage = lines.next().unwrap_or_default();
        assert!(
            usage.starts_with(&format!("# usage: {place}")),
            "{place}: the second line tells the usage"
        );
    }
}

/// Licences, banned crates and sources of what is built on this machine, by the lists of deny.toml.
#[test]
fn dependencies_are_what_deny_toml_allows() {
    let rules: toml::Table = read(&root().join("deny.toml"))
        .parse()
        .expect("deny.toml is TOML");
    let strings = |value: &toml::Value| -> Vec<String> {
        let values = value.as_array().into_iter().flatten();
        values
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect()
    };
    let allowed = strings(&rules["licenses"]["allow"]);
    let banned: Vec<_> = rules["bans"]["deny"]
        .as_array()
        .expect("bans.deny")
        .iter()
        .filter_map(|ban| ban["crate"].as_str())
        .collect();
    assert!(allowed.len() > 3 && banned.len() > 3);

    let mut problems = Vec::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap_or_default();
        let version = package["version"].as_str().unwrap_or_default();
        let license = package["license"].as_str().unwrap_or_default();
        if !is_allowed(license, &allowed) {
            problems.push(format!(
                "{name} {version}: the licence {license:?} is not in deny.toml"
            ));
        }
        for ban in &banned {
            let (banned_name, banned_version) = ban.split_once('@').unwrap_or((ban, ""));
            if name == banned_name && version.starts_with(banned_version) {
                problems.push(format!("{name} {version} is banned by deny.toml"));
            }
        }
        match package["source"].as_str() {
            None if name == env!("CARGO_PKG_NAME") => {}
            Some(source) if source.starts_with("registry+https://github.com/rust-lang/") => {}
            other => problems.push(format!("{name} {version} comes from {other:?}")),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The packages of Cargo.lock that this machine's build uses, as `cargo metadata` tells them.
fn packages() -> Vec<Value> {
    let cargo = env!("CARGO");
    let version = Command::new(cargo)
        .arg("-vV")
        .output()
        .expect("cargo can be run");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("the host's name");
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--filter-platform",
            host,
        ])
        .current_dir(root())
        .output()
        .expect("cargo can be run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let used: BTreeSet<_> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("the graph")
        .iter()
        .filter_map(|node| node["id"].as_str())
        .collect();
    assert!(used.len() > 50);
    let packages = metadata["packages"]
        .as_array()
        .expect("the packages")
        .iter();
    packages
        .filter(|package| package["id"].as_str().is_some_and(|id| used.contains(id)))
        .cloned()
        .collect()
}

/// An SPDX expression: one alternative of `OR` whose every part of `AND` is allowed. Brackets bind as written.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut depth = 0;
    for (operator, all) in [(" OR ", false), (" AND ", true)] {
        let mut parts = Vec::new();
        let mut begin = 0;
        for (at, c) in expression.char_indices() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ if depth == 0 && expression[at..].starts_with(operator) => {
                    parts.push(&expression[begin..at]);
                    begin = at + operator.len();
                }
                _ => {}
            }
        }
        if !parts.is_empty() {
            parts.push(&expression[begin..]);
            let mut parts = parts.into_iter();
            return match all {
                true => parts.all(|part| is_allowed(part, allowed)),
                false => parts.any(|part| is_allowed(part, allowed)),
            };
        }
    }
    let name = expression.trim();
    match name
        .strip_prefix('(')
        .and_then(|inner| inner.strip_suffix(')'))
    {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.iter().any(|known| known == name),
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned(), "Apache-2.0".to_owned()];
    for (expression, answer) in [
        ("MIT", true),
        ("GPL-3.0 OR MIT", true),
        ("MIT/GPL-3.0", true),
        ("GPL-3.0 AND MIT", false),
        ("(MIT OR Apache-2.0) AND ISC", true),
        ("(MIT OR Apache-2.0) AND GPL-3.0", false),
        ("MIT OR (GPL-3.0 AND ISC)", true),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), answer, "{expression}");
    }
}

/// Every file of the repository below `folder`: what builds and caches leave behind is none of it.
fn files_under(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() {
                if !["target", ".git", "node_modules", "corpus"]
                    .iter()
                    .any(|skipped| name == *skipped)
                {
                    folders.push(path);
                }
            } else if name != ".git" {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn relative(file: &Path) -> String {
    file.strip_prefix(root())
        .unwrap_or(file)
        .to_string_lossy()
        .into_owned()
}

fn read(file: &Path) -> String {
    let bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    // Tables of generated data are no text, and hold no lines either.
    String::from_utf8(bytes).unwrap_or_default()
}
