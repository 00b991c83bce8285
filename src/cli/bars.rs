//! How a wait goes: a bar on a terminal, now and then a line elsewhere. Everything goes to stderr.

use std::io::{self, Write, stderr};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::terminal;

/// Lines elsewhere: not more often than this …
const SELDOM: Duration = Duration::from_secs(10);
/// … with every twentieth of the way, and after so long in any case.
const SHARE: u64 = 5;
const ALWAYS: Duration = Duration::from_secs(600);
/// Speeds are those of the last half minute.
const PRESENT: Duration = Duration::from_secs(30);

/// All bars of this process: what is logged meanwhile stands above them.
static ALL: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Who reads what is said while something is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// Whoever gave the command.
    Command,
    /// The log.
    Log,
}

/// One thing that is waited for. What it has drawn is gone once it is dropped.
pub(super) struct Wait {
    name: &'static str,
    voice: Voice,
    bar: Option<ProgressBar>,
    pace: Pace,
}

/// Where it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Way {
    pub done: u64,
    /// 0 while that is not known.
    pub of: u64,
}

impl Wait {
    pub fn new(name: &'static str, voice: Voice) -> Self {
        let bar = terminal::redraws(&stderr()).then(|| {
            // Words that do not fit are cut off.
            let style = ProgressStyle::with_template("{prefix:10} {bar:24.█░} {wide_msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            let style = style.progress_chars("██░");
            ALL.add(ProgressBar::new(1).with_style(style).with_prefix(name))
        });
        Self {
            name,
            voice,
            bar,
            pace: Pace::since(Instant::now()),
        }
    }

    /// Shows where it is; `step` says what is being done, `more` what else there is to know.
    pub fn show(&mut self, way: Way, step: &str, more: &str) {
        let words = words(way, step, more);
        match &self.bar {
            Some(bar) => {
                // A length of nothing would be a full bar.
                bar.set_length(way.of.max(1));
                bar.set_position(if way.of == 0 { 0 } else { way.done });
                bar.set_message(words);
            }
            None if self.pace.is_due(Instant::now(), step, way) => self.line(&words),
            None => {}
        }
    }

    /// A step of which there are few: each is worth a line.
    pub fn step(&mut self, step: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(1);
                bar.set_position(0);
                bar.set_message(step.to_owned());
            }
            None if self.pace.is_new(step) => {
                self.pace.told(Instant::now(), step, Way::default());
                self.line(step);
            }
            None => {}
        }
    }

    fn line(&self, words: &str) {
        match self.voice {
            Voice::Command => {
                // Where stderr is closed there is nobody to tell.
                let _ = writeln!(stderr(), "{}: {words}", self.name);
            }
            Voice::Log => tracing::info!("{}: {words}", self.name),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            ALL.remove(bar);
        }
    }
}

/// `compared 1200 of about 2000 (60%), 3 differ`
fn words(way: Way, step: &str, more: &str) -> String {
    let mut out = step.to_owned();
    if way.of > 0 {
        out.push_str(&format!(
            " {} of about {} ({}%)",
            way.done,
            way.of,
            way.share()
        ));
    }
    if !more.is_empty() {
        out.push_str(", ");
        out.push_str(more);
    }
    out
}

impl Way {
    /// Percent; all of it only at the end.
    pub fn share(self) -> u64 {
        match self.of {
            0 => 0,
            of if self.done >= of => 100,
            of => (u128::from(self.done) * 100 / u128::from(of)) as u64,
        }
    }
}

/// When a line is worth its place in a log that nobody watches.
#[derive(Debug)]
struct Pace {
    at: Instant,
    step: String,
    share: u64,
}

impl Pace {
    fn since(begun: Instant) -> Self {
        Self {
            at: begun,
            step: String::new(),
            share: 0,
        }
    }

    fn is_new(&self, step: &str) -> bool {
        self.step != step
    }

    fn is_due(&mut self, now: Instant, step: &str, way: Way) -> bool {
        let silent = now.saturating_duration_since(self.at);
        let moved = self.is_new(step) || way.share() >= self.share + SHARE;
        let due = silent >= ALWAYS || (silent >= SELDOM && moved);
        if due {
            self.told(now, step, way);
        }
        due
    }

    fn told(&mut self, now: Instant, step: &str, way: Way) {
        self.at = now;
        step.clone_into(&mut self.step);
        self.share = way.share();
    }
}

/// How fast something grows, and when it will be there.
#[derive(Debug, Default)]
pub(super) struct Speed {
    looks: std::collections::VecDeque<(Instant, u64)>,
}

impl Speed {
    /// A look.
    pub fn look(&mut self, now: Instant, done: u64) {
        let old = |at: Instant| now.saturating_duration_since(at) > PRESENT;
        // Two of them are kept, however long ago.
        while self.looks.len() > 2 && self.looks.front().is_some_and(|(at, _)| old(*at)) {
            self.looks.pop_front();
        }
        self.looks.push_back((now, done));
    }

    /// In a second, where it moves.
    pub fn per_second(&self) -> Option<f64> {
        let ((from, before), (to, after)) = (self.looks.front()?, self.looks.back()?);
        let seconds = to.saturating_duration_since(*from).as_secs_f64();
        let grown = after.checked_sub(*before).filter(|grown| *grown > 0)?;
        (seconds > 0.0).then(|| grown as f64 / seconds)
    }

    /// `1200 rows/s, 13 s left`
    pub fn words(&self, way: Way, unit: &str) -> String {
        let Some(speed) = self.per_second() else {
            return String::new();
        };
        let left = way.of.saturating_sub(way.done) as f64 / speed;
        match way.of {
            0 => format!("{speed:.0} {unit}/s"),
            _ => format!("{speed:.0} {unit}/s, {} left", super::status::span(left)),
        }
    }
}

/// The log's way to stderr: bars make room for each line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        ALL.suspend(|| stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(done: u64, of: u64) -> Way {
        Way { done, of }
    }

    #[test]
    fn hours_of_waiting_are_few_lines() {
        let begun = Instant::now();
        let mut pace = Pace::since(begun);
        let lines = |pace: &mut Pace, from: u64, seconds: u64, done: &dyn Fn(u64) -> u64| {
            (from..from + seconds)
                .filter(|s| {
                    let now = begun + Duration::from_secs(*s);
                    pace.is_due(now, "copied", way(done(*s), 36_000))
                })
                .count()
        };
        // Ten hours, a step each second.
        let moving = lines(&mut pace, 0, 36_000, &|second| second);
        assert!((20..=80).contains(&moving), "{moving}");
        // An hour in which nothing moves.
        assert_eq!(lines(&mut pace, 36_000, 3_600, &|_| 36_000), 6);
        // What is over in a moment needs none.
        let mut pace = Pace::since(begun);
        assert_eq!(lines(&mut pace, 0, 9, &|second| second * 4_000), 0);
        // What is fast is told of every ten seconds at most.
        assert_eq!(lines(&mut pace, 9, 40, &|second| second * 800), 4);
    }

    #[test]
    fn the_words_say_how_much_and_how_long() {
        let now = Instant::now();
        let mut speed = Speed::default();
        assert_eq!(speed.words(way(0, 10), "rows"), "");
        speed.look(now, 0);
        speed.look(now + Duration::from_secs(2), 200);
        assert_eq!(speed.words(way(200, 500), "rows"), "100 rows/s, 3 s left");
        assert_eq!(speed.words(way(200, 0), "rows"), "100 rows/s");
        // What is older than the present counts no more.
        for second in 3..100 {
            speed.look(now + Duration::from_secs(second), 200 + second);
        }
        assert_eq!(
            speed.words(way(299, 399), "rows"),
            "1 rows/s, 100 s left".replace("100 s", "1 min")
        );
        assert_eq!(
            words(way(1, 3), "compared", "2 differ"),
            "compared 1 of about 3 (33%), 2 differ"
        );
        assert_eq!(words(way(0, 0), "draining", ""), "draining");
        assert_eq!((way(5, 5).share(), way(999, 1000).share()), (100, 99));
    }
}
