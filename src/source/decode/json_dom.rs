//! Partial updates of JSON: differences, applied to the document of the before image.

use std::borrow::Cow;

use crate::change::jsonb::{self, Budget, Container, MAX_DEPTH, Node};

use super::cursor::Cursor;
use super::json_path::{self, Leg};

const REPLACE: u8 = 0;
const INSERT: u8 = 1;
const REMOVE: u8 = 2;

/// A document that can be changed; keys of objects in MySQL's order: shorter first, then by their bytes.
enum Tree<'a> {
    Scalar(Node<'a>),
    Array(Vec<Tree<'a>>),
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
}

/// The text of `document` after `differences`. `None` where they are malformed or do not fit the document; where
/// there is no document there is nothing that could differ.
pub(super) fn patched(document: Option<&[u8]>, differences: &[u8]) -> Option<String> {
    let document = document?;
    if differences.is_empty() {
        let mut out = String::with_capacity(document.len() * 2);
        jsonb::print(document, &mut out)?;
        return Some(out);
    }
    let mut tree = grow(document)?;
    let mut cursor = Cursor::new(differences, "JSON difference");
    while !cursor.is_empty() {
        let operation = cursor.u8().ok()?;
        let path = json_path::parse(cursor.packed_bytes().ok()?)?;
        match operation {
            REPLACE => *at(&mut tree, &path)? = grow(cursor.packed_bytes().ok()?)?,
            INSERT => insert(&mut tree, path, grow(cursor.packed_bytes().ok()?)?)?,
            REMOVE => remove(&mut tree, &path)?,
            _ => return None,
        }
    }
    let mut out = String::with_capacity(document.len() * 2);
    print(&tree, 0, &mut out)?;
    Some(out)
}

fn grow(document: &[u8]) -> Option<Tree<'_>> {
    let mut budget = Budget::of(document);
    let root = jsonb::root(document, &mut budget)?;
    tree(root, 0, &mut budget)
}

fn tree<'a>(node: Node<'a>, depth: usize, budget: &mut Budget) -> Option<Tree<'a>> {
    if depth > MAX_DEPTH {
        return None;
    }
    Some(match node {
        Node::Array(container) => Tree::Array(
            (0..container.len())
                .map(|index| tree(container.value(index, budget)?, depth + 1, budget))
                .collect::<Option<_>>()?,
        ),
        Node::Object(container) => Tree::Object(
            (0..container.len())
                .map(|index| member(&container, index, depth, budget))
                .collect::<Option<_>>()?,
        ),
        scalar => Tree::Scalar(scalar),
    })
}

fn member<'a>(
    container: &Container<'a>,
    index: usize,
    depth: usize,
    budget: &mut Budget,
) -> Option<(Cow<'a, str>, Tree<'a>)> {
    let key = container.key(index, budget)?;
    let value = tree(container.value(index, budget)?, depth + 1, budget)?;
    Some((Cow::Borrowed(key), value))
}

/// Where a key is among the keys of an object, or belongs.
fn search(members: &[(Cow<'_, str>, Tree<'_>)], key: &str) -> Result<usize, usize> {
    members.binary_search_by(|(other, _)| {
        let by_length = other.len().cmp(&key.len());
        by_length.then_with(|| other.as_bytes().cmp(key.as_bytes()))
    })
}

fn at<'t, 'a>(tree: &'t mut Tree<'a>, path: &[Leg<'_>]) -> Option<&'t mut Tree<'a>> {
    path.iter().try_fold(tree, |tree, leg| match (tree, leg) {
        (Tree::Object(members), Leg::Member(key)) => {
            let index = search(members, key).ok()?;
            members.get_mut(index).map(|(_, value)| value)
        }
        (Tree::Array(cells), leg) => {
            let index = leg.cell(cells.len())?;
            cells.get_mut(index)
        }
        _ => None,
    })
}

fn insert<'a>(tree: &mut Tree<'a>, mut path: Vec<Leg<'a>>, value: Tree<'a>) -> Option<()> {
    let last = path.pop()?;
    match (at(tree, &path)?, last) {
        (Tree::Array(cells), leg) => cells.insert(leg.gap(cells.len())?, value),
        (Tree::Object(members), Leg::Member(key)) => {
            let index = search(members, &key).err()?;
            members.insert(index, (key, value));
        }
        _ => return None,
    }
    Some(())
}

fn remove(tree: &mut Tree<'_>, path: &[Leg<'_>]) -> Option<()> {
    let (last, parent) = path.split_last()?;
    match (at(tree, parent)?, last) {
        (Tree::Array(cells), leg) => {
            let index = leg.cell(cells.len())?;
            cells.remove(index);
        }
        (Tree::Object(members), Leg::Member(key)) => {
            let index = search(members, key).ok()?;
            members.remove(index);
        }
        _ => return None,
    }
    Some(())
}

/// Differences can nest values deeper than each document was; MySQL's limit holds for the result too.
fn print(tree: &Tree<'_>, depth: usize, out: &mut String) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match tree {
        Tree::Scalar(node) => jsonb::print_scalar(*node, out)?,
        Tree::Array(cells) => {
            out.push('[');
            for (index, cell) in cells.iter().enumerate() {
                jsonb::separate(index, out);
                print(cell, depth + 1, out)?;
            }
            out.push(']');
        }
        Tree::Object(members) => {
            out.push('{');
            for (index, (key, value)) in members.iter().enumerate() {
                jsonb::separate(index, out);
                jsonb::print_string(key, out);
                out.push_str(": ");
                print(value, depth + 1, out)?;
            }
            out.push('}');
        }
    }
    Some(())
}
