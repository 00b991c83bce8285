//! Expressions over the columns of one or two rows, none of which can fail whatever the values are: no sum leaves its
//! type's range, no two collations meet in a comparison.

use fastrand::Rng;

use super::schema::{Column, Kind, Table};
use super::{once_in, pick};

/// A row that an expression sees.
#[derive(Clone, Copy)]
pub struct Row<'s> {
    pub table: &'s Table,
    /// What stands before its columns; nothing for the driving row's bare names.
    pub qualifier: Option<&'s str>,
}

impl<'s> Row<'s> {
    pub fn of(table: &'s Table) -> Self {
        Self {
            table,
            qualifier: Some(table.name),
        }
    }

    pub fn bare(table: &'s Table) -> Self {
        Self {
            table,
            qualifier: None,
        }
    }

    pub fn column(&self, column: &Column) -> String {
        match self.qualifier {
            Some(qualifier) => format!("{}.{}", written(qualifier), written(&column.name)),
            None => written(&column.name),
        }
    }

    /// A column of one of these kinds, written as a reference.
    fn one_of(&self, rng: &mut Rng, fits: impl Fn(Kind) -> bool) -> Option<(&'s Column, String)> {
        let all: Vec<_> = self.table.columns.iter().filter(|c| fits(c.kind)).collect();
        let column = *all.get(rng.usize(0..all.len().max(1)))?;
        Some((column, self.column(column)))
    }
}

/// A name as SQL needs it: in backticks where it is no plain word.
pub fn written(name: &str) -> String {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    match plain && !["group", "order"].contains(&name) {
        true => name.to_owned(),
        false => format!("`{name}`"),
    }
}

/// A number; of small values, so that nothing overflows.
pub fn number(row: Row<'_>, rng: &mut Rng, depth: usize) -> String {
    if depth == 0 || once_in(rng, 3) {
        return match row.one_of(rng, Kind::is_number) {
            Some((_, column)) if !once_in(rng, 5) => column,
            _ => (*pick(rng, &["0", "1", "7", "2.50", "-3"])).to_owned(),
        };
    }
    let a = number(row, rng, depth - 1);
    let b = number(row, rng, depth - 1);
    match rng.u8(0..14) {
        0 => format!("({a} + {b})"),
        1 => format!("({a} - {b})"),
        2 => format!("{a} * 3"),
        3 => format!("{a} / {b}"),
        4 => format!("({a}) DIV 7"),
        5 => format!("MOD({a}, 5)"),
        6 => format!("ROUND({a}, 1)"),
        7 => format!("ABS({a})"),
        8 => format!("COALESCE({a}, {b})"),
        9 => format!("GREATEST({a}, {b})"),
        10 => format!("IF({}, {a}, {b})", condition(row, rng, depth - 1)),
        11 => format!("FLOOR({a})"),
        12 => format!("CHAR_LENGTH({})", text(row, rng, depth - 1)),
        _ => match row.one_of(rng, Kind::is_moment) {
            // YEAR's own type is unsigned: less than 0 of it is an error.
            Some((_, moment)) => format!(
                "CAST({}({moment}) AS SIGNED)",
                pick(rng, &["YEAR", "MONTH", "DAY"])
            ),
            None => format!("NULLIF({a}, 0)"),
        },
    }
}

/// Text.
pub fn text(row: Row<'_>, rng: &mut Rng, depth: usize) -> String {
    let base = match row.one_of(rng, Kind::is_text) {
        Some((_, column)) if !once_in(rng, 6) => column,
        _ => (*pick(rng, &["'x'", "'Two words'", "''", "'é'"])).to_owned(),
    };
    if depth == 0 {
        return base;
    }
    match rng.u8(0..13) {
        0 => format!("UPPER({base})"),
        1 => format!("LOWER({base})"),
        2 => format!("TRIM({base})"),
        3 => format!("LEFT({base}, 3)"),
        4 => format!("SUBSTRING({base}, 2, 3)"),
        5 => format!("REPLACE({base}, 'a', 'bb')"),
        6 => format!("LPAD({base}, 8, '*')"),
        7 => format!("COALESCE({base}, 'none')"),
        8 => format!("CONCAT({base}, '-', {})", number(row, rng, 0)),
        9 => format!("CONCAT_WS('/', {base}, {}, {base})", number(row, rng, 0)),
        10 => format!(
            "CASE WHEN {} THEN {base} ELSE 'other' END",
            condition(row, rng, depth - 1)
        ),
        11 => match row.one_of(rng, Kind::is_moment) {
            Some((_, moment)) => format!("DATE_FORMAT({moment}, '%d.%m.%Y')"),
            None => format!("SHA2({base}, 256)"),
        },
        _ => format!("CAST({} AS CHAR)", number(row, rng, 0)),
    }
}

/// A condition; unknown (NULL) for some rows.
pub fn condition(row: Row<'_>, rng: &mut Rng, depth: usize) -> String {
    if depth > 0 && once_in(rng, 3) {
        let (a, b) = (
            condition(row, rng, depth - 1),
            condition(row, rng, depth - 1),
        );
        return match rng.u8(0..3) {
            0 => format!("({a} AND {b})"),
            1 => format!("({a} OR {b})"),
            _ => format!("NOT ({a})"),
        };
    }
    match rng.u8(0..9) {
        0 => format!(
            "{} > {}",
            number(row, rng, 0),
            pick(rng, &["0", "10", "100.5"])
        ),
        1 => format!("{} BETWEEN 0 AND 99", number(row, rng, 0)),
        2 => format!("{} IN (1, 2, 3, 7)", number(row, rng, 0)),
        3 => match row.one_of(rng, |_| true) {
            // IS NULL has two meanings for dates that are never NULL.
            Some((c, column)) if c.nullable || !c.kind.is_moment() => {
                format!("{column} IS {}NULL", if rng.bool() { "NOT " } else { "" })
            }
            _ => "1 = 1".into(),
        },
        4 => match row.one_of(rng, Kind::is_text) {
            Some((_, column)) => format!("{column} LIKE '%{}%'", pick(rng, &["a", "A", "_n", "ß"])),
            None => "TRUE".into(),
        },
        5 => match row.one_of(rng, Kind::is_text) {
            Some((_, column)) => {
                format!("{column} = '{}'", pick(rng, &["anna", "ANNA", "a", "cafe"]))
            }
            None => "2 > 1".into(),
        },
        6 => match row.one_of(rng, Kind::is_moment) {
            Some((_, column)) => format!("{column} >= '2024-01-01'"),
            None => "0".into(),
        },
        7 => match row.one_of(rng, |k| k == Kind::Enum) {
            Some((_, column)) => format!("{column} IN ('new', 'paid')"),
            None => "'a' = 'A'".into(),
        },
        _ => format!("{} <> {}", number(row, rng, 1), number(row, rng, 0)),
    }
}

/// A date with or without a time.
pub fn moment(row: Row<'_>, rng: &mut Rng) -> Option<String> {
    let (_, column) = row.one_of(rng, Kind::is_moment)?;
    Some(match rng.u8(0..4) {
        0 => format!("DATE_ADD({column}, INTERVAL 30 DAY)"),
        1 => format!("DATE_SUB({column}, INTERVAL 2 MONTH)"),
        2 => format!("DATE({column})"),
        _ => column,
    })
}
