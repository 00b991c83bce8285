//! The SQL functions of expressions, by their names.

use super::suggest;

/// The functions that penstock evaluates as MySQL does.
pub const FUNCTIONS: [&str; 48] = [
    "ABS",
    "CAST",
    "CEIL",
    "CEILING",
    "CHARACTER_LENGTH",
    "CHAR_LENGTH",
    "COALESCE",
    "CONCAT",
    "CONCAT_WS",
    "DATE",
    "DATEDIFF",
    "DATE_ADD",
    "DATE_FORMAT",
    "DATE_SUB",
    "DAY",
    "DAYOFMONTH",
    "FLOOR",
    "FROM_UNIXTIME",
    "GREATEST",
    "HEX",
    "IF",
    "IFNULL",
    "JSON_EXTRACT",
    "JSON_UNQUOTE",
    "LCASE",
    "LEAST",
    "LEFT",
    "LENGTH",
    "LOWER",
    "LPAD",
    "LTRIM",
    "MD5",
    "MOD",
    "MONTH",
    "NULLIF",
    "REPLACE",
    "RIGHT",
    "ROUND",
    "RPAD",
    "RTRIM",
    "SHA2",
    "SUBSTR",
    "SUBSTRING",
    "TRIM",
    "UCASE",
    "UNIX_TIMESTAMP",
    "UPPER",
    "YEAR",
];

/// Whether it is the name (in capitals) of a function that may be called.
pub(super) fn is_function(upper: &str) -> bool {
    FUNCTIONS.contains(&upper)
}

/// What to do instead of a function that is not supported.
pub(super) fn function_help(upper: &str) -> String {
    match upper {
        "NOW" | "CURRENT_TIMESTAMP" | "CURDATE" | "CURRENT_DATE" | "SYSDATE" | "UTC_TIMESTAMP"
        | "RAND" | "UUID" | "USER" => {
            "an item must follow from its rows alone; use a column".into()
        }
        "SUM" | "COUNT" | "AVG" | "MIN" | "MAX" | "GROUP_CONCAT" => {
            "use \"calculation\": {\"type\": \"aggregate\", …}".into()
        }
        _ => match suggest::closest(upper, FUNCTIONS) {
            Some(near) => format!("did you mean {near}?"),
            None => "use a generated column in MySQL for it".into(),
        },
    }
}
