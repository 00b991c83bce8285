//! What was done, by whom and when.

use std::fmt::Write as _;

use super::{ago, escaped};
use crate::checkpoint::AuditEntry;
use crate::cutover::utc;
use crate::daemon::done_words;

/// The section; none where nothing was done.
pub(super) fn done(out: &mut String, audit: &[AuditEntry], now_unix_ms: u64) {
    if audit.is_empty() {
        return;
    }
    out.push_str(
        "<section><h2>What was done</h2><div class=\"wide\"><table><thead><tr><th scope=\"col\">When</th>\
         <th scope=\"col\">Who</th><th scope=\"col\">What</th></tr></thead><tbody>",
    );
    for entry in audit {
        let _ = write!(
            out,
            "<tr><td title=\"{}\">{}</td><td>{}</td><td class=\"text\">{}</td></tr>",
            utc(entry.at_unix_ms),
            ago(entry.at_unix_ms, now_unix_ms),
            escaped(who(entry)),
            escaped(&what(entry)),
        );
    }
    out.push_str("</tbody></table></div></section>");
}

/// The account. Which process it was is for the log.
fn who(entry: &AuditEntry) -> &str {
    let who = entry.who.split(", process ").next().unwrap_or_default();
    match who.is_empty() {
        true => "penstock",
        false => who,
    }
}

fn what(entry: &AuditEntry) -> String {
    let action = done_words(&entry.action);
    match entry.detail.is_empty() {
        true => action.to_owned(),
        false => format!("{action}: {}", entry.detail),
    }
}
