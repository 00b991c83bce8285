//! `->` and `->>` bind tighter than every operator in MySQL: they stand between a column and a path, and that is one
//! value. The parser takes them for operators that bind loosely (`a->'$.b' + 1` would be `a->('$.b' + 1)`), so they are
//! put into parentheses before it sees them.

use sqlparser::tokenizer::{Token, TokenWithSpan};

/// The tokens with parentheses around each `column->'path'`.
pub(super) fn grouped(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let groups: Vec<(usize, usize)> = (0..tokens.len())
        .filter(|&at| matches!(tokens[at].token, Token::Arrow | Token::LongArrow))
        .filter_map(|at| Some((column_before(&tokens, at)?, path_after(&tokens, at)?)))
        .collect();
    if groups.is_empty() {
        return tokens;
    }
    let mut out = Vec::with_capacity(tokens.len() + 2 * groups.len());
    let mut groups = groups.into_iter().peekable();
    for (at, token) in tokens.into_iter().enumerate() {
        let span = token.span;
        let parenthesis = |token| TokenWithSpan { token, span };
        if groups.peek().is_some_and(|(start, _)| *start == at) {
            out.push(parenthesis(Token::LParen));
        }
        out.push(token);
        if groups.next_if(|(_, end)| *end == at).is_some() {
            out.push(parenthesis(Token::RParen));
        }
    }
    out
}

/// Where the column's name begins that ends before `at`.
fn column_before(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    let word = |at: usize| {
        let before = significant_before(tokens, at)?;
        matches!(tokens[before].token, Token::Word(_)).then_some(before)
    };
    let mut start = word(at)?;
    while let Some(period) = significant_before(tokens, start)
        && tokens[period].token == Token::Period
    {
        start = word(period)?;
    }
    Some(start)
}

fn significant_before(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    tokens[..at]
        .iter()
        .rposition(|t| !matches!(t.token, Token::Whitespace(_)))
}

/// Where the path is that follows `at`.
fn path_after(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    let after = &tokens[at + 1..];
    let next = after
        .iter()
        .position(|t| !matches!(t.token, Token::Whitespace(_)))?;
    let is_path = matches!(
        after[next].token,
        Token::SingleQuotedString(_) | Token::DoubleQuotedString(_)
    );
    is_path.then_some(at + 1 + next)
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::MySqlDialect;
    use sqlparser::parser::Parser;
    use sqlparser::tokenizer::Tokenizer;

    #[test]
    fn arrows_bind_tighter_than_all_operators() {
        for (text, means) in [
            ("a->'$.b' + 1", "(a -> '$.b') + 1"),
            ("1 + a . b ->> '$.b' * 2", "1 + (a.b ->> '$.b') * 2"),
            ("-`a`->'$.b'", "-(`a` -> '$.b')"),
            ("a->>'$.b' IS NULL", "(a ->> '$.b') IS NULL"),
            (
                "NOT a->'$' IN (b->'$', c)",
                "NOT (a -> '$') IN ((b -> '$'), c)",
            ),
            ("a->'$' = b->>'$'", "(a -> '$') = (b ->> '$')"),
            ("(a)->'$'", "(a) -> '$'"),
            ("a->b", "a -> b"),
        ] {
            let mut tokens = Vec::new();
            let dialect = MySqlDialect {};
            Tokenizer::new(&dialect, text)
                .tokenize_with_location_into_buf(&mut tokens)
                .unwrap();
            let mut parser =
                Parser::new(&dialect).with_tokens_with_locations(super::grouped(tokens));
            assert_eq!(parser.parse_expr().unwrap().to_string(), means, "{text}");
        }
    }
}
