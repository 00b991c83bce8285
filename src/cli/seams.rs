//! Where the commands meet the rest of penstock: each function here is one call into source, plan, sink or daemon.

use super::{DemoOptions, Format, RunOptions};
use crate::config::{Settings, Severity};
use crate::error::{Error, Kind, Result};

/// What `check` looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    Contract,
    MySql,
    DynamoDb,
}

impl Area {
    /// The heading in the answer.
    pub fn title(self) -> &'static str {
        match self {
            Area::Contract => "contract",
            Area::MySql => "MySQL",
            Area::DynamoDb => "DynamoDB",
        }
    }
}

/// What `check` found in one area.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Section {
    pub area: Area,
    /// What was looked at, in a few words: `MySQL 9.7.4 at 127.0.0.1:3306`.
    pub subject: String,
    pub findings: Vec<Finding>,
}

/// One finding.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// `contract.json:12:5` or a setting's name.
    pub place: Option<String>,
    /// What to do: the SQL that cures it, or what to write instead. May have several lines.
    pub help: Option<String>,
    /// The whole as a compiler would show it, where the plain lines do not suffice.
    #[serde(skip)]
    pub rendered: Option<String>,
}

/// Looks at contract, MySQL and DynamoDB; with `offline` at the contract only.
pub async fn check(settings: &Settings, offline: bool) -> Result<Vec<Section>> {
    let _ = (settings, offline);
    Err(not_wired("check"))
}

/// The plan in this format.
pub async fn explain(settings: &Settings, offline: bool, format: Format) -> Result<String> {
    let _ = (settings, offline, format);
    Err(not_wired("explain"))
}

/// A DynamoDB table that the contract names.
#[derive(Debug, Clone, serde::Serialize)]
pub struct TableStep {
    pub table: String,
    pub step: Step,
    /// Keys and indexes, or what differs.
    pub detail: String,
}

/// What `provision` does (or would do) about a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// There, as the contract says.
    Present,
    /// Missing, and would be made.
    WouldCreate,
    Created,
    /// There with other keys or indexes; never changed by penstock.
    Differs,
}

/// Makes what is missing, if `create`.
pub async fn provision(settings: &Settings, create: bool) -> Result<Vec<TableStep>> {
    let _ = (settings, create);
    Err(not_wired("provision"))
}

/// The daemon, until it ends; returns once everything in flight is durable or given up.
pub fn run(settings: Settings, options: &RunOptions) -> Result<()> {
    let _ = (settings, options);
    Err(not_wired("run"))
}

/// The demo.
pub fn demo(options: &DemoOptions) -> Result<()> {
    let _ = options;
    Err(not_wired("demo"))
}

fn not_wired(command: &str) -> Error {
    Error::new(
        Kind::Unsupported,
        format!("`penstock {command}` is not in this build"),
    )
}
