//! The format's tables: which objects there are, their fields, and what each field holds.
//!
//! The parser checks against these tables and the JSON Schema is generated from them, so the two cannot differ.

mod source;

use Shape::*;
pub use source::*;

/// An object of the format.
#[derive(Debug)]
pub struct Spec {
    /// As messages name it: `a GSI`, `a foreign-key join`.
    pub name: &'static str,
    /// For the editor.
    pub about: &'static str,
    pub fields: &'static [Field],
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub need: Need,
    pub shape: Shape,
    pub about: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Required,
    /// Its absence is a warning.
    Wanted,
    Optional,
    /// Optional, and null says the same as leaving it out.
    Nullable,
}
use Need::{Nullable, Optional, Required, Wanted};

/// What a field holds.
#[derive(Debug)]
pub enum Shape {
    /// A name: not empty, no white space around it.
    Name,
    /// A name, or several.
    NameOrNames,
    Names,
    /// A SQL expression: not empty.
    Sql,
    Sqls,
    /// Text with `{placeholders}`: not empty.
    Template,
    /// Any text, the empty one too.
    Text,
    /// One of these words.
    Word(&'static [Word]),
    Bool,
    /// A whole number of at least the bound.
    Count(u64),
    /// A string, a number, true, false or null.
    Scalar,
    /// Documentation; nothing reads it.
    Texts,
    Object(&'static Spec),
    Objects(&'static Spec),
    /// An object whose kind its field `type` tells.
    Tagged(&'static Tagged),
    TaggedList(&'static Tagged),
    /// Output key → SQL expression.
    SqlMap,
}

/// A word of a closed list, and what it means.
pub type Word = (&'static str, &'static str);

/// Objects told apart by their field `type`.
#[derive(Debug)]
pub struct Tagged {
    /// As messages name it: `join`.
    pub name: &'static str,
    pub about: &'static str,
    pub kinds: &'static [(&'static str, Spec)],
}

impl Spec {
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

impl Tagged {
    pub fn kind(&self, name: &str) -> Option<&'static Spec> {
        self.kinds
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, spec)| spec)
    }
}

const fn f(name: &'static str, need: Need, shape: Shape, about: &'static str) -> Field {
    Field {
        name,
        need,
        shape,
        about,
    }
}

pub static CONTRACT: Spec = Spec {
    name: "the contract",
    about: "How the rows of MySQL become the items of DynamoDB.",
    fields: &[
        f(
            "tables",
            Required,
            TaggedList(&TABLE),
            "The DynamoDB tables.",
        ),
        f(
            "$schema",
            Optional,
            Text,
            "Where an editor finds the schema of this format.",
        ),
    ],
};

const TABLE_NAME: Field = f(
    "table",
    Required,
    Name,
    "Name of the DynamoDB table (3 to 255 of A-Z a-z 0-9 _ . -). [target] table_prefix is put before it.",
);
const GSIS: Field = f(
    "gsis",
    Optional,
    Objects(&GSI),
    "Global secondary indexes, at most 20.",
);
const SATISFIES: Field = f(
    "satisfies",
    Wanted,
    Texts,
    "Documentation: the access patterns that this table serves.",
);
const ITEM_SIZE: Field = f(
    "estimated_item_size_bytes",
    Wanted,
    Count(0),
    "Documentation: the size of a typical item in bytes.",
);
const FILTER: Field = f(
    "filter",
    Optional,
    Sql,
    "A condition on the driving row (SQL). Rows that do not satisfy it have no item.",
);
const JUSTIFICATION: Field = f(
    "justification",
    Optional,
    Text,
    "Documentation: why it is so.",
);

pub static TABLE: Tagged = Tagged {
    name: "table",
    about: "A DynamoDB table.",
    kinds: &[
        (
            "single-entity",
            Spec {
                name: "a single-entity table",
                about: "One MySQL table (with what is joined to it) makes the items.",
                fields: &[
                    TABLE_NAME,
                    f(
                        "source_table",
                        Required,
                        Name,
                        "The driving MySQL table, `database.table` or a name in the configured database. Each of its rows makes one item.",
                    ),
                    f(
                        "pk",
                        Required,
                        Name,
                        "Name of the partition key: an attribute, or attributes joined by `#` (`customer_id#year`).",
                    ),
                    f(
                        "sk",
                        Nullable,
                        Name,
                        "Name of the sort key, as pk; null or absent where there is none.",
                    ),
                    GSIS,
                    f(
                        "attributes",
                        Required,
                        Objects(&ATTRIBUTE),
                        "The attributes of the item.",
                    ),
                    FILTER,
                    SATISFIES,
                    ITEM_SIZE,
                    JUSTIFICATION,
                ],
            },
        ),
        (
            "multi-entity",
            Spec {
                name: "a multi-entity table",
                about: "Several MySQL tables make items of their own in one DynamoDB table.",
                fields: &[
                    TABLE_NAME,
                    f(
                        "source_table",
                        Nullable,
                        Name,
                        "For information: each entity has its own.",
                    ),
                    f(
                        "pk",
                        Optional,
                        Name,
                        "Name of the partition key; `PK` where pk and sk are left out.",
                    ),
                    f(
                        "sk",
                        Nullable,
                        Name,
                        "Name of the sort key; `SK` where pk and sk are left out.",
                    ),
                    GSIS,
                    f(
                        "entities",
                        Required,
                        Objects(&ENTITY),
                        "One for each kind of item.",
                    ),
                    FILTER,
                    SATISFIES,
                    ITEM_SIZE,
                    JUSTIFICATION,
                ],
            },
        ),
    ],
};

pub static ENTITY: Spec = Spec {
    name: "an entity",
    about: "What one MySQL table contributes to a multi-entity table.",
    fields: &[
        f(
            "entity_type",
            Required,
            Name,
            "The entity's name, as `ORDER`.",
        ),
        f(
            "source_table",
            Required,
            Name,
            "The driving MySQL table, `database.table` or a name in the configured database. Each of its rows makes one item.",
        ),
        f(
            "pk_template",
            Optional,
            Template,
            "The partition key's value, as `USER#{id}`. Placeholders name attributes of this entity, or columns of the driving table.",
        ),
        f(
            "sk_template",
            Nullable,
            Template,
            "The sort key's value, as `ORDER#{placed_at}`.",
        ),
        f(
            "attributes",
            Required,
            Objects(&ATTRIBUTE),
            "The attributes of the item, besides the keys that the templates make.",
        ),
        FILTER,
        JUSTIFICATION,
    ],
};

pub static GSI: Spec = Spec {
    name: "a GSI",
    about: "A global secondary index.",
    fields: &[
        f(
            "index_name",
            Required,
            Name,
            "Name of the index (3 to 255 of A-Z a-z 0-9 _ . -).",
        ),
        f(
            "pk",
            Required,
            Name,
            "Attribute that is the index's partition key, or attributes joined by `#`.",
        ),
        f(
            "sk",
            Nullable,
            Name,
            "Attribute that is the index's sort key, or attributes joined by `#`.",
        ),
        f(
            "projection",
            Optional,
            Word(PROJECTIONS),
            "What the index holds; ALL where it is left out.",
        ),
        f(
            "projected_attributes",
            Optional,
            Names,
            "With INCLUDE: the attributes besides the keys.",
        ),
        JUSTIFICATION,
    ],
};

pub const PROJECTIONS: &[Word] = &[
    ("ALL", "Every attribute of the item."),
    ("KEYS_ONLY", "The keys of the index and of the table."),
    ("INCLUDE", "The keys, and what projected_attributes names."),
];

pub const ATTRIBUTE_TYPES: &[Word] = &[
    ("S", "Text."),
    ("N", "A number of at most 38 digits."),
    ("B", "Bytes."),
    ("SS", "A set of texts."),
    ("NS", "A set of numbers."),
    ("BS", "A set of bytes."),
    ("M", "A map."),
    ("L", "A list."),
    ("BOOL", "True or false."),
    ("NULL", "Always NULL."),
];

pub static ATTRIBUTE: Spec = Spec {
    name: "an attribute",
    about: "One attribute of the item. Its value comes from source_column, or from one of join, calculation, transformation.",
    fields: &[
        f("name", Required, Name, "Name of the attribute in DynamoDB."),
        f(
            "type",
            Required,
            Word(ATTRIBUTE_TYPES),
            "DynamoDB's type of the value.",
        ),
        f(
            "source_table",
            Nullable,
            Name,
            "The MySQL table of source_column; the entity's own where it is left out.",
        ),
        f(
            "source_column",
            Nullable,
            NameOrNames,
            "The column that gives the value; several give one text, joined by `#`.",
        ),
        f(
            "join",
            Nullable,
            Tagged(&JOIN),
            "The value comes from rows of other tables.",
        ),
        f(
            "calculation",
            Nullable,
            Tagged(&CALCULATION),
            "The value is computed.",
        ),
        f(
            "transformation",
            Nullable,
            Tagged(&TRANSFORMATION),
            "How the value is written. Beside a join or a calculation it applies to the result; with {placeholders} it replaces it.",
        ),
        f(
            "denormalized",
            Optional,
            Bool,
            "Documentation: the value is a copy of what another table holds.",
        ),
        JUSTIFICATION,
    ],
};
