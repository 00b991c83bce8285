//! The functions of the contract, each with its arguments' types.

use sqlparser::ast::{
    BinaryOperator, CharacterLength, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Interval,
};

use super::Refusal;
use super::collate;
use super::compile::{Compiler, Result, complete, computed, is_choice, printed_double, scaled, json_collated, textual, whole_is_int};
use super::date_format::Format;
use super::datum::Datum;
use super::interval::Unit;
use super::json::Path;
use super::node::{Call, Class, Encoding, Node, Op, Sign, Special, Target};
use super::types::{Collated, Derivation, TypeKind};

const INT: TypeKind = TypeKind::Int { unsigned: false };

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
        whole_double(node, class)
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
        let op = Op::Call(Call::Trim { leading, trailing }, args);
        Ok(textual(op, result(collated), nullable))
    }

    /// How the text's characters become bytes.
    fn encoding(&self, node: &Node) -> Result<Encoding> {
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
                (Call::Round(scale), TypeKind::Decimal { precision, scale })
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

    /// A node that dates are taken from.
    fn date(&self, node: Node, name: &str) -> Result<Node> {
        let fine = match &node.ty.kind {
            kind if kind.has_date() => true,
            TypeKind::Text { .. } | TypeKind::Null => node.special == Special::No,
            TypeKind::Int { .. } => node.literal().is_some(),
            _ => false,
        };
        if fine && is_choice(&node) {
            return Ok(complete(node, true));
        }
        if fine {
            return Ok(node);
        }
        Err(Refusal::new(format!(
            "{name} of {} is not supported",
            node.ty.kind.name()
        ))
        .help("CAST it to DATE or DATETIME"))
    }

    fn date_function(&self, name: &str, nodes: Vec<Node>) -> Result<Node> {
        let mut nodes = nodes.into_iter();
        let (Some(first), second) = (nodes.next(), nodes.next()) else {
            return Err(Refusal::new(format!("{name} takes an argument")));
        };
        if name == "FROM_UNIXTIME" {
            return self.from_unixtime(first, second);
        }
        let first = self.date(first, name)?;
        let kind = first.ty.kind.clone();
        let call = match name {
            "YEAR" => Call::Year,
            "MONTH" => Call::Month,
            "DAY" | "DAYOFMONTH" => Call::Day,
            "DATE" => {
                return Ok(computed(
                    Op::Call(Call::Date, vec![first]),
                    TypeKind::Date,
                    true,
                ));
            }
            "DATEDIFF" => {
                let second = second.ok_or_else(|| Refusal::new("DATEDIFF takes two dates"))?;
                let args = vec![first, self.date(second, name)?];
                return Ok(computed(Op::Call(Call::DateDiff, args), INT, true));
            }
            "DATE_FORMAT" => {
                let second = second.ok_or_else(|| Refusal::new("DATE_FORMAT takes a format"))?;
                return self.date_format(first, second);
            }
            _ => {
                let scale = match (&kind, first.literal_text()) {
                    (TypeKind::Text { .. }, Some(text)) => literal_fraction(text),
                    (TypeKind::Text { .. }, None) => 6,
                    (kind, _) => kind.fsp(),
                };
                let nullable = first.ty.nullable;
                let kind = match scale {
                    0 => INT,
                    scale => TypeKind::Decimal {
                        precision: 11 + scale,
                        scale,
                    },
                };
                let op = Op::Call(Call::UnixTimestamp { scale }, vec![first]);
                return Ok(computed(op, kind, nullable));
            }
        };
        Ok(computed(Op::Call(call, vec![first]), INT, true))
    }

    fn date_format(&self, first: Node, format: Node) -> Result<Node> {
        let format = self.text(format)?;
        let ascii = format.literal_text().is_some_and(str::is_ascii);
        let known = format.literal_text().map(Format::parse);
        let op = Op::Call(Call::DateFormat(known), vec![first, format]);
        Ok(textual(
            op,
            Collated {
                derivation: Derivation::Literal,
                ascii,
                ..Collated::number()
            },
            true,
        ))
    }

    fn from_unixtime(&self, first: Node, format: Option<Node>) -> Result<Node> {
        if first.ty.kind.is_temporal() {
            return Err(Refusal::new("FROM_UNIXTIME of a date is not supported"));
        }
        let (first, _) = self.number(first)?;
        let fsp = match first.ty.kind {
            TypeKind::Decimal { scale, .. } => scale.min(6),
            TypeKind::Double | TypeKind::Float | TypeKind::Text { .. } => 6,
            _ => 0,
        };
        let op = Op::Call(Call::FromUnixtime { fsp }, vec![first]);
        let moment = computed(op, TypeKind::DateTime { fsp }, true);
        match format {
            Some(format) => self.date_format(moment, format),
            None => Ok(moment),
        }
    }

    pub(super) fn add_interval(
        &self,
        date: &Expr,
        interval: &Interval,
        subtract: bool,
    ) -> Result<Node> {
        let unit = self.unit(interval)?;
        let date = self.date(self.node(date)?, "adding an INTERVAL")?;
        let (amount, _) = self.number(self.node(&interval.value)?)?;
        if amount.ty.kind.is_temporal() || matches!(amount.ty.kind, TypeKind::Text { .. }) {
            let whole = amount
                .literal_text()
                .is_some_and(|t| t.parse::<i64>().is_ok());
            if !whole {
                return Err(Refusal::new(format!(
                    "an INTERVAL of {} is not supported",
                    amount.ty.kind.name()
                ))
                .help("CAST it to SIGNED or DECIMAL"));
            }
        }
        let digits = match (&amount.ty.kind, unit) {
            (_, Unit::Microsecond) => 6,
            (TypeKind::Decimal { scale, .. }, Unit::Second) => (*scale).min(6),
            (TypeKind::Double | TypeKind::Float | TypeKind::Text { .. }, Unit::Second) => 6,
            _ => 0,
        };
        let result = match &date.ty.kind {
            TypeKind::Date if !unit.is_clock() => TypeKind::Date,
            kind if kind.has_date() => TypeKind::DateTime {
                fsp: kind.fsp().max(digits),
            },
            _ => TypeKind::Text {
                collation: super::types::CONNECTION.into(),
            },
        };
        let call = Call::AddInterval {
            unit,
            subtract,
            result: result.clone(),
        };
        let op = Op::Call(call, vec![date, amount]);
        if let TypeKind::Text { .. } = result {
            let collated = Collated {
                derivation: Derivation::Literal,
                ..Collated::number()
            };
            return Ok(textual(op, collated, true));
        }
        Ok(computed(op, result, true))
    }

    pub(super) fn arrow(&self, left: &Expr, right: &Expr, unquote: bool) -> Result<Node> {
        if let Some(rearranged) = rearranged(left, right, unquote) {
            return self.node(&rearranged);
        }
        let column = matches!(left, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        if !column || !matches!(right, Expr::Value(_)) {
            return Err(Refusal::new(
                "`->` takes a column and a path in quotes; more needs parentheses around it",
            )
            .help("write (column->'$.path')"));
        }
        let found = self.json_extract(vec![self.node(left)?, self.node(right)?])?;
        if unquote {
            return self.json_unquote(found);
        }
        Ok(found)
    }

    fn json_extract(&self, nodes: Vec<Node>) -> Result<Node> {
        let mut nodes = nodes.into_iter();
        let Some(document) = nodes.next() else {
            return Err(Refusal::new("JSON_EXTRACT takes a document"));
        };
        let foreign = match document.ty.kind {
            TypeKind::Json => false,
            TypeKind::Text { .. } => true,
            TypeKind::Null => false,
            _ => {
                return Err(Refusal::new(format!(
                    "JSON_EXTRACT of {} is not supported",
                    document.ty.kind.name()
                )));
            }
        };
        let mut paths = Vec::new();
        for node in nodes {
            paths.push(match node.literal() {
                Some(Datum::Text(text)) => Some(
                    Path::parse(text)
                        .ok_or_else(|| Refusal::new(format!("'{text}' is no JSON path")))?,
                ),
                Some(Datum::Null) => None,
                _ => return Err(Refusal::new("a JSON path is a literal text here")),
            });
        }
        let open = |path: &Option<Path>| path.as_ref().is_some_and(Path::is_open);
        let many = paths.len() > 1 || paths.iter().any(open);
        let call = Call::JsonExtract {
            paths,
            many,
            foreign,
        };
        Ok(Node {
            collated: json_collated(),
            ..computed(Op::Call(call, vec![document]), TypeKind::Json, true)
        })
    }

    fn json_unquote(&self, node: Node) -> Result<Node> {
        if !matches!(
            node.ty.kind,
            TypeKind::Json | TypeKind::Text { .. } | TypeKind::Null
        ) {
            return Err(Refusal::new(format!(
                "JSON_UNQUOTE of {} is not supported",
                node.ty.kind.name()
            )));
        }
        let op = Op::Call(Call::JsonUnquote, vec![node]);
        let collated = Collated {
            derivation: Derivation::Literal,
            ..json_collated()
        };
        Ok(textual(op, collated, true))
    }

    pub(super) fn cast(&self, arg: Node, ty: &DataType) -> Result<Node> {
        let nullable = arg.ty.nullable;
        let name = arg.ty.kind.name();
        let refused = || Refusal::new(format!("CAST of {name} to {ty} is not supported"));
        let (target, kind) = target(ty).ok_or_else(refused)?;
        let from = &arg.ty.kind;
        let odd = matches!(from, TypeKind::Geometry | TypeKind::Vector);
        let bytes = matches!(from, TypeKind::Binary | TypeKind::Bit);
        let fine = match &target {
            _ if odd => false,
            Target::Signed | Target::Unsigned => {
                *from == TypeKind::Bit || !matches!(from, TypeKind::Json | TypeKind::Binary)
            }
            Target::Decimal { .. } | Target::Double | Target::Float => {
                !bytes && *from != TypeKind::Json
            }
            Target::Chars(_) => *from != TypeKind::Bit && *from != TypeKind::Binary,
            Target::Bytes(_) => *from != TypeKind::Bit,
            Target::Date | Target::DateTime(_) => {
                from.has_date()
                    || matches!(from, TypeKind::Text { .. } | TypeKind::Null)
                    || (matches!(from, TypeKind::Int { .. }) && arg.literal().is_some())
            }
            Target::Time(_) => from.is_temporal() || *from == TypeKind::Null,
            Target::Json => {
                let labels = matches!(arg.special, Special::Labels { .. } | Special::SomeLabels);
                !bytes && *from != TypeKind::Float && !labels
            }
            Target::Year => {
                from.has_date() || matches!(from, TypeKind::Year | TypeKind::Int { .. })
            }
            _ => false,
        };
        if !fine {
            return Err(refused());
        }
        let numeric = matches!(
            target,
            Target::Signed
                | Target::Unsigned
                | Target::Decimal { .. }
                | Target::Double
                | Target::Float
        );
        let printed = arg.special == Special::Printed;
        let plain = matches!(target, Target::Chars(_))
            || (arg.ty.kind.is_integer() && matches!(target, Target::Signed | Target::Unsigned));
        if printed && !plain {
            return Err(refused());
        }
        let arg = match target {
            Target::Chars(_) | Target::Bytes(_) => printed_double(arg),
            Target::Date | Target::DateTime(_) | Target::Time(_) | Target::Json | Target::Year
                if is_choice(&arg) =>
            {
                complete(arg, true)
            }
            _ => arg,
        };
        let from = &arg.ty.kind;
        let encoding = matches!(target, Target::Bytes(_))
            .then(|| self.encoding(&arg))
            .transpose()?;
        if encoding.is_some_and(|e| !matches!(e, Encoding::Utf8)) {
            return Err(refused());
        }
        let integer = matches!(target, Target::Signed | Target::Unsigned);
        let arg = if numeric && *from != TypeKind::Bit && !matches!(from, TypeKind::Text { .. })
            || numeric && matches!(arg.special, Special::Labels { .. })
        {
            let (arg, class) = self.number(arg)?;
            if integer { whole_double(arg, class)? } else { arg }
        } else {
            arg
        };
        let fallible = !matches!(target, Target::Signed | Target::Unsigned | Target::Double);
        let op = Op::To(target.clone(), Box::new(arg));
        Ok(match target {
            Target::Chars(_) => textual(
                op,
                Collated {
                    derivation: Derivation::Column,
                    ascii: false,
                    ..Collated::number()
                },
                nullable,
            ),
            Target::Bytes(_) => Node {
                collated: Collated {
                    name: "binary".into(),
                    derivation: Derivation::Column,
                    ascii: false,
                },
                ..computed(op, kind, nullable)
            },
            Target::Json => Node {
                collated: json_collated(),
                ..computed(op, kind, nullable)
            },
            _ => computed(op, kind, nullable || fallible),
        })
    }
}

/// The parser binds `->` less tightly than sums and products, MySQL more tightly: `a->'$.b' + 1` comes as
/// `a->('$.b' + 1)`. The tree as MySQL means it, where only one side is affected.
fn rearranged(left: &Expr, right: &Expr, unquote: bool) -> Option<Expr> {
    let op = if unquote {
        BinaryOperator::LongArrow
    } else {
        BinaryOperator::Arrow
    };
    let arrow = |left: Expr, right: Expr| Expr::BinaryOp {
        left: Box::new(left),
        op: op.clone(),
        right: Box::new(right),
    };
    match (left, right) {
        (
            Expr::BinaryOp {
                left: first,
                op: inner @ (BinaryOperator::Arrow | BinaryOperator::LongArrow),
                right: path,
            },
            _,
        ) => {
            let long = *inner == BinaryOperator::LongArrow;
            let left = rearranged(first, path, long)?;
            rearranged(&left, right, unquote)
        }
        (Expr::Identifier(_) | Expr::CompoundIdentifier(_), Expr::BinaryOp { .. }) => {
            at_edge(right, true, &|path| {
                matches!(path, Expr::Value(_)).then(|| arrow(left.clone(), path.clone()))
            })
        }
        (Expr::BinaryOp { .. }, Expr::Value(_)) => at_edge(left, false, &|column| {
            let is_column = matches!(column, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            is_column.then(|| arrow(column.clone(), right.clone()))
        }),
        _ => None,
    }
}

/// The tree with its leftmost (or rightmost) leaf replaced.
fn at_edge(tree: &Expr, leftmost: bool, leaf: &dyn Fn(&Expr) -> Option<Expr>) -> Option<Expr> {
    let Expr::BinaryOp { left, op, right } = tree else {
        return leaf(tree);
    };
    let (left, right) = if leftmost {
        (at_edge(left, true, leaf)?, (**right).clone())
    } else {
        ((**left).clone(), at_edge(right, false, leaf)?)
    };
    Some(Expr::BinaryOp {
        left: Box::new(left),
        op: op.clone(),
        right: Box::new(right),
    })
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

/// A DOUBLE that was computed where an integer is wanted: there MySQL fails beyond the range.
fn whole_double(node: Node, class: Class) -> Result<Node> {
    if class == Class::Double && is_choice(&node) {
        return Err(Refusal::new(
            "an integer of a choice between values that are no integers is not supported",
        )
        .help("CAST each of them"));
    }
    let is_computed = match &node.op {
        Op::Arithmetic { .. } | Op::Negate { .. } => true,
        Op::Call(call, _) => matches!(
            call,
            Call::Round(_) | Call::Floor | Call::Ceil | Call::Abs
        ),
        _ => false,
    };
    if class == Class::Double && is_computed {
        let nullable = node.ty.nullable;
        return Ok(computed(Op::To(Target::Whole, Box::new(node)), INT, nullable));
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

fn literal_fraction(text: &str) -> u8 {
    if super::calendar::parse_moment(text, super::calendar::Zeros::Refused).is_none() {
        return 6;
    }
    let digits = text.rsplit_once('.').map_or("", |(_, fraction)| fraction);
    digits.bytes().take_while(u8::is_ascii_digit).count().min(6) as u8
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

/// What CAST is asked for.
fn target(ty: &DataType) -> Option<(Target, TypeKind)> {
    let small = |n: &Option<u64>| match n {
        None => Some(0),
        Some(n @ 0..=6) => Some(*n as u8),
        Some(_) => None,
    };
    Some(match ty {
        DataType::Char(length) | DataType::Character(length) => {
            let most = match length {
                None => None,
                Some(CharacterLength::IntegerLength { length, unit: None }) => {
                    Some(usize::try_from(*length).ok()?)
                }
                Some(_) => return None,
            };
            let kind = TypeKind::Text {
                collation: super::types::CONNECTION.into(),
            };
            (Target::Chars(most), kind)
        }
        DataType::Signed | DataType::SignedInteger => (Target::Signed, INT),
        DataType::Unsigned | DataType::UnsignedInteger => {
            (Target::Unsigned, TypeKind::Int { unsigned: true })
        }
        DataType::Decimal(info) => {
            let (precision, scale) = match info {
                ExactNumberInfo::None => (10, 0),
                ExactNumberInfo::Precision(p) => (*p, 0),
                ExactNumberInfo::PrecisionAndScale(p, s) => (*p, u64::try_from(*s).ok()?),
            };
            let precision = if precision == 0 { 10 } else { precision };
            (precision <= 65 && scale <= 30 && scale <= precision).then_some(())?;
            let (precision, scale) = (precision as u8, scale as u8);
            (
                Target::Decimal { precision, scale },
                TypeKind::Decimal { precision, scale },
            )
        }
        DataType::Double(ExactNumberInfo::None) => (Target::Double, TypeKind::Double),
        DataType::Float(ExactNumberInfo::None) => (Target::Float, TypeKind::Float),
        DataType::Date => (Target::Date, TypeKind::Date),
        DataType::Datetime(fsp) => {
            let fsp = small(fsp)?;
            (Target::DateTime(fsp), TypeKind::DateTime { fsp })
        }
        DataType::Time(fsp, _) => {
            let fsp = small(fsp)?;
            (Target::Time(fsp), TypeKind::Time { fsp })
        }
        DataType::Binary(length) => {
            let length = match length {
                None => None,
                Some(length) => Some(usize::try_from(*length).ok().filter(|n| *n < 1 << 24)?),
            };
            (Target::Bytes(length), TypeKind::Binary)
        }
        DataType::JSON => (Target::Json, TypeKind::Json),
        other if other.to_string().eq_ignore_ascii_case("YEAR") => (Target::Year, TypeKind::Year),
        _ => return None,
    })
}
