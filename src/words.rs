//! Words that many messages are made of.

/// `1 row`, `2 rows`.
pub fn counted(count: u64, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}
