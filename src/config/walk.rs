//! Walking through a TOML text by hand: every value is asked for once, with its type and its range, and what nobody asked for
//! is refused.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Severity};

/// The text, and what has been found wrong with it so far.
pub(super) struct Walk<'t> {
    path: PathBuf,
    text: &'t str,
    problems: Vec<Problem>,
}

/// One section, and which of its keys have been asked for.
pub(super) struct Section<'t> {
    name: &'static str,
    table: Option<DeTable<'t>>,
    known: Vec<&'static str>,
    /// Where the section's name stands; the text's start where there is none.
    span: Range<usize>,
}

/// A value and where it stands.
pub(super) struct Found<T> {
    pub value: T,
    pub span: Range<usize>,
    pub key: String,
}

impl<'t> Walk<'t> {
    pub(super) fn new(path: &Path, text: &'t str) -> Self {
        Self {
            path: path.to_path_buf(),
            text,
            problems: Vec::new(),
        }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The sections, in the order of `names`; others are refused, those in `later` as not yet built.
    pub(super) fn sections<const N: usize>(
        &mut self,
        names: [&'static str; N],
        later: &[&str],
    ) -> [Section<'t>; N] {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let help = "settings are TOML: [section], key = \"text\", key = 7";
            self.push(
                Severity::Error,
                &span,
                "",
                error.message().to_string(),
                Some(help.to_string()),
            );
        }
        let mut sections = names.map(|name| Section {
            name,
            table: None,
            known: Vec::new(),
            span: 0..0,
        });
        for (key, value) in root.into_inner() {
            let span = key.span();
            let name = key.get_ref().as_ref();
            let Some(section) = sections.iter_mut().find(|s| s.name == name) else {
                self.unknown_section(name, &span, &names, later);
                continue;
            };
            match value.into_inner() {
                DeValue::Table(table) => {
                    section.table = Some(table);
                    section.span = span;
                }
                other => self.push(
                    Severity::Error,
                    &span,
                    name,
                    format!("`{name}` is {}, not a section", with_article(&other)),
                    Some(format!("write `[{name}]` on a line of its own")),
                ),
            }
        }
        sections
    }

    fn unknown_section(
        &mut self,
        name: &str,
        span: &Range<usize>,
        names: &[&'static str],
        later: &[&str],
    ) {
        let (message, help) = if later.contains(&name) {
            (
                format!("[{name}] is not in this version"),
                Some("remove the section".to_string()),
            )
        } else {
            (
                format!("there is no section [{name}]"),
                Some(suggest(name, names).map_or_else(
                    || format!("the sections are {}", names.join(", ")),
                    |near| format!("did you mean [{near}]?"),
                )),
            )
        };
        self.push(Severity::Error, span, name, message, help);
    }

    /// Says what is wrong at a value.
    pub(super) fn error<T>(&mut self, at: &Found<T>, message: impl Into<String>, help: &str) {
        self.push(
            Severity::Error,
            &at.span,
            &at.key,
            message.into(),
            Some(help.to_string()),
        );
    }

    /// Says what is doubtful about a value.
    pub(super) fn warn<T>(&mut self, at: &Found<T>, message: impl Into<String>, help: &str) {
        self.push(
            Severity::Warning,
            &at.span,
            &at.key,
            message.into(),
            Some(help.to_string()),
        );
    }

    pub(super) fn push(
        &mut self,
        severity: Severity,
        span: &Range<usize>,
        key: &str,
        message: String,
        help: Option<String>,
    ) {
        let start = floor_boundary(self.text, span.start);
        let end = floor_boundary(self.text, span.end.max(start));
        let line_start = self.text[..start].rfind('\n').map_or(0, |n| n + 1);
        let line_end = self.text[start..]
            .find('\n')
            .map_or(self.text.len(), |n| start + n);
        let line = &self.text[line_start..line_end];
        let column = self.text[line_start..start].chars().count();
        let length = self.text[start..end.min(line_end).max(start)]
            .chars()
            .count();
        let secret = may_hold_secret(line);
        self.problems.push(Problem {
            severity,
            message,
            file: self.path.clone(),
            line: 1 + self.text[..start].matches('\n').count(),
            column: column + 1,
            key: key.to_string(),
            help,
            excerpt: (!secret)
                .then(|| (line.trim_end().replace('\t', " "), column..column + length)),
        });
    }
}

impl<'t> Section<'t> {
    /// A text.
    pub(super) fn text(&mut self, walk: &mut Walk, key: &'static str) -> Option<Found<String>> {
        let (value, span) = self.take(key)?;
        match value {
            DeValue::String(text) => Some(self.found(key, text.into_owned(), span)),
            other => self.wrong_type(walk, key, &other, &span, "a text in quotes"),
        }
    }

    /// A text that must be there and must not be empty.
    pub(super) fn needed(
        &mut self,
        walk: &mut Walk,
        key: &'static str,
        help: &str,
    ) -> Option<Found<String>> {
        let there = self.table.as_ref().is_some_and(|t| t.contains_key(key));
        let found = self.text(walk, key);
        match &found {
            Some(text) if text.value.trim().is_empty() => {
                walk.error(text, format!("`{key}` is empty"), help);
                return None;
            }
            None if !there => {
                let path = format!("{}.{key}", self.name);
                let message = if self.table.is_some() {
                    format!("`{key}` is missing in [{}]", self.name)
                } else {
                    format!("`{key}` is missing: there is no section [{}]", self.name)
                };
                walk.push(
                    Severity::Error,
                    &self.span,
                    &path,
                    message,
                    Some(help.to_string()),
                );
            }
            _ => {}
        }
        found
    }

    /// A whole number within a range.
    pub(super) fn number(
        &mut self,
        walk: &mut Walk,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<Found<u64>> {
        let (value, span) = self.take(key)?;
        let DeValue::Integer(integer) = value else {
            return self.wrong_type(walk, key, &value, &span, "a whole number");
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix());
        match number.ok().and_then(|n| u64::try_from(n).ok()) {
            Some(n) if range.contains(&n) => Some(self.found(key, n, span)),
            _ => {
                let at = self.found(key, (), span);
                walk.error(
                    &at,
                    format!("`{key}` is out of range"),
                    &format!("write a number from {} to {}", range.start(), range.end()),
                );
                None
            }
        }
    }

    /// An amount of money: 0 or more, with or without a fraction.
    pub(super) fn price(&mut self, walk: &mut Walk, key: &'static str) -> Option<Found<f64>> {
        const WANTED: &str = "an amount, as in 1.25";
        let (value, span) = self.take(key)?;
        let amount = match &value {
            DeValue::Integer(integer) => integer.as_str().parse::<f64>(),
            DeValue::Float(float) => float.as_str().parse::<f64>(),
            other => return self.wrong_type(walk, key, other, &span, WANTED),
        };
        match amount {
            Ok(amount) if amount.is_finite() && amount >= 0.0 => {
                Some(self.found(key, amount, span))
            }
            _ => {
                let at = self.found(key, (), span);
                walk.error(&at, format!("`{key}` is no price"), WANTED);
                None
            }
        }
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(
        &mut self,
        walk: &mut Walk,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<Found<T>> {
        let text = self.text(walk, key)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text.value) {
            return Some(self.found(key, *value, text.span));
        }
        let all: Vec<&'static str> = words.iter().map(|(word, _)| *word).collect();
        let help = suggest(&text.value, &all).map_or_else(
            || format!("write one of: {}", all.join(", ")),
            |near| format!("did you mean \"{near}\"?"),
        );
        walk.error(&text, format!("`{key}` has no such value"), &help);
        None
    }

    /// A list of texts.
    pub(super) fn texts(
        &mut self,
        walk: &mut Walk,
        key: &'static str,
    ) -> Option<Found<Vec<String>>> {
        const WANTED: &str = "a list of texts, as in [\"ttl\"]";
        let (value, span) = self.take(key)?;
        let DeValue::Array(values) = value else {
            return self.wrong_type(walk, key, &value, &span, WANTED);
        };
        let mut texts = Vec::new();
        for value in values {
            match value.into_inner() {
                DeValue::String(text) => texts.push(text.into_owned()),
                other => return self.wrong_type(walk, key, &other, &span, WANTED),
            }
        }
        Some(self.found(key, texts, span))
    }

    /// A key that is known by name and refused, whatever its value.
    pub(super) fn refused(
        &mut self,
        walk: &mut Walk,
        key: &'static str,
        message: &str,
        help: &str,
    ) {
        if let Some((_, span)) = self.take(key) {
            let at = self.found(key, (), span);
            walk.error(&at, message, help);
        }
    }

    /// Whether the section has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.as_ref().is_some_and(|t| t.contains_key(key))
    }

    /// Whether the section is there.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Where to point at for what is missing.
    pub(super) fn place(&self, key: &str) -> Found<()> {
        self.found(key, (), self.span.clone())
    }

    /// Refuses the keys that nobody asked for.
    pub(super) fn finish(self, walk: &mut Walk) {
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            let help = suggest(name, &self.known).map_or_else(
                || format!("[{}] knows {}", self.name, self.known.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            walk.push(
                Severity::Error,
                &key.span(),
                &format!("{}.{name}", self.name),
                format!("[{}] has no key `{name}`", self.name),
                Some(help),
            );
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(DeValue<'t>, Range<usize>)> {
        self.known.push(key);
        let value: Spanned<DeValue<'t>> = self.table.as_mut()?.remove(key)?;
        let span = value.span();
        Some((value.into_inner(), span))
    }

    fn found<T>(&self, key: &str, value: T, span: Range<usize>) -> Found<T> {
        Found {
            value,
            span,
            key: format!("{}.{key}", self.name),
        }
    }

    fn wrong_type<T>(
        &self,
        walk: &mut Walk,
        key: &str,
        value: &DeValue<'_>,
        span: &Range<usize>,
        wanted: &str,
    ) -> Option<T> {
        walk.push(
            Severity::Error,
            span,
            &format!("{}.{key}", self.name),
            format!("`{key}` is {}", with_article(value)),
            Some(format!("write {wanted}")),
        );
        None
    }
}

fn with_article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The nearest of some words, if one is near enough to be meant.
fn suggest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(word, k), *k))
        .filter(|(distance, k)| *distance <= 1 + k.len() / 4)
        .min()
        .map(|(_, k)| k)
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A line that may hold a secret is not shown, whatever is wrong with it.
fn may_hold_secret(line: &str) -> bool {
    let key = line.split(['=', ':', ' ']).find(|word| !word.is_empty());
    let key = key.unwrap_or_default().to_ascii_lowercase();
    if key == "password_env" || key == "password_file" {
        return false;
    }
    line.contains('@')
        || ["pass", "pwd", "secret"]
            .iter()
            .any(|word| key.contains(word))
        || strsim::damerau_levenshtein(&key, "password") <= 3
}
