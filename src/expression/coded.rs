//! Text in character sets in which several codes show as one character: MySQL compares it by its bytes, which only some
//! expressions are known to give.

use super::Refusal;
use super::comparison::How;
use super::compile::Result;
use super::datum::Datum;
use super::node::{Node, Op, Special};
use super::types::{Collated, charset_of};
use crate::change::charset::Charset;

/// Refuses operands whose bytes are not known, where the comparison is of bytes.
pub(super) fn known(how: &How, operands: &[&Node]) -> Result<()> {
    let How::Text(weigher) = how else {
        return Ok(());
    };
    let Some(set) = weigher.coded() else {
        return Ok(());
    };
    match operands.iter().all(|operand| keeps(operand, set)) {
        true => Ok(()),
        false => Err(Refusal::new(format!(
            "MySQL compares text in {} by its bytes, which are not known here where a text is computed or has a character \
             that {} lacks",
            weigher.name(),
            weigher.charset(),
        ))
        .help("compare columns or literals, or put CAST(… AS CHAR) around each side to compare what they show")),
    }
}

/// Whether its value has the bytes that MySQL's has, those of its characters where it keeps none.
fn keeps(node: &Node, set: Charset) -> bool {
    // The bytes of whichever is taken; what has another character set is not among them.
    let branches: Vec<&Node> = match &node.op {
        Op::Literal(Datum::Null) => return true,
        Op::Literal(Datum::Text(text)) => return text.chars().all(|c| set.code(c).is_some()),
        Op::Column { .. } => return is_column_of(node, set),
        Op::Case {
            cases, otherwise, ..
        } => {
            let thens = cases.iter().map(|(_, then)| then);
            thens.chain(otherwise.as_deref()).collect()
        }
        Op::CaseOf {
            cases, otherwise, ..
        } => {
            let thens = cases.iter().map(|(.., then)| then);
            thens.chain(otherwise.as_deref()).collect()
        }
        Op::Coalesce { args, .. } | Op::Extreme { args, .. } => args.iter().collect(),
        Op::NullIf { args, .. } => vec![&args[0]],
        _ => return false,
    };
    branches.into_iter().all(|branch| keeps(branch, set))
}

fn is_column_of(node: &Node, set: Charset) -> bool {
    let charset = node.collated.charset();
    if charset == "ascii" {
        return (0..0x80_u8).all(|byte| set.code(char::from(byte)).is_some());
    }
    let told = |label: &String| label.chars().all(|c| set.tells(c));
    Charset::by_mysql_name(charset) == Some(set)
        && match &node.special {
            Special::No => true,
            // The bytes of labels are not kept.
            Special::Labels { labels, .. } => labels.iter().all(told),
            _ => false,
        }
}

/// Refuses to look in a text for what may show as a part of it and not be one: only a literal of characters that have one
/// code each is found by what it shows.
pub(super) fn told(name: &str, collated: &Collated, wanted: &Node) -> Result<()> {
    let charset = charset_of(&collated.name);
    let Some(set) = Charset::by_mysql_name(charset).filter(|set| !set.is_one_to_one()) else {
        return Ok(());
    };
    match wanted.literal() {
        Some(Datum::Null) => Ok(()),
        Some(Datum::Text(text)) if text.chars().all(|c| set.tells(c)) => Ok(()),
        _ => Err(Refusal::new(format!(
            "{name} in text in {charset} is supported for a literal, each character of which has one code there",
        ))
        .help("CAST the text to CHAR, which is utf8mb4")),
    }
}
