//! What MySQL's expressions have and the parser does not know: it is told by its name, rather than that it is not MySQL's.

use sqlparser::dialect::MySqlDialect;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

/// Something of MySQL's that is not supported.
pub(super) struct Gap {
    pub what: String,
    pub help: String,
    /// Where it begins, and how many characters are shown of it.
    pub location: Location,
    pub length: usize,
}

/// Units that hold several numbers in one text.
const COMPOUND_UNITS: [&str; 11] = [
    "SECOND_MICROSECOND",
    "MINUTE_MICROSECOND",
    "MINUTE_SECOND",
    "HOUR_MICROSECOND",
    "HOUR_SECOND",
    "HOUR_MINUTE",
    "DAY_MICROSECOND",
    "DAY_SECOND",
    "DAY_MINUTE",
    "DAY_HOUR",
    "YEAR_MONTH",
];

/// The first of them in a text that the parser does not understand.
pub(super) fn first(text: &str) -> Option<Gap> {
    let tokens = Tokenizer::new(&MySqlDialect {}, text)
        .tokenize_with_location()
        .ok()?;
    let tokens: Vec<TokenWithSpan> = tokens
        .into_iter()
        .filter(|t| !matches!(t.token, Token::Whitespace(_)))
        .collect();
    let found = |at: usize| Some((at, gap(&tokens, at)?));
    let (at, (what, help)) = (0..tokens.len()).find_map(found)?;
    let token = tokens.get(at)?;
    Some(Gap {
        what,
        help: help.into(),
        location: token.span.start,
        length: token.token.to_string().chars().count(),
    })
}

/// What begins at a token, and what can be written instead.
fn gap(tokens: &[TokenWithSpan], at: usize) -> Option<(String, &'static str)> {
    let token = |n: usize| tokens.get(at + n).map(|t| &t.token);
    if token(0) == Some(&Token::ExclamationMark) {
        return Some(("the operator `!`".into(), "write NOT (…)"));
    }
    let word = word(tokens, at)?;
    let next = |n: usize| self::word(tokens, at + n).unwrap_or_default();
    let opens = token(1) == Some(&Token::LParen);
    match word.as_str() {
        "TRIM" if opens && next(3) == "FROM" => {
            let side = next(2);
            let help = match side.as_str() {
                "LEADING" => "write LTRIM(…)",
                "TRAILING" => "write RTRIM(…)",
                "BOTH" => "write TRIM(…)",
                _ => return None,
            };
            Some((format!("TRIM({side} FROM …)"), help))
        }
        "INTERVAL" if opens && is_list(tokens, at + 1) => {
            Some(("the function INTERVAL(…)".into(), "write it as CASE WHEN …"))
        }
        "CHARACTER" if next(1) == "SET" => Some(charset()),
        "CHARSET" => Some(charset()),
        unit if COMPOUND_UNITS.contains(&unit) => Some((
            format!("INTERVAL … {unit}"),
            "write it in one unit: INTERVAL 90 SECOND",
        )),
        _ => None,
    }
}

fn charset() -> (String, &'static str) {
    let what = "CAST(… AS CHAR CHARACTER SET …)";
    (what.into(), "write CAST(… AS CHAR)")
}

/// A word without quotes, in capitals.
fn word(tokens: &[TokenWithSpan], at: usize) -> Option<String> {
    match &tokens.get(at)?.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
        _ => None,
    }
}

/// Whether there are several things between the parenthesis at `open` and the one that closes it.
fn is_list(tokens: &[TokenWithSpan], open: usize) -> bool {
    let mut depth = 0_usize;
    for token in tokens.iter().skip(open) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth <= 1 => return false,
            Token::RParen => depth -= 1,
            Token::Comma if depth == 1 => return true,
            _ => {}
        }
    }
    false
}
