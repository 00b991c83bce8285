//! What is left to do after a migration.

use serde::Serialize;

use crate::config::{Endpoint, Settings};
use crate::prepare::{server_id, source_options};

/// One thing to clean up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cleanup {
    pub what: String,
    /// What to do about it, or to know of it.
    pub how: String,
}

/// Everything that a migration leaves behind, in the order in which it can go.
pub fn list(settings: &Settings) -> Vec<Cleanup> {
    let user = &settings.source.user;
    let state = settings.state.display();
    let number = server_id(settings, &source_options(settings));
    let account = user.replace('\\', "\\\\").replace('\'', "''");
    let mut list = vec![
        (
            "the way back",
            format!(
                "`penstock cutover --reopen` needs {state}, the account and MySQL's binlogs since the cutover: \
                 nothing of what follows before nobody wants to go back"
            ),
        ),
        (
            "the reports",
            format!("keep {state}/cutover-*.json and .md, this summary, the settings and the contract, where others can find them"),
        ),
        (
            "the service",
            "`systemctl disable --now penstock`, then `apt purge penstock`; the password in /etc/penstock goes with it".to_owned(),
        ),
        (
            "the account in MySQL",
            format!("`DROP USER '{account}'@'%';` (where it was made for another host than '%', with that one)"),
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
        (
            "read_only in MySQL",
            "super_read_only stays ON as it was set for the cutover: nothing may write there again".to_owned(),
        ),
    ];
    match &settings.target.endpoint {
        Endpoint::Embedded { .. } => list.push((
            "the state directory",
            format!("{state} holds the embedded DynamoDB, that is the data itself: it stays"),
        )),
        Endpoint::Url(_) | Endpoint::Aws => {
            list.push((
                "the state directory",
                format!(
                    "remove {state}: it holds keys of rows (dead letters, reports of comparisons), and the joins' state rows themselves"
                ),
            ));
            list.push((
                "the role in AWS",
                "delete the policy that `penstock provision --emit iam` gave, and the role or key that only penstock used".to_owned(),
            ));
            list.push((
                "capacity in DynamoDB",
                "write capacity that was raised for the copy; tables, indexes, point-in-time recovery and deletion protection stay".to_owned(),
            ));
            list.push((
                "alarms in AWS",
                "those of `provision --emit cloudformation` watch the tables and stay; those that watch penstock go".to_owned(),
            ));
        }
    }
    list.push((
        "monitoring",
        "the job `penstock` of Prometheus, its rules (dashboards/alerts.yaml) and the dashboard in Grafana".to_owned(),
    ));
    let named = |(what, how): (&str, String)| Cleanup {
        what: what.to_owned(),
        how,
    };
    list.into_iter().map(named).collect()
}
