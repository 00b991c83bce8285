//! The contract's expressions with their references qualified: everything else stays as it was written.

use std::collections::HashMap;

use sqlparser::ast::Expr;
use sqlparser::dialect::MySqlDialect;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::SelectError;
use crate::plan::model::{Sql, SqlRef};

/// The reference that the whole expression is, if it is nothing else.
pub(super) fn bare(sql: &Sql) -> Option<&SqlRef> {
    let mut expr = &*sql.expr;
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    match (expr, sql.refs.as_slice()) {
        (Expr::Identifier(_) | Expr::CompoundIdentifier(_), [one]) => Some(one),
        _ => None,
    }
}

/// The expression's text; `name` says what stands for each reference.
pub(super) fn rewrite(
    sql: &Sql,
    name: &mut dyn FnMut(&SqlRef) -> String,
) -> Result<String, SelectError> {
    let tokens = tokens(sql)?;
    written(sql, &tokens, name)
}

/// The term at this place of an `order_by`, without its direction: each term's `Sql` has the text of all.
pub(super) fn order_term(
    sql: &Sql,
    nth: usize,
    name: &mut dyn FnMut(&SqlRef) -> String,
) -> Result<String, SelectError> {
    let tokens = tokens(sql)?;
    let mut depth = 0_usize;
    let terms = tokens.split(|t| {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && t.token == Token::Comma
    });
    let mut terms = terms;
    let Some(mut term) = terms.nth(nth) else {
        return Err(unreadable(sql));
    };
    let significant = |t: &TokenWithSpan| !matches!(t.token, Token::Whitespace(_));
    if let Some(last) = term.iter().rposition(significant)
        && is_direction(&term[last].token)
    {
        term = &term[..last];
    }
    written(sql, term, name)
}

/// Whether the value is exact whatever the order in which it is added up: sums and products of columns and of
/// numbers without an exponent. (The columns' types are the caller's matter.)
pub(super) fn is_plain_arithmetic(sql: &Sql) -> bool {
    tokens(sql).is_ok_and(|tokens| {
        tokens.iter().all(|t| match &t.token {
            Token::Number(text, _) => !text.contains(['e', 'E']),
            Token::Word(_)
            | Token::Period
            | Token::Whitespace(_)
            | Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::LParen
            | Token::RParen => true,
            _ => false,
        })
    })
}

fn is_direction(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            word.quote_style.is_none()
                && ["ASC", "DESC"]
                    .iter()
                    .any(|d| word.value.eq_ignore_ascii_case(d))
        }
        _ => false,
    }
}

fn unreadable(sql: &Sql) -> SelectError {
    SelectError::Expression {
        place: sql.place.clone(),
    }
}

fn tokens(sql: &Sql) -> Result<Vec<TokenWithSpan>, SelectError> {
    let mut tokens = Vec::new();
    Tokenizer::new(&MySqlDialect {}, &sql.text)
        .tokenize_with_location_into_buf(&mut tokens)
        .map_err(|_| unreadable(sql))?;
    Ok(tokens)
}

/// The tokens as they stand in the text, references replaced, white space and comments as one space.
fn written(
    sql: &Sql,
    tokens: &[TokenWithSpan],
    name: &mut dyn FnMut(&SqlRef) -> String,
) -> Result<String, SelectError> {
    let offsets = Offsets::of(&sql.text);
    let references: HashMap<(u64, u64), &SqlRef> =
        sql.refs.iter().map(|r| (r.location, r)).collect();
    let mut out = String::new();
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        let at = token.span.start;
        if let Some(reference) = references.get(&(at.line, at.column)) {
            out.push_str(&name(reference));
            index += reference_length(&tokens[index..]);
            continue;
        }
        match token.token {
            Token::Whitespace(_) => {
                // MySQL takes some functions for columns when a space stands before their parenthesis.
                if !(out.ends_with(' ') || ends_with_function(tokens, index)) {
                    out.push(' ');
                }
            }
            _ => out.push_str(
                offsets
                    .slice(&sql.text, token.span.start, token.span.end)
                    .ok_or_else(|| unreadable(sql))?,
            ),
        }
        index += 1;
    }
    Ok(out.trim().to_string())
}

/// Whether white space at `index` follows the name of a function.
fn ends_with_function(tokens: &[TokenWithSpan], index: usize) -> bool {
    let opens = tokens[index..]
        .iter()
        .find(|t| !matches!(t.token, Token::Whitespace(_)))
        .is_some_and(|t| t.token == Token::LParen);
    let before = index.checked_sub(1).and_then(|i| tokens.get(i));
    opens
        && before.is_some_and(|t| match &t.token {
            Token::Word(word) => {
                word.quote_style.is_none()
                    && crate::plan::functions::is_function(&word.value.to_ascii_uppercase())
            }
            _ => false,
        })
}

/// How many tokens the reference has that begins here: words with points between them.
fn reference_length(tokens: &[TokenWithSpan]) -> usize {
    let mut length = 1;
    let after_space = |from: usize| {
        let skip = tokens[from.min(tokens.len())..]
            .iter()
            .take_while(|t| matches!(t.token, Token::Whitespace(_)))
            .count();
        from + skip
    };
    loop {
        let point = after_space(length);
        if tokens.get(point).map(|t| &t.token) != Some(&Token::Period) {
            return length;
        }
        let word = after_space(point + 1);
        match tokens.get(word).map(|t| &t.token) {
            Some(Token::Word(_)) => length = word + 1,
            _ => return length,
        }
    }
}

/// Where lines begin, to find the tokenizer's places (lines and characters, from 1) in the text.
struct Offsets {
    lines: Vec<usize>,
}

impl Offsets {
    fn of(text: &str) -> Self {
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self { lines }
    }

    fn offset(&self, text: &str, at: Location) -> Option<usize> {
        let line = usize::try_from(at.line.checked_sub(1)?).ok()?;
        let column = usize::try_from(at.column.checked_sub(1)?).ok()?;
        let start = *self.lines.get(line)?;
        let rest = text.get(start..)?;
        Some(
            start
                + rest
                    .char_indices()
                    .nth(column)
                    .map_or(rest.len(), |(i, _)| i),
        )
    }

    fn slice<'t>(&self, text: &'t str, start: Location, end: Location) -> Option<&'t str> {
        text.get(self.offset(text, start)?..self.offset(text, end)?)
    }
}
