//! The status page: one page, complete as it is served, without scripts and without anything from elsewhere.

mod done;
mod drawing;
mod parity;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use super::history::{History, Speed};
use super::{Status, TableStatus};
use crate::checkpoint::{AuditEntry, DeadLetter, TableState};
use crate::phase::Phase;

/// Different reasons that are shown.
const REASONS: usize = 20;

const STYLE: &str = include_str!("page.css");

/// What the page shows beside the status.
pub struct More<'a> {
    /// The newest first.
    pub audit: &'a [AuditEntry],
    pub reasons: Vec<Reason<'a>>,
    /// To say how long ago something was.
    pub now_unix_ms: u64,
    /// Whether it comes again by itself.
    pub refreshes: bool,
}

/// Why rows have no valid item. Names no row.
pub struct Reason<'a> {
    projection: &'a str,
    reason: &'a str,
    rows: usize,
    last_seen_unix_ms: u64,
}

/// The reasons of these dead letters, those of most rows first.
pub fn reasons(letters: &[DeadLetter]) -> Vec<Reason<'_>> {
    let mut all: Vec<Reason<'_>> = Vec::new();
    for letter in letters {
        let of_letter = (letter.projection.as_str(), letter.reason.as_str());
        let is_same = |r: &&mut Reason<'_>| (r.projection, r.reason) == of_letter;
        if let Some(known) = all.iter_mut().find(is_same) {
            known.rows += 1;
            known.last_seen_unix_ms = known.last_seen_unix_ms.max(letter.last_seen_unix_ms);
        } else if all.len() < REASONS {
            all.push(Reason {
                projection: of_letter.0,
                reason: of_letter.1,
                rows: 1,
                last_seen_unix_ms: letter.last_seen_unix_ms,
            });
        }
    }
    all.sort_by_key(|reason| std::cmp::Reverse(reason.rows));
    all
}

/// The page.
pub fn render(status: &Status, history: &History, more: &More<'_>) -> String {
    let now_unix_ms = more.now_unix_ms;
    let phase = status.phase;
    let mut body = String::new();
    // Whoever reads slowly must be able to hold it.
    let (refresh, again) = match more.refreshes {
        true => (
            "<meta http-equiv=\"refresh\" content=\"10\"/>",
            "Shown anew every 10 s: <a href=\"/?refresh=off\">hold it</a>",
        ),
        false => (
            "",
            "Held as it was: <a href=\"/\">show it anew every 10 s</a>",
        ),
    };
    // Writing to a String cannot fail.
    let _ = write!(
        body,
        "<header><h1>penstock</h1><p class=\"phase {tone}\"><span class=\"word\">{phase}</span></p>\
         <p class=\"quiet\">{version}, up for {up}, writes to {target}</p><p class=\"quiet\">{again}</p></header>",
        tone = tone(phase),
        version = escaped(&status.version),
        up = span(status.uptime_seconds as f64),
        target = escaped(&status.target),
    );
    if let Some(stopped) = &status.stopped {
        let _ = write!(
            body,
            "<section class=\"bad\"><h2>Stopped: {}</h2><p>{}</p><p><b>What to do:</b> {}</p></section>",
            escaped(&stopped.kind),
            escaped(&stopped.reason),
            marked(&stopped.remedy),
        );
    }
    if let Some(paused) = &status.paused {
        let _ = write!(
            body,
            "<section class=\"warn\"><h2>Paused</h2><p>By {}, {}. <code>penstock resume</code> goes on.</p></section>",
            escaped(&paused.by),
            ago(paused.since_unix_ms, now_unix_ms),
        );
    }
    if !status.trouble.is_empty() {
        let items = status
            .trouble
            .iter()
            .map(|t| format!("<li>{}</li>", escaped(t)));
        let items: String = items.collect();
        let _ = write!(
            body,
            "<section class=\"warn\"><h2>Waiting</h2><ul>{items}</ul></section>"
        );
    }
    figures(&mut body, status, history);
    drawing::drawings(&mut body, history);
    snapshot(&mut body, status, history);
    parity::parity(&mut body, status.parity.as_ref(), now_unix_ms);
    gates(&mut body, status);
    letters(&mut body, status, more);
    done::done(&mut body, more.audit, now_unix_ms);
    body.push_str(
        "<footer><nav aria-label=\"For machines\"><a href=\"/status\">/status</a> <a href=\"/metrics\">/metrics</a> \
         <a href=\"/readyz\">/readyz</a> <a href=\"/healthz\">/healthz</a></nav></footer>",
    );
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         {refresh}<meta name=\"color-scheme\" content=\"light dark\"/>\
         <title>penstock: {phase}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )
}

fn tone(phase: Phase) -> &'static str {
    match phase {
        Phase::Ready | Phase::CutOver => "good",
        Phase::Snapshot | Phase::Streaming | Phase::Draining => "busy",
        Phase::Paused | Phase::Aborted => "warn",
        Phase::Stopped | Phase::ResnapshotRequired => "bad",
    }
}

fn figures(out: &mut String, status: &Status, history: &History) {
    let lag = |lag: Option<f64>| lag.map_or("unknown".to_owned(), |s| format!("{s:.1} s"));
    let speed = |of: fn(Speed) -> f64, unit: &str| {
        history
            .present()
            .map_or("…".to_owned(), |s| format!("{} {unit}", number(of(s))))
    };
    let age = status
        .checkpoint_age_seconds
        .map_or("none yet".to_owned(), span);
    let all = [
        ("Behind the source", lag(status.lag_seconds.apply)),
        ("Read", lag(status.lag_seconds.read)),
        ("Transactions", speed(|s| s.transactions, "/s")),
        ("Rows copied", speed(|s| s.rows, "/s")),
        ("Items written", speed(|s| s.items, "/s")),
        ("Checkpoint", age),
        ("Dead letters", status.dead_letters.to_string()),
    ];
    out.push_str("<section><h2>Now</h2><dl class=\"figures\">");
    for (name, value) in all {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    out.push_str("</dl></section>");
}

fn letters(out: &mut String, status: &Status, more: &More<'_>) {
    if status.dead_letters == 0 {
        return;
    }
    out.push_str(
        "<section><h2>Dead letters</h2><p class=\"warn\">Rows have no valid item: <code>penstock dead-letters list</code> names them.</p>",
    );
    if more.reasons.is_empty() {
        out.push_str("</section>");
        return;
    }
    out.push_str(
        "<div class=\"wide\"><table><thead><tr><th scope=\"col\">Kind of item</th><th scope=\"col\">Why</th>\
         <th scope=\"col\">Rows</th><th scope=\"col\">Last seen</th></tr></thead><tbody>",
    );
    let mut named = 0;
    for reason in &more.reasons {
        named += reason.rows as u64;
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"text\">{}</td><td>{}</td><td>{}</td></tr>",
            name_of(reason.projection),
            escaped(reason.reason),
            reason.rows,
            ago(reason.last_seen_unix_ms, more.now_unix_ms),
        );
    }
    out.push_str("</tbody></table></div>");
    if named < status.dead_letters {
        let _ = write!(
            out,
            "<p class=\"quiet\">Of {} in all, the first {named}.</p>",
            status.dead_letters
        );
    }
    out.push_str("</section>");
}

fn snapshot(out: &mut String, status: &Status, history: &History) {
    if status.snapshot.is_empty() {
        return;
    }
    out.push_str(
        "<section><h2>Copy</h2><div class=\"wide\"><table><thead><tr><th scope=\"col\">Table</th><th scope=\"col\">Copied</th>\
         <th scope=\"col\">Rows</th></tr></thead><tbody>",
    );
    for (place, table) in status.snapshot.iter().enumerate() {
        let (share, left) = progress(table, history, place);
        let rows = match table.state {
            TableState::Done => table.rows.to_string(),
            TableState::Pending | TableState::Copying => format!(
                "{} of about {}",
                table.rows,
                table.estimated_rows.max(table.rows)
            ),
        };
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{name}</th><td>{bar} <span class=\"left\">{left}</span></td><td>{rows}</td></tr>",
            name = name_of(&table.table),
            bar = bar(&format!("{} copied", table.table), share),
        );
    }
    out.push_str("</tbody></table></div></section>");
}

/// Percent, and how long it will take.
fn progress(table: &TableStatus, history: &History, place: usize) -> (u64, String) {
    let share = match table.estimated_rows {
        0 => 0,
        // The estimate may be too low: only a copy that is complete shows so.
        estimated => (table.rows.saturating_mul(100) / estimated).min(99),
    };
    match table.state {
        TableState::Done => (100, "complete".to_owned()),
        TableState::Pending => (share, "waiting".to_owned()),
        TableState::Copying => {
            let left = history.time_left(place, table.rows, table.estimated_rows);
            (
                share,
                left.map_or("…".to_owned(), |s| format!("{} left", span(s))),
            )
        }
    }
}

fn gates(out: &mut String, status: &Status) {
    if status.gates.is_empty() {
        return;
    }
    out.push_str("<section><h2>Gates</h2><ul class=\"gates\">");
    for gate in &status.gates {
        let (class, word) = if gate.open {
            ("good", "open")
        } else {
            ("bad", "shut")
        };
        let _ = write!(
            out,
            "<li class=\"{class}\"><b>{}</b> <span class=\"word\">{word}</span>: {}",
            escaped(&gate.name),
            marked(&gate.reason),
        );
        if let Some(remedy) = &gate.remedy {
            let _ = write!(out, " <span class=\"remedy\">{}</span>", marked(remedy));
        }
        out.push_str("</li>");
    }
    out.push_str("</ul></section>");
}

/// A bar of so many percent, with a name for those who do not see it.
fn bar(name: &str, share: u64) -> String {
    format!(
        "<progress aria-label=\"{}\" max=\"100\" value=\"{share}\">{share} %</progress>",
        escaped(name)
    )
}

/// How long ago that was.
fn ago(unix_ms: u64, now_unix_ms: u64) -> String {
    let seconds = now_unix_ms.saturating_sub(unix_ms) as f64 / 1000.0;
    format!("{} ago", span(seconds))
}

/// Seconds in words: `12 s`, `3 min`, `5 h`, `2 days`.
fn span(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 100.0 * 60.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3600.0 => format!("{:.0} h", s / 3600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

fn number(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.1} M", v / 1e6),
        v if v >= 1e4 => format!("{:.0} k", v / 1e3),
        v if v >= 10.0 || v == 0.0 => format!("{v:.0}"),
        v => format!("{v:.1}"),
    }
}

/// A name that may be broken where its parts end.
fn name_of(name: &str) -> String {
    ['.', '_', '-'].iter().fold(escaped(name), |name, end| {
        name.replace(*end, &format!("{end}<wbr/>"))
    })
}

/// A text in which commands stand between backticks.
fn marked(text: &str) -> String {
    let mut out = String::new();
    for (place, part) in text.split('`').enumerate() {
        let part = escaped(part);
        match place % 2 {
            0 => out.push_str(&part),
            _ => out.push_str(&format!("<code>{part}</code>")),
        }
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
