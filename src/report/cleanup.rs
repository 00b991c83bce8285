//! What is left to do after a migration.

use std::path::Path;

use serde::Serialize;

use crate::config::{Endpoint, Settings};
use crate::cutover::Gate;
use crate::prepare::{server_id, source_options};

/// One thing to clean up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cleanup {
    pub what: String,
    /// What to do about it, or to know of it.
    pub how: String,
}

/// Everything that a migration leaves behind, in the order in which it can go: nothing on the list destroys what a line after
/// it still needs. `gates` are those of the cutover that stands.
pub fn list(settings: &Settings, state: &Path, gates: Option<&[Gate]>) -> Vec<Cleanup> {
    let state = state.display().to_string();
    let embedded = matches!(settings.target.endpoint, Endpoint::Embedded { .. });
    let mut list = before(&state);
    list.extend(embedded.then(|| serves(&state)));
    list.extend(in_mysql(settings, gates));
    list.extend(match embedded {
        true => at_home(&state),
        false => in_aws(&state),
    });
    list.into_iter()
        .map(|(what, how)| Cleanup {
            what: what.to_owned(),
            how,
        })
        .collect()
}

type Line = (&'static str, String);

/// A file that an administrator has made, as the README says.
const PASSWORD: &str = "`shred -u /etc/penstock/mysql-password`: it stays when the package goes";

/// What comes before anything goes.
fn before(state: &str) -> Vec<Line> {
    vec![
        (
            "the way back",
            format!(
                "do nothing of what follows until it is certain that nobody goes back to MySQL: `penstock cutover --reopen` needs {state}, \
                 the account and MySQL's binlogs since the cutover"
            ),
        ),
        (
            "what to keep",
            format!(
                "copy {state}/cutover-*.json and .md, {state}/reports and {state}/audit.log, this summary, the settings and the contract \
                 to where others can find them"
            ),
        ),
    ]
}

fn in_mysql(settings: &Settings, gates: Option<&[Gate]>) -> Vec<Line> {
    let account = settings
        .source
        .user
        .replace('\\', "\\\\")
        .replace('\'', "''");
    let number = server_id(settings, &source_options(settings));
    vec![
        (
            "monitoring",
            "remove the job `penstock` from Prometheus, its rules (dashboards/alerts.yaml), and the dashboard from Grafana, before the stopped service raises an alert"
                .to_owned(),
        ),
        ("the service", "`systemctl disable --now penstock`".to_owned()),
        (
            "the account in MySQL",
            format!("`DROP USER '{account}'@'%';`, where only penstock used it (and with its own host, where that is not '%')"),
        ),
        (
            "server_id",
            format!("{number} is free again; `SHOW REPLICAS` does not show it once the service is gone"),
        ),
        (
            "binlog retention in MySQL",
            "set binlog_expire_logs_seconds, and on RDS `binlog retention hours`, back where they were raised; \
             binlog_row_metadata=FULL and gtid_mode=ON may stay"
                .to_owned(),
        ),
        ("read_only in MySQL", read_only(gates)),
    ]
}

/// Nothing may write to MySQL any more; whether the server sees to that depends on how the cutover was asked for.
fn read_only(gates: Option<&[Gate]>) -> String {
    const STAYS: &str = "nothing may write there again. `SET PERSIST super_read_only = ON` outlives a restart of the server (on RDS it stands in the parameter group)";
    let is_gate = |gate: &&Gate| gate.name == "read_only" && gate.open;
    match gates.map(|gates| gates.iter().find(is_gate)) {
        Some(Some(gate)) => format!(
            "it stays as the cutover found it ({}): {STAYS}",
            gate.reason
        ),
        Some(None) => format!("the cutover did not ask for it (--expect-read-only): {STAYS}"),
        None => format!("after the cutover {STAYS}"),
    }
}

fn serves(state: &str) -> Line {
    (
        "the embedded DynamoDB",
        format!(
            "penstock serves it, and {state} holds it: service, package and directory stay for as long as anybody uses the data"
        ),
    )
}

/// Where DynamoDB is the embedded one, its data are in the state directory.
fn at_home(state: &str) -> Vec<Line> {
    vec![
        (
            "the state directory",
            format!("{state} stays: it is the data itself"),
        ),
        (
            "the package",
            "`apt remove penstock`, and no purge: that would delete /var/lib/penstock with all that is in it".to_owned(),
        ),
        ("the password", PASSWORD.to_owned()),
    ]
}

fn in_aws(state: &str) -> Vec<Line> {
    vec![
        (
            "the role in AWS",
            "delete the policy that `penstock provision --emit iam` gave, and the role or key that only penstock used".to_owned(),
        ),
        (
            "capacity in DynamoDB",
            "lower write capacity that was raised for the copy; tables, indexes, point-in-time recovery and deletion protection stay".to_owned(),
        ),
        (
            "alarms in AWS",
            "those of `provision --emit cloudformation` watch the tables and stay; those that watch penstock go".to_owned(),
        ),
        (
            "the state directory",
            format!(
                "once what to keep is copied, remove {state}: it holds keys of rows (dead letters, reports of comparisons), and the rows that joins read"
            ),
        ),
        (
            "the package",
            "`apt purge penstock`; it deletes /var/lib/penstock with all that is in it, and /etc/penstock/penstock.toml".to_owned(),
        ),
        ("the password", PASSWORD.to_owned()),
    ]
}
