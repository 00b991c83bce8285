//! `penstock.toml`: what a person decided, checked as a whole.
//!
//! [`load`] walks the file by hand, so that it tells every problem at once, each with its place and its cure, refuses keys that it
//! does not know, and never shows a secret. Relative paths are relative to the file.

mod problem;
mod secret;
mod sections;
#[cfg(test)]
mod tests;
mod walk;

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use problem::{Problem, Severity, render};
pub use secret::Secret;

/// The settings, complete and within their ranges.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file that they come from.
    pub file: PathBuf,
    pub source: Source,
    pub target: Target,
    /// The contract's file.
    pub contract: PathBuf,
    /// The state directory.
    pub state: PathBuf,
    /// Where `/metrics`, `/status` and the rest are served.
    pub listen: SocketAddr,
    pub snapshot: Snapshot,
    pub pipeline: Pipeline,
    pub mapping: Mapping,
    pub sink: Sink,
    pub verify: Verify,
    pub cutover: Cutover,
    /// `[cost]`: prices, for `check --cost`.
    pub cost: crate::cost::Prices,
}

/// `[source]`: the MySQL server.
#[derive(Debug, Clone)]
pub struct Source {
    pub host: String,
    pub port: u16,
    pub user: String,
    /// `None` logs in without a password.
    pub password: Option<Secret>,
    /// The database that unqualified tables of the contract are in.
    pub database: String,
    pub tls: Tls,
    /// Certificates (PEM) to trust instead of the system's.
    pub tls_ca: Option<PathBuf>,
    /// `None` derives one from the host and the settings.
    pub server_id: Option<u32>,
}

/// How a connection to MySQL is encrypted; the words are those of MySQL's `--ssl-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    Disabled,
    /// Encrypted where the server offers it.
    Preferred,
    Required,
    /// The certificate is signed by a trusted authority.
    VerifyCa,
    /// … and is made out to the host.
    VerifyIdentity,
}

/// `[target]`: DynamoDB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub endpoint: Endpoint,
    /// `None` leaves it to AWS's own settings.
    pub region: Option<String>,
    /// Put before every table's name.
    pub table_prefix: String,
}

/// What answers as DynamoDB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// The server inside this process, on this port of 127.0.0.1 (0 takes a free one).
    Embedded { port: u16 },
    /// An `http` or `https` URL.
    Url(String),
    /// AWS.
    Aws,
}

/// `[snapshot]`: the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Chunks that are read at the same time, each on a connection of its own.
    pub workers: usize,
    /// Rows in a chunk.
    pub chunk_rows: usize,
}

/// `[pipeline]`: what may be under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pipeline {
    /// The budget of the queues between MySQL and DynamoDB, in bytes.
    pub memory_bytes: usize,
}

/// `[mapping]`: what holds for all items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// NULL becomes DynamoDB's NULL; else the attribute is left out.
    pub write_nulls: bool,
    /// Attributes that others add to the items, and that stay when penstock writes: it updates items then, one in a request,
    /// instead of putting them in batches.
    pub preserve: Vec<String>,
}

/// `[sink]`: requests to DynamoDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sink {
    /// How long one request may take.
    pub request_timeout: Duration,
    /// An item that DynamoDB does not take for so long stops the stream.
    pub retry_for: Duration,
}

/// `[verify]`: comparisons of both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verify {
    /// Rows that are read from MySQL, a second; `None` is no limit.
    pub rows_per_second: Option<u64>,
    /// Read units of DynamoDB, a second; `None` is no limit.
    pub read_units_per_second: Option<u64>,
    /// Time between two full comparisons that the daemon makes by itself; `None`: only when asked.
    pub every: Option<Duration>,
}

/// `[cutover]`: what its gates tolerate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cutover {
    /// Behind the source when the drain begins.
    pub max_lag_seconds: u64,
    /// Since the source's last word.
    pub max_heartbeat_seconds: u64,
    /// Since the last checkpoint.
    pub max_checkpoint_seconds: u64,
    /// How long the drain may take.
    pub drain_within: Duration,
}

/// What answers for `password_env`.
pub type Environment = dyn Fn(&str) -> Option<String>;

/// Settings that can be used, and what is still to be said about them.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// Warnings only.
    pub warnings: Vec<Problem>,
}

/// Reads and checks a settings file, and the secrets that it names.
///
/// # Errors
/// All problems, warnings included, in the order of their places.
pub fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
    walk_through(path, &read(path)?, Some(&|name| std::env::var(name).ok()))
}

/// [`load`] for commands that never speak to MySQL: `source.password` is always `None`, and what would be read for it
/// need not be there.
pub fn load_without_secrets(path: &Path) -> Result<Loaded, Vec<Problem>> {
    walk_through(path, &read(path)?, None)
}

/// [`load`] for a text; `environment` answers for `password_env`.
pub fn parse(path: &Path, text: &str, environment: &Environment) -> Result<Loaded, Vec<Problem>> {
    walk_through(path, text, Some(environment))
}

/// No settings are larger.
const MOST_BYTES: u64 = 1 << 20;

fn read(path: &Path) -> Result<String, Vec<Problem>> {
    let problem =
        |message: String| {
            vec![Problem::of_file(path, message).with_help(
                "name the file with --config; config/penstock.toml is a complete example",
            )]
        };
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| problem(format!("the settings cannot be read: {e}")))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(problem("the file is too large for settings".into()));
    }
    String::from_utf8(bytes).map_err(|_| problem("the settings are not UTF-8 text".into()))
}

fn walk_through(
    path: &Path,
    text: &str,
    environment: Option<&Environment>,
) -> Result<Loaded, Vec<Problem>> {
    let mut walk = walk::Walk::new(path, text);
    let settings = sections::read(&mut walk, environment);
    let mut problems = walk.into_problems();
    problems.sort_by_key(|p| (p.line, p.column));
    match settings {
        Some(settings) if problems.iter().all(|p| p.severity == Severity::Warning) => Ok(Loaded {
            settings,
            warnings: problems,
        }),
        _ => Err(problems),
    }
}
