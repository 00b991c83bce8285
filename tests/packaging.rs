//! What a package holds is there, and the settings that come with it are settings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use yaml_rust2::{Yaml, YamlLoader};

use crate::documents::links;
use crate::support::daemon::Daemon;
use crate::support::mysql::Server;
use crate::support::stub::{Faults, Stub};
use crate::support::{missing, root};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Yaml {
    let documents = YamlLoader::load_from_str(&read(path));
    let mut documents = documents.unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(documents.len(), 1, "{path}");
    documents.remove(0)
}

/// Man pages and completions, in a folder of their own.
fn generated() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_penstock"))
        .arg("generate")
        .arg(folder.path())
        .output()
        .expect("penstock can be run");
    assert!(output.status.success(), "{output:?}");
    folder
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

#[test]
fn there_is_a_man_page_for_each_command_and_a_completion_for_each_shell() {
    let folder = generated();
    let help = Command::new(env!("CARGO_BIN_EXE_penstock"))
        .arg("--help")
        .output();
    let help = String::from_utf8(help.expect("the help").stdout).expect("text");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: BTreeSet<_> = commands
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(
        commands.len() > 6 && !commands.contains("generate"),
        "{commands:?}"
    );
    let pages = names(&folder.path().join("man"));
    for command in &commands {
        assert!(
            pages.contains(&format!("penstock-{command}.1")),
            "{command}: {pages:?}"
        );
    }
    assert!(
        pages.contains("penstock.1") && !pages.contains("penstock-generate.1"),
        "{pages:?}"
    );
    let page = std::fs::read_to_string(folder.path().join("man/penstock-run.1")).expect("a page");
    assert!(
        page.contains(".TH penstock-run 1") && page.contains("until\\-caught\\-up"),
        "{page}"
    );
    for name in ["penstock.bash", "_penstock", "penstock.fish"] {
        let text = std::fs::read_to_string(folder.path().join("completions").join(name));
        let text = text.expect("a completion");
        assert!(
            commands.iter().all(|command| text.contains(command)),
            "{name}"
        );
    }
}

#[test]
fn every_asset_of_the_debian_package_is_there() {
    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let deb = &manifest["package"]["metadata"]["deb"];
    let generated = generated();
    let assets = deb["assets"].as_array().expect("assets");
    let mut targets = BTreeSet::new();
    for asset in assets {
        let part = |at: usize| asset[at].as_str().expect("text");
        let (source, target) = (part(0), part(1));
        let name = source.rsplit('/').next().unwrap_or_default();
        targets.insert(if target.ends_with('/') {
            format!("{target}{name}")
        } else {
            target.to_owned()
        });
        if source == "target/release/penstock" {
            continue;
        }
        let file = match source.strip_prefix("target/package/") {
            Some(made) => generated.path().join(made),
            None => root().join(source),
        };
        let (folder, name) = (
            file.parent().expect("a folder"),
            file.file_name().expect("a name"),
        );
        let (begin, end) = name
            .to_str()
            .expect("text")
            .split_once('*')
            .unwrap_or((name.to_str().expect("text"), ""));
        let there = names(folder)
            .iter()
            .any(|n| n.starts_with(begin) && n.ends_with(end));
        assert!(there, "{source} is not there");
    }
    for needed in [
        "usr/bin/penstock",
        "etc/penstock/penstock.toml",
        "usr/lib/sysusers.d/penstock.conf",
        "usr/share/man/man1/*.1",
    ] {
        assert!(targets.contains(needed), "{needed}: {targets:?}");
    }
    // cargo-deb has systemd-sysusers read the file by the name that it has here.
    for asset in assets
        .iter()
        .filter(|asset| asset[1].as_str().is_some_and(|t| t.contains("sysusers.d")))
    {
        assert!(
            asset[0]
                .as_str()
                .is_some_and(|s| s.ends_with("/penstock.conf")),
            "{asset}"
        );
    }
    for conffile in deb["conf-files"].as_array().expect("conf-files") {
        let path = conffile.as_str().expect("text").trim_start_matches('/');
        assert!(targets.contains(path), "{path} is no asset");
    }
    // cargo-deb looks for <unit-name>.service there, and for the scripts by their names.
    let unit = &deb["systemd-units"];
    let folder = unit["unit-scripts"].as_str().expect("a folder");
    assert!(
        root()
            .join(folder)
            .join(format!(
                "{}.service",
                unit["unit-name"].as_str().expect("a name")
            ))
            .is_file()
    );
    let scripts = deb["maintainer-scripts"].as_str().expect("a folder");
    for script in ["postinst", "postrm"] {
        let text = read(&format!("{scripts}/{script}"));
        assert!(
            text.contains("\n#DEBHELPER#\n"),
            "{script}: cargo-deb adds the unit's part there"
        );
    }
    // The unit and the package agree about user, settings and state.
    let service = read("packaging/penstock.service");
    assert!(
        service.contains("User=penstock")
            && read("packaging/sysusers.d/penstock.conf").contains("\nu penstock ")
    );
    assert!(service.contains("PENSTOCK_CONFIG=/etc/penstock/penstock.toml"));
}

/// Whoever reads a page of the package finds what it links to.
#[test]
fn links_of_the_packages_pages_stay_within_it() {
    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array();
    // Where it lies in the package, and here.
    let mut installed = BTreeMap::new();
    for asset in assets.expect("assets") {
        let part = |at: usize| asset[at].as_str().expect("text");
        let (source, target) = (Path::new(part(0)), Path::new(part(1)));
        let (Some(folder), Some(name)) = (source.parent(), source.file_name()) else {
            continue;
        };
        let Some((begin, end)) = name.to_str().expect("text").split_once('*') else {
            let target = match part(1).ends_with('/') {
                true => target.join(name),
                false => target.to_owned(),
            };
            installed.insert(target, source.to_owned());
            continue;
        };
        if folder.starts_with("target") {
            continue;
        }
        for file in names(&root().join(folder)) {
            if file.starts_with(begin) && file.ends_with(end) {
                installed.insert(target.join(&file), folder.join(&file));
            }
        }
    }
    let (mut pages, mut missing) = (0, Vec::new());
    for (target, source) in &installed {
        if source.extension().is_none_or(|end| end != "md") {
            continue;
        }
        pages += 1;
        let text = read(source.to_str().expect("text"));
        for link in links(&text) {
            let path = link.split('#').next().unwrap_or_default();
            let to = target.parent().expect("a folder").join(path);
            if !path.is_empty() && !installed.contains_key(&to) {
                missing.push(format!("{}: {link}", source.display()));
            }
        }
    }
    assert!(pages > 10, "{installed:#?}");
    assert!(missing.is_empty(), "not in the package: {missing:#?}");
}

/// Settings are right where the only complaint is of a contract that is not there.
fn complaint(settings: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_penstock"))
        .arg("--config")
        .arg(root().join(settings))
        .args(["check", "--offline"])
        .env("NO_COLOR", "1")
        .output()
        .expect("penstock can be run");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn the_settings_that_come_with_it_are_settings() {
    for settings in ["packaging/penstock.toml", "packaging/compose/penstock.toml"] {
        let said = complaint(settings);
        assert!(
            said.contains("/etc/penstock/migrationContract.json"),
            "{settings}: {said}"
        );
    }
    let service = read("packaging/penstock.service");
    let file = read("packaging/penstock.toml");
    assert!(file.contains("password_file = \"mysql-password\""));
    assert!(service.contains("LoadCredential=mysql-password:/etc/penstock/mysql-password"));
}

#[test]
fn the_composition_names_files_that_are_there_and_listens_at_home() {
    let compose = yaml("packaging/compose.yaml");
    let services = compose["services"].as_hash().expect("services");
    let names: Vec<_> = services.keys().filter_map(Yaml::as_str).collect();
    assert_eq!(names, ["mysql", "penstock", "prometheus", "grafana"]);
    let volumes = compose["volumes"].as_hash().expect("volumes");
    for (name, service) in services {
        let name = name.as_str().expect("a name");
        let image = service["image"].as_str();
        let pinned = image.is_some_and(|image| image.contains(':') && !image.ends_with("latest"));
        assert!(
            pinned || service["build"]["dockerfile"].as_str() == Some("packaging/Dockerfile"),
            "{name}"
        );
        for port in service["ports"].as_vec().expect("ports") {
            assert!(
                port.as_str().is_some_and(|p| p.starts_with("127.0.0.1:")),
                "{name}: {port:?}"
            );
        }
        for volume in service["volumes"].as_vec().into_iter().flatten() {
            let from = volume
                .as_str()
                .and_then(|v| v.split(':').next())
                .expect("a volume");
            let there = match from.starts_with('.') {
                true => root().join("packaging").join(from).is_file(),
                false => volumes.contains_key(&Yaml::String(from.to_owned())),
            };
            assert!(there, "{name}: {from}");
        }
        let depends = match &service["depends_on"] {
            Yaml::Array(list) => list.iter().filter_map(Yaml::as_str).collect(),
            Yaml::Hash(map) => map.keys().filter_map(Yaml::as_str).collect(),
            _ => Vec::new(),
        };
        assert!(
            depends.iter().all(|other| names.contains(other)),
            "{name}: {depends:?}"
        );
    }
    // The parts find each other.
    let prometheus = yaml("packaging/compose/prometheus.yaml");
    let job = &prometheus["scrape_configs"][0];
    assert_eq!(job["job_name"].as_str(), Some("penstock"));
    assert_eq!(
        job["static_configs"][0]["targets"][0].as_str(),
        Some("penstock:9464")
    );
    let source = yaml("packaging/compose/grafana-datasource.yaml");
    assert_eq!(
        source["datasources"][0]["url"].as_str(),
        Some("http://prometheus:9090")
    );
    let path =
        &yaml("packaging/compose/grafana-dashboards.yaml")["providers"][0]["options"]["path"];
    let mounted = read("packaging/compose.yaml");
    assert!(mounted.contains(&format!(
        "penstock.json:{}/penstock.json",
        path.as_str().expect("a path")
    )));
    // The image is built from what it needs.
    for line in read("packaging/Dockerfile")
        .lines()
        .filter(|l| l.starts_with("COPY ") && !l.contains("--from"))
    {
        for file in line.split(' ').skip(1) {
            assert!(file == "./" || root().join(file).exists(), "{line}");
        }
    }
    assert!(read("packaging/Dockerfile").contains(&format!("FROM rust:{}-", toolchain())));
}

/// A word that is misspelt is no setting: docker would refuse the file, or leave out what was meant.
#[test]
fn the_composition_is_what_its_specification_says() {
    let Some(program) = std::env::var_os("PENSTOCK_CHECK_JSONSCHEMA") else {
        missing(
            "check-jsonschema, named by PENSTOCK_CHECK_JSONSCHEMA,",
            "schema",
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a directory");
    let complaints = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("the file");
        let output = Command::new(&program)
            .args(["--builtin-schema", "vendor.compose-spec"])
            .arg(&file)
            .output()
            .expect("check-jsonschema can be run");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), told)
    };
    let compose = read("packaging/compose.yaml");
    let (status, told) = complaints("compose.yaml", &compose);
    assert_eq!(status, Some(0), "{told}");
    for (right, wrong) in [
        ("healthcheck:", "healtcheck:"),
        ("condition: service_healthy", "condition: healthy"),
        ("retries: 60", "retry: 60"),
    ] {
        let changed = compose.replace(right, wrong);
        assert_ne!(changed, compose, "{right}");
        let (status, told) = complaints("wrong.yaml", &changed);
        assert_eq!(status, Some(1), "{wrong}: {told}");
    }
}

/// `1.95`, from rust-toolchain.toml.
fn toolchain() -> String {
    let file: toml::Table = read("rust-toolchain.toml").parse().expect("TOML");
    let channel = file["toolchain"]["channel"].as_str().expect("a channel");
    channel.split('.').take(2).collect::<Vec<_>>().join(".")
}

/// The tables of the composition's shop are the demo's, so that whoever changes the one changes the other.
#[test]
fn the_shop_of_the_composition_has_the_tables_of_the_demo() {
    let plain = |sql: &str| sql.split_whitespace().collect::<Vec<_>>().join(" ");
    let sql = read("packaging/compose/shop.sql");
    let made: Vec<String> = sql
        .split(";\n")
        .map(plain)
        .filter(|statement| statement.starts_with("CREATE TABLE"))
        .collect();
    assert_eq!(made, penstock::demo::sample::TABLES.map(plain));
}

/// The shop of the composition, in a MySQL here, is what its contract reads, and its account may do what it must.
#[tokio::test]
async fn the_shop_of_the_composition_is_the_contracts() {
    let database = Server::shared().database().await;
    let user = format!("compose{}", std::process::id());
    let sql = read("packaging/compose/shop.sql")
        .replace("'penstock'@", &format!("'{user}'@"))
        .replace("shop.*", &format!("`{}`.*", database.name))
        .replace("USE shop", &format!("USE `{}`", database.name));
    let statements: Vec<_> = sql
        .split(";\n")
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .collect();
    database.run(&statements).await;
    let contract = read("contracts/shop.json").replace("\"shop.", &format!("\"{}.", database.name));
    let stub = Stub::start(Faults::default());
    let mut daemon = Daemon::between(
        database.server.port(),
        &database.name,
        &stub.url(),
        &contract,
    );
    daemon
        .set("source", "user", &format!("{user:?}"))
        .set("source", "password_env", "\"COMPOSE_PASSWORD\"")
        .set("source", "tls", "\"required\"")
        .variable("COMPOSE_PASSWORD", "only-for-a-look");
    let provisioned = daemon.command(&["provision", "--yes"]);
    assert!(provisioned.status.success(), "{provisioned:?}");
    let checked = daemon.command(&["check"]);
    database.run(&[&format!("DROP USER '{user}'")]).await;
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stdout)
    );
}
