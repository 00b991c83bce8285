//! Tables and indexes: what is there, what the plan wants, and creating what is missing. Never deletes or rebuilds.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::builders::CreateTableFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TableDescription, TableStatus,
};

use super::classify::{Meaning, classify};
use super::client::with_retries;
use crate::contract::model::{AttributeType, GsiProjection};
use crate::error::{Error, Kind, Result};
use crate::plan::{GsiPlan, KeyAttribute, Plan, TargetId, TargetTable};

/// How often a table that is being created is asked for.
const POLL: Duration = Duration::from_millis(500);

/// A table of the plan, as DynamoDB has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableState {
    pub target: TargetId,
    pub name: String,
    pub condition: Condition,
}

/// How a table compares with the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    Missing,
    /// As the plan wants it, and active.
    Right,
    /// As the plan wants it, and not yet active: its status, or an index's.
    NotReady(String),
    /// Right but for these indexes, which can be added.
    LacksIndexes(Vec<String>),
    /// Cannot be made right without deleting something; each difference in one line.
    Wrong(Vec<String>),
}

impl fmt::Display for TableState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}: ", self.name)?;
        match &self.condition {
            Condition::Missing => f.write_str("missing"),
            Condition::Right => f.write_str("right"),
            Condition::NotReady(status) => write!(f, "not ready ({status})"),
            Condition::LacksIndexes(names) => write!(f, "lacks the indexes {}", names.join(", ")),
            Condition::Wrong(differences) => f.write_str(&differences.join("; ")),
        }
    }
}

/// Compares each target of the plan with what DynamoDB has. Changes nothing.
pub async fn inspect(client: &Client, plan: &Plan) -> Result<Vec<TableState>> {
    let client = with_retries(client);
    let mut states = Vec::with_capacity(plan.targets.len());
    for target in &plan.targets {
        let condition = match describe(&client, &target.name).await? {
            None => Condition::Missing,
            Some(table) => compare(target, &table),
        };
        states.push(TableState {
            target: target.id,
            name: target.name.clone(),
            condition,
        });
    }
    Ok(states)
}

/// Creates the tables and indexes that are missing and waits until all are active, at most for `patience`.
/// A table that is wrong is an error before anything is created. `tell` hears each step, in words for people.
pub async fn create(
    client: &Client,
    plan: &Plan,
    patience: Duration,
    mut tell: impl FnMut(&str),
) -> Result<()> {
    let deadline = Instant::now() + patience;
    let states = inspect(client, plan).await?;
    refuse_wrong(&states)?;
    let client = with_retries(client);
    for (target, state) in plan.targets.iter().zip(&states) {
        match &state.condition {
            Condition::Missing => {
                tell(&format!("creating table {}", target.name));
                create_table(&client, target).await?;
            }
            Condition::LacksIndexes(names) => {
                for gsi in target.gsis.iter().filter(|gsi| names.contains(&gsi.name)) {
                    // DynamoDB builds one index of a table at a time.
                    wait_until_active(&client, target, deadline).await?;
                    tell(&format!(
                        "adding index {} to table {}",
                        gsi.name, target.name
                    ));
                    add_index(&client, target, gsi).await?;
                }
            }
            Condition::Right | Condition::NotReady(_) | Condition::Wrong(_) => {}
        }
    }
    for target in &plan.targets {
        wait_until_active(&client, target, deadline).await?;
    }
    refuse_wrong(&inspect(&client, plan).await?)
}

/// An error that names everything that differs, if anything does.
fn refuse_wrong(states: &[TableState]) -> Result<()> {
    let wrong: Vec<String> = states
        .iter()
        .filter(|state| matches!(state.condition, Condition::Wrong(_)))
        .map(ToString::to_string)
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::TargetTable, wrong.join("\n"))
        .with_remedy("delete or rename that table, or give [target] table_prefix another value"))
}

/// `None`: there is no such table.
async fn describe(client: &Client, name: &str) -> Result<Option<TableDescription>> {
    let answer = client.describe_table().table_name(name).send().await;
    let error = match answer {
        Ok(output) => {
            return output.table.map(Some).ok_or_else(|| {
                Error::new(
                    Kind::TargetProtocol,
                    format!("DescribeTable of {name}: an answer without a table"),
                )
            });
        }
        Err(error) => error,
    };
    let failure = classify(&format!("DescribeTable of {name}"), error);
    match failure.meaning {
        Meaning::Fatal(Kind::TargetTable) => Ok(None),
        // Here nothing was asked about items: DynamoDB's words are the reason.
        Meaning::Invalid => Err(Error::new(
            Kind::TargetTable,
            format!("{}: {}", failure.error, failure.reason),
        )),
        _ => Err(failure.error),
    }
}

fn compare(target: &TargetTable, table: &TableDescription) -> Condition {
    let types: HashMap<&str, &str> = table
        .attribute_definitions()
        .iter()
        .map(|a| (a.attribute_name(), a.attribute_type().as_str()))
        .collect();
    let wanted = keys_text(&target.pk, target.sk.as_ref());
    let mut differences = Vec::new();
    let found = schema_text(table.key_schema(), &types);
    if found != wanted {
        differences.push(format!("its key is {found}, the contract wants {wanted}"));
    }
    let mut lacking = Vec::new();
    let mut not_ready = Vec::new();
    for gsi in &target.gsis {
        let existing = table
            .global_secondary_indexes()
            .iter()
            .find(|index| index.index_name() == Some(gsi.name.as_str()));
        let Some(existing) = existing else {
            lacking.push(gsi.name.clone());
            continue;
        };
        let wanted = keys_text(&gsi.pk, gsi.sk.as_ref());
        let found = schema_text(existing.key_schema(), &types);
        if found != wanted {
            differences.push(format!(
                "the key of index {} is {found}, the contract wants {wanted}",
                gsi.name
            ));
        }
        let wanted = wanted_projection(&gsi.projection);
        let found = found_projection(existing.projection());
        if found != wanted {
            differences.push(format!(
                "index {} projects {found}, the contract wants {wanted}",
                gsi.name
            ));
        }
        if let Some(status) = existing.index_status()
            && *status != IndexStatus::Active
        {
            not_ready.push(format!("index {} is {status}", gsi.name));
        }
    }
    // A new index may use an attribute that another index has with another type.
    for gsi in target.gsis.iter().filter(|gsi| lacking.contains(&gsi.name)) {
        for key in std::iter::once(&gsi.pk).chain(&gsi.sk) {
            if let Some(found) = types.get(key.name.as_str())
                && *found != type_name(key.ty)
            {
                differences.push(format!(
                    "index {} needs {} as {}, the table has it as {found}",
                    gsi.name,
                    key.name,
                    type_name(key.ty)
                ));
            }
        }
    }
    if let Some(status) = table.table_status()
        && !matches!(status, TableStatus::Active | TableStatus::Updating)
    {
        not_ready.push(format!("the table is {status}"));
    }
    if !differences.is_empty() {
        Condition::Wrong(differences)
    } else if !lacking.is_empty() {
        Condition::LacksIndexes(lacking)
    } else if !not_ready.is_empty() {
        Condition::NotReady(not_ready.join(", "))
    } else {
        Condition::Right
    }
}

async fn wait_until_active(client: &Client, target: &TargetTable, deadline: Instant) -> Result<()> {
    loop {
        // A table that has just been created may be unknown for a moment.
        let status = match describe(client, &target.name).await? {
            None => "is not there yet".to_owned(),
            Some(table) => match inactive(&table) {
                None => return Ok(()),
                Some(status) => status,
            },
        };
        if Instant::now() >= deadline {
            return Err(Error::new(
                Kind::TargetTable,
                format!("table {} is not active in time: {status}", target.name),
            )
            .with_remedy("DynamoDB goes on by itself: run `penstock provision` again later"));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What is not active yet.
fn inactive(table: &TableDescription) -> Option<String> {
    if let Some(status) = table.table_status()
        && *status != TableStatus::Active
    {
        return Some(format!("the table is {status}"));
    }
    table.global_secondary_indexes().iter().find_map(|index| {
        let status = index.index_status()?;
        let name = index.index_name().unwrap_or_default();
        (*status != IndexStatus::Active).then(|| format!("index {name} is {status}"))
    })
}

async fn create_table(client: &Client, target: &TargetTable) -> Result<()> {
    let mut keys = vec![&target.pk];
    keys.extend(&target.sk);
    for gsi in &target.gsis {
        keys.push(&gsi.pk);
        keys.extend(&gsi.sk);
    }
    let mut request: CreateTableFluentBuilder = client
        .create_table()
        .table_name(&target.name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(schema(&target.pk, target.sk.as_ref())?))
        .set_attribute_definitions(Some(definitions(&keys)?));
    for gsi in &target.gsis {
        let index = GlobalSecondaryIndex::builder()
            .index_name(&gsi.name)
            .set_key_schema(Some(schema(&gsi.pk, gsi.sk.as_ref())?))
            .projection(projection(&gsi.projection))
            .build()
            .map_err(internal)?;
        request = request.global_secondary_indexes(index);
    }
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) => {
            let in_use = error
                .as_service_error()
                .is_some_and(|e| e.is_resource_in_use_exception());
            // Somebody else was faster, or our first request had been heard: the inspection at the end judges.
            if in_use {
                return Ok(());
            }
            Err(refused(&format!("CreateTable of {}", target.name), error))
        }
    }
}

async fn add_index(client: &Client, target: &TargetTable, gsi: &GsiPlan) -> Result<()> {
    let mut keys = vec![&target.pk];
    keys.extend(&target.sk);
    keys.push(&gsi.pk);
    keys.extend(&gsi.sk);
    let action = CreateGlobalSecondaryIndexAction::builder()
        .index_name(&gsi.name)
        .set_key_schema(Some(schema(&gsi.pk, gsi.sk.as_ref())?))
        .projection(projection(&gsi.projection))
        .build()
        .map_err(internal)?;
    client
        .update_table()
        .table_name(&target.name)
        .set_attribute_definitions(Some(definitions(&keys)?))
        .global_secondary_index_updates(
            GlobalSecondaryIndexUpdate::builder().create(action).build(),
        )
        .send()
        .await
        .map(|_| ())
        .map_err(|error| refused(&format!("UpdateTable of {}", target.name), error))
}

fn refused<E>(
    what: &str,
    error: aws_sdk_dynamodb::error::SdkError<
        E,
        aws_smithy_runtime_api::client::orchestrator::HttpResponse,
    >,
) -> Error
where
    E: aws_sdk_dynamodb::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let failure = classify(what, error);
    match failure.meaning {
        Meaning::Invalid => Error::new(Kind::TargetTable, format!("{what}: {}", failure.reason)),
        _ => failure.error,
    }
}

fn schema(pk: &KeyAttribute, sk: Option<&KeyAttribute>) -> Result<Vec<KeySchemaElement>> {
    let element = |key: &KeyAttribute, ty| {
        KeySchemaElement::builder()
            .attribute_name(&key.name)
            .key_type(ty)
            .build()
            .map_err(internal)
    };
    let mut schema = vec![element(pk, KeyType::Hash)?];
    if let Some(sk) = sk {
        schema.push(element(sk, KeyType::Range)?);
    }
    Ok(schema)
}

/// Each name once.
fn definitions(keys: &[&KeyAttribute]) -> Result<Vec<AttributeDefinition>> {
    let mut definitions: Vec<AttributeDefinition> = Vec::new();
    for key in keys {
        if definitions.iter().any(|d| d.attribute_name() == key.name) {
            continue;
        }
        let ty = match key.ty {
            AttributeType::N => ScalarAttributeType::N,
            AttributeType::B => ScalarAttributeType::B,
            _ => ScalarAttributeType::S,
        };
        definitions.push(
            AttributeDefinition::builder()
                .attribute_name(&key.name)
                .attribute_type(ty)
                .build()
                .map_err(internal)?,
        );
    }
    Ok(definitions)
}

fn projection(wanted: &GsiProjection) -> Projection {
    let builder = Projection::builder();
    match wanted {
        GsiProjection::All => builder.projection_type(ProjectionType::All),
        GsiProjection::KeysOnly => builder.projection_type(ProjectionType::KeysOnly),
        GsiProjection::Include(names) => builder
            .projection_type(ProjectionType::Include)
            .set_non_key_attributes(Some(names.iter().map(|n| n.value.clone()).collect())),
    }
    .build()
}

fn wanted_projection(wanted: &GsiProjection) -> String {
    match wanted {
        GsiProjection::All => "ALL".into(),
        GsiProjection::KeysOnly => "KEYS_ONLY".into(),
        GsiProjection::Include(names) => {
            include_text(names.iter().map(|n| n.value.clone()).collect())
        }
    }
}

fn found_projection(found: Option<&Projection>) -> String {
    let Some(found) = found else {
        return "nothing".into();
    };
    match found.projection_type() {
        Some(ProjectionType::Include) => include_text(found.non_key_attributes().to_vec()),
        Some(other) => other.as_str().into(),
        None => "nothing".into(),
    }
}

fn include_text(mut names: Vec<String>) -> String {
    names.sort_unstable();
    names.dedup();
    format!("INCLUDE ({})", names.join(", "))
}

/// `PK (S), SK (N)`.
fn keys_text(pk: &KeyAttribute, sk: Option<&KeyAttribute>) -> String {
    let keys = std::iter::once(pk).chain(sk);
    let texts: Vec<String> = keys
        .map(|key| format!("{} ({})", key.name, type_name(key.ty)))
        .collect();
    texts.join(", ")
}

fn schema_text(schema: &[KeySchemaElement], types: &HashMap<&str, &str>) -> String {
    let mut elements: Vec<&KeySchemaElement> = schema.iter().collect();
    elements.sort_by_key(|e| *e.key_type() != KeyType::Hash);
    let texts: Vec<String> = elements
        .iter()
        .map(|e| {
            let name = e.attribute_name();
            format!("{name} ({})", types.get(name).copied().unwrap_or("?"))
        })
        .collect();
    texts.join(", ")
}

fn type_name(ty: AttributeType) -> &'static str {
    match ty {
        AttributeType::N => "N",
        AttributeType::B => "B",
        _ => "S",
    }
}

fn internal(error: aws_sdk_dynamodb::error::BuildError) -> Error {
    Error::new(Kind::Internal, "a request to DynamoDB could not be made").with_source(error)
}
