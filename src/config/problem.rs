//! What is wrong with the settings, where, and what to write instead.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Warning,
    Error,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub severity: Severity,
    /// What is wrong, in one line; never a secret.
    pub message: String,
    pub file: PathBuf,
    /// From 1; 0 where it is about the file as a whole.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// `source.port`; empty where there is no key.
    pub key: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The line itself and the part of it that is meant, in characters. Not kept where it may hold a secret.
    #[serde(skip)]
    pub(super) excerpt: Option<(String, Range<usize>)>,
}

impl Problem {
    /// An error about a file as a whole.
    pub fn of_file(path: &Path, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            file: path.to_path_buf(),
            line: 0,
            column: 0,
            key: String::new(),
            help: None,
            excerpt: None,
        }
    }

    /// Adds what to write instead.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// The problems as text, the way a compiler shows them.
pub fn render(problems: &[Problem]) -> String {
    let mut out = String::new();
    for problem in problems {
        // Writing to a String cannot fail.
        let _ = render_one(&mut out, problem);
        out.push('\n');
    }
    out
}

fn render_one(out: &mut String, problem: &Problem) -> std::fmt::Result {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    writeln!(out, "{severity}: {}", problem.message)?;
    write!(out, "  --> {}", problem.file.display())?;
    if problem.line > 0 {
        write!(out, ":{}:{}", problem.line, problem.column)?;
    }
    if !problem.key.is_empty() {
        write!(out, "  ({})", problem.key)?;
    }
    writeln!(out)?;
    if let Some((line, mark)) = &problem.excerpt {
        let number = problem.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(out, " {margin} |")?;
        writeln!(out, " {number} | {line}")?;
        writeln!(
            out,
            " {margin} | {}{}",
            " ".repeat(mark.start),
            "^".repeat(mark.len().max(1))
        )?;
    }
    if let Some(help) = &problem.help {
        writeln!(out, "  help: {help}")?;
    }
    Ok(())
}
