//! Findings as people read them (with the source line), and as programs do (JSON).

use std::collections::HashMap;
use std::fmt::Write;
use std::ops::Range;

use serde_json::json;

use super::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::words::counted;

/// How many findings are shown; the rest is counted.
const SHOWN: usize = 100;
/// How wide a source line is shown, in columns of the terminal.
const WIDTH: usize = 100;
/// How much of that stands before the token at least, where the line is clipped.
const BEFORE: usize = 30;
const TAB: &str = "    ";

/// The findings as text: errors first, then warnings, each with its line and what to write instead. Empty where there
/// are none. `text` is what was parsed; `color` adds ANSI colors.
pub fn render(diagnostics: &Diagnostics, file: &str, text: &str, color: bool) -> String {
    let shown = in_order(diagnostics);
    let lines = Lines::find(text, shown.iter().map(|d| d.place.span.start));
    let paint = Paint { color };
    let mut out = String::new();
    for finding in &shown {
        one(&mut out, finding, file, text, &lines, paint);
    }
    let (errors, warnings) = (diagnostics.error_count(), diagnostics.warning_count());
    let rest = errors + warnings - shown.len();
    if rest > 0 {
        let _ = writeln!(out, "and {rest} more\n");
    }
    if errors + warnings > 0 {
        let _ = writeln!(
            out,
            "{}, {}",
            counted(errors as u64, "error"),
            counted(warnings as u64, "warning")
        );
    }
    out
}

/// The findings as a JSON object: `errors` and `warnings` (numbers), and `findings`, of which each has `severity`,
/// `code`, `message`, `help` (or null), `file`, `line` and `column` (from 1, in characters), `start` and `end` (bytes)
/// and `pointer`.
pub fn render_json(diagnostics: &Diagnostics, file: &str, text: &str) -> String {
    let all = sorted(diagnostics);
    let lines = Lines::find(text, all.iter().map(|d| d.place.span.start));
    let findings: Vec<_> = all
        .iter()
        .map(|d| {
            let span = within(text, &d.place.span);
            let (line, column) = lines.position(text, span.start);
            json!({
                "severity": severity(d.severity),
                "code": d.code,
                "message": d.message,
                "help": d.help,
                "file": file,
                "line": line,
                "column": column,
                "start": span.start,
                "end": span.end,
                "pointer": &*d.place.pointer,
            })
        })
        .collect();
    let whole = json!({
        "errors": diagnostics.error_count(),
        "warnings": diagnostics.warning_count(),
        "findings": findings,
    });
    let mut out = serde_json::to_string_pretty(&whole).unwrap_or_default();
    out.push('\n');
    out
}

fn sorted(diagnostics: &Diagnostics) -> Vec<&Diagnostic> {
    let mut all: Vec<&Diagnostic> = diagnostics.all.iter().collect();
    all.sort_by_key(|d| {
        (
            std::cmp::Reverse(d.severity),
            d.place.span.start,
            d.place.span.end,
        )
    });
    all
}

fn in_order(diagnostics: &Diagnostics) -> Vec<&Diagnostic> {
    let mut all = sorted(diagnostics);
    all.truncate(SHOWN);
    all
}

fn one(
    out: &mut String,
    finding: &Diagnostic,
    file: &str,
    text: &str,
    lines: &Lines,
    paint: Paint,
) {
    let severity = paint.severity(
        finding.severity,
        &format!("{}[{}]", severity(finding.severity), finding.code),
    );
    let _ = writeln!(
        out,
        "{severity}: {}",
        paint.bold(&printable(&finding.message))
    );
    let span = within(text, &finding.place.span);
    let everywhere = finding.place.span == (0..0) && finding.place.pointer.is_empty();
    if everywhere || text.is_empty() {
        let _ = writeln!(out, " {} {file}", paint.dim("-->"));
    } else {
        let (line, column) = lines.position(text, span.start);
        let margin = " ".repeat(line.to_string().len());
        let pointer = match &*finding.place.pointer {
            "" => String::new(),
            pointer => format!(" ({})", printable(pointer)),
        };
        let _ = writeln!(
            out,
            "{margin}{} {file}:{line}:{column}{pointer}",
            paint.dim("-->")
        );
        let (source, underline) = snippet(text, &span);
        let _ = writeln!(out, "{margin} {}", paint.dim("|"));
        let _ = writeln!(out, "{} {}", paint.dim(&format!("{line} |")), source);
        let _ = writeln!(
            out,
            "{margin} {} {}",
            paint.dim("|"),
            paint.severity(finding.severity, &underline)
        );
    }
    if let Some(help) = finding.help.as_deref().filter(|h| !h.is_empty()) {
        let _ = writeln!(out, "  {} {}", paint.dim("= help:"), printable(help));
    }
    out.push('\n');
}

/// The line around the token, clipped to the terminal, and the marks below it.
fn snippet(text: &str, span: &Range<usize>) -> (String, String) {
    let line_start = text[..span.start].rfind('\n').map_or(0, |i| i + 1);
    let line_end = text[span.start..]
        .find('\n')
        .map_or(text.len(), |i| span.start + i);
    let more_lines = span.end > line_end;
    let token_end = span.end.min(line_end);
    let before = &text[line_start..span.start];
    let token = &text[span.start..token_end];
    let after = text[token_end..line_end].trim_end_matches('\r');

    let mut shown = String::new();
    let mut lead = String::new();
    tail(
        before,
        if before.len() + token.len() + after.len() <= WIDTH {
            WIDTH
        } else {
            BEFORE
        },
        &mut lead,
    );
    let indent = width(&lead);
    shown.push_str(&lead);
    let room = WIDTH.saturating_sub(indent);
    let mut marked = String::new();
    head(token, room, &mut marked);
    shown.push_str(&marked);
    if !marked.ends_with('…') {
        head(after, WIDTH.saturating_sub(width(&shown)), &mut shown);
    }
    let mut underline = " ".repeat(indent);
    underline.push_str(&"^".repeat(width(&marked).max(1)));
    if more_lines {
        underline.push('…');
    }
    (shown.trim_end().to_owned(), underline)
}

/// The end of `text`, at most `room` columns, with a mark where something is left out.
fn tail(text: &str, room: usize, out: &mut String) {
    let mut taken = 0;
    let mut from = text.len();
    for (i, c) in text.char_indices().rev() {
        taken += char_width(c);
        if taken > room {
            out.push('…');
            break;
        }
        from = i;
    }
    out.push_str(&printable_line(&text[from..]));
}

/// The start of `text`, at most `room` columns, with a mark where something is left out.
fn head(text: &str, room: usize, out: &mut String) {
    let mut taken = 0;
    for (i, c) in text.char_indices() {
        taken += char_width(c);
        if taken > room {
            out.push_str(&printable_line(&text[..i]));
            out.push('…');
            return;
        }
    }
    out.push_str(&printable_line(text));
}

fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Columns of the terminal, near enough for putting marks below a token.
fn char_width(c: char) -> usize {
    match c {
        '\t' => TAB.len(),
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// Without what would steer the terminal: a contract is somebody else's text.
fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
    };
    text.chars()
        .map(|c| if steers(c) { '\u{b7}' } else { c })
        .collect()
}

fn printable_line(text: &str) -> String {
    printable(&text.replace('\t', TAB))
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// The span, moved to where `text` has character boundaries.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.min(text.len()));
    start..end.max(start)
}

/// The line numbers of some offsets, found in one pass over the text.
struct Lines(HashMap<usize, usize>);

impl Lines {
    fn find(text: &str, offsets: impl Iterator<Item = usize>) -> Lines {
        let mut wanted: Vec<usize> = offsets.map(|o| within(text, &(o..o)).start).collect();
        wanted.sort_unstable();
        let mut found = HashMap::new();
        let (mut line, mut at) = (1, 0);
        for offset in wanted {
            line += text[at..offset].bytes().filter(|b| *b == b'\n').count();
            at = offset;
            found.insert(offset, line);
        }
        Lines(found)
    }

    /// Line and column (in characters), both from 1.
    fn position(&self, text: &str, offset: usize) -> (usize, usize) {
        let line = self.0.get(&offset).copied().unwrap_or(1);
        let start = text[..offset].rfind('\n').map_or(0, |i| i + 1);
        let column = text[start..offset]
            .trim_start_matches('\u{feff}')
            .chars()
            .count()
            + 1;
        (line, column)
    }
}

#[derive(Clone, Copy)]
struct Paint {
    color: bool,
}

impl Paint {
    fn severity(self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Error => self.with("1;31", text),
            Severity::Warning => self.with("1;33", text),
        }
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.with("34", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
