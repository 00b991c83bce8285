//! Where a value comes from: joins, calculations, transformations.

use super::Need::{Nullable, Optional, Required, Wanted};
use super::Shape::*;
use super::{Field, Spec, Tagged, Word, f};

const TARGET_TABLE: Field = f(
    "target_table",
    Required,
    Name,
    "The MySQL table that is joined.",
);
const JOIN_CONDITION: Field = f(
    "join_condition",
    Required,
    Sql,
    "When a row of the target belongs to the driving row, as `users.id = orders.user_id`.",
);
const SELECT_COLUMN: Field = f(
    "select_column",
    Required,
    Sql,
    "The value: a column of the target, or a SQL expression.",
);

pub static JOIN: Tagged = Tagged {
    name: "join",
    about: "Where in other tables the value is found.",
    kinds: &[
        (
            "foreign-key",
            Spec {
                name: "a foreign-key join",
                about: "The one row that a foreign key refers to.",
                fields: &[TARGET_TABLE, JOIN_CONDITION, SELECT_COLUMN],
            },
        ),
        (
            "lookup-table",
            Spec {
                name: "a lookup-table join",
                about: "The one row of a lookup table.",
                fields: &[TARGET_TABLE, JOIN_CONDITION, SELECT_COLUMN],
            },
        ),
        (
            "multi-column",
            Spec {
                name: "a multi-column join",
                about: "The one row that satisfies all conditions.",
                fields: &[
                    TARGET_TABLE,
                    f(
                        "join_conditions",
                        Required,
                        Sqls,
                        "Conditions that all hold.",
                    ),
                    SELECT_COLUMN,
                ],
            },
        ),
        (
            "self-join",
            Spec {
                name: "a self-join",
                about: "Another row of the same table, as a category's parent.",
                fields: &[
                    f(
                        "join_alias",
                        Required,
                        Name,
                        "The name of the other row in the condition and in select_column.",
                    ),
                    f(
                        "target_table",
                        Nullable,
                        Name,
                        "The table that the alias stands for, where it is not the driving table.",
                    ),
                    JOIN_CONDITION,
                    SELECT_COLUMN,
                    f(
                        "null_value",
                        Optional,
                        Scalar,
                        "The value where there is no row, or its value is NULL.",
                    ),
                ],
            },
        ),
        (
            "conditional",
            Spec {
                name: "a conditional join",
                about: "A join for the rows that satisfy a condition, another value for the rest.",
                fields: &[
                    f(
                        "condition",
                        Required,
                        Sql,
                        "A condition on the driving row.",
                    ),
                    TARGET_TABLE,
                    JOIN_CONDITION,
                    SELECT_COLUMN,
                    f(
                        "else_value",
                        Wanted,
                        Scalar,
                        "The value where the condition does not hold: a literal, or `table.column`.",
                    ),
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
                    f(
                        "chain_separator",
                        Nullable,
                        Text,
                        "The hops' values are joined by it; without it the last hop's value is the value.",
                    ),
                ],
            },
        ),
        (
            "json-construction",
            Spec {
                name: "a json-construction join",
                about: "All rows that match as a list, or the one that matches as a map.",
                fields: &[
                    TARGET_TABLE,
                    JOIN_CONDITION,
                    f(
                        "construction",
                        Required,
                        Object(&CONSTRUCTION),
                        "What is built from the rows.",
                    ),
                ],
            },
        ),
    ],
};

pub static HOP: Spec = Spec {
    name: "a hop of the chain",
    about: "One hop of a chain.",
    fields: &[
        TARGET_TABLE,
        f(
            "join_condition",
            Required,
            Sql,
            "When a row of the target belongs to the row of the hop before.",
        ),
        f(
            "select_column",
            Nullable,
            Sql,
            "The hop's value. The last hop needs it.",
        ),
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
        f(
            "type",
            Required,
            Word(CONSTRUCTIONS),
            "A list, or one object.",
        ),
        f(
            "select_columns",
            Required,
            SqlMap,
            "Key in the object → column or SQL expression.",
        ),
        f(
            "order_by",
            Nullable,
            Sql,
            "The order of the rows, as `reviews.created_at DESC`.",
        ),
        f("limit", Nullable, Count(1), "At most so many rows."),
    ],
};

const EXPRESSION: Field = f(
    "expression",
    Optional,
    Sql,
    "A SQL expression that is the value, instead of the other fields.",
);
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
                    f(
                        "operation",
                        Optional,
                        Word(OPERATIONS),
                        "What is done with the values.",
                    ),
                    f(
                        "target_table",
                        Optional,
                        Name,
                        "The MySQL table whose rows are taken.",
                    ),
                    f(
                        "join_condition",
                        Optional,
                        Sql,
                        "When a row of the target belongs to the driving row.",
                    ),
                    f(
                        "select_column",
                        Nullable,
                        Sql,
                        "The value of each row; COUNT goes without.",
                    ),
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
                    f(
                        "cases",
                        Optional,
                        Objects(&CASE),
                        "Conditions and values, in order.",
                    ),
                    f(
                        "else",
                        Optional,
                        Scalar,
                        "The value where no condition holds (SQL; text in single quotes); NULL where it is left out.",
                    ),
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
                    f(
                        "expressions",
                        Optional,
                        Sqls,
                        "SQL expressions, in order, instead of columns.",
                    ),
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
                fields: &[f(
                    "expression",
                    Required,
                    Sql,
                    "A SQL expression, as `DATE_ADD(placed_at, INTERVAL 30 DAY)`.",
                )],
            },
        ),
    ],
};

pub static CASE: Spec = Spec {
    name: "a case",
    about: "A condition and the value where it holds.",
    fields: &[
        f("when", Required, Sql, "The condition (SQL)."),
        f(
            "then",
            Required,
            Scalar,
            "The value (SQL; text in single quotes).",
        ),
    ],
};

pub const BINARY_FORMATS: &[Word] = &[
    ("base64", "Base64 with padding."),
    (
        "hex",
        "Two hexadecimal digits for each byte, in lower case.",
    ),
    ("uuid", "16 bytes as 8-4-4-4-12 hexadecimal digits."),
];

pub static TRANSFORMATION: Tagged = Tagged {
    name: "transformation",
    about: "How the value is written.",
    kinds: &[
        (
            "string-format",
            Spec {
                name: "a string-format transformation",
                about: "Text with values in it.",
                fields: &[f(
                    "format",
                    Required,
                    Template,
                    "Text with {placeholders}, as `USER#{id}`; without any it is a literal.",
                )],
            },
        ),
        (
            "template",
            Spec {
                name: "a template transformation",
                about: "Text with values in it.",
                fields: &[f(
                    "template",
                    Required,
                    Template,
                    "Text with {placeholders}, as `USER#{id}`; without any it is a literal.",
                )],
            },
        ),
        (
            "static",
            Spec {
                name: "a static transformation",
                about: "The same value in every item.",
                fields: &[f("value", Required, Scalar, "The value.")],
            },
        ),
        (
            "date-format",
            Spec {
                name: "a date-format transformation",
                about: "A date as text, or as a number.",
                fields: &[
                    f(
                        "format",
                        Required,
                        Text,
                        "YYYY MM DD HH mm ss SSS with text between them, or epoch, epoch_ms, iso8601.",
                    ),
                    f(
                        "source_format",
                        Nullable,
                        Text,
                        "How a text column writes its date, in the same tokens. Date columns need none.",
                    ),
                ],
            },
        ),
        (
            "number-format",
            Spec {
                name: "a number-format transformation",
                about: "A number as text of a fixed shape.",
                fields: &[f(
                    "format",
                    Required,
                    Text,
                    "`0.00`: so many decimals; `%08d`: an integer padded with zeros.",
                )],
            },
        ),
        (
            "json-parse",
            Spec {
                name: "a json-parse transformation",
                about: "JSON text as a native map or list.",
                fields: &[],
            },
        ),
        (
            "binary-format",
            Spec {
                name: "a binary-format transformation",
                about: "Bytes as text.",
                fields: &[f(
                    "format",
                    Required,
                    Word(BINARY_FORMATS),
                    "How bytes become text.",
                )],
            },
        ),
    ],
};
