use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

const GOOD: &str = "[source]\nuser = \"u\"\ndatabase = \"shop\"\npassword_env = \"PW\"\n\
    [contract]\npath = \"c.json\"\n[state]\npath = \"state\"\n";

fn environment(name: &str) -> Option<String> {
    (name == "PW").then(|| "hunter2".to_string())
}

fn parse_text(text: &str) -> Result<Loaded, Vec<Problem>> {
    parse(Path::new("/etc/penstock/penstock.toml"), text, &environment)
}

fn good(text: &str) -> Loaded {
    parse_text(text).unwrap_or_else(|p| panic!("{}", render(&p)))
}

fn problems(text: &str) -> Vec<Problem> {
    match parse_text(text) {
        Err(problems) => problems,
        Ok(loaded) => panic!("accepted: {:?}", loaded.settings),
    }
}

/// The one problem that `more` adds to good settings.
fn only(more: &str) -> Problem {
    let mut found = problems(&format!("{GOOD}{more}"));
    assert_eq!(found.len(), 1, "{}", render(&found));
    found.remove(0)
}

/// The one problem of [source] with a line in it.
fn only_source(line: &str) -> Problem {
    let mut found = problems(&GOOD.replace("[contract]", &format!("{line}\n[contract]")));
    assert_eq!(found.len(), 1, "{}", render(&found));
    found.remove(0)
}

#[test]
fn defaults_and_paths_beside_the_file() {
    let loaded = good(GOOD);
    let settings = loaded.settings;
    assert!(loaded.warnings.is_empty());
    assert_eq!(settings.source.host, "127.0.0.1");
    assert_eq!(settings.source.port, 3306);
    assert_eq!(settings.source.tls, Tls::Preferred);
    assert_eq!(settings.source.password, Some(Secret::new("hunter2")));
    assert_eq!(settings.contract, Path::new("/etc/penstock/c.json"));
    assert_eq!(settings.state, Path::new("/etc/penstock/state"));
    assert_eq!(settings.target.endpoint, Endpoint::Aws);
    assert_eq!(settings.listen.to_string(), "127.0.0.1:9464");
    assert_eq!(
        settings.snapshot,
        Snapshot {
            workers: 4,
            chunk_rows: 10_000
        }
    );
    assert_eq!(settings.pipeline.memory_bytes, 64 << 20);
    assert_eq!(settings.sink.request_timeout, Duration::from_secs(10));
    assert_eq!(settings.sink.retry_for, Duration::from_secs(900));
    assert!(!settings.mapping.write_nulls);
}

#[test]
fn every_key_is_read() {
    let text = "[source]\nhost=\"db\"\nport=3307\nuser=\"u\"\npassword_env=\"PW\"\ndatabase=\"d\"\ntls=\"required\"\n\
        server_id=7\nauth=\"password\"\n[target]\nendpoint=\"http://localhost:8000/\"\nregion=\"eu-west-1\"\n\
        table_prefix=\"t-\"\n[contract]\npath=\"/c\"\n[state]\npath=\"/s\"\n[metrics]\nlisten=\"[::1]:1\"\n\
        [snapshot]\nworkers=2\nchunk_rows=500\n[pipeline]\nmemory_mb=0x10\n[mapping]\nnulls=\"null\"\n\
        [sink]\nrequest_timeout_ms=500\nretry_for_s=60\n\
        [cutover]\nmax_lag_s=1\nmax_heartbeat_age_s=2\nmax_checkpoint_age_s=3\ndrain_within_s=4\n\
        [cost]\ncurrency=\"EUR\"\nmillion_writes=1\nwrite_unit_hour=0.5\ngigabyte_month=0\n";
    let s = good(text).settings;
    assert_eq!((s.source.host.as_str(), s.source.port), ("db", 3307));
    assert_eq!((s.source.tls, s.source.server_id), (Tls::Required, Some(7)));
    assert_eq!(
        s.target.endpoint,
        Endpoint::Url("http://localhost:8000".into())
    );
    assert_eq!(s.target.region.as_deref(), Some("eu-west-1"));
    assert_eq!(s.target.table_prefix, "t-");
    assert_eq!(s.contract, Path::new("/c"));
    assert_eq!(s.listen.to_string(), "[::1]:1");
    assert_eq!(
        s.snapshot,
        Snapshot {
            workers: 2,
            chunk_rows: 500
        }
    );
    assert_eq!(s.pipeline.memory_bytes, 16 << 20);
    assert!(s.mapping.write_nulls);
    assert_eq!(s.sink.request_timeout, Duration::from_millis(500));
    assert_eq!(s.sink.retry_for, Duration::from_secs(60));
    assert_eq!(
        s.cutover,
        Cutover {
            max_lag_seconds: 1,
            max_heartbeat_seconds: 2,
            max_checkpoint_seconds: 3,
            drain_within: Duration::from_secs(4),
        }
    );
    let prices = crate::cost::Prices {
        currency: Some("EUR".into()),
        million_writes: Some(1.0),
        write_unit_hour: Some(0.5),
        gigabyte_month: Some(0.0),
    };
    assert_eq!(s.cost, prices);
}

#[test]
fn all_problems_at_once_in_the_order_of_the_file() {
    let found = problems(
        "[source]\nprot = 3306\nuser = 7\ndatabase = \"\"\npassword_env = \"PW\"\ntls = \"requierd\"\n\
         [state]\n[snapshot]\nworkers = 0\nchunk_rows = 1.5\n[pipelines]\n[cutover]\nmax_lag_s = 0\n[metrics]\nlisten = \"9464\"\n[cost]\nmillion_writes = -1.5\nwrite_unit_hour = \"x\"\n",
    );
    let text = render(&found);
    for wanted in [
        "[source] has no key `prot`",
        "did you mean `port`?",
        "`user` is a whole number",
        "`database` is empty",
        "did you mean \"required\"?",
        "`path` is missing in [state]",
        "`path` is missing: there is no section [contract]",
        "`workers` is out of range",
        "write a number from 1 to 64",
        "`chunk_rows` is a number with a fraction",
        "there is no section [pipelines]",
        "did you mean [pipeline]?",
        "`max_lag_s` is out of range",
        "`listen` is not an address with a port",
        "`million_writes` is no price",
        "`write_unit_hour` is a text",
    ] {
        assert!(text.contains(wanted), "{wanted}\nnot in\n{text}");
    }
    assert!(found.is_sorted_by_key(|p| p.line), "{text}");
    assert!(found.iter().all(|p| p.help.is_some()), "{text}");
}

#[test]
fn a_problem_points_at_its_place() {
    let problem = only("[snapshot]\n  workers = 100\n");
    assert_eq!((problem.line, problem.column), (10, 13));
    assert_eq!(problem.key, "snapshot.workers");
    assert_eq!(
        render(&[problem]),
        "error: `workers` is out of range\n  --> /etc/penstock/penstock.toml:10:13  (snapshot.workers)\n    |\n \
         10 |   workers = 100\n    |             ^^^\n  help: write a number from 1 to 64\n\n"
    );
}

#[test]
fn what_is_for_later_versions_is_refused_by_name() {
    assert!(
        only("[sink]\nfence = true\n")
            .message
            .contains("sink.fence is not in this version")
    );
    assert!(
        only("[mapping]\npreserve = [\"ttl\", 7]\n")
            .message
            .contains("`preserve` is a")
    );
    assert!(
        only_source("auth = \"rds-iam\"")
            .message
            .contains("rds-iam")
    );
}

#[test]
fn a_password_in_the_settings_is_refused_and_never_shown() {
    let problem = only_source("password = \"s3cret\"");
    let text = render(&[problem]);
    assert!(text.contains("password_env"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    for broken in [
        "password = \"s3cret",
        "pasword = \"s3cret\"",
        "password: s3cret",
    ] {
        let text = render(&problems(
            &GOOD.replace("[contract]", &format!("{broken}\n[contract]")),
        ));
        assert!(!text.contains("s3cret"), "{text}");
    }
    assert!(!format!("{:?}", good(GOOD).settings).contains("hunter2"));
}

#[test]
fn where_the_password_is_must_be_there() {
    let text = GOOD.replace("\"PW\"", "\"OTHER\"");
    assert!(problems(&text)[0].message.contains("no variable"));
    assert!(
        only_source("password_file = \"x\"")
            .message
            .contains("exclude each other")
    );
    let none = good(&GOOD.replace("password_env = \"PW\"\n", ""));
    assert_eq!(none.settings.source.password, None);
    assert!(none.warnings[0].message.contains("without one"));
}

#[test]
fn a_password_file_is_looked_for_among_the_services_credentials_first() {
    let (credentials, etc) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let directory = credentials.path().display().to_string();
    let environment =
        move |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| directory.clone());
    let text = GOOD.replace("password_env = \"PW\"", "password_file = \"pw\"");
    let password = || {
        let loaded = parse(&etc.path().join("penstock.toml"), &text, &environment);
        loaded.ok().and_then(|l| l.settings.source.password)
    };
    assert_eq!(password(), None);
    fs::write(etc.path().join("pw"), "of the shell").unwrap();
    assert_eq!(password(), Some(Secret::new("of the shell")));
    fs::write(credentials.path().join("pw"), "of the service").unwrap();
    assert_eq!(password(), Some(Secret::new("of the service")));
}

#[test]
fn a_password_file_is_read_and_its_mode_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pw");
    fs::write(&file, "geheim \n").unwrap();
    let text = GOOD.replace(
        "password_env = \"PW\"",
        &format!("password_file = {:?}", file.display().to_string()),
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let loaded = good(&text);
    assert_eq!(
        loaded.settings.source.password,
        Some(Secret::new("geheim "))
    );
    assert!(loaded.warnings.is_empty());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(
        good(&text).warnings[0]
            .help
            .as_ref()
            .unwrap()
            .starts_with("chmod 600")
    );
    fs::remove_file(&file).unwrap();
    assert!(problems(&text)[0].message.contains("cannot be read"));
}

#[test]
fn endpoints() {
    let endpoint = |text: &str| {
        good(&format!("{GOOD}[target]\n{text}\n"))
            .settings
            .target
            .endpoint
    };
    assert_eq!(
        endpoint("endpoint = \"embedded\""),
        Endpoint::Embedded { port: 0 }
    );
    assert_eq!(
        endpoint("endpoint = \"embedded\"\nembedded_port = 8000"),
        Endpoint::Embedded { port: 8000 }
    );
    for bad in ["embeded", "localhost:8000", "ftp://x", "http://", ""] {
        let problem = only(&format!("[target]\nendpoint = \"{bad}\"\n"));
        assert_eq!(problem.key, "target.endpoint", "{bad}");
    }
    let text = render(&[only("[target]\nendpoint = \"http://key:s3cret@host\"\n")]);
    assert!(!text.contains("s3cret"), "{text}");
    assert_eq!(
        only("[target]\nembedded_port = 1\n").key,
        "target.embedded_port"
    );
    assert_eq!(
        only("[target]\ntable_prefix = \"a b\"\n").key,
        "target.table_prefix"
    );
}

#[test]
fn broken_toml_is_told_with_its_place_and_nothing_panics() {
    let problem = &problems(&format!("{GOOD}[metrics\nlisten = \"127.0.0.1:1\"\n"))[0];
    assert_eq!(problem.line, 9);
    let mut random = fastrand::Rng::with_seed(7);
    let pieces = [
        "[", "]", "=", "\"", "\n", "source", ".", "ü", "user", "1", "{", "'''", "\\u", " ",
    ];
    for _ in 0..2_000 {
        let text: String = (0..random.usize(0..30))
            .map(|_| pieces[random.usize(0..pieces.len())])
            .collect();
        // A seed is not needed to see it again: the text is told.
        assert!(parse_text(&text).is_err(), "{text:?}");
    }
}

#[test]
fn other_machines_may_ask_is_warned_about() {
    let loaded = good(&format!("{GOOD}[metrics]\nlisten = \"0.0.0.0:9464\"\n"));
    assert!(loaded.warnings[0].message.contains("other machines"));
}

#[test]
fn tls_ca_must_exist_and_be_used() {
    let cure = only_source("tls_ca = \"/nowhere/ca.pem\"").help.unwrap();
    assert!(cure.contains("PEM"));
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    fs::write(&ca, "x").unwrap();
    let line = format!("tls_ca = {:?}", ca.display().to_string());
    let text = GOOD.replace("[contract]", &format!("{line}\n[contract]"));
    assert!(good(&text).warnings[0].message.contains("not used"));
    let text = GOOD.replace(
        "[contract]",
        &format!("{line}\ntls = \"verify-ca\"\n[contract]"),
    );
    assert!(good(&text).warnings.is_empty());
}

#[test]
fn the_example_is_complete_and_loads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/penstock.toml");
    let text = fs::read_to_string(&path).unwrap();
    let loaded = parse(&path, &text, &environment).unwrap_or_else(|p| panic!("{}", render(&p)));
    assert_eq!(
        loaded.settings.target.endpoint,
        Endpoint::Embedded { port: 0 }
    );
    // With the comments opened it must still be right: they are what people will switch on.
    let opened: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if rest.contains(" = ")
                    && !rest.contains("password_file")
                    && !rest.contains("tls_ca") =>
            {
                format!("{rest}\n").replace("PENSTOCK_PASSWORD", "PW")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let opened = parse(&path, &opened, &environment).unwrap_or_else(|p| panic!("{}", render(&p)));
    assert!(opened.warnings.is_empty(), "{}", render(&opened.warnings));
    assert_eq!(opened.settings.snapshot, loaded.settings.snapshot);
    assert_eq!(opened.settings.pipeline, loaded.settings.pipeline);
    assert_eq!(opened.settings.sink, loaded.settings.sink);
    assert_eq!(opened.settings.listen, loaded.settings.listen);
}
