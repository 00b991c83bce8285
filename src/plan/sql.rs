//! SQL expressions of the contract: parsed, held to what penstock evaluates, their references collected.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, CeilFloorKind, DataType, DateTimeField, Expr, FunctionArg,
    FunctionArgExpr, FunctionArguments, Ident, Interval, OrderBySort, UnaryOperator, Value,
    ValueWithSpan,
};
use sqlparser::dialect::MySqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::functions::{FUNCTIONS, function_help};
use super::gaps;
use crate::contract::diagnostic::{Diagnostics, Place};
use crate::contract::model::Text;

/// A parsed expression whose references nobody has resolved yet.
pub(super) struct Parsed {
    pub expr: Expr,
    pub refs: Vec<RawRef>,
    pub place: Place,
    pub text: String,
}

/// `column`, `table.column` or `database.table.column`, as written.
#[derive(Debug, Clone)]
pub(super) struct RawRef {
    /// Empty for a bare column.
    pub qualifier: String,
    pub column: String,
    /// Where it begins in the expression: tells two references apart.
    pub location: Location,
    pub place: Place,
}

/// Parses an expression; every syntax error and everything unsupported is reported at its place.
pub(super) fn parse(text: &Text, d: &mut Diagnostics) -> Option<Parsed> {
    let mut parser = parser(text, d)?;
    let expr = run(&mut parser, text, d, Parser::parse_expr)?;
    finish(expr, text, d)
}

/// Parses `order_by`: the terms, and whether each is descending.
pub(super) fn parse_order(text: &Text, d: &mut Diagnostics) -> Option<Vec<(Parsed, bool)>> {
    let mut parser = parser(text, d)?;
    let terms = run(&mut parser, text, d, |p| {
        p.parse_comma_separated(Parser::parse_order_by_expr)
    })?;
    let mut parsed = Vec::new();
    for term in terms {
        if term.options.nulls_first.is_some()
            || term.with_fill.is_some()
            || matches!(term.options.sort, Some(OrderBySort::Using(_)))
        {
            d.error_help(
                "sql-unsupported",
                &text.place,
                "NULLS FIRST and NULLS LAST are not MySQL's",
                "leave them out: NULL sorts first",
            );
            return None;
        }
        let descending = matches!(term.options.sort, Some(OrderBySort::Desc));
        parsed.push((finish(term.expr, text, d)?, descending));
    }
    Some(parsed)
}

/// A literal as an expression, for values that stand beside expressions.
pub(super) fn literal(value: Value, text: &str, place: &Place) -> Parsed {
    Parsed {
        expr: Expr::Value(ValueWithSpan {
            value,
            span: sqlparser::tokenizer::Span::empty(),
        }),
        refs: Vec::new(),
        place: place.clone(),
        text: text.to_string(),
    }
}

/// Longer text is no expression that a person maintains; the limits also bound the depth of the tree.
const MOST_BYTES: usize = 32 * 1024;
const MOST_TOKENS: usize = 1500;
/// Evaluation goes as deep as the expression.
const MOST_DEPTH: usize = 100;

fn parser(text: &Text, d: &mut Diagnostics) -> Option<Parser<'static>> {
    static DIALECT: MySqlDialect = MySqlDialect {};
    if text.value.trim().is_empty() {
        d.error("sql-syntax", &text.place, "the expression is empty");
        return None;
    }
    if text.value.len() > MOST_BYTES {
        d.error(
            "sql-too-long",
            &text.place,
            "an expression may have at most 32 KiB",
        );
        return None;
    }
    let mut tokens: Vec<TokenWithSpan> = Vec::new();
    if let Err(error) =
        Tokenizer::new(&DIALECT, &text.value).tokenize_with_location_into_buf(&mut tokens)
    {
        let place = at(text, error.location, 1);
        d.error(
            "sql-syntax",
            &place,
            format!("this is not MySQL's syntax: {}", error.message),
        );
        return None;
    }
    let words = tokens
        .iter()
        .filter(|t| !matches!(t.token, Token::Whitespace(_)))
        .count();
    if words > MOST_TOKENS {
        d.error(
            "sql-too-long",
            &text.place,
            format!(
                "an expression may have at most {MOST_TOKENS} words and signs, this one has {words}"
            ),
        );
        return None;
    }
    Some(Parser::new(&DIALECT).with_tokens_with_locations(super::arrow::grouped(tokens)))
}

/// Runs one of the parser's rules over the whole text.
fn run<T>(
    parser: &mut Parser<'static>,
    text: &Text,
    d: &mut Diagnostics,
    rule: impl FnOnce(&mut Parser<'static>) -> Result<T, ParserError>,
) -> Option<T> {
    let result = rule(parser);
    let next = parser.peek_token();
    let understood = result.is_ok() && next.token == Token::EOF;
    if let Some(gap) = (!understood).then(|| gaps::first(&text.value)).flatten() {
        let place = at(text, gap.location, gap.length);
        let message = format!("{} is not supported", gap.what);
        d.error_help("sql-unsupported", &place, message, gap.help);
        return None;
    }
    match result {
        Ok(parsed) if next.token == Token::EOF => Some(parsed),
        Ok(_) => {
            let place = at(
                text,
                next.span.start,
                next.token.to_string().chars().count(),
            );
            d.error(
                "sql-syntax",
                &place,
                format!(
                    "the expression ends before `{}`",
                    super::types::shortened(&next.token.to_string())
                ),
            );
            None
        }
        Err(error) => {
            let (message, place) = match error {
                ParserError::RecursionLimitExceeded => (
                    "the expression is nested too deeply".to_string(),
                    text.place.clone(),
                ),
                ParserError::TokenizerError(m) | ParserError::ParserError(m) => located(&m, text),
            };
            d.error(
                "sql-syntax",
                &place,
                format!("this is not MySQL's syntax: {message}"),
            );
            None
        }
    }
}

/// Splits the parser's "… at Line: 1, Column: 7" into the message and the place in the contract.
fn located(message: &str, text: &Text) -> (String, Place) {
    let Some((what, rest)) = message.rsplit_once(" at Line: ") else {
        return (message.replace("EOF", "the end"), text.place.clone());
    };
    let mut numbers = rest.split(", Column: ").map(|n| n.trim().parse::<u64>());
    let place = match (numbers.next(), numbers.next()) {
        (Some(Ok(line)), Some(Ok(column))) => at(text, Location { line, column }, 1),
        _ => text.place.clone(),
    };
    (what.replace("EOF", "the end"), place)
}

fn finish(expr: Expr, text: &Text, d: &mut Diagnostics) -> Option<Parsed> {
    let mut walk = Walk {
        depth: 0,
        text,
        refs: Vec::new(),
        d,
        failed: false,
    };
    let _ = walk.expr(&expr);
    let (refs, failed) = (walk.refs, walk.failed);
    (!failed).then(|| Parsed {
        expr,
        refs,
        place: text.place.clone(),
        text: text.value.clone(),
    })
}

/// The place of `length` characters at a location of the text. Where the text has escapes in JSON, its whole token.
fn at(text: &Text, location: Location, length: usize) -> Place {
    let lines = text.value.split_inclusive('\n');
    let before: usize = lines
        .clone()
        .take(location.line.saturating_sub(1) as usize)
        .map(str::len)
        .sum();
    let line = &text.value[before.min(text.value.len())..];
    let skip = |from: &str, chars: usize| {
        from.char_indices()
            .nth(chars)
            .map_or(from.len(), |(i, _)| i)
    };
    let offset = skip(line, location.column.saturating_sub(1) as usize);
    let width = skip(&line[offset..], length).max(1);
    subplace(text, before + offset, width)
}

/// The place of what stands at a line and column (from 1) of the text.
pub(super) fn at_location(text: &Text, line: u64, column: u64) -> Place {
    at(text, Location { line, column }, 1)
}

/// The place of some bytes of a text from the contract.
pub(super) fn subplace(text: &Text, offset: usize, length: usize) -> Place {
    let span = &text.place.span;
    if span.len() != text.value.len() + 2 || offset > text.value.len() {
        return text.place.clone();
    }
    let start = span.start + 1 + offset;
    Place {
        span: start..(start + length).min(span.end),
        pointer: text.place.pointer.clone(),
    }
}

struct Walk<'t, 'd> {
    depth: usize,
    text: &'t Text,
    refs: Vec<RawRef>,
    d: &'d mut Diagnostics,
    failed: bool,
}

type Flow = ControlFlow<()>;

impl Walk<'_, '_> {
    fn refuse(&mut self, place: &Place, message: String, help: Option<String>) -> Flow {
        self.failed = true;
        match help {
            Some(help) => self.d.error_help("sql-unsupported", place, message, help),
            None => self.d.error("sql-unsupported", place, message),
        }
        ControlFlow::Continue(())
    }

    fn all<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) -> Flow {
        for expr in exprs {
            self.expr(expr)?;
        }
        ControlFlow::Continue(())
    }

    fn expr(&mut self, expr: &Expr) -> Flow {
        if self.depth >= MOST_DEPTH {
            self.refuse(
                &self.text.place.clone(),
                format!("the expression is nested more than {MOST_DEPTH} levels deep"),
                Some("a long row of operators is nested too: a generated column in MySQL can hold a part of it".into()),
            )?;
            return ControlFlow::Break(());
        }
        self.depth += 1;
        let walked = self.part(expr);
        self.depth -= 1;
        walked
    }

    fn part(&mut self, expr: &Expr) -> Flow {
        match expr {
            Expr::Identifier(name) => self.reference(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(parts) => self.reference(parts),
            Expr::Value(value) => self.value(value),
            Expr::Nested(e)
            | Expr::IsNull(e)
            | Expr::IsNotNull(e)
            | Expr::IsTrue(e)
            | Expr::IsNotTrue(e)
            | Expr::IsFalse(e)
            | Expr::IsNotFalse(e) => self.expr(e),
            Expr::InList { expr, list, .. } => {
                self.expr(expr)?;
                self.all(list)
            }
            Expr::Between {
                expr, low, high, ..
            } => self.all([&**expr, low, high]),
            Expr::Like {
                any: false,
                expr,
                pattern,
                escape_char,
                ..
            } => {
                self.all([&**expr, pattern])?;
                self.all(escape_char.as_deref())
            }
            Expr::UnaryOp {
                op:
                    UnaryOperator::Minus
                    | UnaryOperator::Plus
                    | UnaryOperator::Not
                    | UnaryOperator::BangNot,
                expr,
            } => self.expr(expr),
            Expr::BinaryOp { left, op, right } => {
                self.operator(op)?;
                self.all([&**left, right])
            }
            Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => {
                self.all(operand.as_deref())?;
                for CaseWhen { condition, result } in conditions {
                    self.all([condition, result])?;
                }
                self.all(else_result.as_deref())
            }
            Expr::Cast {
                kind: CastKind::Cast,
                expr,
                data_type,
                format: None,
            } => {
                self.cast_type(data_type)?;
                self.expr(expr)
            }
            Expr::Ceil {
                expr,
                field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime),
            }
            | Expr::Floor {
                expr,
                field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime),
            } => self.expr(expr),
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                self.expr(expr)?;
                self.all(substring_from.as_deref())?;
                self.all(substring_for.as_deref())
            }
            Expr::Trim {
                trim_what,
                expr,
                trim_characters: None,
                ..
            } => {
                self.all(trim_what.as_deref())?;
                self.expr(expr)
            }
            Expr::Interval(Interval { value, .. }) => self.expr(value),
            Expr::TypedString(typed)
                if matches!(
                    typed.data_type,
                    DataType::Date | DataType::Timestamp(..) | DataType::Datetime(_)
                ) =>
            {
                ControlFlow::Continue(())
            }
            Expr::Function(function) => self.function(function),
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => self.refuse(
                &self.text.place.clone(),
                "subqueries are not supported".into(),
                Some("use a join or an aggregate calculation".into()),
            ),
            other => {
                let shown = super::types::shortened(&other.to_string());
                self.refuse(
                    &self.text.place.clone(),
                    format!("`{shown}` is not supported in expressions"),
                    None,
                )
            }
        }
    }

    fn reference(&mut self, parts: &[Ident]) -> Flow {
        let Some((column, qualifier)) = parts.split_last() else {
            return ControlFlow::Continue(());
        };
        let (Some(first), true) = (parts.first(), parts.len() <= 3) else {
            return self.refuse(
                &self.text.place.clone(),
                "a column reference has at most three parts".into(),
                None,
            );
        };
        if column.quote_style == Some('"') {
            return ControlFlow::Continue(());
        }
        let quotes = |i: &Ident| if i.quote_style.is_some() { 2 } else { 0 };
        let length = parts
            .iter()
            .map(|i| i.value.chars().count() + quotes(i))
            .sum::<usize>()
            + parts.len()
            - 1;
        self.refs.push(RawRef {
            qualifier: qualifier
                .iter()
                .map(|i| i.value.as_str())
                .collect::<Vec<_>>()
                .join("."),
            column: column.value.clone(),
            location: first.span.start,
            place: at(self.text, first.span.start, length),
        });
        ControlFlow::Continue(())
    }

    fn value(&mut self, value: &ValueWithSpan) -> Flow {
        match &value.value {
            Value::Number(..)
            | Value::SingleQuotedString(_)
            | Value::DoubleQuotedString(_)
            | Value::NationalStringLiteral(_)
            | Value::HexStringLiteral(_)
            | Value::Boolean(_)
            | Value::Null => ControlFlow::Continue(()),
            other => self.refuse(
                &at(self.text, value.span.start, 1),
                format!("`{other}` is not supported in expressions"),
                None,
            ),
        }
    }

    fn operator(&mut self, op: &BinaryOperator) -> Flow {
        use BinaryOperator as B;
        match op {
            B::Plus
            | B::Minus
            | B::Multiply
            | B::Divide
            | B::Modulo
            | B::MyIntegerDivide
            | B::Gt
            | B::Lt
            | B::GtEq
            | B::LtEq
            | B::Spaceship
            | B::Eq
            | B::NotEq
            | B::And
            | B::Or
            | B::Arrow
            | B::LongArrow => ControlFlow::Continue(()),
            B::StringConcat => self.refuse(
                &self.text.place.clone(),
                "`||` is OR in MySQL unless sql_mode says otherwise".into(),
                Some("write OR, or CONCAT(…)".into()),
            ),
            other => self.refuse(
                &self.text.place.clone(),
                format!("the operator `{other}` is not supported in expressions"),
                None,
            ),
        }
    }

    fn cast_type(&mut self, ty: &DataType) -> Flow {
        let shown = ty.to_string().to_ascii_uppercase();
        let word: String = shown
            .chars()
            .take_while(|c| c.is_ascii_alphabetic())
            .collect();
        let known = [
            "CHAR", "SIGNED", "UNSIGNED", "DECIMAL", "DATE", "DATETIME", "TIME", "BINARY", "JSON",
            "DOUBLE", "FLOAT", "YEAR",
        ];
        if known.contains(&word.as_str()) {
            return ControlFlow::Continue(());
        }
        self.refuse(
            &self.text.place.clone(),
            format!("CAST to {shown} is not supported"),
            Some(format!("cast to {}", known.join(", "))),
        )
    }

    fn function(&mut self, function: &sqlparser::ast::Function) -> Flow {
        let name = function.name.to_string();
        let upper = name.to_ascii_uppercase();
        let place = match function.name.0.first().and_then(|p| p.as_ident()) {
            Some(ident) => at(self.text, ident.span.start, name.chars().count()),
            None => self.text.place.clone(),
        };
        if !FUNCTIONS.contains(&upper.as_str()) {
            return self.refuse(
                &place,
                format!("the function {upper} is not supported"),
                Some(function_help(&upper)),
            );
        }
        if upper == "MD5" {
            self.d.warn_help(
                "sql-server-lacks",
                &place,
                "MySQL 9.6 and later have no MD5() of their own: penstock computes it, and there the SELECT of `explain --sql` does not run",
                "use SHA2(…, 256), or install MySQL's component for the old hash functions",
            );
        }
        if function.over.is_some() || function.filter.is_some() || !function.within_group.is_empty()
        {
            return self.refuse(
                &place,
                format!("{upper} is supported as a plain function only"),
                None,
            );
        }
        match &function.args {
            FunctionArguments::None => ControlFlow::Continue(()),
            FunctionArguments::List(list)
                if list.duplicate_treatment.is_none() && list.clauses.is_empty() =>
            {
                for arg in &list.args {
                    match arg {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr)?,
                        _ => {
                            self.refuse(&place, format!("{upper} takes expressions only"), None)?
                        }
                    }
                }
                ControlFlow::Continue(())
            }
            _ => self.refuse(&place, format!("{upper} takes expressions only"), None),
        }
    }
}
