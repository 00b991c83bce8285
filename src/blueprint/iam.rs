//! The policy of penstock's role: what it does to which table, and nothing else.

use serde_json::{Value, json};

use crate::plan::Plan;

/// What the daemon and its commands do: the statement's name, and the actions.
const STATEMENTS: [(&str, &[&str]); 3] = [
    (
        "Replicate",
        &["dynamodb:BatchWriteItem", "dynamodb:DescribeTable"],
    ),
    // `verify`, and the comparison of a cutover.
    ("Compare", &["dynamodb:BatchGetItem", "dynamodb:Scan"]),
    // Only for `penstock provision --yes`: leave it out where CloudFormation makes the tables.
    (
        "Provision",
        &["dynamodb:CreateTable", "dynamodb:UpdateTable"],
    ),
];

/// The policy document (JSON); without a region it is for all of them. Statements name tables, never `*`.
pub fn iam(plan: &Plan, region: Option<&str>) -> String {
    let resources: Vec<String> = plan
        .targets
        .iter()
        .map(|target| {
            format!(
                "arn:{}:dynamodb:{}:*:table/{}",
                partition(region.unwrap_or_default()),
                region.unwrap_or("*"),
                target.name
            )
        })
        .collect();
    // Where attributes of others stay, puts are updates.
    let update: (&str, &[&str]) = ("Preserve", &["dynamodb:UpdateItem"]);
    let statements: Vec<Value> = STATEMENTS
        .iter()
        .chain((!plan.settings.preserve.is_empty()).then_some(&update))
        .map(|(sid, actions)| {
            json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources})
        })
        .collect();
    let policy = json!({"Version": "2012-10-17", "Statement": statements});
    format!("{policy:#}\n")
}

fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}
