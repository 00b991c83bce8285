//! Stand-ins for the contract's mini languages, to be removed once `contract::template` and `contract::format` are merged.

use super::model::{DateFormat, DateToken, NumberFormat};

pub(super) enum TemplatePiece {
    Literal(String),
    Placeholder(String),
}

#[derive(Debug)]
pub(super) struct TemplateError(pub String);

impl std::fmt::Display for TemplateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn parse(text: &str) -> Result<Vec<TemplatePiece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            pieces.push(TemplatePiece::Literal(rest[..open].to_string()));
        }
        let after = &rest[open + 1..];
        let Some(close) = after.find('}') else {
            return Err(TemplateError("`{` without its `}`".into()));
        };
        pieces.push(TemplatePiece::Placeholder(after[..close].trim().to_string()));
        rest = &after[close + 1..];
    }
    if !rest.is_empty() {
        pieces.push(TemplatePiece::Literal(rest.to_string()));
    }
    Ok(pieces)
}

pub(super) fn parse_date_format(text: &str) -> Result<DateFormat, String> {
    match text {
        "epoch" => return Ok(DateFormat::Epoch),
        "epoch_ms" => return Ok(DateFormat::EpochMillis),
        "iso8601" => return Ok(DateFormat::Iso8601),
        _ => {}
    }
    const TOKENS: [(&str, DateToken); 7] = [
        ("YYYY", DateToken::Year),
        ("SSS", DateToken::Millis),
        ("MM", DateToken::Month),
        ("DD", DateToken::Day),
        ("HH", DateToken::Hour),
        ("mm", DateToken::Minute),
        ("ss", DateToken::Second),
    ];
    let mut tokens = Vec::new();
    let mut rest = text;
    'outer: while let Some(c) = rest.chars().next() {
        for (word, token) in &TOKENS {
            if let Some(after) = rest.strip_prefix(word) {
                tokens.push(token.clone());
                rest = after;
                continue 'outer;
            }
        }
        if c.is_ascii_alphabetic() && c != 'T' && c != 'Z' {
            return Err(format!("`{c}` is no part of a date format"));
        }
        match tokens.last_mut() {
            Some(DateToken::Literal(l)) => l.push(c),
            _ => tokens.push(DateToken::Literal(c.to_string())),
        }
        rest = &rest[c.len_utf8()..];
    }
    Ok(DateFormat::Pattern(tokens))
}

pub(super) fn parse_number_format(text: &str) -> Result<NumberFormat, String> {
    let bad = || format!("`{text}` is no number format");
    if let Some(inner) = text.strip_prefix('%').and_then(|t| t.strip_suffix('d')) {
        let zero = inner.starts_with('0');
        let width = inner.parse().map_err(|_| bad())?;
        return Ok(NumberFormat::Padded { width, zero });
    }
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !whole.chars().chain(decimals.chars()).all(|c| c == '0') {
        return Err(bad());
    }
    Ok(NumberFormat::Decimals {
        integer_digits: whole.len(),
        decimals: decimals.len(),
    })
}
