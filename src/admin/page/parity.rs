//! What the comparisons of both sides say.

use std::fmt::Write as _;

use serde_json::Value;

use super::{ago, bar, escaped, marked, name_of, span};
use crate::verify::judge::Wrong;
use crate::verify::progress::Snapshot;
use crate::verify::{Pass, Standing};

/// The section.
pub(super) fn parity(out: &mut String, parity: Option<&Value>, now_unix_ms: u64) {
    out.push_str("<section><h2>Parity</h2>");
    match parity {
        None => out.push_str("<p class=\"quiet\">The two sides have not been compared yet.</p>"),
        Some(parity) => {
            let running: Option<Snapshot> =
                serde_json::from_value(parity["progress"].clone()).unwrap_or_default();
            if let Some(running) = running {
                progress(out, &running);
            }
            // Of a report of another version as much as is known.
            let standing: Standing = serde_json::from_value(parity.clone()).unwrap_or_default();
            match &standing.last_pass {
                None => out.push_str("<p class=\"quiet\">No full comparison has ended yet.</p>"),
                Some(pass) => last(out, pass, &standing, now_unix_ms),
            }
            owed(out, &standing, now_unix_ms);
        }
    }
    out.push_str("</section>");
}

/// The comparison that is under way.
fn progress(out: &mut String, running: &Snapshot) {
    let share = match running.estimated {
        0 => 0,
        estimated => (running.items.saturating_mul(100) / estimated).min(99),
    };
    let _ = write!(
        out,
        "<p>Under way: {} {} {} of about {} items",
        bar("the comparison of both sides", share),
        running.step.words(),
        running.items,
        running.estimated.max(running.items),
    );
    if running.mismatches > 0 {
        let _ = write!(out, ", {} differ", running.mismatches);
    }
    if let Some(left) = running.seconds_left {
        let _ = write!(out, ", {} left", span(left));
    }
    out.push_str("</p>");
}

/// The last full comparison.
fn last(out: &mut String, pass: &Pass, standing: &Standing, now_unix_ms: u64) {
    let wrong: u64 = pass.mismatches.values().sum();
    let (class, word, found) = match (wrong, pass.undecided) {
        (0, 0) => ("good", "Equal", String::new()),
        (0, undecided) => (
            "warn",
            "Not decided",
            format!(": {undecided} items were being written whenever they were looked at"),
        ),
        (wrong, _) => ("bad", "Not equal", format!(": {wrong} items differ")),
    };
    let took = pass.finished_unix_ms.saturating_sub(pass.started_unix_ms) as f64 / 1000.0;
    let took = match took < 10.0 {
        true => format!("{took:.1} s"),
        false => span(took),
    };
    let items = match pass.items {
        1 => "1 item was".to_owned(),
        items => format!("{items} items were"),
    };
    let _ = write!(
        out,
        "<p class=\"{class}\"><span class=\"word\">{word}</span>{found}. {items} compared {}; it took {took}.",
        ago(pass.finished_unix_ms, now_unix_ms),
    );
    let clean = standing
        .last_clean_finished_unix_ms
        .filter(|_| wrong > 0 || pass.undecided > 0);
    if let Some(clean) = clean {
        let _ = write!(
            out,
            " Both sides were last found equal {}.",
            ago(clean, now_unix_ms)
        );
    }
    out.push_str("</p>");
    by_entity(out, pass);
}

fn by_entity(out: &mut String, pass: &Pass) {
    if pass.entities.is_empty() {
        return;
    }
    out.push_str(
        "<div class=\"wide\"><table><thead><tr><th scope=\"col\">Kind of item</th><th scope=\"col\">Compared</th>\
         <th scope=\"col\">Different</th><th scope=\"col\">Missing</th><th scope=\"col\">Extra</th></tr></thead><tbody>",
    );
    let kinds = [Wrong::Different, Wrong::Missing, Wrong::Extra].map(Wrong::word);
    // What belongs to no kind: items that no row explains.
    let mut rest = kinds.map(|kind| pass.mismatches.get(kind).copied().unwrap_or(0));
    for (name, entity) in &pass.entities {
        let counts = kinds.map(|kind| entity.mismatches.get(kind).copied().unwrap_or(0));
        for (rest, count) in rest.iter_mut().zip(counts) {
            *rest = rest.saturating_sub(count);
        }
        row(out, &name_of(name), &entity.items.to_string(), counts);
    }
    if rest.iter().any(|count| *count > 0) {
        row(out, "none of these", "–", rest);
    }
    out.push_str("</tbody></table></div>");
}

fn row(out: &mut String, name: &str, items: &str, counts: [u64; 3]) {
    let _ = write!(out, "<tr><th scope=\"row\">{name}</th><td>{items}</td>");
    for count in counts {
        let class = if count > 0 { " class=\"bad\"" } else { "" };
        let _ = write!(out, "<td{class}>{count}</td>");
    }
    out.push_str("</tr>");
}

fn owed(out: &mut String, standing: &Standing, now_unix_ms: u64) {
    let Err(owed) = standing.gate() else {
        out.push_str("<p>Owed: nothing.</p>");
        return;
    };
    let since = match standing.owed_unix_ms {
        0 => String::new(),
        at => format!(" ({})", ago(at, now_unix_ms)),
    };
    let _ = write!(
        out,
        "<p>Owed: a full comparison, as {}{since}. <span class=\"remedy\">{}</span></p>",
        escaped(owed.reason()),
        marked(owed.remedy()),
    );
}
