//! What is wrong with a contract, where, and what to write instead.

use std::ops::Range;
use std::sync::Arc;

/// Where something stands in the contract's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Byte offsets into the text.
    pub span: Range<usize>,
    /// The JSON pointer (RFC 6901), for example `/tables/0/attributes/3/join/select_column`.
    pub pointer: Arc<str>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
}

/// One finding.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    pub severity: Severity,
    /// A stable name in kebab-case, for tests and for searching the documentation: `unknown-column`.
    pub code: &'static str,
    /// What is wrong, in one line.
    pub message: String,
    pub place: Place,
    /// What to write instead.
    pub help: Option<String>,
}

/// All findings, in the order in which they were found.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    pub all: Vec<Diagnostic>,
}

impl Diagnostics {
    pub fn error(&mut self, code: &'static str, place: &Place, message: impl Into<String>) {
        self.push(Severity::Error, code, place, message.into(), None);
    }

    pub fn warn(&mut self, code: &'static str, place: &Place, message: impl Into<String>) {
        self.push(Severity::Warning, code, place, message.into(), None);
    }

    /// An error with what to write instead.
    pub fn error_help(
        &mut self,
        code: &'static str,
        place: &Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(
            Severity::Error,
            code,
            place,
            message.into(),
            Some(help.into()),
        );
    }

    /// A warning with what to write instead.
    pub fn warn_help(
        &mut self,
        code: &'static str,
        place: &Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(
            Severity::Warning,
            code,
            place,
            message.into(),
            Some(help.into()),
        );
    }

    pub fn has_errors(&self) -> bool {
        self.all.iter().any(|d| d.severity == Severity::Error)
    }

    fn push(
        &mut self,
        severity: Severity,
        code: &'static str,
        place: &Place,
        message: String,
        help: Option<String>,
    ) {
        self.all.push(Diagnostic {
            severity,
            code,
            message,
            place: place.clone(),
            help,
        });
    }
}
