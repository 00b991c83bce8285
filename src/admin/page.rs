//! The page at `/`: where it stands, in a glance. Made on the server, whole without scripts and with nothing from elsewhere; the one
//! script only puts a newer page in its place without losing the reader's.
//!
//! It shows no row value and no source key: everybody who reaches `[metrics] listen` can read it.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

use super::history::{Sample, rates};
use super::{Status, TableStatus};
use crate::checkpoint::{AuditEntry, DeadLetterPage, TableState};
use crate::phase::Phase;

/// Loads the page again and again; what a reader has scrolled to stays where it is.
const RENEW: &str = "setInterval(async () => { try { const page = new DOMParser().parseFromString(await (await fetch('/')).text(), 'text/html'); \
document.title = page.title; document.querySelector('main').replaceWith(page.querySelector('main')); } catch { document.title = 'no answer · penstock'; } }, 5000);";
const STYLE: &str = include_str!("page.css");

/// What the page shows.
pub struct Page {
    pub status: Status,
    /// The last hour, oldest first.
    pub history: Vec<Sample>,
    /// Some of the dead letters, for their reasons.
    pub letters: Option<DeadLetterPage>,
    /// The newest entries, newest first.
    pub audit: Vec<AuditEntry>,
}

impl Page {
    /// The HTML document.
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(16 << 10);
        // Writing to a String cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let status = &self.status;
        write!(
            out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <noscript><meta http-equiv=\"refresh\" content=\"30\"></noscript>\n\
             <title>{} · penstock</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <header><h1>penstock</h1><span class=\"dim\">{} · up {} · to {}</span></header>\n",
            Text(status.phase.name()),
            Text(&status.version),
            duration(status.uptime_seconds as f64),
            Text(&status.target),
        )?;
        self.trouble(out)?;
        self.figures(out)?;
        self.hour(out)?;
        self.gates(out)?;
        self.parity(out)?;
        self.snapshot(out)?;
        self.letters(out)?;
        self.audit(out)?;
        out.push_str(
            "<p class=\"dim\"><a href=\"/status\">status as JSON</a> · <a href=\"/metrics\">metrics</a> · \
             <a href=\"/readyz\">readiness</a></p>\n</main>\n",
        );
        write!(out, "<script>{RENEW}</script>\n</body>\n</html>\n")
    }

    fn trouble(&self, out: &mut String) -> fmt::Result {
        if let Some(stopped) = &self.status.stopped {
            write!(
                out,
                "<section role=\"alert\"><h2 class=\"bad\">Stopped: {}</h2><p>{}</p><p><b>What to do:</b> {}</p></section>\n",
                Text(&stopped.kind),
                Text(&stopped.reason),
                Text(&stopped.remedy)
            )?;
        }
        if !self.status.trouble.is_empty() {
            out.push_str("<section role=\"status\"><h2 class=\"warn\">What holds it up</h2><ul>");
            for trouble in &self.status.trouble {
                write!(out, "<li>{}</li>", Text(trouble))?;
            }
            out.push_str("</ul><p class=\"dim\">This passes by itself once the cause is gone.</p></section>\n");
        }
        Ok(())
    }

    fn figures(&self, out: &mut String) -> fmt::Result {
        let status = &self.status;
        let (lag, lag_class) = match status.lag_seconds.apply {
            None => ("unknown".to_owned(), "warn"),
            Some(lag) if lag <= super::READY_LAG_SECONDS => (duration(lag), "good"),
            Some(lag) => (duration(lag), "bad"),
        };
        let letters_class = if status.dead_letters == 0 {
            "good"
        } else {
            "bad"
        };
        let shut = status.gates.iter().filter(|gate| !gate.open).count();
        let figures: [(&str, &str, &dyn Display); 5] = [
            (phase_class(status.phase), "phase", &status.phase),
            (lag_class, "behind the source", &lag),
            (letters_class, "dead letters", &status.dead_letters),
            (
                if shut == 0 && !status.gates.is_empty() {
                    "good"
                } else {
                    "warn"
                },
                "gates shut",
                &shut,
            ),
            (
                "",
                "since the checkpoint",
                &status
                    .checkpoint_age_seconds
                    .map_or("none yet".to_owned(), duration),
            ),
        ];
        out.push_str("<section class=\"figures\" aria-label=\"now\">");
        for (class, name, value) in figures {
            write!(
                out,
                "<div><b class=\"{class}\">{}</b><span>{name}</span></div>",
                Text(&value.to_string())
            )?;
        }
        out.push_str("</section>\n");
        Ok(())
    }

    fn hour(&self, out: &mut String) -> fmt::Result {
        out.push_str("<section><h2>The last hour</h2>\n");
        let lag: Vec<Option<f64>> = self.history.iter().map(|sample| sample.lag).collect();
        curve(out, "seconds behind the source", &lag)?;
        let transactions = rates(&self.history, |sample| sample.transactions);
        curve(out, "transactions a second", &transactions)?;
        if self.history.iter().any(|sample| sample.rows > 0) {
            let rows = rates(&self.history, |sample| sample.rows);
            curve(out, "rows copied a second", &rows)?;
        }
        out.push_str("</section>\n");
        Ok(())
    }

    fn gates(&self, out: &mut String) -> fmt::Result {
        if self.status.gates.is_empty() {
            return Ok(());
        }
        out.push_str(
            "<section><h2>Gates of the cutover</h2><div class=\"scroll\"><table>\
             <tr><th scope=\"col\">gate</th><th scope=\"col\">is</th><th scope=\"col\">why</th><th scope=\"col\">what to do</th></tr>\n",
        );
        for gate in &self.status.gates {
            let (class, word) = if gate.open {
                ("good", "open")
            } else {
                ("bad", "shut")
            };
            write!(
                out,
                "<tr><th scope=\"row\">{}</th><td class=\"{class}\">{word}</td><td>{}</td><td>{}</td></tr>\n",
                Text(&gate.name),
                Text(&gate.reason),
                Text(gate.remedy.as_deref().unwrap_or(""))
            )?;
        }
        out.push_str("</table></div></section>\n");
        Ok(())
    }

    fn parity(&self, out: &mut String) -> fmt::Result {
        let Some(parity) = &self.status.parity else {
            out.push_str("<section><h2>Parity</h2><p class=\"warn\">Both sides have not been compared yet: <code>penstock verify</code>.</p></section>\n");
            return Ok(());
        };
        out.push_str("<section><h2>Parity</h2><div class=\"scroll\"><table>");
        rows(out, "", parity)?;
        out.push_str("</table></div></section>\n");
        Ok(())
    }

    fn snapshot(&self, out: &mut String) -> fmt::Result {
        if self.status.snapshot.is_empty() {
            return Ok(());
        }
        out.push_str(
            "<section><h2>Copy</h2><div class=\"scroll\"><table><tr><th scope=\"col\">table</th><th scope=\"col\">state</th>\
             <th scope=\"col\">progress</th><th scope=\"col\" class=\"n\">rows</th><th scope=\"col\" class=\"n\">estimated</th></tr>\n",
        );
        for table in &self.status.snapshot {
            write!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                Text(&table.table),
                table.state.name(),
                bar(table),
                table.rows,
                table.estimated_rows
            )?;
        }
        out.push_str("</table></div>");
        if let Some(left) = self.copy_left() {
            write!(
                out,
                "<p class=\"dim\">About {} left, at the rate of the last minute.</p>",
                duration(left)
            )?;
        }
        out.push_str("</section>\n");
        Ok(())
    }

    /// Seconds, by the estimates and the last minute's rate.
    fn copy_left(&self) -> Option<f64> {
        let left: u64 = self
            .status
            .snapshot
            .iter()
            .filter(|table| table.state != TableState::Done)
            .map(|table| table.estimated_rows.saturating_sub(table.rows))
            .sum();
        let rates = rates(&self.history, |sample| sample.rows);
        let minute: Vec<f64> = rates.iter().rev().take(12).flatten().copied().collect();
        let rate = minute.iter().sum::<f64>() / minute.len().max(1) as f64;
        (left > 0 && rate > 0.0).then_some(left as f64 / rate)
    }

    fn letters(&self, out: &mut String) -> fmt::Result {
        let Some(page) = self
            .letters
            .as_ref()
            .filter(|page| !page.letters.is_empty())
        else {
            return Ok(());
        };
        let mut reasons: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for letter in &page.letters {
            *reasons
                .entry((&letter.projection, &letter.reason))
                .or_default() += 1;
        }
        out.push_str(
            "<section><h2>Dead letters</h2><div class=\"scroll\"><table><tr><th scope=\"col\">of</th>\
             <th scope=\"col\">reason</th><th scope=\"col\" class=\"n\">rows</th></tr>\n",
        );
        for ((projection, reason), count) in reasons {
            // A contested key's reason names the other row's key: that is for the command that lists them.
            let reason = if reason.starts_with("its key is also that of") {
                "its key is another row's too"
            } else {
                reason
            };
            write!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"n\">{count}</td></tr>\n",
                Text(projection),
                Text(reason)
            )?;
        }
        out.push_str("</table></div>");
        if page.next.is_some() {
            write!(
                out,
                "<p class=\"dim\">The first {} of {}.</p>",
                page.letters.len(),
                page.total
            )?;
        }
        out.push_str("<p class=\"dim\"><code>penstock dead-letters list</code> names the rows.</p></section>\n");
        Ok(())
    }

    fn audit(&self, out: &mut String) -> fmt::Result {
        if self.audit.is_empty() {
            return Ok(());
        }
        out.push_str("<section><h2>What operators did</h2><div class=\"scroll\"><table>\n");
        for entry in &self.audit {
            let at = utc(entry.at_unix_ms);
            write!(
                out,
                "<tr><td><time datetime=\"{at}\">{at}</time></td><th scope=\"row\">{}</th><td>{}</td></tr>\n",
                Text(&entry.action),
                Text(&entry.detail)
            )?;
        }
        out.push_str("</table></div></section>\n");
        Ok(())
    }
}

/// A JSON value as rows of names and values.
fn rows(out: &mut String, name: &str, value: &serde_json::Value) -> fmt::Result {
    match value {
        serde_json::Value::Object(fields) => fields.iter().try_for_each(|(field, value)| {
            let name = if name.is_empty() {
                field.clone()
            } else {
                format!("{name} {field}")
            };
            rows(out, &name, value)
        }),
        serde_json::Value::Null => Ok(()),
        other => {
            let text = match other {
                serde_json::Value::String(text) => text.clone(),
                serde_json::Value::Number(n) if name.ends_with("unix_ms") => {
                    n.as_u64().map_or_else(|| n.to_string(), utc)
                }
                other => other.to_string(),
            };
            let name = name.trim_end_matches("_unix_ms").replace('_', " ");
            write!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n",
                Text(&name),
                Text(&text)
            )
        }
    }
}

/// A line over the values that are known; nothing is drawn where one is not.
fn curve(out: &mut String, name: &str, values: &[Option<f64>]) -> fmt::Result {
    let known = || values.iter().flatten().copied();
    let most = known().fold(0.0, f64::max);
    let now = values.last().copied().flatten();
    let now = now.map_or("unknown".to_owned(), |now| format!("{now:.1}"));
    write!(
        out,
        "<figure><figcaption>{name}: now {now}, at most {most:.1}</figcaption>\
         <svg viewBox=\"0 0 720 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{name}: now {now}, at most {most:.1}\">\
         <line x1=\"0\" y1=\"99\" x2=\"720\" y2=\"99\"/><path d=\""
    )?;
    let scale = if most > 0.0 { 96.0 / most } else { 0.0 };
    let offset = 720usize.saturating_sub(values.len());
    let mut drawing = false;
    for (i, value) in values.iter().enumerate() {
        match value {
            Some(value) => {
                let command = if drawing { 'L' } else { 'M' };
                write!(out, "{command}{} {:.1}", i + offset, 98.0 - value * scale)?;
                drawing = true;
            }
            None => drawing = false,
        }
    }
    out.push_str("\"/></svg></figure>\n");
    Ok(())
}

fn bar(table: &TableStatus) -> String {
    if table.state == TableState::Done {
        return "<span class=\"good\">complete</span>".into();
    }
    // The estimate can be too low.
    let most = table.estimated_rows.max(table.rows).max(1);
    let percent = table.rows.saturating_mul(100) / most;
    format!(
        "<progress max=\"{most}\" value=\"{}\">{percent} %</progress> {percent} %",
        table.rows
    )
}

fn phase_class(phase: Phase) -> &'static str {
    match phase {
        Phase::Ready | Phase::CutOver => "good",
        Phase::Snapshot | Phase::Streaming | Phase::Draining | Phase::Paused => "warn",
        Phase::Aborted | Phase::Stopped | Phase::ResnapshotRequired => "bad",
    }
}

/// `0.4 s`, `12 min`, `3 h 5 min`.
fn duration(seconds: f64) -> String {
    if seconds < 120.0 {
        return format!("{seconds:.1} s");
    }
    let minutes = (seconds / 60.0) as u64;
    match minutes / 60 {
        0 => format!("{minutes} min"),
        hours @ 1..48 => format!("{hours} h {} min", minutes % 60),
        hours => format!("{} days", hours / 24),
    }
}

/// `2026-03-01T12:30:00Z`.
fn utc(unix_ms: u64) -> String {
    let seconds = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    let when = aws_smithy_types::DateTime::from_secs(seconds);
    when.fmt(aws_smithy_types::date_time::Format::DateTime)
        .unwrap_or_else(|_| format!("{seconds} s after 1970"))
}

/// Text in HTML, between tags or in quotes.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
