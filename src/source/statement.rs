//! Statements in the binlog: which of them can change a table of the contract other than by row events.
//!
//! The text is scanned, not parsed: comments, `/*! … */`, quotes and backticks are understood, and a name of the
//! contract in a statement that is not known to be harmless counts. When in doubt, the answer is that it matters.

use super::control::Query;
use crate::plan::{Plan, SourceId};
use crate::schema::TableName;

/// The tables that matter, by name.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    tables: Vec<(TableName, SourceId)>,
    /// Names are compared without case (`lower_case_table_names` is not 0).
    fold: bool,
}

impl Tables {
    pub fn new(tables: Vec<(TableName, SourceId)>, fold: bool) -> Self {
        Self { tables, fold }
    }

    /// The tables that the plan reads; `fold`: the server's `lower_case_table_names` is not 0.
    pub fn of(plan: &Plan, fold: bool) -> Self {
        let tables = plan.sources.iter().map(|s| (s.name.clone(), s.id));
        Self::new(tables.collect(), fold)
    }

    /// The source of rows of this table, if it matters.
    pub fn find(&self, database: &str, table: &str) -> Option<SourceId> {
        let same = |a: &str, b: &str| a == b || (self.fold && a.to_lowercase() == b.to_lowercase());
        self.tables
            .iter()
            .find(|(name, _)| same(&name.table, table) && same(&name.database, database))
            .map(|(_, id)| *id)
    }
}

/// What a statement is to the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    Begin,
    Commit,
    Rollback,
    Savepoint,
    RollbackToSavepoint,
    /// XA START, with the xid as the server writes it.
    XaStart(String),
    XaEnd,
    XaCommit(String),
    XaRollback(String),
    /// Nothing of the contract is touched.
    Harmless,
    /// It names a table of the contract: what it does, and to which.
    Touches {
        action: String,
        table: TableName,
    },
    /// Rows were changed and logged as a statement: through a view, a trigger or a routine it may reach any table.
    ChangesRows {
        action: String,
    },
}

/// What `query` is, to a contract over `tables`.
pub fn classify(query: &Query<'_>, tables: &Tables) -> Statement {
    // The frequent ones, as the server writes them.
    match query.text {
        b"BEGIN" => return Statement::Begin,
        b"COMMIT" => return Statement::Commit,
        _ => {}
    }
    let text = String::from_utf8_lossy(query.text);
    let tokens = scan(&text, query.backslash_escapes);
    let words: Vec<String> = tokens.iter().take(24).map(Token::word).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["BEGIN", ..] | ["START", "TRANSACTION", ..] => Statement::Begin,
        ["COMMIT", ..] => Statement::Commit,
        ["ROLLBACK", "TO", ..] | ["ROLLBACK", "WORK", "TO", ..] => Statement::RollbackToSavepoint,
        ["ROLLBACK", ..] => Statement::Rollback,
        ["SAVEPOINT", ..] | ["RELEASE", ..] => Statement::Savepoint,
        ["XA", "START" | "BEGIN", ..] => Statement::XaStart(xid(&text)),
        ["XA", "END", ..] => Statement::XaEnd,
        ["XA", "COMMIT", ..] => Statement::XaCommit(xid(&text)),
        ["XA", "ROLLBACK", ..] => Statement::XaRollback(xid(&text)),
        words if is_harmless(words) => Statement::Harmless,
        words => match named(query, &text, &tokens, tables) {
            Some(table) => Statement::Touches {
                action: action(words),
                table,
            },
            None if changes_rows(words, &tokens) => Statement::ChangesRows {
                action: action(words),
            },
            None => Statement::Harmless,
        },
    }
}

/// Whether rows are changed by the statement itself. The server's own schema has no triggers and is left out.
fn changes_rows(words: &[&str], tokens: &[Token<'_>]) -> bool {
    let changes = matches!(
        words.first(),
        Some(
            &("INSERT"
                | "UPDATE"
                | "DELETE"
                | "REPLACE"
                | "LOAD"
                | "CALL"
                | "DO"
                | "SELECT"
                | "WITH")
        )
    );
    let of_the_server = || {
        let is_clause = |t: &Token<'_>| {
            [
                "INSERT", "INTO", "IGNORE", "REPLACE", "UPDATE", "DELETE", "FROM",
            ]
            .contains(&t.word().as_str())
        };
        let mut rest = tokens.iter().skip_while(|t| is_clause(t));
        let schema = rest.next().is_some_and(|t| t.is_name("mysql"));
        schema && rest.next() == Some(&Token::Other('.')) && !words.contains(&"SELECT")
    };
    changes && !of_the_server()
}

/// The xid of an XA statement: what follows its two words (`X'7831',X'',1`), `ONE PHASE` left out.
fn xid(text: &str) -> String {
    let rest = text.trim().splitn(3, ' ').nth(2).unwrap_or_default();
    let rest = rest.trim_end_matches("ONE PHASE");
    rest.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Statements that change no rows and no columns of base tables, whatever they name.
fn is_harmless(words: &[&str]) -> bool {
    match words {
        [
            "GRANT" | "REVOKE" | "FLUSH" | "ANALYZE" | "OPTIMIZE" | "INSTALL" | "UNINSTALL",
            ..,
        ] => true,
        ["SET", "PASSWORD" | "DEFAULT", ..] => true,
        ["RENAME", "USER", ..] => true,
        ["ALTER", "DATABASE" | "SCHEMA" | "INSTANCE", ..] => true,
        ["CREATE" | "ALTER" | "DROP", rest @ ..] => rest
            .iter()
            .find_map(|word| match *word {
                "TABLE" | "INDEX" | "TABLES" | "DATABASE" | "SCHEMA" | "TABLESPACE" => Some(false),
                // A temporary table hides a table of the same name, and leaves it alone.
                "TEMPORARY" | "VIEW" | "TRIGGER" | "PROCEDURE" | "FUNCTION" | "EVENT" | "USER"
                | "ROLE" | "SERVER" | "RESOURCE" | "REFERENCE" | "LIBRARY" => Some(true),
                _ => None,
            })
            .unwrap_or(false),
        _ => false,
    }
}

/// The statement in a few words, free of values: `ALTER TABLE`, `DROP DATABASE`, `INSERT`.
fn action(words: &[&str]) -> String {
    let known = [
        "ALTER",
        "CREATE",
        "DROP",
        "RENAME",
        "TRUNCATE",
        "INSERT",
        "UPDATE",
        "DELETE",
        "REPLACE",
        "LOAD",
        "TABLE",
        "TABLES",
        "INDEX",
        "UNIQUE",
        "DATABASE",
        "SCHEMA",
        "TEMPORARY",
        "DATA",
    ];
    let action: Vec<&str> = words
        .iter()
        .take(3)
        .copied()
        .take_while(|w| known.contains(w))
        .collect();
    if action.is_empty() {
        "a statement".to_owned()
    } else {
        action.join(" ")
    }
}

/// The first table of the contract that the statement names, or whose database it drops.
fn named(
    query: &Query<'_>,
    text: &str,
    tokens: &[Token<'_>],
    tables: &Tables,
) -> Option<TableName> {
    let default = String::from_utf8_lossy(query.database);
    let words: Vec<String> = tokens.iter().take(2).map(Token::word).collect();
    let drops_database = matches!(
        words
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice(),
        ["DROP", "DATABASE" | "SCHEMA"]
    );
    let hit = tables.tables.iter().find(|(name, _)| {
        if drops_database {
            // What is not ASCII may be in any character set.
            return tokens.iter().any(|t| t.is_name(&name.database))
                || !name.database.is_ascii() && std::str::from_utf8(query.text).is_err();
        }
        mentions(tokens, name, &default)
    });
    if let Some((name, _)) = hit {
        return Some(name.clone());
    }
    // In a text that is not UTF-8 quotes may lie within characters: any trace of a name counts.
    if std::str::from_utf8(query.text).is_err() {
        let lower = text.to_lowercase();
        let suspect =
            |name: &TableName| !name.table.is_ascii() || lower.contains(&name.table.to_lowercase());
        return tables
            .tables
            .iter()
            .map(|(n, _)| n)
            .find(|n| suspect(n))
            .cloned();
    }
    None
}

/// Whether `database.table` occurs, or `table` alone while `database` is the default.
fn mentions(tokens: &[Token<'_>], name: &TableName, default: &str) -> bool {
    tokens.iter().enumerate().any(|(at, token)| {
        if !token.is_name(&name.table) {
            return false;
        }
        let before = |n: usize| at.checked_sub(n).and_then(|i| tokens.get(i));
        match (before(1), before(2)) {
            (Some(Token::Other('.')), Some(database)) => database.is_name(&name.database),
            _ => default.to_lowercase() == name.database.to_lowercase(),
        }
    })
}

/// A piece of a statement that may be a name, or one character of anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// In backticks or double quotes, those undone.
    Quoted(String),
    Other(char),
}

impl Token<'_> {
    /// In upper case; nothing for what is not a bare word.
    fn word(&self) -> String {
        match self {
            Token::Word(word) => word.to_ascii_uppercase(),
            _ => String::new(),
        }
    }

    fn is_name(&self, name: &str) -> bool {
        let text = match self {
            Token::Word(word) => word,
            Token::Quoted(text) => text.as_str(),
            Token::Other(_) => return false,
        };
        text == name || text.to_lowercase() == name.to_lowercase()
    }
}

/// The tokens of a statement; comments and strings in single quotes are left out, the inside of `/*! … */` is not.
fn scan(text: &str, escapes: bool) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = if let Some(inside) = rest.strip_prefix("/*!") {
            inside.trim_start_matches(|c: char| c.is_ascii_digit())
        } else if let Some(after) = rest.strip_prefix("*/") {
            after
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, after)| after)
        } else if first == '#' || is_dashed_comment(rest) {
            rest.split_once('\n').map_or("", |(_, after)| after)
        } else if first == '\'' {
            quoted(rest, '\'', escapes).1
        } else if first == '`' || first == '"' {
            let (name, after) = quoted(rest, first, escapes);
            tokens.push(Token::Quoted(name));
            after
        } else if is_name_char(first) {
            let end = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            tokens.push(Token::Word(word));
            after
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Other(first));
            }
            rest.get(first.len_utf8()..).unwrap_or_default()
        };
    }
    tokens
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// `-- ` begins a comment only with white space behind it.
fn is_dashed_comment(rest: &str) -> bool {
    rest.strip_prefix("--").is_some_and(|after| {
        after.is_empty() || after.starts_with(|c: char| c.is_whitespace() || c.is_control())
    })
}

/// What stands between the quotes at the start of `rest`, and what follows. A doubled quote is one; a backslash
/// escapes except in backticks, if it does at all.
fn quoted(rest: &str, quote: char, escapes: bool) -> (String, &str) {
    let mut inside = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
                inside.push(quote);
                continue;
            }
            let after = rest.get(at + quote.len_utf8()..).unwrap_or_default();
            return (inside, after);
        }
        if escapes && c == '\\' && quote != '`' {
            if let Some((_, escaped)) = chars.next() {
                inside.push(escaped);
            }
            continue;
        }
        inside.push(c);
    }
    (inside, "")
}

#[cfg(test)]
#[path = "statement_tests.rs"]
mod tests;
