//! The status page: one page, complete as it is served, without scripts and without anything from elsewhere.

use std::fmt::Write as _;

use serde_json::Value;

use super::history::{History, Speed};
use super::{Status, TableStatus};
use crate::checkpoint::{AuditEntry, DeadLetter, TableState};
use crate::phase::Phase;

/// Seconds that a drawing covers, at most and at least, and its size in units of its own.
const HOUR: f64 = 3600.0;
const YOUNG: f64 = 300.0;
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 120.0;
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
    // Writing to a String cannot fail.
    let _ = write!(
        body,
        "<header><h1>penstock</h1><p class=\"phase {tone}\"><span class=\"word\">{phase}</span></p>\
         <p class=\"quiet\">{version}, up for {up}, writes to {target}</p></header>",
        tone = tone(phase),
        version = escaped(&status.version),
        up = span(status.uptime_seconds as f64),
        target = escaped(&status.target),
    );
    if let Some(stopped) = &status.stopped {
        let _ = write!(
            body,
            "<section class=\"bad\" role=\"alert\"><h2>Stopped: {}</h2><p>{}</p><p><b>What to do:</b> {}</p></section>",
            escaped(&stopped.kind),
            escaped(&stopped.reason),
            escaped(&stopped.remedy),
        );
    }
    if let Some(paused) = &status.paused {
        let since = now_unix_ms.saturating_sub(paused.since_unix_ms) as f64 / 1000.0;
        let _ = write!(
            body,
            "<section class=\"warn\" role=\"status\"><h2>Paused</h2><p>By {}, {} ago. <code>penstock resume</code> goes on.</p></section>",
            escaped(&paused.by),
            span(since),
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
            "<section class=\"warn\" role=\"status\"><h2>Waiting</h2><ul>{items}</ul></section>"
        );
    }
    figures(&mut body, status, history);
    drawings(&mut body, history);
    snapshot(&mut body, status, history);
    parity(&mut body, status.parity.as_ref());
    gates(&mut body, status);
    letters(&mut body, status, more);
    entries(&mut body, more.audit, now_unix_ms);
    body.push_str(
        "<footer><nav aria-label=\"For machines\"><a href=\"/status\">/status</a> <a href=\"/metrics\">/metrics</a> \
         <a href=\"/readyz\">/readyz</a> <a href=\"/healthz\">/healthz</a></nav></footer>",
    );
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
         <meta http-equiv=\"refresh\" content=\"10\"/><meta name=\"color-scheme\" content=\"light dark\"/>\
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
        let ago = more.now_unix_ms.saturating_sub(reason.last_seen_unix_ms) as f64 / 1000.0;
        named += reason.rows as u64;
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{} ago</td></tr>",
            escaped(reason.projection),
            escaped(reason.reason),
            reason.rows,
            span(ago),
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

/// Seconds ago, and the value then: where there is none the curve has a gap.
type Point = (f64, Option<f64>);

fn drawings(out: &mut String, history: &History) {
    let lag = history.lag();
    let speeds = history.speeds();
    let curve = |of: fn(&Speed) -> f64| speeds.iter().map(|s| (s.ago, Some(of(s)))).collect();
    let (transactions, rows): (Vec<Point>, Vec<Point>) =
        (curve(|s| s.transactions), curve(|s| s.rows));
    // A daemon that is young has no hour to show.
    let seconds = lag.first().map_or(0.0, |(ago, _)| *ago).clamp(YOUNG, HOUR);
    let _ = write!(
        out,
        "<section class=\"drawings\"><h2>The last {}</h2>",
        span(seconds)
    );
    draw(out, seconds, "Lag", "s", &[("behind the source", &lag)]);
    let throughput: [(&str, &[Point]); 2] =
        [("transactions", &transactions), ("rows copied", &rows)];
    draw(out, seconds, "Throughput", "/s", &throughput);
    out.push_str("</section>");
}

/// A drawing of curves over the last `seconds`.
fn draw(out: &mut String, seconds: f64, title: &str, unit: &str, curves: &[(&str, &[Point])]) {
    let values = curves.iter().flat_map(|(_, points)| points.iter());
    let top = values.filter_map(|(_, value)| *value).fold(0.0, f64::max);
    let scale = if top > 0.0 { top } else { 1.0 };
    let names: Vec<_> = curves.iter().map(|(name, _)| *name).collect();
    let said = format!(
        "{title} over the last {}: at most {} {unit}",
        span(seconds),
        number(top)
    );
    let _ = write!(
        out,
        "<figure><figcaption>{title} <span class=\"quiet\">{}; at most {} {unit}</span></figcaption>\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{said}\" preserveAspectRatio=\"none\"><title>{said}</title>",
        names.join(", "),
        number(top),
    );
    for (place, (_, points)) in curves.iter().enumerate() {
        let mut path = String::new();
        let mut pen_is_down = false;
        for (ago, value) in points.iter() {
            let Some(value) = value.filter(|_| *ago <= seconds) else {
                pen_is_down = false;
                continue;
            };
            let x = WIDTH * (1.0 - ago / seconds);
            let y = HEIGHT - 2.0 - (HEIGHT - 6.0) * value / scale;
            let _ = write!(path, "{}{x:.1} {y:.1}", if pen_is_down { "L" } else { "M" });
            pen_is_down = true;
        }
        let _ = write!(out, "<path class=\"curve{place}\" d=\"{path}\"/>");
    }
    out.push_str("</svg></figure>");
}

fn snapshot(out: &mut String, status: &Status, history: &History) {
    if status.snapshot.is_empty() {
        return;
    }
    out.push_str(
        "<section><h2>Copy</h2><div class=\"wide\"><table><thead><tr><th scope=\"col\">Table</th><th scope=\"col\">Copied</th>\
         <th scope=\"col\">Rows</th><th scope=\"col\">Left</th></tr></thead><tbody>",
    );
    for (place, table) in status.snapshot.iter().enumerate() {
        let (share, left) = progress(table, history, place);
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{name}</th><td><progress max=\"100\" value=\"{share}\">{share} %</progress></td>\
             <td>{rows} of about {estimated}</td><td>{left}</td></tr>",
            name = escaped(&table.table),
            rows = table.rows,
            estimated = table.estimated_rows.max(table.rows),
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
            (share, left.map_or("…".to_owned(), span))
        }
    }
}

fn parity(out: &mut String, parity: Option<&Value>) {
    out.push_str("<section><h2>Parity</h2>");
    match parity {
        None => out.push_str("<p class=\"quiet\">The two sides have not been compared yet.</p>"),
        Some(parity) => {
            let mut parity = parity.clone();
            let pass = parity.get_mut("last_pass").and_then(Value::as_object_mut);
            // What was compared of each entity is a table, the rest a list.
            let by_entity = pass.and_then(|pass| pass.remove("entities"));
            entities(out, by_entity.as_ref().and_then(Value::as_object));
            nested(out, &parity);
        }
    }
    out.push_str("</section>");
}

fn entities(out: &mut String, by_entity: Option<&serde_json::Map<String, Value>>) {
    let Some(by_entity) = by_entity.filter(|map| !map.is_empty()) else {
        return;
    };
    out.push_str(
        "<div class=\"wide\"><table><thead><tr><th scope=\"col\">Kind of item</th><th scope=\"col\">Compared</th>\
         <th scope=\"col\">Found</th></tr></thead><tbody>",
    );
    for (name, figures) in by_entity {
        let found = figures["mismatches"].as_object();
        let mut found: Vec<String> = found
            .into_iter()
            .flatten()
            .map(|(kind, count)| format!("{count} {kind}"))
            .collect();
        if found.is_empty() {
            found.push("equal".to_owned());
        }
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
            escaped(name),
            escaped(&figures["items"].to_string()),
            escaped(&found.join(", ")),
        );
    }
    out.push_str("</tbody></table></div>");
}

/// An object as a list of its names and values.
fn nested(out: &mut String, value: &Value) {
    match value {
        Value::Object(fields) => {
            out.push_str("<dl>");
            for (name, value) in fields {
                let _ = write!(
                    out,
                    "<div><dt>{}</dt><dd>",
                    escaped(&name.replace('_', " "))
                );
                nested(out, value);
                out.push_str("</dd></div>");
            }
            out.push_str("</dl>");
        }
        Value::Array(values) => {
            for value in values {
                nested(out, value);
            }
        }
        Value::Null => out.push('–'),
        Value::String(text) => out.push_str(&escaped(text)),
        Value::Bool(_) | Value::Number(_) => out.push_str(&escaped(&value.to_string())),
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
            escaped(&gate.reason),
        );
        let fields = serde_json::to_value(gate).unwrap_or_default();
        if let Some(remedy) = fields["remedy"].as_str() {
            let _ = write!(out, " <span class=\"remedy\">{}</span>", escaped(remedy));
        }
        out.push_str("</li>");
    }
    out.push_str("</ul></section>");
}

fn entries(out: &mut String, audit: &[AuditEntry], now_unix_ms: u64) {
    if audit.is_empty() {
        return;
    }
    out.push_str("<section><h2>What was done</h2><ul>");
    for entry in audit {
        let ago = now_unix_ms.saturating_sub(entry.at_unix_ms) as f64 / 1000.0;
        let _ = write!(
            out,
            "<li><b>{}</b> <span class=\"quiet\">{} ago</span> {}</li>",
            escaped(&entry.action),
            span(ago),
            escaped(&entry.detail),
        );
    }
    out.push_str("</ul></section>");
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

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::history::Sample;
    use super::super::tests::table;
    use super::*;
    use crate::admin::{Gate, Stopped};

    /// Ten looks, five seconds apart: ten transactions and a hundred rows a second, and a gap in the lag.
    fn history() -> History {
        let (history, now) = (History::default(), Instant::now());
        for look in 0..10_u32 {
            history.push(Sample {
                at: now - Duration::from_secs(5) * (9 - look),
                lag: (look != 4).then(|| f64::from(look)),
                applied: u64::from(look) * 50,
                copied: vec![u64::from(look) * 500, 0],
            });
        }
        history
    }

    /// Every tag that is opened is closed, in order.
    fn assert_closed(html: &str) {
        let mut open = Vec::new();
        let body = html.split_once("</style>").map_or(html, |(_, body)| body);
        for tag in body.split('<').skip(1) {
            let tag = tag.split_once('>').expect("a tag ends").0;
            let name = tag
                .split([' ', '/'])
                .find(|n| !n.is_empty())
                .unwrap_or_default();
            if let Some(closed) = tag.strip_prefix('/') {
                let last = open.pop();
                assert!(
                    last == Some(closed) || ["head", "html", "body"].contains(&closed),
                    "{closed} closes {last:?}"
                );
            } else if !tag.ends_with('/') && name != "body" {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "left open: {open:?}");
    }

    #[test]
    fn the_page_shows_speed_progress_and_time_left() {
        let mut status = crate::admin::tests::status(Phase::Snapshot, Some(0.5));
        status.snapshot = vec![
            table("shop.a", TableState::Copying, 400),
            table("shop.b", TableState::Pending, 0),
            table("shop.c", TableState::Done, 7),
        ];
        let more = More {
            audit: &[],
            reasons: Vec::new(),
            now_unix_ms: 0,
        };
        let html = render(&status, &history(), &more);
        assert_closed(&html);
        for part in [
            "<title>penstock: snapshot</title>",
            "<dt>Behind the source</dt><dd>0.5 s</dd>",
            "<dt>Transactions</dt><dd>10 /s</dd>",
            "<dt>Rows copied</dt><dd>100 /s</dd>",
            // 600 rows at 100 a second.
            "<th scope=\"row\">shop.a</th><td><progress max=\"100\" value=\"40\">40 %</progress></td><td>400 of about 1000</td><td>6 s</td>",
            "<td>waiting</td>",
            "value=\"100\">100 %</progress></td><td>7 of about 1000</td><td>complete</td>",
            "<h2>The last 5 min</h2>",
            "Lag over the last 5 min: at most 9.0 s",
            "have not been compared yet",
        ] {
            assert!(html.contains(part), "{part}\nis not in\n{html}");
        }
        // The gap begins a new line.
        let curve = html
            .split("class=\"curve0\" d=\"")
            .nth(1)
            .and_then(|c| c.split('"').next());
        assert_eq!(curve.map(|c| c.matches('M').count()), Some(2));
    }

    #[test]
    fn what_is_wrong_stands_with_its_remedy_and_nothing_gets_out_of_its_text() {
        let mut status = crate::admin::tests::status(Phase::Stopped, None);
        status.stopped = Some(Stopped {
            kind: "store".to_owned(),
            reason: "<script>".to_owned(),
            remedy: "a & b".to_owned(),
        });
        status.trouble = vec!["MySQL is away".to_owned()];
        status.parity = Some(
            serde_json::json!({"clean": false, "by_entity": [{"entity": "A\"<", "missing": 2}],
                "last_pass": {"entities": {"E<": {"items": 7, "mismatches": {"missing": 2}}, "F": {"items": 3}}}}),
        );
        let gate = serde_json::json!({"name": "lag", "open": false, "reason": "unknown"});
        status.gates = vec![serde_json::from_value::<Gate>(gate).unwrap()];
        let entry =
            serde_json::json!({"at_unix_ms": 1_000, "action": "resnapshot", "detail": "given up"});
        let audit = [serde_json::from_value::<AuditEntry>(entry).unwrap()];
        let letter = |projection: &str, reason: &str, key: &str| DeadLetter {
            projection: projection.to_owned(),
            source_key: key.to_owned(),
            target: "Shop".to_owned(),
            reason: reason.to_owned(),
            first_seen_unix_ms: 0,
            last_seen_unix_ms: 121_000,
            count: 1,
            position: String::new(),
        };
        let letters = [
            letter("orders", "the key is empty", "SECRET"),
            letter("users", "too <large>", "SECRET"),
            letter("users", "too <large>", "SECRET too"),
        ];
        status.dead_letters = 5;
        let more = More {
            audit: &audit,
            reasons: reasons(&letters),
            now_unix_ms: 181_000,
        };
        let html = render(&status, &History::default(), &more);
        assert!(!html.contains("SECRET"), "{html}");
        assert_closed(&html);
        assert!(!html.contains("<script"), "{html}");
        for part in [
            "role=\"alert\"><h2>Stopped: store</h2><p>&lt;script&gt;</p><p><b>What to do:</b> a &amp; b</p>",
            "<li>MySQL is away</li>",
            "<dd>unknown</dd>",
            "<tr><th scope=\"row\">users</th><td>too &lt;large&gt;</td><td>2</td><td>60 s ago</td></tr><tr><th scope=\"row\">orders",
            "Of 5 in all, the first 3.",
            "<tr><th scope=\"row\">E&lt;</th><td>7</td><td>2 missing</td></tr><tr><th scope=\"row\">F</th><td>3</td><td>equal</td></tr>",
            "<dt>entity</dt><dd>A&quot;&lt;</dd>",
            "<li class=\"bad\"><b>lag</b> <span class=\"word\">shut</span>: unknown</li>",
            "<b>resnapshot</b> <span class=\"quiet\">3 min ago</span> given up",
        ] {
            assert!(html.contains(part), "{part}\nis not in\n{html}");
        }
    }
}
