//! What a stream can show: colours, and lines that are drawn again.

use std::ffi::OsStr;
use std::io::IsTerminal;

/// Whether what is written there may be coloured: a terminal, and nobody has said `NO_COLOR`.
pub fn colors(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && wants_colors(std::env::var_os("NO_COLOR").as_deref())
}

/// Whether lines there can be drawn again in place.
pub fn redraws(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && can_move(std::env::var_os("TERM").as_deref())
}

/// An empty variable says nothing.
fn wants_colors(no_color: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty)
}

fn can_move(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// How much is done, in so many characters.
pub fn bar(done: u64, of: u64, width: usize) -> String {
    let full = match of {
        0 => 0,
        of => (done.min(of) as u128 * width as u128 / of as u128) as usize,
    };
    let mut out = "█".repeat(full);
    out.push_str(&"░".repeat(width - full));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_heard() {
        assert!(wants_colors(None) && wants_colors(Some(OsStr::new(""))));
        assert!(!wants_colors(Some(OsStr::new("1"))) && !wants_colors(Some(OsStr::new("0"))));
        assert!(can_move(Some(OsStr::new("xterm-256color"))));
        assert!(!can_move(None) && !can_move(Some(OsStr::new("dumb"))));
    }

    #[test]
    fn a_bar_is_full_only_at_the_end() {
        assert_eq!(bar(0, 0, 4), "░░░░");
        assert_eq!(bar(99, 100, 4), "███░");
        assert_eq!(bar(7, 7, 4), "████");
        assert_eq!(bar(u64::MAX, u64::MAX, 2), "██");
        assert_eq!(bar(9, 7, 3), "███");
    }
}
