//! Literals, names and the lines of a statement.

/// Text as a literal of MySQL, with nothing in it that could end a line.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for c in text.chars() {
        match c {
            '\'' => out.push_str("''"),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// Text that can stand behind `-- `.
pub(super) fn comment(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Whether MySQL takes the text as an alias: its limit is 256 characters, and spaces at the end are refused.
pub(super) fn is_alias(text: &str) -> bool {
    text.chars().count() <= 256 && !text.chars().any(char::is_control) && !text.ends_with(' ')
}

/// `users_1` from the table's name; `j_1` where the name is no plain word.
pub(super) fn alias(table: &str, number: usize) -> String {
    let plain = table.len() <= 40
        && table.starts_with(|c: char| c.is_ascii_alphabetic())
        && table.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    format!("{}_{number}", if plain { table } else { "j" })
}

/// Lines with commas between them, each with its comment.
pub(super) fn list(items: &[(String, String)]) -> String {
    let mut out = String::new();
    for (index, (sql, comment)) in items.iter().enumerate() {
        out.push_str("  ");
        out.push_str(sql);
        if index + 1 < items.len() {
            out.push(',');
        }
        if !comment.is_empty() {
            out.push_str(" -- ");
            out.push_str(comment);
        }
        out.push('\n');
    }
    out
}
