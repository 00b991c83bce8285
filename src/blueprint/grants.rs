//! The MySQL account: the statements that an administrator runs.

use std::fmt::Write as _;

use crate::plan::Plan;

/// `CREATE USER` and `GRANT` statements for `user`, table by table. The password is left to the administrator.
pub fn grants(plan: &Plan, user: &str) -> String {
    let account = format!("{}@'%'", literal(user));
    let mut out = format!(
        "-- Run as an administrator. '%' lets the account log in from everywhere: name penstock's host instead where you can.\n\
         CREATE USER IF NOT EXISTS {account} IDENTIFIED BY RANDOM PASSWORD;  -- note the password that this prints, or set one\n\
         GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {account};\n\
         GRANT XA_RECOVER_ADMIN ON *.* TO {account};  -- sees prepared XA transactions, which hide rows from a copy\n"
    );
    let mut tables: Vec<String> = plan
        .sources
        .iter()
        .map(|source| source.name.sql())
        .collect();
    tables.sort_unstable();
    for table in tables {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "GRANT SELECT ON {table} TO {account};");
    }
    out
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
