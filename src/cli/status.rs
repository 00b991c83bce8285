//! `penstock status`

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;

use super::{Answer, Cli, Format, Outcome, output, runtime, state_directory};
use crate::admin::{Client, Gate, Status, TableStatus};
use crate::checkpoint::{Checkpoint, Loaded, Store, TableState, now_unix_ms};
use crate::error::Result;

pub(super) fn run(cli: &Cli) -> Outcome {
    let state = state_directory(cli)?;
    let client = Client::new(&state);
    if let Some(status) = runtime()?.block_on(client.status())? {
        if cli.format == Format::Json {
            output::print_json(&status)?;
        } else {
            output::print(&render(&status))?;
        }
        return Ok(Answer::Done);
    }
    let (checkpoint, dead_letters) = match open_existing(&state)? {
        None => (None, 0),
        Some(store) => match store.load() {
            Loaded::None => (None, store.dead_letter_count()),
            Loaded::Found(found) => (Some(*found), store.dead_letter_count()),
        },
    };
    if cli.format == Format::Json {
        output::print_json(&json!({
            "running": false,
            "checkpoint": checkpoint,
            "dead_letters": dead_letters,
        }))?;
    } else {
        output::print(&render_stored(checkpoint.as_ref(), dead_letters))?;
    }
    Ok(Answer::Done)
}

/// The store of a daemon that does not run; `None` where none ever did, and nothing is made then.
pub(super) fn open_existing(state: &Path) -> Result<Option<Store>> {
    if !state.join("sled").exists() && !state.join("checkpoint.json").exists() {
        return Ok(None);
    }
    let (store, report) = Store::open(state)?;
    if let Some(rebuilt) = &report.rebuilt {
        tracing::warn!(
            reason = rebuilt.reason,
            "the store was rebuilt from its mirror"
        );
    }
    Ok(Some(store))
}

pub(super) fn render(status: &Status) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = render_running(&mut out, status);
    render_tables(&mut out, &status.snapshot);
    out
}

fn render_running(out: &mut String, status: &Status) -> std::fmt::Result {
    let caught_up = if status.caught_up { ", caught up" } else { "" };
    line(out, "phase", &format!("{}{caught_up}", status.phase))?;
    if let Some(stopped) = &status.stopped {
        line(out, "stopped", &stopped.reason)?;
        line(out, "remedy", &stopped.remedy)?;
    }
    if let Some(paused) = &status.paused {
        let since = ago(paused.since_unix_ms);
        line(out, "paused", &format!("for {since}, by {}", paused.by))?;
    }
    for trouble in &status.trouble {
        line(out, "trouble", trouble)?;
    }
    let lag = |seconds: Option<f64>| seconds.map_or("unknown".into(), |s| format!("{s:.1} s"));
    line(
        out,
        "lag",
        &format!(
            "read {}, apply {}",
            lag(status.lag_seconds.read),
            lag(status.lag_seconds.apply)
        ),
    )?;
    line(out, "position", &position(&status.position))?;
    line(out, "target", &status.target)?;
    line(out, "dead letters", &status.dead_letters.to_string())?;
    if let Some(age) = status.checkpoint_age_seconds {
        line(out, "checkpoint", &format!("{} ago", span(age)))?;
    }
    line(
        out,
        "up",
        &format!(
            "{} (penstock {})",
            span(status.uptime_seconds as f64),
            status.version
        ),
    )?;
    render_gates(out, &status.gates)
}

/// The gates that are shut; those that are open are no news.
fn render_gates(out: &mut String, gates: &[Gate]) -> std::fmt::Result {
    let shut: Vec<&Gate> = gates.iter().filter(|gate| !gate.open).collect();
    match (gates.len(), shut.len()) {
        (0, _) => return Ok(()),
        (_, 0) => line(out, "gates", "all open")?,
        (all, shut) => line(out, "gates", &format!("{shut} of {all} shut"))?,
    }
    let name = shut.iter().map(|gate| gate.name.len()).max().unwrap_or(0);
    for gate in shut {
        writeln!(out, "  {:name$}  {}", gate.name, gate.reason)?;
    }
    Ok(())
}

fn render_stored(checkpoint: Option<&Checkpoint>, dead_letters: u64) -> String {
    let mut out = String::new();
    let Some(checkpoint) = checkpoint else {
        return "not running; nothing has been replicated yet\n".to_string();
    };
    // Writing to a String cannot fail.
    let _ = line(&mut out, "phase", "not running");
    let _ = line(
        &mut out,
        "checkpoint",
        &format!("{} ago", ago(checkpoint.saved_at_unix_ms)),
    );
    let _ = line(
        &mut out,
        "position",
        &position(&(&checkpoint.position).into()),
    );
    let _ = line(&mut out, "dead letters", &dead_letters.to_string());
    let tables: Vec<TableStatus> = checkpoint.snapshot.iter().map(TableStatus::from).collect();
    render_tables(&mut out, &tables);
    out
}

fn render_tables(out: &mut String, tables: &[TableStatus]) {
    let name = tables
        .iter()
        .map(|t| t.table.chars().count())
        .max()
        .unwrap_or(0);
    for table in tables {
        let share = match (table.state, table.estimated_rows) {
            (TableState::Done, _) => String::new(),
            (_, 0) => String::new(),
            (_, all) => format!(
                " of about {all} ({}%)",
                (table.rows.saturating_mul(100) / all).min(99)
            ),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "  {:name$}  {:<7}  {:>12} rows{share}",
            table.table,
            table.state.name(),
            table.rows
        );
    }
}

fn line(out: &mut String, name: &str, value: &str) -> std::fmt::Result {
    writeln!(out, "{name:<13} {value}")
}

fn position(position: &crate::admin::PositionStatus) -> String {
    match (position.gtids.as_str(), position.file.as_str()) {
        ("", "") => "none yet".to_string(),
        (gtids, "") => gtids.to_string(),
        (gtids, file) => format!("{gtids} ({file}:{})", position.offset),
    }
}

/// How long ago that was.
pub(super) fn ago(unix_ms: u64) -> String {
    span(now_unix_ms().saturating_sub(unix_ms) as f64 / 1000.0)
}

/// Seconds, for people.
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    match whole {
        0..=99 => format!("{:.0} s", seconds.max(0.0)),
        100..=5_999 => format!("{} min", whole / 60),
        6_000..=172_799 => format!("{} h", whole / 3600),
        _ => format!("{} days", whole / 86_400),
    }
}
