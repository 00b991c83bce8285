//! Tables written as compact text.
//!
//! ```text
//! table shop.orders engine=InnoDB
//!   id bigint unsigned
//!   email varchar(100) null collate=latin1_swedish_ci
//!   pk id
//!   unique by_email email
//!   fk to_customer customer_id -> shop.customers id delete=cascade update=restrict
//! ```

use crate::schema::*;

pub(crate) fn catalog(text: &str) -> Catalog {
    let mut catalog = Catalog::default();
    let mut table: Option<Table> = None;
    for line in text
        .lines()
        .filter(|l| !l.trim().is_empty() && !l.starts_with('#'))
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0] == "table" {
            finish(&mut catalog, table.take());
            let (database, name) = words[1].split_once('.').unwrap();
            let engine = option(&words, "engine").unwrap_or("InnoDB").to_string();
            table = Some(Table {
                name: TableName::new(database, name),
                columns: vec![],
                primary_key: vec![],
                unique_keys: vec![],
                foreign_keys: vec![],
                estimated_rows: 100,
                engine,
            });
            continue;
        }
        let table = table.as_mut().unwrap();
        match words[0] {
            "pk" => table.primary_key = columns(table, words[1]),
            "unique" => {
                let columns = columns(table, words[2]);
                table.unique_keys.push(UniqueKey {
                    name: words[1].into(),
                    columns,
                });
            }
            "fk" => {
                let (database, name) = words[4].split_once('.').unwrap();
                let columns = columns(table, words[2]);
                table.foreign_keys.push(ForeignKey {
                    name: words[1].into(),
                    columns,
                    parent: TableName::new(database, name),
                    parent_columns: words[5].split(',').map(str::to_string).collect(),
                    on_delete: action(option(&words, "delete")),
                    on_update: action(option(&words, "update")),
                });
            }
            _ => table.columns.push(column(&words)),
        }
    }
    finish(&mut catalog, table);
    catalog
}

fn finish(catalog: &mut Catalog, table: Option<Table>) {
    catalog.tables.extend(table.map(|t| (t.name.clone(), t)));
}

fn columns(table: &Table, names: &str) -> Vec<usize> {
    names
        .split(',')
        .map(|n| table.column_index(n).unwrap_or_else(|| panic!("{n}")))
        .collect()
}

fn option<'w>(words: &[&'w str], name: &str) -> Option<&'w str> {
    words
        .iter()
        .find_map(|w| w.strip_prefix(name)?.strip_prefix('='))
}

fn action(word: Option<&str>) -> ReferentialAction {
    match word {
        Some("cascade") => ReferentialAction::Cascade,
        Some("null") => ReferentialAction::SetNull,
        _ => ReferentialAction::Restrict,
    }
}

fn column(words: &[&str]) -> Column {
    let (kind, arguments) = words[1].split_once('(').unwrap_or((words[1], ""));
    let arguments: Vec<&str> = arguments.trim_end_matches(')').split(',').collect();
    let number = |i: usize| {
        arguments
            .get(i)
            .and_then(|a| a.parse::<u32>().ok())
            .unwrap_or(0)
    };
    let unsigned = words.contains(&"unsigned");
    let zerofill = option(words, "zerofill").and_then(|width| width.parse().ok());
    let decimals = arguments.get(1).and_then(|d| d.parse().ok());
    let collation = option(words, "collate")
        .unwrap_or("utf8mb4_0900_ai_ci")
        .to_string();
    let charset = collation.split('_').next().unwrap_or_default().to_string();
    let labels = || {
        arguments
            .iter()
            .map(|l| l.trim_matches('\'').to_string())
            .collect()
    };
    let text = |max_chars: u64, fixed: bool| ColumnType::Text {
        max_chars,
        charset: charset.clone(),
        collation: collation.clone(),
        fixed,
    };
    let ty = match kind {
        "tinyint" => ColumnType::Int {
            bytes: 1,
            unsigned,
            zerofill: None,
        },
        "int" => ColumnType::Int {
            bytes: 4,
            unsigned: unsigned || zerofill.is_some(),
            zerofill,
        },
        "bigint" => ColumnType::Int {
            bytes: 8,
            unsigned,
            zerofill: None,
        },
        "float" => ColumnType::Float {
            unsigned,
            decimals,
            zerofill,
        },
        "double" => ColumnType::Double {
            unsigned,
            decimals,
            zerofill,
        },
        "decimal" => ColumnType::Decimal {
            precision: number(0) as u8,
            scale: number(1) as u8,
            unsigned,
            zerofill: zerofill.is_some(),
        },
        "bit" => ColumnType::Bit {
            bits: number(0) as u8,
        },
        "char" => text(number(0).into(), true),
        "varchar" => text(number(0).into(), false),
        "text" => text(65_535, false),
        "binary" => ColumnType::Binary { length: number(0) },
        "varbinary" => ColumnType::Bytes {
            max_length: number(0).into(),
        },
        "blob" => ColumnType::Bytes { max_length: 65_535 },
        "enum" => ColumnType::Enum {
            labels: labels(),
            charset,
            collation,
        },
        "set" => ColumnType::Set {
            labels: labels(),
            charset,
            collation,
        },
        "date" => ColumnType::Date,
        "datetime" => ColumnType::DateTime {
            fsp: number(0) as u8,
        },
        "timestamp" => ColumnType::Timestamp {
            fsp: number(0) as u8,
        },
        "time" => ColumnType::Time {
            fsp: number(0) as u8,
        },
        "year" => ColumnType::Year,
        "json" => ColumnType::Json,
        "geometry" => ColumnType::Geometry,
        "vector" => ColumnType::Vector {
            dimensions: number(0),
        },
        other => panic!("{other}"),
    };
    Column {
        name: words[0].to_string(),
        ty,
        nullable: words.contains(&"null"),
        generated: Generated::No,
        invisible: false,
    }
}
