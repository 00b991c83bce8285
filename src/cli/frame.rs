//! One picture of `penstock status --watch`: lines that fit the terminal.

use console::truncate_str;

use super::bars::Way;
use super::status::span;
use super::verify;
use super::watch::{Look, Seen, copy};
use crate::admin::{READY_LAG_SECONDS, Status, TableStatus};
use crate::checkpoint::TableState;
use crate::phase::Phase;
use crate::terminal::bar;
use crate::verify::progress::Snapshot;

const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "31";
const FAINT: &str = "2";
/// A bar, and the name before it.
const BAR: usize = 24;
const NAME: usize = 13;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The picture, at most as high and as wide as the terminal.
pub(super) fn lines(
    look: &Look,
    seen: &mut Seen,
    (rows, columns): (usize, usize),
    colors: bool,
) -> Vec<String> {
    let ink = Ink { colors };
    let mut picture = Picture::default();
    match look {
        Look::Status(status) => of_status(&mut picture, status, seen, ink),
        Look::Silent(reason) => {
            picture.line("penstock", &ink.paint(YELLOW, reason));
            picture.line("", "looking again every second");
        }
    }
    picture
        .tail
        .push(ink.paint(FAINT, "Ctrl-C ends the watching; nothing else ends with it"));
    picture.fit(rows.saturating_sub(1).max(1), columns)
}

fn of_status(picture: &mut Picture, status: &Status, seen: &mut Seen, ink: Ink) {
    let caught_up = if status.caught_up { ", caught up" } else { "" };
    let phase = ink.paint(tone(status.phase), &format!("{}{caught_up}", status.phase));
    let up = span(status.uptime_seconds as f64);
    picture.line(
        "phase",
        &format!("{phase}  up {up}, penstock {}", status.version),
    );
    if let Some(stopped) = &status.stopped {
        picture.line("stopped", &ink.paint(RED, &stopped.reason));
        picture.line("remedy", &plain(&stopped.remedy));
    }
    if let Some(paused) = &status.paused {
        let since = super::status::ago(paused.since_unix_ms);
        let words = format!("for {since}, by {}: `penstock resume` goes on", paused.by);
        picture.line("paused", &ink.paint(YELLOW, &words));
    }
    for trouble in &status.trouble {
        picture.line("trouble", &ink.paint(YELLOW, trouble));
    }
    of_copy(picture, status, seen, ink);
    of_lag(picture, status, seen, ink);
    let drains = status.phase == Phase::Draining;
    if let (true, Some(left)) = (drains, status.behind_transactions) {
        let way = seen.behind.way(left);
        picture.bar("drain", way, &format!("{left} transactions left"));
    }
    if let Some((way, words)) = comparison(status) {
        picture.bar("verify", way, &words);
    }
    of_gates(picture, status, ink);
    let letters = match status.dead_letters {
        0 => "0".to_owned(),
        some => ink.paint(YELLOW, &format!("{some}: `penstock dead-letters list`")),
    };
    picture.line("dead letters", &letters);
    if let Some(age) = status.checkpoint_age_seconds {
        picture.line("checkpoint", &format!("{} ago", span(age)));
    }
    picture.line("target", &plain(&status.target));
}

/// While something is to be copied, each table has its bar; afterwards the sum is one line.
fn of_copy(picture: &mut Picture, status: &Status, seen: &Seen, ink: Ink) {
    let way = copy(status);
    let left = status
        .snapshot
        .iter()
        .filter(|t| t.state != TableState::Done)
        .count();
    if left == 0 {
        let tables = status.snapshot.len();
        picture.line("copied", &format!("{} rows of {tables} tables", way.done));
        return;
    }
    let speed = seen.copied.words(way, "rows");
    let comma = if speed.is_empty() { "" } else { ", " };
    let words = format!("{} of about {} rows{comma}{speed}", way.done, way.of);
    picture.bar("copy", way, &words);
    for table in &status.snapshot {
        picture.tables.push(of_table(table, ink));
    }
}

fn of_table(table: &TableStatus, ink: Ink) -> String {
    let of = table.estimated_rows.max(table.rows);
    let (way, words) = match table.state {
        TableState::Done => (Way { done: 1, of: 1 }, format!("{} rows", table.rows)),
        TableState::Pending => (Way::default(), ink.paint(FAINT, "waiting")),
        TableState::Copying => (
            Way {
                done: table.rows,
                of: of + 1,
            },
            format!("{} of about {of}", table.rows),
        ),
    };
    let bar = bar(way.done, way.of, BAR);
    format!(
        "{:NAME$} {bar} {:>3}%  {}  {words}",
        "",
        way.share(),
        plain(&table.table)
    )
}

/// The last looks drawn beside the number.
fn of_lag(picture: &mut Picture, status: &Status, seen: &Seen, ink: Ink) {
    let (words, color) = match status.lag_seconds.apply {
        None => ("unknown".to_owned(), YELLOW),
        Some(lag) if lag > READY_LAG_SECONDS => (format!("{lag:.1} s"), RED),
        Some(lag) => (format!("{lag:.1} s"), GREEN),
    };
    let drawn = sparkline(&seen.lags, BAR);
    let behind = match status.behind_transactions {
        Some(behind) if behind > 0 => format!(", {behind} transactions behind"),
        _ => String::new(),
    };
    let words = ink.paint(color, &words);
    let in_flight = status.in_flight;
    picture.line(
        "lag",
        &format!("{drawn:BAR$}       {words}{behind}, {in_flight} items in flight"),
    );
}

fn of_gates(picture: &mut Picture, status: &Status, ink: Ink) {
    let all = status.gates.len();
    let shut: Vec<_> = status.gates.iter().filter(|gate| !gate.open).collect();
    if all == 0 {
        return;
    }
    let drawn = bar((all - shut.len()) as u64, all as u64, BAR);
    match shut.len() {
        0 => picture.line(
            "gates",
            &format!("{drawn}       {}", ink.paint(GREEN, "all open")),
        ),
        n => picture.line("gates", &format!("{drawn}       {n} of {all} shut")),
    }
    let width = shut.iter().map(|gate| gate.name.len()).max().unwrap_or(0);
    for gate in shut {
        let name = ink.paint(YELLOW, &format!("{:width$}", gate.name));
        picture.line("", &format!("{name}  {}", plain(&gate.reason)));
    }
}

/// The comparison that is under way, and the words beside its bar.
pub(super) fn comparison(status: &Status) -> Option<(Way, String)> {
    let progress = &status.parity.as_ref()?["progress"];
    let progress: Snapshot = serde_json::from_value(progress.clone()).ok()?;
    let (way, step, more) = verify::words(&progress);
    let comma = if more.is_empty() { "" } else { ", " };
    let words = format!("{step} {} of about {}{comma}{more}", way.done, way.of);
    Some((way, words))
}

fn tone(phase: Phase) -> &'static str {
    match phase {
        Phase::Ready | Phase::CutOver => GREEN,
        Phase::Snapshot | Phase::Streaming | Phase::Draining => "36",
        Phase::Paused | Phase::Aborted => YELLOW,
        Phase::Stopped | Phase::ResnapshotRequired => RED,
    }
}

/// The newest values, the highest of them as high as can be; nothing is higher than a second where all are less.
fn sparkline(values: &[Option<f64>], width: usize) -> String {
    let newest = &values[values.len().saturating_sub(width)..];
    let top = newest.iter().flatten().fold(1.0, |top: f64, v| top.max(*v));
    let level = |value: f64| {
        let at = (value / top * (LEVELS.len() - 1) as f64).round() as usize;
        LEVELS.get(at).copied().unwrap_or('█')
    };
    newest
        .iter()
        .map(|value| value.map_or(' ', level))
        .collect()
}

/// `14:03:09Z`
pub(super) fn clock(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000 % 86_400;
    format!(
        "{:02}:{:02}:{:02}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[derive(Clone, Copy)]
struct Ink {
    colors: bool,
}

impl Ink {
    fn paint(self, color: &str, text: &str) -> String {
        let text = plain(text);
        match self.colors {
            true => format!("\x1b[{color}m{text}\x1b[0m"),
            false => text,
        }
    }
}

/// Nothing of what others wrote may steer the terminal.
fn plain(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

/// Lines from top to bottom; of the tables as many as there is room for.
#[derive(Default)]
struct Picture {
    head: Vec<String>,
    tables: Vec<String>,
    after: Vec<String>,
    tail: Vec<String>,
}

impl Picture {
    fn line(&mut self, name: &str, words: &str) {
        let to = if self.tables.is_empty() {
            &mut self.head
        } else {
            &mut self.after
        };
        to.push(format!("{name:NAME$} {words}"));
    }

    fn bar(&mut self, name: &str, way: Way, words: &str) {
        let drawn = bar(way.done, way.of, BAR);
        self.line(name, &format!("{drawn} {:>3}%  {words}", way.share()));
    }

    fn fit(self, rows: usize, columns: usize) -> Vec<String> {
        let others = self.head.len() + self.after.len() + self.tail.len();
        let room = rows.saturating_sub(others);
        let mut lines = self.head;
        if self.tables.len() <= room {
            lines.extend(self.tables);
        } else if let Some(shown) = room.checked_sub(1) {
            let more = self.tables.len() - shown;
            lines.extend(self.tables.into_iter().take(shown));
            lines.push(format!("{:NAME$} … {more} more tables", ""));
        }
        lines.extend(self.after);
        lines.extend(self.tail);
        lines.truncate(rows);
        let cut = |line: String| truncate_str(line.trim_end(), columns, "…").into_owned();
        lines.into_iter().map(cut).collect()
    }
}

#[cfg(test)]
mod tests;
