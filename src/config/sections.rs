//! The sections and their keys, each with its default, its range and its cure.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::walk::{Found, Section, Walk};
use super::{
    Cutover, Endpoint, Mapping, Pipeline, Secret, Settings, Sink, Snapshot, Source, Target, Tls,
    Verify,
};
use crate::cost::Prices;

const TLS: [(&str, Tls); 5] = [
    ("disabled", Tls::Disabled),
    ("preferred", Tls::Preferred),
    ("required", Tls::Required),
    ("verify-ca", Tls::VerifyCa),
    ("verify-identity", Tls::VerifyIdentity),
];
/// MySQL's longest database name.
const NAME_CHARS: usize = 64;
/// No password is longer; a larger file is not one.
const SECRET_BYTES: u64 = 64 * 1024;

/// `None` leaves secrets alone: not every command needs them, nor may everybody read them.
type Environment<'a> = Option<&'a super::Environment>;

/// All sections; `None` where something that is needed is missing or wrong.
pub(super) fn read(walk: &mut Walk, environment: Environment) -> Option<Settings> {
    let names = [
        "source", "target", "contract", "state", "metrics", "snapshot", "pipeline", "mapping",
        "sink", "verify", "cutover", "cost",
    ];
    let [
        source,
        target,
        contract,
        state,
        metrics,
        snapshot,
        pipeline,
        mapping,
        sink,
        verify,
        cutover,
        cost,
    ] = walk.sections(names, &[]);
    // Each is read before any `?`, so that all their problems are told.
    let source = read_source(walk, source, environment);
    let target = read_target(walk, target);
    let contract = read_path(walk, contract, "write path = \"migrationContract.json\"");
    let state = read_path(walk, state, "write path = \"/var/lib/penstock\"");
    let listen = read_metrics(walk, metrics);
    let snapshot = read_snapshot(walk, snapshot);
    let pipeline = read_pipeline(walk, pipeline);
    let mapping = read_mapping(walk, mapping);
    let sink = read_sink(walk, sink);
    let verify = read_verify(walk, verify);
    let cutover = read_cutover(walk, cutover);
    let cost = read_cost(walk, cost);
    Some(Settings {
        file: walk.path().to_path_buf(),
        source: source?,
        target: target?,
        contract: contract?,
        state: state?,
        listen,
        snapshot,
        pipeline,
        mapping,
        sink,
        verify,
        cutover,
        cost,
    })
}

fn read_source(walk: &mut Walk, mut s: Section, environment: Environment) -> Option<Source> {
    let host = s
        .text(walk, "host")
        .map_or_else(|| "127.0.0.1".to_string(), |f| f.value);
    let port = s.number(walk, "port", 1..=65_535).map_or(3306, |f| f.value);
    let user = s.needed(walk, "user", "write user = \"penstock\"");
    s.refused(
        walk,
        "password",
        "a password does not belong in the settings",
        "name where it is: password_env = \"PENSTOCK_PASSWORD\", or password_file = \"/run/secrets/mysql\"",
    );
    let password = read_password(walk, &mut s, environment);
    let database = s.needed(walk, "database", "write database = \"shop\"");
    if let Some(name) = database
        .as_ref()
        .filter(|f| f.value.chars().count() > NAME_CHARS)
    {
        walk.error(
            name,
            "`database` is too long",
            "MySQL's names have at most 64 characters",
        );
    }
    let tls = s.word(walk, "tls", &TLS);
    let tls_ca = s.text(walk, "tls_ca");
    let tls_mode = tls.as_ref().map_or(Tls::Preferred, |f| f.value);
    if let Some(ca) = &tls_ca {
        check_ca(walk, ca, tls_mode);
    }
    let server_id = s
        .number(walk, "server_id", 1..=u64::from(u32::MAX))
        .and_then(|f| u32::try_from(f.value).ok());
    let auth = s.word(walk, "auth", &[("password", true), ("rds-iam", false)]);
    if let Some(auth) = auth.filter(|f| !f.value) {
        walk.error(
            &auth,
            "auth = \"rds-iam\" is not in this version",
            "log in with a password: auth = \"password\"",
        );
    }
    s.finish(walk);
    let tls_ca = tls_ca.map(|f| beside(walk.path(), &f.value));
    Some(Source {
        host,
        port: u16::try_from(port).ok()?,
        user: user?.value,
        password,
        database: database?.value,
        tls: tls_mode,
        tls_ca,
        server_id,
    })
}

fn check_ca(walk: &mut Walk, ca: &Found<String>, tls: Tls) {
    let path = beside(walk.path(), &ca.value);
    if !path.is_file() {
        walk.error(
            ca,
            format!("there is no file {}", path.display()),
            "name a file with certificates in PEM",
        );
    } else if !matches!(tls, Tls::VerifyCa | Tls::VerifyIdentity) {
        walk.warn(
            ca,
            "`tls_ca` is not used: the certificate is not verified",
            "write tls = \"verify-ca\" or \"verify-identity\"",
        );
    }
}

fn read_password(walk: &mut Walk, s: &mut Section, environment: Environment) -> Option<Secret> {
    let neither = s.is_there()
        && ["password", "password_env", "password_file"]
            .iter()
            .all(|k| !s.has(k));
    let variable = s.text(walk, "password_env");
    let file = s.text(walk, "password_file");
    let environment = environment?;
    if neither {
        let at = s.place("password_env");
        walk.warn(
            &at,
            "there is no password: penstock logs in without one",
            "name where it is with password_env or password_file",
        );
    }
    match (variable, file) {
        (Some(_), Some(file)) => {
            walk.error(
                &file,
                "`password_env` and `password_file` exclude each other",
                "keep one of them",
            );
            None
        }
        (Some(variable), None) => {
            let value = environment(&variable.value);
            if value.is_none() {
                walk.error(
                    &variable,
                    "the environment has no variable of this name",
                    "set it before penstock starts, or use password_file",
                );
            }
            value.map(Secret::new)
        }
        (None, Some(file)) => read_password_file(walk, &file, environment),
        (None, None) => None,
    }
}

fn read_password_file(
    walk: &mut Walk,
    file: &Found<String>,
    environment: &super::Environment,
) -> Option<Secret> {
    use std::os::unix::fs::PermissionsExt as _;
    // A service is handed its credentials in a directory of their own: the same settings hold there and in a shell.
    let path = environment("CREDENTIALS_DIRECTORY")
        .map(|directory| Path::new(&directory).join(&file.value))
        .filter(|handed| handed.exists())
        .unwrap_or_else(|| beside(walk.path(), &file.value));
    let cure = "name a file that penstock's user can read and that holds the password only";
    let meta = match std::fs::metadata(&path) {
        Ok(meta) if meta.len() <= SECRET_BYTES => meta,
        Ok(_) => {
            walk.error(
                file,
                format!("{} is too large for a password", path.display()),
                cure,
            );
            return None;
        }
        Err(e) => {
            walk.error(
                file,
                format!("{} cannot be read: {e}", path.display()),
                cure,
            );
            return None;
        }
    };
    if meta.permissions().mode() & 0o004 != 0 {
        walk.warn(
            file,
            format!("everybody on this machine can read {}", path.display()),
            &format!("chmod 600 {}", path.display()),
        );
    }
    let read = std::fs::File::open(&path).and_then(|file| {
        let mut text = String::new();
        // What is read may be no file, and have no end.
        file.take(SECRET_BYTES).read_to_string(&mut text)?;
        Ok(text)
    });
    match read {
        // Editors end a file with a new line, and no password ends with one.
        Ok(text) => Some(Secret::new(text.trim_end_matches(['\n', '\r']))),
        Err(e) => {
            walk.error(
                file,
                format!("{} cannot be read: {e}", path.display()),
                cure,
            );
            None
        }
    }
}

fn read_target(walk: &mut Walk, mut s: Section) -> Option<Target> {
    let endpoint = s.text(walk, "endpoint");
    let region = s.text(walk, "region");
    let prefix = s.text(walk, "table_prefix");
    let port = s.number(walk, "embedded_port", 0..=65_535);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if let Some(prefix) = prefix
        .as_ref()
        .filter(|f| !f.value.chars().all(allowed) || f.value.len() > 200)
    {
        walk.error(
            prefix,
            "`table_prefix` cannot begin a DynamoDB table's name",
            "use at most 200 of A-Z, a-z, 0-9, '_', '-' and '.'",
        );
    }
    if let Some(region) = region.as_ref().filter(|f| f.value.trim().is_empty()) {
        walk.error(
            region,
            "`region` is empty",
            "write region = \"eu-central-1\", or leave the key out",
        );
    }
    let embedded = endpoint.as_ref().is_some_and(|f| f.value == "embedded");
    if let Some(port) = port.as_ref().filter(|_| !embedded) {
        walk.error(
            port,
            "`embedded_port` is for endpoint = \"embedded\" only",
            "remove it, or put the port into the endpoint's URL",
        );
    }
    s.finish(walk);
    let endpoint = match endpoint {
        None => Endpoint::Aws,
        Some(_) if embedded => Endpoint::Embedded {
            port: port.and_then(|f| u16::try_from(f.value).ok()).unwrap_or(0),
        },
        Some(url) => read_url(walk, &url)?,
    };
    Some(Target {
        endpoint,
        region: region.map(|f| f.value),
        table_prefix: prefix.map(|f| f.value).unwrap_or_default(),
    })
}

fn read_url(walk: &mut Walk, url: &Found<String>) -> Option<Endpoint> {
    let uri = url.value.parse::<axum::http::Uri>().ok();
    let scheme = uri.as_ref().and_then(|u| u.scheme_str());
    let authority = uri.as_ref().and_then(|u| u.authority());
    if !matches!(scheme, Some("http" | "https")) || authority.is_none_or(|a| a.host().is_empty()) {
        walk.error(
            url,
            "`endpoint` is neither \"embedded\" nor a URL",
            "write \"embedded\", or \"http://127.0.0.1:8000\", or leave the key out for AWS",
        );
        return None;
    }
    if authority.is_some_and(|a| a.as_str().contains('@')) {
        walk.error(
            url,
            "`endpoint` holds a user or a password",
            "leave credentials to AWS's own settings (environment, profile, role)",
        );
        return None;
    }
    Some(Endpoint::Url(url.value.trim_end_matches('/').to_string()))
}

fn read_path(walk: &mut Walk, mut s: Section, help: &str) -> Option<PathBuf> {
    let path = s.needed(walk, "path", help);
    s.finish(walk);
    path.map(|f| beside(walk.path(), &f.value))
}

fn read_metrics(walk: &mut Walk, mut s: Section) -> SocketAddr {
    let default = SocketAddr::from(([127, 0, 0, 1], 9464));
    let listen = s.text(walk, "listen");
    s.finish(walk);
    let Some(listen) = listen else { return default };
    match listen.value.parse::<SocketAddr>() {
        Ok(address) => {
            if !address.ip().is_loopback() {
                walk.warn(
                    &listen,
                    "metrics and status can be read from other machines, without a password",
                    "write \"127.0.0.1:9464\", or let a firewall decide who may ask",
                );
            }
            address
        }
        Err(_) => {
            walk.error(
                &listen,
                "`listen` is not an address with a port",
                "write \"127.0.0.1:9464\" or \"[::1]:9464\"",
            );
            default
        }
    }
}

fn read_snapshot(walk: &mut Walk, mut s: Section) -> Snapshot {
    let workers = s.number(walk, "workers", 1..=64).map_or(4, |f| f.value);
    let chunk_rows = s
        .number(walk, "chunk_rows", 100..=1_000_000)
        .map_or(10_000, |f| f.value);
    s.finish(walk);
    Snapshot {
        workers: size(workers),
        chunk_rows: size(chunk_rows),
    }
}

fn read_pipeline(walk: &mut Walk, mut s: Section) -> Pipeline {
    let megabytes = s
        .number(walk, "memory_mb", 8..=65_536)
        .map_or(64, |f| f.value);
    s.finish(walk);
    Pipeline {
        memory_bytes: size(megabytes << 20),
    }
}

fn read_mapping(walk: &mut Walk, mut s: Section) -> Mapping {
    let nulls = s.word(walk, "nulls", &[("omit", false), ("null", true)]);
    let preserve = s.texts(walk, "preserve");
    if let Some(names) = &preserve
        && names.value.iter().any(String::is_empty)
    {
        walk.error(
            names,
            "`preserve` names an attribute without a name",
            "write preserve = [\"ttl\"]",
        );
    }
    s.finish(walk);
    Mapping {
        write_nulls: nulls.is_some_and(|f| f.value),
        preserve: preserve.map(|f| f.value).unwrap_or_default(),
    }
}

fn read_sink(walk: &mut Walk, mut s: Section) -> Sink {
    let timeout = s
        .number(walk, "request_timeout_ms", 100..=120_000)
        .map_or(10_000, |f| f.value);
    let retry_for = s
        .number(walk, "retry_for_s", 1..=604_800)
        .map_or(900, |f| f.value);
    s.refused(
        walk,
        "fence",
        "sink.fence is not in this version",
        "remove it, and make sure that one penstock only writes these tables",
    );
    s.finish(walk);
    Sink {
        request_timeout: Duration::from_millis(timeout),
        retry_for: Duration::from_secs(retry_for),
    }
}

fn read_verify(walk: &mut Walk, mut s: Section) -> Verify {
    let mut number = |key, most| {
        let found = s.number(walk, key, 0..=most).map(|f| f.value);
        found.filter(|n| *n > 0)
    };
    let verify = Verify {
        rows_per_second: number("rows_per_second", 100_000_000),
        read_units_per_second: number("read_units_per_second", 100_000_000),
        every: number("every_s", 31_536_000).map(Duration::from_secs),
    };
    s.finish(walk);
    verify
}

fn read_cutover(walk: &mut Walk, mut s: Section) -> Cutover {
    let mut seconds = |key, default| s.number(walk, key, 1..=86_400).map_or(default, |f| f.value);
    let cutover = Cutover {
        max_lag_seconds: seconds("max_lag_s", 10),
        max_heartbeat_seconds: seconds("max_heartbeat_age_s", 30),
        max_checkpoint_seconds: seconds("max_checkpoint_age_s", 60),
        drain_within: Duration::from_secs(seconds("drain_within_s", 300)),
    };
    s.finish(walk);
    cutover
}

fn read_cost(walk: &mut Walk, mut s: Section) -> Prices {
    let currency = s.text(walk, "currency");
    let mut price = |key| s.price(walk, key).map(|f| f.value);
    let prices = Prices {
        currency: currency.map(|f| f.value),
        million_writes: price("million_writes"),
        write_unit_hour: price("write_unit_hour"),
        gigabyte_month: price("gigabyte_month"),
    };
    s.finish(walk);
    prices
}

/// A path as written, relative to the settings file.
fn beside(settings: &Path, path: &str) -> PathBuf {
    settings.parent().unwrap_or(Path::new("")).join(path)
}

fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
