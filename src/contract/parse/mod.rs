//! From text to [`Contract`]: everything that is wrong with the contract's shape, all at once.

mod attribute;
mod guess;
mod join;
mod leaf;
mod limits;
mod read;
mod table;
mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::diagnostic::{Diagnostics, Place};
use super::json::{self, Value};
use super::model::{Contract, Table};
use super::spec;
use read::{At, Input};

/// A larger text is refused unread: contracts of the largest schemas have a few megabytes.
pub const MAX_BYTES: usize = 64 << 20;

/// Reads a contract and collects every problem of its shape. With `strict`, unknown fields are errors.
///
/// The contract holds the tables that are without errors and, apart, those that have some, so that the caller can go on
/// and find what is wrong with their meaning; whoever wants to run it asks [`Diagnostics::has_errors`] first. `None`
/// where there is no table at all.
pub fn parse(text: &str, strict: bool) -> (Option<Contract>, Diagnostics) {
    let mut input = Input {
        text,
        strict,
        found: Diagnostics::default(),
        misread: false,
        incomplete: false,
    };
    if text.len() > MAX_BYTES {
        let message = format!(
            "the contract has {} MiB; at most {} MiB are read",
            text.len() >> 20,
            MAX_BYTES >> 20
        );
        input
            .found
            .error_help("too-large", &nowhere(), message, "is this the right file?");
        return (None, input.found);
    }
    let (root, mistakes) = json::read(text);
    for mistake in mistakes {
        let place = Place {
            span: mistake.span,
            pointer: Arc::from(""),
        };
        match mistake.help {
            Some(help) => input
                .found
                .error_help(mistake.code, &place, mistake.message, help),
            None => input.found.error(mistake.code, &place, mistake.message),
        }
    }
    input.misread = input.found.has_errors();
    let Some(root) = root else {
        return (None, input.found);
    };
    let at = At {
        node: &root,
        pointer: String::new(),
    };
    let contract = input
        .contract(&at)
        .filter(|c| !input.misread && (!c.tables.is_empty() || !c.broken.is_empty()));
    (contract, input.found)
}

/// As [`parse()`], from bytes as they stand in a file: text that is not UTF-8 is an error with its offset.
pub fn parse_bytes(bytes: &[u8], strict: bool) -> (Option<Contract>, Diagnostics) {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text, strict),
        Err(e) => {
            let offset = e.valid_up_to();
            let line = 1 + bytes[..offset].iter().filter(|b| **b == b'\n').count();
            let message = format!(
                "the contract is not UTF-8: byte {offset}, in line {line}, starts no character"
            );
            let help = if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
                "this is UTF-16; save the file as UTF-8"
            } else {
                "save the file as UTF-8"
            };
            let mut found = Diagnostics::default();
            let place = Place {
                span: offset..offset,
                pointer: Arc::from(""),
            };
            found.error_help("not-utf8", &place, message, help);
            (None, found)
        }
    }
}

fn nowhere() -> Place {
    Place {
        span: 0..0,
        pointer: Arc::from(""),
    }
}

impl<'t> Input<'t> {
    fn contract(&mut self, root: &At<'t>) -> Option<Contract> {
        let mut names = limits::Names::new("DynamoDB table", "duplicate-table");
        let list = match &root.node.value {
            Value::Array(_) => root.clone(),
            // One table alone, without the list around it.
            Value::Object(members)
                if members.iter().any(|m| m.key == "table")
                    && members.iter().all(|m| m.key != "tables") =>
            {
                let message =
                    "a table stands where the contract was expected; it is taken as its only table";
                self.found.warn_help(
                    "not-an-array",
                    &read::head(root),
                    message,
                    "write {\"tables\": [ … ]} around it",
                );
                return Some(self.tables([root.clone()], &mut names));
            }
            _ => self
                .fields(root, &spec::CONTRACT, None)?
                .get("tables")?
                .clone(),
        };
        let elements = match &list.node.value {
            Value::Array(elements) => elements,
            Value::Object(_) => {
                self.found.warn_help(
                    "not-an-array",
                    &read::head(&list),
                    "`tables` is a list; the object is taken as its only table",
                    "write [ … ] around it",
                );
                return Some(self.tables([list], &mut names));
            }
            _ => {
                self.wrong_type(&list, "`tables`", "an array", "write [ … ]");
                return None;
            }
        };
        if elements.is_empty() {
            self.found.error_help(
                "empty-list",
                &list.place(),
                "the contract has no tables",
                "write at least one table",
            );
            return None;
        }
        let elements = elements.iter().enumerate();
        let elements = elements.map(|(i, element)| list.element(i, element));
        Some(self.tables(elements, &mut names))
    }

    fn tables(
        &mut self,
        elements: impl IntoIterator<Item = At<'t>>,
        names: &mut limits::Names,
    ) -> Contract {
        let mut contract = Contract {
            tables: Vec::new(),
            broken: Vec::new(),
        };
        for at in elements {
            match self.whole_table(&at, names) {
                Ok(table) => contract.tables.push(table),
                Err(broken) => contract.broken.extend(broken.map(|table| *table)),
            }
        }
        contract
    }

    /// A table without errors, or what could be read of one that has some.
    fn whole_table(
        &mut self,
        at: &At<'t>,
        names: &mut limits::Names,
    ) -> Result<Table, Option<Box<Table>>> {
        let before = self.found.error_count();
        self.incomplete = false;
        let table = self.table(at);
        if let Some(table) = &table {
            names.add(self, &table.name);
        }
        if self.found.error_count() > before {
            return Err(table.map(Box::new));
        }
        if (table.is_none() || self.incomplete) && !self.misread {
            // Whatever is left out must have been reported; if not, silence would lose a part of the contract.
            self.found.error(
                "not-understood",
                &read::head(at),
                "a part of this table was not understood",
            );
            return Err(table.map(Box::new));
        }
        table.ok_or(None)
    }
}
