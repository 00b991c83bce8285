//! What MySQL must be and allow before anything starts, each finding with the SQL that cures it.

use std::collections::HashMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error as ClientError, Row};

use super::catalog::literal;
use super::connect;
use super::options::Options;
use crate::error::Result;
use crate::schema::TableName;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It works, and may fail or mislead one day.
    Warning,
    /// Replication would be wrong or impossible.
    Error,
}

/// How the finding of a table or database that may not be read begins.
pub const SELECT: &str = "SELECT ON ";

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// What was looked at: a variable, a grant, a table.
    pub what: String,
    pub found: String,
    pub why: String,
    /// Statements for an administrator, in order, one a line.
    pub cure_sql: Option<String>,
}

/// What the rest of the daemon wants to know of the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerFacts {
    /// As the server prints it.
    pub version: String,
    /// Major, minor, patch.
    pub number: (u16, u16, u16),
    pub server_uuid: String,
    /// Cascades of foreign keys are in the binlog as rows of their own.
    pub logs_cascades: bool,
    /// 0: names of tables are compared by case.
    pub lower_case_table_names: u8,
    /// Table maps name their columns (`binlog_row_metadata = FULL`).
    pub names_columns: bool,
    pub compresses_transactions: bool,
    /// How long the server keeps its binlogs, in seconds; 0 is for ever.
    pub binlog_seconds: u64,
}

/// Looks at the server and at `tables`, for a replica of this `server_id`.
pub async fn preflight(
    options: &Options,
    conn: &mut Conn,
    tables: &[TableName],
    server_id: u32,
) -> Result<(ServerFacts, Vec<Finding>)> {
    let variables = variables(options, conn).await?;
    let facts = facts(&variables);
    let mut findings = settings(&variables, &facts);
    if is_mariadb(&variables) {
        return Ok((facts, findings));
    }
    let account = account(options, conn).await?;
    let mut server = Server {
        options,
        conn,
        account,
        findings: Vec::new(),
    };
    server.database().await?;
    server.binlog_filters(&facts, tables).await?;
    server.replicas(&variables, server_id).await?;
    server.replica_source(&facts, &variables).await?;
    server.tables(tables).await?;
    server.prepared_transactions().await?;
    findings.append(&mut server.findings);
    findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
    Ok((facts, findings))
}

/// How many XA transactions are prepared; `None` where the account may not see that.
pub async fn prepared_xids(options: &Options, conn: &mut Conn) -> Result<Option<usize>> {
    match conn.query::<Row, _>("XA RECOVER").await {
        Ok(rows) => Ok(Some(rows.len())),
        Err(ClientError::Server(e)) if matches!(e.code, 1227 | 1401) => Ok(None),
        Err(e) => Err(connect::classify(options, e)),
    }
}

type Variables = HashMap<String, String>;

/// What the server is now, without looking for what is wrong with it.
pub async fn facts_now(options: &Options, conn: &mut Conn) -> Result<ServerFacts> {
    Ok(facts(&variables(options, conn).await?))
}

async fn variables(options: &Options, conn: &mut Conn) -> Result<Variables> {
    let rows: Vec<(String, String)> = connect::rows(options, conn, "SHOW GLOBAL VARIABLES").await?;
    let lower = |(name, value): (String, String)| (name.to_ascii_lowercase(), value);
    Ok(rows.into_iter().map(lower).collect())
}

fn value<'a>(variables: &'a Variables, name: &str) -> &'a str {
    variables.get(name).map_or("", String::as_str)
}

fn is_mariadb(variables: &Variables) -> bool {
    ["version", "version_comment"]
        .iter()
        .any(|name| value(variables, name).to_lowercase().contains("mariadb"))
}

fn facts(variables: &Variables) -> ServerFacts {
    let version = value(variables, "version");
    let mut parts = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    let number = (
        parts.next().unwrap_or(0),
        parts.next().unwrap_or(0),
        parts.next().unwrap_or(0),
    );
    ServerFacts {
        version: version.to_owned(),
        number,
        server_uuid: value(variables, "server_uuid").to_owned(),
        logs_cascades: number >= (9, 6, 0)
            && value(variables, "innodb_native_foreign_keys") == "OFF",
        lower_case_table_names: value(variables, "lower_case_table_names")
            .parse()
            .unwrap_or(0),
        names_columns: value(variables, "binlog_row_metadata") == "FULL",
        compresses_transactions: value(variables, "binlog_transaction_compression") == "ON",
        binlog_seconds: value(variables, "binlog_expire_logs_seconds")
            .parse()
            .unwrap_or(0),
    }
}

fn finding(
    severity: Severity,
    what: &str,
    found: &str,
    why: &str,
    cure: Option<String>,
) -> Finding {
    Finding {
        severity,
        what: what.to_owned(),
        found: found.to_owned(),
        why: why.to_owned(),
        cure_sql: cure,
    }
}

/// The findings that follow from variables alone.
fn settings(variables: &Variables, facts: &ServerFacts) -> Vec<Finding> {
    use Severity::{Error, Note, Warning};
    let get = |name| value(variables, name);
    let mut list = Vec::new();
    if is_mariadb(variables) {
        let why = "this version of penstock replicates MySQL only; MariaDB follows later";
        return vec![finding(Error, "server", get("version"), why, None)];
    }
    if facts.number < (8, 0, 0) {
        let why = "penstock needs MySQL 8.0 or later";
        list.push(finding(Error, "version", get("version"), why, None));
    }
    if get("log_bin") != "ON" {
        let why = "without a binlog there is nothing to follow: set log_bin in the server's configuration and restart it";
        list.push(finding(Error, "log_bin", get("log_bin"), why, None));
    }
    let mut exact = |name: &str, wanted: &str, severity, why: &str| {
        let found = value(variables, name);
        if found != wanted && !found.is_empty() {
            let cure = format!("SET PERSIST {name} = {wanted};");
            list.push(finding(severity, name, found, why, Some(cure)));
        }
    };
    let why = "changes must be in the binlog as rows; sessions that are open keep their own setting until they reconnect";
    exact("binlog_format", "ROW", Error, why);
    let why = "each change must carry the whole row; sessions that are open keep their own setting until they reconnect";
    exact("binlog_row_image", "FULL", Error, why);
    let why = "with FULL the binlog names the columns, and a change of the table's columns is recognised for certain";
    exact("binlog_row_metadata", "FULL", Warning, why);
    let why = "after a crash of the server's machine transactions that were replicated may be missing there";
    exact("sync_binlog", "1", Warning, why);
    if let Some(cure) = gtid_steps(get("gtid_mode"), get("enforce_gtid_consistency")) {
        let found = format!(
            "{}, enforce_gtid_consistency {}",
            get("gtid_mode"),
            get("enforce_gtid_consistency")
        );
        let why = "positions are GTID sets; the steps work online, each on every server of the topology before the next one";
        list.push(finding(Error, "gtid_mode", &found, why, Some(cure)));
    }
    if (1..86_400).contains(&facts.binlog_seconds) {
        let why = "a pause longer than this loses the position, and everything is copied again";
        let cure = "SET PERSIST binlog_expire_logs_seconds = 604800;".to_owned();
        list.push(finding(
            Warning,
            "binlog_expire_logs_seconds",
            get("binlog_expire_logs_seconds"),
            why,
            Some(cure),
        ));
    }
    if facts.compresses_transactions {
        let why = "transactions come compressed and are opened as a stream";
        list.push(finding(
            Note,
            "binlog_transaction_compression",
            "ON",
            why,
            None,
        ));
    }
    if facts.lower_case_table_names != 0 {
        let why = "names of tables are compared without case";
        list.push(finding(
            Note,
            "lower_case_table_names",
            get("lower_case_table_names"),
            why,
            None,
        ));
    }
    let zone = get("time_zone");
    if zone != "+00:00" && zone != "UTC" {
        let found = format!("{zone} (system: {})", get("system_time_zone"));
        let why = "TIMESTAMP columns are replicated in UTC; DATETIME columns hold what the application wrote";
        list.push(finding(Note, "time_zone", &found, why, None));
    }
    if !facts.logs_cascades {
        let why = "this server does not log the rows that foreign keys change by cascade";
        list.push(finding(Note, "foreign keys", get("version"), why, None));
    }
    list
}

/// The rest of the way to `gtid_mode = ON`, from where the server is.
fn gtid_steps(mode: &str, consistency: &str) -> Option<String> {
    if mode == "ON" && consistency == "ON" {
        return None;
    }
    let mut steps = Vec::new();
    if consistency != "ON" {
        steps.push("SET GLOBAL enforce_gtid_consistency = WARN;");
        steps.push("-- run the normal load for a while; go on when the error log shows no warnings of GTID consistency");
        steps.push("SET PERSIST enforce_gtid_consistency = ON;");
    }
    if mode == "OFF" {
        steps.push("SET GLOBAL gtid_mode = OFF_PERMISSIVE;");
    }
    if matches!(mode, "OFF" | "OFF_PERMISSIVE") {
        steps.push("SET GLOBAL gtid_mode = ON_PERMISSIVE;");
    }
    if mode != "ON" {
        steps.push("-- repeat until it shows 0:");
        steps.push("SHOW STATUS LIKE 'Ongoing_anonymous_transaction_count';");
        steps.push("SET PERSIST gtid_mode = ON;");
        steps.push("FLUSH BINARY LOGS;");
    }
    Some(steps.join("\n"))
}

/// `'user'@'host'`, as the server matched it.
async fn account(options: &Options, conn: &mut Conn) -> Result<String> {
    let rows: Vec<String> = connect::rows(options, conn, "SELECT CURRENT_USER()").await?;
    let account = rows.into_iter().next().unwrap_or_default();
    let (user, host) = account.rsplit_once('@').unwrap_or((&account, "%"));
    Ok(format!("{}@{}", literal(user), literal(host)))
}

struct Server<'a> {
    options: &'a Options,
    conn: &'a mut Conn,
    account: String,
    findings: Vec<Finding>,
}

impl Server<'_> {
    /// Runs a statement; `None`, with a finding, where a privilege is missing.
    async fn ask(
        &mut self,
        sql: &str,
        privilege: &str,
        severity: Severity,
        why: &str,
    ) -> Result<Option<Vec<Row>>> {
        match self.conn.query(sql).await {
            Ok(rows) => Ok(Some(rows)),
            Err(ClientError::Server(e))
                if matches!(e.code, 1044 | 1045 | 1142 | 1143 | 1227 | 1401) =>
            {
                let cure = format!("GRANT {privilege} TO {};", self.account);
                let found = format!("missing for {}", self.account);
                self.findings
                    .push(finding(severity, privilege, &found, why, Some(cure)));
                Ok(None)
            }
            Err(e) => Err(connect::classify(self.options, e)),
        }
    }

    /// The configured database: an account without any right there may not even name it.
    async fn database(&mut self) -> Result<()> {
        let Some(name) = self.options.database.as_deref() else {
            return Ok(());
        };
        let quoted = format!("`{}`", name.replace('`', "``"));
        let why = "the database's tables must be read";
        let privilege = format!("{SELECT}{quoted}.*");
        self.ask(&format!("USE {quoted}"), &privilege, Severity::Error, why)
            .await
            .map(drop)
    }

    /// Whether the whole database is missing a grant already.
    fn is_denied(&self, table: &TableName) -> bool {
        let all = format!("{SELECT}`{}`.*", table.database.replace('`', "``"));
        self.findings.iter().any(|f| f.what == all)
    }

    /// A database that the binlog leaves out is lost without a sign.
    async fn binlog_filters(&mut self, facts: &ServerFacts, tables: &[TableName]) -> Result<()> {
        let sql = if facts.number >= (8, 2, 0) {
            "SHOW BINARY LOG STATUS"
        } else {
            "SHOW MASTER STATUS"
        };
        let why = "the server's position in its binlog must be read";
        let rows = self
            .ask(sql, "REPLICATION CLIENT ON *.*", Severity::Error, why)
            .await?;
        let Some(row) = rows.unwrap_or_default().into_iter().next() else {
            return Ok(());
        };
        let list = |index: usize| -> Vec<String> {
            let text: String = row.get_opt(index).and_then(|v| v.ok()).unwrap_or_default();
            let parts = text.split(',').filter(|d| !d.is_empty());
            parts.map(str::to_owned).collect()
        };
        let (only, never) = (list(2), list(3));
        for table in tables {
            let database = &table.database;
            if never.contains(database) || (!only.is_empty() && !only.contains(database)) {
                let why = "changes of this database are not in the binlog: remove binlog_do_db and binlog_ignore_db from the server's configuration and restart it";
                let what = format!("binlog filter for {database}");
                let found = format!("do: {}; ignore: {}", only.join(","), never.join(","));
                let finding = finding(Severity::Error, &what, &found, why, None);
                if !self.findings.contains(&finding) {
                    self.findings.push(finding);
                }
            }
        }
        Ok(())
    }

    /// REPLICATION SLAVE, and who uses our `server_id`.
    async fn replicas(&mut self, variables: &Variables, server_id: u32) -> Result<()> {
        if value(variables, "server_id") == server_id.to_string() {
            let why = "the server itself has this id: set [source] server_id to another one";
            self.findings.push(finding(
                Severity::Error,
                "server_id",
                &server_id.to_string(),
                why,
                None,
            ));
        }
        let why = "the binlog stream must be read";
        let sql = if facts(variables).number >= (8, 0, 22) {
            "SHOW REPLICAS"
        } else {
            "SHOW SLAVE HOSTS"
        };
        let rows = self
            .ask(sql, "REPLICATION SLAVE ON *.*", Severity::Error, why)
            .await?;
        for row in rows.unwrap_or_default() {
            let id: u64 = row.get_opt(0).and_then(|v| v.ok()).unwrap_or_default();
            let host: String = row.get_opt(1).and_then(|v| v.ok()).unwrap_or_default();
            if id != u64::from(server_id) {
                continue;
            }
            let (severity, why) = if host == "penstock" {
                (
                    Severity::Warning,
                    "a penstock with this server_id is connected: this daemon if it runs already, or one that ended half a minute ago; else give each its own [source] server_id",
                )
            } else {
                (
                    Severity::Error,
                    "a replica uses this id: set [source] server_id to another one",
                )
            };
            let found = format!("{server_id} ({host})");
            self.findings
                .push(finding(severity, "server_id", &found, why, None));
        }
        Ok(())
    }

    /// A replica as the source must pass on what it applies.
    async fn replica_source(&mut self, facts: &ServerFacts, variables: &Variables) -> Result<()> {
        let passes_on = ["log_replica_updates", "log_slave_updates"]
            .iter()
            .any(|name| value(variables, name) == "ON");
        if passes_on {
            return Ok(());
        }
        let sql = if facts.number >= (8, 0, 22) {
            "SHOW REPLICA STATUS"
        } else {
            "SHOW SLAVE STATUS"
        };
        let why = "whether the server is a replica must be read";
        let rows = self
            .ask(sql, "REPLICATION CLIENT ON *.*", Severity::Error, why)
            .await?;
        if !rows.unwrap_or_default().is_empty() {
            let why = "the server is a replica whose binlog lacks what it applies: set log_replica_updates = ON in its configuration and restart it, or follow its source";
            self.findings.push(finding(
                Severity::Error,
                "log_replica_updates",
                "OFF",
                why,
                None,
            ));
        }
        Ok(())
    }

    /// SELECT on each table, and its engine.
    async fn tables(&mut self, tables: &[TableName]) -> Result<()> {
        for table in tables {
            if self.is_denied(table) {
                continue;
            }
            let sql = format!("SELECT * FROM {} LIMIT 0", table.sql());
            let privilege = format!("{SELECT}{}", table.sql());
            let why = "the table's rows must be read";
            match self.ask(&sql, &privilege, Severity::Error, why).await {
                Ok(Some(_)) => self.engine(table).await?,
                Ok(None) => {}
                // An unknown table is the contract's matter.
                Err(e)
                    if e.message().contains("says 1146") || e.message().contains("says 1049") => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    async fn engine(&mut self, table: &TableName) -> Result<()> {
        let sql = format!(
            "SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} AND ENGINE IS NOT NULL",
            literal(&table.database),
            literal(&table.table)
        );
        let engines: Vec<String> = connect::rows(self.options, self.conn, &sql).await?;
        for engine in engines.iter().filter(|e| *e != "InnoDB") {
            let cure = format!("ALTER TABLE {} ENGINE = InnoDB;", table.sql());
            let why = "only transactional tables can be copied and followed exactly";
            self.findings.push(finding(
                Severity::Error,
                &table.to_string(),
                engine,
                why,
                Some(cure),
            ));
        }
        Ok(())
    }

    /// Prepared XA transactions hide rows from a snapshot although their GTIDs count as executed.
    async fn prepared_transactions(&mut self) -> Result<()> {
        let why = "with it penstock sees whether XA transactions are prepared; a snapshot would lack their rows";
        let rows = self
            .ask(
                "XA RECOVER",
                "XA_RECOVER_ADMIN ON *.*",
                Severity::Warning,
                why,
            )
            .await?;
        let prepared = rows.unwrap_or_default().len();
        if prepared > 0 {
            // Not for a daemon that goes on from its checkpoint: whether a snapshot may start is asked again when it does.
            let why = "prepared XA transactions must have ended before a snapshot: commit or roll back each (`XA RECOVER CONVERT XID` names them)";
            let found = format!("{prepared} prepared");
            self.findings
                .push(finding(Severity::Warning, "XA RECOVER", &found, why, None));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Variables {
        [
            ("version", "9.7.4-2"),
            ("log_bin", "ON"),
            ("binlog_format", "ROW"),
            ("binlog_row_image", "FULL"),
            ("binlog_row_metadata", "FULL"),
            ("gtid_mode", "ON"),
            ("enforce_gtid_consistency", "ON"),
            ("sync_binlog", "1"),
            ("binlog_expire_logs_seconds", "2592000"),
            ("time_zone", "+00:00"),
            ("innodb_native_foreign_keys", "OFF"),
            ("lower_case_table_names", "0"),
        ]
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .into()
    }

    fn found(changes: &[(&str, &str)]) -> Vec<(Severity, String)> {
        let mut variables = good();
        for (name, value) in changes {
            variables.insert((*name).to_owned(), (*value).to_owned());
        }
        let facts = facts(&variables);
        settings(&variables, &facts)
            .into_iter()
            .map(|f| (f.severity, f.what))
            .collect()
    }

    #[test]
    fn a_good_server_has_no_findings() {
        assert_eq!(found(&[]), []);
        let facts = facts(&good());
        assert!(facts.logs_cascades && facts.names_columns);
        assert_eq!(facts.number, (9, 7, 4));
    }

    #[test]
    fn each_wrong_setting_is_found() {
        for (name, value, severity) in [
            ("log_bin", "OFF", Severity::Error),
            ("binlog_format", "MIXED", Severity::Error),
            ("binlog_row_image", "MINIMAL", Severity::Error),
            ("gtid_mode", "OFF", Severity::Error),
            ("version", "5.7.44", Severity::Error),
            ("binlog_row_metadata", "MINIMAL", Severity::Warning),
            ("sync_binlog", "0", Severity::Warning),
            ("binlog_expire_logs_seconds", "3600", Severity::Warning),
            ("binlog_transaction_compression", "ON", Severity::Note),
        ] {
            let list = found(&[(name, value)]);
            assert!(
                list.contains(&(severity, name.to_owned())),
                "{name}: {list:?}"
            );
        }
        assert_eq!(
            found(&[("version", "10.11.6-MariaDB")]),
            [(Severity::Error, "server".to_owned())]
        );
    }

    #[test]
    fn the_way_to_gtid_starts_where_the_server_is() {
        assert_eq!(gtid_steps("ON", "ON"), None);
        let all = gtid_steps("OFF", "OFF").expect("steps");
        assert!(all.contains("WARN") && all.contains("OFF_PERMISSIVE"));
        let rest = gtid_steps("ON_PERMISSIVE", "ON").expect("steps");
        assert!(!rest.contains("OFF_PERMISSIVE") && rest.contains("SET PERSIST gtid_mode = ON;"));
    }
}
