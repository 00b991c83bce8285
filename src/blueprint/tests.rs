use serde_json::Value;

use super::*;
use crate::contract::Diagnostics;
use crate::plan::{Mapping, Plan, compile};

const CONTRACT: &str = r##"{"tables": [
  {"table": "orders-by_customer", "type": "single-entity", "source_table": "orders", "pk": "customer", "sk": "placed",
   "gsis": [{"index_name": "by-state", "pk": "state", "sk": "placed", "projection": "INCLUDE", "projected_attributes": ["total"]}],
   "attributes": [
     {"name": "customer", "type": "N", "source_column": "customer"}, {"name": "placed", "type": "S", "source_column": "placed"},
     {"name": "state", "type": "S", "source_column": "state"}, {"name": "total", "type": "N", "source_column": "total"}]},
  {"table": "orders_by_customer", "type": "single-entity", "source_table": "customers", "pk": "id", "sk": null,
   "attributes": [{"name": "id", "type": "N", "source_column": "id"}]}
]}"##;

fn plan() -> Plan {
    let (contract, mut diagnostics): (_, Diagnostics) = crate::contract::parse(CONTRACT, false);
    let mapping = Mapping {
        table_prefix: "prod_".into(),
        ..Mapping::default()
    };
    let contract = contract.expect("a contract");
    compile(&contract, None, "shop", &mapping, &mut diagnostics).expect("a plan")
}

#[test]
fn tables_that_hold_data_outlive_their_stack() {
    let template: Value = serde_json::from_str(&cloudformation(&plan())).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let tables: Vec<&Value> = resources
        .values()
        .filter(|r| r["Type"] == "AWS::DynamoDB::Table")
        .collect();
    assert_eq!(
        tables.len(),
        2,
        "names that differ in punctuation only are two tables"
    );
    for table in tables {
        assert_eq!(table["DeletionPolicy"], "Retain");
        assert_eq!(table["UpdateReplacePolicy"], "Retain");
        assert_eq!(table["Properties"]["DeletionProtectionEnabled"], true);
        let recovery = &table["Properties"]["PointInTimeRecoverySpecification"];
        assert_eq!(recovery["PointInTimeRecoveryEnabled"], true);
    }
    let orders = &resources["TableProdOrdersByCustomer"]["Properties"];
    assert_eq!(orders["TableName"], "prod_orders-by_customer");
    let names: Vec<&str> = orders["AttributeDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["AttributeName"].as_str().unwrap())
        .collect();
    // Attributes that are no keys must not be defined: DynamoDB refuses that.
    assert_eq!(names, ["customer", "placed", "state"]);
    let index = &orders["GlobalSecondaryIndexes"][0];
    assert_eq!(index["Projection"]["NonKeyAttributes"][0], "total");
}

/// CloudWatch counts an index's throttles under the index's name alone.
#[test]
fn every_index_has_alarms_of_its_own() {
    let template: Value = serde_json::from_str(&cloudformation(&plan())).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let alarms = resources
        .iter()
        .filter(|(_, r)| r["Type"] == "AWS::CloudWatch::Alarm");
    let names: Vec<&str> = alarms.map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "TableProdOrdersByCustomerReadThrottles",
            "TableProdOrdersByCustomerReadThrottlesIndexByState",
            "TableProdOrdersByCustomerWriteThrottles",
            "TableProdOrdersByCustomerWriteThrottlesIndexByState",
            "TableProdOrdersByCustomerx2ReadThrottles",
            "TableProdOrdersByCustomerx2WriteThrottles",
        ]
    );
    let alarm = &resources["TableProdOrdersByCustomerWriteThrottlesIndexByState"]["Properties"];
    assert_eq!(alarm["MetricName"], "WriteThrottleEvents");
    assert_eq!(
        alarm["Dimensions"],
        serde_json::json!([
            {"Name": "TableName", "Value": {"Ref": "TableProdOrdersByCustomer"}},
            {"Name": "GlobalSecondaryIndexName", "Value": "by-state"},
        ])
    );
}

#[test]
fn the_policy_names_every_table_and_no_other() {
    let policy: Value = serde_json::from_str(&iam(&plan(), Some("eu-central-1"))).unwrap();
    for statement in policy["Statement"].as_array().unwrap() {
        let resources = statement["Resource"].as_array().unwrap();
        assert_eq!(
            resources,
            &[
                "arn:aws:dynamodb:eu-central-1:*:table/prod_orders-by_customer",
                "arn:aws:dynamodb:eu-central-1:*:table/prod_orders_by_customer",
            ]
        );
    }
    assert!(iam(&plan(), Some("cn-north-1")).contains("arn:aws-cn:dynamodb:cn-north-1"));
}

#[test]
fn grants_are_by_table_and_quote_what_they_name() {
    let sql = grants_sql(&grants(&plan(), "o'brien"));
    assert!(
        sql.contains("GRANT SELECT ON `shop`.`orders` TO 'o''brien'@'%';"),
        "{sql}"
    );
    assert!(
        sql.contains("GRANT SELECT ON `shop`.`customers` TO"),
        "{sql}"
    );
    assert!(!sql.contains("ON `shop`.*"), "{sql}");
}
