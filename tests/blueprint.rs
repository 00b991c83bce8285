//! What `provision --emit` prints is what its readers take: CloudFormation's linter, and MySQL.

use std::process::Command;

use mysql_async::prelude::Queryable;
use penstock::demo::sample::{self, Sizes};
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::mysql::{Database, Server};
use crate::support::target::Target;
use crate::support::{missing, root};

/// What the command prints.
fn emitted(daemon: &mut Daemon, arguments: &[&str]) -> String {
    let output = daemon.command(&[&["provision", "--emit"], arguments].concat());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).expect("text")
}

/// Runs cfn-lint over a template, or says that it is not installed.
fn lint(template: &str) {
    let Some(program) = std::env::var_os("PENSTOCK_CFN_LINT") else {
        missing("cfn-lint, named by PENSTOCK_CFN_LINT,", "cfn");
        return;
    };
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("template.json");
    std::fs::write(&file, template).expect("the template");
    let output = Command::new(program)
        .args(["--regions", "eu-central-1", "--"])
        .arg(&file)
        .output()
        .expect("cfn-lint can be run");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{template}");
}

async fn shop() -> Database<'static> {
    let database = Server::shared().database().await;
    let mut conn = database.conn().await;
    let made = sample::create(&mut conn, &database.name).await;
    made.expect("the tables");
    let filled = sample::fill(&mut conn, Sizes::SMALL, 7, |_| {}).await;
    filled.expect("the rows");
    database
}

fn daemon(database: &Database<'_>) -> Daemon {
    let contract = std::fs::read_to_string(root().join("contracts/shop-joins.json"))
        .expect("the sample contract")
        .replace("\"shop.", &format!("\"{}.", database.name));
    Daemon::between(
        database.server.port(),
        &database.name,
        "embedded",
        &contract,
    )
}

#[tokio::test]
async fn the_template_and_the_policy_are_what_cloudformation_takes() {
    let database = shop().await;
    let mut daemon = daemon(&database);
    let template = emitted(&mut daemon, &["cloudformation"]);
    lint(&template);
    let offline = emitted(&mut daemon, &["cloudformation", "--offline"]);
    let tables = |text: &str| {
        let mut template: Value = serde_json::from_str(text).expect("JSON");
        template["Resources"].take()
    };
    assert_eq!(
        tables(&template),
        tables(&offline),
        "tables are in the contract alone"
    );
    let policy: Value = serde_json::from_str(&emitted(&mut daemon, &["iam"])).expect("JSON");
    let wrapped = json!({"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Role": {
        "Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": policy}}}});
    lint(&wrapped.to_string());
}

#[tokio::test]
async fn the_grants_are_enough_to_run() {
    let database = shop().await;
    let mut daemon = daemon(&database);
    let user = format!("reader_{}", database.name);
    // An account can look at MySQL only where it is there already: the first look is the administrator's.
    let sql = emitted(&mut daemon, &["grants"]).replace("'root'@", &format!("'{user}'@"));
    let mut conn = database.conn().await;
    for statement in sql.lines().filter(|line| !line.starts_with("--")) {
        let statement = statement.split("  --").next().unwrap_or_default();
        let statement = statement
            .trim_end_matches(';')
            .replace("BY RANDOM PASSWORD", "BY 'Emitted-1'");
        conn.query_drop(&statement)
            .await
            .unwrap_or_else(|e| panic!("{e}: {statement}"));
    }
    let target = Target::dynoxide();
    let secret = daemon.path().join("password");
    std::fs::write(&secret, "Emitted-1").expect("the password");
    daemon
        .set("source", "user", &format!("{user:?}"))
        .set("source", "password_file", "\"password\"")
        .set("target", "endpoint", &format!("{:?}", target.endpoint()));
    assert!(daemon.command(&["provision", "--yes"]).status.success());
    let check = daemon.command(&["check"]);
    let told = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success() && !told.contains("GRANT"), "{told}");
    let run = daemon.command(&["run", "--until-caught-up"]);
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    conn.query_drop(format!("DROP USER '{user}'@'%'"))
        .await
        .expect("the account goes");
}
