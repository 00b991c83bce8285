//! The catalog: tables, columns, keys and foreign keys, from information_schema, one query for each kind.

use std::collections::{BTreeMap, BTreeSet};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::connect;
use super::options::Options;
use crate::error::Result;
use crate::schema::{
    Catalog, Column, ColumnType, ForeignKey, Generated, ReferentialAction, Table, TableName,
    UniqueKey,
};

const SYSTEM: &str = "'mysql','sys','information_schema','performance_schema'";

/// Loads all base tables of `databases`, and of every database that foreign keys tie to them.
pub async fn load(options: &Options, conn: &mut Conn, databases: &[String]) -> Result<Catalog> {
    let links = foreign_keys(options, conn).await?;
    let scope = scope(databases, &links);
    if scope.is_empty() {
        return Ok(Catalog::default());
    }
    let list: Vec<String> = scope.iter().map(|d| literal(d)).collect();
    let list = list.join(",");
    let mut tables = base_tables(options, conn, &list).await?;
    columns(options, conn, &list, &mut tables).await?;
    keys(options, conn, &list, &mut tables).await?;
    attach(links, &mut tables);
    Ok(Catalog {
        tables,
        hides_cascades: false,
    })
}

/// A string literal under a SQL mode without NO_BACKSLASH_ESCAPES.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// One foreign key, before its columns have become indexes.
struct Link {
    child: TableName,
    name: String,
    parent: TableName,
    on_delete: ReferentialAction,
    on_update: ReferentialAction,
    /// Child's and parent's column.
    columns: Vec<(String, String)>,
}

fn scope(databases: &[String], links: &[Link]) -> BTreeSet<String> {
    let mut scope: BTreeSet<String> = databases.iter().cloned().collect();
    loop {
        let tied: Vec<String> = links
            .iter()
            .map(|l| (&l.child.database, &l.parent.database))
            .filter(|(child, parent)| scope.contains(*child) != scope.contains(*parent))
            .flat_map(|(child, parent)| [child.clone(), parent.clone()])
            .collect();
        if tied.is_empty() {
            return scope;
        }
        scope.extend(tied);
    }
}

async fn query(options: &Options, conn: &mut Conn, sql: String) -> Result<Vec<Row>> {
    conn.query(sql)
        .await
        .map_err(|e| connect::classify(options, e))
}

/// A column of the answer as text; empty for NULL.
fn text(row: &Row, index: usize) -> String {
    row.get_opt::<Option<String>, _>(index)
        .and_then(|value| value.ok())
        .flatten()
        .unwrap_or_default()
}

fn number(row: &Row, index: usize) -> u64 {
    row.get_opt::<Option<u64>, _>(index)
        .and_then(|value| value.ok())
        .flatten()
        .unwrap_or_default()
}

async fn foreign_keys(options: &Options, conn: &mut Conn) -> Result<Vec<Link>> {
    let sql = format!(
        "SELECT k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, \
         k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME, r.DELETE_RULE, r.UPDATE_RULE \
         FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r \
         ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME \
         WHERE k.REFERENCED_TABLE_NAME IS NOT NULL AND k.TABLE_SCHEMA NOT IN ({SYSTEM}) \
         ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION"
    );
    let mut links: Vec<Link> = Vec::new();
    for row in query(options, conn, sql).await? {
        let child = TableName::new(text(&row, 0), text(&row, 1));
        let (name, pair) = (text(&row, 2), (text(&row, 3), text(&row, 6)));
        match links.last_mut() {
            Some(last) if last.child == child && last.name == name => last.columns.push(pair),
            _ => links.push(Link {
                child,
                name,
                parent: TableName::new(text(&row, 4), text(&row, 5)),
                on_delete: action(&text(&row, 7)),
                on_update: action(&text(&row, 8)),
                columns: vec![pair],
            }),
        }
    }
    Ok(links)
}

fn action(rule: &str) -> ReferentialAction {
    match rule {
        "CASCADE" => ReferentialAction::Cascade,
        // SET DEFAULT is refused by InnoDB; taken as the other action that changes the child.
        "SET NULL" | "SET DEFAULT" => ReferentialAction::SetNull,
        _ => ReferentialAction::Restrict,
    }
}

fn attach(links: Vec<Link>, tables: &mut BTreeMap<TableName, Table>) {
    for link in links {
        let Some(table) = tables.get_mut(&link.child) else {
            continue;
        };
        let columns = link
            .columns
            .iter()
            .filter_map(|(c, _)| table.column_index(c));
        let columns: Vec<usize> = columns.collect();
        if columns.len() == link.columns.len() {
            table.foreign_keys.push(ForeignKey {
                name: link.name,
                columns,
                parent: link.parent,
                parent_columns: link.columns.into_iter().map(|(_, p)| p).collect(),
                on_delete: link.on_delete,
                on_update: link.on_update,
            });
        }
    }
}

async fn base_tables(
    options: &Options,
    conn: &mut Conn,
    list: &str,
) -> Result<BTreeMap<TableName, Table>> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE, TABLE_ROWS FROM information_schema.TABLES \
         WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA IN ({list})"
    );
    let rows = query(options, conn, sql).await?;
    let tables = rows.iter().map(|row| {
        let name = TableName::new(text(row, 0), text(row, 1));
        let table = Table {
            name: name.clone(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            unique_keys: Vec::new(),
            foreign_keys: Vec::new(),
            estimated_rows: number(row, 3),
            engine: text(row, 2),
        };
        (name, table)
    });
    Ok(tables.collect())
}

async fn columns(
    options: &Options,
    conn: &mut Conn,
    list: &str,
    tables: &mut BTreeMap<TableName, Table>,
) -> Result<()> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, IS_NULLABLE, DATA_TYPE, COLUMN_TYPE, \
         CHARACTER_MAXIMUM_LENGTH, CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION, \
         CHARACTER_SET_NAME, COLLATION_NAME, EXTRA FROM information_schema.COLUMNS \
         WHERE TABLE_SCHEMA IN ({list}) ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
    );
    for row in query(options, conn, sql).await? {
        let name = TableName::new(text(&row, 0), text(&row, 1));
        let Some(table) = tables.get_mut(&name) else {
            continue;
        };
        let Some(ty) = column_type(&facts(&row)) else {
            // Ordinals would no longer be those of the row image: such a table cannot be used at all.
            tracing::warn!(table = %name, ty = text(&row, 4), "a column has a type that is not known; the table is left out");
            tables.remove(&name);
            continue;
        };
        let extra = text(&row, 13);
        table.columns.push(Column {
            name: text(&row, 2),
            ty,
            nullable: text(&row, 3) == "YES",
            generated: if extra.contains("STORED GENERATED") {
                Generated::Stored
            } else if extra.contains("VIRTUAL GENERATED") {
                Generated::Virtual
            } else {
                Generated::No
            },
            invisible: extra.contains("INVISIBLE"),
        });
    }
    Ok(())
}

/// What information_schema says of a column's type.
#[derive(Debug, Clone, Default)]
pub struct TypeFacts {
    pub data_type: String,
    pub column_type: String,
    pub characters: u64,
    pub octets: u64,
    pub precision: u64,
    pub scale: u64,
    pub fraction: u64,
    pub charset: String,
    pub collation: String,
}

fn facts(row: &Row) -> TypeFacts {
    TypeFacts {
        data_type: text(row, 4).to_ascii_lowercase(),
        column_type: text(row, 5),
        characters: number(row, 6),
        octets: number(row, 7),
        precision: number(row, 8),
        scale: number(row, 9),
        fraction: number(row, 10),
        charset: text(row, 11),
        collation: text(row, 12),
    }
}

/// The type; `None` where it is not known.
pub fn column_type(facts: &TypeFacts) -> Option<ColumnType> {
    let attribute = |word| facts.column_type.contains(word) && !facts.column_type.contains('\'');
    let unsigned = attribute("unsigned");
    let small = |n: u64| u8::try_from(n).ok();
    let fsp = small(facts.fraction)?;
    // Until the width is known to be one, a column is not known: never a value that MySQL prints otherwise.
    let (declared, decimals) = display(&facts.column_type)?;
    let zerofill = match attribute("zerofill") {
        false => None,
        // FLOAT and DOUBLE without (M,D) show their width nowhere; the precision is it.
        true => Some(declared.or(small(facts.precision))?),
    };
    let int = |bytes| ColumnType::Int {
        bytes,
        unsigned,
        zerofill,
    };
    let (charset, collation) = (facts.charset.clone(), facts.collation.clone());
    Some(match facts.data_type.as_str() {
        "tinyint" => int(1),
        "smallint" => int(2),
        "mediumint" => int(3),
        "int" => int(4),
        "bigint" => int(8),
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
            precision: small(facts.precision)?,
            scale: small(facts.scale)?,
            unsigned,
            zerofill: zerofill.is_some(),
        },
        "bit" => ColumnType::Bit {
            bits: small(facts.precision)?,
        },
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => ColumnType::Text {
            max_chars: facts.characters,
            charset,
            collation,
            fixed: facts.data_type == "char",
        },
        "binary" => ColumnType::Binary {
            length: u32::try_from(facts.octets).ok()?,
        },
        "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => ColumnType::Bytes {
            max_length: facts.octets,
        },
        "enum" => ColumnType::Enum {
            labels: labels(&facts.column_type)?,
            charset,
            collation,
        },
        "set" => ColumnType::Set {
            labels: labels(&facts.column_type)?,
            charset,
            collation,
        },
        "date" => ColumnType::Date,
        "datetime" => ColumnType::DateTime { fsp },
        "timestamp" => ColumnType::Timestamp { fsp },
        "time" => ColumnType::Time { fsp },
        "year" => ColumnType::Year,
        "json" => ColumnType::Json,
        "vector" => ColumnType::Vector {
            dimensions: parenthesized(&facts.column_type)?.parse().ok()?,
        },
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
        | "multipolygon" | "geomcollection" | "geometrycollection" => ColumnType::Geometry,
        _ => return None,
    })
}

/// The numbers in `int(8)` and `float(10,3)`, as far as there are any; `None` where they are no such numbers.
fn display(column_type: &str) -> Option<(Option<u8>, Option<u8>)> {
    const NUMBERS: [&str; 8] = [
        "tinyint",
        "smallint",
        "mediumint",
        "int",
        "bigint",
        "float",
        "double",
        "decimal",
    ];
    let Some((name, _)) = column_type.split_once('(') else {
        return Some((None, None));
    };
    if !NUMBERS.contains(&name) {
        return Some((None, None));
    }
    let inside = parenthesized(column_type)?;
    Some(match inside.split_once(',') {
        None => (Some(inside.parse().ok()?), None),
        Some((width, decimals)) => (Some(width.parse().ok()?), Some(decimals.parse().ok()?)),
    })
}

fn parenthesized(text: &str) -> Option<&str> {
    let (_, inside) = text.split_once('(')?;
    Some(inside.rsplit_once(')')?.0)
}

/// The labels in `enum('a','it''s')`. MySQL doubles quotes there and writes control characters and backslashes as
/// escapes.
fn labels(column_type: &str) -> Option<Vec<String>> {
    let mut labels = Vec::new();
    let mut chars = parenthesized(column_type)?.chars().peekable();
    while chars.next()? == '\'' {
        let mut label = String::new();
        loop {
            match chars.next()? {
                '\'' if chars.peek() == Some(&'\'') => {
                    chars.next();
                    label.push('\'');
                }
                '\'' => break,
                '\\' => label.push(match chars.next()? {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    '0' => '\0',
                    'Z' => '\u{1a}',
                    other => other,
                }),
                other => label.push(other),
            }
        }
        labels.push(label);
        match chars.next() {
            None => return Some(labels),
            Some(',') => {}
            Some(_) => return None,
        }
    }
    None
}

async fn keys(
    options: &Options,
    conn: &mut Conn,
    list: &str,
    tables: &mut BTreeMap<TableName, Table>,
) -> Result<()> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS \
         WHERE NON_UNIQUE = 0 AND TABLE_SCHEMA IN ({list}) \
         ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
    );
    let mut parts: BTreeMap<(TableName, String), Vec<Option<usize>>> = BTreeMap::new();
    for row in query(options, conn, sql).await? {
        let table = TableName::new(text(&row, 0), text(&row, 1));
        // A prefix, or an expression (which has no column name), proves nothing about the column.
        let column = tables
            .get(&table)
            .and_then(|t| t.column_index(&text(&row, 3)))
            .filter(|_| number(&row, 4) == 0);
        parts
            .entry((table, text(&row, 2)))
            .or_default()
            .push(column);
    }
    for ((table, name), columns) in parts {
        let columns: Option<Vec<usize>> = columns.into_iter().collect();
        if let (Some(columns), Some(table)) = (columns, tables.get_mut(&table)) {
            if name == "PRIMARY" {
                table.primary_key = columns;
            } else {
                table.unique_keys.push(UniqueKey { name, columns });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(data_type: &str, column_type: &str) -> Option<ColumnType> {
        column_type_of(data_type, column_type, TypeFacts::default())
    }

    fn column_type_of(data_type: &str, text: &str, facts: TypeFacts) -> Option<ColumnType> {
        super::column_type(&TypeFacts {
            data_type: data_type.to_owned(),
            column_type: text.to_owned(),
            ..facts
        })
    }

    #[test]
    fn types_are_read() {
        let unsigned = |zerofill| {
            Some(ColumnType::Int {
                bytes: 8,
                unsigned: true,
                zerofill,
            })
        };
        assert_eq!(parsed("bigint", "bigint unsigned"), unsigned(None));
        // As servers before 8.0.19 say it.
        assert_eq!(parsed("bigint", "bigint(20) unsigned"), unsigned(None));
        let filled = "bigint(20) unsigned zerofill";
        assert_eq!(parsed("bigint", filled), unsigned(Some(20)));
        assert_eq!(parsed("bigint", "bigint(x) unsigned zerofill"), None);
        assert_eq!(
            parsed("float", "float(10,3)"),
            Some(ColumnType::Float {
                unsigned: false,
                decimals: Some(3),
                zerofill: None
            })
        );
        assert_eq!(
            parsed("vector", "vector(2048)"),
            Some(ColumnType::Vector { dimensions: 2048 })
        );
        assert_eq!(parsed("point", "point"), Some(ColumnType::Geometry));
        assert_eq!(parsed("hologram", "hologram"), None);
    }

    #[test]
    fn labels_are_unescaped() {
        let parse = |text| labels(text);
        let expected = ["a", "it's", "x,y", "b\\c", "n\nl", "(ü)", ""].map(str::to_owned);
        let text = "enum('a','it''s','x,y','b\\\\c','n\\nl','(ü)','')";
        assert_eq!(parse(text), Some(expected.to_vec()));
        assert_eq!(parse("set('a'"), None);
        assert_eq!(parse("enum()"), None);
        assert_eq!(parse("enum('a' 'b')"), None);
    }

    #[test]
    fn the_scope_follows_foreign_keys_both_ways() {
        let link = |child: &str, parent: &str| Link {
            child: TableName::new(child, "c"),
            name: "f".to_owned(),
            parent: TableName::new(parent, "p"),
            on_delete: ReferentialAction::Cascade,
            on_update: ReferentialAction::Restrict,
            columns: Vec::new(),
        };
        let links = [
            link("b", "a"),
            link("b", "c"),
            link("x", "y"),
            link("a", "a"),
        ];
        let found = scope(&["a".to_owned()], &links);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
