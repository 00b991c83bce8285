//! The MySQL account: the statements that an administrator runs.

use crate::plan::Plan;

/// A statement, and what is to be known of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Grant {
    pub sql: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<&'static str>,
}

/// `CREATE USER` and `GRANT` statements for `user`, table by table. The password is left to the administrator.
pub fn grants(plan: &Plan, user: &str) -> Vec<Grant> {
    let account = format!("{}@'%'", literal(user));
    let grant = |sql: String, comment| Grant { sql, comment };
    let mut all = vec![
        grant(
            format!("CREATE USER IF NOT EXISTS {account} IDENTIFIED BY RANDOM PASSWORD"),
            Some("note the password that this prints, or set one"),
        ),
        grant(
            format!("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {account}"),
            None,
        ),
        grant(
            format!("GRANT XA_RECOVER_ADMIN ON *.* TO {account}"),
            Some("sees prepared XA transactions, which hide rows from a copy"),
        ),
    ];
    let mut tables: Vec<String> = plan
        .sources
        .iter()
        .map(|source| source.name.sql())
        .collect();
    tables.sort_unstable();
    for table in tables {
        all.push(grant(format!("GRANT SELECT ON {table} TO {account}"), None));
    }
    all
}

/// The statements as a client reads them.
pub fn grants_sql(grants: &[Grant]) -> String {
    let mut out = String::from(
        "-- Run as an administrator. '%' lets the account log in from everywhere: name penstock's host instead where you can.\n",
    );
    for Grant { sql, comment } in grants {
        out.push_str(sql);
        out.push(';');
        if let Some(comment) = comment {
            out.push_str("  -- ");
            out.push_str(comment);
        }
        out.push('\n');
    }
    out
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
