//! `penstock status --watch`: where the daemon stands, drawn again every second on a terminal, as lines elsewhere.

use std::io::{Write, stdout};
use std::time::{Duration, Instant};

use super::bars::{Speed, Way};
use super::drain::Left;
use super::output::{self, Failure};
use super::serving::Signals;
use super::{Answer, Cli, Format, Outcome, frame, runtime, state_directory};
use crate::admin::{Client, Status};
use crate::checkpoint::now_unix_ms;
use crate::error::Result;
use crate::terminal;

/// How often is looked.
const LOOK: Duration = Duration::from_secs(1);
/// Elsewhere than on a terminal: a line when something has changed, and after so long.
const ALWAYS: Duration = Duration::from_secs(10);
/// Looks of the lag that are drawn.
const LOOKS: usize = 40;

/// What was seen before, which a single look does not tell.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub copied: Speed,
    /// The newest one last; unknown ones are gaps.
    pub lags: Vec<Option<f64>>,
    pub behind: Left,
}

/// One look.
pub(super) enum Look {
    Status(Box<Status>),
    /// No daemon runs, or it does not answer.
    Silent(String),
}

pub(super) fn run(cli: &Cli) -> Outcome {
    let client = Client::new(&state_directory(cli)?);
    runtime()?.block_on(watch(&client, cli.format))
}

async fn watch(client: &Client, format: Format) -> Outcome {
    let mut signals = Signals::new()?;
    let mut shown = match format {
        Format::Text if terminal::redraws(&stdout()) => Shown::Screen(Screen::open()?),
        _ => Shown::Lines(Lines::new(format)),
    };
    let mut seen = Seen::default();
    loop {
        let look = tokio::select! {
            biased;
            () = signals.end() => break,
            status = client.status() => Look::of(status),
        };
        seen.look(&look);
        shown.show(&look, &mut seen)?;
        tokio::select! {
            biased;
            () = signals.end() => break,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    Ok(Answer::Done)
}

impl Look {
    /// The store is not looked into meanwhile: whoever opens it keeps a daemon from starting.
    fn of(status: Result<Option<Status>>) -> Self {
        match status {
            Ok(Some(status)) => Look::Status(Box::new(status)),
            Ok(None) => Look::Silent("no penstock runs here".to_owned()),
            Err(error) => Look::Silent(error.to_string()),
        }
    }
}

impl Seen {
    fn look(&mut self, look: &Look) {
        let lag = match look {
            Look::Status(status) => {
                let copied = status.snapshot.iter().map(|table| table.rows).sum();
                self.copied.look(Instant::now(), copied);
                status.lag_seconds.apply
            }
            Look::Silent(_) => None,
        };
        self.lags.push(lag);
        if self.lags.len() > LOOKS {
            self.lags.remove(0);
        }
    }
}

enum Shown {
    Screen(Screen),
    Lines(Lines),
}

impl Shown {
    fn show(&mut self, look: &Look, seen: &mut Seen) -> Result<(), Failure> {
        match self {
            Shown::Screen(screen) => screen.draw(look, seen),
            Shown::Lines(lines) => lines.tell(look),
        }
    }
}

/// A terminal. The cursor is hidden while it is drawn on, and below the last picture afterwards.
struct Screen {
    term: console::Term,
    colors: bool,
    /// Lines of the last picture.
    drawn: usize,
}

impl Screen {
    fn open() -> Result<Self, Failure> {
        let term = console::Term::stdout();
        term.hide_cursor()?;
        Ok(Self {
            term,
            colors: terminal::colors(&stdout()),
            drawn: 0,
        })
    }

    fn draw(&mut self, look: &Look, seen: &mut Seen) -> Result<(), Failure> {
        let (rows, columns) = self.term.size();
        let size = (usize::from(rows), usize::from(columns));
        let lines = frame::lines(look, seen, size, self.colors);
        let mut out = String::new();
        // A terminal that has become lower has lost its upper lines.
        let back = self.drawn.min(size.0.saturating_sub(1));
        if back > 0 {
            out.push_str(&format!("\x1b[{back}A"));
        }
        out.push_str("\r\x1b[J");
        for line in &lines {
            out.push_str(line);
            out.push('\n');
        }
        self.drawn = lines.len();
        // In one piece, so that nothing flickers.
        let mut stdout = stdout().lock();
        stdout.write_all(out.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The key that ended it has left its mark. Where the terminal is gone nobody misses its cursor.
        let _ = self.term.write_str("\r\x1b[K");
        let _ = self.term.show_cursor();
    }
}

/// No terminal.
struct Lines {
    format: Format,
    told: Option<(Instant, String)>,
}

impl Lines {
    fn new(format: Format) -> Self {
        Self { format, told: None }
    }

    fn tell(&mut self, look: &Look) -> Result<(), Failure> {
        let news = news(look);
        let is_old = |(at, told): &(Instant, String)| *told == news && at.elapsed() < ALWAYS;
        if self.told.as_ref().is_some_and(is_old) {
            return Ok(());
        }
        self.told = Some((Instant::now(), news));
        match (self.format, look) {
            (Format::Json, Look::Status(status)) => output::print_json_line(status),
            (Format::Json, Look::Silent(reason)) => {
                output::print_json_line(&serde_json::json!({"running": false, "reason": reason}))
            }
            _ => output::print(&format!("{} {}", frame::clock(now_unix_ms()), line(look))),
        }
    }
}

/// What is worth a line of its own when it changes.
fn news(look: &Look) -> String {
    match look {
        Look::Silent(reason) => reason.clone(),
        Look::Status(status) => {
            let shut = status.gates.iter().filter(|gate| !gate.open);
            let shut: Vec<&str> = shut.map(|gate| gate.name.as_str()).collect();
            let compares = status
                .parity
                .as_ref()
                .is_some_and(|p| !p["progress"].is_null());
            let copied = status.snapshot.iter().map(|table| table.state.name());
            let copied: Vec<&str> = copied.collect();
            format!(
                "{} {shut:?} {} {:?} {compares} {copied:?}",
                status.phase, status.dead_letters, status.trouble
            )
        }
    }
}

/// The whole of it in a line.
pub(super) fn line(look: &Look) -> String {
    let status = match look {
        Look::Status(status) => status,
        Look::Silent(reason) => return reason.clone(),
    };
    // Phase, copy, lag, and what is wrong are the line that a service manager is told.
    let mut parts = vec![crate::admin::line(status)];
    if status.in_flight > 0 {
        parts.push(format!("in flight {}", status.in_flight));
    }
    if let Some((_, words)) = frame::comparison(status) {
        parts.push(format!("verify {words}"));
    }
    let shut = status.gates.iter().filter(|gate| !gate.open).count();
    if !status.gates.is_empty() {
        parts.push(match shut {
            0 => "gates all open".to_owned(),
            shut => format!("gates {shut} of {} shut", status.gates.len()),
        });
    }
    parts.join("; ")
}

/// How far the copy is.
pub(super) fn copy(status: &Status) -> Way {
    let tables = status.snapshot.iter();
    let (done, of) = tables.fold((0, 0), |(done, of), table| {
        let of_table = match table.state {
            crate::checkpoint::TableState::Done => table.rows,
            _ => table.estimated_rows.max(table.rows + 1),
        };
        (done + table.rows, of + of_table)
    });
    Way { done, of }
}
