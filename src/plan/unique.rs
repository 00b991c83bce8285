//! Whether two rows can ever share a key.
//!
//! Proved when three things hold: the key's text gives back the values that were put into it (it is injective), those
//! values cover a unique key of the driving table over NOT NULL columns, or unique keys of joined rows that lead there
//! (`determined`), and no other entity of the same DynamoDB table can render the same key. The columns still go by their
//! ordinals here.

use super::alphabet::{Alphabet, Language, part_of};
use super::determined::{Determined, unique_keys};
use super::key_rows::{Cell, DRIVING, KeyRows, keys};
use super::model::*;
use super::sources::Sources;
use super::suggest;
use super::types::shortened;
use crate::contract::model::{AttributeType, Scalar};

/// Decides [`Projection::uniqueness`] and [`Projection::claimed`] of every projection.
pub(super) fn prove(sources: &Sources<'_>, projections: &mut [Projection]) {
    if sources.offline() {
        for projection in projections {
            projection.uniqueness = Uniqueness::Unproved(
                "it cannot be told offline, where the tables' keys are not known".into(),
            );
        }
        return;
    }
    let (mut decided, in_a_state): (Vec<Uniqueness>, Vec<bool>) =
        projections.iter().map(|p| alone(sources, p)).unzip();
    let languages: Vec<_> = projections
        .iter()
        .map(|p| key_languages(sources, p))
        .collect();
    let mut of_target: std::collections::BTreeMap<TargetId, Vec<usize>> =
        std::collections::BTreeMap::new();
    for (index, projection) in projections.iter().enumerate() {
        of_target.entry(projection.target).or_default().push(index);
    }
    for group in of_target.values() {
        for (at, &a) in group.iter().enumerate() {
            for &b in &group[at + 1..] {
                if let Some(why) = meet(&languages[a], &languages[b]) {
                    collide(&mut decided[a], &projections[b].label, &why);
                    collide(&mut decided[b], &projections[a].label, &why);
                }
            }
        }
    }
    let verdicts = decided.into_iter().zip(in_a_state);
    for (projection, (uniqueness, in_a_state)) in projections.iter_mut().zip(verdicts) {
        projection.claimed = !in_a_state || matches!(uniqueness, Uniqueness::Unproved(_));
        projection.uniqueness = uniqueness;
    }
}

fn collide(uniqueness: &mut Uniqueness, other: &str, example: &str) {
    if matches!(uniqueness, Uniqueness::Proved(_)) {
        *uniqueness = Uniqueness::Unproved(format!(
            "`{other}` can have the same key, for example {example}"
        ));
    }
}

/// The verdict without regard to other entities, and whether it holds for all rows that a state can have.
fn alone(sources: &Sources<'_>, projection: &Projection) -> (Uniqueness, bool) {
    let rows = KeyRows::of(sources, projection);
    let mut text = Vec::new();
    let mut doubts = Vec::new();
    for key in keys(projection) {
        let read = read_back(&rows, key);
        text.extend(read.cells);
        doubts.extend(read.doubts);
    }
    let determined = Determined::from(&rows, &text);
    let table = rows.table(DRIVING);
    if let Some((how, unique)) = determined.proof() {
        let why = format!(
            "its text gives back {how}, {} of {}",
            unique.words, table.name
        );
        let in_a_state = Determined::in_a_state(&rows, &text).proof().is_some();
        return (Uniqueness::Proved(why), in_a_state);
    }
    let candidates = unique_keys(table);
    // A doubt matters where it concerns a column that a unique key needs; what a joined row needs is not asked.
    let needed = |cell: &Cell| {
        cell.row != DRIVING
            || candidates
                .iter()
                .any(|key| key.columns.contains(&cell.column))
    };
    let matters = |cells: &[Cell]| cells.is_empty() || cells.iter().any(needed);
    if let Some((_, doubt)) = doubts.into_iter().find(|(cells, _)| matters(cells)) {
        return (Uniqueness::Unproved(doubt), false);
    }
    let held = match determined.held() {
        None => "no column".to_string(),
        Some(held) => format!("only {held}"),
    };
    let name = |c: usize| table.columns[c].name.as_str();
    let wanted: Vec<_> = candidates
        .iter()
        .map(|key| {
            let columns = suggest::list(key.columns.iter().map(|&c| name(c)));
            format!("{} ({columns})", key.words)
        })
        .collect();
    let why = format!(
        "it holds {held}, which does not cover {} of {}",
        wanted.join(" or "),
        table.name
    );
    (Uniqueness::Unproved(why), false)
}

/// What a key attribute's value tells about its row.
struct ReadBack {
    /// Columns whose values follow from the text.
    cells: Vec<Cell>,
    /// Why others do not: the columns, and the reason.
    doubts: Vec<(Vec<Cell>, String)>,
}

/// One piece of a key's text.
enum Part<'p> {
    Literal(&'p str),
    Value {
        alphabet: Alphabet,
        width: Option<usize>,
        filled: bool,
        cell: Option<Cell>,
        lossy: Option<String>,
    },
}

fn read_back(rows: &KeyRows<'_>, key: &AttributePlan) -> ReadBack {
    let numeric = key.ty == AttributeType::N;
    let parts = parts(rows, &key.value, numeric);
    let values: Vec<usize> = (0..parts.len())
        .filter(|&i| matches!(parts[i], Part::Value { .. }))
        .collect();
    let from_left = values
        .iter()
        .take_while(|&&i| ends(&parts, i, i + 1, true))
        .count();
    let from_right = values
        .iter()
        .rev()
        .take_while(|&&i| ends(&parts, i, i.wrapping_sub(1), false))
        .count();
    let open = values.len().saturating_sub(from_left + from_right);
    let mut read = ReadBack {
        cells: Vec::new(),
        doubts: Vec::new(),
    };
    if open > 1 {
        let confused = &values[from_left..values.len() - from_right];
        let cells = confused.iter().filter_map(|&i| match &parts[i] {
            Part::Value { cell, .. } => *cell,
            Part::Literal(_) => None,
        });
        let doubt = confusion(rows, &parts, confused, &key.name);
        read.doubts.push((cells.collect(), doubt));
    }
    for (nth, &index) in values.iter().enumerate() {
        let read_exactly = open <= 1 || nth < from_left || nth >= values.len() - from_right;
        if let Part::Value { cell, lossy, .. } = &parts[index] {
            match (cell, lossy) {
                (Some(cell), None) if read_exactly => read.cells.push(*cell),
                (cell, Some(why)) => {
                    let cells = cell.iter().copied().collect();
                    read.doubts.push((cells, why.clone()));
                }
                _ => {}
            }
        }
    }
    read
}

/// Whether the part at `index` has a certain end towards its neighbour: a fixed width, the end of the text, or literal
/// text that begins with a character which the part cannot hold.
fn ends(parts: &[Part<'_>], index: usize, neighbour: usize, rightwards: bool) -> bool {
    let Some(Part::Value {
        alphabet, width, ..
    }) = parts.get(index)
    else {
        return false;
    };
    if width.is_some() {
        return true;
    }
    match parts.get(neighbour) {
        None => true,
        Some(Part::Literal(text)) => {
            let nearest = if rightwards {
                text.chars().next()
            } else {
                text.chars().next_back()
            };
            nearest.is_some_and(|c| !alphabet.contains(c))
        }
        Some(Part::Value { .. }) => false,
    }
}

fn confusion(rows: &KeyRows<'_>, parts: &[Part<'_>], confused: &[usize], key: &str) -> String {
    let name = |i: &usize| match &parts[*i] {
        Part::Value { cell, .. } => cell.map(|cell| rows.column(cell).name.clone()),
        Part::Literal(_) => None,
    };
    let names: Vec<String> = confused
        .iter()
        .map(|i| name(i).unwrap_or_else(|| "a value".into()))
        .collect();
    let between = confused.first().and_then(|&i| match parts.get(i + 1) {
        Some(Part::Literal(text)) => Some(*text),
        _ => None,
    });
    let names = suggest::list(names.iter().map(String::as_str));
    match between {
        Some(text) => format!(
            "in `{key}`, {names} can hold the text between them: ('a{0}b','c') and ('a','b{0}c') share a key",
            shortened(text)
        ),
        None => {
            format!("in `{key}`, nothing separates {names}: ('ab','c') and ('a','bc') share a key")
        }
    }
}

/// A value as the pieces of its text; literals beside each other are one.
fn parts<'p>(rows: &KeyRows<'_>, value: &'p ValueSource, numeric: bool) -> Vec<Part<'p>> {
    let mut found: Vec<Part<'p>> = Vec::new();
    let mut open = vec![value];
    let mut pieces: Vec<&'p Piece> = Vec::new();
    if let ValueSource::Template(inner) = value {
        open.clear();
        pieces.extend(inner);
    }
    for value in open {
        found.push(part(rows, value, numeric));
    }
    for piece in pieces {
        match piece {
            Piece::Literal(text) if text.is_empty() => {}
            Piece::Literal(text) => found.push(Part::Literal(text)),
            Piece::Value(value) => found.push(part(rows, value, numeric)),
        }
    }
    found
}

fn part<'p>(rows: &KeyRows<'_>, value: &'p ValueSource, numeric: bool) -> Part<'p> {
    if let ValueSource::Static(Scalar::String(text) | Scalar::Number(text)) = value {
        return Part::Literal(text);
    }
    let described = part_of(rows, value, numeric);
    Part::Value {
        alphabet: described.alphabet,
        width: described.width,
        filled: described.filled,
        cell: described.cell,
        lossy: described.lossy,
    }
}

/// The texts that each key attribute can have.
fn key_languages(sources: &Sources<'_>, projection: &Projection) -> Vec<(String, Language)> {
    let rows = KeyRows::of(sources, projection);
    keys(projection)
        .map(|key| {
            let mut language = Language::default();
            if key.ty == AttributeType::N {
                // 1, 01 and 1.0 are one number: the digits of the text tell nothing.
                language.any();
                return (key.name.clone(), language);
            }
            for part in parts(&rows, &key.value, false) {
                match part {
                    Part::Literal(text) => language.literal(text),
                    Part::Value {
                        alphabet,
                        width,
                        filled,
                        ..
                    } => language.part(alphabet, width, filled),
                }
            }
            (key.name.clone(), language)
        })
        .collect()
}

/// An example of a key that both can have; `None` when some key attribute can never be the same.
fn meet(a: &[(String, Language)], b: &[(String, Language)]) -> Option<String> {
    let mut example = Vec::new();
    for ((name, a), (_, b)) in a.iter().zip(b) {
        example.push(format!("{name} = '{}'", a.common(b)?));
    }
    Some(example.join(", "))
}
