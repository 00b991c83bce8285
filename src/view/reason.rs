//! Why a row has no item. A reason names the attribute and the rule, never the value.

use std::fmt;
use std::sync::Arc;

use super::item::MAX_ITEM_BYTES;
use crate::expression::EvaluationError;

/// Why a row has no item: what a dead letter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The attribute at fault; where a whole item is too large, the one that made it so.
    pub attribute: Arc<str>,
    pub fault: Fault,
}

/// The rule that a value breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A key attribute is NULL.
    KeyNull,
    /// A key attribute is the empty string or no bytes.
    KeyEmpty,
    /// A key attribute is longer than DynamoDB allows, in bytes.
    KeyTooLong {
        limit: usize,
    },
    /// The item would be larger than 400 KB.
    ItemTooLarge,
    /// Maps and lists nested deeper than 32 levels.
    TooDeep,
    NotANumber,
    /// More than 38 significant digits.
    TooManyDigits,
    /// Outside ±1E-130 … ±9.99…E+125.
    NumberOutOfRange,
    NotABoolean,
    /// Bytes where text is needed.
    Binary,
    /// This kind of value cannot become this type.
    WrongType {
        expected: &'static str,
    },
    /// Text that is not JSON.
    InvalidJson,
    /// A JSON object that names one member twice.
    DuplicateMember,
    /// A JSON object with a member whose name is empty or longer than 64 KB: DynamoDB refuses such names.
    MemberName,
    /// Not a date, or not one in the format that the contract names.
    NotADate,
    /// A date with zero parts (`2024-00-00`) or one that does not exist has no instant.
    NoInstant,
    /// A UUID needs exactly 16 bytes.
    NotUuid,
    /// MySQL would refuse to compute the expression: what is wrong with it.
    Expression(EvaluationError),
}

impl Fault {
    /// A short name without values, for labels of metrics.
    pub fn name(self) -> &'static str {
        match self {
            Fault::KeyNull => "key_null",
            Fault::KeyEmpty => "key_empty",
            Fault::KeyTooLong { .. } => "key_too_long",
            Fault::ItemTooLarge => "item_too_large",
            Fault::TooDeep => "too_deep",
            Fault::NotANumber => "not_a_number",
            Fault::TooManyDigits => "too_many_digits",
            Fault::NumberOutOfRange => "number_out_of_range",
            Fault::NotABoolean => "not_a_boolean",
            Fault::Binary => "binary",
            Fault::WrongType { .. } => "wrong_type",
            Fault::InvalidJson => "invalid_json",
            Fault::DuplicateMember => "duplicate_member",
            Fault::MemberName => "member_name",
            Fault::NotADate => "not_a_date",
            Fault::NoInstant => "no_instant",
            Fault::NotUuid => "not_uuid",
            Fault::Expression(_) => "expression",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::KeyNull => f.write_str("a key attribute is NULL"),
            Fault::KeyEmpty => f.write_str("a key attribute is empty"),
            Fault::KeyTooLong { limit } => {
                write!(f, "a key attribute is longer than {limit} bytes")
            }
            Fault::ItemTooLarge => {
                write!(
                    f,
                    "with it the item is larger than {MAX_ITEM_BYTES} bytes (400 KB)"
                )
            }
            Fault::TooDeep => f.write_str("its maps and lists are nested deeper than 32 levels"),
            Fault::NotANumber => f.write_str("the value is not a number"),
            Fault::TooManyDigits => f.write_str("the number has more than 38 significant digits"),
            Fault::NumberOutOfRange => f.write_str(
                "the number is outside DynamoDB's range (magnitude 1E-130 to 9.99E+125)",
            ),
            Fault::NotABoolean => {
                f.write_str("the value is neither a number nor one of true, false, 1, 0")
            }
            Fault::Binary => {
                f.write_str("the value is binary and has no text; give it a binary-format")
            }
            Fault::WrongType { expected } => {
                write!(
                    f,
                    "the value cannot become what the contract says: {expected}"
                )
            }
            Fault::InvalidJson => f.write_str("the text is not valid JSON"),
            Fault::DuplicateMember => f.write_str("a JSON object names one member twice"),
            Fault::MemberName => {
                f.write_str("a JSON object has a member whose name is empty or longer than 64 KB")
            }
            Fault::NotADate => f.write_str("the value is not a date in the expected format"),
            Fault::NoInstant => f.write_str(
                "the date has parts that are zero or does not exist, so it is no instant",
            ),
            Fault::NotUuid => f.write_str("a UUID needs exactly 16 bytes"),
            Fault::Expression(what) => write!(f, "its expression cannot be computed: {what}"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attribute {:?}: {}", &*self.attribute, self.fault)
    }
}
