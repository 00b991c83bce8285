//! Tables, indexes and alarms as a CloudFormation template (JSON).
//!
//! What holds data is never deleted with its stack: deletion protection, point-in-time recovery, `Retain`.
//! Source of the resource types: AWS CloudFormation's reference of `AWS::DynamoDB::Table` and `AWS::CloudWatch::Alarm`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::contract::model::{AttributeType, GsiProjection};
use crate::plan::{KeyAttribute, Plan, TargetTable};

/// The template; pretty JSON that ends with a newline.
pub fn cloudformation(plan: &Plan) -> String {
    let mut resources = serde_json::Map::new();
    let mut taken = BTreeSet::new();
    // A table keeps its name whatever alarms there are: another one would be another table.
    let ids: Vec<String> = plan
        .targets
        .iter()
        .map(|target| logical_id(&format!("Table {}", target.name), &mut taken))
        .collect();
    for (id, target) in ids.iter().zip(&plan.targets) {
        resources.insert(id.clone(), table(target));
        for alarm in &ALARMS {
            let name = logical_id(&format!("{id} {}", alarm.id), &mut taken);
            resources.insert(name, alarm.of(id, target, None));
            // The table's figures do not count its indexes, and one that is throttled throttles the table's writes.
            for gsi in &target.gsis {
                let name = format!("{id} {} Index {}", alarm.id, gsi.name);
                let name = logical_id(&name, &mut taken);
                resources.insert(name, alarm.of(id, target, Some(&gsi.name)));
            }
        }
    }
    let template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": format!(
            "The DynamoDB tables of a migration from MySQL by penstock, plan {}",
            plan.fingerprint.get(..12).unwrap_or(&plan.fingerprint)
        ),
        "Parameters": {
            "AlarmTopic": {
                "Type": "String",
                "Default": "",
                "Description": "ARN of the SNS topic that alarms are sent to; empty: alarms are shown only"
            }
        },
        "Conditions": {
            "HasAlarmTopic": {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopic"}, ""]}]}
        },
        "Resources": resources,
    });
    format!("{template:#}\n")
}

fn table(target: &TargetTable) -> Value {
    let mut properties = json!({
        "TableName": target.name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": definitions(target),
        "KeySchema": schema(&target.pk, target.sk.as_ref()),
        "DeletionProtectionEnabled": true,
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true},
    });
    let indexes: Vec<Value> = target
        .gsis
        .iter()
        .map(|gsi| {
            json!({
                "IndexName": gsi.name,
                "KeySchema": schema(&gsi.pk, gsi.sk.as_ref()),
                "Projection": projection(&gsi.projection),
            })
        })
        .collect();
    if !indexes.is_empty() {
        properties["GlobalSecondaryIndexes"] = indexes.into();
    }
    json!({
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": properties,
    })
}

/// Each key attribute once, in the order of names.
fn definitions(target: &TargetTable) -> Vec<Value> {
    let indexes = target
        .gsis
        .iter()
        .flat_map(|gsi| [Some(&gsi.pk), gsi.sk.as_ref()]);
    let keys: BTreeMap<&str, &str> = [Some(&target.pk), target.sk.as_ref()]
        .into_iter()
        .chain(indexes)
        .flatten()
        .map(|key| (key.name.as_str(), key_type(key)))
        .collect();
    keys.into_iter()
        .map(|(name, ty)| json!({"AttributeName": name, "AttributeType": ty}))
        .collect()
}

fn schema(pk: &KeyAttribute, sk: Option<&KeyAttribute>) -> Vec<Value> {
    let element = |key: &KeyAttribute, ty: &str| json!({"AttributeName": key.name, "KeyType": ty});
    let sort_key = sk.map(|sk| element(sk, "RANGE"));
    std::iter::once(element(pk, "HASH"))
        .chain(sort_key)
        .collect()
}

fn projection(wanted: &GsiProjection) -> Value {
    match wanted {
        GsiProjection::All => json!({"ProjectionType": "ALL"}),
        GsiProjection::KeysOnly => json!({"ProjectionType": "KEYS_ONLY"}),
        GsiProjection::Include(names) => {
            let names: BTreeSet<&str> = names.iter().map(|name| name.value.as_str()).collect();
            json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": names})
        }
    }
}

fn key_type(key: &KeyAttribute) -> &'static str {
    match key.ty {
        AttributeType::N => "N",
        AttributeType::B => "B",
        _ => "S",
    }
}

/// Something that goes wrong on DynamoDB's side and that penstock cannot cure.
struct Alarm {
    /// Appended to the table's logical id.
    id: &'static str,
    metric: &'static str,
    what: &'static str,
    /// In so many of five minutes.
    minutes: u8,
}

const ALARMS: [Alarm; 2] = [
    Alarm {
        id: "WriteThrottles",
        metric: "WriteThrottleEvents",
        what: "writes are throttled: the copy is slower than it could be, or the application's writes fail",
        minutes: 5,
    },
    Alarm {
        id: "ReadThrottles",
        metric: "ReadThrottleEvents",
        what: "reads are throttled: the application's reads fail, or a verification is too fast",
        minutes: 5,
    },
];

impl Alarm {
    /// Of the table, or of one of its indexes.
    fn of(&self, table_id: &str, target: &TargetTable, index: Option<&str>) -> Value {
        let mut of = target.name.clone();
        let mut dimensions = vec![json!({"Name": "TableName", "Value": {"Ref": table_id}})];
        if let Some(index) = index {
            of = format!("{of}, index {index}");
            dimensions.push(json!({"Name": "GlobalSecondaryIndexName", "Value": index}));
        }
        json!({
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmDescription": format!("{of}: {}", self.what),
                "Namespace": "AWS/DynamoDB",
                "MetricName": self.metric,
                "Dimensions": dimensions,
                "Statistic": "Sum",
                "Period": 60,
                "EvaluationPeriods": 5,
                "DatapointsToAlarm": self.minutes,
                "Threshold": 0,
                "ComparisonOperator": "GreaterThanThreshold",
                "TreatMissingData": "notBreaching",
                "AlarmActions": {
                    "Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]
                },
            },
        })
    }
}

/// CloudFormation's names have letters and digits only; two resources never share one.
fn logical_id(words: &str, taken: &mut BTreeSet<String>) -> String {
    let mut id = String::new();
    let mut upper = true;
    for c in words.chars() {
        if !c.is_ascii_alphanumeric() {
            upper = true;
            continue;
        }
        id.push(if upper { c.to_ascii_uppercase() } else { c });
        upper = false;
    }
    // `a-b` and `a_b` are two tables.
    let stem = id.clone();
    let mut number = 1;
    while !taken.insert(id.clone()) {
        number += 1;
        id = format!("{stem}x{number}");
    }
    id
}
