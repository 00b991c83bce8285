//! A migration's summary, gathered from its state directory alone: the mirror of the checkpoint, the audit log, and the reports
//! that comparisons and cutovers have left. Holds no row values and no source keys.

mod cleanup;
mod markdown;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

pub use cleanup::Cleanup;
pub use markdown::markdown;

use crate::checkpoint::{AuditEntry, Checkpoint, audit_log, mirrored, now_unix_ms};
use crate::config::Settings;
use crate::cutover::{self, Gate, Standing, State};
use crate::daemon::{MADE, PAUSE, RESNAPSHOT, fact_of};
use crate::error::{Error, Kind, Result};
use crate::verify;
use crate::words::counted;

/// What the audit log calls a copy that begins, and one that is complete.
pub const COPY_BEGUN: &str = "copy: begun";
pub const COPIED: &str = "copy: complete";

/// The detail of [`COPIED`].
pub fn copied(checkpoint: &Checkpoint) -> String {
    let tables = checkpoint.snapshot.len();
    let rows: u64 = checkpoint.snapshot.iter().map(|t| t.rows).sum();
    format!(
        "{} of {}",
        counted(rows, "row"),
        counted(tables as u64, "table")
    )
}

/// The whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Migration {
    pub penstock: String,
    pub made_unix_ms: u64,
    /// Where it stands: nothing copied yet, copying, running, cut over.
    pub state: Stand,
    pub state_directory: String,
    pub source: String,
    pub target: String,
    pub plan_fingerprint: String,
    pub position: String,
    pub stages: Vec<Stage>,
    pub tables: Vec<Table>,
    pub counts: Counts,
    /// Reports of comparisons that are still there, the oldest first.
    pub comparisons: Vec<Comparison>,
    /// As they were with the sink sealed.
    pub gates: Vec<Gate>,
    /// Files of cutovers, the oldest first.
    pub cutovers: Vec<String>,
    /// What was done, the oldest first.
    pub audit: Vec<AuditEntry>,
    /// What is left to do.
    pub cleanup: Vec<Cleanup>,
}

/// How far a migration is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    #[default]
    NothingYet,
    Copying,
    Running,
    CutOver,
}

/// One stage. What is not known is null: the log of an earlier version, or of a directory that was set aside.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stage {
    pub name: String,
    pub begun_unix_ms: Option<u64>,
    pub ended_unix_ms: Option<u64>,
    pub seconds: Option<f64>,
    pub detail: String,
}

/// A table that was copied.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    pub table: String,
    pub state: String,
    pub rows: u64,
}

/// Figures of all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub rows_copied: u64,
    /// Transactions between the last start and the cutover.
    pub transactions: Option<u64>,
    /// Items compared at the cutover once more.
    pub items_compared: Option<u64>,
    pub dead_letters: u64,
    pub resnapshots: u64,
    pub pauses: u64,
    pub cutovers: u64,
}

/// A comparison of both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    pub file: String,
    pub compared: String,
    pub started_unix_ms: u64,
    pub seconds: Option<f64>,
    pub items: u64,
    pub mismatches: BTreeMap<String, u64>,
    pub undecided: u64,
    pub repaired: u64,
    pub clean: bool,
}

/// Gathers it.
///
/// # Errors
/// `Store` where something is there and cannot be read.
pub fn gather(settings: &Settings) -> Result<Migration> {
    // The summary is read elsewhere than where it was made.
    let state = &std::path::absolute(&settings.state).unwrap_or_else(|_| settings.state.clone());
    let audit = audit_log(state)?;
    let found = mirrored(state)?;
    let mut migration = Migration {
        penstock: env!("CARGO_PKG_VERSION").to_owned(),
        made_unix_ms: now_unix_ms(),
        state_directory: state.display().to_string(),
        source: format!("{}:{}", settings.source.host, settings.source.port),
        comparisons: comparisons(&state.join("reports"))?,
        cutovers: files(state, "cutover-")?,
        ..Migration::default()
    };
    let standing = match &found {
        Some((checkpoint, letters)) => {
            migration.counts.dead_letters = *letters;
            of_checkpoint(&mut migration, checkpoint);
            fact_of::<Standing>(checkpoint, cutover::FACT)?
        }
        None => None,
    };
    let made = standing.filter(|standing| standing.state == State::CutOver);
    migration.stages = stages(&audit, &migration, made.as_ref());
    let gates = made
        .as_ref()
        .map(|standing| standing.report.gates.as_slice());
    migration.cleanup = cleanup::list(settings, state, gates);
    if let Some(standing) = made {
        of_cutover(&mut migration, standing);
    }
    let done = |action: &str| audit.iter().filter(|entry| entry.action == action).count() as u64;
    migration.counts.resnapshots = done(RESNAPSHOT);
    migration.counts.pauses = done(PAUSE);
    migration.counts.cutovers = done(MADE);
    migration.audit = audit;
    Ok(migration)
}

fn of_checkpoint(migration: &mut Migration, checkpoint: &Checkpoint) {
    migration.state = match checkpoint.snapshot_done {
        true => Stand::Running,
        false => Stand::Copying,
    };
    migration
        .plan_fingerprint
        .clone_from(&checkpoint.plan_fingerprint);
    migration.position = checkpoint.position.gtids.to_string();
    migration.tables = checkpoint
        .snapshot
        .iter()
        .map(|table| Table {
            table: format!("{}.{}", table.database, table.table),
            state: table.state.name().to_owned(),
            rows: table.rows,
        })
        .collect();
    migration.counts.rows_copied = checkpoint.snapshot.iter().map(|table| table.rows).sum();
}

fn of_cutover(migration: &mut Migration, standing: Standing) {
    let report = standing.report;
    migration.state = Stand::CutOver;
    migration.source = format!(
        "MySQL {} at {} ({})",
        report.versions.mysql, migration.source, report.versions.mysql_server_uuid
    );
    migration.target = report.target;
    migration.position = report.position.gtids;
    migration.counts.transactions = Some(report.counts.transactions);
    migration.counts.items_compared = Some(report.counts.items_compared);
    migration.gates = report.gates;
}

/// From the first copy to the cutover.
fn stages(audit: &[AuditEntry], migration: &Migration, made: Option<&Standing>) -> Vec<Stage> {
    let last = |action: &str| audit.iter().rfind(|entry| entry.action == action);
    let at = |action: &str| last(action).map(|entry| entry.at_unix_ms);
    let begun = at(COPY_BEGUN);
    // The first time that it was complete after that: a table that is copied again is a matter of its own.
    let complete = audit
        .iter()
        .find(|entry| entry.action == COPIED && Some(entry.at_unix_ms) >= begun);
    let copied = complete.map(|entry| entry.at_unix_ms);
    let detail = complete
        .map(|entry| entry.detail.clone())
        .unwrap_or_default();
    let kept = match migration.comparisons.len() {
        1 => "the report of 1 comparison is kept".to_owned(),
        kept => format!("the reports of {kept} comparisons are kept"),
    };
    let mut stages = vec![stage("copy", begun, copied, detail)];
    let times = made.map(|standing| standing.report.times);
    stages.push(stage(
        "parallel run",
        copied,
        times.map(|times| times.begun),
        kept,
    ));
    if let Some(proof) = migration
        .comparisons
        .iter()
        .rfind(|c| c.clean && c.compared == verify::report::Mode::Full.words())
    {
        stages.push(Stage {
            name: "last clean comparison of everything".to_owned(),
            begun_unix_ms: Some(proof.started_unix_ms),
            ended_unix_ms: proof
                .seconds
                .map(|s| proof.started_unix_ms + (s * 1000.0) as u64),
            seconds: proof.seconds,
            detail: counted(proof.items, "item"),
        });
    }
    let Some((times, report)) = times.zip(made.map(|standing| &standing.report)) else {
        return stages;
    };
    let compared = counted(report.counts.items_compared, "item") + " once more";
    for (name, from, to, detail) in [
        (
            "cutover: drain",
            times.position_read,
            times.drained,
            String::new(),
        ),
        (
            "cutover: comparison of what had changed",
            times.drained,
            times.compared,
            compared,
        ),
        (
            "cutover: seal and last look",
            times.compared,
            times.cut_over,
            String::new(),
        ),
        (
            "cutover, in all",
            times.begun,
            times.cut_over,
            format!("by {}", report.by),
        ),
    ] {
        stages.push(stage(name, Some(from), Some(to), detail));
    }
    stages
}

fn stage(name: &str, from: Option<u64>, to: Option<u64>, detail: String) -> Stage {
    let seconds = from
        .zip(to)
        .map(|(from, to)| to.saturating_sub(from) as f64 / 1000.0);
    Stage {
        name: name.to_owned(),
        begun_unix_ms: from,
        ended_unix_ms: to,
        seconds,
        detail,
    }
}

fn comparisons(directory: &Path) -> Result<Vec<Comparison>> {
    let mut all = Vec::new();
    for file in files(directory, "verify-")?
        .into_iter()
        .filter(|f| f.ends_with(".json"))
    {
        let text = std::fs::read(&file).map_err(|e| unreadable(&file, &e.to_string()))?;
        // Only what holds no keys is taken out of it.
        let report: verify::report::Report = serde_json::from_slice(&text)
            .map_err(|_| unreadable(&file, "it is no report of penstock's"))?;
        let compared = report.mode.words();
        let took = |end: u64| end.saturating_sub(report.started_unix_ms) as f64 / 1000.0;
        all.push(Comparison {
            file,
            compared,
            started_unix_ms: report.started_unix_ms,
            seconds: report.finished_unix_ms.map(took),
            items: report.items,
            clean: report.is_clean(),
            undecided: report.undecided,
            repaired: report.repaired,
            mismatches: report.mismatches,
        });
    }
    all.sort_by_key(|comparison| comparison.started_unix_ms);
    Ok(all)
}

/// Files of a directory that begin so, in the order of their names; none where there is no directory.
fn files(directory: &Path, begin: &str) -> Result<Vec<String>> {
    let read = match std::fs::read_dir(directory) {
        Ok(read) => read,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(unreadable(&directory.display().to_string(), &e.to_string())),
    };
    let ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(begin);
    let mut files: Vec<String> = read
        .filter_map(|entry| entry.ok())
        .filter(|entry| ours(&entry.file_name()))
        .map(|entry| entry.path().display().to_string())
        .collect();
    files.sort();
    Ok(files)
}

fn unreadable(file: &str, reason: &str) -> Error {
    Error::new(Kind::Store, format!("{file} cannot be read: {reason}"))
        .with_remedy("name the state directory of the migration in [state] path; its files belong to whom penstock runs as")
}
