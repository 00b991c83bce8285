//! The typed tree.

use super::comparison::{How, Side};
use super::date_format::Format;
use super::datum::Datum;
use super::json::Path;
use super::types::{Collated, Type, TypeKind};
use crate::change::collation::Weigher;
use crate::plan::{RowRef, SourceId};

/// A part of an expression with its type.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub op: Op,
    pub ty: Type,
    /// The collation of its text.
    pub collated: Collated,
    /// Where the value of a column of a special declaration may be used.
    pub special: Special,
}

/// Columns whose value depends on who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Special {
    No,
    /// A text that stands for a number in sums (ENUM, SET): its labels, and whether several of them make a value.
    Labels {
        labels: Vec<String>,
        set: bool,
    },
    /// ZEROFILL and `FLOAT(M,D)`: the declaration says how it is printed.
    Printed,
    /// An unsigned integer of less than eight bytes: beside signed ones it becomes a signed BIGINT.
    Narrow,
    /// A choice that may be such a text.
    SomeLabels,
    /// A DECIMAL that is UNSIGNED, or was computed of unsigned numbers: with another one it must not become negative.
    UnsignedDecimal,
    /// A number that was read as a date.
    Number,
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    Literal(Datum<'static>),
    Column {
        row: RowRef,
        source: SourceId,
        slot: usize,
    },
    /// Two numbers, computed in this class, rounded to this scale where it is decimal.
    Arithmetic {
        sign: Sign,
        class: Class,
        unsigned: bool,
        scale: u8,
        args: Box<[Node; 2]>,
    },
    Negate {
        class: Class,
        arg: Box<Node>,
    },
    Compare {
        sign: Order,
        how: How,
        args: Box<[Node; 2]>,
    },
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Not(Box<Node>),
    IsNull(Box<Node>),
    /// IS TRUE, IS FALSE.
    Is {
        truth: bool,
        arg: Box<Node>,
    },
    In {
        arg: Box<Node>,
        list: Vec<(How, Node)>,
    },
    Between {
        arg: Box<Node>,
        low: (How, Box<Node>),
        high: (How, Box<Node>),
    },
    Like {
        weigher: Weigher,
        escape: Option<char>,
        args: Box<[Node; 2]>,
    },
    /// The first pair whose condition holds.
    Case {
        cases: Vec<(Node, Node)>,
        otherwise: Option<Box<Node>>,
        to: Shape,
    },
    CaseOf {
        operand: Box<Node>,
        cases: Vec<(How, Node, Node)>,
        otherwise: Option<Box<Node>>,
        to: Shape,
    },
    Coalesce {
        args: Vec<Node>,
        to: Shape,
    },
    NullIf {
        how: How,
        args: Box<[Node; 2]>,
    },
    /// GREATEST and LEAST.
    Extreme {
        greatest: bool,
        how: How,
        args: Vec<Node>,
        to: Shape,
    },
    Call(Call, Vec<Node>),
    /// CAST and conversions that are written in no text.
    To(Target, Box<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
    Div,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Int,
    Decimal,
    Double,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// `<=>`
    Same,
}

/// What the values of several branches become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// They are alike.
    As,
    Int {
        unsigned: bool,
    },
    /// With this scale where it is given.
    Decimal(Option<u8>),
    Double,
    Text,
    Bytes,
    DateTime(u8),
    Time(u8),
}

/// What a value is converted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Signed,
    Unsigned,
    Decimal {
        precision: u8,
        scale: u8,
    },
    Double,
    Float,
    /// At most so many characters.
    Chars(Option<usize>),
    Bytes(Option<usize>),
    Date,
    DateTime(u8),
    Time(u8),
    Json,
    Year,
    /// The number of an ENUM's or SET's labels.
    LabelNumber {
        labels: Vec<String>,
        set: bool,
    },
    /// A DOUBLE that was computed, as a BIGINT: out of range is an error.
    Whole,
    /// An integer without the fraction.
    Truncated,
    /// A number of seconds as a DOUBLE: its fraction added to its whole ones.
    Seconds,
    /// A DECIMAL with so many digits after the point.
    Scale(u8),
    /// A DECIMAL with no more digits after the point than these.
    AtMost(u8),
    /// A number's text in so many characters.
    Narrow(usize),
    /// A date that has a month and a day: MySQL does not compare others alike everywhere.
    Complete,
}

/// Functions that take values and give one.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Concat,
    ConcatWs,
    Upper(Weigher),
    Lower(Weigher),
    Trim {
        leading: bool,
        trailing: bool,
    },
    Substring,
    Left,
    Right,
    Replace,
    Pad {
        left: bool,
    },
    /// Bytes of the text in its character set.
    Length(Encoding),
    CharLength,
    /// The scale of a decimal result.
    Round(u8),
    Floor,
    Ceil,
    Abs,
    HexText(Encoding),
    HexNumber,
    Md5(Encoding),
    Sha2(Encoding),
    /// A part of a date.
    Year,
    Month,
    Day,
    Date,
    DateDiff,
    DateFormat(Option<Format>),
    AddInterval {
        unit: super::interval::Unit,
        subtract: bool,
        result: TypeKind,
    },
    UnixTimestamp {
        scale: u8,
    },
    FromUnixtime {
        fsp: u8,
    },
    JsonExtract {
        paths: Vec<Option<Path>>,
        many: bool,
        foreign: bool,
    },
    JsonUnquote,
}

/// How characters become bytes.
#[derive(Debug, Clone)]
pub(super) enum Encoding {
    Utf8,
    /// The character of each byte.
    Single(std::sync::Arc<std::collections::HashMap<char, u8>>),
    Utf16 {
        little: bool,
    },
    Utf32,
}

impl Op {
    /// A CASE of other branches, which become `to`; anything else as it is.
    pub fn with_branches(self, to: Shape, each: &mut dyn FnMut(Node) -> Node) -> Self {
        match self {
            Op::Case {
                cases, otherwise, ..
            } => Op::Case {
                cases: cases
                    .into_iter()
                    .map(|(when, then)| (when, each(then)))
                    .collect(),
                otherwise: otherwise.map(|node| Box::new(each(*node))),
                to,
            },
            Op::CaseOf {
                operand,
                cases,
                otherwise,
                ..
            } => Op::CaseOf {
                operand,
                cases: cases
                    .into_iter()
                    .map(|(how, when, then)| (how, when, each(then)))
                    .collect(),
                otherwise: otherwise.map(|node| Box::new(each(*node))),
                to,
            },
            other => other,
        }
    }
}

impl Node {
    pub fn side(&self) -> Side {
        Side {
            kind: self.ty.kind.clone(),
            collated: self.collated.clone(),
        }
    }

    /// The text of a literal.
    pub fn literal_text(&self) -> Option<&str> {
        match &self.op {
            Op::Literal(Datum::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub fn literal(&self) -> Option<&Datum<'static>> {
        match &self.op {
            Op::Literal(datum) => Some(datum),
            _ => None,
        }
    }

    pub fn is_column(&self) -> bool {
        matches!(self.op, Op::Column { .. })
    }

    /// Calls `visit` with every column.
    pub fn each_reference(&self, visit: &mut dyn FnMut(RowRef, SourceId, usize)) {
        if let Op::Column { row, source, slot } = self.op {
            visit(row, source, slot);
        }
        self.each_part(&mut |part| part.each_reference(visit));
    }

    /// Whether it computes with moments that have a fraction: how many zeros MySQL leaves behind that is not known.
    pub fn sums_fractions(&self) -> bool {
        if let Op::To(Target::Decimal { .. }, _) = self.op {
            return false;
        }
        let fraction = |node: &Node| node.ty.kind.is_temporal() && node.ty.kind.fsp() > 0;
        let own = matches!(&self.op, Op::Arithmetic { class: Class::Decimal, args, .. } if args.iter().any(fraction));
        let mut found = own;
        self.each_part(&mut |part| found = found || part.sums_fractions());
        found
    }

    /// Calls `visit` with every column that stands before IS NULL.
    pub fn each_null_test(&self, visit: &mut dyn FnMut(SourceId, usize)) {
        if let Op::IsNull(arg) = &self.op
            && let Op::Column { source, slot, .. } = arg.op
        {
            visit(source, slot);
        }
        self.each_part(&mut |part| part.each_null_test(visit));
    }

    pub fn each_part(&self, visit: &mut dyn FnMut(&Node)) {
        match &self.op {
            Op::Literal(_) | Op::Column { .. } => {}
            Op::Arithmetic { args, .. }
            | Op::Compare { args, .. }
            | Op::And(args)
            | Op::Or(args)
            | Op::Like { args, .. }
            | Op::NullIf { args, .. } => args.iter().for_each(visit),
            Op::Negate { arg, .. }
            | Op::Not(arg)
            | Op::IsNull(arg)
            | Op::Is { arg, .. }
            | Op::To(_, arg) => visit(arg),
            Op::In { arg, list } => {
                visit(arg);
                list.iter().for_each(|(_, node)| visit(node));
            }
            Op::Between { arg, low, high } => {
                visit(arg);
                visit(&low.1);
                visit(&high.1);
            }
            Op::Case {
                cases, otherwise, ..
            } => {
                for (when, then) in cases {
                    visit(when);
                    visit(then);
                }
                otherwise.iter().for_each(|node| visit(node));
            }
            Op::CaseOf {
                operand,
                cases,
                otherwise,
                ..
            } => {
                visit(operand);
                for (_, when, then) in cases {
                    visit(when);
                    visit(then);
                }
                otherwise.iter().for_each(|node| visit(node));
            }
            Op::Coalesce { args, .. } | Op::Extreme { args, .. } | Op::Call(_, args) => {
                args.iter().for_each(visit);
            }
        }
    }
}
