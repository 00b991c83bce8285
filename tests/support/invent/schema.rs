//! Tables, their columns and links, and the values that they hold.

use fastrand::Rng;

use super::{once_in, one_of, pick};

pub struct Schema {
    pub tables: Vec<Table>,
    pub links: Vec<Link>,
}

pub struct Table {
    pub name: &'static str,
    pub columns: Vec<Column>,
    /// The primary key: the first columns, in an order of its own.
    pub key: Vec<usize>,
    /// Columns of a secondary index.
    indexes: Vec<Vec<usize>>,
    /// Columns of unique keys.
    unique: Vec<Vec<usize>>,
}

pub struct Column {
    pub name: String,
    pub kind: Kind,
    pub nullable: bool,
    pub domain: Domain,
}

/// Which values a column has.
#[derive(Clone, Copy)]
pub enum Domain {
    /// Any of its type.
    Free,
    /// The first so many of its type's keys.
    Key(usize),
    /// Those that a column of this kind with so many keys has, and some others.
    Link(usize, Kind),
}

/// Columns that refer to a table: to its key, or to the first column of it.
pub struct Link {
    pub from: usize,
    pub columns: Vec<usize>,
    pub to: usize,
    pub to_columns: Vec<usize>,
    /// What the foreign key does, where there is one.
    pub foreign_key: Option<&'static str>,
}

/// What foreign keys do.
const ACTIONS: [&str; 5] = [
    "ON DELETE CASCADE ON UPDATE CASCADE",
    "ON DELETE CASCADE",
    "ON DELETE SET NULL ON UPDATE SET NULL",
    "ON DELETE SET NULL ON UPDATE CASCADE",
    "",
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Small,
    Int,
    BigUnsigned,
    Decimal,
    Float,
    Double,
    Bit,
    Year,
    /// A number that its column prints with zeros before it.
    Filled,
    /// One that its column prints with three decimals.
    Fixed,
    /// VARCHAR of a collation.
    Text(&'static str),
    Char,
    /// TEXT that holds a JSON object.
    JsonText,
    Date,
    DateTime,
    Timestamp,
    Time,
    Enum,
    Set,
    Binary,
    Bytes,
    Json,
}

/// The collations that joins must compare as MySQL does.
const COLLATIONS: [&str; 8] = [
    "utf8mb4_bin",
    "utf8mb4_0900_ai_ci",
    "utf8mb4_0900_as_cs",
    "utf8mb4_general_ci",
    "utf8mb4_unicode_ci",
    "latin1_swedish_ci",
    "latin1_bin",
    CODED,
];
/// Of a character set in which several codes show as one character: these do.
pub const CODED: &str = "cp932_bin";
pub const ALIKE: [&str; 4] = ["81e0", "8790", "fa5c", "ed40"];
const TABLES: [&str; 6] = ["users", "orders", "items", "Odd-Table", "notes", "group"];
pub const LABELS: [&str; 8] = [
    "new", "open", "paid", "sent", "done", "lost", "back", "gone",
];
pub const WORDS: [&str; 12] = [
    "anna", "bert", "café", "dora", "emil", "straße", "gina", "hugo", "ida", "jörg", "kim", "lea",
];

impl Schema {
    pub fn invent(rng: &mut Rng) -> Schema {
        let mut names = TABLES;
        rng.shuffle(&mut names);
        let count = rng.usize(2..=6);
        let foreign_keys = once_in(rng, 4);
        let mut schema = Schema {
            tables: names[..count]
                .iter()
                .map(|name| Table::invent(name, rng))
                .collect(),
            links: Vec::new(),
        };
        for from in 0..count {
            for number in 0..rng.usize(0..=2) {
                schema.link(from, number, foreign_keys, rng);
            }
        }
        if schema.links.is_empty() {
            schema.link(0, 0, foreign_keys, rng);
        }
        for table in &mut schema.tables {
            table.fill(rng);
        }
        schema
    }

    fn link(&mut self, from: usize, number: usize, foreign_key: bool, rng: &mut Rng) {
        let to = rng.usize(0..self.tables.len());
        let key = &self.tables[to].key;
        // A part of a key: several rows can match.
        let length = if once_in(rng, 4) { 1 } else { key.len() };
        let to_columns: Vec<_> = key[..length].to_vec();
        let foreign_key = foreign_key && length == key.len() && !once_in(rng, 3);
        let action = one_of(rng, &ACTIONS);
        let made: Vec<Column> = to_columns
            .iter()
            .map(|&c| {
                let target = &self.tables[to].columns[c];
                let Domain::Key(keys) = target.domain else {
                    unreachable!("a key column");
                };
                let kind = match !foreign_key && once_in(rng, 4) {
                    true => target.kind.cousin(rng),
                    false => target.kind,
                };
                Column {
                    name: format!("to_{}{number}_{}", to + 1, target.name),
                    kind,
                    nullable: foreign_key || !once_in(rng, 5),
                    domain: Domain::Link(keys, target.kind),
                }
            })
            .collect();
        let table = &mut self.tables[from];
        let first = table.columns.len();
        table.columns.extend(made);
        let columns: Vec<_> = (first..table.columns.len()).collect();
        match rng.u8(0..6) {
            0 | 1 => table.indexes.push(columns.clone()),
            2..=4 => table.tell(&columns, !foreign_key),
            _ => {}
        }
        // The same columns once more, each with the other's partner.
        if let ([a, b], [c, d]) = (columns.as_slice(), to_columns.as_slice())
            && self.tables[to].columns[*c].kind == self.tables[to].columns[*d].kind
        {
            self.links.push(Link {
                from,
                columns: vec![*a, *b],
                to,
                to_columns: vec![*d, *c],
                foreign_key: None,
            });
        }
        self.links.push(Link {
            from,
            columns,
            to,
            to_columns,
            foreign_key: foreign_key.then_some(action),
        });
    }

    pub fn ddl(&self) -> Vec<String> {
        let tables = self.tables.iter().map(Table::ddl);
        let keys = self.links.iter().filter_map(|link| {
            let list = |table: usize, columns: &[usize]| {
                let names: Vec<_> = columns
                    .iter()
                    .map(|&c| quoted(&self.tables[table].columns[c].name))
                    .collect();
                names.join(", ")
            };
            Some(format!(
                "ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({}) {}",
                quoted(self.tables[link.from].name),
                list(link.from, &link.columns),
                quoted(self.tables[link.to].name),
                list(link.to, &link.to_columns),
                link.foreign_key?
            ))
        });
        tables.chain(keys).collect()
    }

    pub fn has_foreign_keys(&self) -> bool {
        self.links.iter().any(|link| link.foreign_key.is_some())
    }
}

impl Table {
    fn invent(name: &'static str, rng: &mut Rng) -> Table {
        let kinds = [
            Kind::Int,
            Kind::Int,
            Kind::BigUnsigned,
            Kind::Text(one_of(rng, &COLLATIONS)),
            Kind::Date,
            Kind::Enum,
            Kind::Decimal,
            Kind::Binary,
        ];
        let count = if once_in(rng, 3) { 2 } else { 1 };
        let alike = rng.bool().then(|| *pick(rng, &kinds));
        let columns = (0..count)
            .map(|n| {
                let kind = alike.unwrap_or_else(|| *pick(rng, &kinds));
                let most = if count == 1 { 50 } else { 10 };
                let keys = if kind == Kind::Enum {
                    LABELS.len()
                } else {
                    most
                };
                Column {
                    name: ["id", "part"][n].to_owned(),
                    kind,
                    nullable: false,
                    domain: Domain::Key(keys),
                }
            })
            .collect();
        let mut key: Vec<_> = (0..count).collect();
        if once_in(rng, 4) {
            key.reverse();
        }
        Table {
            name,
            columns,
            key,
            indexes: Vec::new(),
            unique: Vec::new(),
        }
    }

    /// Adds columns of all types.
    fn fill(&mut self, rng: &mut Rng) {
        let kinds = [
            Kind::Small,
            Kind::Int,
            Kind::BigUnsigned,
            Kind::Decimal,
            Kind::Float,
            Kind::Double,
            Kind::Bit,
            Kind::Year,
            Kind::Filled,
            Kind::Fixed,
            Kind::Text(one_of(rng, &COLLATIONS)),
            Kind::Text(one_of(rng, &COLLATIONS)),
            Kind::Char,
            Kind::JsonText,
            Kind::Date,
            Kind::DateTime,
            Kind::Timestamp,
            Kind::Time,
            Kind::Enum,
            Kind::Set,
            Kind::Binary,
            Kind::Bytes,
            Kind::Json,
        ];
        let names = [
            "name", "order", "total", "state", "größe", "made_at", "note", "size",
        ];
        for (n, name) in names.iter().take(rng.usize(3..=names.len())).enumerate() {
            // Each table has some text: what needs a column of no special kind always finds one.
            let kind = match n {
                0 => Kind::Text(one_of(rng, &COLLATIONS)),
                _ => *pick(rng, &kinds),
            };
            self.columns.push(Column {
                name: (*name).to_owned(),
                kind,
                nullable: !once_in(rng, 4),
                domain: Domain::Free,
            });
        }
        if once_in(rng, 4) {
            let text = self.columns.iter().position(|c| c.name == "name");
            self.tell(&[text.expect("a text")], !once_in(rng, 4));
        }
        if once_in(rng, 3) {
            let column = rng.usize(0..self.columns.len());
            if !matches!(
                self.columns[column].kind,
                Kind::Json | Kind::JsonText | Kind::Bytes
            ) {
                self.indexes.push(vec![column]);
            }
        }
    }

    /// Makes a unique key of the columns; `certain`: they do not allow NULL.
    fn tell(&mut self, columns: &[usize], certain: bool) {
        for &column in columns.iter().filter(|_| certain) {
            self.columns[column].nullable = false;
        }
        self.unique.push(columns.to_vec());
    }

    /// Whether the columns hold a key that tells the rows apart.
    pub fn tells(&self, columns: &[usize]) -> bool {
        let keys = self.unique.iter().chain([&self.key]);
        let mut certain = keys.filter(|key| key.iter().all(|&c| !self.columns[c].nullable));
        certain.any(|key| key.iter().all(|c| columns.contains(c)))
    }

    fn ddl(&self) -> String {
        let list = |columns: &[usize]| {
            let names: Vec<_> = columns
                .iter()
                .map(|&c| quoted(&self.columns[c].name))
                .collect();
            names.join(", ")
        };
        let mut lines: Vec<String> = self
            .columns
            .iter()
            .map(|c| {
                let null = if c.nullable { "NULL" } else { "NOT NULL" };
                format!("{} {} {null}", quoted(&c.name), c.kind.ddl())
            })
            .collect();
        lines.push(format!("PRIMARY KEY ({})", list(&self.key)));
        lines.extend(self.indexes.iter().map(|i| format!("KEY ({})", list(i))));
        let unique = self.unique.iter();
        lines.extend(unique.map(|u| format!("UNIQUE KEY ({})", list(u))));
        format!(
            "CREATE TABLE {} (\n  {}\n) CHARACTER SET utf8mb4",
            quoted(self.name),
            lines.join(",\n  ")
        )
    }
}

/// A name in backticks.
pub fn quoted(name: &str) -> String {
    format!("`{name}`")
}

impl Kind {
    fn ddl(self) -> String {
        match self {
            Kind::Small => "SMALLINT".into(),
            Kind::Int => "INT".into(),
            Kind::BigUnsigned => "BIGINT UNSIGNED".into(),
            Kind::Decimal => "DECIMAL(10,2)".into(),
            Kind::Float => "FLOAT".into(),
            Kind::Double => "DOUBLE".into(),
            Kind::Bit => "BIT(9)".into(),
            Kind::Year => "YEAR".into(),
            Kind::Filled => "INT(6) ZEROFILL".into(),
            Kind::Fixed => "DOUBLE(10,3)".into(),
            Kind::Text(collation) => {
                let charset = collation.split('_').next().unwrap_or_default();
                format!("VARCHAR(40) CHARACTER SET {charset} COLLATE {collation}")
            }
            Kind::Char => "CHAR(12) COLLATE utf8mb4_0900_ai_ci".into(),
            Kind::JsonText => "TEXT".into(),
            Kind::Date => "DATE".into(),
            Kind::DateTime => "DATETIME(3)".into(),
            Kind::Timestamp => "TIMESTAMP".into(),
            Kind::Time => "TIME(1)".into(),
            Kind::Enum => format!("ENUM('{}')", LABELS.join("','")),
            Kind::Set => "SET('red','green','blue')".into(),
            Kind::Binary => "BINARY(16)".into(),
            Kind::Bytes => "VARBINARY(40)".into(),
            Kind::Json => "JSON".into(),
        }
    }

    /// Numbers that can be computed with without leaving their range.
    pub fn is_number(self) -> bool {
        matches!(self, Kind::Small | Kind::Int | Kind::Decimal)
    }

    pub fn is_text(self) -> bool {
        matches!(self, Kind::Text(_) | Kind::Char)
    }

    pub fn is_moment(self) -> bool {
        matches!(self, Kind::Date | Kind::DateTime | Kind::Timestamp)
    }

    pub fn is_coded(self) -> bool {
        self == Kind::Text(CODED)
    }

    pub fn is_binary(self) -> bool {
        matches!(self, Kind::Binary | Kind::Bytes)
    }

    /// A type whose values can be equal to those of this one.
    fn cousin(self, rng: &mut Rng) -> Kind {
        match self {
            Kind::Int => one_of(
                rng,
                &[
                    Kind::BigUnsigned,
                    Kind::Decimal,
                    Kind::Double,
                    Kind::Text("utf8mb4_0900_ai_ci"),
                ],
            ),
            Kind::BigUnsigned => one_of(rng, &[Kind::Int, Kind::Text("utf8mb4_bin")]),
            Kind::Decimal => one_of(rng, &[Kind::Double, Kind::Text("utf8mb4_general_ci")]),
            Kind::Date => one_of(rng, &[Kind::DateTime, Kind::Timestamp]),
            // By its label or by its number.
            Kind::Enum => one_of(rng, &[Kind::Text("utf8mb4_0900_ai_ci"), Kind::Int]),
            Kind::Binary => Kind::Bytes,
            // One character set is converted to the other, and its collation decides.
            Kind::Text(collation) if collation.starts_with("latin1") => {
                Kind::Text("utf8mb4_unicode_ci")
            }
            Kind::Text(CODED) => Kind::Text("utf8mb4_bin"),
            Kind::Text(_) => Kind::Text("latin1_swedish_ci"),
            other => other,
        }
    }
}

impl Column {
    /// A value as a literal; keys and links with few values more often than others.
    pub fn value(&self, rng: &mut Rng) -> String {
        if self.nullable && once_in(rng, 6) {
            return "NULL".into();
        }
        match self.domain {
            Domain::Free => self.kind.any(rng),
            Domain::Key(keys) => self.kind.key(rng.usize(0..keys)),
            Domain::Link(keys, of) => {
                let n = match once_in(rng, 10) {
                    true => keys + rng.usize(0..5),
                    false => rng.usize(0..keys).min(rng.usize(0..keys)),
                };
                let key = of.key(n);
                match (of, self.kind) {
                    (Kind::Enum, Kind::Int) => (n + 1).to_string(),
                    // As the collation compares, not as it is written.
                    (Kind::Text(CODED), _) => key,
                    (Kind::Text(_), _) if once_in(rng, 4) => match rng.u8(0..3) {
                        0 => key.to_uppercase(),
                        1 => key.replace('é', "e").replace('ö', "o"),
                        _ => format!("{} '", key.trim_end_matches('\'')),
                    },
                    // Text that is the same number. (What only begins with one is found or not, as MySQL looks it up.)
                    (_, Kind::Text(_)) if of.is_number() && once_in(rng, 3) => {
                        let form = one_of(rng, &["' {}'", "'0{}'"]);
                        form.replace("{}", &key)
                    }
                    _ => key,
                }
            }
        }
    }
}
