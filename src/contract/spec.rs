//! The format's tables: which objects there are, their fields, and what each field holds.
//!
//! The parser checks against these tables and the JSON Schema is generated from them, so the two cannot differ.

use Field as F;
use Shape::*;

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
        self.kinds.iter().find(|(n, _)| *n == name).map(|(_, spec)| spec)
    }
}

const fn f(name: &'static str, need: Need, shape: Shape, about: &'static str) -> Field {
    F { name, need, shape, about }
}

pub static CONTRACT: Spec = Spec {
    name: "the contract",
    about: "How the rows of MySQL become the items of DynamoDB.",
    fields: &[
        f("tables", Required, TaggedList(&TABLE), "The DynamoDB tables."),
        f("$schema", Optional, Text, "Where an editor finds the schema of this format."),
    ],
};

const TABLE_NAME: Field = f("table", Required, Name, "Name of the DynamoDB table (3 to 255 of A-Z a-z 0-9 _ . -). [target] table_prefix is put before it.");
const GSIS: Field = f("gsis", Optional, Objects(&GSI), "Global secondary indexes, at most 20.");
const SATISFIES: Field = f("satisfies", Wanted, Texts, "Documentation: the access patterns that this table serves.");
const ITEM_SIZE: Field = f("estimated_item_size_bytes", Wanted, Count(0), "Documentation: the size of a typical item in bytes.");
const FILTER: Field = f("filter", Optional, Sql, "A condition on the driving row (SQL). Rows that do not satisfy it have no item.");
const JUSTIFICATION: Field = f("justification", Optional, Text, "Documentation: why it is so.");

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
                    f("source_table", Required, Name, "The driving MySQL table, `database.table` or a name in the configured database. Each of its rows makes one item."),
                    f("pk", Required, Name, "Name of the partition key: an attribute, or attributes joined by `#` (`customer_id#year`)."),
                    f("sk", Nullable, Name, "Name of the sort key, as pk; null or absent where there is none."),
                    GSIS,
                    f("attributes", Required, Objects(&ATTRIBUTE), "The attributes of the item."),
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
                    f("source_table", Nullable, Name, "For information: each entity has its own."),
                    f("pk", Optional, Name, "Name of the partition key; `PK` where pk and sk are left out."),
                    f("sk", Nullable, Name, "Name of the sort key; `SK` where pk and sk are left out."),
                    GSIS,
                    f("entities", Required, Objects(&ENTITY), "One for each kind of item."),
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
        f("entity_type", Required, Name, "The entity's name, as `ORDER`."),
        f("source_table", Required, Name, "The driving MySQL table, `database.table` or a name in the configured database. Each of its rows makes one item."),
        f("pk_template", Optional, Template, "The partition key's value, as `USER#{id}`. Placeholders name attributes of this entity, or columns of the driving table."),
        f("sk_template", Nullable, Template, "The sort key's value, as `ORDER#{placed_at}`."),
        f("attributes", Required, Objects(&ATTRIBUTE), "The attributes of the item, besides the keys that the templates make."),
        FILTER,
        JUSTIFICATION,
    ],
};

pub static GSI: Spec = Spec {
    name: "a GSI",
    about: "A global secondary index.",
    fields: &[
        f("index_name", Required, Name, "Name of the index (3 to 255 of A-Z a-z 0-9 _ . -)."),
        f("pk", Required, Name, "Attribute that is the index's partition key, or attributes joined by `#`."),
        f("sk", Nullable, Name, "Attribute that is the index's sort key, or attributes joined by `#`."),
        f("projection", Optional, Word(PROJECTIONS), "What the index holds; ALL where it is left out."),
        f("projected_attributes", Optional, Names, "With INCLUDE: the attributes besides the keys."),
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
        f("type", Required, Word(ATTRIBUTE_TYPES), "DynamoDB's type of the value."),
        f("source_table", Nullable, Name, "The MySQL table of source_column; the entity's own where it is left out."),
        f("source_column", Nullable, NameOrNames, "The column that gives the value; several give one text, joined by `#`."),
        f("join", Nullable, Tagged(&JOIN), "The value comes from rows of other tables."),
        f("calculation", Nullable, Tagged(&CALCULATION), "The value is computed."),
        f("transformation", Nullable, Tagged(&TRANSFORMATION), "How the value is written. Beside a join or a calculation it applies to the result; with {placeholders} it replaces it."),
        f("denormalized", Optional, Bool, "Documentation: the value is a copy of what another table holds."),
        JUSTIFICATION,
    ],
};

const TARGET_TABLE: Field = f("target_table", Required, Name, "The MySQL table that is joined.");
const JOIN_CONDITION: Field = f("join_condition", Required, Sql, "When a row of the target belongs to the driving row, as `users.id = orders.user_id`.");
const SELECT_COLUMN: Field = f("select_column", Required, Sql, "The value: a column of the target, or a SQL expression.");

pub static JOIN: Tagged = Tagged {
    name: "join",
    about: "Where in other tables the value is found.",
    kinds: &[
        ("foreign-key", Spec { name: "a foreign-key join", about: "The one row that a foreign key refers to.", fields: &[TARGET_TABLE, JOIN_CONDITION, SELECT_COLUMN] }),
        ("lookup-table", Spec { name: "a lookup-table join", about: "The one row of a lookup table.", fields: &[TARGET_TABLE, JOIN_CONDITION, SELECT_COLUMN] }),
        (
            "multi-column",
            Spec {
                name: "a multi-column join",
                about: "The one row that satisfies all conditions.",
                fields: &[TARGET_TABLE, f("join_conditions", Required, Sqls, "Conditions that all hold."), SELECT_COLUMN],
            },
        ),
        (
            "self-join",
            Spec {
                name: "a self-join",
                about: "Another row of the same table, as a category's parent.",
                fields: &[
                    f("join_alias", Required, Name, "The name of the other row in the condition and in select_column."),
                    f("target_table", Nullable, Name, "The table that the alias stands for, where it is not the driving table."),
                    JOIN_CONDITION,
                    SELECT_COLUMN,
                    f("null_value", Optional, Scalar, "The value where there is no row, or its value is NULL."),
                ],
            },
        ),
        (
            "conditional",
            Spec {
                name: "a conditional join",
                about: "A join for the rows that satisfy a condition, another value for the rest.",
                fields: &[
                    f("condition", Required, Sql, "A condition on the driving row."),
                    TARGET_TABLE,
                    JOIN_CONDITION,
                    SELECT_COLUMN,
                    f("else_value", Wanted, Scalar, "The value where the condition does not hold: a literal, or `table.column`."),
                ],
            },
        ),
        (
            "chain",
            Spec {
                name: "a chain join",
                about: "From table to table; each hop joins the row that the hop before it has found.",
                fields: &[
                    f("joins", Required, Objects(&HOP), "The hops, in order."),
                    f("chain_separator", Nullable, Text, "The hops' values are joined by it; without it the last hop's value is the value."),
                ],
            },
        ),
        (
            "json-construction",
            Spec {
                name: "a json-construction join",
                about: "All rows that match as a list, or the one that matches as a map.",
                fields: &[TARGET_TABLE, JOIN_CONDITION, f("construction", Required, Object(&CONSTRUCTION), "What is built from the rows.")],
            },
        ),
    ],
};

pub static HOP: Spec = Spec {
    name: "a hop of the chain",
    about: "One hop of a chain.",
    fields: &[
        TARGET_TABLE,
        f("join_condition", Required, Sql, "When a row of the target belongs to the row of the hop before."),
        f("select_column", Nullable, Sql, "The hop's value. The last hop needs it."),
    ],
};

pub const CONSTRUCTIONS: &[Word] = &[
    ("array", "A list with one object for each matching row."),
    ("object", "One object for the one matching row."),
];

pub static CONSTRUCTION: Spec = Spec {
    name: "a construction",
    about: "What is built from the matching rows.",
    fields: &[
        f("type", Required, Word(CONSTRUCTIONS), "A list, or one object."),
        f("select_columns", Required, SqlMap, "Key in the object → column or SQL expression."),
        f("order_by", Nullable, Sql, "The order of the rows, as `reviews.created_at DESC`."),
        f("limit", Nullable, Count(1), "At most so many rows."),
    ],
};

const EXPRESSION: Field = f("expression", Optional, Sql, "A SQL expression that is the value, instead of the other fields.");
const SEPARATOR: Field = f("separator", Nullable, Text, "Stands between the parts.");

pub const OPERATIONS: &[Word] = &[
    ("SUM", "The sum; NULL of nothing."),
    ("COUNT", "How many; 0 of nothing."),
    ("AVG", "The average; NULL of nothing."),
    ("MIN", "The least; NULL of nothing."),
    ("MAX", "The greatest; NULL of nothing."),
];

pub static CALCULATION: Tagged = Tagged {
    name: "calculation",
    about: "How the value is computed.",
    kinds: &[
        (
            "aggregate",
            Spec {
                name: "an aggregate calculation",
                about: "One value of all matching rows of another table.",
                fields: &[
                    f("operation", Optional, Word(OPERATIONS), "What is done with the values."),
                    f("target_table", Optional, Name, "The MySQL table whose rows are taken."),
                    f("join_condition", Optional, Sql, "When a row of the target belongs to the driving row."),
                    f("select_column", Nullable, Sql, "The value of each row; COUNT goes without."),
                    EXPRESSION,
                ],
            },
        ),
        (
            "case",
            Spec {
                name: "a case calculation",
                about: "The value of the first condition that holds.",
                fields: &[
                    f("cases", Optional, Objects(&CASE), "Conditions and values, in order."),
                    f("else", Optional, Scalar, "The value where no condition holds (SQL; text in single quotes); NULL where it is left out."),
                    EXPRESSION,
                ],
            },
        ),
        (
            "concat",
            Spec {
                name: "a concat calculation",
                about: "Parts put together as one text.",
                fields: &[
                    f("columns", Optional, Names, "The columns, in order."),
                    f("expressions", Optional, Sqls, "SQL expressions, in order, instead of columns."),
                    SEPARATOR,
                    EXPRESSION,
                ],
            },
        ),
        (
            "date-math",
            Spec {
                name: "a date-math calculation",
                about: "A date computed from others.",
                fields: &[f("expression", Required, Sql, "A SQL expression, as `DATE_ADD(placed_at, INTERVAL 30 DAY)`.")],
            },
        ),
    ],
};

pub static CASE: Spec = Spec {
    name: "a case",
    about: "A condition and the value where it holds.",
    fields: &[
        f("when", Required, Sql, "The condition (SQL)."),
        f("then", Required, Scalar, "The value (SQL; text in single quotes)."),
    ],
};

pub const BINARY_FORMATS: &[Word] = &[
    ("base64", "Base64 with padding."),
    ("hex", "Two hexadecimal digits for each byte, in lower case."),
    ("uuid", "16 bytes as 8-4-4-4-12 hexadecimal digits."),
];

pub static TRANSFORMATION: Tagged = Tagged {
    name: "transformation",
    about: "How the value is written.",
    kinds: &[
        ("string-format", Spec { name: "a string-format transformation", about: "Text with values in it.", fields: &[f("format", Required, Template, "Text with {placeholders}, as `USER#{id}`; without any it is a literal.")] }),
        ("template", Spec { name: "a template transformation", about: "Text with values in it.", fields: &[f("template", Required, Template, "Text with {placeholders}, as `USER#{id}`; without any it is a literal.")] }),
        ("static", Spec { name: "a static transformation", about: "The same value in every item.", fields: &[f("value", Required, Scalar, "The value.")] }),
        (
            "date-format",
            Spec {
                name: "a date-format transformation",
                about: "A date as text, or as a number.",
                fields: &[
                    f("format", Required, Text, "YYYY MM DD HH mm ss SSS with text between them, or epoch, epoch_ms, iso8601."),
                    f("source_format", Nullable, Text, "How a text column writes its date, in the same tokens. Date columns need none."),
                ],
            },
        ),
        ("number-format", Spec { name: "a number-format transformation", about: "A number as text of a fixed shape.", fields: &[f("format", Required, Text, "`0.00`: so many decimals; `%08d`: an integer padded with zeros.")] }),
        ("json-parse", Spec { name: "a json-parse transformation", about: "JSON text as a native map or list.", fields: &[] }),
        ("binary-format", Spec { name: "a binary-format transformation", about: "Bytes as text.", fields: &[f("format", Required, Word(BINARY_FORMATS), "How bytes become text.")] }),
    ],
};
