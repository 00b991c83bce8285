//! The functions of the contract, each with its arguments' types.

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::choice::{is_choice, is_mixed_choice, nullif, printed_double, raw, scaled};
use super::collate;
use super::compile::{Compiler, Result, class_of, computed, textual, whole_is_int};
use super::datum::Datum;
use super::exact::exact_within;
use super::node::{Call, Class, Encoding, Node, Op, Shape, Sign, Special, Target};
use super::types::{Collated, Derivation, TypeKind};
use super::{Refusal, coded};

pub(super) const INT: TypeKind = TypeKind::Int { unsigned: false };

impl Compiler<'_, '_> {
    pub(super) fn function(&self, function: &Function) -> Result<Node> {
        let name = function.name.to_string().to_ascii_uppercase();
        let location = function.name.0.first().and_then(|part| part.as_ident());
        let location = location.map(|ident| (ident.span.start.line, ident.span.start.column));
        let mut args = Vec::new();
        if let FunctionArguments::List(list) = &function.args {
            for arg in &list.args {
                match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => args.push(expr),
                    _ => return Err(Refusal::new(format!("{name} takes expressions only"))),
                }
            }
        }
        self.call(&name, &args).map_err(|refusal| Refusal {
            location: refusal.location.or(location),
            message: refusal.message,
            help: refusal.help,
        })
    }

    pub(super) fn call(&self, name: &str, args: &[&Expr]) -> Result<Node> {
        if let "DATE_ADD" | "DATE_SUB" = name {
            let [date, Expr::Interval(interval)] = args else {
                return Err(Refusal::new(format!("{name} takes a date and an INTERVAL")));
            };
            return self.add_interval(date, interval, name == "DATE_SUB");
        }
        let nodes = args
            .iter()
            .map(|arg| self.node(arg))
            .collect::<Result<Vec<_>>>()?;
        let count = nodes.len();
        let (least, most) = arity(name)
            .ok_or_else(|| Refusal::new(format!("the function {name} is not supported")))?;
        if count < least || count > most {
            return Err(Refusal::new(format!(
                "{name} takes {}",
                match (least, most) {
                    (a, b) if a == b => format!("{a} arguments, not {count}"),
                    (a, usize::MAX) => format!("at least {a} arguments, not {count}"),
                    (a, b) => format!("{a} to {b} arguments, not {count}"),
                }
            )));
        }
        match name {
            "CONCAT" | "CONCAT_WS" | "UPPER" | "UCASE" | "LOWER" | "LCASE" | "TRIM" | "LTRIM"
            | "RTRIM" | "SUBSTRING" | "SUBSTR" | "LEFT" | "RIGHT" | "REPLACE" | "LPAD" | "RPAD" => {
                self.text_function(name, nodes)
            }
            "LENGTH" | "CHAR_LENGTH" | "CHARACTER_LENGTH" | "HEX" | "MD5" | "SHA2" => {
                self.byte_function(name, nodes)
            }
            "ROUND" | "FLOOR" | "CEIL" | "CEILING" | "ABS" => self.number_function(name, nodes),
            "DATE" | "YEAR" | "MONTH" | "DAY" | "DAYOFMONTH" | "DATEDIFF" | "DATE_FORMAT"
            | "UNIX_TIMESTAMP" | "FROM_UNIXTIME" => self.date_function(name, nodes),
            _ => self.choice(name, nodes),
        }
    }

    fn choice(&self, name: &str, nodes: Vec<Node>) -> Result<Node> {
        match name {
            "COALESCE" | "IFNULL" => return self.coalesce(nodes),
            "GREATEST" | "LEAST" => return self.extreme(name == "GREATEST", nodes),
            "JSON_EXTRACT" => return self.json_extract(nodes),
            _ => {}
        }
        let mut nodes = nodes.into_iter();
        match (name, nodes.next(), nodes.next(), nodes.next()) {
            ("NULLIF", Some(a), Some(b), None) => self.null_if(a, b),
            ("MOD", Some(a), Some(b), None) => self.arithmetic(Sign::Modulo, a, b),
            ("IF", Some(condition), Some(then), Some(otherwise)) => {
                self.if_then(condition, then, otherwise)
            }
            ("JSON_UNQUOTE", Some(arg), None, None) => self.json_unquote(arg),
            _ => Err(Refusal::new(format!(
                "the function {name} is not supported"
            ))),
        }
    }

    /// The node as text whose collation is that of a function's result.
    fn texts(&self, nodes: Vec<Node>) -> Result<Vec<Node>> {
        nodes.into_iter().map(|node| self.text(node)).collect()
    }

    /// An argument that counts characters or digits.
    fn count(&self, node: Node) -> Result<Node> {
        let (node, class) = self.number(node)?;
        if matches!(node.ty.kind, TypeKind::Text { .. }) {
            return Err(
                Refusal::new("a number is expected here, not a text").help("CAST it to SIGNED")
            );
        }
        if is_fractional_timestamp(&node) {
            return Err(
                Refusal::new("UNIX_TIMESTAMP with a fraction is not supported here")
                    .help("CAST it to SIGNED"),
            );
        }
        whole(node, class)
    }

    fn text_function(&self, name: &str, nodes: Vec<Node>) -> Result<Node> {
        let nullable = nodes.iter().any(|node| node.ty.nullable);
        let mut nodes = nodes.into_iter();
        let (Some(first), rest) = (nodes.next(), nodes) else {
            return Err(Refusal::new(format!("{name} takes an argument")));
        };
        let first = self.text(first)?;
        let mut args = vec![first];
        let call = match name {
            "LEFT" | "RIGHT" | "SUBSTRING" | "SUBSTR" => {
                for node in rest {
                    args.push(self.count(node)?);
                }
                let call = match name {
                    "LEFT" => Call::Left,
                    "RIGHT" => Call::Right,
                    _ => Call::Substring,
                };
                let collated = args.first().map(|a| a.collated.clone());
                let collated = collated.unwrap_or_else(Collated::number);
                return Ok(textual(Op::Call(call, args), result(collated), nullable));
            }
            "LPAD" | "RPAD" => {
                let mut rest = rest;
                let (Some(length), Some(filling)) = (rest.next(), rest.next()) else {
                    return Err(Refusal::new(format!("{name} takes three arguments")));
                };
                let filling = self.text(filling)?;
                one_charset(name, &[&args[0], &filling])?;
                let collated = self.mixed(&[&args[0], &filling])?;
                args.push(self.count(length)?);
                args.push(filling);
                let left = name == "LPAD";
                let op = Op::Call(Call::Pad { left }, args);
                return Ok(textual(op, result(collated), true));
            }
            "CONCAT" => Call::Concat,
            "CONCAT_WS" => Call::ConcatWs,
            "REPLACE" => Call::Replace,
            "LTRIM" => Call::Trim {
                leading: true,
                trailing: false,
            },
            "RTRIM" => Call::Trim {
                leading: false,
                trailing: true,
            },
            "TRIM" => Call::Trim {
                leading: true,
                trailing: true,
            },
            "UPPER" | "UCASE" => Call::Upper(self.weigher(&args[0].collated)?),
            _ => Call::Lower(self.weigher(&args[0].collated)?),
        };
        args.extend(self.texts(rest.collect())?);
        if name == "REPLACE" {
            one_charset(name, &args.iter().collect::<Vec<_>>())?;
        }
        let collated = self.mixed(&args.iter().collect::<Vec<_>>())?;
        if let ("REPLACE", Some(wanted)) = (name, args.get(1)) {
            coded::told(name, &collated, wanted)?;
        }
        Ok(textual(Op::Call(call, args), result(collated), nullable))
    }

    pub(super) fn trim(
        &self,
        expr: &Expr,
        what: Option<&Expr>,
        (leading, trailing): (bool, bool),
    ) -> Result<Node> {
        let mut args = vec![self.text(self.node(expr)?)?];
        if let Some(what) = what {
            args.push(self.text(self.node(what)?)?);
        }
        let nullable = args.iter().any(|node| node.ty.nullable);
        one_charset("TRIM", &args.iter().collect::<Vec<_>>())?;
        let collated = self.mixed(&args.iter().collect::<Vec<_>>())?;
        if let Some(wanted) = args.get(1) {
            coded::told("TRIM", &collated, wanted)?;
        }
        let op = Op::Call(Call::Trim { leading, trailing }, args);
        Ok(textual(op, result(collated), nullable))
    }

    /// How the text's characters become bytes.
    pub(super) fn encoding(&self, node: &Node) -> Result<Encoding> {
        if !matches!(node.ty.kind, TypeKind::Text { .. }) {
            return Ok(Encoding::Utf8);
        }
        collate::encoding(&node.collated.name).ok_or_else(|| {
            Refusal::new(format!(
                "the bytes of text in the character set {} are not known here",
                node.collated.charset()
            ))
            .help("CAST it to CHAR, which is utf8mb4")
        })
    }

    fn byte_function(&self, name: &str, nodes: Vec<Node>) -> Result<Node> {
        let nullable = nodes.iter().any(|node| node.ty.nullable);
        let mut nodes = nodes.into_iter();
        let (Some(first), second) = (nodes.next(), nodes.next()) else {
            return Err(Refusal::new(format!("{name} takes an argument")));
        };
        let is_number = first.ty.kind.is_number();
        if first.ty.kind == TypeKind::Bit && name != "HEX" {
            return Err(Refusal::new(format!("{name} of a BIT is not supported")));
        }
        let encoding = self.encoding(&first)?;
        let first = match name {
            "HEX" => first,
            _ => printed_double(first),
        };
        let mut args = vec![first];
        if let Some(second) = second {
            args.push(self.count(second)?);
        }
        let text = |call: Call, args: Vec<Node>, nullable: bool| {
            Ok(textual(
                Op::Call(call, args),
                Collated {
                    derivation: Derivation::Literal,
                    ..Collated::number()
                },
                nullable,
            ))
        };
        match name {
            "LENGTH" => Ok(computed(
                Op::Call(Call::Length(encoding), args),
                INT,
                nullable,
            )),
            "CHAR_LENGTH" | "CHARACTER_LENGTH" => {
                Ok(computed(Op::Call(Call::CharLength, args), INT, nullable))
            }
            "HEX" if is_number => {
                if matches!(args[0].special, Special::Printed) {
                    return Err(Refusal::new("HEX of such a column is not supported"));
                }
                let args = args
                    .into_iter()
                    .map(|arg| {
                        let class = class_of(&arg.ty.kind);
                        whole(arg, class)
                    })
                    .collect::<Result<_>>()?;
                text(Call::HexNumber, args, nullable)
            }
            "HEX" => text(Call::HexText(encoding), args, nullable),
            "MD5" => text(Call::Md5(encoding), args, nullable),
            _ => text(Call::Sha2(encoding), args, true),
        }
    }

    fn number_function(&self, name: &str, nodes: Vec<Node>) -> Result<Node> {
        let nullable = nodes.iter().any(|node| node.ty.nullable);
        let mut nodes = nodes.into_iter();
        let (Some(first), second) = (nodes.next(), nodes.next()) else {
            return Err(Refusal::new(format!("{name} takes a number")));
        };
        if first.ty.kind.is_temporal() {
            return Err(Refusal::new(format!(
                "{name} of {} is not supported",
                first.ty.kind.name()
            )));
        }
        let (first, class) = self.number(first)?;
        let first = as_class(first, class);
        let kind = first.ty.kind.clone();
        let places = second.as_ref().and_then(|node| match node.literal() {
            Some(Datum::Int(places)) => Some(*places),
            _ => None,
        });
        let mut args = vec![first];
        if let Some(second) = second {
            args.push(self.count(second)?);
        }
        let unsigned = matches!(
            kind,
            TypeKind::Int { unsigned: true } | TypeKind::Bit | TypeKind::Year
        );
        let (call, kind) = match (name, &kind) {
            ("ABS", TypeKind::Decimal { .. }) => {
                let args = args.iter().map(exact_within).collect();
                return Ok(scaled(computed(Op::Call(Call::Abs, args), kind, nullable)));
            }
            ("ABS", _) if class == Class::Int => (Call::Abs, TypeKind::Int { unsigned }),
            ("ABS", _) => (Call::Abs, TypeKind::Double),
            ("ROUND", TypeKind::Decimal { precision, scale }) => {
                let whole = precision.saturating_sub(*scale);
                let scale = match (args.len(), places) {
                    (1, _) => 0,
                    (_, Some(places)) => places.clamp(0, i64::from(*scale)) as u8,
                    (_, None) => *scale,
                };
                let precision = (whole + 1 + scale).min(65);
                let kind = TypeKind::Decimal { precision, scale };
                return Ok(scaled(computed(
                    Op::Call(Call::Round(scale), args),
                    kind,
                    nullable,
                )));
            }
            ("ROUND", _) if class == Class::Int => (Call::Round(0), TypeKind::Int { unsigned }),
            ("ROUND", _) => (Call::Round(0), TypeKind::Double),
            (_, TypeKind::Decimal { precision, scale }) => {
                let call = if name == "FLOOR" {
                    Call::Floor
                } else {
                    Call::Ceil
                };
                let result = if whole_is_int(&kind) {
                    INT
                } else {
                    TypeKind::Decimal {
                        precision: precision - scale + 1,
                        scale: 0,
                    }
                };
                (call, result)
            }
            (_, _) => {
                let call = if name == "FLOOR" {
                    Call::Floor
                } else {
                    Call::Ceil
                };
                let result = match class {
                    Class::Int => TypeKind::Int { unsigned },
                    _ => TypeKind::Double,
                };
                (call, result)
            }
        };
        Ok(computed(Op::Call(call, args), kind, nullable))
    }
}

/// Text as a DOUBLE where a number is wanted.
fn as_class(node: Node, class: Class) -> Node {
    let is_text = matches!(node.ty.kind, TypeKind::Text { .. });
    if class == Class::Double && is_text {
        let nullable = node.ty.nullable;
        return computed(
            Op::To(Target::Double, Box::new(node)),
            TypeKind::Double,
            nullable,
        );
    }
    node
}

/// MySQL cuts its fraction off where it rounds those of other decimals.
pub(super) fn is_fractional_timestamp(node: &Node) -> bool {
    match &raw(node).op {
        Op::NullIf { args, .. } => is_fractional_timestamp(&args[0]),
        op => matches!(op, Op::Call(Call::UnixTimestamp { scale: 1.. }, _)),
    }
}

/// A number where MySQL asks for an integer.
pub(super) fn whole(node: Node, class: Class) -> Result<Node> {
    let node = match class {
        Class::Decimal => unrounded(node),
        Class::Int | Class::Double => node,
    };
    whole_double(node, class)
}

/// A quotient with all digits that MySQL computes of it: asked for an integer it does not round to those of its type before.
/// `149999/100000` is `1.5000`, and the integer 1.
fn unrounded(node: Node) -> Node {
    let inner = raw(&node).clone();
    let op = match inner.op {
        Op::Arithmetic {
            sign: Sign::Divide,
            class,
            unsigned,
            args,
            ..
        } => Op::Arithmetic {
            sign: Sign::Divide,
            class,
            unsigned,
            scale: u8::MAX,
            args,
        },
        op @ (Op::Case { to: Shape::As, .. } | Op::CaseOf { to: Shape::As, .. }) => {
            op.with_branches(Shape::As, &mut unrounded)
        }
        Op::NullIf { how, args } => {
            let [value, other] = *args;
            nullif(how, value.clone(), other, unrounded(value))
        }
        _ => return node,
    };
    Node { op, ..inner }
}

/// A DOUBLE that was computed where an integer is wanted: there MySQL fails beyond the range.
pub(super) fn whole_double(node: Node, class: Class) -> Result<Node> {
    if is_fractional_timestamp(&node) {
        let nullable = node.ty.nullable;
        return Ok(computed(
            Op::To(Target::Truncated, Box::new(node)),
            INT,
            nullable,
        ));
    }
    if node.ty.kind.fsp() > 0 && !node.is_column() {
        return Err(
            Refusal::new("an integer of a computed date with a fraction is not supported")
                .help("CAST it to DATETIME"),
        );
    }
    if is_mixed_choice(&node) || (class == Class::Double && is_choice(&node)) {
        return Err(Refusal::new(
            "an integer of a choice between values that are no integers is not supported",
        )
        .help("CAST each of them"));
    }
    let is_computed = match &node.op {
        Op::Arithmetic { .. } | Op::Negate { .. } => true,
        Op::Call(call, _) => matches!(call, Call::Round(_) | Call::Floor | Call::Ceil | Call::Abs),
        _ => false,
    };
    if class == Class::Double && is_computed {
        let nullable = node.ty.nullable;
        return Ok(computed(
            Op::To(Target::Whole, Box::new(node)),
            INT,
            nullable,
        ));
    }
    Ok(node)
}

/// These functions convert to the first text's character set, which fails where it lacks a character.
fn one_charset(name: &str, texts: &[&Node]) -> Result<()> {
    let Some((first, rest)) = texts.split_first() else {
        return Ok(());
    };
    let charset = first.collated.charset();
    let fits = |node: &&&Node| node.collated.ascii || node.collated.charset() == charset;
    if charset == "utf8mb4" || rest.iter().all(|node| fits(&node)) {
        return Ok(());
    }
    Err(Refusal::new(format!(
        "{name} of texts in different character sets is not supported"
    ))
    .help("CAST the first to CHAR, which is utf8mb4"))
}

/// The collation of a function's text; what is a number's is a literal's now.
fn result(collated: Collated) -> Collated {
    let derivation = match collated.derivation {
        Derivation::Number | Derivation::Null => Derivation::Literal,
        other => other,
    };
    Collated {
        derivation,
        ..collated
    }
}

fn arity(name: &str) -> Option<(usize, usize)> {
    const MANY: usize = usize::MAX;
    Some(match name {
        "CONCAT" | "COALESCE" => (1, MANY),
        "CONCAT_WS" | "GREATEST" | "LEAST" | "JSON_EXTRACT" => (2, MANY),
        "UPPER" | "UCASE" | "LOWER" | "LCASE" | "TRIM" | "LTRIM" | "RTRIM" | "LENGTH"
        | "CHAR_LENGTH" | "CHARACTER_LENGTH" | "HEX" | "MD5" | "FLOOR" | "CEIL" | "CEILING"
        | "ABS" | "DATE" | "YEAR" | "MONTH" | "DAY" | "DAYOFMONTH" | "UNIX_TIMESTAMP"
        | "JSON_UNQUOTE" => (1, 1),
        "ROUND" | "FROM_UNIXTIME" => (1, 2),
        "SUBSTRING" | "SUBSTR" => (2, 3),
        "LEFT" | "RIGHT" | "SHA2" | "DATEDIFF" | "DATE_FORMAT" | "IFNULL" | "NULLIF" | "MOD" => {
            (2, 2)
        }
        "REPLACE" | "LPAD" | "RPAD" | "IF" => (3, 3),
        _ => return None,
    })
}
