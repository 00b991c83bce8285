//! The MySQL tables that the plan reads: names resolved, the columns in use, and what a table must be like.

use std::collections::{BTreeSet, HashMap};

use super::alphabet;
use super::charsets;
use super::model::{SourceColumn, SourceId, SourceTable};
use super::suggest;
use crate::contract::diagnostic::{Diagnostics, Place};
use crate::contract::model::Text;
use crate::schema::{Catalog, Column, ColumnType, Generated, Table, TableName};

/// One table while the plan is compiled. Columns go by their ordinal until [`Sources::finish`] makes slots of them.
pub(super) struct Source<'a> {
    table: TableRef<'a>,
    used: BTreeSet<usize>,
    /// Ordinals of the key that identifies a row; empty offline or where the table has none.
    pub key: Vec<usize>,
    charset_reported: BTreeSet<usize>,
    /// Where the contract first speaks of it.
    place: Place,
}

enum TableRef<'a> {
    Known(&'a Table),
    Inferred(Box<Table>),
}

impl Source<'_> {
    pub fn table(&self) -> &Table {
        match &self.table {
            TableRef::Known(table) => table,
            TableRef::Inferred(table) => table,
        }
    }
}

pub(super) struct Sources<'a> {
    catalog: Option<&'a Catalog>,
    default_database: &'a str,
    all: Vec<Source<'a>>,
    by_name: HashMap<TableName, SourceId>,
}

impl<'a> Sources<'a> {
    pub fn new(catalog: Option<&'a Catalog>, default_database: &'a str) -> Self {
        Self {
            catalog,
            default_database,
            all: Vec::new(),
            by_name: HashMap::new(),
        }
    }

    pub fn offline(&self) -> bool {
        self.catalog.is_none()
    }

    /// Whether the server hides what foreign keys do.
    pub fn hides_cascades(&self) -> bool {
        self.catalog.is_some_and(|catalog| catalog.hides_cascades)
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether something needs the column.
    pub fn uses(&self, id: SourceId, ordinal: usize) -> bool {
        self.get(id).used.contains(&ordinal)
    }

    pub fn place(&self, id: SourceId) -> &Place {
        &self.get(id).place
    }

    pub fn get(&self, id: SourceId) -> &Source<'a> {
        &self.all[usize::from(id.0)]
    }

    pub fn table(&self, id: SourceId) -> &Table {
        self.get(id).table()
    }

    /// The columns of the key that identifies the table's rows; none where no key does.
    pub fn row_key(&self, id: SourceId) -> &[usize] {
        let table = self.table(id);
        best(table, &keys(table)).map_or(&[], Vec::as_slice)
    }

    pub fn name(&self, id: SourceId) -> &TableName {
        &self.table(id).name
    }

    pub fn column(&self, id: SourceId, ordinal: usize) -> &Column {
        &self.table(id).columns[ordinal]
    }

    /// The column's type, where it is known.
    pub fn column_type(&self, id: SourceId, ordinal: usize) -> Option<&ColumnType> {
        (!self.offline()).then(|| &self.column(id, ordinal).ty)
    }

    /// The table that a contract's text names; unknown and unsuitable tables are reported at the text's place.
    pub fn resolve(&mut self, text: &Text, d: &mut Diagnostics) -> Option<SourceId> {
        let name = match self.find(&text.value) {
            Ok((name, exact)) => {
                if !exact {
                    d.warn_help(
                        "table-case",
                        &text.place,
                        format!("the table is called `{name}` in MySQL"),
                        "write the name as MySQL has it: table names differ by case on most servers",
                    );
                }
                name
            }
            Err((code, message, help)) => {
                match help {
                    Some(help) => d.error_help(code, &text.place, message, help),
                    None => d.error(code, &text.place, message),
                }
                return None;
            }
        };
        self.add(name, &text.place, d)
    }

    /// As [`resolve`](Self::resolve), for a name that is known to exist.
    pub fn add(&mut self, name: TableName, place: &Place, d: &mut Diagnostics) -> Option<SourceId> {
        if let Some(id) = self.by_name.get(&name) {
            return Some(*id);
        }
        let Ok(index) = u16::try_from(self.all.len()) else {
            d.error(
                "too-many-tables",
                place,
                "the contract names more than 65,536 MySQL tables",
            );
            return None;
        };
        let id = SourceId(index);
        let table = match self.catalog {
            Some(catalog) => TableRef::Known(catalog.tables.get(&name)?),
            None => TableRef::Inferred(Box::new(inferred(name.clone()))),
        };
        let mut source = Source {
            table,
            used: BTreeSet::new(),
            key: Vec::new(),
            charset_reported: BTreeSet::new(),
            place: place.clone(),
        };
        if let TableRef::Known(table) = &source.table {
            check_engine(table, place, d);
            source.key = row_key(table, place, d);
        }
        let key = source.key.clone();
        self.all.push(source);
        self.by_name.insert(name, id);
        for ordinal in key {
            self.use_column(id, ordinal, place, d);
        }
        Some(id)
    }

    /// Whether the text names this table, without regard to case.
    pub fn is_named(&self, id: SourceId, text: &str) -> bool {
        let name = self.name(id);
        self.find(text).is_ok_and(|(found, _)| &found == name)
            || text.eq_ignore_ascii_case(&name.table)
            || text.eq_ignore_ascii_case(&name.to_string())
    }

    /// The ordinal of the column. Offline any name is a column.
    pub fn column_index(&mut self, id: SourceId, name: &str) -> Option<usize> {
        let source = &mut self.all[usize::from(id.0)];
        if let Some(found) = source.table().column_index(name) {
            return Some(found);
        }
        match &mut source.table {
            TableRef::Known(_) => None,
            TableRef::Inferred(table) => {
                table.columns.push(inferred_column(name));
                Some(table.columns.len() - 1)
            }
        }
    }

    /// Whether the table is known to have the column (offline: whether it was named before).
    pub fn has_column(&self, id: SourceId, name: &str) -> bool {
        self.table(id).column_index(name).is_some()
    }

    /// Resolves a column that something needs; unknown ones are reported.
    pub fn need(
        &mut self,
        id: SourceId,
        name: &str,
        place: &Place,
        d: &mut Diagnostics,
    ) -> Option<usize> {
        let Some(ordinal) = self.column_index(id, name) else {
            let table = self.table(id);
            let message = format!("table `{}` has no column `{name}`", table.name);
            let names = table.columns.iter().map(|c| c.name.as_str());
            match suggest::help(name, "its columns are", names) {
                Some(help) => d.error_help("unknown-column", place, message, help),
                None => d.error("unknown-column", place, message),
            }
            return None;
        };
        self.use_column(id, ordinal, place, d);
        Some(ordinal)
    }

    /// Marks a column as needed; a character set that cannot be read is reported, once for each column.
    pub fn use_column(&mut self, id: SourceId, ordinal: usize, place: &Place, d: &mut Diagnostics) {
        let source = &mut self.all[usize::from(id.0)];
        source.used.insert(ordinal);
        let table = source.table();
        let column = &table.columns[ordinal];
        let charset = match &column.ty {
            ColumnType::Text { charset, .. }
            | ColumnType::Enum { charset, .. }
            | ColumnType::Set { charset, .. } => charset,
            _ => return,
        };
        if charsets::decodable(charset) || source.charset_reported.contains(&ordinal) {
            return;
        }
        d.error_help(
            "charset-unsupported",
            place,
            format!(
                "column `{}`.`{}` is in the character set {charset}, which penstock cannot read",
                table.name, column.name
            ),
            format!(
                "convert it: ALTER TABLE {} MODIFY {} … CHARACTER SET utf8mb4",
                table.name.sql(),
                crate::schema::quote(&column.name)
            ),
        );
        source.charset_reported.insert(ordinal);
    }

    /// The plan's tables, and for each the slot of every ordinal that is in use.
    pub fn finish(self) -> (Vec<SourceTable>, Vec<HashMap<usize, usize>>) {
        let mut tables = Vec::with_capacity(self.all.len());
        let mut slots = Vec::with_capacity(self.all.len());
        for (index, source) in self.all.into_iter().enumerate() {
            let map: HashMap<usize, usize> = source
                .used
                .iter()
                .enumerate()
                .map(|(slot, ordinal)| (*ordinal, slot))
                .collect();
            let table = source.table();
            tables.push(SourceTable {
                id: SourceId(index as u16),
                name: table.name.clone(),
                columns: source
                    .used
                    .iter()
                    .map(|&ordinal| SourceColumn {
                        ordinal,
                        column: table.columns[ordinal].clone(),
                    })
                    .collect(),
                key: source
                    .key
                    .iter()
                    .filter_map(|ordinal| map.get(ordinal).copied())
                    .collect(),
                column_count: table.columns.len(),
                watched_only: false,
            });
            slots.push(map);
        }
        (tables, slots)
    }

    /// The full name that the text means, and whether it was written as MySQL has it.
    fn find(
        &self,
        text: &str,
    ) -> Result<(TableName, bool), (&'static str, String, Option<String>)> {
        let candidates = candidates(text.trim(), self.default_database);
        if candidates.is_empty() {
            return Err((
                "table-name",
                format!("`{text}` is no table name"),
                Some("write `table` or `database.table`".into()),
            ));
        }
        let Some(catalog) = self.catalog else {
            return Ok((candidates[0].clone(), true));
        };
        let exact: Vec<_> = candidates
            .iter()
            .filter(|c| catalog.tables.contains_key(*c))
            .collect();
        match exact.as_slice() {
            [one] => return Ok(((*one).clone(), true)),
            [] => {}
            [first, second, ..] => {
                return Err((
                    "ambiguous-table",
                    format!("`{text}` can mean {} and {}", first.sql(), second.sql()),
                    Some("put each part of the name in backticks".into()),
                ));
            }
        }
        let mut loose = catalog.tables.keys().filter(|k| {
            candidates.iter().any(|c| {
                k.database.eq_ignore_ascii_case(&c.database)
                    && k.table.eq_ignore_ascii_case(&c.table)
            })
        });
        if let (Some(one), None) = (loose.next(), loose.next()) {
            return Ok((one.clone(), false));
        }
        Err(self.unknown(text, &candidates[candidates.len() - 1], catalog))
    }

    fn unknown(
        &self,
        text: &str,
        wanted: &TableName,
        catalog: &Catalog,
    ) -> (&'static str, String, Option<String>) {
        let here = catalog
            .tables
            .keys()
            .filter(|k| k.database == wanted.database);
        let message = if here.clone().next().is_some() || wanted.database == self.default_database {
            format!(
                "there is no table `{}` in database `{}`",
                wanted.table, wanted.database
            )
        } else {
            format!("there is no table `{text}`, or the user may not see it")
        };
        let elsewhere = catalog.tables.keys().find(|k| k.table == wanted.table);
        let help = match (
            suggest::closest(&wanted.table, here.clone().map(|k| k.table.as_str())),
            elsewhere,
        ) {
            (Some(near), _) => Some(format!("did you mean `{near}`?")),
            (None, Some(other)) => Some(format!("did you mean `{other}`?")),
            (None, None) => suggest::short_list(here.map(|k| k.table.as_str()))
                .map(|l| format!("its tables are: {l}")),
        };
        ("unknown-table", message, help)
    }
}

/// What a written table name can mean: itself in the configured database, or `database.table` (split at any point).
pub fn candidates(text: &str, default_database: &str) -> Vec<TableName> {
    if text.contains('`') {
        return match quoted_parts(text).as_deref() {
            Some([table]) => vec![TableName::new(default_database, table)],
            Some([database, table]) => vec![TableName::new(database, table)],
            _ => Vec::new(),
        };
    }
    let mut found: Vec<_> = text
        .match_indices('.')
        .map(|(at, _)| (&text[..at], &text[at + 1..]))
        .filter(|(database, table)| !database.is_empty() && !table.is_empty())
        .map(|(database, table)| TableName::new(database, table))
        .take(8)
        .collect();
    if !text.is_empty() {
        found.push(TableName::new(default_database, text));
    }
    found
}

/// `` `a`.`b` `` or `` a.`b` `` → its parts.
fn quoted_parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        let mut part = String::new();
        if chars.next_if_eq(&'`').is_some() {
            loop {
                match chars.next()? {
                    '`' if chars.next_if_eq(&'`').is_some() => part.push('`'),
                    '`' => break,
                    c => part.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != '.' && *c != '`') {
                part.push(c);
            }
        }
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match chars.next() {
            None => return Some(parts),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}

fn check_engine(table: &Table, place: &Place, d: &mut Diagnostics) {
    if !table.engine.is_empty() && !table.engine.eq_ignore_ascii_case("InnoDB") {
        d.error_help(
            "engine-unsupported",
            place,
            format!("table `{}` is stored in {}, which has no transactions: its copy could not be exact", table.name, table.engine),
            format!("ALTER TABLE {} ENGINE=InnoDB", table.name.sql()),
        );
    }
}

/// The key that identifies a row and bounds the snapshot's chunks: the primary key, or a unique one where that is better.
fn row_key(table: &Table, place: &Place, d: &mut Diagnostics) -> Vec<usize> {
    let keys = keys(table);
    let Some(&first) = keys.first() else {
        d.error_help(
            "no-primary-key",
            place,
            format!("table `{}` has no primary key and no unique key over NOT NULL columns: its rows cannot be identified", table.name),
            "add a primary key",
        );
        return Vec::new();
    };
    let Some(key) = best(table, &keys) else {
        d.error_help(
            "key-inexact",
            place,
            format!(
                "rows of `{}` cannot be told apart exactly by their key: {}",
                table.name,
                inexact(table, first).unwrap_or_default()
            ),
            "give the table a primary key of exact types (integers, DECIMAL, dates, text in Unicode or with a _bin collation), or a unique key over such NOT NULL columns",
        );
        return first.clone();
    };
    if is_slow(table, key) {
        let column = &table.columns[key[0]].name;
        d.warn_help(
            "key-slow",
            place,
            format!("`{}` is copied in the order of a key that begins with `{column}`, and no index serves that order for a SET, or for an ENUM with labels that its collation may take for equal: each chunk reads the table from its start", table.name),
            "give a large table a unique key over other NOT NULL columns, or raise [snapshot] chunk_rows so that there are few chunks",
        );
    }
    key.clone()
}

/// Those over NOT NULL columns, the primary one first.
fn keys(table: &Table) -> Vec<&Vec<usize>> {
    let unique = table.unique_keys.iter().map(|key| &key.columns);
    std::iter::once(&table.primary_key)
        .chain(unique)
        .filter(|key| !key.is_empty() && key.iter().all(|&c| !table.columns[c].nullable))
        .collect()
}

fn best<'t>(table: &Table, keys: &[&'t Vec<usize>]) -> Option<&'t Vec<usize>> {
    let exact = || keys.iter().filter(|key| inexact(table, key).is_none());
    let best = exact().find(|key| !is_slow(table, key));
    best.or(exact().next()).copied()
}

/// Why the values of a key's columns do not tell rows apart.
fn inexact(table: &Table, key: &[usize]) -> Option<String> {
    key.iter().find_map(|&c| {
        let column = &table.columns[c];
        // Their bytes tell them apart, which are kept.
        if matches!(&column.ty, ColumnType::Text { collation, .. } if collation.ends_with("_bin")) {
            return None;
        }
        alphabet::column_lossy(&column.name, &column.ty, false)
    })
}

/// Whether the server reads all rows before a chunk to find it.
fn is_slow(table: &Table, key: &[usize]) -> bool {
    let ty = key.first().map(|&c| &table.columns[c].ty);
    match ty {
        Some(ColumnType::Set { .. }) => true,
        Some(ty @ ColumnType::Enum { .. }) => ty.telling_labels().is_none(),
        _ => false,
    }
}

fn inferred(name: TableName) -> Table {
    Table {
        name,
        columns: Vec::new(),
        primary_key: Vec::new(),
        unique_keys: Vec::new(),
        foreign_keys: Vec::new(),
        estimated_rows: 0,
        engine: String::new(),
    }
}

fn inferred_column(name: &str) -> Column {
    Column {
        name: name.to_string(),
        ty: ColumnType::Text {
            max_chars: 0,
            charset: "utf8mb4".into(),
            collation: "utf8mb4_0900_ai_ci".into(),
            fixed: false,
        },
        nullable: true,
        generated: Generated::No,
        invisible: false,
    }
}
