//! How a command ends: what is printed where, and the exit status.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::json;

use super::Format;
use crate::config::{self, Problem};
use crate::error::{Error, Kind};
use crate::words::counted;

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Exit status 0.
    Done,
    /// The work was to find out, and it failed on the way: 1. What there is to say has been printed.
    Failed,
    /// Settings or contract are wrong: 2. What there is to say has been printed.
    Wrong,
    /// The answer is no: 3. What there is to say has been printed.
    No,
}

/// Why a command could not do its work.
#[derive(Debug)]
pub enum Failure {
    Settings(Vec<Problem>),
    Error(Error),
    /// The result could not be printed.
    Output(io::Error),
}

/// How a command ends.
pub type Outcome = Result<Answer, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Error(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

/// Prints a result to stdout.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    print_raw(text)?;
    match text.ends_with('\n') {
        true => Ok(()),
        false => print_raw("\n"),
    }
}

/// Prints a piece of a result, as it is.
pub(super) fn print_raw(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Prints a result as JSON.
pub(super) fn print_json<T: serde::Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::new(Kind::Internal, "a result could not be encoded").with_source(e))?;
    print(&text)
}

/// Prints one of several documents: each is a line.
pub(super) fn print_json_line<T: serde::Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|e| Error::new(Kind::Internal, "a result could not be encoded").with_source(e))?;
    print(&text)
}

/// Tells the failure on stderr and gives the exit status.
pub(super) fn exit(format: Format, outcome: Outcome) -> ExitCode {
    let code = status(&outcome);
    if let Err(failure) = &outcome {
        let mut text = failure_text(format, failure);
        if !text.is_empty() {
            text.push('\n');
            // Where stderr is closed there is nobody to tell.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }
    ExitCode::from(code)
}

pub(super) fn status(outcome: &Outcome) -> u8 {
    match outcome {
        Ok(Answer::Done) => 0,
        Ok(Answer::Failed) => 1,
        Ok(Answer::Wrong) | Err(Failure::Settings(_)) => 2,
        Ok(Answer::No) => 3,
        // `penstock … | head` has all that it wanted.
        Err(Failure::Output(e)) if e.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(Failure::Output(_)) => 1,
        Err(Failure::Error(e)) if e.kind() == Kind::Usage => 2,
        Err(Failure::Error(_)) => 1,
    }
}

pub(super) fn failure_text(format: Format, failure: &Failure) -> String {
    match (failure, format) {
        (Failure::Output(e), _) if e.kind() == io::ErrorKind::BrokenPipe => String::new(),
        (Failure::Output(e), _) => format!("error: the result could not be written: {e}"),
        (Failure::Settings(problems), Format::Json) => json!({ "problems": problems }).to_string(),
        (Failure::Settings(problems), _) => {
            let count = problems
                .iter()
                .filter(|p| p.severity == config::Severity::Error)
                .count();
            format!(
                "{}error: {} in the settings",
                config::render(problems),
                counted(count as u64, "problem")
            )
        }
        (Failure::Error(error), Format::Json) => json!({ "error": {
            "kind": error.kind().name(),
            "reason": error.to_string(),
            "remedy": error.remedy(),
        }})
        .to_string(),
        (Failure::Error(error), _) => format!("error: {error}\n  help: {}", error.remedy()),
    }
}
